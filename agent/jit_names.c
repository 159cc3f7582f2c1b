/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/jit_names.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/hash.h"
#include "agent/base/log.h"
#include "agent/parser/build.h"
#include "agent/parser/parser.h"
#include "agent/regular_file.h"
#include "symbolizer/code_map.h"
#include "symbolizer/table.h"

#define KEEP_INTERVALS 8
#define LOOK_MS	       1000 /* between two looks at a file's size and time */
#define PAUSE_MS       3000 /* between two reads of a file */
#define PAUSE_SHARE    20   /* a read that took t is followed by a pause of at least 20 t */
#define PAUSE_MAX_MS   60000
#define STATUS_BYTES   4096

/* What a runtime writes to. */
struct source {
	struct process *process;
	enum build_kind kind;
	int fd;	    /* -1: not there */
	off_t size; /* with mtime: what was read last; 0 nothing */
	struct timespec mtime;
	struct table *table;  /* NULL: none yet */
	bool reading, forced; /* forced: in this interval */
	uint64_t not_before_ms;
};

struct process {
	struct jit_names *names;
	uint64_t key;
	uint32_t tgid, last_interval;
	uint64_t looked_ms;
	struct source perf_map;
};

struct jit_names {
	struct parser *parser; /* borrowed */
	struct hash processes; /* key -> pointer */
	uint32_t interval;
	size_t pending, bytes;
	struct jit_names_stats stats;
};

/* ---- life ---- */

int jit_names_new(struct parser *parser, struct jit_names **ret)
{
	struct jit_names *j = calloc(1, sizeof(*j));

	if (!j)
		return -ENOMEM;
	j->parser = parser;
	*ret = j;
	return 0;
}

static uint64_t key_of(struct task_id id)
{
	return hash_mix((uint64_t)(id.tgid & ~TASK_HIDDEN) << 32 | id.mm);
}

static void drop_table(struct source *s)
{
	if (s->table)
		s->process->names->bytes -= s->table->bytes;
	s->table = table_free(s->table);
}

static void source_done(struct source *s)
{
	parser_cancel(s->process->names->parser, s);
	s->process->names->pending -= s->reading;
	drop_table(s);
	if (s->fd >= 0)
		close(TAKE_FD(s->fd));
}

static void process_free(struct process *p)
{
	source_done(&p->perf_map);
	free(p);
}

struct jit_names *jit_names_free(struct jit_names *j)
{
	if (!j)
		return NULL;
	HASH_FOREACH (s, &j->processes)
		process_free((struct process *)(uintptr_t)s->value);
	hash_done(&j->processes);
	free(j);
	return NULL;
}

static struct process *process_get(const struct jit_names *j, struct task_id id)
{
	uint64_t v = hash_get(&j->processes, key_of(id));

	return v == HASH_NONE ? NULL : (struct process *)(uintptr_t)v;
}

/* Makes room by dropping the process that was asked for least recently. */
static void drop_oldest(struct jit_names *j)
{
	struct process *oldest = NULL;

	HASH_FOREACH (s, &j->processes) {
		struct process *p = (struct process *)(uintptr_t)s->value;

		if (!oldest || j->interval - p->last_interval > j->interval - oldest->last_interval)
			oldest = p;
	}
	if (!oldest)
		return;
	j->stats.dropped++;
	(void)hash_del(&j->processes, oldest->key);
	process_free(oldest);
}

static struct process *process_add(struct jit_names *j, struct task_id id)
{
	struct process *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	if (j->processes.count >= JIT_NAMES_PROCESSES)
		drop_oldest(j);
	*p = (struct process){
		.names = j,
		.key = key_of(id),
		.tgid = id.tgid & ~TASK_HIDDEN,
		.perf_map = {.process = p, .kind = BUILD_PERF_MAP, .fd = -1},
	};
	if (hash_put(&j->processes, p->key, (uintptr_t)p) < 0) {
		free(p);
		return NULL;
	}
	return p;
}

/* ---- where the file is ---- */

/* The decimal number that ends at `end`. */
static uint32_t number_before(const char *start, const char *end)
{
	uint32_t v = 0, unit = 1;

	while (end > start && end[-1] >= '0' && end[-1] <= '9' && unit < 1000000000) {
		v += (uint32_t)(*--end - '0') * unit;
		unit *= 10;
	}
	return v;
}

static const char *last_field(const char *status, const char *name)
{
	const char *p = strstr(status, name);

	return p ? strchrnul(p + 1, '\n') : NULL;
}

/* The PID in the innermost namespace, and the user that files are created as: the last field of the
 * lines NSpid and Uid of status (proc(5)). */
static int read_status(int proc_fd, uint32_t *ret_pid, uid_t *ret_uid)
{
	_cleanup_close_ int fd = openat(proc_fd, "status", O_RDONLY | O_CLOEXEC);
	const char *pid, *uid;
	char text[STATUS_BYTES];
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return -ESRCH;
	text[n] = '\0';
	pid = last_field(text, "\nNSpid:");
	uid = last_field(text, "\nUid:");
	if (!pid || !uid)
		return -EBADMSG;
	*ret_pid = number_before(text, pid);
	*ret_uid = number_before(text, uid);
	return 0;
}

/* Who else than the user of the process could have written it is not believed: /tmp is everyone's.
 */
