/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/gdb_jit.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "agent/base/cursor.h"
#include "symbolizer/code_map.h"
#include "symbolizer/dwarf.h"
#include "symbolizer/frame_lists.h"
#include "symbolizer/objfile.h"
#include "symbolizer/symfile.h"
#include "symbolizer/symtab_internal.h"

#define ROWS_MAX   (1u << 18) /* of one file: places where the line may change */
#define KEY_SHIFT  32
#define HEX_DIGITS 16

/* ---- lines ---- */

struct place {
	uint64_t address;
	uint32_t file, line; /* file: in lines.files, 0 unknown; line 0: unknown */
};

/* Of one file. The line that counts is that of the function the code belongs to: names of what was
 * inlined have no room in a code map. */
struct lines {
	struct place *v;
	size_t n, cap;
	uint64_t *addresses;
	struct intern files;
	int failed;
};

static void on_row(void *data, uint64_t start, uint64_t end)
{
	struct lines *l = data;

	if (l->failed || l->n >= ROWS_MAX)
		return;
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 256;
		struct place *v = realloc(l->v, cap * sizeof(*v));

		if (!v) {
			l->failed = -ENOMEM;
			return;
		}
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n++] = (struct place){.address = start};
}

static int by_address(const void *pa, const void *pb)
{
	const struct place *a = pa, *b = pb;

	return a->address < b->address ? -1 : a->address > b->address;
}

static void on_frames(void *data, size_t index, const struct dwarf_frame *frames, size_t n)
{
	struct lines *l = data;
	char path[4096];

	dwarf_path(&frames[n - 1], path, sizeof(path));
	l->v[index].file = intern_str(&l->files, path);
	l->v[index].line = frames[n - 1].line;
}

static int lines_expand(struct lines *l, struct dwarf *d)
{
	size_t kept = 0;

	if (!l->n)
		return 0;
	qsort(l->v, l->n, sizeof(*l->v), by_address);
	for (size_t i = 0; i < l->n; i++) {
		if (!kept || l->v[kept - 1].address != l->v[i].address)
			l->v[kept++] = l->v[i];
	}
	l->n = kept;
	l->addresses = malloc(kept * sizeof(*l->addresses));
	if (!l->addresses)
		return -ENOMEM;
	for (size_t i = 0; i < kept; i++)
		l->addresses[i] = l->v[i].address;
	return dwarf_expand(d, l->addresses, kept, on_frames, l);
}

static int lines_read(struct lines *l, struct objfile *o)
{
	_cleanup_(dwarf_freep) struct dwarf *d = NULL;
	int r = dwarf_open(&(struct dwarf_files){.debug = o}, &d);

	if (r < 0)
		return r == -ENOMEM ? r : 0;
	r = dwarf_each_row(d, on_row, l);
	if (r >= 0)
		r = l->failed;
	if (r >= 0)
		r = lines_expand(l, d);
	return r == -ENOMEM ? r : 0;
}

static void lines_done(struct lines *l)
{
	free(l->v);
	free(l->addresses);
	intern_done(&l->files);
}

/* Those of one function, into the code map. */
static int lines_of(const struct lines *l, struct code_map *m, struct code_map_entry *e)
{
	size_t low = 0, high = l->n;
	uint32_t first = (uint32_t)m->n_lines;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (l->v[mid].address < e->start)
			low = mid + 1;
		else
			high = mid;
	}
	for (; low < l->n && l->v[low].address - e->start < e->size; low++) {
		const struct place *p = &l->v[low];
		const char *file = intern_get(&l->files, p->file);
		int r = code_map_add_line(m, (uint32_t)(p->address - e->start), file, strlen(file),
					  p->line);

		if (r < 0)
			return r == -E2BIG ? 0 : r;
	}
	e->first_line = first;
	e->n_lines = (uint32_t)m->n_lines - first;
	return 0;
}

/* ---- files ---- */

