/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct ops: what the running agent says of itself over HTTP: is it ready, is it healthy, what are
 * its components, what do they count; and the one thing it does when asked: reading its
 * configuration again. Paths, words and status codes are Grafana Alloy's (docs of v1.11,
 * internal/service/http and internal/web/api at 66ebea856dff), so that probes, scrapers and scripts
 * keep working.
 */
#pragma once

#include "agent/http/server.h"

struct graph;
struct metrics;
struct ops;

#define OPS_LISTEN "127.0.0.1:12345"

struct ops_options {
	struct loop *loop;  /* borrowed, as all here */
	const char *listen; /* NULL or "": no server; everything below still counts */
	const char *prefix; /* of the pages for people; NULL: "/" */
	/* Reads the configuration again. 0, or a negative errno with what is wrong in *ret_text
	 * (allocated; NULL: no memory). NULL: there is nothing to reload. */
	int (*reload)(void *data, char **ret_text);
	/* Adds what only the program knows to a scrape. May be NULL. */
	void (*metrics)(void *data, struct metrics *m);
	void *data;
};

/* Listens at once, and is not ready. 0, or a negative errno with why. */
int ops_new(const struct ops_options *o, char *why, size_t size, struct ops **ret);
struct ops *ops_free(struct ops *o);
DEFINE_CLEANUP(struct ops *, ops_free)
/* "127.0.0.1:12345"; "" without a server. */
const char *ops_address(const struct ops *o);

/* The components, once they run; NULL before and when they are about to go. Its http {} block
 * applies from here on and is looked at again every minute, as certificates are replaced. A
 * negative errno (logged) when it can not be applied: what was there stays, which at the start is
 * no protection at all, so do not go on. */
int ops_set_graph(struct ops *o, const struct graph *g);
/* A configuration was read, by the graph: whether it is in force as it stands. */
void ops_loaded(struct ops *o, bool ok);
