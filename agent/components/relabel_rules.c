/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/components/relabel_rules.h"

#include <errno.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/relabel/regex.h"

struct rule_args {
	char *action, *separator, *regex, *target_label, *replacement;
	struct schema_strings source_labels;
	int64_t modulus;
};

static int check_regex(const char *text, char *why, size_t size)
{
	struct regex *re;
	int r = regex_new_whole(text, strlen(text), &re, why, size);

	if (r >= 0)
		regex_free(re);
	return r;
}

static int check_action(const char *text, char *why, size_t size)
{
	if (!*text || relabel_is_action(text))
		return 0;
	(void)snprintf(why, size, "unrecognized action type \"%s\"", text);
	return -EINVAL;
}

static struct relabel_spec spec_of(const struct rule_args *a)
{
	return (struct relabel_spec){
		.action = a->action,
		.source_labels = (const char *const *)a->source_labels.v,
		.n_source_labels = a->source_labels.n,
		.separator = a->separator,
		.regex = a->regex,
		.target_label = a->target_label,
		.replacement = a->replacement,
		.modulus = (uint64_t)a->modulus,
	};
}

static int rule_validate(const void *args, char *why, size_t size)
{
	const struct rule_args *a = args;
	struct relabel_spec spec = spec_of(a);

	if (a->modulus < 0) {
		(void)snprintf(why, size, "modulus must not be negative");
		return -EINVAL;
	}
	return relabel_check(&spec, why, size);
}

#define RULE(member) offsetof(struct rule_args, member)
static const struct option rule_options[] = {
	{"action", OPTION_STRING, RELABEL_DEFAULT_ACTION, .offset = RULE(action),
	 .check = check_action,
	 .help = "replace, keep, drop, keepequal, dropequal, hashmod, labelmap, labeldrop, "
		 "labelkeep, lowercase or uppercase"},
	{"source_labels", OPTION_STRINGS, .offset = RULE(source_labels),
	 .help = "their values, joined, are what is matched"},
	{"separator", OPTION_STRING, RELABEL_DEFAULT_SEPARATOR, .offset = RULE(separator),
	 .help = "what stands between the values of source_labels"},
	{"regex", OPTION_STRING, RELABEL_DEFAULT_REGEX, .offset = RULE(regex), .check = check_regex,
	 .help = "Go's syntax; must match the whole value"},
	{"modulus", OPTION_INT, "0", .offset = RULE(modulus), .help = "of hashmod"},
	{"target_label", OPTION_STRING, "", .offset = RULE(target_label),
	 .help = "the label that gets the result"},
	{"replacement", OPTION_STRING, RELABEL_DEFAULT_REPLACEMENT, .offset = RULE(replacement),
	 .help = "$1 or ${1} is what the first group matched"},
};

const struct schema relabel_rule_schema = {
	.size = sizeof(struct rule_args),
	.options = rule_options,
	.n = ARRAY_SIZE(rule_options),
	.validate = rule_validate,
};

int relabel_rules_new(const struct schema_blocks *rules, bool legacy_names, struct relabel **ret,
		      char *why, size_t size)
{
	_cleanup_free_ struct relabel_spec *specs = calloc(MAX(rules->n, 1u), sizeof(*specs));
	const struct rule_args *a = rules->v;

	if (!specs)
		return -ENOMEM;
	for (size_t i = 0; i < rules->n; i++)
		specs[i] = spec_of(&a[i]);
	return relabel_new(specs, rules->n, legacy_names, ret, why, size);
}

bool relabel_rules_equal(const struct schema_blocks *a, const struct schema_blocks *b)
{
	const struct rule_args *x = a->v, *y = b->v;

	for (size_t i = 0; i < a->n && i < b->n; i++) {
		if (!schema_equal(&relabel_rule_schema, &x[i], &y[i]))
			return false;
	}
	return a->n == b->n;
}

/* The capsule's data is the text of all rules, each string with its NUL. */
struct rules_text {
	size_t len;
	char text[];
};

static bool text_equal(const void *a, const void *b)
{
	const struct rules_text *x = a, *y = b;

	return x->len == y->len && !memcmp(x->text, y->text, x->len);
}

static const struct capsule_type capsule_rules = {"relabel rules", free, text_equal};

static void add_text(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s) + 1);
}

struct value *relabel_rules_capsule(const struct schema_blocks *rules)
{
	_cleanup_buf_ struct buf b = BUF_INIT(VALUE_MAX_STRING);
	const struct rule_args *a = rules->v;
	struct rules_text *t;

	for (size_t i = 0; i < rules->n; i++) {
		buf_printf(&b, "%zu %lld", a[i].source_labels.n, (long long)a[i].modulus);
		for (size_t k = 0; k < a[i].source_labels.n; k++)
			add_text(&b, a[i].source_labels.v[k]);
		add_text(&b, a[i].action);
		add_text(&b, a[i].separator);
		add_text(&b, a[i].regex);
		add_text(&b, a[i].target_label);
		add_text(&b, a[i].replacement);
	}
	t = b.failed ? NULL : malloc(sizeof(*t) + b.len);
	if (!t)
		return NULL;
	t->len = b.len;
	if (b.len)
		memcpy(t->text, b.data, b.len);
	return value_capsule(&capsule_rules, t);
}

struct value *relabel_rules_debug(const struct relabel *r)
{
	struct value_list l = {0};

	for (size_t i = 0; i < relabel_n_rules(r); i++) {
		const struct relabel_counts *k = relabel_get_counts(r, i);
		struct value_list one = {0};

		value_list_add(&one, "rule", value_int((int64_t)i + 1));
		value_list_add(&one, "action", value_cstr(relabel_action(r, i)));
		value_list_add(&one, "seen", value_int((int64_t)k->seen));
		value_list_add(&one, "matched", value_int((int64_t)k->matched));
		value_list_add(&one, "dropped", value_int((int64_t)k->dropped));
		value_list_add(&l, NULL, value_object(&one));
	}
	return value_array(&l);
}
