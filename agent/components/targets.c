/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/components/targets.h"

#include <errno.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/components/targets_value.h"
#include "discovery/process_start.h"
#include "bpf/types.h"

#define RETIRED_MAX 65536
/* discovery.process looks every 60 s by default. */
#define REBIND_MS 90000

static void target_done(struct target *t)
{
	value_unref(t->labels);
}

void targets_done(struct targets *t)
{
	for (size_t i = 0; i < t->n; i++)
		target_done(&t->v[i]);
	free(t->v);
	hash_done(&t->by_pid);
	hash_done(&t->by_container);
	*t = (struct targets){0};
}

static uint32_t parse_pid(const char *s)
{
	uint64_t v = 0;

	for (; *s; s++) {
		if (*s < '0' || *s > '9' || v > UINT32_MAX)
			return 0;
		v = v * 10 + (uint64_t)(*s - '0');
	}
	return v <= UINT32_MAX ? (uint32_t)v : 0;
}

/* "" when the target names no container. */
static const char *container_of_labels(const struct value *labels)
{
	static const char *const runtimes[] = {"docker://", "containerd://", "cri-o://"};
	static const char *const plain[] = {"__meta_docker_container_id",
					    "__meta_dockerswarm_task_container_id"};
	const char *id = targets_value_get(labels, "__container_id__");

	if (*id)
		return id;
	id = targets_value_get(labels, "__meta_kubernetes_pod_container_id");
	for (size_t i = 0; *id && i < ARRAY_SIZE(runtimes); i++) {
		size_t n = strlen(runtimes[i]);

		if (!strncmp(id, runtimes[i], n) && id[n])
			return id + n;
	}
	for (size_t i = 0; i < ARRAY_SIZE(plain); i++) {
		id = targets_value_get(labels, plain[i]);
		if (*id)
			return id;
	}
	return "";
}

static struct target target_of(struct value *labels)
{
	struct target t = {
		.labels = labels,
		.pid = parse_pid(targets_value_get(labels, "__process_pid__")),
	};
	const char *id = container_of_labels(labels);

	if (!t.pid && *id)
		t.container_id = id;
	return t;
}

/* Two ids with one hash: the later one is not found. Ids are random, so is the hash. */
static uint64_t id_hash(const char *id)
{
	return hash_bytes(id, strlen(id));
}

/* A later one with the same process or container replaces an earlier one. */
static int index_put(struct targets *t, size_t i)
{
	const struct target *x = &t->v[i];

	return x->pid ? hash_put(&t->by_pid, x->pid, i)
		      : hash_put(&t->by_container, id_hash(x->container_id), i);
}

static int targets_add(struct targets *t, struct value *labels)
{
	struct target x = target_of(labels);

	if (!x.pid && !x.container_id) {
		t->unusable++;
		return 0;
	}
	value_ref(labels);
	t->v[t->n++] = x;
	return index_put(t, t->n - 1);
}

static struct target *find_same(const struct targets *t, const struct target *x)
{
	struct target *y;
	uint64_t i = x->pid ? hash_get(&t->by_pid, x->pid)
			    : hash_get(&t->by_container, id_hash(x->container_id));

	if (i == HASH_NONE)
		return NULL;
	y = &t->v[i];
	return x->pid || !strcmp(x->container_id, y->container_id) ? y : NULL;
}

/* Is it found, or did a later one with the same process or container replace it? */
static bool counts(const struct targets *t, const struct target *x)
{
	return find_same(t, x) == x;
}

static void take_over(struct targets *now, const struct targets *old)
{
	for (size_t i = 0; i < now->n; i++) {
		struct target *x = &now->v[i];
		const struct target *y = counts(now, x) ? find_same(old, x) : NULL;

		if (!y)
			continue;
		x->stats = y->stats;
		if (value_equal(x->labels, y->labels)) {
			x->start_ticks = y->start_ticks;
			x->gone_ms = y->gone_ms;
		}
	}
}

static bool has_room(struct targets *t)
{
	size_t cap = t->cap ? t->cap * 2 : 64;
	struct target *v;

	if (t->n < t->cap)
		return true;
	v = reallocarray(t->v, cap, sizeof(*v));
	if (!v)
		return false;
	t->v = v;
	t->cap = cap;
	return true;
}

/* Moves one; a former one of the same process or container is replaced. */
static void retire(struct targets *retired, struct target *x)
{
	struct target *there = find_same(retired, x);

	if (there) {
		target_done(there);
		*there = *x;
	} else {
		if (retired->n >= RETIRED_MAX || !has_room(retired))
			return;
		retired->v[retired->n] = *x;
		if (index_put(retired, retired->n) < 0)
			return;
		retired->n++;
	}
	*x = (struct target){0};
}

static void retire_missing(struct targets *old, const struct targets *now, struct targets *retired)
{
	for (size_t i = 0; i < old->n; i++) {
		struct target *x = &old->v[i];

		if (counts(old, x) && !find_same(now, x))
			retire(retired, x);
	}
}

