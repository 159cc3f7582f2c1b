/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the HotSpot runtime that need no JVM. Recorded JVMs are replayed by
 * hotspot_replay_test.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "unwinders/hotspot_counter.h"
#include "unwinders/hotspot_loader.h"
#include "unwinders/hotspot_method.h"
#include "unwinders/hotspot_scopes.h"
#include "unwinders/target_memory.h"

/* Memory is what lies before address 0x1000. */
struct before {
	const uint8_t *bytes;
	size_t n;
};

#define WALK_ENV struct before

static int walk_read(struct before *b, __u64 addr, void *to, __u32 bytes)
{
	uint64_t off = addr - (0x1000 - b->n);

	if (off > b->n || bytes > b->n - off)
		return 1;
	memcpy(to, b->bytes + off, bytes);
	return 0;
}

static int walk_read8(struct before *b, __u64 addr, __u64 *v)
{
	return walk_read(b, addr, v, 8);
}

static int walk_read16(struct before *b, __u64 addr, __u64 v[2])
{
	return walk_read(b, addr, v, 16);
}

#include "bpf/hotspot_blob.h"

static int after_call(const char *code, size_t n, uint64_t *target)
{
	uint8_t bytes[32];
	struct before b = {bytes, sizeof(bytes)};
	struct hotspot_walk h;
	int r;

	memset(bytes, 0x90, sizeof(bytes)); /* nop */
	memcpy(bytes + sizeof(bytes) - n, code, n);
	r = hotspot_after_call(&b, &h, 0x1000);
	*target = h.target;
	return r;
}

#define AFTER(code, target) after_call(code, sizeof(code) - 1, target)

static void test_calls(void **state)
{
	uint64_t to;

	(void)state;
	assert_true(AFTER("\xe8\x10\x00\x00\x00", &to)); /* call +0x10 */
	assert_int_equal(to, 0x1010);
	assert_true(AFTER("\x49\xba\x01\x02\x03\x04\x05\x06\x07\x00\x41\xff\xd2", &to));
	assert_int_equal(to, 0x7060504030201);
	assert_true(AFTER("\xff\xd0", &to)); /* rax */
	assert_int_equal(to, 0);
	assert_true(AFTER("\xff\x10", &to));		     /* [rax] */
	assert_true(AFTER("\x41\xff\x17", &to));	     /* [r15] */
	assert_true(AFTER("\xff\x50\x08", &to));	     /* [rax+8] */
	assert_true(AFTER("\xff\x90\x00\x01\x00\x00", &to)); /* [rax+256] */
	assert_true(AFTER("\xff\x15\x00\x01\x00\x00", &to)); /* [rip+256] */
	assert_false(AFTER("\xff\xe0", &to));		     /* jmp rax */
	assert_false(AFTER("\xff\x30", &to));		     /* push [rax] */
	assert_false(AFTER("\xff\x15", &to));		     /* a part of one */
	assert_false(AFTER("\xff\x14", &to));
	assert_false(AFTER("", &to));
}

static void assert_readable(const char *class_name, const char *name, const char *signature,
			    const char *expected)
{
	char got[HOTSPOT_NAME_BYTES];

	hotspot_readable_name(class_name, name, signature, got, sizeof(got));
	assert_string_equal(got, expected);
}

static void test_names(void **state)
{
	(void)state;
	assert_readable("java/util/HashMap", "get", "(Ljava/lang/Object;)Ljava/lang/Object;",
			"java.util.HashMap.get(java.lang.Object)");
	assert_readable("Main", "main", "([Ljava/lang/String;)V", "Main.main(java.lang.String[])");
	assert_readable("a/B$C", "<init>", "(IJ[[D)V", "a.B$C.<init>(int, long, double[][])");
	assert_readable("Main", "run", "()V", "Main.run()");
	assert_readable("java/lang/invoke/LambdaForm$DMH+0x00007f0b1c0d2c00", "invokeStatic",
			"(Ljava/lang/Object;)V",
			"java.lang.invoke.LambdaForm$DMH.invokeStatic(java.lang.Object)");
	/* What is no signature. */
	assert_readable("A", "b", "(Ljava/lang/Object", "A.b(...)");
	assert_readable("A", "b", "(IX)V", "A.b(int, ...)");
	assert_readable("", "", "", ".()");
	assert_readable("A\n", "b\x1b[", "()V", "A?.b?[()");
}

