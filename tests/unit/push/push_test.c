/* SPDX-License-Identifier: Apache-2.0 */
/* What of pushing needs no network: the request's bytes, labels, replies, the queue. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "agent/push/push.h"
#include "agent/push/push_encode.h"
#include "agent/push/push_queue.h"
#include "agent/push/push_reply.h"

/* The smallest request a Pyroscope server stores, checked with protoc (types.v1, push.v1). */
static const uint8_t minimal_push[] =
	"\x0a\x7f\x0a\x17\x0a\x08__name__\x12\x0bprocess_cpu\x0a\x14\x0a\x0cservice_name\x12\x04"
	"demo\x12\x4e\x0a\x4c";
static const uint8_t minimal_pprof[] =
	"\x0a\x04\x08\x01\x10\x02\x12\x09\x0a\x01\x01\x12\x04\x80\xad\xe2\x04\x1a\x04\x08\x01\x38"
	"\x01\x22\x08\x08\x01\x10\x01\x22\x02\x08\x01\x2a\x04\x08\x01\x10\x03\x32\x00\x32\x03"
	"cpu\x32\x0bnanoseconds\x32\x04main\x5a\x04\x08\x01\x10\x02\x60\x80\xad\xe2\x04";

static void the_request_has_the_bytes_that_protoc_writes(void **state)
{
	_cleanup_labels_ struct label_set labels = {0};
	_cleanup_buf_ struct buf b = BUF_INIT(1024);

	label_set_put(&labels, "service_name", "demo");
	label_set_put(&labels, "__name__", "process_cpu");
	push_encode(&labels, minimal_pprof, sizeof(minimal_pprof) - 1, &b);
	assert_int_equal(b.len, 129);
	assert_memory_equal(b.data, minimal_push, sizeof(minimal_push) - 1);
	assert_memory_equal(b.data + sizeof(minimal_push) - 1, minimal_pprof,
			    sizeof(minimal_pprof) - 1);
}

static void labels_are_made_fit_for_the_server(void **state)
{
	const struct label in[] = {
		{"__name__", "process_cpu"},
		{"__process_pid__", "1"},
		{"z", "last"},
		{"service_name", "first"},
		{"service_name", "second"},
		{"with-dash", "x"},
		{"bad", "a\xff"
			"b\xc3"},
		{"env", "own"},
		{"empty", ""},
		{"__delta__", "false"},
	};
	_cleanup_labels_ struct label_set external = {0}, set = {0};
	struct push_label_losses losses;

	label_set_put(&external, "env", "external");
	assert_int_equal(push_labels(in, ARRAY_SIZE(in), &external, &set, &losses), 0);
	assert_int_equal(set.n, 7);
	for (size_t i = 1; i < set.n; i++)
		assert_true(strcmp(set.v[i - 1].name, set.v[i].name) < 0);
	assert_string_equal(label_set_get(&set, "env"), "external");
	assert_string_equal(label_set_get(&set, "service_name"), "second");
	assert_string_equal(label_set_get(&set, "with_dash"), "x");
	assert_string_equal(label_set_get(&set, "bad"), "a\xef\xbf\xbd"
							"b\xef\xbf\xbd");
	assert_null(label_set_get(&set, "__process_pid__"));
	assert_int_equal(losses.cut + losses.dropped, 0);
}

static void too_many_and_too_long_labels_are_cut_and_counted(void **state)
{
	_cleanup_labels_ struct label_set external = {0}, set = {0};
	struct push_label_losses losses;
	char names[40][8], *value = malloc(5000);
	struct label in[40];

	assert_non_null(value);
	memset(value, 'x', 4999);
	value[4999] = '\0';
	memcpy(value + PUSH_MAX_LABEL_VALUE - 1, "\xc3\xa4", 2); /* lies across the limit */
	for (size_t i = 0; i < ARRAY_SIZE(in); i++) {
		(void)snprintf(names[i], sizeof(names[i]), "l%02zu", i);
		in[i] = (struct label){names[i], i ? "v" : value};
	}
	in[38] = (struct label){"service_name", "zebra"};
	in[39] = (struct label){"__name__", "process_cpu"};
	assert_int_equal(push_labels(in, 40, &external, &set, &losses), 0);
	assert_int_equal(set.n, PUSH_MAX_LABELS);
	assert_int_equal(losses.dropped, 10);
	assert_int_equal(losses.cut, 1);
	assert_int_equal(strlen(label_set_get(&set, "l00")), PUSH_MAX_LABEL_VALUE - 1);
	assert_string_equal(label_set_get(&set, "service_name"), "zebra");
	free(value);
}

