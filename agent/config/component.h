/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct component: one running block of the configuration, and struct component_type: how a kind
 * of block is built, updated and stopped. A type's instance embeds struct component first. Types
 * know nothing of the graph beyond component_export().
 */
#pragma once

#include "agent/base/loop.h"
#include "agent/config/schema.h"

struct component;

struct component_type {
	const char *name; /* "pyroscope.write" */
	const struct schema *schema;
	size_t size;	/* of the instance; it is zeroed before init() */
	bool singleton; /* a top-level setting: no label, at most one */
	/*
	 * All may be NULL. Failing ones return a negative errno and say why (one line).
	 * init: before anything is evaluated; makes the exports others may refer to.
	 * build: args are decoded; must not start anything.
	 * update: args are new, old_args what they were; on failure the old ones stay in force.
	 * start: dependencies have been started. stop: undoes start, dependants first; called once,
	 * also when start failed. What others have handed over until then stays queued (busy).
	 * done: frees what the instance owns besides args and exports.
	 */
	int (*init)(struct component *c);
	int (*build)(struct component *c, char *ret_why, size_t size);
	int (*update)(struct component *c, const void *old_args, char *ret_why, size_t size);
	int (*start)(struct component *c, char *ret_why, size_t size);
	void (*stop)(struct component *c);
	void (*done)(struct component *c);
	/* Work is queued that should be finished before the end; drain: hurry, the end is near. */
	bool (*busy)(const struct component *c);
	void (*drain)(struct component *c);
};

struct ebpf_hooks;

/* What the program gives to all components. */
struct component_env {
	struct loop *loop;
	const struct component_type *const *types; /* the registry */
	size_t n_types;
	const struct ebpf_hooks *ebpf; /* who profiles for pyroscope.ebpf; NULL: nobody */
	bool check_only;	       /* decode and validate, build nothing */
};

struct component {
	const struct component_type *type;
	const struct component_env *env; /* borrowed */
	const char *id;			 /* borrowed: "pyroscope.write.w" */
	struct node *node;		 /* borrowed: the graph's side */
	void *args;			 /* decoded by type->schema */
	struct value *exports;		 /* an object; NULL: nothing */
};

/*
 * Takes v (NULL: out of memory, ignored). When it differs from the present exports, those who
 * refer to them are evaluated again: while loading in their turn, later from the event loop.
 */
void component_export(struct component *c, struct value *v);
