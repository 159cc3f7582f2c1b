/* SPDX-License-Identifier: Apache-2.0 */
#include "discovery/kubernetes/store.h"

#include <errno.h>
#include <string.h>

void kube_store_init(struct kube_store *s, uint64_t *clock, void (*release)(void *user))
{
	*s = (struct kube_store){.clock = clock, .release = release};
}

static void entry_done(struct kube_store *s, struct kube_entry *e)
{
	s->bytes -= e->object->bytes;
	if (e->user)
		s->release(e->user);
	free(e->object);
}

void kube_store_done(struct kube_store *s)
{
	for (size_t i = 0; i < s->n; i++)
		entry_done(s, &s->v[i]);
	free(s->v);
	s->v = NULL;
	s->n = s->cap = 0;
}

static int compare(const struct kube_object *o, const char *namespace, const char *name)
{
	int r = strcmp(kube_namespace(o), namespace);

	return r ? r : strcmp(kube_name(o), name);
}

/* The place where it is, or where it belongs. */
static size_t place(const struct kube_store *s, const char *namespace, const char *name,
		    bool *ret_found)
{
	size_t at;

	*ret_found = false;
	/* A list comes in order: as a rule it belongs at the end. */
	if (s->n && compare(s->v[s->n - 1].object, namespace, name) < 0)
		return s->n;
	at = PARTITION_POINT(mid, 0, s->n, compare(s->v[mid].object, namespace, name) < 0);
	*ret_found = at < s->n && !compare(s->v[at].object, namespace, name);
	return at;
}

struct kube_entry *kube_store_find(const struct kube_store *s, const char *namespace,
				   const char *name)
{
	bool found;
	size_t i = place(s, namespace, name, &found);

	return found ? &s->v[i] : NULL;
}

static int replace(struct kube_store *s, struct kube_entry *e, struct kube_object *o)
{
	e->seen = true;
	if (kube_object_equal(e->object, o)) {
		free(o);
		return 0;
	}
	s->bytes += o->bytes;
	s->bytes -= e->object->bytes;
	free(e->object);
	e->object = o;
	e->changed = ++*s->clock;
	return 1;
}

static int insert(struct kube_store *s, size_t i, struct kube_object *o)
{
	if (s->n == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 64;
		struct kube_entry *v = realloc(s->v, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		s->v = v;
		s->cap = cap;
	}
	memmove(&s->v[i + 1], &s->v[i], (s->n - i) * sizeof(*s->v));
	s->v[i] = (struct kube_entry){.object = o, .changed = ++*s->clock, .seen = true};
	s->n++;
	s->bytes += o->bytes;
	return 1;
}

int kube_store_put(struct kube_store *s, struct kube_object *o)
{
	const char *name = kube_name(o);
	bool found;
	size_t i = place(s, kube_namespace(o), name, &found);
	size_t others = s->bytes - (found ? s->v[i].object->bytes : 0);
	int r;

	if (!*name)
		r = -EINVAL;
	else if (others + o->bytes > KUBE_STORE_MAX_BYTES ||
		 (!found && s->n >= KUBE_STORE_MAX_OBJECTS))
		r = -E2BIG;
	else
		r = found ? replace(s, &s->v[i], o) : insert(s, i, o);
	if (r < 0)
		free(o);
	return r;
}

bool kube_store_remove(struct kube_store *s, const char *namespace, const char *name)
{
	bool found;
	size_t i = place(s, namespace, name, &found);

	if (!found)
		return false;
	entry_done(s, &s->v[i]);
	s->n--;
	memmove(&s->v[i], &s->v[i + 1], (s->n - i) * sizeof(*s->v));
	s->removed = ++*s->clock;
	return true;
}

void kube_store_mark(struct kube_store *s, const char *namespace)
{
	for (size_t i = 0; i < s->n; i++) {
		if (!namespace || !strcmp(kube_namespace(s->v[i].object), namespace))
			s->v[i].seen = false;
	}
}

size_t kube_store_sweep(struct kube_store *s, const char *namespace)
{
	size_t kept = 0, gone;

	for (size_t i = 0; i < s->n; i++) {
		struct kube_entry *e = &s->v[i];

		if (e->seen || (namespace && strcmp(kube_namespace(e->object), namespace) != 0))
			s->v[kept++] = *e;
		else
			entry_done(s, e);
	}
	gone = s->n - kept;
	s->n = kept;
	if (gone)
		s->removed = ++*s->clock;
	return gone;
}
