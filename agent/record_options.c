/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/record_options.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>

#include "agent/base/log.h"
#include "agent/config/duration.h"
#include "agent/debuginfod.h"
#include "agent/runtimes.h"
#include "agent/verbs.h"

#define FREQUENCY_MAX	20000u
#define DURATION_MAX_MS (24ull * 3600 * 1000)
#define SHORT_OPTIONS	"+:p:c:aF:d:o:h"

enum long_option {
	OPT_FORMAT = 256,
	OPT_KERNEL,
	OPT_CHILDREN,
	OPT_TABLE,
	OPT_EVENT,
	OPT_DEMANGLE,
	OPT_CACHE_DIR,
	OPT_DEBUG_DIR,
	OPT_DEBUGINFOD,
	OPT_RUNTIMES,
	OPT_KEEP_LOOPS,
	OPT_LOG_LEVEL,
};

static const struct option long_options[] = {
	{"pid", required_argument, NULL, 'p'},
	{"container", required_argument, NULL, 'c'},
	{"all", no_argument, NULL, 'a'},
	{"frequency", required_argument, NULL, 'F'},
	{"duration", required_argument, NULL, 'd'},
	{"output", required_argument, NULL, 'o'},
	{"format", required_argument, NULL, OPT_FORMAT},
	{"kernel", required_argument, NULL, OPT_KERNEL},
	{"children", no_argument, NULL, OPT_CHILDREN},
	{"table", no_argument, NULL, OPT_TABLE},
	{"event", required_argument, NULL, OPT_EVENT},
	{"demangle", required_argument, NULL, OPT_DEMANGLE},
	{"cache-dir", required_argument, NULL, OPT_CACHE_DIR},
	{"debug-dir", required_argument, NULL, OPT_DEBUG_DIR},
	{"debuginfod", required_argument, NULL, OPT_DEBUGINFOD},
	{"runtimes", required_argument, NULL, OPT_RUNTIMES},
	{"interpreter-frames", no_argument, NULL, OPT_KEEP_LOOPS},
	{"log-level", required_argument, NULL, OPT_LOG_LEVEL},
	{"help", no_argument, NULL, 'h'},
	{0},
};

void record_print_help(FILE *f)
{
	fputs("Usage: tephra record [OPTIONS] [-- COMMAND ARGUMENTS...]\n\n"
	      "Records where CPU time goes: of a command until it ends, of processes, of\n"
	      "containers, or of this host. Without -o it prints the hottest functions and\n"
	      "processes.\n\nWhat:\n"
	      "  -p, --pid PID          a process; may be repeated\n"
	      "      --children         with -p: and the children it starts from now on\n"
	      "  -c, --container ID     a container, by its id or the beginning of it\n"
	      "  -a, --all              this host (the default when nothing is named)\n"
	      "\nHow:\n"
	      "  -F, --frequency HZ     samples per second and CPU (default 99)\n"
	      "  -d, --duration TIME    how long: 500ms, 10s, 1m30s (default 10s; a command\n"
	      "                         runs to its end unless this is given)\n"
	      "      --kernel yes|no    kernel frames (default yes)\n"
	      "      --event NAME       cycles, cpu-clock or auto (default auto)\n"
	      "      --demangle MODE    none, simplified, templates, full (default full)\n"
	      "      --runtimes LIST    whose frames to walk and name: " RUNTIMES_HELP "\n"
	      "                         (default all), or none\n"
	      "      --interpreter-frames\n"
	      "                         keep the frames of interpreters beside those they run\n"
	      "      --cache-dir DIR    where tables of files are kept (default\n"
	      "                         /var/cache/tephra; '' for none)\n"
	      "      --debug-dir DIR    where separate debug files are, instead of\n"
	      "                         /usr/lib/debug; may be repeated\n" DEBUGINFOD_HELP
	      "\nOutput:\n"
	      "  -o, --output FILE      .pb.gz or .pprof: pprof; .folded; .svg; .html; '-' is\n"
	      "                         standard output; may be repeated\n"
	      "      --format FORMAT    pprof, folded, svg, html: for names that do not say\n"
	      "      --table            print the table as well\n"
	      "\n      --log-level LEVEL  error, warn, info or debug (default info)\n"
	      "  -h, --help             this text\n",
	      f);
}

