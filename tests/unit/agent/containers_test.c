/* SPDX-License-Identifier: Apache-2.0 */
/* Containers by the beginning of their id, in a tree of directories like a cgroup hierarchy. */
#include <errno.h>
#include <fts.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "agent/containers.h"

#define ID_A "3f2a9c00112233445566778899aabbccddeeff00112233445566778899aabbcc"
#define ID_B "3f2b9c00112233445566778899aabbccddeeff00112233445566778899aabbcc"
#define ID_C "aaaa9c00112233445566778899aabbccddeeff00112233445566778899aabbcc"

static char root[] = "/tmp/containers-test-XXXXXX";

static const char *const dirs[] = {
	"system.slice",
	"system.slice/docker-" ID_A ".scope",
	"system.slice/docker-" ID_A ".scope/init",
	"kubepods.slice",
	"kubepods.slice/kubepods-besteffort.slice",
	"kubepods.slice/kubepods-besteffort.slice/cri-containerd-" ID_B ".scope",
	"docker",
	"docker/" ID_C,
	"user.slice",
};

static ino_t inode_of(const char *dir)
{
	char path[512];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/%s", root, dir);
	assert_int_equal(stat(path, &st), 0);
	return st.st_ino;
}

static int make_tree(void **state)
{
	if (!mkdtemp(root))
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		char path[512];

		(void)snprintf(path, sizeof(path), "%s/%s", root, dirs[i]);
		if (mkdir(path, 0755) < 0)
			return -1;
	}
	return 0;
}

static int remove_tree(void **state)
{
	char *roots[] = {root, NULL};
	FTS *fts = fts_open(roots, FTS_PHYSICAL, NULL);
	FTSENT *e;

	while ((e = fts_read(fts)))
		if (e->fts_info == FTS_DP)
			(void)rmdir(e->fts_path);
	return fts_close(fts);
}

static void a_beginning_that_is_enough_finds_one(void **state)
{
	static const struct {
		const char *prefix, *id, *dir;
	} cases[] = {
		{"3f2a", ID_A, "system.slice/docker-" ID_A ".scope"},
		{ID_A, ID_A, "system.slice/docker-" ID_A ".scope"},
		{"3f2b9c", ID_B,
		 "kubepods.slice/kubepods-besteffort.slice/cri-containerd-" ID_B ".scope"},
		{"aaaa", ID_C, "docker/" ID_C},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ struct container *found = NULL;

		assert_int_equal(containers_find_below(root, cases[i].prefix, &found), 1);
		assert_string_equal(found[0].id, cases[i].id);
		assert_int_equal(found[0].cgroup, inode_of(cases[i].dir));
	}
}

static void a_beginning_of_several_finds_them_all(void **state)
{
	_cleanup_free_ struct container *found = NULL;

	assert_int_equal(containers_find_below(root, "3f2", &found), 2);
	assert_string_not_equal(found[0].id, found[1].id);
}

static void what_is_no_container_is_not_found(void **state)
{
	static const char *const prefixes[] = {"beef", "system", "docker", "user", ID_A "0"};

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		_cleanup_free_ struct container *found = NULL;

		assert_int_equal(containers_find_below(root, prefixes[i], &found), 0);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_beginning_that_is_enough_finds_one),
		cmocka_unit_test(a_beginning_of_several_finds_them_all),
		cmocka_unit_test(what_is_no_container_is_not_found),
	};

	return cmocka_run_group_tests(tests, make_tree, remove_tree);
}
