/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Go's regular expression syntax to a tree. The parser keeps a stack, as Go's does, because some of
 * the rules (what a repetition applies to, where a flag ends) are rules about that stack.
 */
#include <errno.h>
#include <string.h>

#include "agent/base/utf8.h"
#include "agent/relabel/regex_parse.h"
#include "agent/relabel/unicode.h"

int regex_error(struct regex_parser *p, const char *what, const char *at, const char *end)
{
	if (!p->what) {
		p->what = what;
		p->at = at;
		p->at_end = end;
	}
	return -EINVAL;
}

int regex_next(struct regex_parser *p, uint32_t *ret)
{
	size_t k;

	*ret = UNICODE_INVALID;
	if (p->s == p->end)
		return 0;
	*ret = unicode_decode(p->s, (size_t)(p->end - p->s), &k);
	if (*ret == UNICODE_INVALID && k == 1)
		return regex_error(p, "invalid UTF-8", p->s, p->end);
	p->s += k;
	return 0;
}

static int check_utf8(struct regex_parser *p, const char *s, const char *end)
{
	while (s < end) {
		size_t k;
		uint32_t c = unicode_decode(s, (size_t)(end - s), &k);

		if (c == UNICODE_INVALID && k == 1)
			return regex_error(p, "invalid UTF-8", s, end);
		s += k;
	}
	return 0;
}

