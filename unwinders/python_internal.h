/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of the CPython runtime share: python_describe.c finds out in the child where
 * things lie, python_layout.c knows it for each version, python_loop.c finds the code of the loop,
 * python_jit.c leaves compiled code, python_lines.c reads line tables, python.c names frames.
 */
#pragma once

#include "agent/base/macro.h"
#include "bpf/python.h"
#include "unwinders/rows.h"

struct native_walk;
struct objfile;
struct runtime_description;
struct runtime_process;

/* ---- python_describe.c ---- */
/* See struct runtime, describe(). */
int python_describe_file(struct objfile *o, struct runtime_description *ret);

/* ---- python_layout.c ---- */
/* The layout of a version up to 3.12, or -ENODATA. Addresses are left 0. */
int python_layout_of_version(unsigned int version, struct python_file *ret);
/* Makes such a layout that of a build with Py_TRACE_REFS: to 3.12 each object begins with two
 * pointers more (_PyObject_HEAD_EXTRA, Include/object.h); 3.13 has a table of them elsewhere. */
#define PYTHON_TRACE_REFS_BYTES 16
void python_layout_trace_refs(struct python_file *f);
/* The layout that _PyRuntime itself has at its start from 3.13 on (_Py_DebugOffsets).
 * runtime_bytes: the size of _PyRuntime, 0 when not known. -ENODATA: it is not there, -EBADMSG: it
 * cannot be. */
int python_layout_of_runtime(const uint8_t *data, size_t bytes, uint64_t runtime_bytes,
			     struct python_file *ret);
/* Are all offsets within what is read? */
bool python_layout_valid(const struct python_file *f);

/* ---- python_loop.c ---- */
/* Adds to the ranges those parts of a function that the compiler moved elsewhere (x86-64). */
#define PYTHON_LOOP_PARTS 8
int python_loop_parts(struct objfile *o, struct rows_range *ranges, size_t *n, size_t max);

/* Where in the loop (up to 3.9) its frame is not linked into the thread state: before the first
 * store to its member `frame`, and from one on that the end of the function follows. */
void python_loop_gaps(struct objfile *o, const struct rows_range *loop, unsigned int member,
		      struct python_gap ret[PYTHON_GAPS]);

/* ---- python_jit.c ---- */
/* See struct runtime, attach() and walk(). */
int python_jit_attach(const struct runtime_process *p, void *ret_proc);
int python_jit_walk(const struct runtime_process *p, struct native_walk *w);

/* ---- python_lines.c ---- */
/* The line of the instruction at a byte offset; first_line when the table does not tell. cut: there
 * is more of the table than is here. */
uint32_t python_line(unsigned int version, const uint8_t *table, size_t bytes, bool cut,
		     uint32_t first_line, uint64_t offset);
/* A string of a record as UTF-8, with "..." where it does not fit or is not all there. size: at
 * least 8. */
void python_utf8(const struct python_string *s, const uint8_t *bytes, char *to, size_t size);
