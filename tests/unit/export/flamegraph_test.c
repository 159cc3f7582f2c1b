/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "agent/export/flamegraph.h"
#include "agent/export/palette.h"
#include "tests/unit/export/sample.h"

typedef int (*write_fn)(const struct profile *p, const struct flamegraph_options *o, FILE *f);

static char *render(write_fn write, const struct profile *p, const struct flamegraph_options *o)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	assert_non_null(f);
	assert_int_equal(write(p, o, f), 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(strlen(text), n);
	return text;
}

static unsigned int occurrences(const char *text, const char *what)
{
	unsigned int n = 0;

	for (; (text = strstr(text, what)); text += strlen(what))
		n++;
	return n;
}

static void the_page_has_the_tree_in_flat_arrays(void **state)
{
	_cleanup_(profile_freep) struct profile *p = sample_profile();
	_cleanup_free_ char *text =
		render(flamegraph_html, p, &(struct flamegraph_options){.title = "A & <b>"});

	/* all, web, main, serve, parse, sys_read, job, [no unwind rule], libz.so+0x99 */
	assert_non_null(strstr(text, "\"up\":[0,0,0,0,0,1,4,0,0]"));
	assert_non_null(strstr(text, "\"count\":[0,0,0,0,3,1,0,0,1]"));
	assert_null(strstr(text, "\"rest\""));
	assert_non_null(strstr(text, "\"event\":\"cpu-clock\""));
	assert_non_null(strstr(text, "<title>A &#38; &#60;b&#62;</title>"));
	assert_non_null(strstr(text, "\"title\":\"A \\u0026 \\u003cb\\u003e\""));
	/* No word of the template is left, nothing points outside. */
	assert_null(strstr(text, "@SCRIPT"));
	assert_null(strstr(text, "@DATA"));
	assert_null(strstr(text, "src="));
	assert_null(strstr(text, "url("));
}

static void the_picture_is_readable_without_scripts(void **state)
{
	_cleanup_(profile_freep) struct profile *p = sample_profile();
	_cleanup_free_ char *text = render(flamegraph_svg, p, NULL);

	assert_non_null(
		strstr(text, "5 samples of cpu-clock at 100 Hz, 0.05 CPU-seconds in 2.0 s"));
	assert_non_null(strstr(text, ">parse</text>"));
	assert_non_null(strstr(text, "<title>parse - 3 samples, 60.00%</title>"));
	/* One for each of the nine nodes, and the background. */
	assert_int_equal(occurrences(text, "<rect "), 10);
}

static struct profile *hostile_profile(void)
{
	struct profile *p = NULL;
	uint32_t stack[4], process;

	assert_int_equal(profile_new(&p), 0);
	p->event = sample_string(p, "</script><b>");
	process = sample_process(p, 1, "]]><script>alert(0)</script>");
	stack[0] = sample_location(p, 1, 0, PROFILE_NATIVE, "</script><script>alert(1)</script>");
	stack[1] = sample_location(p, 2, 0, PROFILE_NATIVE, "\"'&lt;\\u003c\x01\xff\xef\xbf\xbf");
	stack[2] = sample_location(p, 3, sample_mapping(p, "<img src=x onerror=alert(2)>", ""),
				   PROFILE_NATIVE, "<!--");
	stack[3] = sample_location(p, 4, 0, PROFILE_NATIVE, "@SCRIPT@ @DATA@");
	sample_add(p, process, stack, 4, 10, true);
	return p;
}

static void hostile_names_stay_data(void **state)
{
	static const write_fn writers[] = {flamegraph_html, flamegraph_svg};
	_cleanup_(profile_freep) struct profile *p = hostile_profile();

	for (size_t i = 0; i < ARRAY_SIZE(writers); i++) {
		const struct flamegraph_options o = {.title = "</title><script>alert(3)</script>"};
		_cleanup_free_ char *text = render(writers[i], p, &o);

		assert_null(strstr(text, "<script>alert"));
		assert_null(strstr(text, "<img"));
		assert_null(strstr(text, "<b>"));
		assert_null(strstr(text, "\x01"));
		assert_null(strstr(text, "\xff"));
		assert_null(strstr(text, "\xef\xbf\xbf"));
		/* Ours: data and program. */
		assert_int_equal(occurrences(text, "<script"), 2);
		assert_int_equal(occurrences(text, "]]>"), i ? 3 : 0);
	}
}