static int add_functions(struct objfile *o, struct code_map *m)
{
	_cleanup_(symtab_set_done) struct symtab_set set = {0};
	_cleanup_(lines_done) struct lines l = {0};
	bool symtab;
	int r = symtab_collect(o, NULL, NULL, &set, &symtab);

	if (r < 0)
		return r;
	r = set.n ? lines_read(&l, o) : 0;
	for (size_t i = 0; i < set.n && r == 0; i++) {
		const struct symtab_entry *s = &set.v[i];
		struct code_map_entry e = {
			.start = s->start,
			.size = MIN(s->size, (uint64_t)UINT32_MAX),
			.name = s->name,
			.name_bytes = s->name_bytes,
		};

		if (!e.size || !e.name_bytes)
			continue;
		r = lines_of(&l, m, &e);
		if (r == 0)
			r = code_map_add(m, &e);
	}
	return r;
}

static int open_file(uint8_t *image, size_t bytes, struct objfile **ret)
{
	int r = symfile_relocate(image, bytes);

	if (r == 0)
		r = objfile_open_memory(image, bytes, ret);
	return r == -ENOMEM ? r : 0;
}

static void add_frames(struct gdb_jit_files *f, const uint8_t *p, size_t bytes)
{
	struct gdb_jit_frames *to = &f->frames[f->n_frames];

	if (bytes <= sizeof(to->vaddr))
		return;
	memcpy(&to->vaddr, p, sizeof(to->vaddr));
	to->data = p + sizeof(to->vaddr);
	to->bytes = bytes - sizeof(to->vaddr);
	f->n_frames++;
}

int gdb_jit_open(uint8_t *data, size_t bytes, struct gdb_jit_files *f)
{
	struct cursor c = cursor_of(data, bytes);
	int r = 0;

	f->v = calloc(GDB_JIT_FILES_MAX, sizeof(*f->v));
	f->frames = calloc(GDB_JIT_FILES_MAX, sizeof(*f->frames));
	if (!f->v || !f->frames)
		return -ENOMEM;
	while (cursor_left(&c) && f->n + f->n_frames < GDB_JIT_FILES_MAX && r == 0) {
		uint64_t magic = cursor_u64(&c), size = cursor_u64(&c);
		const uint8_t *p;

		if (c.bad || (magic != GDB_JIT_MAGIC && magic != GDB_JIT_FRAMES_MAGIC) ||
		    size > cursor_left(&c))
			return -EBADMSG;
		p = cursor_bytes(&c, (size_t)size);
		cursor_skip(&c, MIN((size_t)(-size & 7), cursor_left(&c)));
		if (magic == GDB_JIT_FRAMES_MAGIC)
			add_frames(f, p, (size_t)size);
		else
			r = open_file(data + (p - data), (size_t)size, &f->v[f->n]);
		f->n += f->v[f->n] != NULL;
	}
	return r;
}

int gdb_jit_open_fd(int fd, struct gdb_jit_files *f)
{
	int r = mapped_file_open(fd, (uint64_t)GDB_JIT_BYTES_MAX * 2, &f->mapped);

	return r < 0 ? r : gdb_jit_open(f->mapped.data, f->mapped.bytes, f);
}

void gdb_jit_files_done(struct gdb_jit_files *f)
{
	for (size_t i = 0; i < f->n; i++)
		objfile_free(f->v[i]);
	free(f->v);
	free(f->frames);
	mapped_file_done(&f->mapped);
	*f = (struct gdb_jit_files){0};
}

int gdb_jit_write(const struct gdb_jit_files *f, struct table_writer *w)
{
	/* Names are borrowed from the files. */
	_cleanup_(code_map_done) struct code_map m = {0};
	int r = 0;

	for (size_t i = 0; i < f->n && r == 0; i++)
		r = add_functions(f->v[i], &m);
	/* What there is no room for is older. */
	return r == 0 || r == -E2BIG ? code_map_write(&m, w) : r;
}

/* ---- where the list begins ---- */

static uint64_t key_of(size_t i, enum gdb_jit_list list)
{
	return (uint64_t)i << KEY_SHIFT | (uint64_t)list;
}

