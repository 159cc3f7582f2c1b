/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct relabel: relabelling rules, compiled, with the eleven actions of Prometheus as Grafana
 * Alloy has them (internal/component/common/relabel, 66ebea856dff). Rules are applied in order,
 * each to what the ones before it left.
 */
#pragma once

#include "agent/relabel/relabel_set.h"

/* Steps of the rules (see regex_match()): enough for any sane rule on 1 MiB of labels. What takes
 * more is refused as too expensive. */
#define RELABEL_STEPS 20000000u
/* What a list of targets may take besides, for each of them. */
#define RELABEL_STEPS_TARGET 10000u
#define RELABEL_MAX_VALUE    (4u << 20)
#define RELABEL_MAX_RULES    1000

/* A rule as it is written. The strings are borrowed; NULL: its default. */
struct relabel_spec {
	const char *action;
	const char *const *source_labels;
	size_t n_source_labels;
	const char *separator, *regex, *target_label, *replacement;
	uint64_t modulus;
};

#define RELABEL_DEFAULT_ACTION	    "replace"
#define RELABEL_DEFAULT_SEPARATOR   ";"
#define RELABEL_DEFAULT_REGEX	    "(.*)"
#define RELABEL_DEFAULT_REPLACEMENT "$1"

/* What the rule has done so far. */
struct relabel_counts {
	uint64_t seen, matched, dropped;
};

struct relabel;

/* Whether it is an action. */
bool relabel_is_action(const char *action);
/* The rule as a whole, the expression apart: 0, or -EINVAL with Alloy's message. */
int relabel_check(const struct relabel_spec *spec, char *why, size_t size);
/*
 * legacy_names: `replace` writes no label whose name is not [a-zA-Z_][a-zA-Z0-9_]* (the classic
 * mode); else any UTF-8 is a name. -EINVAL with the reason in why; -ENOMEM.
 */
int relabel_new(const struct relabel_spec *specs, size_t n, bool legacy_names, struct relabel **ret,
		char *why, size_t size);
struct relabel *relabel_free(struct relabel *r);
DEFINE_CLEANUP(struct relabel *, relabel_free)

/*
 * Applies the rules. 1: s holds the labels (strings of r among them: use them before it is freed);
 * 0: a rule drops them, what s holds is of no use. -E2BIG: *ret_rule (NULL: not asked for) took
 * more than was left of *budget, or its result is larger than RELABEL_MAX_VALUE; -ENOMEM.
 */
int relabel_apply(struct relabel *r, struct relabel_set *s, uint64_t *budget, size_t *ret_rule);

size_t relabel_n_rules(const struct relabel *r);
const char *relabel_action(const struct relabel *r, size_t rule);
const struct relabel_counts *relabel_get_counts(const struct relabel *r, size_t rule);
void relabel_reset_counts(struct relabel *r);
/* Counts what the rule is known to do, without doing it. */
void relabel_count(struct relabel *r, size_t rule, bool matched, bool dropped);
