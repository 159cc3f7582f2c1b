/* SPDX-License-Identifier: Apache-2.0 */
/* Containers in a tree of directories like a cgroup hierarchy, and in the host's own. */
#include <errno.h>
#include <fts.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "agent/base/clock.h"
#include "agent/cgroupfs.h"
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

/* ---- Followed ---- */

struct seen {
	const char *only; /* NULL: any */
	int there, gone;
	char last[CONTAINER_ID_BYTES];
	uint64_t cgroup;
};

static void on_container(const struct container *c, bool there, void *data)
{
	struct seen *s = data;

	if (s->only && strcmp(s->only, c->id) != 0)
		return;
	if (there)
		s->there++;
	else
		s->gone++;
	memcpy(s->last, c->id, sizeof(s->last));
	s->cgroup = c->cgroup;
}

static void make(const char *dir)
{
	char path[512];

	(void)snprintf(path, sizeof(path), "%s/%s", root, dir);
	assert_int_equal(mkdir(path, 0755), 0);
}

static void take_away(const char *dir)
{
	char path[512];

	(void)snprintf(path, sizeof(path), "%s/%s", root, dir);
	assert_int_equal(rmdir(path), 0);
}

/* Until as many came and went. */
static void assert_seen(struct loop *loop, struct seen *s, int there, int gone)
{
	uint64_t end = clock_ms() + 5000;

	while ((s->there != there || s->gone != gone) && clock_ms() < end)
		loop_once(loop, 20);
	assert_int_equal(s->there, there);
	assert_int_equal(s->gone, gone);
}

#define D(c) "dddd9c00112233445566778899aabbccddeeff00112233445566778899aabbc" c

static void containers_that_come_and_go_are_followed(void **state)
{
	_cleanup_(loop_freep) struct loop *loop = NULL;
	_cleanup_(containers_freep) struct containers *cs = NULL;
	struct seen s = {0}, all = {0};

	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(containers_new_below(loop, root, on_container, &s, &cs), 0);
	assert_int_equal(s.there, 3);
	make("docker/" D("0"));
	assert_seen(loop, &s, 4, 0);
	assert_string_equal(s.last, D("0"));
	assert_int_equal(s.cgroup, inode_of("docker/" D("0")));
	/* What was made in the moment before the watch was set, several levels at once. */
	make("kubepods.slice/kubepods-pod1.slice");
	make("kubepods.slice/kubepods-pod1.slice/cri-containerd-" D("1") ".scope");
	make("kubepods.slice/kubepods-pod1.slice/cri-containerd-" D("1") ".scope/x");
	make("kubepods.slice/kubepods-pod1.slice/cri-containerd-" D("1") ".scope/x/" D("2"));
	assert_seen(loop, &s, 6, 0);
	take_away("kubepods.slice/kubepods-pod1.slice/cri-containerd-" D("1") ".scope/x/" D("2"));
	take_away("kubepods.slice/kubepods-pod1.slice/cri-containerd-" D("1") ".scope/x");
	take_away("kubepods.slice/kubepods-pod1.slice/cri-containerd-" D("1") ".scope");
	take_away("kubepods.slice/kubepods-pod1.slice");
	assert_seen(loop, &s, 6, 2);
	/* Restarted: the same name, another group. */
	take_away("docker/" D("0"));
	make("docker/" D("0"));
	assert_seen(loop, &s, 7, 3);
	assert_int_equal(s.cgroup, inode_of("docker/" D("0")));
	containers_each(cs, on_container, &all);
	assert_int_equal(all.there, 4);
	assert_int_equal(containers_counts(cs).containers, 4);
	take_away("docker/" D("0"));
	assert_seen(loop, &s, 7, 4);
	assert_int_equal(containers_counts(cs).rescans, 0);
}

/* More at once than the kernel queues (fs.inotify.max_queued_events): a look at everything. */
static void a_storm_that_overflows_the_queue_loses_nothing(void **state)
{
	_cleanup_(loop_freep) struct loop *loop = NULL;
	_cleanup_(containers_freep) struct containers *cs = NULL;
	struct seen s = {0};
	uint64_t end;

	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(containers_new_below(loop, root, on_container, &s, &cs), 0);
	take_away("docker/" ID_C);
	for (int i = 0; i < 8300; i++) {
		char name[64];

		(void)snprintf(name, sizeof(name), "user.slice/s%d", i);
		make(name);
		take_away(name);
	}
	make("docker/" D("3"));
	/* From here: the storm itself takes as long as the machine is busy. */
	end = clock_ms() + 10000;
	while (!containers_counts(cs).rescans && clock_ms() < end)
		loop_once(loop, 20);
	assert_int_equal(containers_counts(cs).rescans, 1);
	assert_seen(loop, &s, 4, 1);
	assert_int_equal(containers_counts(cs).groups, ARRAY_SIZE(dirs) + 1);
	take_away("docker/" D("3"));
	make("docker/" ID_C);
	assert_seen(loop, &s, 5, 2);
}

/* The same on the real thing, whatever hierarchies this host has. */
static void real_control_groups_are_followed(void **state)
{
	_cleanup_(loop_freep) struct loop *loop = NULL;
	_cleanup_(containers_freep) struct containers *cs = NULL;
	struct cgroupfs fs[CGROUPFS_MAX];
	char own[CONTAINER_ID_BYTES], path[CGROUPFS_MAX][512];
	struct seen s = {.only = own};
	int n = cgroupfs_open(fs), made = 0;

	(void)snprintf(own, sizeof(own), "%064x", (unsigned int)getpid());
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(containers_new(loop, on_container, &s, &cs), 0);
	for (int i = 0; i < n; i++) {
		(void)snprintf(path[i], sizeof(path[i]), "%s/%s", fs[i].path, own);
		made += mkdir(path[i], 0755) == 0;
	}
	if (made) { /* else: the host lets nobody make one */
		/* Known by its group in the first hierarchy, that of the other tells nothing. */
		assert_int_equal(made, n);
		assert_seen(loop, &s, 1, 0);
		for (int i = 0; i < n; i++)
			assert_int_equal(rmdir(path[i]), 0);
		assert_seen(loop, &s, 1, 1);
		/* The other is made before. */
		for (int i = n; i-- > 0;)
			assert_int_equal(mkdir(path[i], 0755), 0);
		assert_seen(loop, &s, 1 + n, 1);
		for (int i = 0; i < n; i++)
			assert_int_equal(rmdir(path[i]), 0);
		assert_seen(loop, &s, 1 + n, 1 + n);
	}
	cgroupfs_close(fs, n);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_beginning_that_is_enough_finds_one),
		cmocka_unit_test(a_beginning_of_several_finds_them_all),
		cmocka_unit_test(what_is_no_container_is_not_found),
		cmocka_unit_test(containers_that_come_and_go_are_followed),
		cmocka_unit_test(a_storm_that_overflows_the_queue_loses_nothing),
		cmocka_unit_test(real_control_groups_are_followed),
	};

	return cmocka_run_group_tests(tests, make_tree, remove_tree);
}
