/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct debug_file: the debug information of one file, wherever it is: the descriptors that the
 * child is asked with, and the names of a separate file as a table. It is looked for when the file
 * is met, because its process may be gone in a moment.
 */
#pragma once

#include "agent/debug_search.h"

struct debuginfod;
struct table;
struct tables;

enum debug_state {
	DEBUG_NONE,	/* the file has none, and no separate file was found */
	DEBUG_FETCHING, /* a server was asked for it */
	DEBUG_LOADING,	/* the table of the separate file is being made */
	DEBUG_READY,
	DEBUG_REFUSED, /* there is a separate file, of another build */
};

#define DEBUG_SPLIT_MAX 28 /* .dwo files at a time */

struct debug_file {
	enum debug_state state;
	char *path;	/* of the separate file; NULL: the file itself has it all */
	int fd, alt_fd; /* -1: none */
	int root_fd;	/* of the process, for split files; -1: the host's */
	int split[DEBUG_SPLIT_MAX];
	size_t n_split;
	struct table *names;	       /* of the separate file; NULL: none */
	struct tables *tables;	       /* borrowed */
	struct debuginfod *debuginfod; /* borrowed; NULL: none */
	void (*done)(void *data);
	void *data;
	uint32_t crc; /* that the separate file must have; used when it has no build id */
	bool check_crc;
};

struct debug_file_options {
	struct tables *tables;	       /* borrowed */
	struct debug_dirs dirs;	       /* where separate files are looked for */
	struct debuginfod *debuginfod; /* borrowed; NULL: servers are not asked */
};

/*
 * Looks for the debug information of a file: fd is the file (taken in any case), root_fd its
 * process's root or -1 (taken), path its path there. done() is called once from the loop when the
 * state is no longer DEBUG_FETCHING or DEBUG_LOADING, if it was at the return. -ENOMEM.
 */
int debug_file_new(const struct debug_file_options *o, int fd, int root_fd, const char *path,
		   const struct table_info *info, void (*done)(void *data), void *data,
		   struct debug_file **ret);
struct debug_file *debug_file_free(struct debug_file *d);
DEFINE_CLEANUP(struct debug_file *, debug_file_free)

/* Whether done() is still to be called. */
bool debug_file_is_pending(const struct debug_file *d);
/* Whether there is debug information to ask for. */
bool debug_file_has_lines(const struct debug_file *d);
/* Opens a .dwo file. 0 when it is there now, -ENOSPC, or why it cannot be. */
int debug_file_add_split(struct debug_file *d, const char *comp_dir, const char *name);
/* What a person is told of it: "/usr/lib/debug/...", or why there is none. */
const char *debug_file_describe(const struct debug_file *d);
