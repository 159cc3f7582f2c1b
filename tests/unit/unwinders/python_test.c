/* SPDX-License-Identifier: Apache-2.0 */
/* Line tables, strings, layouts and names, by hand; walks are replayed by python_replay_test.c. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "unwinders/python_internal.h"
#include "unwinders/runtime.h"

extern const struct runtime python_runtime;

/* ---- Lines ----
 * The tables that CPython itself made, with what dis.findlinestarts() says, of:
 *
 *	def f(x):
 *	    a = 1
 *
 *	    for i in range(x):
 *	        a += (i *
 *	              2)
 *	    return a
 */
static const uint8_t pairs_39[] = {0, 1, 4, 2, 12, 1, 4, 1, 2, 255, 8, 2};
static const uint8_t ranges_310[] = {4, 1, 12, 2, 4, 1, 2, 1, 8, 255, 4, 2};
static const uint8_t locations_311[] = {
	128, 0,	 216, 8,   9, 128, 65, 229, 13,	 18,  144, 49, 137, 88, 140, 88,  240, 0,   2,
	5,   17, 240, 0,   2, 5,   17, 136, 1,	 216, 8,   9,  136, 97, 216, 14,  15,  241, 3,
	1,   15, 16,  241, 0, 1,   9,  17,  136, 1,   136, 1,  224, 11, 12,  128, 72};

struct expected {
	uint32_t offset, line;
};

static void check_lines(unsigned int version, const uint8_t *table, size_t bytes,
			const struct expected *e, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_int_equal(python_line(version, table, bytes, false, 1, e[i].offset),
				 e[i].line);
}

static void lines_are_those_that_cpython_shows(void **state)
{
	static const struct expected old[] = {
		{0, 2},	 {3, 2},  {4, 4},  {15, 4}, {16, 5},
		{20, 6}, {22, 5}, {29, 5}, {30, 7}, {33, 7},
	};
	static const struct expected new[] = {
		{0, 1},	 {2, 2},  {4, 2},  {6, 4},  {24, 4}, {38, 4},
		{40, 5}, {44, 6}, {46, 5}, {56, 5}, {58, 7}, {60, 7},
	};

	(void)state;
	check_lines(0x0309, pairs_39, sizeof(pairs_39), old, ARRAY_SIZE(old));
	check_lines(0x0306, pairs_39, sizeof(pairs_39), old, ARRAY_SIZE(old));
	check_lines(0x030a, ranges_310, sizeof(ranges_310), old, ARRAY_SIZE(old));
	check_lines(0x030b, locations_311, sizeof(locations_311), new, ARRAY_SIZE(new));
	check_lines(0x0310, locations_311, sizeof(locations_311), new, ARRAY_SIZE(new));
}

static void a_table_that_ends_early_gives_the_first_line(void **state)
{
	(void)state;
	assert_int_equal(python_line(0x030b, locations_311, 10, true, 7, 1000), 7);
	assert_int_equal(python_line(0x030a, ranges_310, 4, true, 7, 1000), 7);
	assert_int_equal(python_line(0x0309, pairs_39, 4, true, 7, 1000), 7);
	/* To 3.9 the last line goes on to the end of the code. */
	assert_int_equal(python_line(0x0309, pairs_39, sizeof(pairs_39), false, 1, 1000), 7);
	assert_int_equal(python_line(0x030b, NULL, 0, false, 7, 0), 7);
	/* A varint without an end. */
	assert_int_equal(python_line(0x030b, (const uint8_t[]){0xf0, 0x7f, 0x7f}, 3, false, 7, 0),
			 7);
}

/* ---- Strings ---- */

static const char *text(unsigned int width, uint32_t chars, const void *bytes, uint16_t n, char *to,
			size_t size)
{
	const struct python_string s = {.chars = chars, .bytes = n, .width = (uint8_t)width};

	python_utf8(&s, bytes, to, size);
	return to;
}

