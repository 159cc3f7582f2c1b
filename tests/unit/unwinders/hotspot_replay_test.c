/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recorded JVMs (tests/fixtures/recordings/hotspot): attaching to them, walking their Java frames
 * and naming them must give what it gave when they were recorded, and any part of their memory may
 * be missing or wrong without harm.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <string.h>

#include "agent/base/file.h"
#include "unwinders/hotspot.h"
#include "unwinders/runtime.h"

extern const struct runtime hotspot_runtime;

#include "tests/unit/unwinders/hotspot_recording.h"

#define WORDS 4096

static const char *directory;

struct replay {
	struct jrec rec;
	struct target_memory memory;
	struct hotspot_proc proc;
	struct runtime_process p;
	uint64_t words[WORDS];
	struct native_walk w;
	struct buf text;
};

/* Where the code of an nmethod begins, from its header on. */
static uint32_t code_of(struct replay *t, uint64_t nmethod)
{
	const uint16_t *at = t->proc.at;
	uint64_t begin = 0;
	uint32_t offset = 0;

	if (at[HF_BLOB_CODE_OFFSET] != HOTSPOT_NONE) {
		assert_int_equal(
			target_read_u32(&t->memory, nmethod + at[HF_BLOB_CODE_OFFSET], &offset), 0);
		return offset;
	}
	assert_int_equal(target_read_u64(&t->memory, nmethod + at[HF_BLOB_CODE_BEGIN], &begin), 0);
	return (uint32_t)(begin - nmethod);
}

/* Before its frame is complete, nothing that is inlined into a method has begun. */
static void check_entries(void *names, struct replay *t)
{
	struct runtime_function functions[RUNTIME_FUNCTIONS_MAX];

	for (uint32_t i = 0; i + 1 < t->w.n_frames; i += 2) {
		struct runtime_frame f = {.process = &t->p,
					  .value = FRAME_RUNTIME_VALUE(t->words[i]),
					  .more = t->words[i + 1] & FRAME_PAYLOAD};
		const char *why;
		char outermost[512];
		int n;

		if (HOTSPOT_KIND(f.value) != HOTSPOT_COMPILED)
			continue;
		n = hotspot_runtime.name_frame(names, &f, functions, &why);
		assert_true(n >= 1);
		(void)snprintf(outermost, sizeof(outermost), "%s", functions[n - 1].name);
		f.more = HOTSPOT_MORE(HOTSPOT_COOKIE(f.more), code_of(t, HOTSPOT_ADDRESS(f.value)));
		assert_int_equal(hotspot_runtime.name_frame(names, &f, functions, &why), 1);
		assert_string_equal(functions[0].name, outermost);
	}
}

static int replay(struct replay *t, const struct jrec *rec,
		  int (*read)(void *data, uint64_t addr, void *to, size_t n), void *data)
{
	void *names = NULL;
	int r;

	*t = (struct replay){.rec = *rec, .text = BUF_INIT(1u << 20)};
	t->memory = (struct target_memory){.read = read, .data = data, .budget = 4u << 20};
	t->p = (struct runtime_process){.file = &rec->file,
					.bias = rec->h->bias,
					.proc = &t->proc,
					.memory = &t->memory,
					.key = 1};
	t->w = jrec_start(rec, t->words, WORDS, true);
	r = hotspot_attach(&t->p, &t->proc);
	if (r < 0)
		return r;
	jrec_walk(&t->p, &t->w);
	assert_int_equal(hotspot_runtime.names_new(&names), 0);
	jrec_text(names, &t->p, &t->w, &t->text);
	if (data == rec)
		check_entries(names, t);
	hotspot_runtime.next_interval(names, NULL, NULL);
	hotspot_runtime.names_free(names);
	return 0;
}

/* The number of a runtime is its place in the list that was built. */
static uint64_t without_id(uint64_t word)
{
	if (FRAME_KIND(word) == FRAME_MANAGED)
		return FRAME(FRAME_MANAGED, FRAME_RUNTIME_VALUE(word));
	if (FRAME_KIND(word) == FRAME_REASON)
		return FRAME(FRAME_REASON, REASON_CODE(word));
	return word;
}

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static const char *next_line(const char *text)
{
	text = strchr(text, '\n');
	assert_non_null(text);
	return text + 1;
}

