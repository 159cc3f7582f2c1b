/* SPDX-License-Identifier: Apache-2.0 */
/* Source: constMethod.hpp of OpenJDK 8u504, 17.0.19 and 26. */
#include "unwinders/hotspot_method.h"

#include <errno.h>
#include <string.h>

#include "agent/base/cursor.h"
#include "unwinders/hotspot_unsigned5.h"
#include "unwinders/target_memory.h"

#define SYMBOL_BYTES 1024 /* of a class's name, a signature */
#define LINES_PIECE  256

/* ---- text ---- */

static size_t add(char *to, size_t at, size_t room, const char *s, size_t n)
{
	if (at + n + 1 > room)
		n = room - at - 1;
	memcpy(to + at, s, n);
	to[at + n] = '\0';
	return at + n;
}

/*
 * A class's name: slashes become dots; what a hidden class has of its own, an address behind '+',
 * differs between runs and says nothing: java/lang/invoke/LambdaForm$DMH+0x00007f0b1c0d2c00.
 */
static size_t add_class(char *to, size_t at, size_t room, const char *s, size_t n)
{
	size_t start = at;

	for (size_t i = 0; i + 2 < n; i++) {
		if (s[i] == '+' && s[i + 1] == '0' && s[i + 2] == 'x') {
			n = i;
			break;
		}
	}
	at = add(to, at, room, s, n);
	for (size_t i = start; i < at; i++) {
		if (to[i] == '/')
			to[i] = '.';
	}
	return at;
}

static const char *primitive(char c)
{
	switch (c) {
	case 'B':
		return "byte";
	case 'C':
		return "char";
	case 'D':
		return "double";
	case 'F':
		return "float";
	case 'I':
		return "int";
	case 'J':
		return "long";
	case 'S':
		return "short";
	case 'Z':
		return "boolean";
	case 'V':
		return "void";
	default:
		return NULL;
	}
}

/* One type of a signature; where it ends, or NULL. */
static const char *add_type(const char *s, char *to, size_t *at, size_t room)
{
	size_t dimensions = 0;
	const char *end, *name;

	while (*s == '[') {
		dimensions++;
		s++;
	}
	name = primitive(*s);
	if (name) {
		*at = add(to, *at, room, name, strlen(name));
		end = s + 1;
	} else {
		end = *s == 'L' ? strchr(s, ';') : NULL;
		if (!end)
			return NULL;
		*at = add_class(to, *at, room, s + 1, (size_t)(end - s - 1));
		end++;
	}
	for (size_t i = 0; i < dimensions && i < 255; i++)
		*at = add(to, *at, room, "[]", 2);
	return end;
}

/* What a terminal or a line of text takes badly. */
static void clean(char *s)
{
	for (; *s; s++) {
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = '?';
	}
}

void hotspot_readable_name(const char *class_name, const char *name, const char *signature,
			   char *ret, size_t room)
{
	size_t at = add_class(ret, 0, room, class_name, strlen(class_name));
	const char *s = signature;

	at = add(ret, at, room, ".", 1);
	at = add(ret, at, room, name, strlen(name));
	at = add(ret, at, room, "(", 1);
	for (s += *s == '('; *s && *s != ')';) {
		if (ret[at - 1] != '(')
			at = add(ret, at, room, ", ", 2);
		s = add_type(s, ret, &at, room);
		if (!s) {
			at = add(ret, at, room, "...", 3);
			break;
		}
	}
	at = add(ret, at, room, ")", 1);
	clean(ret);
	/* Cut: said so. */
	if (at + 1 == room && room > 4)
		memcpy(ret + room - 4, "...", 4);
}

/* ---- methods ---- */

int hotspot_symbol_read(struct target_memory *m, const struct hotspot_proc *p, uint64_t symbol,
			char *ret, size_t room)
{
	const uint16_t *at = p->at;
	uint32_t length;
	uint16_t n;
	int r;

	if (!target_is_pointer(symbol) || at[HF_SYMBOL_BODY] == HOTSPOT_NONE)
		return -EBADMSG;
	if (at[HF_SYMBOL_LENGTH] != HOTSPOT_NONE) {
		r = target_read_u16(m, symbol + at[HF_SYMBOL_LENGTH], &n);
		length = n;
	} else if (at[HF_SYMBOL_LENGTH_AND_REFCOUNT] != HOTSPOT_NONE) {
		r = target_read_u32(m, symbol + at[HF_SYMBOL_LENGTH_AND_REFCOUNT], &length);
		length >>= 16;
	} else {
		return -EBADMSG;
	}
	if (r < 0)
		return r;
	length = (uint32_t)MIN((size_t)length, room - 1);
	if (length)
		r = target_read(m, symbol + at[HF_SYMBOL_BODY], ret, length);
	if (r < 0)
		return r;
	ret[length] = '\0';
	/* A text with a NUL inside is none. */
	return strlen(ret) == length ? 0 : -EBADMSG;
}

