/* SPDX-License-Identifier: Apache-2.0 */
#include "discovery/json.h"

#include <errno.h>
#include <string.h>

#include "agent/base/utf8.h"

#define MAX_NUMBER 1024 /* characters */

void json_init(struct json *j, size_t max_string, json_fn fn, void *data)
{
	*j = (struct json){
		.fn = fn,
		.data = data,
		.max_string = max_string,
		/* What replaces an invalid byte is longer than it, so the buffer has more room. */
		.token = BUF_INIT(MAX(max_string, MAX_NUMBER) * 3 + 16),
	};
}

void json_done(struct json *j)
{
	buf_done(&j->token);
}

void json_skip(struct json *j)
{
	j->skipping = true;
	/* After an opening bracket depth counts it already. */
	j->skip_depth = j->state == JSON_FIRST_KEY || j->state == JSON_FIRST_VALUE ? j->depth - 1
										   : j->depth;
}

static bool in_object(const struct json *j)
{
	return j->depth && (j->open[(j->depth - 1) / 64] >> ((j->depth - 1) % 64) & 1);
}

static int emit(struct json *j, enum json_type type)
{
	struct json_event e = {.type = type, .s = ""};

	if (j->skipping)
		return 0;
	if (type == JSON_KEY || type == JSON_STRING || type == JSON_NUMBER) {
		e.s = buf_cstr(&j->token);
		e.len = j->token.len;
		e.cut = j->is_cut;
		if (j->token.failed)
			return j->token.failed;
	}
	return j->fn(&e, j->data);
}

/* A value is complete. */
static int after_value(struct json *j)
{
	if (j->skipping && j->depth == j->skip_depth)
		j->skipping = false;
	j->state = j->depth ? JSON_AFTER : JSON_VALUE;
	return j->depth ? 0 : emit(j, JSON_DONE);
}

static int open_bracket(struct json *j, bool object)
{
	uint64_t bit = UINT64_C(1) << (j->depth % 64);

	if (j->depth >= JSON_MAX_DEPTH)
		return -E2BIG;
	if (object)
		j->open[j->depth / 64] |= bit;
	else
		j->open[j->depth / 64] &= ~bit;
	j->depth++;
	j->state = object ? JSON_FIRST_KEY : JSON_FIRST_VALUE;
	return emit(j, object ? JSON_OBJECT : JSON_ARRAY);
}

static int close_bracket(struct json *j, bool object)
{
	if (!j->depth || in_object(j) != object)
		return -EBADMSG;
	j->depth--;
	if (!(j->skipping && j->depth == j->skip_depth)) {
		int r = emit(j, object ? JSON_OBJECT_END : JSON_ARRAY_END);

		if (r < 0)
			return r;
	}
	return after_value(j);
}

static void token_add(struct json *j, const char *p, size_t n)
{
	size_t room = j->token.len < j->max_string ? j->max_string - j->token.len : 0;

	if (j->skipping)
		return;
	/* Never a part of a character: what follows a cut is left out as a whole. */
	if (j->is_cut || n > room) {
		if (!j->is_cut && n > 1) {
			while (room && ((uint8_t)p[room] & 0xc0) == 0x80)
				room--;
			buf_add(&j->token, p, room);
		}
		j->is_cut = true;
		return;
	}
	buf_add(&j->token, p, n);
}

static void token_code(struct json *j, uint32_t c)
{
	char s[4];

	token_add(j, s, utf8_encode(!c || (c >= 0xd800 && c < 0xe000) ? 0xfffd : c, s));
}

/* Each byte that belongs to no character becomes U+FFFD. */
static void token_clean(struct json *j)
{
	struct buf clean = BUF_INIT(j->token.max);
	const char *s = (const char *)j->token.data;

	if (j->token.failed || utf8_is_clean(s, j->token.len, SIZE_MAX))
		return;
	utf8_clean(&clean, s, j->token.len, SIZE_MAX);
	buf_done(&j->token);
	j->token = clean;
}

static int string_end(struct json *j)
{
	int r;

	if (j->high)
		token_code(j, 0xfffd);
	j->high = 0;
	if (!j->skipping)
		token_clean(j);
	if (j->token.failed)
		return j->token.failed;
	r = emit(j, j->is_key ? JSON_KEY : JSON_STRING);
	if (j->is_key) {
		j->state = JSON_COLON;
		return r;
	}
	return r < 0 ? r : after_value(j);
}

static void string_begin(struct json *j, bool is_key)
{
	j->state = JSON_IN_STRING;
	j->is_key = is_key;
	j->is_cut = false;
	j->high = 0;
	buf_reset(&j->token);
}

static int in_string(struct json *j, const char **pp, const char *end)
{
	const char *p = *pp, *from = p;

	while (p < end && (uint8_t)*p >= 0x20 && *p != '"' && *p != '\\')
		p++;
	if (p > from) {
		if (j->high)
			token_code(j, 0xfffd);
		j->high = 0;
		token_add(j, from, (size_t)(p - from));
	}
	*pp = p;
	if (p == end)
		return 0;
	*pp = p + 1;
	if (*p == '"')
		return string_end(j);
	if (*p != '\\')
		return -EBADMSG;
	j->state = JSON_IN_ESCAPE;
	return 0;
}

static int in_escape(struct json *j, char c)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *at = c ? strchr(from, c) : NULL;

	if (c == 'u') {
		j->unicode = 0;
		j->digits = 0;
		j->state = JSON_IN_UNICODE;
		return 0;
	}
	if (!at)
		return -EBADMSG;
	if (j->high)
		token_code(j, 0xfffd);
	j->high = 0;
	token_add(j, &to[at - from], 1);
	j->state = JSON_IN_STRING;
	return 0;
}

