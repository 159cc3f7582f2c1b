/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/kube/reflector.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "agent/base/clock.h"
#include "agent/base/hash.h"
#include "discovery/kubernetes/reader.h"

#define CHUNK		  "500" /* objects in one answer, as client-go asks for */
#define LIST_IDLE_MS	  30000
#define LIST_TIMEOUT_MS	  600000
#define WATCH_MIN_S	  240	/* a server ends a watch after so long; at most twice that */
#define WATCH_GRACE_MS	  30000 /* and if it does not, we do */
#define WATCH_SETTLED_MS  10000 /* one that lasted so long was none that failed */
#define WATCH_SHORTEST_MS 1000
#define BACKOFF_MIN_MS	  500
#define BACKOFF_MAX_MS	  30000
#define RELIST_MS	  5000
#define RETRY_AFTER_MAX_S 300

static const struct {
	const char *group, *resource;
} kinds[KUBE_KINDS] = {
	[KUBE_POD] = {"/api/v1", "pods"},
	[KUBE_NODE] = {"/api/v1", "nodes"},
	[KUBE_NAMESPACE_OBJECT] = {"/api/v1", "namespaces"},
	[KUBE_SERVICE] = {"/api/v1", "services"},
	[KUBE_ENDPOINTS_OBJECT] = {"/api/v1", "endpoints"},
	[KUBE_ENDPOINTSLICE] = {"/apis/discovery.k8s.io/v1", "endpointslices"},
	[KUBE_INGRESS_OBJECT] = {"/apis/networking.k8s.io/v1", "ingresses"},
};

struct kube_reflector {
	struct kube_client *client;
	enum kube_kind kind;
	char *namespace, *label, *field;
	struct kube_store *store;
	void (*on_change)(void *data);
	void *data;
	struct fetch *fetch;
	struct kube_reader *reader;
	struct loop_source *retry;
	char *version;	     /* up to which the store is; NULL: nothing is known */
	char *more;	     /* where the list goes on; NULL: at its beginning */
	bool watching;	     /* what the fetch is, or will be */
	bool expired;	     /* the version is too old: ask for the newest */
	bool got_event;	     /* in this watch */
	unsigned int failed; /* times in a row */
	uint64_t began_ms, listed_ms, random;
	char refused[400]; /* why our own reading ended a transfer */
	struct kube_reflector_state state;
};

static void set_text(char **to, const char *text)
{
	free(*to);
	*to = text && *text ? strdup(text) : NULL;
}

/* Between 1 and 2 times `ms`, so that the agents of many hosts do not come at once. */
static uint64_t spread(struct kube_reflector *r, uint64_t ms)
{
	r->random = hash_mix(r->random + UINT64_C(0x9e3779b97f4a7c15));
	return ms + r->random % MAX(ms, 1u);
}

static void begin_later(struct kube_reflector *r, uint64_t ms)
{
	loop_set_timer(r->retry, ms, 0);
}

static void forget_list(struct kube_reflector *r)
{
	free(r->more);
	r->more = NULL;
}

/* What was asked for did not work: tries again later. */
static void fail(struct kube_reflector *r, const struct fetch_reply *reply, const char *why)
{
	bool first = r->watching && !r->failed;
	uint64_t ms = MIN((uint64_t)BACKOFF_MIN_MS << MIN(r->failed, 16u), BACKOFF_MAX_MS);

	r->state.failures++;
	r->failed++;
	forget_list(r);
	/* A watch that breaks once is what load balancers do: it is made anew. When that fails,
	 * too, a list shows whether the server is there. */
	if (!first) {
		r->watching = false;
		r->state.failing = true;
		(void)snprintf(r->state.why, sizeof(r->state.why), "cannot %s %s: %s",
			       r->state.synced ? "follow" : "list", kinds[r->kind].resource, why);
	}
	if (reply && reply->retry_after_s)
		ms = MAX(ms, MIN(reply->retry_after_s, RETRY_AFTER_MAX_S) * UINT64_C(1000));
	begin_later(r, spread(r, ms));
	r->on_change(r->data);
}

static void works(struct kube_reflector *r)
{
	r->failed = 0;
	r->state.contact_ms = clock_ms();
	r->state.failing = false;
	r->state.why[0] = '\0';
}

/* The version is gone: the store is compared with a new list. */
static void expire(struct kube_reflector *r)
{
	uint64_t since = clock_ms() - r->listed_ms;

	r->expired = true;
	r->watching = false;
	forget_list(r);
	/* Not again and again, when there is never a version to begin with. */
	begin_later(r, spread(r, since < RELIST_MS ? RELIST_MS - since : 1));
	r->listed_ms = clock_ms();
}

