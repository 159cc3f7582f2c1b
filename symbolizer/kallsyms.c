/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads and packs /proc/kallsyms. Lines are "address type name[\t[module]]" (kernel/kallsyms.c,
 * s_show(), Linux 5.10 to 7.2). Functions have no size there: one reaches to the next, but not
 * further than a mebibyte.
 */
#include "symbolizer/kallsyms.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/hash.h"
#include "symbolizer/kallsyms_watch.h"

#define LINE_BYTES_MAX	   1024 /* KSYM_NAME_LEN is 512 from 6.1 on */
#define SYMBOLS_MAX	   (1u << 22)
#define TEXT_BYTES_MAX	   (256u << 20)
#define FUNCTION_BYTES_MAX (1u << 20)
#define NAMES_STRIDE	   16
#define REREAD_MS	   10000u
#define REREAD_MAX_MS	   600000u
#define FAR_BYTES	   65536u
#define NO_MODULE	   0

/* Addresses within 4 GiB of the first. Kernel and modules are one; some JITs make another. */
struct region {
	uint64_t base;
	uint32_t first; /* index of its first function */
};

struct module_run {
	uint32_t first;	 /* index of the first function of the run */
	uint32_t module; /* offset in names */
};

struct packed {
	size_t n;
	struct buf starts;  /* u32: from the region's base */
	struct buf names;   /* modules, then the functions in order, each with a NUL; 0 is "" */
	struct buf offsets; /* u32: in names, of every 16th function */
	struct buf regions; /* struct region */
	struct buf runs;    /* struct module_run */
};

struct kallsyms {
	struct packed core;    /* of the kernel itself: as long as it runs */
	struct packed others;  /* of modules, BPF programs, trampolines: read again */
	uint64_t modules, bpf; /* see kallsyms_watch.h */
	uint64_t missed_addr;  /* 0: none since the last read */
	bool dynamic_hit;      /* since the last read, in code that comes and goes */
	uint64_t read_ms, checked_ms;
	uint64_t interval_ms; /* between reads that misses or BPF cause */
};

/* ---- collecting lines ---- */

struct raw {
	uint64_t addr;
	uint32_t name; /* offsets in text */
	uint32_t module;
	char type;
};

struct collector {
	struct buf raws;
	struct buf text; /* names and modules with NULs; 0 is "" */
	uint32_t module; /* of the line before: modules come in runs */
};

struct reading {
	struct collector core, others;
	bool no_core; /* it is known */
	bool zero;    /* an address was hidden */
};

static void collector_init(struct collector *c)
{
	*c = (struct collector){
		.raws = BUF_INIT((size_t)SYMBOLS_MAX * sizeof(struct raw)),
		.text = BUF_INIT(TEXT_BYTES_MAX),
	};
	buf_add_u8(&c->text, 0);
}

static void collector_done(struct collector *c)
{
	buf_done(&c->raws);
	buf_done(&c->text);
}

static void reading_init(struct reading *r, bool no_core)
{
	*r = (struct reading){.no_core = no_core};
	collector_init(&r->core);
	collector_init(&r->others);
}

static void reading_done(struct reading *r)
{
	collector_done(&r->core);
	collector_done(&r->others);
}

static const char *text_at(const struct collector *c, uint32_t offset)
{
	return (const char *)c->text.data + offset;
}

static uint32_t add_text(struct collector *c, const char *s, size_t n)
{
	uint32_t at = (uint32_t)c->text.len;

	buf_add(&c->text, s, n);
	buf_add_u8(&c->text, 0);
	return at;
}

/* Hexadecimal digits up to a space; false for anything else. */
static bool take_address(const char **p, const char *end, uint64_t *ret)
{
	const char *s = *p;
	uint64_t v = 0;

	for (; s < end && *s != ' '; s++) {
		int digit = *s >= '0' && *s <= '9'   ? *s - '0'
			    : *s >= 'a' && *s <= 'f' ? *s - 'a' + 10
						     : -1;

		if (digit < 0 || s - *p >= 16)
			return false;
		v = v << 4 | (unsigned int)digit;
	}
	if (s == *p || s == end)
		return false;
	*p = s + 1;
	*ret = v;
	return true;
}