static int read_pool_symbol(struct target_memory *m, const struct hotspot_proc *p, uint64_t pool,
			    uint32_t index, char *ret, size_t room)
{
	uint64_t symbol;
	int r = target_read_u64(m, pool + p->bytes[HT_CONSTANT_POOL] + 8 * (uint64_t)index,
				&symbol);

	/* The low bit marks entries that are not resolved. */
	return r < 0 ? r : hotspot_symbol_read(m, p, symbol & ~UINT64_C(1), ret, room);
}

/* An index that lies in the pool or in the class, by version. No file is no error. */
static void read_source(struct target_memory *m, const struct hotspot_proc *p, uint64_t pool,
			struct hotspot_method *ret)
{
	uint16_t index = 0;
	int r = -ENODATA;

	if (p->at[HF_POOL_SOURCE_FILE] != HOTSPOT_NONE)
		r = target_read_u16(m, pool + p->at[HF_POOL_SOURCE_FILE], &index);
	else if (p->at[HF_KLASS_SOURCE_FILE] != HOTSPOT_NONE)
		r = target_read_u16(m, ret->holder + p->at[HF_KLASS_SOURCE_FILE], &index);
	if (r < 0 || !index ||
	    read_pool_symbol(m, p, pool, index, ret->file, sizeof(ret->file)) < 0)
		ret->file[0] = '\0';
	clean(ret->file);
}

static int read_name(struct target_memory *m, const struct hotspot_proc *p,
		     struct hotspot_method *ret)
{
	char class_name[SYMBOL_BYTES], name[SYMBOL_BYTES], signature[SYMBOL_BYTES];
	const uint16_t *at = p->at;
	uint64_t pool, symbol;
	uint16_t name_index, signature_index;
	int r = target_read_pointer(m, ret->method_const + at[HF_CONST_CONSTANTS], &pool);

	if (r == 0)
		r = target_read_pointer(m, pool + at[HF_POOL_HOLDER], &ret->holder);
	if (r == 0)
		r = target_read_pointer(m, ret->holder + at[HF_KLASS_NAME], &symbol);
	if (r == 0)
		r = hotspot_symbol_read(m, p, symbol, class_name, sizeof(class_name));
	if (r == 0)
		r = target_read_u16(m, ret->method_const + at[HF_CONST_NAME], &name_index);
	if (r == 0)
		r = target_read_u16(m, ret->method_const + at[HF_CONST_SIGNATURE],
				    &signature_index);
	if (r == 0)
		r = read_pool_symbol(m, p, pool, name_index, name, sizeof(name));
	if (r == 0)
		r = read_pool_symbol(m, p, pool, signature_index, signature, sizeof(signature));
	if (r < 0)
		return r;
	hotspot_readable_name(class_name, name, signature, ret->name, sizeof(ret->name));
	read_source(m, p, pool, ret);
	return 0;
}

/* Where the table's end mark is, or -1: it is not there. */
static ssize_t table_end(const uint8_t *table, size_t n, uint32_t version)
{
	struct cursor c = cursor_of(table, n);

	/* An end mark inside of a pair is read over. */
	while (cursor_left(&c) && *c.p) {
		if (cursor_u8(&c) == 0xff) {
			(void)hotspot_unsigned5(&c, hotspot_excluded(version));
			(void)hotspot_unsigned5(&c, hotspot_excluded(version));
		}
	}
	return !c.bad && cursor_left(&c) ? c.p - table : -1;
}

/* Behind the bytecodes, to its end mark. What can not be read is not there. */
static void read_table(struct target_memory *m, const struct hotspot_proc *p,
		       struct hotspot_method *ret)
{
	uint64_t addr = ret->method_const + p->bytes[HT_CONST_METHOD] + ret->code_bytes;
	uint8_t piece[LINES_PIECE], *more;
	size_t n = 0;
	ssize_t end;

	while (n < HOTSPOT_LINES_BYTES) {
		/* Not over the end of a page in one go: what follows may not be there. */
		size_t part = MIN(sizeof(piece), 4096 - (addr + n) % 4096);

		if (target_read(m, addr + n, piece, part) < 0)
			return;
		more = realloc(ret->lines, n + part);
		if (!more)
			return;
		ret->lines = more;
		memcpy(more + n, piece, part);
		n += part;
		ret->lines_bytes = n;
		end = memchr(piece, 0, part) ? table_end(more, n, p->version) : -1;
		if (end >= 0) {
			ret->lines_bytes = (size_t)end;
			return;
		}
	}
}

void hotspot_method_lines(struct target_memory *m, const struct hotspot_proc *p,
			  struct hotspot_method *ret)
{
	uint8_t flags;

