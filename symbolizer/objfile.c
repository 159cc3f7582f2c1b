/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ELF reader: headers, segments, sections (decompressed on demand) and the build id of a
 * 64-bit little-endian file. Layouts are those of the System V gABI as <elf.h> has them. It reads
 * the file through a mapping: a file that somebody truncates meanwhile kills the process with
 * SIGBUS, which is why it runs in a child.
 */
#include "symbolizer/objfile.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <zlib.h>
#include <zstd.h>

#include "agent/base/cursor.h"
#include "symbolizer/debuglink.h"
#include "symbolizer/table.h"

#define NAME_BYTES_MAX	     255
#define SEGMENTS_MAX	     128
#define SECTIONS_MAX	     (1u << 20)
#define DECOMPRESS_BYTES_MAX (UINT64_C(256) << 20) /* of all sections of one file */
#define BUILD_ID_BYTES_MAX   64

struct objfile {
	const uint8_t *data; /* a mapping of our own when `mapped`, else borrowed */
	size_t bytes;
	bool mapped;
	Elf64_Ehdr head;
	struct objfile_segment *segments;
	size_t n_segments;
	const uint8_t *shdrs; /* n_sections headers of sizeof(Elf64_Shdr), maybe misaligned */
	size_t n_sections;
	const char *names;
	size_t names_bytes;
	struct plain {
		uint8_t *data;
		uint64_t size;
		bool stored;
	} * plain; /* by section index: decompressed bytes; NULL before the first one */
	uint64_t plain_bytes, stored_bytes;
	const struct objfile_store *store; /* borrowed, NULL: none */
};

/* ---- opening ---- */

static const uint8_t *file_range(const struct objfile *o, uint64_t offset, uint64_t bytes)
{
	if (offset > o->bytes || bytes > o->bytes - offset)
		return NULL;
	return o->data + offset;
}

static bool shdr_read(const struct objfile *o, size_t index, Elf64_Shdr *ret)
{
	if (index >= o->n_sections)
		return false;
	memcpy(ret, o->shdrs + index * sizeof(*ret), sizeof(*ret));
	return true;
}

/* Section headers are optional: whatever is wrong with them means there are none. */
static void sections_init(struct objfile *o)
{
	uint64_t n = o->head.e_shnum, names = o->head.e_shstrndx;
	Elf64_Shdr s;

	if (!o->head.e_shoff || o->head.e_shentsize != sizeof(s))
		return;
	o->shdrs = file_range(o, o->head.e_shoff, sizeof(s));
	if (!o->shdrs)
		return;
	/* gABI: what does not fit the header's 16 bits is in section 0. */
	o->n_sections = 1;
	(void)shdr_read(o, 0, &s);
	if (!n)
		n = s.sh_size;
	if (names == SHN_XINDEX)
		names = s.sh_link;
	n = MIN(n, (o->bytes - o->head.e_shoff) / sizeof(s));
	o->n_sections = MIN(n, SECTIONS_MAX);
	if (shdr_read(o, names, &s) && s.sh_type == SHT_STRTAB) {
		o->names = (const char *)file_range(o, s.sh_offset, s.sh_size);
		o->names_bytes = o->names ? s.sh_size : 0;
	}
}

static void segment_read(const struct objfile *o, const uint8_t *p, struct objfile_segment *ret)
{
	Elf64_Phdr ph;

	memcpy(&ph, p, sizeof(ph));
	*ret = (struct objfile_segment){
		.offset = MIN(ph.p_offset, o->bytes),
		.vaddr = ph.p_vaddr,
		.type = ph.p_type,
		.flags = ph.p_flags,
	};
	/* Never past the end of the file nor of the address space; a cut file keeps what is left.
	 */
	if (ph.p_offset <= o->bytes)
		ret->filesz = MIN(ph.p_filesz, o->bytes - ph.p_offset);
	ret->filesz = MIN(ret->filesz, UINT64_MAX - ph.p_vaddr);
	ret->memsz = MIN(ph.p_memsz, UINT64_MAX - ph.p_vaddr);
}

