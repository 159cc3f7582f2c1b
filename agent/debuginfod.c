/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/debuginfod.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/debug_search.h"
#include "agent/filekey.h"
#include "agent/http/fetch.h"

#define ID_BYTES_MAX  64
#define ID_BYTES_MIN  2
#define URLS_MAX      8
#define FETCHES_MAX   2	   /* at a time */
#define REQUESTS_MAX  4096 /* wanted and known to be missing */
#define FILES_MAX     65536
#define SUFFIX	      ".debug"
#define TEMP_PREFIX   ".new-"
#define TEMP_DIR      "/var/tmp"
#define STALE_SECONDS 3600 /* a temporary file this old has no writer */
#define NAME_BYTES    (2 * ID_BYTES_MAX + sizeof(TEMP_PREFIX) + sizeof(SUFFIX) + 16)

struct waiter {
	debuginfod_fn fn;
	void *data;
	struct waiter *next;
};

/* A build id: waiting, being fetched, or missing until. */
struct request {
	struct debuginfod *d;
	uint8_t id[ID_BYTES_MAX];
	size_t n_id;
	char hex[2 * ID_BYTES_MAX + 1], temp[NAME_BYTES];
	struct waiter *waiters;
	struct fetch *fetch;
	size_t url;		   /* asked now */
	int fd;			   /* what is written */
	uint64_t missing_until_ms; /* 0: wanted */
	struct request *next;
};

struct debuginfod {
	struct http_multi *http; /* borrowed */
	struct debuginfod_options o;
	char *urls[URLS_MAX];
	int dir; /* -1: files are not kept */
	struct request *requests;
	size_t n_requests, n_fetches;
	struct debuginfod_stats stats;
	struct log_limit log_limit;
};

static void start_some(struct debuginfod *d);

/* ---- the directory ---- */

/* As tablecache.c: it must be ours alone. */
static int dir_open(const char *cache_dir)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (asprintf(&path, "%s/debuginfod", cache_dir) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	(void)mkdir(cache_dir, 0700);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (st.st_uid != geteuid() || st.st_mode & (S_IWGRP | S_IWOTH))
		return -EPERM;
	return TAKE_FD(fd);
}

struct cached {
	char name[NAME_BYTES];
	struct timespec used;
	uint64_t bytes;
};

static int by_use(const void *a, const void *b)
{
	const struct timespec *x = &((const struct cached *)a)->used;
	const struct timespec *y = &((const struct cached *)b)->used;

	if (x->tv_sec != y->tv_sec)
		return x->tv_sec < y->tv_sec ? -1 : 1;
	return x->tv_nsec < y->tv_nsec ? -1 : x->tv_nsec > y->tv_nsec;
}

