/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes recordings (recording.h) of a running process: record_stacks PID SECONDS DIRECTORY. The
 * kernel is never told of any rows, so it hands over every sample with its stack; each distinct
 * stack that can be walked to its end becomes a file, reduced to the words the walk needs, and a
 * line "FILE<TAB>outermost;...;leaf". Which of them are true, the caller judges (record_all.py).
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include <elf.h>

#include "agent/base/clock.h"
#include "agent/base/hash.h"
#include "agent/parser/build.h"
#include "agent/profiler.h"
#include "symbolizer/demangle.h"
#include "symbolizer/objfile.h"
#include "symbolizer/symtab.h"
#include "symbolizer/table.h"
#include "tests/unit/unwinders/recording.h"
#include "unwinders/rows.h"

#define MAX_FILES 256
#define MAX_RULES FRAMES_ROOM

struct recorder {
	const char *dir;
	struct {
		uint32_t id;
		struct table *table;
		char name[128];
	} files[MAX_FILES];
	size_t n_files, n_samples, n_written;
	struct hash seen;			/* hash of the frames */
	struct recording_rule rules[MAX_RULES]; /* of the walk */
	uint32_t n_rules;
};

static void add_table(struct recorder *r, uint32_t id, const char *name, int fd)
{
	_cleanup_close_ int out = memfd_create("table", MFD_CLOEXEC);
	uint32_t flags = 0;

	if (r->n_files == MAX_FILES || build_table(NULL, &fd, 1, BUILD_FILE, out, &flags) < 0 ||
	    table_open(out, false, &r->files[r->n_files].table) < 0) {
		fprintf(stderr, "cannot read %s\n", name);
		return;
	}
	r->files[r->n_files].id = id;
	(void)snprintf(r->files[r->n_files].name, sizeof(r->files->name), "%s", name);
	r->n_files++;
}

static void add_vdso(struct recorder *r)
{
	const Elf64_Ehdr *image = (const Elf64_Ehdr *)getauxval(AT_SYSINFO_EHDR);
	_cleanup_close_ int fd = memfd_create("vdso", MFD_CLOEXEC);
	size_t n = image->e_shoff + (size_t)image->e_shnum * image->e_shentsize;

	if (write(fd, image, n) == (ssize_t)n)
		add_table(r, FILE_ID_VDSO, "[vdso]", fd);
}

static void on_file(void *data, const struct event_file *e)
{
	_cleanup_close_ int fd = -1;
	char path[128], name[128];
	size_t n = strnlen(e->path, MIN(e->path_bytes, 100u));

	(void)snprintf(path, sizeof(path), "/proc/%u/map_files/%llx-%llx", e->tgid, e->vm_start,
		       e->vm_end);
	(void)snprintf(name, sizeof(name), "%.*s", (int)n, e->path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		add_table(data, e->id, name, fd);
}

static size_t file_of(const struct recorder *r, uint64_t frame)
{
	size_t i = 0;

	while (i < r->n_files && r->files[i].id != FRAME_FILE(frame))
		i++;
	return i;
}

static int rule_of(void *data, uint64_t frame, uint64_t *ret_rule)
{
	struct recorder *r = data;
	size_t i = file_of(r, frame), bytes;
	const struct rows_page *page;

	page = i < r->n_files ? rows_page_get(r->files[i].table,
					      FRAME_OFFSET(frame) >> ROWS_PAGE_SHIFT, &bytes)
			      : NULL;
	if (!page)
		return -ENODATA;
	*ret_rule = rows_lookup(page, (uint16_t)FRAME_OFFSET(frame));
	for (uint32_t k = 0; k < r->n_rules; k++) {
		if (r->rules[k].frame == frame)
			return 0;
	}
	if (r->n_rules < MAX_RULES)
		r->rules[r->n_rules++] = (struct recording_rule){frame, *ret_rule};
	return 0;
}

static int walk(struct recorder *r, const struct event_late *e, const uint8_t *stack,
		uint64_t bytes, uint64_t *frames, uint32_t *ret_n)
{
	struct native_walk w = {
		.regs = e->regs,
		.ranges = e->ranges,
		.n_ranges = e->n_ranges,
		.stack = stack,
		.stack_start = e->regs.sp,
		.stack_bytes = bytes,
		.frames = frames,
		.max_frames = FRAMES_ROOM - 1,
		.limit = STACK_MAX_USER,
	};
	int result = native_walk(&w, &(struct native_ops){.rule = rule_of}, r);

	*ret_n = w.n_frames;
	return result;
}

/* Clears every word that makes no difference; the bytes up to the last one that does. */
static uint32_t reduce(struct recorder *r, const struct event_late *e, uint64_t *stack,
		       const uint64_t *want, uint32_t n_want)
{
	uint64_t frames[FRAMES_ROOM];
	uint32_t n, used = 0, words = e->stack_bytes / 8;

	for (uint32_t i = 0; i < words; i++) {
		uint64_t word = stack[i];

		stack[i] = 0;
		if (word && (walk(r, e, (uint8_t *)stack, e->stack_bytes, frames, &n) != 1 ||
			     n != n_want || memcmp(frames, want, 8 * (size_t)n) != 0))
			stack[i] = word;
		if (stack[i])
			used = i + 1;
	}
	/* A zero return address at the end must be there to be read. */
	while (used < words &&
	       (walk(r, e, (uint8_t *)stack, 8ull * used, frames, &n) != 1 || n != n_want))
		used++;
	return 8 * used;
}

static void add_name(const struct recorder *r, uint64_t frame, struct buf *names)
{
	size_t i = file_of(r, frame);
	struct buf text = BUF_INIT(DEMANGLE_BUF_MAX);
	struct symtab_hit hit;
	uint64_t vaddr;

	if (i < r->n_files &&
	    table_offset_to_vaddr(r->files[i].table, FRAME_OFFSET(frame), &vaddr) == 0 &&
	    symtab_lookup(r->files[i].table, vaddr, &hit) == 0)
		buf_adds(names, demangle(hit.name, DEMANGLE_FULL, &text));
	else
		buf_printf(names, "%s+0x%llx", i < r->n_files ? r->files[i].name : "?",
			   FRAME_OFFSET(frame));
	buf_add_u8(names, 0);
	buf_done(&text);
}

static uint32_t used_ranges(const struct event_late *e, const struct walk_regs *regs,
			    const uint64_t *frames, uint32_t n_frames, struct range *ret)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < e->n_ranges; i++) {
		const struct range *range = &e->ranges[i];

		for (uint32_t k = 0; k < n_frames; k++) {
			if (frames[k] - range->first_frame >= range->size)
				continue;
			ret[n++] = *range;
			break;
		}
	}
	return n;
}

