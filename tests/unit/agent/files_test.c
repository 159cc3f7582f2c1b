/* SPDX-License-Identifier: Apache-2.0 */
/* discovery.file and local.file on real files, while they are changed, broken and mended. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/components/discovery_file.h"
#include "agent/components/local_file.h"
#include "agent/components/registry.h"
#include "agent/components/targets_value.h"
#include "agent/config/graph.h"
#include "agent/http/multi.h"

static char root[] = "/tmp/files-test-XXXXXX";
static struct loop *loop;
static struct http_multi *http;
static struct graph *graph;
static struct component_env env;

static int rm(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static int set_up(void **state)
{
	memcpy(root + sizeof(root) - 7, "XXXXXX", 6);
	return !mkdtemp(root) || chdir(root) < 0 || loop_new(&loop) < 0 ||
			       http_multi_new(loop, &http) < 0
		       ? -1
		       : 0;
}

static int tear_down(void **state)
{
	if (graph)
		graph_stop(graph);
	graph = graph_free(graph);
	http = http_multi_free(http);
	loop = loop_free(loop);
	return chdir("/") < 0 ? -1 : nftw(root, rm, 16, FTW_DEPTH | FTW_PHYS);
}

static void write_file(const char *path, const char *text)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

/* 0, or what was wrong is in `out`. */
static bool load(const char *text, char *out, size_t size)
{
	struct diag_list d = {0};
	bool ok;

	env = (struct component_env){.loop = loop, .http = http};
	env.types = component_registry(&env.n_types);
	assert_int_equal(graph_load_text("t", text, strlen(text), &env, &d, &graph), 0);
	ok = graph_ok(graph);
	if (!ok && out) {
		_cleanup_fclose_ FILE *f = fmemopen(out, size, "w");

		diag_print(&d, f, false, 5);
	} else if (!ok) {
		diag_print(&d, stderr, false, 5);
	}
	diag_done(&d);
	return ok;
}

static void start(const char *text)
{
	assert_true(load(text, NULL, 0));
	assert_int_equal(graph_start(graph), 0);
}

static const struct component *the(const struct component_type *type)
{
	return graph_next(graph, type, NULL);
}

/* "address label=value;" of each target, in their order. */
static const char *targets(const char *label)
{
	static char text[4096];
	const struct value *list = value_get(the(&discovery_file_type)->exports, "targets");
	size_t at = 0;

	text[0] = '\0';
	for (size_t i = 0; i < list->n_items; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s %s;",
				       targets_value_get(list->items[i], "__address__"),
				       targets_value_get(list->items[i], label));
	return text;
}

static const char *content(void)
{
	bool secret;
	size_t len;

	return value_text(value_get(the(&local_file_type)->exports, "content"), &len, &secret);
}

#define AWAIT(condition)                                  \
	do {                                              \
		uint64_t _end = clock_ms() + 5000;        \
		while (!(condition) && clock_ms() < _end) \
			loop_once(loop, 50);              \
		assert_true(condition);                   \
	} while (0)

static void targets_follow_their_files(void **state)
{
	char path[64];

	assert_int_equal(mkdir("d", 0755), 0);
	write_file("d/b.json", "[{\"targets\":[\"h:1\",\"h:2\"],\"labels\":{\"env\":\"x\"}}]");
	write_file("d/a.yml", "- targets: ['g:1']\n  labels: {env: y, n: 5}\n- targets: []\n");
	write_file("d/other.txt", "no");
	start("discovery.file \"f\" { files = [\"d/*.json\", \"d/*.yml\", \"d/b.json\"] }");
	assert_string_equal(targets("env"), "g:1 y;h:1 x;h:2 x;");
	assert_string_equal(targets("__meta_filepath"), "g:1 d/a.yml;h:1 d/b.json;h:2 d/b.json;");
	write_file("d/new.json", "[{\"targets\":[\"n:1\"]}]");
	AWAIT(!strcmp(targets("env"), "g:1 y;h:1 x;h:2 x;n:1 ;"));
	(void)snprintf(path, sizeof(path), "d/.b.tmp");
	write_file(path, "[{\"targets\":[\"h:3\"]}]");
	assert_int_equal(rename(path, "d/b.json"), 0);
	AWAIT(!strcmp(targets("env"), "g:1 y;h:3 ;n:1 ;"));
	assert_int_equal(unlink("d/a.yml"), 0);
	AWAIT(!strcmp(targets("env"), "h:3 ;n:1 ;"));
}

static void a_broken_file_keeps_its_last_targets_and_says_so(void **state)
{
	write_file("a.json", "[{\"targets\":[\"h:1\"]}]");
	write_file("b.json", "[{\"targets\":[\"h:2\"]}]");
	start("discovery.file \"f\" { files = [\"*.json\"] }");
	assert_string_equal(targets(""), "h:1 ;h:2 ;");
	write_file("a.json", "[{\"targets\":[\"h:9\"");
	AWAIT(the(&discovery_file_type)->health == HEALTH_UNHEALTHY);
	assert_non_null(strstr(the(&discovery_file_type)->health_text, "a.json: "));
	assert_string_equal(targets(""), "h:1 ;h:2 ;");
	write_file("b.json", "[{\"targets\":[\"h:3\"]}]");
	AWAIT(!strcmp(targets(""), "h:1 ;h:3 ;"));
	write_file("a.json", "[{\"targets\":[\"h:4\"]}]");
	AWAIT(!strcmp(targets(""), "h:4 ;h:3 ;"));
	assert_int_equal(the(&discovery_file_type)->health, HEALTH_HEALTHY);
}