static void test_long_names_are_cut(void **state)
{
	char got[32];

	(void)state;
	hotspot_readable_name("org/example/a/class/with/a/long/name", "m", "()V", got, sizeof(got));
	assert_string_equal(got, "org.example.a.class.with.a.l...");
}

static void test_lines(void **state)
{
	/* bci 0 line 10; bci 5 line 12; a large step: bci +40, line -5; end. */
	static const uint8_t old[] = {0xff, 0, 20, 5 << 3 | 2, 0xff, 80, 9, 0};
	/* The same from 20 on: no byte of a number is 0. */
	static const uint8_t now[] = {0xff, 1, 21, 5 << 3 | 2, 0xff, 81, 10, 0};

	(void)state;
	for (uint32_t version = 17; version <= 21; version += 4) {
		const uint8_t *t = version < 20 ? old : now;

		assert_int_equal(hotspot_line(t, sizeof(old), version, 0), 10);
		assert_int_equal(hotspot_line(t, sizeof(old), version, 4), 10);
		assert_int_equal(hotspot_line(t, sizeof(old), version, 5), 12);
		assert_int_equal(hotspot_line(t, sizeof(old), version, 44), 12);
		assert_int_equal(hotspot_line(t, sizeof(old), version, 45), 7);
		assert_int_equal(hotspot_line(t, sizeof(old), version, 65535), 7);
		/* A table that ends early says what it can. */
		assert_int_equal(hotspot_line(t, 4, version, 65535), 12);
		assert_int_equal(hotspot_line(t, 0, version, 0), 0);
	}
	assert_int_equal(hotspot_line(NULL, 0, 17, 0), 0);
}

/*
 * Compiled code of outer(), into which loop() is inlined, as JDK 17 lays it out: header, code,
 * metadata, scopes, PcDescs. The code holds a call at 0x10 and the poll of the loop at 0x40.
 */
#define IMAGE_AT 0x100000
#define BLOCK	 16 /* bytes in front of it, which the code heap keeps */
#define CODE	 0x200
#define OUTER	 0x700000
#define INLINED	 0x700008

struct image {
	uint8_t bytes[BLOCK + 0x400];
	struct hotspot_proc p;
	struct target_memory memory;
};

static int read_image(void *data, uint64_t addr, void *to, size_t n)
{
	struct image *m = data;

	addr -= IMAGE_AT - BLOCK;
	if (addr > sizeof(m->bytes) || n > sizeof(m->bytes) - addr)
		return -EFAULT;
	memcpy(to, m->bytes + addr, n);
	return 0;
}

static void put(struct image *m, size_t at, const void *from, size_t n)
{
	assert_true(BLOCK + at + n <= sizeof(m->bytes));
	memcpy(m->bytes + BLOCK + at, from, n);
}

