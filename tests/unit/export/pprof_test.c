/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <zlib.h>

#include "agent/export/format.h"
#include "agent/export/pprof.h"
#include "agent/export/pprof_read.h"
#include "tests/unit/export/sample.h"

static struct buf encode(const struct profile *p, const struct pprof_options *o, int64_t want)
{
	struct buf out = BUF_INIT(1u << 20);

	assert_int_equal(pprof_encode(p, o, &out), want);
	return out;
}

static struct profile *decode(const struct buf *b)
{
	struct profile *p = NULL;

	assert_int_equal(pprof_parse(b->data, b->len, &p), 0);
	return p;
}

/* The uncompressed bytes, by zlib alone. */
static size_t inflate_all(const struct buf *b, uint8_t *raw, size_t max)
{
	z_stream z = {.next_in = b->data,
		      .avail_in = (uInt)b->len,
		      .next_out = raw,
		      .avail_out = (uInt)max};

	assert_int_equal(inflateInit2(&z, 31), Z_OK);
	assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
	assert_int_equal(inflateEnd(&z), Z_OK);
	return z.total_out;
}

static size_t position(const uint8_t *raw, size_t n, const char *text)
{
	const uint8_t *at = memmem(raw, n, text, strlen(text));

	assert_non_null(at);
	return (size_t)(at - raw);
}

static void what_was_written_reads_back_the_same(void **state)
{
	const struct pprof_options o = {.label_pid = true, .label_comm = true, .label_event = true};
	_cleanup_(profile_freep) struct profile *p = sample_profile(), *q = NULL;
	_cleanup_buf_ struct buf b = encode(p, &o, 3);
	_cleanup_free_ char *want = NULL, *have = NULL;
	size_t n;
	FILE *f;

	q = decode(&b);
	assert_int_equal(q->time_ns, p->time_ns);
	assert_int_equal(q->duration_ns, p->duration_ns);
	assert_int_equal(q->period_ns, p->period_ns);
	assert_string_equal(intern_get(&q->strings, q->event), "cpu-clock");
	assert_int_equal(q->n_mappings, p->n_mappings);
	assert_int_equal(q->n_functions, p->n_functions);
	assert_int_equal(q->n_locations, p->n_locations);
	assert_int_equal(q->n_samples, p->n_samples);
	assert_int_equal(q->processes[1].pid, 20);
	for (size_t i = 0; i < p->n_locations; i++) {
		assert_int_equal(q->locations[i].kind, p->locations[i].kind);
		assert_true(q->locations[i].address == p->locations[i].address);
		assert_int_equal(q->locations[i].n_lines, p->locations[i].n_lines);
	}
	assert_string_equal(intern_get(&q->strings, q->mappings[0].build_id), "abcd");
	/* Names, stacks, weights and completeness all show in the folded text and the report. */
	f = open_memstream(&want, &n);
	assert_int_equal(format_write(p, FORMAT_FOLDED, NULL, f), 0);
	assert_int_equal(fclose(f), 0);
	f = open_memstream(&have, &n);
	assert_int_equal(format_write(q, FORMAT_FOLDED, NULL, f), 0);
	assert_int_equal(fclose(f), 0);
	assert_string_equal(have, want);
}

static bool want_pid(const struct profile *p, uint32_t process, void *data)
{
	return p->processes[process].pid == *(uint32_t *)data;
}

static void one_process_takes_nothing_of_the_others_along(void **state)
{
	uint32_t pid = 20;
	const struct pprof_options o = {.want = want_pid, .data = &pid, .label_comm = true};
	_cleanup_(profile_freep) struct profile *p = sample_profile(), *q = NULL;
	_cleanup_buf_ struct buf b = encode(p, &o, 1);
	uint8_t raw[4096];
	size_t n = inflate_all(&b, raw, sizeof(raw));

	q = decode(&b);
	assert_int_equal(q->n_samples, 1);
	assert_int_equal(q->n_mappings, 1);
	assert_int_equal(q->n_functions, 2);
	assert_int_equal(q->samples[0].value, SAMPLE_PERIOD);
	assert_null(memmem(raw, n, "parse", 5));
	assert_null(memmem(raw, n, "web", 3));
}

static void a_profile_can_be_sent_in_parts(void **state)
{
	_cleanup_(profile_freep) struct profile *p = sample_profile();
	uint64_t value = 0;

	for (size_t skip = 0; skip < 4; skip += 2) {
		const struct pprof_options o = {.skip = skip, .limit = 2};
		_cleanup_buf_ struct buf b = encode(p, &o, skip ? 1 : 2);
		_cleanup_(profile_freep) struct profile *q = decode(&b);
		struct profile_totals t;

		profile_sum(q, &t);
		value += t.value;
	}
	assert_int_equal(value, 5 * SAMPLE_PERIOD);
}

static void limits_on_size_are_errors_not_truncation(void **state)
{
	_cleanup_(profile_freep) struct profile *p = sample_profile();
	_cleanup_buf_ struct buf small = BUF_INIT(20), out = BUF_INIT(1u << 20);
	const struct pprof_options o = {.max_raw_bytes = 100};

	assert_int_equal(pprof_encode(p, NULL, &small), -E2BIG);
	assert_int_equal(pprof_encode(p, &o, &out), -E2BIG);
}

