/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the debug information of a file is: gdb's order ("Separate Debug Files" of its manual, as
 * pyroscope.ebpf documents it): by build id in the debug directories, then what .gnu_debuglink
 * names beside the file, in .debug/ there, and below the debug directories. First within the root
 * of the process, which no link can leave, then on the host.
 */
#pragma once

#include "agent/base/macro.h"

struct table_info;

#define DEBUG_DIRS_MAX 8

struct debug_dirs {
	const char *v[DEBUG_DIRS_MAX]; /* borrowed */
	size_t n;		       /* 0: /usr/lib/debug */
	/* debuginfod servers, for what is in no directory; none unless a person asks for them */
	const char *servers[DEBUG_DIRS_MAX]; /* borrowed */
	size_t n_servers;
};
/* -E2BIG. */
int debug_dirs_add(struct debug_dirs *d, const char *dir);
/* A server's URL, or "env": those of $DEBUGINFOD_URLS, which are not used without. -E2BIG, -EINVAL:
 * no http:// or https:// URL, -ENOENT: the variable is not set. */
int debug_dirs_add_server(struct debug_dirs *d, const char *url);

struct debug_search {
	int root_fd;		       /* O_PATH, of the process; -1: the host's alone */
	const char *path;	       /* of the file, in that root */
	const struct table_info *info; /* of the file */
	const struct debug_dirs *dirs; /* NULL: the default */
};

enum debug_match {
	DEBUG_SAME_ID,	 /* the build ids are equal */
	DEBUG_CHECK_CRC, /* it has none: the file is good if its CRC is that of .gnu_debuglink */
};

struct debug_found {
	int fd; /* open for reading, the receiver's */
	char path[4096];
	enum debug_match match;
	bool on_host; /* not in the root of the process */
};

/*
 * The separate debug file. -ENOENT: there is none; -ESTALE: there is one, of another build (path
 * names it). The file is a regular one; nothing else was opened.
 */
int debug_search_file(const struct debug_search *s, struct debug_found *ret);
/* The file that .gnu_debugaltlink of `info` names, seen from debug_path; its build id is checked.
 */
int debug_search_alt(const struct debug_search *s, const struct table_info *info,
		     const char *debug_path, struct debug_found *ret);
/* A file by its path, relative to dir when it is not absolute: a .dwo. */
int debug_search_path(const struct debug_search *s, const char *dir, const char *name,
		      struct debug_found *ret);
