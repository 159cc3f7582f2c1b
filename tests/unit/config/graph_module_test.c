/* SPDX-License-Identifier: Apache-2.0 */
/* declare, argument, export, import.* and foreach: what loads, what fails where, what changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "agent/base/buf.h"
#include "agent/components/registry.h"
#include "tests/unit/config/part.h"

#define ECHO_BODY                                        \
	"argument \"in\" { comment = \"x\" }\n"          \
	"test.part \"p\" { text = argument.in.value }\n" \
	"export \"out\" { value = test.part.p.text }\n"
#define ECHO "declare \"echo\" {\n" ECHO_BODY "}\n"

static char dir[] = "/tmp/tephra-module-XXXXXX";

static void put(const char *name, const char *text)
{
	_cleanup_free_ char *path = NULL, *temporary = NULL;
	FILE *f;

	assert_int_not_equal(asprintf(&path, "%s/%s", dir, name), -1);
	assert_int_not_equal(asprintf(&temporary, "%s/.new", dir), -1);
	f = fopen(temporary, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(rename(temporary, path), 0);
}

/* The text with each '@' replaced by the directory. */
static const char *here(const char *text)
{
	static char out[4096];
	size_t n = 0;

	for (; *text; text++)
		n += (size_t)snprintf(out + n, sizeof(out) - n, *text == '@' ? "%s" : "%.1s",
				      *text == '@' ? dir : text);
	return out;
}

static const char *text_of(const struct graph *g, const char *id)
{
	static char out[256];
	_cleanup_value_ struct value *args = NULL;
	struct graph_view v;

	assert_true(graph_view_find(g, id, &v));
	args = graph_view_arguments(&v);
	(void)snprintf(out, sizeof(out), "%s", value_get(args, "text")->s);
	return out;
}

static const char *why(const struct graph *g, const char *id)
{
	struct graph_view v;

	assert_true(graph_view_find(g, id, &v));
	return v.health_text;
}

static void a_custom_component_is_expanded_for_each_instance(void **state)
{
	_cleanup_(graph_freep) struct graph *g = part_running(
		ECHO "echo \"a\" { in = \"1\" }\necho \"b\" { in = echo.a.out + \"2\" }\n" PART(
			"end", "text = echo.b.out"));

	assert_string_equal(text_of(g, "echo.a/test.part.p"), "1");
	assert_string_equal(text_of(g, "echo.b/test.part.p"), "12");
	assert_string_equal(text_of(g, "test.part.end"), "12");
	assert_int_equal(part_health(g, "echo.a"), HEALTH_HEALTHY);
	assert_string_equal(part_reload(g, ECHO
					"echo \"a\" { in = \"3\" }\necho \"b\" { in = echo.a.out + "
					"\"2\" }\n" PART("end", "text = echo.b.out")),
			    "");
	/* One pass, through both modules. */
	part_expect("update part.p, update part.p, update part.end");
	assert_string_equal(text_of(g, "test.part.end"), "32");
}

static void arguments_have_defaults(void **state)
{
	_cleanup_(graph_freep) struct graph *g = part_running(
		"declare \"d\" {\nargument \"x\" {\noptional = true\ndefault = \"def\"\n}\n"
		"argument \"y\" { optional = true }\n"
		"test.part \"p\" { text = coalesce(argument.y.value, argument.x.value) }\n}\n"
		"d \"one\" { }\nd \"two\" { x = \"given\" }\nd { y = \"z\" }\n");

	assert_string_equal(text_of(g, "d.one/test.part.p"), "def");
	assert_string_equal(text_of(g, "d.two/test.part.p"), "given");
	assert_string_equal(text_of(g, "d/test.part.p"), "z");
}

static void a_receiver_goes_into_a_module(void **state)
{
	static const char text[] =
		SINK("s", "") "declare \"p\" {\nargument \"dst\" { }\n"
			      "test.part \"e\" { forward_to = argument.dst.value }\n}\n"
			      "p \"one\" { dst = [test.sink.s.receiver] }\n";
	_cleanup_(graph_freep) struct graph *g = part_running(text);

	assert_string_equal(part_reload(g, ""), "");
	part_expect("stop part.e, profile sink.s, done part.e, stop sink.s, done sink.s");
	assert_string_equal(part_reload(g, text), "");
	part_forget();
	/* The receiver goes, the module cannot be evaluated: it keeps the one it has. */
	assert_string_equal(part_reload(g, "declare \"p\" {\nargument \"dst\" { }\n"
					   "test.part \"e\" { forward_to = argument.dst.value }\n"
					   "}\np \"one\" { }\n"),
			    "t:5:1: missing required argument \"dst\" to module");
	part_expect("");
	assert_string_equal(part_reload(g, ""), "");
	part_expect("stop part.e, profile sink.s, done part.e, stop sink.s, done sink.s");
}

