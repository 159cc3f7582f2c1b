/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/relabel/relabel.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "agent/base/md5.h"
#include "agent/base/utf8.h"
#include "agent/relabel/regex.h"
#include "agent/relabel/relabel_names.h"
#include "agent/relabel/relabel_spec.h"
#include "agent/relabel/unicode.h"

struct rule {
	enum relabel_action action;
	char **source;
	size_t n_source;
	char *separator, *target, *replacement;
	bool target_plain; /* nothing to expand in it */
	uint64_t modulus;
	struct regex *regex;
	struct relabel_names names;
	struct relabel_counts counts;
};

struct relabel {
	struct rule *rules;
	size_t n;
	bool legacy_names;
	struct regex_scratch scratch;
	struct buf joined, out, name;
};

/* One application of one rule. */
struct run {
	struct relabel *r;
	struct rule *rule;
	struct relabel_set *s;
	uint64_t *budget;
	const char *value; /* the source labels, joined */
	size_t len;
};

static void rule_done(struct rule *k)
{
	for (size_t i = 0; i < k->n_source; i++)
		free(k->source[i]);
	free(k->source);
	free(k->separator);
	free(k->target);
	free(k->replacement);
	regex_free(k->regex);
	relabel_names_done(&k->names);
}

struct relabel *relabel_free(struct relabel *r)
{
	if (!r)
		return NULL;
	for (size_t i = 0; i < r->n; i++)
		rule_done(&r->rules[i]);
	free(r->rules);
	regex_scratch_done(&r->scratch);
	buf_done(&r->joined);
	buf_done(&r->out);
	buf_done(&r->name);
	free(r);
	return NULL;
}

static int rule_init(struct rule *k, const struct relabel_spec *spec, char *why, size_t size)
{
	const char *regex = spec->regex ? spec->regex : RELABEL_DEFAULT_REGEX;

	if (relabel_parse_action(spec->action, &k->action) < 0) {
		(void)snprintf(why, size, "unrecognized action type \"%s\"", spec->action);
		return -EINVAL;
	}
	k->modulus = spec->modulus;
	k->separator = strdup(spec->separator ? spec->separator : RELABEL_DEFAULT_SEPARATOR);
	k->target = strdup(spec->target_label ? spec->target_label : "");
	k->replacement =
		strdup(spec->replacement ? spec->replacement : RELABEL_DEFAULT_REPLACEMENT);
	k->source = calloc(MAX(spec->n_source_labels, 1u), sizeof(char *));
	if (!k->separator || !k->target || !k->replacement || !k->source)
		return -ENOMEM;
	k->target_plain = !strchr(k->target, '$');
	for (; k->n_source < spec->n_source_labels; k->n_source++) {
		k->source[k->n_source] = strdup(spec->source_labels[k->n_source]);
		if (!k->source[k->n_source])
			return -ENOMEM;
	}
	return regex_new_whole(regex, strlen(regex), &k->regex, why, size);
}

int relabel_new(const struct relabel_spec *specs, size_t n, bool legacy_names, struct relabel **ret,
		char *why, size_t size)
{
	_cleanup_(relabel_freep) struct relabel *r = calloc(1, sizeof(*r));

	if (n > RELABEL_MAX_RULES) {
		(void)snprintf(why, size, "more than %d rules", RELABEL_MAX_RULES);
		return -EINVAL;
	}
	if (r)
		r->rules = calloc(MAX(n, 1u), sizeof(*r->rules));
	if (!r || !r->rules)
		return -ENOMEM;
	r->legacy_names = legacy_names;
	r->joined = r->out = r->name = BUF_INIT(RELABEL_MAX_VALUE);
	for (size_t i = 0; i < n; i++) {
		int k = relabel_check(&specs[i], why, size);

		r->n++;
		if (k >= 0)
			k = rule_init(&r->rules[i], &specs[i], why, size);
		if (k < 0)
			return k;
	}
	*ret = TAKE_PTR(r);
	return 0;
}

static int charge(struct run *u, size_t bytes)
{
	if (*u->budget < bytes) {
		*u->budget = 0;
		return -E2BIG;
	}
	*u->budget -= bytes;
	return 0;
}

