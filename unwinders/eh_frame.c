/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries are walked in file order. CIEs are parsed once and kept by offset, because their initial
 * program must not be run again for each of the functions that share it.
 */
#include "unwinders/eh_frame.h"

#include <elf.h>
#include <errno.h>

#include "agent/base/cursor.h"
#include "agent/base/hash.h"
#include "symbolizer/objfile.h"
#include "unwinders/cfi_program.h"

/* Pointer encodings: LSB 5.0, section 10.5. */
enum {
	PE_ABSPTR = 0x00,
	PE_ULEB128 = 0x01,
	PE_UDATA2 = 0x02,
	PE_UDATA4 = 0x03,
	PE_UDATA8 = 0x04,
	PE_SLEB128 = 0x09,
	PE_SDATA2 = 0x0a,
	PE_SDATA4 = 0x0b,
	PE_SDATA8 = 0x0c,
	PE_PCREL = 0x10,
	PE_TEXTREL = 0x20,
	PE_DATAREL = 0x30,
	PE_FUNCREL = 0x40,
	PE_ALIGNED = 0x50,
	PE_INDIRECT = 0x80,
	PE_OMIT = 0xff,
};

#define CIE_MAX	     65536 /* in one section */
#define AUGMENTATION 16	   /* characters */

struct cie {
	uint64_t offset;
	bool usable;
	bool sized; /* 'z': FDEs have an augmentation length */
	uint8_t pointer_encoding;
	uint8_t segment_bytes;
	uint64_t code_align;
	int64_t data_align;
	struct cfi_row row; /* after its program */
};

struct walk {
	const struct eh_frame *e;
	const struct eh_frame_sink *sink;
	const struct cfi_machine *machine;
	uint64_t *budget;
	struct eh_frame_stats *stats;
	struct cie *cies; /* owned */
	size_t n_cies, cap_cies;
	struct hash by_offset; /* offset -> index in cies */
	const struct cie *cie; /* borrowed: of the function that is being read */
};

struct entry {
	uint64_t offset;    /* of the length field */
	uint64_t id_offset; /* of the CIE id or pointer */
	uint64_t id;
	bool is_cie;
	struct cursor body; /* after the id */
};

static void walk_done(struct walk *w)
{
	free(w->cies);
	hash_done(&w->by_offset);
}

static uint64_t vaddr_of(const struct eh_frame *e, const uint8_t *p)
{
	return e->vaddr + (uint64_t)(p - e->data);
}

static uint64_t read_format(struct cursor *c, uint8_t encoding)
{
	switch (encoding & 0x0f) {
	case PE_ABSPTR:
	case PE_UDATA8:
	case PE_SDATA8:
		return cursor_u64(c);
	case PE_ULEB128:
		return cursor_uleb128(c);
	case PE_SLEB128:
		return (uint64_t)cursor_sleb128(c);
	case PE_UDATA2:
		return cursor_u16(c);
	case PE_UDATA4:
		return cursor_u32(c);
	case PE_SDATA2:
		return (uint64_t)(int64_t)(int16_t)cursor_u16(c);
	case PE_SDATA4:
		return (uint64_t)(int64_t)(int32_t)cursor_u32(c);
	default:
		c->bad = true;
		return 0;
	}
}

/*
 * An address in a CIE or FDE. Text- and data-relative ones need a base that only the runtime
 * knows, indirect ones its memory: neither occurs for code addresses, so they are bad.
 */
static uint64_t read_pointer(const struct eh_frame *e, struct cursor *c, uint8_t encoding)
{
	uint64_t at = vaddr_of(e, c->p), v;

	if (encoding == PE_ALIGNED) {
		cursor_skip(c, -at & 7);
		return cursor_u64(c);
	}
	v = read_format(c, encoding);
	switch (encoding & 0xf0) {
	case PE_ABSPTR:
		return v;
	case PE_PCREL:
		return v + at;
	default:
		c->bad = true;
		return 0;
	}
}

/* The next length-prefixed entry. 1, 0 at the end of the section, -EAGAIN: a terminator. */
static int next_entry(const struct eh_frame *e, struct cursor *c, struct entry *ret)
{
	struct entry n = {.offset = (uint64_t)(c->p - e->data)};
	uint64_t length;
	bool wide;

	if (cursor_left(c) < 4)
		return 0;
	length = cursor_u32(c);
	if (!length)
		return e->open_ended ? 0 : -EAGAIN;
	wide = length == UINT32_MAX;
	if (wide)
		length = cursor_u64(c);
	if (c->bad || length > cursor_left(c))
		return 0;
	n.body = cursor_sub(c, length);
	n.id_offset = (uint64_t)(n.body.p - e->data);
	/* In .eh_frame the id has four bytes whatever the length's size is. */
	if (wide && e->debug) {
		n.id = cursor_u64(&n.body);
		n.is_cie = n.id == UINT64_MAX;
	} else {
		n.id = cursor_u32(&n.body);
		n.is_cie = n.id == (e->debug ? UINT32_MAX : 0);
	}
	*ret = n;
	return 1;
}

