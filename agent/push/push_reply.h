/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a server's reply to a push means: taken, worth a retry, or refused for good. Follows
 * pyroscope.write of Grafana Alloy (connect-go's codes; 66ebea856dff), with one difference:
 * retry_on_http_429 decides about every 429, also one that a proxy answered.
 */
#pragma once

#include "agent/base/macro.h"

enum push_verdict { PUSH_TAKEN, PUSH_RETRY, PUSH_REFUSED };

struct push_reply {
	long status;
	const char *content_type; /* NULL: none */
	const char *body;	  /* untrusted */
	size_t len;
	bool too_long; /* the body was cut */
};

/* why: for people, printable, e.g. `429 resource_exhausted: push rate limit exceeded`. */
enum push_verdict push_reply_judge(const struct push_reply *reply, bool retry_on_429, char *ret_why,
				   size_t size);
/* The same for a request to /ingest, which speaks plain HTTP: 200 is success, 408, 429 (if it is
 * to be) and the 5xx are worth a retry. */
enum push_verdict push_reply_judge_ingest(const struct push_reply *reply, bool retry_on_429,
					  char *ret_why, size_t size);
