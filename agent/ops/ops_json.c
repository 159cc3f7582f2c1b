/* SPDX-License-Identifier: Apache-2.0 */
/* Components and values as Alloy's web API writes them: values carry their type. */
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "agent/base/utf8.h"
#include "agent/ops/ops_internal.h"

#define MAX_DEPTH 64

void json_string(struct buf *b, const char *s, size_t len)
{
	buf_adds(b, "\"");
	for (size_t i = 0, n; i < len; i += n) {
		unsigned char c = (unsigned char)s[i];
		uint32_t code;

		n = utf8_decode(s + i, len - i, &code);
		if (!n) {
			buf_adds(b, "\\ufffd");
			n = 1;
		} else if (c == '"' || c == '\\') {
			buf_printf(b, "\\%c", c);
		} else if (c < ' ' || c == 0x7f || c == '<' || c == '>' || c == '&') {
			/* Those of HTML too, as Go does: a browser may guess wrong. */
			buf_printf(b, "\\u%04x", c);
		} else {
			buf_add(b, s + i, n);
		}
	}
	buf_adds(b, "\"");
}

void json_cstr(struct buf *b, const char *s)
{
	json_string(b, s, strlen(s));
}

static void add_value(struct buf *b, const struct value *v, int depth);

static void add_number(struct buf *b, struct number n)
{
	char text[NUMBER_TEXT];

	if (n.kind == NUMBER_FLOAT && !isfinite(n.f)) {
		buf_adds(b, "null");
		return;
	}
	number_format(n, text, sizeof(text));
	buf_adds(b, text);
}

static void add_array(struct buf *b, const struct value *v, int depth)
{
	buf_adds(b, "[");
	for (size_t i = 0; i < v->n_items && !b->failed; i++) {
		buf_adds(b, i ? "," : "");
		add_value(b, v->items[i], depth);
	}
	buf_adds(b, "]");
}

static void add_object(struct buf *b, const struct value *v, int depth)
{
	buf_adds(b, "[");
	for (size_t i = 0; i < v->n_fields && !b->failed; i++) {
		buf_adds(b, i ? ",{\"key\":" : "{\"key\":");
		json_cstr(b, v->fields[i].key);
		buf_adds(b, ",\"value\":");
		add_value(b, v->fields[i].value, depth);
		buf_adds(b, "}");
	}
	buf_adds(b, "]");
}

static void add_capsule(struct buf *b, const struct value *v)
{
	char text[128];

	if (v->type == &capsule_secret)
		(void)snprintf(text, sizeof(text), "(secret)");
	else
		(void)snprintf(text, sizeof(text), "capsule(\"%s\")", v->type->name);
	json_cstr(b, text);
}

static void add_value(struct buf *b, const struct value *v, int depth)
{
	if (depth > MAX_DEPTH) {
		buf_adds(b, "{\"type\":\"null\",\"value\":null}");
		return;
	}
	buf_adds(b, "{\"type\":");
	json_cstr(b, value_kind_name(v));
	buf_adds(b, ",\"value\":");
	switch (v->kind) {
	case VALUE_NULL:
		buf_adds(b, "null");
		break;
	case VALUE_NUMBER:
		add_number(b, v->n);
		break;
	case VALUE_STRING:
		json_string(b, v->s, v->len);
		break;
	case VALUE_BOOL:
		buf_adds(b, v->b ? "true" : "false");
		break;
	case VALUE_ARRAY:
		add_array(b, v, depth + 1);
		break;
	case VALUE_OBJECT:
		add_object(b, v, depth + 1);
		break;
	case VALUE_FUNCTION:
		buf_adds(b, "\"function\"");
		break;
	case VALUE_CAPSULE:
		add_capsule(b, v);
		break;
	}
	buf_adds(b, "}");
}

static void add_body(struct buf *b, const struct schema *s, const struct value *v, int depth);

static void begin(struct buf *b, bool *first, const char *name, const char *type)
{
	buf_adds(b, *first ? "{\"name\":" : ",{\"name\":");
	*first = false;
	json_cstr(b, name);
	buf_printf(b, ",\"type\":\"%s\",", type);
}

static void add_block(struct buf *b, bool *first, const char *name, const struct schema *s,
		      const struct value *v, int depth)
{
	begin(b, first, name, "block");
	buf_adds(b, "\"body\":");
	add_body(b, s, v, depth);
	buf_adds(b, "}");
}

