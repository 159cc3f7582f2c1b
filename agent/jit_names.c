/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/jit_names.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/hash.h"
#include "agent/base/log.h"
#include "agent/jit_debug.h"
#include "agent/parser/build.h"
#include "agent/parser/child.h"
#include "agent/parser/parser.h"
#include "agent/proc_maps.h"
#include "agent/regular_file.h"
#include "symbolizer/code_map.h"
#include "symbolizer/table.h"
#include "unwinders/jit_rows.h"

#define KEEP_INTERVALS 8
#define LOOK_MS	       1000 /* between two looks at a file's size and time */
#define PAUSE_MS       3000 /* between two reads of a file */
#define PAUSE_SHARE    20   /* a read that took t is followed by a pause of at least 20 t */
#define PAUSE_MAX_MS   60000
#define LIST_PAUSE_MS  250 /* the same for what is registered: stacks end where it is not known */
#define WATCH_MS       500 /* between two looks at a list ... */
#define WATCH_SHARE    100 /* ... or this many times of what a look took */
#define STATUS_BYTES   4096

#define RANGE_ROOM    64
#define SEARCH_MS     2000
#define SEARCH_MAX_MS 120000

/* What names are looked up in, in this order: the first two have lines. */
enum { JITDUMP, GDB_JIT, PERF_MAP, N_SOURCES };

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

/* The longer in vain, the seldomer. */
struct search {
	uint64_t not_before_ms, pause_ms;
};

struct process {
	struct jit_names *names;
	uint64_t key;
	uint32_t tgid, last_interval;
	uint64_t looked_ms;
	struct search jitdump, list; /* among the mappings */
	struct jit_debug *debug;     /* NULL: can not be read */
	bool finding;		     /* whether one of its files has the list */
	bool settled;		     /* what was registered when it was first met is known */
	uint32_t code_file;	     /* of the rows in the table of GDB_JIT; 0: it has none */
	struct jit_rows_info rows;
	struct process_key code_key;
	uint64_t asked_ms, watch_ms;
	struct source sources[N_SOURCES];
};

struct jit_names {
	struct jit_names_options o;
	uint32_t n_code_files; /* given out */
	uint64_t no_rows[ROWS_EMPTY_PAGE_BYTES / 8];
	struct hash processes; /* key -> pointer */
	struct hash lists;     /* see jit_debug_open() */
	uint32_t interval;
	size_t pending, bytes;
	struct jit_names_stats stats;
};

/* ---- life ---- */

int jit_names_new(const struct jit_names_options *o, struct jit_names **ret)
{
	struct jit_names *j = calloc(1, sizeof(*j));

	if (!j)
		return -ENOMEM;
	j->o = *o;
	rows_empty_page(j->no_rows, RULE_FP_GUESS);
	*ret = j;
	return 0;
}

static uint64_t key_of(struct task_id id)
{
	return hash_mix((uint64_t)(id.tgid & ~TASK_HIDDEN) << 32 | id.mm);
}

/* The kernel has pages of rows by file: other rows are another file. */
static void set_rows(struct process *p, const struct table *t)
{
	struct jit_names *j = p->names;
	uint32_t old = p->code_file;

	p->code_file = 0;
	if (t && jit_rows_get(t, &p->rows) == 0)
		p->code_file = FILE_ID_CODE + j->n_code_files++ % (FILE_ID_MAX - FILE_ID_CODE + 1);
	if (old || p->code_file)
		j->o.changed(j->o.data, p->code_key, old);
}

static void drop_table(struct source *s)
{
	if (s->table && s->kind == BUILD_GDB_JIT)
		set_rows(s->process, NULL);
	if (s->table)
		s->process->names->bytes -= s->table->bytes;
	s->table = table_free(s->table);
}

static void source_done(struct source *s)
{
	parser_cancel(s->process->names->o.parser, s);
	s->process->names->pending -= s->reading;
	drop_table(s);
	if (s->fd >= 0)
		close(TAKE_FD(s->fd));
}

static void process_free(struct process *p)
{
	/* Who waits for an answer gets the one that it has none. */
	if (!p->settled) {
		p->settled = true;
		p->names->o.changed(p->names->o.data, p->code_key, 0);
	}
	parser_cancel(p->names->o.parser, p);
	p->names->pending -= p->finding;
	jit_debug_free(p->debug);
	for (size_t i = 0; i < N_SOURCES; i++)
		source_done(&p->sources[i]);
	free(p);
}

static void ignore_change(void *data, struct process_key key, uint32_t old_file)
{
}

