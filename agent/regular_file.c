/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/regular_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

int regular_file_reopen(int path_fd, struct stat *ret)
{
	char name[64];
	int fd;

	if (fstat(path_fd, ret) < 0)
		return -errno;
	if (!S_ISREG(ret->st_mode))
		return -EOPNOTSUPP;
	(void)snprintf(name, sizeof(name), "/proc/self/fd/%d", path_fd);
	fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	return fd < 0 ? -errno : fd;
}

int regular_file_open(int root_fd, const char *path, struct stat *ret)
{
	struct open_how how = {
		.flags = O_PATH | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	_cleanup_close_ int fd = (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how));

	return fd < 0 ? -errno : regular_file_reopen(fd, ret);
}
