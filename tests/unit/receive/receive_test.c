/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of clients: PushRequest in protobuf and JSON, and the parameter `name` of /ingest. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/buf.h"
#include "agent/export/proto.h"
#include "agent/receive/ingest_name.h"
#include "agent/receive/push_decode.h"

/* What was taken: "name=value,...:PROFILE;" */
static struct buf taken;

static int take(const struct label_set *labels, const uint8_t *profile, size_t n, void *data)
{
	for (size_t i = 0; i < labels->n; i++)
		buf_printf(&taken, "%s%s=%s", i ? "," : "", labels->v[i].name, labels->v[i].value);
	buf_printf(&taken, ":%.*s;", (int)n, (const char *)profile);
	return 0;
}

static void put_label(struct buf *series, const char *name, const char *value)
{
	_cleanup_buf_ struct buf b = BUF_INIT(1000);

	proto_bytes(&b, 1, name, strlen(name));
	proto_bytes(&b, 2, value, strlen(value));
	proto_bytes(series, 1, b.data, b.len);
}

static void put_sample(struct buf *series, const char *profile)
{
	_cleanup_buf_ struct buf b = BUF_INIT(1000);

	proto_bytes(&b, 2, "an id", 5);
	proto_bytes(&b, 1, profile, strlen(profile));
	proto_bytes(series, 2, b.data, b.len);
}

static void each_profile_comes_with_the_labels_of_its_series(void **state)
{
	_cleanup_buf_ struct buf request = BUF_INIT(10000), a = BUF_INIT(1000), b = BUF_INIT(1000);
	char why[100] = "";

	/* Labels may stand behind the samples; the last one of a name counts. */
	put_label(&a, "__name__", "cpu");
	put_sample(&a, "one");
	put_sample(&a, "two");
	put_label(&a, "x", "1");
	put_label(&a, "x", "2");
	proto_bytes(&a, 3, "annotation", 10);
	put_sample(&b, "three");
	proto_bytes(&request, 1, a.data, a.len);
	proto_bytes(&request, 1, b.data, b.len);
	proto_uint(&request, 9, 5); /* of a later version */
	buf_reset(&taken);
	assert_int_equal(push_decode_proto(request.data, request.len, take, NULL, why, sizeof(why)),
			 0);
	assert_string_equal(buf_cstr(&taken), "__name__=cpu,x=2:one;__name__=cpu,x=2:two;:three;");
	/* One that is cut off gives nothing at all. */
	for (size_t n = 1; n + 2 < request.len; n++) {
		buf_reset(&taken);
		if (push_decode_proto(request.data, n, take, NULL, why, sizeof(why)) < 0)
			assert_int_equal(taken.len, 0);
	}
	assert_int_equal(push_decode_proto("garbage", 7, take, NULL, why, sizeof(why)), -EBADMSG);
	assert_string_equal(why, "malformed request: this is no push.v1.PushRequest");
	assert_int_equal(push_decode_proto("", 0, take, NULL, why, sizeof(why)), 0);
}

static void json_means_the_same(void **state)
{
	static const char *const good[][2] = {
		{"{\"series\":[{\"labels\":[{\"name\":\"__name__\",\"value\":\"cpu\"},"
		 "{\"name\":\"x\",\"value\":\"\\u00e9\"}],\"samples\":[{\"ID\":\"i\","
		 "\"rawProfile\":\"b25l\"},{\"raw_profile\":\"dHdvPz8_\"}],\"later\":1}]}",
		 "__name__=cpu,x=\xc3\xa9:one;__name__=cpu,x=\xc3\xa9:two\?\?\?;"},
		{"{\"series\":[{\"samples\":[{\"rawProfile\":\"YQ==\"},{\"rawProfile\":\"YWI\"},{}]"
		 "}]}",
		 ":a;:ab;:;"},
		{"{\"series\":null}", ""},
		{"{}", ""},
	};
	static const char *const bad[] = {
		"",
		"[]",
		"{\"series\":{}}",
		"{\"series\":[1]}",
		"{\"series\":[{\"samples\":[{\"rawProfile\":\"a\"}]}]}",
		"{\"series\":[{\"samples\":[{\"rawProfile\":\"YW*J\"}]}]}",
		"{\"series\":[{\"samples\":[{\"rawProfile\":5}]}]}",
		"{\"series\":[{\"labels\":[{\"name\":\"a\\u0000b\",\"value\":\"\"}]}]}",
		"{\"series\":[{\"labels\":[{\"value\":\"x\"}]}]}",
	};
	char why[200];

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		buf_reset(&taken);
		assert_int_equal(push_decode_json(good[i][0], strlen(good[i][0]), take, NULL, why,
						  sizeof(why)),
				 0);
		assert_string_equal(buf_cstr(&taken), good[i][1]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		*why = '\0';
		assert_int_equal(
			push_decode_json(bad[i], strlen(bad[i]), take, NULL, why, sizeof(why)),
			-EBADMSG);
		assert_true(*why != '\0');
	}
}

static void a_name_is_an_application_and_labels(void **state)
{
	static const char *const table[][2] = {
		{"app", "__name__=app,service_name=app"},
		{"my-app.cpu{}", "__name__=my-app.cpu,service_name=my-app.cpu"},
		{"app{a=1, b = x=y ,}", "__name__=app,a=1,b=x=y,service_name=app"},
		{"app{service_name=web}", "__name__=app,app_name=app,service_name=web"},
		{"app{a=1", "__name__=app,a=1,service_name=app"},
		{"a/b{x.y=\xc3\xa9}", "__name__=a/b,service_name=a/b,x.y=\xc3\xa9"},
	};
	static const char *const bad[] = {
		"",	      "{a=1}",		 "a b",	    "app{a}", "app{=1}",
		"app{a-b=1}", "app{__name__=x}", "\xc3\xa9"};
	char why[200];

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		_cleanup_labels_ struct label_set set = {0};
		_cleanup_buf_ struct buf got = BUF_INIT(1000);

		assert_int_equal(ingest_name_parse(table[i][0], &set, why, sizeof(why)), 0);
		assert_int_equal(ingest_name_service(&set), 0);
		for (size_t k = 0; k < set.n; k++)
			buf_printf(&got, "%s%s=%s", k ? "," : "", set.v[k].name, set.v[k].value);
		assert_string_equal(buf_cstr(&got), table[i][1]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct label_set set;

		assert_int_equal(ingest_name_parse(bad[i], &set, why, sizeof(why)), -EINVAL);
	}
}

static int setup(void **state)
{
	taken = BUF_INIT(100000);
	return 0;
}

static int teardown(void **state)
{
	buf_done(&taken);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_profile_comes_with_the_labels_of_its_series),
		cmocka_unit_test(json_means_the_same),
		cmocka_unit_test(a_name_is_an_application_and_labels),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
