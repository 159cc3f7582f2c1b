/* SPDX-License-Identifier: Apache-2.0 */
/* Sources: scopeDesc.cpp, pcDesc.hpp, nmethod.hpp of OpenJDK 8u504, 17.0.19 and 26. */
#include "unwinders/hotspot_scopes.h"

#include <errno.h>
#include <string.h>

#include "agent/base/cursor.h"
#include "unwinders/hotspot_flow.h"
#include "unwinders/hotspot_unsigned5.h"
#include "unwinders/target_memory.h"

#define HEADER_BYTES	512
#define BLOCK_BYTES_MAX 64
#define PC_DESC_MAX	64 /* bytes */
#define PC_DESCS_MAX	(1u << 20)
#define CHUNK_BYTES	4096

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

/* Of code that was freed nothing else need have changed. */
static bool is_used(const struct hotspot_proc *p, const uint8_t *block)
{
	return hotspot_used_at(p) < p->bytes[HT_BLOCK] && block[hotspot_used_at(p)];
}

/* The nmethod's header, when it is that of this compilation and in use. Read with what lies before
 * it, which the code heap keeps of the block. */
static int read_header(struct target_memory *m,
		       int (*read)(struct target_memory *m, uint64_t addr, void *to, size_t n),
		       uint32_t compile_id, struct header *h)
{
	uint8_t bytes[BLOCK_BYTES_MAX + HEADER_BYTES];
	size_t before = h->p->bytes[HT_BLOCK];
	int r;

	if (before > BLOCK_BYTES_MAX)
		return -EBADMSG;
	r = read(m, h->at - before, bytes, before + HEADER_BYTES);
	if (r < 0)
		return r;
	memcpy(h->bytes, bytes + before, HEADER_BYTES);
	return header_u32(h, HF_NM_COMPILE_ID) == compile_id && is_used(h->p, bytes) ? 0 : -ESTALE;
}

int hotspot_code_is_there(struct target_memory *m, const struct hotspot_proc *p, uint64_t nmethod,
			  uint32_t compile_id)
{
	struct header h = {.p = p, .at = nmethod};
	int r = read_header(m, target_read_fresh, compile_id, &h);

	/* Up to 19, code outlives its method: that goes first. */
	return r == 0 && !target_is_pointer(header_u64(&h, HF_NM_METHOD)) ? -ESTALE : r;
}

static int read_parts(struct target_memory *m, const struct hotspot_proc *p, uint64_t nmethod,
		      uint32_t position, uint32_t compile_id, struct parts *ret)
{
	struct header h = {.p = p, .at = nmethod};
	int r = read_header(m, target_read, compile_id, &h);

	if (r < 0)
		return r;
	ret->code = header_has(&h, HF_BLOB_CODE_OFFSET) ? h.at + header_u32(&h, HF_BLOB_CODE_OFFSET)
							: header_u64(&h, HF_BLOB_CODE_BEGIN);
	ret->delta = (uint32_t)(h.at + position - ret->code);
	ret->complete = header_u32(&h, HF_BLOB_FRAME_COMPLETE);
	if (p->frame_complete_bytes == 2)
		ret->complete = (uint32_t)(int16_t)ret->complete;
	if (ret->complete > INT32_MAX) /* CodeOffsets::frame_never_safe */
		ret->complete = 0;
	ret->method = header_u64(&h, HF_NM_METHOD);
	if (!target_is_pointer(ret->method))
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
	uint32_t excluded = hotspot_excluded(p->version), sender, method, bci;
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
	sender = hotspot_unsigned5(&c, excluded);
	method = hotspot_unsigned5(&c, excluded);
	bci = hotspot_unsigned5(&c, excluded) - 1; /* -1: before the first one */
	if (c.bad || sender >= *offset || !method || method > (s->metadata_end - s->metadata) / 8)
		return -EBADMSG;
	r = target_read_pointer(m, s->metadata + 8 * (uint64_t)(method - 1), &ret->method);
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
