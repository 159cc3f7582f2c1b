/* SPDX-License-Identifier: Apache-2.0 */
#include "discovery/kubernetes/reader.h"

#include <errno.h>
#include <string.h>

/* What is open around the present place in the document. */
enum place {
	PLACE_TOP,	 /* the list or the event */
	PLACE_LIST_META, /* metadata of the list */
	PLACE_ITEMS,	 /* its array of objects */
	PLACE_OBJECT,	 /* an object: the fields of a shape */
	PLACE_LIST,	 /* an array of such objects */
	PLACE_STRINGS,
	PLACE_MAP,
};

struct frame {
	enum place place;
	const struct kube_shape *shape; /* of PLACE_OBJECT and those below it */
};

#define MAX_FRAMES 16 /* the deepest shape takes 9 */

struct kube_reader {
	struct json json;
	kube_event_fn fn;
	void *data;
	const struct kube_shape *shape;
	bool watch, has_items;
	struct frame frames[MAX_FRAMES];
	unsigned int depth;
	/* What the value that comes next is: one of these, or nothing that is wanted. */
	const struct kube_shape *field; /* a field of the object */
	char **scalar;			/* a text that is kept here */
	enum place opens;		/* with `wanted`: a part of the envelope */
	bool wanted;
	char *entry; /* the key in a PLACE_MAP */
	struct kube_builder builder;
	struct kube_status status;
	char *type, *version, *list_version, *list_continue;
	bool has_object;
	size_t since; /* bytes since the last object was complete */
};

static int on_json(const struct json_event *e, void *data);

static void clear(char **s)
{
	free(*s);
	*s = NULL;
}

static void status_clear(struct kube_status *s)
{
	clear(&s->kind);
	clear(&s->message);
	clear(&s->reason);
	clear(&s->code);
}

int kube_reader_new(enum kube_kind kind, bool watch, kube_event_fn fn, void *data,
		    struct kube_reader **ret)
{
	struct kube_reader *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->fn = fn;
	r->data = data;
	r->shape = kube_shape(kind);
	r->watch = watch;
	json_init(&r->json, KUBE_OBJECT_MAX_STRING, on_json, r);
	*ret = r;
	return 0;
}

struct kube_reader *kube_reader_free(struct kube_reader *r)
{
	if (!r)
		return NULL;
	json_done(&r->json);
	kube_builder_done(&r->builder);
	status_clear(&r->status);
	clear(&r->entry);
	clear(&r->type);
	clear(&r->version);
	clear(&r->list_version);
	clear(&r->list_continue);
	free(r);
	return NULL;
}

static const char *text_or_empty(const char *s)
{
	return s ? s : "";
}

const char *kube_reader_version(const struct kube_reader *r)
{
	return text_or_empty(r->list_version);
}

const char *kube_reader_continue(const struct kube_reader *r)
{
	return text_or_empty(r->list_continue);
}

const struct kube_status *kube_reader_status(const struct kube_reader *r)
{
	return &r->status;
}

static struct frame *top(struct kube_reader *r)
{
	return r->depth ? &r->frames[r->depth - 1] : NULL;
}

static int push(struct kube_reader *r, enum place place, const struct kube_shape *shape)
{
	if (r->depth >= MAX_FRAMES)
		return -E2BIG;
	r->frames[r->depth++] = (struct frame){place, shape};
	return 0;
}

static void want_nothing(struct kube_reader *r)
{
	r->field = NULL;
	r->scalar = NULL;
	r->wanted = false;
}

static int dispatch(struct kube_reader *r, enum kube_event_type type)
{
	struct kube_event e = {
		.type = type, .version = text_or_empty(r->version), .status = &r->status};
	int ret;

	if (type != KUBE_EVENT_BOOKMARK && type != KUBE_EVENT_ERROR && type != KUBE_EVENT_UNKNOWN) {
		e.object = kube_builder_take(&r->builder);
		if (!e.object && r->builder.failed == -ENOMEM)
			return -ENOMEM;
	}
	r->since = 0;
	ret = r->fn(&e, r->data);
	clear(&r->version);
	return MIN(ret, 0);
}