/* The letters after 'z', each with its data. */
static void read_augmentation(const struct eh_frame *e, const char *letters, struct cursor *data,
			      struct cie *ret)
{
	for (; *letters && !data->bad; letters++) {
		switch (*letters) {
		case 'R':
			ret->pointer_encoding = cursor_u8(data);
			break;
		case 'L':
			(void)cursor_u8(data);
			break;
		case 'P': {
			uint8_t encoding = cursor_u8(data);

			/* The personality is not ours to follow: only its size matters. */
			if (encoding == PE_ALIGNED)
				(void)read_pointer(e, data, encoding);
			else if (encoding != PE_OMIT)
				(void)read_format(data, encoding);
			break;
		}
		case 'S':
			ret->row.signal = true;
			break;
		case 'B': /* aarch64: signed with the B key; the bits to strip are the same */
		case 'G': /* aarch64: memory tagging of the frame */
			break;
		default:
			/* Its data can not be skipped, but 'z' says where the program starts. */
			return;
		}
	}
}

static int run_initial(struct walk *w, struct cursor code, struct cie *cie)
{
	struct cfi_program p = {
		.machine = w->machine,
		.code = code,
		.code_align = cie->code_align,
		.data_align = cie->data_align,
		.budget = w->budget,
	};

	return cfi_program_run(&p, &cie->row);
}

static int parse_cie(struct walk *w, const struct entry *n, struct cie *cie)
{
	struct cursor c = n->body, data;
	uint8_t version = cursor_u8(&c);
	const char *augmentation = cursor_cstr(&c, AUGMENTATION);
	uint64_t ra;

	if (!augmentation || (version != 1 && version != 3 && version != 4))
		return -EBADMSG;
	if (version == 4) {
		if (cursor_u8(&c) != 8)
			return -EBADMSG;
		cie->segment_bytes = cursor_u8(&c);
	}
	cie->code_align = cursor_uleb128(&c);
	cie->data_align = cursor_sleb128(&c);
	ra = version == 1 ? cursor_u8(&c) : cursor_uleb128(&c);
	if (augmentation[0] == 'z') {
		cie->sized = true;
		data = cursor_sub(&c, cursor_uleb128(&c));
		read_augmentation(w->e, augmentation + 1, &data, cie);
		if (data.bad)
			return -EBADMSG;
	} else if (augmentation[0]) {
		return -EBADMSG;
	}
	if (c.bad || ra != w->machine->ra_column || cie->segment_bytes > 8)
		return -EBADMSG;
	cie->row.cfa.where = CFI_UNDEFINED;
	return run_initial(w, c, cie);
}

static int add_cie(struct walk *w, const struct cie *cie)
{
	if (w->n_cies == CIE_MAX)
		return -E2BIG;
	if (w->n_cies == w->cap_cies) {
		size_t cap = w->cap_cies ? w->cap_cies * 2 : 8;
		struct cie *p = realloc(w->cies, cap * sizeof(*p));

		if (!p)
			return -ENOMEM;
		w->cies = p;
		w->cap_cies = cap;
	}
	w->cies[w->n_cies] = *cie;
	return hash_put(&w->by_offset, cie->offset, w->n_cies++);
}

/* The CIE at an offset of the section, parsed on first use; w->cie is set. */
static int find_cie(struct walk *w, uint64_t offset)
{
	struct cie cie = {.offset = offset};
	struct entry n;
	struct cursor c;
	uint64_t i;
	int r;

	if (w->cie && w->cie->offset == offset)
		return w->cie->usable ? 0 : -EBADMSG;
	i = hash_get(&w->by_offset, offset);
	if (i == HASH_NONE) {
		if (offset >= w->e->bytes)
			return -EBADMSG;
		c = cursor_of(w->e->data + offset, w->e->bytes - offset);
		r = next_entry(w->e, &c, &n) == 1 && n.is_cie ? parse_cie(w, &n, &cie) : -EBADMSG;
		if (r < 0 && r != -EBADMSG)
			return r;
		cie.usable = r == 0;
		w->cie = NULL; /* add_cie() may move them */
		r = add_cie(w, &cie);
		if (r < 0)
			return r;
		i = w->n_cies - 1;
	}
	w->cie = &w->cies[i];
	return w->cie->usable ? 0 : -EBADMSG;
}

static uint64_t read_code_address(struct cursor *c, void *userdata)
{
	const struct walk *w = userdata;

	return read_pointer(w->e, c, w->cie->pointer_encoding);
}

static int deliver_row(uint64_t at, const struct cfi_row *row, void *userdata)
{
	const struct walk *w = userdata;

	return w->sink->row(at, row, w->sink->userdata);
}

