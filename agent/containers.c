/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/containers.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/inotify.h>

#include "agent/base/clock.h"
#include "agent/base/hash.h"
#include "agent/cgroupfs.h"

#define MASK (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR | IN_EXCL_UNLINK)

/* A control group. */
struct group {
	struct group *parent;	       /* NULL: the root of a hierarchy */
	struct group *older, *younger; /* among those that are not watched yet */
	uint64_t watch_ms;	       /* from when on it is; 0: it is not among them */
	uint64_t cgroup, key;	       /* key: of parent and name */
	uint64_t generation;	       /* of the last whole look that met it */
	size_t children;
	int wd; /* -1: not watched */
	uint32_t depth;
	char id[CONTAINER_ID_BYTES]; /* "": no container */
	char name[];
};

struct tree {
	struct cgroupfs fs;
	struct group *root;
};

struct containers {
	struct loop_source *source, *batch, *rescan, *grown;
	int fd;
	containers_fn fn;
	void *data;
	struct tree trees[CGROUPFS_MAX];
	size_t n_trees;
	struct hash by_wd, by_key; /* struct group * */
	struct hash by_id; /* containers of the first tree: hash of the id -> struct group * */
	/* Containers that were made just now. Only what is inside of one is seen by watching it,
	 * and most that live shortly have nothing inside. */
	struct group *oldest, *youngest;
	uint64_t generation;
	uint64_t pause_ms; /* the last one between two looks at what has come */
	bool lost;	   /* events are missing: look at everything */
	bool looking;	   /* at everything */
	struct containers_counts counts;
};

static struct group *group_of(uint64_t v)
{
	return v == HASH_NONE ? NULL : (struct group *)(uintptr_t)v;
}

static uint64_t key_of(const struct group *parent, const char *name)
{
	return hash_mix((uintptr_t)parent) ^ hash_bytes(name, strlen(name));
}

static const struct tree *tree_of(const struct containers *cs, const struct group *g)
{
	while (g->parent)
		g = g->parent;
	for (size_t i = 0; i < cs->n_trees; i++) {
		if (cs->trees[i].root == g)
			return &cs->trees[i];
	}
	return NULL;
}

