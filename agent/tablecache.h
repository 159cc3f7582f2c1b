/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct tablecache: finished tables as files in one directory, named by filekey. Within a byte
 * budget, the least recently used go first. The directory must be ours alone; nothing in it is
 * trusted: links are not followed, a file is checked before it is used and removed when it is not
 * what it should be. Two agents may share it. When the disk refuses, writing pauses and nothing
 * else changes.
 */
#pragma once

#include "agent/base/macro.h"

struct filekey;
struct table;
struct tablecache;

#define TABLECACHE_DIR	  "/var/cache/tephra"
#define TABLECACHE_BUDGET (UINT64_C(512) << 20)

struct tablecache_stats {
	uint64_t hits, misses, corrupt, puts, put_errors, evicted;
	uint64_t bytes; /* in the directory, as far as known */
	int last_error; /* of a put; 0: none so far */
	bool paused;	/* writing is off for now */
};

/*
 * Creates the last component of dir with mode 0700 when it is missing. -EPERM: somebody else owns
 * it or may write to it (logged with the cure); -ENOTDIR, -ELOOP: not a directory, or a link.
 */
int tablecache_open(const char *dir, uint64_t budget_bytes, struct tablecache **ret);
/* What the names of this build's tables end in: tables of another build are not used. */
const char *tablecache_maker(const struct tablecache *c);
struct tablecache *tablecache_close(struct tablecache *c);
DEFINE_CLEANUP(struct tablecache *, tablecache_close)

/* A table from the disk, its checksum verified; -ENOENT when there is none (or a bad one, which
 * is removed then), or lack of memory or descriptors. */
int tablecache_get(struct tablecache *c, const struct filekey *key, struct table **ret);

/*
 * Stores a copy of the table in memfd, which stays the caller's, and returns the mapping of the
 * file, so that the memory becomes page cache. Replaces what was there. -EAGAIN: writing is
 * paused, -E2BIG: more than the budget, or why it failed.
 */
int tablecache_put(struct tablecache *c, const struct filekey *key, int memfd, struct table **ret);

void tablecache_get_stats(const struct tablecache *c, struct tablecache_stats *ret);
