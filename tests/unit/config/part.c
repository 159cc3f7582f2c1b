/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/config/part.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/components/import.h"
#include "agent/export/receiver.h"
#include "agent/http/multi.h"

struct component_env part_env;
int part_fail_start;
static struct buf events; /* "start a, update b, ..." */

struct part_args {
	char *text, *fail;
	int64_t fixed;
	struct schema_receivers forward_to;
	struct value *any;
};

struct part {
	struct component base;
	struct receiver receiver;
	int taken;
};

static const struct option part_options[] = {
	{"text", OPTION_STRING, .offset = offsetof(struct part_args, text)},
	{"fail", OPTION_STRING, .offset = offsetof(struct part_args, fail)},
	{"fixed", OPTION_INT, .offset = offsetof(struct part_args, fixed)},
	{"forward_to", OPTION_RECEIVERS, .offset = offsetof(struct part_args, forward_to)},
	{"any", OPTION_ANY, .offset = offsetof(struct part_args, any)},
};

static const struct schema part_schema = {
	.size = sizeof(struct part_args), .options = part_options, .n = ARRAY_SIZE(part_options)};

static void event(const char *what, const struct component *c)
{
	const char *slash = strrchr(c->id, '/'), *dot = strchr(slash ? slash : c->id, '.');

	buf_printf(&events, "%s%s %s", events.len ? ", " : "", what, dot ? dot + 1 : c->id);
}

void part_forget(void)
{
	buf_reset(&events);
}

static void hand_over(struct component *c)
{
	const struct part_args *a = c->args;

	for (size_t i = 0; i < a->forward_to.n; i++)
		a->forward_to.v[i]->append(a->forward_to.v[i], NULL, 0, (const uint8_t *)"x", 1, 0);
}

static void sink_append(struct receiver *r, const struct label *labels, size_t n,
			const uint8_t *pprof, size_t bytes, uint64_t time_ns)
{
	struct part *p = container_of(r, struct part, receiver);

	p->taken++;
	event("profile", &p->base);
}

static int sink_init(struct component *c)
{
	struct part *p = (struct part *)c;
	struct value_list l = {0};

	p->receiver.append = sink_append;
	value_list_add(&l, "receiver", value_capsule(&capsule_receiver, &p->receiver));
	c->exports = value_object(&l);
	return c->exports ? 0 : -ENOMEM;
}

static int failure(const struct component *c, const char *when, char *why, size_t size)
{
	const struct part_args *a = c->args;

	if (strcmp(a->fail, when) != 0)
		return 0;
	(void)snprintf(why, size, "told to fail");
	return -EINVAL;
}

static void publish(struct component *c)
{
	const struct part_args *a = c->args;
	struct value_list l = {0};

	value_list_add(&l, "text", value_cstr(a->text));
	component_export(c, value_object(&l));
}

static int part_build(struct component *c, char *why, size_t size)
{
	event("build", c);
	if (!c->type->init)
		publish(c);
	return failure(c, "build", why, size);
}

static int part_update(struct component *c, const void *old, char *why, size_t size)
{
	const struct part_args *a = c->args, *b = old;

	if (a->fixed != b->fixed)
		return -EOPNOTSUPP;
	event("update", c);
	if (!c->type->init)
		publish(c);
	return failure(c, "update", why, size);
}

static int part_start(struct component *c, char *why, size_t size)
{
	event("start", c);
	if (part_fail_start && part_fail_start--) {
		(void)snprintf(why, size, "not yet");
		return -EPERM;
	}
	return failure(c, "start", why, size);
}

static void part_stop(struct component *c)
{
	event("stop", c);
	hand_over(c);
}

static void part_done(struct component *c)
{
	event("done", c);
}

const struct component_type part_type = {
	.name = "test.part",
	.schema = &part_schema,
	.size = sizeof(struct part),
	.build = part_build,
	.update = part_update,
	.start = part_start,
	.stop = part_stop,
	.done = part_done,
};

const struct component_type sink_type = {
	.name = "test.sink",
	.schema = &part_schema,
	.size = sizeof(struct part),
	.init = sink_init,
	.build = part_build,
	.update = part_update,
	.start = part_start,
	.stop = part_stop,
	.done = part_done,
};

static const struct component_type *const types[] = {&part_type,	&sink_type,
						     &import_file_type, &import_string_type,
						     &import_http_type, &import_git_type};

struct graph *part_running(const char *text)
{
	_cleanup_diag_ struct diag_list d = {0};
	struct graph *g = NULL;

	assert_int_equal(graph_load_text("t", text, strlen(text), &part_env, &d, &g), 0);
	if (!graph_ok(g))
		diag_print(&d, stderr, false, 5);
	assert_true(graph_ok(g));
	assert_int_equal(graph_start(g), 0);
	part_forget();
	return g;
}

/* The first error, or "" when all is well. */
const char *part_reload(struct graph *g, const char *text)
{
	static char *line;
	_cleanup_diag_ struct diag_list d = {0};
	int r = graph_reload_text(g, "t", text, strlen(text), &d);

	free(line);
	line = d.n_errors ? diag_summary(&d) : strdup("");
	assert_int_equal(r<0, d.n_errors> 0);
	return line;
}

void part_expect(const char *want)
{
	assert_string_equal(buf_cstr(&events), want);
	part_forget();
}

enum health part_health(const struct graph *g, const char *id)
{
	struct graph_view v;

	assert_true(graph_view_find(g, id, &v));
	return v.health;
}

void part_wait(const char *want)
{
	uint64_t end = clock_ms() + 5000;

	while (!strstr(buf_cstr(&events), want) && clock_ms() < end)
		assert_int_equal(loop_once(part_env.loop, 100), 0);
	if (!strstr(buf_cstr(&events), want))
		fail_msg("no %s in: %s", want, buf_cstr(&events));
	part_forget();
}

int part_setup(void **state)
{
	log_set_level(LOG_LEVEL_ERROR);
	events = BUF_INIT(1u << 20);
	part_env = (struct component_env){.types = types, .n_types = ARRAY_SIZE(types)};
	part_env.stability = STABILITY_EXPERIMENTAL;
	if (loop_new(&part_env.loop) < 0)
		return -1;
	return http_multi_new(part_env.loop, &part_env.http);
}

int part_teardown(void **state)
{
	part_env.http = http_multi_free(part_env.http);
	part_env.loop = loop_free(part_env.loop);
	buf_done(&events);
	return 0;
}

int part_reset(void **state)
{
	part_forget();
	part_fail_start = 0;
	return 0;
}
