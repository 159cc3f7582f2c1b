/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A path is evaluated while it is parsed: each step turns the list of values found so far into the
 * next one. Filters are parsed again for every value they are applied to; they are short.
 */
#include "agent/config/json_path.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#define MAX_UNION   64
#define MAX_NESTING 50 /* of filters and their parentheses */

/* Borrowed values. */
struct found {
	const struct value **v;
	size_t n, cap;
};

struct path {
	const char *start, *s, *end;
	const struct value *root;
	struct found found;
	size_t visits;
	unsigned int depth;
	char *why;
	size_t size;
};

static void found_done(struct found *f)
{
	free(f->v);
}

static _printf_(2, 3) int reject(struct path *p, const char *fmt, ...)
{
	char text[160];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)snprintf(p->why, p->size, "%s at %zu in %.*s", text, (size_t)(p->s - p->start) + 1,
		       (int)MIN(p->end - p->start, 80), p->start);
	return -EBADMSG;
}

static int visit(struct path *p)
{
	if (++p->visits <= JSON_PATH_MAX_VISITS)
		return 0;
	(void)snprintf(p->why, p->size, "visits more than %u values", JSON_PATH_MAX_VISITS);
	return -E2BIG;
}

static int add(struct path *p, struct found *f, const struct value *v)
{
	if (f->n == f->cap) {
		size_t cap = f->cap ? f->cap * 2 : 8;
		const struct value **grown = realloc(f->v, cap * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		f->v = grown;
		f->cap = cap;
	}
	f->v[f->n++] = v;
	return visit(p);
}

static bool at(const struct path *p, char c)
{
	return p->s < p->end && *p->s == c;
}

static void skip_blanks(struct path *p)
{
	while (at(p, ' ') || at(p, '\t') || at(p, '\n') || at(p, '\r'))
		p->s++;
}

static bool take(struct path *p, const char *text)
{
	size_t n = strlen(text);

	skip_blanks(p);
	if ((size_t)(p->end - p->s) < n || memcmp(p->s, text, n) != 0)
		return false;
	p->s += n;
	return true;
}

/* One selector of a bracket. */
struct selector {
	enum { SELECT_NAME, SELECT_INDEX, SELECT_SLICE, SELECT_ALL } kind;
	char *name;
	int64_t from, to, step;
	bool has_from, has_to;
};

static int parse_int(struct path *p, int64_t *ret)
{
	bool minus = at(p, '-');
	int64_t v = 0;

	p->s += minus;
	if (p->s == p->end || *p->s < '0' || *p->s > '9')
		return reject(p, "expected a number");
	for (; p->s < p->end && *p->s >= '0' && *p->s <= '9'; p->s++) {
		if (v > INT32_MAX)
			return reject(p, "number is too large");
		v = v * 10 + (*p->s - '0');
	}
	*ret = minus ? -v : v;
	return 0;
}

/* A quoted name; a backslash takes the next byte as it is. Allocated. */
static int parse_quoted(struct path *p, char **ret)
{
	char quote = *p->s++, *text = malloc((size_t)(p->end - p->s) + 1);
	size_t n = 0;

	if (!text)
		return -ENOMEM;
	while (p->s < p->end && *p->s != quote) {
		p->s += *p->s == '\\' && p->s + 1 < p->end;
		text[n++] = *p->s++;
	}
	text[n] = '\0';
	if (p->s == p->end) {
		free(text);
		return reject(p, "string is not terminated");
	}
	p->s++;
	*ret = text;
	return 0;
}

static int parse_slice(struct path *p, struct selector *ret)
{
	int r = 0;

	ret->step = 1;
	if (!at(p, ':')) {
		ret->has_from = true;
		r = parse_int(p, &ret->from);
		skip_blanks(p);
	}
	if (r < 0 || !at(p, ':')) {
		ret->kind = SELECT_INDEX;
		return r;
	}
	ret->kind = SELECT_SLICE;
	p->s++;
	skip_blanks(p);
	if (!at(p, ':') && !at(p, ']')) {
		ret->has_to = true;
		r = parse_int(p, &ret->to);
		skip_blanks(p);
	}
	if (r >= 0 && at(p, ':')) {
		p->s++;
		skip_blanks(p);
		r = at(p, ']') ? 0 : parse_int(p, &ret->step);
	}
	return r >= 0 && !ret->step ? reject(p, "the step of a slice is not 0") : r;
}

static int parse_selector(struct path *p, struct selector *ret)
{
	skip_blanks(p);
	*ret = (struct selector){.kind = SELECT_NAME};
	if (at(p, '\'') || at(p, '"'))
		return parse_quoted(p, &ret->name);
	if (!at(p, '*'))
		return parse_slice(p, ret);
	p->s++;
	ret->kind = SELECT_ALL;
	return 0;
}

static size_t children(const struct value *v)
{
	return v->kind == VALUE_ARRAY ? v->n_items : v->kind == VALUE_OBJECT ? v->n_fields : 0;
}

static const struct value *child(const struct value *v, size_t i)
{
	return v->kind == VALUE_ARRAY ? v->items[i] : v->fields[i].value;
}

static int add_all(struct path *p, struct found *to, const struct value *v)
{
	for (size_t i = 0; i < children(v); i++) {
		int r = add(p, to, child(v, i));

		if (r < 0)
			return r;
	}
	return 0;
}

static int add_slice(struct path *p, struct found *to, const struct value *v,
		     const struct selector *s)
{
	int64_t n = v->kind == VALUE_ARRAY ? (int64_t)v->n_items : 0;
	int64_t from = s->has_from ? s->from : s->step > 0 ? 0 : n - 1;
	int64_t end = s->has_to ? s->to : s->step > 0 ? n : -1;

	from += s->has_from && from < 0 ? n : 0;
	end += s->has_to && end < 0 ? n : 0;
	from = s->step > 0 ? MAX(from, 0) : MIN(from, n - 1);
	for (int64_t i = from; s->step > 0 ? i < MIN(end, n) : i > MAX(end, -1); i += s->step) {
		int r = i >= 0 && i < n ? add(p, to, v->items[i]) : visit(p);

		if (r < 0)
			return r;
	}
	return 0;
}

static int add_selected(struct path *p, struct found *to, const struct value *v,
			const struct selector *s)
{
	const struct value *x;
	int64_t i = s->from;

	switch (s->kind) {
	case SELECT_NAME:
		x = value_get(v, s->name);
		return x ? add(p, to, x) : visit(p);
	case SELECT_INDEX:
		i += v->kind == VALUE_ARRAY && i < 0 ? (int64_t)v->n_items : 0;
		if (v->kind != VALUE_ARRAY || i < 0 || i >= (int64_t)v->n_items)
			return visit(p);
		return add(p, to, v->items[i]);
	case SELECT_SLICE:
		return add_slice(p, to, v, s);
	case SELECT_ALL:
		return add_all(p, to, v);
	}
	return 0;
}

/* Replaces what is found by what the selectors find below it. */
static int apply(struct path *p, const struct selector *s, size_t n)
{
	_cleanup_(found_done) struct found next = {0};
	struct found old = p->found;
	int r = 0;

	for (size_t i = 0; i < old.n; i++) {
		for (size_t k = 0; k < n && r >= 0; k++)
			r = add_selected(p, &next, old.v[i], &s[k]);
	}
	p->found = next;
	next = old;
	return r;
}

static int parse_steps(struct path *p, bool nested);

/* The values of one side of a comparison: those of a path, or a literal (owned by *ret_literal). */
static int parse_operand(struct path *p, const struct value *v, struct found *ret,
			 struct value **ret_literal)
{
	struct found outer = p->found;
	char *text = NULL, number[64];
	size_t n;
	int r;

	skip_blanks(p);
	if (at(p, '@') || at(p, '$')) {
		p->found = (struct found){0};
		r = add(p, &p->found, *p->s++ == '@' ? v : p->root);
		if (r >= 0)
			r = parse_steps(p, true);
		*ret = p->found;
		p->found = outer;
		return r;
	}
	if (at(p, '\'') || at(p, '"')) {
		r = parse_quoted(p, &text);
		*ret_literal = r < 0 ? NULL : value_cstr(text);
		free(text);
	} else if (take(p, "true") || take(p, "false")) {
		*ret_literal = value_bool(p->s[-2] == 'u');
		r = 0;
	} else if (take(p, "null")) {
		*ret_literal = value_null();
		r = 0;
	} else {
		for (n = 0; p->s + n < p->end && strchr("+-.0123456789eE", p->s[n]) && p->s[n]; n++)
			;
		if (!n || n >= sizeof(number))
			return reject(p,
				      "expected a path, a string, a number, true, false or null");
		memcpy(number, p->s, n);
		number[n] = '\0';
		p->s += n;
		*ret_literal = value_number(
			(struct number){.kind = NUMBER_FLOAT, .f = strtod(number, NULL)});
		r = 0;
	}
	if (r >= 0 && !*ret_literal)
		r = -ENOMEM;
	return r < 0 ? r : add(p, ret, *ret_literal);
}

static bool compares(const struct value *a, const char *op, const struct value *b)
{
	int r;

	if (op[0] == '=' || op[0] == '!')
		return value_equal(a, b) == (op[0] == '=');
	if (a->kind != b->kind || (a->kind != VALUE_NUMBER && a->kind != VALUE_STRING))
		return false;
	if (a->kind == VALUE_NUMBER)
		r = number_float(a->n) < number_float(b->n)   ? -1
		    : number_float(a->n) > number_float(b->n) ? 1
							      : 0;
	else
		r = strcmp(a->s, b->s);
	return op[0] == '<' ? r < 0 || (op[1] && !r) : r > 0 || (op[1] && !r);
}

/* A path alone asks whether it leads anywhere; with several values on a side the first counts. */
static int parse_comparison(struct path *p, const struct value *v, bool *ret)
{
	static const char *const ops[] = {"==", "!=", "<=", ">=", "<", ">"};
	_cleanup_(found_done) struct found a = {0}, b = {0};
	_cleanup_value_ struct value *x = NULL, *y = NULL;
	const char *op = NULL;
	int r = parse_operand(p, v, &a, &x);

	for (size_t i = 0; i < ARRAY_SIZE(ops) && r >= 0 && !op; i++)
		op = take(p, ops[i]) ? ops[i] : NULL;
	if (r < 0)
		return r;
	if (!op) {
		*ret = x ? x->kind == VALUE_BOOL && x->b : a.n > 0;
		return 0;
	}
	r = parse_operand(p, v, &b, &y);
	if (r < 0)
		return r;
	*ret = a.n && b.n ? compares(a.v[0], op, b.v[0]) : (a.n == b.n) == !strcmp(op, "==");
	/* What is not there is neither less nor greater. */
	if (!(a.n && b.n) && op[0] != '=' && op[0] != '!')
		*ret = false;
	return 0;
}

static int parse_or(struct path *p, const struct value *v, bool *ret);

static int parse_term(struct path *p, const struct value *v, bool *ret)
{
	int r;

	if (++p->depth > MAX_NESTING)
		return reject(p, "nested too deep");
	if (take(p, "(")) {
		r = parse_or(p, v, ret);
		if (r >= 0 && !take(p, ")"))
			r = reject(p, "expected )");
	} else if (take(p, "!")) {
		r = parse_term(p, v, ret);
		*ret = !*ret;
	} else {
		r = parse_comparison(p, v, ret);
	}
	p->depth--;
	return r;
}

static int parse_and(struct path *p, const struct value *v, bool *ret)
{
	bool other = false;
	int r = parse_term(p, v, ret);

	while (r >= 0 && take(p, "&&")) {
		r = parse_term(p, v, &other);
		*ret = *ret && other;
	}
	return r;
}

static int parse_or(struct path *p, const struct value *v, bool *ret)
{
	bool other = false;
	int r = parse_and(p, v, ret);

	while (r >= 0 && take(p, "||")) {
		r = parse_and(p, v, &other);
		*ret = *ret || other;
	}
	return r;
}

/* [?( ... )]: keeps the children for which it holds. Without any child it is checked on null. */
static int parse_filter(struct path *p)
{
	_cleanup_value_ struct value *none = value_null();
	_cleanup_(found_done) struct found next = {0};
	struct found old = p->found;
	const char *begin = p->s;
	bool keep = false;
	int r = none ? 0 : -ENOMEM;

	if (r >= 0)
		r = parse_or(p, none, &keep);
	for (size_t i = 0; i < old.n && r >= 0; i++) {
		for (size_t k = 0; k < children(old.v[i]) && r >= 0; k++) {
			const struct value *v = child(old.v[i], k);

			p->s = begin;
			keep = false;
			r = parse_or(p, v, &keep);
			if (r >= 0)
				r = keep ? add(p, &next, v) : visit(p);
		}
	}
	p->found = next;
	next = old;
	return r;
}

static int parse_bracket(struct path *p)
{
	struct selector list[MAX_UNION];
	size_t n = 0;
	int r;

	if (take(p, "?")) {
		r = parse_filter(p);
		return r >= 0 && !take(p, "]") ? reject(p, "expected ]") : r;
	}
	do {
		r = n < MAX_UNION ? parse_selector(p, &list[n]) : reject(p, "too many selectors");
		n += r >= 0;
	} while (r >= 0 && take(p, ","));
	if (r >= 0 && !take(p, "]"))
		r = reject(p, "expected ]");
	if (r >= 0)
		r = apply(p, list, n);
	for (size_t i = 0; i < n; i++)
		free(list[i].name);
	return r;
}

static bool in_name(char c)
{
	return c && !strchr(".[]()*?@$'\"=!<>&|, \t\r\n:", c);
}

static int parse_name(struct path *p)
{
	struct selector s = {.kind = SELECT_NAME};
	const char *begin = p->s;
	int r;

	if (at(p, '*')) {
		p->s++;
		s.kind = SELECT_ALL;
		return apply(p, &s, 1);
	}
	while (p->s < p->end && in_name(*p->s))
		p->s++;
	if (p->s == begin)
		return reject(p, "expected a name");
	s.name = strndup(begin, (size_t)(p->s - begin));
	r = s.name ? apply(p, &s, 1) : -ENOMEM;
	free(s.name);
	return r;
}

static int add_descendants(struct path *p, struct found *to, const struct value *v)
{
	int r = add(p, to, v);

	/* Values are at most as deep as the parser of JSON allows. */
	for (size_t i = 0; i < children(v) && r >= 0; i++)
		r = add_descendants(p, to, child(v, i));
	return r;
}

static int descend(struct path *p)
{
	_cleanup_(found_done) struct found next = {0};
	struct found old = p->found;
	int r = 0;

	for (size_t i = 0; i < old.n && r >= 0; i++)
		r = add_descendants(p, &next, old.v[i]);
	p->found = next;
	next = old;
	return r;
}

/* Up to the end; nested (in a filter) up to what is no step. */
static int parse_steps(struct path *p, bool nested)
{
	for (size_t n = 0; p->s < p->end; n++) {
		int r;

		if (n == JSON_PATH_MAX_STEPS)
			return reject(p, "more than %d steps", JSON_PATH_MAX_STEPS);
		if (at(p, '[')) {
			p->s++;
			r = parse_bracket(p);
		} else if (at(p, '.')) {
			p->s++;
			r = 0;
			if (at(p, '.')) {
				p->s++;
				r = descend(p);
			}
			if (r >= 0 && !at(p, '['))
				r = parse_name(p);
		} else if (nested) {
			return 0;
		} else {
			r = reject(p, "expected . or [");
		}
		if (r < 0)
			return r;
	}
	return 0;
}

int json_path(const struct value *v, const char *path, size_t n, struct value **ret, char *why,
	      size_t size)
{
	_cleanup_(value_list_done) struct value_list l = {0};
	struct path p = {.start = path, .s = path, .end = path + n, .root = v, .why = why};
	int r;

	p.size = size;
	if (n > JSON_PATH_MAX_BYTES) {
		(void)snprintf(why, size, "is longer than %d bytes", JSON_PATH_MAX_BYTES);
		return -E2BIG;
	}
	(void)snprintf(why, size, "out of memory");
	r = add(&p, &p.found, v);
	if (r >= 0 && (at(&p, '$') || at(&p, '@')))
		p.s++;
	else if (r >= 0 && n && !at(&p, '.') && !at(&p, '['))
		r = parse_name(&p);
	if (r >= 0)
		r = parse_steps(&p, false);
	for (size_t i = 0; i < p.found.n && r >= 0; i++)
		value_list_add(&l, NULL, value_ref((struct value *)p.found.v[i]));
	found_done(&p.found);
	if (r < 0)
		return r;
	*ret = value_array(&l);
	return *ret ? 0 : -ENOMEM;
}
