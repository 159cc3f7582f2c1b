/* SPDX-License-Identifier: Apache-2.0 */
/*
 * python_record PID OUT < TRUTH: writes a recording of what the walk over a stopped CPython's main
 * thread reads, for python_replay_test.c. The truth is what the program says of itself, a line
 * "name<TAB>file<TAB>line" a frame, innermost first, and a line "-" where a run of the loop ends.
 * tests/unit/unwinders/python_record_all.py calls it.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

#include "symbolizer/objfile.h"
#include "tests/unit/unwinders/python_memory.h"
#include "unwinders/runtime.h"

#define BLOCK 8 /* reads are recorded by words */

struct process {
	pid_t pid;
	uint64_t *words; /* addresses that were read, unsorted */
	size_t n, cap;
};

static int read_and_remember(struct python_memory *m, uint64_t addr, void *to, size_t n)
{
	struct process *p = m->data;
	struct iovec local = {to, n}, remote = {(void *)(uintptr_t)addr, n};

	if (process_vm_readv(p->pid, &local, 1, &remote, 1, 0) != (ssize_t)n)
		return -EFAULT;
	for (uint64_t at = addr & ~(uint64_t)(BLOCK - 1); at < addr + n; at += BLOCK) {
		if (p->n == p->cap) {
			p->cap = p->cap ? 2 * p->cap : 1024;
			p->words = reallocarray(p->words, p->cap, sizeof(*p->words));
			if (!p->words)
				abort();
		}
		p->words[p->n++] = at;
	}
	return 0;
}

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* The runtime's description and the address its offsets count from. */
static bool find_python(pid_t pid, struct python_rec *rec)
{
	char path[96], line[4096];
	FILE *maps;
	bool found = false;

	(void)snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	maps = fopen(path, "re");
	while (maps && !found && fgets(line, sizeof(line), maps)) {
		_cleanup_(objfile_freep) struct objfile *o = NULL;
		_cleanup_(runtime_description_done) struct runtime_description d = {0};
		uint64_t start, end, offset;
		uint32_t id = RUNTIME_NONE;
		_cleanup_close_ int fd = -1;
		char *at;

		if (!strchr(line, '/') || !strstr(line, " r-xp "))
			continue;
		start = strtoull(line, &at, 16);
		end = strtoull(at + 1, NULL, 16);
		offset = strtoull(strstr(line, " r-xp ") + 6, NULL, 16);
		(void)snprintf(path, sizeof(path), "/proc/%d/map_files/%lx-%lx", (int)pid, start,
			       end);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || objfile_open(fd, &o) < 0 || runtime_describe(o, &d, &id) < 0 ||
		    id != RUNTIME_PYTHON)
			continue;
		memcpy(&rec->file, d.file.data, sizeof(rec->file));
		rec->load = start - offset;
		found = true;
	}
	if (maps)
		(void)fclose(maps);
	return found;
}

static bool find_thread(pid_t pid, struct python_rec *rec)
{
	struct user_regs_struct regs;
	int status;

	if (ptrace(PTRACE_SEIZE, pid, 0, 0) < 0 || ptrace(PTRACE_INTERRUPT, pid, 0, 0) < 0 ||
	    waitpid(pid, &status, 0) < 0 || ptrace(PTRACE_GETREGS, pid, 0, &regs) < 0)
		return false;
	rec->thread = regs.fs_base;
	return true;
}

static void add_blocks(struct process *p, struct python_rec *rec, struct buf *out)
{
	qsort(p->words, p->n, sizeof(*p->words), compare);
	for (size_t i = 0; i < p->n;) {
		uint64_t start = p->words[i], end = start;
		uint8_t *to;

		while (i < p->n && p->words[i] <= end) {
			end = MAX(end, p->words[i] + BLOCK);
			i++;
		}
		buf_add(out, &start, 8);
		buf_add(out, &(uint64_t){end - start}, 8);
		to = buf_grow(out, end - start);
		if (!to || process_vm_readv(p->pid, &(struct iovec){to, end - start}, 1,
					    &(struct iovec){(void *)(uintptr_t)start, end - start},
					    1, 0) != (ssize_t)(end - start))
			abort();
		rec->n_blocks++;
	}
}

int main(int argc, char **argv)
{
	struct process p = {.pid = argc == 3 ? (pid_t)strtol(argv[1], NULL, 10) : 0};
	struct python_memory m = {.read = read_and_remember, .data = &p};
	struct python_rec rec = {.magic = PYTHON_REC_MAGIC};
	_cleanup_buf_ struct buf blocks = BUF_INIT(1u << 20), text = BUF_INIT(1u << 20);
	struct python_state s = {0};
	char line[4096];
	FILE *out;

	if (!p.pid || !find_python(p.pid, &rec) || !find_thread(p.pid, &rec)) {
		(void)fprintf(stderr, "usage: python_record PID OUT < TRUTH\n"
				      "PID must be a CPython\n");
		return 2;
	}
	while (fgets(line, sizeof(line), stdin))
		buf_adds(&text, line);
	buf_add_u8(&text, 0);
	rec.text_bytes = (uint32_t)text.len;
	python_memory_init(&m, 1024);
	s.file = rec.file;
	s.load = rec.load;
	s.thread = rec.thread;
	while (python_run(&m, &s) == PYTHON_LEAVE)
		;
	add_blocks(&p, &rec, &blocks);
	out = fopen(argv[2], "we");
	if (!out || fwrite(&rec, sizeof(rec), 1, out) != 1 ||
	    fwrite(blocks.data, blocks.len, 1, out) != 1 ||
	    fwrite(text.data, text.len, 1, out) != 1 || fclose(out) != 0)
		abort();
	(void)printf("%s: %zu frames, %u blocks, %zu bytes\n", argv[2], m.n, rec.n_blocks,
		     blocks.len + text.len);
	python_memory_done(&m);
	free(p.words);
	return 0;
}
