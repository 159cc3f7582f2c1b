/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/export/pprof.h"

#include <errno.h>
#include <libdeflate.h>
#include <string.h>

#include "agent/export/proto.h"
#include "agent/base/utf8.h"

#define MESSAGE_MAX (64u << 20)
#define RAW_MAX	    UINT32_MAX

/* The fastest; the second makes profiles a tenth smaller for nearly twice the time. */
#define COMPRESSION_LEVEL 1

/* Field numbers of proto/profile.proto, google/pprof (unchanged since 2016). */
enum {
	PROFILE_SAMPLE_TYPE = 1,
	PROFILE_SAMPLE,
	PROFILE_MAPPING,
	PROFILE_LOCATION,
	PROFILE_FUNCTION,
	PROFILE_STRING,
	PROFILE_TIME = 9,
	PROFILE_DURATION,
	PROFILE_PERIOD_TYPE,
	PROFILE_PERIOD
};
enum { TYPE_TYPE = 1, TYPE_UNIT };
enum { SAMPLE_LOCATION = 1, SAMPLE_VALUE, SAMPLE_LABEL };
enum { LABEL_KEY = 1, LABEL_STR, LABEL_NUM };
enum {
	MAPPING_ID = 1,
	MAPPING_START,
	MAPPING_LIMIT,
	MAPPING_OFFSET,
	MAPPING_FILE,
	MAPPING_BUILD_ID,
	MAPPING_HAS_FUNCTIONS,
	MAPPING_HAS_FILES,
	MAPPING_HAS_LINES,
	MAPPING_HAS_INLINES
};
enum { LOCATION_ID = 1, LOCATION_MAPPING, LOCATION_ADDRESS, LOCATION_LINE };
enum { LINE_FUNCTION = 1, LINE_LINE };
enum { FUNCTION_ID = 1, FUNCTION_NAME, FUNCTION_SYSTEM_NAME, FUNCTION_FILE, FUNCTION_START_LINE };

/* The strings that are not the profile's, in front of the table. */
enum {
	STRING_EMPTY,
	STRING_CPU,
	STRING_NANOSECONDS,
	STRING_PID,
	STRING_COMM,
	STRING_EVENT,
	STRING_TID,
	STRING_FIXED_MAX
};
static const char *const pprof_fixed[] = {"", "cpu", "nanoseconds", "pid", "comm", "event", "tid"};
_Static_assert(ARRAY_SIZE(pprof_fixed) == STRING_FIXED_MAX, "one text each");

/* In which part of the string table a string goes, see pprof_number_strings(). */
enum { PART_UNUSED, PART_NAMES, PART_FILES, PART_GO, PART_MAX };

struct pprof {
	const struct profile *profile;
	const struct pprof_options *options;
	/* Per entry of the profile: its id in the output, 0 when it is not used. */
	uint32_t *samples, *locations, *functions, *mappings, *strings, *processes;
	size_t n_samples, n_locations, n_functions;
	struct buf message, part; /* the message being built, and one inside it */
	struct buf raw;		  /* the profile before compression */
};

static void pprof_done(struct pprof *w)
{
	free(w->samples);
	free(w->locations);
	free(w->functions);
	free(w->mappings);
	free(w->strings);
	free(w->processes);
	buf_done(&w->message);
	buf_done(&w->part);
	buf_done(&w->raw);
}

static int pprof_init(struct pprof *w)
{
	const struct profile *p = w->profile;

	w->samples = calloc(p->n_samples + 1, sizeof(*w->samples));
	w->locations = calloc(p->n_locations + 1, sizeof(*w->locations));
	w->functions = calloc(p->n_functions + 1, sizeof(*w->functions));
	w->mappings = calloc(p->n_mappings + 1, sizeof(*w->mappings));
	w->strings = calloc(p->strings.n_strings + 1, sizeof(*w->strings));
	w->processes = calloc(p->n_processes + 1, sizeof(*w->processes));
	if (!w->samples || !w->locations || !w->functions || !w->mappings || !w->strings ||
	    !w->processes)
		return -ENOMEM;
	return 0;
}

/* Appends the message that was built as one field of the profile. */
static int pprof_emit(struct pprof *w, uint32_t field)
{
	if (w->message.failed || w->part.failed)
		return w->message.failed ? w->message.failed : w->part.failed;
	proto_bytes(&w->raw, field, w->message.data, w->message.len);
	buf_reset(&w->message);
	return w->raw.failed;
}