static int open_perf_map(struct process *p)
{
	_cleanup_close_ int proc_fd = -1, root_fd = -1, fd = -1;
	uint32_t pid;
	struct stat st;
	char path[64];
	uid_t uid;
	int r;

	(void)snprintf(path, sizeof(path), "/proc/%u", p->tgid);
	proc_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc_fd < 0)
		return -ESRCH;
	r = read_status(proc_fd, &pid, &uid);
	if (r < 0)
		return r;
	root_fd = openat(proc_fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root_fd < 0)
		return -errno;
	(void)snprintf(path, sizeof(path), "tmp/perf-%u.map", pid);
	fd = regular_file_open(root_fd, path, &st);
	if (fd < 0)
		return fd;
	if (st.st_uid != uid && st.st_uid != 0) {
		p->names->stats.refused++;
		log_debug("'/%s' of process %u is not used: it belongs to user %u, not %u", path,
			  p->tgid, st.st_uid, uid);
		return -EPERM;
	}
	return TAKE_FD(fd);
}

/* ---- reading ---- */

/* What is sampled most recently stays. */
static void keep_budget(struct jit_names *j, const struct source *keep)
{
	while (j->bytes > JIT_NAMES_BUDGET) {
		struct process *oldest = NULL;

		HASH_FOREACH (s, &j->processes) {
			struct process *p = (struct process *)(uintptr_t)s->value;

			if (&p->perf_map != keep && p->perf_map.table &&
			    (!oldest ||
			     j->interval - p->last_interval > j->interval - oldest->last_interval))
				oldest = p;
		}
		if (!oldest)
			return;
		drop_table(&oldest->perf_map);
		j->stats.over_budget++;
	}
}

static void on_table(void *data, struct parser_result *result)
{
	struct source *s = data;
	struct jit_names *j = s->process->names;
	uint64_t pause = MIN(result->us / 1000 * PAUSE_SHARE, (uint64_t)PAUSE_MAX_MS);

	s->reading = false;
	j->pending--;
	j->stats.child_us += result->us;
	s->not_before_ms = clock_ms() + MAX(pause, (uint64_t)PAUSE_MS);
	if (result->r == -ENODATA)
		return;
	if (result->r < 0) {
		j->stats.failed++;
		log_debug_errno(result->r, "cannot read the names of generated code of process %u",
				s->process->tgid);
		return;
	}
	drop_table(s);
	s->table = TAKE_PTR(result->table);
	j->bytes += s->table->bytes;
	keep_budget(j, s);
}

static void read_source(struct source *s, const struct stat *st)
{
	struct jit_names *j = s->process->names;
	int fd = fcntl(s->fd, F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return;
	if (parser_request(j->parser, fd, s->kind, on_table, s) < 0)
		return;
	s->size = st->st_size;
	s->mtime = st->st_mtim;
	s->reading = true;
	j->pending++;
	j->stats.reads++;
}

static void look(struct process *p, bool now)
{
	struct source *s = &p->perf_map;
	struct stat st;

	if (s->reading || (s->forced && now))
		return;
	/* Runtimes that start anew in the same process make the file anew. */
	if (s->fd >= 0 && (fstat(s->fd, &st) < 0 || !st.st_nlink) && !now) {
		close(TAKE_FD(s->fd));
		s->size = 0;
	}
	if (s->fd < 0)
		s->fd = MAX(open_perf_map(p), -1);
	if (s->fd < 0 || fstat(s->fd, &st) < 0 || !st.st_size)
		return;
	if (st.st_size == s->size && st.st_mtim.tv_sec == s->mtime.tv_sec &&
	    st.st_mtim.tv_nsec == s->mtime.tv_nsec)
		return;
	if (!now && clock_ms() < s->not_before_ms)
		return;
	s->forced |= now;
	read_source(s, &st);
}

void jit_names_want(struct jit_names *j, struct task_id id)
{
	struct process *p = process_get(j, id);
	bool is_new = !p;

	if (!p)
		p = process_add(j, id);
	if (!p)
		return;
	p->last_interval = j->interval;
	if (is_new) {
		p->looked_ms = clock_ms();
		look(p, false);
	}
}

void jit_names_update(struct jit_names *j, bool now)
{
	uint64_t now_ms = clock_ms();

	HASH_FOREACH (s, &j->processes) {
		struct process *p = (struct process *)(uintptr_t)s->value;

		if (p->last_interval != j->interval || (!now && now_ms - p->looked_ms < LOOK_MS))
			continue;
		p->looked_ms = now_ms;
		look(p, now);
	}
}

size_t jit_names_pending(const struct jit_names *j)
{
	return j->pending;
}

int jit_names_lookup(const struct jit_names *j, struct task_id id, uint64_t address,
		     struct code_map_hit *ret)
{
	struct process *p = process_get(j, id);

	return p && p->perf_map.table ? code_map_lookup(p->perf_map.table, address, ret) : -ENOENT;
}

void jit_names_next_interval(struct jit_names *j)
{
	struct hash kept = {0};

	j->interval++;
	HASH_FOREACH (s, &j->processes) {
		struct process *p = (struct process *)(uintptr_t)s->value;

		p->perf_map.forced = false;
		if (j->interval - p->last_interval > KEEP_INTERVALS ||
		    hash_put(&kept, s->key, s->value) < 0)
			process_free(p);
	}
	hash_done(&j->processes);
	j->processes = kept;
}

void jit_names_get_stats(const struct jit_names *j, struct jit_names_stats *ret)
{
	*ret = j->stats;
	ret->processes = j->processes.count;
	ret->bytes = j->bytes;
	HASH_FOREACH (s, &j->processes) {
		const struct process *p = (const struct process *)(uintptr_t)s->value;

		ret->tables += p->perf_map.table != NULL;
		ret->functions += p->perf_map.table ? code_map_count(p->perf_map.table) : 0;
	}
}
