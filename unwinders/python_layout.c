/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where things lie in CPython. From 3.13 on _PyRuntime begins with a table that says so
 * (_Py_DebugOffsets, Include/internal/pycore_debug_offsets.h, pycore_runtime.h in 3.13); its own
 * layout changes with each version. Before, the layout is that of the version, the same in all its
 * releases: as the DWARF of 3.6.15, 3.7.16, 3.8.18, 3.9.18, 3.10.13, 3.11.7 and 3.12.1 has it.
 */
#include "unwinders/python_internal.h"

#include <errno.h>
#include <string.h>

#define OBJECT_TYPE 8 /* ob_type of an object with a GIL */

/* What 3.6 to 3.11 have in common. */
#define BEFORE_312                                                                              \
	.code_ob_type = OBJECT_TYPE, .thread_next = 8, .string_length = 16, .string_state = 32, \
	.string_ascii = 48, .string_wide = 72, .string_kind_bit = 2, .bytes_length = 16,        \
	.bytes_data = 32

#define BEFORE_311 \
	BEFORE_312, .thread_frame = 24, .interp_threads = 8, .frame_previous = 24, .frame_code = 32

#define FROM_38_TO_310                                                                   \
	BEFORE_311, .thread_id = 176, .interpreters = 32, .code_line = 40 - OBJECT_TYPE, \
		    .code_file = 104 - OBJECT_TYPE, .code_name = 112 - OBJECT_TYPE,      \
		    .code_table = 120 - OBJECT_TYPE

#define BEFORE_38                                                                 \
	BEFORE_311, .code_line = 36 - OBJECT_TYPE, .code_file = 96 - OBJECT_TYPE, \
		    .code_name = 104 - OBJECT_TYPE, .code_table = 112 - OBJECT_TYPE

#define FROM_311                                                                 \
	.code_file = 112 - OBJECT_TYPE, .code_name = 128 - OBJECT_TYPE,          \
	.code_table = 136 - OBJECT_TYPE, .frame_instr = 56, .thread_cframe = 56, \
	.interpreters = 40

static const struct python_file layouts[] = {
	{
		BEFORE_38,
		.version = 0x0306,
		.flags = PYTHON_FRAME_OBJECTS | PYTHON_GIL_HOLDER,
		.thread_id = 152,
		.frame_instr = 120,
		.instr_bytes = 1,
	},
	{
		BEFORE_38,
		.version = 0x0307,
		.flags = PYTHON_FRAME_OBJECTS | PYTHON_GIL_HOLDER,
		.holder = 1480,
		.thread_id = 176,
		.interpreters = 24,
		.frame_instr = 104,
		.instr_bytes = 1,
	},
	{
		FROM_38_TO_310,
		.version = 0x0308,
		.flags = PYTHON_FRAME_OBJECTS | PYTHON_GIL_HOLDER,
		.holder = 1368,
		.frame_instr = 104,
		.instr_bytes = 1,
	},
	{
		FROM_38_TO_310,
		.version = 0x0309,
		.flags = PYTHON_FRAME_OBJECTS | PYTHON_GIL_HOLDER,
		.holder = 568,
		.frame_instr = 104,
		.instr_bytes = 1,
	},
	{
		FROM_38_TO_310, .version = 0x030a,
		.flags = PYTHON_FRAME_OBJECTS | PYTHON_GIL_HOLDER, .holder = 568,
		.thread_cframe = 48, .cframe_previous = 8, .frame_instr = 96,
		.instr_bytes = 2, /* f_lasti counts instructions */
	},
	{
		BEFORE_312,
		FROM_311,
		.version = 0x030b,
		.flags = PYTHON_ENTRY_FLAG | PYTHON_GIL_HOLDER,
		.holder = 576,
		.thread_id = 152,
		.interp_threads = 16,
		.cframe_frame = 8,
		.cframe_previous = 16,
		.frame_code = 32,
		.frame_previous = 48,
		.frame_owner = 68,
		.code_line = 72 - OBJECT_TYPE,
		.code_instrs = 184,
	},
	{
		FROM_311,
		.version = 0x030c,
		.code_ob_type = OBJECT_TYPE,
		.thread_next = 8,
		.thread_id = 136,
		.interp_threads = 72,
		.cframe_frame = 0,
		.cframe_previous = 8,
		.frame_code = 0,
		.frame_previous = 8,
		.frame_owner = 70,
		.code_line = 68 - OBJECT_TYPE,
		.code_instrs = 192,
		.string_length = 16,
		.string_state = 32,
		.string_ascii = 40,
		.string_wide = 56,
		.string_kind_bit = 2,
		.bytes_length = 16,
		.bytes_data = 32,
	},
};

