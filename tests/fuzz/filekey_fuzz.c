/* SPDX-License-Identifier: Apache-2.0 */
/* filekey_read() runs in the agent itself, on headers and notes that anybody may have written. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "agent/filekey.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_close_ int fd = memfd_create("input", MFD_CLOEXEC);
	struct filekey key;

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		return 0;
	/* A name is a file name, whatever the file says. */
	if (filekey_read(fd, &key) == 0 &&
	    (!memchr(key.name, 0, sizeof(key.name)) || strchr(key.name, '/') ||
	     strspn(key.name, "0123456789abcdefnov-") != strlen(key.name)))
		abort();
	return 0;
}
