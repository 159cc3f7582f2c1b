/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "agent/base/clock.h"

/* What one place in the code may write: so many lines at once, then one in so long. */
#define LOG_PLACES   64
#define LOG_BURST    50
#define LOG_EVERY_MS 10000

static enum log_level max_level = LOG_LEVEL_INFO;
static enum log_format log_format = LOG_FORMAT_PLAIN;
static bool level_forced, format_forced;
static uint64_t counts[LOG_LEVEL_DEBUG + 1];
static struct log_limit places[LOG_PLACES]; /* by the format a message is made from */
static void (*log_hook)(void *);
static void *log_hook_data;

static const char *const level_names[] = {
	[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVEL_WARN] = "warn",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
};

void log_set_level(enum log_level level)
{
	if (!level_forced)
		max_level = level;
}

void log_force_level(enum log_level level)
{
	max_level = level;
	level_forced = true;
}

enum log_level log_get_level(void)
{
	return max_level;
}

void log_set_format(enum log_format format)
{
	if (!format_forced)
		log_format = format;
}

void log_force_format(enum log_format format)
{
	log_format = format;
	format_forced = true;
}

enum log_format log_get_format(void)
{
	return log_format;
}

int log_format_parse(const char *name, enum log_format *ret)
{
	if (strcmp(name, "logfmt") != 0 && strcmp(name, "json") != 0)
		return -EINVAL;
	*ret = strcmp(name, "json") ? LOG_FORMAT_LOGFMT : LOG_FORMAT_JSON;
	return 0;
}

uint64_t log_count(enum log_level level)
{
	return counts[level];
}

void log_set_hook(void (*before)(void *data), void *data)
{
	log_hook = before;
	log_hook_data = data;
}

int log_level_parse(const char *name, enum log_level *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(level_names); i++) {
		if (!strcmp(name, level_names[i])) {
			*ret = i;
			return 0;
		}
	}
	return -EINVAL;
}

void log_quote(FILE *f, const char *s)
{
	if (*s && !s[strcspn(s, " \"=\\\n\r\t\x7f")]) {
		bool plain = true;

		for (const char *p = s; *p; p++)
			plain = plain && (unsigned char)*p >= ' ';
		if (plain) {
			fputs(s, f);
			return;
		}
	}
	fputc('"', f);
	for (; *s; s++) {
		unsigned char c = *s;

		if (c == '"' || c == '\\')
			fprintf(f, "\\%c", c);
		else if (c == '\n')
			fputs("\\n", f);
		else if (c < ' ' || c == 0x7f)
			fprintf(f, "\\x%02x", c);
		else
			fputc(c, f);
	}
	fputc('"', f);
}

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '.';
}

struct log_component log_component(const char *text)
{
	static const char *const families[] = {"discovery.", "import.", "local.", "pyroscope.",
					       "remote."};
	const struct log_component none = {0};
	size_t id = 0, len = 0;
	bool colon;

	for (; is_word(text[len]) || text[len] == '/'; len++) {
		if (text[len] == '/')
			id = len + 1;
	}
	colon = text[len] == ':' && text[len + 1] == ' ';
	if (!colon && strncmp(text + len, " is ", 4) != 0)
		return none;
	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		if (!strncmp(text + id, families[i], strlen(families[i])))
			return (struct log_component){id, len, colon ? len + 2 : 0};
	}
	return none;
}

