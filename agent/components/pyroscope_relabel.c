/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/components/pyroscope_relabel.h"

#include <errno.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/components/relabel_rules.h"
#include "agent/export/receiver.h"
#include "agent/metrics.h"
#include "agent/relabel/relabel_cache.h"

#define MAX_KEY (16u << 20)

struct relabel_args {
	struct schema_receivers forward_to;
	struct schema_blocks rules;
	int64_t max_cache_size;
};

struct relabel_component {
	struct component base;
	struct receiver receiver;
	struct relabel *rules;
	struct relabel_cache cache;
	struct relabel_set set;
	struct buf key;
	uint64_t processed, written, dropped, hits, misses, too_expensive;
};

static int relabel_validate(const void *args, char *why, size_t size)
{
	if (((const struct relabel_args *)args)->max_cache_size > 0)
		return 0;
	(void)snprintf(why, size, "max_cache_size must be greater than 0");
	return -EINVAL;
}

static const struct option relabel_options[] = {
	{"forward_to", OPTION_RECEIVERS, NULL, OPTION_REQUIRED,
	 offsetof(struct relabel_args, forward_to), NULL, "where the profiles go"},
	{"max_cache_size", OPTION_INT, "10000",
	 .offset = offsetof(struct relabel_args, max_cache_size),
	 .help = "sets of labels whose result is remembered"},
	{"rule", OPTION_BLOCKS, .offset = offsetof(struct relabel_args, rules),
	 .block = &relabel_rule_schema, .help = "one step of relabelling"},
};

static const struct schema relabel_schema = {
	.size = sizeof(struct relabel_args),
	.options = relabel_options,
	.n = ARRAY_SIZE(relabel_options),
	.validate = relabel_validate,
};

/* The labels of one profile as a key of the cache. */
static void write_key(struct buf *b, const struct label *labels, size_t n)
{
	buf_reset(b);
	for (size_t i = 0; i < n; i++) {
		buf_add(b, labels[i].name, strlen(labels[i].name) + 1);
		buf_add(b, labels[i].value, strlen(labels[i].value) + 1);
	}
}

/* Runs the rules. 1: *ret is what is left; 0: dropped. */
static int run_rules(struct relabel_component *c, const struct label *labels, size_t n,
		     struct label_set *ret)
{
	uint64_t budget = RELABEL_STEPS;
	size_t rule = 0;
	int r;

	relabel_set_reset(&c->set);
	for (size_t i = 0; i < n; i++)
		relabel_set_put(&c->set, labels[i].name, labels[i].value, strlen(labels[i].value),
				NULL);
	r = relabel_apply(c->rules, &c->set, &budget, &rule);
	if (r == -E2BIG) {
		c->too_expensive++;
		component_set_health(&c->base, HEALTH_UNHEALTHY,
				     "rule %zu (%s) takes too long for the labels of a profile, "
				     "dropping it: make its regex or the values that it sees "
				     "shorter",
				     rule + 1, relabel_action(c->rules, rule));
	}
	for (size_t i = 0; i < c->set.n && r > 0; i++)
		label_set_put(ret, c->set.v[i].name, c->set.v[i].value);
	if (ret->failed)
		return -ENOMEM;
	return r > 0 ? ret->n > 0 : r;
}

/* What the rules make of the labels; NULL: the profile is dropped. Valid until the next call. */
static const struct label_set *relabelled(struct relabel_component *c, const struct label *labels,
					  size_t n)
{
	const struct relabel_entry *e = NULL;
	struct label_set set = {0};
	int r;

	c->processed++;
	write_key(&c->key, labels, n);
	if (!c->key.failed)
		e = relabel_cache_get(&c->cache, c->key.data, c->key.len);
	if (e) {
		c->hits++;
	} else if (!c->key.failed) {
		c->misses++;
		r = run_rules(c, labels, n, &set);
		/* What was too expensive once is so the next time. */
		if (r >= 0 || r == -E2BIG)
			e = relabel_cache_put(&c->cache, c->key.data, c->key.len, &set, r <= 0);
		label_set_done(&set);
	}
	if (!e || e->dropped) {
		c->dropped++;
		return NULL;
	}
	c->written++;
	return &e->labels;
}

static void relabel_append(struct receiver *self, const struct label *labels, size_t n,
			   const uint8_t *pprof, size_t bytes, uint64_t time_ns)
{
	struct relabel_component *c = container_of(self, struct relabel_component, receiver);
	const struct schema_receivers *to =
		&((const struct relabel_args *)c->base.args)->forward_to;
	const struct label_set *set = relabelled(c, labels, n);

	for (size_t i = 0; set && i < to->n; i++)
		to->v[i]->append(to->v[i], set->v, set->n, pprof, bytes, time_ns);
}

