/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names are kept by frame (process, both words), so that a process that is gone is still named, and
 * methods by their ConstMethod, which frames share. Both are let go of when nobody asked for them
 * for some intervals, or all at once when they take more than the budget.
 */
#include "unwinders/hotspot_names.h"

#include <errno.h>
#include <string.h>

#include "agent/base/hash.h"
#include "agent/base/intern.h"
#include "agent/base/recent.h"
#include "unwinders/hotspot_loader.h"
#include "unwinders/hotspot_method.h"
#include "unwinders/hotspot_scopes.h"
#include "unwinders/hotspot_stubs.h"
#include "unwinders/runtime.h"

#define BUDGET_BYTES   (24u << 20)
#define KEPT_INTERVALS 8

struct method {
	uint64_t key, place; /* place: its key in `places`, 0 when it is not there */
	uint64_t method_const;
	uint32_t name, file; /* interned */
	uint32_t version, start_line;
	uint32_t used; /* interval */
	uint8_t *lines;
	size_t lines_bytes;
	uint16_t code_bytes;
	bool more_lines; /* see struct hotspot_method */
};

struct function {
	uint32_t name, file, line, start_line;
};

struct named {
	uint32_t used;
	uint32_t n;	 /* 0: why */
	const char *why; /* static */
	struct function functions[];
};

struct hotspot_names {
	struct intern strings;
	struct hash frames;  /* -> struct named */
	struct hash methods; /* -> struct method */
	struct hash members; /* method of a frame -> key of methods */
	struct hash places;  /* place_of() -> key of methods */
	struct hash loaders; /* -> whether they stay */
	struct hash staying; /* those that do, of a process: its 0th to HOTSPOT_LOADERS - 1st */
	struct hash stubs;   /* process -> struct hotspot_stubs */
	size_t bytes;	     /* of all but `strings` */
	uint32_t interval;
	struct recent wanted;	    /* keys of `frames` that were used in this interval */
	struct hotspot_method read; /* too much for the stack */
};

static void forget_all(struct hotspot_names *k)
{
	HASH_FOREACH (s, &k->frames)
		free((void *)(uintptr_t)s->value);
	HASH_FOREACH (s, &k->methods) {
		free(((struct method *)(uintptr_t)s->value)->lines);
		free((void *)(uintptr_t)s->value);
	}
	HASH_FOREACH (s, &k->stubs)
		free((void *)(uintptr_t)s->value);
	hash_done(&k->frames);
	hash_done(&k->methods);
	hash_done(&k->members);
	hash_done(&k->places);
	hash_done(&k->loaders);
	hash_done(&k->staying);
	hash_done(&k->stubs);
	intern_done(&k->strings);
	recent_clear(&k->wanted);
	k->bytes = 0;
}

int hotspot_names_new(void **ret)
{
	struct hotspot_names *k = calloc(1, sizeof(*k));

	if (!k)
		return -ENOMEM;
	*ret = k;
	return 0;
}

void hotspot_names_free(void *names)
{
	if (!names)
		return;
	forget_all(names);
	free(names);
}

/* ---- methods ---- */

static uint64_t key_of(uint64_t process, uint64_t a, uint64_t b)
{
	return hash_mix(process ^ hash_mix(a ^ hash_mix(b)));
}

static size_t method_bytes(const struct method *m)
{
	return sizeof(*m) + m->lines_bytes + 2 * sizeof(struct hash_slot);
}

static size_t bytes_of(const struct hotspot_names *k)
{
	return k->bytes + k->strings.bytes +
	       (k->members.cap + k->places.cap) * sizeof(struct hash_slot);
}

