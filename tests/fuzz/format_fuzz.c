/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What parses is formatted, parses again, has the same tokens and comments, and formatting it once
 * more changes nothing. Commas and empty labels may come and go.
 */
#include <assert.h>
#include <string.h>

#include "agent/config/format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct token next_token(struct lexer *l)
{
	struct token t;

	do
		t = lexer_next(l);
	while (t.kind == TOKEN_TERMINATOR || t.kind == TOKEN_COMMA ||
	       (t.kind == TOKEN_STRING && t.end - t.start == 2));
	return t;
}

static void same_tokens(const struct source *a, const struct source *b)
{
	_cleanup_diag_ struct diag_list d = {0};
	struct lexer x = lexer_of(a, &d), y = lexer_of(b, &d);
	struct token s, t;

	do {
		s = next_token(&x);
		t = next_token(&y);
		assert(s.kind == t.kind && s.end - s.start == t.end - t.start);
		assert(!memcmp(a->text + s.start, b->text + t.start, s.end - s.start));
	} while (s.kind != TOKEN_EOF);
}

/* Bytes that are neither blank nor comma, nor of an empty string. */
static size_t weight(const char *s, size_t n)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		count += !strchr(" \t\r\n,\"\xef\xbb\xbf", s[i]);
	return count;
}

static struct ast_file *parse(const char *s, size_t n)
{
	_cleanup_diag_ struct diag_list d = {0};
	_cleanup_(source_freep) struct source *source = NULL;
	struct ast_file *f = NULL;

	if (source_new("fuzz", s, n, &source) < 0 || parser_parse(source, &d, &f) < 0)
		return NULL;
	source = NULL;
	return f;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(ast_freep) struct ast_file *f = parse((const char *)data, size), *g = NULL;
	_cleanup_buf_ struct buf once = BUF_INIT(4u << 20), twice = BUF_INIT(4u << 20);

	if (!f || format_file(f, &once) < 0)
		return 0;
	g = parse(buf_cstr(&once), once.len);
	assert(g);
	same_tokens(f->source, g->source);
	assert(weight(f->source->text, f->source->len) == weight(g->source->text, g->source->len));
	assert(format_file(g, &twice) >= 0);
	assert(once.len == twice.len && !strcmp(buf_cstr(&once), buf_cstr(&twice)));
	return 0;
}
