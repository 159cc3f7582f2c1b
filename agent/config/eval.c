/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/config/eval.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "agent/config/stdlib.h"

const struct capsule_type capsule_ignored = {"something of an ignored component", NULL, NULL};

int eval_fail(struct eval *e, const struct ast_expr *x, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	diag_add(e->diags, DIAG_ERROR, (struct span){e->source, x->start, x->end}, "%s", text);
	return -EINVAL;
}

void eval_text(const struct eval *e, const struct ast_expr *x, char *to, size_t size)
{
	size_t n = 0;
	bool blank = false;

	for (uint32_t i = x->start; i < x->end; i++) {
		unsigned char c = e->source->text[i];

		if (n + 6 >= size) {
			n += (size_t)snprintf(to + n, size - n, "...");
			break;
		}
		if (c <= ' ') {
			blank = n > 0;
			continue;
		}
		if (blank)
			to[n++] = ' ';
		blank = false;
		to[n++] = (char)c;
	}
	to[MIN(n, size - 1)] = '\0';
}

static int or_nomem(struct value *v, struct value **ret)
{
	if (!v)
		return -ENOMEM;
	*ret = v;
	return 0;
}

/* Digits in base 8 or 10 that fit 64 bits; false otherwise. */
static bool parse_u64(const char *s, uint32_t base, uint64_t *ret)
{
	uint64_t v = 0;

	for (; *s; s++) {
		uint64_t digit = (uint64_t)(*s - '0');

		if (digit >= base || __builtin_mul_overflow(v, base, &v) ||
		    __builtin_add_overflow(v, digit, &v))
			return false;
	}
	*ret = v;
	return true;
}

/* A leading zero means octal; what is no int64 is tried as uint64 and then as a float. */
static int eval_number(struct eval *e, const struct ast_expr *x, struct value **ret)
{
	struct number n = {0};
	char text[512];
	bool octal;

	if (x->end - x->start >= sizeof(text))
		return eval_fail(e, x, "number has too many digits");
	memcpy(text, e->source->text + x->start, x->end - x->start);
	text[x->end - x->start] = '\0';
	octal = text[0] == '0' && text[1];
	if (x->op == TOKEN_NUMBER && parse_u64(text, octal ? 8 : 10, &n.u)) {
		n.kind = n.u > INT64_MAX ? NUMBER_UINT : NUMBER_INT;
	} else {
		n.kind = NUMBER_FLOAT;
		n.f = strtod(text,
			     NULL); /* digits, point and exponent only: the lexer has seen it */
	}
	return or_nomem(value_number(n), ret);
}

static int eval_literal(struct eval *e, const struct ast_expr *x, struct value **ret)
{
	const char *text = e->source->text + x->start;
	_cleanup_free_ char *s = NULL;
	size_t len;

	switch ((int)x->op) {
	case TOKEN_NULL:
		return or_nomem(value_null(), ret);
	case TOKEN_BOOL:
		return or_nomem(value_bool(text[0] == 't'), ret);
	case TOKEN_STRING:
		s = token_string(text, x->end - x->start, &len);
		return s ? or_nomem(value_string(s, len), ret) : -ENOMEM;
	}
	return eval_number(e, x, ret);
}

/* Once for each name in a load. */
static void warn_deprecated(struct eval *e, const struct ast_expr *x, const char *instead)
{
	char text[128];

	(void)snprintf(text, sizeof(text), "\"%s\" is deprecated, use \"%s\"", x->name, instead);
	for (size_t i = 0; i < e->diags->n; i++) {
		const char *said = e->diags->items[i].message;

		if (said && !strcmp(said, text))
			return;
	}
	diag_add(e->diags, DIAG_WARNING, (struct span){e->source, x->start, x->end}, "%s", text);
}

static int eval_ident(struct eval *e, const struct ast_expr *x, struct value **ret)
{
	const char *instead = stdlib_instead(x->name);

	if (!stdlib_has(x->name))
		return eval_fail(e, x, "identifier \"%s\" does not exist", x->name);
	if (instead)
		warn_deprecated(e, x, instead);
	return or_nomem(stdlib_get(x->name), ret);
}

static int eval_items(struct eval *e, const struct ast_expr *first, struct value_list *l)
{
	for (const struct ast_expr *i = first; i; i = i->next) {
		struct value *v = NULL;
		int r = eval_expr(e, i->kind == AST_FIELD ? i->left : i, &v);

		if (r < 0)
			return r;
		value_list_add(l, i->kind == AST_FIELD ? i->name : NULL, v);
	}
	return l->failed ? -ENOMEM : 0;
}

static int eval_collection(struct eval *e, const struct ast_expr *x, struct value **ret)
{
	_cleanup_(value_list_done) struct value_list l = {0};
	int r = eval_items(e, x->first, &l);

	if (r < 0)
		return r;
	return or_nomem(x->kind == AST_ARRAY ? value_array(&l) : value_object(&l), ret);
}

static bool is_ignored(const struct value *v)
{
	return v->kind == VALUE_CAPSULE && v->type == &capsule_ignored;
}

/* A new reference to what stands for a value that nobody knows yet. */
static int unknown(struct value **ret)
{
	return or_nomem(value_capsule(&capsule_ignored, NULL), ret);
}

