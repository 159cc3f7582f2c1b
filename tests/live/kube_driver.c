/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a configuration without profiling anything and prints, as JSON lines, what its components
 * of Kubernetes discovery export and how they are, whenever it changes: kube_driver FILE. Ends with
 * its standard input. "m" there prints the memory in use.
 */
#include <errno.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/components/registry.h"
#include "agent/config/config.h"
#include "agent/config/data.h"
#include "agent/config/graph.h"
#include "agent/http/multi.h"

#define MAX_COMPONENTS 64

struct driver {
	struct loop *loop;
	struct graph *graph;
	const struct component_type *const *types;
	size_t n_types;
	struct value *seen[MAX_COMPONENTS]; /* held, so that their addresses stay their own */
	char *health[MAX_COMPONENTS];
	uint64_t start_ms;
};

static bool is_wanted(const struct component_type *t)
{
	return !strncmp(t->name, "discovery.kube", 14) || !strncmp(t->name, "remote.kube", 11);
}

static void print(const struct driver *d, const struct component *c, const char *key,
		  struct value *v)
{
	_cleanup_buf_ struct buf b = BUF_INIT(256u << 20);
	struct value_list l = {0};
	_cleanup_value_ struct value *all = NULL;

	value_list_add(&l, "id", value_cstr(c->id));
	value_list_add(&l, "ms", value_int((int64_t)(clock_ms() - d->start_ms)));
	value_list_add(&l, key, v);
	all = value_object(&l);
	data_to_json(all, &b);
	puts(buf_cstr(&b));
	(void)fflush(stdout);
}

static void look(struct driver *d, size_t i, struct component *c)
{
	if (c->health_text && (!d->health[i] || strcmp(d->health[i], c->health_text) != 0)) {
		struct value_list l = {0};

		free(d->health[i]);
		d->health[i] = strdup(c->health_text);
		value_list_add(&l, "state", value_int(c->health));
		value_list_add(&l, "text", value_cstr(c->health_text));
		print(d, c, "health", value_object(&l));
	}
	if (c->exports == d->seen[i])
		return;
	value_unref(d->seen[i]);
	d->seen[i] = c->exports ? value_ref(c->exports) : NULL;
	if (c->exports)
		print(d, c, "exports", value_ref(c->exports));
}

static void on_tick(void *data)
{
	struct driver *d = data;
	size_t n = 0;

	for (size_t t = 0; t < d->n_types; t++) {
		for (struct component *c = NULL; is_wanted(d->types[t]) && n < MAX_COMPONENTS;
		     n++) {
			c = graph_next(d->graph, d->types[t], c);
			if (!c)
				break;
			look(d, n, c);
		}
	}
}

/* The digits in a line of /proc/self/status. */
static const char *number_in(char *line)
{
	char *from = line + strcspn(line, "0123456789");

	from[strspn(from, "0123456789")] = '\0';
	return from;
}

static void on_input(int fd, uint32_t events, void *data)
{
	struct driver *d = data;
	char c = 0, line[256];
	FILE *f;

	if (read(fd, &c, 1) <= 0) {
		loop_quit(d->loop, 0);
		return;
	}
	f = c == 'm' ? fopen("/proc/self/status", "re") : NULL;
	while (f && fgets(line, sizeof(line), f)) {
		if (!strncmp(line, "VmHWM:", 6))
			printf("{\"memory\": %s}\n", number_in(line));
	}
	if (f)
		(void)fclose(f);
	(void)fflush(stdout);
}

int main(int argc, char **argv)
{
	struct driver d = {.start_ms = clock_ms()};
	struct http_multi *http = NULL;
	struct component_env env = {0};
	struct loop_source *tick;
	const char *path = argc == 2 ? argv[1] : "";
	int r = loop_new(&d.loop);

	if (r >= 0)
		r = http_multi_new(d.loop, &http);
	if (r < 0)
		return 1;
	env.loop = d.loop;
	env.http = http;
	env.types = d.types = component_registry(&env.n_types);
	d.n_types = env.n_types;
	r = config_load(&path, 1, &env, stderr, &d.graph);
	if (r < 0)
		return 1;
	tick = loop_add_timer(d.loop, on_tick, &d);
	if (!tick || !loop_add_fd(d.loop, 0, EPOLLIN, on_input, &d))
		return 1;
	r = graph_start(d.graph);
	loop_set_timer(tick, 20, 20);
	if (r >= 0)
		r = loop_run(d.loop);
	graph_stop(d.graph);
	graph_free(d.graph);
	for (size_t i = 0; i < MAX_COMPONENTS; i++) {
		value_unref(d.seen[i]);
		free(d.health[i]);
	}
	http_multi_free(http);
	loop_free(d.loop);
	return r < 0;
}
