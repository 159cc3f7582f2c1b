/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "discovery/kubernetes/reader.h"
#include "discovery/kubernetes/view.h"

/* Targets as text: "name=value" lines, a line "." after each. */
struct text {
	struct buf shared, target, all;
	size_t n;
};

static void on_label(void *data, bool shared, const char *prefix, const char *name,
		     const char *value)
{
	struct text *t = data;

	if (*value)
		buf_printf(shared ? &t->shared : &t->target, "%s%s=%s\n", prefix, name ? name : "",
			   value);
}

static void on_target(void *data)
{
	struct text *t = data;

	buf_printf(&t->all, "%s%s.\n", buf_cstr(&t->shared), buf_cstr(&t->target));
	buf_reset(&t->target);
	t->n++;
}

static int put(const struct kube_event *e, void *data)
{
	struct kube_view *v = data;

	assert_non_null(e->object);
	return kube_store_put(&v->stores[kube_view_primary(v)], e->object);
}

static void read_list(struct kube_view *v, enum kube_kind kind, kube_event_fn fn, const char *items)
{
	struct kube_reader *r;
	_cleanup_buf_ struct buf b = BUF_INIT(1u << 20);

	buf_printf(&b,
		   "{\"kind\":\"List\",\"metadata\":{\"resourceVersion\":\"7\"},\"items\":[%s]}",
		   items);
	assert_int_equal(kube_reader_new(kind, false, fn, v, &r), 0);
	assert_int_equal(kube_reader_feed(r, b.data, b.len), 0);
	assert_int_equal(kube_reader_end(r), 0);
	kube_reader_free(r);
}

/* Everything that is stale, as text; for free(). */
static char *build(struct kube_view *v, size_t *ret_n)
{
	struct kube_store *s = &v->stores[kube_view_primary(v)];
	struct text t = {BUF_INIT(1u << 20), BUF_INIT(1u << 20), BUF_INIT(16u << 20), 0};
	struct kube_sink sink = {on_label, on_target, &t};
	char *text;

	for (size_t i = 0; i < s->n; i++) {
		if (!kube_view_stale(v, &s->v[i]))
			continue;
		buf_reset(&t.shared);
		(void)kube_view_build(v, &s->v[i], &sink);
		s->v[i].built = v->clock;
	}
	text = strdup(buf_cstr(&t.all));
	buf_done(&t.shared);
	buf_done(&t.target);
	buf_done(&t.all);
	if (ret_n)
		*ret_n = t.n;
	return text;
}

#define POD                                                                                       \
	"{\"metadata\":{\"name\":\"web-0\",\"namespace\":\"shop\",\"uid\":\"u1\","                \
	"\"managedFields\":"                                                                      \
	"[{\"fieldsV1\":{\"f:metadata\":{}}}],\"labels\":{\"app.io/x\":\"\",\"b\":\"2\"},"        \
	"\"ownerReferences\":[{\"kind\":\"A\",\"name\":\"a\"},{\"kind\":\"ReplicaSet\",\"name\":" \
	"\"web\",\"controller\":true}]},\"spec\":{\"nodeName\":\"n1\",\"containers\":[{\"name\":" \
	"\"app\",\"image\":\"i\",\"ports\":[{\"containerPort\":80,\"protocol\":\"TCP\"}]},"       \
	"{\"name\":\"side\"}],\"initContainers\":[{\"name\":\"init\"}]},\"status\":{\"phase\":"   \
	"\"Running\",\"podIP\":\"10.0.0.1\",\"conditions\":[{\"type\":\"Ready\",\"status\":"      \
	"\"False\"}],\"containerStatuses\":[{\"name\":\"side\",\"containerID\":\"cri-o://s\"},"   \
	"{\"name\":\"app\",\"containerID\":\"cri-o://a\"}],\"initContainerStatuses\":null}}"

static void a_pod_is_one_target_for_each_port_of_each_container(void **state)
{
	struct kube_view v;
	_cleanup_free_ char *text = NULL;
	size_t n;

	kube_view_init(&v, KUBE_ROLE_POD, false, false, free);
	read_list(&v, KUBE_POD, put, POD);
	text = build(&v, &n);
	assert_int_equal(n, 3);
	for (const char *const *w =
		     (const char *const[]){
			     "__meta_kubernetes_pod_ready=false\n",
			     "__meta_kubernetes_pod_labelpresent_app.io/x=true\n",
			     "__meta_kubernetes_pod_controller_kind=ReplicaSet\n",
			     "__address__=10.0.0.1:80\n__meta_kubernetes_pod_container_"
			     "name=app\n__meta_kubernetes_pod_container_id=cri-o://a\n",
			     "__address__=10.0.0.1\n__meta_kubernetes_pod_container_"
			     "name=side\n",
			     "__meta_kubernetes_pod_container_init=true\n", NULL};
	     *w; w++) {
		if (!strstr(text, *w))
			fail_msg("%s is not in\n%s", *w, text);
	}
	kube_view_done(&v);
}

