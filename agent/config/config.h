/* SPDX-License-Identifier: Apache-2.0 */
/* The entry for the verbs: load a configuration and tell a person what is wrong with it. */
#pragma once

#include "agent/config/graph.h"

/* Diagnostics shown before "and N more". */
#define CONFIG_MAX_SHOWN 20

/*
 * Loads as graph_load() and prints diagnostics to err (with colour on a terminal). 0 with *ret, a
 * graph that can be started; -EINVAL after "Error: could not perform the initial load
 * successfully" has been printed: exit 1.
 */
int config_load(const char *const *paths, size_t n, const struct component_env *env, FILE *err,
		struct graph **ret);

/*
 * graph_reload() for SIGHUP and the HTTP server: logs what is wrong and what came of it. 0, or a
 * negative errno with *ret_error, one line: the first error, "(and N more diagnostics)". Allocated.
 */
int config_reload(struct graph *g, char **ret_error);