static int add_method(struct hotspot_names *k, uint64_t key, uint32_t version, struct method **ret)
{
	struct method *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	*m = (struct method){
		.key = key,
		.method_const = k->read.method_const,
		.name = intern_str(&k->strings, k->read.name),
		.file = intern_str(&k->strings, k->read.file),
		.version = version,
		.start_line = hotspot_line(k->read.lines, k->read.lines_bytes, version, 0),
		.lines = TAKE_PTR(k->read.lines),
		.lines_bytes = k->read.lines_bytes,
		.code_bytes = (uint16_t)k->read.code_bytes,
		.more_lines = k->read.more_lines,
	};
	if (m->name == INTERN_INVALID || m->file == INTERN_INVALID ||
	    hash_put(&k->methods, key, (uintptr_t)m) < 0) {
		free(m->lines);
		free(m);
		return -ENOMEM;
	}
	k->bytes += method_bytes(m);
	*ret = m;
	return 0;
}

static struct method *find_method(struct hotspot_names *k, uint64_t key)
{
	uint64_t found = hash_get(&k->methods, key);
	struct method *m = found == HASH_NONE ? NULL : (struct method *)(uintptr_t)found;

	if (m)
		m->used = k->interval;
	return m;
}

/* Where a method is for as long as its process (of no cookie), or its frames have this cookie. */
static uint64_t place_of(uint64_t owner, uint64_t addr, const uint32_t *cookie)
{
	return key_of(owner, addr, cookie ? UINT64_C(1) << 32 | *cookie : 0);
}

static void put_place(struct hotspot_names *k, struct method *m, uint64_t place)
{
	m->place = place;
	(void)hash_put(&k->places, place, m->key);
}

void hotspot_names_on_record(void *names, const struct event_runtime *e, size_t bytes)
{
	const struct hotspot_record *r = (const void *)e;
	struct hotspot_names *k = names;
	struct method *m;
	uint64_t key;
	bool stays;

	/* Over the budget, it is read when it is asked for, which is bounded. */
	if (bytes < sizeof(*r) || bytes_of(k) > BUDGET_BYTES)
		return;
	key = key_of(e->key, r->method, (uint64_t)r->cookie << 32 ^ r->method_const);
	stays = r->cookie == hotspot_staying_cookie(r->method_const);
	if (find_method(k, key))
		return;
	if (hotspot_method_told(r, &k->read) == 0 && add_method(k, key, r->version, &m) == 0)
		put_place(k, m, place_of(e->key, r->method, stays ? NULL : &r->cookie));
	hotspot_method_done(&k->read);
}

/*
 * What the kernel told, or was read before of a class that stays. It may have been redefined, and
 * another method lie in its place; a cookie tells that, compiled code does not.
 */
static struct method *find_place(struct hotspot_names *k, const struct runtime_process *process,
				 uint64_t addr, const uint32_t *cookie)
{
	const struct hotspot_proc *p = process->proc;
	const uint64_t owner = HOTSPOT_OWNER(process->id);
	struct method *m = find_method(k, hash_get(&k->places, place_of(owner, addr, NULL)));
	uint64_t method_const = 0;

	if (m && !cookie)
		(void)target_read_u64(process->memory, addr + p->at[HF_METHOD_CONST],
				      &method_const);
	if (m && (cookie ? *cookie != hotspot_staying_cookie(m->method_const)
			 : method_const != m->method_const))
		m = NULL;
	if (!m && cookie)
		m = find_method(k, hash_get(&k->places, place_of(owner, addr, cookie)));
	return m;
}

/* The number of classes that were unloaded: what it was when memory was read that is held. */
static int unloaded_then(const struct runtime_process *process, uint32_t *ret)
{
	const struct hotspot_proc *p = process->proc;

	*ret = 0;
	return p->unloaded ? target_read_u32(process->memory, p->unloaded, ret) : 0;
}

/* The rest of what was told, if the method is still there. */
static void read_lines(struct hotspot_names *k, const struct runtime_process *process,
		       struct method *m, const uint32_t *cookie)
{
	const struct hotspot_proc *p = process->proc;
	uint32_t unloaded;

