/* SPDX-License-Identifier: Apache-2.0 */
/* Conditions and messages: relabel.Config.Validate() of Grafana Alloy, 66ebea856dff. */
#include "agent/relabel/relabel_spec.h"

#include <errno.h>
#include <string.h>

#include "agent/base/utf8.h"
#include "agent/relabel/regex.h"

/* What a name with references to groups must look like. */
#define TEMPLATE "(?:(?:[a-zA-Z_]|\\$(?:\\{\\w+\\}|\\w+))+\\w*)+"

static const char *const names[] = {
	[RELABEL_REPLACE] = "replace",	   [RELABEL_KEEP] = "keep",
	[RELABEL_DROP] = "drop",	   [RELABEL_KEEPEQUAL] = "keepequal",
	[RELABEL_DROPEQUAL] = "dropequal", [RELABEL_HASHMOD] = "hashmod",
	[RELABEL_LABELMAP] = "labelmap",   [RELABEL_LABELDROP] = "labeldrop",
	[RELABEL_LABELKEEP] = "labelkeep", [RELABEL_LOWERCASE] = "lowercase",
	[RELABEL_UPPERCASE] = "uppercase",
};

int relabel_parse_action(const char *name, enum relabel_action *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!strcmp(name ? name : RELABEL_DEFAULT_ACTION, names[i])) {
			*ret = (enum relabel_action)i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *relabel_action_name(enum relabel_action a)
{
	return names[a];
}

bool relabel_is_action(const char *action)
{
	enum relabel_action a;

	return relabel_parse_action(action, &a) >= 0;
}

static bool is_template(const char *s)
{
	_cleanup_(regex_freep) struct regex *re = NULL;
	struct regex_scratch x = {0};
	uint64_t budget = 1000000;
	char why[64];
	bool ok = regex_new_whole(TEMPLATE, strlen(TEMPLATE), &re, why, sizeof(why)) >= 0 &&
		  regex_match(re, &x, s, strlen(s), &budget) == 1;

	regex_scratch_done(&x);
	return ok;
}

static bool differs(const char *value, const char *standard)
{
	return value && strcmp(value, standard) != 0;
}

/* Actions that take nothing but some of the fields. */
static int check_only(const struct relabel_spec *s, enum relabel_action a, char *why, size_t size)
{
	bool other = s->modulus || differs(s->separator, RELABEL_DEFAULT_SEPARATOR) ||
		     differs(s->replacement, RELABEL_DEFAULT_REPLACEMENT);
	const char *only = NULL;

	if (a == RELABEL_KEEPEQUAL || a == RELABEL_DROPEQUAL) {
		if (other || differs(s->regex, RELABEL_DEFAULT_REGEX))
			only = "'source_labels' and 'target_label'";
	} else if (a == RELABEL_LABELDROP || a == RELABEL_LABELKEEP) {
		if (other || s->n_source_labels || differs(s->target_label, ""))
			only = "'regex'";
	}
	if (!only)
		return 0;
	(void)snprintf(why, size, "%s action requires only %s, and no other fields", names[a],
		       only);
	return -EINVAL;
}

int relabel_check(const struct relabel_spec *s, char *why, size_t size)
{
	const char *target = s->target_label ? s->target_label : "";
	const char *replacement = s->replacement ? s->replacement : RELABEL_DEFAULT_REPLACEMENT;
	enum relabel_action a;
	bool needs_target;

	if (s->action && !*s->action)
		return (void)snprintf(why, size, "relabel action cannot be empty"), -EINVAL;
	if (relabel_parse_action(s->action, &a) < 0)
		return (void)snprintf(why, size, "unrecognized action type \"%s\"", s->action),
		       -EINVAL;
	needs_target = a == RELABEL_REPLACE || a == RELABEL_HASHMOD || a == RELABEL_LOWERCASE ||
		       a == RELABEL_UPPERCASE || a == RELABEL_KEEPEQUAL || a == RELABEL_DROPEQUAL;
	if (a == RELABEL_HASHMOD && !s->modulus)
		(void)snprintf(why, size,
			       "relabel configuration for hashmod requires non-zero modulus");
	else if (needs_target && !*target)
		(void)snprintf(why, size,
			       "relabel configuration for %s action requires 'target_label' value",
			       names[a]);
	else if (needs_target && (a == RELABEL_REPLACE && strchr(target, '$')
					  ? !is_template(target)
					  : !utf8_is_clean(target, strlen(target), strlen(target))))
		(void)snprintf(why, size, "\"%s\" is invalid 'target_label' for %s action", target,
			       names[a]);
	else if ((a == RELABEL_LOWERCASE || a == RELABEL_UPPERCASE) &&
		 strcmp(replacement, RELABEL_DEFAULT_REPLACEMENT) != 0)
		(void)snprintf(why, size, "'replacement' can not be set for %s action", names[a]);
	else if (a == RELABEL_LABELMAP && !is_template(replacement))
		(void)snprintf(why, size, "\"%s\" is invalid 'replacement' for %s action",
			       replacement, names[a]);
	else
		return check_only(s, a, why, size);
	return -EINVAL;
}