static void strings_of_each_width_become_utf8(void **state)
{
	static const uint16_t two[] = {0x0444, 0x20ac, 0xd800, 'x'};
	static const uint32_t four[] = {0x1f40d, 'y', 0x7fffffff};
	char to[64];

	(void)state;
	assert_string_equal(text(1, 7, "Foo.bar", 7, to, sizeof(to)), "Foo.bar");
	assert_string_equal(text(1, 4, "caf\xe9", 4, to, sizeof(to)), "caf\xc3\xa9");
	assert_string_equal(text(2, 4, two, 8, to, sizeof(to)),
			    "\xd1\x84\xe2\x82\xac\xef\xbf\xbdx");
	assert_string_equal(text(4, 3, four, 12, to, sizeof(to)), "\xf0\x9f\x90\x8dy\xef\xbf\xbd");
	assert_string_equal(text(1, 3, "a\n\x1b", 3, to, sizeof(to)), "a\xef\xbf\xbd\xef\xbf\xbd");
}

static void a_string_that_is_not_all_there_says_so(void **state)
{
	char to[64];

	(void)state;
	assert_string_equal(text(1, 300, "abc", 3, to, sizeof(to)), "abc...");
	assert_string_equal(text(1, 11, "abcdefghijk", 11, to, 12), "abcde...");
	assert_string_equal(text(0, 0, "", 0, to, sizeof(to)), "");
}

/* ---- Layouts ---- */

/* _Py_DebugOffsets of 3.13.0, as far as it is needed. */
static const uint64_t offsets_313[] = {
	0,    0x030d00f0, 0,   283320, 608, 632,  194968, 7272, 7264, 7344, 7400, 7656,
	7640, 7648,	  16,  7752,   0,   7768, 7760,	  304,	0,    8,    16,	  72,
	152,  160,	  232, 32,     80,  8,	  0,	  56,	72,   70,   208,  112,
	120,  128,	  136, 68,     52,  96,	  104,	  200,	16,   8,    416,  24,
	88,   168,	  32,  24,     16,  40,	  24,	  16,	48,   32,   40,	  24,
	16,   32,	  16,  24,     40,  16,	  32,	  64,	32,   16,   40};

static size_t offsets_with_cookie(const uint64_t *words, size_t n, uint64_t *to)
{
	memcpy(to, words, n * 8);
	memcpy(to, "xdebugpy", 8);
	return n * 8;
}

static void the_runtime_says_where_things_lie(void **state)
{
	uint64_t words[ARRAY_SIZE(offsets_313)];
	size_t bytes = offsets_with_cookie(offsets_313, ARRAY_SIZE(offsets_313), words);
	struct python_file f;

	(void)state;
	assert_int_equal(python_layout_of_runtime((void *)words, bytes, 283320, &f), 0);
	assert_int_equal(f.version, 0x030d);
	assert_int_equal(f.interpreters, 632);
	assert_int_equal(f.interp_threads, 7344);
	assert_int_equal(f.thread_id, 152);
	assert_int_equal(f.thread_frame, 72);
	assert_int_equal(f.frame_owner, 70);
	assert_int_equal(f.frame_instr, 56);
	assert_int_equal(f.code_name, 120);
	assert_int_equal(f.code_line, 60);
	assert_int_equal(f.code_instrs, 200);
	assert_int_equal(f.string_ascii, 40);
	assert_int_equal(f.string_wide, 56);
	assert_int_equal(f.string_kind_bit, 2);
	assert_int_equal(f.bytes_data, 32);
	assert_int_equal(f.frame_tlbc, 0);
}

/* Of 3.14.10 and 3.15.2 without a GIL: the compiler's answer to Debian's headers
 * (libpython3.14-dev, libpython3.15-dev; internal/pycore_debug_offsets.h) with Py_GIL_DISABLED. */
