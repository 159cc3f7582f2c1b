/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Functions that Go's compiler inlined. Each function of the table has pc-value tables of its own
 * data (PCDATA): one gives, for each instruction, the index of a call in the function's inline tree
 * (FUNCDATA_InlTree), or -1. A call says which function was inlined, and names an instruction
 * whose position is that of the call itself, so that the walk goes on from there
 * (runtime/symtabinl.go of Go 1.21, expandInlinedCalls() in runtime/symtab.go of Go 1.19).
 *
 * Before 1.18 FUNCDATA are pointers, from then on offsets from go:func.*, whose address is in
 * runtime.moduledata. Which of the layouts a program has is not written down everywhere: those that
 * may be are tried on its first trees.
 */
#include "symbolizer/gopclntab_internal.h"

#include <errno.h>
#include <string.h>

#include "symbolizer/objfile.h"

#define VALUES_MAX   (1u << 20) /* ranges of one table of one function */
#define NOT_THERE    UINT32_MAX
#define TREES_TO_TRY 64

struct layout {
	enum gopclntab_version version;
	uint32_t pcdata, funcdata; /* PCDATA_InlTreeIndex, FUNCDATA_InlTree */
	uint32_t gofunc;	   /* offset in moduledata; 0: FUNCDATA are pointers */
};

/* runtime/symtab.go of Go 1.12, 1.15, 1.17, 1.19, 1.25 and 1.27. */
static const struct layout layouts[] = {
	{GOPCLNTAB_1_2, 2, 4, 0},    /* 1.13 to 1.15 */
	{GOPCLNTAB_1_2, 1, 2, 0},    /* 1.12 */
	{GOPCLNTAB_1_16, 2, 3, 0},   /* 1.16, 1.17 */
	{GOPCLNTAB_1_18, 2, 3, 304}, /* 1.18, 1.19 */
	{GOPCLNTAB_1_20, 2, 3, 320}, /* 1.20 to 1.26 */
	{GOPCLNTAB_1_20, 2, 3, 344}, /* 1.27 */
};

struct value {
	uint32_t end; /* bytes from the function's entry */
	int32_t v;
};

/* A pc-value table, expanded. */
struct values {
	struct value *v;
	size_t n, cap;
};

struct reader {
	const struct gopclntab *t;
	const struct layout *layout; /* NULL: trees can not be read */
	uint64_t gofunc;
	/* The function at hand; f.end is 0 before the first one. */
	struct gopclntab_func f;
	uint64_t tree; /* virtual address; 0: nothing was inlined into it */
	struct values files, lines, calls;
};

/* ---- tables of one function ---- */

static int values_load(struct values *to, const struct gopclntab *t, const struct gopclntab_func *f,
		       uint32_t table)
{
	struct gopclntab_iter it;
	uint64_t start, end;
	int32_t value;

	to->n = 0;
	gopclntab_pcvalue(t, f, table, &it);
	while (to->n < VALUES_MAX && gopclntab_pcvalue_next(&it, &start, &end, &value)) {
		if (to->n == to->cap) {
			size_t cap = to->cap ? to->cap * 2 : 256;
			struct value *v = realloc(to->v, cap * sizeof(*v));

			if (!v)
				return -ENOMEM;
			to->v = v;
			to->cap = cap;
		}
		to->v[to->n++] = (struct value){(uint32_t)MIN(end - f->entry, UINT32_MAX), value};
	}
	return 0;
}

static int32_t values_get(const struct values *s, uint64_t offset)
{
	size_t at = PARTITION_POINT(mid, 0, s->n, s->v[mid].end <= offset);

	return at < s->n ? s->v[at].v : -1;
}

static uint32_t word_at(const struct gopclntab *t, uint64_t offset)
{
	uint32_t v;

	if (offset > t->funcs.bytes || t->funcs.bytes - offset < sizeof(v))
		return NOT_THERE;
	memcpy(&v, t->funcs.data + offset, sizeof(v));
	return v;
}

/* The pc-value table with indices of calls; 0: none. */
static uint32_t calls_table(const struct reader *r)
{
	uint32_t table = NOT_THERE;

	if (r->layout && r->layout->pcdata < r->f.n_pcdata)
		table = word_at(r->t, r->f.data + (uint64_t)r->layout->pcdata * 4);
	return table == NOT_THERE ? 0 : table;
}

/* The address of the inline tree; 0: none. */
static uint64_t tree_of(const struct reader *r)
{
	uint64_t at = r->f.data + (uint64_t)r->f.n_pcdata * 4, pointer;
	const struct gopclntab *t = r->t;
	uint32_t offset;

	if (!r->layout || r->layout->funcdata >= r->f.n_funcdata)
		return 0;
	if (r->layout->gofunc) {
		offset = word_at(t, at + (uint64_t)r->layout->funcdata * 4);
		return offset == NOT_THERE ? 0 : r->gofunc + offset;
	}
	/* Pointers are aligned in memory. */
	at += -(t->vaddr + (uint64_t)(t->funcs.data - t->all.data) + at) & 7;
	at += (uint64_t)r->layout->funcdata * 8;
	if (at > t->funcs.bytes || t->funcs.bytes - at < sizeof(pointer))
		return 0;
	memcpy(&pointer, t->funcs.data + at, sizeof(pointer));
	return pointer;
}

/* ---- the tree ---- */

struct call {
	uint32_t name; /* in the table's names */
	uint32_t parent_pc;
	uint32_t start_line;
};

/*
 * runtime.inlinedCall. From 1.20 on: funcID and padding, nameOff, parentPc, startLine. Before:
 * parent, funcID and padding, file, line, func_, parentPc; file and line are those of parentPc too.
 */
