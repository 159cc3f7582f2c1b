/* SPDX-License-Identifier: Apache-2.0 */
/* Command lines of `tephra record`: what they mean, or what the person who typed them reads. */
#include <errno.h>
#include <getopt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "agent/record_options.h"

#define MAX_ARGS 300

/* Parses "record LINE..." and returns what was printed on stderr in `text`. */
static int parse_argv(char **argv, struct record_options *ret, char *text, size_t size)
{
	_cleanup_close_ int saved = dup(STDERR_FILENO);
	_cleanup_fclose_ FILE *f = tmpfile();
	int argc = 0, r;
	size_t n;

	while (argv[argc])
		argc++;
	assert_non_null(f);
	fflush(stderr);
	dup2(fileno(f), STDERR_FILENO);
	optind = 0; /* GNU: start anew */
	r = record_options_parse(argc, argv, ret);
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	rewind(f);
	n = fread(text, 1, size - 1, f);
	text[n] = '\0';
	return r;
}

/* Words are split at spaces; "''" stands for an empty one. The result points into `line`. */
static int parse(char *line, struct record_options *ret, char *text, size_t size)
{
	static char *argv[MAX_ARGS]; /* ret->command points into it */
	char *save = NULL;
	int n = 1;

	memset(argv, 0, sizeof(argv));
	argv[0] = "record";
	for (char *w = strtok_r(line, " ", &save); w; w = strtok_r(NULL, " ", &save))
		argv[n++] = strcmp(w, "''") ? w : "";
	return parse_argv(argv, ret, text, size);
}

