/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One state machine: no child -> STARTING (until its hello) -> IDLE <-> BUSY, and BACKOFF after
 * too many deaths. One timer serves whichever of them is current: start deadline, idle time, file
 * deadline, back-off. A child that was killed is put aside until it is reaped (a read from a dead
 * network file system can keep it for long) while the next one works.
 */
#include "agent/parser/parser.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/parser/child.h"
#include "agent/parser/worker.h"
#include "symbolizer/table.h"

#define DEADLINE_MS	30000
#define CPU_MS		20000
#define IDLE_MS		60000
#define START_MS	10000
#define CHECK_MS	5000
#define DEATHS_IN_A_ROW 5
#define BACKOFF_MIN_MS	1000
#define BACKOFF_MAX_MS	60000
#define LEFTOVERS_MAX	8 /* killed children that do not end */

enum parser_state { PARSER_NONE, PARSER_STARTING, PARSER_IDLE, PARSER_BUSY, PARSER_BACKOFF };

struct request {
	struct request *next;
	uint64_t id;
	int fds[CHILD_FILES_MAX];
	size_t n_fds;
	uint32_t kind;
	parser_done_fn fn; /* NULL: cancelled */
	void *data;	   /* borrowed */
};

struct parser {
	struct loop *loop;	 /* borrowed */
	const char *const *argv; /* borrowed */
	struct parser_options o;
	enum parser_state state;
	struct worker *worker; /* NULL in NONE and BACKOFF */
	struct worker *leftovers;
	size_t n_leftovers;
	struct loop_source *timer;
	struct request *first, **last; /* the first is the child's when BUSY */
	int out_fd;		       /* memfd of the first when BUSY */
	uint64_t next_id, backoff_ms;
	uint32_t deaths_in_a_row;
	int start_error; /* why the last child did not come up */
	struct parser_stats stats;
};

static const char *const failure_names[] = {
	[PARSER_FAIL_BUILD] = "build",	     [PARSER_FAIL_TABLE] = "table",
	[PARSER_FAIL_PROTOCOL] = "protocol", [PARSER_FAIL_DEADLINE] = "deadline",
	[PARSER_FAIL_SECCOMP] = "seccomp",   [PARSER_FAIL_CRASH] = "crash",
	[PARSER_FAIL_KILLED] = "killed",     [PARSER_FAIL_START] = "start",
};
static_assert(ARRAY_SIZE(failure_names) == PARSER_FAIL_MAX, "every failure has a name");

const char *parser_failure_name(enum parser_failure f)
{
	return f < PARSER_FAIL_MAX ? failure_names[f] : "";
}

static void parser_step(struct parser *p);

/* ---- the queue ---- */

static struct request *request_free(struct request *q)
{
	for (size_t i = 0; q && i < q->n_fds; i++) {
		if (q->fds[i] >= 0)
			close(q->fds[i]);
	}
	free(q);
	return NULL;
}

DEFINE_CLEANUP(struct request *, request_free)

static struct request *queue_pop(struct parser *p)
{
	struct request *q = p->first;

	p->first = q->next;
	if (!p->first)
		p->last = &p->first;
	p->stats.queued--;
	return q;
}

/* Ends the first request. The parser is in order when the callback runs: it may call back in. */
static void finish(struct parser *p, struct parser_result *result)
{
	struct request *q = queue_pop(p);

	result->in_fd = TAKE_FD(q->fds[0]);
	if (q->fn)
		q->fn(q->data, result);
	q->fds[0] = result->in_fd;
	table_free(result->table);
	if (result->fd >= 0)
		close(result->fd);
	request_free(q);
}

static void fail(struct parser *p, enum parser_failure why, int r)
{
	struct parser_result result = {.r = r, .fd = -1};

	p->stats.failures[why]++;
	if (p->out_fd >= 0)
		close(TAKE_FD(p->out_fd));
	finish(p, &result);
}

/* ---- what comes back ---- */

/* The child's writable descriptors and mappings end here, whatever it does afterwards. */
static int seal(int fd, uint64_t max_bytes)
{
	const int seals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	struct stat st;

	/* -EBUSY: something still maps it for writing. */
	if (fcntl(fd, F_ADD_SEALS, seals) < 0)
		return -errno;
	if ((fcntl(fd, F_GET_SEALS) & seals) != seals || fstat(fd, &st) < 0)
		return -EIO;
	return (uint64_t)st.st_size <= max_bytes ? 0 : -E2BIG;
}