/* Data has a file offset when it is not zero at the start, which a list with a version is not. */
static bool data_offset(const struct objfile *o, uint64_t vaddr, uint64_t *ret)
{
	size_t n;
	const struct objfile_segment *s = objfile_segments(o, &n);

	for (size_t i = 0; i < n; i++) {
		if (s[i].type != PT_LOAD || vaddr < s[i].vaddr || vaddr - s[i].vaddr >= s[i].filesz)
			continue;
		*ret = s[i].offset + (vaddr - s[i].vaddr);
		return true;
	}
	return false;
}

static bool find_in(struct objfile *o, uint32_t type, uint64_t *ret_offset)
{
	static const char name[] = GDB_JIT_SYMBOL;
	struct objfile_section s, names;

	if (objfile_section_by_type(o, type, &s) < 0 || !s.data ||
	    objfile_section_at(o, s.link, &names) < 0 || !names.data)
		return false;
	for (uint64_t i = 0; i < s.size / sizeof(Elf64_Sym); i++) {
		Elf64_Sym sym;

		memcpy(&sym, s.data + i * sizeof(sym), sizeof(sym));
		if (ELF64_ST_TYPE(sym.st_info) == STT_OBJECT && sym.st_shndx != SHN_UNDEF &&
		    sym.st_name < names.size && names.size - sym.st_name >= sizeof(name) &&
		    !memcmp(names.data + sym.st_name, name, sizeof(name)) &&
		    data_offset(o, sym.st_value, ret_offset))
			return true;
	}
	return false;
}

/* Where a file's lists begin; 0: it does not have it. */
static void find_lists(struct objfile *o, uint64_t ret_offsets[GDB_JIT_LISTS])
{
	uint64_t offsets[FRAME_LIST_MAX] = {0};

	memset(ret_offsets, 0, GDB_JIT_LISTS * sizeof(*ret_offsets));
	if (!o)
		return;
	if (!find_in(o, SHT_DYNSYM, &ret_offsets[GDB_JIT_LIST]))
		(void)find_in(o, SHT_SYMTAB, &ret_offsets[GDB_JIT_LIST]);
	if (frame_lists_find(o, offsets) < 0)
		return;
	ret_offsets[GDB_JIT_FRAMES_UNSEEN] = offsets[FRAME_LIST_UNSEEN];
	ret_offsets[GDB_JIT_FRAMES_SEEN] = offsets[FRAME_LIST_SEEN];
	ret_offsets[GDB_JIT_FRAMES_TREE] = offsets[FRAME_LIST_TREE];
}

int gdb_jit_find(struct objfile *const *files, size_t n, struct table_writer *w)
{
	_cleanup_(code_map_done) struct code_map m = {0};
	_cleanup_free_ char *text = calloc(n * GDB_JIT_LISTS + 1, HEX_DIGITS + 1);
	uint64_t offsets[GDB_JIT_LISTS];
	int r = text ? 0 : -ENOMEM;

	for (size_t i = 0; i < n * GDB_JIT_LISTS && r == 0; i++) {
		enum gdb_jit_list list = (enum gdb_jit_list)(i % GDB_JIT_LISTS);
		char *hex = text + i * (HEX_DIGITS + 1);
		struct code_map_entry e = {.start = key_of(i / GDB_JIT_LISTS, list),
					   .size = 1,
					   .name = hex,
					   .name_bytes = HEX_DIGITS};

		if (list == 0)
			find_lists(files[i / GDB_JIT_LISTS], offsets);
		if (!offsets[list])
			continue;
		(void)snprintf(hex, HEX_DIGITS + 1, "%016llx", (unsigned long long)offsets[list]);
		r = code_map_add(&m, &e);
	}
	return r < 0 ? r : code_map_write(&m, w);
}

int gdb_jit_place(const struct table *t, size_t i, enum gdb_jit_list list, uint64_t *ret_offset)
{
	struct code_map_hit hit;
	uint64_t v = 0;
	int r = code_map_lookup(t, key_of(i, list), &hit);

	if (r < 0)
		return r;
	for (const char *p = hit.name; *p; p++) {
		int c = *p | 32;

		if (p - hit.name == HEX_DIGITS ||
		    !((*p >= '0' && *p <= '9') || (c >= 'a' && c <= 'f')))
			return -EBADMSG;
		v = v << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	*ret_offset = v;
	return 0;
}