static void the_name_of_the_process_can_be_the_outermost_frame(void **state)
{
	const struct pprof_options o = {.comm_frame = true, .label_comm = true};
	_cleanup_(profile_freep) struct profile *p = sample_profile(), *q = NULL;
	_cleanup_buf_ struct buf b = encode(p, &o, 3);
	const struct profile_sample *s;
	const struct profile_location *root;

	q = decode(&b);
	s = &q->samples[0];
	root = &q->locations[q->stack_locations[s->first + s->n_locations - 1]];
	assert_int_equal(s->n_locations, 3);
	assert_string_equal(
		intern_get(&q->strings, q->functions[q->lines[root->first_line].function].name),
		"web");
}

static void strings_that_look_like_go_come_last(void **state)
{
	_cleanup_(profile_freep) struct profile *p = NULL;
	struct profile_line lines[2];
	uint8_t raw[4096];
	uint32_t at;
	size_t n;

	assert_int_equal(profile_new(&p), 0);
	lines[0] = sample_line(p, "main.run", "/srv/app/run.go", 10);
	lines[1] = sample_line(p, "handle", "/srv/app/handle.py", 10);
	at = (uint32_t)profile_add_location(p, 1, sample_mapping(p, "/usr/local/go/bin/go", "b1"),
					    PROFILE_NATIVE, true, lines, 2);
	sample_add(p, sample_process(p, 1, "x"), &at, 1, 1, true);
	{
		_cleanup_buf_ struct buf b = encode(p, NULL, 1);

		n = inflate_all(&b, raw, sizeof(raw));
	}
	assert_true(position(raw, n, "handle") < position(raw, n, "/srv/app/handle.py"));
	assert_true(position(raw, n, "main.run") < position(raw, n, "/srv/app/handle.py"));
	assert_true(position(raw, n, "/srv/app/handle.py") < position(raw, n, "/srv/app/run.go"));
	assert_true(position(raw, n, "/srv/app/handle.py") < position(raw, n, "/usr/local/go/bin"));
	/* sample_type first, then the table with "" as string 0. */
	assert_memory_equal(raw,
			    "\x0a\x04\x08\x01\x10\x02\x32\x00\x32\x03"
			    "cpu",
			    13);
}

static void every_string_is_short_valid_utf8(void **state)
{
	_cleanup_(profile_freep) struct profile *p = NULL, *q = NULL;
	_cleanup_free_ char *name = malloc(70001);
	uint32_t at[2];

	assert_non_null(name);
	memset(name, 'n', 70000);
	name[70000] = 0;
	assert_int_equal(profile_new(&p), 0);
	at[0] = sample_location(p, 1, 0, PROFILE_NATIVE, name);
	at[1] = sample_location(p, 2, 0, PROFILE_NATIVE, "\xc3\x28_\xe2\x82");
	sample_add(p, sample_process(p, 1, "x\xff"), at, 2, 1, true);
	{
		const struct pprof_options o = {.label_comm = true};
		_cleanup_buf_ struct buf b = encode(p, &o, 1);

		q = decode(&b);
	}
	assert_int_equal(strlen(intern_get(&q->strings, q->functions[0].name)), PPROF_STRING_MAX);
	assert_string_equal(intern_get(&q->strings, q->functions[1].name),
			    "\xef\xbf\xbd(_\xef\xbf\xbd\xef\xbf\xbd");
	assert_string_equal(intern_get(&q->strings, q->processes[0].comm), "x\xef\xbf\xbd");
}

/* 76 bytes made by another writer: one sample of main, 10 ms. */
static const uint8_t foreign[] = {
	0x0a, 0x04, 0x08, 0x01, 0x10, 0x02, 0x12, 0x09, 0x0a, 0x01, 0x01, 0x12, 0x04,
	0x80, 0xad, 0xe2, 0x04, 0x1a, 0x04, 0x08, 0x01, 0x38, 0x01, 0x22, 0x08, 0x08,
	0x01, 0x10, 0x01, 0x22, 0x02, 0x08, 0x01, 0x2a, 0x04, 0x08, 0x01, 0x10, 0x03,
	0x32, 0x00, 0x32, 0x03, 0x63, 0x70, 0x75, 0x32, 0x0b, 0x6e, 0x61, 0x6e, 0x6f,
	0x73, 0x65, 0x63, 0x6f, 0x6e, 0x64, 0x73, 0x32, 0x04, 0x6d, 0x61, 0x69, 0x6e,
	0x5a, 0x04, 0x08, 0x01, 0x10, 0x02, 0x60, 0x80, 0xad, 0xe2, 0x04,
};

static void a_foreign_profile_is_read(void **state)
{
	_cleanup_(profile_freep) struct profile *p = NULL;

	assert_int_equal(pprof_parse(foreign, sizeof(foreign), &p), 0);
	assert_int_equal(p->n_samples, 1);
	assert_int_equal(p->samples[0].value, 10000000);
	assert_int_equal(p->samples[0].count, 1);
	assert_string_equal(intern_get(&p->strings, p->functions[0].name), "main");
}

