/* SPDX-License-Identifier: Apache-2.0 */
/* Lists and watches of the Kubernetes API, in pieces of any size, down to targets. The first byte
 * is the kind; its highest bit: a watch, the two below it: what is attached. */
#include <stdint.h>
#include <string.h>

#include "discovery/kubernetes/reader.h"
#include "discovery/kubernetes/view.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_label(void *data, bool shared, const char *prefix, const char *name,
		     const char *value)
{
	size_t *n = data;

	*n += strlen(prefix) + (name ? strlen(name) : 0) + strlen(value) + shared;
}

static void on_target(void *data)
{
	*(size_t *)data += 1;
}

static int on_event(const struct kube_event *e, void *data)
{
	struct kube_view *v = data;

	if (e->object)
		(void)kube_store_put(&v->stores[kube_view_primary(v)], e->object);
	return 0;
}

static void build(struct kube_view *v)
{
	struct kube_store *s = &v->stores[kube_view_primary(v)];
	size_t n = 0;
	struct kube_sink sink = {on_label, on_target, &n};

	for (size_t i = 0; i < s->n; i++) {
		if (kube_view_stale(v, &s->v[i]))
			(void)kube_view_build(v, &s->v[i], &sink);
		s->v[i].built = v->clock;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum kube_role roles[KUBE_KINDS] = {
		[KUBE_POD] = KUBE_ROLE_POD,
		[KUBE_NODE] = KUBE_ROLE_NODE,
		[KUBE_NAMESPACE_OBJECT] = KUBE_ROLE_POD,
		[KUBE_SERVICE] = KUBE_ROLE_SERVICE,
		[KUBE_ENDPOINTS_OBJECT] = KUBE_ROLE_ENDPOINTS,
		[KUBE_ENDPOINTSLICE] = KUBE_ROLE_ENDPOINTSLICE,
		[KUBE_INGRESS_OBJECT] = KUBE_ROLE_INGRESS,
	};
	struct kube_reader *r = NULL;
	struct kube_view v;
	enum kube_kind kind;
	size_t step = size % 31 + 1;

	if (!size)
		return 0;
	kind = (data[0] & 0x1f) % KUBE_KINDS;
	kube_view_init(&v, roles[kind], data[0] & 0x40, data[0] & 0x20, free);
	if (kube_reader_new(kind, data[0] & 0x80, on_event, &v, &r) < 0)
		return 0;
	for (size_t i = 1; i < size; i += step) {
		if (kube_reader_feed(r, data + i, MIN(step, size - i)) < 0)
			break;
	}
	(void)kube_reader_end(r);
	build(&v);
	kube_reader_free(r);
	kube_view_done(&v);
	return 0;
}