/* ---- What arrives ---- */

static int refuse(struct kube_reflector *r, int error, const char *text)
{
	(void)snprintf(r->refused, sizeof(r->refused), "%s", text);
	return error;
}

static int put(struct kube_reflector *r, struct kube_object *o)
{
	int ret = o ? kube_store_put(r->store, o) : -E2BIG;

	if (ret == -ENOMEM)
		return ret;
	if (ret < 0)
		r->state.left_out++;
	return 0;
}

static int on_watch_error(struct kube_reflector *r, const struct kube_status *s)
{
	const char *code = s->code ? s->code : "";

	/* "Expired" and "Gone": too much happened since. */
	if (!strcmp(code, "410")) {
		r->expired = true;
		return -ESTALE;
	}
	(void)snprintf(r->refused, sizeof(r->refused), "the server ends the watch: %s %s", code,
		       s->message ? s->message : "");
	return -EPROTO;
}

static int on_event(const struct kube_event *e, void *data)
{
	struct kube_reflector *r = data;
	int ret = 0;

	switch (e->type) {
	case KUBE_EVENT_ITEM:
		return put(r, e->object);
	case KUBE_EVENT_ADDED:
	case KUBE_EVENT_MODIFIED:
		*(e->type == KUBE_EVENT_ADDED ? &r->state.added : &r->state.modified) += 1;
		ret = put(r, e->object);
		break;
	case KUBE_EVENT_DELETED:
		r->state.deleted++;
		if (e->object)
			(void)kube_store_remove(r->store, kube_namespace(e->object),
						kube_name(e->object));
		free(e->object);
		break;
	case KUBE_EVENT_BOOKMARK:
		r->state.bookmarks++;
		break;
	case KUBE_EVENT_ERROR:
		return on_watch_error(r, e->status);
	case KUBE_EVENT_UNKNOWN:
		return refuse(r, -EBADMSG, "what the server sends is no watch");
	}
	if (ret < 0)
		return ret;
	if (*e->version)
		set_text(&r->version, e->version);
	r->got_event = true;
	works(r);
	r->on_change(r->data);
	return 0;
}

static int on_data(void *data, const uint8_t *p, size_t n)
{
	struct kube_reflector *r = data;
	int ret = kube_reader_feed(r->reader, p, n);

	if (ret < 0 && !*r->refused) {
		if (ret == -E2BIG)
			return refuse(r, ret,
				      "an object is larger than 16 MiB, or nested too deep");
		if (ret == -EBADMSG)
			return refuse(r, ret,
				      "what the server sends is no JSON of the Kubernetes API");
	}
	return ret;
}

static void list_done(struct kube_reflector *r)
{
	const char *more = kube_reader_continue(r->reader);

	if (*more) {
		set_text(&r->more, more);
		r->state.contact_ms = clock_ms();
		begin_later(r, 0);
		return;
	}
	forget_list(r);
	set_text(&r->version, kube_reader_version(r->reader));
	(void)kube_store_sweep(r->store, r->namespace);
	r->listed_ms = clock_ms();
	r->state.lists++;
	r->state.synced = true;
	r->expired = false;
	r->watching = true;
	works(r);
	begin_later(r, 0);
	r->on_change(r->data);
}

static void watch_done(struct kube_reflector *r)
{
	uint64_t lasted = clock_ms() - r->began_ms;

	r->state.watches++;
	if (lasted < WATCH_SHORTEST_MS && !r->got_event) {
		fail(r, NULL, "the server ends the watch at once");
		return;
	}
	works(r);
	begin_later(r, 0);
}

static void on_done(void *data, const struct fetch_reply *reply)
{
	struct kube_reflector *r = data;
	bool ok = !reply->r && reply->status >= 200 && reply->status < 300;
	char why[500];
	int ret = 0;

	r->fetch = NULL;
	if (r->watching && clock_ms() - r->began_ms > WATCH_SETTLED_MS)
		r->failed = 0;
	if (reply->status == 410 || (r->watching && r->expired)) {
		expire(r);
		return;
	}
	/* A server that is behind what we know: older is better than nothing. */
	if (reply->status == 504)
		r->expired = true;
	if (ok)
		ret = kube_reader_end(r->reader);
	if (ok && ret >= 0) {
		if (r->watching)
			watch_done(r);
		else
			list_done(r);
		return;
	}
	if (*r->refused)
		(void)snprintf(why, sizeof(why), "%s", r->refused);
	else if (ok)
		(void)snprintf(why, sizeof(why), "the answer is no list of the Kubernetes API");
	else
		kube_explain(reply, why, sizeof(why));
	fail(r, reply, why);
}

