/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole configurations: what must load, what must fail and where, with the components that exist.
 * W is a complete pyroscope.write "w"; F is `forward_to = [pyroscope.write.w.receiver]`.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "agent/base/buf.h"
#include "agent/base/log.h"
#include "agent/components/pyroscope_ebpf.h"
#include "agent/components/pyroscope_write.h"
#include "agent/components/registry.h"
#include "agent/http/multi.h"
#include "agent/config/config.h"

#define W	  "pyroscope.write \"w\" { endpoint { url = \"http://127.0.0.1:4040\" } }\n"
#define F	  "forward_to = [pyroscope.write.w.receiver]\n"
#define E(args)	  W "pyroscope.ebpf \"e\" {\n" F args "\n}\n"
#define END(args) "pyroscope.write \"w\" { endpoint {\nurl = \"http://h:1/\"\n" args "\n} }\n"

static struct loop *loop;
static struct http_multi *http;

static struct component_env env_new(void)
{
	struct component_env env = {.loop = loop, .http = http};

	env.types = component_registry(&env.n_types);
	return env;
}

static const char *const loads[] = {
	"",
	"// nothing\n/* at all */",
	"discovery.process \"all\" { }",
	"discovery.process \"all\" {}",
	"discovery.process \"all\" {\n\n}",
	"discovery.process \"all\" { // c\n}",
	"\xef\xbb\xbf"
	"discovery.process \"all\" {\r\n  refresh_interval = \"1m0.5s\"\r\n}\r\n",
	W,
	"pyroscope.write \"w\" { }",
	"pyroscope.write \"w\" {\nendpoint { url = \"http://a\" }\nendpoint { url = "
	"\"http://b/x/\" }\n}",
	END("basic_auth {\n username = 12345\n password = sys.env(\"T\")\n}"),
	END("bearer_token = \"x\" + sys.env(\"T\")"),
	END("headers = {\n}"),
	END("headers = { \"X-Scope-OrgID\" = \"t1\", }"),
	END("authorization {\n type = \"Token\"\n credentials = \"c\"\n}"),
	END("tls_config {\n insecure_skip_verify = true\n min_version = \"TLS12\"\n}"),
	END("remote_timeout = \"3s\"\nmin_backoff_period = \"1s\"\nmax_backoff_retries = 0"),
	"pyroscope.write \"w\" { external_labels = { env = \"prod\", \"node\" = constants.hostname "
	"} }",
	E(""),
	E("targets = [{\"__process_pid__\" = \"1\"}, {\"__process_pid__\" = 1, a = true}]"),
	E("targets = concat(\n discovery.process.p.targets,\n [{\"__process_pid__\" = "
	  "\"1\"}],\n)\n}\n"
	  "discovery.process \"p\" {"),
	E("targets = array.concat(discovery.process.p.targets, [])\n}\ndiscovery.process \"p\" {"),
	E("collect_interval = \"1m0.5s\"\nsample_rate = 97\ncomm = \"label\"\ndebug_info { }"),
	E("pid_cache_size = 1\nbuild_id_cache_size = 1\nsame_file_cache_size = 1\ncache_rounds = "
	  "1\n"
	  "symbols_map_size = 1\npid_map_size = 1\ncontainer_id_cache_size = 1\n"
	  "go_table_fallback = true\ncollect_user_profile = true\ncollect_kernel_profile = true"),
	E("python_enabled = true\nperl_enabled = true\nphp_enabled = false\nhotspot_enabled = "
	  "true\n"
	  "ruby_enabled = true\nv8_enabled = true\ndotnet_enabled = true\ngo_enabled = true"),
	E("targets = null\ntargets_only = false\nsymb_cache_size = \"100\""),
	"livedebugging { enabled = true }\nlogging { level = \"warn\" }\ntracing { "
	"sampling_fraction = 1 }\n"
	"http { }",
	"pyroscope.ebpf \"e\" { forward_to = [] }",
	"prometheus.scrape \"x\" { whatever = nonsense.at.all }\nloki.write \"l\" { }\n"
	"logging { write_to = [loki.write.l.receiver] }",
	"pyroscope.ebpf \"e\" {\n" F "}\n" W, /* the order in the file does not matter */
};

