/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walks over recorded memory of a thread of each version of CPython, with the code that runs in the
 * kernel: the frames must be those that the program said it had. And over the same memory with
 * damage: it must end, and read nothing that is not there.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "agent/base/hash.h"
#include "tests/unit/unwinders/python_memory.h"
#include "unwinders/python_internal.h"

#define FRAMES 256

struct block {
	uint64_t addr, bytes;
	uint8_t *data;
};

struct recording {
	struct python_rec h;
	struct block *blocks;
	const char *text;
	struct buf bytes;
};

static const char *directory;

static int read_recorded(struct python_memory *m, uint64_t addr, void *to, size_t n)
{
	const struct recording *r = m->data;

	for (uint32_t i = 0; i < r->h.n_blocks; i++) {
		const struct block *b = &r->blocks[i];

		if (addr - b->addr < b->bytes && n <= b->bytes - (addr - b->addr)) {
			memcpy(to, b->data + (addr - b->addr), n);
			return 0;
		}
	}
	return -EFAULT;
}

static void recording_load(const char *path, struct recording *r)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	struct cursor c;

	*r = (struct recording){.bytes = BUF_INIT(1u << 20)};
	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	assert_int_equal(read(fd, buf_grow(&r->bytes, (size_t)st.st_size), (size_t)st.st_size),
			 st.st_size);
	c = cursor_of(r->bytes.data, r->bytes.len);
	memcpy(&r->h, cursor_bytes(&c, sizeof(r->h)), sizeof(r->h));
	assert_int_equal(r->h.magic, PYTHON_REC_MAGIC);
	r->blocks = calloc(r->h.n_blocks, sizeof(*r->blocks));
	assert_non_null(r->blocks);
	for (uint32_t i = 0; i < r->h.n_blocks; i++) {
		r->blocks[i].addr = cursor_u64(&c);
		r->blocks[i].bytes = cursor_u64(&c);
		/* Owned by `bytes`; damage is done to it. */
		r->blocks[i].data = (uint8_t *)cursor_bytes(&c, r->blocks[i].bytes);
	}
	r->text = (const char *)cursor_bytes(&c, r->h.text_bytes);
	assert_false(c.bad);
}

static void recording_done(struct recording *r)
{
	free(r->blocks);
	buf_done(&r->bytes);
}

static void state_init(struct python_state *s, const struct recording *r)
{
	*s = (struct python_state){
		.file = r->h.file,
		.load = r->h.load,
		.thread = r->h.thread,
	};
}

static void add_frame(struct buf *out, const struct python_record *r, uint64_t more)
{
	char name[600], path[1100];

	python_utf8(&r->name, r->name_bytes, name, sizeof(name));
	python_utf8(&r->path, r->path_bytes, path, sizeof(path));
	buf_printf(out, "%s\t%s\t%u\n", name, path,
		   python_line(r->version, r->table, r->table_copied,
			       r->table_copied < r->table_bytes, r->line, more));
}

/* Walks like the kernel half when it captures: all runs, one after the other. */
static void walk_to_text(const struct recording *r, struct buf *out, uint64_t *links, size_t *n)
{
	struct python_memory m = {.read = read_recorded, .data = (void *)r};
	struct python_state s;
	size_t before = 0;

	python_memory_init(&m, FRAMES);
	state_init(&s, r);
	*n = 0;
	while (python_run(&m, &s) == PYTHON_LEAVE && m.n > before && *n < FRAMES) {
		while (before < m.n) {
			add_frame(out, &m.records[before], m.more[before]);
			before++;
		}
		buf_adds(out, "-\n");
		links[(*n)++] = s.at;
	}
	python_memory_done(&m);
}

static void each_recording(void (*fn)(const char *name, struct recording *r))
{
	DIR *d = opendir(directory);
	unsigned int n = 0;

	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d)) != NULL;) {
		struct recording r;
		char path[4096];

		if (!strstr(e->d_name, ".rec"))
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", directory, e->d_name);
		recording_load(path, &r);
		fn(e->d_name, &r);
		recording_done(&r);
		n++;
	}
	(void)closedir(d);
	assert_true(n >= 14);
}

static void check_frames(const char *name, struct recording *r)
{
	_cleanup_buf_ struct buf got = BUF_INIT(1u << 20);
	uint64_t links[FRAMES];
	size_t n;

	walk_to_text(r, &got, links, &n);
	if (strcmp(buf_cstr(&got), r->text) != 0)
		print_error("%s:\n%s\nmust be:\n%s\n", name, buf_cstr(&got), r->text);
	assert_string_equal(buf_cstr(&got), r->text);
}