	m->more_lines = false;
	if (cookie && *cookie != hotspot_staying_cookie(m->method_const) &&
	    (unloaded_then(process, &unloaded) < 0 ||
	     *cookie != hotspot_method_cookie(m->method_const, unloaded)))
		return;
	k->read = (struct hotspot_method){.method_const = m->method_const,
					  .code_bytes = m->code_bytes};
	hotspot_method_lines(process->memory, p, &k->read);
	k->bytes += k->read.lines_bytes;
	m->lines_bytes = k->read.lines_bytes;
	m->lines = TAKE_PTR(k->read.lines);
	m->start_line = hotspot_line(m->lines, m->lines_bytes, m->version, 0);
	hotspot_method_done(&k->read);
}

static void add_staying(struct hotspot_names *k, uint64_t process, uint64_t loader)
{
	for (uint64_t i = 0; i < HOTSPOT_LOADERS; i++) {
		uint64_t key = key_of(process, i, 0), found = hash_get(&k->staying, key);

		if (found == HASH_NONE)
			(void)hash_put(&k->staying, key, loader);
		if (found == HASH_NONE || found == loader)
			return;
	}
}

/* Is this class never unloaded? */
static bool is_kept(struct hotspot_names *k, const struct runtime_process *process, uint64_t class)
{
	const struct hotspot_proc *p = process->proc;
	uint64_t loader, key, found;

	if (!p->unloaded || p->at[HF_KLASS_LOADER] == HOTSPOT_NONE ||
	    target_read_pointer(process->memory, class + p->at[HF_KLASS_LOADER], &loader) < 0)
		return false;
	key = key_of(process->key, loader, 0);
	found = hash_get(&k->loaders, key);
	if (found == HASH_NONE) {
		found = hotspot_loader_stays(process->memory, p, loader);
		(void)hash_put(&k->loaders, key, found);
		if (found)
			add_staying(k, process->key, loader);
	}
	return found;
}

/*
 * stays: it is known that its class is never unloaded; or whether it is. -EAGAIN: classes were
 * unloaded meanwhile, so that it may have been read out of two of them.
 */
static int read_method(struct hotspot_names *k, const struct runtime_process *process,
		       uint64_t addr, uint64_t key, uint32_t unloaded, bool *stays,
		       struct method **ret)
{
	const struct hotspot_proc *p = process->proc;
	int r = hotspot_method_read(process->memory, p, addr, &k->read);
	bool known = *stays;
	uint32_t now = unloaded;

	*stays = known || (r == 0 && is_kept(k, process, k->read.holder));
	if (r == 0 && !known && p->unloaded)
		r = target_read_fresh(process->memory, p->unloaded, &now, sizeof(now));
	if (r == 0 && now != unloaded)
		r = -EAGAIN;
	if (r == 0)
		r = add_method(k, key, p->version, ret);
	hotspot_method_done(&k->read);
	return r;
}

/*
 * A method by its address. What lies there was not there before when classes were unloaded, unless
 * its class can not be: cookie is what it must be known by (NULL: anything), so that nothing is
 * read out of what is no method.
 */
static int get_method(struct hotspot_names *k, const struct runtime_process *process, uint64_t addr,
		      const uint32_t *cookie, struct method **ret)
{
	const struct hotspot_proc *p = process->proc;
	uint64_t method_const, key;
	uint32_t unloaded;
	bool stays;
	int r;

	*ret = find_place(k, process, addr, cookie);
	if (*ret) {
		if ((*ret)->more_lines)
			read_lines(k, process, *ret, cookie);
		return 0;
	}
	r = unloaded_then(process, &unloaded);
	if (r == 0)
		r = target_read_u64(process->memory, addr + p->at[HF_METHOD_CONST], &method_const);
	if (r < 0)
		return r;
	stays = cookie && *cookie == hotspot_staying_cookie(method_const);
	if (cookie && !stays && *cookie != hotspot_method_cookie(method_const, unloaded))
		return -ESTALE;
	key = key_of(process->key ^ hash_mix(unloaded), addr, method_const);
	*ret = find_method(k, key);
	if (!*ret)
		r = read_method(k, process, addr, key, unloaded, &stays, ret);
	if (r == -EAGAIN && cookie)
		return -ESTALE; /* its cookie would be another one by now */
	if (r == 0 && stays)
		put_place(k, *ret, place_of(HOTSPOT_OWNER(process->id), addr, NULL));
	return r;
}

