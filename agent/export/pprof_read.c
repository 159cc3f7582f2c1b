/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/export/pprof_read.h"

#include <errno.h>
#include <string.h>

#include "agent/export/gunzip.h"
#include "agent/export/proto.h"
#include "agent/base/utf8.h"

#define STRING_MAX (1u << 20)
#define TYPES_MAX  64u

struct pprof_string {
	const uint8_t *p; /* borrowed from raw */
	uint32_t n, id;	  /* id: in the profile's strings + 1, 0: not interned yet */
};

struct pprof_reader {
	struct buf raw;
	struct profile *profile;
	struct pprof_string *strings;
	size_t n_strings;
	struct hash functions, mappings, locations; /* ids of the file -> indices of the profile */
	struct hash processes;			    /* pid and comm -> index */
	size_t n_mappings;
	uint32_t program; /* string: stands in for a missing comm */
	uint64_t type_names[TYPES_MAX], type_units[TYPES_MAX];
	size_t n_types, value_type, count_type; /* count_type SIZE_MAX: none */
	uint64_t scale;				/* nanoseconds of one unit of the value */
	bool value_is_count;
	struct buf clean;
	uint32_t *stack;
	size_t n_stack;
};

static void pprof_reader_done(struct pprof_reader *x)
{
	buf_done(&x->raw);
	buf_done(&x->clean);
	profile_free(x->profile);
	free(x->strings);
	free(x->stack);
	hash_done(&x->functions);
	hash_done(&x->mappings);
	hash_done(&x->locations);
	hash_done(&x->processes);
}

static int pprof_load(struct pprof_reader *x, const void *data, size_t n)
{
	const uint8_t *b = data;

	if (n > PPROF_READ_RAW_MAX)
		return -E2BIG;
	if (n >= 2 && b[0] == 0x1f && b[1] == 0x8b)
		return gunzip(&x->raw, data, n);
	buf_add(&x->raw, data, n);
	return x->raw.failed;
}

/* Calls fn for each field of the top level with this number. */
typedef int (*pprof_field_fn)(struct pprof_reader *x, const struct proto_field *f);

static int pprof_each(struct pprof_reader *x, uint32_t number, enum proto_wire wire,
		      pprof_field_fn fn)
{
	struct cursor c = cursor_of(x->raw.data, x->raw.len);
	struct proto_field f;
	size_t n = 0;

	while (proto_next(&c, &f)) {
		int r;

		if (f.number != number)
			continue;
		if (f.wire != wire)
			return -EBADMSG;
		if (n++ >= PPROF_READ_ENTRIES_MAX)
			return -E2BIG;
		r = fn(x, &f);
		if (r < 0)
			return r;
	}
	return c.bad ? -EBADMSG : 0;
}

static int pprof_read_string(struct pprof_reader *x, const struct proto_field *f)
{
	size_t n = (size_t)(f->bytes.end - f->bytes.p);

	if (!(x->n_strings & (x->n_strings - 1))) {
		size_t cap = MAX(x->n_strings * 2, 64u);
		struct pprof_string *strings = realloc(x->strings, cap * sizeof(*strings));

		if (!strings)
			return -ENOMEM;
		x->strings = strings;
	}
	if (!x->n_strings && n)
		return -EBADMSG;
	x->strings[x->n_strings++] =
		(struct pprof_string){f->bytes.p, (uint32_t)MIN(n, (size_t)STRING_MAX), 0};
	return 0;
}

/* The profile's id of string `index` of the file. */
static int pprof_intern(struct pprof_reader *x, uint64_t index, uint32_t *ret)
{
	struct pprof_string *s;
	uint32_t id;

	if (index >= x->n_strings)
		return -EBADMSG;
	s = &x->strings[index];
	if (!s->id) {
		buf_reset(&x->clean);
		utf8_clean(&x->clean, (const char *)s->p, s->n, STRING_MAX);
		id = intern_str(&x->profile->strings, buf_cstr(&x->clean));
		if (x->clean.failed || id == INTERN_INVALID)
			return -ENOMEM;
		s->id = id + 1;
	}
	*ret = s->id - 1;
	return 0;
}