static int walk_fde(struct walk *w, const struct entry *n)
{
	uint64_t offset = w->e->debug ? n->id : n->id_offset - n->id, start, size;
	struct cursor c = n->body;
	struct cfi_row row;
	struct cfi_program p;
	int r;

	if (!w->e->debug && n->id > n->id_offset)
		return -EBADMSG;
	r = find_cie(w, offset);
	if (r < 0)
		return r;
	cursor_skip(&c, w->cie->segment_bytes);
	start = read_pointer(w->e, &c, w->cie->pointer_encoding);
	size = read_format(&c, w->cie->pointer_encoding);
	if (w->cie->sized)
		cursor_skip(&c, cursor_uleb128(&c));
	if (c.bad || size > UINT64_MAX - start)
		return -EBADMSG;
	w->stats->functions++;
	r = size ? w->sink->function(start, start + size, w->sink->userdata) : 0;
	if (r <= 0)
		return r;
	row = w->cie->row;
	p = (struct cfi_program){
		.machine = w->machine,
		.code = c,
		.code_align = w->cie->code_align,
		.data_align = w->cie->data_align,
		.start = start,
		.end = start + size,
		.initial = &w->cie->row,
		.budget = w->budget,
		.read_address = read_code_address,
		.row = deliver_row,
		.userdata = w,
	};
	return cfi_program_run(&p, &row);
}

int eh_frame_walk(const struct eh_frame *e, const struct eh_frame_sink *sink, uint64_t *budget,
		  struct eh_frame_stats *stats)
{
	_cleanup_(walk_done) struct walk w = {
		.e = e,
		.sink = sink,
		.machine = cfi_machine(e->machine),
		.budget = budget,
		.stats = stats,
	};
	struct cursor c = cursor_of(e->data, e->bytes);
	struct entry n;
	int r;

	if (!w.machine)
		return -EOPNOTSUPP;
	while ((r = next_entry(e, &c, &n)) != 0) {
		/* A linker may leave the terminator of crtend.o in the middle of the section. */
		if (r == -EAGAIN || n.is_cie)
			continue;
		r = n.body.bad ? -EBADMSG : walk_fde(&w, &n);
		if (r == -EBADMSG)
			stats->bad++;
		else if (r < 0)
			return r;
	}
	return 0;
}

/*
 * .eh_frame_hdr: version 1, three encodings, then the pointer to .eh_frame (LSB 5.0, section
 * 10.6.2). Data-relative means relative to the header.
 */
static int find_by_header(struct objfile *o, const struct objfile_segment *h, struct eh_frame *ret)
{
	size_t n;
	const struct objfile_segment *s = objfile_segments(o, &n);
	const uint8_t *data = objfile_at_vaddr(o, h->vaddr, h->filesz);
	struct cursor c;
	uint8_t version, encoding;
	uint64_t base, v;

	if (!data)
		return -ENOENT;
	c = cursor_of(data, h->filesz);
	version = cursor_u8(&c);
	encoding = cursor_u8(&c);
	cursor_skip(&c, 2);
	base = (encoding & 0xf0) == PE_PCREL	 ? h->vaddr + 4
	       : (encoding & 0xf0) == PE_DATAREL ? h->vaddr
						 : 0;
	v = read_format(&c, encoding) + base;
	if (c.bad || version != 1 || (encoding & PE_INDIRECT))
		return -ENOENT;
	for (size_t i = 0; i < n; i++) {
		if (s[i].type != PT_LOAD || v < s[i].vaddr || v - s[i].vaddr >= s[i].filesz)
			continue;
		ret->bytes = s[i].filesz - (v - s[i].vaddr);
		ret->data = objfile_at_vaddr(o, v, ret->bytes);
		ret->vaddr = v;
		ret->open_ended = true;
		return ret->data ? 0 : -ENOENT;
	}
	return -ENOENT;
}

int eh_frame_find(struct objfile *o, struct eh_frame *ret)
{
	struct eh_frame e = {.machine = objfile_machine(o)};
	struct objfile_section s;
	const struct objfile_segment *seg;
	size_t n;
	int r;

	if (objfile_section_by_name(o, ".eh_frame", &s) == 0 && s.data && s.size) {
		e.data = s.data;
		e.bytes = s.size;
		e.vaddr = s.addr;
		*ret = e;
		return 0;
	}
	seg = objfile_segments(o, &n);
	for (size_t i = 0; i < n; i++) {
		if (seg[i].type != PT_GNU_EH_FRAME)
			continue;
		r = find_by_header(o, &seg[i], &e);
		if (r == 0)
			*ret = e;
		return r;
	}
	return -ENOENT;
}

int eh_frame_find_debug(struct objfile *o, struct eh_frame *ret)
{
	struct objfile_section s;

	if (objfile_section_by_name(o, ".debug_frame", &s) < 0 || !s.data || !s.size)
		return -ENOENT;
	*ret = (struct eh_frame){
		.data = s.data,
		.bytes = s.size,
		.machine = objfile_machine(o),
		.debug = true,
	};
	return 0;
}