static uint32_t take_module(struct collector *c, const char *p, const char *end)
{
	size_t n;

	if (end - p < 3 || *p != '[' || !memchr(p, ']', (size_t)(end - p)))
		return NO_MODULE;
	p++;
	n = (size_t)((const char *)memchr(p, ']', (size_t)(end - p)) - p);
	if (c->text.failed)
		return NO_MODULE;
	if (c->module && strlen(text_at(c, c->module)) == n && !memcmp(text_at(c, c->module), p, n))
		return c->module;
	c->module = add_text(c, p, n);
	return c->module;
}

static void collect_line(struct reading *r, const char *p, const char *end)
{
	struct collector *c;
	struct raw raw = {0};
	const char *name, *tab;

	if (!take_address(&p, end, &raw.addr) || end - p < 3 || p[1] != ' ')
		return;
	raw.type = p[0];
	name = p + 2;
	/* Types of nm(1): text, local and global, and weak. */
	if (!memchr("tTwW", raw.type, 4))
		return;
	if (!raw.addr) {
		r->zero = true;
		return;
	}
	tab = memchr(name, '\t', (size_t)(end - name));
	/* Mapping symbols of arm64 and labels of assemblers are no functions. */
	if (name[0] == '$' || (name[0] == '.' && name[1] == 'L') || tab == name ||
	    memchr(name, 0, (size_t)(end - name)))
		return;
	if (!tab && r->no_core)
		return;
	c = tab ? &r->others : &r->core;
	if (tab)
		raw.module = take_module(c, tab + 1, end);
	raw.name = add_text(c, name, (size_t)((tab ? tab : end) - name));
	buf_add(&c->raws, &raw, sizeof(raw));
}

/* Takes the complete lines of text; returns how many bytes these were. */
static size_t collect_text(struct reading *r, const char *text, size_t bytes)
{
	const char *p = text, *end = text + bytes, *nl;

	while ((nl = memchr(p, '\n', (size_t)(end - p)))) {
		if (nl - p <= LINE_BYTES_MAX)
			collect_line(r, p, nl);
		p = nl + 1;
	}
	return (size_t)(p - text);
}

/* ---- packing ---- */

static uint32_t underscores(const char *s)
{
	return (uint32_t)strspn(s, "_");
}

/* Marks that the linker script sets, where there may be a function too. */
static bool is_mark(const char *s)
{
	size_t n = strlen(s);

	return (n > 6 && !strcmp(s + n - 6, "_start")) || (n > 4 && !strcmp(s + n - 4, "_end"));
}

/* By address, then the name a person would choose first. */
static int raw_compare(const void *a, const void *b, void *data)
{
	const struct raw *x = a, *y = b;
	const struct collector *c = data;
	const char *nx, *ny;
	uint32_t ux, uy;
	bool gx, gy;

	if (x->addr != y->addr)
		return x->addr < y->addr ? -1 : 1;
	nx = text_at(c, x->name);
	ny = text_at(c, y->name);
	gx = is_mark(nx);
	gy = is_mark(ny);
	if (gx != gy)
		return gx ? 1 : -1;
	gx = x->type != 't';
	gy = y->type != 't';
	if (gx != gy)
		return gx ? -1 : 1;
	ux = underscores(nx);
	uy = underscores(ny);
	if (ux != uy)
		return ux < uy ? -1 : 1;
	if (strlen(nx) != strlen(ny))
		return strlen(nx) < strlen(ny) ? -1 : 1;
	return strcmp(nx, ny);
}

static void packed_done(struct packed *p)
{
	buf_done(&p->starts);
	buf_done(&p->names);
	buf_done(&p->offsets);
	buf_done(&p->regions);
	buf_done(&p->runs);
}