static void modules_nest_and_see_what_surrounds_their_declaration(void **state)
{
	_cleanup_(graph_freep) struct graph *g =
		part_running(ECHO "declare \"outer\" {\n"
				  "declare \"inner\" {\nargument \"v\" { }\n"
				  "echo \"e\" { in = argument.v.value + \"!\" }\n"
				  "export \"w\" { value = echo.e.out }\n}\n"
				  "argument \"v\" { }\ninner \"i\" { v = argument.v.value }\n"
				  "export \"w\" { value = inner.i.w }\n}\n"
				  "outer \"o\" { v = \"x\" }\n" PART("end", "text = outer.o.w"));

	assert_string_equal(text_of(g, "outer.o/inner.i/echo.e/test.part.p"), "x!");
	assert_string_equal(text_of(g, "test.part.end"), "x!");
}

static const struct {
	const char *text, *error;
} fails[] = {
	{"argument \"x\" { }", "1:1: argument blocks only allowed inside a module"},
	{"export \"x\" { value = 1 }", "1:1: export blocks only allowed inside a module"},
	{"declare { }", "1:1: block \"declare\" requires non-empty label"},
	{"declare \"declare\" { }", "1:1: 'declare' is not a valid label"},
	{"declare \"d\" { }\ndeclare \"d\" { }", "2:1: block declare.d already declared at t:1:1"},
	{"declare \"d\" { }\nd \"a\" { }\nd \"a\" { }", "3:1: block d.a already declared"},
	{"declare \"d\" { }\nd \"a\" { x = 1 }",
	 "2:9: Provided argument \"x\" is not defined in the module"},
	{"declare \"d\" { }\nd \"a\" {\nx { }\n}", "3:1: nested blocks not supported here"},
	{ECHO "echo \"a\" { }", "6:1: missing required argument \"in\" to module"},
	{ECHO "echo \"a\" { in = true }", "3:24: argument.in.value should be string, got bool"},
	{ECHO PART("p", "text = echo.a.out"), "7:8: component \"echo.a.out\" does not exist"},
	{ECHO "echo \"a\" { in = \"\" }\n" PART("p", "text = echo.a.nope"),
	 "8:8: field \"nope\" does not exist"},
	{ECHO "echo \"a\" { in = \"\" }\n" PART("p", "text = test.part.p2.text"),
	 "8:8: component \"test.part.p2.text\" does not exist"},
	{PART("out", "") "declare \"d\" {\ntest.part \"p\" { text = test.part.out.text }\n}\n"
			 "d \"a\" { }",
	 "5:24: component \"test.part.out.text\" does not exist or is out of scope"},
	{"declare \"d\" {\nd \"x\" { }\n}\nd \"a\" { }",
	 "2:1: cycle: declare \"d\" contains itself"},
	{"declare \"d\" {\ne \"x\" { }\n}\ndeclare \"e\" {\nd \"x\" { }\n}\nd \"a\" { }",
	 "5:1: cycle: declare \"d\" contains itself"},
	{ECHO "echo \"a\" { in = echo.b.out }\necho \"b\" { in = echo.a.out }", "cycle: echo.a"},
	{ECHO "x.echo \"a\" { }", "6:1: cannot find the definition of component name \"x.echo\""},
	{"import.string \"m\" { content = \"declare \\\"d\\\" { }\" }\nm.e \"a\" { }",
	 "2:1: cannot find the definition of component name \"m.e\""},
	{"import.string \"m\" { content = \"test.part \\\"d\\\" { }\" }",
	 "import.string.m:1:1: only declare and import blocks are allowed in a module"},
	{"import.string \"m\" { content = \"oops\" }", "import.string.m:1:5: expected attribute"},
	{"import.file \"m\" { filename = \"/nonexistent\" }\nm.x \"a\" { }",
	 "1:1: Failed to build component: cannot read '/nonexistent': No such file"},
	{"import.file \"m\" { filename = \"/dev/zero\" }", "neither a regular file nor"},
	{"import.git \"m\" {\nrepository = \"r\"\npath = \"p\"\n}",
	 "1:1: import.git is not supported: check the repository out and use import.file"},
	{"foreach \"f\" { collection = [1] }", "missing required block \"template\""},
	{"foreach \"f\" {\ncollection = 1\nvar = \"v\"\ntemplate { }\n}",
	 "2:14: collection should be array, got number"},
};

