/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/debug_search.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "agent/filekey.h"
#include "agent/regular_file.h"
#include "symbolizer/objfile.h"

static const char *const default_dirs[] = {"/usr/lib/debug"};

int debug_dirs_add(struct debug_dirs *d, const char *dir)
{
	if (d->n == DEBUG_DIRS_MAX)
		return -E2BIG;
	d->v[d->n++] = dir;
	return 0;
}

static int add_url(struct debug_dirs *d, const char *url)
{
	if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
		return -EINVAL;
	if (d->n_servers == DEBUG_DIRS_MAX)
		return -E2BIG;
	d->servers[d->n_servers++] = url;
	return 0;
}

int debug_dirs_add_server(struct debug_dirs *d, const char *url)
{
	char *list = getenv("DEBUGINFOD_URLS");
	int r = 0;

	if (strcmp(url, "env") != 0)
		return add_url(d, url);
	if (!list)
		return -ENOENT;
	/* The variable itself is cut into words, which live as long as the process. */
	for (char *u; r >= 0 && (u = strsep(&list, " "));)
		r = *u ? add_url(d, u) : 0;
	return r;
}

struct search {
	const struct debug_search *s;
	const char *const *dirs;
	size_t n_dirs;
	const uint8_t *id; /* that the file must have; n_id 0: none */
	size_t n_id;
	int stale; /* -ESTALE once a file of another build was met */
	struct debug_found *found;
};

/* 0: it is the one. */
static int check(struct search *x, int fd, enum debug_match *ret)
{
	struct filekey key;

	if (filekey_read(fd, &key) < 0)
		return -ENOENT;
	if (x->n_id && key.build_id_bytes) {
		if (x->n_id != key.build_id_bytes || memcmp(x->id, key.build_id, x->n_id) != 0)
			return x->stale = -ESTALE;
		*ret = DEBUG_SAME_ID;
		return 0;
	}
	*ret = DEBUG_CHECK_CRC;
	return 0;
}

static int try_root(struct search *x, int root_fd, bool on_host, const char *path)
{
	struct stat st;
	_cleanup_close_ int fd = regular_file_open(root_fd, path, &st);
	enum debug_match match;

	if (fd < 0)
		return fd;
	(void)snprintf(x->found->path, sizeof(x->found->path), "%s", path);
	if (check(x, fd, &match) < 0)
		return -ENOENT;
	x->found->fd = TAKE_FD(fd);
	x->found->match = match;
	x->found->on_host = on_host;
	return 0;
}

/* Each candidate in one root, in order. */
typedef int (*try_fn)(struct search *x, int root_fd, bool on_host, const void *data);

static int each_root(struct search *x, try_fn fn, const void *data)
{
	_cleanup_close_ int host = -1;
	int r = -ENOENT;

	if (x->s->root_fd >= 0)
		r = fn(x, x->s->root_fd, false, data);
	if (r >= 0)
		return r;
	host = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	r = host < 0 ? -errno : fn(x, host, true, data);
	return r < 0 && x->stale ? x->stale : MIN(r, 0);
}

static int try_id(struct search *x, int root_fd, bool on_host)
{
	char path[4096], hex[2 * 64 + 1] = "";

	if (x->n_id < 2)
		return -ENOENT;
	for (size_t i = 0; i < x->n_id; i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", x->id[i]);
	for (size_t i = 0; i < x->n_dirs; i++) {
		(void)snprintf(path, sizeof(path), "%s/.build-id/%.2s/%s.debug", x->dirs[i], hex,
			       hex + 2);
		if (try_root(x, root_fd, on_host, path) == 0)
			return 0;
	}
	return -ENOENT;
}

static int try_file(struct search *x, int root_fd, bool on_host, const void *data)
{
	const char *link = x->s->info->debuglink, *slash = strrchr(x->s->path, '/');
	int dir = slash ? (int)(slash - x->s->path) : 0;
	char path[8192];

	if (try_id(x, root_fd, on_host) == 0)
		return 0;
	if (!*link || !slash)
		return -ENOENT;
	(void)snprintf(path, sizeof(path), "%.*s/%s", dir, x->s->path, link);
	/* A link to the file itself leads nowhere. */
	if (strcmp(path, x->s->path) != 0 && try_root(x, root_fd, on_host, path) == 0)
		return 0;
	(void)snprintf(path, sizeof(path), "%.*s/.debug/%s", dir, x->s->path, link);
	if (try_root(x, root_fd, on_host, path) == 0)
		return 0;
	for (size_t i = 0; i < x->n_dirs; i++) {
		(void)snprintf(path, sizeof(path), "%s%.*s/%s", x->dirs[i], dir, x->s->path, link);
		if (try_root(x, root_fd, on_host, path) == 0)
			return 0;
	}
	return -ENOENT;
}

static struct search search_of(const struct debug_search *s, struct debug_found *ret)
{
	*ret = (struct debug_found){.fd = -1};
	return (struct search){
		.s = s,
		.dirs = s->dirs && s->dirs->n ? s->dirs->v : default_dirs,
		.n_dirs = s->dirs && s->dirs->n ? s->dirs->n : ARRAY_SIZE(default_dirs),
		.found = ret,
	};
}

int debug_search_file(const struct debug_search *s, struct debug_found *ret)
{
	struct search x = search_of(s, ret);

	x.id = s->info->build_id;
	x.n_id = s->info->build_id_bytes;
	if (!x.n_id && !*s->info->debuglink)
		return -ENOENT;
	return each_root(&x, try_file, NULL);
}

struct path_pair {
	const char *dir, *name;
};

static int try_path(struct search *x, int root_fd, bool on_host, const void *data)
{
	const struct path_pair *p = data;
	char path[8192];

	(void)snprintf(path, sizeof(path), "%s%s%s", *p->name == '/' ? "" : p->dir,
		       *p->name == '/' ? "" : "/", p->name);
	return try_root(x, root_fd, on_host, path);
}

static int try_alt(struct search *x, int root_fd, bool on_host, const void *data)
{
	if (try_path(x, root_fd, on_host, data) == 0)
		return 0;
	return try_id(x, root_fd, on_host);
}

int debug_search_alt(const struct debug_search *s, const struct table_info *info,
		     const char *debug_path, struct debug_found *ret)
{
	struct search x = search_of(s, ret);
	const char *slash = strrchr(debug_path, '/');
	char dir[4096];

	if (!*info->altlink || !info->alt_id_bytes)
		return -ENOENT;
	(void)snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - debug_path) : 0, debug_path);
	x.id = info->alt_id;
	x.n_id = info->alt_id_bytes;
	return each_root(&x, try_alt, &(struct path_pair){dir, info->altlink});
}

int debug_search_path(const struct debug_search *s, const char *dir, const char *name,
		      struct debug_found *ret)
{
	struct search x = search_of(s, ret);

	if (!*name)
		return -ENOENT;
	return each_root(&x, try_path, &(struct path_pair){dir, name});
}
