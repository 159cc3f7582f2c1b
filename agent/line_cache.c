/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/line_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/intern.h"
#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/debug_file.h"
#include "agent/parser/build.h"
#include "agent/parser/parser.h"
#include "symbolizer/lines.h"
#include "symbolizer/table.h"

#define GATHER_MS     50    /* addresses that come together are asked for together */
#define PATIENT_SHARE 10000 /* a request that took t is followed by a pause of 10000 t ... */
#define PAUSE_SHARE   20    /* ... or of 20 t, when somebody waits for the answer */
#define PAUSE_MAX_MS  60000
#define FREE_MS	      50 /* of child time a file, before pauses begin */
#define ROUNDS_MAX    8	 /* of opening split files */
#define UNKNOWN	      0
#define WANTED	      (UINT64_MAX - 1)

/* A frame as it is kept: strings by id. */
struct kept {
	uint32_t name, path, line, start_line;
};
#define KEPT_LINKAGE (UINT32_C(1) << 31)

/* The frames of one file's addresses. */
struct line_file {
	struct line_cache *cache;
	struct debug_file *debug; /* borrowed */
	struct hash known;	  /* vaddr -> 0 nothing, WANTED, or first << 8 | n */
	struct kept *frames;
	size_t n_frames, cap_frames;
	uint64_t *wanted, *asked; /* ascending when asked */
	size_t n_wanted, cap_wanted, n_asked;
	uint64_t not_before_ms, patient_ms, spent_us;
	uint32_t last_interval;
	unsigned int rounds;
};

struct line_cache {
	struct loop *loop;     /* borrowed */
	struct parser *parser; /* borrowed */
	struct loop_source *timer;
	size_t budget, pending;
	struct hash files; /* address of the debug_file -> pointer */
	struct intern strings;
	uint32_t interval;
	struct line_cache_stats stats;
};

static void on_timer(void *data);
static void on_answer(void *data, struct parser_result *result);

/* ---- life ---- */

int line_cache_new(struct loop *loop, struct parser *parser, size_t budget_bytes,
		   struct line_cache **ret)
{
	struct line_cache *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->loop = loop;
	c->parser = parser;
	c->budget = budget_bytes ? budget_bytes : LINE_CACHE_BUDGET;
	c->timer = loop_add_timer(loop, on_timer, c);
	if (!c->timer) {
		free(c);
		return -ENOMEM;
	}
	*ret = c;
	return 0;
}

static void file_free(struct line_file *f)
{
	parser_cancel(f->cache->parser, f);
	f->cache->pending -= f->n_wanted + f->n_asked;
	hash_done(&f->known);
	free(f->frames);
	free(f->wanted);
	free(f->asked);
	free(f);
}

static void drop_all(struct line_cache *c)
{
	HASH_FOREACH (s, &c->files)
		file_free((struct line_file *)(uintptr_t)s->value);
	hash_done(&c->files);
	intern_done(&c->strings);
	c->strings = (struct intern){0};
}

struct line_cache *line_cache_free(struct line_cache *c)
{
	if (!c)
		return NULL;
	drop_all(c);
	loop_remove(c->timer);
	free(c);
	return NULL;
}

static struct line_file *file_get(const struct line_cache *c, const struct debug_file *d)
{
	uint64_t v = hash_get(&c->files, (uintptr_t)d);

	return v == HASH_NONE ? NULL : (struct line_file *)(uintptr_t)v;
}

static struct line_file *file_add(struct line_cache *c, struct debug_file *d)
{
	struct line_file *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->cache = c;
	f->debug = d;
	if (hash_put(&c->files, (uintptr_t)d, (uintptr_t)f) < 0) {
		free(f);
		return NULL;
	}
	return f;
}

void line_cache_forget(struct line_cache *c, const struct debug_file *d)
{
	struct line_file *f = file_get(c, d);

	if (!f)
		return;
	(void)hash_del(&c->files, (uintptr_t)d);
	file_free(f);
}

/* ---- asking ---- */

