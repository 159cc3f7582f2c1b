/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads from a process what HotSpot knows of a method: its name, where it is written, its lines.
 * Every length, count and offset is the process's word and is bounded here.
 */
#pragma once

#include "agent/base/macro.h"
#include "bpf/hotspot.h"

struct target_memory;

#define HOTSPOT_NAME_BYTES  1024
#define HOTSPOT_FILE_BYTES  256
#define HOTSPOT_LINES_BYTES 65536 /* of a method's line table */

struct hotspot_method {
	uint64_t method_const;	       /* address of the ConstMethod */
	uint64_t holder;	       /* address of the class */
	uint32_t code_bytes;	       /* bytecodes are 0 to this */
	char name[HOTSPOT_NAME_BYTES]; /* java.util.HashMap.get(java.lang.Object) */
	char file[HOTSPOT_FILE_BYTES]; /* HashMap.java, or "" */
	uint8_t *lines;		       /* compressed table, owned; NULL: none */
	size_t lines_bytes;
	bool more_lines; /* there are some, and they have to be read */
};

/* Are the offsets known that this takes? */
bool hotspot_method_readable(const struct hotspot_proc *p);
/* 0 or why not: -EBADMSG what lies there is no method. */
int hotspot_method_read(struct target_memory *m, const struct hotspot_proc *p, uint64_t method,
			struct hotspot_method *ret);
void hotspot_method_done(struct hotspot_method *m);
/* The same of what the kernel told. -EBADMSG: it is nonsense; the bytes are the process's. */
int hotspot_method_told(const struct hotspot_record *r, struct hotspot_method *ret);
/* Reads its lines, when they were not told as a whole (`more_lines`). */
void hotspot_method_lines(struct target_memory *m, const struct hotspot_proc *p,
			  struct hotspot_method *ret);

/* The line of a bytecode in a line table; 0: unknown. version: struct hotspot_proc's. */
uint32_t hotspot_line(const uint8_t *lines, size_t bytes, uint32_t version, uint32_t bci);

/* pkg/Class, name and (Ljava/lang/Object;I)V as people write them, cut to room. */
void hotspot_readable_name(const char *class_name, const char *name, const char *signature,
			   char *ret, size_t room);

/* A Symbol's text, cut to room. 0, -EBADMSG: it is none; the error of a read. */
int hotspot_symbol_read(struct target_memory *m, const struct hotspot_proc *p, uint64_t symbol,
			char *ret, size_t room);
