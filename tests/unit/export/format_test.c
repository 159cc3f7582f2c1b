/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <signal.h>
#include <sys/stat.h>

#include "agent/export/format.h"
#include "agent/export/pprof_read.h"
#include "tests/unit/export/sample.h"

static char dir[] = "/tmp/format_test.XXXXXX";

static int make_dir(void **state)
{
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	return rmdir(dir);
}

static const char *in_dir(const char *name)
{
	static char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static unsigned int files_in_dir(void)
{
	unsigned int n = 0;
	DIR *d = opendir(dir);

	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static size_t load(const char *path, char *data, size_t max)
{
	FILE *f = fopen(path, "re");
	size_t n;

	assert_non_null(f);
	n = fread(data, 1, max, f);
	(void)fclose(f);
	return n;
}

static void the_format_follows_the_name(void **state)
{
	static const struct {
		const char *name;
		int want;
	} cases[] = {
		{"out.pb.gz", FORMAT_PPROF},
		{"/a/b.pprof", FORMAT_PPROF},
		{"pprof", FORMAT_PPROF},
		{"x.y.folded", FORMAT_FOLDED},
		{"folded", FORMAT_FOLDED},
		{"a.svg", FORMAT_SVG},
		{"svg", FORMAT_SVG},
		{"a.html", FORMAT_HTML},
		{"html", FORMAT_HTML},
		{"a.gz", -1},
		{".svg", -1},
		{"", -1},
		{"svg.txt", -1},
		{"HTML", -1},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		enum format f = FORMAT_MAX;
		int r = format_from_name(cases[i].name, &f);

		assert_int_equal(r, cases[i].want < 0 ? -EINVAL : 0);
		assert_int_equal(f, cases[i].want < 0 ? FORMAT_MAX : cases[i].want);
	}
	assert_string_equal(format_name(FORMAT_SVG), "svg");
}

static void every_format_is_written_whole(void **state)
{
	static const char *const starts[] = {"\x1f\x8b", "web;main;", "<?xml", "<!DOCTYPE html>"};
	_cleanup_(profile_freep) struct profile *p = sample_profile();
	static char data[1 << 20];

	for (int f = 0; f < FORMAT_MAX; f++) {
		const char *path = in_dir("out");
		size_t n;

		assert_int_equal(format_write_file(p, (enum format)f, NULL, path), 0);
		n = load(path, data, sizeof(data));
		assert_true(n > strlen(starts[f]));
		assert_memory_equal(data, starts[f], strlen(starts[f]));
		if (f == FORMAT_PPROF) {
			_cleanup_(profile_freep) struct profile *again = NULL;

			assert_int_equal(pprof_parse(data, n, &again), 0);
			assert_int_equal(again->n_samples, 3);
		}
		assert_int_equal(files_in_dir(), 1);
		assert_int_equal(unlink(path), 0);
	}
}

static void new_files_honour_the_umask(void **state)
{
	_cleanup_(profile_freep) struct profile *p = sample_profile();
	mode_t old = umask(027);
	struct stat st;

	assert_int_equal(format_write_file(p, FORMAT_FOLDED, NULL, in_dir("out.folded")), 0);
	(void)umask(old);
	assert_int_equal(stat(in_dir("out.folded"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	(void)unlink(in_dir("out.folded"));
}

static void a_write_that_fails_leaves_the_old_file_alone(void **state)
{
	_cleanup_(profile_freep) struct profile *p = sample_profile();
	const struct rlimit small = {100, RLIM_INFINITY};
	struct rlimit old;
	char data[100];
	FILE *f = fopen(in_dir("out.html"), "we");

	assert_non_null(f);
	assert_true(fputs("old", f) >= 0);
	assert_int_equal(fclose(f), 0);
	/* A file size limit fails like a full disk: in the middle, and when it is closed. */
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(format_write_file(p, FORMAT_HTML, NULL, in_dir("out.html")), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(load(in_dir("out.html"), data, sizeof(data)), 3);
	assert_int_equal(files_in_dir(), 1);
	(void)unlink(in_dir("out.html"));
}

static void errors_say_what_is_wrong(void **state)
{
	_cleanup_(profile_freep) struct profile *p = sample_profile();

	assert_int_equal(format_write_file(p, FORMAT_SVG, NULL, "/nonexistent/x.svg"), -ENOENT);
	assert_int_equal(format_write_file(p, FORMAT_SVG, NULL, dir), -EISDIR);
	for (int f = 0; f < FORMAT_MAX; f++)
		assert_int_equal(format_write_file(p, (enum format)f, NULL, "/dev/full"), -ENOSPC);
}

static void the_file_behind_a_link_is_replaced_not_the_link(void **state)
{
	_cleanup_(profile_freep) struct profile *p = sample_profile();
	struct stat st;
	FILE *f = fopen(in_dir("real.folded"), "we");

	assert_non_null(f);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(symlink("real.folded", in_dir("link.folded")), 0);
	assert_int_equal(format_write_file(p, FORMAT_FOLDED, NULL, in_dir("link.folded")), 0);
	assert_int_equal(lstat(in_dir("link.folded"), &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(stat(in_dir("real.folded"), &st), 0);
	assert_true(st.st_size > 10);
	(void)unlink(in_dir("link.folded"));
	(void)unlink(in_dir("real.folded"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_format_follows_the_name),
		cmocka_unit_test(every_format_is_written_whole),
		cmocka_unit_test(new_files_honour_the_umask),
		cmocka_unit_test(a_write_that_fails_leaves_the_old_file_alone),
		cmocka_unit_test(errors_say_what_is_wrong),
		cmocka_unit_test(the_file_behind_a_link_is_replaced_not_the_link),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