static bool pprof_string_is(const struct pprof_reader *x, uint64_t index, const char *text)
{
	return index < x->n_strings && x->strings[index].n == strlen(text) &&
	       !memcmp(x->strings[index].p, text, x->strings[index].n);
}

/* The varint fields 1 .. n - 1 of a message; a later one of the same number wins. */
static int pprof_numbers(struct cursor c, uint64_t *fields, size_t n)
{
	struct proto_field f;

	while (proto_next(&c, &f))
		if (f.number < n && f.wire == PROTO_VARINT)
			fields[f.number] = f.value;
	return c.bad ? -EBADMSG : 0;
}

static int pprof_read_type(struct pprof_reader *x, const struct proto_field *f)
{
	uint64_t v[3] = {0};
	int r = pprof_numbers(f->bytes, v, ARRAY_SIZE(v));

	if (r < 0)
		return r;
	if (x->n_types == TYPES_MAX)
		return -E2BIG;
	if (v[1] >= x->n_strings || v[2] >= x->n_strings)
		return -EBADMSG;
	x->type_names[x->n_types] = v[1];
	x->type_units[x->n_types++] = v[2];
	return 0;
}

/* Takes CPU time where there is any, else the last type that is a time, else a count. */
static int pprof_choose_type(struct pprof_reader *x)
{
	static const struct {
		const char *name;
		uint64_t scale;
	} units[] = {{"nanoseconds", 1},
		     {"microseconds", 1000},
		     {"milliseconds", 1000000},
		     {"seconds", 1000000000}};

	x->value_type = x->count_type = SIZE_MAX;
	for (size_t i = 0; i < x->n_types; i++) {
		bool cpu = x->value_type != SIZE_MAX &&
			   pprof_string_is(x, x->type_names[x->value_type], "cpu");

		if (pprof_string_is(x, x->type_units[i], "count") &&
		    (x->count_type == SIZE_MAX || pprof_string_is(x, x->type_names[i], "samples")))
			x->count_type = i;
		for (size_t u = 0; u < ARRAY_SIZE(units); u++)
			if (!cpu && pprof_string_is(x, x->type_units[i], units[u].name)) {
				x->value_type = i;
				x->scale = units[u].scale;
			}
	}
	x->value_is_count = x->value_type == SIZE_MAX;
	if (x->value_is_count)
		x->value_type = x->count_type;
	return x->value_type == SIZE_MAX ? -EOPNOTSUPP : 0;
}

/* A file's id must be new and not 0. */
static int pprof_put_id(struct hash *ids, uint64_t id, int64_t index)
{
	if (index < 0)
		return (int)index;
	if (!id || hash_get(ids, id) != HASH_NONE)
		return -EBADMSG;
	return hash_put(ids, id, (uint64_t)index);
}

/* "mapping[0] will be the main binary", says profile.proto. */
static void pprof_guess_program(struct pprof_reader *x, uint32_t file)
{
	const char *path = intern_get(&x->profile->strings, file), *slash = strrchr(path, '/');
	uint32_t id = intern_str(&x->profile->strings, slash ? slash + 1 : path);

	if (*path != '[' && id != INTERN_INVALID)
		x->program = id;
}

static int pprof_read_mapping(struct pprof_reader *x, const struct proto_field *f)
{
	struct profile_mapping m = {0};
	uint64_t v[11] = {0};
	int r = pprof_numbers(f->bytes, v, ARRAY_SIZE(v));

	if (r < 0)
		return r;
	m.start = v[2];
	m.limit = v[3];
	m.offset = v[4];
	m.has_functions = v[7];
	m.has_lines = v[9];
	m.has_inlines = v[10];
	r = pprof_intern(x, v[5], &m.file);
	if (r < 0)
		return r;
	r = pprof_intern(x, v[6], &m.build_id);
	if (r < 0)
		return r;
	if (!x->n_mappings++)
		pprof_guess_program(x, m.file);
	return pprof_put_id(&x->mappings, v[1], profile_add_mapping(x->profile, &m));
}

