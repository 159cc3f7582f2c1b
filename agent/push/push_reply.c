/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/push/push_reply.h"

#include <jansson.h>
#include <string.h>
#include <strings.h>

/* The members `code` and `message` of a connect error; false when the body is none. */
static bool connect_error(const char *body, size_t len, char *code, size_t code_size, char *message,
			  size_t message_size)
{
	json_t *j = json_loadb(body, len, JSON_ALLOW_NUL, NULL);
	const char *c = json_string_value(json_object_get(j, "code"));
	const char *m = json_string_value(json_object_get(j, "message"));

	(void)snprintf(code, code_size, "%s", c ? c : "");
	(void)snprintf(message, message_size, "%s", m ? m : "");
	json_decref(j);
	return *code != '\0';
}

static bool is_type(const char *content_type, const char *want)
{
	size_t n = strlen(want);

	return content_type && !strncasecmp(content_type, want, n) &&
	       (!content_type[n] || content_type[n] == ';' || content_type[n] == ' ');
}

/* The code connect-go makes of a status when the body is no connect error. */
static const char *code_of_status(long status)
{
	switch (status) {
	case 400:
		return "internal";
	case 401:
		return "unauthenticated";
	case 403:
		return "permission_denied";
	case 404:
		return "unimplemented";
	case 429:
	case 502:
	case 503:
	case 504:
		return "unavailable";
	}
	return "unknown";
}

static bool is_retried(const char *code)
{
	static const char *const codes[] = {
		"deadline_exceeded", "unknown", "internal", "unavailable", "data_loss", "aborted",
	};

	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		if (!strcmp(codes[i], code))
			return true;
	}
	return false;
}

/* Text of the network, made fit for a log line. */
static void printable(char *s)
{
	for (; *s; s++) {
		if ((unsigned char)*s < ' ' || (unsigned char)*s >= 0x7f)
			*s = '?';
	}
}

enum push_verdict push_reply_judge(const struct push_reply *reply, bool retry_on_429, char *ret_why,
				   size_t size)
{
	char code[32], message[200];
	bool connect;

	if (reply->status == 200) {
		if (is_type(reply->content_type, "application/proto") && !reply->too_long)
			return PUSH_TAKEN;
		(void)snprintf(ret_why, size, "200 with %s%.60s: this is no Pyroscope server",
			       reply->too_long ? "an endless body of type " : "content type ",
			       reply->content_type ? reply->content_type : "(none)");
		printable(ret_why);
		return PUSH_RETRY;
	}
	connect = is_type(reply->content_type, "application/json") &&
		  connect_error(reply->body, reply->len, code, sizeof(code), message,
				sizeof(message));
	if (connect) {
		(void)snprintf(ret_why, size, "%ld %s: %s", reply->status, code, message);
	} else {
		(void)snprintf(code, sizeof(code), "%s", code_of_status(reply->status));
		(void)snprintf(ret_why, size, "HTTP status %ld%s%.*s", reply->status,
			       reply->len ? ": " : "", (int)MIN(reply->len, 120u),
			       reply->len ? reply->body : "");
	}
	printable(ret_why);
	if (reply->status == 429)
		return retry_on_429 ? PUSH_RETRY : PUSH_REFUSED;
	return is_retried(code) ? PUSH_RETRY : PUSH_REFUSED;
}

enum push_verdict push_reply_judge_ingest(const struct push_reply *reply, bool retry_on_429,
					  char *ret_why, size_t size)
{
	if (reply->status == 200)
		return PUSH_TAKEN;
	(void)snprintf(ret_why, size, "/ingest: HTTP status %ld%s%.*s", reply->status,
		       reply->len ? ": " : "", (int)MIN(reply->len, 120u),
		       reply->len ? reply->body : "");
	printable(ret_why);
	if (reply->status == 429)
		return retry_on_429 ? PUSH_RETRY : PUSH_REFUSED;
	return reply->status == 408 || reply->status >= 500 ? PUSH_RETRY : PUSH_REFUSED;
}