static void parse_ok(char *line, struct record_options *ret)
{
	char text[1024];

	memset(ret, 0, sizeof(*ret));
	if (parse(line, ret, text, sizeof(text)) < 0)
		fail_msg("refused: %s", text);
	assert_string_equal(text, "");
}
#define PARSE_OK(ret, text)        \
	char line_##ret[] = text;  \
	struct record_options ret; \
	parse_ok(line_##ret, &ret)

static void nothing_means_the_host_for_ten_seconds(void **state)
{
	PARSE_OK(o, "");
	assert_int_equal(o.duration_ms, 10000);
	assert_int_equal(o.frequency_hz, 99);
	assert_true(o.kernel);
	assert_false(o.children);
	assert_int_equal(o.n_pids + o.n_containers + o.n_outputs, 0);
	assert_null(o.command);
	assert_null(o.cache_dir);
	assert_int_equal(o.event, PROFILER_EVENT_AUTO);
	assert_int_equal(o.demangle, DEMANGLE_FULL);
}

static void every_option_arrives(void **state)
{
	PARSE_OK(o,
		 "-p 12 --pid 34 --pid=56 -c 3f2a9c -F 499 -d 1m30s -o a.pb.gz --output b.folded "
		 "-o c.svg -o d.html --kernel no --children --table --event cpu-clock "
		 "--demangle templates --cache-dir /x");
	assert_int_equal(o.n_pids, 3);
	assert_int_equal(o.pids[0], 12);
	assert_int_equal(o.pids[2], 56);
	assert_int_equal(o.n_containers, 1);
	assert_string_equal(o.containers[0], "3f2a9c");
	assert_int_equal(o.frequency_hz, 499);
	assert_int_equal(o.duration_ms, 90000);
	assert_int_equal(o.n_outputs, 4);
	assert_string_equal(o.outputs[0].path, "a.pb.gz");
	assert_int_equal(o.outputs[0].format, FORMAT_PPROF);
	assert_int_equal(o.outputs[1].format, FORMAT_FOLDED);
	assert_int_equal(o.outputs[2].format, FORMAT_SVG);
	assert_int_equal(o.outputs[3].format, FORMAT_HTML);
	assert_false(o.kernel);
	assert_true(o.children);
	assert_true(o.table);
	assert_int_equal(o.event, PROFILER_EVENT_CPU_CLOCK);
	assert_int_equal(o.demangle, DEMANGLE_TEMPLATES);
	assert_string_equal(o.cache_dir, "/x");
}

static void a_command_keeps_its_own_options_and_runs_to_its_end(void **state)
{
	PARSE_OK(o, "-F 10 -- ls -d -p x");
	assert_int_equal(o.duration_ms, 0);
	assert_non_null(o.command);
	assert_string_equal(o.command[0], "ls");
	assert_string_equal(o.command[3], "x");
	assert_null(o.command[4]);
	assert_int_equal(o.n_pids, 0);
}

static void a_format_is_for_names_that_do_not_say(void **state)
{
	PARSE_OK(o, "--format folded -o - -d 500ms --cache-dir ''");
	assert_int_equal(o.outputs[0].format, FORMAT_FOLDED);
	assert_int_equal(o.duration_ms, 500);
	assert_string_equal(o.cache_dir, "");
}

static void help_is_given_whatever_else_is_wrong(void **state)
{
	PARSE_OK(o, "--help -p 1 -a");
	assert_true(o.help);
}

static void wrong_lines_are_told_what_is_wrong(void **state)
{
	static const struct {
		const char *line, *says;
	} cases[] = {
		{"-p 0", "'0' is not a process id"},
		{"-p -5", "'-5' is not a process id"},
		{"-p 12x", "'12x' is not a process id"},
		{"-p ''", "'' is not a process id"},
		{"-p 2147483648", "'2147483648' is not a process id"},
		{"-p 18446744073709551617", "is not a process id"},
		{"-c 3f2", "'3f2' is not a container id: at least 4"},
		{"-c web-server", "'web-server' is not a container id"},
		{"-F 0", "'0' is not a frequency: 1 to 20000"},
		{"-F 20001", "'20001' is not a frequency"},
		{"-F 99Hz", "'99Hz' is not a frequency"},
		{"-d 0s", "'0s' is not a duration"},
		{"-d 10", "'10' is not a duration such as 500ms"},
		{"-d -1s", "'-1s' is not a duration"},
		{"-d 25h", "'25h' is not a duration"},
		{"--kernel maybe", "'maybe' is neither yes nor no"},
		{"--event instructions", "'instructions' is not an event: cycles, cpu-clock"},
		{"--demangle all", "'all' is not none, simplified, templates or full"},
		{"--log-level loud", "'loud' is not error, warn, info or debug"},
		{"-o profile", "the name 'profile' says no format"},
		{"-o -", "the name '-' says no format"},
		{"-o x.svg --format png", "'png' is no format"},
		{"-a -p 1", "-a profiles everything"},
		{"-a -- ls", "-a profiles everything"},
		{"-p 1 -- ls", "a command goes with no -p or -c"},
		{"-c 3f2a -- ls", "a command goes with no -p or -c"},
		{"--children", "--children goes with -p"},
		{"ls", "'ls' is not an option; a command comes after '--'"},
		{"-p 1 ls", "'ls' is not an option; a command comes after '--'"},
		{"--", "the command after '--' is missing"},
		{"-F 99 --", "the command after '--' is missing"},
		{"-x", "unknown option '-x'"},
		{"-ax", "unknown option '-x'"},
		{"-xa", "unknown option '-x'"},
		{"--nonsense", "unknown option '--nonsense'"},
		{"--nonsense=1", "unknown option '--nonsense=1'"},
		{"--all=1", "option '--all=1' takes no value"},
		{"--children=1", "option '--children=1' takes no value"},
		{"-p", "option '-p' needs a value"},
		{"-ap", "option '-p' needs a value"},
		{"--format", "option '--format' needs a value"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct record_options o = {.frequency_hz = 12345};
		char line[256], text[1024];
		int r;

		(void)snprintf(line, sizeof(line), "%s", cases[i].line);
		r = parse(line, &o, text, sizeof(text));
		if (r != -EINVAL)
			fail_msg("'record %s' was taken", cases[i].line);
		if (!strstr(text, cases[i].says))
			fail_msg("'record %s' says: %s", cases[i].line, text);
		/* One line that names the program and the way to more help. */
		assert_ptr_equal(strstr(text, "tephra: "), text);
		assert_non_null(strstr(text, "see 'tephra record --help'\n"));
		assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
		assert_int_equal(o.frequency_hz, 12345);
	}
}

static void too_many_of_a_kind_are_refused(void **state)
{
	static const char *const names[][2] = {{"-p1", "too many processes"},
					       {"-c3f2a", "too many containers"},
					       {"-ox.svg", "too many outputs"}};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char *argv[MAX_ARGS] = {"record"}, text[1024];
		struct record_options o;

		for (int n = 1; n <= RECORD_MAX_NAMED; n++)
			argv[n] = (char *)names[i][0];
		assert_int_equal(parse_argv(argv, &o, text, sizeof(text)), 0);
		argv[RECORD_MAX_NAMED + 1] = (char *)names[i][0];
		assert_int_equal(parse_argv(argv, &o, text, sizeof(text)), -EINVAL);
		assert_non_null(strstr(text, names[i][1]));
	}
}

static void a_value_of_any_length_is_quoted_within_bounds(void **state)
{
	static char pid[100000];
	char *argv[] = {"record", "-p", pid, NULL}, text[1024];
	struct record_options o;

	memset(pid, 'x', sizeof(pid) - 1);
	assert_int_equal(parse_argv(argv, &o, text, sizeof(text)), -EINVAL);
	assert_true(strlen(text) < 400);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_means_the_host_for_ten_seconds),
		cmocka_unit_test(every_option_arrives),
		cmocka_unit_test(a_command_keeps_its_own_options_and_runs_to_its_end),
		cmocka_unit_test(a_format_is_for_names_that_do_not_say),
		cmocka_unit_test(help_is_given_whatever_else_is_wrong),
		cmocka_unit_test(wrong_lines_are_told_what_is_wrong),
		cmocka_unit_test(too_many_of_a_kind_are_refused),
		cmocka_unit_test(a_value_of_any_length_is_quoted_within_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