static int segments_init(struct objfile *o)
{
	uint64_t n = o->head.e_phnum;
	const uint8_t *p;
	Elf64_Shdr s;

	if (n == PN_XNUM && shdr_read(o, 0, &s))
		n = s.sh_info;
	if (!n || o->head.e_phentsize != sizeof(Elf64_Phdr))
		return 0;
	if (o->head.e_phoff > o->bytes)
		return 0;
	n = MIN(n, (o->bytes - o->head.e_phoff) / sizeof(Elf64_Phdr));
	n = MIN(n, SEGMENTS_MAX);
	o->segments = calloc(n ? n : 1, sizeof(*o->segments));
	if (!o->segments)
		return -ENOMEM;
	p = o->data + o->head.e_phoff;
	for (size_t i = 0; i < n; i++)
		segment_read(o, p + i * sizeof(Elf64_Phdr), &o->segments[i]);
	o->n_segments = n;
	return 0;
}

static int objfile_init(struct objfile *o)
{
	if (o->bytes < EI_NIDENT || memcmp(o->data, ELFMAG, SELFMAG))
		return -EBADMSG;
	if (o->data[EI_CLASS] != ELFCLASS64 || o->data[EI_DATA] != ELFDATA2LSB)
		return o->data[EI_CLASS] == ELFCLASS32 || o->data[EI_DATA] == ELFDATA2MSB
			       ? -EOPNOTSUPP
			       : -EBADMSG;
	if (o->bytes < sizeof(o->head))
		return -EBADMSG;
	memcpy(&o->head, o->data, sizeof(o->head));
	sections_init(o);
	return segments_init(o);
}

int objfile_open(int fd, struct objfile **ret)
{
	_cleanup_(objfile_freep) struct objfile *o = NULL;
	struct stat st;
	void *p;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size < EI_NIDENT)
		return -EBADMSG;
	o = calloc(1, sizeof(*o));
	if (!o)
		return -ENOMEM;
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	o->data = p;
	o->bytes = (size_t)st.st_size;
	o->mapped = true;
	r = objfile_init(o);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(o);
	return 0;
}

int objfile_open_memory(const void *data, size_t bytes, struct objfile **ret)
{
	_cleanup_(objfile_freep) struct objfile *o = calloc(1, sizeof(*o));
	int r;

	if (!o)
		return -ENOMEM;
	o->data = data;
	o->bytes = bytes;
	r = objfile_init(o);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(o);
	return 0;
}

/* In the store, else in memory. */
static int plain_init(const struct objfile *o, uint64_t bytes, struct plain *ret)
{
	*ret = (struct plain){.size = bytes};
	if (o->store)
		ret->data = o->store->get(o->store->data, bytes);
	ret->stored = ret->data;
	if (!ret->data)
		ret->data = malloc(bytes ? bytes : 1);
	return ret->data ? 0 : -ENOMEM;
}

static void plain_done(const struct objfile *o, struct plain *p)
{
	if (p->stored)
		o->store->put(o->store->data, p->data);
	else
		free(p->data);
	*p = (struct plain){0};
}

struct objfile *objfile_free(struct objfile *o)
{
	if (!o)
		return NULL;
	if (o->mapped)
		munmap((void *)o->data, o->bytes);
	for (size_t i = 0; o->plain && i < o->n_sections; i++)
		plain_done(o, &o->plain[i]);
	free(o->plain);
	free(o->segments);
	free(o);
	return NULL;
}

uint16_t objfile_type(const struct objfile *o)
{
	return o->head.e_type;
}

uint16_t objfile_machine(const struct objfile *o)
{
	return o->head.e_machine;
}

uint64_t objfile_entry(const struct objfile *o)
{
	return o->head.e_entry;
}

/* ---- sections ---- */

static int inflate_zlib(const uint8_t *in, size_t in_bytes, uint8_t *out, size_t out_bytes)
{
	z_stream z = {
		.next_in = (uint8_t *)in,
		.avail_in = (uInt)in_bytes,
		.next_out = out,
		.avail_out = (uInt)out_bytes,
	};
	int r;

	/* Counts in z_stream are 32 bits; nothing bigger could fit the limit anyway. */
	if (in_bytes > UINT32_MAX || out_bytes > UINT32_MAX)
		return -E2BIG;
	if (inflateInit(&z) != Z_OK)
		return -ENOMEM;
	r = inflate(&z, Z_FINISH);
	inflateEnd(&z);
	return r == Z_STREAM_END && !z.avail_out ? 0 : -EBADMSG;
}

