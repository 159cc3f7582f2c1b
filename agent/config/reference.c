/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/config/reference.h"

#include <errno.h>
#include <string.h>

#define MAX_BLOCKS 256 /* kinds of blocks */

static const char *type_name(const struct option *o)
{
	switch (o->type) {
	case OPTION_BOOL:
		return "bool";
	case OPTION_INT:
		return "int";
	case OPTION_FLOAT:
		return "number";
	case OPTION_STRING:
		return "string";
	case OPTION_SECRET:
		return "secret";
	case OPTION_DURATION:
		return "duration";
	case OPTION_STRINGS:
		return "list(string)";
	case OPTION_MAP:
		return "map(string)";
	case OPTION_MULTIMAP:
		return "map(list(secret))";
	case OPTION_TARGETS:
		return "list(map(string))";
	case OPTION_RECEIVERS:
		return "list(receiver)";
	case OPTION_ANY:
		return "any";
	case OPTION_BLOCK:
	case OPTION_BLOCKS:
		return "block";
	}
	return "";
}

static bool is_block(const struct option *o)
{
	return o->type == OPTION_BLOCK || o->type == OPTION_BLOCKS;
}

/* As it would be written in a configuration. */
static void add_default(const struct option *o, struct buf *b)
{
	bool quoted = o->type == OPTION_STRING || o->type == OPTION_DURATION;

	if (o->flags & OPTION_REQUIRED)
		buf_adds(b, "required");
	else if (o->value)
		buf_printf(b, quoted ? "`\"%s\"`" : "`%s`", o->value);
	else if (o->type == OPTION_BOOL)
		buf_adds(b, "`false`");
	else if (o->type == OPTION_INT || o->type == OPTION_FLOAT)
		buf_adds(b, "`0`");
	else if (o->type == OPTION_DURATION)
		buf_adds(b, "`\"0s\"`");
}

static const char *remark(const struct option *o)
{
	if (o->flags & OPTION_DEPRECATED)
		return "Deprecated, without effect. ";
	if (o->flags & OPTION_LATER)
		return "Accepted, not built yet. ";
	return o->flags & OPTION_REFUSED ? "Not built: refused. " : "";
}

/* A help is a clause in lower case; it may hold the "|" of a table. */
static void add_help(const char *help, struct buf *b)
{
	for (const char *p = help; p && *p; p++) {
		if (*p == '|')
			buf_add_u8(b, '\\');
		buf_add_u8(b, (uint8_t)(p == help && *p >= 'a' && *p <= 'z' ? *p - 'a' + 'A' : *p));
	}
}

static void add_arguments(const struct schema *s, struct buf *b)
{
	bool any = false;

	for (size_t i = 0; i < s->n; i++) {
		const struct option *o = &s->options[i];

		if (is_block(o))
			continue;
		if (!any)
			buf_adds(b, "| Argument | Type | Default | |\n| --- | --- | --- | --- |\n");
		any = true;
		buf_printf(b, "| `%s` | `%s` | ", o->name, type_name(o));
		add_default(o, b);
		buf_printf(b, " | %s", remark(o));
		add_help(o->help, b);
		buf_adds(b, " |\n");
	}
	buf_adds(b, any ? "\n" : "");
}

/* Blocks that several components have (an HTTP client's) are shown once on the page. */
struct shared {
	struct shared_block {
		const struct schema *schema;
		const char *name;
		size_t components;
		const struct component_type *last;
	} v[MAX_BLOCKS];
	size_t n;
};

static void count_blocks(struct shared *sh, const struct component_type *t, const struct schema *s)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct option *o = &s->options[i];
		size_t k = 0;

		if (!is_block(o))
			continue;
		while (k < sh->n && sh->v[k].schema != o->block)
			k++;
		if (k == MAX_BLOCKS)
			continue;
		sh->v[k].schema = o->block;
		sh->v[k].name = o->name;
		sh->n = MAX(sh->n, k + 1);
		sh->v[k].components += sh->v[k].last != t;
		sh->v[k].last = t;
		count_blocks(sh, t, o->block);
	}
}

static bool is_shared(const struct shared *sh, const struct schema *s)
{
	for (size_t i = 0; sh && i < sh->n; i++) {
		if (sh->v[i].schema == s)
			return sh->v[i].components > 1;
	}
	return false;
}

/* Blocks below s, with the path of names that leads to them. */
static void add_blocks(const struct schema *s, const char *path, const struct shared *sh,
		       struct buf *b)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct option *o = &s->options[i];
		char name[256];

		if (!is_block(o))
			continue;
		(void)snprintf(name, sizeof(name), "%s%s%s", path, *path ? " > " : "", o->name);
		buf_printf(b, "**`%s`** (%s%s%s) ", name,
			   o->flags & OPTION_REQUIRED ? "required" : "optional",
			   o->type == OPTION_BLOCKS ? ", may be repeated" : "",
			   o->flags & OPTION_LABELLED ? ", with a label" : "");
		buf_adds(b, remark(o));
		add_help(o->help, b);
		if (is_shared(sh, o->block)) {
			buf_printf(b, ": see [%s](#%s-block)\n\n", o->name, o->name);
			continue;
		}
		buf_adds(b, "\n\n");
		add_arguments(o->block, b);
		add_blocks(o->block, name, sh, b);
	}
}