static void a_large_profile_becomes_a_small_page(void **state)
{
	_cleanup_(profile_freep) struct profile *p = NULL;
	_cleanup_free_ char *whole = NULL, *cut = NULL;
	uint32_t locations[200], stack[12], process, seed = 1;
	unsigned long samples = 0;

	assert_int_equal(profile_new(&p), 0);
	p->period_ns = SAMPLE_PERIOD;
	process = sample_process(p, 1, "big");
	for (uint32_t i = 0; i < 200; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "function_number_%u", i);
		locations[i] = sample_location(p, i, 0, PROFILE_NATIVE, name);
	}
	for (uint32_t i = 0; i < 6000; i++) {
		for (uint32_t j = 0; j < 12; j++) {
			seed = seed * 1103515245u + 12345u;
			stack[11 - j] = locations[(seed >> 16) % (2u + 16u * j)];
		}
		sample_add(p, process, stack, 12, 1 + i % 3, true);
		samples += 1 + i % 3;
	}
	whole = render(flamegraph_html, p, NULL);
	cut = render(flamegraph_html, p, &(struct flamegraph_options){.max_nodes = 2000});
	/* What 50,000 nodes take must leave room below 2 MB. */
	assert_true(strlen(whole) < 1u << 20);
	assert_true(strlen(cut) < strlen(whole) / 3);
	/* Nothing of the weight is lost with the nodes. */
	for (char *at = strstr(cut, "\"count\":[") + 8; *at != ']';)
		samples -= strtoul(at + 1, &at, 10);
	assert_int_equal(samples, 0);
}

static void the_same_profile_gives_the_same_bytes(void **state)
{
	_cleanup_(profile_freep) struct profile *p = sample_profile(), *q = sample_profile();
	_cleanup_free_ char *a = render(flamegraph_svg, p, NULL);
	_cleanup_free_ char *b = render(flamegraph_svg, q, NULL);

	assert_string_equal(a, b);
}

static void an_empty_profile_is_a_valid_page(void **state)
{
	_cleanup_(profile_freep) struct profile *p = NULL;
	_cleanup_free_ char *svg = NULL, *html = NULL;

	assert_int_equal(profile_new(&p), 0);
	svg = render(flamegraph_svg, p, NULL);
	html = render(flamegraph_html, p, NULL);
	assert_null(strstr(svg, "=\"nan"));
	assert_null(strstr(svg, "=\"-nan"));
	assert_null(strstr(svg, "=\"inf"));
	assert_non_null(strstr(html, "\"up\":[0]"));
}

static double luminance(uint32_t rgb)
{
	static const double weights[] = {0.0722, 0.7152, 0.2126};
	double sum = 0;

	for (int i = 0; i < 3; i++) {
		double v = (double)(rgb >> 8 * i & 0xff) / 255;

		sum += weights[i] * (v <= 0.03928 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4));
	}
	return sum;
}

/* WCAG 2.1, 1.4.3: 4.5:1 for text of this size. */
static void names_are_readable_on_every_colour(void **state)
{
	double text = luminance(0x1d1710);

	assert_int_equal(palette_size(), 84);
	for (size_t i = 0; i < palette_size(); i++)
		for (int dark = 0; dark < 2; dark++)
			assert_true((luminance(palette_rgb(i, dark)) + 0.05) / (text + 0.05) > 4.5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_page_has_the_tree_in_flat_arrays),
		cmocka_unit_test(the_picture_is_readable_without_scripts),
		cmocka_unit_test(hostile_names_stay_data),
		cmocka_unit_test(a_large_profile_becomes_a_small_page),
		cmocka_unit_test(the_same_profile_gives_the_same_bytes),
		cmocka_unit_test(an_empty_profile_is_a_valid_page),
		cmocka_unit_test(names_are_readable_on_every_colour),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