static const uint64_t offsets_314t[] = {
	0,    0x30e0af0, 1,    365624, 784,  808, 249976, 7280, 7272, 7344,  7360, 7408,
	7712, 7696,	 7704, 16,     7808, 0,	  7832,	  7824, 8024, 17300, 832,  0,
	8,    16,	 72,   152,    160,  232, 32,	  88,	8,    0,     56,   80,
	78,   64,	 72,   240,    128,  136, 144,	  152,	84,   68,    112,  120,
	232,  224,	 32,   24,     432,  40,  104,	  184,	56,   48,    32,   56,
	40,   32,	 216,  40,     56,   48,  64,	  48,	56,   40,    32,   48,
	32,   40,	 56,   32,     48,   80,  48,	  32,	56};
static const uint64_t offsets_315t[] = {
	0,    0x30f02f0, 1,    409296, 912,  936, 250328, 7272, 7264, 7336,  7352, 7400,
	7592, 7576,	 7584, 16,     7736, 0,	  7760,	  7752, 7952, 17252, 888,  0,
	8,    16,	 72,   80,     88,   96,  176,	  184,	256,  32,    36,   40,
	136,  288,	 0,    88,     8,    0,	  56,	  80,	78,   64,    72,   240,
	128,  136,	 144,  152,    84,   68,  112,	  120,	232,  224,   32,   24,
	440,  40,	 104,  184,    48,   304, 968,	  904,	56,   48,    32,   56,
	40,   32,	 216,  40,     56,   48,  64,	  48,	56,   40,    32,   48,
	32,   40,	 56,   32,     48,   80,  48,	  32,	56};

static void builds_without_a_gil_say_it_as_well(void **state)
{
	static const struct {
		const uint64_t *words;
		size_t n;
		uint16_t version, thread_id;
	} builds[] = {
		{offsets_314t, ARRAY_SIZE(offsets_314t), 0x030e, 152},
		{offsets_315t, ARRAY_SIZE(offsets_315t), 0x030f, 176},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(builds); i++) {
		uint64_t words[128];
		size_t bytes = offsets_with_cookie(builds[i].words, builds[i].n, words);
		struct python_file f;

		/* All but the table's own numbers are what the same compiler said of the structs.
		 */
		assert_int_equal(python_layout_of_runtime((void *)words, bytes, words[3], &f), 0);
		assert_int_equal(f.version, builds[i].version);
		assert_int_equal(f.thread_next, 8);
		assert_int_equal(f.thread_frame, 72);
		assert_int_equal(f.thread_id, builds[i].thread_id);
		assert_int_equal(f.frame_previous, 8);
		assert_int_equal(f.frame_code, 0);
		assert_int_equal(f.frame_instr, 56);
		assert_int_equal(f.frame_owner, 78);
		assert_int_equal(f.frame_tlbc, 72);
		assert_int_equal(f.code_ob_type, 24);
		assert_int_equal(f.code_file, 128 - 24);
		assert_int_equal(f.code_name, 144 - 24);
		assert_int_equal(f.code_table, 152 - 24);
		assert_int_equal(f.code_line, 84 - 24);
		assert_int_equal(f.code_instrs, 232);
		assert_int_equal(f.code_tlbc, 224);
		assert_int_equal(f.string_state, 48);
		assert_int_equal(f.string_ascii, 56);
		assert_int_equal(f.string_wide, 72);
		assert_int_equal(f.string_kind_bit, 8);
		assert_int_equal(f.bytes_length, 32);
		assert_int_equal(f.bytes_data, 48);
	}
}

static void a_runtime_of_another_kind_is_refused(void **state)
{
	uint64_t words[ARRAY_SIZE(offsets_313)];
	size_t bytes = offsets_with_cookie(offsets_313, ARRAY_SIZE(offsets_313), words);
	struct python_file f;

	(void)state;
	/* The symbol has another size than the table says. */
	assert_int_equal(python_layout_of_runtime((void *)words, bytes, 283312, &f), -EBADMSG);
	/* An offset beyond what is read at once, or beyond its struct. */
	words[28 + 3] = 96;
	assert_int_equal(python_layout_of_runtime((void *)words, bytes, 0, &f), -EBADMSG);
	words[28 + 3] = UINT64_MAX;
	assert_int_equal(python_layout_of_runtime((void *)words, bytes, 0, &f), -EBADMSG);
	words[28 + 3] = 56;
	assert_int_equal(python_layout_of_runtime((void *)words, bytes - 128, 0, &f), -EBADMSG);
	memcpy(words, "xdebugpx", 8);
	assert_int_equal(python_layout_of_runtime((void *)words, bytes, 0, &f), -ENODATA);
	assert_int_equal(python_layout_of_runtime((void *)words, 16, 0, &f), -ENODATA);
}