/*
 * Which method it is that a frame has at an address, of itself or inlined: while the code is there
 * that its cookie tells, its methods are.
 */
static uint64_t member_key(const struct runtime_frame *f, uint64_t addr)
{
	uint64_t code = key_of(f->process->key, f->value, HOTSPOT_COOKIE(f->more));

	return hash_mix(code ^ hash_mix(addr));
}

static struct method *find_member(struct hotspot_names *k, const struct runtime_frame *f,
				  uint64_t addr)
{
	return find_method(k, hash_get(&k->members, member_key(f, addr)));
}

static void put_member(struct hotspot_names *k, const struct runtime_frame *f, uint64_t addr,
		       const struct method *m)
{
	(void)hash_put(&k->members, member_key(f, addr), m->key);
}

static struct function function_of(const struct method *m, uint32_t bci)
{
	return (struct function){
		.name = m->name,
		.file = m->file,
		.line = bci == HOTSPOT_BCI_UNKNOWN
				? 0
				: hotspot_line(m->lines, m->lines_bytes, m->version, bci),
		.start_line = m->start_line,
	};
}

/* ---- frames ---- */

static int name_interpreted(struct hotspot_names *k, const struct runtime_frame *f,
			    struct function *ret)
{
	const uint64_t addr = HOTSPOT_ADDRESS(f->value);
	const uint32_t cookie = HOTSPOT_COOKIE(f->more);
	struct method *m = find_member(k, f, addr);
	int r;

	if (!m) {
		r = get_method(k, f->process, addr, &cookie, &m);
		if (r < 0)
			return r;
		put_member(k, f, addr, m);
	}
	ret[0] = function_of(m, HOTSPOT_POSITION(f->more));
	return 1;
}

/* Methods go after the code that they are in: what was read belongs to it if it is still there. */
static int name_compiled(struct hotspot_names *k, const struct runtime_frame *f,
			 struct function *ret)
{
	const uint64_t code = HOTSPOT_ADDRESS(f->value);
	const uint32_t id = HOTSPOT_COOKIE(f->more);
	struct target_memory *memory = f->process->memory;
	struct hotspot_scope scopes[HOTSPOT_SCOPES_MAX];
	struct method *methods[HOTSPOT_SCOPES_MAX];
	int n = hotspot_scopes_read(memory, f->process->proc, code, HOTSPOT_POSITION(f->more), id,
				    scopes);
	bool known = true;
	int r = 0;

	for (int i = 0; r == 0 && i < n; i++) {
		methods[i] = find_member(k, f, scopes[i].method);
		if (methods[i])
			continue;
		known = false;
		r = get_method(k, f->process, scopes[i].method, NULL, &methods[i]);
	}
	if (r == 0 && !known)
		r = hotspot_code_is_there(memory, f->process->proc, code, id);
	if (r < 0)
		return r;
	for (int i = 0; i < n; i++) {
		if (!known)
			put_member(k, f, scopes[i].method, methods[i]);
		ret[i] = function_of(methods[i], scopes[i].bci);
	}
	return n;
}

static int get_stubs(struct hotspot_names *k, const struct runtime_process *process,
		     struct hotspot_stubs **ret)
{
	uint64_t found = hash_get(&k->stubs, process->key);
	int r;

	if (found != HASH_NONE) {
		*ret = (struct hotspot_stubs *)(uintptr_t)found;
		(*ret)->used = k->interval;
		return 0;
	}
	r = hotspot_stubs_read(process->memory, process->proc, ret);
	if (r < 0)
		return r;
	(*ret)->used = k->interval;
	r = hash_put(&k->stubs, process->key, (uintptr_t)*ret);
	if (r < 0)
		free(*ret);
	else
		k->bytes += sizeof(**ret);
	return r;
}

