/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct frames: what a person sees as one box or one row. Two lines of a profile are the same
 * frame when name, module and kind agree, whatever their addresses. Every text and picture writer
 * starts from here; pprof does not.
 */
#pragma once

#include "agent/export/profile.h"

struct frames_item {
	uint32_t name, module, file; /* strings of the profile; module is a path or "" */
	uint32_t line;		     /* of the function's start, 0: unknown */
	uint8_t kind;		     /* enum profile_kind */
	bool named;
};

/* Two items that no profile has: the root of all, and what a writer left out for its size. */
#define FRAMES_ROOT  0u
#define FRAMES_OTHER 1u

struct frames {
	struct frames_item *items;
	uint32_t *of_line;    /* per profile line: index into items */
	uint32_t *of_process; /* per process: its PROFILE_COMM item (one for each name) */
	size_t n;
	struct hash ids;
};

void frames_done(struct frames *f);
/* 0 or -ENOMEM. The profile must outlive f. */
int frames_init(struct frames *f, const struct profile *p);
/* Never empty; borrowed from the profile. */
const char *frames_name(const struct frames *f, const struct profile *p, uint32_t item);
/* The last component of the module's path; "" without one. */
const char *frames_module(const struct frames *f, const struct profile *p, uint32_t item);

#define _cleanup_frames_ _cleanup_(frames_done)
