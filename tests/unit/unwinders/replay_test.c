/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replays the recorded stacks of each kind of program (tests/fixtures/recordings) through the walk
 * and compares what comes out, frame by frame, with what the program is known to have done.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/unit/unwinders/recording.h"

static const char *dir_path;

static uint8_t *read_all(const char *path, size_t *ret_bytes)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data;
	long n;

	assert_non_null(f);
	fseek(f, 0, SEEK_END);
	n = ftell(f);
	rewind(f);
	data = malloc((size_t)n);
	assert_non_null(data);
	assert_int_equal(fread(data, 1, (size_t)n, f), n);
	fclose(f);
	*ret_bytes = (size_t)n;
	return data;
}

static struct native_walk walk_of(const struct recording *r, const uint8_t *stack, uint64_t *frames)
{
	return (struct native_walk){
		.regs = *r->regs,
		.ranges = r->ranges,
		.n_ranges = r->h->n_ranges,
		.stack = stack,
		.stack_start = r->regs->sp,
		.stack_bytes = r->h->stack_bytes,
		.frames = frames,
		.max_frames = FRAMES_ROOM - 1,
		.limit = STACK_MAX_USER,
	};
}

static const struct native_ops recording_ops = {.rule = recording_rule_of};

static void replay(const char *file, int number, struct recording *r)
{
	/* Of its exact size, so that a sanitizer sees what is read behind it. */
	_cleanup_free_ uint8_t *stack = malloc(r->h->stack_bytes);
	const char *name = r->names;
	uint64_t frames[FRAMES_ROOM];
	struct native_walk w;

	assert_non_null(stack);
	memcpy(stack, r->stack, r->h->stack_bytes);
	w = walk_of(r, stack, frames);
	if (native_walk(&w, &recording_ops, r) != 1)
		fail_msg("%s, %d: cut after %u of %u frames for reason %d", file, number,
			 w.n_frames, r->h->n_frames, w.reason);
	for (uint32_t i = 0; i < r->h->n_frames; i++) {
		if (i >= w.n_frames || frames[i] != r->frames[i])
			fail_msg("%s, %d: frame %u is not %s", file, number, i, name);
		name += strlen(name) + 1;
	}
	assert_int_equal(w.n_frames, r->h->n_frames);
}

/* Resuming at every frame must give what walking in one go gives. */
static int blocked_rule(void *data, uint64_t frame, uint64_t *ret_rule)
{
	struct {
		struct recording *r;
		uint64_t let_through;
	} *b = data;

	if (b->let_through != frame) {
		b->let_through = frame;
		return -EAGAIN;
	}
	b->let_through = 0;
	return recording_rule_of(b->r, frame, ret_rule);
}

static void replay_with_stops(struct recording *r)
{
	struct {
		struct recording *r;
		uint64_t let_through;
	} b = {.r = r};
	uint64_t frames[FRAMES_ROOM];
	struct native_walk w = walk_of(r, r->stack, frames);
	int result;

	while ((result = native_walk(&w, &(struct native_ops){.rule = blocked_rule}, &b)) ==
	       -EAGAIN)
		;
	assert_int_equal(result, 1);
	assert_int_equal(w.n_frames, r->h->n_frames);
	assert_memory_equal(frames, r->frames, 8 * w.n_frames);
}

/* Without its end a stack is cut with a reason, and what was walked before is the same. */
static void replay_cut(struct recording *r)
{
	uint64_t frames[FRAMES_ROOM];

	for (uint32_t bytes = 0; bytes < r->h->stack_bytes; bytes += 8) {
		_cleanup_free_ uint8_t *stack = malloc(bytes ? bytes : 1);
		struct native_walk w;

		assert_non_null(stack);
		memcpy(stack, r->stack, bytes);
		w = walk_of(r, stack, frames);
		w.stack_bytes = bytes;
		if (native_walk(&w, &recording_ops, r) == 0)
			assert_int_not_equal(w.reason, REASON_NONE);
		assert_true(w.n_frames <= r->h->n_frames);
		assert_memory_equal(frames, r->frames, 8 * w.n_frames);
	}
}

static size_t replay_file(const char *file)
{
	_cleanup_free_ uint8_t *data = NULL;
	size_t bytes, at = 0, n = 0;
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s/%s", dir_path, file);
	data = read_all(path, &bytes);
	for (; at < bytes; n++) {
		struct recording r;
		int used = recording_parse(data + at, bytes - at, &r);

		if (used < 0)
			fail_msg("%s, %zu: no recording of this version: record_all.py makes them",
				 file, n);
		replay(file, (int)n, &r);
		replay_with_stops(&r);
		replay_cut(&r);
		at += (size_t)used;
	}
	print_message("%s: %zu stacks\n", file, n);
	return n;
}

static void recorded_stacks_walk_as_their_programs_ran(void **state)
{
	DIR *d = opendir(dir_path);
	struct dirent *e;
	size_t files = 0;

	assert_non_null(d);
	while ((e = readdir(d))) {
		if (!strstr(e->d_name, ".rec"))
			continue;
		assert_true(replay_file(e->d_name) > 0);
		files++;
	}
	closedir(d);
	assert_true(files >= 8);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(recorded_stacks_walk_as_their_programs_ran),
	};

	if (argc != 2)
		return 1;
	dir_path = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