static int pprof_read_function(struct pprof_reader *x, const struct proto_field *f)
{
	struct profile_function fn = {0};
	uint64_t v[6] = {0};
	int r = pprof_numbers(f->bytes, v, ARRAY_SIZE(v));

	if (r < 0)
		return r;
	r = pprof_intern(x, v[2], &fn.name);
	if (r < 0)
		return r;
	r = pprof_intern(x, v[3], &fn.system_name);
	if (r < 0)
		return r;
	r = pprof_intern(x, v[4], &fn.file);
	if (r < 0)
		return r;
	fn.start_line = v[5] <= UINT32_MAX ? (uint32_t)v[5] : 0;
	return pprof_put_id(&x->functions, v[1], profile_add_function(x->profile, &fn));
}

static bool pprof_starts(const char *s, const char *prefix)
{
	return !strncmp(s, prefix, strlen(prefix));
}

static bool pprof_ends(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n >= m && !strcmp(s + n - m, suffix);
}

/* The upper half of the address space belongs to the kernel on x86-64 and aarch64. */
#define KERNEL_HALF UINT64_C(0xffff000000000000)

static enum profile_kind pprof_kind(const char *module, const char *name, const char *file,
				    uint64_t address, bool mapped)
{
	static const char *const managed[] = {".py",   ".rb", ".js", ".mjs", ".ts",
					      ".java", ".kt", ".cs", ".php", ".pl"};
	size_t n = strlen(name);

	/* perf and go tool pprof name the kernel's mapping like this; ours does as well. */
	if (pprof_starts(module, "[kernel") || pprof_starts(module, "[guest.kernel") ||
	    pprof_ends(module, ".ko") || address >= KERNEL_HALF)
		return PROFILE_KERNEL;
	if (!mapped && n > 2 && name[0] == '[' && name[n - 1] == ']')
		return PROFILE_REASON;
	for (size_t i = 0; i < ARRAY_SIZE(managed); i++)
		if (pprof_ends(file, managed[i]))
			return PROFILE_MANAGED;
	if (pprof_starts(module, "[anon") || pprof_starts(module, "//anon") ||
	    pprof_starts(module, "[jit") || (strstr(module, "perf-") && pprof_ends(module, ".map")))
		return PROFILE_JIT;
	return PROFILE_NATIVE;
}

/* A location without lines is named here, so that it shows. */
static int pprof_name_location(struct pprof_reader *x, const char *module, uint64_t address,
			       struct profile_line *ret)
{
	struct profile_function fn = {0};
	const char *slash = strrchr(module, '/');
	_cleanup_buf_ struct buf name = BUF_INIT(STRING_MAX + 64u);
	int64_t index;

	buf_printf(&name, "%s+0x%llx", *module ? (slash ? slash + 1 : module) : "[unknown]",
		   (unsigned long long)address);
	fn.name = intern_str(&x->profile->strings, buf_cstr(&name));
	if (name.failed || fn.name == INTERN_INVALID)
		return -ENOMEM;
	fn.system_name = fn.name;
	index = profile_add_function(x->profile, &fn);
	if (index < 0)
		return (int)index;
	ret->function = (uint32_t)index;
	return 0;
}

static int pprof_read_line(struct pprof_reader *x, struct cursor c, struct buf *lines)
{
	struct profile_line line;
	uint64_t v[3] = {0}, index;
	int r = pprof_numbers(c, v, ARRAY_SIZE(v));

	if (r < 0)
		return r;
	index = hash_get(&x->functions, v[1]);
	if (index == HASH_NONE)
		return -EBADMSG;
	line.function = (uint32_t)index;
	line.line = v[2] <= UINT32_MAX ? (uint32_t)v[2] : 0;
	buf_add(lines, &line, sizeof(line));
	return lines->failed;
}

