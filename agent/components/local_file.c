/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/components/local_file.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "agent/base/log.h"
#include "agent/base/watch.h"
#include "agent/metrics.h"

struct local_file_args {
	char *filename, *detector;
	int64_t poll_frequency;
	bool is_secret;
};

struct local_file {
	struct component base;
	struct watch *watch; /* NULL: polled only */
	struct loop_source *poll;
	double read_s; /* when it was last read, seconds since 1970; 0: never */
};

#define ARG(member) offsetof(struct local_file_args, member)
static const struct option local_file_options[] = {
	{"filename", OPTION_STRING, NULL, OPTION_REQUIRED, ARG(filename), .help = "the file"},
	{"detector", OPTION_STRING, "fsnotify", .offset = ARG(detector),
	 .help = "how changes are noticed: fsnotify, and every poll_frequency, or only poll"},
	{"poll_frequency", OPTION_DURATION, "1m", .offset = ARG(poll_frequency),
	 .help = "how often it is looked at with detector poll"},
	{"is_secret", OPTION_BOOL, "false", .offset = ARG(is_secret),
	 .help = "the content is not shown, and goes only into arguments that are secrets"},
};

static int local_file_validate(const void *args, char *why, size_t size)
{
	const struct local_file_args *a = args;

	if (strcmp(a->detector, "fsnotify") != 0 && strcmp(a->detector, "poll") != 0)
		(void)snprintf(why, size, "unknown detector \"%.40s\": use fsnotify or poll",
			       a->detector);
	else if (a->poll_frequency <= 0)
		(void)snprintf(why, size, "poll_frequency must be greater than 0");
	else
		return 0;
	return -EINVAL;
}

static const struct schema local_file_schema = {
	.size = sizeof(struct local_file_args),
	.options = local_file_options,
	.n = ARRAY_SIZE(local_file_options),
	.validate = local_file_validate,
};

static const struct local_file_args *args_of(const struct component *c)
{
	return c->args;
}

static struct value *exports_of(const char *text, size_t len, bool secret)
{
	struct value_list l = {0};

	value_list_add(&l, "content", value_optional_secret(text, len, secret));
	return value_object(&l);
}

/* Reads and exports. What was read before stays when it cannot be read. */
static int load(struct local_file *c)
{
	const struct local_file_args *a = args_of(&c->base);
	_cleanup_buf_ struct buf text = BUF_INIT(VALUE_MAX_STRING);
	int r = file_read(a->filename, &text, NULL);

	if (r < 0)
		return r;
	c->read_s = (double)clock_ns(CLOCK_REALTIME) / 1e9;
	/* Raw: a line feed at the end belongs to it. */
	component_export(&c->base, exports_of(buf_cstr(&text), text.len, a->is_secret));
	return 0;
}

static void on_change(void *data)
{
	struct local_file *c = data;
	int r = load(c);

	if (r < 0)
		component_set_health(&c->base, HEALTH_UNHEALTHY,
				     "cannot read %s: %s, keeping its last content",
				     args_of(&c->base)->filename, strerror(-r));
	else
		component_set_health(&c->base, HEALTH_HEALTHY, "read file");
}

static void follow(struct local_file *c)
{
	const struct local_file_args *a = args_of(&c->base);
	uint64_t ms = MAX((uint64_t)a->poll_frequency / 1000000u, 1u);
	int r = 0;

	c->watch = watch_free(c->watch);
	loop_set_timer(c->poll, ms, ms);
	if (!strcmp(a->detector, "poll"))
		return;
	r = watch_new(c->base.env->loop, on_change, c, &c->watch);
	if (r >= 0)
		r = watch_add(c->watch, a->filename);
	if (r < 0)
		(void)log_warn_errno(r, "%s: cannot watch %s, looking every %" PRIu64 " s",
				     c->base.id, a->filename, ms / 1000);
}

static int local_file_init(struct component *c)
{
	c->exports = exports_of("", 0, false);
	return c->exports ? 0 : -ENOMEM;
}

static int local_file_build(struct component *base, char *why, size_t size)
{
	struct local_file *c = (struct local_file *)base;
	int r = load(c);

	if (r < 0)
		(void)snprintf(why, size, "cannot read %s: %s", args_of(base)->filename,
			       strerror(-r));
	return r;
}

static int local_file_start(struct component *base, char *why, size_t size)
{
	struct local_file *c = (struct local_file *)base;

	c->poll = loop_add_timer(base->env->loop, on_change, c);
	if (!c->poll)
		return -ENOMEM;
	follow(c);
	return 0;
}

static int local_file_update(struct component *base, const void *old, char *why, size_t size)
{
	struct local_file *c = (struct local_file *)base;
	int r = local_file_build(base, why, size);

	if (r >= 0 && c->poll)
		follow(c);
	return r;
}

static void local_file_stop(struct component *base)
{
	struct local_file *c = (struct local_file *)base;

	c->watch = watch_free(c->watch);
	c->poll = loop_remove(c->poll);
}

static void local_file_metrics(const struct component *base, struct metrics *m)
{
	static const struct metric_family read_at = {
		"local_file_timestamp_last_accessed_unix_seconds",
		"The last time the file was read, in seconds since 1970.", METRIC_GAUGE};
	const struct local_file *c = (const struct local_file *)base;

	metrics_add(m, &read_at, NULL, 0, c->read_s);
}

const struct component_type local_file_type = {
	.name = "local.file",
	.help = "the contents of a file, followed as it changes",
	.schema = &local_file_schema,
	.size = sizeof(struct local_file),
	.init = local_file_init,
	.build = local_file_build,
	.update = local_file_update,
	.start = local_file_start,
	.stop = local_file_stop,
	.metrics = local_file_metrics,
};
