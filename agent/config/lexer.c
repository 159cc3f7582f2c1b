/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/config/lexer.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>

#include "agent/base/utf8.h"

#define BAD_UTF8 UINT32_MAX

static const char *const token_names[] = {
	[TOKEN_ILLEGAL] = "ILLEGAL",
	[TOKEN_EOF] = "EOF",
	[TOKEN_TERMINATOR] = "TERMINATOR",
	[TOKEN_IDENT] = "IDENT",
	[TOKEN_NUMBER] = "NUMBER",
	[TOKEN_FLOAT] = "FLOAT",
	[TOKEN_STRING] = "STRING",
	[TOKEN_BOOL] = "BOOL",
	[TOKEN_NULL] = "NULL",
	[TOKEN_OR] = "||",
	[TOKEN_AND] = "&&",
	[TOKEN_NOT] = "!",
	[TOKEN_ASSIGN] = "=",
	[TOKEN_EQ] = "==",
	[TOKEN_NEQ] = "!=",
	[TOKEN_LT] = "<",
	[TOKEN_LTE] = "<=",
	[TOKEN_GT] = ">",
	[TOKEN_GTE] = ">=",
	[TOKEN_ADD] = "+",
	[TOKEN_SUB] = "-",
	[TOKEN_MUL] = "*",
	[TOKEN_DIV] = "/",
	[TOKEN_MOD] = "%",
	[TOKEN_POW] = "^",
	[TOKEN_LCURLY] = "{",
	[TOKEN_RCURLY] = "}",
	[TOKEN_LPAREN] = "(",
	[TOKEN_RPAREN] = ")",
	[TOKEN_LBRACK] = "[",
	[TOKEN_RBRACK] = "]",
	[TOKEN_COMMA] = ",",
	[TOKEN_DOT] = ".",
};
static_assert(ARRAY_SIZE(token_names) == TOKEN_MAX, "every token has a name");

const char *token_name(enum token_kind kind)
{
	return token_names[kind];
}

struct lexer lexer_of(const struct source *s, struct diag_list *d)
{
	struct lexer l = {.source = s, .diags = d};

	if (s->len >= 3 && !memcmp(s->text, "\xef\xbb\xbf", 3))
		l.pos = 3;
	return l;
}

void lexer_error(struct lexer *l, uint32_t start, uint32_t end, const char *fmt, ...)
{
	uint32_t line, col;
	char text[512];
	va_list ap;

	source_position(l->source, start, &line, &col);
	if (line == l->error_line)
		return;
	l->error_line = line;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	diag_add(l->diags, DIAG_ERROR, (struct span){l->source, start, end}, "%s", text);
}

/* The code point at s, BAD_UTF8 for anything a strict decoder refuses; *ret_n bytes long. */
static uint32_t utf8_at(const char *s, size_t left, uint32_t *ret_n)
{
	uint32_t cp = 0;
	size_t n = utf8_decode(s, left, &cp);

	*ret_n = n ? (uint32_t)n : 1;
	return n ? cp : BAD_UTF8;
}

/*
 * Letters beyond ASCII, roughly: what is punctuation, symbol, space or private in the blocks that
 * keyboards and editors produce is not one. Exact Unicode tables are not worth their size here.
 */
static bool is_letter(uint32_t cp)
{
	static const struct {
		uint32_t first, last;
	} others[] = {
		{0x80, 0xa9},	       {0xab, 0xb4},	 {0xb6, 0xb9},	   {0xbb, 0xbf},
		{0xd7, 0xd7},	       {0xf7, 0xf7},	 {0x2000, 0x206f}, {0x20a0, 0x20cf},
		{0x2190, 0x2bff},      {0x3000, 0x3004}, {0x3008, 0x3020}, {0xd800, 0xf8ff},
		{0xfe00, 0xfe6f},      {0xfeff, 0xff20}, {0xfff0, 0xffff}, {0x1f000, 0x1faff},
		{0xe0000, UINT32_MAX},
	};

	if (cp < 0x80)
		return (cp | 0x20) - 'a' < 26 || cp == '_';
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		if (cp >= others[i].first && cp <= others[i].last)
			return false;
	}
	return true;
}

static bool is_digit(int c)
{
	return c >= '0' && c <= '9';
}

