/* SPDX-License-Identifier: Apache-2.0 */
/* Methods and scopes; sources: constMethod.hpp, scopeDesc.cpp, compressedStream.hpp (8),
 * unsigned5.hpp (20 on), nmethod.hpp of OpenJDK 8u504, 17.0.19 and 26. */
#include "unwinders/hotspot_method.h"

#include <errno.h>
#include <string.h>

#include "agent/base/cursor.h"
#include "unwinders/hotspot_flow.h"
#include "unwinders/target_memory.h"

#define HEADER_BYTES		512
#define SYMBOL_BYTES		1024 /* of a class's name, a signature */
#define PC_DESC_MAX		64   /* bytes */
#define PC_DESCS_MAX		(1u << 20)
#define CHUNK_BYTES		4096
#define LINES_PIECE		256
#define UNSIGNED5_EXCLUDED_FROM 20 /* JDK-8276422: no byte is 0 */

static bool is_pointer(uint64_t v)
{
	return v >= 4096 && !(v >> 47);
}

static int read_pointer(struct target_memory *m, uint64_t addr, uint64_t *ret)
{
	int r = target_read_u64(m, addr, ret);

	return r < 0 ? r : is_pointer(*ret) ? 0 : -EBADMSG;
}

/* Pack200's UNSIGNED5 as HotSpot writes it. */
static uint32_t unsigned5(struct cursor *c, uint32_t excluded)
{
	uint32_t sum = 0;

	for (unsigned int i = 0; i < 5; i++) {
		uint32_t b = (uint32_t)cursor_u8(c) - excluded;

		sum += b << (6 * i);
		if (c->bad || b < 192 - excluded)
			break;
	}
	return sum;
}

static uint32_t excluded_of(uint32_t version)
{
	return version >= UNSIGNED5_EXCLUDED_FROM ? 1 : 0;
}

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

/* A Symbol's text, cut to room. */
static int read_symbol(struct target_memory *m, const struct hotspot_proc *p, uint64_t symbol,
		       char *ret, size_t room)
{
	const uint16_t *at = p->at;
	uint32_t length;
	uint16_t n;
	int r;

	if (!is_pointer(symbol) || at[HF_SYMBOL_BODY] == HOTSPOT_NONE)
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
	return r < 0 ? r : read_symbol(m, p, symbol & ~UINT64_C(1), ret, room);
}

/* An index that lies in the pool or in the class, by version. No file is no error. */
static void read_source(struct target_memory *m, const struct hotspot_proc *p, uint64_t pool,
			uint64_t holder, struct hotspot_method *ret)
{
	uint16_t index = 0;
	int r = -ENODATA;

	if (p->at[HF_POOL_SOURCE_FILE] != HOTSPOT_NONE)
		r = target_read_u16(m, pool + p->at[HF_POOL_SOURCE_FILE], &index);
	else if (p->at[HF_KLASS_SOURCE_FILE] != HOTSPOT_NONE)
		r = target_read_u16(m, holder + p->at[HF_KLASS_SOURCE_FILE], &index);
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
	uint64_t pool, holder, symbol;
	uint16_t name_index, signature_index;
	int r = read_pointer(m, ret->method_const + at[HF_CONST_CONSTANTS], &pool);

	if (r == 0)
		r = read_pointer(m, pool + at[HF_POOL_HOLDER], &holder);
	if (r == 0)
		r = read_pointer(m, holder + at[HF_KLASS_NAME], &symbol);
	if (r == 0)
		r = read_symbol(m, p, symbol, class_name, sizeof(class_name));
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
	read_source(m, p, pool, holder, ret);
	return 0;
}

/* Behind the bytecodes, to its end mark. What can not be read is not there. */
static void read_lines(struct target_memory *m, const struct hotspot_proc *p,
		       struct hotspot_method *ret)
{
	uint64_t addr = ret->method_const + p->bytes[HT_CONST_METHOD] + ret->code_bytes;
	uint8_t flags, piece[LINES_PIECE], *more;
	size_t n = 0;

