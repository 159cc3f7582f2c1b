/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct component: one running block of the configuration, and struct component_type: how a kind
 * of block is built, updated and stopped. A type's instance embeds struct component first. Types
 * know nothing of the graph beyond component_export().
 */
#pragma once

#include "agent/base/loop.h"
#include "agent/config/schema.h"
#include "agent/config/stability.h"

struct component;
struct metrics;

/* From worst to best, as /-/healthy and the API name them. */
enum health { HEALTH_EXITED, HEALTH_UNHEALTHY, HEALTH_UNKNOWN, HEALTH_HEALTHY };

struct component_type {
	const char *name; /* "pyroscope.write" */
	const char *help; /* what it is for: a clause, as the help of an option */
	const struct schema *schema;
	size_t size;	/* of the instance; it is zeroed before init() */
	bool singleton; /* a top-level setting: no label, at most one */
	/*
	 * import.*: exports {files = [{name, text}], dir}, whose declare blocks the graph makes
	 * available. Its update() is also called with unchanged arguments, when the
	 * configuration is read anew: it reads its text again.
	 */
	bool import;
	/* There are no exports until it has got something: who refers to it waits for that. */
	bool late;
	enum stability stability;
	/*
	 * All may be NULL. Failing ones return a negative errno and say why (one line).
	 * init: before anything is evaluated; makes the exports others may refer to.
	 * build: args are decoded; must not start anything.
	 * From then on a receiver takes profiles, started or not.
	 * update: args are new, old_args what they were; on failure the old ones stay in force, and
	 * it is tried again. -EOPNOTSUPP: a new instance takes over from this one. NULL: nothing is
	 * to be done. Also called before start and while start fails.
	 * start: dependencies have been started. When it fails, stop is called and it is tried
	 * again later. stop: undoes start, dependants first. What others have handed over until
	 * then stays queued (busy).
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
	/* Adds what /metrics shows of this component. */
	void (*metrics)(const struct component *c, struct metrics *m);
	/* What a person who looks for a fault wants to know; an object, NULL without memory. */
	struct value *(*debug_info)(const struct component *c);
};

struct ebpf_hooks;
struct http_multi;

/* What the program gives to all components. */
struct component_env {
	struct loop *loop;
	const struct component_type *const *types; /* the registry */
	size_t n_types;
	const struct ebpf_hooks *ebpf; /* who profiles for pyroscope.ebpf; NULL: nobody */
	struct http_multi *http;       /* for requests to servers; NULL: there can be none */
	bool check_only;	       /* decode and validate, build nothing but imports */
	bool no_files;		       /* the text is all there is: import nothing */
	enum stability stability;      /* the least settled that may be used */
};

struct component {
	const struct component_type *type;
	const struct component_env *env; /* borrowed */
	char *id;	       /* "pyroscope.write.w"; within a module "p.one/pyroscope..." */
	struct node *node;     /* borrowed: the graph's side; NULL when it is on its way out */
	void *args;	       /* decoded by type->schema */
	struct value *exports; /* an object; NULL: nothing */
	enum health health;    /* as the component itself sees it */
	char *health_text;     /* why; owned, NULL: nothing to say */
	uint64_t health_ms;    /* when it changed, CLOCK_REALTIME; 0: it never said */
	uint32_t holders;      /* the graph's: whose arguments came from its exports */
};

/*
 * Takes v (NULL: out of memory, ignored). When it differs from the present exports, those who
 * refer to them are evaluated again: while loading in their turn, later from the event loop.
 */
void component_export(struct component *c, struct value *v);

/* What the component thinks of itself: a server does not answer, a file is gone. Logged when it
 * changes. The text is cut at 1 KiB. */
void component_set_health(struct component *c, enum health health, const char *fmt, ...)
	_printf_(3, 4);
