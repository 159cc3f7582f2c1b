/* SPDX-License-Identifier: Apache-2.0 */
#include "unwinders/hotspot_stubs.h"

#include <errno.h>
#include <string.h>

#include "unwinders/hotspot.h"
#include "unwinders/target_memory.h"

#define ENTRY_WORDS (HOTSPOT_STRUCT_BYTES / 8)

/* _jbyte_arraycopy -> StubRoutines::jbyte_arraycopy; what is returned to stands for its stub. */
static void take_stub(struct target_memory *m, const struct hotspot_proc *p, const uint64_t *entry,
		      struct hotspot_stubs *s)
{
	char name[48];
	uint64_t addr;

	if (s->n == HOTSPOT_STUBS_MAX ||
	    target_read_u64(m, entry[HOTSPOT_STRUCT_ADDRESS / 8], &addr) < 0 || !addr ||
	    target_read_str(m, entry[1], name, sizeof(name)) < 0)
		return;
	if (addr == p->call_stub_return)
		memcpy(name, "_call_stub", sizeof("_call_stub"));
	s->stubs[s->n].addr = addr;
	memcpy(s->stubs[s->n].name, name, sizeof(name));
	s->n++;
}

int hotspot_stubs_read(struct target_memory *m, const struct hotspot_proc *p,
		       struct hotspot_stubs **ret)
{
	uint64_t entries[HOTSPOT_STUBS_MAX][ENTRY_WORDS];
	uint32_t n = MIN((uint32_t)p->n_stubs, (uint32_t)HOTSPOT_STUBS_MAX);
	struct hotspot_stubs *s = calloc(1, sizeof(*s));
	int r = 0;

	if (!s)
		return -ENOMEM;
	if (n)
		r = target_read(m, p->structs + p->stubs_first * HOTSPOT_STRUCT_BYTES, entries,
				n * sizeof(entries[0]));
	for (uint32_t i = 0; r == 0 && i < n; i++)
		take_stub(m, p, entries[i], s);
	if (r < 0) {
		free(s);
		return r;
	}
	*ret = s;
	return 0;
}

void hotspot_stubs_name(const struct hotspot_stubs *s, uint64_t pc, char name[HOTSPOT_STUB_BYTES])
{
	for (uint32_t i = 0; i < s->n; i++) {
		const char *stub = s->stubs[i].name;

		if (s->stubs[i].addr != pc)
			continue;
		(void)snprintf(name, HOTSPOT_STUB_BYTES, "StubRoutines::%s", stub + (*stub == '_'));
		return;
	}
}

int hotspot_blob_name(struct target_memory *m, const struct hotspot_proc *p, uint64_t blob,
		      uint32_t cookie, char ret[HOTSPOT_STUB_BYTES])
{
	uint64_t name;
	int r = target_read_u64(m, blob + p->at[HF_BLOB_NAME], &name);

	if (r < 0)
		return r;
	if ((uint32_t)name != cookie)
		return -ESTALE;
	r = target_read_str(m, name, ret, HOTSPOT_STUB_BYTES);
	if (r < 0)
		return r;
	for (char *s = ret; *s; s++) {
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = '?';
	}
	/* The blob holds many of them. */
	if (!strcmp(ret, "vtable chunks"))
		memcpy(ret, "vtable stub", sizeof("vtable stub"));
	return *ret ? 0 : -EBADMSG;
}
