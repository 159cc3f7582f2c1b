/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A developer's program, not installed: reads a pprof file and writes it in another format, or
 * prints the report. render IN.pb.gz [OUT | --format=NAME] [--title=TEXT] [--width=N] [--colour]
 */
#include <errno.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/export/format.h"
#include "agent/export/pprof_read.h"
#include "agent/export/report.h"

#define INPUT_MAX (256u << 20)

static int render_load(const char *path, struct buf *data)
{
	_cleanup_fclose_ FILE *f = fopen(path, "re");
	uint8_t chunk[1 << 16];
	size_t n;

	if (!f)
		return -errno;
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		buf_add(data, chunk, n);
	return ferror(f) ? -EIO : data->failed;
}

static int render_fail(const char *what, int r)
{
	fprintf(stderr, "render: %s: %s\n", what, strerror(-r));
	return EXIT_FAILURE;
}

/* 0, the default width, for anything but a small number. */
static unsigned int render_number(const char *s)
{
	unsigned int n = 0;

	for (; *s >= '0' && *s <= '9' && n < 10000; s++)
		n = n * 10 + (unsigned int)(*s - '0');
	return *s ? 0 : n;
}

int main(int argc, char **argv)
{
	_cleanup_buf_ struct buf data = BUF_INIT(INPUT_MAX);
	_cleanup_(profile_freep) struct profile *p = NULL;
	struct report_options report = {.width = 100};
	struct format_options options = {0};
	enum format format = FORMAT_MAX;
	const char *out = NULL;
	bool bad = false;
	int r;

	for (int i = 2; i < argc; i++) {
		if (!strncmp(argv[i], "--title=", 8))
			options.title = argv[i] + 8;
		else if (!strncmp(argv[i], "--width=", 8))
			report.width = render_number(argv[i] + 8);
		else if (!strcmp(argv[i], "--colour"))
			report.colour = true;
		else if (!strncmp(argv[i], "--format=", 9))
			bad |= format_from_name(argv[i] + 9, &format) < 0;
		else
			bad |= format_from_name(out = argv[i], &format) < 0;
	}
	if (argc < 2 || bad) {
		fprintf(stderr, "usage: render IN.pb.gz [OUT.{pb.gz,folded,svg,html} | "
				"--format=NAME] [--title=TEXT] [--width=N] [--colour]\n");
		return 2;
	}
	r = render_load(argv[1], &data);
	if (r >= 0)
		r = pprof_parse(data.data, data.len, &p);
	if (r < 0)
		return render_fail(argv[1], r);
	if (out)
		r = format_write_file(p, format, &options, out);
	else if (format != FORMAT_MAX)
		r = format_write(p, format, &options, stdout);
	else
		r = report_print(stdout, p, &report);
	return r < 0 ? render_fail(out ? out : "output", r) : EXIT_SUCCESS;
}
