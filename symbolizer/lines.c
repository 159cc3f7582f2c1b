/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/lines.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "agent/base/cursor.h"
#include "agent/base/intern.h"
#include "symbolizer/gopclntab.h"
#include "symbolizer/table.h"

#define QUERY_MAGIC 0x314c5154u /* "TQL1" */
#define PATH_BYTES  4096
#define LINKAGE	    (UINT32_C(1) << 31)

struct query_header {
	uint32_t magic, has_alt;
	uint64_t n;
};

struct lines_header {
	uint32_t n, n_missing;
};

struct lines_entry {
	uint32_t name, path; /* in TABLE_STRINGS */
	uint32_t line;
	uint32_t start_line; /* with LINKAGE */
};

struct lines_missing_entry {
	uint32_t comp_dir, name;
	uint64_t dwo_id;
};
_Static_assert(sizeof(struct lines_entry) == 16, "lines_entry");
_Static_assert(sizeof(struct lines_missing_entry) == 16, "lines_missing_entry");

/* ---- the query ---- */

int lines_query_write(const struct lines_query *q)
{
	const struct query_header h = {.magic = QUERY_MAGIC, .has_alt = q->has_alt, .n = q->n};
	_cleanup_close_ int fd = memfd_create("tephra-query", MFD_CLOEXEC);
	size_t bytes = q->n * sizeof(*q->vaddrs);

	if (fd < 0)
		return -errno;
	if (write(fd, &h, sizeof(h)) != sizeof(h) || write(fd, q->vaddrs, bytes) != (ssize_t)bytes)
		return errno ? -errno : -EIO;
	return TAKE_FD(fd);
}

int lines_query_read(int fd, size_t max_bytes, struct lines_query *ret)
{
	_cleanup_free_ uint64_t *vaddrs = NULL;
	struct query_header h;
	size_t bytes;

	if (pread(fd, &h, sizeof(h), 0) != sizeof(h) || h.magic != QUERY_MAGIC)
		return -EBADMSG;
	if (h.n > LINES_QUERY_MAX || h.n * sizeof(*vaddrs) > max_bytes)
		return -E2BIG;
	bytes = (size_t)h.n * sizeof(*vaddrs);
	vaddrs = malloc(MAX(bytes, 1u));
	if (!vaddrs)
		return -ENOMEM;
	if (pread(fd, vaddrs, bytes, sizeof(h)) != (ssize_t)bytes)
		return -EBADMSG;
	*ret = (struct lines_query){
		.has_alt = h.has_alt, .n = (size_t)h.n, .vaddrs = TAKE_PTR(vaddrs)};
	return 0;
}

void lines_query_done(struct lines_query *q)
{
	free(q->vaddrs);
	*q = (struct lines_query){0};
}

/* ---- writing ---- */

struct writer {
	struct intern strings;
	uint32_t *offsets; /* of the interned strings in TABLE_STRINGS */
	struct buf *text;
	struct lines_entry *entries; /* with ids of strings until the end */
	size_t n, cap;
	uint32_t *first, *count; /* by address */
	uint32_t *rest;		 /* addresses that Go's table does not know */
	int failed;
};

static uint32_t add_string(struct writer *w, const char *s)
{
	uint32_t id = intern_str(&w->strings, s ? s : "");

	if (id == INTERN_INVALID)
		w->failed = -ENOMEM;
	return id;
}

/* Room for the n frames of an address; false when it has frames, or without memory. */
static bool begin_address(struct writer *w, size_t index, size_t n)
{
	if (w->failed || w->count[index])
		return false;
	if (w->n + n > w->cap) {
		size_t cap = MAX(w->cap * 2, w->n + n + 256);
		struct lines_entry *v = realloc(w->entries, cap * sizeof(*v));

		if (!v) {
			w->failed = -ENOMEM;
			return false;
		}
		w->entries = v;
		w->cap = cap;
	}
	w->first[index] = (uint32_t)w->n;
	w->count[index] = (uint32_t)n;
	return true;
}

