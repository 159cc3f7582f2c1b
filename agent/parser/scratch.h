/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct scratch: room for what the child unpacks, in a file without a name instead of in memory.
 * Between requests no page of it is the child's; what is looked at again comes from the page cache.
 * Its blocks are allocated from the start, so that a full disk is met when it is opened and never
 * in the middle of an access.
 */
#pragma once

#include "agent/base/macro.h"

struct scratch;

#define SCRATCH_BYTES (24u << 20)

/*
 * In a directory; before the sandbox is entered. -EOPNOTSUPP: a file system in memory, or one that
 * allocates no blocks in advance; -ENOSPC...
 */
int scratch_open(const char *dir, size_t bytes, struct scratch **ret);
struct scratch *scratch_free(struct scratch *s);
DEFINE_CLEANUP(struct scratch *, scratch_free)

/* Room for so many bytes, with any contents; NULL: there is none. */
void *scratch_get(struct scratch *s, size_t bytes);
/* Of what scratch_get() gave. */
void scratch_put(struct scratch *s, void *p);
/* Gives the pages back, not what is in them. */
void scratch_rest(struct scratch *s);
size_t scratch_used(const struct scratch *s);
