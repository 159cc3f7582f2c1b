/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/components/docker_api.h"

#include <errno.h>
#include <string.h>

#include "agent/components/docker_reply.h"
#include "agent/config/data.h"
#include "agent/http/url.h"

#define URL_MAX		(256u << 10)
#define EVENTS_BATCH_MS 250 /* while they come all the time */

#define FILTER(member) offsetof(struct docker_filter, member)
static const struct option filter_options[] = {
	{"name", OPTION_STRING, NULL, OPTION_REQUIRED, FILTER(name),
	 .help = "what is compared: label, name, status..."},
	{"values", OPTION_STRINGS, NULL, OPTION_REQUIRED, FILTER(values),
	 .help = "one of which it must have"},
};

const struct schema docker_filter_schema = {
	.size = sizeof(struct docker_filter),
	.options = filter_options,
	.n = ARRAY_SIZE(filter_options),
};

int docker_host_parse(const char *host, char **ret_base, char **ret_unix_socket, char *why,
		      size_t size)
{
	_cleanup_free_ char *base = NULL, *path = NULL;
	struct http_url url = {0};
	int r;

	if (!*host) {
		(void)snprintf(why, size, "host attribute must not be empty");
		return -EINVAL;
	}
	if (!strncmp(host, "unix://", 7)) {
		path = strdup(host + 7);
		base = strdup("http://docker");
	} else if (!strncmp(host, "tcp://", 6)) {
		r = asprintf(&base, "http://%s", host + 6);
		if (r < 0)
			base = NULL;
	} else {
		base = strdup(host);
	}
	if (!base || (!path && !strncmp(host, "unix://", 7)))
		return -ENOMEM;
	r = http_url_parse(&url, base);
	http_url_done(&url);
	if (r < 0 || (path && *path != '/')) {
		(void)snprintf(why, size,
			       "cannot use host \"%.200s\": write unix:///PATH, tcp://HOST:PORT, "
			       "http://HOST:PORT or https://HOST:PORT",
			       host);
		return r == -ENOMEM ? r : -EINVAL;
	}
	*ret_base = TAKE_PTR(base);
	*ret_unix_socket = TAKE_PTR(path);
	return 0;
}

void docker_api_done(struct docker_api *a)
{
	free(a->base);
	free(a->unix_socket);
	a->base = a->unix_socket = NULL;
}

static void add_value(struct value_list *l, const char *s)
{
	value_list_add(l, NULL, value_cstr(s));
}

/* {"name": ["value", ...]}: values of one name are alternatives (Engine API 1.41, filters). */
static struct value *filters_of(const struct docker_api *a, const struct docker_question *q)
{
	const struct docker_filter *f = a->filters ? a->filters->v : NULL;
	size_t n = q->filtered && f ? a->filters->n : 0;
	struct value_list all = {0}, own = {0};

	for (size_t i = 0; i < n; i++) {
		struct value_list values = {0};
		bool again = false;

		for (size_t k = 0; k < i; k++)
			again |= !strcmp(f[k].name, f[i].name);
		for (size_t k = i; k < n && !again; k++) {
			for (size_t v = 0; !strcmp(f[k].name, f[i].name) && v < f[k].values.n; v++)
				add_value(&values, f[k].values.v[v]);
		}
		if (!again)
			value_list_add(&all, f[i].name, value_array(&values));
	}
	for (size_t i = 0; i < q->n; i++)
		add_value(&own, q->values[i]);
	if (q->n)
		value_list_add(&all, q->name, value_array(&own));
	return value_object(&all);
}

static bool is_plain(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("-._~", c));
}

static void add_encoded(struct buf *to, const uint8_t *p, size_t n)
{
	for (size_t i = 0, run; i < n; i += run + (i + run < n)) {
		for (run = 0; i + run < n && is_plain(p[i + run]);)
			run++;
		buf_add(to, p + i, run);
		if (i + run < n)
			buf_printf(to, "%%%02X", p[i + run]);
	}
}

static int url_of(const struct docker_api *a, const struct docker_question *q, char **ret)
{
	_cleanup_buf_ struct buf json = BUF_INIT(URL_MAX), query = BUF_INIT(URL_MAX);
	_cleanup_value_ struct value *filters = filters_of(a, q);

	if (!filters)
		return -ENOMEM;
	data_to_json(filters, &json);
	buf_adds(&query, "filters=");
	add_encoded(&query, json.data, json.len);
	if (q->query)
		buf_adds(&query, q->query);
	if (json.failed || query.failed)
		return json.failed ? json.failed : query.failed;
	return http_join_url(a->base, q->path, buf_cstr(&query), ret);
}

int docker_api_ask(const struct docker_api *a, const struct docker_question *q, struct fetch **ret)
{
	_cleanup_free_ char *url = NULL;
	int r = url_of(a, q, &url);
	struct fetch_request f = {
		.url = url,
		.unix_socket = a->unix_socket,
		.http = a->client,
		.timeout_ms = q->on_data ? 0 : a->timeout_ms,
		.batch_ms = q->on_data ? EVENTS_BATCH_MS : 0,
		.max_bytes = q->on_data ? 0 : DOCKER_REPLY_MAX,
		.on_data = q->on_data,
		.on_done = q->on_done,
		.data = q->data,
	};

	return r < 0 ? r : fetch_start(a->http, &f, ret);
}

/* What an engine says is wrong: {"message": "..."}. Anything else is shown as it is. */
static void put_message(const struct fetch_reply *reply, char *to, size_t size)
{
	_cleanup_value_ struct value *v = NULL;
	const char *text = reply->body;
	char why[64];

	if (data_from_json(reply->body, reply->len, &v, why, sizeof(why)) == 0 &&
	    v->kind == VALUE_OBJECT) {
		const struct value *message = value_get(v, "message");

		text = message && message->kind == VALUE_STRING ? message->s : text;
	}
	(void)snprintf(to, size, "%.120s", text);
	for (; *to; to++) {
		if ((unsigned char)*to < 0x20 || *to == 0x7f)
			*to = ' ';
	}
}

int docker_api_value(const struct fetch_reply *reply, struct value **ret, char *why, size_t size)
{
	char message[128];

	if (reply->r < 0) {
		(void)snprintf(why, size, "%s", reply->why);
		return reply->r;
	}
	if (reply->status != 200) {
		put_message(reply, message, sizeof(message));
		(void)snprintf(why, size, "HTTP status %ld: %s", reply->status, message);
		return -EBADMSG;
	}
	return docker_reply_parse(reply->body, reply->len, ret, why, size);
}