static void packed_init(struct packed *p)
{
	*p = (struct packed){
		.starts = BUF_INIT((size_t)SYMBOLS_MAX * 4),
		.names = BUF_INIT(TEXT_BYTES_MAX),
		.offsets = BUF_INIT((size_t)SYMBOLS_MAX * 4),
		.regions = BUF_INIT(1u << 20),
		.runs = BUF_INIT((size_t)SYMBOLS_MAX * sizeof(struct module_run)),
	};
	buf_add_u8(&p->names, 0);
}

struct packer {
	struct packed *p;
	const struct collector *c;
	struct hash modules; /* offset in c->text -> offset in p->names */
	uint64_t base;
	uint64_t addr;	 /* of the function before */
	uint32_t module; /* offset in c->text */
};

static void pack_place(struct packer *k, const struct raw *raw)
{
	struct packed *p = k->p;
	uint32_t first = (uint32_t)p->n, start;

	if (!p->n || raw->addr - k->base > UINT32_MAX) {
		struct region region = {.base = raw->addr, .first = first};

		buf_add(&p->regions, &region, sizeof(region));
		k->base = raw->addr;
	}
	start = (uint32_t)(raw->addr - k->base);
	buf_add(&p->starts, &start, sizeof(start));
}

/* First pass over the functions: places and modules (whose names come before all others). */
static int pack_module(struct packer *k, const struct raw *raw)
{
	struct packed *p = k->p;
	struct module_run run = {.first = (uint32_t)p->n};
	uint64_t at = NO_MODULE;

	if (p->n && raw->module == k->module)
		return 0;
	k->module = raw->module;
	if (raw->module) {
		const char *name = text_at(k->c, raw->module);

		at = hash_get(&k->modules, raw->module);
		if (at == HASH_NONE) {
			at = p->names.len;
			buf_add(&p->names, name, strlen(name) + 1);
			if (hash_put(&k->modules, raw->module, at) < 0)
				return -ENOMEM;
		}
	}
	run.module = (uint32_t)at;
	buf_add(&p->runs, &run, sizeof(run));
	return 0;
}

static int pack_all(struct packer *k)
{
	const struct raw *raws = (const struct raw *)k->c->raws.data;
	size_t n = k->c->raws.len / sizeof(*raws);
	struct packed *p = k->p;
	size_t done = 0;
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		if (i && raws[i].addr == raws[i - 1].addr)
			continue;
		pack_place(k, &raws[i]);
		r = pack_module(k, &raws[i]);
		p->n++;
	}
	for (size_t i = 0; i < n && r == 0; i++) {
		const char *name = text_at(k->c, raws[i].name);
		uint32_t at = (uint32_t)p->names.len;

		if (i && raws[i].addr == raws[i - 1].addr)
			continue;
		if (done++ % NAMES_STRIDE == 0)
			buf_add(&p->offsets, &at, sizeof(at));
		buf_add(&p->names, name, strlen(name) + 1);
	}
	if (r < 0)
		return r;
	if (p->starts.failed || p->names.failed || p->offsets.failed || p->regions.failed ||
	    p->runs.failed)
		return -E2BIG;
	return 0;
}

/* Buffers grow by doubling; what is kept for good gives the rest back. */
static void trim(struct buf *b)
{
	uint8_t *p = b->len ? realloc(b->data, b->len) : NULL;

	if (p) {
		b->data = p;
		b->cap = b->len;
	}
}

static int collector_pack(struct collector *c, struct packed *ret)
{
	struct packer k = {.c = c};
	struct packed p;
	int r;

	if (c->raws.failed || c->text.failed)
		return c->raws.failed ? c->raws.failed : c->text.failed;
	if (!c->raws.len) {
		*ret = (struct packed){0};
		return 0;
	}
	qsort_r(c->raws.data, c->raws.len / sizeof(struct raw), sizeof(struct raw), raw_compare, c);
	packed_init(&p);
	k.p = &p;
	r = pack_all(&k);
	hash_done(&k.modules);
	if (r < 0) {
		packed_done(&p);
		return r;
	}
	trim(&p.starts);
	trim(&p.names);
	trim(&p.offsets);
	trim(&p.regions);
	trim(&p.runs);
	*ret = p;
	return 0;
}

/* ---- reading ---- */

