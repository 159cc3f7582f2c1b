/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree to a program. What must be filled in later (holes) is a list through the fields that
 * are to be filled, as in Go's regexp/syntax; so is the order of alternatives around what may be
 * empty, which decides about groups.
 */
#include <errno.h>
#include <string.h>

#include "agent/relabel/regex_internal.h"
#include "agent/relabel/unicode.h"

/* A hole is the index of the instruction * 2, plus 1 for its arg; 0: the end of the list. */
struct holes {
	uint32_t head, tail;
};

struct frag {
	uint32_t start; /* 0: cannot match */
	struct holes out;
	bool nullable;
};

struct compiler {
	struct regex *re;
	const struct regex_tree *tree;
	uint32_t cap;
	int failed;
};

static uint32_t *hole(struct compiler *c, uint32_t h)
{
	struct inst *i = &c->re->prog[h >> 1];

	return h & 1 ? &i->arg : &i->out;
}

static void fill(struct compiler *c, struct holes l, uint32_t to)
{
	while (l.head) {
		uint32_t *at = hole(c, l.head);

		l.head = *at;
		*at = to;
	}
}

static struct holes join(struct compiler *c, struct holes a, struct holes b)
{
	if (!a.head)
		return b;
	if (!b.head)
		return a;
	*hole(c, a.tail) = b.head;
	return (struct holes){a.head, b.tail};
}

static struct holes one(uint32_t h)
{
	return (struct holes){h, h};
}

/* 0 when it failed. */
static uint32_t emit(struct compiler *c, enum inst_op op, uint32_t arg)
{
	struct regex *re = c->re;

	if (c->failed)
		return 0;
	if (re->n_prog == c->cap) {
		uint32_t cap = c->cap ? c->cap * 2 : 32;
		struct inst *v =
			re->n_prog < REGEX_MAX_PROGRAM ? realloc(re->prog, cap * sizeof(*v)) : NULL;

		if (!v) {
			c->failed = re->n_prog < REGEX_MAX_PROGRAM ? -ENOMEM : -E2BIG;
			return 0;
		}
		re->prog = v;
		c->cap = cap;
	}
	re->prog[re->n_prog] = (struct inst){.op = (uint8_t)op, .arg = arg};
	return re->n_prog++;
}

static struct frag simple(struct compiler *c, enum inst_op op, uint32_t arg, bool nullable)
{
	uint32_t i = emit(c, op, arg);

	return i ? (struct frag){i, one(i << 1), nullable} : (struct frag){0};
}

static struct frag cat(struct compiler *c, struct frag a, struct frag b)
{
	if (!a.start || !b.start)
		return (struct frag){0};
	fill(c, a.out, b.start);
	return (struct frag){a.start, b.out, a.nullable && b.nullable};
}

static struct frag alt(struct compiler *c, struct frag a, struct frag b)
{
	uint32_t i;

	if (!a.start || !b.start)
		return a.start ? a : b;
	i = emit(c, INST_ALT, b.start);
	if (!i)
		return (struct frag){0};
	c->re->prog[i].out = a.start;
	return (struct frag){i, join(c, a.out, b.out), a.nullable || b.nullable};
}

/* An ALT with one way into `to`, the other one a hole. */
static uint32_t branch(struct compiler *c, uint32_t to, bool lazy, struct holes *ret)
{
	uint32_t i = emit(c, INST_ALT, 0);

	if (!i)
		return 0;
	if (lazy)
		c->re->prog[i].arg = to;
	else
		c->re->prog[i].out = to;
	*ret = one(i << 1 | !lazy);
	return i;
}

static struct frag quest(struct compiler *c, struct frag a, bool lazy)
{
	struct frag f = {.nullable = true};

	f.start = branch(c, a.start, lazy, &f.out);
	f.out = join(c, f.out, a.out);
	return f;
}

static struct frag loop(struct compiler *c, struct frag a, bool lazy)
{
	struct frag f = {.nullable = true};

	f.start = branch(c, a.start, lazy, &f.out);
	fill(c, a.out, f.start);
	return f;
}

static struct frag plus(struct compiler *c, struct frag a, bool lazy)
{
	return (struct frag){a.start, loop(c, a, lazy).out, a.nullable};
}