static void image_init(struct image *m, const uint8_t *call, size_t call_bytes)
{
	/* PcDesc: where, its scope: the call's return, the poll, the next call's return. */
	const struct {
		int32_t pc;
		uint32_t scope;
	} descs[] = {{0x10, 1}, {0x40, 4}, {0xa0, 1}};
	/* From 1 on: sender, method by its place in the metadata, bytecode + 1. Outer at 7, which
	 * is also the sender of loop() at 3. */
	const uint8_t scopes[] = {0, 0, 1, 8, 1, 2, 4};
	const uint64_t metadata[] = {OUTER, INLINED}, code = IMAGE_AT + CODE;
	const uint8_t poll[] = {0x41, 0x85, 0x02}; /* test [r10], eax */
	const uint32_t header[] = {77, 0, 0x300, 0x310, 0x340, 0x340 + sizeof(descs)};

	memset(m, 0, sizeof(*m));
	m->p.version = 17;
	m->p.frame_complete_bytes = 4;
	m->p.heaps[0].low = IMAGE_AT;
	m->p.heaps[0].high = IMAGE_AT + 0x1000;
	memset(m->p.at, 0xff, sizeof(m->p.at));
	m->p.bytes[HT_BLOCK] = BLOCK;
	m->p.at[HF_BLOCK_HEADER] = 0;
	m->p.at[HF_BLOCK_USED] = 8;
	m->bytes[hotspot_used_at(&m->p)] = 1;
	m->p.at[HF_NM_COMPILE_ID] = 0;
	m->p.at[HF_BLOB_FRAME_COMPLETE] = 4;
	m->p.at[HF_NM_METADATA_OFFSET] = 8;
	m->p.at[HF_NM_SCOPES_DATA_OFFSET] = 12;
	m->p.at[HF_NM_SCOPES_PCS_OFFSET] = 16;
	m->p.at[HF_NM_DEPENDENCIES_OFFSET] = 20;
	m->p.at[HF_BLOB_CODE_BEGIN] = 24;
	m->p.at[HF_NM_METHOD] = 32;
	m->p.at[HF_PC_DESC_PC] = 0;
	m->p.at[HF_PC_DESC_SCOPE] = 4;
	m->p.bytes[HT_PC_DESC] = sizeof(descs[0]);
	m->memory = (struct target_memory){.read = read_image, .data = m, .budget = 1 << 20};
	put(m, 0, header, sizeof(header));
	put(m, 24, &code, sizeof(code));
	put(m, 32, metadata, 8);
	put(m, 0x300, metadata, sizeof(metadata));
	put(m, 0x310, scopes, sizeof(scopes));
	put(m, 0x340, descs, sizeof(descs));
	put(m, CODE + 0x10 - call_bytes, call, call_bytes);
	put(m, CODE + 0x40, poll, sizeof(poll));
}

static void assert_innermost(struct image *m, uint32_t at, uint64_t method, int n)
{
	struct hotspot_scope scopes[HOTSPOT_SCOPES_MAX];

	assert_int_equal(hotspot_scopes_read(&m->memory, &m->p, IMAGE_AT, CODE + at, 77, scopes),
			 n);
	assert_int_equal(scopes[0].method, method);
	assert_int_equal(scopes[n - 1].method, OUTER);
}

/* call +0x100; call r11; call rax */
static const uint8_t direct[] = {0xe8, 0, 1, 0, 0}, through_r11[] = {0x41, 0xff, 0xd3},
		     through_rax[] = {0xff, 0xd0};

static void test_the_end_of_a_loop_is_behind_its_poll(void **state)
{
	struct image m;

	(void)state;
	image_init(&m, direct, sizeof(direct));
	assert_innermost(&m, 0x40, INLINED, 2);
	assert_innermost(&m, 0x43, INLINED, 2);
	assert_innermost(&m, 0x4a, INLINED, 2);
	/* Too far away to belong to it. */
	assert_innermost(&m, 0x60, OUTER, 1);
	assert_innermost(&m, 0xa0, OUTER, 1);
}

static void test_what_is_behind_a_call_is_not_the_calls(void **state)
{
	struct image m;

	(void)state;
	image_init(&m, direct, sizeof(direct));
	assert_innermost(&m, 0x10, OUTER, 1); /* where it returns to */
	assert_innermost(&m, 0x18, INLINED, 2);
	image_init(&m, through_r11, sizeof(through_r11));
	assert_innermost(&m, 0x18, INLINED, 2);
	image_init(&m, through_rax, sizeof(through_rax));
	assert_innermost(&m, 0x18, INLINED, 2);
}

