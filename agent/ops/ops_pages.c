/* SPDX-License-Identifier: Apache-2.0 */
/* What people look at: one page that loads nothing from anywhere, and the table of targets. */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "agent/base/clock.h"
#include "agent/config/data.h"
#include "agent/base/utf8.h"
#include "agent/ops/ops_internal.h"

#define COLUMNS_MAX 40 /* of a name in the table */

void html_text(struct buf *b, const char *s)
{
	for (size_t i = 0, len = strlen(s), n; i < len; i += n) {
		uint32_t code;

		n = utf8_decode(s + i, len - i, &code);
		if (!n || utf8_is_control(code))
			buf_adds(b, UTF8_REPLACEMENT);
		else if (strchr("<>&\"'", s[i]))
			buf_printf(b, "&#%d;", s[i]);
		else
			buf_add(b, s + i, n);
		n = n ? n : 1;
	}
}

static void add_age(struct buf *b, uint64_t seconds)
{
	if (seconds < 120)
		buf_printf(b, "%" PRIu64 " s", seconds);
	else if (seconds < 7200)
		buf_printf(b, "%" PRIu64 " min", seconds / 60);
	else
		buf_printf(b, "%" PRIu64 " h", seconds / 3600);
}

static void add_components(const struct ops *o, struct buf *b)
{
	struct graph_view v;
	size_t cursor = 0;

	buf_adds(b, "<table><tr><th>component<th>health<th>what it says</tr>\n");
	while (o->graph && graph_view_next(o->graph, &cursor, &v)) {
		if (v.component && v.component->type->singleton)
			continue;
		buf_adds(b, "<tr><td><a href=\"/api/v0/web/components/");
		html_text(b, v.id);
		buf_adds(b, "\">");
		html_text(b, v.id);
		buf_printf(b, "</a><td class=%s>%s<td>", health_name(v.health),
			   health_name(v.health));
		html_text(b, v.health_text ? v.health_text : "");
		buf_adds(b, "</tr>\n");
	}
	buf_adds(b, "</table>\n");
}

void ops_page(const struct ops *o, struct buf *b)
{
	static const char *const links[][2] = {
		{"/debug/targets", "what each target matches, and why not"},
		{"/metrics", "numbers, for Prometheus"},
		{"/api/v0/web/components", "components with arguments and exports, as JSON"},
		{"/-/healthy", "is every component healthy"},
		{"/-/ready", "has a configuration been loaded"},
	};

	buf_adds(b,
		 "<!DOCTYPE html><html lang=en><meta charset=utf-8>"
		 "<meta name=viewport content=\"width=device-width\"><title>Tephra</title><style>"
		 "body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:60em;"
		 "padding:0 1em}table{border-collapse:collapse;width:100%}"
		 "th,td{text-align:left;padding:.3em .8em .3em 0;border-bottom:1px solid #8884;"
		 "vertical-align:top}.healthy{color:#18794e}.unhealthy,.exited{color:#c00}"
		 ":root{color-scheme:light dark}</style>\n<h1>Tephra " TEPHRA_VERSION "</h1>\n<p>");
	if (o->failures && !o->last_ok)
		buf_adds(b, "<b class=unhealthy>The last configuration was not accepted as it "
			    "stands: the log says why.</b> ");
	buf_printf(b, "%s, running for ", o->ready ? "Ready" : "Not ready");
	add_age(b, (clock_ns(CLOCK_REALTIME) - o->started_ns) / 1000000000);
	buf_adds(b, ".</p>\n");
	add_components(o, b);
	buf_adds(b, "<ul>\n");
	for (size_t i = 0; i < ARRAY_SIZE(links); i++)
		buf_printf(b, "<li><a href=\"%s\">%s</a>: %s\n", links[i][0], links[i][0],
			   links[i][1]);
	buf_adds(b, "</ul></html>\n");
}

/* ---- Targets ---- */

static bool next_profiler(const struct ops *o, size_t *cursor, struct graph_view *ret)
{
	while (o->graph && graph_view_next(o->graph, cursor, ret)) {
		if (ret->component && !strcmp(ret->component->type->name, "pyroscope.ebpf"))
			return true;
	}
	return false;
}

void ops_targets_json(const struct ops *o, struct buf *b)
{
	struct graph_view v;
	size_t cursor = 0;

	buf_adds(b, "[");
	while (next_profiler(o, &cursor, &v)) {
		_cleanup_value_ struct value *info = graph_view_debug_info(&v);

		buf_adds(b, b->len > 1 ? ",{\"component\":" : "{\"component\":");
		json_cstr(b, v.id);
		buf_adds(b, ",\"health\":");
		json_cstr(b, health_name(v.health));
		buf_adds(b, ",\"message\":");
		json_cstr(b, v.health_text ? v.health_text : "");
		buf_adds(b, ",\"info\":");
		if (info)
			data_to_json(info, b);
		else
			buf_adds(b, "null");
		buf_adds(b, "}");
	}
	buf_adds(b, "]\n");
}