static int want(struct line_file *f, uint64_t vaddr)
{
	if (f->n_wanted >= LINES_QUERY_MAX)
		return -EAGAIN;
	if (f->n_wanted == f->cap_wanted) {
		size_t cap = f->cap_wanted ? f->cap_wanted * 2 : 64;
		uint64_t *v = realloc(f->wanted, cap * sizeof(*v));

		if (!v)
			return -EAGAIN;
		f->wanted = v;
		f->cap_wanted = cap;
	}
	if (hash_put(&f->known, vaddr, WANTED) < 0)
		return -EAGAIN;
	f->wanted[f->n_wanted++] = vaddr;
	f->cache->pending++;
	f->cache->stats.asked++;
	if (f->n_wanted == 1)
		loop_set_timer(f->cache->timer, GATHER_MS, 0);
	return -EAGAIN;
}

int line_cache_get(struct line_cache *c, struct debug_file *d, uint64_t vaddr,
		   struct line_frame *ret)
{
	struct line_file *f = file_get(c, d);
	uint64_t known;
	size_t n;

	if (!f)
		f = file_add(c, d);
	if (!f)
		return -EAGAIN;
	f->last_interval = c->interval;
	known = hash_get(&f->known, vaddr);
	if (known == HASH_NONE)
		return want(f, vaddr);
	if (known == WANTED)
		return -EAGAIN;
	n = known & 0xff;
	for (size_t i = 0; i < n; i++) {
		const struct kept *k = &f->frames[(known >> 8) + i];

		ret[i] = (struct line_frame){
			.name = intern_get(&c->strings, k->name),
			.is_linkage_name = k->start_line & KEPT_LINKAGE,
			.path = intern_get(&c->strings, k->path),
			.line = k->line,
			.start_line = k->start_line & ~KEPT_LINKAGE,
		};
	}
	return (int)n;
}

static int ascending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Descriptors of one request, each a duplicate for the parser to close. */
struct request_fds {
	int v[3 + DEBUG_SPLIT_MAX];
	size_t n;
};

static void add_fd(struct request_fds *r, int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	if (copy >= 0)
		r->v[r->n++] = copy;
}

/* Asks for f->asked. */
static int send(struct line_file *f)
{
	const struct lines_query q = {
		.has_alt = f->debug->alt_fd >= 0, .n = f->n_asked, .vaddrs = f->asked};
	struct request_fds fds = {0};
	int fd = lines_query_write(&q);

	if (fd < 0)
		return fd;
	fds.v[fds.n++] = fd;
	add_fd(&fds, f->debug->fd);
	if (q.has_alt)
		add_fd(&fds, f->debug->alt_fd);
	for (size_t i = 0; i < f->debug->n_split; i++)
		add_fd(&fds, f->debug->split[i]);
	f->cache->stats.requests++;
	return parser_request_files(f->cache->parser, fds.v, fds.n, BUILD_LINES, on_answer, f);
}

/* The addresses of f are done with; those without an answer have none. */
static void conclude(struct line_file *f)
{
	for (size_t i = 0; i < f->n_asked; i++) {
		if (hash_get(&f->known, f->asked[i]) == WANTED)
			(void)hash_put(&f->known, f->asked[i], UNKNOWN);
	}
	f->cache->pending -= f->n_asked;
	f->n_asked = 0;
	free(f->asked);
	f->asked = NULL;
}

static void ask(struct line_file *f)
{
	int r;

	f->asked = TAKE_PTR(f->wanted);
	f->n_asked = f->n_wanted;
	f->n_wanted = f->cap_wanted = 0;
	f->rounds = 0;
	qsort(f->asked, f->n_asked, sizeof(*f->asked), ascending);
	r = send(f);
	if (r >= 0)
		return;
	log_debug_errno(r, "cannot ask for the lines of '%s'", debug_file_describe(f->debug));
	f->cache->stats.failed++;
	conclude(f);
}

/* Most of what a request costs does not depend on the number of addresses: sections that are
 * decompressed, lists of units. So they gather as long as nobody waits. */
static void ask_due(struct line_cache *c, bool patient)
{
	uint64_t now = clock_ms(), next = UINT64_MAX;

	HASH_FOREACH (s, &c->files) {
		struct line_file *f = (struct line_file *)(uintptr_t)s->value;
		uint64_t from = patient ? f->patient_ms : f->not_before_ms;

		if (!f->n_wanted || f->n_asked)
			continue;
		if (now >= from)
			ask(f);
		else
			next = MIN(next, from);
	}
	if (next != UINT64_MAX)
		loop_set_timer(c->timer, next - now, 0);
}