/* The frames of one method, then those that every virtual thread has, then the carrier's. */
static uint32_t check_thread(const char *text)
{
	const char *run = strstr(text, "java.lang.VirtualThread.run(java.lang.Runnable) ");
	const char *carrier = strstr(text, "Continuation.run() ");
	uint32_t blocks = 0;

	for (const char *p = text; (p = strstr(p, "truth.Truth.block(")) != NULL; p++)
		blocks++;
	assert_true(run && carrier && run < carrier);
	assert_non_null(strstr(carrier, "ForkJoinWorkerThread.run() "));
	assert_null(strstr(carrier, "Truth"));
	return blocks;
}

/* Of its 81 frames those that have not returned; the stack alone ends between them. */
static void check_virtual(struct replay *t)
{
	struct native_walk w = jrec_start(&t->rec, t->words, WORDS, false);
	uint32_t whole = t->w.n_frames, blocks = check_thread(buf_cstr(&t->text)), reasons = 0;
	uint64_t unseen = RUNTIME_REASON(RUNTIME_HOTSPOT, RUNTIME_REASON_UNSEEN);

	assert_true(begins(t->rec.text, "truth.Truth.burn(truth.Truth$Way) Truth.java "));
	assert_true(blocks == 21 || blocks == 41 || blocks == 61 || blocks == 81);
	jrec_walk(&t->p, &w);
	assert_true(w.gap && w.n_frames < whole);
	for (uint32_t i = 0; i < w.n_frames; i++) {
		assert_true(FRAME_KIND(w.frames[i]) != FRAME_REASON || w.frames[i] == unseen);
		reasons += w.frames[i] == unseen;
	}
	assert_int_equal(reasons, 1);
}

/* Memory that is not what was recorded: 8 bytes of it. */
struct changed {
	const struct jrec *rec;
	uint64_t at, word;
};

static int read_changed(void *data, uint64_t addr, void *to, size_t n)
{
	const struct changed *c = data;

	if (addr == c->at && n <= sizeof(c->word)) {
		memcpy(to, &c->word, n);
		return 0;
	}
	return jrec_read((void *)c->rec, addr, to, n);
}

/* The frames in the heap are not shown, and that is said; those of the carrier follow. */
static void check_given_up(const struct jrec *rec, uint64_t at, uint64_t word)
{
	_cleanup_free_ struct replay *t = malloc(sizeof(*t));
	struct changed c = {rec, at, word};
	const char *gap;

	assert_int_equal(replay(t, rec, read_changed, &c), 0);
	gap = strstr(buf_cstr(&t->text), "[java: frames in the heap]\n");
	assert_non_null(gap);
	assert_true(begins(next_line(gap), "jdk.internal.vm.Continuation.run() "));
	assert_null(strstr(gap, "Truth"));
	assert_non_null(strstr(gap, "StubRoutines::call_stub  0\n"));
	buf_done(&t->text);
}

/* Addresses in the heap have colours, which are known to be good by a mask of bad bits. */
static void check_zgc(struct replay *t)
{
	uint64_t bad = 0;
	uint32_t shift = 0;

	check_virtual(t);
	assert_int_equal(t->proc.oop_bytes, 8);
	assert_int_equal(target_read_u64(&t->memory, t->proc.z_load_bad, &bad), 0);
	assert_int_equal(target_read_u32(&t->memory, t->proc.z_load_shift, &shift), 0);
	/* zAddress_x86.cpp: by 13 to 16. */
	assert_true(bad && shift >= 13 && shift <= 16);
	/* After another collection has begun. */
	check_given_up(&t->rec, t->proc.z_load_bad, ~bad);
	check_given_up(&t->rec, t->proc.z_load_shift, shift ^ 1);
}

/* Of a virtual thread, or of a method that makes garbage. */
static void check_shenandoah(struct replay *t)
{
	if (begins(t->rec.text, "truth.Truth.burn(truth.Truth$Way) Truth.java "))
		check_virtual(t);
	else
		assert_true(begins(t->rec.text, "truth.Truth.churn() Truth.java "));
}

static void check_one_heap(struct replay *t)
{
	assert_true(begins(t->rec.text, "truth.Truth.burn(truth.Truth$Way) Truth.java "));
	assert_non_null(strstr(t->rec.text, "truth.Truth.main(java.lang.String[]) Truth.java "));
	assert_true(t->proc.heaps[0].low && !t->proc.heaps[1].low);
}

