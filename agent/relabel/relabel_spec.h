/* SPDX-License-Identifier: Apache-2.0 */
/* The actions by name, and which fields of a rule go with them. */
#pragma once

#include "agent/relabel/relabel.h"

enum relabel_action {
	RELABEL_REPLACE,
	RELABEL_KEEP,
	RELABEL_DROP,
	RELABEL_KEEPEQUAL,
	RELABEL_DROPEQUAL,
	RELABEL_HASHMOD,
	RELABEL_LABELMAP,
	RELABEL_LABELDROP,
	RELABEL_LABELKEEP,
	RELABEL_LOWERCASE,
	RELABEL_UPPERCASE,
};

/* NULL: the default. -EINVAL: there is no such action. */
int relabel_parse_action(const char *name, enum relabel_action *ret);
const char *relabel_action_name(enum relabel_action a);
