/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/naming.h"

#include <errno.h>
#include <string.h>

#include "agent/base/recent.h"
#include "agent/jit_names.h"
#include "agent/reasons.h"
#include "agent/runtimes.h"
#include "symbolizer/code_map.h"
#include "symbolizer/kallsyms.h"
#include "symbolizer/objfile.h"
#include "symbolizer/symtab.h"
#include "unwinders/runtime.h"

struct namer {
	const struct naming *n;
	struct profile *p;
	struct hash locations; /* frame word (mixed with the process for JIT code) -> location */
	struct recent recent;  /* key of locations -> location + 1 */
	struct hash processes; /* task id -> process */
	struct hash mappings;  /* file id -> mapping + 1 */
	struct buf text;       /* scratch */
};

static int64_t add_function(struct namer *k, const char *name, const char *system_name,
			    const char *file, uint32_t start_line)
{
	struct profile_function f = {
		.name = intern_str(&k->p->strings, name),
		.file = intern_str(&k->p->strings, file ? file : ""),
		.start_line = start_line,
	};

	f.system_name = system_name == name ? f.name : intern_str(&k->p->strings, system_name);
	return profile_add_function(k->p, &f);
}

static int64_t add_location(struct namer *k, uint64_t address, uint32_t mapping,
			    enum profile_kind kind, bool named, int64_t function, uint32_t line)
{
	struct profile_line l = {.function = (uint32_t)function, .line = line};

	if (function < 0)
		return function;
	return profile_add_location(k->p, address, mapping, kind, named, &l, 1);
}

static int64_t add_mapping(struct namer *k, const struct file *f)
{
	struct profile_mapping m = {
		.file = intern_str(&k->p->strings, f->path),
		.build_id = intern_str(&k->p->strings, f->build_id),
		.has_functions = true,
		.has_lines = f->info &&
			     ((f->info->flags & TABLE_HAS_LINES) || debug_file_has_lines(f->debug)),
	};
	uint64_t known = hash_get(&k->mappings, f->id);
	int64_t r;

	if (known != HASH_NONE)
		return (int64_t)known;
	if (f->info && f->info->n_segments) {
		m.start = f->info->segments[0].vaddr;
		m.limit = m.start + f->info->segments[0].bytes;
		m.offset = f->info->segments[0].offset;
	}
	r = profile_add_mapping(k->p, &m);
	if (r >= 0)
		(void)hash_put(&k->mappings, f->id, (uint64_t)++r);
	return r;
}

static const char *demangled(struct namer *k, const char *name)
{
	return demangle(name, k->n->demangle, &k->text);
}

/* The functions of one address, inlined ones before those they are in. */
static int64_t add_functions(struct namer *k, const struct symbols_names *names, uint32_t mapping)
{
	struct profile_line lines[LINE_FRAMES_MAX];

	for (size_t i = 0; i < names->n; i++) {
		const struct line_frame *f = &names->frames[i];
		const char *name = f->name[0] ? f->name : "[unknown]";
		int64_t function = add_function(k, f->is_linkage_name ? demangled(k, name) : name,
						name, f->path, f->start_line);

		if (function < 0)
			return function;
		lines[i] = (struct profile_line){.function = (uint32_t)function, .line = f->line};
	}
	return profile_add_location(k->p, names->vaddr, mapping, PROFILE_NATIVE, true, lines,
				    names->n);
}

static int64_t name_native(struct namer *k, uint64_t frame)
{
	const struct file *f = files_get(k->n->files, FRAME_FILE(frame));
	struct symbols_names names = {.vaddr = FRAME_OFFSET(frame)};
	char text[512], why[64];
	int64_t mapping = 0;

	if (f)
		mapping = add_mapping(k, f);
	if (mapping < 0)
		return mapping;
	if (f && files_names(k->n->files, f, FRAME_OFFSET(frame), &names) != 0 && names.n)
		return add_functions(k, &names, (uint32_t)mapping);
	(void)snprintf(text, sizeof(text), "%s+0x%llx",
		       f && f->name[0] ? f->name : "[unknown file]",
		       (unsigned long long)names.vaddr);
	/* In place of a source file: who looks for one reads why there is none. */
	(void)snprintf(why, sizeof(why), "[%s]", unnamed_text(files_why_unnamed(f)));
	return add_location(k, names.vaddr, (uint32_t)mapping, PROFILE_NATIVE, false,
			    add_function(k, text, text, why, 0), 0);
}

