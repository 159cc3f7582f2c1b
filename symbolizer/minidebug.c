/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/minidebug.h"

#include <errno.h>

#include <lzma.h>

#include "symbolizer/objfile.h"

#define DECODER_BYTES_MAX (UINT64_C(72) << 20) /* xz -9, the most that xz takes by default */
#define FIRST_BYTES	  (256u << 10)

static int error_of(lzma_ret r)
{
	switch (r) {
	case LZMA_OK:
	case LZMA_STREAM_END:
		return 0;
	case LZMA_MEM_ERROR:
		return -ENOMEM;
	case LZMA_MEMLIMIT_ERROR:
		return -E2BIG;
	case LZMA_NO_CHECK:
	case LZMA_UNSUPPORTED_CHECK:
	case LZMA_GET_CHECK:
	case LZMA_FORMAT_ERROR:
	case LZMA_OPTIONS_ERROR:
	case LZMA_DATA_ERROR:
	case LZMA_BUF_ERROR: /* the end of the input before the end of the stream */
	case LZMA_PROG_ERROR:
	case LZMA_SEEK_NEEDED:
	case LZMA_RET_INTERNAL1:
	case LZMA_RET_INTERNAL2:
	case LZMA_RET_INTERNAL3:
	case LZMA_RET_INTERNAL4:
	case LZMA_RET_INTERNAL5:
	case LZMA_RET_INTERNAL6:
	case LZMA_RET_INTERNAL7:
	case LZMA_RET_INTERNAL8:
		break;
	}
	return -EBADMSG;
}

/* The size that the stream says it has is in an index at its end, which may lie: room grows with
 * what comes out. */
static int unpack(lzma_stream *s, uint8_t **data, size_t *ret_bytes)
{
	size_t room = 0;

	for (;;) {
		lzma_ret r;

		if (!s->avail_out) {
			uint8_t *p;

			if (room >= MINIDEBUG_BYTES_MAX)
				return -E2BIG;
			p = realloc(*data, room ? room * 2 : FIRST_BYTES);
			if (!p)
				return -ENOMEM;
			*data = p;
			s->next_out = p + room;
			s->avail_out = room ? room : FIRST_BYTES;
			room += s->avail_out;
		}
		r = lzma_code(s, LZMA_FINISH);
		if (r != LZMA_OK && r != LZMA_STREAM_END)
			return error_of(r);
		if (r == LZMA_STREAM_END) {
			*ret_bytes = room - s->avail_out;
			return 0;
		}
	}
}

int minidebug_open(struct objfile *o, struct minidebug *ret)
{
	_cleanup_(minidebug_done) struct minidebug m = {0};
	lzma_stream s = LZMA_STREAM_INIT;
	struct objfile_section section;
	size_t bytes = 0;
	int r;

	r = objfile_section_by_name(o, ".gnu_debugdata", &section);
	if (r < 0 || !section.data)
		return -ENOENT;
	r = error_of(lzma_stream_decoder(&s, DECODER_BYTES_MAX, 0));
	if (r == 0) {
		s.next_in = section.data;
		s.avail_in = section.size;
		r = unpack(&s, &m.data, &bytes);
	}
	lzma_end(&s);
	if (r == 0)
		r = objfile_open_memory(m.data, bytes, &m.object);
	if (r < 0)
		return r == -EOPNOTSUPP ? -EBADMSG : r;
	*ret = m;
	m = (struct minidebug){0};
	return 0;
}

void minidebug_done(struct minidebug *m)
{
	objfile_free(m->object);
	free(m->data);
	*m = (struct minidebug){0};
}