static int pprof_compress(const struct pprof *w, struct buf *out)
{
	struct libdeflate_compressor *c = libdeflate_alloc_compressor(COMPRESSION_LEVEL);
	size_t bound = libdeflate_gzip_compress_bound(c, w->raw.len);
	uint8_t *to = c ? buf_grow(out, bound) : NULL;

	if (to)
		out->len -= bound - libdeflate_gzip_compress(c, w->raw.data, w->raw.len, to, bound);
	libdeflate_free_compressor(c);
	return c ? out->failed : -ENOMEM;
}

static void pprof_use_string(struct pprof *w, uint32_t id, uint32_t part)
{
	if (id && id < w->profile->strings.n_strings && (!w->strings[id] || part < w->strings[id]))
		w->strings[id] = part;
}

static void pprof_use_location(struct pprof *w, uint32_t index)
{
	const struct profile *p = w->profile;
	const struct profile_location *l = &p->locations[index];

	if (w->locations[index])
		return;
	w->locations[index] = 1;
	if (l->mapping)
		w->mappings[l->mapping - 1] = 1;
	for (uint32_t i = 0; i < l->n_lines; i++)
		w->functions[p->lines[l->first_line + i].function] = 1;
}

/* Marks what is used, beginning with the samples that are wanted. */
static void pprof_mark(struct pprof *w)
{
	const struct profile *p = w->profile;
	const struct pprof_options *o = w->options;
	size_t wanted = 0;

	for (size_t i = 0; i < p->n_samples; i++) {
		const struct profile_sample *s = &p->samples[i];

		if (o->want && !o->want(p, s->process, o->data))
			continue;
		if (wanted++ < o->skip)
			continue;
		if (o->limit && w->n_samples == o->limit)
			break;
		w->samples[i] = 1;
		w->n_samples++;
		w->processes[s->process] = 1;
		for (size_t j = 0; j < s->n_locations; j++)
			pprof_use_location(w, p->stack_locations[s->first + j]);
	}
}

static void pprof_mark_strings(struct pprof *w)
{
	const struct profile *p = w->profile;

	for (size_t i = 0; i < p->n_functions; i++) {
		if (!w->functions[i])
			continue;
		pprof_use_string(w, p->functions[i].name, PART_NAMES);
		pprof_use_string(w, p->functions[i].system_name, PART_NAMES);
		pprof_use_string(w, p->functions[i].file, PART_FILES);
	}
	for (size_t i = 0; i < p->n_mappings; i++) {
		if (!w->mappings[i])
			continue;
		pprof_use_string(w, p->mappings[i].file, PART_NAMES);
		pprof_use_string(w, p->mappings[i].build_id, PART_NAMES);
	}
	for (size_t i = 0; i < p->n_processes; i++)
		if (w->processes[i] && (w->options->label_comm || w->options->comm_frame))
			pprof_use_string(w, p->processes[i].comm, PART_NAMES);
	if (w->options->label_event)
		pprof_use_string(w, p->event, PART_NAMES);
}

static size_t pprof_number(uint32_t *ids, size_t n)
{
	uint32_t id = 0;

	for (size_t i = 0; i < n; i++)
		if (ids[i])
			ids[i] = ++id;
	return id;
}

/* What Pyroscope's language detection takes for Go (pkg/pprof, read at 3fe6a457a320). */
static bool pprof_looks_like_go(const char *s)
{
	static const char prefix[] = "/usr/local/go/";
	size_t n = strlen(s);

	return (n >= 3 && !strcmp(s + n - 3, ".go")) || !strncmp(s, prefix, sizeof(prefix) - 1);
}

/*
 * Writes the string table and turns the parts in strings[] into indices. The server takes the
 * first string of the table that looks like a language as the language of the whole profile, and
 * rewrites stacks when that is Go: so names come first, then files, and what looks like Go last.
 */
static int pprof_write_strings(struct pprof *w)
{
	const struct intern *t = &w->profile->strings;
	uint32_t next = STRING_FIXED_MAX;

	for (size_t i = 0; i < STRING_FIXED_MAX; i++) {
		int r;

		buf_adds(&w->message, pprof_fixed[i]);
		r = pprof_emit(w, PROFILE_STRING);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < t->n_strings; i++)
		if (w->strings[i] && pprof_looks_like_go(t->strings[i]))
			w->strings[i] = PART_GO;
	/* Indices start at PART_MAX or above, so that they can not be taken for parts. */
	for (uint32_t part = PART_NAMES; part < PART_MAX; part++) {
		for (size_t i = 0; i < t->n_strings; i++) {
			int r;

			if (w->strings[i] != part)
				continue;
			utf8_clean(&w->message, t->strings[i], strlen(t->strings[i]),
				   PPROF_STRING_MAX);
			r = pprof_emit(w, PROFILE_STRING);
			if (r < 0)
				return r;
			w->strings[i] = next++;
		}
	}
	return 0;
}
_Static_assert((int)STRING_FIXED_MAX >= (int)PART_MAX, "an index must not look like a part");

