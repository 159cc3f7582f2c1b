/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/processes.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/hash.h"
#include "agent/base/log.h"
#include "agent/proc_maps.h"
#include "agent/profiler.h"
#include "agent/regular_file.h"
#include "agent/tables.h"
#include "symbolizer/objfile.h"
#include "symbolizer/table.h"
#include "unwinders/runtime.h"

#define KEEP_INTERVALS 16
#define MAPPED_MAX     1024	   /* executable mappings of one process that are looked at */
#define MEMORY_BUDGET  (16u << 20) /* bytes of a process's memory that are read at once */
#define MEMORY_RATE    4096	   /* ... and a millisecond, in the long run */
#define NOT_READY_MAX  50	   /* times a process may say so before it is believed to lie */
/* Keys of `NAME_files` that are no file ids of the kernel's. */
#define OBJECT_IDS (1u << 31)

/* A file that some process has mapped executably. */
struct object {
	struct processes *owner;
	uint64_t key; /* of its identity */
	uint32_t id, last_interval;
	bool loading;
	struct table *table;	  /* NULL: could not be read, or nothing in it */
	const struct runtime *rt; /* NULL: none is in it */
	const void *file;	  /* in table */
	bool in_kernel;
};

/* One of them in a process that is being looked at. */
struct mapped {
	struct object *object;
	uint64_t load; /* where byte 0 of the file would lie */
};

struct process {
	struct processes *owner;
	struct process_key key;
	uint32_t last_interval;
	uint32_t not_ready;
	int mem_fd; /* /proc/PID/mem, of this address space only; -1: gone */
	struct target_memory memory;
	uint64_t refilled_ms;
	struct buf mapped; /* struct mapped, until it is decided */
	bool decided;
	struct object *object; /* with the runtime; NULL: none */
	struct runtime_process public;
	uint8_t proc[RUNTIME_PROC_BYTES_MAX];
};

struct processes {
	struct processes_options o;
	size_t max;	     /* each keeps a descriptor */
	struct hash by_key;  /* -> pointer */
	struct hash objects; /* identity -> pointer */
	uint32_t interval, n_ids;
	uint64_t n_keys;
	size_t pending;
	struct processes_stats stats;
};

/* ---- life ---- */

int processes_new(const struct processes_options *o, struct processes **ret)
{
	struct processes *p = calloc(1, sizeof(*p));
	struct rlimit files = {.rlim_cur = 1024};

	if (!p)
		return -ENOMEM;
	p->o = *o;
	(void)getrlimit(RLIMIT_NOFILE, &files);
	p->max = MIN((size_t)files.rlim_cur / 2, (size_t)PROCESSES_MAX);
	*ret = p;
	return 0;
}

static void object_free(struct object *o)
{
	if (o->loading)
		tables_cancel(o->owner->o.tables, o);
	if (o->in_kernel)
		profiler_remove(o->owner->o.profiler, o->rt->name, "files", &o->id);
	table_free(o->table);
	free(o);
}

static void process_free(struct process *p)
{
	p->owner->pending -= !p->decided;
	if (p->mem_fd >= 0)
		close(TAKE_FD(p->mem_fd));
	buf_done(&p->mapped);
	free(p);
}

struct processes *processes_free(struct processes *p)
{
	if (!p)
		return NULL;
	HASH_FOREACH (s, &p->by_key)
		process_free((struct process *)(uintptr_t)s->value);
	HASH_FOREACH (s, &p->objects)
		object_free((struct object *)(uintptr_t)s->value);
	hash_done(&p->by_key);
	hash_done(&p->objects);
	free(p);
	return NULL;
}

static uint64_t hash_of(struct process_key key)
{
	return hash_mix((uint64_t)key.tgid << 32 | key.mm);
}

/* ---- memory ---- */

static int read_memory(void *data, uint64_t addr, void *to, size_t n)
{
	const struct process *p = data;
	ssize_t got;

	/* 0: the address space is gone (mm/memory.c, mem_rw()). */
	if (p->mem_fd < 0)
		return -ESRCH;
	if (addr > INT64_MAX)
		return -EFAULT;
	got = pread(p->mem_fd, to, n, (off_t)addr);
	if (got < 0)
		return errno == EIO ? -EFAULT : -errno;
	if (got == 0)
		return -ESRCH;
	return (size_t)got == n ? 0 : -EFAULT;
}