static int name_stub(struct hotspot_names *k, const struct runtime_frame *f, struct function *ret)
{
	uint64_t blob = HOTSPOT_ADDRESS(f->value), pc = blob + HOTSPOT_POSITION(f->more);
	struct hotspot_stubs *stubs;
	char name[HOTSPOT_STUB_BYTES];
	int r = hotspot_blob_name(f->process->memory, f->process->proc, blob,
				  HOTSPOT_COOKIE(f->more), name);

	if (r < 0)
		return r;
	r = get_stubs(k, f->process, &stubs);
	if (r == 0)
		hotspot_stubs_name(stubs, pc, name);
	ret[0] = (struct function){.name = intern_str(&k->strings, name)};
	return ret[0].name == INTERN_INVALID ? -ENOMEM : 1;
}

static const char *why_not(int r)
{
	switch (r) {
	case -ESTALE:
		return "[java: code is gone]";
	case -ESRCH:
		return "[java: process is gone]";
	case -E2BIG:
		return "[java: not read in time]";
	default:
		return "[java: name unreadable]";
	}
}

static int read_functions(struct hotspot_names *k, const struct runtime_frame *f,
			  struct function *ret)
{
	if (!f->process || !f->process->proc)
		return -ESRCH;
	switch (HOTSPOT_KIND(f->value)) {
	case HOTSPOT_COMPILED:
		return name_compiled(k, f, ret);
	case HOTSPOT_INTERPRETED:
		return name_interpreted(k, f, ret);
	case HOTSPOT_STUB:
		return name_stub(k, f, ret);
	default:
		return -EBADMSG;
	}
}

static size_t named_bytes(const struct named *named)
{
	return sizeof(*named) + named->n * sizeof(struct function) + 2 * sizeof(struct hash_slot);
}

static uint64_t frame_key(const struct runtime_frame *f)
{
	return key_of(f->process ? f->process->key : 0, f->value, f->more);
}

/* NULL: it is not to be had now, and *ret_why says why. */
static const struct named *get_named(struct hotspot_names *k, const struct runtime_frame *f,
				     uint64_t key, const char **ret_why)
{
	uint64_t found = hash_get(&k->frames, key);
	struct function functions[HOTSPOT_SCOPES_MAX];
	struct named *named;
	int n;

	if (found != HASH_NONE) {
		named = (struct named *)(uintptr_t)found;
		named->used = k->interval;
		return named;
	}
	n = read_functions(k, f, functions);
	/* What is held may be older than the frame. */
	if (n < 0 && f->process && target_refresh(f->process->memory))
		n = read_functions(k, f, functions);
	*ret_why = why_not(n);
	/* What is gone will not come back; everything else may be there the next time. */
	if (n < 0 && n != -ESTALE)
		return NULL;
	named = calloc(1, sizeof(*named) + (size_t)MAX(n, 0) * sizeof(struct function));
	if (!named)
		return NULL;
	named->n = (uint32_t)MAX(n, 0);
	named->why = *ret_why;
	named->used = k->interval;
	memcpy(named->functions, functions, named->n * sizeof(struct function));
	if (hash_put(&k->frames, key, (uintptr_t)named) < 0) {
		free(named);
		return NULL;
	}
	k->bytes += named_bytes(named);
	return named;
}

void hotspot_names_want(void *names, const struct runtime_frame *f)
{
	struct hotspot_names *k = names;
	uint64_t key = frame_key(f);
	const char *why;

	if (!recent_get(&k->wanted, key) && get_named(k, f, key, &why))
		recent_put(&k->wanted, key, true);
}

