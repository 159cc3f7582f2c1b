/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CPython: names of its frames. The kernel half sends what a code object says of itself once for
 * each content, before the first stack with it; it is kept under the hash that stands in the frame
 * words. No process is read, so one that lived for ten milliseconds has names as well.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/hash.h"
#include "unwinders/python_internal.h"
#include "unwinders/runtime.h"

/* What is known of a code object. */
struct python_code {
	uint64_t key;
	uint32_t asked; /* interval in which its name was last asked for */
	uint32_t line;
	uint16_t version;
	bool cut;
	uint32_t table_bytes;
	const char *path; /* behind the name */
	uint8_t *table;	  /* behind the path */
	char name[];
};

struct python_names {
	struct hash codes; /* key to its place in `all` */
	struct python_code **all;
	size_t n, cap;
	size_t bytes;
	uint32_t interval;
};

/* Beyond that, what was not asked for in the last intervals is let go. The kernel half looks at its
 * map again after PYTHON_TRUST_SECONDS, which is less than that. */
#define NAMES_BYTES_MAX (16u << 20)
#define NAMES_INTERVALS 8

/* UTF-8 of a name or path takes at most twice its bytes in memory (UCS-2: three for two), and dots.
 */
#define UTF8_ROOM(bytes) (2 * (bytes) + 8)

static int names_new(void **ret)
{
	*ret = calloc(1, sizeof(struct python_names));
	return *ret ? 0 : -ENOMEM;
}

static void names_free(void *state)
{
	struct python_names *s = state;

	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++)
		free(s->all[i]);
	free(s->all);
	hash_done(&s->codes);
	free(s);
}

static struct python_code *code_new(const struct python_record *r)
{
	char name[UTF8_ROOM(PYTHON_NAME_BYTES)], path[UTF8_ROOM(PYTHON_PATH_BYTES)];
	size_t name_bytes, path_bytes;
	struct python_code *c;

	python_utf8(&r->name, r->name_bytes, name, sizeof(name));
	python_utf8(&r->path, r->path_bytes, path, sizeof(path));
	name_bytes = strlen(name) + 1;
	path_bytes = strlen(path) + 1;
	c = malloc(sizeof(*c) + name_bytes + path_bytes + r->table_copied);
	if (!c)
		return NULL;
	*c = (struct python_code){
		.key = r->e.key,
		.line = r->line,
		.version = (uint16_t)r->version,
		.cut = r->table_copied < r->table_bytes,
		.table_bytes = r->table_copied,
		.path = c->name + name_bytes,
		.table = (uint8_t *)c->name + name_bytes + path_bytes,
	};
	memcpy(c->name, name, name_bytes);
	memcpy(c->name + name_bytes, path, path_bytes);
	memcpy(c->table, r->table, r->table_copied);
	return c;
}

static size_t code_bytes(const struct python_code *c)
{
	return sizeof(*c) + (size_t)(c->table - (const uint8_t *)c->name) + c->table_bytes;
}

static int add(struct python_names *s, struct python_code *c)
{
	if (s->n == s->cap) {
		size_t cap = s->cap ? 2 * s->cap : 256;
		struct python_code **all = reallocarray(s->all, cap, sizeof(*all));

		if (!all)
			return -ENOMEM;
		s->all = all;
		s->cap = cap;
	}
	if (hash_put(&s->codes, c->key, s->n) < 0)
		return -ENOMEM;
	s->all[s->n++] = c;
	s->bytes += code_bytes(c);
	return 0;
}

/* The kernel half is ours, the bytes in the strings are not. */
static void on_record(void *state, const struct event_runtime *e, size_t bytes)
{
	struct python_names *s = state;
	const struct python_record *r = (const void *)e;
	struct python_code *c;

	if (bytes < offsetof(struct python_record, table) ||
	    r->table_copied > bytes - offsetof(struct python_record, table) ||
	    r->name.bytes > PYTHON_NAME_BYTES || r->path.bytes > PYTHON_PATH_BYTES ||
	    hash_get(&s->codes, e->key) != HASH_NONE)
		return;
	c = code_new(r);
	if (!c)
		return;
	c->asked = s->interval;
	if (add(s, c) < 0)
		free(c);
}