static int collect_file(struct reading *r, const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_free_ char *chunk = malloc(1u << 16);
	size_t have = 0;

	if (fd < 0)
		return -errno;
	if (!chunk)
		return -ENOMEM;
	for (;;) {
		ssize_t n = read(fd, chunk + have, (1u << 16) - have);
		size_t used;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return 0;
		have += (size_t)n;
		used = collect_text(r, chunk, have);
		/* A line that fills the whole buffer is none of the kernel's. */
		if (!used && have == 1u << 16)
			used = have;
		memmove(chunk, chunk + used, have - used);
		have -= used;
	}
}

/* Replaces what was read. */
static int take(struct kallsyms *k, struct reading *r)
{
	struct packed core = {0}, others = {0};
	int e;

	if (!r->core.raws.len && !r->others.raws.len && (r->zero || !r->no_core))
		return r->zero ? -EPERM : -ENODATA;
	e = collector_pack(&r->core, &core);
	/* It is large: not longer than it is needed. */
	collector_done(&r->core);
	if (e == 0)
		e = collector_pack(&r->others, &others);
	if (e < 0) {
		packed_done(&core);
		return e;
	}
	if (!r->no_core) {
		packed_done(&k->core);
		k->core = core;
	}
	packed_done(&k->others);
	k->others = others;
	return 0;
}

static int load(struct kallsyms *k, bool no_core)
{
	struct reading reading;
	int r;

	reading_init(&reading, no_core);
	r = collect_file(&reading, "/proc/kallsyms");
	if (r == 0)
		r = take(k, &reading);
	reading_done(&reading);
	return r;
}

int kallsyms_load(struct kallsyms **ret)
{
	_cleanup_(kallsyms_freep) struct kallsyms *k = calloc(1, sizeof(*k));
	int r;

	if (!k)
		return -ENOMEM;
	k->interval_ms = REREAD_MS;
	k->modules = kallsyms_modules();
	k->bpf = kallsyms_bpf();
	r = load(k, false);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(k);
	return 0;
}

int kallsyms_parse(const char *text, size_t bytes, struct kallsyms **ret)
{
	_cleanup_(kallsyms_freep) struct kallsyms *k = calloc(1, sizeof(*k));
	struct reading reading;
	int r;

	if (!k)
		return -ENOMEM;
	k->interval_ms = REREAD_MS;
	reading_init(&reading, false);
	(void)collect_text(&reading, text, bytes);
	r = take(k, &reading);
	reading_done(&reading);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(k);
	return 0;
}

struct kallsyms *kallsyms_free(struct kallsyms *k)
{
	if (k) {
		packed_done(&k->core);
		packed_done(&k->others);
	}
	free(k);
	return NULL;
}

/* ---- lookup ---- */

/* The last region whose base is at or before addr; NULL when it is before all. */
static const struct region *find_region(const struct packed *p, uint64_t addr, uint32_t *ret_end)
{
	const struct region *v = (const struct region *)p->regions.data;
	size_t n = p->regions.len / sizeof(*v), i = 0;

	while (i < n && v[i].base <= addr)
		i++;
	if (!i)
		return NULL;
	*ret_end = i < n ? v[i].first : (uint32_t)p->n;
	return &v[i - 1];
}

static const char *name_of(const struct packed *p, uint32_t i)
{
	const uint32_t *offsets = (const uint32_t *)p->offsets.data;
	const char *s = (const char *)p->names.data + offsets[i / NAMES_STRIDE];

	for (uint32_t k = i % NAMES_STRIDE; k; k--)
		s += strlen(s) + 1;
	return s;
}

static const char *module_of(const struct packed *p, uint32_t i)
{
	const struct module_run *v = (const struct module_run *)p->runs.data;
	size_t at = PARTITION_POINT(mid, 0, p->runs.len / sizeof(*v), v[mid].first <= i);

	return (const char *)p->names.data + (at ? v[at - 1].module : NO_MODULE);
}