int python_layout_of_version(unsigned int version, struct python_file *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(layouts); i++) {
		if (layouts[i].version == version) {
			*ret = layouts[i];
			return 0;
		}
	}
	return -ENODATA;
}

void python_layout_trace_refs(struct python_file *f)
{
	uint16_t *const in_objects[] = {&f->string_length, &f->string_state,   &f->string_ascii,
					&f->string_wide,   &f->bytes_length,   &f->bytes_data,
					&f->code_ob_type,  &f->frame_previous, &f->frame_code,
					&f->frame_instr};
	size_t n = ARRAY_SIZE(in_objects) - (f->flags & PYTHON_FRAME_OBJECTS ? 0 : 3);

	for (size_t i = 0; i < n; i++)
		*in_objects[i] += PYTHON_TRACE_REFS_BYTES;
	if (f->code_instrs)
		f->code_instrs += PYTHON_TRACE_REFS_BYTES;
}

/* ---- _Py_DebugOffsets ---- */

/* Where its parts begin, counted in words. All versions begin alike. */
enum {
	COOKIE,
	VERSION,
	FREE_THREADED,
	RUNTIME_SIZE,
	RUNTIME_FINALIZING,
	RUNTIME_HEAD,
	INTERP_SIZE,
	INTERP_ID,
	INTERP_NEXT,
	INTERP_THREADS
};

struct offsets_layout {
	unsigned int version;
	unsigned int thread;	/* size, prev, next, interp, current_frame */
	unsigned int thread_id; /* of the thread, as pthread_self() has it */
	unsigned int frame;	/* size, previous, executable, instr_ptr, localsplus, owner */
	unsigned int tlbc;	/* of a frame; 0: not there */
	unsigned int code;	/* size, filename, name, qualname, linetable, firstlineno, argcount,
				   localsplusnames, localspluskinds, co_code_adaptive, co_tlbc */
	unsigned int object;	/* size, ob_type */
	unsigned int bytes;	/* size, ob_size, ob_sval */
	unsigned int unicode;	/* size, state, length, asciiobject_size */
	unsigned int words;	/* that are needed */
};

static const struct offsets_layout offsets[] = {
	{0x030d, 19, 24, 28, 0, 34, 44, 64, 67, 71},
	{0x030e, 22, 27, 31, 38, 39, 50, 74, 77, 81},
	{0x030f, 22, 30, 39, 46, 47, 58, 86, 89, 93},
};

struct offsets_reader {
	const uint8_t *data;
	bool bad; /* a value that is no offset was read */
};

static uint64_t word_at(struct offsets_reader *r, unsigned int i)
{
	uint64_t v;

	memcpy(&v, r->data + 8 * (size_t)i, 8);
	return v;
}

static uint16_t offset_at(struct offsets_reader *r, unsigned int i)
{
	uint64_t v = word_at(r, i);

	r->bad |= v > UINT16_MAX;
	return (uint16_t)v;
}

static uint16_t code_offset(struct offsets_reader *r, unsigned int i, uint16_t type)
{
	uint16_t v = offset_at(r, i);

	r->bad |= v < type;
	return (uint16_t)(v - type);
}

static void read_offsets(struct offsets_reader *r, const struct offsets_layout *l,
			 struct python_file *f)
{
	bool free_threaded = word_at(r, FREE_THREADED);
	uint16_t type = offset_at(r, l->object + 1);

	f->interpreters = offset_at(r, RUNTIME_HEAD);
	f->interp_next = offset_at(r, INTERP_NEXT);
	f->interp_threads = offset_at(r, INTERP_THREADS);
	f->thread_next = offset_at(r, l->thread + 2);
	f->thread_frame = offset_at(r, l->thread + 4);
	f->thread_id = offset_at(r, l->thread_id);
	f->frame_previous = offset_at(r, l->frame + 1);
	f->frame_code = offset_at(r, l->frame + 2);
	f->frame_instr = offset_at(r, l->frame + 3);
	f->frame_owner = offset_at(r, l->frame + 5);
	f->code_ob_type = type;
	f->code_file = code_offset(r, l->code + 1, type);
	f->code_name = code_offset(r, l->code + 3, type);
	f->code_table = code_offset(r, l->code + 4, type);
	f->code_line = code_offset(r, l->code + 5, type);
	f->code_instrs = offset_at(r, l->code + 9);
	if (free_threaded && l->tlbc) {
		f->frame_tlbc = offset_at(r, l->tlbc);
		f->code_tlbc = offset_at(r, l->code + 10);
	}
	f->bytes_length = offset_at(r, l->bytes + 1);
	f->bytes_data = offset_at(r, l->bytes + 2);
	f->string_state = offset_at(r, l->unicode + 1);
	f->string_length = offset_at(r, l->unicode + 2);
	f->string_ascii = offset_at(r, l->unicode + 3);
	/* PyCompactUnicodeObject has utf8_length and utf8 besides. */
	f->string_wide = (uint16_t)(f->string_ascii + 16);
	/* `interned` is a byte of its own there. */
	f->string_kind_bit = free_threaded && l->version >= 0x030e ? 8 : 2;
}