static bool call_read(const struct reader *r, int32_t index, struct call *ret)
{
	bool old = r->t->version < GOPCLNTAB_1_20;
	uint32_t words[5], bytes = old ? 20 : 16;
	const uint8_t *p;

	if (index < 0 || !r->tree)
		return false;
	p = objfile_at_vaddr(r->t->o, r->tree + (uint64_t)index * bytes, bytes);
	if (!p)
		return false;
	memcpy(words, p, bytes);
	*ret = old ? (struct call){.name = words[3], .parent_pc = words[4]}
		   : (struct call){words[1], words[2], words[3]};
	return ret->parent_pc < r->f.end - r->f.entry;
}

/* The names of functions begin where others end: anything else is no tree. */
static bool is_call(const struct reader *r, int32_t index)
{
	const struct gopclntab_range *names = &r->t->names;
	struct call c;

	if (!call_read(r, index, &c) || !c.name || c.name >= names->bytes)
		return false;
	return names->data[c.name] && (!names->data[c.name - 1] || r->t->version == GOPCLNTAB_1_2);
}

/* 1: the tree of the function at hand is sound; 0: it has none; -EBADMSG, -ENOMEM. */
static int check_tree(struct reader *r)
{
	bool any = false;
	int e;

	r->tree = tree_of(r);
	e = values_load(&r->calls, r->t, &r->f, r->tree ? calls_table(r) : 0);
	if (e < 0)
		return e;
	for (size_t i = 0; i < r->calls.n; i++) {
		if (r->calls.v[i].v < 0)
			continue;
		if (!is_call(r, r->calls.v[i].v))
			return -EBADMSG;
		any = true;
	}
	return any;
}

static int check_trees(struct reader *r)
{
	size_t good = 0;

	for (size_t i = 0; i < r->t->n && good < TREES_TO_TRY; i++) {
		int e = gopclntab_func(r->t, i, &r->f) < 0 ? 0 : check_tree(r);

		if (e < 0)
			return e;
		good += (size_t)e;
	}
	return good ? 0 : -ENOENT;
}

/* -ENOMEM; else r->layout says whether there is something to read. */
static int choose_layout(struct reader *r)
{
	const struct gopclntab *t = r->t;
	uint64_t module = 0;
	int e = 0;

	if (t->version >= GOPCLNTAB_1_18 && gopclntab_find_module(t, &module) < 0)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(layouts) && e != -ENOMEM; i++) {
		const struct layout *l = &layouts[i];

		if (l->version != t->version ||
		    (l->gofunc &&
		     !gopclntab_relocated(t, module + l->gofunc, &r->gofunc, sizeof(r->gofunc))))
			continue;
		r->layout = l;
		e = check_trees(r);
		if (e == 0)
			break;
		r->layout = NULL;
	}
	r->f = (struct gopclntab_func){0};
	return e == -ENOMEM ? e : 0;
}

/* ---- addresses ---- */

/* -ENOENT: no function there. */
static int function_load(struct reader *r, uint64_t vaddr)
{
	size_t i;
	int e;

	if (vaddr >= r->f.entry && vaddr < r->f.end)
		return 0;
	r->f.end = 0;
	if (gopclntab_find(r->t, vaddr, &i) < 0 || gopclntab_func(r->t, i, &r->f) < 0 ||
	    vaddr < r->f.entry || vaddr >= r->f.end) {
		r->f.end = 0;
		return -ENOENT;
	}
	r->tree = tree_of(r);
	e = values_load(&r->files, r->t, &r->f, r->f.pcfile);
	if (e == 0)
		e = values_load(&r->lines, r->t, &r->f, r->f.pcln);
	if (e == 0)
		e = values_load(&r->calls, r->t, &r->f, r->tree ? calls_table(r) : 0);
	return e;
}

static size_t expand(const struct reader *r, uint64_t vaddr, struct gopclntab_frame *ret)
{
	uint64_t offset = vaddr - r->f.entry;
	size_t n = 0;

	for (;;) {
		struct gopclntab_frame *f = &ret[n++];
		const char *name = NULL;
		struct call call;

		*f = (struct gopclntab_frame){
			.file = gopclntab_file(r->t, &r->f, values_get(&r->files, offset)),
			.line = (uint32_t)MAX(values_get(&r->lines, offset), 0),
		};
		if (n < GOPCLNTAB_FRAMES_MAX && call_read(r, values_get(&r->calls, offset), &call))
			name = gopclntab_string(&r->t->names, call.name);
		if (!name)
			break;
		f->name = name;
		f->start_line = call.start_line;
		offset = call.parent_pc;
	}
	ret[n - 1].name = r->f.name;
	ret[n - 1].start_line = r->f.start_line;
	if (!r->f.start_line && r->lines.n)
		ret[n - 1].start_line = (uint32_t)MAX(r->lines.v[0].v, 0);
	return n;
}

int gopclntab_expand(const struct gopclntab *t, const uint64_t *vaddrs, size_t n, gopclntab_fn fn,
		     void *data)
{
	struct gopclntab_frame frames[GOPCLNTAB_FRAMES_MAX];
	struct reader r = {.t = t};
	int e = choose_layout(&r);

	for (size_t i = 0; i < n && e != -ENOMEM; i++) {
		e = function_load(&r, vaddrs[i]);
		if (e == 0)
			fn(data, i, frames, expand(&r, vaddrs[i], frames));
	}
	free(r.files.v);
	free(r.lines.v);
	free(r.calls.v);
	return e == -ENOMEM ? e : 0;
}