static int event_end(struct kube_reader *r)
{
	static const struct {
		const char *name;
		enum kube_event_type type;
	} types[] = {{"ADDED", KUBE_EVENT_ADDED},
		     {"MODIFIED", KUBE_EVENT_MODIFIED},
		     {"DELETED", KUBE_EVENT_DELETED},
		     {"BOOKMARK", KUBE_EVENT_BOOKMARK},
		     {"ERROR", KUBE_EVENT_ERROR}};
	enum kube_event_type type = KUBE_EVENT_UNKNOWN;
	int ret;

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		if (r->type && !strcmp(r->type, types[i].name))
			type = types[i].type;
	}
	/* A refusal comes as a status without an event around it. */
	if (!r->type && r->status.kind)
		type = KUBE_EVENT_ERROR;
	else if (!r->has_object)
		type = KUBE_EVENT_UNKNOWN;
	ret = dispatch(r, type);
	clear(&r->type);
	r->has_object = false;
	return ret;
}

/* The texts of a status stand where an object's fields do. */
static char **status_field(struct kube_reader *r, const char *key)
{
	return !strcmp(key, "kind")	 ? &r->status.kind
	       : !strcmp(key, "message") ? &r->status.message
	       : !strcmp(key, "reason")	 ? &r->status.reason
	       : !strcmp(key, "code")	 ? &r->status.code
					 : NULL;
}

static void top_key(struct kube_reader *r, const char *key)
{
	r->wanted = true;
	if (r->watch && !strcmp(key, "object"))
		r->opens = PLACE_OBJECT;
	else if (r->watch && !strcmp(key, "type"))
		r->scalar = &r->type;
	else if (!r->watch && !strcmp(key, "metadata"))
		r->opens = PLACE_LIST_META;
	else if (!r->watch && !strcmp(key, "items"))
		r->opens = PLACE_ITEMS;
	else
		r->scalar = status_field(r, key);
	/* "items": null is an empty list. */
	r->has_items = r->has_items || r->opens == PLACE_ITEMS;
	r->wanted = r->scalar || r->opens != PLACE_TOP;
}

static void object_key(struct kube_reader *r, const struct frame *f, const char *key)
{
	if (f->shape == r->shape && r->watch)
		r->scalar = status_field(r, key);
	else if (f->shape->key == KUBE_METADATA && !strcmp(key, "resourceVersion"))
		r->scalar = &r->version;
	for (size_t i = 0; i < f->shape->n && !r->scalar && !r->field; i++) {
		if (!strcmp(key, kube_key_name(f->shape->fields[i].key)))
			r->field = &f->shape->fields[i];
	}
	r->wanted = r->scalar || r->field;
}

static int on_key(struct kube_reader *r, const struct json_event *e)
{
	struct frame *f = top(r);

	want_nothing(r);
	r->opens = PLACE_TOP;
	switch (f->place) {
	case PLACE_TOP:
		top_key(r, e->s);
		break;
	case PLACE_LIST_META:
		r->scalar = !strcmp(e->s, "resourceVersion") ? &r->list_version
			    : !strcmp(e->s, "continue")	     ? &r->list_continue
							     : NULL;
		r->wanted = r->scalar;
		break;
	case PLACE_OBJECT:
		object_key(r, f, e->s);
		break;
	case PLACE_MAP:
		clear(&r->entry);
		r->entry = strdup(e->s);
		if (!r->entry)
			return -ENOMEM;
		r->wanted = true;
		break;
	case PLACE_ITEMS:
	case PLACE_LIST:
	case PLACE_STRINGS:
		break;
	}
	if (!r->wanted)
		json_skip(&r->json);
	return 0;
}

static int on_scalar(struct kube_reader *r, const char *text)
{
	const struct frame *f = top(r);

	if (!f)
		return -EBADMSG;
	if (r->scalar) {
		clear(r->scalar);
		*r->scalar = strdup(text);
		if (!*r->scalar)
			return -ENOMEM;
	} else if (r->field && r->field->form == KUBE_SCALAR) {
		kube_builder_add(&r->builder, r->field->key, NULL, text);
	} else if (f->place == PLACE_STRINGS) {
		kube_builder_add(&r->builder, KUBE_NONE, NULL, text);
	} else if (f->place == PLACE_MAP && r->entry) {
		kube_builder_add(&r->builder, KUBE_NONE, r->entry, text);
	}
	want_nothing(r);
	return r->builder.failed == -ENOMEM ? -ENOMEM : 0;
}

