/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/config/schema.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "agent/config/duration.h"

static void *field_of(const struct option *o, const void *args)
{
	return (char *)args + o->offset;
}

static int init_field(const struct option *o, void *field)
{
	const char *text = o->value, *why;

	switch (o->type) {
	case OPTION_BOOL:
		*(bool *)field = text && !strcmp(text, "true");
		return 0;
	case OPTION_INT:
		*(int64_t *)field = text ? atoll(text) : 0; /* our own text */
		return 0;
	case OPTION_FLOAT:
		*(double *)field = text ? atof(text) : 0;
		return 0;
	case OPTION_DURATION:
		return text ? duration_parse(text, field, &why) : 0;
	case OPTION_STRING:
	case OPTION_SECRET:
		*(char **)field = strdup(text ? text : "");
		return *(char **)field ? 0 : -ENOMEM;
	case OPTION_BLOCK:
		return schema_init(o->block, field);
	case OPTION_STRINGS:
	case OPTION_MAP:
	case OPTION_MULTIMAP:
	case OPTION_TARGETS:
	case OPTION_RECEIVERS:
	case OPTION_ANY:
	case OPTION_BLOCKS:
		return 0;
	}
	return -EINVAL;
}

int schema_init(const struct schema *s, void *args)
{
	assert(s->n <= SCHEMA_MAX_OPTIONS);
	for (size_t i = 0; i < s->n; i++) {
		int r = init_field(&s->options[i], field_of(&s->options[i], args));

		if (r < 0)
			return r;
	}
	return 0;
}

void schema_done(const struct schema *s, void *args)
{
	for (size_t i = 0; i < s->n; i++)
		schema_clear(&s->options[i], field_of(&s->options[i], args));
}

void schema_clear(const struct option *o, void *field)
{
	struct schema_strings *strings = field;
	struct schema_blocks *blocks = field;
	struct schema_map *map = field;

	switch (o->type) {
	case OPTION_BOOL:
	case OPTION_INT:
	case OPTION_FLOAT:
	case OPTION_DURATION:
		return;
	case OPTION_STRING:
	case OPTION_SECRET:
		free(*(char **)field);
		*(char **)field = NULL;
		return;
	case OPTION_STRINGS:
		for (size_t i = 0; i < strings->n; i++)
			free(strings->v[i]);
		free(strings->v);
		*strings = (struct schema_strings){0};
		return;
	case OPTION_MAP:
	case OPTION_MULTIMAP:
		for (size_t i = 0; i < map->n; i++) {
			free(map->v[i].name);
			free(map->v[i].value);
		}
		free(map->v);
		*map = (struct schema_map){0};
		return;
	case OPTION_TARGETS:
	case OPTION_ANY:
		*(struct value **)field = value_unref(*(struct value **)field);
		return;
	case OPTION_RECEIVERS:
		free(((struct schema_receivers *)field)->v);
		*(struct schema_receivers *)field = (struct schema_receivers){0};
		return;
	case OPTION_BLOCK:
		schema_done(o->block, field);
		return;
	case OPTION_BLOCKS:
		for (size_t i = 0; i < blocks->n; i++)
			schema_done(o->block, (char *)blocks->v + i * o->block->size);
		free(blocks->v);
		*blocks = (struct schema_blocks){0};
		return;
	}
}

static bool pointers_equal(const struct value *a, const struct value *b)
{
	return a && b ? value_equal(a, b) : a == b;
}

static bool map_equal(const struct schema_map *a, const struct schema_map *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		if (strcmp(a->v[i].name, b->v[i].name) != 0 ||
		    strcmp(a->v[i].value, b->v[i].value) != 0)
			return false;
	}
	return true;
}

static bool strings_equal(const struct schema_strings *a, const struct schema_strings *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		if (strcmp(a->v[i], b->v[i]) != 0)
			return false;
	}
	return true;
}

static bool blocks_equal(const struct schema *s, const struct schema_blocks *a,
			 const struct schema_blocks *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		if (!schema_equal(s, (char *)a->v + i * s->size, (char *)b->v + i * s->size))
			return false;
	}
	return true;
}