static void a_newer_version_is_tried(void **state)
{
	uint64_t words[ARRAY_SIZE(offsets_313)];
	size_t bytes = offsets_with_cookie(offsets_313, ARRAY_SIZE(offsets_313), words);
	struct python_file f;

	(void)state;
	words[1] = 0x031200f0;
	assert_int_equal(python_layout_of_runtime((void *)words, bytes, 0, &f), 0);
	assert_int_equal(f.version, 0x0312);
	assert_int_equal(f.thread_frame, 72);
}

static void every_known_version_has_a_layout(void **state)
{
	struct python_file f;

	(void)state;
	for (unsigned int v = 0x0306; v <= 0x030c; v++) {
		assert_int_equal(python_layout_of_version(v, &f), 0);
		assert_int_equal(f.version, v);
		assert_true(python_runtime.valid(&f));
	}
	assert_int_equal(python_layout_of_version(0x0305, &f), -ENODATA);
	f.frame_code = 73;
	assert_false(python_runtime.valid(&f));
	f.frame_code = 80;
	assert_false(python_runtime.valid(&f));
}

static void objects_begin_later_with_trace_refs(void **state)
{
	struct python_file f, plain;

	(void)state;
	for (unsigned int v = 0x0306; v <= 0x030c; v++) {
		assert_int_equal(python_layout_of_version(v, &plain), 0);
		f = plain;
		python_layout_trace_refs(&f);
		assert_true(python_runtime.valid(&f));
		assert_int_equal(f.code_ob_type, plain.code_ob_type + PYTHON_TRACE_REFS_BYTES);
		/* They count from there. */
		assert_int_equal(f.code_name, plain.code_name);
		/* From 3.11 on frames are no objects. */
		assert_int_equal(f.frame_previous,
				 plain.frame_previous + (v < 0x030b ? PYTHON_TRACE_REFS_BYTES : 0));
	}
}

/* ---- Names ---- */

static void *names_with(uint64_t key, const char *name)
{
	struct python_record r = {
		.e = {.key = key},
		.version = 0x030b,
		.line = 1,
		.name = {.chars = (uint32_t)strlen(name), .width = 1},
		.path = {.chars = 9, .bytes = 9, .width = 1},
		.table_bytes = sizeof(locations_311),
		.table_copied = sizeof(locations_311),
	};
	void *names = NULL;

	r.name.bytes = (uint16_t)strlen(name);
	memcpy(r.name_bytes, name, strlen(name));
	memcpy(r.path_bytes, "/app/x.py", 9);
	memcpy(r.table, locations_311, sizeof(locations_311));
	assert_int_equal(python_runtime.names_new(&names), 0);
	/* Shorter than it says: not believed. */
	python_runtime.on_record(names, &r.e, offsetof(struct python_record, table) + 3);
	python_runtime.on_record(names, &r.e,
				 offsetof(struct python_record, table) + sizeof(locations_311));
	return names;
}

static void a_frame_has_the_name_of_its_record(void **state)
{
	void *names = names_with(42, "Foo.bar");
	struct runtime_frame frame = {.value = 42, .more = 44};
	struct runtime_function f;
	const char *why = NULL;

	(void)state;
	assert_int_equal(python_runtime.name_frame(names, &frame, &f, &why), 1);
	assert_string_equal(f.name, "Foo.bar");
	assert_string_equal(f.file, "/app/x.py");
	assert_int_equal(f.line, 6);
	assert_int_equal(f.start_line, 1);
	frame.value = 43;
	assert_int_equal(python_runtime.name_frame(names, &frame, &f, &why), 0);
	assert_string_equal(why, "[python: name lost]");
	python_runtime.names_free(names);
}