struct jit_names *jit_names_free(struct jit_names *j)
{
	if (!j)
		return NULL;
	j->o.changed = ignore_change;
	HASH_FOREACH (s, &j->processes)
		process_free((struct process *)(uintptr_t)s->value);
	hash_done(&j->processes);
	hash_done(&j->lists);
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
		.code_key = {.tgid = id.tgid, .mm = id.mm},
		.sources = {[JITDUMP] = {.process = p, .kind = BUILD_JITDUMP, .fd = -1},
			    [GDB_JIT] = {.process = p, .kind = BUILD_GDB_JIT, .fd = -1},
			    [PERF_MAP] = {.process = p, .kind = BUILD_PERF_MAP, .fd = -1}},
	};
	if (hash_put(&j->processes, p->key, (uintptr_t)p) < 0) {
		free(p);
		return NULL;
	}
	if (jit_debug_open(p->tgid, &j->lists, &p->debug) < 0)
		p->debug = NULL;
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

/* An executable mapping of a jitdump (the specification: a runtime maps its file so that profilers
 * find it): its name below map_files. */
static int on_mapping(void *data, const struct proc_mapping *m)
{
	static const char deleted[] = " (deleted)";
	const char *name = strrchr(m->path, '/');
	size_t n = name ? strlen(name) : 0;

	if (n > strlen(deleted) && !strcmp(name + n - strlen(deleted), deleted))
		n -= strlen(deleted);
	if (!m->executable || n < 11 || memcmp(name, "/jit-", 5) != 0 ||
	    memcmp(name + n - 5, ".dump", 5) != 0)
		return 0;
	(void)snprintf(data, RANGE_ROOM, "map_files/%llx-%llx", (unsigned long long)m->start,
		       (unsigned long long)m->end);
	return 1;
}

static bool may_search(struct search *s)
{
	uint64_t now = clock_ms();

	if (now < s->not_before_ms)
		return false;
	s->pause_ms = MIN(MAX(2 * s->pause_ms, (uint64_t)SEARCH_MS), (uint64_t)SEARCH_MAX_MS);
	s->not_before_ms = now + s->pause_ms;
	return true;
}

/* What the process has mapped itself, it could read itself. */
static int open_jitdump(struct process *p)
{
	_cleanup_close_ int proc_fd = -1, map_fd = -1;
	struct stat st;
	char path[128], range[RANGE_ROOM];

	if (!may_search(&p->jitdump))
		return -EAGAIN;
	(void)snprintf(path, sizeof(path), "/proc/%u", p->tgid);
	proc_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc_fd < 0)
		return -ESRCH;
	if (proc_maps_read(proc_fd, on_mapping, range) != 1)
		return -ENOENT;
	map_fd = openat(proc_fd, range, O_PATH | O_CLOEXEC);
	return map_fd < 0 ? -errno : regular_file_reopen(map_fd, &st);
}

/* ---- reading ---- */

static size_t table_bytes(const struct process *p)
{
	size_t bytes = 0;

	for (size_t i = 0; i < N_SOURCES; i++)
		bytes += p->sources[i].table ? p->sources[i].table->bytes : 0;
	return bytes;
}

/* What is sampled most recently stays. */
static void keep_budget(struct jit_names *j, const struct process *keep)
{
	while (j->bytes > JIT_NAMES_BUDGET) {
		struct process *oldest = NULL;

		HASH_FOREACH (s, &j->processes) {
			struct process *p = (struct process *)(uintptr_t)s->value;

			if (p != keep && table_bytes(p) &&
			    (!oldest ||
			     j->interval - p->last_interval > j->interval - oldest->last_interval))
				oldest = p;
		}
		if (!oldest)
			return;
		for (size_t i = 0; i < N_SOURCES; i++)
			drop_table(&oldest->sources[i]);
		j->stats.over_budget++;
	}
}

static void take_table(struct source *s, struct table *t)
{
	struct jit_names *j = s->process->names;

	/* In one step: the rows that are replaced hold until then. */
	if (s->kind == BUILD_GDB_JIT)
		set_rows(s->process, t);
	if (s->table)
		j->bytes -= s->table->bytes;
	table_free(s->table);
	s->table = t;
	j->bytes += t->bytes;
	keep_budget(j, s->process);
}

/* What was asked of the process is answered, or will not be. */
static void settle(struct process *p)
{
	struct jit_names *j = p->names;

	if (p->finding || p->sources[GDB_JIT].reading)
		return;
	if (!p->settled) {
		p->settled = true;
		j->o.changed(j->o.data, p->code_key, 0);
	}
	j->o.ready(j->o.data);
}

/* As if nothing had been read: the next look finds it changed. */
static void read_again(struct source *s)
{
	s->size = 0;
	s->forced = false;
	if (s->kind == BUILD_GDB_JIT)
		jit_debug_collect_again(s->process->debug);
}

