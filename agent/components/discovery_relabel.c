/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/components/discovery_relabel.h"

#include <errno.h>

#include "agent/components/relabel_memo.h"
#include "agent/components/relabel_rules.h"
#include "agent/components/targets_value.h"

struct relabel_args {
	struct value *targets;
	struct schema_blocks rules;
};

struct relabel_component {
	struct component base;
	struct relabel *rules;
	struct relabel_memo memo;
	size_t n_in, n_out; /* targets, of the last time */
	uint64_t too_expensive;
};

static const struct option relabel_options[] = {
	{"targets", OPTION_TARGETS, NULL, OPTION_REQUIRED, offsetof(struct relabel_args, targets),
	 NULL, "the targets to relabel"},
	{"rule", OPTION_BLOCKS, .offset = offsetof(struct relabel_args, rules),
	 .block = &relabel_rule_schema, .help = "one step of relabelling"},
};

static const struct schema relabel_schema = {
	.size = sizeof(struct relabel_args),
	.options = relabel_options,
	.n = ARRAY_SIZE(relabel_options),
};

static struct value *exports_of(struct value *output, const struct schema_blocks *rules)
{
	struct value_list l = {0};

	value_list_add(&l, "output", output);
	value_list_add(&l, "rules", relabel_rules_capsule(rules));
	return value_object(&l);
}

static int evaluate(struct relabel_component *c)
{
	const struct relabel_args *a = c->base.args;
	struct value *output, *old = value_get(c->base.exports, "output");
	size_t rule = 0;
	int r;

	r = relabel_memo_apply(&c->memo, c->rules, a->targets, &output, &rule);
	if (r < 0) {
		if (r != -E2BIG)
			return r;
		c->too_expensive++;
		component_set_health(&c->base, HEALTH_UNHEALTHY,
				     "rule %zu (%s) takes too long on these %zu targets, "
				     "keeping the last output: make its regex or the values that "
				     "it sees shorter",
				     rule + 1, relabel_action(c->rules, rule), a->targets->n_items);
		output = value_ref(old);
	} else {
		c->n_in = a->targets->n_items;
		c->n_out = output->n_items;
		if (c->base.health == HEALTH_UNHEALTHY)
			component_set_health(&c->base, HEALTH_HEALTHY, "rules applied");
	}
	component_export(&c->base, exports_of(output, &a->rules));
	return 0;
}

static int relabel_init(struct component *c)
{
	const struct schema_blocks no_rules = {0};
	struct value_list none = {0};

	c->exports = exports_of(value_array(&none), &no_rules);
	return c->exports ? 0 : -ENOMEM;
}

static int relabel_build(struct component *base, char *why, size_t size)
{
	struct relabel_component *c = (struct relabel_component *)base;
	const struct relabel_args *a = base->args;
	int r = relabel_rules_new(&a->rules, false, &c->rules, why, size);

	return r < 0 ? r : evaluate(c);
}

static int relabel_update(struct component *base, const void *old, char *why, size_t size)
{
	struct relabel_component *c = (struct relabel_component *)base;
	const struct relabel_args *a = base->args, *b = old;

	if (!relabel_rules_equal(&a->rules, &b->rules)) {
		struct relabel *fresh;
		int r = relabel_rules_new(&a->rules, false, &fresh, why, size);

		if (r < 0)
			return r;
		relabel_memo_done(&c->memo);
		relabel_free(c->rules);
		c->rules = fresh;
	}
	return evaluate(c);
}

static void relabel_done(struct component *base)
{
	struct relabel_component *c = (struct relabel_component *)base;

	relabel_memo_done(&c->memo);
	c->rules = relabel_free(c->rules);
}

static struct value *relabel_debug(const struct component *base)
{
	const struct relabel_component *c = (const struct relabel_component *)base;
	struct value_list l = {0};

	value_list_add(&l, "targets", value_int((int64_t)c->n_in));
	value_list_add(&l, "output", value_int((int64_t)c->n_out));
	value_list_add(&l, "too_expensive", value_int((int64_t)c->too_expensive));
	if (c->rules)
		value_list_add(&l, "rules", relabel_rules_debug(c->rules));
	return value_object(&l);
}

const struct component_type discovery_relabel_type = {
	.name = "discovery.relabel",
	.help = "other targets with other labels, by rules",
	.schema = &relabel_schema,
	.size = sizeof(struct relabel_component),
	.init = relabel_init,
	.build = relabel_build,
	.update = relabel_update,
	.done = relabel_done,
	.debug_info = relabel_debug,
};