static void what_is_wrong_with_modules_is_told_with_its_place(void **state)
{
	int wrong = 0;

	for (size_t i = 0; i < ARRAY_SIZE(fails); i++) {
		_cleanup_(graph_freep) struct graph *g = NULL;
		_cleanup_diag_ struct diag_list d = {0};
		_cleanup_free_ char *line = NULL;

		assert_int_equal(graph_load_text("t", fails[i].text, strlen(fails[i].text),
						 &part_env, &d, &g),
				 0);
		line = diag_summary(&d);
		if (graph_ok(g) || !strstr(line, fails[i].error)) {
			print_error("%s\ngot  %s\nwant %s\n", fails[i].text, line, fails[i].error);
			wrong++;
		}
	}
	assert_int_equal(wrong, 0);
}

static void an_imported_file_is_followed(void **state)
{
	_cleanup_(graph_freep) struct graph *g = NULL;

	put("echo.alloy", ECHO);
	g = part_running(
		here("import.file \"lib\" { filename = \"@/echo.alloy\" }\n"
		     "lib.echo \"a\" { in = \"1\" }\n" PART("end", "text = lib.echo.a.out")));
	assert_string_equal(text_of(g, "test.part.end"), "1");
	put("echo.alloy", "declare \"echo\" {\nargument \"in\" { }\n"
			  "export \"out\" { value = argument.in.value + \"?\" }\n}\n");
	part_wait("update part.end, stop part.p, done part.p");
	assert_string_equal(text_of(g, "test.part.end"), "1?");
	/* Broken, without what is used, gone: what is there goes on. */
	put("echo.alloy", "declare \"echo\" {\n");
	while (part_health(g, "import.file.lib") == HEALTH_HEALTHY)
		assert_int_equal(loop_once(part_env.loop, 1000), 0);
	assert_string_equal(text_of(g, "test.part.end"), "1?");
	put("echo.alloy", "declare \"other\" { }\n");
	while (!strstr(why(g, "import.file.lib"), "cannot find the definition"))
		assert_int_equal(loop_once(part_env.loop, 1000), 0);
	assert_string_equal(text_of(g, "test.part.end"), "1?");
	put("echo.alloy", ECHO);
	part_wait("build part.p, update part.end, start part.p");
	assert_int_equal(part_health(g, "import.file.lib"), HEALTH_HEALTHY);
}

static void a_directory_of_modules_knows_its_path(void **state)
{
	_cleanup_(graph_freep) struct graph *g = NULL;
	_cleanup_free_ char *real = NULL;

	assert_int_equal(mkdir(here("@/lib"), 0700), 0);
	put("lib/a.alloy", "declare \"where\" {\n"
			   "import.file \"more\" { filename = module_path + \"/../b.alloy\" }\n"
			   "more.two \"x\" { }\n"
			   "export \"path\" { value = module_path + more.two.x.v }\n}\n");
	put("lib/b.txt", "not ours");
	put("b.alloy", "declare \"two\" {\nexport \"v\" { value = \"/2\" }\n}\n");
	g = part_running(here("import.file \"lib\" { filename = \"@/lib\" }\n"
			      "lib.where \"w\" { }\n" PART("end", "text = lib.where.w.path")));
	real = realpath(here("@/lib/"), NULL);
	assert_non_null(strstr(text_of(g, "test.part.end"), real));
	assert_non_null(strstr(text_of(g, "test.part.end"), "/lib/2"));
}