static void frames_are_those_that_the_program_has(void **state)
{
	(void)state;
	each_recording(check_frames);
}

/* From 3.10 on something on the native stack says whose frames they are. */
static void check_links(const char *name, struct recording *r)
{
	_cleanup_buf_ struct buf text = BUF_INIT(1u << 20);
	struct python_memory m = {.read = read_recorded, .data = r};
	struct python_state s;
	uint64_t links[FRAMES];
	size_t n;

	(void)name;
	walk_to_text(r, &text, links, &n);
	if (r->h.file.version < 0x030a)
		return;
	python_memory_init(&m, FRAMES);
	state_init(&s, r);
	/* The innermost loop has not linked its frames yet: it gets none, the next one its own. */
	s.low = links[0] - 512;
	s.high = links[0] - 256;
	assert_int_equal(python_run(&m, &s), PYTHON_LEAVE);
	assert_int_equal(m.n, 0);
	assert_int_equal(s.at, 0);
	for (size_t i = 0; i < n; i++) {
		size_t before = m.n;

		s.low = links[i] - 64;
		s.high = links[i] + 64;
		assert_int_equal(python_run(&m, &s), PYTHON_LEAVE);
		assert_int_equal(s.at, links[i]);
		assert_true(m.n > before);
	}
	/* There are no more. */
	s.low = links[n - 1] + 256;
	s.high = s.low + 256;
	assert_int_equal(python_run(&m, &s), -PYTHON_REASON_NO_FRAMES);
	assert_int_equal(python_run(&m, &s), PYTHON_LEAVE);
	python_memory_done(&m);
}

static void frames_go_to_the_loop_that_runs_them(void **state)
{
	(void)state;
	each_recording(check_links);
}

/* To 3.9 the place in the loop tells whether its frame is linked: at its start it is not. */
static void check_places(const char *name, struct recording *r)
{
	struct python_memory m = {.read = read_recorded, .data = r};
	struct python_state s;

	(void)name;
	if (r->h.file.version >= 0x030a)
		return;
	python_memory_init(&m, FRAMES);
	state_init(&s, r);
	assert_true(r->h.file.gaps[0].bytes > 0 && r->h.file.gaps[1].bytes > 0);
	for (int i = 0; i < 2; i++) {
		s.place = r->h.file.gaps[i].start + r->h.file.gaps[i].bytes - 1;
		assert_int_equal(python_run(&m, &s), PYTHON_LEAVE);
		assert_int_equal(m.n, 0);
	}
	s.place++;
	assert_int_equal(python_run(&m, &s), PYTHON_LEAVE);
	assert_int_equal(m.n, 1);
	python_memory_done(&m);
}

static void a_loop_without_a_frame_yet_gets_none(void **state)
{
	(void)state;
	each_recording(check_places);
}

/* A thread that has ended may have had the id of one that is there now. */
static void check_cached(const char *name, struct recording *r)
{
	struct python_memory m = {.read = read_recorded, .data = r};
	_cleanup_buf_ struct buf text = BUF_INIT(1u << 20);
	struct python_state s;
	uint64_t links[FRAMES];
	size_t n;
	uint64_t tstate;

	(void)name;
	walk_to_text(r, &text, links, &n);
	python_memory_init(&m, FRAMES);
	state_init(&s, r);
	assert_int_equal(python_run(&m, &s), PYTHON_LEAVE);
	tstate = s.chain.tstate;
	n = m.n;
	/* The true one, and something that is none. */
	for (int i = 0; i < 2; i++) {
		state_init(&s, r);
		m.n = 0;
		s.cached = i == 0 ? tstate : r->blocks[0].addr;
		assert_int_equal(python_run(&m, &s), PYTHON_LEAVE);
		assert_int_equal(m.n, n);
		assert_int_equal(s.chain.tstate, tstate);
		assert_int_equal(s.cached, 0);
	}
	state_init(&s, r);
	m.n = 0;
	s.thread++;
	assert_int_equal(python_run(&m, &s), -PYTHON_REASON_NO_THREAD);
	python_memory_done(&m);
}

static void a_thread_is_found_by_its_id(void **state)
{
	(void)state;
	each_recording(check_cached);
}

