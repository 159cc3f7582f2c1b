/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/components/docker_reply.h"

#include <errno.h>
#include <string.h>

#include "agent/config/data.h"
#include "discovery/json.h"

/* A member that is wanted, and which ones of what is inside; NULL: all. The last one of a table has
 * no name: what is inside of all others. */
struct member {
	const struct value_key *name;
	const struct member *inside;
};
#define MEMBER(name, ...)                          \
	{                                          \
		VALUE_KEY_CONST(name), __VA_ARGS__ \
	}

static const struct member endpoint[] = {MEMBER("NetworkID"), MEMBER("IPAddress"), {NULL}};
static const struct member endpoints[] = {{NULL, endpoint}};
static const struct member settings[] = {MEMBER("Networks", endpoints), {NULL}};
static const struct member host_config[] = {MEMBER("NetworkMode"), {NULL}};
static const struct member port[] = {
	MEMBER("IP"), MEMBER("PrivatePort"), MEMBER("PublicPort"), MEMBER("Type"), {NULL},
};
/* Of a container and of a network: no name means different things in them. */
static const struct member top[] = {
	MEMBER("Id"),
	MEMBER("Labels"),
	MEMBER("Names"),
	MEMBER("Ports", port),
	MEMBER("HostConfig", host_config),
	MEMBER("NetworkSettings", settings),
	MEMBER("Name"),
	MEMBER("Scope"),
	MEMBER("Internal"),
	MEMBER("Ingress"),
	{NULL},
};

/* An object or array that is being read. */
struct level {
	const struct member *wanted; /* of its members, or of those of its elements; NULL: all */
	struct value_list items;
	/* Of the value that comes next, in an object. */
	const struct member *member; /* NULL, or without a name: it is called as key says */
	struct buf key;
	bool object;
};

struct reader {
	struct json json;
	struct level *levels;
	size_t depth, room, values;
	struct value *whole;
};

static const struct member *find(const struct member *m, const char *key)
{
	while (m->name && strcmp(m->name->text, key) != 0)
		m++;
	return m->name || m->inside ? m : NULL;
}

static int on_key(struct reader *r, const struct json_event *e)
{
	struct level *l = &r->levels[r->depth - 1];

	l->member = l->wanted ? find(l->wanted, e->s) : NULL;
	if (l->wanted && !l->member)
		json_skip(&r->json);
	if ((l->wanted && !l->member) || (l->member && l->member->name))
		return 0;
	buf_reset(&l->key);
	buf_add(&l->key, e->s, e->len);
	return l->key.failed;
}

static int put(struct reader *r, struct value *v)
{
	struct level *l = r->depth ? &r->levels[r->depth - 1] : NULL;

	if (!v)
		return -ENOMEM;
	if (!l) {
		r->whole = v;
		return 0;
	}
	if (l->object && l->member && l->member->name)
		value_list_put(&l->items, l->member->name, v);
	else
		value_list_add(&l->items, l->object ? buf_cstr(&l->key) : NULL, v);
	return l->items.failed ? -ENOMEM : 0;
}

static int on_open(struct reader *r, bool object)
{
	const struct level *above = r->depth ? &r->levels[r->depth - 1] : NULL;
	const struct member *wanted = top;
	struct level *l;

	if (above && above->object)
		wanted = above->member ? above->member->inside : NULL;
	else if (above)
		wanted = above->wanted;

	if (r->depth == r->room) {
		size_t room = r->room ? r->room * 2 : 8;
		struct level *more = reallocarray(r->levels, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		r->levels = more;
		for (; r->room < room; r->room++)
			more[r->room] = (struct level){.key = BUF_INIT(VALUE_MAX_STRING)};
	}
	l = &r->levels[r->depth++];
	l->wanted = wanted;
	l->member = NULL;
	l->object = object;
	return 0;
}

static int on_close(struct reader *r)
{
	struct level *l = &r->levels[--r->depth];

	return put(r, l->object ? value_object(&l->items) : value_array(&l->items));
}

/* Ports are all the numbers that are read: what is none of 0 to 99999999 is 0. */
static struct value *number(const struct json_event *e)
{
	int64_t n = 0;

	for (size_t i = 0; i < e->len; i++) {
		if (e->s[i] < '0' || e->s[i] > '9' || i >= 8)
			return value_int(0);
		n = n * 10 + (e->s[i] - '0');
	}
	return value_int(n);
}

static int on_json(const struct json_event *e, void *data)
{
	struct reader *r = data;

	if (++r->values > DATA_MAX_VALUES)
		return -E2BIG;
	if (r->whole && e->type != JSON_DONE)
		return -EBADMSG;
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
		return put(r, value_string(e->s, e->len));
	case JSON_NUMBER:
		return put(r, number(e));
	case JSON_TRUE:
	case JSON_FALSE:
		return put(r, value_bool(e->type == JSON_TRUE));
	case JSON_NULL:
		return put(r, value_null());
	case JSON_DONE:
		return 0;
	}
	return -EINVAL;
}

static void explain(int err, char *why, size_t size)
{
	const char *text = err == -E2BIG     ? "the reply has too many values or levels"
			   : err == -EBADMSG ? "the reply is no JSON"
					     : strerror(-err);

	(void)snprintf(why, size, "%s", text);
}

int docker_reply_parse(const char *s, size_t n, struct value **ret, char *why, size_t size)
{
	struct reader r = {0};
	int err;

	json_init(&r.json, VALUE_MAX_STRING, on_json, &r);
	err = json_feed(&r.json, s, n);
	if (err >= 0)
		err = json_end(&r.json);
	if (err >= 0 && !r.whole)
		err = -EBADMSG;
	json_done(&r.json);
	for (size_t i = 0; i < r.room; i++) {
		value_list_done(&r.levels[i].items);
		buf_done(&r.levels[i].key);
	}
	free(r.levels);
	if (err < 0) {
		value_unref(r.whole);
		explain(err, why, size);
		return err;
	}
	*ret = r.whole;
	return 0;
}