static void write_time(char *to, size_t size)
{
	struct timespec ts;
	struct tm tm;
	size_t n;

	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	n = strftime(to, size, "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(to + n, size - n, ".%09ldZ", ts.tv_nsec);
}

/* Bytes of the UTF-8 sequence at s; 0: it is none (RFC 3629). */
static size_t utf8_length(const unsigned char *s)
{
	size_t n = s[0] < 0x80 ? 1 : s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : s[0] >= 0xc2 ? 2 : 0;

	if (s[0] > 0xf4 || (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	}
	return n;
}

void log_quote_json(FILE *f, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;

	fputc('"', f);
	while (*s) {
		size_t n = utf8_length(s);

		if (*s == '"' || *s == '\\')
			fprintf(f, "\\%c", *s);
		else if (*s == '\n')
			fputs("\\n", f);
		else if (*s < ' ' || *s == 0x7f)
			fprintf(f, "\\u%04x", *s);
		else if (n)
			fwrite(s, 1, n, f);
		else
			fputs("\\ufffd", f);
		s += n ? n : 1;
	}
	fputc('"', f);
}

static void write_field(FILE *f, bool first, const char *name, const char *value)
{
	if (log_format == LOG_FORMAT_JSON) {
		fprintf(f, "%s\"%s\":", first ? "{" : ",", name);
		log_quote_json(f, value);
	} else {
		fprintf(f, "%s%s=", first ? "" : " ", name);
		log_quote(f, value);
	}
}

/* In one piece: others may write to the same place. */
static void write_fields(enum log_level level, const char *text)
{
	const struct log_component c = log_component(text);
	char when[64], path[256], name[256], *line = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&line, &size);

	if (!f)
		return;
	write_time(when, sizeof(when));
	write_field(f, true, "ts", when);
	write_field(f, false, "level", level_names[level]);
	write_field(f, false, "msg", text + c.text);
	if (c.end) {
		(void)snprintf(path, sizeof(path), "/%.*s", c.id ? (int)c.id - 1 : 0, text);
		(void)snprintf(name, sizeof(name), "%.*s", (int)(c.end - c.id), text + c.id);
		write_field(f, false, "component_path", path);
		write_field(f, false, "component_id", name);
	}
	fputs(log_format == LOG_FORMAT_JSON ? "}\n" : "\n", f);
	if (fclose(f) == 0)
		fwrite(line, 1, size, stderr);
	free(line);
}

/* A person who waits for a verb's end gets everything, and so does who debugs. */
static bool may_write(enum log_level level, const char *fmt, uint32_t *ret_suppressed)
{
	uintptr_t place = (uintptr_t)fmt;

	if (log_format == LOG_FORMAT_PLAIN || level == LOG_LEVEL_DEBUG)
		return true;
	return log_limit_ok(&places[(place >> 3 ^ place >> 11) % LOG_PLACES], LOG_BURST,
			    LOG_EVERY_MS, ret_suppressed);
}

int log_write(enum log_level level, int r, const char *fmt, ...)
{
	int saved_errno = errno;
	uint32_t suppressed = 0;
	char text[2048];
	va_list ap;
	int n;

	counts[level]++;
	if (level > max_level)
		return r;
	if (!may_write(level, fmt, &suppressed)) {
		errno = saved_errno;
		return r;
	}
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (r < 0 && n >= 0 && (size_t)n < sizeof(text))
		(void)snprintf(text + n, sizeof(text) - n, ": %s", strerror(-r));
	n = (int)strlen(text);
	if (suppressed)
		(void)snprintf(text + n, sizeof(text) - (size_t)n,
			       " (and %u more of the kind were not written)", suppressed);
	if (log_hook)
		log_hook(log_hook_data);
	if (log_format != LOG_FORMAT_PLAIN)
		write_fields(level, text);
	else if (level == LOG_LEVEL_INFO)
		fprintf(stderr, "tephra: %s\n", text);
	else
		fprintf(stderr, "tephra: %s: %s\n",
			level == LOG_LEVEL_WARN ? "warning" : level_names[level], text);
	errno = saved_errno;
	return r;
}

bool log_limit_ok(struct log_limit *l, uint32_t burst, uint64_t every_ms, uint32_t *ret_suppressed)
{
	uint64_t now = clock_ms();
	uint64_t refill = (now - l->last_ms) / every_ms;

	if (refill > 0) {
		l->used = refill >= l->used ? 0 : l->used - (uint32_t)refill;
		l->last_ms = now;
	}
	if (l->used >= burst) {
		l->suppressed++;
		return false;
	}
	l->used++;
	*ret_suppressed = l->suppressed;
	l->suppressed = 0;
	return true;
}
