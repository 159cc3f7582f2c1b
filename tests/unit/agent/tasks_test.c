/* SPDX-License-Identifier: Apache-2.0 */
/* Who samples belong to: what the kernel says, what /proc adds, and who is forgotten when. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "agent/tasks.h"

struct forgotten {
	struct task_id last;
	size_t n;
};

static void forget(void *data, struct task_id id)
{
	struct forgotten *f = data;

	f->last = id;
	f->n++;
}

static struct task_id announce(struct tasks *t, uint32_t tgid, uint32_t mm, const char *comm)
{
	struct event_task e = {.id = {.tgid = tgid, .mm = mm}, .start_ns = 5, .cgroup = 9};

	memcpy(e.comm, comm, MIN(strlen(comm), sizeof(e.comm)));
	tasks_on_event(t, &e);
	return e.id;
}

static void this_process_has_its_path(void **state)
{
	struct tasks t = {0};
	struct task_id id = announce(&t, (uint32_t)getpid(), 1, "me");
	const struct task *task = tasks_get(&t, id);

	assert_non_null(task);
	assert_string_equal(task->comm, "me");
	assert_non_null(strstr(task->exe, "tasks_test"));
	assert_int_equal(task->cgroup, 9);
	tasks_done(&t);
}

static void a_name_of_full_length_ends(void **state)
{
	struct tasks t = {0};
	struct task_id id = announce(&t, 1u << 30, 1, "0123456789abcdef");

	assert_string_equal(tasks_get(&t, id)->comm, "0123456789abcdef");
	tasks_done(&t);
}

static void a_process_that_is_gone_keeps_what_the_kernel_said(void **state)
{
	struct tasks t = {0};
	struct task_id id = announce(&t, 1u << 30, 1, "short");
	const struct task *task = tasks_get(&t, id);

	assert_string_equal(task->comm, "short");
	assert_string_equal(task->exe, "");
	assert_string_equal(task->container, "");
	tasks_done(&t);
}

static void the_cgroup_that_the_kernel_names_tells_container_and_service(void **state)
{
	static const char docker[] =
		"init.scope\0"
		"docker-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.scope\0"
		"system.slice";
	static const char unit[] = "worker\0nginx.service\0system.slice";
	struct event_task e = {.id = {.tgid = 1u << 30, .mm = 1}, .comm = "gone"};
	struct tasks t = {0};

	memcpy(e.path, docker, sizeof(docker));
	e.path_bytes = sizeof(docker);
	tasks_on_event(&t, &e);
	assert_string_equal(tasks_get(&t, e.id)->container,
			    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
	assert_string_equal(tasks_get(&t, e.id)->service, "container/0123456789ab");
	memcpy(e.path, unit, sizeof(unit));
	e.path_bytes = sizeof(unit);
	tasks_on_event(&t, &e);
	assert_string_equal(tasks_get(&t, e.id)->container, "");
	assert_string_equal(tasks_get(&t, e.id)->service, "nginx");
	/* Lengths and ends as they should not be. */
	memset(e.path, 'x', sizeof(e.path));
	e.path_bytes = UINT32_MAX;
	tasks_on_event(&t, &e);
	e.path_bytes = 1;
	tasks_on_event(&t, &e);
	memset(e.path, 0, sizeof(e.path));
	e.path_bytes = sizeof(e.path);
	tasks_on_event(&t, &e);
	assert_string_equal(tasks_get(&t, e.id)->service, "gone");
	tasks_done(&t);
}

static void threads_are_told_apart_by_id_and_name(void **state)
{
	struct event_task e = {.id = {.tgid = 1u << 30, .mm = 1, .tid = 7}, .comm = "reader"};
	struct event_task f = {.id = {.tgid = 1u << 30, .mm = 1, .tid = 8}, .comm = "writer"};
	struct event_task g = {.id = {.tgid = 1u << 30, .mm = 1, .tid = 8, .name = 5},
			       .comm = "renamed"};
	struct tasks t = {0};

	tasks_on_event(&t, &e);
	tasks_on_event(&t, &f);
	tasks_on_event(&t, &g);
	assert_string_equal(tasks_get(&t, e.id)->comm, "reader");
	assert_string_equal(tasks_get(&t, f.id)->comm, "writer");
	assert_string_equal(tasks_get(&t, g.id)->comm, "renamed");
	assert_null(tasks_get(&t, (struct task_id){.tgid = 1u << 30, .mm = 1}));
	tasks_done(&t);
}

static void exec_makes_another_process_of_it(void **state)
{
	struct tasks t = {0};
	struct task_id before = announce(&t, 1u << 30, 1, "sh");
	struct task_id after = announce(&t, 1u << 30, 2, "ls");

	assert_string_equal(tasks_get(&t, before)->comm, "sh");
	assert_string_equal(tasks_get(&t, after)->comm, "ls");
	assert_null(tasks_get(&t, (struct task_id){.tgid = 1u << 30, .mm = 3}));
	tasks_done(&t);
}

static void an_announcement_that_comes_again_replaces_the_first(void **state)
{
	struct tasks t = {0};
	struct task_id id = announce(&t, 1u << 30, 1, "before");

	announce(&t, 1u << 30, 1, "after");
	assert_string_equal(tasks_get(&t, id)->comm, "after");
	assert_int_equal(t.by_id.count, 1);
	tasks_done(&t);
}

static void who_is_not_sampled_any_more_is_forgotten_on_both_sides(void **state)
{
	struct forgotten f = {0};
	struct tasks t = {0};
	struct task_id busy = announce(&t, 1u << 30, 1, "busy");
	struct task_id idle = announce(&t, 1u << 30, 2, "idle");
	int intervals = 0;

	for (; f.n == 0 && intervals < 100; intervals++) {
		(void)tasks_get(&t, busy);
		tasks_next_interval(&t, forget, &f);
	}
	assert_in_range(intervals, 2, 20);
	assert_int_equal(f.n, 1);
	/* Unless the kernel hears of it, it never announces that process again. */
	assert_memory_equal(&f.last, &idle, sizeof(idle));
	assert_null(tasks_get(&t, idle));
	assert_non_null(tasks_get(&t, busy));
	tasks_done(&t);
}

static void a_storm_of_processes_in_one_interval_is_bounded(void **state)
{
	struct tasks t = {0};

	/* No process has such a number: nothing is read of /proc. */
	for (uint32_t i = 0; i < 100000; i++)
		announce(&t, (1u << 30) + i, 0, "storm");
	assert_in_range(t.by_id.count, 10000, 40000);
	tasks_done(&t);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(this_process_has_its_path),
		cmocka_unit_test(a_name_of_full_length_ends),
		cmocka_unit_test(a_process_that_is_gone_keeps_what_the_kernel_said),
		cmocka_unit_test(the_cgroup_that_the_kernel_names_tells_container_and_service),
		cmocka_unit_test(threads_are_told_apart_by_id_and_name),
		cmocka_unit_test(exec_makes_another_process_of_it),
		cmocka_unit_test(an_announcement_that_comes_again_replaces_the_first),
		cmocka_unit_test(who_is_not_sampled_any_more_is_forgotten_on_both_sides),
		cmocka_unit_test(a_storm_of_processes_in_one_interval_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