/* Where a compiler puts what is seldom run: behind the loop, from where it jumps back. */
static void test_code_belongs_to_where_it_leads(void **state)
{
	const uint8_t back[] = {0xe9, 0xab, 0xff, 0xff, 0xff}; /* at 0x70: jmp 0x20 */
	const uint8_t on[] = {0xeb, 0x10};		       /* at 0x80: jmp 0x92 */
	const uint8_t circle[] = {0xeb, 0xfe};		       /* at 0x94: jmp 0x94 */
	const uint8_t away[] = {0xe9, 0, 0, 0x10, 0};	       /* at 0x5a: jmp elsewhere */
	struct image m;

	(void)state;
	image_init(&m, direct, sizeof(direct));
	put(&m, CODE + 0x70, back, sizeof(back));
	put(&m, CODE + 0x80, on, sizeof(on));
	assert_innermost(&m, 0x60, INLINED, 2);
	assert_innermost(&m, 0x70, INLINED, 2);
	assert_innermost(&m, 0x76, OUTER, 1);
	/* It leads to what it is inlined into, which is no better knowledge. */
	put(&m, CODE + 0x20, (uint8_t[]){0xe9, 0x7b, 0, 0, 0}, 5); /* jmp 0xa0 */
	assert_innermost(&m, 0x18, INLINED, 2);
	put(&m, CODE + 0x20, (uint8_t[5]){0}, 5);
	assert_innermost(&m, 0x80, OUTER, 1);
	put(&m, CODE + 0x94, circle, sizeof(circle));
	assert_innermost(&m, 0x92, OUTER, 1);
	put(&m, CODE + 0x5a, away, sizeof(away));
	assert_innermost(&m, 0x58, OUTER, 1);
}

/* ---- loaders ---- */

#define LOADER_CLASS 0x70 /* where the loader keeps its class */

/* A ClassLoaderData as in 26, and the class of its loader, of this name. */
static void loader_init(struct image *m, const char *name)
{
	const uint64_t object = 0x800000, class = IMAGE_AT + 0x100, symbol = IMAGE_AT + 0x200;
	const uint16_t length = (uint16_t)strlen(name);

	memset(m, 0, sizeof(*m));
	memset(m->p.at, 0xff, sizeof(m->p.at));
	m->p.at[HF_LOADER_OBJECT] = 8;
	m->p.at[HF_LOADER_ONE_CLASS] = 0x21;
	m->p.at[HF_LOADER_NEXT] = LOADER_CLASS - 16;
	m->p.at[HF_KLASS_NAME] = 24;
	m->p.at[HF_SYMBOL_LENGTH] = 0;
	m->p.at[HF_SYMBOL_BODY] = 6;
	m->memory = (struct target_memory){.read = read_image, .data = m, .budget = 1 << 20};
	put(m, 8, &object, sizeof(object));
	put(m, LOADER_CLASS, &class, sizeof(class));
	put(m, 0x118, &symbol, sizeof(symbol));
	put(m, 0x200, &length, sizeof(length));
	put(m, 0x206, name, length);
}

static bool stays(struct image *m)
{
	return hotspot_loader_stays(&m->memory, &m->p, IMAGE_AT);
}

static void test_loaders_that_stay(void **state)
{
	struct image m;

	(void)state;
	loader_init(&m, "jdk/internal/loader/ClassLoaders$AppClassLoader");
	assert_true(stays(&m));
	m.p.at[HF_LOADER_NEXT] += 8; /* 11 to 19 */
	assert_true(stays(&m));
	loader_init(&m, "jdk/internal/loader/ClassLoaders$PlatformClassLoader");
	assert_true(stays(&m));
	loader_init(&m, "java/net/URLClassLoader");
	assert_false(stays(&m));
	/* The boot class path's. */
	put(&m, 8, (uint8_t[8]){0}, 8);
	put(&m, LOADER_CLASS, (uint8_t[8]){0}, 8);
	assert_true(stays(&m));
}

