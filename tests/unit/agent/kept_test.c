/* SPDX-License-Identifier: Apache-2.0 */
/* What the child keeps open between requests for lines: the answers are those of files that were
 * just opened, whatever happens to the files; and it stays within its bounds. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/parser/kept.h"
#include "agent/parser/scratch.h"
#include "symbolizer/lines.h"
#include "symbolizer/objfile.h"
#include "symbolizer/table.h"

#define MANY	   (64u << 20)
#define TEXT_BYTES 2048 /* more than truth.c has */

static const char *dir; /* where dwarf_truth.sh built */

/* ---- asking ---- */

static int open_built(const char *name)
{
	char path[1024];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

/* A file of our own with the contents of one that was built, or of its beginning. */
static int open_copy(const char *name, size_t bytes)
{
	_cleanup_close_ int from = open_built(name);
	char path[] = "/tmp/kept_test.XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC);
	struct stat st;

	assert_true(fd >= 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(fstat(from, &st), 0);
	bytes = MIN(bytes, (size_t)st.st_size);
	while (bytes) {
		ssize_t n = copy_file_range(from, NULL, fd, NULL, bytes, 0);

		assert_true(n > 0);
		bytes -= (size_t)n;
	}
	return fd;
}

/* Each address of its code. */
static void query_all(int fd, bool has_alt, struct lines_query *ret)
{
	static uint64_t vaddrs[TEXT_BYTES];
	_cleanup_(objfile_freep) struct objfile *o = NULL;
	struct objfile_section text;

	assert_int_equal(objfile_open(fd, &o), 0);
	assert_int_equal(objfile_section_by_name(o, ".text", &text), 0);
	for (size_t i = 0; i < TEXT_BYTES; i++)
		vaddrs[i] = text.addr + i;
	*ret = (struct lines_query){.has_alt = has_alt, .n = TEXT_BYTES, .vaddrs = vaddrs};
}

static int ask(struct kept *k, const int *fds, size_t n, const struct lines_query *q,
	       struct table_writer *ret)
{
	table_writer_init(ret, MANY);
	return kept_lines(k, fds, n, q, ret);
}

static void assert_same(const struct buf *a, const struct buf *b)
{
	assert_int_equal(a->len, b->len);
	if (a->len)
		assert_memory_equal(a->data, b->data, a->len);
}

/* Asks k and one that keeps nothing; what either says. */
static int ask_both(struct kept *k, const int *fds, size_t n, const struct lines_query *q)
{
	struct table_writer kept, fresh;
	int r = ask(k, fds, n, q, &kept);

	assert_int_equal(ask(NULL, fds, n, q, &fresh), r);
	if (r == 0) {
		assert_same(&kept.sections[TABLE_FRAMES], &fresh.sections[TABLE_FRAMES]);
		assert_same(&kept.sections[TABLE_STRINGS], &fresh.sections[TABLE_STRINGS]);
	}
	table_writer_done(&kept);
	table_writer_done(&fresh);
	return r;
}

static void ask_all(struct kept *k, int fd)
{
	struct lines_query q;

	query_all(fd, false, &q);
	assert_int_equal(ask_both(k, &fd, 1, &q), 0);
}

static struct kept_stats stats_of(const struct kept *k)
{
	struct kept_stats s;

	kept_get_stats(k, &s);
	return s;
}

static struct kept *new_kept(size_t budget, struct scratch *scratch)
{
	struct kept *k;

	assert_int_equal(kept_new(budget, scratch, &k), 0);
	return k;
}

static struct scratch *new_scratch(size_t bytes)
{
	struct scratch *s = NULL;
	int r = scratch_open(dir, bytes, &s);

	if (r == -EOPNOTSUPP)
		skip(); /* the build directory is in memory */
	assert_int_equal(r, 0);
	return s;
}

/* ---- answers ---- */

static void every_form_is_answered_the_same_again(void **state)
{
	static const char *const forms[][2] = {
		{"gcc2"},      {"gcc5"},
		{"clang5"},    {"gcc64"},
		{"zlib"},      {"gnu"},
		{"zstd"},      {"dwz4", "dwz4.alt"},
		{"dwz4"},      {"gccsplit4", "gccsplit4.dwp"},
		{"gccsplit4"},
	};
	_cleanup_(kept_freep) struct kept *k = new_kept(MANY, NULL);

	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
			int fds[2] = {open_built(forms[i][0]), -1};
			size_t n = forms[i][1] ? 2 : 1;
			struct lines_query q;

			if (n == 2)
				fds[1] = open_built(forms[i][1]);
			query_all(fds[0], n == 2 && !strcmp(forms[i][0], "dwz4"), &q);
			assert_int_equal(ask_both(k, fds, n, &q), 0);
			close(fds[0]);
			if (n == 2)
				close(fds[1]);
		}
	}
	assert_int_equal(stats_of(k).opened, ARRAY_SIZE(forms));
	assert_int_equal(stats_of(k).reused, 2 * ARRAY_SIZE(forms));
}

