/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/config/stdlib.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/utsname.h>

static int or_nomem(struct value *v, struct value **ret)
{
	if (!v)
		return -ENOMEM;
	*ret = v;
	return 0;
}

static int bad_argument(struct stdlib_call *c, size_t i, const char *want)
{
	const struct ast_expr *arg = c->expr->first;
	char text[80];

	for (size_t k = 0; k < i; k++)
		arg = arg->next;
	eval_text(c->eval, arg, text, sizeof(text));
	return eval_fail(c->eval, arg, "%s should be %s, got %s", text, want,
			 value_kind_name(c->args[i]));
}

static int call_env(struct stdlib_call *c, struct value **ret)
{
	const char *s;

	if (c->args[0]->kind != VALUE_STRING)
		return bad_argument(c, 0, "string");
	s = getenv(c->args[0]->s);
	return or_nomem(value_cstr(s ? s : ""), ret);
}

static int call_concat(struct stdlib_call *c, struct value **ret)
{
	_cleanup_(value_list_done) struct value_list l = {0};

	for (size_t i = 0; i < c->n; i++) {
		if (c->args[i]->kind != VALUE_ARRAY)
			return bad_argument(c, i, "array");
		for (size_t k = 0; k < c->args[i]->n_items; k++)
			value_list_add(&l, NULL, value_ref(c->args[i]->items[k]));
		if (l.failed)
			return eval_fail(c->eval, c->expr, "array has more than %u elements",
					 VALUE_MAX_ITEMS);
	}
	return or_nomem(value_array(&l), ret);
}

static bool is_zero(const struct value *v)
{
	size_t len;
	bool secret;

	switch (v->kind) {
	case VALUE_NULL:
		return true;
	case VALUE_NUMBER:
		return number_float(v->n) == 0;
	case VALUE_STRING:
		return !v->len;
	case VALUE_BOOL:
		return !v->b;
	case VALUE_ARRAY:
		return !v->n_items;
	case VALUE_OBJECT:
		return !v->n_fields;
	case VALUE_FUNCTION:
		return false;
	case VALUE_CAPSULE:
		return value_text(v, &len, &secret) && !len;
	}
	return false;
}

static int call_coalesce(struct stdlib_call *c, struct value **ret)
{
	for (size_t i = 0; i < c->n; i++) {
		if (i + 1 == c->n || !is_zero(c->args[i])) {
			*ret = value_ref(c->args[i]);
			return 0;
		}
	}
	return or_nomem(value_null(), ret);
}

static struct value *constant_hostname(void)
{
	char name[HOST_NAME_MAX + 1] = "";

	if (gethostname(name, sizeof(name) - 1) < 0)
		name[0] = '\0';
	return value_cstr(name);
}

static struct value *constant_os(void)
{
	return value_cstr("linux");
}

/* In the spelling of GOARCH, which configurations compare with. */
static struct value *constant_arch(void)
{
	struct utsname u;

	if (uname(&u) < 0)
		return value_cstr("");
	if (!strcmp(u.machine, "x86_64"))
		return value_cstr("amd64");
	return value_cstr(!strcmp(u.machine, "aarch64") ? "arm64" : u.machine);
}

static struct value *constant_version(void)
{
	return value_cstr("v" TEPHRA_VERSION);
}

static const struct stdlib_entry entries[] = {
	{.name = "array.concat", .max = SIZE_MAX, .call = call_concat},
	{.name = "coalesce", .max = SIZE_MAX, .call = call_coalesce},
	{.name = "concat", .max = SIZE_MAX, .call = call_concat, .instead = "array.concat"},
	{.name = "constants.arch", .constant = constant_arch},
	{.name = "constants.hostname", .constant = constant_hostname},
	{.name = "constants.os", .constant = constant_os},
	{.name = "constants.version", .constant = constant_version},
	{.name = "env", .min = 1, .max = 1, .call = call_env, .instead = "sys.env"},
	{.name = "sys.env", .min = 1, .max = 1, .call = call_env},
};

/* The part of e's name behind "name.", "" when it is name itself, NULL when it is another. */
static const char *member(const struct stdlib_entry *e, const char *name)
{
	size_t n = strlen(name);

	if (strncmp(e->name, name, n) != 0 || (e->name[n] && e->name[n] != '.'))
		return NULL;
	return e->name[n] ? e->name + n + 1 : "";
}

bool stdlib_has(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(entries); i++) {
		if (member(&entries[i], name))
			return true;
	}
	return false;
}

static struct value *entry_value(const struct stdlib_entry *e)
{
	return e->call ? value_function(e) : e->constant();
}

struct value *stdlib_get(const char *name)
{
	_cleanup_(value_list_done) struct value_list l = {0};

	for (size_t i = 0; i < ARRAY_SIZE(entries); i++) {
		const char *key = member(&entries[i], name);

		if (key && !*key)
			return entry_value(&entries[i]);
		if (key)
			value_list_add(&l, key, entry_value(&entries[i]));
	}
	return value_object(&l);
}

const char *stdlib_instead(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(entries); i++) {
		if (!strcmp(entries[i].name, name))
			return entries[i].instead;
	}
	return NULL;
}

int stdlib_call(const struct stdlib_entry *fn, struct stdlib_call *c, struct value **ret)
{
	if (c->n < fn->min || c->n > fn->max)
		return eval_fail(c->eval, c->expr, "expected %s%zu args, got %zu",
				 fn->max == SIZE_MAX ? "at least " : "", fn->min, c->n);
	return fn->call(c, ret);
}