/* Every cut and every changed byte: an error or a profile, never more than that. */
static void broken_input_is_refused_or_read_but_never_trusted(void **state)
{
	for (size_t n = 0; n < sizeof(foreign); n++) {
		_cleanup_(profile_freep) struct profile *p = NULL;
		_cleanup_free_ uint8_t *copy = malloc(n + 1);

		assert_non_null(copy);
		memcpy(copy, foreign, n);
		(void)pprof_parse(copy, n, &p);
	}
	for (size_t i = 0; i < sizeof(foreign) * 8; i++) {
		_cleanup_(profile_freep) struct profile *p = NULL;
		uint8_t copy[sizeof(foreign)];

		memcpy(copy, foreign, sizeof(copy));
		copy[i / 8] ^= (uint8_t)(1u << i % 8);
		(void)pprof_parse(copy, sizeof(copy), &p);
	}
}

static void check_refused(size_t at, size_t at_too, uint8_t byte)
{
	struct profile *p = NULL;
	uint8_t copy[sizeof(foreign)];

	memcpy(copy, foreign, sizeof(copy));
	copy[at] = copy[at_too] = byte;
	assert_int_equal(pprof_parse(copy, sizeof(copy), &p), -EBADMSG);
	assert_null(p);
}

static void dangling_ids_are_refused(void **state)
{
	check_refused(10, 10, 9); /* the sample's location */
	check_refused(28, 28, 9); /* the location's mapping */
	check_refused(32, 32, 9); /* the line's function */
	check_refused(38, 38, 9); /* the function's name */
	check_refused(10, 26, 0); /* a location with id 0, and the sample that uses it */
	check_refused(32, 36, 0); /* a function with id 0, and the line that uses it */
}

static void a_gzip_bomb_is_refused(void **state)
{
	_cleanup_free_ uint8_t *zeros = calloc(1, 1u << 20), *out = malloc(1u << 20);
	z_stream z = {.next_out = out, .avail_out = 1u << 20};
	struct profile *p = NULL;

	assert_true(zeros && out);
	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 31, 8, 0), Z_OK);
	for (size_t i = 0; i < 65; i++) {
		z.next_in = zeros;
		z.avail_in = 1u << 20;
		assert_int_equal(deflate(&z, i == 64 ? Z_FINISH : Z_NO_FLUSH), i == 64);
	}
	assert_int_equal(deflateEnd(&z), Z_OK);
	assert_int_equal(pprof_parse(out, z.total_out, &p), -E2BIG);
}

/* The reference reader must agree. */
static void go_tool_pprof_reads_it(void **state)
{
	char path[] = "/tmp/pprof_test.XXXXXX", command[200], text[16384];
	_cleanup_(profile_freep) struct profile *p = sample_profile();
	size_t n;
	FILE *f;

	if (system("go version >/dev/null 2>&1"))
		skip();
	assert_true(mkstemp(path) >= 0);
	assert_int_equal(format_write_file(p, FORMAT_PPROF, NULL, path), 0);
	(void)snprintf(command, sizeof(command),
		       "export PPROF_TMPDIR=/tmp HOME=/tmp; go tool pprof -raw %s 2>&1; "
		       "go tool pprof -top %s 2>&1; go tool pprof -tags %s 2>&1",
		       path, path, path);
	f = popen(command, "r");
	assert_non_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = 0;
	assert_int_equal(pclose(f), 0);
	(void)unlink(path);
	assert_non_null(strstr(text, "PeriodType: cpu nanoseconds"));
	assert_non_null(strstr(text, "Period: 10000000"));
	assert_non_null(strstr(text, "Duration: 2s"));
	assert_non_null(strstr(text, "/usr/bin/web abcd"));
	assert_non_null(strstr(text, "Total samples = 50ms"));
	assert_non_null(strstr(text, "30ms 60.00% 60.00%       30ms 60.00%  parse"));
	assert_non_null(strstr(text, "parse /src/parse.c:42 s=41"));
	assert_non_null(strstr(text, "cpu-clock"));
	assert_null(strstr(text, "Comment"));
	assert_null(strstr(text, "malformed"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_written_reads_back_the_same),
		cmocka_unit_test(one_process_takes_nothing_of_the_others_along),
		cmocka_unit_test(a_profile_can_be_sent_in_parts),
		cmocka_unit_test(limits_on_size_are_errors_not_truncation),
		cmocka_unit_test(the_name_of_the_process_can_be_the_outermost_frame),
		cmocka_unit_test(strings_that_look_like_go_come_last),
		cmocka_unit_test(every_string_is_short_valid_utf8),
		cmocka_unit_test(a_foreign_profile_is_read),
		cmocka_unit_test(broken_input_is_refused_or_read_but_never_trusted),
		cmocka_unit_test(dangling_ids_are_refused),
		cmocka_unit_test(a_gzip_bomb_is_refused),
		cmocka_unit_test(go_tool_pprof_reads_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
