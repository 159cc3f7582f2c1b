/* SPDX-License-Identifier: Apache-2.0 */
/* C fields back to values, for people who look at what a component was given. */
#include <inttypes.h>
#include <string.h>

#include "agent/config/schema.h"

/* As it would be written, exactly: "10s", "1m30s", "1500us". */
static struct value *duration_value(int64_t ns)
{
	static const struct {
		const char *name;
		uint64_t ns;
	} units[] = {{"ns", 1}, {"us", 1000}, {"ms", 1000000}, {"s", 1000000000}};
	uint64_t rest = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
	const uint64_t minute = UINT64_C(60000000000), hour = 60 * minute;
	const char *sign = ns < 0 ? "-" : "";
	size_t u = ARRAY_SIZE(units) - 1, n = 0;
	char text[80];

	if (!rest)
		return value_cstr("0s");
	n += (size_t)snprintf(text, sizeof(text), "%s", sign);
	if (rest >= hour)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%" PRIu64 "h", rest / hour);
	if (rest % hour >= minute)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%" PRIu64 "m",
				      rest % hour / minute);
	rest %= minute;
	while (rest % units[u].ns)
		u--;
	if (rest)
		(void)snprintf(text + n, sizeof(text) - n, "%" PRIu64 "%s", rest / units[u].ns,
			       units[u].name);
	return value_cstr(text);
}

static struct value *strings_value(const struct schema_strings *s)
{
	struct value_list l = {0};

	for (size_t i = 0; i < s->n; i++)
		value_list_add(&l, NULL, value_cstr(s->v[i]));
	return value_array(&l);
}

static struct value *map_value(const struct schema_map *m)
{
	struct value_list l = {0};

	for (size_t i = 0; i < m->n; i++)
		value_list_add(&l, m->v[i].name, value_cstr(m->v[i].value));
	return value_object(&l);
}

/* The pairs of one name follow each other. */
static struct value *multimap_value(const struct schema_map *m)
{
	struct value_list l = {0};

	for (size_t i = 0; i < m->n;) {
		const char *name = m->v[i].name;
		struct value_list values = {0};

		for (; i < m->n && !strcmp(m->v[i].name, name); i++)
			value_list_add(&values, NULL, value_secret(m->v[i].value));
		value_list_add(&l, name, value_array(&values));
	}
	return value_object(&l);
}

static struct value *receivers_value(const struct schema_receivers *r)
{
	struct value_list l = {0};

	for (size_t i = 0; i < r->n; i++)
		value_list_add(&l, NULL, value_capsule(&capsule_receiver, r->v[i]));
	return value_array(&l);
}

static struct value *blocks_value(const struct schema *s, const struct schema_blocks *b)
{
	struct value_list l = {0};

	for (size_t i = 0; i < b->n; i++)
		value_list_add(&l, NULL, schema_value(s, (const char *)b->v + i * s->size));
	return value_array(&l);
}

static struct value *any_value(struct value *v)
{
	return v ? value_ref(v) : value_null();
}

static struct value *field_value(const struct option *o, const void *field)
{
	switch (o->type) {
	case OPTION_BOOL:
		return value_bool(*(const bool *)field);
	case OPTION_INT:
		return value_int(*(const int64_t *)field);
	case OPTION_FLOAT:
		return value_number((struct number){NUMBER_FLOAT, .f = *(const double *)field});
	case OPTION_STRING:
		return value_cstr(*(char *const *)field);
	case OPTION_SECRET:
		return value_secret(*(char *const *)field);
	case OPTION_DURATION:
		return duration_value(*(const int64_t *)field);
	case OPTION_STRINGS:
		return strings_value(field);
	case OPTION_MAP:
		return map_value(field);
	case OPTION_MULTIMAP:
		return multimap_value(field);
	case OPTION_TARGETS:
	case OPTION_ANY:
		return any_value(*(struct value *const *)field);
	case OPTION_RECEIVERS:
		return receivers_value(field);
	case OPTION_BLOCK:
		return *(const bool *)field ? schema_value(o->block, field) : value_null();
	case OPTION_BLOCKS:
		return blocks_value(o->block, field);
	}
	return NULL;
}

struct value *schema_value(const struct schema *s, const void *args)
{
	struct value_list l = {0};

	for (size_t i = 0; i < s->n; i++) {
		const struct option *o = &s->options[i];

		value_list_add(&l, o->name, field_value(o, (const char *)args + o->offset));
	}
	return value_object(&l);
}
