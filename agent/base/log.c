/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "agent/base/clock.h"

static enum log_level max_level = LOG_LEVEL_INFO;
static enum log_format log_format = LOG_FORMAT_PLAIN;
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
	max_level = level;
}

enum log_level log_get_level(void)
{
	return max_level;
}

void log_set_format(enum log_format format)
{
	log_format = format;
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

static void write_logfmt(enum log_level level, const char *text)
{
	struct timespec ts;
	struct tm tm;
	char when[32];

	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	fprintf(stderr, "ts=%s.%09ldZ level=%s msg=", when, ts.tv_nsec, level_names[level]);
	log_quote(stderr, text);
	fputc('\n', stderr);
}

int log_write(enum log_level level, int r, const char *fmt, ...)
{
	int saved_errno = errno;
	char text[2048];
	va_list ap;
	int n;

	if (level > max_level)
		return r;
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (r < 0 && n >= 0 && (size_t)n < sizeof(text))
		(void)snprintf(text + n, sizeof(text) - n, ": %s", strerror(-r));
	if (log_hook)
		log_hook(log_hook_data);
	if (log_format == LOG_FORMAT_LOGFMT)
		write_logfmt(level, text);
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
