/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/base/hash.h"
#include "agent/tablecache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <time.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/filekey.h"
#include "symbolizer/table.h"

#define SUFFIX	      ".table"
#define TEMP_PREFIX   ".new-"
#define NAME_BYTES    256
#define ENTRIES_MAX   65536
#define PAUSE_MS      60000
#define TOUCH_SECONDS 3600 /* the clock hand of "recently used" */
#define STALE_SECONDS 3600 /* a temporary file this old has no writer */
#define PUTS_PER_SCAN 256  /* another agent may write here too */
#define BLOCK_BYTES   4096
#define READ_BYTES    65536

struct tablecache {
	int dir;
	uint64_t budget, paused_until_ms;
	uint32_t puts_since_scan;
	struct tablecache_stats stats;
	struct log_limit log_limit;
	char maker[17]; /* which build of this program makes the tables, in hex */
};

/* ---- the directory ---- */

static int dir_check(const char *path, int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_uid != geteuid()) {
		log_warn("cache: '%s' belongs to uid %u, not to us: remove it or set another "
			 "directory",
			 path, st.st_uid);
		return -EPERM;
	}
	if (st.st_mode & (S_IWGRP | S_IWOTH)) {
		log_warn("cache: '%s' is writable for others: chmod 0700 it", path);
		return -EPERM;
	}
	return 0;
}

static int dir_open(const char *path)
{
	_cleanup_close_ int fd = -1;
	int r;

	if (mkdir(path, 0700) < 0 && errno != EEXIST && errno != EROFS)
		return -errno;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = dir_check(path, fd);
	return r < 0 ? r : TAKE_FD(fd);
}

static uint64_t disk_bytes(uint64_t size)
{
	return (size + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;
}

/* ---- eviction ---- */

struct entry {
	char *name;
	struct timespec used;
	uint64_t bytes;
};

struct listing {
	struct entry *entries;
	size_t n, cap;
	uint64_t bytes;
};

static void listing_done(struct listing *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->entries[i].name);
	free(l->entries);
}

static int listing_add(struct listing *l, const char *name, const struct stat *st)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 64;
		struct entry *e = reallocarray(l->entries, cap, sizeof(*e));

		if (!e)
			return -ENOMEM;
		l->entries = e;
		l->cap = cap;
	}
	l->entries[l->n] = (struct entry){
		.name = strdup(name),
		.used = st->st_mtim,
		.bytes = disk_bytes((uint64_t)st->st_size),
	};
	if (!l->entries[l->n].name)
		return -ENOMEM;
	l->bytes += l->entries[l->n++].bytes;
	return 0;
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && !strcmp(s + n - m, end);
}