static void the_same_object_again_is_no_change(void **state)
{
	struct kube_view v;
	char *text;
	size_t n;

	kube_view_init(&v, KUBE_ROLE_POD, false, false, free);
	read_list(&v, KUBE_POD, put, POD);
	free(build(&v, &n));
	read_list(&v, KUBE_POD, put, POD);
	text = build(&v, &n);
	assert_int_equal(n, 0);
	free(text);
	kube_view_done(&v);
}

static int put_node(const struct kube_event *e, void *data)
{
	struct kube_view *v = data;

	return kube_store_put(&v->stores[KUBE_NODE], e->object);
}

static void what_a_pod_refers_to_makes_it_stale(void **state)
{
	struct kube_view v;
	size_t n;

	kube_view_init(&v, KUBE_ROLE_POD, true, false, free);
	read_list(&v, KUBE_POD, put, POD);
	free(build(&v, &n));
	assert_int_equal(n, 0); /* its node is not known */
	read_list(&v, KUBE_NODE, put_node, "{\"metadata\":{\"name\":\"n1\"}}");
	free(build(&v, &n));
	assert_int_equal(n, 3);
	read_list(&v, KUBE_NODE, put_node, "{\"metadata\":{\"name\":\"other\"}}");
	free(build(&v, &n));
	assert_int_equal(n, 0);
	read_list(&v, KUBE_NODE, put_node,
		  "{\"metadata\":{\"name\":\"n1\",\"labels\":{\"z\":\"1\"}}}");
	free(build(&v, &n));
	assert_int_equal(n, 3);
	assert_true(kube_store_remove(&v.stores[KUBE_NODE], "", "n1"));
	free(build(&v, &n));
	assert_int_equal(n, 0);
	kube_view_done(&v);
}

static void a_list_takes_away_what_it_does_not_have(void **state)
{
	struct kube_view v;
	struct kube_store *s = &v.stores[KUBE_POD];

	kube_view_init(&v, KUBE_ROLE_POD, false, false, free);
	read_list(&v, KUBE_POD, put,
		  "{\"metadata\":{\"name\":\"c\",\"namespace\":\"b\"}},"
		  "{\"metadata\":{\"name\":\"a\",\"namespace\":\"b\"}},"
		  "{\"metadata\":{\"name\":\"z\",\"namespace\":\"a\"}}");
	assert_int_equal(s->n, 3);
	assert_string_equal(kube_name(s->v[0].object), "z");
	assert_string_equal(kube_name(s->v[2].object), "c");
	kube_store_mark(s, "b");
	read_list(&v, KUBE_POD, put, "{\"metadata\":{\"name\":\"a\",\"namespace\":\"b\"}}");
	assert_int_equal(kube_store_sweep(s, "b"), 1);
	assert_non_null(kube_store_find(s, "a", "z"));
	assert_null(kube_store_find(s, "b", "c"));
	kube_view_done(&v);
}

struct watched {
	enum kube_event_type last;
	char version[32], code[8];
	unsigned int n, too_large;
};

static int on_watch(const struct kube_event *e, void *data)
{
	struct watched *w = data;

	w->last = e->type;
	w->n++;
	w->too_large += !e->object && e->type == KUBE_EVENT_ADDED;
	(void)snprintf(w->version, sizeof(w->version), "%s", e->version);
	if (e->type == KUBE_EVENT_ERROR)
		(void)snprintf(w->code, sizeof(w->code), "%s", e->status->code);
	free(e->object);
	return 0;
}