static struct frag star(struct compiler *c, struct frag a, bool lazy)
{
	/* x* is (x+)? when x may be empty, so that the order of preference is right
	 * (golang.org/issue/46123). */
	return a.nullable ? quest(c, plus(c, a, lazy), lazy) : loop(c, a, lazy);
}

static struct frag compile(struct compiler *c, uint32_t index);

/* x{2,5} is xx(x(x(x)?)?)?, x{2,} is xx+ */
static struct frag repeat(struct compiler *c, const struct re_node *n)
{
	struct frag f = {0}, more;
	bool first = true;

	if (!n->max)
		return simple(c, INST_NOP, 0, true);
	if (n->max < 0 && n->min < 2) {
		f = compile(c, n->child);
		return n->min ? plus(c, f, n->lazy) : star(c, f, n->lazy);
	}
	for (int32_t i = 0; i < n->min && !c->failed; i++) {
		more = compile(c, n->child);
		if (n->max < 0 && i == n->min - 1)
			more = plus(c, more, n->lazy);
		f = first ? more : cat(c, f, more);
		first = false;
	}
	/* The optional ones: each is entered from inside of the one before. */
	if (n->max > n->min) {
		struct holes out = {0};
		uint32_t entry = 0;
		struct holes last = {0};

		for (int32_t i = n->min; i < n->max && !c->failed; i++) {
			struct holes skip;
			struct frag x = compile(c, n->child);
			uint32_t b = branch(c, x.start, n->lazy, &skip);

			if (!entry)
				entry = b;
			else
				fill(c, last, b);
			out = join(c, out, skip);
			last = x.out;
		}
		more = (struct frag){entry, join(c, out, last), true};
		f = first ? more : cat(c, f, more);
	}
	return f;
}

/* A repetition of a repetition of the same kind is that repetition; of nothing, nothing. */
static struct frag repeated(struct compiler *c, const struct re_node *n)
{
	const struct re_node *child = &c->tree->nodes[n->child];

	while (child->op == n->op && child->lazy == n->lazy) {
		n = child;
		child = &c->tree->nodes[n->child];
	}
	if (child->op == RE_EMPTY)
		return compile(c, n->child);
	if (n->op == RE_STAR)
		return star(c, compile(c, n->child), n->lazy);
	if (n->op == RE_PLUS)
		return plus(c, compile(c, n->child), n->lazy);
	return quest(c, compile(c, n->child), n->lazy);
}

static struct frag list(struct compiler *c, const struct re_node *n)
{
	struct frag f = compile(c, n->child);

	for (uint32_t i = c->tree->nodes[n->child].next; i && !c->failed;
	     i = c->tree->nodes[i].next) {
		struct frag more = compile(c, i);

		f = n->op == RE_CONCAT ? cat(c, f, more) : alt(c, f, more);
	}
	return f;
}

static struct frag group(struct compiler *c, const struct re_node *n)
{
	struct frag open = simple(c, INST_CAP, n->arg * 2, true);
	struct frag inner = compile(c, n->child);
	struct frag close = simple(c, INST_CAP, n->arg * 2 + 1, true);

	return cat(c, cat(c, open, inner), close);
}

/* At most REGEX_MAX_DEPTH deep. */
static struct frag compile(struct compiler *c, uint32_t index)
{
	const struct re_node *n = &c->tree->nodes[index];

	switch ((enum re_op)n->op) {
	case RE_EMPTY:
		return simple(c, INST_NOP, 0, true);
	case RE_RUNE:
		return simple(c, INST_RUNE, n->arg, false);
	case RE_CLASS:
		if (!c->re->classes[n->arg].set.n)
			return (struct frag){0};
		return simple(c, INST_CLASS, n->arg, false);
	case RE_ANY:
		return simple(c, INST_ANY, 0, false);
	case RE_ANY_NOT_NL:
		return simple(c, INST_ANY_NOT_NL, 0, false);
	case RE_LOOK:
		return simple(c, INST_LOOK, n->arg, true);
	case RE_GROUP:
		return group(c, n);
	case RE_STAR:
	case RE_PLUS:
	case RE_QUEST:
		return repeated(c, n);
	case RE_REPEAT:
		return repeat(c, n);
	case RE_CONCAT:
	case RE_ALTERNATE:
		return list(c, n);
	case RE_PAREN:
	case RE_BAR:
		break;
	}
	return (struct frag){0};
}

