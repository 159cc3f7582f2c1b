/* SPDX-License-Identifier: Apache-2.0 */
#include "unwinders/target_memory.h"

#include <errno.h>
#include <string.h>

int target_read(struct target_memory *m, uint64_t addr, void *to, size_t n)
{
	if (n > m->budget || m->budget - n < TARGET_READ_COST)
		return -E2BIG;
	m->budget -= n + TARGET_READ_COST;
	return m->read(m->data, addr, to, n);
}

int target_read_u64(struct target_memory *m, uint64_t addr, uint64_t *ret)
{
	return target_read(m, addr, ret, sizeof(*ret));
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
