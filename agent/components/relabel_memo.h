/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct relabel_memo: what rules made of each target of a list. Lists change by a few targets; the
 * others are the same objects (agent/config/value.h), are not relabelled again, and come out as
 * the objects that they were.
 */
#pragma once

#include "agent/base/hash.h"
#include "agent/config/value.h"
#include "agent/relabel/relabel.h"

struct relabel_memo {
	struct relabel_result *v; /* in the order of the list */
	uint8_t *matched;	  /* bits: the rules that matched the first one, the second... */
	size_t n;
	struct hash by_target; /* pointer -> index */
};

/* Also: the rules are others. */
void relabel_memo_done(struct relabel_memo *m);
/*
 * Relabels those of a list (OPTION_TARGETS) that the last one had not; *ret is what is left. The
 * rules' counts are of all of them. -E2BIG: *ret_rule takes too long; -ENOMEM. Then m stays.
 */
int relabel_memo_apply(struct relabel_memo *m, struct relabel *rules, const struct value *targets,
		       struct value **ret, size_t *ret_rule);
