/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/components/target_groups.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "agent/components/targets_value.h"

struct reader {
	const char *source_label, *source;
	struct value_list *to;
	char *why;
	size_t size;
	size_t group; /* its index, for messages */
};

static int malformed(const struct reader *r, const char *fmt, ...) _printf_(2, 3);
static int malformed(const struct reader *r, const char *fmt, ...)
{
	int n = snprintf(r->why, r->size, "[%zu]", r->group);
	va_list ap;

	va_start(ap, fmt);
	if (n > 0 && (size_t)n < r->size)
		(void)vsnprintf(r->why + n, r->size - (size_t)n, fmt, ap);
	va_end(ap);
	return -EBADMSG;
}

/* Scalars are text: YAML writes ports and switches without quotes. NULL: it is none. */
static const char *scalar(const struct value *v, char number[NUMBER_TEXT])
{
	if (v->kind == VALUE_STRING)
		return strlen(v->s) == v->len ? v->s : NULL;
	if (v->kind == VALUE_BOOL)
		return v->b ? "true" : "false";
	if (v->kind != VALUE_NUMBER)
		return NULL;
	number_format(v->n, number, NUMBER_TEXT);
	return number;
}

static int read_labels(const struct reader *r, const struct value *labels, struct value_list *to)
{
	if (!labels || labels->kind == VALUE_NULL)
		return 0;
	if (labels->kind != VALUE_OBJECT)
		return malformed(r, ".labels should be object, got %s", value_kind_name(labels));
	for (size_t i = 0; i < labels->n_fields; i++) {
		char number[NUMBER_TEXT];
		const char *name = labels->fields[i].key;
		const char *text = scalar(labels->fields[i].value, number);

		if (!*name)
			return malformed(r, ".labels has a label without a name");
		if (!text)
			return malformed(r, ".labels.%.100s should be string, got %s", name,
					 value_kind_name(labels->fields[i].value));
		targets_value_put(to, name, text);
	}
	return 0;
}

static int read_targets(const struct reader *r, const struct value *targets,
			const struct value *labels)
{
	if (!targets || targets->kind == VALUE_NULL)
		return 0;
	if (targets->kind != VALUE_ARRAY)
		return malformed(r, ".targets should be array, got %s", value_kind_name(targets));
	for (size_t i = 0; i < targets->n_items; i++) {
		char number[NUMBER_TEXT];
		const char *address = scalar(targets->items[i], number);
		struct value_list l = {0};

		if (!address)
			return malformed(r, ".targets[%zu] should be string, got %s", i,
					 value_kind_name(targets->items[i]));
		if (r->to->n >= TARGET_GROUPS_MAX) {
			(void)snprintf(r->why, r->size, "more than %d targets", TARGET_GROUPS_MAX);
			return -E2BIG;
		}
		for (size_t k = 0; k < labels->n_fields; k++)
			value_list_add(&l, labels->fields[k].key,
				       value_ref(labels->fields[k].value));
		/* Later ones win: the address is the target's own. */
		targets_value_put(&l, r->source_label, r->source);
		targets_value_put(&l, "__address__", address);
		targets_value_add(r->to, &l);
	}
	return r->to->failed ? -ENOMEM : 0;
}

static int read_group(const struct reader *r, const struct value *g)
{
	struct value_list l = {0};
	_cleanup_value_ struct value *labels = NULL;
	int err;

	if (g->kind != VALUE_OBJECT)
		return malformed(r, " should be a group with \"targets\" and \"labels\", got %s",
				 value_kind_name(g));
	for (size_t i = 0; i < g->n_fields; i++) {
		if (strcmp(g->fields[i].key, "targets") != 0 &&
		    strcmp(g->fields[i].key, "labels") != 0)
			return malformed(r, ".%.100s is neither \"targets\" nor \"labels\"",
					 g->fields[i].key);
	}
	err = read_labels(r, value_get(g, "labels"), &l);
	labels = value_object(&l);
	if (err >= 0 && !labels)
		err = -ENOMEM;
	return err < 0 ? err : read_targets(r, value_get(g, "targets"), labels);
}

int target_groups_read(const struct value *groups, const char *source_label, const char *source,
		       struct value_list *to, char *why, size_t size)
{
	struct reader r = {source_label, source, to, why, size};
	int err = 0;

	if (groups->kind == VALUE_NULL)
		return 0;
	if (groups->kind != VALUE_ARRAY) {
		(void)snprintf(why, size, "should be a list of groups of targets, got %s",
			       value_kind_name(groups));
		return -EBADMSG;
	}
	for (; r.group < groups->n_items && err >= 0; r.group++)
		err = read_group(&r, groups->items[r.group]);
	if (err == -ENOMEM)
		(void)snprintf(why, size, "out of memory");
	return err;
}