static void a_reload_finds_what_came_with_it_into_an_import(void **state)
{
	_cleanup_(graph_freep) struct graph *g = NULL;

	put("r.alloy", ECHO);
	g = part_running(here("import.file \"lib\" {\nfilename = \"@/r.alloy\"\n"
			      "detector = \"poll\"\npoll_frequency = \"1h\"\n}\n"));
	put("r.alloy", "declare \"fresh\" {\nexport \"x\" { value = \"y\" }\n}\n");
	assert_string_equal(
		part_reload(g, here("import.file \"lib\" {\nfilename = \"@/r.alloy\"\n"
				    "detector = \"poll\"\npoll_frequency = \"1h\"\n}\n"
				    "lib.fresh \"f\" { }\n" PART("end", "text = lib.fresh.f.x"))),
		"");
	assert_string_equal(text_of(g, "test.part.end"), "y");
	/* An import that is new, of a module that is broken: the rest is applied. */
	put("broken.alloy", "oops");
	assert_non_null(strstr(
		part_reload(g, here(PART("end",
					 "text = \"z\"") "import.file \"bad\" { filename = "
							 "\"@/broken.alloy\" }\nbad.x \"y\" { }")),
		"broken.alloy:1:5: expected attribute assignment"));
	assert_string_equal(text_of(g, "test.part.end"), "z");
}

static void the_text_of_a_module_can_come_from_a_component(void **state)
{
	_cleanup_(graph_freep) struct graph *g =
		part_running(PART("src", "text = `declare \"d\" {\nexport \"v\" { value = \"1\" "
					 "}\n}`") "import.string \"m\" { content = "
						  "test.part.src.text }\n"
						  "m.d \"x\" { }\n" PART("end", "text = m.d.x.v"));
	struct value_list l = {0};
	struct component *src = graph_next(g, &part_type, NULL);

	while (strcmp(src->id, "test.part.src") != 0)
		src = graph_next(g, &part_type, src);
	assert_string_equal(text_of(g, "test.part.end"), "1");
	value_list_add(&l, "text",
		       value_cstr("declare \"d\" {\nexport \"v\" { value = \"2\" }\n}"));
	component_export(src, value_object(&l));
	part_wait("update part.end");
	assert_string_equal(text_of(g, "test.part.end"), "2");
}

static void foreach_makes_a_module_of_each_element(void **state)
{
	static const char one[] =
		SINK("s", "") "foreach \"f\" {\n"
			      "collection = [\"a\", \"b\"]\nvar = \"each\"\n"
			      "template {\ntest.part \"p\" {\ntext = each\n" TO("s") "}\n}\n}\n";
	static const char two[] =
		SINK("s", "") "foreach \"f\" {\n"
			      "collection = [\"c\"]\nvar = \"each\"\n"
			      "template {\ntest.part \"p\" {\ntext = each\n" TO("s") "}\n}\n}\n";
	_cleanup_(graph_freep) struct graph *g = part_running(one);

	assert_string_equal(text_of(g, "foreach.f/0/test.part.p"), "a");
	assert_string_equal(text_of(g, "foreach.f/1/test.part.p"), "b");
	assert_string_equal(part_reload(g, two), "");
	assert_string_equal(text_of(g, "foreach.f/0/test.part.p"), "c");
	part_expect("update part.p, stop part.p, profile sink.s, done part.p");
}

static void experimental_blocks_need_to_be_allowed(void **state)
{
	static const char text[] = "foreach \"f\" {\ncollection = []\nvar = \"v\"\ntemplate { }\n}";
	struct component_env env = part_env;
	_cleanup_(graph_freep) struct graph *g = NULL;
	_cleanup_diag_ struct diag_list d = {0};
	_cleanup_free_ char *line = NULL;

	env.stability = STABILITY_GA;
	assert_int_equal(graph_load_text("t", text, strlen(text), &env, &d, &g), 0);
	line = diag_summary(&d);
	assert_string_equal(line, "t:1:1: component \"foreach\" is at stability level "
				  "\"experimental\", which is below the minimum allowed stability "
				  "level \"generally-available\". Use --stability.level "
				  "command-line flag to enable \"experimental\" features");
}

static void expect_too_many(struct buf *text)
{
	_cleanup_(graph_freep) struct graph *g = NULL;
	_cleanup_diag_ struct diag_list d = {0};
	_cleanup_free_ char *line = NULL;

	assert_int_equal(graph_load_text("t", buf_cstr(text), text->len, &part_env, &d, &g), 0);
	assert_false(graph_ok(g));
	line = diag_summary(&d);
	assert_non_null(strstr(line, "more than 10000 components"));
	assert_int_equal(d.n_errors, 1);
	buf_reset(text);
}

