/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of targets that change while something is profiled: who is found, and what is kept. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "agent/components/targets.h"
#include "agent/components/targets_value.h"
#include "bpf/types.h"

/* "pid=7 n=a;container=c1 n=b": targets with labels. */
static void set(struct targets *t, const char *text, struct targets *retired)
{
	_cleanup_free_ char *copy = strdup(text);
	_cleanup_value_ struct value *list = NULL;
	struct targets fresh = {0}, nobody = {0};
	struct value_list all = {0};
	char *end = NULL;

	for (char *s = strtok_r(copy, ";", &end); s; s = strtok_r(NULL, ";", &end)) {
		struct value_list one = {0};
		char *inner = NULL;

		for (char *l = strtok_r(s, " ", &inner); l; l = strtok_r(NULL, " ", &inner)) {
			char *is = strchr(l, '=');

			*is = '\0';
			targets_value_put(&one,
					  !strcmp(l, "pid")	    ? "__process_pid__"
					  : !strcmp(l, "container") ? "__container_id__"
								    : l,
					  is + 1);
		}
		targets_value_add(&all, &one);
	}
	list = targets_value_array(&all);
	assert_non_null(list);
	assert_int_equal(targets_new(list, &fresh), 0);
	targets_replace(t, &fresh, retired ? retired : &nobody);
	targets_done(&nobody);
}

static const char *name(const struct targets *t, uint32_t pid, uint64_t start_ns, const char *id)
{
	const struct target *x = targets_find(t, pid, start_ns, id);

	return x ? targets_value_get(x->labels, "n") : "none";
}

static void what_is_not_listed_any_more_is_retired(void **state)
{
	struct targets t = {0}, retired = {0};

	set(&t, "pid=7 n=a;pid=8 n=b;container=c1 n=c;container=c2 n=d", &retired);
	assert_int_equal(retired.n, 0);
	set(&t, "pid=8 n=b2;container=c2 n=d;pid=9 n=e", &retired);
	assert_string_equal(name(&t, 7, 0, NULL), "none");
	assert_string_equal(name(&t, 8, 0, NULL), "b2");
	assert_string_equal(name(&retired, 7, 0, NULL), "a");
	assert_string_equal(name(&retired, 99, 0, "c1"), "c");
	assert_string_equal(name(&retired, 8, 0, NULL), "none");
	/* It comes back under another name and goes again: the last one counts. */
	set(&t, "pid=7 n=a2", &retired);
	set(&t, "", &retired);
	assert_string_equal(name(&retired, 7, 0, NULL), "a2");
	assert_string_equal(name(&retired, 8, 0, NULL), "b2");
	assert_int_equal(retired.n, 5);
	targets_done(&t);
	targets_done(&retired);
}

static void only_the_last_of_duplicates_is_retired(void **state)
{
	struct targets t = {0}, retired = {0};

	set(&t, "pid=7 n=old;pid=7 n=new;container=c n=old;container=c n=new", &retired);
	set(&t, "", &retired);
	assert_int_equal(retired.n, 2);
	assert_string_equal(name(&retired, 7, 0, NULL), "new");
	assert_string_equal(name(&retired, 1, 0, "c"), "new");
	targets_done(&t);
	targets_done(&retired);
}

static bool renamed(const char *before, const char *after)
{
	struct targets a = {0}, b = {0};
	bool r;

	set(&a, before, NULL);
	set(&b, after, NULL);
	r = targets_renamed(&a, &b, "ebpf");
	targets_done(&a);
	targets_done(&b);
	return r;
}

static void only_another_series_is_another_name(void **state)
{
	assert_true(renamed("pid=7 n=a", "pid=7 n=b"));
	assert_true(renamed("container=c n=a", "container=c"));
	assert_true(renamed("pid=7 __meta_docker_container_name=a",
			    "pid=7 __meta_docker_container_name=b"));
	assert_false(renamed("pid=7 n=a", "pid=7 n=a;pid=8 n=b"));
	assert_false(renamed("pid=7 n=a;pid=8 n=b", "pid=8 n=b"));
	assert_false(renamed("pid=7 n=a __meta_ready=true", "pid=7 n=a __meta_ready=false"));
	assert_false(renamed("pid=7 n=a", "container=7 n=b"));
}

static void a_target_that_stays_keeps_its_numbers(void **state)
{
	struct targets t = {0};

	set(&t, "pid=7 n=a;container=c n=b", NULL);
	targets_find(&t, 7, 0, NULL)->stats.samples = 70;
	targets_find(&t, 1, 0, "c")->stats.samples = 80;
	set(&t, "container=c n=b;pid=7 n=other", NULL);
	assert_int_equal(targets_find(&t, 7, 0, NULL)->stats.samples, 70);
	assert_int_equal(targets_find(&t, 1, 0, "c")->stats.samples, 80);
	targets_done(&t);
}

