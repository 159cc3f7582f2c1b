/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/components/docker_event.h"

#include <errno.h>
#include <string.h>

#define DEPTH_MAX 64

/* A piece of JSON, as it stands in the line. */
struct span {
	const char *p, *end;
};

static void skip_blanks(struct span *s)
{
	while (s->p < s->end && memchr(" \t\r\n", *s->p, 4))
		s->p++;
}

static bool take(struct span *s, char c)
{
	skip_blanks(s);
	if (s->p >= s->end || *s->p != c)
		return false;
	s->p++;
	return true;
}

/* What is between the quotes, escapes and all. */
static bool take_string(struct span *s, struct span *ret)
{
	if (!take(s, '"'))
		return false;
	for (ret->p = s->p; s->p < s->end; s->p++) {
		if (*s->p == '"') {
			ret->end = s->p++;
			return true;
		}
		if (*s->p == '\\')
			s->p++;
	}
	return false;
}

/* Any value. What is inside is only balanced, not checked. */
static bool take_value(struct span *s, struct span *ret)
{
	char open[DEPTH_MAX];
	size_t depth = 0;
	struct span text;

	skip_blanks(s);
	ret->p = s->p;
	while (s->p < s->end) {
		char c = *s->p;

		if (c == '"') {
			if (!take_string(s, &text))
				return false;
		} else if (c == '{' || c == '[') {
			if (depth == DEPTH_MAX)
				return false;
			open[depth++] = c == '{' ? '}' : ']';
			s->p++;
		} else if (!depth && (c == ',' || c == '}' || c == ']')) {
			break;
		} else {
			if ((c == '}' || c == ']') && open[--depth] != c)
				return false;
			s->p++;
		}
	}
	ret->end = s->p;
	return !depth && ret->end > ret->p;
}

static bool is(const struct span *s, const char *text)
{
	size_t n = strlen(text);

	return (size_t)(s->end - s->p) == n && !memcmp(s->p, text, n);
}

/* The values of some members of an object; those that are not there stay empty. */
static bool members(struct span object, const char *const *names, struct span *ret, size_t n)
{
	struct span key, value;

	if (!take(&object, '{'))
		return false;
	if (take(&object, '}'))
		return true;
	do {
		if (!take_string(&object, &key) || !take(&object, ':') ||
		    !take_value(&object, &value))
			return false;
		for (size_t i = 0; i < n; i++) {
			if (is(&key, names[i]))
				ret[i] = value;
		}
	} while (take(&object, ','));
	if (!take(&object, '}'))
		return false;
	skip_blanks(&object);
	return object.p == object.end;
}

/* A string without escapes: names of events and ids have none. "" when it is none. */
static void plain(struct span value, char *to, size_t size)
{
	struct span text;
	size_t n;

	*to = '\0';
	if (!value.p || !take_string(&value, &text))
		return;
	n = (size_t)(text.end - text.p);
	if (n >= size || memchr(text.p, '\\', n) || memchr(text.p, 0, n))
		return;
	memcpy(to, text.p, n);
	to[n] = '\0';
}

static enum docker_event_kind kind_of(const char *type, const char *action)
{
	static const struct {
		const char *type, *action;
		enum docker_event_kind kind;
	} known[] = {
		{"container", "start", DOCKER_EVENT_THERE},
		{"container", "die", DOCKER_EVENT_GONE},
		{"container", "rename", DOCKER_EVENT_CHANGED},
		{"network", "connect", DOCKER_EVENT_CHANGED},
		{"network", "disconnect", DOCKER_EVENT_CHANGED},
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (!strcmp(known[i].type, type) && !strcmp(known[i].action, action))
			return known[i].kind;
	}
	return DOCKER_EVENT_OTHER;
}

static int malformed(char *why, size_t size, const char *text)
{
	(void)snprintf(why, size, "%s", text);
	return -EBADMSG;
}

int docker_event_parse(const char *line, size_t len, struct docker_event *ret, char *why,
		       size_t size)
{
	static const char *const top[] = {"Type", "Action", "Actor"};
	static const char *const actor[] = {"ID", "Attributes"};
	static const char *const attributes[] = {"container"};
	struct span v[3] = {0}, a[2] = {0}, container = {0};
	struct docker_event e = {0};
	char type[32], action[64];

	if (!members((struct span){line, line + len}, top, v, ARRAY_SIZE(top)))
		return malformed(why, size, "it is no JSON object");
	plain(v[0], type, sizeof(type));
	plain(v[1], action, sizeof(action));
	if (!*type)
		return malformed(why, size, "an event has no Type");
	e.kind = kind_of(type, action);
	if (v[2].p && !members(v[2], actor, a, ARRAY_SIZE(actor)))
		return malformed(why, size, "the Actor of an event is no object");
	if (!strcmp(type, "network")) {
		if (a[1].p && !members(a[1], attributes, &container, 1))
			return malformed(why, size, "the Attributes of an event are no object");
		plain(container, e.id, sizeof(e.id));
	} else {
		plain(a[0], e.id, sizeof(e.id));
	}
	if (e.kind != DOCKER_EVENT_OTHER && !*e.id)
		return malformed(why, size, "an event of a container names none");
	*ret = e;
	return 0;
}