static void what_alloy_loads_is_loaded(void **state)
{
	struct component_env env = env_new();

	for (size_t i = 0; i < ARRAY_SIZE(loads); i++) {
		_cleanup_(graph_freep) struct graph *g = NULL;
		_cleanup_diag_ struct diag_list d = {0};

		assert_int_equal(graph_load_text("t", loads[i], strlen(loads[i]), &env, &d, &g), 0);
		if (!graph_ok(g)) {
			diag_print(&d, stderr, false, 10);
			fail_msg("must load: %s", loads[i]);
		}
	}
}

static const struct {
	const char *text, *where, *message;
} fails[] = {
	{"# comment", "1:1", "illegal character U+0023 '#'"},
	{END("basic_auth { username = \"u\" password_file = \"/run/secret\" }"), "3:29",
	 "expected TERMINATOR, got IDENT"},
	{"a = 1", "1:1", "unrecognized attribute a"},
	{"pyroscope.write { }", "1:1", "component \"pyroscope.write\" must have a label"},
	{"pyroscope.write \"\" { }", "1:1", "must have a label"},
	{"pyroscope.write \"my-write\" { }", "1:17",
	 "expected block label to be a valid identifier, but got \"my-write\""},
	{"pyroscope.write `w` { }", "1:17", "expected block label to be a double quoted string"},
	{"pyroscope.write \"true\" { }", "1:17", "valid identifier"},
	{"pyroscope.write \"w\"\n{ }", "1:20", "expected block body, got TERMINATOR"},
	{"pyroscope.write w { }", "1:17", "expected block label, got IDENT"},
	{"a.b = 1", "1:1", "attribute names may only consist of a single identifier"},
	{"a \"b\" = 1", "1:1", "attribute names may not have labels"},
	{W W, "2:1", "block pyroscope.write.w already declared at t:1:1"},
	{"logging { }\nlogging { }", "2:1", "already declared at t:1:1"},
	{"logging \"x\" { }", "1:1", "block \"logging\" does not support specifying labels"},
	{"pyroscope.ebff \"x\" { }", "1:1",
	 "cannot find the definition of component name \"pyroscope.ebff\""},
	{"pyroscope.ebpf \"e\" { forward_to = [pyroscope.write.nope.receiver] }", "1:36",
	 "component \"pyroscope.write.nope.receiver\" does not exist or is out of scope"},
	{"pyroscope.ebpf \"e\" { forward_to = [w] }", "1:36", "identifier \"w\" does not exist"},
	{W "pyroscope.ebpf \"e\" { forward_to = pyroscope.write.w.receiver }", "2:35",
	 "pyroscope.write.w.receiver should be array, got capsule"},
	{W "pyroscope.ebpf \"e\" { forward_to = [pyroscope.write.w] }", "2:35",
	 "[pyroscope.write.w][0] should be a receiver of profiles, got object"},
	{"loki.write \"l\" { }\npyroscope.ebpf \"e\" { forward_to = [loki.write.l.receiver] }",
	 "2:35", "should be a receiver of profiles, got something of an ignored component"},
	{W "pyroscope.ebpf \"e\" { forward_to = [pyroscope.write.w.nope] }", "2:36",
	 "field \"nope\" does not exist"},
	{E("targets = discovery.process.p\n}\ndiscovery.process \"p\" {"), "4:11",
	 "discovery.process.p should be array, got object"},
	{E("targets = [\n {a = \"1\"}\n]"), "5:11", "missing ',' in expression list"},
	{E("targets = [{a = null}]"), "4:11", "[0].a should be string, got null"},
	{E("targets = [{a = [1]}]"), "4:11", "[0].a should be string, got array"},
	{E("targets = [\"x\"]"), "4:11", "[0] should be object, got string"},
	{"pyroscope.write \"w\" { endpoint { url = 'x' } }", "1:40",
	 "illegal single-quoted string; use double quotes"},
	{"pyroscope.write \"w\" { endpoint {\nurl = \"a\n\" } }", "2:7",
	 "string literal not terminated"},
	{E("collect_interval = 15"), "4:20", "should be duration"},
	{E("collect_interval = \"15\""), "4:20", "missing unit"},
	{E("collect_interval = \"15 sec\""), "4:20", "unknown unit"},
	{E("collect_interval = \"0\""), "2:1", "collect_interval must be at least"},
	{E("sample_rate = 0"), "2:1", "sample_rate must be between"},
	{E("sample_rate = \"many\""), "4:15", "\"many\" should be a number"},
	{E("sample_rate = 1.5"), "4:15", "should be a whole number"},
	{E("python_enabled = \"true\""), "4:18", "\"true\" should be bool, got string"},
	{E("demangle = true"), "4:12", "true should be string, got bool"},
	{E("forwardto = []"), "4:1", "unrecognized attribute name \"forwardto\""},
	{E("default_target = {}"), "4:1", "unrecognized attribute name \"default_target\""},
	{E("frobnicate { }"), "4:1", "unrecognized block name \"frobnicate\""},
	{E("targets { }"), "4:1", "\"targets\" must be an attribute, but is used as a block"},
	{E("targets = []\ntargets = []"), "5:1", "attribute \"targets\" may only be provided once"},
	{E("debug_info { }\ndebug_info { }"), "5:1",
	 "block \"debug_info\" may only be specified once"},
	{E("debug_info \"x\" { }"), "4:1",
	 "block \"debug_info\" does not support specifying labels"},
	{E("comm = \"x\""), "2:1", "comm should be one of"},
	{"pyroscope.write \"w\" { endpoint = { url = \"x\" } }", "1:23",
	 "\"endpoint\" must be a block, but is used as an attribute"},
	{"pyroscope.write \"w\" { endpoint { } }", "1:23", "missing required attribute \"url\""},
	{"\npyroscope.ebpf \"e\" {\n}", "2:1", "missing required attribute \"forward_to\""},
	{END("bearer_token = \"x\"\nbasic_auth {\nusername = \"u\"\n}"), "1:23",
	 "at most one of basic_auth, authorization, oauth2, bearer_token & bearer_token_file"},
	{END("oauth2 {\nclient_id = \"x\"\n}"), "3:1", "oauth2 token_url must be configured"},
	{END("http_headers = {\"a\" = \"b\"}"), "3:16", ".a should be array, got string"},
	{END("headers = {\"a\" = [\"b\"]}"), "3:11", ".a should be string, got array"},
	{END("headers = {\"a\" = \"b\\nc\"}"), "1:1", "has a line break"},
	{END("headers = {\"Content-Type\" = \"b\"}"), "1:1", "is set by tephra itself"},
	{END("tls_config { cert_file = \"x\" }"), "3:1",
	 "exactly one of key_pem or key_file must be configured"},
	{END("remote_timeout = \"0s\""), "1:23", "remote_timeout must be greater than 0"},
	{"pyroscope.write \"w\" { endpoint { url = \"localhost:4040\" } }", "1:1",
	 "write it like http://host:4040"},
	{"pyroscope.write \"w\" { endpoint { url = \"ftp://h\" } }", "1:1",
	 "must begin with http:// or https://"},
	{"pyroscope.write \"w\" { endpoint { url = \"http://\" } }", "1:1", "is no valid URL"},
	{"logging { level = \"verbose\" }", "1:1", "unrecognized log level \"verbose\""},
	{"logging { level = \"info\" format = \"x\" }", "1:26", "expected TERMINATOR, got IDENT"},
	{"discovery.process \"a\" { join = discovery.process.b.targets }\n"
	 "discovery.process \"b\" { join = discovery.process.a.targets }",
	 "1:1", "cycle: discovery.process.a, discovery.process.b"},
	{"discovery.process \"a\" { join = discovery.process.a.targets }", "1:1",
	 "self reference: discovery.process.a"},
	{"discovery.process \"a\" {\n", "2:1", "expected }, got EOF"},
	{"}", "1:1", "expected identifier, got }"},
	{"discovery.docker \"d\" { }", "1:1", "missing required attribute \"host\""},
	{"discovery.nothing \"d\" { }", "1:1", "cannot find the definition"},
};

