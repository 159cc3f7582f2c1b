/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HotSpot, the user half: what the agent learns of a process, and the walk over a recorded stack.
 * The description of the file is hotspot_describe.c, names are hotspot_names.c.
 *
 * Why something is read per process (hotspot_attach()): the code heaps are reserved when the JVM
 * starts, at random addresses, and so are their segment maps; neither is found in the file. And the
 * offsets of fields stand in the file in some builds only, see bpf/hotspot.h. The reserved bounds
 * are taken, so that a heap that grows needs no second look.
 */
#include "unwinders/hotspot.h"

#include <errno.h>
#include <string.h>

#include "unwinders/hotspot_counter.h"
#include "unwinders/hotspot_method.h"
#include "unwinders/hotspot_names.h"
#include "unwinders/runtime.h"
#include "unwinders/walk_env.h"

#include "bpf/hotspot_walk.h"

/* ---- what is per process ---- */

/* The entries of the tables as every version has them (vmStructs.hpp); the exported numbers are
 * compared with this. */
static int check_layout(const struct runtime_process *p)
{
	static const uint64_t expected[HL_MAX] = {
		[HL_STRUCT_STRIDE] = HOTSPOT_STRUCT_BYTES,
		[HL_STRUCT_OFFSET] = HOTSPOT_STRUCT_OFFSET,
		[HL_STRUCT_ADDRESS] = HOTSPOT_STRUCT_ADDRESS,
		[HL_TYPE_STRIDE] = HOTSPOT_TYPE_BYTES,
		[HL_TYPE_SIZE] = HOTSPOT_TYPE_SIZE,
	};
	const struct hotspot_file *f = p->file;
	uint64_t v;

	for (int i = 0; i < HL_MAX; i++) {
		int r = target_read_u64(p->memory, p->bias + f->layout[i], &v);

		if (r < 0)
			return r;
		if (v != expected[i])
			return v ? -EOPNOTSUPP : -EAGAIN;
	}
	return 0;
}

static int read_offsets(const struct runtime_process *p, struct hotspot_proc *proc)
{
	const struct hotspot_file *f = p->file;
	uint64_t v, any = 0;
	int r;

	for (int i = 0; i < HF_ROOM; i++) {
		proc->at[i] = HOTSPOT_NONE;
		if (i >= HF_MAX || f->fields[i] == HOTSPOT_NONE)
			continue;
		r = target_read_u64(p->memory,
				    p->bias + f->structs + f->fields[i] * HOTSPOT_STRUCT_BYTES +
					    HOTSPOT_STRUCT_OFFSET,
				    &v);
		if (r < 0)
			return r;
		if (v >= HOTSPOT_FIELD_MAX ||
		    (i <= HF_NM_REF_COUNT_OFFSET && v > HOTSPOT_HEADER_BYTES - 8))
			return -EBADMSG;
		proc->at[i] = (uint16_t)v;
		any |= v;
	}
	for (int i = 0; i < HT_MAX; i++) {
		r = target_read_u64(p->memory,
				    p->bias + f->types + f->type_index[i] * HOTSPOT_TYPE_BYTES +
					    HOTSPOT_TYPE_SIZE,
				    &v);
		if (r < 0)
			return r;
		if (v >= HOTSPOT_FIELD_MAX)
			return -EBADMSG;
		proc->bytes[i] = (uint16_t)v;
		any |= v;
	}
	return any ? 0 : -EAGAIN;
}

static int read_static(const struct runtime_process *p, enum hotspot_static s, __u64 *ret)
{
	const struct hotspot_file *f = p->file;

	*ret = 0;
	return f->statics[s] ? target_read(p->memory, p->bias + f->statics[s], ret, sizeof(*ret))
			     : 0;
}

/* Both VirtualSpaces of a CodeHeap: where its memory is, and the map of its segments. */
static int read_heap(struct target_memory *m, const struct hotspot_proc *proc, uint64_t addr,
		     struct hotspot_heap *ret)
{
	const uint16_t *at = proc->at;
	uint64_t memory = addr + at[HF_HEAP_MEMORY], segmap = addr + at[HF_HEAP_SEGMAP];
	int r = target_read(m, memory + at[HF_SPACE_LOW_BOUNDARY], &ret->low, 8);