static bool field_equal(const struct option *o, const void *a, const void *b)
{
	const struct schema_receivers *ra = a, *rb = b;

	switch (o->type) {
	case OPTION_BOOL:
		return *(const bool *)a == *(const bool *)b;
	case OPTION_INT:
	case OPTION_DURATION:
		return *(const int64_t *)a == *(const int64_t *)b;
	case OPTION_FLOAT:
		return *(const double *)a == *(const double *)b;
	case OPTION_STRING:
	case OPTION_SECRET:
		return !strcmp(*(char *const *)a, *(char *const *)b);
	case OPTION_STRINGS:
		return strings_equal(a, b);
	case OPTION_MAP:
	case OPTION_MULTIMAP:
		return map_equal(a, b);
	case OPTION_TARGETS:
	case OPTION_ANY:
		return pointers_equal(*(struct value *const *)a, *(struct value *const *)b);
	case OPTION_RECEIVERS:
		return ra->n == rb->n &&
		       (!ra->n || !memcmp(ra->v, rb->v, ra->n * sizeof(struct receiver *)));
	case OPTION_BLOCK:
		return *(const bool *)a == *(const bool *)b && schema_equal(o->block, a, b);
	case OPTION_BLOCKS:
		return blocks_equal(o->block, a, b);
	}
	return false;
}

bool schema_equal(const struct schema *s, const void *a, const void *b)
{
	for (size_t i = 0; i < s->n; i++) {
		if (!field_equal(&s->options[i], field_of(&s->options[i], a),
				 field_of(&s->options[i], b)))
			return false;
	}
	return true;
}

struct no_effect {
	const struct ast_stmt *first;
	size_t n;
	char names[512];
};

struct decoder {
	const struct schema *schema;
	struct eval *eval;
	void *args;
	bool seen[SCHEMA_MAX_OPTIONS];
	struct no_effect later, deprecated;
};

static struct span header_span(const struct decoder *d, const struct ast_stmt *s)
{
	return (struct span){d->eval->source, s->start,
			     s->is_block ? s->header_end : s->start + (uint32_t)strlen(s->name)};
}

static _printf_(3, 4) int fail(const struct decoder *d, const struct ast_stmt *s, const char *fmt,
			       ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	diag_add(d->eval->diags, DIAG_ERROR, header_span(d, s), "%s", text);
	return -EINVAL;
}

/* One warning for all arguments of a kind, where the first one stands. */
static void without_effect(struct no_effect *list, const struct ast_stmt *s)
{
	size_t n = strlen(list->names);

	if (!list->first)
		list->first = s;
	list->n++;
	(void)snprintf(list->names + n, sizeof(list->names) - n, "%s\"%s\"", n ? ", " : "",
		       s->name);
}

static void warn(const struct decoder *d, const struct no_effect *list, const char *one,
		 const char *many)
{
	if (list->first)
		diag_add(d->eval->diags, DIAG_WARNING, header_span(d, list->first), "%s %s",
			 list->names, list->n > 1 ? many : one);
}

/* Edit distance, as far as it is at most 2; 3 stands for more. */
static int distance(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);
	int row[64], result;

	if (n >= ARRAY_SIZE(row) || m >= ARRAY_SIZE(row))
		return 3;
	for (size_t j = 0; j <= m; j++)
		row[j] = (int)j;
	for (size_t i = 1; i <= n; i++) {
		int diagonal = row[0];

		row[0] = (int)i;
		for (size_t j = 1; j <= m; j++) {
			int above = row[j];

			result = diagonal + (a[i - 1] != b[j - 1]);
			result = MIN(result, above + 1);
			row[j] = MIN(result, row[j - 1] + 1);
			diagonal = above;
		}
	}
	return MIN(row[m], 3);
}

static int unknown(const struct decoder *d, const struct ast_stmt *s)
{
	const char *best = NULL;
	int least = 3;

	for (size_t i = 0; i < d->schema->n; i++) {
		int k = distance(s->name, d->schema->options[i].name);

		if (k < least) {
			least = k;
			best = d->schema->options[i].name;
		}
	}
	(void)fail(d, s, "unrecognized %s name \"%s\"", s->is_block ? "block" : "attribute",
		   s->name);
	if (best)
		diag_help(d->eval->diags, "did you mean \"%s\"?", best);
	return -EINVAL;
}

static int decode_block(struct decoder *d, const struct option *o, const struct ast_stmt *s)
{
	struct schema_blocks *blocks = field_of(o, d->args);
	void *to = blocks, *grown;
	int r;

	if (s->label && !(o->flags & OPTION_LABELLED))
		return fail(d, s, "block \"%s\" does not support specifying labels", s->name);
	if (!s->label && (o->flags & OPTION_LABELLED))
		return fail(d, s, "block \"%s\" requires non-empty label", s->name);
	if (o->type == OPTION_BLOCK) {
		*(bool *)to = true;
		return schema_decode(o->block, s, d->eval, to);
	}
	grown = realloc(blocks->v, (blocks->n + 1) * o->block->size);
	if (!grown)
		return -ENOMEM;
	blocks->v = grown;
	to = (char *)grown + blocks->n++ * o->block->size;
	memset(to, 0, o->block->size);
	r = schema_init(o->block, to);
	return r < 0 ? r : schema_decode(o->block, s, d->eval, to);
}