/* A frame is at a multiple of eight, also when it lies in what was read already. */
static void check_odd(const char *name, struct recording *r)
{
	struct python_memory m = {.read = read_recorded, .data = r};
	struct python_state s;
	int result = PYTHON_AGAIN;

	(void)name;
	if (r->h.file.flags & PYTHON_FRAME_OBJECTS)
		return;
	python_memory_init(&m, FRAMES);
	state_init(&s, r);
	while (m.n == 0 && result == PYTHON_AGAIN)
		result = python_walk(&m, &s);
	assert_int_equal(s.phase, PYTHON_FRAMES);
	/* As if what lies below had been read along. */
	memmove(s.window + PYTHON_FRAME_BYTES, s.window + s.piece, PYTHON_FRAME_BYTES);
	memset(s.window, 0, PYTHON_FRAME_BYTES);
	s.window_at += s.piece - PYTHON_FRAME_BYTES;
	s.window_bytes = 2 * PYTHON_FRAME_BYTES;
	for (uint64_t odd = 1; odd < 8; odd++) {
		struct python_state at_odd = s;

		at_odd.chain.frame = s.window_at + odd;
		assert_int_equal(python_run(&m, &at_odd), -PYTHON_REASON_FRAME);
	}
	python_memory_done(&m);
}

static void a_frame_at_an_odd_place_is_none(void **state)
{
	(void)state;
	each_recording(check_odd);
}

/* Threads without a GIL have copies of the bytecode: entries of an array behind its size. */
static int read_copies(struct python_memory *m, uint64_t addr, void *to, size_t n)
{
	const uint64_t *words = m->data;

	if (addr - 0x1000 > 56 || n != 8)
		return -EFAULT;
	memcpy(to, words + (addr - 0x1000) / 8, n);
	return 0;
}

static void a_thread_runs_its_copy_of_the_bytecode(void **state)
{
	static const uint64_t words[8] = {[2] = 0x1020, [4] = 3, [5] = 0x5000, [7] = 0x7000};
	struct python_memory m = {.read = read_copies, .data = (void *)words};
	struct python_state s = {.file = {.frame_tlbc = 72, .code_tlbc = 16, .code_instrs = 232},
				 .code = 0x1000};
	uint32_t index = 2;

	(void)state;
	memcpy(s.window + 72, &index, sizeof(index));
	assert_int_equal(python_bytecode(&m, &s), 0x7000);
	memset(s.window + 72, 0, sizeof(index)); /* the code object's own */
	assert_int_equal(python_bytecode(&m, &s), 0x1000 + 232);
}

static uint32_t noise(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*seed >> 33);
}

static void walk_damaged(struct recording *r)
{
	struct python_memory m = {.read = read_recorded, .data = r};
	struct python_state s;
	_cleanup_buf_ struct buf text = BUF_INIT(1u << 20);

	python_memory_init(&m, FRAMES);
	state_init(&s, r);
	for (int runs = 0; runs < FRAMES && python_run(&m, &s) == PYTHON_LEAVE; runs++)
		;
	for (size_t i = 0; i < m.n; i++)
		add_frame(&text, &m.records[i], m.more[i]);
	python_memory_done(&m);
}

static void check_damaged(const char *name, struct recording *r)
{
	uint64_t seed = hash_bytes(name, strlen(name));

	for (int i = 0; i < 200; i++) {
		struct block *b = &r->blocks[noise(&seed) % r->h.n_blocks];
		uint64_t at = (noise(&seed) % b->bytes) & ~7u, old, new = noise(&seed);

		memcpy(&old, b->data + at, 8);
		switch (noise(&seed) % 4) {
		case 0: /* another address that is there */
			new = r->blocks[noise(&seed) % r->h.n_blocks].addr;
			break;
		case 1:
			new = old ^ 1u << noise(&seed) % 32;
			break;
		case 2:
			new = UINT64_MAX;
			break;
		}
		memcpy(b->data + at, &new, 8);
		walk_damaged(r);
		if (noise(&seed) % 2) /* else it stays, and damage adds up */
			memcpy(b->data + at, &old, 8);
	}
}

static void a_walk_over_damaged_memory_ends(void **state)
{
	(void)state;
	each_recording(check_damaged);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_are_those_that_the_program_has),
		cmocka_unit_test(frames_go_to_the_loop_that_runs_them),
		cmocka_unit_test(a_loop_without_a_frame_yet_gets_none),
		cmocka_unit_test(a_thread_is_found_by_its_id),
		cmocka_unit_test(a_frame_at_an_odd_place_is_none),
		cmocka_unit_test(a_thread_runs_its_copy_of_the_bytecode),
		cmocka_unit_test(a_walk_over_damaged_memory_ends),
	};

	if (argc != 2)
		return 2;
	directory = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