static void test_loaders_of_hidden_classes_go(void **state)
{
	const uint8_t yes = 1;
	struct image m;

	(void)state;
	loader_init(&m, "jdk/internal/loader/ClassLoaders$AppClassLoader");
	put(&m, 0x21, &yes, 1);
	assert_false(stays(&m));
	put(&m, 8, (uint8_t[8]){0}, 8);
	assert_false(stays(&m));
}

static void test_loaders_that_can_not_be_read_go(void **state)
{
	const uint64_t nowhere = 0x900000;
	struct image m;

	(void)state;
	loader_init(&m, "jdk/internal/loader/ClassLoaders$AppClassLoader");
	m.p.at[HF_LOADER_ONE_CLASS] = HOTSPOT_NONE; /* 8 */
	assert_false(stays(&m));
	loader_init(&m, "jdk/internal/loader/ClassLoaders$AppClassLoader");
	put(&m, LOADER_CLASS, &nowhere, sizeof(nowhere));
	assert_false(stays(&m));
	assert_false(hotspot_loader_stays(&m.memory, &m.p, nowhere));
	m.memory.budget = 0;
	assert_false(stays(&m));
}

/* ---- what the kernel tells ---- */

static void record_init(struct hotspot_record *r, const void *table, size_t n)
{
	*r = (struct hotspot_record){
		.method_const = 0x7000,
		.version = 17,
		.code_bytes = 20,
		.class_bytes = 11,
		.method_bytes = 3,
		.signature_bytes = 5,
		.source_bytes = 8,
		.table_bytes = (uint16_t)n,
		.class_name = "some/Class$",
		.method_name = "run",
		.signature = "(IZ)V",
		.source = "Cls.java",
	};
	memcpy(r->table, table, n);
}

static void test_a_method_that_was_told(void **state)
{
	/* Bytecode 1 is line 3, 3 is line 5. */
	const uint8_t table[HOTSPOT_TABLE_BYTES] = {1 << 3 | 3, 2 << 3 | 2, 0};
	struct hotspot_method m;
	struct hotspot_record r;

	(void)state;
	record_init(&r, table, sizeof(table));
	assert_int_equal(hotspot_method_told(&r, &m), 0);
	assert_string_equal(m.name, "some.Class$.run(int, boolean)");
	assert_string_equal(m.file, "Cls.java");
	assert_int_equal(m.lines_bytes, 2);
	assert_int_equal(hotspot_line(m.lines, m.lines_bytes, 17, 4), 5);
	assert_false(m.more_lines);
	hotspot_method_done(&m);
	/* It has no lines. */
	record_init(&r, table, 0);
	assert_int_equal(hotspot_method_told(&r, &m), 0);
	assert_null(m.lines);
	assert_false(m.more_lines);
}

static void test_a_method_that_was_told_in_part(void **state)
{
	uint8_t table[HOTSPOT_TABLE_BYTES];
	struct hotspot_method m;
	struct hotspot_record r;

	(void)state;
	memset(table, 1 << 3 | 1, sizeof(table));
	record_init(&r, table, sizeof(table));
	assert_int_equal(hotspot_method_told(&r, &m), 0);
	assert_null(m.lines);
	assert_true(m.more_lines);
}

static void test_nonsense_that_was_told(void **state)
{
	const uint8_t none[1] = {0};
	struct hotspot_method m;
	struct hotspot_record r;

	(void)state;
	record_init(&r, none, 1);
	r.class_bytes = sizeof(r.class_name);
	assert_int_equal(hotspot_method_told(&r, &m), -EBADMSG);
	record_init(&r, none, 1);
	r.signature_bytes = UINT16_MAX;
	assert_int_equal(hotspot_method_told(&r, &m), -EBADMSG);
	record_init(&r, none, 1);
	r.table_bytes = sizeof(r.table) + 1;
	assert_int_equal(hotspot_method_told(&r, &m), -EBADMSG);
	record_init(&r, none, 1);
	r.method_name[1] = '\0';
	assert_int_equal(hotspot_method_told(&r, &m), -EBADMSG);
}