static int decode_attribute(struct decoder *d, const struct option *o, const struct ast_stmt *s)
{
	_cleanup_value_ struct value *v = NULL;
	size_t before = d->eval->lookups;
	int r = eval_expr(d->eval, s->value, &v);

	if (d->eval->lookups > before && o->type != OPTION_TARGETS && o->type != OPTION_RECEIVERS)
		d->eval->unknowns++;
	return r < 0 ? r : schema_store(o, d->eval, s->value, v, field_of(o, d->args));
}

/* Whether the field now differs from what schema_init() makes of it. */
static bool is_default(const struct option *o, const void *field)
{
	union {
		void *p;
		char bytes[64];
		double f;
		int64_t i;
	} fresh = {0};
	bool same;

	if (o->type == OPTION_BLOCK || o->type == OPTION_BLOCKS)
		return false;
	same = init_field(o, &fresh) >= 0 && field_equal(o, field, &fresh);
	schema_clear(o, &fresh);
	return same;
}

static int refuse(const struct decoder *d, const struct option *o, const struct ast_stmt *s)
{
	(void)fail(d, s, "\"%s\" is not supported by this version", s->name);
	if (o->help)
		diag_help(d->eval->diags, "%s", o->help);
	return -EINVAL;
}

static int decode_statement(struct decoder *d, const struct ast_stmt *s)
{
	const struct option *o = NULL;
	bool wants_block;
	int r;

	for (size_t i = 0; i < d->schema->n && !o; i++) {
		if (!strcmp(d->schema->options[i].name, s->name))
			o = &d->schema->options[i];
	}
	if (!o)
		return unknown(d, s);
	wants_block = o->type == OPTION_BLOCK || o->type == OPTION_BLOCKS;
	if (wants_block != s->is_block)
		return fail(d, s, "\"%s\" must be %s, but is used as %s", s->name,
			    wants_block ? "a block" : "an attribute",
			    wants_block ? "an attribute" : "a block");
	if (d->seen[o - d->schema->options] && o->type != OPTION_BLOCKS)
		return wants_block
			       ? fail(d, s, "block \"%s\" may only be specified once", s->name)
			       : fail(d, s, "attribute \"%s\" may only be provided once", s->name);
	d->seen[o - d->schema->options] = true;
	if (wants_block && (o->flags & OPTION_REFUSED))
		return refuse(d, o, s);
	r = wants_block ? decode_block(d, o, s) : decode_attribute(d, o, s);
	if (r < 0)
		return r;
	if (o->flags & OPTION_DEPRECATED)
		without_effect(&d->deprecated, s);
	if ((o->flags & (OPTION_LATER | OPTION_REFUSED)) && is_default(o, field_of(o, d->args)))
		return 0;
	if (o->flags & OPTION_LATER)
		without_effect(&d->later, s);
	return o->flags & OPTION_REFUSED ? refuse(d, o, s) : 0;
}

int schema_decode(const struct schema *schema, const struct ast_stmt *block, struct eval *e,
		  void *args)
{
	struct decoder d = {.schema = schema, .eval = e, .args = args};
	struct span all = {e->source, block->start, block->end};
	size_t before = e->unknowns;
	char why[256];
	int r = 0;

	for (const struct ast_stmt *s = block->body.first; s; s = s->next) {
		int k = decode_statement(&d, s);

		if (k == -ENOMEM)
			return k;
		r = k < 0 ? k : r;
	}
	warn(&d, &d.later, "is accepted, but has no effect in this version",
	     "are accepted, but have no effect in this version");
	warn(&d, &d.deprecated, "is deprecated and has no effect",
	     "are deprecated and have no effect");
	if (schema->later)
		diag_add(e->diags, DIAG_WARNING,
			 (struct span){e->source, block->start, block->header_end},
			 "\"%s\" is accepted, but not built yet: %s", block->name, schema->later);
	for (size_t i = 0; i < schema->n; i++) {
		const struct option *o = &schema->options[i];
		bool is_block = o->type == OPTION_BLOCK || o->type == OPTION_BLOCKS;

		if (!(o->flags & OPTION_REQUIRED) || d.seen[i])
			continue;
		diag_add(e->diags, DIAG_ERROR, all, "missing required %s \"%s\"",
			 is_block ? "block" : "attribute", o->name);
		if (o->help)
			diag_help(e->diags, "%s: %s", o->name, o->help);
		r = -EINVAL;
	}
	/* What stands for values that are not there yet need not be valid. */
	if (e->check_only && e->unknowns > before)
		return r;
	if (r >= 0 && schema->validate && schema->validate(args, why, sizeof(why)) < 0) {
		diag_add(e->diags, DIAG_ERROR, all, "%s", why);
		r = -EINVAL;
	}
	return r;
}
