/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cage around the process that parses hostile files: no file system, no network, no
 * privileges, bounded memory, a short list of system calls. Entering is one way. What must hold is
 * applied or the call fails (descriptors, capabilities, limits, no_new_privs, seccomp); what
 * depends on the privileges the agent was given is applied as far as they go, and what is missing
 * is reported as a mask so that `tephra check` can name it.
 */
#pragma once

#include "agent/base/macro.h"

/* Layers that may be missing; bit 1 << SANDBOX_x of the mask. */
enum sandbox_layer {
	SANDBOX_NAMESPACES, /* mount, network, IPC and host name of its own */
	SANDBOX_ROOT,	    /* an empty root directory */
	SANDBOX_USER,	    /* uid and gid 65534, no groups */
	SANDBOX_BOUNDING,   /* empty capability bounding set */
	SANDBOX_PRIORITY,   /* nice, SCHED_BATCH, lowest I/O priority, first for the OOM killer */
	SANDBOX_LAYER_MAX,
};

struct sandbox_options {
	int keep_fd;	       /* the one descriptor that stays open (0-2 become /dev/null) */
	uint64_t memory_bytes; /* RLIMIT_DATA; not applied under AddressSanitizer */
	uint64_t file_bytes;   /* RLIMIT_FSIZE: what may be written into one memfd */
};

#define SANDBOX_MEMORY_BYTES (UINT64_C(2) << 30)
#define SANDBOX_FILE_BYTES   (UINT64_C(256) << 20)

/* 0 with *ret_missing, or a negative errno: the caller must then not touch hostile bytes. */
int sandbox_enter(const struct sandbox_options *o, uint32_t *ret_missing);

/* "an empty root directory"...: what a missing layer would have given. */
const char *sandbox_layer_name(enum sandbox_layer layer);