static int64_t name_kernel(struct namer *k, uint64_t address)
{
	struct kallsyms_hit hit = {0};
	char text[64];
	bool named = k->n->kallsyms && kallsyms_lookup(k->n->kallsyms, address, &hit) == 0;
	const char *module = named && hit.module[0] ? hit.module : "[kernel]";
	struct profile_mapping m = {
		.file = intern_str(&k->p->strings, module),
		.has_functions = true,
	};
	int64_t mapping = profile_add_mapping(k->p, &m);

	if (mapping < 0)
		return mapping;
	if (!named)
		(void)snprintf(text, sizeof(text), "[kernel]+0x%llx", (unsigned long long)address);
	return add_location(
		k, address, (uint32_t)mapping + 1, PROFILE_KERNEL, named,
		add_function(k, named ? hit.name : text, named ? hit.name : text, NULL, 0), 0);
}

static int64_t name_anon(struct namer *k, uint64_t address, struct task_id id)
{
	struct code_map_hit hit = {0};
	char text[64];
	bool named = k->n->jit && jit_names_lookup(k->n->jit, id, address, &hit) == 0;

	if (!named)
		(void)snprintf(text, sizeof(text), "[jit]+0x%llx", (unsigned long long)address);
	return add_location(k, address, 0, PROFILE_JIT, named,
			    add_function(k, named ? demangled(k, hit.name) : text,
					 named ? hit.name : text, hit.file, 0),
			    hit.line);
}

/* A frame of an interpreter or of code that it compiled, with what is inlined there. */
static int64_t name_managed(struct namer *k, uint64_t frame, uint64_t more, struct task_id id)
{
	struct runtime_function functions[RUNTIME_FUNCTIONS_MAX];
	struct profile_line lines[RUNTIME_FUNCTIONS_MAX];
	const char *why = "[unknown]";
	int n = k->n->runtimes ? runtimes_name(k->n->runtimes, id, frame, more, functions, &why)
			       : 0;

	if (n <= 0)
		return add_location(k, 0, 0, PROFILE_MANAGED, false,
				    add_function(k, why, why, NULL, 0), 0);
	for (int i = 0; i < n; i++) {
		const struct runtime_function *f = &functions[i];
		int64_t function = add_function(k, f->name, f->name, f->file, f->start_line);

		if (function < 0)
			return function;
		lines[i] = (struct profile_line){.function = (uint32_t)function, .line = f->line};
	}
	return profile_add_location(k->p, 0, 0, PROFILE_MANAGED, true, lines, (size_t)n);
}

/* `more`: the word behind it. */
static int64_t name_frame(struct namer *k, uint64_t frame, uint64_t more, struct task_id id)
{
	const char *reason;

	switch ((enum frame_kind)FRAME_KIND(frame)) {
	case FRAME_NATIVE:
		return name_native(k, frame);
	case FRAME_KERNEL:
		return name_kernel(k, frame);
	case FRAME_ANON:
		return name_anon(k, frame & FRAME_PAYLOAD, id);
	case FRAME_REASON:
		reason = REASON_RUNTIME(frame) ? runtimes_reason(frame)
					       : reason_frame(REASON_CODE(frame));
		return add_location(k, 0, 0, PROFILE_REASON, true,
				    add_function(k, reason, reason, NULL, 0), 0);
	case FRAME_MANAGED:
		return name_managed(k, frame, more, id);
	case FRAME_MORE:
	case FRAME_NONE:
		break;
	}
	return add_location(k, frame, 0, PROFILE_REASON, false,
			    add_function(k, "[unknown]", "[unknown]", NULL, 0), 0);
}

/* Frame words mean the same in every process, but for addresses in code without a file and frames
 * of some runtimes. */
