/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are changed in all the ways that editors, orchestrators and people do it. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "agent/base/clock.h"
#include "agent/base/watch.h"

static char root[] = "/tmp/watch-test-XXXXXX";
static struct loop *loop;
static struct watch *watch;
static int calls;

static void on_change(void *data)
{
	calls++;
}

static int rm(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static int set_up(void **state)
{
	memcpy(root + sizeof(root) - 7, "XXXXXX", 6);
	calls = 0;
	if (!mkdtemp(root) || chdir(root) < 0 || loop_new(&loop) < 0)
		return -1;
	return watch_new(loop, on_change, NULL, &watch);
}

static int tear_down(void **state)
{
	watch = watch_free(watch);
	loop = loop_free(loop);
	return chdir("/") < 0 ? -1 : nftw(root, rm, 16, FTW_DEPTH | FTW_PHYS);
}

static void write_file(const char *path, const char *text)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

/* It is told of, and once. */
static void assert_told(void)
{
	uint64_t end = clock_ms() + 5000;

	while (!calls && clock_ms() < end)
		loop_once(loop, 100);
	assert_int_equal(calls, 1);
	calls = 0;
}

/* Nothing comes while news would be on their way; the watch is alive, though. */
static void assert_not_told_before(const char *path)
{
	uint64_t end = clock_ms() + 3 * WATCH_SETTLE_MS;

	while (clock_ms() < end)
		loop_once(loop, WATCH_SETTLE_MS);
	assert_int_equal(calls, 0);
	write_file(path, "something else");
	assert_told();
}

static void a_file_written_in_place_is_told_of(void **state)
{
	write_file("f", "a");
	assert_int_equal(watch_add(watch, "f"), 0);
	write_file("f", "b");
	assert_told();
	write_file("f", "c");
	assert_told();
}

static void a_file_replaced_by_rename_is_told_of_every_time(void **state)
{
	write_file("f", "a");
	assert_int_equal(watch_add(watch, "f"), 0);
	for (int i = 0; i < 3; i++) {
		write_file("f.new", "b");
		assert_int_equal(rename("f.new", "f"), 0);
		assert_told();
	}
	write_file("f", "in place, in the new one");
	assert_told();
}

static void a_file_that_comes_and_goes_is_told_of(void **state)
{
	assert_int_equal(watch_add(watch, "d/e/f"), 0);
	assert_int_equal(mkdir("d", 0755), 0);
	assert_told();
	assert_int_equal(mkdir("d/e", 0755), 0);
	assert_told();
	write_file("d/e/f", "a");
	assert_told();
	assert_int_equal(unlink("d/e/f"), 0);
	assert_told();
	write_file("d/e/f", "b");
	assert_told();
}

static void other_files_of_the_directory_are_not_told_of(void **state)
{
	write_file("f", "a");
	assert_int_equal(watch_add(watch, "f"), 0);
	write_file("g", "a");
	assert_int_equal(unlink("g"), 0);
	assert_not_told_before("f");
}

/* As kubelet's AtomicWriter publishes a volume: ..data is a link that is renamed over. */
static void a_kubernetes_volume_that_is_exchanged_is_told_of(void **state)
{
	char path[128];

	assert_int_equal(mkdir("v", 0755), 0);
	assert_int_equal(mkdir("v/..1", 0755), 0);
	write_file("v/..1/token", "one");
	assert_int_equal(symlink("..1", "v/..data"), 0);
	assert_int_equal(symlink("..data/token", "v/token"), 0);
	(void)snprintf(path, sizeof(path), "%s/v/token", root);
	assert_int_equal(watch_add(watch, path), 0);
	for (int i = 2; i < 5; i++) {
		char dir[16], file[32], old[16];

		(void)snprintf(dir, sizeof(dir), "v/..%d", i);
		(void)snprintf(file, sizeof(file), "%s/token", dir);
		assert_int_equal(mkdir(dir, 0755), 0);
		write_file(file, "next");
		assert_int_equal(symlink(dir + 2, "v/..data_tmp"), 0);
		assert_int_equal(rename("v/..data_tmp", "v/..data"), 0);
		(void)snprintf(old, sizeof(old), "v/..%d", i - 1);
		(void)snprintf(file, sizeof(file), "%s/token", old);
		assert_int_equal(unlink(file), 0);
		assert_int_equal(rmdir(old), 0);
		assert_told();
	}
}

static void everything_directly_in_a_directory_is_told_of(void **state)
{
	assert_int_equal(mkdir("d", 0755), 0);
	assert_int_equal(watch_add(watch, "d"), 0);
	write_file("d/a", "a");
	assert_told();
	write_file("d/a", "b");
	assert_told();
	assert_int_equal(rename("d/a", "d/b"), 0);
	assert_told();
	assert_int_equal(unlink("d/b"), 0);
	assert_told();
}

static void a_directory_that_is_replaced_is_told_of(void **state)
{
	assert_int_equal(mkdir("d", 0755), 0);
	write_file("d/f", "a");
	assert_int_equal(watch_add(watch, "d/f"), 0);
	assert_int_equal(rename("d", "old"), 0);
	assert_told();
	assert_int_equal(mkdir("d", 0755), 0);
	assert_told();
	write_file("d/f", "b");
	assert_told();
}

static void a_file_seen_under_another_name_is_told_of(void **state)
{
	assert_int_equal(mkdir("d", 0755), 0);
	write_file("d/f", "a");
	assert_int_equal(link("d/f", "f"), 0);
	assert_int_equal(watch_add(watch, "f"), 0);
	write_file("d/f", "b");
	assert_told();
}

static void a_ring_of_links_is_not_followed_for_ever(void **state)
{
	assert_int_equal(symlink("b", "a"), 0);
	assert_int_equal(symlink("a", "b"), 0);
	assert_int_equal(watch_add(watch, "a"), 0);
	assert_int_equal(unlink("a"), 0);
	assert_told();
	write_file("a", "a file at last");
	assert_told();
}

/* A log that never rests must not put the news off for ever. */
static void a_file_that_is_always_written_is_told_of_all_the_same(void **state)
{
	uint64_t start = clock_ms();

	write_file("f", "a");
	assert_int_equal(watch_add(watch, "f"), 0);
	while (!calls && clock_ms() < start + 5000) {
		write_file("f", "more");
		loop_once(loop, 5);
	}
	assert_int_equal(calls, 1);
	assert_true(clock_ms() - start >= WATCH_SETTLE_MS);
}

static void what_is_no_longer_watched_is_not_told_of(void **state)
{
	write_file("f", "a");
	write_file("g", "a");
	assert_int_equal(watch_add(watch, "f"), 0);
	watch_clear(watch);
	write_file("f", "b");
	assert_int_equal(watch_add(watch, "g"), 0);
	assert_not_told_before("g");
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		CASE(a_file_written_in_place_is_told_of),
		CASE(a_file_replaced_by_rename_is_told_of_every_time),
		CASE(a_file_that_comes_and_goes_is_told_of),
		CASE(other_files_of_the_directory_are_not_told_of),
		CASE(a_kubernetes_volume_that_is_exchanged_is_told_of),
		CASE(everything_directly_in_a_directory_is_told_of),
		CASE(a_directory_that_is_replaced_is_told_of),
		CASE(a_file_seen_under_another_name_is_told_of),
		CASE(a_ring_of_links_is_not_followed_for_ever),
		CASE(a_file_that_is_always_written_is_told_of_all_the_same),
		CASE(what_is_no_longer_watched_is_not_told_of),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