/* ---- Compiled code ---- */

/* The loop calls a shim at SHIM, which has called the piece of code at PIECE. */
#define LOOP  0x500000u
#define SHIM  0x7f0000001000u
#define PIECE (SHIM + 0x200)
#define STACK 0x7ffe00001000u
#define RBP   (STACK + 0x400)

static const uint8_t shim[] = {
	0x41, 0x57, 0x41, 0x56, 0x41, 0x55, 0x41, 0x54, 0x53, /* push r15, r14, r13, r12, rbx */
	0x49, 0x89, 0xfc, 0x49, 0x89, 0xf5, 0x49, 0x89, 0xd6, /* mov rdi, r12; rsi, r13; rdx, r14 */
	0xe8, 0x0a, 0x00, 0x00, 0x00,			      /* call */
	0x5b, 0x41, 0x5c, 0x41, 0x5d, 0x41, 0x5e, 0x41, 0x5f, 0xc3, /* pop ...; ret */
};

static int read_shim(void *data, uint64_t addr, void *to, size_t n)
{
	const uint8_t *code = data;

	if (addr - SHIM >= sizeof(shim) || n > sizeof(shim) - (addr - SHIM))
		return -EFAULT;
	memcpy(to, code + (addr - SHIM), n);
	return 0;
}

struct jit_stack {
	struct range ranges[2];
	uint64_t words[128], frames[4];
	struct native_walk w;
	uint8_t code[sizeof(shim)];
	struct target_memory memory;
	struct python_file file;
	struct runtime_process process;
};

/* What a piece has pushed is `pushed` words, the last one its caller's rbp when it uses that. */
static void jit_stack_init(struct jit_stack *t, size_t pushed, bool uses_rbp)
{
	*t = (struct jit_stack){
		.ranges = {{.start = LOOP - 0x1000,
			    .size = 0x2000,
			    .first_frame = FRAME_OF_FILE(5, 0),
			    .file = 5,
			    .runtime = RUNTIME_PYTHON},
			   {.start = SHIM,
			    .size = 0x1000,
			    .first_frame = FRAME(FRAME_ANON, SHIM),
			    .file = FILE_ID_ANON}},
		.memory = {.read = read_shim, .budget = 1 << 20},
		.file = {.version = 0x030e},
		.process = {.file = &t->file, .memory = &t->memory},
		.w = {.regs = {.pc = PIECE, .sp = STACK, .is_leaf = 1},
		      .ranges = t->ranges,
		      .n_ranges = 2,
		      .stack = (const uint8_t *)t->words,
		      .stack_start = STACK,
		      .stack_bytes = sizeof(t->words),
		      .frames = t->frames,
		      .max_frames = 4,
		      .limit = 4},
	};
	memcpy(t->code, shim, sizeof(shim));
	t->memory.data = t->code;
	t->w.regs.regs[SLOT_RBP] = uses_rbp ? 42 : RBP;
	for (int i = 0; i < SLOT_MAX; i++)
		t->w.regs.saved[i] = SAVED_NOWHERE;
	for (size_t i = 0; i < pushed; i++)
		t->words[i] = i + 1 < pushed || !uses_rbp ? 0x1234 : RBP;
	t->words[pushed] = SHIM + 0x17;
	for (size_t i = 1; i <= 5; i++)
		t->words[pushed + i] = 100 + i;
	t->words[pushed + 6] = LOOP;
}

static void assert_left(const struct jit_stack *t, size_t pushed)
{
	const struct walk_regs *r = &t->w.regs;

	assert_int_equal(r->pc, LOOP);
	assert_int_equal(r->sp, STACK + 8 * (pushed + 7));
	assert_int_equal(r->is_leaf, 0);
	assert_int_equal(r->regs[SLOT_RBP], RBP);
	assert_int_equal(r->saved[SLOT_RBP], SAVED_NOWHERE);
	assert_int_equal(r->saved[SLOT_RBX], STACK + 8 * (pushed + 1));
	assert_int_equal(r->saved[SLOT_R15], STACK + 8 * (pushed + 5));
	assert_int_equal(t->w.n_frames, 1);
	assert_int_equal(t->frames[0], FRAME(FRAME_ANON, PIECE));
}

