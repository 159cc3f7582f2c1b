/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Tells user space what a method is called. A read here takes a thirtieth of one through
 * /proc/PID/mem, and the method is there for certain.
 */
#include "bpf/hotspot.bpf.h"

/* Prints of what was told: who finds another one there tells again. */
#define TOLD_SHIFT 13

struct hotspot_told_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << TOLD_SHIFT);
	__type(key, u32);
	__type(value, u32);
} hotspot_told SEC(".maps");

/* room: a power of two. The bytes of the text, or `room` when it can not be told. */
static __always_inline u32 symbol_get(struct cpu_state *c, const u16 *at, u64 symbol, char *to,
				      u32 room)
{
	u32 n = 0;

	symbol &= ~1ULL; /* of an entry of the pool that is not resolved */
	if (at[HF_SYMBOL_LENGTH] != HOTSPOT_NONE) {
		if (walk_read(c, symbol + at[HF_SYMBOL_LENGTH], &n, 2))
			return room;
	} else {
		if (walk_read(c, symbol + at[HF_SYMBOL_LENGTH_AND_REFCOUNT], &n, 4))
			return room;
		n >>= 16;
	}
	if (n >= room)
		return room;
	n &= room - 1;
	return walk_read(c, symbol + at[HF_SYMBOL_BODY], to, n) ? room : n;
}

/* A text of the constant pool, by where its index lies. */
static __always_inline u32 pool_text(struct cpu_state *c, const struct hotspot_walk *h, u64 pool,
				     u64 index_at, char *to, u32 room)
{
	u64 symbol;
	u16 index;

	if (walk_read(c, index_at, &index, 2) || !index ||
	    walk_read(c, pool + h->p.bytes[HT_CONSTANT_POOL] + 8 * (u64)index, &symbol, 8))
		return room;
	return symbol_get(c, h->p.at, symbol, to, room);
}

static __always_inline u32 source_get(struct cpu_state *c, const struct hotspot_walk *h, u64 pool,
				      u64 class, char *to)
{
	const u16 *at = h->p.at;
	u64 index_at;
	u32 n;

	if (at[HF_POOL_SOURCE_FILE] != HOTSPOT_NONE)
		index_at = pool + at[HF_POOL_SOURCE_FILE];
	else if (at[HF_KLASS_SOURCE_FILE] != HOTSPOT_NONE)
		index_at = class + at[HF_KLASS_SOURCE_FILE];
	else
		return 0;
	n = pool_text(c, h, pool, index_at, to, HOTSPOT_SOURCE_BYTES);
	return n == HOTSPOT_SOURCE_BYTES ? 0 : n;
}

/* Behind the bytecodes; has_linenumber_table is bit 0 in all versions. What can not be read is left
 * for user space to look for. */
static __always_inline void table_get(struct cpu_state *c, const struct hotspot_walk *h,
				      struct hotspot_record *r)
{
	u64 table = r->method_const + h->p.bytes[HT_CONST_METHOD] + r->code_bytes;
	u8 flags;

	r->table_bytes = 0;
	if (h->p.at[HF_CONST_FLAGS] == HOTSPOT_NONE ||
	    walk_read(c, r->method_const + h->p.at[HF_CONST_FLAGS], &flags, 1) || !(flags & 1))
		return;
	(void)walk_read(c, table, r->table, sizeof(r->table));
	r->table_bytes = sizeof(r->table);
}

/* Names of what the record is of. 0: they are complete. */
static __always_inline int names_get(struct cpu_state *c, const struct hotspot_walk *h,
				     struct hotspot_record *r)
{
	const u16 *at = h->p.at;
	u64 pool, class, symbol, from = r->method_const;

	if (walk_read(c, from + at[HF_CONST_CONSTANTS], &pool, 8) ||
	    walk_read(c, pool + at[HF_POOL_HOLDER], &class, 8) ||
	    walk_read(c, class + at[HF_KLASS_NAME], &symbol, 8))
		return 1;
	r->class_bytes = symbol_get(c, at, symbol, r->class_name, HOTSPOT_CLASS_BYTES);
	r->method_bytes = pool_text(c, h, pool, from + at[HF_CONST_NAME], r->method_name,
				    HOTSPOT_METHOD_BYTES);
	r->signature_bytes = pool_text(c, h, pool, from + at[HF_CONST_SIGNATURE], r->signature,
				       HOTSPOT_SIGNATURE_BYTES);
	if (r->class_bytes == HOTSPOT_CLASS_BYTES || r->method_bytes == HOTSPOT_METHOD_BYTES ||
	    r->signature_bytes == HOTSPOT_SIGNATURE_BYTES)
		return 1;
	r->source_bytes = source_get(c, h, pool, class, r->source);
	table_get(c, h, r);
	return 0;
}

__noinline int hotspot_tell(u32 cpu)
{
	struct cpu_state *c = cpu_state_of(cpu);
	struct hotspot_state *s = state_of(cpu);
	struct hotspot_record *r;
	u32 at, print, *told;
	u64 hash;

	if (!c || !s)
		return 1;
	r = &s->record;
	r->e.key = HOTSPOT_OWNER(s->key);
	hash = (r->method ^ (u64)r->cookie << 24 ^ r->e.key * 0xff51afd7ed558ccdULL) *
	       0x9e3779b97f4a7c15ULL;
	at = hash >> (64 - TOLD_SHIFT);
	print = (u32)hash | 1;
	told = bpf_map_lookup_elem(&hotspot_told, &at);
	if (!told || !s->walk.p.tells)
		return 1;
	if (*told == print)
		return 0;
	r->e.h.kind = EVENT_RUNTIME;
	r->e.h.bytes = sizeof(*r);
	r->e.runtime = RUNTIME_HOTSPOT;
	r->version = s->walk.p.version;
	if (names_get(c, &s->walk, r) || !event_send(c, r, sizeof(*r), ring_wakeup()))
		return 1;
	*told = print;
	return 0;
}