	if (r == 0)
		r = target_read(m, memory + at[HF_SPACE_HIGH_BOUNDARY], &ret->high, 8);
	if (r == 0)
		r = target_read(m, segmap + at[HF_SPACE_LOW], &ret->segmap, 8);
	if (r == 0)
		r = target_read_u32(m, addr + at[HF_HEAP_SHIFT], &ret->shift);
	if (r < 0)
		return r;
	if (!ret->low || !ret->segmap)
		return -EAGAIN;
	/* CodeCacheSegmentSize is 64 or 128 unless somebody tunes it. */
	if (ret->high <= ret->low || ret->high - ret->low > HOTSPOT_HEAP_MAX || ret->shift < 4 ||
	    ret->shift > 16)
		return -EBADMSG;
	return 0;
}

static int read_heaps(const struct runtime_process *p, struct hotspot_proc *proc)
{
	struct target_memory *m = p->memory;
	uint64_t data;
	__u64 heaps, heap;
	uint32_t n;
	int r = read_static(p, HS_HEAPS, &heaps);

	if (r < 0)
		return r;
	if (!heaps) {
		r = read_static(p, HS_HEAP, &heap);
		return r < 0 ? r : heap ? read_heap(m, proc, heap, &proc->heaps[0]) : -EAGAIN;
	}
	r = target_read_u32(m, heaps + proc->at[HF_GROWABLE_LEN], &n);
	if (r == 0)
		r = target_read_u64(m, heaps + proc->at[HF_GROWABLE_DATA], &data);
	if (r < 0)
		return r;
	if (!n || !data)
		return -EAGAIN;
	if (n > HOTSPOT_HEAPS)
		return -EOPNOTSUPP;
	for (uint32_t i = 0; r == 0 && i < n; i++) {
		r = target_read(m, data + 8 * (uint64_t)i, &heap, 8);
		if (r == 0)
			r = read_heap(m, proc, heap, &proc->heaps[i]);
	}
	return r;
}

static int read_version(const struct runtime_process *p, struct hotspot_proc *proc)
{
	const struct hotspot_file *f = p->file;
	uint32_t major = 8;
	int r = 0;

	/* Before 9 the number is HotSpot's own (25 in JDK 8). */
	if (f->statics[HS_HEAPS])
		r = target_read_u32(p->memory, p->bias + f->statics[HS_VM_MAJOR], &major);
	if (r < 0)
		return r;
	if (major < 6 || major > 999)
		return major ? -EBADMSG : -EAGAIN;
	proc->version = (uint16_t)major;
	proc->bcp_slot = major >= 9 ? 8 : 7; /* the class mirror came with 9 */
	return 0;
}

/*
 * Where the fields of two classes are that keep the frames of virtual threads: by the bytes of a
 * reference (4 with UseCompressedOops) and of an object's header. The JVM lays out fields by their
 * sizes; seen the same in 21, 25, 26, 27 and 28 (Debian's and Temurin's, by their symbols
 * jdk_internal_vm_StackChunk::_sp_offset and so on). `bottom` follows `sp`, `flags` is two further,
 * `cont` follows `parent`.
 */