static int join_sources(struct run *u)
{
	const struct rule *k = u->rule;
	struct buf *b = &u->r->joined;

	u->value = "";
	u->len = 0;
	if (k->n_source == 1) {
		const struct relabel_label *l = relabel_set_get(u->s, k->source[0]);

		u->value = l ? l->value : "";
		u->len = l ? l->len : 0;
		return 0;
	}
	buf_reset(b);
	for (size_t i = 0; i < k->n_source; i++) {
		const struct relabel_label *l = relabel_set_get(u->s, k->source[i]);

		if (i)
			buf_adds(b, k->separator);
		if (l)
			buf_add(b, l->value, l->len);
	}
	if (b->failed)
		return b->failed;
	if (b->len) {
		u->value = buf_cstr(b);
		u->len = b->len;
	}
	return charge(u, b->len / 8);
}

static int match(struct run *u, const char *s, size_t n)
{
	return regex_match(u->rule->regex, &u->r->scratch, s, n, u->budget);
}

static int put(struct run *u, const char *name, const struct buf *value)
{
	const char *text;
	int r = charge(u, value->len);

	if (r < 0)
		return r;
	text = relabel_set_keep(u->s, value->data, value->len);
	if (text)
		relabel_set_put(u->s, name, text, value->len, NULL);
	return u->s->failed < 0 ? u->s->failed : 1;
}

static bool is_name(const struct relabel *r, const char *s, size_t n)
{
	if (!r->legacy_names)
		return n && utf8_is_clean(s, n, n);
	for (size_t i = 0; i < n; i++) {
		bool ok = s[i] == '_' || (s[i] >= 'a' && s[i] <= 'z') ||
			  (s[i] >= 'A' && s[i] <= 'Z') || (i && s[i] >= '0' && s[i] <= '9');

		if (!ok)
			return false;
	}
	return n > 0;
}

static int replace(struct run *u)
{
	struct relabel *r = u->r;
	const struct rule *k = u->rule;
	const char *name = k->target;
	int m = match(u, u->value, u->len);

	if (m <= 0)
		return m < 0 ? m : 1;
	u->rule->counts.matched++;
	if (!k->target_plain) {
		buf_reset(&r->name);
		regex_expand(k->regex, &r->scratch, u->value, k->target, strlen(k->target),
			     &r->name);
		if (r->name.failed)
			return r->name.failed;
		name = buf_cstr(&r->name);
	}
	if (!is_name(r, name, strlen(name)))
		return 1;
	buf_reset(&r->out);
	regex_expand(k->regex, &r->scratch, u->value, k->replacement, strlen(k->replacement),
		     &r->out);
	if (r->out.failed)
		return r->out.failed;
	if (!k->target_plain) {
		name = relabel_set_keep(u->s, name, r->name.len);
		if (!name)
			return u->s->failed;
	}
	return put(u, name, &r->out);
}

static int hashmod(struct run *u)
{
	uint8_t sum[MD5_BYTES];
	uint64_t v = 0;
	int r = charge(u, u->len);

	if (r < 0)
		return r;
	md5(u->value, u->len, sum);
	for (size_t i = 8; i < MD5_BYTES; i++)
		v = v << 8 | sum[i];
	u->rule->counts.matched++;
	buf_reset(&u->r->out);
	buf_printf(&u->r->out, "%" PRIu64, v % u->rule->modulus);
	return u->r->out.failed ? u->r->out.failed : put(u, u->rule->target, &u->r->out);
}

static int change_case(struct run *u, uint32_t (*fn)(uint32_t))
{
	struct buf *out = &u->r->out;

	buf_reset(out);
	for (size_t i = 0, k; i < u->len; i += k) {
		char to[4];

		buf_add(out, to,
			unicode_encode(fn(unicode_decode(u->value + i, u->len - i, &k)), to));
	}
	u->rule->counts.matched++;
	return out->failed ? out->failed : put(u, u->rule->target, out);
}

/* What the rule makes of a label's name: *ret is NULL when it does not match. */
static int name_result(struct run *u, const char *name, const char **ret)
{
	const struct relabel_name *known = relabel_names_get(&u->rule->names, name);
	struct relabel *r = u->r;
	struct buf *out = &r->out;
	size_t n = strlen(name);
	int m;

	if (known) {
		*ret = known->result;
		return charge(u, 1);
	}
	m = match(u, name, n);
	if (m < 0)
		return m;
	*ret = NULL;
	if (m) {
		const int32_t *g = r->scratch.groups;

		/* Go: ReplaceAllString(). The expression is anchored: it matches once. */
		buf_reset(out);
		buf_add(out, name, (size_t)g[0]);
		regex_expand(u->rule->regex, &r->scratch, name, u->rule->replacement,
			     strlen(u->rule->replacement), out);
		buf_add(out, name + g[1], n - (size_t)g[1]);
		if (out->failed || charge(u, out->len) < 0)
			return out->failed ? out->failed : -E2BIG;
		*ret = relabel_set_keep(u->s, out->data, out->len);
		if (!*ret)
			return u->s->failed;
	}
	relabel_names_put(&u->rule->names, name, *ret);
	return 0;
}