/* Kernels before 6.7 refuse a shared mapping of a write-sealed memfd through a descriptor that is
 * open for writing. */
static int reopen_readonly(int fd)
{
	char path[64];
	int r;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	r = open(path, O_RDONLY | O_CLOEXEC);
	return r < 0 ? -errno : r;
}

static int accept_table(struct parser *p, struct parser_result *result)
{
	_cleanup_close_ int fd = TAKE_FD(p->out_fd);
	int r = seal(fd, p->o.table_bytes);

	if (r < 0)
		return r;
	result->fd = reopen_readonly(fd);
	if (result->fd < 0)
		return result->fd;
	return table_open(result->fd, false, &result->table);
}

/* The worker is no longer the current one; it is freed when it is gone. */
static void put_aside(struct parser *p)
{
	struct worker *w = TAKE_PTR(p->worker);

	loop_stop_timer(p->timer);
	p->state = PARSER_NONE;
	w->next = p->leftovers;
	p->leftovers = w;
	p->n_leftovers++;
}

/* `worker_kill()` is the agent's own doing; what is counted is why. */
static void kill_child(struct parser *p)
{
	p->stats.deaths++;
	worker_kill(p->worker);
	put_aside(p);
}

static void all_well(struct parser *p)
{
	p->deaths_in_a_row = 0;
	p->backoff_ms = 0;
}

static void on_reply(struct parser *p, const struct child_reply *reply)
{
	struct parser_result result = {.fd = -1, .flags = reply->flags, .us = reply->us};
	int r = reply->r;

	loop_stop_timer(p->timer);
	p->state = PARSER_IDLE;
	p->stats.build_us += reply->us;
	p->stats.peak_kib = MAX(p->stats.peak_kib, worker_peak_kib(p->worker));
	if (r < 0) {
		all_well(p);
		fail(p, PARSER_FAIL_BUILD, r);
		return;
	}
	r = accept_table(p, &result);
	if (r < 0) {
		if (result.fd >= 0)
			close(result.fd);
		/* An honest child does not do this. */
		kill_child(p);
		p->deaths_in_a_row++;
		fail(p, PARSER_FAIL_TABLE, -EBADMSG);
		return;
	}
	all_well(p);
	p->stats.tables++;
	finish(p, &result);
}

static void start_failed(struct parser *p, int r);

static void on_hello(struct parser *p, const struct child_hello *hello)
{
	if (hello->r < 0) {
		(void)log_debug_errno(MAX(hello->r, -4095), "parser: cannot enter the sandbox");
		kill_child(p);
		start_failed(p, hello->r >= -4095 ? hello->r : -EPROTO);
		return;
	}
	p->stats.missing = hello->missing;
	p->state = PARSER_IDLE;
}

static void on_garbage(struct parser *p)
{
	enum parser_state was = p->state;

	kill_child(p);
	if (was == PARSER_STARTING) {
		start_failed(p, -EPROTO);
		return;
	}
	p->deaths_in_a_row++;
	if (was == PARSER_BUSY)
		fail(p, PARSER_FAIL_PROTOCOL, -EBADMSG);
}

static bool is_reply(const struct parser *p, const struct child_reply *reply, size_t n)
{
	return p->state == PARSER_BUSY && n == sizeof(*reply) && reply->id == p->first->id &&
	       reply->r <= 0 && reply->r >= -4095;
}

static void on_message(struct worker *w, const void *msg, size_t n, void *data)
{
	const struct child_hello *hello = msg;
	struct parser *p = data;

	if (w != p->worker)
		return;
	if (p->state == PARSER_STARTING && n == sizeof(*hello) && hello->magic == CHILD_MAGIC) {
		on_hello(p, hello);
	} else if (is_reply(p, msg, n)) {
		on_reply(p, msg);
	} else {
		on_garbage(p);
	}
	parser_step(p);
}

/* ---- deaths ---- */

static enum parser_failure death_reason(int status, int *ret_r)
{
	int sig = status >= 0 && WIFSIGNALED(status) ? WTERMSIG(status) : SIGKILL;

	switch (sig) {
	case SIGPROF:
		*ret_r = -ETIMEDOUT;
		return PARSER_FAIL_DEADLINE;
	case SIGSYS:
		*ret_r = -EACCES;
		return PARSER_FAIL_SECCOMP;
	case SIGKILL:
	case SIGTERM:
		*ret_r = -EIO;
		return PARSER_FAIL_KILLED;
	default:
		*ret_r = -EFAULT;
		return PARSER_FAIL_CRASH;
	}
}

