/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of .eh_frame (first byte even) or .debug_frame (odd); the second byte's lowest bit
 * chooses the machine. Rows must be inside their function, ascend, and become rules. */
#include <elf.h>

#include "unwinders/eh_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	uint64_t start, end, at;
	bool first;
	const struct cfi_machine *machine;
};

static int on_function(uint64_t start, uint64_t end, void *userdata)
{
	struct seen *s = userdata;

	if (start >= end)
		__builtin_trap();
	*s = (struct seen){.start = start, .end = end, .first = true, .machine = s->machine};
	return 1;
}

static int on_row(uint64_t at, const struct cfi_row *row, void *userdata)
{
	struct seen *s = userdata;
	enum cfi_reason reason;

	if (at < s->start || at >= s->end || (!s->first && at <= s->at))
		__builtin_trap();
	s->first = false;
	s->at = at;
	if (RULE_KIND(cfi_rule(s->machine, row, &reason)) > RULE_RA_REG || reason >= CFI_REASON_MAX)
		__builtin_trap();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct seen s = {0};
	struct eh_frame_sink sink = {on_function, on_row, &s};
	struct eh_frame_stats stats = {0};
	uint64_t budget = 1 << 20;
	struct eh_frame e;

	if (size < 2)
		return 0;
	e = (struct eh_frame){
		.data = data + 2,
		.bytes = size - 2,
		.vaddr = data[0] & 1 ? 0 : 0x400000,
		.machine = data[1] & 1 ? EM_AARCH64 : EM_X86_64,
		.debug = data[0] & 1,
		.open_ended = data[0] & 2,
	};
	s.machine = cfi_machine(e.machine);
	(void)eh_frame_walk(&e, &sink, &budget, &stats);
	return 0;
}
