/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/base/watch.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "agent/base/clock.h"

#define LINKS_MAX   40 /* as the kernel follows (path_resolution(7)) */
#define PASSES_MAX  8
#define ENTRIES_MAX (16u * WATCH_MAX_PATHS)

/* An entry of a directory appears, goes, or its contents change. */
#define MASK_ENTRIES (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_CLOSE_WRITE)
/* The thing itself is no longer where it was. */
#define MASK_SELF (IN_DELETE_SELF | IN_MOVE_SELF)
#define MASK_FILE (MASK_SELF | IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB)

/* What is of interest: an event of this inode with that name. */
struct entry {
	int wd;
	char *name; /* NULL: any name; "": only the directory itself */
};

struct watch {
	struct loop_source *source, *settle;
	int fd;
	watch_fn fn;
	void *data;
	char **paths;
	size_t n_paths;
	struct entry *entries;
	size_t n_entries;
	uint64_t first_ms; /* of changes not told of yet; 0: none */
};

static void entries_free(struct entry *e, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(e[i].name);
	free(e);
}

static int entry_add(struct watch *w, const char *path, uint32_t mask, const char *name)
{
	int wd = inotify_add_watch(w->fd, path, mask | IN_MASK_ADD);
	char *copy = NULL;
	struct entry *e;

	if (wd < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == EACCES ? 0 : -errno;
	for (size_t i = 0; i < w->n_entries; i++) {
		if (w->entries[i].wd == wd && (!w->entries[i].name) == (!name) &&
		    (!name || !strcmp(w->entries[i].name, name)))
			return 0;
	}
	if (w->n_entries >= ENTRIES_MAX)
		return -E2BIG;
	e = reallocarray(w->entries, w->n_entries + 1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	w->entries = e;
	if (name) {
		copy = strdup(name);
		if (!copy)
			return -ENOMEM;
	}
	e[w->n_entries++] = (struct entry){wd, copy};
	return 0;
}

/* Cuts the first component off *rest, which is advanced. False: there is none. */
static bool next_component(const char **rest, char ret[NAME_MAX + 1])
{
	const char *end;

	*rest += strspn(*rest, "/");
	end = *rest + strcspn(*rest, "/");
	if (end == *rest || end - *rest > NAME_MAX)
		return false;
	memcpy(ret, *rest, (size_t)(end - *rest));
	ret[end - *rest] = '\0';
	*rest = end;
	return true;
}

static int join(char to[PATH_MAX], const char *a, const char *sep, const char *b)
{
	int n = snprintf(to, PATH_MAX, "%s%s%s", a, sep, b);

	return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

/* The link at `full` takes the place of the component: *rest continues in `todo`. */
static int follow_link(const char *full, char todo[PATH_MAX], const char **rest, char dir[PATH_MAX])
{
	char target[PATH_MAX], next[PATH_MAX];
	ssize_t n = readlink(full, target, sizeof(target) - 1);
	int r;

	if (n < 0)
		return -errno;
	target[n] = '\0';
	r = join(next, target, "/", *rest);
	if (r < 0)
		return r;
	memcpy(todo, next, PATH_MAX);
	*rest = todo;
	if (target[0] == '/')
		memcpy(dir, "/", 2);
	return 0;
}

/* Watches what decides where `path` leads and what is there. */
static int watch_path(struct watch *w, const char *path)
{
	char todo[PATH_MAX], dir[PATH_MAX], full[PATH_MAX], name[NAME_MAX + 1];
	const char *rest = todo;
	struct stat st;
	int r = join(todo, path, "", ""), links = 0;

	memcpy(dir, path[0] == '/' ? "/" : ".", 2);
	while (r >= 0 && next_component(&rest, name)) {
		r = join(full, dir, strcmp(dir, "/") != 0 ? "/" : "", name);
		if (r < 0)
			return r;
		if (lstat(full, &st) < 0) /* not there yet, or nobody may know */
			return entry_add(w, dir, MASK_ENTRIES | MASK_SELF, name);
		if (S_ISDIR(st.st_mode)) {
			memcpy(dir, full, PATH_MAX);
			r = entry_add(w, dir, MASK_SELF, "");
			continue;
		}
		r = entry_add(w, dir, MASK_ENTRIES | MASK_SELF, name);
		if (r < 0)
			return r;
		if (!S_ISLNK(st.st_mode))
			return entry_add(w, full, MASK_FILE,
					 NULL); /* mounted alone, or linked twice */
		if (++links > LINKS_MAX)
			return 0; /* a ring of links is no file; it may become one */
		/* Changed in between: the next pass sees it. */
		if (follow_link(full, todo, &rest, dir) < 0)
			return 0;
	}
	return r < 0 ? r : entry_add(w, dir, MASK_ENTRIES | MASK_SELF, NULL);
}

/* Until a pass finds nothing new: whatever changed since then is told of. */
static int watch_settled(struct watch *w, const char *path)
{
	size_t before;
	int r, passes = 0;

	do {
		before = w->n_entries;
		r = watch_path(w, path);
	} while (r >= 0 && w->n_entries != before && ++passes < PASSES_MAX);
	return r;
}

static bool is_watched(const struct watch *w, int wd)
{
	for (size_t i = 0; i < w->n_entries; i++) {
		if (w->entries[i].wd == wd)
			return true;
	}
	return false;
}

/* Links lead elsewhere, files are new: looks at all paths again and drops what is not on them. */
static void rebuild(struct watch *w)
{
	struct entry *old = w->entries;
	size_t n = w->n_entries;

	w->entries = NULL;
	w->n_entries = 0;
	for (size_t i = 0; i < w->n_paths; i++)
		(void)watch_settled(w, w->paths[i]);
	for (size_t i = 0; i < n; i++) {
		if (!is_watched(w, old[i].wd))
			(void)inotify_rm_watch(w->fd, old[i].wd);
	}
	entries_free(old, n);
}

static void on_settled(void *data)
{
	struct watch *w = data;

	w->first_ms = 0;
	rebuild(w);
	w->fn(w->data);
}

static bool is_of_interest(const struct watch *w, const struct inotify_event *e)
{
	if (e->mask & IN_Q_OVERFLOW)
		return true;
	for (size_t i = 0; i < w->n_entries; i++) {
		const struct entry *x = &w->entries[i];

		if (x->wd != e->wd)
			continue;
		if (e->mask & (MASK_SELF | IN_IGNORED | IN_UNMOUNT))
			return true;
		if (!x->name || (e->len && !strcmp(x->name, e->name)))
			return true;
	}
	return false;
}

static void on_readable(int fd, uint32_t events, void *data)
{
	struct watch *w = data;
	char room[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t n = read(fd, room, sizeof(room));
	bool changed = false;
	uint64_t now = clock_ms();

	for (ssize_t at = 0; at < n;) {
		const struct inotify_event *e = (const struct inotify_event *)(room + at);

		changed = changed || is_of_interest(w, e);
		at += (ssize_t)(sizeof(*e) + e->len);
	}
	if (!changed)
		return;
	if (!w->first_ms)
		w->first_ms = now;
	loop_set_timer(w->settle,
		       MIN(WATCH_SETTLE_MS, w->first_ms + WATCH_LATEST_MS > now
						    ? w->first_ms + WATCH_LATEST_MS - now
						    : 0),
		       0);
}

int watch_new(struct loop *l, watch_fn fn, void *data, struct watch **ret)
{
	_cleanup_(watch_freep) struct watch *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->fn = fn;
	w->data = data;
	w->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (w->fd < 0)
		return -errno;
	w->source = loop_add_fd(l, w->fd, EPOLLIN, on_readable, w);
	w->settle = loop_add_timer(l, on_settled, w);
	if (!w->source || !w->settle)
		return -ENOMEM;
	*ret = TAKE_PTR(w);
	return 0;
}

struct watch *watch_free(struct watch *w)
{
	if (!w)
		return NULL;
	w->source = loop_remove(w->source);
	w->settle = loop_remove(w->settle);
	if (w->fd >= 0)
		close(w->fd);
	entries_free(w->entries, w->n_entries);
	for (size_t i = 0; i < w->n_paths; i++)
		free(w->paths[i]);
	free(w->paths);
	free(w);
	return NULL;
}

int watch_add(struct watch *w, const char *path)
{
	char **paths, *copy;

	for (size_t i = 0; i < w->n_paths; i++) {
		if (!strcmp(w->paths[i], path))
			return 0;
	}
	if (w->n_paths >= WATCH_MAX_PATHS)
		return -E2BIG;
	paths = reallocarray(w->paths, w->n_paths + 1, sizeof(*paths));
	if (!paths)
		return -ENOMEM;
	w->paths = paths;
	copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	paths[w->n_paths++] = copy;
	return watch_settled(w, path);
}

void watch_clear(struct watch *w)
{
	for (size_t i = 0; i < w->n_paths; i++)
		free(w->paths[i]);
	w->n_paths = 0;
	rebuild(w);
}
