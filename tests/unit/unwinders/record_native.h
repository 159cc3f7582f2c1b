/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What recorders of stopped threads share: the mappings of a process, the unwind rows of its files
 * (struct native_code, for native_walk()), and the registers of a thread.
 */
#pragma once

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/user.h>

#include "agent/parser/build.h"
#include "unwinders/native.h"
#include "unwinders/rows.h"

#define NATIVE_FILES_MAX 16

struct native_code {
	struct table *tables[NATIVE_FILES_MAX]; /* of the file FILE_ID_FIRST + i */
	struct range ranges[WALK_RANGES];
	uint32_t n_tables, n_ranges;
};

/* A mapping. */
struct mapping {
	uint64_t start, end, offset;
	bool code;
	char name[512]; /* empty: of no file */
	char path[64];	/* below /proc: the file itself */
};

/* The next one, or false. */
static inline bool next_mapping(pid_t pid, FILE *maps, struct mapping *ret)
{
	char line[1024];

	if (maps && fgets(line, sizeof(line), maps)) {
		char *name = strchr(line, '/'), *p = line;

		line[strcspn(line, "\n")] = '\0';
		(void)snprintf(ret->name, sizeof(ret->name), "%s", name ? name : "");
		ret->start = strtoull(p, &p, 16);
		ret->end = strtoull(p + 1, &p, 16);
		ret->code = p[3] == 'x';
		ret->offset = strtoull(p + 6, &p, 16);
		(void)snprintf(ret->path, sizeof(ret->path), "/proc/%d/map_files/%lx-%lx", pid,
			       ret->start, ret->end);
		return true;
	}
	return false;
}

static inline FILE *open_maps(pid_t pid)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	return fopen(path, "re");
}

static inline void native_code_add(struct native_code *c, const struct mapping *m)
{
	_cleanup_close_ int fd = open(m->path, O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int out = memfd_create("table", MFD_CLOEXEC);
	uint32_t flags = 0, i = c->n_tables;

	if (i == NATIVE_FILES_MAX || c->n_ranges == WALK_RANGES || fd < 0 ||
	    build_table(NULL, &fd, 1, BUILD_FILE, out, &flags) < 0 ||
	    table_open(out, false, &c->tables[i]) < 0)
		return;
	c->ranges[c->n_ranges++] = (struct range){
		.start = m->start,
		.size = m->end - m->start,
		.first_frame = FRAME_OF_FILE(FILE_ID_FIRST + i, m->offset),
		.state = RANGE_ROWS,
		.file = FILE_ID_FIRST + i,
	};
	c->n_tables++;
}

/* Code without a file. */
static inline void native_code_add_anon(struct native_code *c, uint64_t start, uint64_t bytes)
{
	if (c->n_ranges < WALK_RANGES)
		c->ranges[c->n_ranges++] = (struct range){
			.start = start,
			.size = bytes,
			.first_frame = FRAME(FRAME_ANON, start),
			.file = FILE_ID_ANON,
		};
}

static inline void native_code_done(struct native_code *c)
{
	for (uint32_t i = 0; i < c->n_tables; i++)
		table_free(c->tables[i]);
}

/* A native_rule_fn; data is the struct native_code. */
static inline int native_code_rule(void *data, uint64_t frame, uint64_t *ret_rule)
{
	const struct native_code *c = data;
	const struct rows_page *page;
	size_t bytes;

	page = rows_page_get(c->tables[FRAME_FILE(frame) - FILE_ID_FIRST],
			     FRAME_OFFSET(frame) >> ROWS_PAGE_SHIFT, &bytes);
	if (!page)
		return -ENODATA;
	*ret_rule = rows_lookup(page, (uint16_t)FRAME_OFFSET(frame));
	return 0;
}

static inline void take_regs(const struct user_regs_struct *u, struct walk_regs *r)
{
	*r = (struct walk_regs){.pc = u->rip, .sp = u->rsp, .is_leaf = 1};
	r->leaf[DWARF_RAX] = u->rax;
	r->leaf[DWARF_RDX] = u->rdx;
	r->leaf[DWARF_RCX] = u->rcx;
	r->leaf[DWARF_RBX] = r->regs[SLOT_RBX] = u->rbx;
	r->leaf[DWARF_RSI] = u->rsi;
	r->leaf[DWARF_RDI] = u->rdi;
	r->leaf[DWARF_RBP] = r->regs[SLOT_RBP] = u->rbp;
	r->leaf[DWARF_RSP] = u->rsp;
	r->leaf[DWARF_R8] = u->r8;
	r->leaf[DWARF_R9] = u->r9;
	r->leaf[DWARF_R10] = u->r10;
	r->leaf[DWARF_R11] = u->r11;
	r->leaf[DWARF_R12] = r->regs[SLOT_R12] = u->r12;
	r->leaf[DWARF_R13] = r->regs[SLOT_R13] = u->r13;
	r->leaf[DWARF_R14] = r->regs[SLOT_R14] = u->r14;
	r->leaf[DWARF_R15] = r->regs[SLOT_R15] = u->r15;
}
