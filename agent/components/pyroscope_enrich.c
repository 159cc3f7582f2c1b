/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/components/pyroscope_enrich.h"

#include <errno.h>
#include <string.h>

#include "agent/base/hash.h"
#include "agent/components/targets_value.h"
#include "agent/export/receiver.h"
#include "agent/labels.h"

struct enrich_args {
	struct schema_receivers forward_to;
	struct value *targets;
	char *target_match_label, *profiles_match_label;
	struct schema_strings labels_to_copy;
};

struct enrich {
	struct component base;
	struct receiver receiver;
	struct hash by_value; /* hash of the matched value -> index of the target */
	uint64_t profiles, enriched, dropped;
};

static const struct enrich_args *args_of(const struct enrich *c)
{
	return c->base.args;
}

#define FIELD(member) offsetof(struct enrich_args, member)
static const struct option enrich_options[] = {
	{"forward_to", OPTION_RECEIVERS, NULL, OPTION_REQUIRED, FIELD(forward_to),
	 .help = "where the profiles go"},
	{"targets", OPTION_TARGETS, NULL, OPTION_REQUIRED, FIELD(targets),
	 .help = "whose labels are copied"},
	{"target_match_label", OPTION_STRING, NULL, OPTION_REQUIRED, FIELD(target_match_label),
	 .help = "the label of a target that is compared"},
	{"profiles_match_label", OPTION_STRING, .offset = FIELD(profiles_match_label),
	 .help = "the label of a profile that is compared; as target_match_label when empty"},
	{"labels_to_copy", OPTION_STRINGS, .offset = FIELD(labels_to_copy),
	 .help = "names of the labels that are copied; all when empty"},
};

static const struct schema enrich_schema = {
	.size = sizeof(struct enrich_args),
	.options = enrich_options,
	.n = ARRAY_SIZE(enrich_options),
};

static const struct value *find_target(const struct enrich *c, const struct label *labels, size_t n)
{
	const struct enrich_args *a = args_of(c);
	const char *name =
		*a->profiles_match_label ? a->profiles_match_label : a->target_match_label;
	const struct value *target;
	const char *value = "";
	uint64_t i;

	for (size_t k = 0; k < n; k++) {
		if (!strcmp(labels[k].name, name))
			value = labels[k].value;
	}
	i = *value ? hash_get(&c->by_value, hash_bytes(value, strlen(value))) : HASH_NONE;
	if (i == HASH_NONE)
		return NULL;
	target = a->targets->items[i];
	return strcmp(targets_value_get(target, a->target_match_label), value) ? NULL : target;
}

static void copy_labels(const struct enrich_args *a, const struct value *target,
			struct label_set *to)
{
	const struct schema_strings *names = &a->labels_to_copy;

	for (size_t i = 0; !names->n && i < target->n_fields; i++)
		label_set_put(to, target->fields[i].key, target->fields[i].value->s);
	for (size_t i = 0; i < names->n; i++) {
		const char *value = targets_value_get(target, names->v[i]);

		if (*value)
			label_set_put(to, names->v[i], value);
	}
}

/* The labels of a profile with those of its target. False (counted): no memory for them. */
static bool enrich(struct enrich *c, const struct label *labels, size_t n, struct label_set *ret)
{
	const struct value *target = find_target(c, labels, n);

	c->profiles++;
	for (size_t i = 0; i < n; i++)
		label_set_put(ret, labels[i].name, labels[i].value);
	if (target)
		copy_labels(args_of(c), target, ret);
	c->enriched += target != NULL;
	c->dropped += ret->failed;
	return !ret->failed;
}

static void enrich_append(struct receiver *self, const struct label *labels, size_t n,
			  const uint8_t *pprof, size_t bytes, uint64_t time_ns)
{
	struct enrich *c = container_of(self, struct enrich, receiver);
	const struct schema_receivers *to = &args_of(c)->forward_to;
	_cleanup_labels_ struct label_set set = {0};

	if (!enrich(c, labels, n, &set))
		return;
	for (size_t i = 0; i < to->n; i++)
		to->v[i]->append(to->v[i], set.v, set.n, pprof, bytes, time_ns);
}

static void enrich_ingest(struct receiver *self, const struct ingest *in)
{
	struct enrich *c = container_of(self, struct enrich, receiver);
	const struct schema_receivers *to = &args_of(c)->forward_to;
	_cleanup_labels_ struct label_set set = {0};
	struct ingest out = *in;

	if (!enrich(c, in->labels, in->n_labels, &set))
		return;
	out.labels = set.v;
	out.n_labels = set.n;
	for (size_t i = 0; i < to->n; i++) {
		if (to->v[i]->ingest)
			to->v[i]->ingest(to->v[i], &out);
		else
			c->dropped++;
	}
}

static int enrich_init(struct component *base)
{
	struct enrich *c = (struct enrich *)base;
	struct value_list l = {0};

	c->receiver.append = enrich_append;
	c->receiver.ingest = enrich_ingest;
	value_list_add(&l, "receiver", value_capsule(&capsule_receiver, &c->receiver));
	base->exports = value_object(&l);
	return base->exports ? 0 : -ENOMEM;
}

/* A later target with the same value replaces an earlier one. */
static int enrich_build(struct component *base, char *why, size_t size)
{
	struct enrich *c = (struct enrich *)base;
	const struct enrich_args *a = base->args;
	struct hash fresh = {0};

	for (size_t i = 0; i < a->targets->n_items; i++) {
		const char *value = targets_value_get(a->targets->items[i], a->target_match_label);

		if (*value && hash_put(&fresh, hash_bytes(value, strlen(value)), i) < 0) {
			hash_done(&fresh);
			return -ENOMEM;
		}
	}
	hash_done(&c->by_value);
	c->by_value = fresh;
	component_set_health(base, HEALTH_HEALTHY, "%zu targets", a->targets->n_items);
	return 0;
}

static int enrich_update(struct component *base, const void *old, char *why, size_t size)
{
	return enrich_build(base, why, size);
}

static void enrich_done(struct component *base)
{
	hash_done(&((struct enrich *)base)->by_value);
}

static struct value *enrich_debug(const struct component *base)
{
	const struct enrich *c = (const struct enrich *)base;
	struct value_list l = {0};

	value_list_add(&l, "profiles", value_int((int64_t)c->profiles));
	value_list_add(&l, "enriched", value_int((int64_t)c->enriched));
	value_list_add(&l, "dropped", value_int((int64_t)c->dropped));
	return value_object(&l);
}

const struct component_type pyroscope_enrich_type = {
	.name = "pyroscope.enrich",
	.help = "copies labels of targets onto profiles that pass through",
	.schema = &enrich_schema,
	.stability = STABILITY_EXPERIMENTAL,
	.size = sizeof(struct enrich),
	.init = enrich_init,
	.build = enrich_build,
	.update = enrich_update,
	.done = enrich_done,
	.debug_info = enrich_debug,
};
