/* SPDX-License-Identifier: Apache-2.0 */
#include "unwinders/target_memory.h"

#include <errno.h>
#include <string.h>

#define SMALL_BYTES 1024 /* reads up to this one are worth a page */

void target_hold(struct target_memory *m, struct target_pages *pages, uint64_t owner)
{
	if (pages->owner != owner)
		memset(pages->numbers, 0, sizeof(pages->numbers));
	pages->owner = owner;
	m->pages = pages;
}

void target_release(struct target_memory *m)
{
	m->pages = NULL;
}

void target_forget(struct target_pages *pages)
{
	pages->owner = 0;
}

bool target_refresh(struct target_memory *m)
{
	if (!m->pages)
		return false;
	memset(m->pages->numbers, 0, sizeof(m->pages->numbers));
	return true;
}

/* A page of which any byte can be read can be read as a whole. */
static int read_page(struct target_memory *m, uint64_t number, const uint8_t **ret)
{
	struct target_pages *pages = m->pages;
	size_t i = number % TARGET_PAGES;
	int r = 0;

	if (pages->numbers[i] != number + 1) {
		pages->numbers[i] = 0;
		r = m->read(m->data, number * TARGET_PAGE_BYTES, pages->bytes[i],
			    TARGET_PAGE_BYTES);
		if (r == 0)
			pages->numbers[i] = number + 1;
	}
	*ret = pages->bytes[i];
	return r;
}

static int read_held(struct target_memory *m, uint64_t addr, uint8_t *to, size_t n)
{
	while (n) {
		size_t at = addr % TARGET_PAGE_BYTES, part = MIN(n, TARGET_PAGE_BYTES - at);
		const uint8_t *page;
		int r = read_page(m, addr / TARGET_PAGE_BYTES, &page);

		if (r < 0)
			return r;
		memcpy(to, page + at, part);
		addr += part;
		to += part;
		n -= part;
	}
	return 0;
}

static bool spend(struct target_memory *m, size_t n)
{
	if (n > m->budget || m->budget - n < TARGET_READ_COST)
		return false;
	m->budget -= n + TARGET_READ_COST;
	return true;
}

int target_read(struct target_memory *m, uint64_t addr, void *to, size_t n)
{
	if (!spend(m, n))
		return -E2BIG;
	if (m->pages && n <= SMALL_BYTES)
		return read_held(m, addr, to, n);
	return m->read(m->data, addr, to, n);
}

int target_read_fresh(struct target_memory *m, uint64_t addr, void *to, size_t n)
{
	return spend(m, n) ? m->read(m->data, addr, to, n) : -E2BIG;
}

int target_read_u64(struct target_memory *m, uint64_t addr, uint64_t *ret)
{
	return target_read(m, addr, ret, sizeof(*ret));
}

int target_read_pointer(struct target_memory *m, uint64_t addr, uint64_t *ret)
{
	int r = target_read_u64(m, addr, ret);

	return r < 0 ? r : target_is_pointer(*ret) ? 0 : -EBADMSG;
}

int target_read_u32(struct target_memory *m, uint64_t addr, uint32_t *ret)
{
	return target_read(m, addr, ret, sizeof(*ret));
}

int target_read_u16(struct target_memory *m, uint64_t addr, uint16_t *ret)
{
	return target_read(m, addr, ret, sizeof(*ret));
}

int target_read_u8(struct target_memory *m, uint64_t addr, uint8_t *ret)
{
	return target_read(m, addr, ret, sizeof(*ret));
}

#define PIECE 64

int target_read_str(struct target_memory *m, uint64_t addr, char *to, size_t room)
{
	size_t n = 0;

	/* In aligned pieces: the memory behind the end may not be there. */
	while (n + 1 < room) {
		size_t part = MIN(PIECE - (addr + n) % PIECE, room - 1 - n);
		int r = target_read(m, addr + n, to + n, part);
		const char *end;

		if (r < 0)
			return r;
		end = memchr(to + n, '\0', part);
		if (end)
			return (int)(end - to);
		n += part;
	}
	to[n] = '\0';
	return (int)n;
}