static int name_frame(void *state, const struct runtime_frame *f, struct runtime_function *ret,
		      const char **ret_why)
{
	struct python_names *s = state;
	uint64_t i = hash_get(&s->codes, f->value);
	struct python_code *c;

	if (i == HASH_NONE) {
		*ret_why = "[python: name lost]";
		return 0;
	}
	c = s->all[i];
	c->asked = s->interval;
	*ret = (struct runtime_function){
		.name = c->name,
		.file = c->path,
		.line = python_line(c->version, c->table, c->table_bytes, c->cut, c->line, f->more),
		.start_line = c->line,
	};
	return 1;
}

static void next_interval(void *state, void (*forget)(void *data, uint64_t key), void *data)
{
	struct python_names *s = state;
	size_t kept = 0;

	s->interval++;
	if (s->bytes <= NAMES_BYTES_MAX)
		return;
	for (size_t i = 0; i < s->n; i++) {
		struct python_code *c = s->all[i];

		if (s->interval - c->asked <= NAMES_INTERVALS) {
			s->all[kept] = c;
			hash_put(&s->codes, c->key, kept++);
			continue;
		}
		hash_del(&s->codes, c->key);
		forget(data, c->key);
		s->bytes -= code_bytes(c);
		free(c);
	}
	s->n = kept;
}

static bool valid(const void *file)
{
	return python_layout_valid(file);
}

static const char *const reasons[] = {
	[PYTHON_REASON_UNSEEN] = "[python: first sight of this interpreter]",
	[PYTHON_REASON_NO_FILE] = "[python: interpreter not described yet]",
	[PYTHON_REASON_NO_THREAD] = "[python: no thread state]",
	[PYTHON_REASON_FRAME] = "[python: frame unreadable]",
	[PYTHON_REASON_CODE] = "[python: code object unreadable]",
	[PYTHON_REASON_BROKEN] = "[python: frame chain broken]",
	[PYTHON_REASON_NO_FRAMES] = "[python: no frame for the interpreter's loop]",
};
_Static_assert(ARRAY_SIZE(reasons) == PYTHON_REASON_MAX, "a text for each reason");

/* The first two have the names of Alloy's pyroscope.ebpf. */
static const struct runtime_stat stats[] = {
	[PYTHON_STAT_WALKS] = {"UnwindPythonAttempts_total",
			       "Runs of the interpreter's loop that were met in stacks."},
	[PYTHON_STAT_FRAMES] = {"UnwindPythonFrames_total", "Python frames that were unwound."},
	[PYTHON_STAT_NO_FILE] = {"UnwindPythonErrNotDescribed_total",
				 "Loops of an interpreter that was not described in time."},
	[PYTHON_STAT_NO_THREAD] = {"UnwindPythonErrNoThreadState_total",
				   "Threads for which no thread state was found."},
	[PYTHON_STAT_BAD_FRAME] = {"UnwindPythonErrBadFrame_total",
				   "Python frames that could not be read."},
	[PYTHON_STAT_BAD_CODE] = {"UnwindPythonErrBadCodeObject_total",
				  "Python frames whose code object could not be read."},
	[PYTHON_STAT_BROKEN] = {"UnwindPythonErrFrameChain_total",
				"Python frames that do not belong to the loop on the stack."},
	[PYTHON_STAT_NO_FRAMES] = {"UnwindPythonErrNoFrames_total",
				   "Loops for which no Python frame was left."},
	[PYTHON_STAT_SEARCHED] = {"UnwindPythonThreadSearches_total",
				  "Searches for the thread state of a thread."},
	[PYTHON_STAT_NAMED] = {"UnwindPythonCodeObjectsRead_total",
			       "Code objects whose names were sent to user space."},
	[PYTHON_STAT_LOST] = {"UnwindPythonCodeObjectsLost_total",
			      "Names that did not fit the ring buffer; they are sent again."},
};
_Static_assert(ARRAY_SIZE(stats) == PYTHON_STAT_MAX, "a name for each counter");

const struct runtime python_runtime = {
	.name = "python",
	.id = RUNTIME_PYTHON,
	.title = "CPython",
	.file_bytes = sizeof(struct python_file),
	.describe = python_describe_file,
	.valid = valid,
	.attach = python_jit_attach,
	.attach_last = true,
	.walk = python_jit_walk,
	.names_new = names_new,
	.names_free = names_free,
	.on_record = on_record,
	.name_frame = name_frame,
	.next_interval = next_interval,
	.reasons = reasons,
	.n_reasons = ARRAY_SIZE(reasons),
	.stats = stats,
	.n_stats = ARRAY_SIZE(stats),
	.named = {"PythonSymbolizationSuccesses_total", "Python frames that were named."},
	.unnamed = {"PythonSymbolizationFailures_total", "Python frames whose name was lost."},
};