/* Graal's code says of no place that the frame is complete. It compiles itself, too. */
static void check_graal(struct replay *t)
{
	const char *text = t->rec.text;
	uint32_t n = 0;

	for (uint32_t i = 0; i + 1 < t->w.n_frames; i += 2) {
		uint64_t value = FRAME_RUNTIME_VALUE(t->words[i]);
		uint32_t complete;

		if (HOTSPOT_KIND(value) != HOTSPOT_COMPILED)
			continue;
		assert_int_equal(
			target_read_u32(&t->memory,
					HOTSPOT_ADDRESS(value) + t->proc.at[HF_BLOB_FRAME_COMPLETE],
					&complete),
			0);
		n += complete == UINT32_MAX;
	}
	assert_true(n > 0);
	assert_true(strstr(text, "truth.Truth.main(java.lang.String[]) Truth.java ") ||
		    strstr(text, "jdk.vm.ci.hotspot.HotSpotJVMCIRuntime.compileMethod("));
}

/* A loop that is inlined right behind a call, and the end of one behind its poll. */
static void check_loops(struct replay *t)
{
	assert_true(begins(t->rec.text, "truth.Truth.burn(truth.Truth$Way) Truth.java "));
}

/* Of one program. A virtual thread that had slept, when how objects are laid out was not recorded:
 * most of its frames are in the heap, the carrier's are not. */
static void check_work(struct replay *t)
{
	if (t->w.gap)
		assert_non_null(strstr(t->rec.text, "jdk.internal.vm.Continuation.run() "));
	else
		assert_non_null(strstr(t->rec.text, "Truth.work(long) Truth.java "));
}

/* What must be there besides, by the first part of a file's name. */
static const struct {
	const char *name;
	void (*check)(struct replay *t);
	size_t files;
} kinds[] = {
	{"jdk", check_work, 8},		{"native", check_work, 1},
	{"loops", check_loops, 1},	{"virtual", check_virtual, 3},
	{"zgc", check_zgc, 3},		{"shenandoah", check_shenandoah, 2},
	{"oneheap", check_one_heap, 2}, {"graal", check_graal, 1},
};

static void check(const char *name, const struct jrec *rec)
{
	_cleanup_free_ struct replay *t = malloc(sizeof(*t));
	size_t kind = 0;

	assert_true(hotspot_valid(&rec->file));
	assert_int_equal(replay(t, rec, jrec_read, (void *)rec), 0);
	if (strcmp(buf_cstr(&t->text), rec->text) != 0)
		print_message("%s\n", name);
	assert_string_equal(buf_cstr(&t->text), rec->text);
	assert_int_equal(t->w.n_frames, rec->h->n_words);
	for (uint32_t i = 0; i < t->w.n_frames; i++)
		assert_int_equal(without_id(t->words[i]), without_id(rec->words[i]));
	assert_int_equal(t->w.gap, strstr(rec->text, "[java: frames in the heap]") != NULL);
	while (!begins(name, kinds[kind].name))
		assert_true(++kind < ARRAY_SIZE(kinds));
	kinds[kind].check(t);
	assert_non_null(strstr(rec->text, "StubRoutines::call_stub  0\n"));
	buf_done(&t->text);
}

/* Memory that is not there in one place: block `missing` of those that were read. */
struct hole {
	const struct jrec *rec;
	uint64_t missing;
	unsigned int how; /* 0: unreadable; else what is read */
};

static int read_hole(void *data, uint64_t addr, void *to, size_t n)
{
	struct hole *h = data;
	uint64_t last = (addr + n - 1) / JREC_BLOCK;

	if (h->missing < addr / JREC_BLOCK || h->missing > last)
		return jrec_read((void *)h->rec, addr, to, n);
	if (!h->how)
		return -EFAULT;
	memset(to, (int)h->how, n);
	return 0;
}

static void check_holes(const struct jrec *rec)
{
	_cleanup_free_ struct replay *t = malloc(sizeof(*t));
	static const unsigned int how[] = {0, 0x7f, 0xff, 0x01};

	for (uint32_t i = 0; i < rec->h->n_blocks; i++) {
		struct hole h = {rec, rec->addresses[i] / JREC_BLOCK, how[i % ARRAY_SIZE(how)]};

		(void)replay(t, rec, read_hole, &h);
		/* Frames may be missing, but then that is said; it never ends in the middle. */
		if (t->w.n_frames && !t->w.gap)
			assert_true(t->w.n_frames >= rec->h->n_words || h.how);
		buf_done(&t->text);
	}
}