static int list_entry(struct tablecache *c, const char *name, struct listing *l)
{
	const bool temp = !strncmp(name, TEMP_PREFIX, strlen(TEMP_PREFIX));
	struct stat st;

	if (!temp && !ends_with(name, SUFFIX))
		return 0; /* not ours: neither counted nor removed */
	if (fstatat(c->dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0; /* the other agent was faster */
	if (temp && time(NULL) - st.st_mtime > STALE_SECONDS)
		return unlinkat(c->dir, name, 0) < 0 ? -errno : 0;
	return temp || l->n >= ENTRIES_MAX ? 0 : listing_add(l, name, &st);
}

static int list(struct tablecache *c, struct listing *l)
{
	int fd = openat(c->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	int r = 0;

	if (!d) {
		r = -errno;
		if (fd >= 0)
			close(fd);
		return r;
	}
	for (const struct dirent *e = readdir(d); e && r != -ENOMEM; e = readdir(d))
		r = list_entry(c, e->d_name, l);
	closedir(d);
	return r == -ENOMEM ? r : 0;
}

static int by_use(const void *a, const void *b)
{
	const struct timespec *x = &((const struct entry *)a)->used;
	const struct timespec *y = &((const struct entry *)b)->used;

	if (x->tv_sec != y->tv_sec)
		return x->tv_sec < y->tv_sec ? -1 : 1;
	return x->tv_nsec < y->tv_nsec ? -1 : x->tv_nsec > y->tv_nsec;
}

/* Counts what is there, and removes the oldest until at most max_bytes are left. */
static int shrink(struct tablecache *c, uint64_t max_bytes)
{
	_cleanup_(listing_done) struct listing l = {0};
	int r = list(c, &l);

	if (r < 0)
		return r;
	c->puts_since_scan = 0;
	c->stats.bytes = l.bytes;
	if (l.bytes <= max_bytes)
		return 0;
	qsort(l.entries, l.n, sizeof(*l.entries), by_use);
	for (size_t i = 0; i < l.n && c->stats.bytes > max_bytes; i++) {
		if (unlinkat(c->dir, l.entries[i].name, 0) < 0 && errno != ENOENT)
			return -errno;
		c->stats.bytes -= l.entries[i].bytes;
		c->stats.evicted++;
	}
	return 0;
}

/* An eighth more than needed goes, so that a full cache is not listed for each new file. */
static int make_room(struct tablecache *c, uint64_t bytes)
{
	if (c->stats.bytes + bytes <= c->budget && c->puts_since_scan < PUTS_PER_SCAN)
		return 0;
	if (c->stats.bytes + bytes <= c->budget)
		return shrink(c, c->budget - bytes);
	return shrink(c, (c->budget - bytes) / 8 * 7);
}

/* ---- open and close ---- */

/* Another build may know more about a file: what it left is not ours. */
static void identify_maker(struct tablecache *c)
{
	_cleanup_close_ int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct filekey self = {0};

	if (fd >= 0)
		(void)filekey_read(fd, &self);
	(void)snprintf(c->maker, sizeof(c->maker), "%016llx",
		       (unsigned long long)hash_bytes(self.name, strlen(self.name)));
}

int tablecache_open(const char *dir, uint64_t budget_bytes, struct tablecache **ret)
{
	_cleanup_(tablecache_closep) struct tablecache *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->budget = budget_bytes;
	identify_maker(c);
	c->dir = dir_open(dir);
	if (c->dir < 0)
		return c->dir;
	/* A budget that was lowered holds from now on; a read-only directory is served as it is. */
	(void)shrink(c, c->budget);
	*ret = TAKE_PTR(c);
	return 0;
}

const char *tablecache_maker(const struct tablecache *c)
{
	return c->maker;
}

struct tablecache *tablecache_close(struct tablecache *c)
{
	if (c && c->dir >= 0)
		close(c->dir);
	free(c);
	return NULL;
}

/* ---- get ---- */

static void file_name(const struct tablecache *c, const struct filekey *key, char ret[NAME_BYTES])
{
	(void)snprintf(ret, NAME_BYTES, "%s-%s" SUFFIX, key->name, c->maker);
}

/* A sector that can not be read is an error here; met first through a mapping it would be a
 * SIGBUS. */
static int read_through(int fd)
{
	_cleanup_free_ uint8_t *block = malloc(READ_BYTES);
	ssize_t n;

	if (!block)
		return -ENOMEM;
	do {
		n = read(fd, block, READ_BYTES);
	} while (n > 0 || (n < 0 && errno == EINTR));
	return n < 0 ? -errno : 0;
}

static int open_file(int fd, struct table **ret)
{
	_cleanup_(table_freep) struct table *t = NULL;
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_mode & (S_IWGRP | S_IWOTH))
		return -EBADMSG;
	r = read_through(fd);
	if (r == 0)
		r = table_open(fd, true, &t);
	if (r < 0)
		return r;
	/* The checksum touched every page; they stay in the page cache, not on our account. */
	(void)madvise((void *)t->data, t->bytes, MADV_DONTNEED);
	if (time(NULL) - st.st_mtime > TOUCH_SECONDS)
		(void)futimens(fd, NULL);
	*ret = TAKE_PTR(t);
	return 0;
}

int tablecache_get(struct tablecache *c, const struct filekey *key, struct table **ret)
{
	_cleanup_close_ int fd = -1;
	char name[NAME_BYTES];
	int r;

	file_name(c, key, name);
	fd = openat(c->dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	r = fd < 0 ? -errno : open_file(fd, ret);
	if (r == 0) {
		c->stats.hits++;
		return 0;
	}
	c->stats.misses++;
	if (r == -ENOENT || r == -ENOMEM || r == -EMFILE || r == -ENFILE)
		return r;
	/* A link, a directory, a wrong owner, bad bytes, a bad disk. */
	c->stats.corrupt++;
	if (unlinkat(c->dir, name, 0) < 0)
		(void)log_debug_errno(-errno, "cache: cannot remove bad file '%s'", name);
	return -ENOENT;
}

/* ---- put ---- */

static int copy(int from, int to, uint64_t bytes)
{
	off_t offset = 0;

	/* Learns early that the disk is full; not every file system can. */
	if (fallocate(to, 0, 0, (off_t)bytes) < 0 && errno != EOPNOTSUPP && errno != EINTR)
		return -errno;
	while ((uint64_t)offset < bytes) {
		ssize_t n = sendfile(to, from, &offset, bytes - (uint64_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
	}
	return 0;
}

static int write_file(struct tablecache *c, const char *name, int memfd, uint64_t bytes,
		      struct table **ret)
{
	_cleanup_(table_freep) struct table *t = NULL;
	_cleanup_close_ int fd = -1;
	char temp[NAME_BYTES];
	uint64_t random;
	int r;

	/* Not the PID: two agents in two PID namespaces may have the same. */
	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return -EIO;
	(void)snprintf(temp, sizeof(temp), TEMP_PREFIX "%016llx", (unsigned long long)random);
	fd = openat(c->dir, temp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = copy(memfd, fd, bytes);
	if (r == 0)
		r = table_open(fd, false, &t);
	if (r == 0 && renameat(c->dir, temp, c->dir, name) < 0)
		r = -errno;
	if (r < 0) {
		(void)unlinkat(c->dir, temp, 0);
		return r;
	}
	*ret = TAKE_PTR(t);
	return 0;
}

static void pause_writing(struct tablecache *c, int r)
{
	uint32_t suppressed;

	c->stats.put_errors++;
	c->stats.last_error = r;
	c->paused_until_ms = clock_ms() + PAUSE_MS;
	if (log_limit_ok(&c->log_limit, 1, 10 * PAUSE_MS, &suppressed))
		(void)log_warn_errno(r, "cache: cannot write, keeping new tables in memory");
}

int tablecache_put(struct tablecache *c, const struct filekey *key, int memfd, struct table **ret)
{
	char name[NAME_BYTES];
	struct stat st;
	uint64_t bytes;
	int r;

	if (clock_ms() < c->paused_until_ms)
		return -EAGAIN;
	if (fstat(memfd, &st) < 0)
		return -errno;
	bytes = disk_bytes((uint64_t)st.st_size);
	if (bytes > c->budget)
		return -E2BIG;
	file_name(c, key, name);
	r = make_room(c, bytes);
	if (r == 0)
		r = write_file(c, name, memfd, (uint64_t)st.st_size, ret);
	/* The disk is smaller than the budget: what is ours and old makes room, once. */
	if ((r == -ENOSPC || r == -EDQUOT) && c->stats.bytes > 0) {
		r = shrink(c, c->stats.bytes > bytes ? c->stats.bytes - bytes : 0);
		if (r == 0)
			r = write_file(c, name, memfd, (uint64_t)st.st_size, ret);
	}
	if (r < 0) {
		pause_writing(c, r);
		return r;
	}
	c->stats.bytes += bytes;
	c->stats.puts++;
	c->puts_since_scan++;
	return 0;
}

void tablecache_get_stats(const struct tablecache *c, struct tablecache_stats *ret)
{
	*ret = c->stats;
	ret->paused = clock_ms() < c->paused_until_ms;
}