/* Whether something that was looked up since then may change its value before it is used. */
static bool depends(const struct eval *e, size_t lookups_before)
{
	return e->check_only && e->lookups > lookups_before;
}

static int eval_access(struct eval *e, const struct ast_expr *x, struct value **ret)
{
	_cleanup_value_ struct value *left = NULL;
	struct value *field;
	int r = eval_expr(e, x->left, &left);

	if (r < 0)
		return r;
	if (is_ignored(left)) {
		*ret = TAKE_PTR(left);
		return 0;
	}
	if (left->kind != VALUE_OBJECT)
		return eval_fail(e, x, "cannot access field \"%s\" on value of type %s", x->name,
				 value_kind_name(left));
	field = value_get(left, x->name);
	if (!field)
		return eval_fail(e, x, "field \"%s\" does not exist", x->name);
	*ret = value_ref(field);
	return 0;
}

static int index_array(struct eval *e, const struct ast_expr *x, const struct value *array,
		       const struct value *index, struct value **ret)
{
	double f;

	if (index->kind != VALUE_NUMBER)
		return eval_fail(e, x->right, "array index should be number, got %s",
				 value_kind_name(index));
	f = number_float(index->n);
	if (!(f >= 0 && f < (double)array->n_items)) {
		char text[NUMBER_TEXT];

		number_format(index->n, text, sizeof(text));
		return eval_fail(e, x->right, "index %s is out of range of array with length %zu",
				 text, array->n_items);
	}
	*ret = value_ref(array->items[(size_t)f]);
	return 0;
}

static int eval_index(struct eval *e, const struct ast_expr *x, struct value **ret)
{
	_cleanup_value_ struct value *left = NULL, *index = NULL;
	size_t before = e->lookups;
	struct value *field;
	int r = eval_expr(e, x->left, &left);

	if (r >= 0)
		r = eval_expr(e, x->right, &index);
	if (r < 0)
		return r;
	if (left->kind == VALUE_ARRAY && !left->n_items && depends(e, before))
		return unknown(ret);
	if (is_ignored(left)) {
		*ret = TAKE_PTR(left);
		return 0;
	}
	if (left->kind == VALUE_ARRAY)
		return index_array(e, x, left, index, ret);
	if (left->kind != VALUE_OBJECT)
		return eval_fail(e, x, "cannot index a value of type %s", value_kind_name(left));
	if (index->kind != VALUE_STRING)
		return eval_fail(e, x->right, "object key should be string, got %s",
				 value_kind_name(index));
	/* Unlike obj.field, a key that is not there is null. */
	field = value_get(left, index->s);
	return or_nomem(field ? value_ref(field) : value_null(), ret);
}

static int eval_call(struct eval *e, const struct ast_expr *x, struct value **ret)
{
	_cleanup_(value_list_done) struct value_list l = {0};
	_cleanup_value_ struct value *fn = NULL, *args = NULL;
	size_t before = e->lookups;
	struct stdlib_call c;
	int r = eval_expr(e, x->left, &fn);

	if (r < 0)
		return r;
	if (fn->kind != VALUE_FUNCTION) {
		char text[80];

		eval_text(e, x->left, text, sizeof(text));
		return eval_fail(e, x->left, "%s should be function, got %s", text,
				 value_kind_name(fn));
	}
	r = eval_items(e, x->first, &l);
	if (r < 0)
		return r;
	args = value_array(&l);
	if (!args)
		return -ENOMEM;
	if (fn->fn->reads && depends(e, before))
		return unknown(ret);
	c = (struct stdlib_call){.eval = e, .expr = x, .args = args->items, .n = args->n_items};
	return stdlib_call(fn->fn, &c, ret);
}

static int eval_operator(struct eval *e, const struct ast_expr *x, struct value **ret)
{
	_cleanup_value_ struct value *a = NULL, *b = NULL;
	int r = eval_expr(e, x->left, &a);

	if (r < 0)
		return r;
	if (x->kind == AST_UNARY)
		return e->check_only && is_ignored(a) ? unknown(ret) : eval_unary(e, x, a, ret);
	/* No short-circuit: both sides of && and || are always evaluated. */
	r = eval_expr(e, x->right, &b);
	if (r >= 0 && e->check_only && (is_ignored(a) || is_ignored(b)))
		return unknown(ret);
	return r < 0 ? r : eval_binary(e, x, a, b, ret);
}

int eval_expr(struct eval *e, const struct ast_expr *x, struct value **ret)
{
	if (e->lookup && (x->kind == AST_IDENT || x->kind == AST_ACCESS)) {
		int r = e->lookup(x, e, ret);

		e->lookups += r >= 0;
		if (r != -ENOENT)
			return r;
	}
	switch (x->kind) {
	case AST_LITERAL:
		return eval_literal(e, x, ret);
	case AST_IDENT:
		return eval_ident(e, x, ret);
	case AST_ARRAY:
	case AST_OBJECT:
		return eval_collection(e, x, ret);
	case AST_FIELD:
	case AST_PAREN:
		return eval_expr(e, x->left, ret);
	case AST_ACCESS:
		return eval_access(e, x, ret);
	case AST_INDEX:
		return eval_index(e, x, ret);
	case AST_CALL:
		return eval_call(e, x, ret);
	case AST_UNARY:
	case AST_BINARY:
		return eval_operator(e, x, ret);
	}
	return -EINVAL;
}