static void on_table(void *data, struct parser_result *result)
{
	struct source *s = data;
	struct jit_names *j = s->process->names;
	uint64_t pause = MIN(result->us / 1000 * PAUSE_SHARE, (uint64_t)PAUSE_MAX_MS);
	uint64_t least = s->kind == BUILD_GDB_JIT ? LIST_PAUSE_MS : PAUSE_MS;

	s->reading = false;
	j->pending--;
	j->stats.child_us += result->us;
	s->not_before_ms = clock_ms() + MAX(pause, least);
	if (result->r < 0) {
		j->stats.failed += result->r != -ENODATA;
		if (result->r != -ENODATA)
			log_debug_errno(result->r,
					"cannot read the names of generated code of process %u",
					s->process->tgid);
	} else {
		take_table(s, TAKE_PTR(result->table));
	}
	if (parser_may_answer_later(result->r))
		read_again(s);
	if (s->kind == BUILD_GDB_JIT)
		settle(s->process);
}

/* Takes fd. */
static bool start_reading(struct source *s, int fd)
{
	struct jit_names *j = s->process->names;

	if (parser_request(j->o.parser, fd, s->kind, on_table, s) < 0) {
		read_again(s);
		return false;
	}
	s->reading = true;
	j->pending++;
	j->stats.reads++;
	return true;
}

static void read_source(struct source *s, const struct stat *st)
{
	int fd = fcntl(s->fd, F_DUPFD_CLOEXEC, 0);

	if (fd < 0 || !start_reading(s, fd))
		return;
	s->size = st->st_size;
	s->mtime = st->st_mtim;
}

