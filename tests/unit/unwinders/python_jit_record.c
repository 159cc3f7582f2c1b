/* SPDX-License-Identifier: Apache-2.0 */
/*
 * python_jit_record PID OUT: stops the main thread of a CPython until it is in code of its JIT
 * compiler, and writes recordings of some different stacks that can be walked to their end
 * (recording.h), with the code that the walk looked at, for python_jit_test.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "symbolizer/objfile.h"
#include "symbolizer/symtab.h"
#include "tests/unit/unwinders/record_native.h"
#include "tests/unit/unwinders/recording.h"
#include "unwinders/runtime.h"

#define STOPS	    3000
#define KEEP	    4
#define STACK_BYTES (64u << 10)
#define CODES	    64

struct recorder {
	pid_t pid;
	struct native_code native;
	struct runtime_process process;
	struct target_memory memory;
	struct recording_code code[CODES];
	uint32_t n_code;
	struct recording_rule rules[FRAMES_ROOM];
	uint32_t n_rules;
	uint64_t places[KEEP];
	uint32_t kept;
	FILE *out;
};

static int vm_read(struct recorder *r, uint64_t addr, void *to, size_t n)
{
	struct iovec local = {to, n}, remote = {(void *)(uintptr_t)addr, n};

	return process_vm_readv(r->pid, &local, 1, &remote, 1, 0) == (ssize_t)n ? 0 : -EFAULT;
}

/* The read of the target memory: what is looked at begins with the start of a shim. */
static int read_code(void *data, uint64_t addr, void *to, size_t n)
{
	struct recorder *r = data;
	uint64_t start = addr & ~(uint64_t)(RECORDING_CODE_BYTES - 1);
	uint32_t i = 0;

	while (i < r->n_code && r->code[i].addr != start)
		i++;
	if (i == r->n_code) {
		if (i == CODES || vm_read(r, start, r->code[i].bytes, RECORDING_CODE_BYTES) < 0)
			return -EFAULT;
		r->code[r->n_code++].addr = start;
	}
	return vm_read(r, addr, to, n);
}

static int code_step(void *data, struct native_walk *w)
{
	struct recorder *r = data;

	return runtime_get(RUNTIME_PYTHON)->walk(&r->process, w);
}

static int rule_of(void *data, uint64_t frame, uint64_t *ret_rule)
{
	struct recorder *r = data;
	int err = native_code_rule(&r->native, frame, ret_rule);

	if (err == 0 && r->n_rules < FRAMES_ROOM)
		r->rules[r->n_rules++] = (struct recording_rule){frame, *ret_rule};
	return err;
}

/* The files of the process; those that have a CPython are told from the others. */
static void find_code(struct recorder *r)
{
	_cleanup_fclose_ FILE *maps = open_maps(r->pid);
	struct mapping m;

	while (next_mapping(r->pid, maps, &m)) {
		_cleanup_(runtime_description_done) struct runtime_description d = {0};
		_cleanup_(objfile_freep) struct objfile *o = NULL;
		uint32_t before = r->native.n_ranges, id = RUNTIME_NONE;
		_cleanup_close_ int fd = -1;

		if (!m.code)
			continue;
		if (!m.name[0]) {
			native_code_add_anon(&r->native, m.start, m.end - m.start);
			continue;
		}
		native_code_add(&r->native, &m);
		fd = open(m.path, O_RDONLY | O_CLOEXEC);
		if (r->native.n_ranges > before && objfile_open(fd, &o) == 0 &&
		    runtime_describe(o, &d, &id) == 0)
			r->native.ranges[before].runtime = (uint16_t)id;
	}
}

static bool in_jit(const struct recorder *r, uint64_t pc)
{
	for (uint32_t i = 0; i < r->native.n_ranges; i++) {
		const struct range *range = &r->native.ranges[i];

		if (range->file == FILE_ID_ANON && pc - range->start < range->size)
			return true;
	}
	return false;
}

static void add_name(const struct recorder *r, uint64_t frame, struct buf *names)
{
	struct symtab_hit hit;
	uint64_t vaddr;

	if (FRAME_KIND(frame) == FRAME_ANON) {
		buf_adds(names, "[jit]");
	} else {
		const struct table *t = r->native.tables[FRAME_FILE(frame) - FILE_ID_FIRST];

		if (table_offset_to_vaddr(t, FRAME_OFFSET(frame), &vaddr) == 0 &&
		    symtab_lookup(t, vaddr, &hit) == 0)
			buf_adds(names, hit.name);
		else
			buf_adds(names, "?");
	}
	buf_add_u8(names, 0);
}

