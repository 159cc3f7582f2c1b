/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Components for tests of the graph: test.part exports its text, and test.sink takes profiles. Both
 * write down what happens to them and fail when they are told to.
 */
#pragma once

#include "agent/config/component.h"
#include "agent/config/graph_view.h"

#define PART(name, args) "test.part \"" name "\" {\n" args "\n}\n"
#define SINK(name, args) "test.sink \"" name "\" {\n" args "\n}\n"
#define TO(name)	 "forward_to = [test.sink." name ".receiver]\n"

extern const struct component_type part_type, sink_type;
extern struct component_env part_env; /* its loop and types are set by part_setup() */
extern int part_fail_start;	      /* so many starts fail */

/* Loads and starts; fails the test when that fails. */
struct graph *part_running(const char *text);
/* The first error in one line, or "" when all is well. Valid until the next call. */
const char *part_reload(struct graph *g, const char *text);
/* What happened since the last look: "start part.a, update part.b". */
void part_expect(const char *want);
void part_forget(void);
/* Runs the loop until all of that happened in one piece. */
void part_wait(const char *want);
enum health part_health(const struct graph *g, const char *id);
/* For cmocka. */
int part_setup(void **state);
int part_teardown(void **state);
int part_reset(void **state);
