/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/config/stdlib.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>
#include <sys/utsname.h>

#include "agent/config/stdlib_calls.h"

int stdlib_give(struct value *v, struct value **ret)
{
	if (!v)
		return -ENOMEM;
	*ret = v;
	return 0;
}

int stdlib_give_text(struct stdlib_call *c, struct buf *b, struct value **ret)
{
	if (b->failed == -E2BIG)
		return eval_fail(c->eval, c->expr, "string is longer than %u bytes",
				 VALUE_MAX_STRING);
	if (b->failed)
		return b->failed;
	return stdlib_give(value_string(buf_cstr(b), b->len), ret);
}

static const struct ast_expr *argument(struct stdlib_call *c, size_t i, char *ret, size_t size)
{
	const struct ast_expr *x = c->expr->first;

	while (i--)
		x = x->next;
	eval_text(c->eval, x, ret, size);
	return x;
}

int stdlib_reject(struct stdlib_call *c, size_t i, const char *fmt, ...)
{
	char text[80], why[512];
	const struct ast_expr *x = argument(c, i, text, sizeof(text));
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	return eval_fail(c->eval, x, "%s %s", text, why);
}

int stdlib_mismatch(struct stdlib_call *c, size_t i, const char *path, const char *want,
		    const struct value *got)
{
	char text[80];
	const struct ast_expr *x = argument(c, i, text, sizeof(text));

	return eval_fail(c->eval, x, "%s%s should be %s, got %s", text, path, want,
			 value_kind_name(got));
}

int stdlib_text_of(struct stdlib_call *c, size_t i, const char *path, const struct value *v,
		   struct stdlib_text *ret)
{
	bool secret = false;

	if (v->kind == VALUE_NULL || v->kind == VALUE_NUMBER) {
		ret->number[0] = '\0';
		if (v->kind == VALUE_NUMBER)
			number_format(v->n, ret->number, sizeof(ret->number));
		ret->s = ret->number;
		ret->len = strlen(ret->number);
		return 0;
	}
	ret->s = value_text(v, &ret->len, &secret);
	if (!ret->s)
		return stdlib_mismatch(c, i, path, "string", v);
	if (secret)
		return stdlib_reject(c, i,
				     "is a secret: secrets may not be converted into strings");
	return 0;
}

int stdlib_text(struct stdlib_call *c, size_t i, struct stdlib_text *ret)
{
	return stdlib_text_of(c, i, "", c->args[i], ret);
}