/* Whether a name of the directory is a file to be counted. What a dead writer left goes. */
static bool look_at(struct debuginfod *d, const char *name, struct cached *ret)
{
	const bool temp = !strncmp(name, TEMP_PREFIX, strlen(TEMP_PREFIX));
	size_t n = strlen(name);
	struct stat st;

	if (n >= sizeof(ret->name) || fstatat(d->dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	if (temp && time(NULL) - st.st_mtime > STALE_SECONDS)
		(void)unlinkat(d->dir, name, 0);
	if (temp || n < strlen(SUFFIX) || strcmp(name + n - strlen(SUFFIX), SUFFIX) != 0)
		return false;
	memcpy(ret->name, name, n + 1);
	ret->used = st.st_mtim;
	ret->bytes = (uint64_t)st.st_blocks * 512;
	return true;
}

static size_t list(struct debuginfod *d, struct cached **ret)
{
	int fd = openat(d->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct cached *v = NULL, one;
	size_t n = 0, cap = 0;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return 0;
	}
	for (const struct dirent *e = readdir(dir); e && n < FILES_MAX; e = readdir(dir)) {
		if (!look_at(d, e->d_name, &one))
			continue;
		if (n == cap) {
			struct cached *more = reallocarray(v, cap * 2 + 16, sizeof(*v));

			if (!more)
				break;
			v = more;
			cap = cap * 2 + 16;
		}
		v[n++] = one;
	}
	closedir(dir);
	*ret = v;
	return n;
}

/* Removes what was not used for longest until the budget holds. */
static void shrink(struct debuginfod *d)
{
	_cleanup_free_ struct cached *v = NULL;
	size_t n = d->dir < 0 ? 0 : list(d, &v);

	d->stats.bytes = 0;
	for (size_t i = 0; i < n; i++)
		d->stats.bytes += v[i].bytes;
	if (d->stats.bytes <= d->o.budget_bytes)
		return;
	qsort(v, n, sizeof(*v), by_use);
	for (size_t i = 0; i < n && d->stats.bytes > d->o.budget_bytes; i++) {
		if (unlinkat(d->dir, v[i].name, 0) < 0)
			continue;
		d->stats.bytes -= v[i].bytes;
		d->stats.evicted++;
	}
}

/* Reads no more than the headers, into fixed buffers. */
static bool is_of(int fd, const uint8_t *id, size_t n)
{
	struct filekey key;

	return filekey_read(fd, &key) == 0 && key.build_id_bytes == n &&
	       !memcmp(key.build_id, id, n);
}

static int cache_get(struct debuginfod *d, const char *hex, const uint8_t *id, size_t n)
{
	_cleanup_close_ int fd = -1;
	char name[NAME_BYTES];
	struct stat st;

	(void)snprintf(name, sizeof(name), "%s" SUFFIX, hex);
	fd = d->dir < 0 ? -1 : openat(d->dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -ENOENT;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
	    !is_of(fd, id, n)) {
		(void)unlinkat(d->dir, name, 0);
		return -ENOENT;
	}
	(void)futimens(fd, NULL);
	d->stats.hits++;
	return TAKE_FD(fd);
}

static int temp_open(struct request *q)
{
	char path[] = TEMP_DIR "/tephra-debuginfod-XXXXXX";
	int fd;

	if (q->d->dir >= 0) {
		(void)snprintf(q->temp, sizeof(q->temp), TEMP_PREFIX "%s-%d", q->hex, getpid());
		(void)unlinkat(q->d->dir, q->temp, 0);
		fd = openat(q->d->dir, q->temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		return fd < 0 ? -errno : fd;
	}
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		(void)unlink(path);
	return fd < 0 ? -errno : fd;
}

/* The file again, for a reader who may not write to it. */
static int reopen(int fd)
{
	char path[64];
	int r;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	r = open(path, O_RDONLY | O_CLOEXEC);
	return r < 0 ? -errno : r;
}

static void temp_drop(struct request *q)
{
	if (q->fd >= 0)
		close(TAKE_FD(q->fd));
	if (q->temp[0])
		(void)unlinkat(q->d->dir, q->temp, 0);
	q->temp[0] = '\0';
}

/* ---- requests ---- */

static void request_free(struct request *q)
{
	fetch_cancel(q->fetch);
	temp_drop(q);
	while (q->waiters) {
		struct waiter *w = q->waiters;

		q->waiters = w->next;
		free(w);
	}
	free(q);
}

static void request_remove(struct request *q)
{
	struct request **at = &q->d->requests;

	while (*at != q)
		at = &(*at)->next;
	*at = q->next;
	q->d->n_requests--;
	request_free(q);
}

static struct request *request_find(struct debuginfod *d, const char *hex)
{
	struct request *q = d->requests;

	while (q && strcmp(q->hex, hex) != 0)
		q = q->next;
	return q;
}

/* Tells all who wait. They may ask for something else meanwhile. */
static void tell(struct request *q, int r)
{
	while (q->waiters) {
		struct waiter *w = q->waiters;
		int fd = r < 0 ? r : reopen(q->fd);

		q->waiters = w->next;
		w->fn(w->data, fd);
		free(w);
	}
}

static void conclude(struct request *q, int r)
{
	struct debuginfod *d = q->d;
	char name[NAME_BYTES];

	d->n_fetches--;
	if (r < 0) {
		temp_drop(q);
		q->missing_until_ms = clock_ms() + d->o.negative_ms;
		tell(q, r);
		start_some(d);
		return;
	}
	d->stats.fetched++;
	if (q->temp[0]) {
		(void)snprintf(name, sizeof(name), "%s" SUFFIX, q->hex);
		if (renameat(d->dir, q->temp, d->dir, name) == 0)
			q->temp[0] = '\0';
		shrink(d);
	}
	tell(q, 0);
	request_remove(q);
	start_some(d);
}

static int on_data(void *data, const uint8_t *p, size_t n)
{
	struct request *q = data;

	while (n) {
		ssize_t w = write(q->fd, p, n);

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			return w < 0 ? -errno : -EIO;
		p += w;
		n -= (size_t)w;
	}
	return 0;
}

static int ask(struct request *q);

static bool may_warn(struct debuginfod *d)
{
	uint32_t suppressed;

	return log_limit_ok(&d->log_limit, 5, 60000, &suppressed);
}

static void on_done(void *data, const struct fetch_reply *reply)
{
	struct request *q = data;
	struct debuginfod *d = q->d;
	const char *url = d->urls[q->url];
	int r = -ENOENT;

	q->fetch = NULL;
	if (reply->r == 0 && reply->status == 200 && is_of(q->fd, q->id, q->n_id)) {
		log_debug("debuginfod: %s has %s", url, q->hex);
		conclude(q, 0);
		return;
	}
	if (reply->r < 0) {
		d->stats.failed++;
		r = reply->r;
		if (may_warn(d))
			log_warn("debuginfod: %s/buildid/%s: %s", url, q->hex, reply->why);
	} else if (reply->status == 200) {
		d->stats.refused++;
		r = -EBADMSG;
		if (may_warn(d))
			log_warn("debuginfod: %s gave a file of another build for %s: not used",
				 url, q->hex);
	} else if (reply->status == 404) {
		d->stats.missing++;
	} else {
		d->stats.failed++;
		if (may_warn(d))
			log_warn("debuginfod: %s answers with status %ld", url, reply->status);
	}
	q->url++;
	if (q->url < d->o.n_urls)
		r = ask(q);
	if (r < 0)
		conclude(q, r);
}

/* Asks the next server. */
static int ask(struct request *q)
{
	struct debuginfod *d = q->d;
	_cleanup_free_ char *url = NULL;
	struct fetch_request f = {
		.timeout_ms = d->o.timeout_ms,
		.idle_ms = d->o.idle_ms,
		.max_bytes = d->o.file_bytes,
		.on_data = on_data,
		.on_done = on_done,
		.data = q,
	};
	int r;

	if (asprintf(&url, "%s/buildid/%s/debuginfo", d->urls[q->url], q->hex) < 0) {
		url = NULL;
		return -ENOMEM;
	}
	if (q->fd < 0) {
		r = temp_open(q);
		if (r < 0)
			return r;
		q->fd = r;
	} else if (ftruncate(q->fd, 0) < 0 || lseek(q->fd, 0, SEEK_SET) < 0) {
		return -errno;
	}
	f.url = url;
	return fetch_start(d->http, &f, &q->fetch);
}

static void start_some(struct debuginfod *d)
{
	/* conclude() comes back here when asking fails, which is as deep as lists are long: the
	 * request that failed is only marked, and told of by the loop below. */
	for (struct request *q = d->requests; q && d->n_fetches < FETCHES_MAX; q = q->next) {
		if (q->missing_until_ms || q->fetch)
			continue;
		d->n_fetches++;
		if (ask(q) >= 0)
			continue;
		d->n_fetches--;
		d->stats.failed++;
		q->missing_until_ms = clock_ms() + d->o.negative_ms;
		temp_drop(q);
		tell(q, -ENOENT);
	}
}

/* Forgets what was missing long enough; with `all`, whatever is missing. */
static void forget_missing(struct debuginfod *d, bool all)
{
	uint64_t now = clock_ms();

	for (struct request *q = d->requests, *next; q; q = next) {
		next = q->next;
		if (q->missing_until_ms && (all || q->missing_until_ms <= now))
			request_remove(q);
	}
}

static int wait_for(struct request *q, debuginfod_fn fn, void *data)
{
	struct waiter *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	*w = (struct waiter){.fn = fn, .data = data, .next = q->waiters};
	q->waiters = w;
	return -EINPROGRESS;
}

int debuginfod_get(struct debuginfod *d, const uint8_t *build_id, size_t n, debuginfod_fn fn,
		   void *data)
{
	char hex[2 * ID_BYTES_MAX + 1];
	struct request *q;
	int r;

	if (n < ID_BYTES_MIN || n > ID_BYTES_MAX)
		return -EINVAL;
	for (size_t i = 0; i < n; i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", build_id[i]);
	forget_missing(d, false);
	q = request_find(d, hex);
	if (q)
		return q->missing_until_ms ? -ENOENT : wait_for(q, fn, data);
	r = cache_get(d, hex, build_id, n);
	if (r >= 0)
		return r;
	if (d->n_requests >= REQUESTS_MAX)
		forget_missing(d, true);
	if (d->n_requests >= REQUESTS_MAX)
		return -ENOBUFS;
	q = calloc(1, sizeof(*q));
	if (!q)
		return -ENOMEM;
	q->d = d;
	q->fd = -1;
	q->n_id = n;
	memcpy(q->id, build_id, n);
	memcpy(q->hex, hex, sizeof(hex));
	q->next = d->requests;
	d->requests = q;
	d->n_requests++;
	/* Asked before anybody waits: a failure at once is the answer of this call. */
	start_some(d);
	return q->missing_until_ms ? -ENOENT : wait_for(q, fn, data);
}

void debuginfod_cancel(struct debuginfod *d, const void *data)
{
	for (struct request *q = d->requests; q; q = q->next) {
		for (struct waiter **at = &q->waiters; *at;) {
			struct waiter *w = *at;

			if (w->data != data) {
				at = &w->next;
				continue;
			}
			*at = w->next;
			free(w);
		}
	}
}

/* ---- life ---- */

int debuginfod_new(struct http_multi *http, const struct debuginfod_options *o,
		   struct debuginfod **ret)
{
	_cleanup_(debuginfod_freep) struct debuginfod *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->http = http;
	d->dir = -1;
	d->o = (struct debuginfod_options){
		.n_urls = MIN(o->n_urls, (size_t)URLS_MAX),
		.budget_bytes = o->budget_bytes ? o->budget_bytes : DEBUGINFOD_BUDGET,
		.file_bytes = o->file_bytes ? o->file_bytes : DEBUGINFOD_FILE_BYTES,
		.idle_ms = o->idle_ms ? o->idle_ms : DEBUGINFOD_IDLE_MS,
		.timeout_ms = o->timeout_ms ? o->timeout_ms : DEBUGINFOD_TIMEOUT_MS,
		.negative_ms = o->negative_ms ? o->negative_ms : DEBUGINFOD_NEGATIVE_MS,
	};
	for (size_t i = 0; i < d->o.n_urls; i++) {
		size_t n = strlen(o->urls[i]);

		while (n && o->urls[i][n - 1] == '/')
			n--;
		d->urls[i] = strndup(o->urls[i], n);
		if (!d->urls[i])
			return -ENOMEM;
	}
	if (o->cache_dir) {
		d->dir = dir_open(o->cache_dir);
		if (d->dir < 0)
			log_warn_errno(d->dir,
				       "debuginfod: cannot use '%s/debuginfod': debug files are "
				       "not kept",
				       o->cache_dir);
	}
	shrink(d);
	*ret = TAKE_PTR(d);
	return 0;
}

int debuginfod_open(struct loop *loop, const struct debug_dirs *dirs, const char *cache_dir,
		    struct http_multi **ret_http, struct debuginfod **ret)
{
	const struct debuginfod_options o = {
		.urls = dirs->servers, .n_urls = dirs->n_servers, .cache_dir = cache_dir};
	int r;

	if (!o.n_urls)
		return 0;
	r = http_multi_new(loop, ret_http);
	return r < 0 ? r : debuginfod_new(*ret_http, &o, ret);
}

struct debuginfod *debuginfod_free(struct debuginfod *d)
{
	if (!d)
		return NULL;
	while (d->requests)
		request_remove(d->requests);
	for (size_t i = 0; i < URLS_MAX; i++)
		free(d->urls[i]);
	if (d->dir >= 0)
		close(d->dir);
	free(d);
	return NULL;
}

void debuginfod_get_stats(const struct debuginfod *d, struct debuginfod_stats *ret)
{
	*ret = d->stats;
}