static int hex_value(int c)
{
	if (is_digit(c))
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool token_is_identifier(const char *s, size_t n)
{
	uint32_t w;

	for (size_t i = 0; i < n; i += w) {
		uint32_t cp = utf8_at(s + i, n - i, &w);

		if (cp == BAD_UTF8 || !(is_letter(cp) || (i && is_digit((int)cp))))
			return false;
	}
	return n && !(n == 4 && (!memcmp(s, "true", 4) || !memcmp(s, "null", 4))) &&
	       !(n == 5 && !memcmp(s, "false", 5));
}

/* The byte `ahead` of the position; NUL bytes in the text are told from the end by callers. */
static char peek(const struct lexer *l, uint32_t ahead)
{
	return ahead < l->source->len - l->pos ? l->source->text[l->pos + ahead] : '\0';
}

static bool at_end(const struct lexer *l)
{
	return l->pos >= l->source->len;
}

/* Past a block comment that starts at `pos`; the length of the text when it never ends. */
static uint32_t comment_end(const struct source *s, uint32_t pos)
{
	const char *end = memmem(s->text + pos + 2, s->len - pos - 2, "*/", 2);

	return end ? (uint32_t)(end - s->text) + 2 : s->len;
}

/* Whether only blanks and comments lie between pos (a comment) and the end of its line. */
static bool comment_ends_line(const struct source *s, uint32_t pos)
{
	while (pos < s->len) {
		char c = s->text[pos];

		if (c == '\n')
			return true;
		if (c == '/' && pos + 1 < s->len && s->text[pos + 1] == '/')
			return true;
		if (c == '/' && pos + 1 < s->len && s->text[pos + 1] == '*') {
			uint32_t end = comment_end(s, pos);

			if (memchr(s->text + pos, '\n', end - pos))
				return true;
			pos = end;
		} else if (c == ' ' || c == '\t' || c == '\r') {
			pos++;
		} else {
			return false;
		}
	}
	return true;
}

static void skip_comment(struct lexer *l)
{
	const struct source *s = l->source;
	uint32_t start = l->pos;

	if (peek(l, 1) == '/') {
		const char *end = memchr(s->text + l->pos, '\n', s->len - l->pos);

		l->pos = end ? (uint32_t)(end - s->text) : s->len;
		return;
	}
	l->pos = comment_end(s, start);
	if (l->pos == s->len && (s->len - start < 4 || memcmp(s->text + s->len - 2, "*/", 2)))
		lexer_error(l, start, start + 2, "block comment not terminated");
}

/* Blanks and comments; true when a terminator is due at the position it stopped at. */
static bool skip_blanks(struct lexer *l)
{
	while (!at_end(l)) {
		char c = peek(l, 0);

		if (c == '\n' && l->terminate)
			return true;
		if (c == '/' && (peek(l, 1) == '/' || peek(l, 1) == '*')) {
			if (l->terminate && comment_ends_line(l->source, l->pos))
				return true;
			skip_comment(l);
		} else if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
			l->pos++;
		} else {
			return false;
		}
	}
	return l->terminate;
}

static enum token_kind lex_number(struct lexer *l)
{
	enum token_kind kind = TOKEN_NUMBER;
	uint32_t start = l->pos;

	while (is_digit(peek(l, 0)))
		l->pos++;
	if (peek(l, 0) == '.') {
		kind = TOKEN_FLOAT;
		l->pos++;
		while (is_digit(peek(l, 0)))
			l->pos++;
	}
	if ((peek(l, 0) | 0x20) == 'e') {
		kind = TOKEN_FLOAT;
		l->pos++;
		if (peek(l, 0) == '+' || peek(l, 0) == '-')
			l->pos++;
		if (!is_digit(peek(l, 0))) {
			lexer_error(l, start, l->pos, "exponent has no digits");
			return TOKEN_ILLEGAL;
		}
		while (is_digit(peek(l, 0)))
			l->pos++;
	}
	return kind;
}

static enum token_kind lex_identifier(struct lexer *l)
{
	const char *s = l->source->text + l->pos;
	uint32_t start = l->pos, n, w;

	while (!at_end(l)) {
		uint32_t cp = utf8_at(l->source->text + l->pos, l->source->len - l->pos, &w);

		if (cp == BAD_UTF8 || !(is_letter(cp) || is_digit((int)cp)))
			break;
		l->pos += w;
	}
	n = l->pos - start;
	if ((n == 4 && !memcmp(s, "true", 4)) || (n == 5 && !memcmp(s, "false", 5)))
		return TOKEN_BOOL;
	return n == 4 && !memcmp(s, "null", 4) ? TOKEN_NULL : TOKEN_IDENT;
}

/*
 * The escape at s (behind the backslash): its value in *ret_cp and length in *ret_n. 0; -1 for an
 * unknown escape, -2 for one whose value is none. \x and octal make bytes, the others code points.
 */
