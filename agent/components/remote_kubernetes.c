/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remote.kubernetes.* (grafana/alloy internal/component/remote/kubernetes, 66ebea856dff). Unlike
 * Alloy's, the first request does not hold up loading, and that it fails is no error of the
 * configuration: it is repeated, and until it succeeds there are no exports.
 */
#include "agent/components/remote_kubernetes.h"

#include <errno.h>
#include <string.h>

#include "agent/base/base64.h"
#include "agent/base/log.h"
#include "agent/components/kube_client.h"
#include "agent/config/data.h"

#define MAX_BYTES      (8u << 20) /* of an answer; the API's limit for an object is 1 MiB */
#define FIRST_RETRY_MS 1000	  /* while there is nothing yet; doubled up to poll_frequency */

struct remote_args {
	char *namespace, *name;
	int64_t poll_frequency, poll_timeout;
	struct kube_client_args client;
};

struct remote_component {
	struct component base;
	struct kube_client *client;
	struct fetch *fetch;
	struct loop_source *timer;
	bool secret, has_data;
	unsigned int failed; /* in a row */
};

static int client_validate(const void *args, char *why, size_t size)
{
	return kube_client_validate(args, why, size);
}

/* The block itself is the struct. */
struct client_block {
	struct kube_client_args a;
};
static const struct option client_options[] = {KUBE_CLIENT_OPTIONS(struct client_block, a)};
static const struct schema client_schema = {
	.size = sizeof(struct client_block),
	.options = client_options,
	.n = ARRAY_SIZE(client_options),
	.validate = client_validate,
};

#define ARGS(member) offsetof(struct remote_args, member)
static const struct option remote_options[] = {
	{"namespace", OPTION_STRING, NULL, OPTION_REQUIRED, ARGS(namespace),
	 .help = "the namespace it is in"},
	{"name", OPTION_STRING, NULL, OPTION_REQUIRED, ARGS(name),
	 .help = "the name of the object"},
	{"poll_frequency", OPTION_DURATION, "1m", .offset = ARGS(poll_frequency),
	 .help = "how often it is looked at"},
	{"poll_timeout", OPTION_DURATION, "15s", .offset = ARGS(poll_timeout),
	 .help = "how long a request may take"},
	{"client", OPTION_BLOCK, .offset = ARGS(client), .block = &client_schema,
	 .help = "how the server is asked"},
};

static int remote_validate(const void *args, char *why, size_t size)
{
	const struct remote_args *a = args;
	const char *name = a->poll_frequency <= 0 ? "poll_frequency"
			   : a->poll_timeout <= 0 ? "poll_timeout"
						  : NULL;

	if (!name)
		return 0;
	(void)snprintf(why, size, "%s must be greater than 0", name);
	return -EINVAL;
}

static const struct schema remote_schema = {
	.size = sizeof(struct remote_args),
	.options = remote_options,
	.n = ARRAY_SIZE(remote_options),
	.validate = remote_validate,
};

static const char *kind(const struct remote_component *c)
{
	return c->secret ? "secret" : "configmap";
}

static uint64_t poll_ms(const struct remote_component *c)
{
	const struct remote_args *a = c->base.args;

	return MAX((uint64_t)a->poll_frequency / 1000000u, 1u);
}

static void fail(struct remote_component *c, const char *why)
{
	uint64_t ms = poll_ms(c);

	if (!c->has_data)
		ms = MIN(ms, (uint64_t)FIRST_RETRY_MS << MIN(c->failed, 16u));
	c->failed++;
	component_set_health(&c->base, HEALTH_UNHEALTHY, "polling failed: %s%s", why,
			     c->has_data ? "; keeping the last data" : "");
	loop_set_timer(c->timer, ms, 0);
}

/* One entry of a secret. NULL: it is left out. */
static struct value *secret_value(const struct remote_component *c, const char *key,
				  const struct value *v)
{
	_cleanup_buf_ struct buf b = BUF_INIT(MAX_BYTES);

	if (base64_decode(v->s, v->len, &b) < 0 || b.failed ||
	    (b.len && memchr(b.data, '\0', b.len))) {
		log_debug("%s: leaving out \"%s\": it is no text", c->base.id, key);
		return NULL;
	}
	return value_secret(buf_cstr(&b));
}

static struct value *data_of(const struct remote_component *c, const struct value *object)
{
	const struct value *data = object->kind == VALUE_OBJECT ? value_get(object, "data") : NULL;
	struct value_list l = {0};

	for (size_t i = 0; data && data->kind == VALUE_OBJECT && i < data->n_fields; i++) {
		const struct value_field *f = &data->fields[i];
		struct value *v;

		if (f->value->kind != VALUE_STRING)
			continue;
		v = c->secret ? secret_value(c, f->key, f->value) : value_ref(f->value);
		if (v)
			value_list_add(&l, f->key, v);
	}
	return value_object(&l);
}