static int64_t new_node(struct regex_parser *p, enum re_op op, uint32_t arg)
{
	struct regex_tree *t = p->tree;

	if (t->n == t->cap) {
		size_t cap = t->cap ? t->cap * 2 : 32;
		struct re_node *v = realloc(t->nodes, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		t->nodes = v;
		t->cap = cap;
		t->n = MAX(t->n, 1u);
	}
	t->nodes[t->n] = (struct re_node){.op = (uint8_t)op, .arg = arg, .height = 1};
	return (int64_t)t->n++;
}

static int push_index(struct regex_parser *p, uint32_t node)
{
	if (p->depth == p->stack_cap) {
		size_t cap = p->stack_cap ? p->stack_cap * 2 : 32;
		uint32_t *v = realloc(p->stack, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		p->stack = v;
		p->stack_cap = cap;
	}
	p->stack[p->depth++] = node;
	return 0;
}

static int push(struct regex_parser *p, enum re_op op, uint32_t arg)
{
	int64_t i = new_node(p, op, arg);

	return i < 0 ? (int)i : push_index(p, (uint32_t)i);
}

static struct re_node *top(struct regex_parser *p)
{
	return &p->tree->nodes[p->stack[p->depth - 1]];
}

static bool is_pseudo(const struct re_node *n)
{
	return n->op == RE_PAREN || n->op == RE_BAR;
}

/* Raises the height of a node above that of a child. */
static int grow(struct regex_parser *p, struct re_node *n, const struct re_node *child)
{
	n->height = (uint16_t)MAX(n->height, child->height + 1);
	if (n->height > REGEX_MAX_DEPTH)
		return regex_error(p, "expression nests too deeply", p->all, p->end);
	return 0;
}

/* Replaces the n entries on top by one node over them. */
static int collapse(struct regex_parser *p, size_t first, enum re_op op)
{
	int64_t i = new_node(p, op, 0);
	uint32_t *link;

	if (i < 0)
		return (int)i;
	link = &p->tree->nodes[i].child;
	for (size_t k = first; k < p->depth; k++) {
		struct re_node *child = &p->tree->nodes[p->stack[k]];

		if (child->op == RE_BAR)
			continue;
		if (grow(p, &p->tree->nodes[i], child) < 0)
			return -EINVAL;
		*link = p->stack[k];
		link = &child->next;
	}
	p->depth = first;
	return push_index(p, (uint32_t)i);
}

static int concat(struct regex_parser *p)
{
	size_t first = p->depth;

	while (first > 0 && !is_pseudo(&p->tree->nodes[p->stack[first - 1]]))
		first--;
	if (first == p->depth)
		return push(p, RE_EMPTY, 0);
	return p->depth - first == 1 ? 0 : collapse(p, first, RE_CONCAT);
}

/* What is above the last parenthesis becomes one entry. */
static int alternate(struct regex_parser *p)
{
	size_t first = p->depth;

	while (first > 0 && p->tree->nodes[p->stack[first - 1]].op != RE_PAREN)
		first--;
	return p->depth - first == 1 ? 0 : collapse(p, first, RE_ALTERNATE);
}

static int on_bar(struct regex_parser *p)
{
	int r = concat(p);

	p->s++;
	return r < 0 ? r : push(p, RE_BAR, 0);
}

static int on_close(struct regex_parser *p)
{
	struct re_node *paren;
	uint32_t inner;
	int r = concat(p);

	p->s++;
	if (r >= 0)
		r = alternate(p);
	if (r < 0)
		return r;
	if (p->depth < 2 || p->tree->nodes[p->stack[p->depth - 2]].op != RE_PAREN)
		return regex_error(p, "unexpected )", p->all, p->end);
	inner = p->stack[p->depth - 1];
	paren = &p->tree->nodes[p->stack[p->depth - 2]];
	p->flags = paren->flags;
	p->depth--;
	if (!paren->arg) {
		p->stack[p->depth - 1] = inner;
		return 0;
	}
	paren->op = RE_GROUP;
	paren->child = inner;
	return grow(p, paren, &p->tree->nodes[inner]);
}

static int open_paren(struct regex_parser *p, uint32_t group)
{
	int r = push(p, RE_PAREN, group);

	if (r >= 0)
		top(p)->flags = p->flags;
	return r;
}

/* A new group with a name (NULL: none). */
static int open_group(struct regex_parser *p, const char *name, size_t len)
{
	struct regex *re = p->re;
	char **names = realloc(re->names, (re->n_groups + 1) * sizeof(char *));

	if (!names)
		return -ENOMEM;
	re->names = names;
	names[re->n_groups] = name ? strndup(name, len) : NULL;
	if (name && !names[re->n_groups])
		return -ENOMEM;
	return open_paren(p, (uint32_t)re->n_groups++);
}

static bool is_word(uint32_t c)
{
	return c == '_' || (c < 0x80 && unicode_is_alnum(c));
}

static int on_named_group(struct regex_parser *p, size_t name_at)
{
	const char *start = p->s, *name = p->s + name_at;
	const char *end = memchr(p->s, '>', (size_t)(p->end - p->s));

	if (!end) {
		if (check_utf8(p, p->s, p->end) < 0)
			return -EINVAL;
		return regex_error(p, "invalid named capture", start, p->end);
	}
	if (check_utf8(p, name, end) < 0)
		return -EINVAL;
	for (const char *c = name; c < end; c++) {
		if (!is_word((unsigned char)*c))
			return regex_error(p, "invalid named capture", start, end + 1);
	}
	if (end == name)
		return regex_error(p, "invalid named capture", start, end + 1);
	p->s = end + 1;
	return open_group(p, name, (size_t)(end - name));
}

/* "(?" and what follows: flags, perhaps a group. */
static int on_flags(struct regex_parser *p)
{
	const char *start = p->s;
	uint16_t flags = p->flags;
	bool negative = false, saw = false;

	p->s += 2;
	while (p->s < p->end) {
		uint16_t bit = 0;
		uint32_t c;

		if (regex_next(p, &c) < 0)
			return -EINVAL;
		if ((c == ':' || c == ')') && (!negative || saw)) {
			int r = c == ':' ? open_paren(p, 0) : 0;

			p->flags = flags;
			return r;
		}
		if (c == '-' && !negative) {
			negative = true;
			saw = false;
			continue;
		}
		bit = c == 'i'	 ? REGEX_FOLD
		      : c == 'm' ? REGEX_LINES
		      : c == 's' ? REGEX_DOT_NL
		      : c == 'U' ? REGEX_LAZY
				 : 0;
		if (!bit)
			break;
		saw = true;
		flags = negative ? flags & (uint16_t)~bit : flags | bit;
	}
	return regex_error(p, "invalid or unsupported Perl syntax", start, p->s);
}

static int on_open(struct regex_parser *p)
{
	size_t left = (size_t)(p->end - p->s);

	if (left >= 2 && p->s[1] == '?') {
		if (left > 4 && p->s[2] == 'P' && p->s[3] == '<')
			return on_named_group(p, 4);
		if (left > 3 && p->s[2] == '<')
			return on_named_group(p, 3);
		return on_flags(p);
	}
	p->s++;
	return open_group(p, NULL, 0);
}

/* How often the innermost is repeated, when all repetitions around it are counted. */
static bool repeat_is_valid(const struct regex_tree *t, const struct re_node *n, int32_t limit)
{
	if (n->op == RE_REPEAT) {
		int32_t m = n->max < 0 ? n->min : n->max;

		if (!n->max)
			return true;
		if (m > limit)
			return false;
		if (m > 0)
			limit /= m;
	}
	for (uint32_t i = n->child; i; i = t->nodes[i].next) {
		if (!repeat_is_valid(t, &t->nodes[i], limit))
			return false;
	}
	return true;
}

/* A repetition that begins at `start` (and at `before`, when one stands right before it); p->s is
 * behind its operator. */
static int repeat(struct regex_parser *p, enum re_op op, int32_t min, int32_t max,
		  const char *start, const char *before)
{
	bool lazy = p->flags & REGEX_LAZY;
	struct re_node *n;
	int64_t i;

	if (p->s < p->end && *p->s == '?') {
		p->s++;
		lazy = !lazy;
	}
	if (before)
		return regex_error(p, "invalid nested repetition operator", before, p->s);
	if (!p->depth || is_pseudo(top(p)))
		return regex_error(p, "missing argument to repetition operator", start, p->s);
	i = new_node(p, op, 0);
	if (i < 0)
		return (int)i;
	n = &p->tree->nodes[i];
	n->lazy = lazy;
	n->min = min;
	n->max = max;
	n->child = p->stack[p->depth - 1];
	if (grow(p, n, top(p)) < 0)
		return -EINVAL;
	p->stack[p->depth - 1] = (uint32_t)i;
	if (op == RE_REPEAT && (min >= 2 || max >= 2) &&
	    !repeat_is_valid(p->tree, n, REGEX_MAX_REPEAT))
		return regex_error(p, "invalid repeat count", start, p->s);
	return 0;
}

/* -1: no number there; -2: too large a one. */
static int32_t parse_int(const char **s, const char *end)
{
	const char *c = *s;
	int32_t n = 0;

	if (c == end || *c < '0' || *c > '9' ||
	    (*c == '0' && c + 1 < end && c[1] >= '0' && c[1] <= '9'))
		return -1;
	for (; c < end && *c >= '0' && *c <= '9'; c++) {
		if (n >= 100000000)
			n = -2;
		if (n >= 0)
			n = n * 10 + (*c - '0');
	}
	*s = c;
	return n;
}

/* {n}, {n,} or {n,m}: false when it is none, and stands for itself. */
static bool parse_repeat(struct regex_parser *p, int32_t *ret_min, int32_t *ret_max)
{
	const char *s = p->s + 1;
	int32_t min = parse_int(&s, p->end), max = min;

	if (min == -1 || s == p->end)
		return false;
	if (*s == ',') {
		if (++s == p->end)
			return false;
		max = -1;
		if (*s != '}') {
			max = parse_int(&s, p->end);
			if (max == -1)
				return false;
			if (max == -2)
				min = -2;
		}
	}
	if (s == p->end || *s != '}')
		return false;
	p->s = s + 1;
	*ret_min = min;
	*ret_max = max;
	return true;
}

static int literal(struct regex_parser *p, uint32_t c)
{
	struct runes set = {0};

	if (!(p->flags & REGEX_FOLD) || unicode_fold(c) == c)
		return push(p, RE_RUNE, c);
	runes_add_folded(&set, c, c);
	return regex_push_class(p, &set, false);
}

static int push_class_node(struct regex_parser *p, uint32_t index)
{
	return push(p, RE_CLASS, index);
}

int regex_push_class(struct regex_parser *p, struct runes *set, bool negate)
{
	struct regex *re = p->re;
	struct regex_class *k;

	runes_clean(set);
	if (negate)
		runes_negate(set);
	if (set->failed) {
		runes_done(set);
		return -ENOMEM;
	}
	if (re->n_classes == re->cap_classes) {
		size_t cap = re->cap_classes ? re->cap_classes * 2 : 8;
		struct regex_class *v = realloc(re->classes, cap * sizeof(*v));

		if (!v) {
			runes_done(set);
			return -ENOMEM;
		}
		re->classes = v;
		re->cap_classes = cap;
	}
	k = &re->classes[re->n_classes++];
	*k = (struct regex_class){.set = *set};
	*set = (struct runes){0};
	for (size_t i = 0; i < k->set.n && k->set.v[i].lo < 0x80; i++) {
		for (uint32_t c = k->set.v[i].lo; c <= MIN(k->set.v[i].hi, 0x7fu); c++)
			k->ascii[c / 64] |= UINT64_C(1) << (c % 64);
	}
	re->n_ranges += k->set.n;
	if (re->n_ranges > REGEX_MAX_RANGES)
		return regex_error(p, "expression too large", p->all, p->end);
	return push_class_node(p, (uint32_t)(re->n_classes - 1));
}

static int on_quoted(struct regex_parser *p)
{
	p->s += 2;
	while (p->s < p->end) {
		uint32_t c;
		int r;

		if (p->end - p->s >= 2 && p->s[0] == '\\' && p->s[1] == 'E') {
			p->s += 2;
			return 0;
		}
		r = regex_next(p, &c);
		if (r >= 0)
			r = literal(p, c);
		if (r < 0)
			return r;
	}
	return 0;
}

static int on_backslash(struct regex_parser *p)
{
	struct runes set = {0};
	uint32_t c;
	int r;

	switch (p->end - p->s >= 2 ? p->s[1] : 0) {
	case 'A':
		p->s += 2;
		return push(p, RE_LOOK, LOOK_BEGIN_TEXT);
	case 'z':
		p->s += 2;
		return push(p, RE_LOOK, LOOK_END_TEXT);
	case 'b':
		p->s += 2;
		return push(p, RE_LOOK, LOOK_WORD);
	case 'B':
		p->s += 2;
		return push(p, RE_LOOK, LOOK_NOT_WORD);
	case 'C':
		return regex_error(p, "invalid escape sequence", p->s, p->s + 2);
	case 'Q':
		return on_quoted(p);
	default:
		break;
	}
	r = regex_escape_class(p, &set);
	if (r > 0)
		return regex_push_class(p, &set, false);
	if (r == 0)
		r = regex_escape(p, &c);
	runes_done(&set);
	return r < 0 ? r : literal(p, c);
}

/* One item; *ret_repeat is set to its start when it is a repetition. */
static int parse_item(struct regex_parser *p, const char *before, const char **ret_repeat)
{
	const char *start = p->s;
	int32_t min, max;
	uint32_t c;
	int r;

	switch (*p->s) {
	case '(':
		return on_open(p);
	case '|':
		return on_bar(p);
	case ')':
		return on_close(p);
	case '[':
		return regex_class(p);
	case '\\':
		return on_backslash(p);
	case '^':
		p->s++;
		return push(p, RE_LOOK, p->flags & REGEX_LINES ? LOOK_BEGIN_LINE : LOOK_BEGIN_TEXT);
	case '$':
		p->s++;
		return push(p, RE_LOOK, p->flags & REGEX_LINES ? LOOK_END_LINE : LOOK_END_TEXT);
	case '.':
		p->s++;
		return push(p, p->flags & REGEX_DOT_NL ? RE_ANY : RE_ANY_NOT_NL, 0);
	case '*':
	case '+':
	case '?':
		*ret_repeat = start;
		p->s++;
		return repeat(p,
			      *start == '*'   ? RE_STAR
			      : *start == '+' ? RE_PLUS
					      : RE_QUEST,
			      0, 0, start, before);
	case '{':
		if (!parse_repeat(p, &min, &max))
			break;
		*ret_repeat = start;
		if (min < 0 || min > REGEX_MAX_REPEAT || max > REGEX_MAX_REPEAT ||
		    (max >= 0 && min > max))
			return regex_error(p, "invalid repeat count", start, p->s);
		return repeat(p, RE_REPEAT, min, max, start, before);
	default:
		break;
	}
	r = regex_next(p, &c);
	return r < 0 ? r : literal(p, c);
}

static int parse_all(struct regex_parser *p)
{
	const char *before = NULL;
	int r;

	while (p->s < p->end) {
		const char *is_repeat = NULL;

		r = parse_item(p, before, &is_repeat);
		if (r < 0)
			return r;
		before = is_repeat;
	}
	r = concat(p);
	if (r >= 0)
		r = alternate(p);
	if (r < 0)
		return r;
	if (p->depth != 1)
		return regex_error(p, "missing closing )", p->all, p->end);
	p->tree->root = p->stack[0];
	return 0;
}

void regex_say(const char *what, const char *at, size_t n, char *why, size_t size)
{
	_cleanup_buf_ struct buf text = BUF_INIT(4096);

	utf8_clean(&text, at, n, 200);
	(void)snprintf(why, size, "error parsing regexp: %s: `%s%s`", what, buf_cstr(&text),
		       n > 200 ? "..." : "");
}

int regex_parse(const char *expr, size_t n, struct regex *re, struct regex_tree *ret, char *why,
		size_t size)
{
	struct regex_parser p = {.re = re, .tree = ret, .all = expr, .s = expr, .end = expr + n};
	int r;

	re->names = calloc(1, sizeof(char *));
	re->n_groups = 1;
	if (!re->names)
		return -ENOMEM;
	r = n > REGEX_MAX_EXPRESSION ? regex_error(&p, "expression too large", p.all, p.end)
				     : parse_all(&p);
	free(p.stack);
	if (r == -EINVAL)
		regex_say(p.what, p.at, (size_t)(p.at_end - p.at), why, size);
	return r;
}

void regex_tree_done(struct regex_tree *t)
{
	free(t->nodes);
	*t = (struct regex_tree){0};
}
