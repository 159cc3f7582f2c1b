/* SPDX-License-Identifier: Apache-2.0 */
/* The counters of a JVM that is none: any memory. */
#include <errno.h>
#include <string.h>

#include "unwinders/hotspot_counter.h"
#include "unwinders/target_memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define START 0x1000

struct input {
	const uint8_t *data;
	size_t size;
};

static int read_input(void *data, uint64_t addr, void *to, size_t n)
{
	const struct input *in = data;

	if (addr < START || addr - START > in->size || n > in->size - (addr - START))
		return -EFAULT;
	memcpy(to, in->data + (addr - START), n);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct target_memory m = {.read = read_input, .data = &in, .budget = 1u << 20};
	uint64_t at = hotspot_counter(&m, START, "java.cls.unloadedClasses");

	if (at && (at < START || at - START > size || size - (at - START) < 8))
		abort();
	return 0;
}