static void write_recording(struct recorder *r, const struct event_late *e, const uint64_t *stack,
			    uint32_t stack_bytes, const uint64_t *frames, uint32_t n_frames)
{
	struct buf names = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20);
	struct range ranges[WALK_RANGES];
	struct recording_header h = {
		.magic = RECORDING_MAGIC,
		.regs_bytes = sizeof(struct walk_regs),
		.n_ranges = used_ranges(e, &e->regs, frames, n_frames, ranges),
		.n_rules = r->n_rules,
		.n_frames = n_frames,
		.stack_bytes = stack_bytes,
	};
	char path[4096];
	FILE *f;

	for (uint32_t i = 0; i < n_frames; i++)
		add_name(r, frames[i], &names);
	h.names_bytes = (uint32_t)names.len;
	buf_add(&out, &h, sizeof(h));
	buf_add(&out, &e->regs, sizeof(e->regs));
	buf_add(&out, ranges, h.n_ranges * sizeof(struct range));
	buf_add(&out, r->rules, r->n_rules * sizeof(*r->rules));
	buf_add(&out, frames, 8 * (size_t)n_frames);
	buf_add(&out, stack, stack_bytes);
	buf_add(&out, names.data, names.len);
	while (out.len % 8)
		buf_add_u8(&out, 0);
	h.bytes = (uint32_t)out.len;
	(void)snprintf(path, sizeof(path), "%s/%04zu.rec", r->dir, r->n_written);
	f = out.failed ? NULL : fopen(path, "wbe");
	if (f) {
		memcpy(out.data, &h, sizeof(h));
		(void)fwrite(out.data, 1, out.len, f);
		fclose(f);
		r->n_written++;
		printf("%s\t", path);
		for (const char *s = (char *)names.data; s < (char *)names.data + names.len;
		     s += strlen(s) + 1)
			printf("%s%s", s == (char *)names.data ? "" : ";", s);
		printf("\n");
	}
	buf_done(&names);
	buf_done(&out);
}

static void on_page(void *data, uint64_t frame)
{
}

static void on_runtime(void *data, const struct event_runtime *e)
{
}

static void on_late(void *data, const struct event_late *e)
{
	struct recorder *r = data;
	uint64_t stack[LATE_STACK_BYTES / 8], frames[FRAMES_ROOM], hash;
	uint32_t n;

	r->n_samples++;
	r->n_rules = 0;
	if (e->n_user || e->stack_bytes > sizeof(stack))
		return;
	memcpy(stack, e + 1, e->stack_bytes);
	if (walk(r, e, (uint8_t *)stack, e->stack_bytes, frames, &n) != 1)
		return;
	hash = hash_bytes(frames, 8 * (size_t)n);
	if (hash_get(&r->seen, hash) != HASH_NONE || hash_put(&r->seen, hash, 1) < 0)
		return;
	write_recording(r, e, stack, reduce(r, e, stack, frames, n), frames, n);
}

static void on_task(void *data, const struct event_task *e)
{
}

static void on_stack(void *data, const struct event_stack *e, const uint64_t *frames)
{
}

int main(int argc, char **argv)
{
	static struct recorder r;
	const struct profiler_handler handler = {on_task,    on_file, on_stack, on_late,
						 on_runtime, on_page, NULL,	&r};
	const struct profiler_options o = {
		.frequency_hz = 997,
		.interval_s = 10,
		.filter = FILTER_TGID,
		.kernel_stacks = false,
	};
	struct profiler *p = NULL;
	struct loop *loop = NULL;
	uint64_t until;

	if (argc != 4) {
		fprintf(stderr, "usage: record_stacks PID SECONDS DIRECTORY\n");
		return 2;
	}
	r.dir = argv[3];
	if (loop_new(&loop) < 0 || profiler_new(loop, &o, &handler, &p) < 0 ||
	    profiler_add_target(p, (uint32_t)atoi(argv[1]), 0) < 0 || profiler_start(p) < 0) {
		fprintf(stderr, "cannot profile\n");
		return 1;
	}
	add_vdso(&r);
	until = clock_ms() + 1000 * (uint64_t)atoi(argv[2]);
	while (clock_ms() < until)
		(void)loop_once(loop, 100);
	fprintf(stderr, "%zu samples, %zu different whole stacks\n", r.n_samples, r.n_written);
	profiler_free(p);
	loop_free(loop);
	hash_done(&r.seen);
	for (size_t i = 0; i < r.n_files; i++)
		table_free(r.files[i].table);
	return 0;
}