static int object_begin(struct kube_reader *r)
{
	clear(&r->version);
	kube_builder_begin(&r->builder);
	kube_builder_enter(&r->builder);
	r->has_object = true;
	return push(r, PLACE_OBJECT, r->shape);
}

/* A field that is an object or array: its node, and what is in it follows. */
static int field_begin(struct kube_reader *r, enum place place, const struct kube_shape *shape)
{
	kube_builder_add(&r->builder, shape->key, NULL, NULL);
	kube_builder_enter(&r->builder);
	return push(r, place, shape);
}

static int on_open(struct kube_reader *r, bool object)
{
	const struct kube_shape *field = r->field;
	const struct frame *f = top(r);
	bool wanted = r->wanted && !r->scalar;
	int ret = -ENOENT;

	want_nothing(r);
	if (!f) {
		if (!object)
			return -EBADMSG;
		status_clear(&r->status);
		return push(r, PLACE_TOP, NULL);
	}
	if (f->place == PLACE_TOP && wanted) {
		if (r->opens == PLACE_ITEMS && !object) {
			ret = push(r, PLACE_ITEMS, NULL);
		} else if (r->opens == PLACE_LIST_META && object) {
			ret = push(r, PLACE_LIST_META, NULL);
		} else if (r->opens == PLACE_OBJECT && object) {
			ret = object_begin(r);
		}
	} else if (f->place == PLACE_ITEMS && object) {
		ret = object_begin(r);
	} else if (f->place == PLACE_LIST && object) {
		kube_builder_add(&r->builder, KUBE_NONE, NULL, NULL);
		kube_builder_enter(&r->builder);
		ret = push(r, PLACE_OBJECT, f->shape);
	} else if (field && object && field->form == KUBE_FIELDS) {
		ret = field_begin(r, PLACE_OBJECT, field);
	} else if (field && object && field->form == KUBE_MAP) {
		ret = field_begin(r, PLACE_MAP, field);
	} else if (field && !object && field->form == KUBE_LIST) {
		ret = field_begin(r, PLACE_LIST, field);
	} else if (field && !object && field->form == KUBE_STRINGS) {
		ret = field_begin(r, PLACE_STRINGS, field);
	}
	/* Not what the API has here. */
	if (ret == -ENOENT) {
		json_skip(&r->json);
		ret = 0;
	}
	return ret;
}

static int on_close(struct kube_reader *r)
{
	const struct frame *f = top(r);
	enum place place = f->place;

	want_nothing(r);
	r->depth--;
	if (place != PLACE_TOP && place != PLACE_LIST_META && place != PLACE_ITEMS)
		kube_builder_leave(&r->builder);
	if (place == PLACE_OBJECT && r->depth && top(r)->place == PLACE_ITEMS)
		return dispatch(r, KUBE_EVENT_ITEM);
	if (place == PLACE_TOP && r->watch)
		return event_end(r);
	return 0;
}

static int on_json(const struct json_event *e, void *data)
{
	struct kube_reader *r = data;

	switch (e->type) {
	case JSON_OBJECT:
	case JSON_ARRAY:
		return on_open(r, e->type == JSON_OBJECT);
	case JSON_OBJECT_END:
	case JSON_ARRAY_END:
		return on_close(r);
	case JSON_KEY:
		return on_key(r, e);
	case JSON_STRING:
	case JSON_NUMBER:
		/* A token of the server that is cut would be another one. */
		if (e->cut && r->scalar && r->scalar != &r->status.message)
			return -E2BIG;
		return on_scalar(r, e->s);
	case JSON_TRUE:
		return on_scalar(r, "true");
	case JSON_FALSE:
		return on_scalar(r, "false");
	case JSON_NULL:
		want_nothing(r);
		return r->depth ? 0 : -EBADMSG;
	case JSON_DONE:
		/* The API answers with objects only; an HTML page never comes so far. */
		r->since = 0;
		return 0;
	}
	return -EBADMSG;
}

int kube_reader_feed(struct kube_reader *r, const void *p, size_t n)
{
	int ret;

	r->since += n;
	ret = json_feed(&r->json, p, n);
	return !ret && r->since > KUBE_ITEM_MAX_BYTES ? -E2BIG : ret;
}

int kube_reader_end(struct kube_reader *r)
{
	int ret = json_end(&r->json);

	if (ret < 0 || r->watch)
		return ret;
	return r->has_items || r->list_version ? 0 : -EBADMSG;
}
