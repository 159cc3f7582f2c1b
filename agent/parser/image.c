/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/parser/image.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "symbolizer/objfile.h"

#define RELEASE_MS 2
#define IMAGES_MAX 64

/* A signal handler can only know what a global tells it. */
static volatile struct {
	void *data;
	size_t bytes;
} released[IMAGES_MAX];

static void on_alarm(int signo)
{
	int saved_errno = errno;

	for (size_t i = 0; i < IMAGES_MAX; i++) {
		if (released[i].data)
			(void)madvise(released[i].data, released[i].bytes, MADV_DONTNEED);
	}
	errno = saved_errno;
}

static void release_every(unsigned int ms)
{
	const struct sigaction sa = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
	const struct itimerval t = {{0, ms * 1000}, {0, ms * 1000}};

	(void)sigaction(SIGALRM, &sa, NULL);
	(void)setitimer(ITIMER_REAL, &t, NULL);
}

static bool is_any_released(void)
{
	for (size_t i = 0; i < IMAGES_MAX; i++) {
		if (released[i].data)
			return true;
	}
	return false;
}

static int released_add(const struct image *image)
{
	for (size_t i = 0; i < IMAGES_MAX; i++) {
		if (released[i].data)
			continue;
		released[i].bytes = image->bytes;
		released[i].data = image->data;
		release_every(RELEASE_MS);
		return 0;
	}
	return -EAGAIN;
}

static void released_remove(const struct image *image)
{
	for (size_t i = 0; i < IMAGES_MAX; i++) {
		if (released[i].data == image->data)
			released[i].data = NULL;
	}
	if (!is_any_released())
		release_every(0);
}

int image_open(int fd, struct image *ret)
{
	struct image image = {0};
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size <= 0)
		return -EBADMSG;
	image.bytes = (size_t)st.st_size;
	image.data = mmap(NULL, image.bytes, PROT_READ, MAP_PRIVATE, fd, 0);
	if (image.data == MAP_FAILED)
		return -errno;
	r = released_add(&image);
	if (r == 0)
		r = objfile_open_memory(image.data, image.bytes, &image.object);
	if (r < 0)
		image_done(&image);
	else
		*ret = image;
	return r;
}

void image_rest(struct image *i)
{
	if (!i->data)
		return;
	released_remove(i);
	(void)madvise(i->data, i->bytes, MADV_DONTNEED);
}

int image_wake(struct image *i)
{
	return i->data ? released_add(i) : 0;
}

void image_done(struct image *i)
{
	objfile_free(i->object);
	if (i->data) {
		released_remove(i);
		munmap(i->data, i->bytes);
	}
	*i = (struct image){0};
}
