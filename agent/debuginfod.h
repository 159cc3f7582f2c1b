/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct debuginfod: debug files from debuginfod servers, by build id: GET
 * URL/buildid/HEX/debuginfo (debuginfod(8) of elfutils 0.188, "WEBAPI"). They are kept in a
 * directory of their own within a byte budget, the least recently used go first. What comes is
 * believed only when its build id is the one that was asked for. A build id is downloaded once at a
 * time, at most two together, and one that no server has is not asked for again for ten minutes.
 * Nothing blocks.
 */
#pragma once

#include "agent/base/macro.h"

struct debug_dirs;
struct debuginfod;
struct http_multi;
struct loop;

/* What the verbs say of their option. */
#define DEBUGINFOD_HELP                                                             \
	"      --debuginfod URL   a server to ask for debug files that are in no\n" \
	"                         directory; may be repeated; env: those of\n"      \
	"                         $DEBUGINFOD_URLS (default: none is asked)\n"
#define DEBUGINFOD_WRONG "--debuginfod wants an http:// or https:// URL, at most 8, or env"

#define DEBUGINFOD_BUDGET      (UINT64_C(1) << 30)
#define DEBUGINFOD_FILE_BYTES  (UINT64_C(512) << 20) /* a larger file is not taken */
#define DEBUGINFOD_IDLE_MS     10000		     /* without a byte */
#define DEBUGINFOD_TIMEOUT_MS  120000		     /* for a whole file */
#define DEBUGINFOD_NEGATIVE_MS 600000

struct debuginfod_options {
	const char *const *urls; /* copied; asked in this order */
	size_t n_urls;
	const char *cache_dir; /* "debuginfod" is made in it; NULL: files are not kept */
	/* 0: as above */
	uint64_t budget_bytes, file_bytes, idle_ms, timeout_ms, negative_ms;
};

/* http is borrowed and must outlive it. A directory that can not be used is logged and done
 * without. 0 or -ENOMEM. */
int debuginfod_new(struct http_multi *http, const struct debuginfod_options *o,
		   struct debuginfod **ret);
/* With a client of its own, for the servers of `dirs`. Without any, both stay NULL; the caller
 * frees both, the client last. */
int debuginfod_open(struct loop *loop, const struct debug_dirs *dirs, const char *cache_dir,
		    struct http_multi **ret_http, struct debuginfod **ret);
/* Callbacks that are still due are not called. */
struct debuginfod *debuginfod_free(struct debuginfod *d);
DEFINE_CLEANUP(struct debuginfod *, debuginfod_free)

/* fd is the receiver's, open for reading, or a negative errno: -ENOENT when no server has it. */
typedef void (*debuginfod_fn)(void *data, int fd);

/*
 * The debug file of a build id. A descriptor when it is in the cache; -EINPROGRESS: fn is called
 * once from the loop; -ENOENT: it was asked for lately and not had; -EINVAL, -ENOMEM, -ENOBUFS.
 */
int debuginfod_get(struct debuginfod *d, const uint8_t *build_id, size_t n, debuginfod_fn fn,
		   void *data);
/* fn is not called any more for this data. The download goes on, for the cache. */
void debuginfod_cancel(struct debuginfod *d, const void *data);

struct debuginfod_stats {
	uint64_t hits, fetched, missing, failed, refused, evicted, bytes;
};
void debuginfod_get_stats(const struct debuginfod *d, struct debuginfod_stats *ret);