static int inflate_zstd(const uint8_t *in, size_t in_bytes, uint8_t *out, size_t out_bytes)
{
	size_t n = ZSTD_decompress(out, out_bytes, in, in_bytes);

	return !ZSTD_isError(n) && n == out_bytes ? 0 : -EBADMSG;
}

/* What the bytes of a compressed section begin with. */
struct packed {
	uint32_t type;	/* ELFCOMPRESS_* */
	uint64_t bytes; /* when unpacked */
	size_t header;
};

static bool is_gnu_packed(const struct objfile_section *s)
{
	return s->data && !strncmp(s->name, ".zdebug_", 8) && s->size > 12 &&
	       !memcmp(s->data, "ZLIB", 4);
}

static bool packed_read(const struct objfile_section *s, struct packed *ret)
{
	Elf64_Chdr c;

	if (is_gnu_packed(s)) {
		/* Before SHF_COMPRESSED: "ZLIB" and the size in big-endian (binutils
		 * bfd/compress.c).
		 */
		*ret = (struct packed){.type = ELFCOMPRESS_ZLIB, .header = 12};
		for (size_t i = 4; i < 12; i++)
			ret->bytes = ret->bytes << 8 | s->data[i];
		return true;
	}
	if (s->size < sizeof(c))
		return false;
	memcpy(&c, s->data, sizeof(c));
	*ret = (struct packed){.type = c.ch_type, .bytes = c.ch_size, .header = sizeof(c)};
	return true;
}

/* Replaces data and size of *s by the decompressed bytes, which stay with the objfile. */
static int section_decompress(struct objfile *o, size_t index, struct objfile_section *s)
{
	struct plain out;
	struct packed p;
	int r;

	if (!o->plain) {
		o->plain = calloc(o->n_sections, sizeof(*o->plain));
		if (!o->plain)
			return -ENOMEM;
	}
	if (o->plain[index].data)
		goto done;
	if (!packed_read(s, &p))
		return -ENOENT;
	if (p.bytes > DECOMPRESS_BYTES_MAX - o->plain_bytes)
		return -E2BIG;
	r = plain_init(o, p.bytes, &out);
	if (r < 0)
		return r;
	switch (p.type) {
	case ELFCOMPRESS_ZLIB:
		r = inflate_zlib(s->data + p.header, s->size - p.header, out.data, p.bytes);
		break;
	case 2: /* ELFCOMPRESS_ZSTD, gABI of 2022; glibc's <elf.h> has it from 2.36 */
		r = inflate_zstd(s->data + p.header, s->size - p.header, out.data, p.bytes);
		break;
	default:
		r = -ENOENT;
	}
	if (r < 0) {
		plain_done(o, &out);
		return r == -EBADMSG ? -ENOENT : r;
	}
	o->plain_bytes += p.bytes;
	o->stored_bytes += out.stored ? p.bytes : 0;
	o->plain[index] = out;
done:
	s->data = o->plain[index].data;
	s->size = o->plain[index].size;
	return 0;
}

size_t objfile_plain_bytes(const struct objfile *o)
{
	return (size_t)(o->plain_bytes - o->stored_bytes);
}

void objfile_set_store(struct objfile *o, const struct objfile_store *store)
{
	o->store = store;
}

static const char *section_name(const struct objfile *o, uint32_t offset)
{
	const char *s;

	if (offset >= o->names_bytes)
		return "";
	s = o->names + offset;
	return memchr(s, 0, MIN(o->names_bytes - offset, (size_t)NAME_BYTES_MAX + 1)) ? s : "";
}

uint32_t objfile_section_count(const struct objfile *o)
{
	return (uint32_t)o->n_sections;
}

int objfile_section_header(const struct objfile *o, uint32_t index, struct objfile_section *ret)
{
	Elf64_Shdr h;

	if (!shdr_read(o, index, &h) || h.sh_type == SHT_NULL)
		return -ENOENT;
	*ret = (struct objfile_section){
		.name = section_name(o, h.sh_name),
		.type = h.sh_type,
		.link = h.sh_link,
		.flags = h.sh_flags,
		.addr = h.sh_addr,
		.entsize = h.sh_entsize,
		.size = h.sh_size,
	};
	return 0;
}

