/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of the HotSpot runtime: what it learns of a libjvm and of a process. */
#pragma once

#include "agent/base/macro.h"
#include "bpf/hotspot.h"

struct native_walk;
struct objfile;
struct runtime_description;
struct runtime_process;

/* Entries of gHotSpotVMStructs: type, field, type of the field (strings), int static, u64 offset,
 * address of a static field; of gHotSpotVMTypes: type, supertype, three ints, u64 size. */
#define HOTSPOT_STRUCT_BYTES   48
#define HOTSPOT_STRUCT_OFFSET  32
#define HOTSPOT_STRUCT_ADDRESS 40
#define HOTSPOT_TYPE_BYTES     40
#define HOTSPOT_TYPE_SIZE      32
#define HOTSPOT_STRUCTS_MAX    4096 /* 840 in JDK 11 */
#define HOTSPOT_TYPES_MAX      4096
#define HOTSPOT_FLAG_BYTES     24
#define HOTSPOT_FLAGS_MAX      4096 /* some 1,500 in a product build of 28 */

#define HOTSPOT_FIELD_MAX 4096		      /* offsets and sizes are below */
#define HOTSPOT_HEAP_MAX  (UINT64_C(4) << 30) /* ReservedCodeCacheSize is at most 2 GB */

/* See struct runtime. */
int hotspot_describe(struct objfile *o, struct runtime_description *ret);
bool hotspot_valid(const void *file);
int hotspot_attach(const struct runtime_process *p, void *ret_proc);
int hotspot_walk(const struct runtime_process *p, struct native_walk *w);