/* ---- counters ---- */

#define COUNTER_AT 0x50 /* the second entry */

static void counters_init(struct image *m)
{
	const uint8_t prologue[] = {0xca, 0xfe, 0xc0, 0xc0, 1, 2, 0, 1};
	const uint32_t sizes[] = {0x80, 0, 0, 0, 0x20, 2}; /* bytes, ...; first entry, entries */
	const uint32_t entries[][5] = {{0x30, 0x14, 0, 'J', 0x28}, {0x30, 0x14, 0, 'J', 0x28}};

	memset(m, 0, sizeof(*m));
	m->memory = (struct target_memory){.read = read_image, .data = m, .budget = 1 << 20};
	put(m, 0, prologue, sizeof(prologue));
	put(m, 8, sizes, sizeof(sizes));
	put(m, 0x20, entries[0], sizeof(entries[0]));
	put(m, 0x34, "java.cls.loaded", 16);
	put(m, COUNTER_AT, entries[1], sizeof(entries[1]));
	put(m, COUNTER_AT + 0x14, "java.cls.gone", 14);
}

static uint64_t counter_with(size_t at, uint32_t word)
{
	struct image m;

	counters_init(&m);
	put(&m, at, &word, sizeof(word));
	return hotspot_counter(&m.memory, IMAGE_AT, "java.cls.gone");
}

static void test_a_counter_is_found_by_its_name(void **state)
{
	struct image m;

	(void)state;
	counters_init(&m);
	assert_int_equal(hotspot_counter(&m.memory, IMAGE_AT, "java.cls.gone"),
			 IMAGE_AT + COUNTER_AT + 0x28);
	assert_int_equal(hotspot_counter(&m.memory, IMAGE_AT, "java.cls.gon"), 0);
	assert_int_equal(hotspot_counter(&m.memory, IMAGE_AT, "java.cls.gone too"), 0);
	assert_int_equal(hotspot_counter(&m.memory, 0, "java.cls.gone"), 0);
}

static void test_counters_that_lie_are_none(void **state)
{
	(void)state;
	assert_int_equal(counter_with(0, 0xcafec0c0), 0);		/* another byte order */
	assert_int_equal(counter_with(8, UINT32_MAX), 0);		/* endless */
	assert_int_equal(counter_with(8, COUNTER_AT + 0x10), 0);	/* ends in the entry */
	assert_int_equal(counter_with(0x18, UINT32_MAX), 0);		/* begins elsewhere */
	assert_int_equal(counter_with(0x1c, 1), 0);			/* one entry */
	assert_int_equal(counter_with(0x20, 0), 0);			/* an entry of 0 bytes */
	assert_int_equal(counter_with(0x20, UINT32_MAX), 0);		/* ... of too many */
	assert_int_equal(counter_with(COUNTER_AT + 4, UINT32_MAX), 0);	/* a name outside */
	assert_int_equal(counter_with(COUNTER_AT + 8, 16), 0);		/* a text */
	assert_int_equal(counter_with(COUNTER_AT + 16, UINT32_MAX), 0); /* a value outside */
	assert_int_equal(counter_with(COUNTER_AT + 16, 0x2c), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_counter_is_found_by_its_name),
		cmocka_unit_test(test_counters_that_lie_are_none),
		cmocka_unit_test(test_a_method_that_was_told),
		cmocka_unit_test(test_a_method_that_was_told_in_part),
		cmocka_unit_test(test_nonsense_that_was_told),
		cmocka_unit_test(test_loaders_that_stay),
		cmocka_unit_test(test_loaders_of_hidden_classes_go),
		cmocka_unit_test(test_loaders_that_can_not_be_read_go),
		cmocka_unit_test(test_code_belongs_to_where_it_leads),
		cmocka_unit_test(test_the_end_of_a_loop_is_behind_its_poll),
		cmocka_unit_test(test_what_is_behind_a_call_is_not_the_calls),
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_long_names_are_cut),
		cmocka_unit_test(test_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
