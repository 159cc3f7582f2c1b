/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct image: an ELF file as the child reads it, through a mapping that gives its pages back
 * every few milliseconds. The parsers go through the whole text of a file, and each page they
 * touched would stay on the child's account (libLLVM: 68 MB); what they still need comes back from
 * the page cache.
 */
#pragma once

#include "agent/base/macro.h"

struct objfile;

struct image {
	void *data;
	size_t bytes;
	struct objfile *object; /* NULL: not opened */
};

/* Maps a regular file and opens it as ELF. -EBADMSG: not a file or not ELF, -EAGAIN: more than 64
 * at a time. */
int image_open(int fd, struct image *ret);
void image_done(struct image *i);
/* Gives all pages back and keeps the rest for later; image_wake() before it is read again, which
 * may fail as image_open() does. */
void image_rest(struct image *i);
int image_wake(struct image *i);
#define _cleanup_image_ _cleanup_(image_done)