static void a_reused_id_is_another_process(void **state)
{
	struct targets t = {0};
	uint64_t start;
	char text[64];

	(void)snprintf(text, sizeof(text), "pid=%u n=me", (unsigned int)getpid());
	set(&t, text, NULL);
	targets_bind(&t, true);
	start = targets_find(&t, (uint32_t)getpid(), 0, NULL)->start_ticks;
	assert_true(start > 0);
	assert_string_equal(name(&t, (uint32_t)getpid(), start * START_TICK_NS + 5, NULL), "me");
	assert_string_equal(name(&t, (uint32_t)getpid(), (start + 1) * START_TICK_NS, NULL),
			    "none");
	targets_done(&t);
}

static void a_listed_process_stays_the_one_that_was_listed(void **state)
{
	struct targets t = {0};
	struct target *x;
	char text[64];

	(void)snprintf(text, sizeof(text), "pid=%u n=a", (unsigned int)getpid());
	set(&t, text, NULL);
	x = targets_find(&t, (uint32_t)getpid(), 0, NULL);
	x->start_ticks = 1; /* one that had this id before us */
	set(&t, text, NULL);
	targets_bind(&t, true);
	assert_int_equal(targets_find(&t, (uint32_t)getpid(), 0, NULL)->start_ticks, 1);
	/* Other labels: whoever lists targets has looked at it again. */
	(void)snprintf(text, sizeof(text), "pid=%u n=b", (unsigned int)getpid());
	set(&t, text, NULL);
	targets_bind(&t, true);
	assert_true(targets_find(&t, (uint32_t)getpid(), 0, NULL)->start_ticks > 1);
	targets_done(&t);
}

static void a_process_that_is_not_there_yet_is_bound_later(void **state)
{
	struct targets t = {0};
	uint32_t pid = 0;
	pid_t child;
	char text[64];

	child = fork();
	if (!child) {
		pause();
		_exit(0);
	}
	assert_true(child > 0);
	pid = (uint32_t)child;
	(void)snprintf(text, sizeof(text), "pid=1000000000 n=x;pid=%u n=y", pid);
	set(&t, text, NULL);
	targets_bind(&t, true);
	assert_int_equal(targets_find(&t, 1000000000, 0, NULL)->start_ticks, 0);
	assert_true(targets_find(&t, pid, 0, NULL)->start_ticks > 0);
	assert_string_equal(name(&t, 1000000000, 12345, NULL), "x");
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	targets_done(&t);
}

/* Alloy's order; a target that has all of them, and then one less each time. */
static void each_source_of_a_service_name_counts_when_those_before_it_are_missing(void **state)
{
	static const struct {
		const char *label, *value, *ebpf, *java;
	} sources[] = {
		{"service_name", "own", "own", "own"},
		{"__meta_kubernetes_pod_annotation_pyroscope_io_service_name", "note", "note",
		 "note"},
		{"__meta_kubernetes_namespace", "ns", "ebpf/ns/pod", "java/ns/pod"},
		{"__meta_docker_container_name", "/box", "/box", "/box"},
		{"__meta_dockerswarm_container_label_service_name", "label", "label", "label"},
		{"__meta_dockerswarm_service_name", "swarm", "swarm", "swarm"},
		{"other", "x", "unspecified", "unspecified"},
	};

	for (size_t first = 0; first < ARRAY_SIZE(sources); first++) {
		struct value_list l = {0};
		_cleanup_value_ struct value *labels = NULL;
		struct target t = {0};

		targets_value_put(&l, "__meta_kubernetes_pod_container_name", "pod");
		for (size_t i = first; i < ARRAY_SIZE(sources); i++)
			targets_value_put(&l, sources[i].label, sources[i].value);
		labels = t.labels = value_object(&l);
		for (int java = 0; java < 2; java++) {
			_cleanup_labels_ struct label_set set = {0};

			assert_int_equal(targets_series(&t, java ? "java" : "ebpf", &set), 0);
			assert_string_equal(label_set_get(&set, "service_name"),
					    java ? sources[first].java : sources[first].ebpf);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_not_listed_any_more_is_retired),
		cmocka_unit_test(only_the_last_of_duplicates_is_retired),
		cmocka_unit_test(only_another_series_is_another_name),
		cmocka_unit_test(a_target_that_stays_keeps_its_numbers),
		cmocka_unit_test(a_reused_id_is_another_process),
		cmocka_unit_test(a_listed_process_stays_the_one_that_was_listed),
		cmocka_unit_test(a_process_that_is_not_there_yet_is_bound_later),
		cmocka_unit_test(
			each_source_of_a_service_name_counts_when_those_before_it_are_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
