/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replays recorded stacks of CPython 3.14 in code of its JIT compiler
 * (tests/fixtures/recordings/python/3.14.jit, made by python_jit_record.c): bpf/python_jit.h must
 * leave that code with the registers by which the stack goes on to the entry of the program.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/file.h"
#include "tests/unit/unwinders/recording.h"
#include "unwinders/runtime.h"

static const char *path;

struct replay {
	struct recording *rec;
	struct runtime_process *process; /* NULL: it is gone */
	struct native_walk w;
	uint64_t frames[FRAMES_ROOM];
};

static int read_code(void *data, uint64_t addr, void *to, size_t n)
{
	const struct recording *r = data;
	size_t got = 0;

	for (uint32_t i = 0; i < r->h->n_code && got < n; i++) {
		const struct recording_code *c = &r->code[i];
		size_t from = addr + got - c->addr;

		if (from >= sizeof(c->bytes))
			continue;
		memcpy((uint8_t *)to + got, c->bytes + from, MIN(n - got, sizeof(c->bytes) - from));
		got += MIN(n - got, sizeof(c->bytes) - from);
	}
	return got == n ? 0 : -EFAULT;
}

static int no_code(void *data, uint64_t addr, void *to, size_t n)
{
	memset(to, 0x90, n);
	return 0;
}

static int code_step(void *data, struct native_walk *w)
{
	const struct replay *t = data;

	return runtime_get(RUNTIME_PYTHON)->walk(t->process, w);
}

static int rule_of(void *data, uint64_t frame, uint64_t *ret_rule)
{
	return recording_rule_of(((struct replay *)data)->rec, frame, ret_rule);
}

static int walk(struct replay *t, struct recording *r, struct runtime_process *process,
		uint32_t stack_bytes)
{
	const struct native_ops ops = {.rule = rule_of, .code_step = code_step};
	/* Of its exact size, so that a sanitizer sees what is read behind it. */
	_cleanup_free_ uint8_t *stack = malloc(stack_bytes + 1);

	assert_non_null(stack);
	memcpy(stack, r->stack, stack_bytes);
	*t = (struct replay){.rec = r, .process = process};
	t->w = (struct native_walk){.regs = *r->regs,
				    .ranges = r->ranges,
				    .n_ranges = r->h->n_ranges,
				    .stack = stack,
				    .stack_start = r->regs->sp,
				    .stack_bytes = stack_bytes,
				    .frames = t->frames,
				    .max_frames = FRAMES_ROOM - 1,
				    .limit = STACK_MAX_USER};
	return native_walk(&t->w, &ops, t);
}

static void assert_whole(struct recording *r, struct runtime_process *process)
{
	struct replay t;

	assert_int_equal(walk(&t, r, process, r->h->stack_bytes), 1);
	assert_int_equal(t.w.n_frames, r->h->n_frames);
	assert_memory_equal(t.frames, r->frames, 8 * (size_t)r->h->n_frames);
}

/* Its names, leaf first: compiled code, the loop (which has no name), and what has called it. */
static void check_names(const struct recording *r)
{
	static const char *const outer[] = {"PyEval_EvalCode", "Py_RunMain", "Py_BytesMain",
					    "__libc_start_main", "_start"};
	const char *name = r->names, *last = NULL;
	size_t found = 0;

	assert_string_equal(name, "[jit]");
	for (uint32_t i = 0; i < r->h->n_frames; i++, name += strlen(name) + 1) {
		last = name;
		assert_true(i == 0 || strcmp(name, "[jit]") != 0);
		if (found < ARRAY_SIZE(outer) && strcmp(name, outer[found]) == 0)
			found++;
	}
	assert_int_equal(found, ARRAY_SIZE(outer));
	assert_string_equal(last, "_start");
	assert_int_equal(FRAME_KIND(r->frames[0]), FRAME_ANON);
	assert_int_equal(FRAME_KIND(r->frames[1]), FRAME_NATIVE);
}

/* One step: what called the shim is at its return address, and below that lie what the shim has
 * pushed: r15 first, rbx last. */
static void check_step(struct recording *r, struct runtime_process *process)
{
	struct replay t;
	const struct walk_regs *regs = &t.w.regs;
	uint64_t ra = 0;

	(void)walk(&t, r, process, r->h->stack_bytes);
	t.w.stack = r->stack;
	t.w.regs = *r->regs;
	assert_int_equal(code_step(&t, &t.w), 0);
	assert_int_equal(native_read(&t.w, regs->sp - 8, &ra, 8), 0);
	assert_int_equal(ra, regs->pc);
	assert_int_equal(regs->saved[SLOT_R15], regs->sp - 16);
	assert_int_equal(regs->saved[SLOT_RBX], regs->sp - 48);
	assert_true(regs->regs[SLOT_RBP] > regs->sp);
}

static void check(struct recording *r)
{
	struct target_memory memory = {.read = read_code, .data = r, .budget = 1 << 20};
	struct runtime_process process = {.memory = &memory};
	struct replay t;

	check_names(r);
	assert_whole(r, &process);
	assert_whole(r, NULL);
	check_step(r, &process);
	/* Other code than a shim's: the loop is not found through it. */
	memory.read = no_code;
	(void)walk(&t, r, &process, r->h->stack_bytes);
	assert_true(t.w.n_frames < r->h->n_frames);
	/* Without its end no stack is whole. */
	memory.read = read_code;
	for (uint32_t bytes = 0; bytes + 128 < r->h->stack_bytes; bytes += 8)
		assert_int_equal(walk(&t, r, &process, bytes), 0);
}

static void stacks_in_compiled_code_are_whole(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT(1u << 20);
	size_t at = 0, n = 0;

	(void)state;
	assert_int_equal(file_read(path, &b, NULL), 0);
	for (; at < b.len; n++) {
		struct recording r;
		int used = recording_parse(b.data + at, b.len - at, &r);

		assert_true(used > 0);
		check(&r);
		at += (size_t)used;
	}
	assert_true(n >= 3);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stacks_in_compiled_code_are_whole),
	};

	if (argc != 2)
		return 2;
	path = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