static void what_alloy_refuses_is_refused_at_its_place(void **state)
{
	struct component_env env = env_new();
	int wrong = 0;

	for (size_t i = 0; i < ARRAY_SIZE(fails); i++) {
		_cleanup_(graph_freep) struct graph *g = NULL;
		_cleanup_diag_ struct diag_list d = {0};
		_cleanup_free_ char *line = NULL, *want = NULL;

		assert_int_equal(
			graph_load_text("t", fails[i].text, strlen(fails[i].text), &env, &d, &g),
			0);
		if (graph_ok(g) || !d.n_errors)
			fail_msg("must not load: %s", fails[i].text);
		for (size_t k = 0; k < d.n && !line; k++) {
			if (d.items[k].severity == DIAG_ERROR)
				line = diag_line(&d.items[k]);
		}
		assert_int_not_equal(asprintf(&want, "t:%s: ", fails[i].where), -1);
		if (strncmp(line, want, strlen(want)) != 0 || !strstr(line, fails[i].message)) {
			print_error("%s\ngot  %s\nwant %s...%s\n", fails[i].text, line, want,
				    fails[i].message);
			wrong++;
		}
	}
	assert_int_equal(wrong, 0);
}

static void all_errors_of_a_file_are_reported_at_once(void **state)
{
	static const char text[] = "pyroscope.nope \"x\" { }\n" W "pyroscope.ebpf \"e\" {\n" F
				   "demangle = true\nforwardto = 1\n}\n";
	struct component_env env = env_new();
	_cleanup_(graph_freep) struct graph *g = NULL;
	_cleanup_diag_ struct diag_list d = {0};

	assert_int_equal(graph_load_text("t", text, strlen(text), &env, &d, &g), 0);
	assert_int_equal(d.n_errors, 3);
	assert_string_equal(d.items[2].help, "did you mean \"forward_to\"?");
}

