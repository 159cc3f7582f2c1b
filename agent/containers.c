/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/containers.h"

#include <errno.h>
#include <fts.h>
#include <limits.h>
#include <mntent.h>
#include <string.h>
#include <sys/stat.h>

#include "bpf/types.h"

#define DEPTH_MAX 12

struct found {
	const char *prefix;
	struct container *list;
	size_t n;
};

static bool name_matches(const char *name, const char *prefix, char *ret_id)
{
	char path[NAME_MAX + 2];
	int n = snprintf(path, sizeof(path), "/%s", name);

	return n > 0 && (size_t)n < sizeof(path) && cgroup_path_id(path, (size_t)n, ret_id) == 0 &&
	       strncmp(ret_id, prefix, strlen(prefix)) == 0;
}

static int add_found(struct found *f, const char *id, uint64_t cgroup)
{
	struct container *list = realloc(f->list, (f->n + 1) * sizeof(*list));

	if (!list)
		return -ENOMEM;
	f->list = list;
	memcpy(list[f->n].id, id, CONTAINER_ID_BYTES);
	list[f->n++].cgroup = cgroup;
	return 0;
}

static int search_tree(struct found *f, const char *root, uint64_t bit)
{
	char *const roots[] = {(char *)root, NULL}; /* it is only read */
	FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
	FTSENT *e;
	int r = 0;

	if (!fts)
		return -errno;
	while (r >= 0 && (e = fts_read(fts))) {
		char id[CONTAINER_ID_BYTES] = "";

		if (e->fts_info != FTS_D)
			continue;
		if (e->fts_level > DEPTH_MAX) {
			(void)fts_set(fts, e, FTS_SKIP);
			continue;
		}
		if (name_matches(e->fts_name, f->prefix, id)) {
			r = add_found(f, id, e->fts_statp->st_ino | bit);
			(void)fts_set(fts, e, FTS_SKIP);
		}
	}
	fts_close(fts);
	return r;
}

static int found_done(struct found *f, int r, struct container **ret)
{
	if (r < 0) {
		free(f->list);
		return r;
	}
	*ret = f->list;
	return (int)f->n;
}

int containers_find_below(const char *root, const char *prefix, struct container **ret)
{
	struct found f = {.prefix = prefix};

	return found_done(&f, search_tree(&f, root, 0), ret);
}

static bool is_mounted(const char *controller)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct mntent *m;
	bool found = false;

	while (mounts && !found && (m = getmntent(mounts)))
		found = !strcmp(m->mnt_type, "cgroup") && hasmntopt(m, controller);
	if (mounts)
		endmntent(mounts);
	return found;
}

const char *containers_controller(void)
{
	static const char *const order[] = {"memory", "pids", "cpu", "freezer"};

	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		if (is_mounted(order[i]))
			return order[i];
	}
	return NULL;
}

int containers_find(const char *prefix, struct container **ret)
{
	struct found f = {.prefix = prefix};
	const char *controller = containers_controller();
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct mntent *m;
	int r = 0;

	if (!mounts)
		return -errno;
	while (r >= 0 && (m = getmntent(mounts))) {
		if (!strcmp(m->mnt_type, "cgroup2"))
			r = search_tree(&f, m->mnt_dir, 0);
		else if (!strcmp(m->mnt_type, "cgroup") && controller && hasmntopt(m, controller))
			r = search_tree(&f, m->mnt_dir, CGROUP_ID_V1);
	}
	endmntent(mounts);
	return found_done(&f, r, ret);
}
