/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file formats of a profile and their names. Writing to a path is atomic: a reader finds the
 * old file or the whole new one.
 */
#pragma once

#include "agent/export/profile.h"

enum format { FORMAT_PPROF, FORMAT_FOLDED, FORMAT_SVG, FORMAT_HTML, FORMAT_MAX };

struct format_options {
	const char
		*title; /* of the pictures, e.g. "host db-01" or a command line; NULL: "tephra" */
};

/* By the end of a path (.pb.gz, .pprof, .folded, .svg, .html) or by the name alone (pprof, folded,
 * svg, html), as --format takes it. 0, or -EINVAL. */
int format_from_name(const char *path_or_name, enum format *ret);
const char *format_name(enum format format);

/* o may be NULL. 0, -ENOMEM, -E2BIG, or the stream's error. The stream is flushed. pprof gets the
 * sample labels pid, comm and event; pictures and folded begin with the process's name. */
int format_write(const struct profile *p, enum format format, const struct format_options *o,
		 FILE *f);
/*
 * Writes to a temporary file beside `path` and renames it; what cannot be replaced (a pipe, a
 * device) is written directly. On failure nothing is left behind and the old file is untouched:
 * -ENOSPC, -EDQUOT and -EIO of delayed writes are reported too. New files have mode 0666 & ~umask.
 */
int format_write_file(const struct profile *p, enum format format, const struct format_options *o,
		      const char *path);