static int read_objects(const struct runtime_process *p, struct hotspot_proc *proc)
{
	static const struct {
		uint16_t oop, header, tail, stack, pc, size, sp, parent;
	} layouts[] = {
		{4, 8, 28, 48, 8, 16, 20, 36},	 {8, 8, 48, 56, 8, 16, 20, 40},
		{4, 12, 32, 48, 16, 12, 24, 40}, {8, 12, 48, 56, 16, 12, 24, 40},
		{4, 16, 36, 56, 16, 24, 28, 44}, {8, 16, 56, 64, 16, 24, 28, 48},
	};
	const struct hotspot_file *f = p->file;
	uint8_t flags[HG_MAX] = {[HG_COMPRESSED_CLASS_POINTERS] = 1};
	uint32_t oop, header;

	if (proc->version < 21 || !f->flags[HG_COMPRESSED_OOPS] || !f->statics[HS_NARROW_BASE] ||
	    !f->statics[HS_NARROW_SHIFT])
		return 0;
	for (int i = 0; i < HG_MAX; i++) {
		int r = f->flags[i] ? target_read(p->memory, p->bias + f->flags[i], &flags[i], 1)
				    : 0;

		if (r < 0)
			return r;
	}
	oop = flags[HG_COMPRESSED_OOPS] ? 4 : 8;
	header = flags[HG_COMPACT_OBJECT_HEADERS]      ? 8
		 : flags[HG_COMPRESSED_CLASS_POINTERS] ? 12
						       : 16;
	for (size_t i = 0; i < ARRAY_SIZE(layouts); i++) {
		if (layouts[i].oop != oop || layouts[i].header != header)
			continue;
		proc->oop_bytes = layouts[i].oop;
		proc->cont_tail = layouts[i].tail;
		proc->chunk_stack = layouts[i].stack;
		proc->chunk_pc = layouts[i].pc;
		proc->chunk_size = layouts[i].size;
		proc->chunk_sp = layouts[i].sp;
		proc->chunk_parent = layouts[i].parent;
	}
	proc->narrow_base = p->bias + f->statics[HS_NARROW_BASE];
	proc->narrow_shift = p->bias + f->statics[HS_NARROW_SHIFT];
	if (f->statics[HS_ENTRY_RETURN])
		proc->entry_return = p->bias + f->statics[HS_ENTRY_RETURN];
	return 0;
}

/* Where ZGC keeps how it colours addresses (vmStructs_z.hpp); both are 0 while another collector
 * or, in 21, one without generations is in use. */
static int read_colours(const struct runtime_process *p, struct hotspot_proc *proc)
{
	const struct hotspot_file *f = p->file;
	const uint16_t *at = proc->at;
	uint64_t globals;
	int r;

	if (!f->z_globals || at[HF_Z_LOAD_BAD] == HOTSPOT_NONE ||
	    at[HF_Z_LOAD_SHIFT] == HOTSPOT_NONE)
		return 0;
	r = target_read_u64(p->memory, p->bias + f->z_globals, &globals);
	if (r == 0)
		r = target_read(p->memory, globals + at[HF_Z_LOAD_BAD], &proc->z_load_bad, 8);
	if (r == 0)
		r = target_read(p->memory, globals + at[HF_Z_LOAD_SHIFT], &proc->z_load_shift, 8);
	return r;
}

/*
 * How many classes were unloaded: a method may have taken the memory of one that is gone. Where the
 * JVM does not count that (-XX:-UsePerfData), its collections: classes are unloaded by them, if by
 * few. Without either such a method may be given the name of the one before.
 */
static int find_unloaded(const struct runtime_process *p, struct hotspot_proc *proc)
{
	const struct hotspot_file *f = p->file;
	uint64_t start = 0, heap = 0;

	if (f->counters && target_read_u64(p->memory, p->bias + f->counters, &start) == 0)
		proc->unloaded = hotspot_counter(p->memory, start, "java.cls.unloadedClasses");
	if (proc->unloaded || !f->collected || proc->at[HF_COLLECTIONS] == HOTSPOT_NONE ||
	    target_read_u64(p->memory, p->bias + f->collected, &heap) < 0)
		return 0;
	if (!heap)
		return -EAGAIN;
	proc->unloaded = heap + proc->at[HF_COLLECTIONS];
	return 0;
}

