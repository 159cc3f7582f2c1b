/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/export/format.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/export/flamegraph.h"
#include "agent/export/folded.h"
#include "agent/export/pprof.h"

#define PPROF_FILE_MAX (512u << 20)
#define SINK_BYTES     (64u << 10)

static const struct {
	const char *name, *suffixes[2];
} formats[] = {
	[FORMAT_PPROF] = {"pprof", {".pb.gz", ".pprof"}},
	[FORMAT_FOLDED] = {"folded", {".folded"}},
	[FORMAT_SVG] = {"svg", {".svg"}},
	[FORMAT_HTML] = {"html", {".html"}},
};
_Static_assert(ARRAY_SIZE(formats) == FORMAT_MAX, "one row a format");

int format_from_name(const char *path_or_name, enum format *ret)
{
	size_t n = strlen(path_or_name);

	for (size_t i = 0; i < FORMAT_MAX; i++) {
		if (!strcmp(path_or_name, formats[i].name)) {
			*ret = (enum format)i;
			return 0;
		}
		for (size_t j = 0; j < 2 && formats[i].suffixes[j]; j++) {
			size_t m = strlen(formats[i].suffixes[j]);

			if (n > m && !strcmp(path_or_name + n - m, formats[i].suffixes[j])) {
				*ret = (enum format)i;
				return 0;
			}
		}
	}
	return -EINVAL;
}

const char *format_name(enum format format)
{
	return formats[format].name;
}

static int format_write_pprof(const struct profile *p, FILE *f)
{
	const struct pprof_options o = {.label_pid = true, .label_comm = true, .label_event = true};
	_cleanup_buf_ struct buf out = BUF_INIT(PPROF_FILE_MAX);
	int64_t r = pprof_encode(p, &o, &out);

	if (r < 0)
		return (int)r;
	return fwrite(out.data, 1, out.len, f) == out.len ? 0 : -EIO;
}

/* A stream in front of another that remembers why the first write failed: a writer that makes
 * thousands of small writes sees that some failed, but not the errno of the first. */
struct format_sink {
	FILE *f;
	int error;
};

static ssize_t format_sink_write(void *cookie, const char *data, size_t n)
{
	struct format_sink *s = cookie;

	if (s->error)
		return 0;
	errno = 0;
	if (fwrite(data, 1, n, s->f) == n && !fflush(s->f))
		return (ssize_t)n;
	s->error = errno ? -errno : -EIO;
	return 0;
}

static int format_write_to(const struct profile *p, enum format format,
			   const struct format_options *o, FILE *f)
{
	const struct flamegraph_options graph = {.title = o ? o->title : NULL};

	switch (format) {
	case FORMAT_PPROF:
		return format_write_pprof(p, f);
	case FORMAT_FOLDED:
		return folded_write(p, NULL, f);
	case FORMAT_SVG:
		return flamegraph_svg(p, &graph, f);
	case FORMAT_HTML:
		return flamegraph_html(p, &graph, f);
	case FORMAT_MAX:
		break;
	}
	return -EINVAL;
}

int format_write(const struct profile *p, enum format format, const struct format_options *o,
		 FILE *f)
{
	struct format_sink sink = {.f = f};
	FILE *s = fopencookie(&sink, "w", (cookie_io_functions_t){.write = format_sink_write});
	int r;

	if (!s)
		return -ENOMEM;
	(void)setvbuf(s, NULL, _IOFBF, SINK_BYTES);
	r = format_write_to(p, format, o, s);
	if (fclose(s) && r >= 0)
		r = -EIO;
	return sink.error ? sink.error : r;
}

/* Takes the stream: what was not written yet may fail only now. */
static int format_close(FILE *f, int r)
{
	/* A network file system may report a full disk no earlier than here. */
	if (r >= 0 && fsync(fileno(f)) < 0 && errno != EINVAL && errno != EROFS)
		r = -errno;
	if (fclose(f) && r >= 0)
		r = -errno;
	return r;
}

static int format_write_direct(const struct profile *p, enum format format,
			       const struct format_options *o, const char *path)
{
	FILE *f = fopen(path, "we");

	return f ? format_close(f, format_write(p, format, o, f)) : -errno;
}

static int format_temporary(const char *path, struct buf *ret_name, FILE **ret)
{
	_cleanup_close_ int fd = -1;
	mode_t mask;
	FILE *f;

	buf_printf(ret_name, "%s.XXXXXX", path);
	if (ret_name->failed)
		return ret_name->failed;
	fd = mkostemp((char *)(uintptr_t)buf_cstr(ret_name), O_CLOEXEC);
	if (fd < 0)
		return -errno;
	mask = umask(0);
	(void)umask(mask);
	f = fchmod(fd, 0666 & ~mask) < 0 ? NULL : fdopen(fd, "w");
	if (!f) {
		int r = -errno;

		(void)unlink(buf_cstr(ret_name));
		return r;
	}
	(void)TAKE_FD(fd);
	*ret = f;
	return 0;
}

int format_write_file(const struct profile *p, enum format format, const struct format_options *o,
		      const char *path)
{
	_cleanup_buf_ struct buf name = BUF_INIT(2u * PATH_MAX);
	_cleanup_free_ char *target = NULL;
	struct stat st;
	FILE *f = NULL;
	int r;

	if (!stat(path, &st)) {
		if (S_ISDIR(st.st_mode))
			return -EISDIR;
		if (!S_ISREG(st.st_mode))
			return format_write_direct(p, format, o, path);
		/* The file a link points to is replaced, not the link. */
		target = realpath(path, NULL);
		if (!target)
			return -errno;
		path = target;
	}
	r = format_temporary(path, &name, &f);
	if (r < 0)
		return r;
	r = format_close(f, format_write(p, format, o, f));
	if (r >= 0 && rename(buf_cstr(&name), path) < 0)
		r = -errno;
	if (r < 0)
		(void)unlink(buf_cstr(&name));
	return r;
}
