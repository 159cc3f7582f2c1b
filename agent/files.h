/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct files: the files that samples were taken in, by the id the kernel gave them. A file that
 * is announced is opened at once (its process may be gone in a moment), read by the parser child
 * or found in the cache, and from then on known to the kernel. What a file needs later is in its
 * table, mapped read-only.
 */
#pragma once

#include "agent/debug_file.h"
#include "agent/profiler.h"
#include "agent/symbols.h"

struct loop;
struct table;
struct tables;
struct runtimes;
struct files;

enum file_state {
	FILE_LOADING, /* its table is being made */
	FILE_READY,
	FILE_FAILED, /* it could not be opened or parsed: names are module+0xoffset */
};

struct file {
	struct files *files; /* borrowed */
	uint32_t id;
	enum file_state state;
	int error; /* FILE_FAILED: negative errno */
	struct file_key key;
	char *path;		  /* as the process sees it; "" unknown */
	const char *name;	  /* last component of path */
	struct table *table;	  /* FILE_READY */
	struct debug_file *debug; /* FILE_READY; NULL: without memory */
	int fd, root_fd;	  /* FILE_LOADING: for the search of debug information; else -1 */
	const struct table_info *info;
	char build_id[2 * 64 + 1]; /* hex, "" when the file has none */
	uint32_t last_interval;	   /* when it was asked for last */
	uint32_t alias; /* id of the entry with the table, when the kernel numbered it again */
};

/* Why a file gives no name for an address. */
enum unnamed {
	UNNAMED_UNKNOWN_FILE, /* never announced, or forgotten */
	UNNAMED_LOADING,      /* not read in time */
	UNNAMED_GONE,	      /* gone before it could be opened */
	UNNAMED_UNREADABLE,
	UNNAMED_DAMAGED,
	UNNAMED_BUDGET, /* over a limit of size or time */
	UNNAMED_STRIPPED,
	UNNAMED_OTHER_BUILD, /* stripped, and its debug file belongs to another build */
	UNNAMED_NO_SYMBOL,   /* it has symbols, none covers the address */
	UNNAMED_MAX,
};

struct files_options {
	struct profiler *profiler; /* borrowed, as all here */
	struct tables *tables;
	struct runtimes *runtimes; /* told of each file; NULL: none are wanted */
	struct line_cache *lines;
	struct debug_file_options debug;		 /* where debug files are looked for */
	void (*ready)(void *data, const struct file *f); /* a file leaves FILE_LOADING */
	void *data;
};
int files_new(const struct files_options *o, struct files **ret);
struct files *files_free(struct files *f);
DEFINE_CLEANUP(struct files *, files_free)

/* Reads the vDSO of this process, which is every process's. */
int files_add_vdso(struct files *f);
void files_on_event(struct files *f, const struct event_file *e);
/* NULL for an id that was never announced. Borrowed. */
const struct file *files_get(const struct files *f, uint32_t id);
/*
 * The unwind rule of a frame word of a file, and its page loaded into the kernel for the next
 * time. -EAGAIN while the file is being read, -ENODATA when it has no rows, -EBADMSG when it is
 * unknown or could not be read.
 */
int files_rule(struct files *f, uint64_t frame, uint64_t *ret_rule);
/* Tells the kernel again how to treat each file: other runtimes are wanted. */
void files_tell_kernel(struct files *f);
/* How many are in FILE_LOADING, or wait for the names in their debug files. */
size_t files_loading(const struct files *f);

/* symbols_get() for an offset of a file; ret->vaddr is the offset itself when that is in no
 * executable segment. */
int files_names(struct files *f, const struct file *file, uint64_t offset,
		struct symbols_names *ret);
/* Asks for what files_names() would have to wait for. False: that can not be asked for yet. */
bool files_want(struct files *f, const struct file *file, uint64_t offset);

/* Gives the pages of all tables back to the page cache; they return when they are read again. */
void files_next_interval(struct files *f);

/* f may be NULL. */
enum unnamed files_why_unnamed(const struct file *f);
/* "stripped, no debug file"...: for people; and "stripped"...: for metrics. */
const char *unnamed_text(enum unnamed why);
const char *unnamed_id(enum unnamed why);

struct files_stats {
	uint64_t files, ready, failed, forgotten,
		vanished; /* vanished: could not be opened in time */
};
void files_get_stats(const struct files *f, struct files_stats *ret);
