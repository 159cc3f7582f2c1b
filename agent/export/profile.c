/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/export/profile.h"

#include <errno.h>
#include <string.h>

#define ENTRIES_MAX (UINT64_C(1) << 31)
#define ENTRIES_MIN 64u

int profile_new(struct profile **ret)
{
	_cleanup_(profile_freep) struct profile *p = calloc(1, sizeof(*p));

	if (!p || intern_str(&p->strings, "") == INTERN_INVALID)
		return -ENOMEM;
	*ret = TAKE_PTR(p);
	return 0;
}

struct profile *profile_free(struct profile *p)
{
	if (!p)
		return NULL;
	intern_done(&p->strings);
	hash_done(&p->mapping_ids);
	hash_done(&p->function_ids);
	hash_done(&p->location_ids);
	hash_done(&p->stack_ids);
	free(p->mappings);
	free(p->functions);
	free(p->lines);
	free(p->locations);
	free(p->processes);
	free(p->samples);
	free(p->stack_locations);
	free(p);
	return NULL;
}

/* The room of an array follows from its length, so that no capacity has to be stored. */
static uint64_t profile_capacity(uint64_t n)
{
	uint64_t cap = ENTRIES_MIN;

	if (!n)
		return 0;
	while (cap < n)
		cap *= 2;
	return cap;
}

/* Makes room for `more` entries behind the n that are there; array points to the pointer. */
static int profile_room(void *array, size_t n, size_t more, size_t size)
{
	uint64_t cap = profile_capacity(n);
	void *p;

	if (more > ENTRIES_MAX || n + more > ENTRIES_MAX)
		return -E2BIG;
	if (n + more <= cap)
		return 0;
	memcpy(&p, array, sizeof(p));
	p = realloc(p, profile_capacity(n + more) * size);
	if (!p)
		return -ENOMEM;
	memcpy(array, &p, sizeof(p));
	return 0;
}

/*
 * Looks for an entry with the content `wanted`. Entries with equal hashes lie at key, key + 1, ...;
 * *key is left at the free place when nothing is found (HASH_NONE).
 */
typedef bool (*profile_same_fn)(const struct profile *p, uint64_t index, const void *wanted);

static uint64_t profile_find(const struct profile *p, const struct hash *ids, uint64_t *key,
			     profile_same_fn same, const void *wanted)
{
	uint64_t index;

	while ((index = hash_get(ids, *key)) != HASH_NONE) {
		if (same(p, index, wanted))
			return index;
		(*key)++;
	}
	return HASH_NONE;
}

static bool profile_same_mapping(const struct profile *p, uint64_t index, const void *wanted)
{
	const struct profile_mapping *a = &p->mappings[index], *b = wanted;

	return a->start == b->start && a->limit == b->limit && a->offset == b->offset &&
	       a->file == b->file && a->build_id == b->build_id &&
	       a->has_functions == b->has_functions && a->has_lines == b->has_lines &&
	       a->has_inlines == b->has_inlines;
}

int64_t profile_add_mapping(struct profile *p, const struct profile_mapping *m)
{
	const uint64_t words[] = {m->start, m->limit, m->offset,
				  (uint64_t)m->file << 32 | m->build_id};
	uint64_t key = hash_bytes(words, sizeof(words));
	uint64_t index = profile_find(p, &p->mapping_ids, &key, profile_same_mapping, m);
	int r;

	if (index != HASH_NONE)
		return (int64_t)index;
	r = profile_room(&p->mappings, p->n_mappings, 1, sizeof(*p->mappings));
	if (r < 0)
		return r;
	r = hash_put(&p->mapping_ids, key, p->n_mappings);
	if (r < 0)
		return r;
	p->mappings[p->n_mappings] = *m;
	return (int64_t)p->n_mappings++;
}

static bool profile_same_function(const struct profile *p, uint64_t index, const void *wanted)
{
	const struct profile_function *a = &p->functions[index], *b = wanted;

	return a->name == b->name && a->system_name == b->system_name && a->file == b->file &&
	       a->start_line == b->start_line;
}

