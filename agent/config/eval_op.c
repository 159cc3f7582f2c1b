/* SPDX-License-Identifier: Apache-2.0 */
/* The operators. Numbers widen uint < int < float; a secret makes the string it is added to one. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "agent/config/eval.h"

static bool is_text(const struct value *v)
{
	size_t len;
	bool secret;

	return value_text(v, &len, &secret);
}

static int or_nomem(struct value *v, struct value **ret)
{
	if (!v)
		return -ENOMEM;
	*ret = v;
	return 0;
}

static int bad_operand(struct eval *e, const struct ast_expr *x, const struct ast_expr *side,
		       const char *want, const struct value *got)
{
	char text[80];

	eval_text(e, side, text, sizeof(text));
	return eval_fail(e, side, "%s should be %s for %s %s, got %s", text, want,
			 x->kind == AST_UNARY ? "unary" : "binop", token_name(x->op),
			 value_kind_name(got));
}

static int concat(const struct value *a, const struct value *b, struct value **ret)
{
	_cleanup_free_ char *text = NULL;
	bool secret, other;
	size_t n, m;
	const char *p = value_text(a, &n, &secret), *q = value_text(b, &m, &other);

	if (n + m > VALUE_MAX_STRING)
		return -E2BIG;
	text = malloc(n + m + 1);
	if (!text)
		return -ENOMEM;
	memcpy(text, p, n);
	memcpy(text + n, q, m);
	text[n + m] = '\0';
	return or_nomem(secret || other ? value_secret(text) : value_string(text, n + m), ret);
}

/* Integers wrap, as they do in the reference implementation. */
static int arithmetic_int(struct eval *e, const struct ast_expr *x, uint64_t a, uint64_t b,
			  bool is_signed, struct value **ret)
{
	struct number n = {.kind = is_signed ? NUMBER_INT : NUMBER_UINT};
	bool minus_one = is_signed && b == UINT64_MAX;

	switch ((int)x->op) {
	case TOKEN_ADD:
		n.u = a + b;
		break;
	case TOKEN_SUB:
		n.u = a - b;
		break;
	case TOKEN_MUL:
		n.u = a * b;
		break;
	default:
		if (!b)
			return eval_fail(e, x, "divide by zero error");
		/* INT64_MIN / -1 traps. */
		if (x->op == TOKEN_DIV)
			n.u = minus_one	  ? -a
			      : is_signed ? (uint64_t)((int64_t)a / (int64_t)b)
					  : a / b;
		else
			n.u = minus_one	  ? 0
			      : is_signed ? (uint64_t)((int64_t)a % (int64_t)b)
					  : a % b;
	}
	return or_nomem(value_number(n), ret);
}

static int arithmetic_float(struct eval *e, const struct ast_expr *x, double a, double b,
			    struct value **ret)
{
	struct number n = {.kind = NUMBER_FLOAT};

	switch ((int)x->op) {
	case TOKEN_ADD:
		n.f = a + b;
		break;
	case TOKEN_SUB:
		n.f = a - b;
		break;
	case TOKEN_MUL:
		n.f = a * b;
		break;
	case TOKEN_POW:
		n.f = pow(a, b);
		break;
	default:
		if (b == 0)
			return eval_fail(e, x, "divide by zero error");
		n.f = x->op == TOKEN_DIV ? a / b : fmod(a, b);
	}
	return or_nomem(value_number(n), ret);
}

static int arithmetic(struct eval *e, const struct ast_expr *x, struct number a, struct number b,
		      struct value **ret)
{
	enum number_kind kind = MAX(a.kind, b.kind);
	struct number n = {.kind = kind};
	double f;

	if (kind == NUMBER_FLOAT)
		return arithmetic_float(e, x, number_float(a), number_float(b), ret);
	if (x->op != TOKEN_POW)
		return arithmetic_int(e, x, a.u, b.u, kind == NUMBER_INT, ret);
	f = pow(kind == NUMBER_INT ? (double)a.i : (double)a.u,
		kind == NUMBER_INT ? (double)b.i : (double)b.u);
	/* Out of range stays a float instead of an undefined conversion. */
	if (kind == NUMBER_INT && f >= -0x1p63 && f < 0x1p63)
		n.i = (int64_t)f;
	else if (kind == NUMBER_UINT && f >= 0 && f < 0x1p64)
		n.u = (uint64_t)f;
	else
		n = (struct number){.kind = NUMBER_FLOAT, .f = f};
	return or_nomem(value_number(n), ret);
}