	ret->more_lines = false;
	/* Bit 0: has_linenumber_table, in all versions. */
	if (p->at[HF_CONST_FLAGS] != HOTSPOT_NONE &&
	    target_read_u8(m, ret->method_const + p->at[HF_CONST_FLAGS], &flags) == 0 &&
	    (flags & 1))
		read_table(m, p, ret);
}

static int32_t signed5(struct cursor *c, uint32_t excluded)
{
	uint32_t v = hotspot_unsigned5(c, excluded);

	return (int32_t)(v >> 1) ^ -(int32_t)(v & 1);
}

uint32_t hotspot_line(const uint8_t *lines, size_t bytes, uint32_t version, uint32_t bci)
{
	struct cursor c = cursor_of(lines, lines ? bytes : 0);
	uint32_t at = 0, best = 0, excluded = hotspot_excluded(version);
	int64_t line = 0;
	uint32_t ret = 0;

	/* Not sorted: the entry nearest before. */
	while (cursor_left(&c)) {
		uint8_t b = cursor_u8(&c);

		if (!b)
			break;
		if (b == 0xff) {
			at += (uint32_t)signed5(&c, excluded);
			line += signed5(&c, excluded);
		} else {
			at += b >> 3;
			line += b & 7;
		}
		if (c.bad)
			break;
		if (at <= bci && at >= best && line > 0 && line <= UINT32_MAX) {
			best = at;
			ret = (uint32_t)line;
		}
	}
	return ret;
}

bool hotspot_method_readable(const struct hotspot_proc *p)
{
	static const uint8_t needed[] = {HF_CONST_CONSTANTS, HF_CONST_CODE_SIZE, HF_CONST_NAME,
					 HF_CONST_SIGNATURE, HF_POOL_HOLDER,	 HF_KLASS_NAME,
					 HF_SYMBOL_BODY};

	for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
		if (p->at[needed[i]] == HOTSPOT_NONE)
			return false;
	}
	return p->at[HF_SYMBOL_LENGTH] != HOTSPOT_NONE ||
	       p->at[HF_SYMBOL_LENGTH_AND_REFCOUNT] != HOTSPOT_NONE;
}

int hotspot_method_read(struct target_memory *m, const struct hotspot_proc *p, uint64_t method,
			struct hotspot_method *ret)
{
	uint16_t code_bytes;
	int r;

	*ret = (struct hotspot_method){0};
	if (!hotspot_method_readable(p))
		return -EOPNOTSUPP;
	if (!target_is_pointer(method))
		return -EBADMSG;
	r = target_read_pointer(m, method + p->at[HF_METHOD_CONST], &ret->method_const);
	if (r == 0)
		r = target_read_u16(m, ret->method_const + p->at[HF_CONST_CODE_SIZE], &code_bytes);
	if (r == 0)
		r = read_name(m, p, ret);
	if (r < 0)
		return r;
	ret->code_bytes = code_bytes;
	hotspot_method_lines(m, p, ret);
	return 0;
}

/* A text with a NUL inside is none. */
static bool copy_text(char *to, size_t room, const char *from, size_t n)
{
	if (n >= room || memchr(from, '\0', n))
		return false;
	memcpy(to, from, n);
	to[n] = '\0';
	return true;
}

int hotspot_method_told(const struct hotspot_record *r, struct hotspot_method *ret)
{
	char class_name[HOTSPOT_CLASS_BYTES], name[HOTSPOT_METHOD_BYTES];
	char signature[HOTSPOT_SIGNATURE_BYTES];
	ssize_t end;

	*ret = (struct hotspot_method){.method_const = r->method_const,
				       .code_bytes = r->code_bytes};
	if (r->source_bytes >= sizeof(r->source) || r->table_bytes > sizeof(r->table) ||
	    !copy_text(class_name, sizeof(class_name), r->class_name, r->class_bytes) ||
	    !copy_text(name, sizeof(name), r->method_name, r->method_bytes) ||
	    !copy_text(signature, sizeof(signature), r->signature, r->signature_bytes))
		return -EBADMSG;
	hotspot_readable_name(class_name, name, signature, ret->name, sizeof(ret->name));
	if (!copy_text(ret->file, sizeof(ret->file), r->source, r->source_bytes))
		ret->file[0] = '\0';
	clean(ret->file);
	end = table_end(r->table, r->table_bytes, r->version);
	ret->more_lines = r->table_bytes && end < 0;
	if (end > 0) {
		ret->lines = malloc((size_t)end);
		if (!ret->lines)
			return -ENOMEM;
		memcpy(ret->lines, r->table, (size_t)end);
		ret->lines_bytes = (size_t)end;
	}
	return 0;
}

void hotspot_method_done(struct hotspot_method *m)
{
	free(m->lines);
	*m = (struct hotspot_method){0};
}