/* A list or another kind of object has no "data" that is meant. */
static bool is_kind(const struct remote_component *c, const struct value *object)
{
	const struct value *v = object->kind == VALUE_OBJECT ? value_get(object, "kind") : NULL;

	return v && v->kind == VALUE_STRING && !strcmp(v->s, c->secret ? "Secret" : "ConfigMap");
}

static void on_done(void *data, const struct fetch_reply *reply)
{
	struct remote_component *c = data;
	_cleanup_value_ struct value *object = NULL;
	struct value_list l = {0};
	char why[500], detail[200] = "";

	c->fetch = NULL;
	if (reply->r || reply->status != 200) {
		kube_explain(reply, why, sizeof(why));
		fail(c, why);
		return;
	}
	if (data_from_json(reply->body, reply->len, &object, detail, sizeof(detail)) < 0 ||
	    !is_kind(c, object)) {
		(void)snprintf(why, sizeof(why), "the answer is no %s of the Kubernetes API%s%s",
			       kind(c), *detail ? ": " : "", detail);
		fail(c, why);
		return;
	}
	c->failed = 0;
	c->has_data = true;
	component_set_health(&c->base, HEALTH_HEALTHY, "got %s", kind(c));
	value_list_add(&l, "data", data_of(c, object));
	component_export(&c->base, value_object(&l));
	loop_set_timer(c->timer, poll_ms(c), 0);
}

static int begin(struct remote_component *c)
{
	static const struct label headers[] = {{"Accept", "application/json"}};
	const struct remote_args *a = c->base.args;
	_cleanup_buf_ struct buf url = BUF_INIT(1u << 16);
	struct fetch_request q = {
		.access = c->client->access,
		.headers = headers,
		.n_headers = ARRAY_SIZE(headers),
		.timeout_ms = MAX((uint64_t)a->poll_timeout / 1000000u, 1u),
		.max_bytes = MAX_BYTES,
		.on_done = on_done,
		.data = c,
	};

	buf_printf(&url, "%s/api/v1/namespaces/", c->client->server);
	kube_escape(&url, a->namespace);
	buf_printf(&url, "/%ss/", kind(c));
	kube_escape(&url, a->name);
	q.url = buf_cstr(&url);
	return url.failed ? url.failed : fetch_start(c->client->multi, &q, &c->fetch);
}

static void on_timer(void *data)
{
	struct remote_component *c = data;

	if (!c->fetch && begin(c) < 0)
		fail(c, "no memory");
}

static int open_client(struct component *base, char *why, size_t size, struct kube_client **ret)
{
	const struct remote_args *a = base->args;

	if (!base->env->http) {
		(void)snprintf(why, size, "there is no HTTP client");
		return -EINVAL;
	}
	return kube_client_open(base->env->http, &a->client, why, size, ret);
}

static int remote_build(struct component *base, char *why, size_t size)
{
	struct remote_component *c = (struct remote_component *)base;

	c->secret = base->type == &remote_kubernetes_secret_type;
	return open_client(base, why, size, &c->client);
}

static int remote_start(struct component *base, char *why, size_t size)
{
	struct remote_component *c = (struct remote_component *)base;

	c->timer = loop_add_timer(base->env->loop, on_timer, c);
	if (!c->timer)
		return -ENOMEM;
	component_set_health(base, HEALTH_UNKNOWN, "waits for the first answer");
	loop_set_timer(c->timer, 0, 0);
	return 0;
}

static int remote_update(struct component *base, const void *old, char *why, size_t size)
{
	struct remote_component *c = (struct remote_component *)base;
	struct kube_client *client = NULL;
	int r = open_client(base, why, size, &client);

	if (r < 0)
		return r;
	c->fetch = fetch_cancel(c->fetch);
	kube_client_free(c->client);
	c->client = client;
	/* What was there is of another one, perhaps; it stays until the new answer. */
	if (c->timer)
		loop_set_timer(c->timer, 0, 0);
	return 0;
}

static void remote_stop(struct component *base)
{
	struct remote_component *c = (struct remote_component *)base;

	c->fetch = fetch_cancel(c->fetch);
	c->timer = loop_remove(c->timer);
}

static void remote_done(struct component *base)
{
	struct remote_component *c = (struct remote_component *)base;

	c->fetch = fetch_cancel(c->fetch);
	c->client = kube_client_free(c->client);
}

#define REMOTE_TYPE(component_name, help_text)                                                     \
	{                                                                                          \
		.name = component_name, .help = help_text, .late = true, .schema = &remote_schema, \
		.size = sizeof(struct remote_component), .build = remote_build,                    \
		.start = remote_start, .update = remote_update, .stop = remote_stop,               \
		.done = remote_done,                                                               \
	}

const struct component_type remote_kubernetes_secret_type = REMOTE_TYPE(
	"remote.kubernetes.secret", "the keys and values of a secret, exported as `data`");
const struct component_type remote_kubernetes_configmap_type = REMOTE_TYPE(
	"remote.kubernetes.configmap", "the keys and values of a config map, exported as `data`");
