/* SPDX-License-Identifier: Apache-2.0 */
#include "unwinders/hotspot_flow.h"

#include <errno.h>

#include "unwinders/target_memory.h"
#include "unwinders/x86_insn.h"

#define BLOCK_BYTES 2048 /* more between two places that were written down is rare */
#define JUMPS_MAX   16

int64_t hotspot_flow(struct target_memory *m, uint64_t code, uint32_t at, uint32_t end)
{
	uint8_t block[BLOCK_BYTES];
	size_t n = end - at;
	struct x86_insn i;
	int r;

	if (end <= at || n > sizeof(block))
		return -ENOENT;
	r = target_read(m, code + at, block, n);
	if (r < 0)
		return r;
	for (size_t here = 0, jumps = 0; here < n && jumps < JUMPS_MAX;) {
		int64_t to;

		if (!x86_insn_decode(block + here, n - here, &i) || i.op == X86_RET ||
		    i.op == X86_TRAP || i.op == X86_JMP_INDIRECT)
			break;
		to = (int64_t)here + (i.op == X86_JMP ? i.value : i.bytes);
		if (i.op == X86_JMP && (to < 0 || (uint64_t)to >= n))
			return at + to;
		jumps += i.op == X86_JMP;
		here = (size_t)to;
	}
	return -ENOENT;
}

bool hotspot_goes_back(struct target_memory *m, uint64_t code, uint32_t at, uint32_t end,
		       int64_t from, int64_t to)
{
	uint8_t block[BLOCK_BYTES];
	size_t n = MIN((size_t)(end - at), sizeof(block));
	struct x86_insn i;

	if (end <= at || target_read(m, code + at, block, n) < 0)
		return false;
	for (size_t here = 0; here < n && x86_insn_decode(block + here, n - here, &i);
	     here += i.bytes) {
		int64_t target = at + (int64_t)here + i.value;

		if ((i.op == X86_JMP || i.op == X86_JCC) && target >= from && target <= to)
			return true;
		if (i.op == X86_JMP || i.op == X86_RET || i.op == X86_TRAP ||
		    i.op == X86_JMP_INDIRECT)
			break;
	}
	return false;
}