	/* Bit 0: has_linenumber_table, in all versions. */
	if (p->at[HF_CONST_FLAGS] == HOTSPOT_NONE ||
	    target_read_u8(m, ret->method_const + p->at[HF_CONST_FLAGS], &flags) < 0 ||
	    !(flags & 1))
		return;
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
		/* An end mark inside of a pair is read over; one more piece does no harm. */
		if (memchr(piece, 0, part)) {
			struct cursor c = cursor_of(more, n);

			while (!c.bad && *c.p) {
				if (cursor_u8(&c) == 0xff) {
					(void)unsigned5(&c, excluded_of(p->version));
					(void)unsigned5(&c, excluded_of(p->version));
				}
				if (!cursor_left(&c))
					break;
			}
			if (!c.bad && cursor_left(&c)) {
				ret->lines_bytes = (size_t)(c.p - more);
				return;
			}
		}
	}
}

static int32_t signed5(struct cursor *c, uint32_t excluded)
{
	uint32_t v = unsigned5(c, excluded);

	return (int32_t)(v >> 1) ^ -(int32_t)(v & 1);
}

uint32_t hotspot_line(const uint8_t *lines, size_t bytes, uint32_t version, uint32_t bci)
{
	struct cursor c = cursor_of(lines, lines ? bytes : 0);
	uint32_t at = 0, best = 0, excluded = excluded_of(version);
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

int hotspot_method_read(struct target_memory *m, const struct hotspot_proc *p, uint64_t method,
			struct hotspot_method *ret)
{
	static const uint8_t needed[] = {HF_CONST_CONSTANTS, HF_CONST_CODE_SIZE, HF_CONST_NAME,
					 HF_CONST_SIGNATURE, HF_POOL_HOLDER,	 HF_KLASS_NAME};
	uint16_t code_bytes;
	int r;

	*ret = (struct hotspot_method){0};
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
		if (p->at[needed[i]] == HOTSPOT_NONE)
			return -EOPNOTSUPP;
	}
	if (!is_pointer(method))
		return -EBADMSG;
	r = read_pointer(m, method + p->at[HF_METHOD_CONST], &ret->method_const);
	if (r == 0)
		r = target_read_u16(m, ret->method_const + p->at[HF_CONST_CODE_SIZE], &code_bytes);
	if (r == 0)
		r = read_name(m, p, ret);
	if (r < 0)
		return r;
	ret->code_bytes = code_bytes;
	read_lines(m, p, ret);
	return 0;
}

void hotspot_method_done(struct hotspot_method *m)
{
	free(m->lines);
	*m = (struct hotspot_method){0};
}

/* ---- scopes ---- */

/* The parts of an nmethod that tell what was inlined. */
struct parts {
	uint64_t method, pcs, pcs_end, scopes, scopes_end, metadata, metadata_end;
	uint64_t code;
	uint32_t delta;	   /* of the place, from `code` on */
	uint32_t complete; /* from there on the frame is complete; 0: it never is */
};

struct header {
	const struct hotspot_proc *p;
	uint64_t at;
	uint8_t bytes[HEADER_BYTES];
};

static uint64_t header_u64(const struct header *h, enum hotspot_field field)
{
	uint64_t v;

	if (h->p->at[field] > HEADER_BYTES - sizeof(v))
		return 0;
	memcpy(&v, h->bytes + h->p->at[field], sizeof(v));
	return v;
}

static uint32_t header_u32(const struct header *h, enum hotspot_field field)
{
	return (uint32_t)header_u64(h, field);
}

static bool header_has(const struct header *h, enum hotspot_field field)
{
	return h->p->at[field] != HOTSPOT_NONE;
}

/* 8 to 22: everything lies in the nmethod: oops, metadata, scopes data, scopes pcs, dependencies.
 */
static void parts_inside(const struct header *h, struct parts *s)
{
	s->pcs = h->at + header_u32(h, HF_NM_SCOPES_PCS_OFFSET);
	s->pcs_end = h->at + header_u32(h, HF_NM_DEPENDENCIES_OFFSET);
	s->scopes = header_has(h, HF_NM_SCOPES_DATA_BEGIN)
			    ? header_u64(h, HF_NM_SCOPES_DATA_BEGIN)
			    : h->at + header_u32(h, HF_NM_SCOPES_DATA_OFFSET);
	s->scopes_end = s->pcs;
	s->metadata = h->at + header_u32(h, HF_NM_METADATA_OFFSET);
	s->metadata_end = s->scopes;
}