static void sections_are_unpacked_once(void **state)
{
	struct scratch *s = new_scratch(1 << 20);
	_cleanup_(kept_freep) struct kept *k = new_kept(MANY, s);
	_cleanup_close_ int fd = open_built("zlib");
	struct lines_query q;
	size_t used;

	query_all(fd, false, &q);
	assert_int_equal(ask_both(k, &fd, 1, &q), 0);
	used = scratch_used(s);
	assert_true(used > 0);
	assert_int_equal(ask_both(k, &fd, 1, &q), 0);
	assert_int_equal(scratch_used(s), used);
	assert_int_equal(stats_of(k).opened, 1);
	assert_int_equal(stats_of(k).reused, 1);
}

static void a_file_that_changed_is_opened_again(void **state)
{
	_cleanup_(kept_freep) struct kept *k = new_kept(MANY, NULL);
	_cleanup_close_ int fd = open_copy("zlib", SIZE_MAX), other = open_built("clang5");
	struct stat st;
	_cleanup_free_ char *bytes = NULL;

	ask_all(k, fd);
	assert_int_equal(fstat(other, &st), 0);
	bytes = malloc((size_t)st.st_size);
	assert_non_null(bytes);
	assert_int_equal(pread(other, bytes, (size_t)st.st_size, 0), st.st_size);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(pwrite(fd, bytes, (size_t)st.st_size, 0), st.st_size);
	ask_all(k, fd);
	assert_int_equal(stats_of(k).reused, 0);
	assert_int_equal(stats_of(k).opened, 2);
	ask_all(k, fd);
	assert_int_equal(stats_of(k).reused, 1);
}

/* ---- bounds ---- */

static void who_was_not_asked_for_the_longest_goes(void **state)
{
	struct kept *k = new_kept(MANY, NULL);
	int fds[3];
	uint64_t bytes;

	for (size_t i = 0; i < 3; i++)
		fds[i] = open_copy("zlib", SIZE_MAX);
	ask_all(k, fds[0]);
	bytes = stats_of(k).bytes;
	kept_free(k);
	k = new_kept(bytes * 5 / 2, NULL);
	ask_all(k, fds[0]);
	ask_all(k, fds[1]);
	ask_all(k, fds[0]);
	assert_int_equal(stats_of(k).dropped, 0);
	ask_all(k, fds[2]);
	assert_int_equal(stats_of(k).dropped, 1);
	assert_int_equal(stats_of(k).files, 2);
	assert_true(stats_of(k).bytes <= bytes * 5 / 2);
	ask_all(k, fds[0]);
	assert_int_equal(stats_of(k).reused, 2);
	ask_all(k, fds[1]);
	assert_int_equal(stats_of(k).opened, 4);
	kept_free(k);
	for (size_t i = 0; i < 3; i++)
		close(fds[i]);
}

static void more_than_the_budget_is_not_kept(void **state)
{
	_cleanup_(kept_freep) struct kept *k = new_kept(1000, NULL);
	_cleanup_close_ int fd = open_built("zlib");

	ask_all(k, fd);
	ask_all(k, fd);
	assert_int_equal(stats_of(k).opened, 2);
	assert_int_equal(stats_of(k).files, 0);
	assert_int_equal(stats_of(k).bytes, 0);
}

static void only_so_many_files_are_kept(void **state)
{
	_cleanup_(kept_freep) struct kept *k = new_kept(MANY, NULL);

	/* More than there can be images. */
	for (size_t i = 0; i < 100; i++) {
		_cleanup_close_ int fd = open_copy("gcc5", SIZE_MAX);

		ask_all(k, fd);
	}
	assert_int_equal(stats_of(k).files, KEPT_FILES_MAX);
	assert_int_equal(stats_of(k).dropped, 100 - KEPT_FILES_MAX);
}

static void what_is_kept_makes_way_in_the_scratch_file(void **state)
{
	struct scratch *s = new_scratch(1 << 20);
	_cleanup_(kept_freep) struct kept *k = new_kept(MANY, s);
	_cleanup_close_ int a = open_copy("zlib", SIZE_MAX), b = open_copy("zlib", SIZE_MAX);
	size_t one;

	ask_all(k, a);
	one = scratch_used(s);
	kept_free(k);
	s = new_scratch(one);
	k = new_kept(MANY, s);
	for (int i = 0; i < 3; i++) {
		ask_all(k, a);
		assert_int_equal(scratch_used(s), one);
		ask_all(k, b);
		assert_int_equal(scratch_used(s), one);
	}
	assert_int_equal(stats_of(k).files, 1);
}

static void what_does_not_fit_the_scratch_file_is_unpacked_to_memory(void **state)
{
	struct scratch *s = new_scratch(4096);
	_cleanup_(kept_freep) struct kept *k = new_kept(MANY, s);
	_cleanup_close_ int fd = open_built("zlib");

	ask_all(k, fd);
	ask_all(k, fd);
	assert_int_equal(stats_of(k).reused, 1);
}

