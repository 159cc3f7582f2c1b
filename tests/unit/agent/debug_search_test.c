/* SPDX-License-Identifier: Apache-2.0 */
/* Where debug files are found, and what is not opened: other builds, FIFOs, what links lead to
 * outside of the process's root. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "agent/debug_search.h"
#include "agent/filekey.h"
#include "symbolizer/objfile.h"

static const char *truth; /* where programs with debug information were built */

struct root {
	char path[64];
	int fd;
	struct table_info info;
	char by_id[256]; /* the path of the debug file below a debug directory */
};

static void run(const char *fmt, ...) _printf_(1, 2);
static void run(const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	assert_int_equal(system(text), 0);
}

static struct filekey key_of(const char *name)
{
	struct filekey key;
	char path[512];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", truth, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(filekey_read(fd, &key), 0);
	close(fd);
	return key;
}

static struct root make_root(void)
{
	struct root r = {.path = "/tmp/tephra-root-XXXXXX"};
	struct filekey key = key_of("gcc5");
	char hex[129] = "";

	assert_non_null(mkdtemp(r.path));
	r.fd = open(r.path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(r.fd >= 0);
	assert_true(key.build_id_bytes > 2);
	memcpy(r.info.build_id, key.build_id, key.build_id_bytes);
	r.info.build_id_bytes = (uint32_t)key.build_id_bytes;
	(void)snprintf(r.info.debuglink, sizeof(r.info.debuglink), "gcc5.debug");
	for (size_t i = 0; i < key.build_id_bytes; i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", key.build_id[i]);
	(void)snprintf(r.by_id, sizeof(r.by_id), ".build-id/%.2s/%s.debug", hex, hex + 2);
	return r;
}

static void free_root(struct root *r)
{
	close(r->fd);
	run("rm -rf %s", r->path);
}

static int look(const struct root *r, struct debug_found *ret)
{
	const struct debug_search s = {.root_fd = r->fd, .path = "/opt/app/gcc5", .info = &r->info};
	int err = debug_search_file(&s, ret);

	if (err == 0)
		close(ret->fd);
	return err;
}

static void each_place_is_looked_at_in_order(void **state)
{
	static const char *const places[] = {
		/* last to first */
		"/usr/lib/debug/opt/app/gcc5.debug",
		"/opt/app/.debug/gcc5.debug",
		"/opt/app/gcc5.debug",
	};
	struct root r = make_root();
	struct debug_found found;

	assert_int_equal(look(&r, &found), -ENOENT);
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		run("install -D %s/separate %s%s", truth, r.path, places[i]);
		assert_int_equal(look(&r, &found), 0);
		assert_string_equal(found.path, places[i]);
		assert_int_equal(found.match, DEBUG_SAME_ID);
		assert_false(found.on_host);
	}
	run("install -D %s/separate %s/usr/lib/debug/%s", truth, r.path, r.by_id);
	assert_int_equal(look(&r, &found), 0);
	assert_non_null(strstr(found.path, ".build-id"));
	free_root(&r);
}

static void links_stay_within_the_root(void **state)
{
	struct root r = make_root();
	struct debug_found found;

	/* On the host these lead to the file; in the root to nothing. */
	run("mkdir -p %s/opt/app", r.path);
	run("ln -s %s/separate %s/opt/app/gcc5.debug", truth, r.path);
	assert_int_equal(look(&r, &found), -ENOENT);
	run("ln -sfn ../../../../../../../../..%s/separate %s/opt/app/gcc5.debug", truth, r.path);
	assert_int_equal(look(&r, &found), -ENOENT);
	/* A link that stays is followed. */
	run("install -D %s/separate %s/srv/file", truth, r.path);
	run("ln -sfn /srv/file %s/opt/app/gcc5.debug", r.path);
	assert_int_equal(look(&r, &found), 0);
	free_root(&r);
}

static void what_is_no_regular_file_is_not_opened(void **state)
{
	struct root r = make_root();
	struct debug_found found;

	run("mkdir -p %s/opt/app", r.path);
	run("mkfifo %s/opt/app/gcc5.debug", r.path);
	assert_int_equal(look(&r, &found), -ENOENT);
	run("rm %s/opt/app/gcc5.debug; mkdir %s/opt/app/gcc5.debug", r.path, r.path);
	assert_int_equal(look(&r, &found), -ENOENT);
	free_root(&r);
}

static void a_file_of_another_build_is_told_of(void **state)
{
	struct root r = make_root();
	struct debug_found found;

	run("install -D %s/gcc4 %s/opt/app/gcc5.debug", truth, r.path);
	assert_int_equal(look(&r, &found), -ESTALE);
	assert_string_equal(found.path, "/opt/app/gcc5.debug");
	/* A good one further on is still found. */
	run("install -D %s/separate %s/usr/lib/debug/opt/app/gcc5.debug", truth, r.path);
	assert_int_equal(look(&r, &found), 0);
	free_root(&r);
}

static void dwz_s_file_is_found_beside_and_checked(void **state)
{
	struct root r = make_root();
	struct debug_found found;
	struct filekey key = key_of("dwz4.alt");
	const struct debug_search s = {.root_fd = r.fd, .path = "/opt/app/gcc5", .info = &r.info};

	assert_true(key.build_id_bytes > 0);
	memcpy(r.info.alt_id, key.build_id, key.build_id_bytes);
	r.info.alt_id_bytes = (uint32_t)key.build_id_bytes;
	(void)snprintf(r.info.altlink, sizeof(r.info.altlink), "../../.dwz/app");
	run("install -D %s/dwz4.alt %s/opt/.dwz/app; mkdir -p %s/opt/app/debug", truth, r.path,
	    r.path);
	assert_int_equal(debug_search_alt(&s, &r.info, "/opt/app/debug/x.debug", &found), 0);
	close(found.fd);
	r.info.alt_id[0] ^= 1;
	assert_int_equal(debug_search_alt(&s, &r.info, "/opt/app/debug/x.debug", &found), -ESTALE);
	free_root(&r);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_place_is_looked_at_in_order),
		cmocka_unit_test(links_stay_within_the_root),
		cmocka_unit_test(what_is_no_regular_file_is_not_opened),
		cmocka_unit_test(a_file_of_another_build_is_told_of),
		cmocka_unit_test(dwz_s_file_is_found_beside_and_checked),
	};

	truth = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