/* ---- files ---- */

static void decide(struct process *p);

static void on_object(void *data, int r, struct table *table)
{
	struct object *o = data;
	struct processes *p = o->owner;
	const struct runtime *rt;

	o->loading = false;
	o->table = table;
	rt = r >= 0 ? runtime_of_table(table, &o->file) : NULL;
	if (rt && rt->attach)
		o->rt = rt;
	else
		o->table = table_free(o->table);
	HASH_FOREACH (s, &p->by_key) {
		struct process *k = (struct process *)(uintptr_t)s->value;

		if (!k->decided)
			decide(k);
	}
	p->o.ready(p->o.data);
}

/* Takes fd. */
static struct object *object_add(struct processes *p, uint64_t key, int fd)
{
	_cleanup_close_ int taken = fd;
	struct object *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	o->owner = p;
	o->key = key;
	o->id = OBJECT_IDS | p->n_ids++;
	o->last_interval = p->interval;
	if (hash_put(&p->objects, key, (uintptr_t)o) < 0) {
		free(o);
		return NULL;
	}
	o->loading = tables_load(p->o.tables, TAKE_FD(taken), BUILD_FILE, on_object, o) == 0;
	return o;
}

struct look {
	struct process *process;
	int proc_fd;
};

static int add_mapping(void *data, const struct proc_mapping *m)
{
	const struct look *look = data;
	struct process *p = look->process;
	_cleanup_close_ int map_fd = -1, fd = -1;
	struct mapped mapped = {.load = m->start - m->offset};
	struct stat st;
	uint64_t key, known;
	char path[96];

	if (!m->executable || !m->inode)
		return 0;
	(void)snprintf(path, sizeof(path), "map_files/%llx-%llx", (unsigned long long)m->start,
		       (unsigned long long)m->end);
	map_fd = openat(look->proc_fd, path, O_PATH | O_CLOEXEC);
	if (map_fd < 0 || fstat(map_fd, &st) < 0 || !S_ISREG(st.st_mode))
		return 0;
	key = hash_mix(hash_mix(st.st_dev ^ (uint64_t)st.st_size) ^ st.st_ino) ^
	      hash_mix((uint64_t)st.st_mtim.tv_sec * 1000000000 + (uint64_t)st.st_mtim.tv_nsec);
	known = hash_get(&p->owner->objects, key);
	if (known != HASH_NONE) {
		mapped.object = (struct object *)(uintptr_t)known;
	} else {
		fd = regular_file_reopen(map_fd, &st);
		if (fd >= 0)
			mapped.object = object_add(p->owner, key, TAKE_FD(fd));
	}
	if (mapped.object) {
		mapped.object->last_interval = p->owner->interval;
		buf_add(&p->mapped, &mapped, sizeof(mapped));
	}
	return 0;
}

/* ---- attaching ---- */

/* From where byte 0 of the file would lie to where virtual address 0 would, as the mapping of the
 * code has it: segments of one file may lie differently, data is found by addresses. */
static int bias_of(const struct table *t, uint64_t load, uint64_t *ret)
{
	const struct table_info *info = table_get_info(t);

	if (!info || !info->n_segments)
		return -ENODATA;
	*ret = load + info->segments[0].offset - info->segments[0].vaddr;
	return 0;
}

static int attach_object(struct process *p, const struct mapped *mapped)
{
	struct object *o = mapped->object;
	struct profiler *profiler = p->owner->o.profiler;
	int r;

	p->public = (struct runtime_process){
		.file = o->file,
		.file_id = o->id,
		.memory = &p->memory,
		.key = ++p->owner->n_keys,
		.id = p->key,
	};
	r = bias_of(o->table, mapped->load, &p->public.bias);
	if (r == 0)
		r = o->rt->attach(&p->public, p->proc);
	if (r < 0)
		return r;
	if (!o->in_kernel)
		r = profiler_put(profiler, o->rt->name, "files", &o->id, o->file);
	o->in_kernel |= r == 0;
	if (r == 0 && o->rt->proc_bytes)
		r = profiler_put(profiler, o->rt->name, "procs", &p->key, p->proc);
	if (r < 0)
		return r;
	p->public.proc = p->proc;
	p->object = o;
	return 0;
}