static void relabel_ingest(struct receiver *self, const struct ingest *in)
{
	struct relabel_component *c = container_of(self, struct relabel_component, receiver);
	const struct schema_receivers *to =
		&((const struct relabel_args *)c->base.args)->forward_to;
	const struct label_set *set = relabelled(c, in->labels, in->n_labels);
	struct ingest out = *in;

	if (!set)
		return;
	out.labels = set->v;
	out.n_labels = set->n;
	for (size_t i = 0; i < to->n; i++) {
		if (to->v[i]->ingest)
			to->v[i]->ingest(to->v[i], &out);
		else
			c->dropped++;
	}
}

static struct value *exports_of(struct relabel_component *c, const struct schema_blocks *rules)
{
	struct value_list l = {0};

	value_list_add(&l, "receiver", value_capsule(&capsule_receiver, &c->receiver));
	value_list_add(&l, "rules", relabel_rules_capsule(rules));
	return value_object(&l);
}

static int relabel_init(struct component *base)
{
	struct relabel_component *c = (struct relabel_component *)base;
	const struct schema_blocks no_rules = {0};

	c->receiver.append = relabel_append;
	c->receiver.ingest = relabel_ingest;
	c->key = BUF_INIT(MAX_KEY);
	base->exports = exports_of(c, &no_rules);
	return base->exports ? 0 : -ENOMEM;
}

static int relabel_build(struct component *base, char *why, size_t size)
{
	struct relabel_component *c = (struct relabel_component *)base;
	const struct relabel_args *a = base->args;
	struct relabel *fresh;
	int r = relabel_rules_new(&a->rules, true, &fresh, why, size);

	if (r < 0)
		return r;
	relabel_free(c->rules);
	c->rules = fresh;
	relabel_cache_reset(&c->cache, (size_t)a->max_cache_size);
	if (base->health == HEALTH_UNHEALTHY)
		component_set_health(base, HEALTH_HEALTHY, "new rules loaded");
	component_export(base, exports_of(c, &a->rules));
	return 0;
}

static int relabel_update(struct component *base, const void *old, char *why, size_t size)
{
	const struct relabel_args *a = base->args, *b = old;

	/* Other receivers alone change nothing of what was learned. */
	if (relabel_rules_equal(&a->rules, &b->rules) && a->max_cache_size == b->max_cache_size)
		return 0;
	return relabel_build(base, why, size);
}

static void relabel_done(struct component *base)
{
	struct relabel_component *c = (struct relabel_component *)base;

	relabel_cache_done(&c->cache);
	relabel_set_done(&c->set);
	c->rules = relabel_free(c->rules);
	buf_done(&c->key);
}

/* Names: internal/component/pyroscope/relabel of Alloy. */
static void relabel_metrics(const struct component *base, struct metrics *m)
{
	static const struct metric_family families[] = {
		{"pyroscope_relabel_profiles_processed", "Profiles that came.", METRIC_COUNTER},
		{"pyroscope_relabel_profiles_written", "Profiles passed on.", METRIC_COUNTER},
		{"pyroscope_relabel_profiles_dropped", "Profiles dropped.", METRIC_COUNTER},
		{"pyroscope_relabel_cache_hits", "Label sets whose result was known.",
		 METRIC_COUNTER},
		{"pyroscope_relabel_cache_misses", "Label sets that rules were run for.",
		 METRIC_COUNTER},
		{"pyroscope_relabel_cache_size", "Label sets in the cache.", METRIC_GAUGE},
	};
	const struct relabel_component *c = (const struct relabel_component *)base;
	const uint64_t values[] = {c->processed, c->written, c->dropped,
				   c->hits,	 c->misses,  c->cache.n};

	for (size_t i = 0; i < ARRAY_SIZE(families); i++)
		metrics_add(m, &families[i], NULL, 0, (double)values[i]);
}

static struct value *relabel_debug(const struct component *base)
{
	const struct relabel_component *c = (const struct relabel_component *)base;
	struct value_list l = {0};

	value_list_add(&l, "processed", value_int((int64_t)c->processed));
	value_list_add(&l, "written", value_int((int64_t)c->written));
	value_list_add(&l, "dropped", value_int((int64_t)c->dropped));
	value_list_add(&l, "too_expensive", value_int((int64_t)c->too_expensive));
	value_list_add(&l, "cache_bytes", value_int((int64_t)c->cache.bytes));
	if (c->rules)
		value_list_add(&l, "rules", relabel_rules_debug(c->rules));
	return value_object(&l);
}

const struct component_type pyroscope_relabel_type = {
	.name = "pyroscope.relabel",
	.help = "changes the labels of profiles, or drops them, by rules",
	.schema = &relabel_schema,
	.size = sizeof(struct relabel_component),
	.init = relabel_init,
	.build = relabel_build,
	.update = relabel_update,
	.done = relabel_done,
	.metrics = relabel_metrics,
	.debug_info = relabel_debug,
};