static int64_t locate(struct namer *k, uint64_t frame, uint64_t more, struct task_id id)
{
	uint64_t process = hash_mix((uint64_t)id.tgid << 32 | id.mm), key = frame;
	uint64_t known;
	int64_t r;

	if (FRAME_KIND(frame) == FRAME_MANAGED)
		key = hash_mix(frame ^ hash_mix(more));
	if (FRAME_KIND(frame) == FRAME_ANON || runtimes_frame_is_per_process(frame))
		key = hash_mix(key ^ process);
	known = recent_get(&k->recent, key);
	if (known != RECENT_NONE)
		return (int64_t)known - 1;
	known = hash_get(&k->locations, key);
	r = (int64_t)known;
	if (known == HASH_NONE) {
		r = name_frame(k, frame, more, id);
		if (r >= 0 && hash_put(&k->locations, key, (uint64_t)r) < 0)
			r = -ENOMEM;
	}
	if (r >= 0)
		recent_put(&k->recent, key, (uint64_t)r + 1);
	return r;
}

static int64_t process_of(struct namer *k, struct task_id id)
{
	uint64_t key = task_key(id), known = hash_get(&k->processes, key);
	const struct task *t;
	struct profile_process proc = {.pid = id.tgid & ~TASK_HIDDEN, .tid = id.tid & ~TASK_HIDDEN};
	int64_t r;

	if (known != HASH_NONE)
		return (int64_t)known;
	t = tasks_get(k->n->tasks, id);
	proc.comm = intern_str(&k->p->strings, t ? t->comm : "[unknown]");
	proc.exe = intern_str(&k->p->strings, t ? t->exe : "");
	proc.container = intern_str(&k->p->strings, t ? t->container : "");
	proc.service = intern_str(&k->p->strings, t ? t->service : "");
	proc.start_ns = t ? t->start_ns : 0;
	r = profile_add_process(k->p, &proc);
	if (r >= 0)
		(void)hash_put(&k->processes, key, (uint64_t)r);
	return r;
}

static void count_frame(struct namer *k, uint64_t frame, uint32_t location, uint64_t samples)
{
	struct naming_stats *s = k->n->stats;

	if (!s)
		return;
	if (FRAME_KIND(frame) == FRAME_REASON) {
		if (REASON_RUNTIME(frame))
			s->managed_reasons[REASON_RUNTIME(frame) % RUNTIMES_ROOM] += samples;
		else
			s->reasons[REASON_CODE(frame) % REASON_MAX] += samples;
		return;
	}
	s->frames += samples;
	if (FRAME_KIND(frame) == FRAME_MANAGED) {
		s->managed[FRAME_RUNTIME(frame)] += samples;
		s->managed_named[FRAME_RUNTIME(frame)] +=
			k->p->locations[location].named ? samples : 0;
	}
	if (k->p->locations[location].named)
		s->named += samples;
	else if (FRAME_KIND(frame) == FRAME_NATIVE)
		s->unnamed[files_why_unnamed(files_get(k->n->files, FRAME_FILE(frame)))] += samples;
}

static int add_sample(struct namer *k, const struct stack_sample *s)
{
	static const uint64_t lost = FRAME(FRAME_REASON, REASON_STACK_UNKNOWN);
	const uint64_t *frames = s->stack ? s->stack->frames : &lost;
	size_t n = s->stack ? (size_t)s->stack->n_kernel + s->stack->n_user : 1;
	uint32_t locations[FRAMES_ROOM], n_locations = 0;
	int64_t process = process_of(k, s->id);

	if (process < 0)
		return (int)process;
	for (size_t i = 0; i < n; i++) {
		uint64_t frame = frames[i], more = 0;
		int64_t r;

		if (FRAME_KIND(frame) == FRAME_MANAGED && i + 1 < n)
			more = frames[++i];
		r = locate(k, frame, more, s->id);
		if (r < 0)
			return (int)r;
		locations[n_locations++] = (uint32_t)r;
		count_frame(k, frame, (uint32_t)r, s->count);
	}
	return profile_add_sample(k->p, (uint32_t)process, locations, n_locations,
				  s->count * k->n->period_ns, s->count,
				  s->stack && s->stack->complete);
}

int naming_fill(const struct naming *n, const struct stacks *stacks, struct profile *p)
{
	struct namer k = {.n = n, .p = p, .text = BUF_INIT(DEMANGLE_BUF_MAX)};
	int r = 0;

	for (size_t i = 0; i < stacks->n_samples && r >= 0; i++)
		r = add_sample(&k, &stacks->samples[i]);
	hash_done(&k.locations);
	hash_done(&k.processes);
	hash_done(&k.mappings);
	buf_done(&k.text);
	return r;
}
