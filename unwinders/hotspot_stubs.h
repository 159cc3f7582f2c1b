/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of HotSpot's code that is no method: the blob's own, and of the stubs that the JVM lists
 * (StubRoutines in gHotSpotVMStructs: 70 of them until 21, nearly none later) the stub's.
 */
#pragma once

#include "agent/base/macro.h"
#include "bpf/hotspot.h"

struct target_memory;

#define HOTSPOT_STUB_BYTES 96
#define HOTSPOT_STUBS_MAX  128

struct hotspot_stubs {
	uint32_t used; /* the owner's */
	uint32_t n;
	struct {
		uint64_t addr;
		char name[48];
	} stubs[HOTSPOT_STUBS_MAX];
};

/* *ret: free(). */
int hotspot_stubs_read(struct target_memory *m, const struct hotspot_proc *p,
		       struct hotspot_stubs **ret);
/* Replaces name when a stub begins at pc. */
void hotspot_stubs_name(const struct hotspot_stubs *s, uint64_t pc, char name[HOTSPOT_STUB_BYTES]);
/* -ESTALE: another blob lies there by now. */
int hotspot_blob_name(struct target_memory *m, const struct hotspot_proc *p, uint64_t blob,
		      uint32_t cookie, char ret[HOTSPOT_STUB_BYTES]);