int hotspot_attach(const struct runtime_process *p, void *ret_proc)
{
	const struct hotspot_file *f = p->file;
	struct hotspot_proc *proc = ret_proc;
	int r;

	*proc = (struct hotspot_proc){
		.structs = p->bias + f->structs,
		.frame_complete_bytes = f->frame_complete_bytes,
		.stubs_first = f->stubs_first,
		.n_stubs = f->n_stubs,
	};
	r = check_layout(p);
	if (r == 0)
		r = read_offsets(p, proc);
	if (r == 0)
		r = read_version(p, proc);
	if (r == 0)
		r = read_heaps(p, proc);
	if (r == 0)
		r = read_static(p, HS_CALL_STUB_RETURN, &proc->call_stub_return);
	if (r == 0)
		r = read_static(p, HS_RETURN_BARRIER, &proc->return_barrier);
	if (r == 0)
		r = read_objects(p, proc);
	if (r == 0)
		r = read_colours(p, proc);
	if (r == 0)
		r = find_unloaded(p, proc);
	if (r == 0 && !proc->call_stub_return)
		r = -EAGAIN;
	proc->tells = hotspot_method_readable(proc);
	return r;
}

/* ---- late samples ---- */

static int step(struct walk_env *e, struct hotspot_walk *h, struct walk_regs *regs)
{
	uint32_t kind = h->b.kind;
	__u64 fp;
	int reason;

	if (kind == HOTSPOT_BLOB_INTERPRETER) {
		if (regs->is_leaf)
			return hotspot_interpreted_leaf(e, h, regs);
		return hotspot_rbp(e, regs, &fp) ?: hotspot_interpreted(e, h, regs, fp, 0);
	}
	if (kind == HOTSPOT_BLOB_NMETHOD || kind == HOTSPOT_BLOB_NATIVE) {
		reason = regs->is_leaf ? hotspot_compiled_leaf(e, h, regs)
				       : hotspot_compiled(e, h, regs);
		return reason == HOTSPOT_REASON_CHAIN ? hotspot_compiled_pushed(e, h, regs)
						      : reason;
	}
	if (!regs->is_leaf)
		return hotspot_stub(e, h, regs);
	reason = hotspot_stub_leaf(e, h, regs);
	return reason == HOTSPOT_REASON_STUB ? hotspot_stub_lost(e, h, regs) : reason;
}

/* The frames of Java that the walk has just come through, for hotspot_chunk_again(). */
static void note_top(const struct native_walk *w, struct hotspot_chunk *k)
{
	uint32_t first = w->n_frames;

	while (first >= 2 && FRAME_KIND(w->frames[first - 1]) == FRAME_MORE)
		first -= 2;
	k->above = (w->n_frames - first) / 2;
	for (uint32_t i = 0; i < ARRAY_SIZE(k->top); i++)
		k->top[i] = first + i < w->n_frames ? w->frames[first + i] : 0;
}

static int step_anywhere(struct walk_env *e, struct hotspot_walk *h, struct walk_regs *regs)
{
	int reason;

	if (h->chunk.end) {
		reason = hotspot_chunk_step(e, h, regs);
	} else {
		reason = step(e, h, regs);
		if (reason == HOTSPOT_REASON_FROZEN && e->w->still) {
			note_top(e->w, &h->chunk);
			reason = hotspot_chunk_open(e, h, regs);
		}
	}
	return !reason && h->chunk.ended ? hotspot_chunk_next(e, h, regs) : reason;
}

/* A frame, and all that follow it in the heap. */
int hotspot_walk(const struct runtime_process *p, struct native_walk *w)
{
	struct hotspot_walk h = {.p = *(const struct hotspot_proc *)p->proc};
	struct walk_env e = {w, p->memory};
	struct walk_regs regs = w->regs;
	int reason;

	if (!hotspot_in_heap(&h, regs.pc - !regs.is_leaf))
		return -ENOENT;
	hotspot_count_unloaded(&e, &h);
	do {
		h.value = 0;
		reason = hotspot_blob_find(&e, &h, regs.pc - !regs.is_leaf);
		if (!reason)
			reason = step_anywhere(&e, &h, &regs);
		else if (h.chunk.end)
			reason = hotspot_chunk_fail(&h, &regs);
		if (h.value)
			native_push(w, RUNTIME_HOTSPOT, h.value, h.more);
	} while (!reason && h.chunk.end && w->n_frames + 4 <= w->max_frames);
	if (h.chunk.end) {
		(void)hotspot_chunk_fail(&h, &regs); /* there is room for no more */
		w->full = true;
	}
	/* Of a process that has run on, frames in the heap may be others by now. */
	if (reason)
		native_push_reason(w, RUNTIME_HOTSPOT,
				   reason == HOTSPOT_REASON_FROZEN && !w->still
					   ? RUNTIME_REASON_UNSEEN
					   : (uint32_t)reason);
	if (reason && reason != HOTSPOT_REASON_FROZEN && reason != HOTSPOT_REASON_THAWING)
		return -EIO;
	w->regs = regs;
	return 0;
}