/* fmt has one %s. */
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static int complain(const char *fmt, const char *value)
{
	char text[256];

	(void)snprintf(text, sizeof(text), fmt, value);
	(void)usage_error("tephra record", text);
	return -EINVAL;
}

static int parse_number(const char *text, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;

	if (!*text)
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		v = v * 10 + (uint64_t)(*text - '0');
		if (v > max)
			return -ERANGE;
	}
	*ret = v;
	return 0;
}

static int parse_pid(const char *text, struct record_options *o)
{
	uint64_t v;

	if (parse_number(text, INT32_MAX, &v) < 0 || v == 0)
		return complain("'%s' is not a process id", text);
	if (o->n_pids == RECORD_MAX_NAMED)
		return complain("too many processes%s", "");
	o->pids[o->n_pids++] = (uint32_t)v;
	return 0;
}

static int parse_container(const char *text, struct record_options *o)
{
	if (strlen(text) < 4 || text[strspn(text, "0123456789abcdef")])
		return complain("'%s' is not a container id: at least 4 hexadecimal digits", text);
	if (o->n_containers == RECORD_MAX_NAMED)
		return complain("too many containers%s", "");
	o->containers[o->n_containers++] = text;
	return 0;
}

static int parse_frequency(const char *text, struct record_options *o)
{
	uint64_t v;

	if (parse_number(text, FREQUENCY_MAX, &v) < 0 || v == 0)
		return complain("'%s' is not a frequency: 1 to 20000 Hz", text);
	o->frequency_hz = (uint32_t)v;
	return 0;
}

static int parse_duration(const char *text, struct record_options *o)
{
	int64_t ns;

	const char *why;

	if (duration_parse(text, &ns, &why) < 0 || ns < 1000000 ||
	    (uint64_t)ns / 1000000 > DURATION_MAX_MS)
		return complain("'%s' is not a duration such as 500ms, 10s or 1m30s, at most 24h",
				text);
	o->duration_ms = (uint64_t)ns / 1000000;
	return 0;
}

static int parse_event(const char *text, struct record_options *o)
{
	static const char *const names[] = {
		[PROFILER_EVENT_AUTO] = "auto",
		[PROFILER_EVENT_CYCLES] = "cycles",
		[PROFILER_EVENT_CPU_CLOCK] = "cpu-clock",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!strcmp(text, names[i])) {
			o->event = (enum profiler_event)i;
			return 0;
		}
	}
	return complain("'%s' is not an event: cycles, cpu-clock or auto", text);
}

static int parse_yes_no(const char *text, bool *ret)
{
	if (strcmp(text, "yes") && strcmp(text, "no"))
		return complain("'%s' is neither yes nor no", text);
	*ret = !strcmp(text, "yes");
	return 0;
}

static int parse_log_level(const char *text)
{
	enum log_level level;

	if (log_level_parse(text, &level) < 0)
		return complain("'%s' is not error, warn, info or debug", text);
	log_set_level(level);
	return 0;
}

static int add_output(const char *path, struct record_options *o)
{
	if (o->n_outputs == RECORD_MAX_NAMED)
		return complain("too many outputs%s", "");
	o->outputs[o->n_outputs++].path = path;
	return 0;
}