static void leftover_free(struct parser *p, struct worker *w)
{
	for (struct worker **i = &p->leftovers; *i; i = &(*i)->next) {
		if (*i == w) {
			*i = w->next;
			p->n_leftovers--;
			break;
		}
	}
	worker_free(w);
}

static void on_gone(struct worker *w, int status, void *data)
{
	struct parser *p = data;
	enum parser_state was = p->state;

	if (w != p->worker) {
		leftover_free(p, w);
		parser_step(p);
		return;
	}
	p->stats.deaths++;
	p->worker = worker_free(w);
	p->state = PARSER_NONE;
	loop_stop_timer(p->timer);
	if (was == PARSER_STARTING) {
		start_failed(p, -ECHILD);
	} else if (was == PARSER_BUSY) {
		int r;
		enum parser_failure why = death_reason(status, &r);

		p->deaths_in_a_row++;
		fail(p, why, r);
	}
	parser_step(p);
}

/* ---- starting and sending ---- */

static void back_off(struct parser *p)
{
	p->backoff_ms = p->backoff_ms ? MIN(p->backoff_ms * 2, BACKOFF_MAX_MS) : BACKOFF_MIN_MS;
	p->state = PARSER_BACKOFF;
	loop_set_timer(p->timer, p->backoff_ms, 0);
}

/* Not the fault of the file: it stays queued, until it is clear that there will be no child. */
static void start_failed(struct parser *p, int r)
{
	size_t n = p->stats.queued;

	p->start_error = r;
	if (++p->deaths_in_a_row < DEATHS_IN_A_ROW)
		return;
	/* One more attempt after each back-off; those who ask meanwhile wait for that. */
	p->deaths_in_a_row = DEATHS_IN_A_ROW - 1;
	back_off(p);
	(void)log_warn_errno(r, "parser: no child can be started, %zu files stay without names", n);
	while (n--)
		fail(p, PARSER_FAIL_START, r);
}

static void start(struct parser *p)
{
	static const struct worker_ops ops = {.message = on_message, .gone = on_gone};
	int r;

	r = worker_new(p->loop, p->argv, &ops, p, &p->worker);
	if (r < 0) {
		start_failed(p, r);
		return;
	}
	p->stats.starts++;
	p->state = PARSER_STARTING;
	loop_set_timer(p->timer, START_MS, 0);
}

