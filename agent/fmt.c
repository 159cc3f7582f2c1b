/* SPDX-License-Identifier: Apache-2.0 */
/* `tephra fmt`: configuration files in the style of everybody else's. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/config/format.h"
#include "agent/verbs.h"

#define MAX_SHOWN 20 /* diagnostics of one file */

struct fmt {
	bool write, test;
	size_t differs; /* files whose text is not what it would be formatted to */
};

static void print_help(void)
{
	fputs("Usage: tephra fmt [OPTIONS] [FILE...]\n\n"
	      "Writes Alloy configuration files in their usual form to standard output. Without a\n"
	      "file, or for '-', standard input is read.\n\nOptions:\n"
	      "  -w, --write  change the files instead\n"
	      "  -t, --test   write nothing; name the files that would change and exit with 1\n"
	      "  -h, --help   this text\n",
	      stdout);
}

static int fail(const char *path, const char *what, int r)
{
	fprintf(stderr, "tephra: cannot %s '%s': %s\n", what, path,
		r == -E2BIG ? "larger than 16 MiB" : strerror(-r));
	return r;
}

static int parse(struct source *s, struct ast_file **ret)
{
	_cleanup_diag_ struct diag_list d = {0};
	int r = parser_parse(s, &d, ret);

	if (d.n_errors) {
		diag_print(&d, stderr, diag_colour(stderr), MAX_SHOWN);
		fputc('\n', stderr);
	}
	return r;
}

/* Into a new file beside the old one, which takes its place when it is complete. */
static int replace(const char *path, const struct buf *b)
{
	_cleanup_free_ char *real = realpath(path, NULL), *name = NULL;
	_cleanup_close_ int fd = -1;
	const uint8_t *p = b->data;
	size_t left = b->len;
	struct stat st;
	int r = 0;

	if (!real || stat(real, &st) < 0)
		return -errno;
	if (asprintf(&name, "%s.XXXXXX", real) < 0) {
		name = NULL;
		return -ENOMEM;
	}
	fd = mkostemp(name, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* Only root may give a file away; whoever else may write it here owns the new one. */
	if (fchown(fd, st.st_uid, st.st_gid) < 0 && errno != EPERM)
		r = -errno;
	if (!r && fchmod(fd, st.st_mode & 07777) < 0)
		r = -errno;
	while (!r && left) {
		ssize_t n = write(fd, p, left);

		if (n < 0 && errno != EINTR)
			r = -errno;
		left -= n > 0 ? (size_t)n : 0;
		p += n > 0 ? n : 0;
	}
	if (!r && (fsync(fd) < 0 || rename(name, real) < 0))
		r = -errno;
	if (r < 0)
		(void)unlink(name);
	return r;
}

static int write_result(struct fmt *f, const char *path, const struct source *s, struct buf *b)
{
	bool same = s->len == b->len && !memcmp(s->text, buf_cstr(b), b->len);

	f->differs += !same;
	if (f->test) {
		if (!same)
			printf("%s\n", path);
		return 0;
	}
	if (!f->write)
		return fwrite(buf_cstr(b), 1, b->len, stdout) == b->len ? 0 : -EIO;
	return same ? 0 : replace(path, b);
}

static int fmt_file(struct fmt *f, const char *path)
{
	_cleanup_buf_ struct buf b = BUF_INIT(64u << 20);
	_cleanup_(ast_freep) struct ast_file *file = NULL;
	struct source *s = NULL;
	int r = source_open(path, &s);

	if (r < 0)
		return fail(path, "read", r);
	r = parse(s, &file);
	if (r < 0) {
		if (r != -EBADMSG)
			(void)fail(path, "read", r);
		source_free(s);
		return r;
	}
	r = format_file(file, &b);
	if (r < 0)
		return fail(path, "format", r);
	r = write_result(f, path, s, &b);
	return r < 0 ? fail(path, "write", r) : 0;
}

int fmt_main(int argc, char **argv)
{
	static const struct option options[] = {
		{"write", no_argument, NULL, 'w'},
		{"test", no_argument, NULL, 't'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	struct fmt f = {0};
	int c, failed = 0;

	opterr = 0;
	while ((c = getopt_long(argc, argv, ":wth", options, NULL)) != -1) {
		switch (c) {
		case 'w':
			f.write = true;
			break;
		case 't':
			f.test = true;
			break;
		case 'h':
			print_help();
			return EXIT_DONE;
		default:
			return usage_error("tephra fmt", "unknown option");
		}
	}
	if (f.write && f.test)
		return usage_error("tephra fmt", "--write and --test exclude each other");
	for (int i = optind; i < argc || i == optind; i++) {
		const char *path = i < argc ? argv[i] : "-";

		if (f.write && !strcmp(path, "-"))
			return usage_error("tephra fmt", "standard input cannot be written to");
		failed += fmt_file(&f, path) < 0;
	}
	if (fflush(stdout) != 0)
		failed++;
	return failed || (f.test && f.differs) ? EXIT_FAILED : EXIT_DONE;
}