static void a_watch_is_read_event_by_event(void **state)
{
	static const char text[] =
		"{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"a\",\"resourceVersion\":"
		"\"5\"}}}\n{\"object\":{\"metadata\":{\"resourceVersion\":\"9\"}},\"type\":"
		"\"BOOKMARK\"}\n{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410}}";
	static const size_t ends[] = {71, 136, sizeof(text) - 1};
	static const enum kube_event_type types[] = {KUBE_EVENT_ADDED, KUBE_EVENT_BOOKMARK,
						     KUBE_EVENT_ERROR};
	struct watched w = {0};
	struct kube_reader *r;
	size_t at = 0;

	assert_int_equal(kube_reader_new(KUBE_POD, true, on_watch, &w, &r), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(ends); i++) {
		while (w.n == i && at < sizeof(text) - 1)
			assert_int_equal(kube_reader_feed(r, &text[at++], 1), 0);
		assert_int_equal(w.n, i + 1);
		assert_int_equal(w.last, types[i]);
		if (i < 2)
			assert_string_equal(w.version, i ? "9" : "5");
	}
	assert_string_equal(w.code, "410");
	assert_int_equal(kube_reader_end(r), 0);
	kube_reader_free(r);
}

static void feed_many(struct kube_reader *r, const char *s, size_t times, int *ret)
{
	for (size_t i = 0; i < times && !*ret; i++)
		*ret = kube_reader_feed(r, s, strlen(s));
}

static void an_object_that_never_ends_is_refused(void **state)
{
	struct watched w = {0};
	struct kube_reader *r;
	int ret = 0;

	assert_int_equal(kube_reader_new(KUBE_POD, true, on_watch, &w, &r), 0);
	feed_many(r, "{\"type\":\"ADDED\",\"object\":{\"spec\":{\"x\":[0", 1, &ret);
	assert_int_equal(ret, 0);
	feed_many(r, ",{\"k\":\"0123456789abcdef0123456789abcdef0123456789\"}", 1u << 20, &ret);
	assert_int_equal(ret, -E2BIG);
	kube_reader_free(r);
}

static void labels_that_are_too_large_leave_one_object_out(void **state)
{
	struct watched w = {0};
	struct kube_reader *r;
	int ret = 0;

	assert_int_equal(kube_reader_new(KUBE_POD, true, on_watch, &w, &r), 0);
	feed_many(r,
		  "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"a\",\"labels\":{\"x\":"
		  "\"\"",
		  1, &ret);
	feed_many(r, ",\"key\":\"0123456789abcdef0123456789abcdef\"", 60000, &ret);
	feed_many(r, "}}}}{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"b\"}}}", 1,
		  &ret);
	assert_int_equal(ret, 0);
	assert_int_equal(w.n, 2);
	assert_int_equal(w.too_large, 1);
	kube_reader_free(r);
}

static void endpoints_with_too_many_targets_are_cut(void **state)
{
	struct kube_view v;
	_cleanup_buf_ struct buf b = BUF_INIT(1u << 20);
	struct text t = {BUF_INIT(1u << 20), BUF_INIT(1u << 20), BUF_INIT(16u << 20), 0};
	struct kube_sink sink = {on_label, on_target, &t};

	kube_view_init(&v, KUBE_ROLE_ENDPOINTS, false, false, free);
	buf_adds(&b, "{\"metadata\":{\"name\":\"e\"},\"subsets\":[{\"addresses\":[{}");
	for (int i = 0; i < 1999; i++)
		buf_adds(&b, ",{}");
	buf_adds(&b, "],\"ports\":[{}");
	for (int i = 0; i < 1999; i++)
		buf_adds(&b, ",{}");
	buf_adds(&b, "]}]}");
	read_list(&v, KUBE_ENDPOINTS_OBJECT, put, buf_cstr(&b));
	assert_int_equal(kube_view_build(&v, &v.stores[KUBE_ENDPOINTS_OBJECT].v[0], &sink),
			 4000000 - KUBE_VIEW_MAX_TARGETS);
	assert_int_equal(t.n, KUBE_VIEW_MAX_TARGETS);
	buf_done(&t.shared);
	buf_done(&t.target);
	buf_done(&t.all);
	kube_view_done(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pod_is_one_target_for_each_port_of_each_container),
		cmocka_unit_test(the_same_object_again_is_no_change),
		cmocka_unit_test(what_a_pod_refers_to_makes_it_stale),
		cmocka_unit_test(a_list_takes_away_what_it_does_not_have),
		cmocka_unit_test(a_watch_is_read_event_by_event),
		cmocka_unit_test(an_object_that_never_ends_is_refused),
		cmocka_unit_test(labels_that_are_too_large_leave_one_object_out),
		cmocka_unit_test(endpoints_with_too_many_targets_are_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