static int memfd(void)
{
	int fd = memfd_create("tephra-table", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	return fd < 0 ? -errno : fd;
}

static void send_first(struct parser *p)
{
	const struct request *q = p->first;
	const struct child_request msg = {.id = q->id, .kind = q->kind, .cpu_ms = p->o.cpu_ms};
	int fds[1 + CHILD_FILES_MAX], r = memfd();

	if (r >= 0) {
		p->out_fd = fds[0] = r;
		memcpy(&fds[1], q->fds, q->n_fds * sizeof(int));
		r = worker_send(p->worker, &msg, sizeof(msg), fds, 1 + q->n_fds);
	}
	if (r == -EPIPE || r == -ECONNRESET) {
		/* It died while idle, before the file was seen: the next child gets it. */
		close(TAKE_FD(p->out_fd));
		kill_child(p);
		p->deaths_in_a_row++;
		return;
	}
	if (r < 0) {
		fail(p, PARSER_FAIL_START, r);
		return;
	}
	p->state = PARSER_BUSY;
	loop_set_timer(p->timer, p->o.deadline_ms, 0);
}

static void drop_cancelled(struct parser *p)
{
	while (p->first && !p->first->fn)
		request_free(queue_pop(p));
}

/* Does what can be done now. Called at the end of every event, never from a callback. */
static void parser_step(struct parser *p)
{
	if (p->state == PARSER_IDLE || p->state == PARSER_NONE)
		drop_cancelled(p);
	while (p->state == PARSER_IDLE && p->first)
		send_first(p);
	while (p->state == PARSER_NONE && p->first && p->n_leftovers < LEFTOVERS_MAX) {
		/* A row of deaths ends with the next table, or waits. */
		if (p->deaths_in_a_row >= DEATHS_IN_A_ROW) {
			p->deaths_in_a_row = DEATHS_IN_A_ROW - 1;
			back_off(p);
		} else {
			start(p);
		}
	}
	if (p->state == PARSER_IDLE)
		loop_set_timer(p->timer, p->o.idle_ms, 0);
}

static void on_timer(void *data)
{
	struct parser *p = data;

	switch (p->state) {
	case PARSER_NONE:
		break;
	case PARSER_STARTING:
		kill_child(p);
		start_failed(p, -ETIMEDOUT);
		break;
	case PARSER_IDLE:
		/* Ended from here, not by the child itself: no request can be on its way to one
		 * that is leaving. */
		if (!p->first) {
			worker_kill(p->worker);
			put_aside(p);
		}
		break;
	case PARSER_BUSY:
		kill_child(p);
		p->deaths_in_a_row++;
		fail(p, PARSER_FAIL_DEADLINE, -ETIMEDOUT);
		break;
	case PARSER_BACKOFF:
		p->state = PARSER_NONE;
		break;
	}
	parser_step(p);
}

/* ---- what the agent calls ---- */

int parser_new(struct loop *loop, const char *const *exe_argv, const struct parser_options *o,
	       struct parser **ret)
{
	_cleanup_(parser_freep) struct parser *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->loop = loop;
	p->argv = exe_argv;
	p->out_fd = -1;
	p->last = &p->first;
	if (o)
		p->o = *o;
	p->o.deadline_ms = p->o.deadline_ms ? p->o.deadline_ms : DEADLINE_MS;
	p->o.cpu_ms = p->o.cpu_ms ? p->o.cpu_ms : CPU_MS;
	p->o.idle_ms = p->o.idle_ms ? p->o.idle_ms : IDLE_MS;
	p->o.table_bytes = p->o.table_bytes ? p->o.table_bytes : SANDBOX_FILE_BYTES;
	p->timer = loop_add_timer(loop, on_timer, p);
	if (!p->timer)
		return -ENOMEM;
	*ret = TAKE_PTR(p);
	return 0;
}

struct parser *parser_free(struct parser *p)
{
	if (!p)
		return NULL;
	loop_remove(p->timer);
	worker_free(p->worker);
	while (p->leftovers)
		leftover_free(p, p->leftovers);
	while (p->first)
		request_free(queue_pop(p));
	if (p->out_fd >= 0)
		close(p->out_fd);
	free(p);
	return NULL;
}

int parser_request(struct parser *p, int fd, uint32_t kind, parser_done_fn fn, void *data)
{
	return parser_request_files(p, &fd, 1, kind, fn, data);
}

int parser_request_files(struct parser *p, const int *fds, size_t n, uint32_t kind,
			 parser_done_fn fn, void *data)
{
	_cleanup_(request_freep) struct request *q = calloc(1, sizeof(*q));

	for (size_t i = 0; i < n; i++) {
		if (q && i < CHILD_FILES_MAX)
			q->fds[q->n_fds++] = fds[i];
		else
			close(fds[i]);
	}
	if (!q)
		return -ENOMEM;
	if (!n || n > CHILD_FILES_MAX)
		return -EINVAL;
	if (p->stats.queued >= PARSER_QUEUE_MAX)
		return -ENOBUFS;
	q->id = ++p->next_id;
	q->kind = kind;
	q->fn = fn;
	q->data = data;
	*p->last = q;
	p->last = &TAKE_PTR(q)->next;
	p->stats.queued++;
	p->stats.requests++;
	/* Not parser_step(): that may end requests, and callbacks run from the loop only. */
	if (p->state == PARSER_NONE || p->state == PARSER_IDLE)
		loop_set_timer(p->timer, 0, 0);
	return 0;
}

void parser_cancel(struct parser *p, const void *data)
{
	for (struct request *q = p->first; q; q = q->next) {
		if (q->data == data)
			q->fn = NULL;
	}
}

void parser_get_stats(struct parser *p, struct parser_stats *ret)
{
	p->stats.pid = p->worker ? p->worker->pid : 0;
	*ret = p->stats;
}

int parser_check(const char *const *exe_argv, uint32_t *ret_missing)
{
	_cleanup_(loop_freep) struct loop *loop = NULL;
	_cleanup_(parser_freep) struct parser *p = NULL;
	uint64_t until_ms = clock_ms() + CHECK_MS;
	int r;

	r = loop_new(&loop);
	if (r == 0)
		r = parser_new(loop, exe_argv, NULL, &p);
	if (r < 0)
		return r;
	start(p);
	while (p->state == PARSER_STARTING && clock_ms() < until_ms) {
		r = loop_once(loop, 100);
		if (r < 0)
			return r;
	}
	if (p->state != PARSER_IDLE)
		return p->state == PARSER_STARTING ? -ETIMEDOUT : p->start_error;
	*ret_missing = p->stats.missing;
	return 0;
}