int objfile_section_at(struct objfile *o, uint32_t index, struct objfile_section *ret)
{
	struct objfile_section s;
	Elf64_Shdr h;
	int r = objfile_section_header(o, index, &s);

	if (r < 0)
		return r;
	if (s.type != SHT_NOBITS) {
		(void)shdr_read(o, index, &h);
		s.data = file_range(o, h.sh_offset, h.sh_size);
		if (!s.data)
			return -ENOENT;
		if (s.flags & SHF_COMPRESSED || is_gnu_packed(&s))
			r = section_decompress(o, index, &s);
		if (r < 0)
			return r;
	}
	*ret = s;
	return 0;
}

int objfile_section_by_name(struct objfile *o, const char *name, struct objfile_section *ret)
{
	Elf64_Shdr h;

	for (size_t i = 0; shdr_read(o, i, &h); i++) {
		if (h.sh_type != SHT_NULL && !strcmp(section_name(o, h.sh_name), name))
			return objfile_section_at(o, (uint32_t)i, ret);
	}
	return -ENOENT;
}

int objfile_section_by_type(struct objfile *o, uint32_t type, struct objfile_section *ret)
{
	Elf64_Shdr h;

	for (size_t i = 0; shdr_read(o, i, &h); i++) {
		if (h.sh_type == type)
			return objfile_section_at(o, (uint32_t)i, ret);
	}
	return -ENOENT;
}

/* ---- segments ---- */

const struct objfile_segment *objfile_segments(const struct objfile *o, size_t *ret_n)
{
	*ret_n = o->n_segments;
	return o->segments;
}

const uint8_t *objfile_at_vaddr(const struct objfile *o, uint64_t vaddr, uint64_t bytes)
{
	for (size_t i = 0; i < o->n_segments; i++) {
		const struct objfile_segment *s = &o->segments[i];

		if (s->type == PT_LOAD && vaddr >= s->vaddr && vaddr - s->vaddr <= s->filesz &&
		    bytes <= s->filesz - (vaddr - s->vaddr))
			return o->data + s->offset + (vaddr - s->vaddr);
	}
	return NULL;
}

int objfile_offset_to_vaddr(const struct objfile *o, uint64_t offset, uint64_t *ret)
{
	for (size_t i = 0; i < o->n_segments; i++) {
		const struct objfile_segment *s = &o->segments[i];

		if (s->type == PT_LOAD && (s->flags & PF_X) && offset >= s->offset &&
		    offset - s->offset < s->filesz) {
			*ret = s->vaddr + (offset - s->offset);
			return 0;
		}
	}
	return -ENOENT;
}

int objfile_vaddr_to_offset(const struct objfile *o, uint64_t vaddr, uint64_t *ret)
{
	for (size_t i = 0; i < o->n_segments; i++) {
		const struct objfile_segment *s = &o->segments[i];

		if (s->type == PT_LOAD && (s->flags & PF_X) && vaddr >= s->vaddr &&
		    vaddr - s->vaddr < s->filesz) {
			*ret = s->offset + (vaddr - s->vaddr);
			return 0;
		}
	}
	return -ENOENT;
}

int objfile_dynamic(const struct objfile *o, int64_t tag, uint64_t *ret)
{
	for (size_t i = 0; i < o->n_segments; i++) {
		const struct objfile_segment *s = &o->segments[i];
		struct cursor c = cursor_of(o->data + s->offset, s->filesz);

		while (s->type == PT_DYNAMIC && cursor_left(&c) >= sizeof(Elf64_Dyn)) {
			int64_t t = (int64_t)cursor_u64(&c);
			uint64_t value = cursor_u64(&c);

			if (t == DT_NULL)
				break;
			if (t == tag) {
				*ret = value;
				return 0;
			}
		}
	}
	return -ENOENT;
}

/* ---- build id ---- */

