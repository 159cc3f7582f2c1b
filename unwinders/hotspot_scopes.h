/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads from a process which methods, inlined into each other, a place in compiled code belongs to.
 * Every length, count and offset is the process's word and is bounded here.
 */
#pragma once

#include "agent/base/macro.h"
#include "bpf/hotspot.h"

struct target_memory;

#define HOTSPOT_SCOPES_MAX 64

struct hotspot_scope {
	uint64_t method; /* address of the Method */
	uint32_t bci;	 /* HOTSPOT_BCI_UNKNOWN: not known */
};

/*
 * The methods that a place in an nmethod belongs to, innermost first. Their number, at least 1, or
 * -ESTALE: there is other code by now; -EBADMSG; the error of a read.
 */
int hotspot_scopes_read(struct target_memory *m, const struct hotspot_proc *p, uint64_t nmethod,
			uint32_t position, uint32_t compile_id,
			struct hotspot_scope ret[HOTSPOT_SCOPES_MAX]);

/* 0: this nmethod is still there, and was all the time if it was before. -ESTALE: it is gone, or
 * there is other code by now; or the error of a read. */
int hotspot_code_is_there(struct target_memory *m, const struct hotspot_proc *p, uint64_t nmethod,
			  uint32_t compile_id);