static void on_timer(void *data)
{
	ask_due(data, true);
}

void line_cache_flush(struct line_cache *c)
{
	if (c->pending)
		ask_due(c, false);
}

/* ---- answers ---- */

static void keep(struct line_file *f, uint64_t vaddr, const struct lines_frame *frames, size_t n)
{
	struct line_cache *c = f->cache;
	size_t first = f->n_frames;

	if (f->n_frames + n > f->cap_frames) {
		size_t cap = MAX(f->cap_frames * 2, f->n_frames + n + 64);
		struct kept *v = realloc(f->frames, cap * sizeof(*v));

		if (!v)
			return;
		f->frames = v;
		f->cap_frames = cap;
	}
	for (size_t i = 0; i < n; i++) {
		struct kept k = {
			.name = intern_str(&c->strings, frames[i].name),
			.path = intern_str(&c->strings, frames[i].path),
			.line = frames[i].line,
			.start_line = frames[i].start_line |
				      (frames[i].is_linkage_name ? KEPT_LINKAGE : 0),
		};

		if (k.name == INTERN_INVALID || k.path == INTERN_INVALID)
			return;
		f->frames[first + i] = k;
	}
	if (hash_put(&f->known, vaddr, (uint64_t)first << 8 | n) == 0)
		f->n_frames = first + n;
}

/* Opens what the answer lacked. Whether asking again may bring more. */
static bool open_missing(struct line_file *f, const struct table *t)
{
	struct dwarf_missing m;
	bool any = false;

	for (size_t i = 0; lines_get_missing(t, i, &m) == 0; i++) {
		if (debug_file_add_split(f->debug, m.comp_dir, m.name) == 0)
			any = true;
	}
	return any && ++f->rounds < ROUNDS_MAX;
}

static void slow_down(struct line_file *f, uint64_t us)
{
	f->spent_us += us;
	f->cache->stats.child_us += us;
	if (f->spent_us <= FREE_MS * 1000)
		return;
	f->not_before_ms = clock_ms() + MIN(us * PAUSE_SHARE / 1000, PAUSE_MAX_MS);
	f->patient_ms = clock_ms() + MIN(us * PATIENT_SHARE / 1000, PAUSE_MAX_MS);
}

static void on_answer(void *data, struct parser_result *result)
{
	struct line_file *f = data;
	struct lines_frame frames[LINE_FRAMES_MAX];

	slow_down(f, result->us);
	if (result->r < 0) {
		f->cache->stats.failed++;
		log_debug_errno(result->r, "no lines from '%s'", debug_file_describe(f->debug));
	} else if (open_missing(f, result->table) && send(f) >= 0) {
		return;
	}
	for (size_t i = 0; result->r >= 0 && i < f->n_asked; i++) {
		int n = lines_get(result->table, i, frames, ARRAY_SIZE(frames));

		if (n > 0)
			keep(f, f->asked[i], frames, (size_t)n);
		f->cache->stats.answered += n > 0;
	}
	conclude(f);
	if (f->n_wanted)
		loop_set_timer(f->cache->timer, GATHER_MS, 0);
}

/* ---- keeping house ---- */

size_t line_cache_pending(const struct line_cache *c)
{
	return c->pending;
}

static size_t file_bytes(const struct line_file *f)
{
	return f->known.cap * sizeof(struct hash_slot) + f->cap_frames * sizeof(struct kept);
}

static size_t cache_bytes(const struct line_cache *c)
{
	size_t bytes = c->strings.bytes;

	HASH_FOREACH (s, &c->files)
		bytes += file_bytes((const struct line_file *)(uintptr_t)s->value);
	return bytes;
}

void line_cache_next_interval(struct line_cache *c)
{
	c->interval++;
	/* Strings are shared, so that there is no dropping a part of them. What is still sampled
	 * comes back with one request a file. */
	if (cache_bytes(c) > c->budget && !c->pending) {
		c->stats.dropped++;
		drop_all(c);
	}
}

void line_cache_get_stats(const struct line_cache *c, struct line_cache_stats *ret)
{
	*ret = c->stats;
	ret->bytes = cache_bytes(c);
	ret->files = c->files.count;
	ret->addresses = 0;
	HASH_FOREACH (s, &c->files)
		ret->addresses += ((const struct line_file *)(uintptr_t)s->value)->known.count;
}
