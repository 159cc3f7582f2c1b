/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/run_options.h"

#include <errno.h>
#include <getopt.h>

#include "agent/base/log.h"
#include "agent/debuginfod.h"
#include "agent/ops/ops.h"
#include "agent/verbs.h"

enum long_option {
	OPT_LOG_LEVEL = 256,
	OPT_LOG_FORMAT,
	OPT_CACHE_DIR,
	OPT_DEBUG_DIR,
	OPT_DEBUGINFOD,
	OPT_LISTEN,
	OPT_UI_PREFIX
};

static const struct option long_options[] = {
	{"log-level", required_argument, NULL, OPT_LOG_LEVEL},
	{"log.level", required_argument, NULL, OPT_LOG_LEVEL},
	{"log-format", required_argument, NULL, OPT_LOG_FORMAT},
	{"log.format", required_argument, NULL, OPT_LOG_FORMAT},
	{"server.http.listen-addr", required_argument, NULL, OPT_LISTEN},
	{"server.http.ui-path-prefix", required_argument, NULL, OPT_UI_PREFIX},
	{"cache-dir", required_argument, NULL, OPT_CACHE_DIR},
	{"debug-dir", required_argument, NULL, OPT_DEBUG_DIR},
	{"debuginfod", required_argument, NULL, OPT_DEBUGINFOD},
	{"help", no_argument, NULL, 'h'},
	{0},
};

void run_print_help(FILE *f)
{
	fputs("Usage: tephra run [OPTIONS] FILE_OR_DIRECTORY...\n\n"
	      "Profiles continuously, as a Grafana Alloy configuration says; of a directory all\n"
	      "*.alloy files directly inside are read, '-' is the standard input. Ends\n"
	      "on SIGINT or SIGTERM, after what was collected is sent.\n\nOptions:\n"
	      "      --server.http.listen-addr HOST:PORT\n"
	      "                         health, metrics and targets over HTTP (default\n"
	      "                         " OPS_LISTEN "; '' for none)\n"
	      "      --server.http.ui-path-prefix PATH\n"
	      "                         where its page for people is (default /)\n"
	      "      --log-level LEVEL  error, warn, info or debug (default info)\n"
	      "      --log-format NAME  logfmt or json (default logfmt); level and format\n"
	      "                         given here win over the block logging {}\n"
	      "      --cache-dir DIR    where tables of files are kept (default\n"
	      "                         /var/cache/tephra; '' for none)\n"
	      "      --debug-dir DIR    where separate debug files are, instead of\n"
	      "                         /usr/lib/debug; may be repeated\n" DEBUGINFOD_HELP
	      "      --stability.level LEVEL\n"
	      "                         generally-available (default), public-preview or\n"
	      "                         experimental: what a configuration may use\n"
	      "  -h, --help             this text\n\n"
	      "Other flags of 'alloy run' are accepted and have no effect.\n",
	      f);
}

static int complain(const char *what)
{
	(void)usage_error("tephra run", what);
	return -EINVAL;
}

/* fmt has one %s. optopt is a letter; 0 or a long option's value otherwise. */
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static int complain_option(const char *fmt, char *const *argv)
{
	const char letter[] = {'-', (char)optopt, '\0'};
	char text[256];

	(void)snprintf(text, sizeof(text), fmt,
		       optopt > 0 && optopt < 128 ? letter : argv[optind - 1]);
	return complain(text);
}

int run_options_parse(int argc, char **argv, struct run_options *ret)
{
	struct run_options o = {.listen = OPS_LISTEN};
	enum log_format format;
	enum log_level level;
	char why[128];
	int c;

	if (alloy_flags_take(&argc, argv, &o.alloy, why, sizeof(why)) < 0)
		return complain(why);
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":h", long_options, NULL)) != -1) {
		switch (c) {
		case OPT_LOG_LEVEL:
			if (log_level_parse(optarg, &level) < 0)
				return complain("the log level is error, warn, info or debug");
			log_force_level(level);
			break;
		case OPT_LOG_FORMAT:
			if (log_format_parse(optarg, &format) < 0)
				return complain("the log format is logfmt or json");
			log_force_format(format);
			break;
		case OPT_LISTEN:
			o.listen = optarg;
			break;
		case OPT_UI_PREFIX:
			o.ui_prefix = optarg;
			break;
		case OPT_CACHE_DIR:
			o.cache_dir = optarg;
			break;
		case OPT_DEBUG_DIR:
			if (debug_dirs_add(&o.debug_dirs, optarg) < 0)
				return complain("too many debug directories");
			break;
		case OPT_DEBUGINFOD:
			if (debug_dirs_add_server(&o.debug_dirs, optarg) < 0)
				return complain(DEBUGINFOD_WRONG);
			break;
		case 'h':
			o.help = true;
			break;
		case ':':
			return complain_option("option '%s' needs a value", argv);
		default:
			return complain_option("unknown option '%s'", argv);
		}
	}
	o.paths = (const char *const *)argv + optind;
	o.n_paths = (size_t)(argc - optind);
	if (!o.n_paths && !o.help)
		return complain("the configuration is missing: a file or directory");
	*ret = o;
	return 0;
}