/* 23 and later: scopes pcs and scopes data lie outside of the code heap, from 25 on the metadata,
 * too. */
static void parts_outside(const struct header *h, struct parts *s)
{
	uint64_t data = header_u64(h, HF_NM_IMMUTABLE_DATA);
	uint32_t end = header_has(h, HF_NM_REF_COUNT_OFFSET) ? HF_NM_REF_COUNT_OFFSET
							     : HF_NM_IMMUTABLE_SIZE;

	s->pcs = data + header_u32(h, HF_NM_SCOPES_PCS_OFFSET);
	s->scopes = data + header_u32(h, HF_NM_SCOPES_DATA_OFFSET);
	s->pcs_end = s->scopes;
	s->scopes_end = data + header_u32(h, (enum hotspot_field)end);
	if (header_has(h, HF_BLOB_MUTABLE_DATA)) {
		s->metadata = header_u64(h, HF_BLOB_MUTABLE_DATA) +
			      header_u32(h, HF_BLOB_RELOCATION_SIZE);
		s->metadata_end = s->metadata + (1u << 20);
	} else {
		s->metadata = h->at + header_u32(h, HF_BLOB_DATA_OFFSET) +
			      (header_u32(h, HF_NM_METADATA_OFFSET) & 0xffff);
		s->metadata_end = h->at + header_u32(h, HF_BLOB_SIZE);
	}
}

static int read_parts(struct target_memory *m, const struct hotspot_proc *p, uint64_t nmethod,
		      uint32_t position, uint32_t compile_id, struct parts *ret)
{
	struct header h = {.p = p, .at = nmethod};
	int r = target_read(m, nmethod, h.bytes, sizeof(h.bytes));

	if (r < 0)
		return r;
	if (header_u32(&h, HF_NM_COMPILE_ID) != compile_id)
		return -ESTALE;
	ret->code = header_has(&h, HF_BLOB_CODE_OFFSET) ? h.at + header_u32(&h, HF_BLOB_CODE_OFFSET)
							: header_u64(&h, HF_BLOB_CODE_BEGIN);
	ret->delta = (uint32_t)(h.at + position - ret->code);
	ret->complete = header_u32(&h, HF_BLOB_FRAME_COMPLETE);
	if (p->frame_complete_bytes == 2)
		ret->complete = (uint32_t)(int16_t)ret->complete;
	if (ret->complete > INT32_MAX) /* CodeOffsets::frame_never_safe */
		ret->complete = 0;
	ret->method = header_u64(&h, HF_NM_METHOD);
	if (!is_pointer(ret->method))
		return -EBADMSG;
	if (header_has(&h, HF_NM_IMMUTABLE_DATA))
		parts_outside(&h, ret);
	else
		parts_inside(&h, ret);
	return 0;
}

static int32_t pc_of(const struct hotspot_proc *p, const uint8_t *desc)
{
	int32_t v;

	memcpy(&v, desc + p->at[HF_PC_DESC_PC], sizeof(v));
	return v;
}

static uint32_t scope_of(const struct hotspot_proc *p, const uint8_t *desc)
{
	uint32_t v;

	memcpy(&v, desc + p->at[HF_PC_DESC_SCOPE], sizeof(v));
	return v;
}

#define FLOW_JUMPS_MAX 4

/* So far behind a loop's poll code may still be the end of that loop. */
#define PC_DESC_NEAR 16

/*
 * A poll is test [r], eax or, in 8, test [rip+x], eax; its PcDesc is where it begins. All others
 * are return addresses of calls (DebugInformationRecorder::add_safepoint(); a null pointer that
 * traps has none of its own), behind which the code may belong to anything.
 */
static bool is_poll(struct target_memory *m, uint64_t addr)
{
	uint8_t code[4], mod;
	size_t i;

	if (target_read(m, addr, code, sizeof(code)) < 0)
		return false;
	i = code[0] == 0x41; /* r8 to r15 */
	mod = code[i + 1] >> 6;
	/* rbp and r13 are written with a displacement of 0. */
	return code[i] == 0x85 && !(code[i + 1] & 0x38) && (!mod || (mod == 1 && !code[i + 2]));
}

