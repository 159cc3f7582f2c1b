/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/filekey.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/cursor.h"
#include "agent/base/hash.h"
#include "symbolizer/table.h"

#define BLOCK_BYTES	   8192
#define SEGMENTS_MAX	   128
#define SECTIONS_MAX	   128
#define NOTE_SEGMENTS_MAX  8
#define BUILD_ID_BYTES_MAX 64

struct scan {
	int fd;
	uint64_t hash;
	uint8_t id[BUILD_ID_BYTES_MAX];
	size_t id_bytes;
	uint8_t block[BLOCK_BYTES];
};

/* At most one block; what lies past the end of the file is not there. */
static ssize_t read_block(struct scan *s, uint64_t offset, uint64_t bytes)
{
	ssize_t n;

	if (offset > INT64_MAX - BLOCK_BYTES)
		return 0;
	do {
		n = pread(s->fd, s->block, MIN(bytes, BLOCK_BYTES), (off_t)offset);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static void hash_block(struct scan *s, ssize_t n)
{
	s->hash = hash_mix(s->hash ^ hash_bytes(s->block, (size_t)n));
}

/* ELF gABI "Note Section": namesz, descsz, type, name and desc padded to the segment's alignment.
 * The build id is the note of type NT_GNU_BUILD_ID by "GNU" (binutils, ld --build-id). */
static void scan_notes(struct scan *s, size_t bytes, uint64_t align)
{
	struct cursor c = cursor_of(s->block, bytes);

	align = align == 8 ? 8 : 4;
	while (cursor_left(&c) >= sizeof(Elf64_Nhdr)) {
		const uint32_t name_bytes = cursor_u32(&c), desc_bytes = cursor_u32(&c);
		const uint32_t type = cursor_u32(&c);
		const uint8_t *name = cursor_bytes(&c, name_bytes), *desc;

		/* Paddings are relative to the start of the segment, which is aligned. */
		cursor_skip(&c, -(uintptr_t)(c.p - s->block) % align);
		desc = cursor_bytes(&c, desc_bytes);
		if (!name || !desc)
			return;
		if (type == NT_GNU_BUILD_ID && name_bytes == sizeof(ELF_NOTE_GNU) &&
		    !memcmp(name, ELF_NOTE_GNU, sizeof(ELF_NOTE_GNU)) && desc_bytes > 0 &&
		    desc_bytes <= sizeof(s->id)) {
			memcpy(s->id, desc, desc_bytes);
			s->id_bytes = desc_bytes;
			return;
		}
		cursor_skip(&c, -(uintptr_t)(c.p - s->block) % align);
	}
}

static int scan_segments(struct scan *s, const Elf64_Ehdr *e)
{
	Elf64_Phdr notes[NOTE_SEGMENTS_MAX];
	size_t n = MIN(e->e_phnum, SEGMENTS_MAX), n_notes = 0;
	ssize_t got;

	if (e->e_phentsize != sizeof(Elf64_Phdr))
		return 0;
	got = read_block(s, e->e_phoff, n * sizeof(Elf64_Phdr));
	if (got < 0)
		return (int)got;
	hash_block(s, got);
	n = (size_t)got / sizeof(Elf64_Phdr);
	for (size_t i = 0; i < n && n_notes < ARRAY_SIZE(notes); i++) {
		memcpy(&notes[n_notes], s->block + i * sizeof(Elf64_Phdr), sizeof(Elf64_Phdr));
		n_notes += notes[n_notes].p_type == PT_NOTE;
	}
	for (size_t i = 0; i < n_notes && !s->id_bytes; i++) {
		got = read_block(s, notes[i].p_offset, notes[i].p_filesz);
		if (got < 0)
			return (int)got;
		scan_notes(s, (size_t)got, notes[i].p_align);
	}
	return 0;
}

/* Files for debuggers alone (dwz's) have notes in sections and no segments. The headers are in
 * s->block. */
static int scan_sections(struct scan *s, size_t n)
{
	Elf64_Shdr notes[NOTE_SEGMENTS_MAX];
	size_t n_notes = 0;

	for (size_t i = 0; i < n && n_notes < ARRAY_SIZE(notes); i++) {
		memcpy(&notes[n_notes], s->block + i * sizeof(Elf64_Shdr), sizeof(Elf64_Shdr));
		n_notes += notes[n_notes].sh_type == SHT_NOTE;
	}
	for (size_t i = 0; i < n_notes && !s->id_bytes; i++) {
		ssize_t got = read_block(s, notes[i].sh_offset, notes[i].sh_size);

		if (got < 0)
			return (int)got;
		scan_notes(s, (size_t)got, notes[i].sh_addralign);
	}
	return 0;
}

static int scan_file(struct scan *s)
{
	Elf64_Ehdr e;
	ssize_t got = read_block(s, 0, sizeof(e));
	int r;

	if (got < 0)
		return (int)got;
	if (got < EI_NIDENT || memcmp(s->block, ELFMAG, SELFMAG))
		return -EBADMSG;
	if (s->block[EI_CLASS] == ELFCLASS32 || s->block[EI_DATA] == ELFDATA2MSB)
		return -EOPNOTSUPP;
	if (got < (ssize_t)sizeof(e))
		return -EBADMSG;
	memcpy(&e, s->block, sizeof(e));
	hash_block(s, got);
	r = scan_segments(s, &e);
	if (r < 0)
		return r;
	/* The section headers tell a stripped file from a full one of the same size. */
	got = read_block(s, e.e_shoff, MIN(e.e_shnum, SECTIONS_MAX) * sizeof(Elf64_Shdr));
	if (got < 0)
		return (int)got;
	hash_block(s, got);
	return s->id_bytes ? 0 : scan_sections(s, (size_t)got / sizeof(Elf64_Shdr));
}

int filekey_read(int fd, struct filekey *ret)
{
	struct scan s = {.fd = fd};
	char id[2 * BUILD_ID_BYTES_MAX + 1] = "none";
	struct statx st;
	int r;

	/* Not asking a network file system anew keeps the agent from waiting for its server. */
	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &st) < 0)
		return -errno;
	if (!S_ISREG(st.stx_mode))
		return -EBADMSG;
	r = scan_file(&s);
	if (r < 0)
		return r;
	for (size_t i = 0; i < s.id_bytes; i++)
		(void)snprintf(id + 2 * i, 3, "%02x", s.id[i]);
	*ret = (struct filekey){.build_id_bytes = s.id_bytes};
	memcpy(ret->build_id, s.id, s.id_bytes);
	if (!s.id_bytes) {
		const uint64_t when[] = {(uint64_t)st.stx_mtime.tv_sec, st.stx_mtime.tv_nsec};

		s.hash = hash_mix(s.hash ^ hash_bytes(when, sizeof(when)));
	}
	(void)snprintf(ret->name, sizeof(ret->name), "%s-%llx-%016llx-%x-v%u", id,
		       (unsigned long long)st.stx_size, (unsigned long long)s.hash, st.stx_uid,
		       TABLE_VERSION);
	return 0;
}

void filekey_set_kind(struct filekey *k, unsigned int kind)
{
	size_t n = strlen(k->name);

	(void)snprintf(k->name + n, sizeof(k->name) - n, "-%u", kind);
}
