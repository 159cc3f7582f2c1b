/* SPDX-License-Identifier: Apache-2.0 */
/* `tephra symbolize`: what is known of addresses in a file, by the way that profiles are named. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/debug_file.h"
#include "agent/debuginfod.h"
#include "agent/http/multi.h"
#include "agent/parser/parser.h"
#include "agent/symbols.h"
#include "agent/tables.h"
#include "agent/verbs.h"
#include "symbolizer/demangle.h"
#include "symbolizer/objfile.h"
#include "symbolizer/table.h"

#define PATIENCE_MS   60000
#define CACHE_BUDGET  (UINT64_C(512) << 20)
#define ADDRESSES_MAX (1u << 24)

enum layout { LAYOUT_PEOPLE, LAYOUT_ADDR2LINE };

struct symbolize {
	struct loop *loop;
	struct parser *parser;
	struct http_multi *http;       /* NULL: no servers */
	struct debuginfod *debuginfod; /* the same */
	struct tables *tables;
	struct table *table;
	struct symbols symbols;
	int r; /* of the table */
	bool loaded;
	/* options */
	enum layout layout;
	enum demangle_mode demangle;
	bool offsets;
	const char *cache_dir, *path;
	struct debug_dirs dirs;
	uint64_t *addresses;
	size_t n, cap;
};

static void print_help(FILE *f)
{
	fputs("Usage: tephra symbolize [OPTIONS] FILE [ADDRESS...]\n\n"
	      "Says which functions, files and lines are at virtual addresses of an ELF file, the\n"
	      "way profiles say it: from its symbols, its debug information, or a separate debug\n"
	      "file. Addresses are hexadecimal; without any they are read from standard input.\n\n"
	      "Options:\n"
	      "      --format FORMAT    people (default), or addr2line: as 'addr2line -a -f -i'\n"
	      "      --offsets          the addresses are offsets in the file\n"
	      "      --demangle MODE    none, simplified, templates, full (default full)\n"
	      "      --debug-dir DIR    where separate debug files are, instead of\n"
	      "                         /usr/lib/debug; may be repeated\n" DEBUGINFOD_HELP
	      "      --cache-dir DIR    where tables of files are kept (default none)\n"
	      "      --log-level LEVEL  error, warn, info or debug (default info)\n"
	      "  -h, --help             this text\n",
	      f);
}

/* ---- addresses ---- */