static const char *export_kind(const struct value *v)
{
	if (v->kind == VALUE_CAPSULE)
		return v->type->name;
	return v->kind == VALUE_ARRAY ? "list" : value_kind_name(v);
}

/* What an instance offers before anything is built. */
static int add_exports(const struct component_type *t, struct buf *b)
{
	struct component_env env = {.check_only = true};
	struct component *c = calloc(1, t->size);
	int r;

	if (!c)
		return -ENOMEM;
	c->type = t;
	c->env = &env;
	c->id = (char *)t->name;
	c->args = calloc(1, MAX(t->schema->size, 1u));
	r = c->args ? schema_init(t->schema, c->args) : -ENOMEM;
	if (r >= 0 && t->init)
		r = t->init(c);
	for (size_t i = 0; r >= 0 && c->exports && i < c->exports->n_fields; i++)
		buf_printf(b, "%s`%s` (%s)", i ? ", " : "Exports: ", c->exports->fields[i].key,
			   export_kind(c->exports->fields[i].value));
	if (r >= 0 && c->exports && c->exports->n_fields)
		buf_adds(b, ".\n\n");
	if (t->done)
		t->done(c);
	if (c->args)
		schema_done(t->schema, c->args);
	free(c->args);
	value_unref(c->exports);
	free(c->health_text);
	free(c);
	return r;
}

static int add_component(const struct component_type *t, unsigned int level,
			 const struct shared *sh, struct buf *ret)
{
	int r;

	while (level--)
		buf_add_u8(ret, '#');
	buf_printf(ret, " %s\n\n", t->name);
	add_help(t->help, ret);
	buf_adds(ret, t->help ? "." : "");
	if (t->singleton)
		buf_adds(ret, " A setting: one block at most, without a label.");
	if (t->stability != STABILITY_GA)
		buf_printf(ret, " Needs `--stability.level=%s`.", stability_name(t->stability));
	if (t->schema->later) {
		buf_adds(ret, " Accepted, but not built yet: ");
		buf_printf(ret, "%s.", t->schema->later);
	}
	buf_adds(ret, "\n\n");
	add_arguments(t->schema, ret);
	add_blocks(t->schema, "", sh, ret);
	r = add_exports(t, ret);
	return r < 0 ? r : ret->failed;
}

int reference_component(const struct component_type *t, unsigned int level, struct buf *ret)
{
	return add_component(t, level, NULL, ret);
}

static void add_shared(const struct shared *sh, struct buf *b)
{
	for (size_t i = 0; i < sh->n; i++) {
		if (sh->v[i].components < 2)
			continue;
		buf_printf(b, "\n## %s block\n\n", sh->v[i].name);
		add_arguments(sh->v[i].schema, b);
		add_blocks(sh->v[i].schema, "", sh, b);
		if (!b->failed)
			b->len--;
	}
}

int reference_page(const struct component_type *const *types, size_t n, struct buf *ret)
{
	_cleanup_free_ struct shared *sh = calloc(1, sizeof(*sh));

	if (!sh)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		count_blocks(sh, types[i], types[i]->schema);
	buf_adds(ret,
		 "# Reference of the configuration\n\n"
		 "What `tephra reference` prints, of all components and settings: generated from "
		 "the tables\nthat arguments are decoded by (`tephra reference > "
		 "docs/reference.md`).\n\n");
	for (size_t i = 0; i < n; i++) {
		buf_printf(ret, "- [%s](#", types[i]->name);
		for (const char *p = types[i]->name; *p; p++)
			buf_add(ret, p, *p != '.');
		buf_adds(ret, ")\n");
	}
	for (size_t i = 0; i < n; i++) {
		int r;

		buf_adds(ret, "\n");
		r = add_component(types[i], 2, sh, ret);
		if (r < 0)
			return r;
		/* One blank line between two components. */
		if (!ret->failed && ret->len)
			ret->len--;
	}
	add_shared(sh, ret);
	return ret->failed;
}

static bool missing(const struct schema *s, const char *path, char *to, size_t size)
{
	char name[256];

	for (size_t i = 0; i < s->n; i++) {
		const struct option *o = &s->options[i];

		(void)snprintf(name, sizeof(name), "%s.%s", path, o->name);
		if (!o->help || !*o->help) {
			(void)snprintf(to, size, "%s", name);
			return true;
		}
		if (is_block(o) && missing(o->block, name, to, size))
			return true;
	}
	return false;
}

bool reference_missing(const struct component_type *t, char *to, size_t size)
{
	if (!t->help) {
		(void)snprintf(to, size, "%s", t->name);
		return true;
	}
	return missing(t->schema, t->name, to, size);
}