static void on_go_frames(void *data, size_t index, const struct gopclntab_frame *frames, size_t n)
{
	struct writer *w = data;

	if (!begin_address(w, index, n))
		return;
	for (size_t i = 0; i < n; i++) {
		w->entries[w->n++] = (struct lines_entry){
			.name = add_string(w, frames[i].name),
			.path = add_string(w, frames[i].file),
			.line = frames[i].line,
			.start_line = (frames[i].start_line & ~LINKAGE) | LINKAGE,
		};
	}
}

static void on_frames(void *data, size_t index, const struct dwarf_frame *frames, size_t n)
{
	struct writer *w = data;

	if (!begin_address(w, w->rest[index], n))
		return;
	for (size_t i = 0; i < n; i++) {
		char path[PATH_BYTES];

		dwarf_path(&frames[i], path, sizeof(path));
		w->entries[w->n++] = (struct lines_entry){
			.name = add_string(w, frames[i].name),
			.path = add_string(w, path),
			.line = frames[i].line,
			.start_line = (frames[i].start_line & ~LINKAGE) |
				      (frames[i].is_linkage_name ? LINKAGE : 0),
		};
	}
}

static int strings_write(struct writer *w, struct buf *to)
{
	w->offsets = calloc(w->strings.n_strings + 1, sizeof(*w->offsets));
	if (!w->offsets)
		return -ENOMEM;
	for (size_t i = 0; i < w->strings.n_strings; i++) {
		const char *s = intern_get(&w->strings, (uint32_t)i);

		w->offsets[i] = (uint32_t)to->len;
		buf_add(to, s, strlen(s) + 1);
	}
	return to->failed;
}

static void frames_write(const struct writer *w, size_t n, struct buf *to)
{
	uint32_t at = 0;

	for (size_t i = 0; i <= n; i++) {
		buf_add(to, &at, sizeof(at));
		at += i < n ? w->count[i] : 0;
	}
	for (size_t i = 0; i < n; i++) {
		for (uint32_t k = 0; k < w->count[i]; k++) {
			struct lines_entry e = w->entries[w->first[i] + k];

			e.name = w->offsets[e.name];
			e.path = w->offsets[e.path];
			buf_add(to, &e, sizeof(e));
		}
	}
}

static int sections_write(struct writer *w, const struct dwarf *d, size_t n,
			  struct table_writer *to)
{
	struct buf *frames = &to->sections[TABLE_FRAMES];
	struct lines_header h = {.n = (uint32_t)n};
	struct lines_missing_entry missing[LINES_MISSING_MAX];
	struct dwarf_missing m;
	int r;

	while (d && h.n_missing < LINES_MISSING_MAX && dwarf_get_missing(d, h.n_missing, &m) == 0)
		missing[h.n_missing++] = (struct lines_missing_entry){
			add_string(w, m.comp_dir), add_string(w, m.name), m.dwo_id};
	if (w->failed)
		return w->failed;
	r = strings_write(w, &to->sections[TABLE_STRINGS]);
	if (r < 0)
		return r;
	buf_add(frames, &h, sizeof(h));
	frames_write(w, n, frames);
	for (uint32_t i = 0; i < h.n_missing; i++) {
		missing[i].comp_dir = w->offsets[missing[i].comp_dir];
		missing[i].name = w->offsets[missing[i].name];
		buf_add(frames, &missing[i], sizeof(missing[i]));
	}
	return frames->failed;
}

/* The addresses that have no frames yet, in the debug information. */
static int expand_rest(struct writer *w, struct dwarf *d, const struct lines_query *q)
{
	_cleanup_free_ uint64_t *vaddrs = malloc((q->n + 1) * sizeof(*vaddrs));
	size_t n = 0;

	if (!vaddrs)
		return -ENOMEM;
	for (size_t i = 0; i < q->n; i++) {
		if (w->count[i])
			continue;
		w->rest[n] = (uint32_t)i;
		vaddrs[n++] = q->vaddrs[i];
	}
	return dwarf_expand(d, vaddrs, n, on_frames, w);
}