static int number_compare(struct number a, struct number b)
{
	double f = number_float(a), g = number_float(b);

	if (a.kind == NUMBER_INT && b.kind == NUMBER_INT)
		return a.i < b.i ? -1 : a.i > b.i;
	if (a.kind == NUMBER_UINT && b.kind == NUMBER_UINT)
		return a.u < b.u ? -1 : a.u > b.u;
	return f < g ? -1 : f > g;
}

static int order(struct eval *e, const struct ast_expr *x, const struct value *a,
		 const struct value *b, struct value **ret)
{
	int r;

	if (a->kind != VALUE_NUMBER && a->kind != VALUE_STRING)
		return bad_operand(e, x, x->left, "one of [number string]", a);
	if (a->kind != b->kind)
		return bad_operand(e, x, x->right, value_kind_name(a), b);
	if (a->kind == VALUE_NUMBER) {
		r = number_compare(a->n, b->n);
	} else {
		r = memcmp(a->s, b->s, MIN(a->len, b->len));
		r = r ? r : a->len < b->len ? -1 : a->len > b->len;
	}
	return or_nomem(value_bool(x->op == TOKEN_LT	? r < 0
				   : x->op == TOKEN_LTE ? r <= 0
				   : x->op == TOKEN_GT	? r > 0
							: r >= 0),
			ret);
}

static int logic(struct eval *e, const struct ast_expr *x, const struct value *a,
		 const struct value *b, struct value **ret)
{
	if (a->kind != VALUE_BOOL)
		return bad_operand(e, x, x->left, "bool", a);
	if (b->kind != VALUE_BOOL)
		return bad_operand(e, x, x->right, "bool", b);
	return or_nomem(value_bool(x->op == TOKEN_AND ? a->b && b->b : a->b || b->b), ret);
}

int eval_binary(struct eval *e, const struct ast_expr *x, const struct value *a,
		const struct value *b, struct value **ret)
{
	bool plus = x->op == TOKEN_ADD;
	const char *want = plus ? "one of [number string]" : "number";
	int r;

	switch ((int)x->op) {
	case TOKEN_EQ:
	case TOKEN_NEQ:
		return or_nomem(value_bool(value_equal(a, b) == (x->op == TOKEN_EQ)), ret);
	case TOKEN_LT:
	case TOKEN_LTE:
	case TOKEN_GT:
	case TOKEN_GTE:
		return order(e, x, a, b, ret);
	case TOKEN_AND:
	case TOKEN_OR:
		return logic(e, x, a, b, ret);
	}
	if (plus && is_text(a) && is_text(b)) {
		r = concat(a, b, ret);
		return r == -E2BIG
			       ? eval_fail(e, x, "string is longer than %u bytes", VALUE_MAX_STRING)
			       : r;
	}
	if (a->kind != VALUE_NUMBER && !(plus && is_text(a)))
		return bad_operand(e, x, x->left, want, a);
	if (b->kind != VALUE_NUMBER || a->kind != VALUE_NUMBER)
		return bad_operand(e, x, x->right,
				   plus && is_text(a) ? "string"
				   : plus	      ? "number"
						      : want,
				   b);
	return arithmetic(e, x, a->n, b->n, ret);
}

int eval_unary(struct eval *e, const struct ast_expr *x, const struct value *a, struct value **ret)
{
	struct number n;

	if (x->op == TOKEN_NOT) {
		if (a->kind != VALUE_BOOL)
			return bad_operand(e, x, x->left, "bool", a);
		return or_nomem(value_bool(!a->b), ret);
	}
	if (a->kind != VALUE_NUMBER)
		return bad_operand(e, x, x->left, "number", a);
	n = a->n;
	if (n.kind == NUMBER_FLOAT) {
		n.f = -n.f;
	} else {
		n.kind = NUMBER_INT;
		n.u = -n.u;
	}
	return or_nomem(value_number(n), ret);
}