static void a_profile_without_a_name_is_refused(void **state)
{
	const struct label in[] = {{"service_name", "x"}};
	_cleanup_labels_ struct label_set external = {0}, set = {0};
	struct push_label_losses losses;

	assert_int_equal(push_labels(in, 1, &external, &set, &losses), -EINVAL);
}

static const struct {
	long status;
	const char *type, *body;
	enum push_verdict verdict;
	const char *why;
} replies[] = {
	{200, "application/proto", "", PUSH_TAKEN, ""},
	{200, "application/proto; charset=x", "", PUSH_TAKEN, ""},
	{200, "application/protobuf", "", PUSH_RETRY, "no Pyroscope server"},
	{200, "text/html", "<html>", PUSH_RETRY, "200 with content type text/html"},
	{200, NULL, "", PUSH_RETRY, "(none)"},
	{204, "application/proto", "", PUSH_RETRY, "204"},
	{400, "application/json", "{\"code\":\"invalid_argument\",\"message\":\"m\"}", PUSH_REFUSED,
	 "400 invalid_argument: m"},
	{400, "application/json",
	 "{ \"details\" : [{\"a\":[1,{}]}], \"message\":\"\\\"q\\\" \\u00e9\", "
	 "\"code\" : \"invalid_argument\" }",
	 PUSH_REFUSED, "400 invalid_argument: \"q\" ??"},
	{400, "text/plain", "bad request\n\x1b[31m", PUSH_RETRY,
	 "HTTP status 400: bad request??[31m"},
	{400, "application/json", "{\"code\":", PUSH_RETRY, "HTTP status 400"},
	{400, "application/json", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", PUSH_RETRY, "400"},
	{401, "text/plain", "", PUSH_REFUSED, "401"},
	{403, "text/plain", "", PUSH_REFUSED, "403"},
	{404, "text/plain", "", PUSH_REFUSED, "404"},
	{408, "text/plain", "", PUSH_RETRY, "408"},
	{413, "text/plain", "", PUSH_RETRY, "413"},
	{422, "text/plain", "", PUSH_RETRY, "422"},
	{500, "application/json", "{\"code\":\"unknown\"}", PUSH_RETRY, "500 unknown"},
	{500, "application/json", "{\"code\":\"data_loss\"}", PUSH_RETRY, "500 data_loss"},
	{501, "application/json", "{\"code\":\"unimplemented\"}", PUSH_REFUSED, "501"},
	{503, "application/json", "{\"code\":\"unavailable\"}", PUSH_RETRY, "503"},
	{504, "text/html", "<html>", PUSH_RETRY, "504"},
	{499, "application/json", "{\"code\":\"canceled\"}", PUSH_REFUSED, "canceled"},
	{409, "application/json", "{\"code\":\"aborted\"}", PUSH_RETRY, "aborted"},
	{409, "application/json", "{\"code\":\"already_exists\"}", PUSH_REFUSED, "already_exists"},
	{302, NULL, "", PUSH_RETRY, "302"},
};

static void replies_mean_what_they_mean_to_alloy(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(replies); i++) {
		struct push_reply r = {.status = replies[i].status,
				       .content_type = replies[i].type,
				       .body = replies[i].body,
				       .len = strlen(replies[i].body)};
		char why[320] = "";

		if (push_reply_judge(&r, true, why, sizeof(why)) != replies[i].verdict ||
		    !strstr(why, replies[i].why))
			fail_msg("%ld %s: %s", replies[i].status, replies[i].body, why);
	}
}

static void a_429_is_retried_only_when_asked_for(void **state)
{
	struct push_reply json = {429, "application/json", "{\"code\":\"resource_exhausted\"}", 29,
				  false};
	struct push_reply plain = {429, "text/plain", "slow down", 9, false};
	char why[320];

	assert_int_equal(push_reply_judge(&json, true, why, sizeof(why)), PUSH_RETRY);
	assert_int_equal(push_reply_judge(&json, false, why, sizeof(why)), PUSH_REFUSED);
	assert_int_equal(push_reply_judge(&plain, true, why, sizeof(why)), PUSH_RETRY);
	assert_int_equal(push_reply_judge(&plain, false, why, sizeof(why)), PUSH_REFUSED);
}

static void plain_http_replies_of_ingest_mean_what_they_mean_to_alloy(void **state)
{
	static const struct {
		long status;
		enum push_verdict verdict;
	} cases[] = {
		{200, PUSH_TAKEN},   {204, PUSH_REFUSED}, {302, PUSH_REFUSED}, {400, PUSH_REFUSED},
		{401, PUSH_REFUSED}, {408, PUSH_RETRY},	  {413, PUSH_REFUSED}, {429, PUSH_RETRY},
		{500, PUSH_RETRY},   {503, PUSH_RETRY},
	};
	char why[320];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct push_reply r = {.status = cases[i].status, .body = "x\ny", .len = 3};

		assert_int_equal(push_reply_judge_ingest(&r, true, why, sizeof(why)),
				 cases[i].verdict);
		if (r.status == 429)
			assert_int_equal(push_reply_judge_ingest(&r, false, why, sizeof(why)),
					 PUSH_REFUSED);
	}
	assert_string_equal(why, "/ingest: HTTP status 503: x?y");
}