static int pprof_write_type(struct pprof *w, uint32_t field)
{
	proto_uint(&w->message, TYPE_TYPE, STRING_CPU);
	proto_uint(&w->message, TYPE_UNIT, STRING_NANOSECONDS);
	return pprof_emit(w, field);
}

static int pprof_write_mappings(struct pprof *w)
{
	for (size_t i = 0; i < w->profile->n_mappings; i++) {
		const struct profile_mapping *m = &w->profile->mappings[i];
		int r;

		if (!w->mappings[i])
			continue;
		proto_uint(&w->message, MAPPING_ID, w->mappings[i]);
		proto_uint(&w->message, MAPPING_START, m->start);
		proto_uint(&w->message, MAPPING_LIMIT, m->limit);
		proto_uint(&w->message, MAPPING_OFFSET, m->offset);
		proto_uint(&w->message, MAPPING_FILE, w->strings[m->file]);
		proto_uint(&w->message, MAPPING_BUILD_ID, w->strings[m->build_id]);
		proto_uint(&w->message, MAPPING_HAS_FUNCTIONS, m->has_functions);
		proto_uint(&w->message, MAPPING_HAS_FILES, m->has_lines);
		proto_uint(&w->message, MAPPING_HAS_LINES, m->has_lines);
		proto_uint(&w->message, MAPPING_HAS_INLINES, m->has_inlines);
		r = pprof_emit(w, PROFILE_MAPPING);
		if (r < 0)
			return r;
	}
	return 0;
}

static void pprof_add_line(struct pprof *w, uint64_t function, uint32_t line)
{
	buf_reset(&w->part);
	proto_uint(&w->part, LINE_FUNCTION, function);
	proto_uint(&w->part, LINE_LINE, line);
	proto_bytes(&w->message, LOCATION_LINE, w->part.data, w->part.len);
}

static int pprof_write_locations(struct pprof *w)
{
	const struct profile *p = w->profile;

	for (size_t i = 0; i < p->n_locations; i++) {
		const struct profile_location *l = &p->locations[i];
		int r;

		if (!w->locations[i])
			continue;
		proto_uint(&w->message, LOCATION_ID, w->locations[i]);
		proto_uint(&w->message, LOCATION_MAPPING,
			   l->mapping ? w->mappings[l->mapping - 1] : 0);
		proto_uint(&w->message, LOCATION_ADDRESS, l->address);
		for (uint32_t j = 0; j < l->n_lines; j++) {
			const struct profile_line *line = &p->lines[l->first_line + j];

			pprof_add_line(w, w->functions[line->function], line->line);
		}
		r = pprof_emit(w, PROFILE_LOCATION);
		if (r < 0)
			return r;
	}
	return 0;
}

static int pprof_write_functions(struct pprof *w)
{
	for (size_t i = 0; i < w->profile->n_functions; i++) {
		const struct profile_function *f = &w->profile->functions[i];
		int r;

		if (!w->functions[i])
			continue;
		proto_uint(&w->message, FUNCTION_ID, w->functions[i]);
		proto_uint(&w->message, FUNCTION_NAME, w->strings[f->name]);
		proto_uint(&w->message, FUNCTION_SYSTEM_NAME,
			   w->strings[f->system_name ? f->system_name : f->name]);
		proto_uint(&w->message, FUNCTION_FILE, w->strings[f->file]);
		proto_uint(&w->message, FUNCTION_START_LINE, f->start_line);
		r = pprof_emit(w, PROFILE_FUNCTION);
		if (r < 0)
			return r;
	}
	return 0;
}

/* One location and one function for each process, numbered behind those of the profile. */
static int pprof_write_comm_frames(struct pprof *w)
{
	const struct profile *p = w->profile;
	int r;

	for (size_t i = 0; i < p->n_processes; i++) {
		uint32_t name = w->strings[p->processes[i].comm];

		if (!w->processes[i])
			continue;
		proto_uint(&w->message, FUNCTION_ID, w->n_functions + w->processes[i]);
		proto_uint(&w->message, FUNCTION_NAME, name);
		proto_uint(&w->message, FUNCTION_SYSTEM_NAME, name);
		r = pprof_emit(w, PROFILE_FUNCTION);
		if (r < 0)
			return r;
		proto_uint(&w->message, LOCATION_ID, w->n_locations + w->processes[i]);
		pprof_add_line(w, w->n_functions + w->processes[i], 0);
		r = pprof_emit(w, PROFILE_LOCATION);
		if (r < 0)
			return r;
	}
	return 0;
}