/* ---- What is asked ---- */

static void add_parameter(struct buf *url, const char *name, const char *text)
{
	if (!text)
		return;
	buf_printf(url, "%s%s=", memchr(url->data, '?', url->len) ? "&" : "?", name);
	kube_escape(url, text);
}

static void make_url(struct kube_reflector *r, struct buf *url, uint64_t seconds)
{
	char number[24];

	buf_printf(url, "%s%s/", r->client->server, kinds[r->kind].group);
	if (r->namespace) {
		buf_adds(url, "namespaces/");
		kube_escape(url, r->namespace);
		buf_adds(url, "/");
	}
	buf_adds(url, kinds[r->kind].resource);
	if (url->failed)
		return;
	if (r->watching) {
		(void)snprintf(number, sizeof(number), "%llu", (unsigned long long)seconds);
		add_parameter(url, "watch", "true");
		add_parameter(url, "allowWatchBookmarks", "true");
		add_parameter(url, "timeoutSeconds", number);
	} else if (r->more || r->expired || !r->version) {
		/* With a version, chunks would be of exactly that one; so there are none then. */
		add_parameter(url, "limit", CHUNK);
	}
	/* Version 0 is what the server has in memory: a thousand agents that start at once do not
	 * all ask etcd. */
	if (r->more)
		add_parameter(url, "continue", r->more);
	else if (!r->expired)
		add_parameter(url, "resourceVersion", r->version ? r->version : "0");
	add_parameter(url, "labelSelector", r->label);
	add_parameter(url, "fieldSelector", r->field);
}

static int begin(struct kube_reflector *r)
{
	static const struct label headers[] = {{"Accept", "application/json"}};
	_cleanup_buf_ struct buf url = BUF_INIT(1u << 20);
	uint64_t seconds = spread(r, WATCH_MIN_S);
	struct fetch_request q = {
		.access = r->client->access,
		.headers = headers,
		.n_headers = ARRAY_SIZE(headers),
		.timeout_ms = LIST_TIMEOUT_MS,
		.idle_ms = LIST_IDLE_MS,
		.on_data = on_data,
		.on_done = on_done,
		.data = r,
	};
	int ret;

	make_url(r, &url, seconds);
	q.url = buf_cstr(&url);
	if (url.failed)
		return url.failed;
	if (r->watching) {
		q.timeout_ms = seconds * 1000 + WATCH_GRACE_MS;
		q.idle_ms = 0;
	} else if (!r->more) {
		kube_store_mark(r->store, r->namespace);
	}
	r->reader = kube_reader_free(r->reader);
	r->refused[0] = '\0';
	r->got_event = false;
	r->began_ms = clock_ms();
	ret = kube_reader_new(r->kind, r->watching, on_event, r, &r->reader);
	return ret < 0 ? ret : fetch_start(r->client->multi, &q, &r->fetch);
}

static void on_retry(void *data)
{
	struct kube_reflector *r = data;

	/* Without memory now: perhaps later. */
	if (begin(r) < 0)
		begin_later(r, spread(r, BACKOFF_MIN_MS));
}

int kube_reflector_new(const struct kube_reflector_options *o, struct kube_reflector **ret)
{
	_cleanup_(kube_reflector_freep) struct kube_reflector *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->client = o->client;
	r->kind = o->kind;
	r->store = o->store;
	r->on_change = o->on_change;
	r->data = o->data;
	set_text(&r->namespace, o->namespace);
	set_text(&r->label, o->label);
	set_text(&r->field, o->field);
	(void)getrandom(&r->random, sizeof(r->random), GRND_NONBLOCK);
	r->retry = loop_add_timer(http_multi_loop(o->client->multi), on_retry, r);
	if (!r->retry || (o->namespace && *o->namespace && !r->namespace) ||
	    (o->label && *o->label && !r->label) || (o->field && *o->field && !r->field))
		return -ENOMEM;
	begin_later(r, 0);
	*ret = TAKE_PTR(r);
	return 0;
}

struct kube_reflector *kube_reflector_free(struct kube_reflector *r)
{
	if (!r)
		return NULL;
	fetch_cancel(r->fetch);
	loop_remove(r->retry);
	kube_reader_free(r->reader);
	free(r->namespace);
	free(r->label);
	free(r->field);
	free(r->version);
	free(r->more);
	free(r);
	return NULL;
}

const struct kube_reflector_state *kube_reflector_state(const struct kube_reflector *r)
{
	return &r->state;
}

enum kube_kind kube_reflector_kind(const struct kube_reflector *r)
{
	return r->kind;
}

const char *kube_kind_resource(enum kube_kind kind)
{
	return kinds[kind].resource;
}
