/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/config/string_format.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "agent/base/utf8.h"

#define MAX_WIDTH 1000000 /* of a field, as in the original */
#define NO_RUNE	  UINT32_MAX

/* One verb with its flags. */
struct verb {
	char text[4]; /* the verb itself, UTF-8 */
	uint32_t c;
	bool minus, plus, sharp, space, zero, has_width, has_precision;
	int64_t width, precision;
};

struct format {
	const char *s, *end;
	struct value *const *args;
	size_t n, next;
	bool reordered, good_index;
	struct buf *out;
};

static void print_value(struct buf *b, const struct verb *v, const struct value *x, bool inner);

/* The length of the character at s; a byte that is none counts as one. */
static size_t rune_at(const char *s, size_t n, uint32_t *ret_code)
{
	size_t w = utf8_decode(s, n, ret_code);

	if (!w)
		*ret_code = NO_RUNE;
	return MAX(w, 1u);
}

static size_t runes(const char *s, size_t n)
{
	size_t count = 0;
	uint32_t code;

	for (size_t i = 0; i < n; count++)
		i += rune_at(s + i, n - i, &code);
	return count;
}

/* Roughly what Go prints as it is: no controls, blanks, format characters, private use. */
static bool is_printable(uint32_t c)
{
	static const struct {
		uint32_t first, last;
	} others[] = {
		{0, 0x1f},	  {0x7f, 0xa0},	    {0xad, 0xad},     {0x600, 0x605},
		{0x61c, 0x61c},	  {0x1680, 0x1680}, {0x180e, 0x180e}, {0x2000, 0x200f},
		{0x2028, 0x202f}, {0x205f, 0x206f}, {0x3000, 0x3000}, {0xd800, 0xf8ff},
		{0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xfffe, 0xffff}, {0xe0000, UINT32_MAX},
	};

	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		if (c >= others[i].first && c <= others[i].last)
			return false;
	}
	return true;
}

/* Appends s, filled up to the width of the verb. */
static void pad(struct buf *b, const struct verb *v, const char *s, size_t n)
{
	size_t have = v->has_width ? runes(s, n) : 0;
	size_t fill = v->has_width && have < (size_t)v->width ? (size_t)v->width - have : 0;
	bool zero = v->zero && !v->minus;

	/* Zeros go behind a sign. */
	if (zero && n && fill && (*s == '-' || *s == '+') && strchr("bcdoOxXUeEfFgGv", (int)v->c)) {
		buf_add_u8(b, (uint8_t)*s++);
		n--;
	}
	for (size_t i = 0; i < fill && !v->minus && !b->failed; i++)
		buf_add_u8(b, zero ? '0' : ' ');
	buf_add(b, s, n);
	for (size_t i = 0; i < fill && v->minus && !b->failed; i++)
		buf_add_u8(b, ' ');
}

static const char *type_name(const struct value *x)
{
	switch (x->kind) {
	case VALUE_NULL:
		return "<nil>";
	case VALUE_NUMBER:
		return x->n.kind == NUMBER_INT	  ? "int64"
		       : x->n.kind == NUMBER_UINT ? "uint64"
						  : "float64";
	case VALUE_STRING:
	case VALUE_CAPSULE:
		return "string";
	case VALUE_BOOL:
		return "bool";
	case VALUE_ARRAY:
		return "[]interface {}";
	case VALUE_OBJECT:
		return "map[string]interface {}";
	case VALUE_FUNCTION:
		return "func()";
	}
	return "";
}

/* "%!d(string=text)": this verb cannot show such a value. */
static void bad_verb(struct buf *b, const struct verb *v, const struct value *x)
{
	static const struct verb plain = {.c = 'v', .text = "v"};

	buf_printf(b, "%%!%s(%s", v->text, type_name(x));
	if (x->kind != VALUE_NULL) {
		buf_adds(b, "=");
		print_value(b, &plain, x, false);
	}
	buf_adds(b, ")");
}