static void add_attribute(struct buf *b, bool *first, const char *name, const struct value *v)
{
	begin(b, first, name, "attr");
	buf_adds(b, "\"value\":");
	add_value(b, v, 0);
	buf_adds(b, "}");
}

/* s NULL: every field is an attribute. */
static void add_body(struct buf *b, const struct schema *s, const struct value *v, int depth)
{
	bool first = true;

	buf_adds(b, "[");
	for (size_t i = 0; !s && v->kind == VALUE_OBJECT && i < v->n_fields; i++)
		add_attribute(b, &first, v->fields[i].key, v->fields[i].value);
	for (size_t i = 0; s && i < s->n && depth < MAX_DEPTH; i++) {
		const struct option *o = &s->options[i];
		const struct value *x = value_get(v, o->name);

		if (!x || (o->flags & OPTION_DEPRECATED))
			continue;
		if (o->type == OPTION_BLOCK && x->kind == VALUE_OBJECT)
			add_block(b, &first, o->name, o->block, x, depth + 1);
		else if (o->type == OPTION_BLOCKS && x->kind == VALUE_ARRAY)
			for (size_t k = 0; k < x->n_items; k++)
				add_block(b, &first, o->name, o->block, x->items[k], depth + 1);
		else if (o->type != OPTION_BLOCK && o->type != OPTION_BLOCKS)
			add_attribute(b, &first, o->name, x);
	}
	buf_adds(b, "]");
}

static void add_time(struct buf *b, uint64_t ms)
{
	time_t s = (time_t)(ms / 1000);
	struct tm tm;
	char text[64];

	gmtime_r(&s, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	buf_printf(b, "\"%s.%03" PRIu64 "Z\"", text, ms % 1000);
}

static const char *local_id(const char *id)
{
	const char *slash = strrchr(id, '/');

	return slash ? slash + 1 : id;
}

static void add_ids(struct buf *b, const char *key, const struct graph_view *v,
		    const char *(*get)(const struct graph_view *v, size_t i))
{
	const char *id;

	buf_printf(b, ",\"%s\":[", key);
	for (size_t i = 0; (id = get(v, i)); i++) {
		buf_adds(b, i ? "," : "");
		json_cstr(b, local_id(id));
	}
	buf_adds(b, "]");
}

static void add_part(struct buf *b, const char *key, const struct schema *s, struct value *v)
{
	buf_printf(b, ",\"%s\":", key);
	if (v)
		add_body(b, s, v, 0);
	else
		buf_adds(b, "[]");
	value_unref(v);
}

void json_component(struct buf *b, const struct graph_view *v, bool detail)
{
	buf_adds(b, "{\"name\":");
	json_cstr(b, v->name);
	buf_adds(b, ",\"type\":\"block\",\"localID\":");
	json_cstr(b, local_id(v->id));
	buf_adds(b, ",\"moduleID\":");
	json_cstr(b, v->module);
	if (v->label[0]) {
		buf_adds(b, ",\"label\":");
		json_cstr(b, v->label);
	}
	add_ids(b, "referencesTo", v, graph_view_to);
	add_ids(b, "referencedBy", v, graph_view_from);
	buf_adds(b, ",\"health\":{\"state\":");
	json_cstr(b, health_name(v->health));
	buf_adds(b, ",\"message\":");
	json_cstr(b, v->health_text ? v->health_text : "");
	buf_adds(b, ",\"updatedTime\":");
	add_time(b, v->health_ms ? v->health_ms : v->evaluated_ms);
	buf_adds(b, "},\"original\":\"\"");
	if (detail) {
		add_part(b, "arguments", v->component ? v->component->type->schema : NULL,
			 graph_view_arguments(v));
		add_part(b, "exports", NULL, graph_view_exports(v));
		add_part(b, "debugInfo", NULL, graph_view_debug_info(v));
	}
	/* An instance of a custom component is a module of its own. */
	if (!v->component) {
		buf_adds(b, ",\"createdModuleIDs\":[");
		json_cstr(b, v->id);
		buf_adds(b, "]");
	}
	buf_adds(b, ",\"liveDebuggingEnabled\":false}");
}