/* From the names and values as they are before the rule. */
static int labelmap(struct run *u)
{
	size_t n = u->s->n, n_new = 0;
	_cleanup_free_ struct relabel_label *new = malloc(MAX(n, 1u) * sizeof(*new));
	int r;

	if (!new)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const char *name;

		r = name_result(u, u->s->v[i].name, &name);
		if (r < 0)
			return r;
		if (!name || !*name)
			continue;
		new[n_new] = u->s->v[i];
		new[n_new++].name = name;
	}
	u->rule->counts.matched += n_new > 0;
	for (size_t i = 0; i < n_new; i++)
		relabel_set_put(u->s, new[i].name, new[i].value, new[i].len, new[i].origin);
	return u->s->failed < 0 ? u->s->failed : 1;
}

/* Removes the labels whose names match, or those whose names do not. */
static int remove_labels(struct run *u, bool matching)
{
	size_t n = 0;

	for (size_t i = 0; i < u->s->n; i++) {
		const char *result;
		int r = name_result(u, u->s->v[i].name, &result);

		if (r < 0)
			return r;
		if (!result == matching)
			u->s->v[n++] = u->s->v[i];
	}
	u->rule->counts.matched += n < u->s->n;
	u->s->n = n;
	return 1;
}

static bool equals_target(const struct run *u)
{
	const struct relabel_label *l = relabel_set_get(u->s, u->rule->target);

	return l ? l->len == u->len && !memcmp(l->value, u->value, u->len) : !u->len;
}

/* 1: go on, 0: dropped. */
static int apply(struct run *u)
{
	int m;

	switch (u->rule->action) {
	case RELABEL_REPLACE:
		return replace(u);
	case RELABEL_KEEP:
	case RELABEL_DROP:
		m = match(u, u->value, u->len);
		if (m < 0)
			return m;
		u->rule->counts.matched += m > 0;
		return m == (u->rule->action == RELABEL_KEEP);
	case RELABEL_KEEPEQUAL:
	case RELABEL_DROPEQUAL:
		m = equals_target(u);
		u->rule->counts.matched += m > 0;
		return m == (u->rule->action == RELABEL_KEEPEQUAL);
	case RELABEL_HASHMOD:
		return hashmod(u);
	case RELABEL_LABELMAP:
		return labelmap(u);
	case RELABEL_LABELDROP:
		return remove_labels(u, true);
	case RELABEL_LABELKEEP:
		return remove_labels(u, false);
	case RELABEL_LOWERCASE:
		return change_case(u, unicode_to_lower);
	case RELABEL_UPPERCASE:
		return change_case(u, unicode_to_upper);
	}
	return -EINVAL;
}

int relabel_apply(struct relabel *r, struct relabel_set *s, uint64_t *budget, size_t *ret_rule)
{
	for (size_t i = 0; i < r->n; i++) {
		struct run u = {.r = r, .rule = &r->rules[i], .s = s, .budget = budget};
		int k;

		u.rule->counts.seen++;
		k = join_sources(&u);
		if (k >= 0)
			k = apply(&u);
		if (ret_rule)
			*ret_rule = i;
		if (!k)
			u.rule->counts.dropped++;
		if (k <= 0)
			return k;
	}
	return s->failed < 0 ? s->failed : 1;
}

size_t relabel_n_rules(const struct relabel *r)
{
	return r->n;
}

const char *relabel_action(const struct relabel *r, size_t rule)
{
	return relabel_action_name(r->rules[rule].action);
}

const struct relabel_counts *relabel_get_counts(const struct relabel *r, size_t rule)
{
	return &r->rules[rule].counts;
}

void relabel_reset_counts(struct relabel *r)
{
	for (size_t i = 0; i < r->n; i++)
		r->rules[i].counts = (struct relabel_counts){0};
}

void relabel_count(struct relabel *r, size_t rule, bool matched, bool dropped)
{
	struct relabel_counts *k = &r->rules[rule].counts;

	k->seen++;
	k->matched += matched;
	k->dropped += dropped;
}