static int in_unicode(struct json *j, char c)
{
	uint32_t digit = c >= '0' && c <= '9'	? (uint32_t)(c - '0')
			 : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a') + 10
			 : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A') + 10
						: 16;

	if (digit == 16)
		return -EBADMSG;
	j->unicode = j->unicode << 4 | digit;
	if (++j->digits < 4)
		return 0;
	j->state = JSON_IN_STRING;
	if (j->high && j->unicode >= 0xdc00 && j->unicode < 0xe000) {
		token_code(j, 0x10000 + ((j->high - 0xd800) << 10) + (j->unicode - 0xdc00));
		j->high = 0;
		return 0;
	}
	if (j->high)
		token_code(j, 0xfffd);
	j->high = j->unicode >= 0xd800 && j->unicode < 0xdc00 ? j->unicode : 0;
	if (!j->high)
		token_code(j, j->unicode);
	return 0;
}

static const char *digits(const char *s)
{
	while (*s >= '0' && *s <= '9')
		s++;
	return s;
}

static bool is_number(const char *s)
{
	const char *from;

	s += *s == '-';
	from = s;
	s = *s == '0' ? s + 1 : digits(s);
	if (s == from)
		return false;
	if (*s == '.') {
		from = ++s;
		s = digits(s);
		if (s == from)
			return false;
	}
	if (*s == 'e' || *s == 'E') {
		s++;
		s += *s == '+' || *s == '-';
		from = s;
		s = digits(s);
		if (s == from)
			return false;
	}
	return !*s;
}

static int number_end(struct json *j)
{
	int r;

	if (!j->token.failed && !is_number(buf_cstr(&j->token)))
		return -EBADMSG;
	r = emit(j, JSON_NUMBER);
	return r < 0 ? r : after_value(j);
}

static int value_begin(struct json *j, char c)
{
	static const struct {
		const char *word;
		enum json_type type;
	} words[] = {{"true", JSON_TRUE}, {"false", JSON_FALSE}, {"null", JSON_NULL}};

	if (c == '{' || c == '[')
		return open_bracket(j, c == '{');
	if (c == '"') {
		string_begin(j, false);
		return 0;
	}
	if (c == '-' || (c >= '0' && c <= '9')) {
		buf_reset(&j->token);
		j->is_cut = false;
		/* Also of what is skipped: its grammar is checked all the same. */
		buf_add_u8(&j->token, (uint8_t)c);
		j->state = JSON_IN_NUMBER;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (c != words[i].word[0])
			continue;
		j->word = words[i].word + 1;
		j->word_type = words[i].type;
		j->is_cut = false;
		j->state = JSON_IN_WORD;
		return 0;
	}
	return -EBADMSG;
}

static int in_number(struct json *j, const char **pp)
{
	char c = **pp;

	if (!c || !strchr("0123456789+-.eE", c))
		return number_end(j);
	if (j->token.len >= MAX_NUMBER)
		return -E2BIG;
	buf_add_u8(&j->token, (uint8_t)c);
	++*pp;
	return 0;
}

static int in_word(struct json *j, char c)
{
	int r;

	if (c != *j->word++)
		return -EBADMSG;
	if (*j->word)
		return 0;
	r = emit(j, j->word_type);
	return r < 0 ? r : after_value(j);
}

/* Between the tokens. */
static int between(struct json *j, char c)
{
	if (c == ' ' || c == '\n' || c == '\r' || c == '\t')
		return 0;
	switch (j->state) {
	case JSON_VALUE:
		return value_begin(j, c);
	case JSON_FIRST_VALUE:
		return c == ']' ? close_bracket(j, false) : value_begin(j, c);
	case JSON_FIRST_KEY:
		if (c == '}')
			return close_bracket(j, true);
		/* fall through */
	case JSON_NEXT_KEY:
		if (c != '"')
			return -EBADMSG;
		string_begin(j, true);
		return 0;
	case JSON_COLON:
		j->state = JSON_VALUE;
		return c == ':' ? 0 : -EBADMSG;
	case JSON_AFTER:
		if (c == '}' || c == ']')
			return close_bracket(j, c == '}');
		j->state = in_object(j) ? JSON_NEXT_KEY : JSON_VALUE;
		return c == ',' ? 0 : -EBADMSG;
	case JSON_IN_STRING:
	case JSON_IN_ESCAPE:
	case JSON_IN_UNICODE:
	case JSON_IN_NUMBER:
	case JSON_IN_WORD:
		break;
	}
	return -EBADMSG;
}

static int step(struct json *j, const char **pp, const char *end)
{
	if (j->state == JSON_IN_STRING)
		return in_string(j, pp, end);
	if (j->state == JSON_IN_NUMBER)
		return in_number(j, pp);
	if (j->state == JSON_IN_ESCAPE)
		return in_escape(j, *(*pp)++);
	if (j->state == JSON_IN_UNICODE)
		return in_unicode(j, *(*pp)++);
	if (j->state == JSON_IN_WORD)
		return in_word(j, *(*pp)++);
	return between(j, *(*pp)++);
}

int json_feed(struct json *j, const void *p, size_t n)
{
	const char *s = p, *end = s + n;

	while (s < end && !j->error) {
		int r = step(j, &s, end);

		if (r >= 0 && j->token.failed)
			r = j->token.failed;
		if (r < 0)
			j->error = r;
	}
	return j->error;
}

int json_end(struct json *j)
{
	if (!j->error && j->state == JSON_IN_NUMBER && !j->depth) {
		int r = number_end(j);

		j->error = MIN(r, 0);
	}
	if (!j->error && (j->depth || j->state != JSON_VALUE))
		j->error = -EBADMSG;
	return j->error;
}