static uint64_t number_of(const struct value *object, const char *key)
{
	const struct value *v = value_get(object, key);
	double d = v && v->kind == VALUE_NUMBER ? number_float(v->n) : 0;

	return d > 0 && d < 1e18 ? (uint64_t)d : 0;
}

static const char *text_of(const struct value *object, const char *key)
{
	const struct value *v = object ? value_get(object, key) : NULL;

	return v && v->kind == VALUE_STRING ? v->s : "";
}

/* Why a target has no samples. */
static const char *why_none(const struct value *t)
{
	uint64_t pid = number_of(t, "pid");
	char path[64];

	if (number_of(t, "samples"))
		return "";
	if (!pid)
		return "none of its processes used the CPU while it was watched, or the container "
		       "is not on this host";
	(void)snprintf(path, sizeof(path), "/proc/%" PRIu64, pid);
	return access(path, F_OK) ? "there is no such process (any more)"
				  : "it used no CPU while it was watched";
}

static void add_cell(struct buf *b, const char *s, unsigned int columns)
{
	unsigned int used = utf8_fit(b, s, columns);

	while (used++ < columns + 2)
		buf_adds(b, " ");
}

static void add_target(struct buf *b, const struct value *t)
{
	const struct value *labels = value_get(t, "labels");
	const char *service = text_of(labels, "service_name");
	uint64_t pid = number_of(t, "pid"), last = number_of(t, "last_profile_ms");
	uint64_t now = clock_ns(CLOCK_REALTIME) / 1000000;
	char by[96];

	if (pid)
		(void)snprintf(by, sizeof(by), "pid %" PRIu64, pid);
	else
		(void)snprintf(by, sizeof(by), "%.12s", text_of(t, "container_id"));
	buf_adds(b, "  ");
	add_cell(b, *service ? service : "-", 30);
	add_cell(b, by, 14);
	buf_printf(b, "%9" PRIu64 "  %9" PRIu64 "  ", number_of(t, "processes"),
		   number_of(t, "samples"));
	if (last && last <= now) {
		struct buf age = BUF_INIT(64);

		add_age(&age, (now - last) / 1000);
		buf_printf(b, "%8s ago", buf_cstr(&age));
		buf_done(&age);
	} else {
		buf_adds(b, "       never");
	}
	buf_adds(b, "  ");
	buf_adds(b, why_none(t));
	for (size_t i = 0; labels && labels->kind == VALUE_OBJECT && i < labels->n_fields; i++) {
		if (labels->fields[i].value->kind != VALUE_STRING ||
		    !strcmp(labels->fields[i].key, "service_name"))
			continue;
		buf_adds(b, "\n      ");
		(void)utf8_fit(b, labels->fields[i].key, COLUMNS_MAX);
		buf_adds(b, " = ");
		(void)utf8_fit(b, labels->fields[i].value->s, 2 * COLUMNS_MAX);
	}
	buf_adds(b, "\n");
}

static void add_profiler(struct buf *b, const struct graph_view *v, const struct value *info)
{
	const struct value *targets = info ? value_get(info, "targets") : NULL;

	buf_printf(b, "%s: %s", v->id, health_name(v->health));
	if (v->health_text && *v->health_text) {
		buf_adds(b, ", ");
		(void)utf8_fit(b, v->health_text, 200);
	}
	buf_adds(b, "\n");
	if (!targets || targets->kind != VALUE_ARRAY)
		return;
	buf_printf(b,
		   "%" PRIu64 " targets, %" PRIu64 " with samples; %" PRIu64
		   " have neither a process nor a container; %" PRIu64
		   " samples of processes without a target\n",
		   number_of(info, "targets_total"), number_of(info, "targets_matched"),
		   number_of(info, "targets_unusable"), number_of(info, "samples_without_target"));
	if (targets->n_items)
		buf_adds(b, "\n  SERVICE                         BY              PROCESSES    "
			    "SAMPLES  LAST PROFILE  WHY NONE\n");
	for (size_t i = 0; i < targets->n_items; i++)
		add_target(b, targets->items[i]);
	if (targets->n_items < number_of(info, "targets_total"))
		buf_printf(b, "  ... and %" PRIu64 " more\n",
			   number_of(info, "targets_total") - targets->n_items);
}

void ops_targets_text(const struct ops *o, struct buf *b)
{
	struct graph_view v;
	size_t cursor = 0;

	while (next_profiler(o, &cursor, &v)) {
		_cleanup_value_ struct value *info = graph_view_debug_info(&v);

		buf_adds(b, b->len ? "\n" : "");
		add_profiler(b, &v, info);
	}
	if (!b->len)
		buf_adds(b, "no pyroscope.ebpf component is configured\n");
}