static void look_at(struct source *s, bool now)
{
	struct stat st;

	if (s->reading || (s->forced && now))
		return;
	/* Runtimes that start anew in the same process make the file anew. */
	if (s->kind == BUILD_PERF_MAP && s->fd >= 0 && (fstat(s->fd, &st) < 0 || !st.st_nlink) &&
	    !now) {
		close(TAKE_FD(s->fd));
		s->size = 0;
	}
	if (s->fd < 0) {
		int fd = s->kind == BUILD_JITDUMP ? open_jitdump(s->process)
						  : open_perf_map(s->process);

		s->fd = fd < 0 ? -1 : fd;
	}
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

/* ---- GDB's JIT interface ---- */

static void find_list(struct process *p);

/* What is registered is read anew as a whole when the list changed. */
static void look_at_list(struct process *p, bool now)
{
	struct source *s = &p->sources[GDB_JIT];
	bool list_cut = false;
	int fd;

	if (!p->debug || s->reading || (now && s->forced) ||
	    (!now && clock_ms() < s->not_before_ms) || !jit_debug_has_list(p->debug))
		return;
	fd = jit_debug_collect(p->debug, &list_cut);
	p->names->stats.lists_cut += list_cut;
	/* The names may be of samples that were taken. */
	if (fd == -ENODATA)
		set_rows(p, NULL);
	if (fd < 0)
		return;
	s->forced |= now;
	start_reading(s, fd);
}

static void on_found(void *data, struct parser_result *result)
{
	struct process *p = data;

	p->finding = false;
	p->names->pending--;
	p->names->stats.child_us += result->us;
	if (result->r == 0 || result->r == -ENODATA)
		jit_debug_take(p->debug, result->table);
	if (parser_may_answer_later(result->r))
		jit_debug_lost(p->debug); /* asked for at the next search */
	else
		find_list(p);
	look_at_list(p, false);
	settle(p);
}

/* Asks for the files that the process has mapped since it was last asked, a request after another.
 */
static void find_list(struct process *p)
{
	int fds[CHILD_FILES_MAX];
	size_t n = p->finding ? 0 : jit_debug_unseen(p->debug, fds, ARRAY_SIZE(fds));

	if (!n)
		return;
	if (parser_request_files(p->names->o.parser, fds, n, BUILD_GDB_JIT_FIND, on_found, p) < 0) {
		jit_debug_lost(p->debug);
		return;
	}
	p->finding = true;
	p->names->pending++;
}

static void look(struct process *p, bool now)
{
	look_at(&p->sources[JITDUMP], now);
	look_at(&p->sources[PERF_MAP], now);
	if (p->debug && may_search(&p->list))
		find_list(p);
	look_at_list(p, now);
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
		p->settled = !p->finding && !p->sources[GDB_JIT].reading;
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

void jit_names_watch(struct jit_names *j)
{
	HASH_FOREACH (s, &j->processes) {
		struct process *p = (struct process *)(uintptr_t)s->value;
		uint64_t start = clock_ns(CLOCK_MONOTONIC), took;

		if (!p->debug || !jit_debug_has_list(p->debug) ||
		    j->interval - p->last_interval > 1 || start / 1000000 < p->watch_ms)
			continue;
		look_at_list(p, false);
		took = clock_ns(CLOCK_MONOTONIC) - start;
		p->watch_ms =
			start / 1000000 + MAX((uint64_t)WATCH_MS, took * WATCH_SHARE / 1000000);
	}
}

size_t jit_names_pending(const struct jit_names *j)
{
	return j->pending;
}

int jit_names_lookup(const struct jit_names *j, struct task_id id, uint64_t address,
		     struct code_map_hit *ret)
{
	const struct process *p = process_get(j, id);
	int r = -ENOENT;

	for (size_t i = 0; p && i < N_SOURCES && r < 0; i++) {
		if (p->sources[i].table)
			r = code_map_lookup(p->sources[i].table, address, ret);
	}
	return r;
}

void jit_names_next_interval(struct jit_names *j)
{
	struct hash kept = {0};

	j->interval++;
	HASH_FOREACH (s, &j->processes) {
		struct process *p = (struct process *)(uintptr_t)s->value;

		for (size_t i = 0; i < N_SOURCES; i++)
			p->sources[i].forced = false;
		if (j->interval - p->last_interval > KEEP_INTERVALS ||
		    hash_put(&kept, s->key, s->value) < 0)
			process_free(p);
	}
	hash_done(&j->processes);
	j->processes = kept;
}

/* ---- rows ---- */

int jit_names_code(const struct jit_names *j, struct process_key key, struct process_value *v)
{
	const struct process *p = process_get(j, (struct task_id){.tgid = key.tgid, .mm = key.mm});

	if (p && !p->settled)
		return -EAGAIN;
	if (p && p->code_file) {
		v->file = p->code_file;
		v->start = p->rows.start;
		v->size = p->rows.size;
	}
	return 0;
}

/* Code that was made since the list was read last? */
static bool ask_again(struct process *p)
{
	uint64_t now = clock_ms();

	if (now - p->asked_ms < LIST_PAUSE_MS)
		return p->sources[GDB_JIT].reading;
	p->asked_ms = now;
	look_at_list(p, false);
	return p->sources[GDB_JIT].reading;
}

static int rule_of(struct process *p, uint64_t address, struct jit_rule *ret)
{
	const struct source *s = &p->sources[GDB_JIT];
	const struct rows_page *page = NULL;
	uint64_t offset;
	size_t bytes;

	if (!p->settled)
		return -EAGAIN;
	offset = address - p->rows.start;
	*ret = (struct jit_rule){.rule = RULE_FP_GUESS, .file = p->code_file};
	if (p->code_file && s->table && offset < p->rows.size) {
		ret->number = (uint32_t)(offset >> ROWS_PAGE_SHIFT);
		page = rows_page_get(s->table, ret->number, &bytes);
		ret->page = page ? page : (const struct rows_page *)p->names->no_rows;
		ret->rule = rows_lookup(ret->page, (uint16_t)offset);
	}
	if (ret->rule != RULE_FP_GUESS || !jit_debug_has_list(p->debug))
		return p->code_file ? 0 : -ENODATA;
	if (ask_again(p))
		return -EAGAIN;
	/* In a moment it can be asked: until then the kernel asks here. */
	if (ret->file != p->code_file)
		ret->page = NULL;
	else if (s->not_before_ms > clock_ms() && s->not_before_ms - clock_ms() < LIST_PAUSE_MS)
		ret->page = NULL;
	return p->code_file ? 0 : -ENODATA;
}

int jit_names_rule(struct jit_names *j, struct task_id id, uint64_t address, struct jit_rule *ret)
{
	struct process *p = process_get(j, id);

	return p && p->debug ? rule_of(p, address, ret) : -ENODATA;
}

int jit_names_rule_of_frame(struct jit_names *j, uint64_t frame, struct jit_rule *ret)
{
	HASH_FOREACH (s, &j->processes) {
		struct process *p = (struct process *)(uintptr_t)s->value;

		if (p->code_file == FRAME_FILE(frame))
			return rule_of(p, p->rows.start + FRAME_OFFSET(frame), ret);
	}
	return -ENODATA;
}

void jit_names_get_stats(const struct jit_names *j, struct jit_names_stats *ret)
{
	*ret = j->stats;
	ret->processes = j->processes.count;
	ret->bytes = j->bytes;
	HASH_FOREACH (s, &j->processes) {
		const struct process *p = (const struct process *)(uintptr_t)s->value;

		for (size_t i = 0; i < N_SOURCES; i++) {
			const struct table *t = p->sources[i].table;

			ret->tables += t != NULL;
			ret->functions += t ? code_map_count(t) : 0;
		}
	}
}