/* -ENOENT: nothing that it has mapped is a runtime that is wanted. */
static int attach_some(struct process *p, bool last)
{
	const struct mapped *mapped = (const struct mapped *)p->mapped.data;
	struct processes *owner = p->owner;
	int result = -ENOENT;

	for (size_t i = 0; i < p->mapped.len / sizeof(*mapped) && result < 0; i++) {
		const struct object *o = mapped[i].object;
		int r;

		if (!o->rt || o->rt->attach_last != last || !owner->o.wanted(owner->o.data, o->rt))
			continue;
		r = attach_object(p, &mapped[i]);
		if (r == 0 || result == -ENOENT)
			result = r;
		if (r < 0)
			log_debug_errno(r, "cannot walk the %s of process %u", o->rt->title,
					p->key.tgid);
	}
	return result;
}

static int attach(struct process *p)
{
	int r = attach_some(p, false);

	return r == -ENOENT ? attach_some(p, true) : r;
}

static void tell_kernel(struct process *p)
{
	struct process_value v = {.runtime = p->object ? p->object->rt->id : RUNTIME_NONE};

	(void)p->owner->o.code(p->owner->o.data, p->key, &v);
	(void)profiler_set_process(p->owner->o.profiler, p->key, &v);
}

static void decide(struct process *p)
{
	const struct mapped *mapped = (const struct mapped *)p->mapped.data;
	struct processes *owner = p->owner;
	struct process_value v;
	int r;

	for (size_t i = 0; i < p->mapped.len / sizeof(*mapped); i++) {
		if (mapped[i].object->loading)
			return;
	}
	if (owner->o.code(owner->o.data, p->key, &v) == -EAGAIN)
		return;
	r = attach(p);
	buf_done(&p->mapped);
	p->decided = true;
	owner->pending--;
	owner->stats.attached += r == 0;
	owner->stats.refused += r < 0 && r != -ENOENT && r != -EAGAIN;
	/* The next sample asks again, but not for ever. */
	if (r == -EAGAIN && ++p->not_ready < NOT_READY_MAX) {
		owner->stats.not_ready++;
		return;
	}
	tell_kernel(p);
}

static void look_at(struct process *p)
{
	_cleanup_close_ int proc_fd = -1;
	char path[64];

	p->decided = false;
	p->owner->pending++;
	p->mapped = BUF_INIT(MAPPED_MAX * sizeof(struct mapped));
	(void)snprintf(path, sizeof(path), "/proc/%u", p->key.tgid);
	proc_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (p->mem_fd < 0 && proc_fd >= 0)
		p->mem_fd = openat(proc_fd, "mem", O_RDONLY | O_CLOEXEC);
	if (p->mem_fd < 0 || proc_fd < 0 ||
	    proc_maps_read(proc_fd, add_mapping, &(struct look){p, proc_fd}) < 0)
		p->owner->stats.gone++;
	decide(p);
}

/* The kernel asks again when it next meets it. */
static void process_drop(struct process *p)
{
	profiler_forget_process(p->owner->o.profiler, p->key);
	process_free(p);
}

/* Makes room by dropping the one that was asked for least recently. */
static void drop_oldest(struct processes *owner)
{
	struct process *oldest = NULL;

	HASH_FOREACH (s, &owner->by_key) {
		struct process *p = (struct process *)(uintptr_t)s->value;

		if (!oldest ||
		    owner->interval - p->last_interval > owner->interval - oldest->last_interval)
			oldest = p;
	}
	if (!oldest)
		return;
	owner->stats.dropped++;
	(void)hash_del(&owner->by_key, hash_of(oldest->key));
	process_drop(oldest);
}

static struct process *process_add(struct processes *owner, struct process_key key)
{
	struct process *p;

