/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logging: one line per message on stderr, as logfmt (`ts=... level=... msg="..."`) or JSON. Text
 * is lower-case and starts with what failed; it says "ignoring" or "skipping" when work goes on.
 * Text that begins with the id of a component and ": " is written without it, and with the fields
 * component_path and component_id, as Grafana Alloy does. In the continuous agent one place in the
 * code can not fill the log: after a burst it writes a line every ten seconds.
 * log_*_errno() take a negative errno, append its text and return it, so that they fit a `return`.
 */
#pragma once

#include "agent/base/macro.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* The verbs a person types speak plainly ("tephra: text"), the continuous agent in fields. */
enum log_format { LOG_FORMAT_PLAIN, LOG_FORMAT_LOGFMT, LOG_FORMAT_JSON };

/* Without effect after log_force_level(), log_force_format(). */
void log_set_level(enum log_level level);
enum log_level log_get_level(void);
void log_set_format(enum log_format format);
enum log_format log_get_format(void);
/* What the command line says: no configuration changes it. */
void log_force_level(enum log_level level);
void log_force_format(enum log_format format);
/* 0, or -EINVAL when `name` is none of debug, info, warn, error. */
int log_level_parse(const char *name, enum log_level *ret);
/* 0, or -EINVAL when `name` is none of logfmt, json. */
int log_format_parse(const char *name, enum log_format *ret);
/* Messages since the start, also those that the level held back. */
uint64_t log_count(enum log_level level);
/* Called before a line is written, so that a status line can be taken off the terminal first. */
void log_set_hook(void (*before)(void *data), void *data);

int log_write(enum log_level level, int r, const char *fmt, ...) _printf_(3, 4);

#define log_error(...)		((void)log_write(LOG_LEVEL_ERROR, 0, __VA_ARGS__))
#define log_warn(...)		((void)log_write(LOG_LEVEL_WARN, 0, __VA_ARGS__))
#define log_info(...)		((void)log_write(LOG_LEVEL_INFO, 0, __VA_ARGS__))
#define log_debug(...)		((void)log_write(LOG_LEVEL_DEBUG, 0, __VA_ARGS__))
#define log_error_errno(r, ...) log_write(LOG_LEVEL_ERROR, r, __VA_ARGS__)
#define log_warn_errno(r, ...)	log_write(LOG_LEVEL_WARN, r, __VA_ARGS__)
#define log_info_errno(r, ...)	log_write(LOG_LEVEL_INFO, r, __VA_ARGS__)
#define log_debug_errno(r, ...) log_write(LOG_LEVEL_DEBUG, r, __VA_ARGS__)

/* A token bucket for one place in the code: at most `burst` lines, refilled one per `every_ms`. */
struct log_limit {
	uint64_t last_ms;
	uint32_t used, suppressed;
};
/* True when the caller may log now; *ret_suppressed is how many were held back before. */
bool log_limit_ok(struct log_limit *l, uint32_t burst, uint64_t every_ms, uint32_t *ret_suppressed);

/* The component that a message begins with. */
struct log_component {
	size_t id, end; /* [0, id): its module and "/"; [id, end): its id; end 0: there is none */
	size_t text;	/* where the message goes on: after "ID: ", all of "ID is well" */
};
struct log_component log_component(const char *text);

/* Writes `s` as a logfmt value: quoted and escaped when it needs to be. */
void log_quote(FILE *f, const char *s);
/* ... as a JSON string; what is no UTF-8 becomes U+FFFD. */
void log_quote_json(FILE *f, const char *s);
