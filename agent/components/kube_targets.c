/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/components/kube_targets.h"

#include <errno.h>

#include "agent/components/targets_value.h"

struct made {
	struct value_list shared, target, all;
};

static void on_label(void *data, bool shared, const char *prefix, const char *name,
		     const char *value)
{
	struct made *m = data;
	struct value_list *to = shared ? &m->shared : &m->target;

	if (name)
		targets_value_put_named(to, prefix, name, value);
	else
		targets_value_put(to, prefix, value);
}

static void on_target(void *data)
{
	struct made *m = data;
	struct value_list one = {0};

	/* The texts are shared; what is said of one target comes last and wins. */
	for (size_t i = 0; i < m->shared.n; i++)
		value_list_share(&one, value_list_get(&m->shared, i));
	for (size_t i = 0; i < m->target.n; i++)
		value_list_share(&one, value_list_get(&m->target, i));
	one.failed = one.failed || m->shared.failed || m->target.failed;
	value_list_done(&m->target);
	targets_value_add(&m->all, &one);
}

static int build(struct kube_view *v, struct kube_entry *e, uint64_t *left_out)
{
	struct made m = {0};
	struct kube_sink sink = {on_label, on_target, &m};
	struct value *targets;

	*left_out += kube_view_build(v, e, &sink);
	value_list_done(&m.shared);
	value_list_done(&m.target);
	targets = targets_value_array(&m.all);
	if (!targets)
		return -ENOMEM;
	value_unref(e->user);
	e->user = targets;
	e->built = v->clock;
	return 0;
}

void kube_targets_release(void *user)
{
	value_unref(user);
}

int kube_targets_step(struct kube_view *v, size_t budget, uint64_t *left_out)
{
	struct kube_store *s = &v->stores[kube_view_primary(v)];

	for (size_t i = 0; i < s->n; i++) {
		int r;

		if (!kube_view_stale(v, &s->v[i]))
			continue;
		if (!budget--)
			return 0;
		r = build(v, &s->v[i], left_out);
		if (r < 0)
			return r;
	}
	return 1;
}

struct value *kube_targets_list(const struct kube_view *v)
{
	const struct kube_store *s = &v->stores[kube_view_primary(v)];
	struct value_list l = {0};

	for (size_t i = 0; i < s->n; i++) {
		const struct value *targets = s->v[i].user;

		for (size_t k = 0; targets && k < targets->n_items; k++)
			value_list_add(&l, NULL, value_ref(targets->items[k]));
	}
	return targets_value_array(&l);
}