int hotspot_names_frame(void *names, const struct runtime_frame *f, struct runtime_function *ret,
			const char **ret_why)
{
	struct hotspot_names *k = names;
	const struct named *named = get_named(k, f, frame_key(f), ret_why);

	if (!named)
		return 0;
	if (!named->n)
		*ret_why = named->why;
	for (uint32_t i = 0; i < named->n; i++) {
		const struct function *from = &named->functions[i];

		ret[i] = (struct runtime_function){
			.name = intern_get(&k->strings, from->name),
			.file = intern_get(&k->strings, from->file),
			.line = from->line,
			.start_line = from->start_line,
		};
	}
	return (int)named->n;
}

/* ---- what the kernel half can use ---- */

static bool add_loader(struct hotspot_proc *p, uint64_t loader)
{
	for (size_t i = 0; i < HOTSPOT_LOADERS; i++) {
		if (p->staying[i] == loader)
			return false;
		if (!p->staying[i]) {
			p->staying[i] = loader;
			return true;
		}
	}
	return false;
}

bool hotspot_names_learned(const void *names, const struct runtime_process *process, void *proc)
{
	const struct hotspot_names *k = names;
	bool more = false;

	for (uint64_t i = 0; i < HOTSPOT_LOADERS; i++) {
		uint64_t loader = hash_get(&k->staying, key_of(process->key, i, 0));

		if (loader != HASH_NONE)
			more |= add_loader(proc, loader);
	}
	return more;
}

/* ---- keeping within bounds ---- */

static bool is_old(const struct hotspot_names *k, uint32_t used)
{
	return k->interval - used > KEPT_INTERVALS;
}

/* Slots move when one is deleted: keys are taken first. */
static void forget_old(struct hotspot_names *k, struct hash *h, uint32_t (*used)(uint64_t value),
		       void (*drop)(struct hotspot_names *k, uint64_t value))
{
	_cleanup_free_ uint64_t *keys = calloc(h->count + 1, sizeof(*keys));
	size_t n = 0;

	if (!keys)
		return;
	HASH_FOREACH (s, h) {
		if (is_old(k, used(s->value)))
			keys[n++] = s->key;
	}
	for (size_t i = 0; i < n; i++)
		drop(k, hash_del(h, keys[i]));
}

static uint32_t frame_used(uint64_t value)
{
	return ((const struct named *)(uintptr_t)value)->used;
}

static void drop_frame(struct hotspot_names *k, uint64_t value)
{
	struct named *named = (struct named *)(uintptr_t)value;

	k->bytes -= named_bytes(named);
	free(named);
}

static uint32_t method_used(uint64_t value)
{
	return ((const struct method *)(uintptr_t)value)->used;
}

static void drop_method(struct hotspot_names *k, uint64_t value)
{
	struct method *m = (struct method *)(uintptr_t)value;

	if (m->place && hash_get(&k->places, m->place) == m->key)
		(void)hash_del(&k->places, m->place);
	k->bytes -= method_bytes(m);
	free(m->lines);
	free(m);
}

static uint32_t stubs_used(uint64_t value)
{
	return ((const struct hotspot_stubs *)(uintptr_t)value)->used;
}

static void drop_stubs(struct hotspot_names *k, uint64_t value)
{
	k->bytes -= sizeof(struct hotspot_stubs);
	free((void *)(uintptr_t)value);
}

void hotspot_names_next_interval(void *names, void (*forget)(void *data, uint64_t key), void *data)
{
	struct hotspot_names *k = names;

	(void)forget, (void)data; /* no records */
	k->interval++;
	recent_clear(&k->wanted);
	forget_old(k, &k->frames, frame_used, drop_frame);
	forget_old(k, &k->methods, method_used, drop_method);
	forget_old(k, &k->stubs, stubs_used, drop_stubs);
	if (k->interval % KEPT_INTERVALS == 0) {
		hash_done(&k->members);
		hash_done(&k->loaders);
		hash_done(&k->staying);
	}
	if (bytes_of(k) > BUDGET_BYTES)
		forget_all(k);
}
