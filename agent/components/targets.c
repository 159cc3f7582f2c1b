/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/components/targets.h"

#include <errno.h>
#include <string.h>

static void target_done(struct target *t)
{
	label_set_done(&t->labels);
	free(t->container_id);
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

	if (!s || !*s)
		return 0;
	for (; *s; s++) {
		if (*s < '0' || *s > '9' || v > UINT32_MAX)
			return 0;
		v = v * 10 + (uint64_t)(*s - '0');
	}
	return v <= UINT32_MAX ? (uint32_t)v : 0;
}

/* "" when the target names no container. */
static const char *container_of_labels(const struct label_set *l)
{
	static const char *const runtimes[] = {"docker://", "containerd://", "cri-o://"};
	static const char *const plain[] = {"__meta_docker_container_id",
					    "__meta_dockerswarm_task_container_id"};
	const char *id = label_set_get(l, "__container_id__");

	if (id && *id)
		return id;
	id = label_set_get(l, "__meta_kubernetes_pod_container_id");
	for (size_t i = 0; id && i < ARRAY_SIZE(runtimes); i++) {
		size_t n = strlen(runtimes[i]);

		if (!strncmp(id, runtimes[i], n) && id[n])
			return id + n;
	}
	for (size_t i = 0; i < ARRAY_SIZE(plain); i++) {
		id = label_set_get(l, plain[i]);
		if (id && *id)
			return id;
	}
	return "";
}

static int target_init(struct target *t, const struct value *object)
{
	const char *id;

	for (size_t i = 0; i < object->n_fields; i++)
		label_set_put(&t->labels, object->fields[i].key, object->fields[i].value->s);
	if (t->labels.failed)
		return -ENOMEM;
	t->pid = parse_pid(label_set_get(&t->labels, "__process_pid__"));
	id = container_of_labels(&t->labels);
	if (!t->pid && *id) {
		t->container_id = strdup(id);
		if (!t->container_id)
			return -ENOMEM;
	}
	return 0;
}

/* Two ids with one hash: the later one is not found. Ids are random, so is the hash. */
static uint64_t id_hash(const char *id)
{
	return hash_bytes(id, strlen(id));
}

static int targets_add(struct targets *t, const struct value *object)
{
	struct target *x = &t->v[t->n];
	int r = target_init(x, object);

	if (r < 0 || (!x->pid && !x->container_id)) {
		target_done(x);
		*x = (struct target){0};
		t->unusable++;
		return r;
	}
	/* A later one with the same process or container replaces an earlier one. */
	r = x->pid ? hash_put(&t->by_pid, x->pid, t->n)
		   : hash_put(&t->by_container, id_hash(x->container_id), t->n);
	t->n++;
	return r;
}

int targets_set(struct targets *t, const struct value *list)
{
	_cleanup_(targets_done) struct targets fresh = {0};
	size_t n = list ? list->n_items : 0;

	fresh.v = calloc(MAX(n, 1u), sizeof(*fresh.v));
	if (!fresh.v)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		int r = targets_add(&fresh, list->items[i]);

		if (r < 0)
			return r;
	}
	targets_done(t);
	*t = fresh;
	fresh = (struct targets){0};
	return 0;
}

const struct target *targets_find(const struct targets *t, uint32_t pid, const char *container_id)
{
	uint64_t i = pid ? hash_get(&t->by_pid, pid) : HASH_NONE;

	if (i == HASH_NONE && container_id && *container_id) {
		i = hash_get(&t->by_container, id_hash(container_id));
		if (i != HASH_NONE && strcmp(t->v[i].container_id, container_id) != 0)
			i = HASH_NONE;
	}
	return i == HASH_NONE ? NULL : &t->v[i];
}

static const char *first_label(const struct label_set *l, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *v = label_set_get(l, names[i]);

		if (v && *v)
			return v;
	}
	return NULL;
}

static void put_service_name(const struct target *t, const char *prefix, struct label_set *ret)
{
	static const char *const own[] = {
		"service_name", "__meta_kubernetes_pod_annotation_pyroscope_io_service_name"};
	static const char *const container[] = {"__meta_docker_container_name",
						"__meta_dockerswarm_container_label_service_name",
						"__meta_dockerswarm_service_name"};
	const char *name = first_label(&t->labels, own, ARRAY_SIZE(own));
	const char *space = label_set_get(&t->labels, "__meta_kubernetes_namespace");
	const char *pod = label_set_get(&t->labels, "__meta_kubernetes_pod_container_name");
	_cleanup_free_ char *joined = NULL;

	if (!name && space && *space && pod && *pod) {
		if (asprintf(&joined, "%s/%s/%s", prefix, space, pod) < 0) {
			joined = NULL;
			ret->failed = true;
		}
		name = joined;
	}
	if (!name)
		name = first_label(&t->labels, container, ARRAY_SIZE(container));
	label_set_put(ret, "service_name", name ? name : "unspecified");
}

int targets_series(const struct target *t, const char *prefix, struct label_set *ret)
{
	_cleanup_labels_ struct label_set set = {0};

	for (size_t i = 0; i < t->labels.n; i++) {
		if (strncmp(t->labels.v[i].name, "__", 2) != 0)
			label_set_put(&set, t->labels.v[i].name, t->labels.v[i].value);
	}
	put_service_name(t, prefix, &set);
	label_set_put(&set, "__name__", "process_cpu");
	if (set.failed)
		return -ENOMEM;
	*ret = set;
	set = (struct label_set){0};
	return 0;
}