/* The path of g, from its end to its beginning. */
static int path_of(const struct tree *tree, const struct group *g, char to[PATH_MAX])
{
	char room[PATH_MAX];
	size_t at = sizeof(room) - 1;
	int n;

	room[at] = '\0';
	for (; g->parent; g = g->parent) {
		size_t len = strlen(g->name);

		if (at < len + 1)
			return -ENAMETOOLONG;
		at -= len;
		memcpy(room + at, g->name, len);
		room[--at] = '/';
	}
	n = snprintf(to, PATH_MAX, "%s%s", tree->fs.path, room + at);
	return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* What of a path of path_of() is below the root: fewer names for the kernel to look up. */
static const char *below(const struct tree *tree, const char *path)
{
	path += strlen(tree->fs.path);
	return path + (*path == '/');
}

static uint64_t id_key(const char *id)
{
	return hash_bytes(id, strlen(id));
}

/* A runtime makes a container a group in each hierarchy; one of them is enough to know it by. */
static bool is_known_by_first(const struct containers *cs, const struct group *parent,
			      const char *name)
{
	char id[CONTAINER_ID_BYTES];
	const struct group *g;

	if (!cs->by_id.count || tree_of(cs, parent) == &cs->trees[0] ||
	    cgroup_path_id(name, strlen(name), id) < 0)
		return false;
	g = group_of(hash_get(&cs->by_id, id_key(id)));
	return g && !strcmp(g->id, id);
}

/* ---- Groups that come and go ---- */

static void tell(const struct containers *cs, const struct group *g, bool there)
{
	struct container c = {.cgroup = g->cgroup};

	if (!cs->fn)
		return;
	memcpy(c.id, g->id, sizeof(c.id));
	cs->fn(&c, there, cs->data);
}

static void young_add(struct containers *cs, struct group *g)
{
	g->watch_ms = clock_ms() + CONTAINERS_YOUNG_MS;
	g->older = cs->youngest;
	g->younger = NULL;
	*(g->older ? &g->older->younger : &cs->oldest) = g;
	cs->youngest = g;
	loop_set_timer_before(cs->grown, CONTAINERS_YOUNG_MS);
}

static void young_remove(struct containers *cs, struct group *g)
{
	if (!g->watch_ms)
		return;
	*(g->older ? &g->older->younger : &cs->oldest) = g->younger;
	*(g->younger ? &g->younger->older : &cs->youngest) = g->older;
	g->watch_ms = 0;
}

static void group_remove(struct containers *cs, struct group *g)
{
	young_remove(cs, g);
	if (g->wd >= 0) {
		(void)inotify_rm_watch(cs->fd, g->wd); /* kernfs does not by itself */
		(void)hash_del(&cs->by_wd, (uint64_t)g->wd);
	}
	(void)hash_del(&cs->by_key, g->key);
	if (g->parent)
		g->parent->children--;
	cs->counts.groups--;
	cs->counts.removed++;
	if (*g->id) {
		if (group_of(hash_get(&cs->by_id, id_key(g->id))) == g)
			(void)hash_del(&cs->by_id, id_key(g->id));
		cs->counts.containers--;
		tell(cs, g, false);
	}
	free(g);
}

/* ---- Looking ---- */

static int visit_child(const char *name, void *data);

struct visit {
	struct containers *cs;
	struct group *parent;
};

static int visit_children(struct containers *cs, struct group *g, const char *path)
{
	struct visit v = {cs, g};

	return cgroupfs_children(path, visit_child, &v);
}

static void group_watch(struct containers *cs, struct group *g, const char *path)
{
	struct group *other;

	if (cs->fd < 0 || g->wd >= 0)
		return;
	young_remove(cs, g);
	g->wd = inotify_add_watch(cs->fd, path, MASK);
	if (g->wd < 0) {
		if (errno == ENOSPC || errno == ENOMEM)
			cs->counts.polled = true;
		return;
	}
	other = group_of(hash_get(&cs->by_wd, (uint64_t)g->wd));
	if (other) /* the same directory under another name: it was renamed */
		other->wd = -1;
	if (hash_put(&cs->by_wd, (uint64_t)g->wd, (uintptr_t)g) < 0)
		cs->counts.polled = true;
}

static void group_identify(struct containers *cs, struct group *g, uint64_t cgroup)
{
	if (g->cgroup == cgroup)
		return;
	if (*g->id) { /* removed and made again, unnoticed */
		tell(cs, g, false);
		g->cgroup = cgroup;
		tell(cs, g, true);
		return;
	}
	g->cgroup = cgroup;
	if (cgroup_path_id(g->name, strlen(g->name), g->id) == 0) {
		cs->counts.containers++;
		if (cs->n_trees > 1 && tree_of(cs, g) == &cs->trees[0])
			(void)hash_put(&cs->by_id, id_key(g->id), (uintptr_t)g);
		tell(cs, g, true);
	} else {
		g->id[0] = '\0';
	}
}

/* A container that an event told of. One that a look at everything meets may be old. */
static bool is_newborn(const struct containers *cs, const struct group *g)
{
	char id[CONTAINER_ID_BYTES];

	return !cs->looking && cs->fd >= 0 && !g->cgroup &&
	       cgroup_path_id(g->name, strlen(g->name), id) == 0;
}

/* Watches and identifies g, then looks at what is below it. */
static int group_visit(struct containers *cs, struct group *g)
{
	const struct tree *tree = tree_of(cs, g);
	char path[PATH_MAX];
	uint64_t ino;
	bool more;

	if (path_of(tree, g, path) < 0)
		return 0;
	g->generation = cs->generation;
	if (is_newborn(cs, g))
		young_add(cs, g);
	else
		group_watch(cs, g, path);
	/* After the watch is set, so that no child is missed in between. */
	if (cgroupfs_stat(tree->fs.fd, below(tree, path), &ino, &more) < 0) {
		if (g->parent && !g->children)
			group_remove(cs, g);
		return 0;
	}
	group_identify(cs, g, ino | tree->fs.bit);
	if (!more)
		return 0;
	group_watch(cs, g, path); /* there is something inside already */
	return visit_children(cs, g, path);
}

static struct group *group_new(struct containers *cs, struct group *parent, const char *name)
{
	size_t len = strlen(name);
	struct group *g = calloc(1, sizeof(*g) + len + 1);

	if (!g)
		return NULL;
	memcpy(g->name, name, len + 1);
	g->wd = -1;
	g->parent = parent;
	g->key = key_of(parent, name);
	if (hash_put(&cs->by_key, g->key, (uintptr_t)g) < 0) {
		free(g);
		return NULL;
	}
	if (parent) {
		g->depth = parent->depth + 1;
		parent->children++;
	}
	cs->counts.groups++;
	cs->counts.made++;
	return g;
}

/* What a name in a group's directory stands for; NULL: nothing that is known. */
static struct group *child_find(const struct containers *cs, const struct group *parent,
				const char *name)
{
	struct group *g = group_of(hash_get(&cs->by_key, key_of(parent, name)));

	return g && g->parent == parent && !strcmp(g->name, name) ? g : NULL;
}

/* Met again, or new. */
static int visit_child(const char *name, void *data)
{
	const struct visit *v = data;
	struct containers *cs = v->cs;
	struct group *g = child_find(cs, v->parent, name);

	if (g && !cs->looking && (g->wd >= 0 || g->watch_ms))
		return 0;
	if (g)
		return g->generation == cs->generation && g->wd >= 0 ? 0 : group_visit(cs, g);
	if (is_known_by_first(cs, v->parent, name))
		return 0;
	if (cs->counts.groups >= CONTAINERS_MAX || v->parent->depth >= CGROUPFS_DEPTH_MAX ||
	    hash_get(&cs->by_key, key_of(v->parent, name)) != HASH_NONE) {
		cs->counts.unseen++;
		return 0;
	}
	g = group_new(cs, v->parent, name);
	return g ? group_visit(cs, g) : -ENOMEM;
}

static int deeper_first(const void *a, const void *b)
{
	const struct group *const *x = a, *const *y = b;

	return (*x)->depth < (*y)->depth ? 1 : (*x)->depth > (*y)->depth ? -1 : 0;
}

/* Takes out what the last whole look did not meet; all: everything. */
static void sweep(struct containers *cs, bool all)
{
	_cleanup_free_ struct group **gone =
		calloc(MAX(cs->by_key.count, 1u), sizeof(struct group *));
	size_t n = 0;

	if (!gone)
		return;
	HASH_FOREACH (s, &cs->by_key) {
		struct group *g = group_of(s->value);

		if (all || (g->generation != cs->generation && g->parent))
			gone[n++] = g;
	}
	qsort(gone, n, sizeof(*gone), deeper_first);
	for (size_t i = 0; i < n; i++)
		group_remove(cs, gone[i]);
}

static void look_at_everything(struct containers *cs)
{
	cs->generation++;
	cs->lost = false;
	cs->looking = true;
	for (size_t i = 0; i < cs->n_trees; i++)
		(void)group_visit(cs, cs->trees[i].root);
	cs->looking = false;
	sweep(cs, false);
}

/* ---- Events ---- */

static void on_event(struct containers *cs, const struct inotify_event *e)
{
	struct group *g = group_of(hash_get(&cs->by_wd, (uint64_t)e->wd)), *child;

	if (e->mask & IN_Q_OVERFLOW)
		cs->lost = true;
	if (!g || !e->len || !(e->mask & IN_ISDIR))
		return;
	if (e->mask & (IN_CREATE | IN_MOVED_TO)) {
		struct visit v = {cs, g};

		(void)visit_child(e->name, &v);
		return;
	}
	child = child_find(cs, g, e->name);
	if (child && child->children)
		cs->lost = true; /* they went before it; or it was renamed */
	else if (child)
		group_remove(cs, child);
}

/* False: there was none. */
static bool read_events(struct containers *cs)
{
	char room[32768] __attribute__((aligned(__alignof__(struct inotify_event))));
	bool any = false;

	for (int i = 0; i < 64; i++) {
		ssize_t n = read(cs->fd, room, sizeof(room));

		if (n <= 0)
			break;
		any = true;
		for (ssize_t at = 0; at < n;) {
			const struct inotify_event *e = (const struct inotify_event *)(room + at);

			on_event(cs, e);
			at += (ssize_t)(sizeof(*e) + e->len);
		}
		if ((size_t)n < sizeof(room) / 2)
			break; /* that was all */
	}
	return any;
}

/* While groups come all the time the loop is woken by the timer alone, and ever more seldom. */
static void on_batch(void *data)
{
	struct containers *cs = data;
	bool any = read_events(cs);

	if (cs->lost) {
		cs->counts.rescans++;
		look_at_everything(cs);
	}
	cs->pause_ms = MIN(cs->pause_ms * 2, (uint64_t)CONTAINERS_BUSY_MS);
	if (any)
		loop_set_timer(cs->batch, clock_until_ms(cs->pause_ms), 0);
	else
		(void)loop_set_events(cs->source, EPOLLIN);
}

/* Groups come in crowds: one made by a runtime has siblings in a moment. */
static void on_readable(int fd, uint32_t events, void *data)
{
	struct containers *cs = data;

	cs->pause_ms = CONTAINERS_BATCH_MS;
	if (loop_set_events(cs->source, 0) >= 0)
		loop_set_timer(cs->batch, cs->pause_ms, 0);
}

/* Those that have stayed are watched, and looked at for what was made inside meanwhile. */
static void on_grown(void *data)
{
	struct containers *cs = data;
	uint64_t now = clock_ms();

	while (cs->oldest && cs->oldest->watch_ms <= now) {
		struct group *g = cs->oldest;

		young_remove(cs, g);
		(void)group_visit(cs, g);
	}
	if (cs->oldest)
		loop_set_timer(cs->grown, cs->oldest->watch_ms - now, 0);
}

static void on_rescan(void *data)
{
	struct containers *cs = data;

	if (!cs->counts.polled)
		return;
	cs->counts.rescans++;
	look_at_everything(cs);
}

/* ---- The object ---- */

struct containers *containers_free(struct containers *cs)
{
	if (!cs)
		return NULL;
	cs->fn = NULL;
	loop_remove(cs->source);
	loop_remove(cs->batch);
	loop_remove(cs->rescan);
	loop_remove(cs->grown);
	if (cs->fd >= 0)
		close(TAKE_FD(cs->fd));
	sweep(cs, true);
	for (size_t i = 0; i < cs->n_trees; i++)
		cgroupfs_close(&cs->trees[i].fs, 1);
	hash_done(&cs->by_wd);
	hash_done(&cs->by_key);
	hash_done(&cs->by_id);
	free(cs);
	return NULL;
}

static int add_tree(struct containers *cs, const struct cgroupfs *fs)
{
	struct tree *t = &cs->trees[cs->n_trees++];

	t->fs = *fs;
	t->root = group_new(cs, NULL, fs->path);
	cs->counts.partial |= fs->partial;
	return t->root ? 0 : -ENOMEM;
}

/* Without a loop: one look, nothing is followed. */
static int containers_open(struct loop *l, const struct cgroupfs *fs, size_t n, containers_fn fn,
			   void *data, struct containers **ret)
{
	_cleanup_(containers_freep) struct containers *cs = calloc(1, sizeof(*cs));
	int r = cs ? 0 : -ENOMEM;

	if (cs)
		cs->fd = -1;
	else
		cgroupfs_close((struct cgroupfs *)fs, n);
	for (size_t i = 0; cs && i < n; i++) {
		int err = add_tree(cs, &fs[i]);

		r = r < 0 ? r : err;
	}
	if (r < 0)
		return r;
	cs->fn = fn;
	cs->data = data;
	cs->fd = l ? inotify_init1(IN_CLOEXEC | IN_NONBLOCK) : -1;
	cs->counts.polled = l && cs->fd < 0;
	if (cs->fd >= 0) {
		cs->source = loop_add_fd(l, cs->fd, EPOLLIN, on_readable, cs);
		cs->batch = loop_add_timer(l, on_batch, cs);
		cs->grown = loop_add_timer(l, on_grown, cs);
		if (!cs->source || !cs->batch || !cs->grown)
			return -ENOMEM;
	}
	if (l) {
		cs->rescan = loop_add_timer(l, on_rescan, cs);
		if (!cs->rescan)
			return -ENOMEM;
		loop_set_timer(cs->rescan, CONTAINERS_RESCAN_MS, CONTAINERS_RESCAN_MS);
	}
	look_at_everything(cs);
	*ret = TAKE_PTR(cs);
	return 0;
}

int containers_new(struct loop *l, containers_fn fn, void *data, struct containers **ret)
{
	struct cgroupfs fs[CGROUPFS_MAX];
	int n = cgroupfs_open(fs);

	return containers_open(l, fs, (size_t)n, fn, data, ret);
}

static int open_below(const char *root, struct cgroupfs *ret)
{
	*ret = (struct cgroupfs){.fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
	if (ret->fd < 0)
		return -errno;
	if ((size_t)snprintf(ret->path, sizeof(ret->path), "%s", root) < sizeof(ret->path))
		return 0;
	close(ret->fd);
	return -ENAMETOOLONG;
}

int containers_new_below(struct loop *l, const char *root, containers_fn fn, void *data,
			 struct containers **ret)
{
	struct cgroupfs fs;
	int r = open_below(root, &fs);

	return r < 0 ? r : containers_open(l, &fs, 1, fn, data, ret);
}

void containers_each(const struct containers *cs, containers_fn fn, void *data)
{
	HASH_FOREACH (s, &cs->by_key) {
		const struct group *g = group_of(s->value);
		struct container c = {.cgroup = g->cgroup};

		if (!*g->id)
			continue;
		memcpy(c.id, g->id, sizeof(c.id));
		fn(&c, true, data);
	}
}

struct containers_counts containers_counts(const struct containers *cs)
{
	return cs->counts;
}

/* ---- One look ---- */

struct found {
	const char *prefix;
	struct container *list;
	size_t n;
	bool failed;
};

static void on_found(const struct container *c, bool there, void *data)
{
	struct found *f = data;
	struct container *list;

	if (!there || strncmp(c->id, f->prefix, strlen(f->prefix)) != 0)
		return;
	list = reallocarray(f->list, f->n + 1, sizeof(*list));
	if (!list) {
		f->failed = true;
		return;
	}
	f->list = list;
	list[f->n++] = *c;
}

static int found_done(struct found *f, int r, struct container **ret)
{
	if (r < 0 || f->failed) {
		free(f->list);
		return r < 0 ? r : -ENOMEM;
	}
	*ret = f->list;
	return (int)f->n;
}

int containers_find(const char *prefix, struct container **ret)
{
	struct found f = {.prefix = prefix};
	_cleanup_(containers_freep) struct containers *cs = NULL;

	return found_done(&f, containers_new(NULL, on_found, &f, &cs), ret);
}

int containers_find_below(const char *root, const char *prefix, struct container **ret)
{
	struct found f = {.prefix = prefix};
	_cleanup_(containers_freep) struct containers *cs = NULL;

	return found_done(&f, containers_new_below(NULL, root, on_found, &f, &cs), ret);
}