static int pprof_add_location(struct pprof_reader *x, const uint64_t *v, struct buf *lines)
{
	const struct intern *strings = &x->profile->strings;
	const char *module = "", *name;
	const struct profile_line *first;
	const struct profile_function *fn;
	uint64_t mapping = 0;
	bool named = lines->len > 0;
	int r;

	if (v[2]) {
		mapping = hash_get(&x->mappings, v[2]);
		if (mapping == HASH_NONE)
			return -EBADMSG;
		module = intern_get(strings, x->profile->mappings[mapping++].file);
	}
	if (!lines->len) {
		struct profile_line line = {0};

		r = pprof_name_location(x, module, v[3], &line);
		if (r < 0)
			return r;
		buf_add(lines, &line, sizeof(line));
		if (lines->failed)
			return lines->failed;
	}
	first = (const struct profile_line *)(const void *)lines->data;
	fn = &x->profile->functions[first->function];
	name = intern_get(strings, fn->name);
	if (!*name || strstr(name, "+0x") || !strcmp(name, "[unknown]"))
		named = false;
	return pprof_put_id(
		&x->locations, v[1],
		profile_add_location(
			x->profile, v[3], (uint32_t)mapping,
			pprof_kind(module, name, intern_get(strings, fn->file), v[3], v[2]), named,
			first, lines->len / sizeof(*first)));
}

static int pprof_read_location(struct pprof_reader *x, const struct proto_field *f)
{
	_cleanup_buf_ struct buf lines = BUF_INIT(UINT16_MAX * sizeof(struct profile_line));
	struct cursor c = f->bytes;
	struct proto_field field;
	uint64_t v[4] = {0};
	int r = pprof_numbers(c, v, ARRAY_SIZE(v));

	if (r < 0)
		return r;
	while (proto_next(&c, &field)) {
		if (field.number != 4)
			continue;
		if (field.wire != PROTO_BYTES)
			return -EBADMSG;
		r = pprof_read_line(x, field.bytes, &lines);
		if (r < 0)
			return r;
	}
	return pprof_add_location(x, v, &lines);
}

struct pprof_sample {
	size_t depth, n_values;
	uint64_t value, count, pid;
	uint32_t comm;
	bool complete;
};

static int pprof_push_location(struct pprof_reader *x, struct pprof_sample *s, uint64_t id)
{
	uint64_t index = hash_get(&x->locations, id);

	if (index == HASH_NONE)
		return -EBADMSG;
	if (s->depth == PPROF_READ_DEPTH_MAX)
		return -E2BIG;
	if (s->depth == x->n_stack) {
		size_t cap = MAX(x->n_stack * 2, 256u);
		uint32_t *stack = realloc(x->stack, cap * sizeof(*stack));

		if (!stack)
			return -ENOMEM;
		x->stack = stack;
		x->n_stack = cap;
	}
	if (x->profile->locations[index].kind == PROFILE_REASON)
		s->complete = false;
	x->stack[s->depth++] = (uint32_t)index;
	return 0;
}

static int pprof_push_value(struct pprof_reader *x, struct pprof_sample *s, uint64_t v)
{
	if (s->n_values == x->value_type)
		s->value = v;
	if (s->n_values == x->count_type)
		s->count = v;
	s->n_values++;
	return 0;
}

static int pprof_read_label(struct pprof_reader *x, struct pprof_sample *s, struct cursor c)
{
	uint64_t v[5] = {0};
	int r = pprof_numbers(c, v, ARRAY_SIZE(v));

	if (r < 0)
		return r;
	if (v[1] >= x->n_strings || v[2] >= x->n_strings)
		return -EBADMSG;
	if (pprof_string_is(x, v[1], "pid") && v[3] <= UINT32_MAX)
		s->pid = v[3];
	if (pprof_string_is(x, v[1], "comm"))
		return pprof_intern(x, v[2], &s->comm);
	if (pprof_string_is(x, v[1], "event"))
		return pprof_intern(x, v[2], &x->profile->event);
	return 0;
}

/* Repeated numbers come packed or one by one; both are valid for every writer. */
static int pprof_read_repeated(struct pprof_reader *x, struct pprof_sample *s,
			       const struct proto_field *f)
{
	int (*push)(struct pprof_reader *, struct pprof_sample *, uint64_t) =
		f->number == 1 ? pprof_push_location : pprof_push_value;
	struct cursor c = f->bytes;
	int r = 0;

	if (f->wire == PROTO_VARINT)
		return push(x, s, f->value);
	if (f->wire != PROTO_BYTES)
		return -EBADMSG;
	while (r >= 0 && cursor_left(&c)) {
		uint64_t v = cursor_uleb128(&c);

		if (c.bad)
			return -EBADMSG;
		r = push(x, s, v);
	}
	return r;
}

