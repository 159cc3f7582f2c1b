/* SPDX-License-Identifier: Apache-2.0 */
#include "discovery/kubernetes/object.h"

#include <errno.h>
#include <string.h>

#define ALIGNMENT sizeof(uint32_t)

static const struct kube_node *node_at(const struct kube_object *o, uint32_t offset)
{
	return (const struct kube_node *)(o->data + offset);
}

const struct kube_node *kube_object_root(const struct kube_object *o)
{
	return node_at(o, 0);
}

const struct kube_node *kube_first(const struct kube_object *o, const struct kube_node *n)
{
	return n && n->value ? node_at(o, n->value) : NULL;
}

const struct kube_node *kube_next(const struct kube_object *o, const struct kube_node *n)
{
	return n->next ? node_at(o, n->next) : NULL;
}

const struct kube_node *kube_field(const struct kube_object *o, const struct kube_node *n,
				   enum kube_key key)
{
	for (n = kube_first(o, n); n; n = kube_next(o, n)) {
		if (n->key == key)
			return n;
	}
	return NULL;
}

const char *kube_text(const struct kube_object *o, const struct kube_node *n)
{
	return n && n->value ? (const char *)o->data + n->value : "";
}

const char *kube_entry_name(const struct kube_object *o, const struct kube_node *n)
{
	return n->name ? (const char *)o->data + n->name : "";
}

const char *kube_get(const struct kube_object *o, const struct kube_node *n, enum kube_key key)
{
	return kube_text(o, kube_field(o, n, key));
}

const char *kube_name(const struct kube_object *o)
{
	return kube_get(o, kube_field(o, kube_object_root(o), KUBE_METADATA), KUBE_NAME);
}

const char *kube_namespace(const struct kube_object *o)
{
	return kube_get(o, kube_field(o, kube_object_root(o), KUBE_METADATA), KUBE_NAMESPACE);
}

bool kube_object_equal(const struct kube_object *a, const struct kube_object *b)
{
	return a->bytes == b->bytes && !memcmp(a->data, b->data, a->bytes);
}

static struct kube_node *builder_node(struct kube_builder *b, uint32_t offset)
{
	return (struct kube_node *)(b->block.data + offset);
}

void kube_builder_begin(struct kube_builder *b)
{
	/* buf_done() and not _reset(): after a failure it may be used again. */
	buf_done(&b->block);
	b->block = BUF_INIT(KUBE_OBJECT_MAX_BYTES);
	b->depth = 0;
	b->nodes = 0;
	b->failed = 0;
	b->last[0] = 0;
	kube_builder_add(b, KUBE_NONE, NULL, NULL);
}

void kube_builder_done(struct kube_builder *b)
{
	buf_done(&b->block);
}

static uint32_t add_text(struct kube_builder *b, const char *s)
{
	uint32_t at = (uint32_t)b->block.len;

	buf_add(&b->block, s, strlen(s) + 1);
	return at;
}

void kube_builder_add(struct kube_builder *b, enum kube_key key, const char *name, const char *text)
{
	uint32_t at, parent = b->depth ? b->last[b->depth - 1] : 0, before = b->last[b->depth];
	struct kube_node n = {.key = key};
	static const uint8_t zero[ALIGNMENT];

	if (b->failed)
		return;
	if (++b->nodes > KUBE_OBJECT_MAX_NODES) {
		b->failed = -E2BIG;
		return;
	}
	buf_add(&b->block, zero, -b->block.len % ALIGNMENT);
	at = (uint32_t)b->block.len;
	buf_add(&b->block, &n, sizeof(n));
	if (name)
		n.name = add_text(b, name);
	if (text)
		n.value = add_text(b, text);
	if (b->block.failed) {
		b->failed = b->block.failed;
		return;
	}
	memcpy(b->block.data + at, &n, sizeof(n));
	if (!at)
		return;
	if (before)
		builder_node(b, before)->next = at;
	else
		builder_node(b, parent)->value = at;
	b->last[b->depth] = at;
}

void kube_builder_enter(struct kube_builder *b)
{
	if (b->failed)
		return;
	if (b->depth + 1 >= ARRAY_SIZE(b->last)) {
		b->failed = -E2BIG;
		return;
	}
	b->last[++b->depth] = 0;
}

void kube_builder_leave(struct kube_builder *b)
{
	if (!b->failed && b->depth)
		b->depth--;
}

struct kube_object *kube_builder_take(struct kube_builder *b)
{
	struct kube_object *o;

	if (b->failed)
		return NULL;
	o = malloc(sizeof(*o) + b->block.len);
	if (!o) {
		b->failed = -ENOMEM;
		return NULL;
	}
	o->bytes = (uint32_t)b->block.len;
	memcpy(o->data, b->block.data, b->block.len);
	return o;
}