static int address_add(struct symbolize *s, uint64_t a)
{
	if (s->n >= ADDRESSES_MAX)
		return -E2BIG;
	if (s->n == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 64;
		uint64_t *v = realloc(s->addresses, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		s->addresses = v;
		s->cap = cap;
	}
	s->addresses[s->n++] = a;
	return 0;
}

static int address_parse(const char *text, uint64_t *ret)
{
	const char *p = text[0] == '0' && (text[1] | 32) == 'x' ? text + 2 : text;
	uint64_t v = 0;
	size_t n = 0;

	for (; *p; p++, n++) {
		int c = *p | 32;

		if (!((*p >= '0' && *p <= '9') || (c >= 'a' && c <= 'f')) || n == 16)
			return -EINVAL;
		v = v << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	if (!n)
		return -EINVAL;
	*ret = v;
	return 0;
}

static int take_address(struct symbolize *s, const char *text)
{
	uint64_t a;
	int r = address_parse(text, &a);

	if (r < 0) {
		log_error("'%s' is no hexadecimal address", text);
		return r;
	}
	return address_add(s, a);
}

static int read_addresses(struct symbolize *s, FILE *f)
{
	char word[64];
	size_t n = 0;
	int c, r = 0;

	do {
		c = getc_unlocked(f);
		if (c != EOF && c > ' ') {
			if (n + 1 < sizeof(word))
				word[n++] = (char)c;
			continue;
		}
		word[n] = '\0';
		r = n ? take_address(s, word) : 0;
		n = 0;
	} while (c != EOF && r >= 0);
	return r;
}

/* ---- output ---- */

static const char *shown(const struct symbolize *s, const struct line_frame *f, struct buf *scratch)
{
	if (!f->name[0])
		return "??";
	return f->is_linkage_name ? demangle(f->name, s->demangle, scratch) : f->name;
}

static void print_place(const struct line_frame *f)
{
	if (f->line)
		printf("%s:%" PRIu32 "\n", f->path[0] ? f->path : "??", f->line);
	else
		printf("%s:?\n", f->path[0] ? f->path : "??");
}

static void print_address(const struct symbolize *s, uint64_t address,
			  const struct symbols_names *names, struct buf *scratch)
{
	if (s->layout == LAYOUT_ADDR2LINE) {
		printf("0x%016" PRIx64 "\n", address);
		for (size_t i = 0; i < names->n; i++) {
			printf("%s\n", shown(s, &names->frames[i], scratch));
			print_place(&names->frames[i]);
		}
		if (!names->n && names->has_place) {
			puts("??");
			print_place(&names->frames[0]);
		} else if (!names->n) {
			puts("??\n??:0");
		}
		return;
	}
	for (size_t i = 0; i < names->n; i++) {
		if (i)
			printf("%-18s inlined into ", "");
		else
			printf("0x%-16" PRIx64 " ", address);
		printf("%s at ", shown(s, &names->frames[i], scratch));
		print_place(&names->frames[i]);
	}
	if (!names->n)
		printf("0x%-16" PRIx64 " ?? (no symbol covers it; %s)\n", address,
		       debug_file_describe(s->symbols.debug));
}

/* ---- looking up ---- */

static void on_table(void *data, int r, struct table *table)
{
	struct symbolize *s = data;

	s->loaded = true;
	s->r = r;
	s->table = r < 0 ? NULL : table;
}

static void on_debug(void *data)
{
}

/* Without a cache to share with the agent, the table is made without rows to unwind by. */
static int load(struct symbolize *s)
{
	enum build_kind kind = s->cache_dir ? BUILD_FILE : BUILD_NAMES;
	int fd = open(s->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	int r = fd < 0 ? -errno : tables_load(s->tables, fd, kind, on_table, s);

	while (r >= 0 && !s->loaded)
		r = loop_once(s->loop, -1);
	return r < 0 ? r : s->r;
}

static int find_debug(struct symbolize *s)
{
	const struct debug_file_options o = {
		.tables = s->tables, .dirs = s->dirs, .debuginfod = s->debuginfod};
	_cleanup_free_ char *path = realpath(s->path, NULL);
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1, r;

	if (fd < 0)
		return -errno;
	r = debug_file_new(&o, fd, -1, path, table_get_info(s->table), on_debug, s,
			   &s->symbols.debug);
	while (r >= 0 && debug_file_is_pending(s->symbols.debug))
		r = loop_once(s->loop, -1);
	return r;
}

static int prepare(struct symbolize *s)
{
	static const char *const child_argv[] = {"tephra", PARSER_CHILD_VERB, NULL};
	struct line_cache *lines = NULL;
	int r = loop_new(&s->loop);

	if (r >= 0)
		r = parser_new(s->loop, child_argv, NULL, &s->parser);
	if (r >= 0)
		r = tables_new(s->loop, s->parser, s->cache_dir, CACHE_BUDGET, &s->tables);
	if (r >= 0)
		r = line_cache_new(s->loop, s->parser, SIZE_MAX, &lines);
	if (r < 0)
		return r;
	s->symbols.lines = lines;
	r = debuginfod_open(s->loop, &s->dirs, s->cache_dir, &s->http, &s->debuginfod);
	if (r < 0)
		return r;
	r = load(s);
	if (r < 0)
		return r;
	s->symbols.table = s->table;
	return find_debug(s);
}

static uint64_t vaddr_of(const struct symbolize *s, uint64_t address)
{
	uint64_t vaddr = address;

	if (s->offsets && table_offset_to_vaddr(s->table, address, &vaddr) < 0)
		return UINT64_MAX;
	return vaddr;
}

static int look_up(struct symbolize *s)
{
	_cleanup_buf_ struct buf scratch = BUF_INIT(DEMANGLE_BUF_MAX);
	struct symbols_names names;
	uint64_t until = clock_ms() + PATIENCE_MS;
	bool again = true;

	/* More than a query holds is asked for in several. */
	while (again && clock_ms() < until) {
		again = false;
		for (size_t i = 0; i < s->n; i++)
			again |= symbols_want(&s->symbols, vaddr_of(s, s->addresses[i])) < 0;
		line_cache_flush(s->symbols.lines);
		while (line_cache_pending(s->symbols.lines) && clock_ms() < until) {
			int r = loop_once(s->loop, 100);

			if (r < 0)
				return r;
			/* Else slow files would be asked when it pays off. */
			line_cache_flush(s->symbols.lines);
		}
	}
	for (size_t i = 0; i < s->n; i++) {
		(void)symbols_get(&s->symbols, vaddr_of(s, s->addresses[i]), &names);
		print_address(s, s->addresses[i], &names, &scratch);
	}
	return fflush(stdout) == 0 ? 0 : -errno;
}

/* ---- options ---- */

enum long_option {
	OPT_FORMAT = 256,
	OPT_OFFSETS,
	OPT_DEMANGLE,
	OPT_DIR,
	OPT_SERVER,
	OPT_CACHE,
	OPT_LEVEL
};

static const struct option long_options[] = {
	{"format", required_argument, NULL, OPT_FORMAT},
	{"offsets", no_argument, NULL, OPT_OFFSETS},
	{"demangle", required_argument, NULL, OPT_DEMANGLE},
	{"debug-dir", required_argument, NULL, OPT_DIR},
	{"debuginfod", required_argument, NULL, OPT_SERVER},
	{"cache-dir", required_argument, NULL, OPT_CACHE},
	{"log-level", required_argument, NULL, OPT_LEVEL},
	{"help", no_argument, NULL, 'h'},
	{0},
};

static int complain(const char *what)
{
	(void)usage_error("tephra symbolize", what);
	return -EINVAL;
}

static int take_option(struct symbolize *s, int c)
{
	enum log_level level;

	switch (c) {
	case OPT_FORMAT:
		if (strcmp(optarg, "people") != 0 && strcmp(optarg, "addr2line") != 0)
			return complain("the format is people or addr2line");
		s->layout = optarg[0] == 'a' ? LAYOUT_ADDR2LINE : LAYOUT_PEOPLE;
		return 0;
	case OPT_OFFSETS:
		s->offsets = true;
		return 0;
	case OPT_DEMANGLE:
		if (demangle_mode_parse(optarg, &s->demangle) < 0)
			return complain("the mode is none, simplified, templates or full");
		return 0;
	case OPT_DIR:
		return debug_dirs_add(&s->dirs, optarg) < 0 ? complain("too many debug directories")
							    : 0;
	case OPT_SERVER:
		return debug_dirs_add_server(&s->dirs, optarg) < 0 ? complain(DEBUGINFOD_WRONG) : 0;
	case OPT_CACHE:
		s->cache_dir = *optarg ? optarg : NULL;
		return 0;
	case OPT_LEVEL:
		if (log_level_parse(optarg, &level) < 0)
			return complain("the log level is error, warn, info or debug");
		log_set_level(level);
		return 0;
	default:
		return complain("an option is unknown or lacks its value");
	}
}

/* 1: help was asked for. */
static int parse_options(struct symbolize *s, int argc, char **argv)
{
	int c, r = 0;

	opterr = 0;
	while (r >= 0 && (c = getopt_long(argc, argv, ":h", long_options, NULL)) != -1) {
		if (c == 'h')
			return 1;
		r = take_option(s, c);
	}
	if (r < 0)
		return r;
	if (optind >= argc)
		return complain("the file is missing");
	s->path = argv[optind++];
	for (; optind < argc && r >= 0; optind++)
		r = take_address(s, argv[optind]);
	return r;
}

static void done(struct symbolize *s)
{
	debug_file_free(s->symbols.debug);
	line_cache_free(s->symbols.lines);
	table_free(s->table);
	debuginfod_free(s->debuginfod);
	http_multi_free(s->http);
	tables_free(s->tables);
	parser_free(s->parser);
	loop_free(s->loop);
	free(s->addresses);
}

int symbolize_main(int argc, char **argv)
{
	struct symbolize s = {.demangle = DEMANGLE_FULL};
	int r = parse_options(&s, argc, argv);

	if (r != 0) {
		if (r > 0)
			print_help(stdout);
		free(s.addresses);
		return r > 0 ? EXIT_DONE : EXIT_USAGE;
	}
	if (!s.n)
		r = read_addresses(&s, stdin);
	if (r >= 0)
		r = prepare(&s);
	if (r < 0)
		log_error_errno(r, "cannot read '%s'", s.path);
	else
		r = look_up(&s);
	done(&s);
	return r < 0 ? EXIT_FAILED : EXIT_DONE;
}
