/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/demangle_swift_internal.h"

#include <string.h>

/* ---- text and stack ---- */

void swift_add(struct swift *s, const char *p, size_t n)
{
	if (n > SWIFT_TEXT_MAX - s->n_text) {
		s->failed = true;
		return;
	}
	memcpy(s->text + s->n_text, p, n);
	s->n_text += n;
}

void swift_adds(struct swift *s, const char *p)
{
	swift_add(s, p, strlen(p));
}

void swift_add_node(struct swift *s, const struct swift_node *n)
{
	swift_add(s, s->text + n->at, n->bytes);
}

struct swift_node swift_node_begin(const struct swift *s, enum swift_kind kind)
{
	return (struct swift_node){.kind = (uint8_t)kind, .n = 1, .at = (uint16_t)s->n_text};
}

void swift_push(struct swift *s, struct swift_node n)
{
	if (s->n_stack == SWIFT_STACK_MAX)
		s->failed = true;
	else
		s->stack[s->n_stack++] = n;
}

/* Pushes what was added to text since swift_node_begin(). */
void swift_node_end(struct swift *s, struct swift_node *n)
{
	n->bytes = (uint16_t)(s->n_text - n->at);
	swift_push(s, *n);
}

void swift_push_text(struct swift *s, enum swift_kind kind, const char *text)
{
	struct swift_node n = swift_node_begin(s, kind);

	swift_adds(s, text);
	swift_node_end(s, &n);
}

void swift_remember(struct swift *s)
{
	if (s->n_subst < SWIFT_SUBST_MAX && s->n_stack)
		s->subst[s->n_subst++] = s->stack[s->n_stack - 1];
}

bool swift_pop(struct swift *s, enum swift_kind kind, struct swift_node *ret)
{
	if (!s->n_stack || s->stack[s->n_stack - 1].kind != kind)
		return false;
	*ret = s->stack[--s->n_stack];
	return true;
}

bool swift_drop(struct swift *s, enum swift_kind kind)
{
	struct swift_node n;

	return swift_pop(s, kind, &n);
}

struct swift_node swift_take(struct swift *s, enum swift_kind kind)
{
	struct swift_node n = {0};

	if (!swift_pop(s, kind, &n))
		s->failed = true;
	return n;
}

/* A module is written like any identifier. */
struct swift_node swift_take_context(struct swift *s)
{
	struct swift_node n = {0};

	if (!swift_pop(s, SWIFT_MODULE, &n) && !swift_pop(s, SWIFT_TYPE, &n) &&
	    !swift_pop(s, SWIFT_ENTITY, &n) && !swift_pop(s, SWIFT_IDENT, &n))
		s->failed = true;
	return n;
}

/* ---- characters ---- */

char swift_next(struct swift *s)
{
	if (s->p < s->end)
		return *s->p++;
	s->failed = true;
	return '\0';
}

bool swift_next_if(struct swift *s, char c)
{
	if (s->p == s->end || *s->p != c)
		return false;
	s->p++;
	return true;
}

int swift_natural(struct swift *s)
{
	int v = 0;

	if (s->p == s->end || !swift_is_digit(*s->p))
		return -1;
	while (s->p < s->end && swift_is_digit(*s->p)) {
		v = v * 10 + (*s->p++ - '0');
		if (v > SWIFT_NUMBER_MAX) {
			s->failed = true;
			return -1;
		}
	}
	return v;
}

int swift_index_of(struct swift *s)
{
	int v = swift_natural(s);

	if (!swift_next_if(s, '_'))
		s->failed = true;
	return v + 1;
}

const char *swift_name_of(const char *const *list, size_t n, char c)
{
	for (size_t i = 0; i < n; i++) {
		if (list[i][0] == c)
			return list[i] + 1;
	}
	return NULL;
}