static void pprof_add_label(struct pprof *w, uint32_t key, uint32_t str, uint64_t num)
{
	buf_reset(&w->part);
	proto_uint(&w->part, LABEL_KEY, key);
	proto_uint(&w->part, LABEL_STR, str);
	proto_uint(&w->part, LABEL_NUM, num);
	proto_bytes(&w->message, SAMPLE_LABEL, w->part.data, w->part.len);
}

static void pprof_add_labels(struct pprof *w, const struct profile_process *proc)
{
	const struct pprof_options *o = w->options;

	/* A label without content is dropped by readers, and some warn. */
	if (o->label_pid && proc->pid)
		pprof_add_label(w, STRING_PID, 0, proc->pid);
	if (o->label_tid && proc->tid)
		pprof_add_label(w, STRING_TID, 0, proc->tid);
	if (o->label_comm && w->strings[proc->comm])
		pprof_add_label(w, STRING_COMM, w->strings[proc->comm], 0);
	if (o->label_event && w->strings[w->profile->event])
		pprof_add_label(w, STRING_EVENT, w->strings[w->profile->event], 0);
}

static int pprof_write_samples(struct pprof *w)
{
	const struct profile *p = w->profile;

	for (size_t i = 0; i < p->n_samples; i++) {
		const struct profile_sample *s = &p->samples[i];
		int r;

		if (!w->samples[i])
			continue;
		buf_reset(&w->part);
		for (size_t j = 0; j < s->n_locations; j++)
			proto_varint(&w->part, w->locations[p->stack_locations[s->first + j]]);
		if (w->options->comm_frame)
			proto_varint(&w->part, w->n_locations + w->processes[s->process]);
		proto_bytes(&w->message, SAMPLE_LOCATION, w->part.data, w->part.len);
		buf_reset(&w->part);
		proto_varint(&w->part, MIN(s->value, (uint64_t)INT64_MAX));
		proto_bytes(&w->message, SAMPLE_VALUE, w->part.data, w->part.len);
		pprof_add_labels(w, &p->processes[s->process]);
		r = pprof_emit(w, PROFILE_SAMPLE);
		if (r < 0)
			return r;
	}
	return 0;
}

static int pprof_write_tail(struct pprof *w)
{
	const struct profile *p = w->profile;
	int r;

	r = pprof_write_type(w, PROFILE_PERIOD_TYPE);
	if (r < 0)
		return r;
	proto_uint(&w->raw, PROFILE_TIME, p->time_ns);
	proto_uint(&w->raw, PROFILE_DURATION, p->duration_ns);
	proto_uint(&w->raw, PROFILE_PERIOD, p->period_ns);
	return w->raw.failed;
}

int64_t pprof_encode(const struct profile *p, const struct pprof_options *o, struct buf *out)
{
	static const struct pprof_options defaults;
	static int (*const steps[])(struct pprof *) = {
		pprof_write_strings,
		pprof_write_mappings,
		pprof_write_functions,
		pprof_write_locations,
	};
	_cleanup_(pprof_done) struct pprof w = {
		.profile = p,
		.options = o ? o : &defaults,
		.message = BUF_INIT(MESSAGE_MAX),
		.part = BUF_INIT(MESSAGE_MAX),
		.raw = BUF_INIT(o && o->max_raw_bytes ? o->max_raw_bytes : RAW_MAX),
	};
	int r;

	r = pprof_init(&w);
	if (r < 0)
		return r;
	pprof_mark(&w);
	pprof_mark_strings(&w);
	w.n_locations = pprof_number(w.locations, p->n_locations);
	w.n_functions = pprof_number(w.functions, p->n_functions);
	(void)pprof_number(w.mappings, p->n_mappings);
	(void)pprof_number(w.processes, p->n_processes);
	r = pprof_write_type(&w, PROFILE_SAMPLE_TYPE);
	for (size_t i = 0; i < ARRAY_SIZE(steps) && r >= 0; i++)
		r = steps[i](&w);
	if (r >= 0 && w.options->comm_frame)
		r = pprof_write_comm_frames(&w);
	if (r >= 0)
		r = pprof_write_samples(&w);
	if (r >= 0)
		r = pprof_write_tail(&w);
	if (r >= 0)
		r = pprof_compress(&w, out);
	return r < 0 ? r : (int64_t)w.n_samples;
}