/* Do the offsets look like those of a struct of this size? Only what holds in every version. */
static bool plausible(struct offsets_reader *r, const struct offsets_layout *l)
{
	uint64_t frame = word_at(r, l->frame), code = word_at(r, l->code);

	return word_at(r, l->object + 1) + 8 == word_at(r, l->object) &&
	       word_at(r, l->frame + 5) < frame && word_at(r, l->frame + 3) < frame &&
	       word_at(r, l->code + 4) < code && word_at(r, l->code + 9) < code &&
	       word_at(r, l->thread + 4) < word_at(r, l->thread) &&
	       word_at(r, l->thread_id) < word_at(r, l->thread) &&
	       word_at(r, INTERP_THREADS) < word_at(r, INTERP_SIZE) &&
	       word_at(r, l->bytes + 1) == word_at(r, l->object) &&
	       word_at(r, l->unicode + 2) == word_at(r, l->object) &&
	       word_at(r, l->unicode + 1) < word_at(r, l->unicode + 3);
}

static bool read_as(struct offsets_reader *r, size_t bytes, const struct offsets_layout *l,
		    struct python_file *ret)
{
	struct python_file f = {.version = (uint16_t)(word_at(r, VERSION) >> 16)};

	if (bytes / 8 < l->words)
		return false;
	r->bad = false;
	read_offsets(r, l, &f);
	if (r->bad || !plausible(r, l) || !python_layout_valid(&f))
		return false;
	*ret = f;
	return true;
}

int python_layout_of_runtime(const uint8_t *data, size_t bytes, uint64_t runtime_bytes,
			     struct python_file *ret)
{
	struct offsets_reader r = {.data = data};
	unsigned int version;

	if (bytes < 8 * (INTERP_THREADS + 1) || memcmp(data, "xdebugpy", 8) != 0)
		return -ENODATA;
	version = (unsigned int)(word_at(&r, VERSION) >> 16);
	if (runtime_bytes && word_at(&r, RUNTIME_SIZE) != runtime_bytes)
		return -EBADMSG;
	for (size_t i = 0; i < ARRAY_SIZE(offsets); i++) {
		if (offsets[i].version == version)
			return read_as(&r, bytes, &offsets[i], ret) ? 0 : -EBADMSG;
	}
	/* A version that was not known when this was written: perhaps nothing moved. */
	for (size_t i = ARRAY_SIZE(offsets); i > 0; i--) {
		if (read_as(&r, bytes, &offsets[i - 1], ret))
			return 0;
	}
	return -EBADMSG;
}

/* ---- Bounds ---- */

static bool fits(uint16_t offset, uint16_t size, uint16_t room)
{
	return offset % size == 0 && offset + size <= room;
}

bool python_layout_valid(const struct python_file *f)
{
	bool objects = f->flags & PYTHON_FRAME_OBJECTS;
	uint16_t frame = objects ? PYTHON_OBJECT_BYTES + PYTHON_OBJECT_MORE : PYTHON_FRAME_BYTES;

	return f->version >= 0x0300 && fits(f->frame_previous, 8, frame) &&
	       fits(f->frame_code, 8, frame) && fits(f->frame_instr, objects ? 4 : 8, frame) &&
	       (objects || fits(f->frame_owner, 1, frame)) && fits(f->frame_tlbc, 4, frame) &&
	       fits(f->code_line, 4, PYTHON_CODE_BYTES) && f->code_name > f->code_file &&
	       f->code_table > f->code_name &&
	       f->code_table - f->code_file + 8 <= PYTHON_COOKIE_BYTES &&
	       fits(f->code_file, 8, PYTHON_CODE_BYTES) &&
	       fits(f->code_name, 8, PYTHON_CODE_BYTES) &&
	       fits(f->code_table, 8, PYTHON_CODE_BYTES) && f->string_kind_bit < 28 &&
	       (f->thread_frame || f->thread_cframe) && f->thread_id;
}