/* What is written down of a place: the PcDesc at or behind it, and the one before. */
struct place {
	int32_t at, before, next;	   /* offsets in the code; -1: none */
	uint32_t scope_before, scope_next; /* 0: none */
};

static int find_place(struct target_memory *m, const struct hotspot_proc *p, const struct parts *s,
		      int32_t at, struct place *ret)
{
	size_t bytes = p->bytes[HT_PC_DESC], lo = 0, n = 0, part;
	uint8_t chunk[CHUNK_BYTES];
	int r;

	*ret = (struct place){.at = at, .before = -1, .next = -1};
	if (bytes < 8 || bytes > PC_DESC_MAX || p->at[HF_PC_DESC_PC] > bytes - 4 ||
	    p->at[HF_PC_DESC_SCOPE] > bytes - 4)
		return -EBADMSG;
	if (s->pcs_end > s->pcs)
		n = (size_t)MIN((s->pcs_end - s->pcs) / bytes, (uint64_t)PC_DESCS_MAX);
	/* And the one before. */
	part = sizeof(chunk) / bytes - 1;
	while (n > part) {
		size_t half = n / 2;

		r = target_read(m, s->pcs + (lo + half) * bytes, chunk, bytes);
		if (r < 0)
			return r;
		if (pc_of(p, chunk) >= at) {
			n = half + 1;
		} else {
			lo += half + 1;
			n -= half + 1;
		}
	}
	if (n && lo) {
		lo--;
		n++;
	}
	r = n ? target_read(m, s->pcs + lo * bytes, chunk, n * bytes) : 0;
	for (size_t i = 0; r == 0 && i < n && ret->next < 0; i++) {
		int32_t pc = pc_of(p, chunk + i * bytes);
		uint32_t scope = scope_of(p, chunk + i * bytes);

		if (pc < at) {
			ret->before = pc;
			ret->scope_before = scope;
		} else {
			ret->next = pc;
			ret->scope_next = scope;
		}
	}
	return r;
}

/* Offsets of scopes that a place may belong to; 0: none. */
struct candidates {
	uint32_t next;	 /* of the next PcDesc: exact for a return address, and what the JVM itself
			  * takes for others (nmethod.hpp, pc_desc_near()) */
	uint32_t before; /* of the one before, when that is nearer and of a poll */
	uint32_t flow;	 /* of the next one that control comes to, when it jumps before `next` */
	bool loop;	 /* `before` is that of the loop that the place is in, for certain */
};

/* Graal's loops begin with their poll: all up to the jump back is behind it. */
static bool in_loop(struct target_memory *m, const struct parts *s, const struct place *place)
{
	return place->before >= 0 && place->next > place->at &&
	       is_poll(m, s->code + (uint64_t)place->before) &&
	       hotspot_goes_back(m, s->code, (uint32_t)place->at, (uint32_t)place->next,
				 (int64_t)place->before - PC_DESC_NEAR, place->before);
}

static uint32_t follow(struct target_memory *m, const struct hotspot_proc *p, const struct parts *s,
		       struct place place)
{
	for (int jumps = 0; jumps < FLOW_JUMPS_MAX; jumps++) {
		int64_t to = hotspot_flow(m, s->code, (uint32_t)place.at, (uint32_t)place.next);

		if (to == -ENOENT)
			return jumps ? place.scope_next : 0;
		if (to < 0 || to > INT32_MAX || find_place(m, p, s, (int32_t)to, &place) < 0 ||
		    place.next < 0)
			break;
		if (in_loop(m, s, &place))
			return place.scope_before;
	}
	return 0;
}

static int find_candidates(struct target_memory *m, const struct hotspot_proc *p,
			   const struct parts *s, struct candidates *ret)
{
	struct place place;
	int r = find_place(m, p, s, (int32_t)s->delta, &place);

	*ret = (struct candidates){.next = place.scope_next};
	if (r < 0 || place.next <= place.at)
		return r;
	ret->loop = in_loop(m, s, &place);
	if (ret->loop || (place.before >= 0 && place.at - place.before <= PC_DESC_NEAR &&
			  place.at - place.before < place.next - place.at &&
			  is_poll(m, s->code + (uint64_t)place.before)))
		ret->before = place.scope_before;
	else
		ret->flow = follow(m, p, s, place);
	return 0;
}

