/* SPDX-License-Identifier: Apache-2.0 */
#include "discovery/cgroup.h"

#include <errno.h>
#include <string.h>

#define HEX_ID 64 /* docker, containerd, cri-o, podman */
#define ECS_ID 32 /* then "-<number>" */

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static size_t run(const char *s, size_t len, bool decimal)
{
	size_t n = 0;

	while (n < len && (decimal ? s[n] >= '0' && s[n] <= '9' : is_hex(s[n])))
		n++;
	return n;
}

/* The id that a path component ends with, before ".scope" and the like. */
static bool component_id(const char *s, size_t len, char ret[CGROUP_ID_MAX + 1])
{
	const char *colon = memrchr(s, ':', len), *dot;
	size_t n, start, digits;

	/* conmon watches the container from outside, in a cgroup that carries its id. */
	if (memmem(s, len, "conmon-", 7))
		return false;
	/* containerd without systemd's cooperation: "<slice>.slice:cri-containerd:<id>" */
	if (colon) {
		len -= (size_t)(colon + 1 - s);
		s = colon + 1;
	}
	dot = memchr(s, '.', len);
	n = dot ? (size_t)(dot - s) : len;
	for (start = n; start > 0 && is_hex(s[start - 1]);)
		start--;
	if (n - start == HEX_ID && (!start || s[start - 1] == '-')) {
		memcpy(ret, s + start, HEX_ID);
		ret[HEX_ID] = '\0';
		return true;
	}
	if (n <= ECS_ID + 1 || run(s, n, false) != ECS_ID || s[ECS_ID] != '-')
		return false;
	digits = run(s + ECS_ID + 1, n - ECS_ID - 1, true);
	if (!digits || digits > 20 || ECS_ID + 1 + digits != n)
		return false;
	memcpy(ret, s, n);
	ret[n] = '\0';
	return true;
}

int cgroup_path_id(const char *path, size_t len, char ret[CGROUP_ID_MAX + 1])
{
	/* From the end: the innermost container is the last one in the path. What is below it
	 * ("/container", "/init.scope", a whole systemd tree) names no id. */
	while (len > 0) {
		size_t start = len;

		while (start > 0 && path[start - 1] != '/')
			start--;
		if (component_id(path + start, len - start, ret))
			return 0;
		len = start ? start - 1 : 0;
	}
	return -ENOENT;
}

const char *cgroup_line_path(const char *line, size_t len, size_t *ret_len)
{
	const char *first = memchr(line, ':', len), *second;

	*ret_len = 0;
	if (!first)
		return "";
	second = memchr(first + 1, ':', len - (size_t)(first + 1 - line));
	if (!second)
		return "";
	*ret_len = len - (size_t)(second + 1 - line);
	return second + 1;
}

int cgroup_container_id(const char *text, size_t len, char ret[CGROUP_ID_MAX + 1])
{
	while (len > 0) {
		const char *end = memchr(text, '\n', len);
		size_t n = end ? (size_t)(end - text) : len, path_len;
		const char *path = cgroup_line_path(text, n, &path_len);

		/* Hierarchies that a runtime does not manage stay at "/": the first line with an id
		 * decides. */
		if (path_len && cgroup_path_id(path, path_len, ret) == 0)
			return 0;
		n += end ? 1 : 0;
		text += n;
		len -= n;
	}
	return -ENOENT;
}
