/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recognises CPython in an ELF file by what it exports and says where things lie in it; runs in the
 * sandboxed child on hostile files. Names of files mean nothing: the interpreter may be static, in
 * libpython, in a web server or anywhere else.
 */
#include "unwinders/python_internal.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "symbolizer/objfile.h"
#include "unwinders/runtime.h"

enum symbol {
	SYM_LOOP,
	SYM_RUNTIME,
	SYM_CODE_TYPE,
	SYM_FRAME_TYPE,
	SYM_VERSION, /* from 3.11 on */
	SYM_HEAD,    /* 3.6 has no _PyRuntime, but this function */
	SYM_HOLDER,  /* 3.6 */
	SYM_SINCE_37,
	SYM_SINCE_38,
	SYM_SINCE_39,
	SYM_SINCE_310,
	SYM_MAX,
};

static const char *const names[SYM_MAX] = {
	[SYM_LOOP] = "_PyEval_EvalFrameDefault",
	[SYM_RUNTIME] = "_PyRuntime",
	[SYM_CODE_TYPE] = "PyCode_Type",
	[SYM_FRAME_TYPE] = "PyFrame_Type",
	[SYM_VERSION] = "Py_Version",
	[SYM_HEAD] = "PyInterpreterState_Head",
	[SYM_HOLDER] = "_PyThreadState_Current",
	[SYM_SINCE_37] = "PyContext_New",
	[SYM_SINCE_38] = "PyCode_NewWithPosOnlyArgs",
	[SYM_SINCE_39] = "PyFrame_GetBack",
	[SYM_SINCE_310] = "PyIter_Send",
};

/* Handlers of instructions that are functions of their own (3.14 on, built with clang): each is the
 * loop's frame while it runs. Parts that GCC moved have a suffix. */
#define TAIL_CALL "_TAIL_CALL_"

struct python_elf {
	struct objfile *o; /* borrowed */
	Elf64_Sym symbols[SYM_MAX];
	struct rows_range *loops; /* borrowed, RUNTIME_LOOPS_MAX */
	size_t n_loops;
};

static uint64_t address_of(const struct python_elf *p, enum symbol s)
{
	return p->symbols[s].st_value;
}

/* Adjacent functions are one range. */
static void add_loop(struct python_elf *p, uint64_t start, uint64_t end)
{
	for (size_t i = 0; i < p->n_loops; i++) {
		struct rows_range *r = &p->loops[i];

		if (start <= r->end + 15 && end + 15 >= r->start) {
			r->start = MIN(r->start, start);
			r->end = MAX(r->end, end);
			return;
		}
	}
	if (p->n_loops < RUNTIME_LOOPS_MAX)
		p->loops[p->n_loops++] = (struct rows_range){start, end};
}

static bool begins_with(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

static void on_symbol(struct python_elf *p, const Elf64_Sym *s, const char *name)
{
	if (ELF64_ST_TYPE(s->st_info) == STT_FUNC && s->st_size &&
	    s->st_value + s->st_size > s->st_value &&
	    (begins_with(name, "_PyEval_EvalFrameDefault.") || begins_with(name, TAIL_CALL)))
		add_loop(p, s->st_value, s->st_value + s->st_size);
	for (size_t i = 0; i < SYM_MAX; i++) {
		if (!p->symbols[i].st_value && strcmp(name, names[i]) == 0)
			p->symbols[i] = *s;
	}
}

static void read_symbols(struct python_elf *p, uint32_t type)
{
	struct objfile_section table, strings;

	if (objfile_section_by_type(p->o, type, &table) < 0 || !table.data ||
	    objfile_section_at(p->o, table.link, &strings) < 0 || !strings.data || !strings.size ||
	    !memmem(strings.data, strings.size, names[SYM_LOOP], strlen(names[SYM_LOOP])))
		return;
	for (uint64_t at = 0; at + sizeof(Elf64_Sym) <= table.size; at += sizeof(Elf64_Sym)) {
		Elf64_Sym s;
		const char *name;

		memcpy(&s, table.data + at, sizeof(s));
		if (s.st_shndx == SHN_UNDEF || s.st_name >= strings.size || !s.st_value)
			continue;
		name = (const char *)strings.data + s.st_name;
		/* All that matter begin so; an unterminated last name is none. */
		if ((name[0] == '_' || name[0] == 'P') && memchr(name, 0, strings.size - s.st_name))
			on_symbol(p, &s, name);
	}
}

/* 0x030c, or 0. */
static unsigned int version_of(const struct python_elf *p)
{
	const uint8_t *v = NULL;

	/* const unsigned long Py_Version = PY_VERSION_HEX */
	if (address_of(p, SYM_VERSION))
		v = objfile_at_vaddr(p->o, address_of(p, SYM_VERSION), 8);
	if (v && v[3] == 3 && v[2] >= 11)
		return (unsigned int)(v[3] << 8 | v[2]);
	if (!address_of(p, SYM_RUNTIME))
		return 0x0306;
	for (unsigned int i = SYM_SINCE_310; i >= SYM_SINCE_37; i--) {
		if (p->symbols[i].st_value)
			return 0x0307 + i - SYM_SINCE_37;
	}
	return 0;
}

/* tp_basicsize: sizes are plain numbers in the file, though pointers beside them may not be. */
#define TYPE_BASICSIZE 32
static uint64_t size_of_objects(const struct python_elf *p, enum symbol type, unsigned int header)
{
	const uint8_t *at =
		objfile_at_vaddr(p->o, address_of(p, type) + TYPE_BASICSIZE + header, 8);
	uint64_t v = 0;

	if (at)
		memcpy(&v, at, 8);
	return v;
}

/* Is the layout that of the version, with so many bytes before the header of each object? */
static bool sizes_agree(const struct python_elf *p, unsigned int version, unsigned int header)
{
	static const struct {
		unsigned int version;
		uint16_t code, frame;
	} sizes[] = {
		{0x0306, 144, 384}, {0x0307, 144, 368}, {0x0308, 176, 368}, {0x0309, 176, 368},
		{0x030a, 176, 360}, {0x030b, 184, 120}, {0x030c, 192, 120},
	};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		if (sizes[i].version == version)
			return size_of_objects(p, SYM_CODE_TYPE, header) ==
				       sizes[i].code + header &&
			       size_of_objects(p, SYM_FRAME_TYPE, header) ==
				       sizes[i].frame + header;
	}
	return false;
}