/* Memory that changes once it was read so many times: classes are unloaded, code is freed. */
struct change {
	const struct jrec *rec;
	uint64_t unloaded;  /* where the number of classes is that were; or 0 */
	uint64_t used;	    /* where it says whether code is in use; or 0 */
	unsigned int reads; /* of that, before it changes */
};

static int read_change(void *data, uint64_t addr, void *to, size_t n)
{
	struct change *c = data;
	uint8_t *bytes = to;
	int r = jrec_read((void *)c->rec, addr, to, n);
	uint64_t at = (c->used ? c->used : c->unloaded) - addr;

	if (r < 0 || at >= n)
		return r;
	if (c->reads) {
		c->reads--;
		return 0;
	}
	bytes[at] = c->used ? 0 : bytes[at] + 1;
	return 0;
}

/* Names a frame while its method goes: it must not get the name of what may lie there now. */
static void check_gone(struct replay *t, struct change *c, const struct runtime_frame *f)
{
	struct runtime_function functions[RUNTIME_FUNCTIONS_MAX];
	const char *why = "?";
	void *names = NULL;

	t->memory.read = read_change;
	t->memory.data = c;
	assert_int_equal(hotspot_runtime.names_new(&names), 0);
	assert_int_equal(hotspot_runtime.name_frame(names, f, functions, &why), 0);
	assert_string_equal(why, "[java: code is gone]");
	hotspot_runtime.names_free(names);
}

static unsigned int gone[2]; /* of interpreted, of compiled frames */

static struct change change_of(const struct replay *t, const struct runtime_frame *f)
{
	struct change c = {.rec = &t->rec};

	if (HOTSPOT_KIND(f->value) == HOTSPOT_COMPILED)
		c.used = HOTSPOT_ADDRESS(f->value) - t->proc.bytes[HT_BLOCK] +
			 hotspot_used_at(&t->proc);
	else if (HOTSPOT_KIND(f->value) == HOTSPOT_INTERPRETED)
		c.unloaded = t->proc.unloaded; /* was not always recorded */
	return c;
}

static void check_change(const char *name, const struct jrec *rec)
{
	_cleanup_free_ struct replay *t = malloc(sizeof(*t));

	(void)name;
	assert_int_equal(replay(t, rec, jrec_read, (void *)rec), 0);
	buf_done(&t->text);
	for (uint32_t i = 0; i + 1 < t->w.n_frames; i += 2) {
		struct runtime_frame f = {.process = &t->p,
					  .value = FRAME_RUNTIME_VALUE(t->words[i]),
					  .more = t->words[i + 1] & FRAME_PAYLOAD};

		if (FRAME_KIND(t->words[i]) != FRAME_MANAGED)
			break;
		/* It was gone before; it goes while its methods are read. */
		for (unsigned int reads = 0; reads < 2; reads++) {
			struct change c = change_of(t, &f);

			c.reads = reads;
			if (!c.used && !c.unloaded)
				continue;
			check_gone(t, &c, &f);
			gone[c.used != 0]++;
		}
	}
}

static void for_each(void (*f)(const char *name, const struct jrec *rec))
{
	struct dirent *e;
	DIR *dir = opendir(directory);
	size_t files = 0, recordings = 0, wanted = 0;

	assert_non_null(dir);
	while ((e = readdir(dir)) != NULL) {
		char path[512];
		_cleanup_buf_ struct buf b = BUF_INIT(4u << 20);
		size_t at = 0;

		if (!strstr(e->d_name, ".jrec"))
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", directory, e->d_name);
		assert_int_equal(file_read(path, &b, NULL), 0);
		files++;
		while (at < b.len) {
			struct jrec rec;
			int n = jrec_parse(b.data + at, b.len - at, &rec);

			assert_true(n > 0);
			f(e->d_name, &rec);
			at += (size_t)n;
			recordings++;
		}
	}
	closedir(dir);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		wanted += kinds[i].files;
	assert_true(files >= wanted && recordings >= 2 * files);
}

static void test_versions(void **state)
{
	(void)state;
	for_each(check);
}

static void holes(const char *name, const struct jrec *rec)
{
	(void)name;
	check_holes(rec);
}

static void test_missing_memory(void **state)
{
	(void)state;
	for_each(holes);
}

static void test_what_goes_meanwhile(void **state)
{
	(void)state;
	for_each(check_change);
	assert_true(gone[0] > 50 && gone[1] > 100);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_what_goes_meanwhile),
		cmocka_unit_test(test_missing_memory),
	};

	if (argc != 2)
		return 2;
	directory = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
