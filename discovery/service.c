/* SPDX-License-Identifier: Apache-2.0 */
#include "discovery/service.h"

#include <errno.h>
#include <string.h>

#define UUID_CHARS 36
#define SHORT_ID   12 /* as docker ps shows it */

struct span {
	const char *s;
	size_t n;
};

static bool ends_with(struct span s, const char *suffix)
{
	size_t n = strlen(suffix);

	return s.n > n && !memcmp(s.s + s.n - n, suffix, n);
}

static bool begins_with(struct span s, const char *prefix)
{
	size_t n = strlen(prefix);

	return s.n >= n && !memcmp(s.s, prefix, n);
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* The length of the valid UTF-8 sequence of more than one byte at s; 0: it is none. */
static size_t utf8_bytes(const char *s, size_t room)
{
	const unsigned char *u = (const unsigned char *)s;
	size_t n = u[0] >= 0xf0 ? 4 : u[0] >= 0xe0 ? 3 : 2;

	if (u[0] < 0xc2 || u[0] > 0xf4 || n > room)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((u[i] & 0xc0) != 0x80)
			return 0;
	}
	/* Overlong forms, surrogates, and what is beyond U+10FFFF. */
	if ((u[0] == 0xe0 && u[1] < 0xa0) || (u[0] == 0xed && u[1] > 0x9f) ||
	    (u[0] == 0xf0 && u[1] < 0x90) || (u[0] == 0xf4 && u[1] > 0x8f))
		return 0;
	return n;
}

/* Unescapes \xNN and makes it fit to be shown; at most SERVICE_NAME_MAX bytes. */
static void put_name(struct span s, bool escaped, char *ret)
{
	char text[SERVICE_NAME_MAX + 1];
	size_t n = 0, at = 0;

	for (size_t i = 0; i < s.n && n < SERVICE_NAME_MAX; i++) {
		const char *p = s.s + i;

		if (escaped && s.n - i >= 4 && p[0] == '\\' && p[1] == 'x' && hex(p[2]) >= 0 &&
		    hex(p[3]) >= 0) {
			text[n++] = (char)(hex(p[2]) << 4 | hex(p[3]));
			i += 3;
		} else {
			text[n++] = *p;
		}
	}
	for (size_t i = 0; i < n;) {
		size_t bytes = (unsigned char)text[i] >= 0x80 ? utf8_bytes(text + i, n - i) : 0;

		for (size_t k = 0; k < bytes; k++)
			ret[at++] = text[i + k];
		if (!bytes)
			ret[at++] = text[i] >= ' ' && text[i] < 0x7f ? text[i] : '_';
		i += MAX(bytes, 1u);
	}
	ret[at] = '\0';
}

/* "-" and a UUID at the end: taken off. */
static struct span without_uuid(struct span s)
{
	size_t start = s.n > UUID_CHARS + 1 ? s.n - UUID_CHARS : 0;

	if (!start || s.s[start - 1] != '-')
		return s;
	for (size_t i = 0; i < UUID_CHARS; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? s.s[start + i] != '-' : hex(s.s[start + i]) < 0)
			return s;
	}
	return (struct span){s.s, start - 1};
}

/* What follows the last '-'. The parts of a name have theirs escaped. */
static struct span last_part(struct span s)
{
	const char *dash = memrchr(s.s, '-', s.n);

	return dash ? (struct span){dash + 1, s.n - (size_t)(dash + 1 - s.s)} : s;
}

static struct span before(struct span s, char c)
{
	const char *at = memrchr(s.s, c, s.n);

	return at ? (struct span){s.s, (size_t)(at - s.s)} : s;
}

/* Empty when the name says nothing. */
static struct span name_of_service(struct span unit)
{
	struct span s = {unit.s, unit.n - strlen(".service")};

	if (begins_with(s, "user@") || begins_with(s, "run-"))
		return (struct span){s.s, 0};
	/* "app-gnome-org.foo@autostart", "dbus-:1.2-org.foo@0" */
	if (begins_with(s, "app-") || begins_with(s, "dbus-:"))
		return last_part(before(s, '@'));
	return s;
}

static struct span name_of_scope(struct span unit)
{
	static const char *const silent[] = {"run-", "session-", "vte-spawn-", "tmux-spawn-"};
	struct span s = {unit.s, unit.n - strlen(".scope")};

	if (s.n == 4 && !memcmp(s.s, "init", 4))
		return (struct span){s.s, 0};
	for (size_t i = 0; i < ARRAY_SIZE(silent); i++) {
		if (begins_with(s, silent[i]))
			return (struct span){s.s, 0};
	}
	if (begins_with(s, "app-"))
		return last_part(before(s, '-'));
	return without_uuid(s);
}

int service_unit(const char *path, char ret[SERVICE_NAME_MAX + 1])
{
	size_t len = strlen(path);

	/* From the end: the innermost unit. What is below it (delegated cgroups) is its own. */
	while (len > 0) {
		const char *slash = memrchr(path, '/', len);
		size_t start = slash ? (size_t)(slash - path) + 1 : 0;
		struct span c = {path + start, len - start}, name;

		len = start ? start - 1 : 0;
		if (ends_with(c, ".service"))
			name = name_of_service(c);
		else if (ends_with(c, ".scope"))
			name = name_of_scope(c);
		else
			continue;
		if (!name.n)
			return -ENOENT;
		put_name(name, true, ret);
		return 0;
	}
	return -ENOENT;
}

/* Empty for what has no name of its own. */
static struct span executable(const char *exe)
{
	static const char deleted[] = " (deleted)";
	const char *slash = strrchr(exe, '/');
	struct span s = {slash ? slash + 1 : exe, 0};

	if (!strncmp(exe, "/memfd:", 7))
		return s;
	s.n = strlen(s.s);
	if (ends_with(s, deleted))
		s.n -= strlen(deleted);
	return s;
}

void service_name(const struct service_of *s, char ret[SERVICE_NAME_MAX + 1])
{
	struct span exe = executable(s->exe);

	if (s->is_kernel)
		(void)snprintf(ret, SERVICE_NAME_MAX + 1, "kernel");
	else if (s->container[0])
		(void)snprintf(ret, SERVICE_NAME_MAX + 1, "container/%.*s", SHORT_ID, s->container);
	else if (service_unit(s->cgroup_path, ret) < 0)
		put_name(exe.n ? exe : (struct span){s->comm, strlen(s->comm)}, false, ret);
}
