/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/mapped_file.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>

int mapped_file_open(int fd, uint64_t max_bytes, struct mapped_file *ret)
{
	struct stat st;
	void *data;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size <= 0)
		return -ENODATA;
	if ((uint64_t)st.st_size > max_bytes)
		return -E2BIG;
	data = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE,
		    fd, 0);
	if (data == MAP_FAILED)
		return -errno;
	*ret = (struct mapped_file){.data = data, .bytes = (size_t)st.st_size};
	return 0;
}

void mapped_file_done(struct mapped_file *f)
{
	if (f->data)
		munmap(f->data, f->bytes);
	*f = (struct mapped_file){0};
}