/* The characters that every match begins with: a cheap test before any matching. */
static int find_prefix(struct regex *re)
{
	_cleanup_buf_ struct buf b = BUF_INIT(REGEX_MAX_EXPRESSION * 4);
	const struct inst *i = &re->prog[re->start];

	while (i->op == INST_NOP || i->op == INST_CAP ||
	       (i->op == INST_LOOK && i->arg == LOOK_BEGIN_TEXT && !b.len)) {
		re->anchored = re->anchored || i->op == INST_LOOK;
		i = &re->prog[i->out];
	}
	if (!re->anchored)
		return 0;
	for (; i->op == INST_NOP || i->op == INST_CAP ||
	       (i->op == INST_RUNE && i->arg != UNICODE_INVALID);
	     i = &re->prog[i->out]) {
		char text[4];

		if (i->op == INST_RUNE)
			buf_add(&b, text, unicode_encode(i->arg, text));
	}
	if (b.failed)
		return b.failed;
	re->prefix_whole = i->op == INST_LOOK && i->arg == LOOK_END_TEXT;
	re->prefix = (char *)buf_take(&b, &re->prefix_len);
	return 0;
}

int regex_compile(struct regex *re, const struct regex_tree *t)
{
	struct compiler c = {.re = re, .tree = t};
	struct frag f;
	uint32_t end;

	(void)emit(&c, INST_FAIL, 0);
	f = compile(&c, t->root);
	end = emit(&c, INST_MATCH, 0);
	if (c.failed)
		return c.failed;
	fill(&c, f.out, end);
	re->start = f.start;
	return find_prefix(re);
}

struct regex *regex_free(struct regex *re)
{
	if (!re)
		return NULL;
	for (size_t i = 0; i < re->n_classes; i++)
		runes_done(&re->classes[i].set);
	free(re->classes);
	for (size_t i = 0; i < re->n_groups && re->names; i++)
		free(re->names[i]);
	free(re->names);
	free(re->prog);
	free(re->prefix);
	free(re);
	return NULL;
}

int regex_new(const char *expr, size_t n, struct regex **ret, char *why, size_t size)
{
	_cleanup_(regex_freep) struct regex *re = calloc(1, sizeof(*re));
	_cleanup_(regex_tree_done) struct regex_tree tree = {0};
	int r;

	if (!re)
		return -ENOMEM;
	r = regex_parse(expr, n, re, &tree, why, size);
	if (r >= 0)
		r = regex_compile(re, &tree);
	if (r == -E2BIG) {
		regex_say("expression too large", expr, n, why, size);
		r = -EINVAL;
	}
	if (r < 0)
		return r;
	*ret = TAKE_PTR(re);
	return 0;
}

int regex_new_whole(const char *expr, size_t n, struct regex **ret, char *why, size_t size)
{
	_cleanup_buf_ struct buf b = BUF_INIT(REGEX_MAX_EXPRESSION + 64);
	struct regex *alone;
	int r;

	/* By itself first: then messages show what the person wrote. */
	r = regex_new(expr, n, &alone, why, size);
	buf_adds(&b, "^(?s:");
	buf_add(&b, expr, MIN(n, REGEX_MAX_EXPRESSION));
	buf_adds(&b, ")$");
	if (r == -ENOMEM || b.failed)
		return r < 0 ? r : b.failed;
	if (r >= 0)
		regex_free(alone);
	/* a)(?:b is right when it stands between the two. */
	if (r < 0) {
		char other[8];

		return regex_new((char *)b.data, b.len, ret, other, sizeof(other)) < 0 ? r : 0;
	}
	r = regex_new((char *)b.data, b.len, ret, why, size);
	/* What rules without an expression have. */
	if (r >= 0)
		(*ret)->everything =
			(n == 2 && !memcmp(expr, ".*", 2)) || (n == 4 && !memcmp(expr, "(.*)", 4));
	return r;
}