int targets_new(const struct value *list, struct targets *ret)
{
	_cleanup_(targets_done) struct targets fresh = {0};
	size_t n = list ? list->n_items : 0;

	fresh.cap = MAX(n, 1u);
	fresh.v = calloc(fresh.cap, sizeof(*fresh.v));
	if (!fresh.v)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		int r = targets_add(&fresh, list->items[i]);

		if (r < 0)
			return r;
	}
	*ret = fresh;
	fresh = (struct targets){0};
	return 0;
}

void targets_replace(struct targets *t, struct targets *fresh, struct targets *retired)
{
	take_over(fresh, t);
	retire_missing(t, fresh, retired);
	targets_done(t);
	*t = *fresh;
	*fresh = (struct targets){0};
}

bool targets_renamed(const struct targets *t, const struct targets *fresh, const char *prefix)
{
	bool other = false;

	for (size_t i = 0; i < fresh->n && !other; i++) {
		const struct target *x = &fresh->v[i];
		const struct target *y = counts(fresh, x) ? find_same(t, x) : NULL;
		_cleanup_labels_ struct label_set a = {0}, b = {0};

		if (!y || value_equal(x->labels, y->labels))
			continue;
		other = targets_series(x, prefix, &a) < 0 || targets_series(y, prefix, &b) < 0 ||
			!label_set_equal(&a, &b);
	}
	return other;
}

static bool is_other_process(const struct target *t, uint64_t start_ns)
{
	return t->start_ticks && start_ns && start_ns / START_TICK_NS != t->start_ticks;
}

struct target *targets_find(const struct targets *t, uint32_t pid, uint64_t start_ns,
			    const char *container_id)
{
	uint64_t i = pid ? hash_get(&t->by_pid, pid) : HASH_NONE;

	if (i != HASH_NONE && is_other_process(&t->v[i], start_ns))
		i = HASH_NONE;
	if (i == HASH_NONE && container_id && *container_id) {
		i = hash_get(&t->by_container, id_hash(container_id));
		if (i != HASH_NONE && strcmp(t->v[i].container_id, container_id) != 0)
			i = HASH_NONE;
	}
	return i == HASH_NONE ? NULL : &t->v[i];
}

void targets_bind(struct targets *t, bool listed)
{
	uint64_t now = clock_ms();

	if (!process_start_is_true())
		return;
	for (size_t i = 0; i < t->n; i++) {
		struct target *x = &t->v[i];
		uint64_t ticks;

		if (!x->pid || (x->start_ticks && !listed))
			continue;
		ticks = process_start_ticks(x->pid);
		if (x->start_ticks && ticks != x->start_ticks) {
			if (!x->gone_ms)
				x->gone_ms = now;
			if (now - x->gone_ms < REBIND_MS)
				continue;
		}
		x->start_ticks = ticks;
		x->gone_ms = 0;
	}
}

/* The first that is there; "": none. */
static const char *first_label(const struct value *labels, const char *const *names, size_t n)
{
	const char *v = "";

	for (size_t i = 0; i < n && !*v; i++)
		v = targets_value_get(labels, names[i]);
	return v;
}

static void put_service_name(const struct target *t, const char *prefix, struct label_set *ret)
{
	static const char *const own[] = {
		"service_name", "__meta_kubernetes_pod_annotation_pyroscope_io_service_name"};
	static const char *const container[] = {"__meta_docker_container_name",
						"__meta_dockerswarm_container_label_service_name",
						"__meta_dockerswarm_service_name"};
	const char *name = first_label(t->labels, own, ARRAY_SIZE(own));
	const char *space = targets_value_get(t->labels, "__meta_kubernetes_namespace");
	const char *pod = targets_value_get(t->labels, "__meta_kubernetes_pod_container_name");
	_cleanup_free_ char *joined = NULL;

	if (!*name && *space && *pod) {
		if (asprintf(&joined, "%s/%s/%s", prefix, space, pod) < 0) {
			joined = NULL;
			ret->failed = true;
			return;
		}
		name = joined;
	}
	if (!*name)
		name = first_label(t->labels, container, ARRAY_SIZE(container));
	label_set_put(ret, "service_name", *name ? name : "unspecified");
}

int targets_series(const struct target *t, const char *prefix, struct label_set *ret)
{
	_cleanup_labels_ struct label_set set = {0};

	for (size_t i = 0; i < t->labels->n_fields; i++) {
		const char *name = t->labels->fields[i].key;

		if (strncmp(name, "__", 2) != 0 || !strcmp(name, "__process_pid__") ||
		    !strcmp(name, "__container_id__"))
			label_set_put(&set, name, t->labels->fields[i].value->s);
	}
	put_service_name(t, prefix, &set);
	label_set_put(&set, "__name__", "process_cpu");
	if (t->container_id)
		label_set_put(&set, "__container_id__", t->container_id);
	if (set.failed)
		return -ENOMEM;
	*ret = set;
	set = (struct label_set){0};
	return 0;
}