/* ---- hostile files ---- */

static void files_that_are_cut_or_garbled_are_answered_the_same(void **state)
{
	struct scratch *s = new_scratch(1 << 20);
	_cleanup_(kept_freep) struct kept *k = new_kept(MANY, s);
	_cleanup_close_ int whole = open_built("zlib");
	struct lines_query q;
	struct stat st;

	assert_int_equal(fstat(whole, &st), 0);
	query_all(whole, false, &q);
	for (int i = 0; i < 64; i++) {
		size_t at = (size_t)st.st_size * (size_t)i / 64;
		_cleanup_close_ int cut = open_copy("zlib", at);
		_cleanup_close_ int garbled = open_copy("zlib", SIZE_MAX);
		static const char garbage[64] = {1, 2, 3, 0x7f};

		assert_int_equal(pwrite(garbled, garbage, sizeof(garbage), (off_t)at),
				 sizeof(garbage));
		for (int round = 0; round < 2; round++) {
			(void)ask_both(k, &cut, 1, &q);
			(void)ask_both(k, &garbled, 1, &q);
		}
	}
}

/* The mapping that is kept is not looked at when the file behind it became shorter. */
static void a_file_that_was_cut_meanwhile_is_opened_again(void **state)
{
	_cleanup_(kept_freep) struct kept *k = new_kept(MANY, NULL);
	_cleanup_close_ int fd = open_copy("gcc5", SIZE_MAX);
	struct lines_query q;

	query_all(fd, false, &q);
	assert_int_equal(ask_both(k, &fd, 1, &q), 0);
	assert_int_equal(ftruncate(fd, 100), 0);
	(void)ask_both(k, &fd, 1, &q);
	assert_int_equal(stats_of(k).reused, 0);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_true(ask_both(k, &fd, 1, &q) < 0);
}

static void what_failed_leaves_nothing_behind(void **state)
{
	struct scratch *s = new_scratch(1 << 20);
	_cleanup_(kept_freep) struct kept *k = new_kept(MANY, s);
	_cleanup_close_ int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	uint64_t vaddr = 0x1000;
	struct lines_query q = {.n = 1, .vaddrs = &vaddr};
	int many[64];

	assert_true(ask_both(k, &fd, 1, &q) < 0);
	assert_int_equal(ask_both(k, many, 0, &q), -EINVAL);
	assert_int_equal(ask_both(k, many, ARRAY_SIZE(many), &q), -EINVAL);
	assert_int_equal(stats_of(k).files, 0);
	assert_int_equal(scratch_used(s), 0);
}

/* ---- the scratch file ---- */

static void pieces_do_not_overlap_and_are_used_again(void **state)
{
	_cleanup_(scratch_freep) struct scratch *s = new_scratch(8 * 4096);
	uint8_t *a = scratch_get(s, 5000), *b = scratch_get(s, 4096), *c;

	assert_non_null(a);
	assert_non_null(b);
	memset(a, 'a', 5000);
	memset(b, 'b', 4096);
	scratch_rest(s);
	assert_int_equal(a[0], 'a');
	assert_int_equal(a[4999], 'a');
	assert_int_equal(b[0], 'b');
	assert_null(scratch_get(s, 6 * 4096));
	assert_null(scratch_get(s, 0));
	assert_null(scratch_get(s, SIZE_MAX));
	scratch_put(s, a);
	c = scratch_get(s, 2 * 4096);
	assert_ptr_equal(c, a);
	assert_non_null(scratch_get(s, 5 * 4096));
	assert_null(scratch_get(s, 1));
	assert_int_equal(scratch_used(s), 8 * 4096);
}

static void a_file_system_in_memory_is_no_place(void **state)
{
	struct scratch *s;

	assert_int_equal(scratch_open("/nowhere", 4096, &s), -ENOENT);
	if (access("/dev/shm", W_OK) == 0)
		assert_int_equal(scratch_open("/dev/shm", 4096, &s), -EOPNOTSUPP);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_form_is_answered_the_same_again),
		cmocka_unit_test(sections_are_unpacked_once),
		cmocka_unit_test(a_file_that_changed_is_opened_again),
		cmocka_unit_test(who_was_not_asked_for_the_longest_goes),
		cmocka_unit_test(more_than_the_budget_is_not_kept),
		cmocka_unit_test(only_so_many_files_are_kept),
		cmocka_unit_test(what_is_kept_makes_way_in_the_scratch_file),
		cmocka_unit_test(what_does_not_fit_the_scratch_file_is_unpacked_to_memory),
		cmocka_unit_test(files_that_are_cut_or_garbled_are_answered_the_same),
		cmocka_unit_test(a_file_that_was_cut_meanwhile_is_opened_again),
		cmocka_unit_test(what_failed_leaves_nothing_behind),
		cmocka_unit_test(pieces_do_not_overlap_and_are_used_again),
		cmocka_unit_test(a_file_system_in_memory_is_no_place),
	};

	if (argc < 2)
		return 2;
	dir = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
