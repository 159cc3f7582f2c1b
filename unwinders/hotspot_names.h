/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What HotSpot's frames are called. Names are read from the process while it lives and its code is
 * there (hotspot_names_want()), and kept within a budget of bytes; see struct runtime for the
 * functions.
 */
#pragma once

#include "agent/base/macro.h"

struct event_runtime;
struct runtime_frame;
struct runtime_function;
struct runtime_process;

int hotspot_names_new(void **ret);
void hotspot_names_free(void *names);
void hotspot_names_on_record(void *names, const struct event_runtime *e, size_t bytes);
void hotspot_names_want(void *names, const struct runtime_frame *f);
int hotspot_names_frame(void *names, const struct runtime_frame *f, struct runtime_function *ret,
			const char **ret_why);
bool hotspot_names_learned(const void *names, const struct runtime_process *process, void *proc);
void hotspot_names_next_interval(void *names, void (*forget)(void *data, uint64_t key), void *data);