static const char *const reasons[HOTSPOT_REASON_MAX] = {
	[RUNTIME_REASON_UNSEEN] = "[java: frames not captured]",
	[HOTSPOT_REASON_CHAIN] = "[java: frame chain broken]",
	[HOTSPOT_REASON_STACK] = "[java: stack unreadable]",
	[HOTSPOT_REASON_NO_BLOB] = "[java: no code here]",
	[HOTSPOT_REASON_BLOB] = "[java: code blob unreadable]",
	[HOTSPOT_REASON_INTERPRETER] = "[java: interpreter frame unreadable]",
	[HOTSPOT_REASON_STUB] = "[java: caller of a stub unknown]",
	[HOTSPOT_REASON_FROZEN] = "[java: frames in the heap]",
	[HOTSPOT_REASON_THAWING] = "[java: frames are being put back]",
};

static const struct runtime_stat stats[HOTSPOT_STAT_MAX] = {
	[HOTSPOT_STAT_ATTEMPTS] = {"UnwindHotspotAttempts", "Walks that came to Java code."},
	[HOTSPOT_REASON_CHAIN] = {"UnwindHotspotErrInvalidRA",
				  "Java frames whose return address is none."},
	[HOTSPOT_REASON_STACK] = {"UnwindHotspotErrStack", "Java frames that could not be read."},
	[HOTSPOT_REASON_NO_BLOB] = {"UnwindHotspotErrNoCodeblob",
				    "Program counters in code heaps where nothing is."},
	[HOTSPOT_REASON_BLOB] = {"UnwindHotspotErrInvalidCodeblob",
				 "Code blobs that could not be read."},
	[HOTSPOT_REASON_INTERPRETER] = {"UnwindHotspotErrInterpreterFP",
					"Interpreted frames without a method."},
	[HOTSPOT_REASON_STUB] = {"UnwindHotspotErrStub", "Stubs that do not tell their caller."},
	[HOTSPOT_REASON_FROZEN] =
		{"UnwindHotspotFrozenFrames",
		 "Stacks of virtual threads whose frames in the heap could not be read."},
	[HOTSPOT_REASON_THAWING] =
		{"UnwindHotspotThawingFrames",
		 "Stacks of virtual threads whose frames were just being put back."},
	[HOTSPOT_STAT_FRAMES] = {"UnwindHotspotFrames", "Java frames walked."},
	[HOTSPOT_STAT_BLOBS] = {"UnwindHotspotCodeblobs",
				"Code blobs looked up in the JVM's segment map."},
};

const struct runtime hotspot_runtime = {
	.name = "hotspot",
	.id = RUNTIME_HOTSPOT,
	.title = "HotSpot",
	.per_process = true,
	.file_bytes = sizeof(struct hotspot_file),
	.proc_bytes = sizeof(struct hotspot_proc),
	.describe = hotspot_describe,
	.valid = hotspot_valid,
	.attach = hotspot_attach,
	.walk = hotspot_walk,
	.names_new = hotspot_names_new,
	.names_free = hotspot_names_free,
	.on_record = hotspot_names_on_record,
	.want = hotspot_names_want,
	.learned = hotspot_names_learned,
	.name_frame = hotspot_names_frame,
	.next_interval = hotspot_names_next_interval,
	.reasons = reasons,
	.n_reasons = ARRAY_SIZE(reasons),
	.stats = stats,
	.n_stats = ARRAY_SIZE(stats),
	.named = {"HotspotSymbolizationSuccesses", "Java frames that have a name."},
	.unnamed = {"HotspotSymbolizationFailures", "Java frames that have none."},
};