int64_t profile_add_function(struct profile *p, const struct profile_function *f)
{
	const uint32_t words[] = {f->name, f->system_name, f->file, f->start_line};
	uint64_t key = hash_bytes(words, sizeof(words));
	uint64_t index = profile_find(p, &p->function_ids, &key, profile_same_function, f);
	int r;

	if (index != HASH_NONE)
		return (int64_t)index;
	r = profile_room(&p->functions, p->n_functions, 1, sizeof(*p->functions));
	if (r < 0)
		return r;
	r = hash_put(&p->function_ids, key, p->n_functions);
	if (r < 0)
		return r;
	p->functions[p->n_functions] = *f;
	return (int64_t)p->n_functions++;
}

struct profile_location_key {
	uint64_t address;
	uint32_t mapping;
	enum profile_kind kind;
	const struct profile_line *lines;
	size_t n_lines;
};

static bool profile_same_location(const struct profile *p, uint64_t index, const void *wanted)
{
	const struct profile_location *a = &p->locations[index];
	const struct profile_location_key *b = wanted;

	return a->address == b->address && a->mapping == b->mapping && a->kind == b->kind &&
	       a->n_lines == b->n_lines &&
	       !memcmp(&p->lines[a->first_line], b->lines, b->n_lines * sizeof(*b->lines));
}

static int profile_append_location(struct profile *p, const struct profile_location_key *l,
				   bool named, uint64_t key)
{
	int r = profile_room(&p->lines, p->n_lines, l->n_lines, sizeof(*p->lines));

	if (r < 0)
		return r;
	r = profile_room(&p->locations, p->n_locations, 1, sizeof(*p->locations));
	if (r < 0)
		return r;
	r = hash_put(&p->location_ids, key, p->n_locations);
	if (r < 0)
		return r;
	p->locations[p->n_locations++] = (struct profile_location){
		.address = l->address,
		.mapping = l->mapping,
		.first_line = (uint32_t)p->n_lines,
		.n_lines = (uint16_t)l->n_lines,
		.kind = (uint8_t)l->kind,
		.named = named,
	};
	memcpy(&p->lines[p->n_lines], l->lines, l->n_lines * sizeof(*l->lines));
	p->n_lines += l->n_lines;
	return 0;
}

int64_t profile_add_location(struct profile *p, uint64_t address, uint32_t mapping,
			     enum profile_kind kind, bool named, const struct profile_line *lines,
			     size_t n_lines)
{
	const struct profile_location_key l = {address, mapping, kind, lines, n_lines};
	uint64_t key, index;
	int r;

	if (n_lines > UINT16_MAX)
		return -E2BIG;
	if (!n_lines || mapping > p->n_mappings || kind >= PROFILE_KIND_MAX)
		return -EINVAL;
	for (size_t i = 0; i < n_lines; i++)
		if (lines[i].function >= p->n_functions)
			return -EINVAL;
	key = hash_mix(address ^ hash_mix((uint64_t)mapping << 8 | kind)) ^
	      hash_bytes(lines, n_lines * sizeof(*lines));
	index = profile_find(p, &p->location_ids, &key, profile_same_location, &l);
	if (index != HASH_NONE)
		return (int64_t)index;
	r = profile_append_location(p, &l, named, key);
	return r < 0 ? r : (int64_t)p->n_locations - 1;
}

int64_t profile_add_process(struct profile *p, const struct profile_process *proc)
{
	int r = profile_room(&p->processes, p->n_processes, 1, sizeof(*p->processes));

	if (r < 0)
		return r;
	p->processes[p->n_processes] = *proc;
	return (int64_t)p->n_processes++;
}

struct profile_stack_key {
	const uint32_t *locations;
	size_t n;
	uint32_t process;
	bool complete;
};

/* stack_ids holds two entries a sample, both with its index: one finds the run of locations
 * whatever the process, so that processes share it; the other finds the sample itself. The
 * content is compared, so it does not matter which of the two a lookup meets. */