static int64_t pprof_process(struct pprof_reader *x, const struct pprof_sample *s)
{
	uint32_t comm = s->comm ? s->comm : x->program;
	uint64_t key = s->pid << 32 | comm;
	uint64_t index = hash_get(&x->processes, key);
	int64_t added;
	int r;

	if (index != HASH_NONE)
		return (int64_t)index;
	added = profile_add_process(
		x->profile, &(struct profile_process){.pid = (uint32_t)s->pid, .comm = comm});
	if (added < 0)
		return added;
	r = hash_put(&x->processes, key, (uint64_t)added);
	return r < 0 ? r : added;
}

static int pprof_add_sample(struct pprof_reader *x, struct pprof_sample *s)
{
	uint64_t period = x->profile->period_ns;
	int64_t process;

	if (s->n_values != x->n_types)
		return -EBADMSG;
	if (s->value > INT64_MAX || s->count > INT64_MAX || (!s->value && !s->count))
		return 0;
	if (x->value_is_count)
		s->value = period ? s->count * period : s->count;
	else
		s->value *= x->scale;
	if (x->count_type == SIZE_MAX)
		s->count = period ? MAX((s->value + period / 2) / period, 1u) : 1;
	process = pprof_process(x, s);
	if (process < 0)
		return (int)process;
	return profile_add_sample(x->profile, (uint32_t)process, x->stack, s->depth, s->value,
				  s->count, s->complete);
}

static int pprof_read_sample(struct pprof_reader *x, const struct proto_field *f)
{
	struct pprof_sample s = {.complete = true};
	struct cursor c = f->bytes;
	struct proto_field field;

	while (proto_next(&c, &field)) {
		int r = 0;

		if (field.number == 1 || field.number == 2)
			r = pprof_read_repeated(x, &s, &field);
		else if (field.number == 3 && field.wire == PROTO_BYTES)
			r = pprof_read_label(x, &s, field.bytes);
		if (r < 0)
			return r;
	}
	return c.bad ? -EBADMSG : pprof_add_sample(x, &s);
}

static int pprof_read_header(struct pprof_reader *x)
{
	uint64_t v[13] = {0};
	int r = pprof_numbers(cursor_of(x->raw.data, x->raw.len), v, ARRAY_SIZE(v));

	if (r < 0)
		return r;
	x->profile->time_ns = v[9] <= INT64_MAX ? v[9] : 0;
	x->profile->duration_ns = v[10] <= INT64_MAX ? v[10] : 0;
	x->profile->period_ns = v[12] <= INT64_MAX ? v[12] : 0;
	return 0;
}

int pprof_parse(const void *data, size_t n, struct profile **ret)
{
	static const struct {
		uint32_t field;
		pprof_field_fn fn;
	} passes[] = {{3, pprof_read_mapping},
		      {5, pprof_read_function},
		      {4, pprof_read_location},
		      {2, pprof_read_sample}};
	_cleanup_(pprof_reader_done) struct pprof_reader x = {.raw = BUF_INIT(PPROF_READ_RAW_MAX),
							      .clean = BUF_INIT(4u * STRING_MAX)};
	int r;

	r = pprof_load(&x, data, n);
	if (r < 0)
		return r;
	if (!x.raw.len)
		return -EBADMSG;
	r = profile_new(&x.profile);
	if (r < 0)
		return r;
	r = pprof_read_header(&x);
	if (r < 0)
		return r;
	r = pprof_each(&x, 6, PROTO_BYTES, pprof_read_string);
	if (r < 0)
		return r;
	if (!x.n_strings)
		return -EBADMSG;
	r = pprof_each(&x, 1, PROTO_BYTES, pprof_read_type);
	if (r < 0)
		return r;
	r = pprof_choose_type(&x);
	for (size_t i = 0; i < ARRAY_SIZE(passes) && r >= 0; i++)
		r = pprof_each(&x, passes[i].field, PROTO_BYTES, passes[i].fn);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(x.profile);
	return 0;
}