static void ten_thousand_errors_in_a_file_are_counted_and_the_first_kept(void **state)
{
	_cleanup_buf_ struct buf text = BUF_INIT(4u << 20);
	struct component_env env = env_new();
	_cleanup_(graph_freep) struct graph *g = NULL;
	_cleanup_diag_ struct diag_list d = {0};
	_cleanup_free_ char *line = NULL;

	for (int i = 0; i < 10000; i++)
		buf_printf(&text, "pyroscope.write \"w%d\" { endpoint { } }\n", i % 5000);
	assert_int_equal(graph_load_text("t", buf_cstr(&text), text.len, &env, &d, &g), 0);
	assert_int_equal(d.n_errors, 10000);
	assert_int_equal(d.n, DIAG_KEEP);
	line = diag_summary(&d);
	assert_non_null(strstr(line, "(and 9999 more diagnostics)"));
}

static char *printed(const char *text)
{
	struct component_env env = env_new();
	_cleanup_(graph_freep) struct graph *g = NULL;
	_cleanup_diag_ struct diag_list d = {0};
	char *out = NULL;
	size_t n;
	FILE *f = open_memstream(&out, &n);

	assert_int_equal(graph_load_text("c.alloy", text, strlen(text), &env, &d, &g), 0);
	diag_print(&d, f, false, 2);
	fclose(f);
	return out;
}

static void diagnostics_show_the_source_with_carets(void **state)
{
	_cleanup_free_ char *one = printed("logging {\n\tlevel = 'info'\n}\n");
	_cleanup_free_ char *block = printed("\npyroscope.ebpf \"e\" {\n  targets = []\n}\n");
	_cleanup_free_ char *many = printed("a = 1\nb = 2\nc = 3\n");

	assert_string_equal(one,
			    "Error: c.alloy:2:10: illegal single-quoted string; use double quotes\n"
			    "\n"
			    "1 | logging {\n"
			    "2 |     level = 'info'\n"
			    "  |             ^^^^^^\n"
			    "3 | }\n");
	assert_string_equal(block, "Error: c.alloy:2:1: missing required attribute \"forward_to\"\n"
				   "\n"
				   "1 |   \n"
				   "2 |   pyroscope.ebpf \"e\" {\n"
				   "  |  _^\n"
				   "3 | |   targets = []\n"
				   "4 | | }\n"
				   "  | |_^\n"
				   "5 |   \n"
				   "  help: forward_to: the receivers of the profiles, such as "
				   "[pyroscope.write.NAME.receiver]\n");
	assert_non_null(strstr(many, "\nand 1 more\n"));
}