/* Notes are 4-byte aligned, in PT_NOTE of 8-byte alignment too as far as GNU build ids go. */
static int notes_build_id(const uint8_t *data, size_t bytes, const uint8_t **ret, size_t *ret_bytes)
{
	struct cursor c = cursor_of(data, bytes);

	while (cursor_left(&c) >= sizeof(Elf64_Nhdr)) {
		uint32_t name_bytes = cursor_u32(&c), desc_bytes = cursor_u32(&c);
		uint32_t type = cursor_u32(&c);
		const uint8_t *name = cursor_bytes(&c, ((size_t)name_bytes + 3) & ~(size_t)3);
		const uint8_t *desc = cursor_bytes(&c, desc_bytes);

		if (!name || !desc)
			return -ENOENT;
		if (type == NT_GNU_BUILD_ID && name_bytes == sizeof(ELF_NOTE_GNU) &&
		    !memcmp(name, ELF_NOTE_GNU, name_bytes) && desc_bytes > 0 &&
		    desc_bytes <= BUILD_ID_BYTES_MAX) {
			*ret = desc;
			*ret_bytes = desc_bytes;
			return 0;
		}
		cursor_skip(&c, MIN(-desc_bytes & 3u, cursor_left(&c)));
	}
	return -ENOENT;
}

int objfile_build_id(const struct objfile *o, const uint8_t **ret, size_t *ret_bytes)
{
	Elf64_Shdr h;

	for (size_t i = 0; i < o->n_segments; i++) {
		const struct objfile_segment *s = &o->segments[i];

		if (s->type == PT_NOTE &&
		    notes_build_id(o->data + s->offset, s->filesz, ret, ret_bytes) == 0)
			return 0;
	}
	for (size_t i = 0; shdr_read(o, i, &h); i++) {
		const uint8_t *data = file_range(o, h.sh_offset, h.sh_size);

		if (h.sh_type == SHT_NOTE && data &&
		    notes_build_id(data, h.sh_size, ret, ret_bytes) == 0)
			return 0;
	}
	return -ENOENT;
}

/* ---- TABLE_INFO ---- */

int objfile_write_info(struct objfile *o, uint32_t flags, struct table_writer *w)
{
	struct buf *b = &w->sections[TABLE_INFO];
	struct table_info info;
	const uint8_t *id;
	size_t id_bytes;

	memset(&info, 0, sizeof(info)); /* padding too: equal files give equal tables */
	info.type = o->head.e_type;
	info.machine = o->head.e_machine;
	info.flags = flags;
	info.entry = o->head.e_entry;
	if (objfile_build_id(o, &id, &id_bytes) == 0) {
		memcpy(info.build_id, id, id_bytes);
		info.build_id_bytes = (uint32_t)id_bytes;
	}
	for (size_t i = 0; i < o->n_segments && info.n_segments < TABLE_INFO_SEGMENTS; i++) {
		const struct objfile_segment *s = &o->segments[i];

		if (s->type != PT_LOAD || !(s->flags & PF_X) || !s->filesz)
			continue;
		info.segments[info.n_segments].offset = s->offset;
		info.segments[info.n_segments].vaddr = s->vaddr;
		info.segments[info.n_segments].bytes = s->filesz;
		info.n_segments++;
	}
	debuglink_read(o, &info);
	buf_add(b, &info, sizeof(info));
	return b->failed;
}

const struct table_info *table_get_info(const struct table *t)
{
	size_t bytes;
	const struct table_info *info = table_section(t, TABLE_INFO, &bytes);

	if (!info || bytes < sizeof(*info) || info->n_segments > TABLE_INFO_SEGMENTS ||
	    info->build_id_bytes > sizeof(info->build_id) ||
	    info->alt_id_bytes > sizeof(info->alt_id) || info->debuglink[TABLE_LINK_BYTES - 1] ||
	    info->altlink[TABLE_LINK_BYTES - 1])
		return NULL;
	return info;
}

int table_offset_to_vaddr(const struct table *t, uint64_t offset, uint64_t *ret)
{
	const struct table_info *info = table_get_info(t);

	for (uint32_t i = 0; info && i < info->n_segments; i++) {
		uint64_t start = info->segments[i].offset;

		if (offset >= start && offset - start < info->segments[i].bytes) {
			*ret = info->segments[i].vaddr + (offset - start);
			return 0;
		}
	}
	return -ENOENT;
}