static int expand(struct writer *w, const struct gopclntab *go, const struct dwarf_files *f,
		  const struct lines_query *q, struct dwarf **d, bool *ret_asked)
{
	size_t answered = 0;
	int r;

	if (go) {
		r = gopclntab_expand(go, q->vaddrs, q->n, on_go_frames, w);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < q->n; i++)
		answered += w->count[i] > 0;
	if (go && answered == q->n)
		return 0;
	r = *d ? 0 : dwarf_open(f, d);
	if (r < 0)
		return r == -ENODATA && go ? 0 : r;
	*ret_asked = true;
	return expand_rest(w, *d, q);
}

int lines_write(const struct gopclntab *go, const struct dwarf_files *f, struct dwarf **d,
		const struct lines_query *q, struct table_writer *to)
{
	struct writer w = {0};
	bool asked = false;
	int r = -ENOMEM;

	w.first = calloc(q->n + 1, sizeof(*w.first));
	w.count = calloc(q->n + 1, sizeof(*w.count));
	w.rest = calloc(q->n + 1, sizeof(*w.rest));
	if (w.first && w.count && w.rest)
		r = expand(&w, go, f, q, d, &asked);
	if (r >= 0)
		r = w.failed ? w.failed : sections_write(&w, asked ? *d : NULL, q->n, to);
	intern_done(&w.strings);
	free(w.offsets);
	free(w.entries);
	free(w.first);
	free(w.count);
	free(w.rest);
	return r;
}

/* ---- reading ---- */

struct view {
	struct lines_header h;
	const uint8_t *first, *entries, *missing;
	uint32_t n_entries;
	const char *text;
	size_t text_bytes;
};

static int view_of(const struct table *t, struct view *ret)
{
	struct view v = {0};
	size_t bytes;
	const void *p = table_section(t, TABLE_FRAMES, &bytes);
	struct cursor c = cursor_of(p, p ? bytes : 0);

	v.h.n = cursor_u32(&c);
	v.h.n_missing = cursor_u32(&c);
	v.first = cursor_bytes(&c, ((size_t)v.h.n + 1) * sizeof(uint32_t));
	if (c.bad)
		return -EBADMSG;
	memcpy(&v.n_entries, v.first + (size_t)v.h.n * sizeof(uint32_t), sizeof(v.n_entries));
	v.entries = cursor_bytes(&c, (size_t)v.n_entries * sizeof(struct lines_entry));
	v.missing = cursor_bytes(&c, (size_t)v.h.n_missing * sizeof(struct lines_missing_entry));
	v.text = table_section(t, TABLE_STRINGS, &v.text_bytes);
	if (c.bad || !v.text || !v.text_bytes || v.text[v.text_bytes - 1])
		return -EBADMSG;
	*ret = v;
	return 0;
}

static const char *text_at(const struct view *v, uint32_t offset)
{
	return offset < v->text_bytes ? v->text + offset : "";
}

int lines_get(const struct table *t, size_t i, struct lines_frame *ret, size_t max)
{
	uint32_t bounds[2];
	struct view v;
	int n = 0;

	if (view_of(t, &v) < 0 || i >= v.h.n)
		return -EBADMSG;
	memcpy(bounds, v.first + i * sizeof(uint32_t), sizeof(bounds));
	if (bounds[0] > bounds[1] || bounds[1] > v.n_entries)
		return -EBADMSG;
	for (uint32_t k = bounds[0]; k < bounds[1] && (size_t)n < max; k++) {
		struct lines_entry e;

		memcpy(&e, v.entries + (size_t)k * sizeof(e), sizeof(e));
		ret[n++] = (struct lines_frame){
			.name = text_at(&v, e.name),
			.is_linkage_name = e.start_line & LINKAGE,
			.path = text_at(&v, e.path),
			.line = e.line,
			.start_line = e.start_line & ~LINKAGE,
		};
	}
	return n;
}

int lines_get_missing(const struct table *t, size_t i, struct dwarf_missing *ret)
{
	struct lines_missing_entry e;
	struct view v;

	if (view_of(t, &v) < 0)
		return -EBADMSG;
	if (i >= v.h.n_missing)
		return -ENOENT;
	memcpy(&e, v.missing + i * sizeof(e), sizeof(e));
	*ret = (struct dwarf_missing){.comp_dir = text_at(&v, e.comp_dir),
				      .name = text_at(&v, e.name),
				      .dwo_id = e.dwo_id};
	return 0;
}