static int parse_one(int c, struct record_options *o, const char **format)
{
	switch (c) {
	case 'p':
		return parse_pid(optarg, o);
	case 'c':
		return parse_container(optarg, o);
	case 'a':
		o->all = true;
		return 0;
	case 'F':
		return parse_frequency(optarg, o);
	case 'd':
		return parse_duration(optarg, o);
	case 'o':
		return add_output(optarg, o);
	case OPT_FORMAT:
		*format = optarg;
		return 0;
	case OPT_KERNEL:
		return parse_yes_no(optarg, &o->kernel);
	case OPT_CHILDREN:
		o->children = true;
		return 0;
	case OPT_TABLE:
		o->table = true;
		return 0;
	case OPT_EVENT:
		return parse_event(optarg, o);
	case OPT_DEMANGLE:
		if (demangle_mode_parse(optarg, &o->demangle) < 0)
			return complain("'%s' is not none, simplified, templates or full", optarg);
		return 0;
	case OPT_CACHE_DIR:
		o->cache_dir = optarg;
		return 0;
	case OPT_DEBUG_DIR:
		if (debug_dirs_add(&o->debug_dirs, optarg) < 0)
			return complain("too many debug directories: '%s'", optarg);
		return 0;
	case OPT_DEBUGINFOD:
		if (debug_dirs_add_server(&o->debug_dirs, optarg) < 0)
			return complain("'%s': " DEBUGINFOD_WRONG, optarg);
		return 0;
	case OPT_RUNTIMES:
		if (runtimes_parse(optarg, &o->no_runtimes) < 0)
			return complain("'%s' is not all, none or a list of " RUNTIMES_HELP,
					optarg);
		return 0;
	case OPT_KEEP_LOOPS:
		o->keep_loops = true;
		return 0;
	case OPT_LOG_LEVEL:
		return parse_log_level(optarg);
	case 'h':
		o->help = true;
		return 0;
	}
	return -EINVAL;
}

static int choose_formats(struct record_options *o, const char *format)
{
	for (size_t i = 0; i < o->n_outputs; i++) {
		struct record_output *out = &o->outputs[i];

		if (format_from_name(format ? format : out->path, &out->format) >= 0)
			continue;
		if (format)
			return complain("'%s' is no format: pprof, folded, svg, html", format);
		return complain("the name '%s' says no format: end it in .pb.gz, .folded, .svg or "
				".html, or give --format",
				out->path);
	}
	return 0;
}

static int check_combination(const struct record_options *o)
{
	bool named = o->n_pids || o->n_containers;

	if (o->all && (named || o->command))
		return complain("-a profiles everything: it goes with no -p, -c or command%s", "");
	if (o->command && named)
		return complain("a command goes with no -p or -c%s", "");
	if (o->children && !o->n_pids)
		return complain("--children goes with -p%s", "");
	return 0;
}

/* optopt: the letter, also of a cluster such as -xa; of a long option its value; 0 when unknown. */
static int complain_option(int c, char *const *argv)
{
	const char letter[] = {'-', (char)optopt, '\0'};
	bool is_letter = optopt > 0 && optopt < 128;

	if (c == ':')
		return complain("option '%s' needs a value", is_letter ? letter : argv[optind - 1]);
	if (optopt > 0 && (!is_letter || strchr(SHORT_OPTIONS, optopt)))
		return complain("option '%s' takes no value", argv[optind - 1]);
	return complain("unknown option '%s'", is_letter ? letter : argv[optind - 1]);
}

int record_options_parse(int argc, char **argv, struct record_options *ret)
{
	struct record_options o = {
		.kernel = true,
		.frequency_hz = 99,
		.demangle = DEMANGLE_FULL,
	};
	const char *format = NULL;
	int c, r;

	opterr = 0;
	while ((c = getopt_long(argc, argv, SHORT_OPTIONS, long_options, NULL)) != -1) {
		if (c == '?' || c == ':')
			return complain_option(c, argv);
		r = parse_one(c, &o, &format);
		if (r < 0)
			return r;
	}
	if (optind < argc) {
		if (strcmp(argv[optind - 1], "--"))
			return complain("'%s' is not an option; a command comes after '--'",
					argv[optind]);
		o.command = argv + optind;
	} else if (!o.help && optind > 1 && !strcmp(argv[optind - 1], "--")) {
		return complain("the command after '--' is missing%s", "");
	}
	r = o.help ? 0 : check_combination(&o);
	if (r >= 0)
		r = choose_formats(&o, format);
	if (r < 0)
		return r;
	if (!o.duration_ms && !o.command)
		o.duration_ms = 10000;
	*ret = o;
	return 0;
}