static void the_name_of_an_ingest_carries_the_labels(void **state)
{
	static const struct {
		const char *query, *want;
	} cases[] = {
		{"", ""},
		{"name=x", ""},
		{"a=1&name=x%7By%3Dz%7D&b=2", "&a=1&b=2"},
		/* Whatever the server takes for the name, it is ours. */
		{"n%61me=evil&%6eame&names=ok&nam=ok&&name", "&names=ok&nam=ok"},
		{"%=&%6=&%zz=1", "&%=&%6=&%zz=1"},
	};
	_cleanup_labels_ struct label_set set = {0};

	label_set_put(&set, "__name__", "svc");
	label_set_put(&set, "a", "1 2");
	label_set_put(&set, "b", "x,y}={z");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *got = push_ingest_query(&set, cases[i].query), *want = NULL;

		assert_int_not_equal(asprintf(&want,
					      "name=svc%%7Ba%%3D1%%202%%2Cb%%3Dx_y_%%3D_z%%7D%s",
					      cases[i].want),
				     -1);
		assert_string_equal(got, want);
	}
}

static struct push_item *item(uint64_t tag, size_t len)
{
	struct push_item *i = push_item_new(calloc(1, len), len, tag);

	assert_non_null(i);
	return i;
}

static void count_drop(const struct push_item *i, void *data)
{
	uint64_t *last = data;

	assert_true(i->time_ns == *last + 1); /* in the order they came */
	*last = i->time_ns;
}

static void the_queue_drops_the_oldest_also_after_retries(void **state)
{
	struct push_queue q = {.max_bytes = 5000};
	struct push_entry *e;
	uint64_t last = 0;

	for (uint64_t i = 1; i <= 4; i++) {
		struct push_item *x = item(i, 1000);

		assert_int_equal(push_queue_add(&q, x, count_drop, &last), 0);
		push_item_unref(x);
	}
	/* The first goes to the end, and is still the oldest. */
	e = push_queue_take(&q);
	push_queue_retry(&q, e);
	for (uint64_t i = 5; i <= 20; i++) {
		struct push_item *x = item(i, 1000);

		assert_int_equal(push_queue_add(&q, x, count_drop, &last), 0);
		push_item_unref(x);
		assert_true(q.bytes <= q.max_bytes);
	}
	assert_true(last == 16);
	assert_int_equal(q.n, 4);
	push_queue_done(&q);
	assert_int_equal(q.bytes, 0);
	assert_int_equal(q.taken, 0);
}

static void what_is_being_sent_counts_and_is_not_dropped(void **state)
{
	struct push_queue q = {.max_bytes = 3800};
	struct push_item *x[4];
	struct push_entry *e;
	uint64_t last = 1;

	for (uint64_t i = 0; i < 4; i++)
		x[i] = item(i + 1, 1000);
	for (uint64_t i = 0; i < 3; i++)
		assert_int_equal(push_queue_add(&q, x[i], count_drop, &last), 0);
	e = push_queue_take(&q);
	assert_int_equal(push_queue_add(&q, x[3], count_drop, &last), 0);
	assert_true(last == 2);
	for (uint64_t i = 0; i < 4; i++)
		push_item_unref(x[i]);
	x[0] = item(9, 3000);
	assert_int_equal(push_queue_add(&q, x[0], count_drop, &last), -E2BIG);
	assert_int_equal(q.n, 2); /* nothing was dropped in vain */
	push_item_unref(x[0]);
	push_queue_release(&q, e);
	push_queue_done(&q);
	assert_int_equal(q.bytes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_request_has_the_bytes_that_protoc_writes),
		cmocka_unit_test(labels_are_made_fit_for_the_server),
		cmocka_unit_test(too_many_and_too_long_labels_are_cut_and_counted),
		cmocka_unit_test(a_profile_without_a_name_is_refused),
		cmocka_unit_test(replies_mean_what_they_mean_to_alloy),
		cmocka_unit_test(a_429_is_retried_only_when_asked_for),
		cmocka_unit_test(plain_http_replies_of_ingest_mean_what_they_mean_to_alloy),
		cmocka_unit_test(the_name_of_an_ingest_carries_the_labels),
		cmocka_unit_test(the_queue_drops_the_oldest_also_after_retries),
		cmocka_unit_test(what_is_being_sent_counts_and_is_not_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
