/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/target_filter.h"

#include <string.h>

#include "agent/base/log.h"

/* Without groups nobody's are looked at; without both, the empty table of processes lets nothing
 * through. */
static void set_mode(const struct target_filter *f)
{
	uint32_t mode = (f->cgroups.count ? FILTER_CGROUP : 0u) |
			(f->pids.count || !f->cgroups.count ? FILTER_TGID : 0u);

	profiler_set_filter(f->profiler, f->everything ? FILTER_NONE : mode);
}

static void added(struct target_filter *f, int r)
{
	if (r >= 0 || f->full_logged)
		return;
	f->full_logged = true;
	log_warn_errno(r, "too many targets: some processes or containers are not profiled");
}

static void add_cgroup(struct target_filter *f, uint64_t cgroup)
{
	int r = 0;

	if (hash_get(&f->cgroups, cgroup) == HASH_NONE)
		r = profiler_add_cgroup(f->profiler, cgroup);
	if (r >= 0)
		r = hash_put(&f->cgroups, cgroup, f->syncs);
	added(f, r);
}

static void on_container(const struct container *c, bool there, void *data)
{
	struct target_filter *f = data;

	if (!there) {
		if (hash_del(&f->cgroups, c->cgroup) != HASH_NONE)
			profiler_remove_cgroup(f->profiler, c->cgroup);
	} else if (targets_find(f->targets, 0, 0, c->id)) {
		add_cgroup(f, c->cgroup);
	}
	if (!f->syncing)
		set_mode(f);
}

int target_filter_init(struct target_filter *f, struct loop *loop, struct profiler *p,
		       const struct targets *targets)
{
	*f = (struct target_filter){.profiler = p, .targets = targets};
	return containers_new(loop, on_container, f, &f->containers);
}

void target_filter_done(struct target_filter *f)
{
	f->containers = containers_free(f->containers);
	hash_done(&f->pids);
	hash_done(&f->cgroups);
}

static void sync_pids(struct target_filter *f)
{
	struct hash now = {0};

	HASH_FOREACH (s, &f->targets->by_pid) {
		uint64_t start = f->targets->v[s->value].start_ticks;
		int r = 0;

		if (hash_get(&f->pids, s->key) != start)
			r = profiler_add_target(f->profiler, (uint32_t)s->key, start);
		if (r >= 0)
			r = hash_put(&now, s->key, start);
		added(f, r);
	}
	HASH_FOREACH (s, &f->pids) {
		if (hash_get(&now, s->key) == HASH_NONE)
			profiler_remove_target(f->profiler, (uint32_t)s->key);
	}
	hash_done(&f->pids);
	f->pids = now;
}

/* Those that it does not meet are no target's any more. */
static void sync_containers(struct target_filter *f)
{
	_cleanup_free_ uint64_t *gone = calloc(MAX(f->cgroups.count, 1u), sizeof(*gone));
	size_t n = 0;

	f->syncs++;
	f->syncing = true;
	containers_each(f->containers, on_container, f);
	f->syncing = false;
	HASH_FOREACH (s, &f->cgroups) {
		if (gone && s->value != f->syncs)
			gone[n++] = s->key;
	}
	while (n--) {
		profiler_remove_cgroup(f->profiler, gone[n]);
		(void)hash_del(&f->cgroups, gone[n]);
	}
}

void target_filter_sync(struct target_filter *f, bool everything)
{
	sync_pids(f);
	sync_containers(f);
	f->everything = everything;
	set_mode(f);
}

struct counting {
	const struct targets *targets;
	struct target_filter_counts counts;
	void (*unmatched)(const char *id, void *data);
	void *data;
};

static void count(const struct container *c, bool there, void *data)
{
	struct counting *k = data;

	if (targets_find(k->targets, 0, 0, c->id)) {
		k->counts.matched++;
		return;
	}
	k->counts.unmatched++;
	if (k->unmatched)
		k->unmatched(c->id, k->data);
}

struct target_filter_counts target_filter_count(const struct target_filter *f,
						void (*unmatched)(const char *id, void *data),
						void *data)
{
	struct counting k = {.targets = f->targets, .unmatched = unmatched, .data = data};

	containers_each(f->containers, count, &k);
	return k.counts;
}