static void write_file(const char *dir, const char *name, const char *text)
{
	_cleanup_free_ char *path = NULL;
	FILE *f;

	assert_int_not_equal(asprintf(&path, "%s/%s", dir, name), -1);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void a_directory_is_one_configuration(void **state)
{
	char dir[] = "/tmp/tephra-config-XXXXXX", command[128];
	struct component_env env = env_new();
	struct graph *g = NULL;
	_cleanup_free_ char *text = NULL;
	const char *path = dir;
	size_t n;
	FILE *f;

	assert_non_null(mkdtemp(dir));
	write_file(dir, "a.alloy", "pyroscope.ebpf \"e\" {\n" F "}\n");
	write_file(dir, "b.alloy", W);
	write_file(dir, "c.txt", "not ours");
	f = open_memstream(&text, &n);
	assert_int_equal(config_load(&path, 1, &env, f, &g), 0);
	graph_free(g);
	write_file(dir, "c.alloy", "oops");
	assert_int_equal(config_load(&path, 1, &env, f, &g), -EINVAL);
	fclose(f);
	assert_non_null(strstr(text, "/c.alloy:1:5: expected attribute assignment or block body"));
	assert_non_null(strstr(text, "Error: could not perform the initial load successfully\n"));
	(void)snprintf(command, sizeof(command), "rm -r %s", dir);
	assert_int_equal(system(command), 0);
}

static void a_missing_file_is_named(void **state)
{
	struct component_env env = env_new();
	const char *path = "/nonexistent/c.alloy";
	_cleanup_free_ char *text = NULL;
	struct graph *g;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	assert_int_equal(config_load(&path, 1, &env, f, &g), -EINVAL);
	fclose(f);
	assert_non_null(strstr(text, "Error: cannot read '/nonexistent/c.alloy': No such file"));
}

static void defaults_are_those_of_the_documentation(void **state)
{
	static const char text[] = E("");
	struct component_env env = env_new();
	_cleanup_(graph_freep) struct graph *g = NULL;
	_cleanup_diag_ struct diag_list d = {0};
	const struct ebpf_args *a;

	assert_int_equal(graph_load_text("t", text, strlen(text), &env, &d, &g), 0);
	a = graph_next(g, &pyroscope_ebpf_type, NULL)->args;
	assert_true(a->collect_interval == INT64_C(15000000000));
	assert_int_equal(a->sample_rate, 19);
	assert_true(a->targets_only && a->kernel_frames && a->python_enabled);
	assert_false(a->pid_label || a->lazy_mode);
	assert_string_equal(a->demangle, "none");
	assert_int_equal(a->forward_to.n, 1);
	assert_int_equal(d.n_warnings, 0);
}

static void what_has_no_effect_is_said_once_and_only_when_changed(void **state)
{
	static const char text[] =
		E("php_enabled = true\nruby_enabled = false\npid_map_size = 3\nlazy_mode = true\n"
		  "off_cpu_threshold = 0.5\ncache_rounds = 1\nload_probe = true");
	struct component_env env = env_new();
	_cleanup_(graph_freep) struct graph *g = NULL;
	_cleanup_diag_ struct diag_list d = {0};

	assert_int_equal(graph_load_text("t", text, strlen(text), &env, &d, &g), 0);
	assert_int_equal(d.n_warnings, 2);
	assert_non_null(strstr(d.items[0].message,
			       "\"off_cpu_threshold\", \"load_probe\" are accepted, but"));
	assert_non_null(
		strstr(d.items[1].message, "\"pid_map_size\", \"cache_rounds\" are deprecated"));
}

struct profiler {
	int started, updated, stopped;
	size_t targets;
};

static int on_start(struct ebpf_component *c, void *data, char *why, size_t size)
{
	struct profiler *p = data;

	p->started++;
	p->targets = c->targets.n;
	return 0;
}

static void on_update(struct ebpf_component *c, void *data)
{
	struct profiler *p = data;

	p->updated++;
	p->targets = c->targets.n;
}

static void on_stop(struct ebpf_component *c, void *data)
{
	((struct profiler *)data)->stopped++;
}

static void a_change_of_the_processes_reaches_the_running_profiler(void **state)
{
	static const char text[] = "discovery.process \"p\" { refresh_interval = \"1h\" }\n" E(
		"targets = array.concat(discovery.process.p.targets, [{\"__container_id__\" = "
		"\"x\"}])");
	struct profiler p = {0};
	struct ebpf_hooks hooks = {
		.start = on_start, .update = on_update, .stop = on_stop, .data = &p};
	struct component_env env = env_new();
	_cleanup_(graph_freep) struct graph *g = NULL;
	_cleanup_diag_ struct diag_list d = {0};
	struct value_list none = {0}, exports = {0};
	struct component *discovery = NULL;

	env.ebpf = &hooks;
	assert_int_equal(graph_load_text("t", text, strlen(text), &env, &d, &g), 0);
	assert_true(graph_ok(g));
	assert_int_equal(graph_start(g), 0);
	assert_int_equal(p.started, 1);
	assert_true(p.targets >= 2); /* this process, and the container */
	for (size_t i = 0; i < env.n_types; i++) {
		if (!strcmp(env.types[i]->name, "discovery.process"))
			discovery = graph_next(g, env.types[i], NULL);
	}
	value_list_add(&exports, "targets", value_array(&none));
	component_export(discovery, value_object(&exports));
	assert_int_equal(loop_once(loop, 1000), 0);
	assert_int_equal(p.updated, 1);
	assert_int_equal(p.targets, 1);
	graph_stop(g);
	assert_int_equal(p.stopped, 1);
}

static void append_last(struct ebpf_component *c, void *data)
{
	_cleanup_labels_ struct label_set labels = {0};

	label_set_put(&labels, "__name__", "process_cpu");
	ebpf_append(c, NULL, &labels, (const uint8_t *)"x", 1, 1, 0);
}

static void what_is_collected_at_the_end_waits_for_the_drain(void **state)
{
	static const char text[] = "pyroscope.write \"w\" { endpoint {\n"
				   "url = \"http://127.0.0.1:1\"\nmax_backoff_retries = 0\n} }\n"
				   "pyroscope.ebpf \"e\" {\n" F "}\n";
	struct ebpf_hooks hooks = {.stop = append_last};
	struct component_env env = env_new();
	_cleanup_(graph_freep) struct graph *g = NULL;
	_cleanup_diag_ struct diag_list d = {0};
	struct push_stats s;
	struct write_component *w;
	bool abort = true;

	env.ebpf = &hooks;
	assert_int_equal(graph_load_text("t", text, strlen(text), &env, &d, &g), 0);
	assert_int_equal(graph_start(g), 0);
	graph_stop(g);
	w = (struct write_component *)graph_next(g, &pyroscope_write_type, NULL);
	push_get_stats(w->push, 0, &s);
	assert_int_equal(s.queued_profiles, 1);
	assert_int_equal(graph_drain(g, 10000, &abort), -ETIME);
	abort = false;
	assert_int_equal(graph_drain(g, 50, &abort), -ETIME);
	push_get_stats(w->push, 0, &s);
	assert_int_equal(s.queued_profiles, 1);
	assert_true(s.retries > 0);
}

static int setup(void **state)
{
	log_set_level(LOG_LEVEL_ERROR);
	return loop_new(&loop) < 0 ? -1 : http_multi_new(loop, &http);
}

static int teardown(void **state)
{
	http = http_multi_free(http);
	loop = loop_free(loop);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_alloy_loads_is_loaded),
		cmocka_unit_test(what_alloy_refuses_is_refused_at_its_place),
		cmocka_unit_test(all_errors_of_a_file_are_reported_at_once),
		cmocka_unit_test(ten_thousand_errors_in_a_file_are_counted_and_the_first_kept),
		cmocka_unit_test(diagnostics_show_the_source_with_carets),
		cmocka_unit_test(a_directory_is_one_configuration),
		cmocka_unit_test(a_missing_file_is_named),
		cmocka_unit_test(defaults_are_those_of_the_documentation),
		cmocka_unit_test(what_has_no_effect_is_said_once_and_only_when_changed),
		cmocka_unit_test(what_is_collected_at_the_end_waits_for_the_drain),
		cmocka_unit_test(a_change_of_the_processes_reaches_the_running_profiler),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
