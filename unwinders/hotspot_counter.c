/* SPDX-License-Identifier: Apache-2.0 */
/* Sources: PerfDataPrologue, PerfDataEntry in perfMemory.hpp of OpenJDK 8u504, 17.0.19 and 26. */
#include "unwinders/hotspot_counter.h"

#include <string.h>

#include "unwinders/target_memory.h"

#define COUNTERS_MAX_BYTES (256u << 10) /* 32 KiB unless somebody tunes PerfDataMemorySize */
#define COUNTERS_MAX	   4096

struct prologue {
	uint8_t magic[4];
	uint8_t byte_order, major, minor, accessible;
	uint32_t used, overflow;
	uint64_t modified;
	uint32_t first, n;
};

struct entry {
	uint32_t bytes, name, vector;
	uint8_t type, flags, unit, variability;
	uint32_t data;
};

/* The entry `at` offset: where its value lies, 0 when it is another one. */
static uint64_t value_of(const uint8_t *bytes, size_t n, size_t at, const struct entry *e,
			 const char *name)
{
	size_t length = strlen(name) + 1;

	if (e->name > e->bytes || length > e->bytes - e->name ||
	    memcmp(bytes + at + e->name, name, length) != 0 || e->type != 'J' || e->vector ||
	    e->data > e->bytes || e->bytes - e->data < 8)
		return 0;
	return at + e->data;
}

uint64_t hotspot_counter(struct target_memory *m, uint64_t start, const char *name)
{
	static const uint8_t magic[4] = {0xca, 0xfe, 0xc0, 0xc0};
	_cleanup_free_ uint8_t *bytes = NULL;
	struct prologue p;
	struct entry e;
	size_t at, n;

	if (!start || target_read(m, start, &p, sizeof(p)) < 0 ||
	    memcmp(p.magic, magic, sizeof(magic)) != 0 || p.used > COUNTERS_MAX_BYTES)
		return 0;
	n = p.used;
	bytes = malloc(n ?: 1);
	if (!bytes || target_read(m, start, bytes, n) < 0)
		return 0;
	at = p.first;
	for (uint32_t i = 0; i < MIN(p.n, COUNTERS_MAX); i++) {
		uint64_t value;

		if (at > n || n - at < sizeof(e))
			return 0;
		memcpy(&e, bytes + at, sizeof(e));
		if (e.bytes < sizeof(e) || e.bytes > n - at)
			return 0;
		value = value_of(bytes, n, at, &e, name);
		if (value)
			return start + value;
		at += e.bytes;
	}
	return 0;
}