static void quote_rune(uint32_t c, bool ascii, char quote, struct buf *b)
{
	static const char plain[] = "\a\b\f\n\r\t\v", letters[] = "abfnrtv";
	const char *p = c && c < 0x80 ? strchr(plain, (int)c) : NULL;
	char text[4];

	if (c == (uint32_t)quote || c == '\\')
		buf_printf(b, "\\%c", (char)c);
	else if (p)
		buf_printf(b, "\\%c", letters[p - plain]);
	else if (is_printable(c) && !(ascii && c >= 0x80))
		buf_add(b, text, utf8_encode(c, text));
	else if (c < ' ' || c == 0x7f)
		buf_printf(b, "\\x%02x", c);
	else
		buf_printf(b, c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
}

void string_quote(const char *s, size_t n, bool ascii, struct buf *b)
{
	uint32_t c;
	size_t w;

	buf_add_u8(b, '"');
	for (size_t i = 0; i < n && !b->failed; i += w) {
		w = rune_at(s + i, n - i, &c);

		if (c == NO_RUNE)
			buf_printf(b, "\\x%02x", (unsigned char)s[i]);
		else
			quote_rune(c, ascii, '"', b);
	}
	buf_add_u8(b, '"');
}

static void print_hex(struct buf *b, const struct verb *v, const char *s, size_t n)
{
	_cleanup_buf_ struct buf text = BUF_INIT(VALUE_MAX_STRING);

	n = v->has_precision ? MIN(n, (size_t)v->precision) : n;
	for (size_t i = 0; i < n && !text.failed; i++) {
		if (v->space && i)
			buf_add_u8(&text, ' ');
		if (v->sharp && (v->space || !i))
			buf_printf(&text, "0%c", (char)v->c);
		buf_printf(&text, v->c == 'x' ? "%02x" : "%02X", (unsigned char)s[i]);
	}
	if (text.failed)
		b->failed = text.failed;
	pad(b, v, buf_cstr(&text), text.len);
}

static void print_string(struct buf *b, const struct verb *v, const struct value *x, const char *s,
			 size_t n)
{
	_cleanup_buf_ struct buf text = BUF_INIT(VALUE_MAX_STRING);
	uint32_t code;
	size_t w;

	if (v->c == 'x' || v->c == 'X') {
		print_hex(b, v, s, n);
		return;
	}
	if (!strchr("vsq", (int)v->c)) {
		bad_verb(b, v, x);
		return;
	}
	for (size_t i = 0, count = 0; v->has_precision && i < n; i += w, count++) {
		if (count == (size_t)v->precision) {
			n = i;
			break;
		}
		w = rune_at(s + i, n - i, &code);
	}
	if (v->c == 's' || (v->c == 'v' && !v->sharp)) {
		pad(b, v, s, n);
		return;
	}
	if (v->c == 'q' && v->sharp && !memchr(s, '`', n) && !memchr(s, '\n', n))
		buf_printf(&text, "`%.*s`", (int)n, s);
	else
		string_quote(s, n, v->plus, &text);
	if (text.failed)
		b->failed = text.failed;
	pad(b, v, buf_cstr(&text), text.len);
}

static void print_bool(struct buf *b, const struct verb *v, const struct value *x)
{
	if (v->c == 't' || v->c == 'v')
		pad(b, v, x->b ? "true" : "false", x->b ? 4 : 5);
	else
		bad_verb(b, v, x);
}

/* The digits of u in a base, at least `least` of them; returns where they begin. */
static char *digits_of(uint64_t u, unsigned int base, bool upper, size_t least, char *end)
{
	const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
	char *p = end;

	for (; u || (size_t)(end - p) < least; u /= base)
		*--p = digits[u % base];
	return p;
}

static void print_digits(struct buf *b, const struct verb *v, uint64_t u, bool negative,
			 unsigned int base)
{
	/* A precision of up to MAX_WIDTH digits does not fit: what is above is zeros. */
	char digits[130], *end = digits + sizeof(digits), *p;
	_cleanup_buf_ struct buf text = BUF_INIT(VALUE_MAX_STRING);
	size_t least = v->has_precision ? (size_t)v->precision : 1;
	struct verb as = *v;
	const char *prefix = v->c == 'O'		    ? "0o"
			     : !v->sharp		    ? ""
			     : v->c == 'b'		    ? "0b"
			     : v->c == 'o'		    ? "0"
			     : (v->c == 'x' || v->c == 'X') ? v->c == 'x' ? "0x" : "0X"
							    : "";

	/* Zeros instead of blanks count as digits. */
	if (v->zero && v->has_width && !v->minus && !v->has_precision) {
		least = (size_t)v->width;
		least -= least && (negative || v->plus || v->space) ? 1 : 0;
		least = MAX(least, 1u);
	}
	p = digits_of(u, base, v->c == 'X', MIN(least, 64u), end);
	if (v->has_precision && !v->precision && !u)
		p = end;
	buf_adds(&text, negative ? "-" : v->plus ? "+" : v->space ? " " : "");
	buf_adds(&text, v->c == 'o' && *p == '0' ? "" : prefix);
	for (size_t i = (size_t)(end - p); i < least && !text.failed; i++)
		buf_add_u8(&text, '0');
	buf_add(&text, p, (size_t)(end - p));
	as.zero = false;
	pad(b, &as, buf_cstr(&text), text.len);
}

static void print_rune(struct buf *b, const struct verb *v, uint64_t u, bool negative)
{
	uint32_t c = negative || u > 0x10ffff || (u >= 0xd800 && u < 0xe000) ? 0xfffd : (uint32_t)u;
	_cleanup_buf_ struct buf text = BUF_INIT(256);
	char utf8[4];

	if (v->c == 'c') {
		buf_add(&text, utf8, utf8_encode(c, utf8));
	} else if (v->c == 'q') {
		buf_add_u8(&text, '\'');
		quote_rune(c, v->plus, '\'', &text);
		buf_add_u8(&text, '\'');
	} else {
		buf_printf(&text, "U+%04" PRIX64, negative ? -u : u);
		if (v->sharp && u <= 0x10ffff && is_printable(c)) {
			buf_adds(&text, " '");
			buf_add(&text, utf8, utf8_encode(c, utf8));
			buf_adds(&text, "'");
		}
	}
	pad(b, v, buf_cstr(&text), text.len);
}

static void print_int(struct buf *b, const struct verb *v, const struct value *x)
{
	bool negative = x->n.kind == NUMBER_INT && x->n.i < 0;
	uint64_t u = negative ? -x->n.u : x->n.u;

	struct verb hex = {.c = 'x', .sharp = true};

	switch (v->c) {
	case 'v':
	case 'd':
		if (v->c == 'v' && v->sharp && x->n.kind == NUMBER_UINT)
			print_digits(b, &hex, u, false, 16);
		else
			print_digits(b, v, u, negative, 10);
		return;
	case 'b':
		print_digits(b, v, u, negative, 2);
		return;
	case 'o':
	case 'O':
		print_digits(b, v, u, negative, 8);
		return;
	case 'x':
	case 'X':
		print_digits(b, v, u, negative, 16);
		return;
	case 'c':
	case 'q':
	case 'U':
		print_rune(b, v, u, negative);
		return;
	}
	bad_verb(b, v, x);
}

/* The text of |f|. */
static void float_text(const struct verb *v, double f, char *to, size_t size)
{
	int precision = v->has_precision ? (int)v->precision : 6, digits, exponent;
	char text[NUMBER_DIGITS];

	if (v->c == 'f' || v->c == 'F') {
		(void)snprintf(to, size, "%.*f", precision, f);
	} else if (v->c == 'e' || v->c == 'E') {
		(void)snprintf(to, size, v->c == 'e' ? "%.*e" : "%.*E", precision, f);
	} else if (v->sharp && v->c != 'v') {
		(void)snprintf(to, size, v->c == 'G' ? "%#.*G" : "%#.*g", precision, f);
	} else if (v->has_precision) {
		(void)snprintf(to, size, v->c == 'G' ? "%.*G" : "%.*g", precision, f);
	} else {
		digits = number_digits(f, text, sizeof(text), &exponent);
		if (exponent < -4 || exponent >= 6)
			(void)snprintf(to, size, v->c == 'G' ? "%.*E" : "%.*e", digits, f);
		else
			number_format((struct number){.kind = NUMBER_FLOAT, .f = f}, to, size);
	}
}

static void print_float(struct buf *b, const struct verb *v, const struct value *x)
{
	_cleanup_buf_ struct buf text = BUF_INIT(VALUE_MAX_STRING);
	_cleanup_free_ char *digits = NULL;
	size_t size = NUMBER_TEXT + (v->has_precision ? (size_t)v->precision : 0);
	struct verb as = *v;
	double f = x->n.f;

	if (!strchr("veEfFgG", (int)v->c)) {
		bad_verb(b, v, x);
		return;
	}
	digits = malloc(size);
	if (!digits) {
		b->failed = -ENOMEM;
		return;
	}
	if (isnan(f) || isinf(f)) {
		(void)snprintf(digits, size, "%s", isnan(f) ? "NaN" : "Inf");
		as.zero = false;
		if (isinf(f) && f > 0 && !v->space)
			as.plus = true;
	} else {
		float_text(v, fabs(f), digits, size);
	}
	buf_adds(&text, signbit(f) && !isnan(f) ? "-" : as.plus ? "+" : v->space ? " " : "");
	buf_adds(&text, digits);
	pad(b, &as, buf_cstr(&text), text.len);
}

static void print_list(struct buf *b, const struct verb *v, const struct value *x)
{
	bool syntax = v->c == 'v' && v->sharp;

	buf_printf(b, "%s%s", syntax ? type_name(x) : "", syntax ? "{" : "[");
	for (size_t i = 0; i < x->n_items && !b->failed; i++) {
		buf_adds(b, !i ? "" : syntax ? ", " : " ");
		print_value(b, v, x->items[i], true);
	}
	buf_adds(b, syntax ? "}" : "]");
}

static void print_map(struct buf *b, const struct verb *v, const struct value *x)
{
	bool syntax = v->c == 'v' && v->sharp;

	buf_printf(b, "%s", syntax ? "map[string]interface {}{" : "map[");
	for (size_t i = 0; i < x->n_fields && !b->failed; i++) {
		struct value key = {.kind = VALUE_STRING, .s = (char *)x->fields[i].key};

		key.len = strlen(key.s);
		buf_adds(b, !i ? "" : syntax ? ", " : " ");
		print_value(b, v, &key, true);
		buf_adds(b, ":");
		print_value(b, v, x->fields[i].value, true);
	}
	buf_adds(b, syntax ? "}" : "]");
}

static void print_value(struct buf *b, const struct verb *v, const struct value *x, bool inner)
{
	const char *text;
	bool secret;
	size_t len;

	if (v->c == 'T' && !inner) {
		pad(b, v, type_name(x), strlen(type_name(x)));
		return;
	}
	switch (x->kind) {
	case VALUE_NULL:
		if (inner)
			buf_adds(b, v->sharp ? "interface {}(nil)" : "<nil>");
		else if (v->c == 'v')
			pad(b, v, "<nil>", 5);
		else
			bad_verb(b, v, x);
		return;
	case VALUE_NUMBER:
		if (x->n.kind == NUMBER_FLOAT)
			print_float(b, v, x);
		else
			print_int(b, v, x);
		return;
	case VALUE_BOOL:
		print_bool(b, v, x);
		return;
	case VALUE_STRING:
	case VALUE_CAPSULE:
		text = value_text(x, &len, &secret);
		if (!text || secret)
			print_string(b, v, x, "(secret)", 8);
		else
			print_string(b, v, x, text, len);
		return;
	case VALUE_ARRAY:
		print_list(b, v, x);
		return;
	case VALUE_OBJECT:
		print_map(b, v, x);
		return;
	case VALUE_FUNCTION:
		bad_verb(b, v, x);
		return;
	}
}

/* [n]: the next argument is the n-th. */
static void parse_index(struct format *f)
{
	const char *p = f->s + 1;
	size_t n = 0;

	if (f->s == f->end || *f->s != '[')
		return;
	f->reordered = true;
	while (p < f->end && *p >= '0' && *p <= '9' && n <= MAX_WIDTH)
		n = n * 10 + (size_t)(*p++ - '0');
	if (p == f->end || *p != ']' || p == f->s + 1 || !n || n > f->n) {
		const char *close = memchr(f->s, ']', (size_t)(f->end - f->s));

		f->good_index = false;
		f->s = close ? close + 1 : f->s + 1;
		return;
	}
	f->next = n - 1;
	f->s = p + 1;
}

/* A number or `*`, which takes it from the arguments; `bad` is shown when that is none. */
static void parse_size(struct format *f, int64_t *ret, bool *ret_has, const char *bad)
{
	const struct value *x;

	parse_index(f);
	if (f->s < f->end && *f->s == '*') {
		f->s++;
		x = f->next < f->n ? f->args[f->next] : NULL;
		f->next += x != NULL;
		*ret = x && x->kind == VALUE_NUMBER && x->n.kind != NUMBER_FLOAT ? x->n.i
										 : INT64_MAX;
		*ret_has = *ret <= MAX_WIDTH && *ret >= -MAX_WIDTH;
		if (!*ret_has)
			buf_adds(f->out, bad);
		parse_index(f);
		return;
	}
	for (; f->s < f->end && *f->s >= '0' && *f->s <= '9'; f->s++) {
		*ret_has = true;
		*ret = *ret * 10 + (*f->s - '0');
		if (*ret <= MAX_WIDTH)
			continue;
		/* As in the original, the rest of the format is given up. */
		f->s = f->end;
		*ret_has = false;
		return;
	}
}

static void parse_flags(struct format *f, struct verb *v)
{
	for (; f->s < f->end; f->s++) {
		switch (*f->s) {
		case '#':
			v->sharp = true;
			break;
		case '0':
			v->zero = true;
			break;
		case '+':
			v->plus = true;
			break;
		case '-':
			v->minus = true;
			break;
		case ' ':
			v->space = true;
			break;
		default:
			return;
		}
	}
}

static void parse_verb(struct format *f)
{
	struct verb v = {0};
	size_t w;

	f->good_index = true;
	parse_flags(f, &v);
	parse_size(f, &v.width, &v.has_width, "%!(BADWIDTH)");
	if (v.has_width && v.width < 0) {
		v.width = -v.width;
		v.minus = true;
		v.zero = false;
	}
	if (f->s < f->end && *f->s == '.') {
		f->s++;
		v.has_precision = true;
		parse_size(f, &v.precision, &v.has_precision, "%!(BADPREC)");
		if (v.precision < 0)
			v.has_precision = false;
	}
	parse_index(f);
	if (f->s == f->end) {
		buf_adds(f->out, "%!(NOVERB)");
		return;
	}
	w = rune_at(f->s, (size_t)(f->end - f->s), &v.c);
	memcpy(v.text, f->s, MIN(w, sizeof(v.text)));
	f->s += w;
	v.plus = v.plus && v.c != 'v';
	if (v.c == '%')
		buf_add_u8(f->out, '%');
	else if (!f->good_index)
		buf_printf(f->out, "%%!%.4s(BADINDEX)", v.text);
	else if (f->next >= f->n)
		buf_printf(f->out, "%%!%.4s(MISSING)", v.text);
	else if (v.c >= 0x80 || v.c == NO_RUNE)
		bad_verb(f->out, &v, f->args[f->next++]);
	else
		print_value(f->out, &v, f->args[f->next++], false);
}

void string_format(const char *fmt, size_t n, struct value *const *args, size_t n_args,
		   struct buf *b)
{
	struct format f = {.s = fmt, .end = fmt + n, .args = args, .n = n_args, .out = b};
	static const struct verb plain = {.c = 'v', .text = "v"};

	while (f.s < f.end && !b->failed) {
		const char *p = memchr(f.s, '%', (size_t)(f.end - f.s));

		buf_add(b, f.s, (size_t)((p ? p : f.end) - f.s));
		f.s = p ? p + 1 : f.end;
		if (p)
			parse_verb(&f);
	}
	if (f.reordered || f.next >= f.n)
		return;
	buf_adds(b, "%!(EXTRA ");
	for (size_t i = f.next; i < f.n && !b->failed; i++) {
		buf_printf(b, "%s%s", i > f.next ? ", " : "", type_name(args[i]));
		if (args[i]->kind != VALUE_NULL) {
			buf_adds(b, "=");
			print_value(b, &plain, args[i], false);
		}
	}
	buf_adds(b, ")");
}
