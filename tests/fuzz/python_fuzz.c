/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What user space and the walk make of CPython: byte 0 says which. 0: an ELF file that may be an
 * interpreter. 1: _PyRuntime's own table. 2: a record of the kernel half, named at each offset.
 * 3: a layout, and memory that is walked by it: whatever is read comes from the input, again and
 * again.
 */
#include <errno.h>
#include <string.h>

#include "symbolizer/objfile.h"
#include "tests/unit/unwinders/python_memory.h"
#include "unwinders/python_internal.h"
#include "unwinders/runtime.h"

extern const struct runtime python_runtime;
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void elf(const uint8_t *data, size_t n)
{
	_cleanup_(objfile_freep) struct objfile *o = NULL;
	_cleanup_(runtime_description_done) struct runtime_description d = {
		.file = BUF_INIT(RUNTIME_FILE_BYTES_MAX),
	};

	if (objfile_open_memory(data, n, &o) < 0)
		return;
	if (python_runtime.describe(o, &d) == 0 && d.n_loops > RUNTIME_LOOPS_MAX)
		abort();
}

static void layout(const uint8_t *data, size_t n)
{
	struct python_file f;

	if (python_layout_of_runtime(data, n, 0, &f) == 0 && !python_runtime.valid(&f))
		abort();
}

static void record(const uint8_t *data, size_t n)
{
	struct python_record r = {0};
	struct runtime_frame frame = {0};
	struct runtime_function f;
	const char *why;
	void *names = NULL;

	memcpy(&r, data, MIN(n, sizeof(r)));
	r.e.key = 1;
	frame.value = 1;
	if (python_runtime.names_new(&names) < 0)
		return;
	python_runtime.on_record(names, &r.e, MIN(n, sizeof(r)));
	for (frame.more = 0; frame.more < 64; frame.more += 2) {
		if (python_runtime.name_frame(names, &frame, &f, &why) > 0 &&
		    (strlen(f.name) > 1024 || strlen(f.file) > 2048))
			abort();
	}
	python_runtime.names_free(names);
}

struct input {
	const uint8_t *data;
	size_t n, at;
};

static int read_input(struct python_memory *m, uint64_t addr, void *to, size_t n)
{
	struct input *in = m->data;

	if (addr % 16 == 15 || !in->n)
		return -EFAULT;
	for (size_t i = 0; i < n; i++)
		((uint8_t *)to)[i] = in->data[in->at++ % in->n];
	return 0;
}

static void walk(const uint8_t *data, size_t n)
{
	struct input in = {data + sizeof(struct python_file), n - sizeof(struct python_file), 0};
	struct python_memory m = {.read = read_input, .data = &in};
	struct python_state s = {.thread = 0x10, .low = 0x1000, .high = 0x2000};

	memcpy(&s.file, data, sizeof(s.file));
	if (!python_runtime.valid(&s.file))
		return;
	python_memory_init(&m, 64);
	for (int runs = 0; runs < 16; runs++) {
		int r = python_run(&m, &s);

		if (r < -PYTHON_REASON_MAX || r > PYTHON_LEAVE)
			abort();
	}
	python_memory_done(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	uint8_t *copy;

	if (n < 1 + sizeof(struct python_file))
		return 0;
	/* On its own, so that what is read beyond is seen; aligned as a mapped file is. */
	copy = malloc(n - 1);
	if (!copy)
		return 0;
	memcpy(copy, data + 1, n - 1);
	switch (data[0] & 3) {
	case 0:
		elf(copy, n - 1);
		break;
	case 1:
		layout(copy, n - 1);
		break;
	case 2:
		record(copy, n - 1);
		break;
	default:
		walk(copy, n - 1);
	}
	free(copy);
	return 0;
}