static bool profile_same_stack(const struct profile *p, uint64_t index, const void *wanted)
{
	const struct profile_stack_key *b = wanted;
	const struct profile_sample *a;

	if (index >= p->n_samples)
		return false;
	a = &p->samples[index];
	return a->n_locations == b->n &&
	       (!b->n ||
		!memcmp(&p->stack_locations[a->first], b->locations, b->n * sizeof(*b->locations)));
}

static bool profile_same_sample(const struct profile *p, uint64_t index, const void *wanted)
{
	const struct profile_stack_key *b = wanted;

	return profile_same_stack(p, index, wanted) && p->samples[index].process == b->process &&
	       p->samples[index].complete == b->complete;
}

static uint64_t profile_saturate(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

/* The index of the run in stack_locations: the one that is there, or a new one. */
static int64_t profile_add_stack(struct profile *p, const struct profile_stack_key *s,
				 uint64_t hash)
{
	uint64_t index = profile_find(p, &p->stack_ids, &hash, profile_same_stack, s);
	size_t first = p->n_stack_locations;
	int r;

	if (index != HASH_NONE)
		return p->samples[index].first;
	r = profile_room(&p->stack_locations, first, s->n, sizeof(*p->stack_locations));
	if (r < 0)
		return r;
	/* The sample that this index names is appended by the caller, or never looked at. */
	r = hash_put(&p->stack_ids, hash, p->n_samples);
	if (r < 0)
		return r;
	if (s->n)
		memcpy(&p->stack_locations[first], s->locations, s->n * sizeof(*s->locations));
	p->n_stack_locations += s->n;
	return (int64_t)first;
}

int profile_add_sample(struct profile *p, uint32_t process, const uint32_t *locations, size_t n,
		       uint64_t value, uint64_t count, bool complete)
{
	const struct profile_stack_key s = {locations, n, process, complete};
	uint64_t hash, key, index;
	int64_t first;
	int r;

	if (n > ENTRIES_MAX)
		return -E2BIG;
	if (process >= p->n_processes)
		return -EINVAL;
	for (size_t i = 0; i < n; i++)
		if (locations[i] >= p->n_locations)
			return -EINVAL;
	hash = hash_bytes(locations, n * sizeof(*locations));
	key = hash_mix(hash ^ hash_mix((uint64_t)process << 1 | complete));
	index = profile_find(p, &p->stack_ids, &key, profile_same_sample, &s);
	if (index != HASH_NONE) {
		p->samples[index].value = profile_saturate(p->samples[index].value, value);
		p->samples[index].count = profile_saturate(p->samples[index].count, count);
		return 0;
	}
	r = profile_room(&p->samples, p->n_samples, 1, sizeof(*p->samples));
	if (r < 0)
		return r;
	first = profile_add_stack(p, &s, hash);
	if (first < 0)
		return (int)first;
	/* The place may have been taken by the entry of the stack. */
	(void)profile_find(p, &p->stack_ids, &key, profile_same_sample, &s);
	r = hash_put(&p->stack_ids, key, p->n_samples);
	if (r < 0)
		return r;
	p->samples[p->n_samples++] = (struct profile_sample){
		.value = value,
		.count = count,
		.first = (uint32_t)first,
		.n_locations = (uint32_t)n,
		.process = process,
		.complete = complete,
	};
	return 0;
}

void profile_sum(const struct profile *p, struct profile_totals *ret)
{
	struct profile_totals t = {0};

	for (size_t i = 0; i < p->n_samples; i++) {
		const struct profile_sample *s = &p->samples[i];

		t.value = profile_saturate(t.value, s->value);
		t.count = profile_saturate(t.count, s->count);
		if (s->complete)
			t.complete = profile_saturate(t.complete, s->count);
		for (size_t j = 0; j < s->n_locations; j++) {
			uint32_t index = p->stack_locations[s->first + j];
			const struct profile_location *l = &p->locations[index];

			if (l->kind == PROFILE_REASON || l->kind == PROFILE_COMM)
				continue;
			t.frames += s->count * l->n_lines;
			if (l->named)
				t.named_frames += s->count * l->n_lines;
		}
	}
	*ret = t;
}