/* PyInterpreterState_Head() of 3.6 is `return interp_head;`. */
static int head_of_36(const struct python_elf *p, uint64_t *ret)
{
	static const uint8_t endbr[] = {0xf3, 0x0f, 0x1e, 0xfa}, load[] = {0x48, 0x8b, 0x05};
	uint64_t at = address_of(p, SYM_HEAD);
	const uint8_t *code = at ? objfile_at_vaddr(p->o, at, 12) : NULL;
	int32_t relative;

	if (code && memcmp(code, endbr, sizeof(endbr)) == 0) {
		at += sizeof(endbr);
		code = objfile_at_vaddr(p->o, at, 8);
	}
	if (!code || memcmp(code, load, sizeof(load)) != 0 || code[7] != 0xc3)
		return -ENODATA;
	memcpy(&relative, code + sizeof(load), sizeof(relative));
	*ret = at + 7 + (uint64_t)(int64_t)relative;
	return 0;
}

static int find_layout(struct python_elf *p, struct python_file *f)
{
	const Elf64_Sym *runtime = &p->symbols[SYM_RUNTIME];
	unsigned int version = version_of(p);
	uint64_t head;
	int r;

	if (version > 0x030c) {
		/* The table is well below a page. */
		size_t bytes = 2048;
		const uint8_t *data = NULL;

		while (!data && bytes >= 256) {
			data = objfile_at_vaddr(p->o, runtime->st_value, bytes);
			bytes -= data ? 0 : 64;
		}
		return data ? python_layout_of_runtime(data, bytes, runtime->st_size, f) : -ENODATA;
	}
	r = python_layout_of_version(version, f);
	if (r < 0)
		return r;
	if (sizes_agree(p, version, PYTHON_TRACE_REFS_BYTES))
		python_layout_trace_refs(f);
	else if (!sizes_agree(p, version, 0))
		return -ENODATA;
	if (version > 0x0306) {
		f->holder += runtime->st_value;
		return 0;
	}
	f->holder = address_of(p, SYM_HOLDER);
	if (!f->holder)
		f->flags &= (uint16_t)~PYTHON_GIL_HOLDER;
	r = head_of_36(p, &head);
	f->runtime = r == 0 ? head : 0;
	return r;
}

/* What to take from a virtual address so that it counts from the byte 0 of the file, as the mapping
 * of the loop's code places it. */
static int code_delta(const struct python_elf *p, uint64_t *ret)
{
	uint64_t offset;
	int r = objfile_vaddr_to_offset(p->o, address_of(p, SYM_LOOP), &offset);

	if (r == 0)
		*ret = address_of(p, SYM_LOOP) - offset;
	return r < 0 ? -ENODATA : 0;
}

static int find_loops(struct python_elf *p, struct python_file *f)
{
	const Elf64_Sym *s = &p->symbols[SYM_LOOP];

	if (!s->st_size || s->st_value + s->st_size < s->st_value)
		return -ENODATA;
	add_loop(p, s->st_value, s->st_value + s->st_size);
	if (f->version < 0x030a)
		python_loop_gaps(p->o, &(struct rows_range){s->st_value, s->st_value + s->st_size},
				 f->thread_frame, f->gaps);
	return python_loop_parts(p->o, p->loops, &p->n_loops,
				 MIN(p->n_loops + PYTHON_LOOP_PARTS, (size_t)RUNTIME_LOOPS_MAX));
}

int python_describe_file(struct objfile *o, struct runtime_description *ret)
{
	struct python_elf p = {.o = o, .loops = ret->loops};
	struct python_file f = {0};
	uint64_t delta = 0;
	int r;

	read_symbols(&p, SHT_DYNSYM);
	read_symbols(&p, SHT_SYMTAB);
	if (!address_of(&p, SYM_LOOP) || !address_of(&p, SYM_CODE_TYPE))
		return -ENODATA;
	r = find_layout(&p, &f);
	if (r == 0)
		r = code_delta(&p, &delta);
	if (r == 0)
		r = find_loops(&p, &f);
	if (r < 0)
		return r == -ENOMEM ? r : -ENODATA;
	f.runtime = (f.runtime ? f.runtime : address_of(&p, SYM_RUNTIME)) - delta;
	f.holder -= f.flags & PYTHON_GIL_HOLDER ? delta : 0;
	f.code_type = address_of(&p, SYM_CODE_TYPE) - delta;
	ret->n_loops = p.n_loops;
	buf_add(&ret->file, &f, sizeof(f));
	return ret->file.failed;
}