static int escape_at(const char *s, size_t left, uint32_t *ret_cp, uint32_t *ret_n, bool *ret_byte)
{
	static const char plain[] = "abfnrtv\\\"", values[] = "\a\b\f\n\r\t\v\\\"";
	uint32_t digits, base = 16, cp = 0, first = 1;
	const char *p = left && *s ? strchr(plain, *s) : NULL;

	*ret_n = 1;
	*ret_byte = false;
	if (p) {
		*ret_cp = (unsigned char)values[p - plain];
		return 0;
	}
	if (!left)
		return -1;
	digits = *s == 'x' ? 2 : *s == 'u' ? 4 : *s == 'U' ? 8 : 0;
	if (*s >= '0' && *s <= '7') {
		digits = 3;
		base = 8;
		first = 0;
	}
	if (!digits)
		return -1;
	for (uint32_t i = first; i < first + digits; i++) {
		int v = i < left ? hex_value((unsigned char)s[i]) : -1;

		if (v < 0 || (uint32_t)v >= base)
			return -1;
		cp = cp * base + (uint32_t)v;
	}
	*ret_byte = digits < 4;
	if (*ret_byte ? cp > 255 : cp > 0x10ffff || (cp >= 0xd800 && cp < 0xe000))
		return -2;
	*ret_cp = cp;
	*ret_n = first + digits;
	return 0;
}

static enum token_kind lex_string(struct lexer *l)
{
	uint32_t start = l->pos++, cp, n;
	enum token_kind kind = TOKEN_STRING;
	bool byte;

	for (;;) {
		char c = peek(l, 0);

		if (at_end(l) || c == '\n') {
			lexer_error(l, start, l->pos, "string literal not terminated");
			return TOKEN_ILLEGAL;
		}
		l->pos++;
		if (c == '"')
			return kind;
		if (c == '\\') {
			int r = escape_at(l->source->text + l->pos, l->source->len - l->pos, &cp,
					  &n, &byte);

			if (r < 0) {
				lexer_error(
					l, l->pos - 1, l->pos + 1,
					r == -1 ? "unknown escape sequence"
						: "escape sequence is invalid Unicode code point");
				kind = TOKEN_ILLEGAL;
				/* Steps over an escaped quote or backslash so as to find the end.
				 */
				n = peek(l, 0) == '\n' || at_end(l) ? 0 : 1;
			}
			l->pos += n;
		} else if (!c) {
			lexer_error(l, l->pos - 1, l->pos, "illegal character NUL");
			kind = TOKEN_ILLEGAL;
		} else if ((unsigned char)c >= 0x80) {
			l->pos--;
			if (utf8_at(l->source->text + l->pos, l->source->len - l->pos, &n) ==
			    BAD_UTF8) {
				lexer_error(l, l->pos, l->pos + 1, "illegal UTF-8 encoding");
				kind = TOKEN_ILLEGAL;
			}
			l->pos += n;
		}
	}
}

static enum token_kind lex_raw_string(struct lexer *l)
{
	uint32_t start = l->pos++, n;
	enum token_kind kind = TOKEN_STRING;

	while (!at_end(l)) {
		uint32_t cp = utf8_at(l->source->text + l->pos, l->source->len - l->pos, &n);

		if (cp == BAD_UTF8 || !cp) {
			lexer_error(l, l->pos, l->pos + 1,
				    cp ? "illegal UTF-8 encoding" : "illegal character NUL");
			kind = TOKEN_ILLEGAL;
		}
		l->pos += n;
		if (cp == '`')
			return kind;
	}
	lexer_error(l, start, start + 1, "raw string literal not terminated");
	return TOKEN_ILLEGAL;
}

static enum token_kind lex_illegal(struct lexer *l)
{
	uint32_t start = l->pos, n;
	uint32_t cp = utf8_at(l->source->text + l->pos, l->source->len - l->pos, &n);

	l->pos += n;
	if (cp == '\'') {
		while (!at_end(l) && peek(l, 0) != '\'' && peek(l, 0) != '\n')
			l->pos++;
		l->pos += peek(l, 0) == '\'' ? 1 : 0;
		lexer_error(l, start, l->pos, "illegal single-quoted string; use double quotes");
	} else if (cp == BAD_UTF8) {
		lexer_error(l, start, l->pos, "illegal UTF-8 encoding");
	} else if (!cp) {
		lexer_error(l, start, l->pos, "illegal character NUL");
	} else if (cp == 0xfeff) {
		lexer_error(l, start, l->pos, "illegal byte order mark");
	} else if (cp < ' ' || cp == 0x7f) {
		lexer_error(l, start, l->pos, "illegal character U+%04X", cp);
	} else {
		lexer_error(l, start, l->pos, "illegal character U+%04X '%.*s'", cp, (int)n,
			    l->source->text + start);
	}
	return TOKEN_ILLEGAL;
}