static void what_is_no_list_of_groups_is_refused_with_its_place(void **state)
{
	static const struct {
		const char *text, *why;
	} bad[] = {
		{"{}", "should be a list of groups of targets, got object"},
		{"[null]", "[0] should be a group"},
		{"[{\"targets\":[]},{\"target\":[]}]", "[1].target is neither"},
		{"[{\"targets\":\"h\"}]", "[0].targets should be array, got string"},
		{"[{\"targets\":[null]}]", "[0].targets[0] should be string, got null"},
		{"[{\"targets\":[\"h\"],\"labels\":{\"a\":[]}}]",
		 "[0].labels.a should be string, got array"},
	};

	write_file("a.json", "null");
	start("discovery.file \"f\" { files = [\"a.json\"] }");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		write_file("a.json", bad[i].text);
		AWAIT(the(&discovery_file_type)->health_text &&
		      strstr(the(&discovery_file_type)->health_text, bad[i].why));
	}
	/* What never ends is not begun. */
	assert_int_equal(unlink("a.json"), 0);
	assert_int_equal(mkfifo("a.json", 0644), 0);
	AWAIT(strstr(the(&discovery_file_type)->health_text, "it is no regular file"));
}

static void patterns_are_checked_when_loading(void **state)
{
	static const char *const bad[] = {"a.txt", "d*/a.json", "*", "a.json/*", ""};
	static const char *const good[] = {"/x/*.json", "a*.yml", "a.YAML", "/x/a?[bc].yaml"};

	for (size_t i = 0; i < ARRAY_SIZE(bad) + ARRAY_SIZE(good); i++) {
		bool is_good = i >= ARRAY_SIZE(bad);
		char text[128], out[2048] = "";

		(void)snprintf(text, sizeof(text), "discovery.file \"f\" { files = [\"%s\"] }",
			       is_good ? good[i - ARRAY_SIZE(bad)] : bad[i]);
		assert_int_equal(load(text, out, sizeof(out)), is_good);
		assert_true(is_good || strstr(out, "is not valid for file discovery"));
		graph = graph_free(graph);
	}
}

static void the_content_of_a_file_is_followed(void **state)
{
	write_file("token", "one\n");
	start("local.file \"t\" { filename = \"token\" }");
	assert_string_equal(content(), "one\n");
	write_file("next", "two");
	assert_int_equal(rename("next", "token"), 0);
	AWAIT(!strcmp(content(), "two"));
	assert_int_equal(unlink("token"), 0);
	AWAIT(the(&local_file_type)->health == HEALTH_UNHEALTHY);
	assert_string_equal(content(), "two");
	assert_non_null(strstr(the(&local_file_type)->health_text, "No such file"));
	write_file("token", "three");
	AWAIT(!strcmp(content(), "three"));
	assert_int_equal(the(&local_file_type)->health, HEALTH_HEALTHY);
}

static void a_file_is_polled_when_asked(void **state)
{
	write_file("token", "one");
	start("local.file \"t\" {\n filename = \"token\"\n detector = \"poll\"\n"
	      " poll_frequency = \"20ms\"\n}");
	write_file("token", "two");
	AWAIT(!strcmp(content(), "two"));
}

static void a_file_that_is_not_there_fails_the_load(void **state)
{
	char out[2048] = "";

	assert_false(load("local.file \"t\" { filename = \"none\" }", out, sizeof(out)));
	assert_non_null(strstr(out, "cannot read none: No such file"));
	graph = graph_free(graph);
	assert_false(load("local.file \"t\" {\n filename = \"none\"\n detector = \"x\"\n}", out,
			  sizeof(out)));
	assert_non_null(strstr(out, "unknown detector"));
}

static void a_secret_file_goes_only_into_secrets(void **state)
{
	char out[2048] = "";

	write_file("token", "hidden");
	assert_true(load("local.file \"t\" {\n filename = \"token\"\n is_secret = true\n}\n"
			 "pyroscope.write \"w\" { endpoint {\n url = \"http://x\"\n"
			 " bearer_token = local.file.t.content\n} }",
			 NULL, 0));
	graph = graph_free(graph);
	assert_false(load("local.file \"t\" {\n filename = \"token\"\n is_secret = true\n}\n"
			  "pyroscope.write \"w\" { endpoint { url = local.file.t.content } }",
			  out, sizeof(out)));
	assert_non_null(strstr(out, "secret"));
	assert_null(strstr(out, "hidden"));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		CASE(targets_follow_their_files),
		CASE(a_broken_file_keeps_its_last_targets_and_says_so),
		CASE(what_is_no_list_of_groups_is_refused_with_its_place),
		CASE(patterns_are_checked_when_loading),
		CASE(the_content_of_a_file_is_followed),
		CASE(a_file_is_polled_when_asked),
		CASE(a_file_that_is_not_there_fails_the_load),
		CASE(a_secret_file_goes_only_into_secrets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
