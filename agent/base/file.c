/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/base/file.h"

#include <errno.h>
#include <fcntl.h>

int file_read(const char *path, struct buf *to, struct stat *ret_st)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	uint8_t room[16384];
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	while ((n = read(fd, room, sizeof(room))) > 0 && !to->failed)
		buf_add(to, room, (size_t)n);
	if (n < 0)
		return -errno;
	if (to->failed)
		return to->failed;
	if (ret_st)
		*ret_st = st;
	return 0;
}