/* One byte, or two when the second is `second`. */
static enum token_kind pair(struct lexer *l, char second, enum token_kind both, enum token_kind one)
{
	bool match = peek(l, 1) == second;

	l->pos += match ? 2 : 1;
	return match ? both : one;
}

static enum token_kind lex_operator(struct lexer *l)
{
	static const char singles[] = "{}()[],.+-*/%^";
	static const enum token_kind kinds[] = {
		TOKEN_LCURLY, TOKEN_RCURLY, TOKEN_LPAREN, TOKEN_RPAREN, TOKEN_LBRACK,
		TOKEN_RBRACK, TOKEN_COMMA,  TOKEN_DOT,	  TOKEN_ADD,	TOKEN_SUB,
		TOKEN_MUL,    TOKEN_DIV,    TOKEN_MOD,	  TOKEN_POW,
	};
	char c = peek(l, 0);
	const char *p = c ? strchr(singles, c) : NULL;
	enum token_kind kind;

	if (p) {
		l->pos++;
		return kinds[p - singles];
	}
	switch (c) {
	case '=':
		return pair(l, '=', TOKEN_EQ, TOKEN_ASSIGN);
	case '!':
		return pair(l, '=', TOKEN_NEQ, TOKEN_NOT);
	case '<':
		return pair(l, '=', TOKEN_LTE, TOKEN_LT);
	case '>':
		return pair(l, '=', TOKEN_GTE, TOKEN_GT);
	case '|':
	case '&':
		kind = pair(l, c, c == '|' ? TOKEN_OR : TOKEN_AND, TOKEN_ILLEGAL);
		if (kind == TOKEN_ILLEGAL)
			lexer_error(l, l->pos - 1, l->pos, "missing second %c in %c%c", c, c, c);
		return kind;
	}
	return lex_illegal(l);
}

static bool ends_operand(enum token_kind kind)
{
	return (kind >= TOKEN_IDENT && kind <= TOKEN_NULL) || kind == TOKEN_RPAREN ||
	       kind == TOKEN_RBRACK || kind == TOKEN_RCURLY;
}

struct token lexer_next(struct lexer *l)
{
	struct token t = {0};
	uint32_t w, cp;
	char c;

	if (skip_blanks(l)) {
		t = (struct token){TOKEN_TERMINATOR, l->pos, l->pos};
		l->terminate = false;
		return t;
	}
	t.start = l->pos;
	c = peek(l, 0);
	cp = at_end(l) ? 0 : utf8_at(l->source->text + l->pos, l->source->len - l->pos, &w);
	if (at_end(l))
		t.kind = TOKEN_EOF;
	else if (cp != BAD_UTF8 && is_letter(cp))
		t.kind = lex_identifier(l);
	else if (is_digit(c) || (c == '.' && is_digit(peek(l, 1))))
		t.kind = lex_number(l);
	else if (c == '"')
		t.kind = lex_string(l);
	else if (c == '`')
		t.kind = lex_raw_string(l);
	else
		t.kind = lex_operator(l);
	t.end = l->pos;
	/* What was meant to be an operand ends a line like one: errors stay where they are. */
	l->terminate = ends_operand(t.kind) || (t.kind == TOKEN_ILLEGAL && t.end > t.start + 1);
	return t;
}

char *token_string(const char *s, size_t n, size_t *ret_len)
{
	bool raw = s[0] == '`', byte;
	char *text = malloc(n + 1); /* no escape is shorter than what it stands for */
	size_t len = 0;
	uint32_t cp, w;

	if (!text)
		return NULL;
	for (size_t i = 1; i + 1 < n; i++) {
		if (raw ? s[i] == '\r' : s[i] != '\\') {
			if (!raw)
				text[len++] = s[i];
		} else if (raw) {
			text[len++] = s[i];
		} else if (escape_at(s + i + 1, n - i - 1, &cp, &w, &byte) == 0) {
			if (byte)
				text[len++] = (char)cp;
			else
				len += utf8_encode(cp, text + len);
			i += w;
		}
	}
	text[len] = '\0';
	*ret_len = len;
	return text;
}
