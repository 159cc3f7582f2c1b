/* SPDX-License-Identifier: Apache-2.0 */
#include "discovery/process_start.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define FIELD_STATE  3 /* the one behind the name */
#define FIELD_START  22
#define STAT_BYTES   1024
#define HOST_TIME_NS 0xeffffffa /* PROC_TIME_INIT_INO, linux/proc_ns.h */

uint64_t process_start_parse(const char *text)
{
	/* The name is in parentheses and may hold any character, also these and spaces. */
	const char *s = strrchr(text, ')');
	uint64_t v = 0;

	for (int field = FIELD_STATE - 1; s && field < FIELD_START; field++) {
		s = strchr(s, ' ');
		s = s ? s + 1 : NULL;
	}
	for (; s && *s >= '0' && *s <= '9'; s++)
		v = v * 10 + (uint64_t)(*s - '0');
	return v;
}

bool process_start_is_true(void)
{
	struct stat st;

	/* Kernels without time namespaces have no such file. */
	return stat("/proc/self/ns/time", &st) < 0 || st.st_ino == HOST_TIME_NS;
}

uint64_t process_start_ticks(uint32_t pid)
{
	char path[64], text[STAT_BYTES];
	_cleanup_close_ int fd = -1;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%u/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	return process_start_parse(text);
}
