/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/config/source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/buf.h"
#include "agent/base/utf8.h"

struct source *source_free(struct source *s)
{
	if (!s)
		return NULL;
	free(s->name);
	free(s->text);
	free(s->lines);
	free(s);
	return NULL;
}

/* Editors on Windows save configuration as UTF-16; a lone surrogate becomes U+FFFD. */
static void utf16_to_utf8(struct buf *b, const uint8_t *p, size_t n, bool big)
{
	for (size_t i = 0; i + 1 < n; i += 2) {
		char text[4];
		uint32_t cp = big ? (uint32_t)p[i] << 8 | p[i + 1] : (uint32_t)p[i + 1] << 8 | p[i];

		if (cp >= 0xd800 && cp < 0xdc00 && i + 3 < n) {
			uint32_t low = big ? (uint32_t)p[i + 2] << 8 | p[i + 3]
					   : (uint32_t)p[i + 3] << 8 | p[i + 2];

			if (low >= 0xdc00 && low < 0xe000) {
				cp = 0x10000 + ((cp - 0xd800) << 10) + (low - 0xdc00);
				i += 2;
			}
		}
		if (cp >= 0xd800 && cp < 0xe000)
			cp = 0xfffd;
		buf_add(b, text, utf8_encode(cp, text));
	}
}

static int source_index(struct source *s)
{
	size_t n = 1;

	for (uint32_t i = 0; i < s->len; i++)
		n += s->text[i] == '\n';
	s->lines = malloc(n * sizeof(*s->lines));
	if (!s->lines)
		return -ENOMEM;
	s->lines[s->n_lines++] = 0;
	for (uint32_t i = 0; i < s->len; i++) {
		if (s->text[i] == '\n')
			s->lines[s->n_lines++] = i + 1;
	}
	return 0;
}

int source_new(const char *name, const char *text, size_t len, struct source **ret)
{
	_cleanup_(source_freep) struct source *s = calloc(1, sizeof(*s));
	_cleanup_buf_ struct buf b = BUF_INIT(SOURCE_MAX + 1);
	const uint8_t *p = (const uint8_t *)text;
	int r;

	if (!s)
		return -ENOMEM;
	if (len > SOURCE_MAX)
		return -E2BIG;
	if (len >= 2 && ((p[0] == 0xff && p[1] == 0xfe) || (p[0] == 0xfe && p[1] == 0xff)))
		utf16_to_utf8(&b, p + 2, len - 2, p[0] == 0xfe);
	else
		buf_add(&b, text, len);
	if (b.failed)
		return b.failed;
	if (b.len > SOURCE_MAX)
		return -E2BIG;
	s->len = (uint32_t)b.len;
	buf_add_u8(&b, 0);
	s->text = (char *)buf_take(&b, &len);
	s->name = strdup(name);
	if (!s->text || !s->name)
		return -ENOMEM;
	r = source_index(s);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(s);
	return 0;
}

int source_open(const char *path, struct source **ret)
{
	bool is_stdin = !strcmp(path, "-");
	_cleanup_close_ int fd = is_stdin ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
					  : open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_buf_ struct buf b = BUF_INIT(SOURCE_MAX + 1);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	for (;;) {
		char chunk[16384];
		ssize_t n = read(fd, chunk, sizeof(chunk));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			break;
		buf_add(&b, chunk, (size_t)n);
		if (b.failed)
			return b.failed;
	}
	return source_new(is_stdin ? "stdin" : path, buf_cstr(&b), b.len, ret);
}

void source_position(const struct source *s, uint32_t offset, uint32_t *ret_line, uint32_t *ret_col)
{
	/* The first line begins at 0. */
	size_t line = PARTITION_POINT(mid, 1, s->n_lines, s->lines[mid] <= offset);

	*ret_line = (uint32_t)line;
	*ret_col = offset - s->lines[line - 1] + 1;
}

const char *source_line(const struct source *s, uint32_t line, size_t *ret_len)
{
	uint32_t start, end;

	*ret_len = 0;
	if (line < 1 || line > s->n_lines)
		return "";
	start = s->lines[line - 1];
	end = line < s->n_lines ? s->lines[line] - 1 : s->len;
	if (end > start && s->text[end - 1] == '\r')
		end--;
	*ret_len = end - start;
	return s->text + start;
}