static int call_env(struct stdlib_call *c, struct value **ret)
{
	struct stdlib_text t;
	const char *s;
	int r = stdlib_text(c, 0, &t);

	if (r < 0)
		return r;
	s = getenv(t.s);
	return stdlib_give(value_cstr(s ? s : ""), ret);
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
	{.name = "array.combine_maps", .min = 3, .max = 4, .call = stdlib_combine_maps},
	{.name = "array.concat", .max = SIZE_MAX, .call = stdlib_concat},
	{.name = "array.group_by", .min = 3, .max = 3, .call = stdlib_group_by},
	{.name = "base64_decode",
	 .min = 1,
	 .max = 1,
	 .call = stdlib_from_base64,
	 .reads = true,
	 .instead = "encoding.from_base64"},
	{.name = "coalesce", .max = SIZE_MAX, .call = stdlib_coalesce},
	{.name = "concat", .max = SIZE_MAX, .call = stdlib_concat, .instead = "array.concat"},
	{.name = "constants.arch", .constant = constant_arch},
	{.name = "constants.hostname", .constant = constant_hostname},
	{.name = "constants.os", .constant = constant_os},
	{.name = "constants.version", .constant = constant_version},
	{.name = "convert.nonsensitive", .min = 1, .max = 1, .call = stdlib_nonsensitive},
	{.name = "encoding.from_URLbase64",
	 .min = 1,
	 .max = 1,
	 .call = stdlib_from_base64_url,
	 .reads = true},
	{.name = "encoding.from_base64",
	 .min = 1,
	 .max = 1,
	 .call = stdlib_from_base64,
	 .reads = true},
	{.name = "encoding.from_json", .min = 1, .max = 1, .call = stdlib_from_json, .reads = true},
	{.name = "encoding.from_yaml", .min = 1, .max = 1, .call = stdlib_from_yaml, .reads = true},
	{.name = "encoding.to_URLbase64", .min = 1, .max = 1, .call = stdlib_to_base64_url},
	{.name = "encoding.to_base64", .min = 1, .max = 1, .call = stdlib_to_base64},
	{.name = "encoding.to_json", .min = 1, .max = 1, .call = stdlib_to_json},
	{.name = "encoding.url_decode",
	 .min = 1,
	 .max = 1,
	 .call = stdlib_url_decode,
	 .reads = true},
	{.name = "encoding.url_encode", .min = 1, .max = 1, .call = stdlib_url_encode},
	{.name = "env", .min = 1, .max = 1, .call = call_env, .instead = "sys.env"},
	{.name = "file.path_join", .max = SIZE_MAX, .call = stdlib_path_join},
	{.name = "format",
	 .min = 1,
	 .max = SIZE_MAX,
	 .call = stdlib_format,
	 .instead = "string.format"},
	{.name = "join", .min = 2, .max = 2, .call = stdlib_join, .instead = "string.join"},
	{.name = "json_decode",
	 .min = 1,
	 .max = 1,
	 .call = stdlib_from_json,
	 .reads = true,
	 .instead = "encoding.from_json"},
	{.name = "json_path", .min = 2, .max = 2, .call = stdlib_json_path, .reads = true},
	{.name = "nonsensitive",
	 .min = 1,
	 .max = 1,
	 .call = stdlib_nonsensitive,
	 .instead = "convert.nonsensitive"},
	{.name = "replace",
	 .min = 3,
	 .max = 3,
	 .call = stdlib_replace,
	 .instead = "string.replace"},
	{.name = "split", .min = 2, .max = 2, .call = stdlib_split, .instead = "string.split"},
	{.name = "string.format", .min = 1, .max = SIZE_MAX, .call = stdlib_format},
	{.name = "string.join", .min = 2, .max = 2, .call = stdlib_join},
	{.name = "string.replace", .min = 3, .max = 3, .call = stdlib_replace},
	{.name = "string.split", .min = 2, .max = 2, .call = stdlib_split},
	{.name = "string.to_lower", .min = 1, .max = 1, .call = stdlib_to_lower},
	{.name = "string.to_upper", .min = 1, .max = 1, .call = stdlib_to_upper},
	{.name = "string.trim", .min = 2, .max = 2, .call = stdlib_trim},
	{.name = "string.trim_prefix", .min = 2, .max = 2, .call = stdlib_trim_prefix},
	{.name = "string.trim_space", .min = 1, .max = 1, .call = stdlib_trim_space},
	{.name = "string.trim_suffix", .min = 2, .max = 2, .call = stdlib_trim_suffix},
	{.name = "sys.env", .min = 1, .max = 1, .call = call_env},
	{.name = "to_lower",
	 .min = 1,
	 .max = 1,
	 .call = stdlib_to_lower,
	 .instead = "string.to_lower"},
	{.name = "to_upper",
	 .min = 1,
	 .max = 1,
	 .call = stdlib_to_upper,
	 .instead = "string.to_upper"},
	{.name = "trim", .min = 2, .max = 2, .call = stdlib_trim, .instead = "string.trim"},
	{.name = "trim_prefix",
	 .min = 2,
	 .max = 2,
	 .call = stdlib_trim_prefix,
	 .instead = "string.trim_prefix"},
	{.name = "trim_space",
	 .min = 1,
	 .max = 1,
	 .call = stdlib_trim_space,
	 .instead = "string.trim_space"},
	{.name = "trim_suffix",
	 .min = 2,
	 .max = 2,
	 .call = stdlib_trim_suffix,
	 .instead = "string.trim_suffix"},
	{.name = "yaml_decode",
	 .min = 1,
	 .max = 1,
	 .call = stdlib_from_yaml,
	 .reads = true,
	 .instead = "encoding.from_yaml"},
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
	char text[80];

	if (c->n >= fn->min && c->n <= fn->max)
		return fn->call(c, ret);
	eval_text(c->eval, c->expr->left, text, sizeof(text));
	if (fn->max > fn->min && fn->max != SIZE_MAX)
		return eval_fail(c->eval, c->expr->left, "%s expected %zu or %zu args, got %zu",
				 text, fn->min, fn->max, c->n);
	return eval_fail(c->eval, c->expr->left, "%s expected %s%zu args, got %zu", text,
			 fn->max > fn->min ? "at least " : "", fn->min, c->n);
}
