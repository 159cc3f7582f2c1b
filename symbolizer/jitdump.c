/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/jitdump.h"

#include <errno.h>
#include <string.h>

#include "agent/base/cursor.h"
#include "symbolizer/code_map.h"
#include "symbolizer/mapped_file.h"

#define MAGIC	     0x4A695444u /* "JiTD" */
#define VERSION	     1
#define HEADER_BYTES 40
#define RECORD_BYTES 16
#define FILE_BYTES   (UINT64_C(4) << 30)
#define SAME_FILE    "\xff" /* in place of a file's name: that of the entry before */
/* V8 puts this mark into the header, and its lines' addresses are too high by what an ELF header
 * takes: seen in dumps of node 20.20 (V8 11.3). */
#define V8_RESERVED 0xdeadbeefu
/* perf makes an ELF file of each function, and the lines' addresses are those in that file: so LLVM
 * writes them, too (seen in dumps of lli of LLVM 14.0.6), without a mark. */
#define ELF_OFFSET    64
#define LOADS_MAX     (4u << 20)
#define LINES_OF_CODE 100000 /* of one function */

enum record_id {
	CODE_LOAD = 0,
	CODE_MOVE = 1,
	CODE_DEBUG_INFO = 2,
	CODE_CLOSE = 3,
};

struct dump {
	struct code_map m;
	struct code_map_entry *v; /* oldest first */
	size_t n, cap;
	struct hash by_index;	/* code_index -> its latest in v */
	uint64_t debug_address; /* of the function whose lines were read; they are the last */
	uint32_t first_line, n_lines, last_offset;
	uint64_t bias; /* of the addresses of lines */
};

static int keep(struct dump *d, uint64_t index, const struct code_map_entry *e)
{
	if (d->n == d->cap) {
		size_t cap = d->cap ? d->cap * 2 : 256;
		struct code_map_entry *v;

		if (cap > LOADS_MAX)
			return -E2BIG;
		v = realloc(d->v, cap * sizeof(*v));
		if (!v)
			return -ENOMEM;
		d->v = v;
		d->cap = cap;
	}
	d->v[d->n] = *e;
	return hash_put(&d->by_index, index, d->n++);
}

static int on_load(struct dump *d, struct cursor *c)
{
	struct code_map_entry e = {0};
	uint64_t index;

	cursor_skip(c, 16); /* pid, tid, vma */
	e.start = cursor_u64(c);
	e.size = cursor_u64(c);
	index = cursor_u64(c);
	e.name = cursor_cstr(c, SIZE_MAX - 1);
	if (c->bad)
		return 0;
	e.name_bytes = (uint32_t)strnlen(e.name, CODE_MAP_NAME_MAX);
	if (d->n_lines && d->debug_address == e.start && d->last_offset <= e.size) {
		e.first_line = d->first_line;
		e.n_lines = d->n_lines;
	}
	d->n_lines = 0;
	return keep(d, index, &e);
}

static int on_move(struct dump *d, struct cursor *c)
{
	struct code_map_entry e;
	uint64_t start, size, index, known;

	cursor_skip(c, 24); /* pid, tid, vma, old address */
	start = cursor_u64(c);
	size = cursor_u64(c);
	index = cursor_u64(c);
	known = hash_get(&d->by_index, index);
	if (c->bad || known == HASH_NONE)
		return 0;
	e = d->v[known];
	e.start = start;
	e.size = size;
	return keep(d, index, &e);
}

/* node 20 describes some functions with what was lying in memory. */
static bool is_path(const char *s)
{
	for (; *s; s++) {
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			return false;
	}
	return true;
}

static int on_debug_info(struct dump *d, struct cursor *c)
{
	uint64_t address = cursor_u64(c), n = cursor_u64(c), bias = d->bias;
	const char *file = "";

	d->debug_address = address;
	d->first_line = (uint32_t)d->m.n_lines;
	d->n_lines = d->last_offset = 0;
	for (uint64_t i = 0; i < MIN(n, (uint64_t)LINES_OF_CODE); i++) {
		uint64_t offset = cursor_u64(c) - address - bias;
		uint32_t line = cursor_u32(c);
		const char *name;
		int r;

		/* A function's first line is where it begins. */
		if (!i && !bias && offset == ELF_OFFSET) {
			bias = ELF_OFFSET;
			offset = 0;
		}
		cursor_skip(c, 4); /* discriminator: V8 and HotSpot have the column there, or 0 */
		name = cursor_cstr(c, SIZE_MAX - 1);
		if (!c->bad && strcmp(name, SAME_FILE) != 0)
			file = name;
		if (c->bad || !is_path(file) || offset > UINT32_MAX || offset < d->last_offset) {
			d->n_lines = 0;
			break;
		}
		d->last_offset = (uint32_t)offset;
		r = code_map_add_line(&d->m, (uint32_t)offset, file, strlen(file), line);
		if (r < 0)
			return r == -E2BIG ? 0 : r;
		d->n_lines++;
	}
	return 0;
}

static int on_record(struct dump *d, uint32_t id, struct cursor *c)
{
	if (id == CODE_LOAD)
		return on_load(d, c);
	if (id == CODE_MOVE)
		return on_move(d, c);
	if (id == CODE_DEBUG_INFO)
		return on_debug_info(d, c);
	return 0;
}

static int read_records(struct dump *d, struct cursor *c)
{
	int r = 0;

	while (r == 0 && cursor_left(c) >= RECORD_BYTES) {
		uint32_t id = cursor_u32(c), bytes = cursor_u32(c);
		struct cursor record;

		cursor_skip(c, 8); /* timestamp */
		if (bytes < RECORD_BYTES || id == CODE_CLOSE)
			break;
		record = cursor_sub(c, bytes - RECORD_BYTES);
		if (c->bad)
			break;
		r = on_record(d, id, &record);
	}
	return r;
}

static bool read_header(struct cursor *c, uint64_t *ret_bias)
{
	uint32_t magic = cursor_u32(c), version = cursor_u32(c), bytes = cursor_u32(c);
	uint32_t reserved;

	if (magic != MAGIC || version != VERSION || bytes < HEADER_BYTES)
		return false;
	cursor_skip(c, 4); /* machine */
	reserved = cursor_u32(c);
	*ret_bias = reserved == V8_RESERVED ? ELF_OFFSET : 0;
	cursor_skip(c, bytes - 5 * sizeof(uint32_t));
	return !c->bad;
}

int jitdump_write(const void *data, size_t bytes, struct table_writer *w)
{
	struct dump d = {0};
	struct cursor c = cursor_of(data, bytes);
	int r = read_header(&c, &d.bias) ? read_records(&d, &c) : -EBADMSG;

	if (r == -E2BIG)
		r = 0;
	for (size_t i = d.n; i > 0 && r == 0; i--)
		r = code_map_add(&d.m, &d.v[i - 1]);
	if (r == 0 || r == -E2BIG)
		r = code_map_write(&d.m, w);
	code_map_done(&d.m);
	hash_done(&d.by_index);
	free(d.v);
	return r;
}

int jitdump_write_file(int fd, struct table_writer *w)
{
	_cleanup_mapped_file_ struct mapped_file f = {0};
	int r = mapped_file_open(fd, FILE_BYTES, &f);

	return r < 0 ? r : jitdump_write(f.data, f.bytes, w);
}