/* One scope: offset of the one it is inlined into, method, bytecode. */
static int read_scope(struct target_memory *m, const struct hotspot_proc *p, const struct parts *s,
		      uint32_t *offset, struct hotspot_scope *ret)
{
	uint64_t addr = s->scopes + *offset;
	uint32_t excluded = excluded_of(p->version), sender, method, bci;
	uint8_t bytes[15];
	size_t n = sizeof(bytes);
	struct cursor c;
	int r;

	if (s->scopes_end <= s->scopes || addr >= s->scopes_end)
		return -EBADMSG;
	n = (size_t)MIN((uint64_t)n, s->scopes_end - addr);
	r = target_read(m, addr, bytes, n);
	if (r < 0)
		return r;
	c = cursor_of(bytes, n);
	sender = unsigned5(&c, excluded);
	method = unsigned5(&c, excluded);
	bci = unsigned5(&c, excluded) - 1; /* -1: before the first one */
	if (c.bad || sender >= *offset || !method || method > (s->metadata_end - s->metadata) / 8)
		return -EBADMSG;
	r = read_pointer(m, s->metadata + 8 * (uint64_t)(method - 1), &ret->method);
	ret->bci = bci == UINT32_MAX ? 0 : bci > UINT16_MAX ? HOTSPOT_BCI_UNKNOWN : bci;
	*offset = sender;
	return r;
}

/* The scope at this offset and those that it is inlined into: their number, and *ret_error when it
 * could not read all. */
static int read_scopes(struct target_memory *m, const struct hotspot_proc *p, const struct parts *s,
		       uint32_t offset, struct hotspot_scope ret[HOTSPOT_SCOPES_MAX],
		       int *ret_error)
{
	int n = 0, r = 0;

	while (r == 0 && offset && n < HOTSPOT_SCOPES_MAX) {
		r = read_scope(m, p, s, &offset, &ret[n]);
		if (r == 0)
			n++;
	}
	*ret_error = r;
	return n;
}

/* Are the outermost of `a`, which is as long or longer, the methods of b? */
static bool is_within(const struct hotspot_scope *a, int n_a, const struct hotspot_scope *b,
		      int n_b)
{
	for (int i = 1; i <= n_b; i++) {
		if (i > n_a || a[n_a - i].method != b[n_b - i].method)
			return false;
	}
	return true;
}

int hotspot_scopes_read(struct target_memory *m, const struct hotspot_proc *p, uint64_t nmethod,
			uint32_t position, uint32_t compile_id,
			struct hotspot_scope ret[HOTSPOT_SCOPES_MAX])
{
	struct hotspot_scope other[HOTSPOT_SCOPES_MAX];
	struct candidates c = {0};
	struct parts s;
	int n = 0, n_other = 0, unused, r = read_parts(m, p, nmethod, position, compile_id, &s);

	if (r < 0)
		return r;
	/* Nothing that is inlined has begun, whatever the next PcDesc belongs to. */
	if (s.delta < s.complete) {
		ret[0] = (struct hotspot_scope){s.method, 0};
		return 1;
	}
	r = find_candidates(m, p, &s, &c);
	if (r == 0)
		n = read_scopes(m, p, &s, c.next, ret, &r);
	if (r == 0 && (c.before || c.flow))
		n_other = read_scopes(m, p, &s, c.before ?: c.flow, other, &unused);
	/* The next PcDesc is of other methods: of what comes behind the loop that this place ends,
	 * or of what happens to be written behind it. */
	if (n_other &&
	    (c.loop || !(is_within(ret, n, other, n_other) && (c.flow || n == n_other)))) {
		memcpy(ret, other, (size_t)n_other * sizeof(*ret));
		n = n_other;
	}
	if (r == -ESRCH || (n == 0 && r == -E2BIG))
		return r;
	/* Native methods have no scopes; and the method itself is known when scopes are not. */
	if (n == 0)
		ret[n++] = (struct hotspot_scope){s.method, HOTSPOT_BCI_UNKNOWN};
	return n;
}