static void compiled_code_is_left_for_the_loop(void **state)
{
	static const size_t pushed[] = {0, 1, 20, 63};
	struct jit_stack t;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(pushed); i++) {
		for (int uses_rbp = 0; uses_rbp <= (pushed[i] > 0); uses_rbp++) {
			jit_stack_init(&t, pushed[i], uses_rbp);
			assert_int_equal(python_runtime.attach(&t.process, NULL), 0);
			assert_int_equal(python_runtime.walk(&t.process, &t.w), 0);
			assert_left(&t, pushed[i]);
			/* A process that is gone: by where the words point to. */
			jit_stack_init(&t, pushed[i], uses_rbp);
			assert_int_equal(python_runtime.walk(NULL, &t.w), 0);
			assert_left(&t, pushed[i]);
		}
	}
}

static void assert_not_left(struct jit_stack *t, const struct runtime_process *p)
{
	struct walk_regs before = t->w.regs;

	assert_int_equal(python_runtime.walk(p, &t->w), -ENOENT);
	assert_memory_equal(&t->w.regs, &before, sizeof(before));
	assert_int_equal(t->w.n_frames, 0);
}

static void code_without_a_shim_is_not_pythons(void **state)
{
	struct jit_stack t;

	(void)state;
	jit_stack_init(&t, 64, false); /* too far above */
	assert_not_left(&t, &t.process);
	jit_stack_init(&t, 2, false);
	t.words[2]++;
	assert_not_left(&t, NULL);
	/* Each byte that is looked at is another one. */
	for (size_t i = 0; i < sizeof(shim) - 2; i++) {
		if (i >= 16 && i < 23)
			continue;
		jit_stack_init(&t, 2, false);
		t.code[i] ^= 1;
		assert_not_left(&t, &t.process);
	}
	jit_stack_init(&t, 2, false);
	t.words[8] = 0x1000; /* nothing of Python's called it */
	assert_not_left(&t, NULL);
	jit_stack_init(&t, 2, false);
	t.w.stack_bytes = 256; /* the copy ends */
	assert_not_left(&t, &t.process);
	t.file.version = 0x030f;
	assert_int_equal(python_runtime.attach(&t.process, NULL), -ENOENT);
}

/* The loop's rbp is nowhere: it is not made up. */
static void a_lost_frame_pointer_is_said_to_be_lost(void **state)
{
	struct jit_stack t;

	(void)state;
	jit_stack_init(&t, 2, true);
	t.words[1] = 7;
	assert_int_equal(python_runtime.walk(&t.process, &t.w), 0);
	assert_int_equal(t.w.regs.pc, LOOP);
	assert_int_equal(t.w.regs.saved[SLOT_RBP], SAVED_LOST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_those_that_cpython_shows),
		cmocka_unit_test(a_table_that_ends_early_gives_the_first_line),
		cmocka_unit_test(strings_of_each_width_become_utf8),
		cmocka_unit_test(a_string_that_is_not_all_there_says_so),
		cmocka_unit_test(the_runtime_says_where_things_lie),
		cmocka_unit_test(builds_without_a_gil_say_it_as_well),
		cmocka_unit_test(a_runtime_of_another_kind_is_refused),
		cmocka_unit_test(a_newer_version_is_tried),
		cmocka_unit_test(every_known_version_has_a_layout),
		cmocka_unit_test(objects_begin_later_with_trace_refs),
		cmocka_unit_test(a_frame_has_the_name_of_its_record),
		cmocka_unit_test(compiled_code_is_left_for_the_loop),
		cmocka_unit_test(code_without_a_shim_is_not_pythons),
		cmocka_unit_test(a_lost_frame_pointer_is_said_to_be_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
