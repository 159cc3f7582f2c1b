/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/kallsyms_watch.h"

#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

#include <linux/bpf.h>

#include "agent/base/hash.h"

#define IDS_MAX 65536

uint64_t kallsyms_modules(void)
{
	_cleanup_close_ int fd = open("/proc/modules", O_RDONLY | O_CLOEXEC);
	uint64_t hash = 0;
	char chunk[4096];
	ssize_t n;

	/* Use counts are in there too and change without meaning: a read too many is harmless. */
	while (fd >= 0 && (n = read(fd, chunk, sizeof(chunk))) > 0) {
		const char *p = chunk, *end = chunk + n;

		for (; p < end; p++) {
			const char *nl = memchr(p, '\n', (size_t)(end - p));
			const char *space;

			nl = nl ? nl : end;
			space = memchr(p, ' ', (size_t)(nl - p));
			hash = hash_mix(hash ^ hash_bytes(p, (size_t)((space ? space : nl) - p)));
			p = nl;
		}
	}
	return hash;
}

/* Numbers are given to each new object, and never again to another one before they run out. */
static uint64_t hash_ids(uint64_t hash, enum bpf_cmd next)
{
	union bpf_attr attr = {0};

	for (size_t i = 0; i < IDS_MAX; i++) {
		if (syscall(SYS_bpf, next, &attr, sizeof(attr)) < 0)
			break;
		hash = hash_mix(hash ^ attr.next_id);
		attr.start_id = attr.next_id;
	}
	return hash;
}

uint64_t kallsyms_bpf(void)
{
	return hash_ids(hash_ids(0, BPF_PROG_GET_NEXT_ID), BPF_LINK_GET_NEXT_ID);
}