	if (owner->by_key.count >= owner->max)
		drop_oldest(owner);
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->owner = owner;
	p->key = key;
	p->mem_fd = -1;
	p->last_interval = owner->interval;
	p->refilled_ms = clock_ms();
	p->decided = true;
	p->memory = (struct target_memory){.read = read_memory, .data = p, .budget = MEMORY_BUDGET};
	if (hash_put(&owner->by_key, hash_of(key), (uintptr_t)p) < 0) {
		free(p);
		return NULL;
	}
	look_at(p);
	return p;
}

/* Names of new code come as long as there is some; a process that makes it up costs no more than
 * this. */
static void refill(struct process *p)
{
	uint64_t now = clock_ms(), more = (now - p->refilled_ms) * MEMORY_RATE;

	p->refilled_ms = now;
	p->memory.budget = MIN(p->memory.budget + (size_t)more, (size_t)MEMORY_BUDGET);
}

int processes_find(struct processes *p, struct task_id id, const struct runtime **ret_runtime,
		   const struct runtime_process **ret_process)
{
	const struct process_key key = {.tgid = id.tgid, .mm = id.mm};
	uint64_t known = hash_get(&p->by_key, hash_of(key));
	struct process *process =
		known == HASH_NONE ? process_add(p, key) : (struct process *)(uintptr_t)known;

	if (!process)
		return -ENOENT;
	process->last_interval = p->interval;
	refill(process);
	if (process->decided && process->not_ready && !process->object &&
	    process->not_ready < NOT_READY_MAX)
		look_at(process);
	if (!process->decided)
		return -EAGAIN;
	if (!process->object)
		return -ENOENT;
	*ret_runtime = process->object->rt;
	*ret_process = &process->public;
	return 0;
}

void processes_code_changed(struct processes *p, struct process_key key)
{
	uint64_t known = hash_get(&p->by_key, hash_of(key));
	struct process *process = (struct process *)(uintptr_t)known;

	if (known == HASH_NONE)
		return;
	if (!process->decided)
		decide(process);
	else if (!process->not_ready || process->object || process->not_ready >= NOT_READY_MAX)
		tell_kernel(process);
}

size_t processes_pending(const struct processes *p)
{
	return p->pending;
}

void processes_forget(struct processes *p)
{
	HASH_FOREACH (s, &p->by_key) {
		struct process *k = (struct process *)(uintptr_t)s->value;

		if (!k->decided)
			continue;
		k->object = NULL;
		k->not_ready = 0;
		look_at(k);
	}
}

void processes_next_interval(struct processes *p,
			     bool (*learned)(void *data, const struct runtime *rt,
					     const struct runtime_process *process, void *proc),
			     void *data)
{
	struct hash kept = {0};

	p->interval++;
	HASH_FOREACH (s, &p->by_key) {
		struct process *k = (struct process *)(uintptr_t)s->value;

		if (k->object)
			k->object->last_interval = p->interval;
		if (k->object && learned(data, k->object->rt, &k->public, k->proc))
			(void)profiler_put(p->o.profiler, k->object->rt->name, "procs", &k->key,
					   k->proc);
		if (!k->decided || p->interval - k->last_interval <= KEEP_INTERVALS) {
			if (hash_put(&kept, s->key, s->value) == 0)
				continue;
		}
		process_drop(k);
	}
	hash_done(&p->by_key);
	p->by_key = kept;
	kept = (struct hash){0};
	HASH_FOREACH (s, &p->objects) {
		struct object *o = (struct object *)(uintptr_t)s->value;

		if ((o->loading || p->interval - o->last_interval <= 2 * KEEP_INTERVALS) &&
		    hash_put(&kept, s->key, s->value) == 0)
			continue;
		object_free(o);
	}
	hash_done(&p->objects);
	p->objects = kept;
}

void processes_get_stats(const struct processes *p, struct processes_stats *ret)
{
	*ret = p->stats;
	ret->known = p->by_key.count;
	HASH_FOREACH (s, &p->by_key)
		ret->with_runtime += ((const struct process *)(uintptr_t)s->value)->object != NULL;
}
