/* SPDX-License-Identifier: Apache-2.0 */
/* Expressions from text to the text of their value, for the tests of the language. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/buf.h"
#include "agent/config/eval.h"
#include "agent/config/parser.h"

static void show(const struct value *v, struct buf *b)
{
	char number[NUMBER_TEXT];

	switch (v->kind) {
	case VALUE_NUMBER:
		number_format(v->n, number, sizeof(number));
		buf_printf(b, "%s%s", number, v->n.kind == NUMBER_FLOAT ? "f" : "");
		return;
	case VALUE_STRING:
		buf_printf(b, "\"%s\"", v->s);
		return;
	case VALUE_BOOL:
		buf_adds(b, v->b ? "true" : "false");
		return;
	case VALUE_ARRAY:
		buf_adds(b, "[");
		for (size_t i = 0; i < v->n_items; i++) {
			buf_adds(b, i ? " " : "");
			show(v->items[i], b);
		}
		buf_adds(b, "]");
		return;
	case VALUE_OBJECT:
		buf_adds(b, "{");
		for (size_t i = 0; i < v->n_fields; i++) {
			buf_printf(b, "%s%s=", i ? " " : "", v->fields[i].key);
			show(v->fields[i].value, b);
		}
		buf_adds(b, "}");
		return;
	case VALUE_NULL:
	case VALUE_FUNCTION:
	case VALUE_CAPSULE:
		buf_adds(b, value_kind_name(v));
		return;
	}
}

/* `a = EXPR` to the value's text, or to "line:col: message". */
static void evaluate(const char *expr, char *to, size_t size)
{
	_cleanup_buf_ struct buf text = BUF_INIT(1u << 20), b = BUF_INIT(1u << 20);
	_cleanup_(ast_freep) struct ast_file *f = NULL;
	_cleanup_(source_freep) struct source *s = NULL;
	_cleanup_value_ struct value *v = NULL;
	_cleanup_diag_ struct diag_list d = {0};
	struct eval e = {.diags = &d};
	int r;

	buf_printf(&text, "a = %s", expr);
	assert_int_equal(source_new("t", buf_cstr(&text), text.len, &s), 0);
	e.source = s;
	r = parser_parse(s, &d, &f);
	if (r >= 0) {
		s = NULL;
		r = eval_expr(&e, f->body.first->value, &v);
	}
	if (r >= 0) {
		show(v, &b);
	} else if (d.n) {
		_cleanup_free_ char *line = diag_line(&d.items[0]);

		buf_adds(&b, line + 2);
	} else {
		buf_printf(&b, "error %d", r);
	}
	(void)snprintf(to, size, "%s", buf_cstr(&b));
}
