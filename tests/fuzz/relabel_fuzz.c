/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules and labels as lines: a rule is "action\x1fregex\x1ftarget\x1freplacement\x1fmodulus" with
 * source labels behind it, a label is "=name=value". Nothing may crash or take more than its
 * budget, and the set stays sorted, without empty values.
 */
#include <assert.h>
#include <string.h>

#include "agent/relabel/relabel.h"

#define MAX_RULES  8
#define MAX_FIELDS 10

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	struct relabel_spec rules[MAX_RULES];
	const char *fields[MAX_RULES][MAX_FIELDS];
	size_t n_rules;
	struct relabel_set set;
};

static void take_line(struct input *in, char *line)
{
	const char **f = in->fields[in->n_rules];
	size_t n = 0;

	if (*line == '=') {
		char *value = strchr(line + 1, '=');

		if (value) {
			*value++ = '\0';
			relabel_set_put(&in->set, line + 1, value, strlen(value), NULL);
		}
		return;
	}
	if (in->n_rules == MAX_RULES)
		return;
	for (char *s = line; s && n < MAX_FIELDS;) {
		f[n++] = s;
		s = strchr(s, '\x1f');
		if (s)
			*s++ = '\0';
	}
	in->rules[in->n_rules++] = (struct relabel_spec){
		.action = f[0],
		.regex = f[1] && *f[1] ? f[1] : NULL,
		.target_label = f[2],
		.replacement = f[3] && *f[3] ? f[3] : NULL,
		.modulus = f[4] ? strlen(f[4]) : 0,
		.source_labels = f + 5,
		.n_source_labels = n > 5 ? n - 5 : 0,
	};
}

static void check(const struct relabel_set *s)
{
	for (size_t i = 0; i < s->n; i++) {
		assert(s->v[i].len && strlen(s->v[i].value) == s->v[i].len);
		assert(!i || strcmp(s->v[i - 1].name, s->v[i].name) < 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(relabel_freep) struct relabel *r = NULL;
	_cleanup_free_ char *text = malloc(size + 1);
	struct input in = {0};
	uint64_t budget = 200000;
	char why[300], *save;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		take_line(&in, line);
	if (relabel_new(in.rules, in.n_rules, size & 1, &r, why, sizeof(why)) >= 0 &&
	    relabel_apply(r, &in.set, &budget, NULL) >= 0)
		check(&in.set);
	relabel_set_done(&in.set);
	return 0;
}