static void write_recording(struct recorder *r, const struct native_walk *w,
			    const struct walk_regs *regs)
{
	struct buf out = BUF_INIT(1u << 20), names = BUF_INIT(1u << 20);
	struct recording_header h = {
		.magic = RECORDING_MAGIC,
		.regs_bytes = sizeof(*regs),
		.n_ranges = r->native.n_ranges,
		.n_rules = r->n_rules,
		.n_frames = w->n_frames,
		.stack_bytes = (uint32_t)MIN(w->stack_bytes & ~UINT64_C(7),
					     w->regs.sp - w->stack_start + 64),
		.n_code = r->n_code,
	};

	for (uint32_t i = 0; i < w->n_frames; i++)
		add_name(r, w->frames[i], &names);
	h.names_bytes = (uint32_t)names.len;
	buf_add(&out, &h, sizeof(h));
	buf_add(&out, regs, sizeof(*regs));
	buf_add(&out, r->native.ranges, h.n_ranges * sizeof(struct range));
	buf_add(&out, r->rules, r->n_rules * sizeof(*r->rules));
	buf_add(&out, w->frames, 8 * (size_t)w->n_frames);
	buf_add(&out, w->stack, h.stack_bytes);
	buf_add(&out, r->code, r->n_code * sizeof(*r->code));
	buf_add(&out, names.data, names.len);
	while (out.len % 8)
		buf_add_u8(&out, 0);
	if (!out.failed) {
		((struct recording_header *)(void *)out.data)->bytes = (uint32_t)out.len;
		(void)fwrite(out.data, 1, out.len, r->out);
		(void)printf("%u frames, %zu bytes\n", w->n_frames, out.len);
	}
	buf_done(&out);
	buf_done(&names);
}

/* One stack, if none of this place was kept. */
static void look(struct recorder *r, const struct user_regs_struct *u)
{
	const struct native_ops ops = {.rule = rule_of, .code_step = code_step};
	static uint8_t stack[STACK_BYTES];
	uint64_t frames[FRAMES_ROOM], bytes = STACK_BYTES;
	struct walk_regs regs;
	struct native_walk w;

	for (uint32_t i = 0; i < r->kept; i++) {
		if (r->places[i] == u->rip)
			return;
	}
	while (bytes && vm_read(r, u->rsp, stack, bytes) < 0)
		bytes -= 8;
	take_regs(u, &regs);
	w = (struct native_walk){.regs = regs,
				 .ranges = r->native.ranges,
				 .n_ranges = r->native.n_ranges,
				 .stack = stack,
				 .stack_start = u->rsp,
				 .stack_bytes = bytes,
				 .frames = frames,
				 .max_frames = FRAMES_ROOM - 1,
				 .limit = STACK_MAX_USER};
	r->n_code = r->n_rules = 0;
	if (native_walk(&w, &ops, r) != 1) {
		(void)printf("cut after %u frames, reason %d\n", w.n_frames, (int)w.reason);
		return;
	}
	r->places[r->kept++] = u->rip;
	write_recording(r, &w, &regs);
}

int main(int argc, char **argv)
{
	static struct recorder r;
	struct user_regs_struct u;
	int status;

	if (argc != 3)
		return 2;
	r.pid = (pid_t)strtol(argv[1], NULL, 10);
	r.memory = (struct target_memory){.read = read_code, .data = &r, .budget = SIZE_MAX};
	r.process = (struct runtime_process){.memory = &r.memory};
	r.out = fopen(argv[2], "we");
	if (!r.out || ptrace(PTRACE_SEIZE, r.pid, NULL, NULL) < 0)
		return 1;
	find_code(&r);
	for (int i = 0; i < STOPS && r.kept < KEEP; i++) {
		if (ptrace(PTRACE_INTERRUPT, r.pid, NULL, NULL) < 0 ||
		    waitpid(r.pid, &status, __WALL) != r.pid || !WIFSTOPPED(status) ||
		    ptrace(PTRACE_GETREGS, r.pid, NULL, &u) < 0)
			break;
		if (in_jit(&r, u.rip))
			look(&r, &u);
		(void)ptrace(PTRACE_CONT, r.pid, NULL, NULL);
		usleep(1000);
	}
	native_code_done(&r.native);
	return fclose(r.out) != 0 || r.kept == 0;
}
