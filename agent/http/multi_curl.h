/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of struct http_multi, for the other files of this directory. */
#pragma once

#include <curl/curl.h>

#include "agent/http/multi.h"

struct fetch;
struct oauth2_token;

struct http_multi {
	struct loop *loop; /* borrowed */
	CURLM *curl;
	struct loop_source *timer;   /* libcurl's one timer */
	bool inside;		     /* libcurl runs: it must not be called now */
	struct fetch *fetches;	     /* owned list */
	struct oauth2_token *tokens; /* owned list, the last used first */
};

/* fetch.c: the transfer whose CURLOPT_PRIVATE is f has ended. */
void fetch_ended(struct fetch *f, CURLcode result);
void fetch_free_all(struct http_multi *m);
/* Goes on with what need not wait; any fetch may be done and freed by it. */
void http_multi_run(struct http_multi *m);
