/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct docker_api: where a Docker engine is and how it is asked. Paths are without a version
 * ("/containers/json"), which every engine from 20.10 on takes as its own newest one, so nothing is
 * negotiated. What the replies mean: docker_containers.h.
 */
#pragma once

#include "agent/config/schema.h"
#include "agent/http/fetch.h"

#define DOCKER_REPLY_MAX (64u << 20)

/* A block "filter". */
struct docker_filter {
	char *name;
	struct schema_strings values;
};
extern const struct schema docker_filter_schema;

struct docker_api {
	struct http_multi *http;	     /* borrowed */
	const struct http_options *client;   /* borrowed; NULL: none */
	const struct schema_blocks *filters; /* struct docker_filter; borrowed */
	char *base, *unix_socket;	     /* URL; NULL: TCP */
	uint64_t timeout_ms;		     /* for a whole reply */
};

/* unix://PATH, tcp://HOST:PORT, http://..., https://... -EINVAL with why, -ENOMEM. */
int docker_host_parse(const char *host, char **ret_base, char **ret_unix_socket, char *why,
		      size_t size);
void docker_api_done(struct docker_api *a);

struct docker_question {
	const char *path; /* "/containers/json" */
	bool filtered;	  /* by a->filters */
	/* One more filter: `name` is one of these. n 0: none. */
	const char *name;
	const char *const *values;
	size_t n;
	const char *query; /* further parameters, "&a=b"; NULL: none */
	int (*on_data)(void *data, const uint8_t *p, size_t n); /* a stream, without a time limit */
	void (*on_done)(void *data, const struct fetch_reply *reply);
	void *data;
};
/* See fetch_start(). */
int docker_api_ask(const struct docker_api *a, const struct docker_question *q, struct fetch **ret);
/* The reply as a value; or a negative errno and, in one printable line, what is wrong with it. */
int docker_api_value(const struct fetch_reply *reply, struct value **ret, char *why, size_t size);