static bool packed_find(const struct packed *p, uint64_t addr, uint32_t *ret_index,
			uint64_t *ret_start)
{
	const uint32_t *starts = (const uint32_t *)p->starts.data;
	const struct region *region;
	uint32_t end;
	size_t at;

	region = find_region(p, addr, &end);
	if (!region)
		return false;
	at = PARTITION_POINT(mid, region->first, end, region->base + starts[mid] <= addr);
	*ret_start = region->base + starts[at - 1];
	*ret_index = (uint32_t)at - 1;
	return addr - *ret_start < FUNCTION_BYTES_MAX;
}

/* The function that begins last before the address. NULL: none. */
static const struct packed *find(const struct kallsyms *k, uint64_t addr, uint32_t *ret_index,
				 uint64_t *ret_start)
{
	uint32_t i;
	uint64_t start;
	bool core = packed_find(&k->core, addr, ret_index, ret_start);

	if (!packed_find(&k->others, addr, &i, &start) || (core && start <= *ret_start))
		return core ? &k->core : NULL;
	*ret_index = i;
	*ret_start = start;
	return &k->others;
}

/*
 * Programs and trampolines take each other's place, and have no size: what is new there is taken
 * for what lies before it. So is what is far behind a function.
 */
static bool is_dynamic(const struct kallsyms_hit *hit)
{
	return !strcmp(hit->module, "bpf") || !strncmp(hit->module, "__builtin__", 11) ||
	       hit->offset > FAR_BYTES;
}

int kallsyms_lookup(struct kallsyms *k, uint64_t addr, struct kallsyms_hit *ret)
{
	const struct packed *p;
	uint64_t start;
	uint32_t i;

	p = find(k, addr, &i, &start);
	if (!p) {
		k->missed_addr = addr;
		return -ENOENT;
	}
	*ret = (struct kallsyms_hit){
		.name = name_of(p, i),
		.module = module_of(p, i),
		.start = start,
		.offset = addr - start,
	};
	if (is_dynamic(ret))
		k->dynamic_hit = true;
	return 0;
}

/* -1: no need to read; 0: modules tell to; 1: misses or BPF, which may ask for nothing. */
static int refresh_due(struct kallsyms *k, uint64_t now_ms)
{
	uint64_t age = now_ms - k->read_ms;

	if (k->missed_addr && age >= k->interval_ms)
		return 1;
	if (k->dynamic_hit && age >= REREAD_MAX_MS)
		return 1;
	if (now_ms - k->checked_ms < REREAD_MS)
		return -1;
	k->checked_ms = now_ms;
	if (kallsyms_modules() != k->modules)
		return 0;
	/* Where nobody is ever seen in it, BPF may come and go. */
	return (k->dynamic_hit || age >= k->interval_ms) && kallsyms_bpf() != k->bpf ? 1 : -1;
}

int kallsyms_refresh(struct kallsyms *k, uint64_t now_ms)
{
	uint64_t start;
	uint32_t i;
	bool helped;
	int due;

	if (!k->read_ms)
		k->read_ms = k->checked_ms = now_ms;
	due = refresh_due(k, now_ms);
	if (due < 0)
		return 0;
	k->read_ms = now_ms;
	k->modules = kallsyms_modules();
	k->bpf = kallsyms_bpf();
	if (load(k, true) < 0)
		return 0;
	/* Reading costs the kernel some 100 ms: do not go on when it does not help. */
	helped = k->missed_addr ? find(k, k->missed_addr, &i, &start) != NULL
				: due == 0 || k->dynamic_hit;
	k->interval_ms = helped ? REREAD_MS : MIN(k->interval_ms * 2, (uint64_t)REREAD_MAX_MS);
	k->missed_addr = 0;
	k->dynamic_hit = false;
	return 1;
}

size_t kallsyms_count(const struct kallsyms *k)
{
	return k->core.n + k->others.n;
}

static size_t packed_bytes(const struct packed *p)
{
	return p->starts.cap + p->names.cap + p->offsets.cap + p->regions.cap + p->runs.cap;
}

size_t kallsyms_bytes(const struct kallsyms *k)
{
	return sizeof(*k) + packed_bytes(&k->core) + packed_bytes(&k->others);
}