static void modules_that_multiply_are_bounded(void **state)
{
	_cleanup_buf_ struct buf text = BUF_INIT(1u << 20);

	/* Each level has ten of the one before: 10^7 in all. */
	for (int level = 0; level < 8; level++) {
		buf_printf(&text, "declare \"d%d\" {\n", level);
		for (int i = 0; i < 10 && level; i++)
			buf_printf(&text, "d%d \"i%d\" { }\n", level - 1, i);
		buf_adds(&text, "}\n");
	}
	buf_adds(&text, "d7 \"all\" { }\n");
	expect_too_many(&text);
	buf_adds(&text, "foreach \"f\" {\nvar = \"v\"\ntemplate { }\ncollection = [");
	for (int i = 0; i < 20000; i++)
		buf_adds(&text, "1,");
	buf_adds(&text, "]\n}\n");
	expect_too_many(&text);
}

/* As the chart grafana/k8s-monitoring generates it. */
static void the_pattern_of_the_helm_chart_loads(void **state)
{
	static const char text[] =
		"declare \"profiling\" {\n"
		"  argument \"profiles_destinations\" {\n"
		"    comment = \"Must be a list of profile destinations\"\n  }\n\n"
		"  discovery.process \"all\" {\n  }\n\n"
		"  pyroscope.ebpf \"ebpf\" {\n    targets = array.concat(\n"
		"      discovery.process.all.targets,\n    )\n"
		"    forward_to = argument.profiles_destinations.value\n  }\n}\n"
		"profiling \"feature\" {\n  profiles_destinations = [\n"
		"    pyroscope.write.profiles.receiver,\n  ]\n}\n"
		"pyroscope.write \"profiles\" {\n  endpoint {\n    url = "
		"\"http://127.0.0.1:4040\"\n"
		"    headers = {\n    }\n  }\n}\n";
	struct component_env env = {.loop = part_env.loop, .http = part_env.http};
	_cleanup_(graph_freep) struct graph *g = NULL;
	_cleanup_diag_ struct diag_list d = {0};
	struct graph_view v;

	env.types = component_registry(&env.n_types);
	assert_int_equal(graph_load_text("t", text, strlen(text), &env, &d, &g), 0);
	if (!graph_ok(g))
		diag_print(&d, stderr, false, 5);
	assert_true(graph_ok(g));
	assert_true(graph_view_find(g, "profiling.feature/pyroscope.ebpf.ebpf", &v));
	assert_string_equal(v.module, "profiling.feature");
	assert_true(graph_view_find(g, "profiling.feature", &v));
	assert_null(v.component);
	assert_string_equal(graph_view_to(&v, 0), "pyroscope.write.profiles");
}

static int make_dir(void **state)
{
	return part_setup(state) < 0 || !mkdtemp(dir) ? -1 : 0;
}

static int remove_dir(void **state)
{
	char command[128];

	(void)snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command) || part_teardown(state) ? -1 : 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_custom_component_is_expanded_for_each_instance,
				       part_reset),
		cmocka_unit_test_setup(arguments_have_defaults, part_reset),
		cmocka_unit_test_setup(a_receiver_goes_into_a_module, part_reset),
		cmocka_unit_test_setup(modules_nest_and_see_what_surrounds_their_declaration,
				       part_reset),
		cmocka_unit_test_setup(what_is_wrong_with_modules_is_told_with_its_place,
				       part_reset),
		cmocka_unit_test_setup(an_imported_file_is_followed, part_reset),
		cmocka_unit_test_setup(a_directory_of_modules_knows_its_path, part_reset),
		cmocka_unit_test_setup(a_reload_finds_what_came_with_it_into_an_import, part_reset),
		cmocka_unit_test_setup(the_text_of_a_module_can_come_from_a_component, part_reset),
		cmocka_unit_test_setup(foreach_makes_a_module_of_each_element, part_reset),
		cmocka_unit_test_setup(experimental_blocks_need_to_be_allowed, part_reset),
		cmocka_unit_test_setup(modules_that_multiply_are_bounded, part_reset),
		cmocka_unit_test_setup(the_pattern_of_the_helm_chart_loads, part_reset),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
