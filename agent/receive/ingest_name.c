/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/receive/ingest_name.h"

#include <errno.h>
#include <string.h>

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* A copy of the n bytes without blanks around them; NULL without memory. */
static char *trimmed(const char *s, size_t n)
{
	while (n && memchr(" \t\r\n", *s, 4)) {
		s++;
		n--;
	}
	while (n && memchr(" \t\r\n", s[n - 1], 4))
		n--;
	return strndup(s, n);
}

static bool only(const char *s, const char *besides)
{
	for (; *s; s++) {
		if (!is_alnum(*s) && !strchr(besides, *s))
			return false;
	}
	return true;
}

static int take_pair(const char *s, size_t n, struct label_set *labels, char *why, size_t size)
{
	const char *equals = memchr(s, '=', n);
	_cleanup_free_ char *key = trimmed(s, equals ? (size_t)(equals - s) : n), *value = NULL;

	if (!key)
		return -ENOMEM;
	if (!*key && !equals)
		return 0; /* a comma too many */
	if (!equals || !*key || !only(key, "_.") || !strcmp(key, "__name__")) {
		(void)snprintf(why, size, "\"%.40s\" in it is no key=value", key);
		return -EINVAL;
	}
	value = trimmed(equals + 1, n - (size_t)(equals + 1 - s));
	if (!value)
		return -ENOMEM;
	label_set_put(labels, key, value);
	return labels->failed ? -ENOMEM : 0;
}

int ingest_name_parse(const char *name, struct label_set *ret, char *why, size_t size)
{
	_cleanup_labels_ struct label_set labels = {0};
	size_t n = strcspn(name, "{");
	_cleanup_free_ char *app = trimmed(name, n);
	int r;

	if (!app)
		return -ENOMEM;
	if (!*app || !only(app, "_.-/")) {
		(void)snprintf(why, size,
			       *app ? "\"%.100s\" may only have letters, digits and _.-/"
				    : "it is missing or empty%s",
			       app);
		return -EINVAL;
	}
	label_set_put(&labels, "__name__", app);
	for (const char *s = name + n; *s && *s != '}';) {
		s++;
		n = strcspn(s, ",}");
		r = take_pair(s, n, &labels, why, size);
		if (r < 0)
			return r;
		s += n;
	}
	if (labels.failed)
		return -ENOMEM;
	*ret = labels;
	labels = (struct label_set){0};
	return 0;
}

int ingest_name_service(struct label_set *labels)
{
	const char *name = label_set_get(labels, "__name__");
	const char *service = label_set_get(labels, "service_name");
	_cleanup_free_ char *copy = strdup(name ? name : "");

	if (!copy)
		return -ENOMEM;
	if (*copy)
		label_set_put(labels, service && *service ? "app_name" : "service_name", copy);
	return labels->failed ? -ENOMEM : 0;
}
