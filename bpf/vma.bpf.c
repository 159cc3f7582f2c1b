/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Address -> mapping -> file, at sample time, in the kernel's own tree of mappings. There is no
 * table of processes: a mapping that was made a microsecond ago is found like any other. Files
 * get their ids here, in the order they are first seen.
 *
 * bpf_find_vma() cannot serve: in an interrupt it needs irq_work to unlock, and only the first
 * call of a sample would succeed (kernel/bpf/mmap_unlock_work.h).
 */
#include "bpf/unwind.bpf.h"

struct files_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct file_key);
	__type(value, struct file_value);
} files SEC(".maps");

/* The maple tree (lib/maple_tree.c, include/linux/maple_tree.h, 6.1 and later). A pointer to a
 * node carries its type in bits 3..6; the root of a tree with more than one entry also has bit 1
 * set (xa_is_node). Nodes are 256-byte aligned. */
#define MAPLE_NODE_MASK	    255UL
#define MAPLE_LEAF_64	    1
#define MAPLE_RANGE_64	    2
#define MAPLE_ARANGE_64	    3
#define MAPLE_MAX_DEPTH	    8
#define MAPLE_ARANGE_PIVOTS 9
#define RB_MAX_DEPTH	    40

static __always_inline void *maple_child(struct cpu_state *c, void *node, u32 type, u64 addr)
{
	void *slot = NULL;
	u32 i, n;
	u64 slots;

	if (type == MAPLE_ARANGE_64) {
		n = MAPLE_ARANGE_PIVOTS;
		if (bpf_probe_read_kernel(
			    c->pivots, 8 * MAPLE_ARANGE_PIVOTS,
			    node + bpf_core_field_offset(struct maple_arange_64, pivot)))
			return NULL;
		slots = bpf_core_field_offset(struct maple_arange_64, slot);
	} else {
		n = MAPLE_PIVOTS;
		if (bpf_probe_read_kernel(
			    c->pivots, 8 * MAPLE_PIVOTS,
			    node + bpf_core_field_offset(struct maple_range_64, pivot)))
			return NULL;
		slots = bpf_core_field_offset(struct maple_range_64, slot);
	}
	/* A zero pivot ends the list; the slot behind the last pivot takes the rest. */
	for (i = 0; i < MAPLE_PIVOTS; i++) {
		if (i >= n || c->pivots[i] >= addr || (i > 0 && c->pivots[i] == 0))
			break;
	}
	if (bpf_probe_read_kernel(&slot, sizeof(slot), node + slots + 8 * (u64)i))
		return NULL;
	return slot;
}

/*
 * A level down, from c->tree and to it. 1: it is the mapping now; 0: go on; less: there is none.
 * This and the other steps here are functions of their own for the verifier: it looks at one step,
 * not at all ways through forty.
 */
__noinline int maple_step(u32 cpu, u64 addr)
{
	struct cpu_state *c = cpu_state_of(cpu);
	u32 type;

	/* Each is looked at on kernels that have the other tree, too. */
	if (!c || !bpf_core_field_exists(struct mm_struct, mm_mt))
		return -1;
	type = (c->tree >> 3) & 15;
	if (type < MAPLE_LEAF_64 || type > MAPLE_ARANGE_64)
		return -1;
	c->tree = (u64)maple_child(c, (void *)(c->tree & ~MAPLE_NODE_MASK), type, addr);
	if (!c->tree)
		return -1;
	return type == MAPLE_LEAF_64;
}

static __always_inline int maple_find(struct cpu_state *c, struct mm_struct *mm, u64 addr)
{
	int r = 0;

	c->tree = (u64)BPF_CORE_READ(mm, mm_mt.ma_root);
	if ((c->tree & 3) != 2)
		return 0; /* a tree of at most one entry: no process looks like this */
	for (int depth = 0; depth < MAPLE_MAX_DEPTH && !r; depth++)
		r = maple_step(c->cpu, addr);
	return r > 0;
}

__noinline int rb_step(u32 cpu, u64 addr)
{
	struct cpu_state *c = cpu_state_of(cpu);
	struct vm_area_struct *vma;
	struct rb_node *node;

	if (!c || !c->tree || bpf_core_field_exists(struct mm_struct, mm_mt))
		return -1;
	node = (void *)c->tree;
	vma = (void *)node - bpf_core_field_offset(struct vm_area_struct___rb, vm_rb);
	if (addr < BPF_CORE_READ(vma, vm_start)) {
		c->tree = (u64)BPF_CORE_READ(node, rb_left);
		return 0;
	}
	if (addr >= BPF_CORE_READ(vma, vm_end)) {
		c->tree = (u64)BPF_CORE_READ(node, rb_right);
		return 0;
	}
	c->tree = (u64)vma;
	return 1;
}

static __always_inline int rb_find(struct cpu_state *c, struct mm_struct *mm, u64 addr)
{
	struct mm_struct___rb *old = (void *)mm;
	int r = 0;

	c->tree = (u64)BPF_CORE_READ(old, mm_rb.rb_node);
	for (int depth = 0; depth < RB_MAX_DEPTH && !r; depth++)
		r = rb_step(c->cpu, addr);
	return r > 0;
}

/* A component of a path, from c->path. Nonzero: it was the last. */
__noinline int path_step(u32 cpu)
{
	struct cpu_state *c = cpu_state_of(cpu);
	struct dentry *dentry, *parent;
	struct mount *mnt, *up;
	const unsigned char *name;
	u32 used;
	long n;

	if (!c)
		return 1;
	dentry = (void *)c->path.dentry;
	mnt = (void *)c->path.mnt;
	used = c->path.used;
	parent = BPF_CORE_READ(dentry, d_parent);
	if (dentry == BPF_CORE_READ(mnt, mnt.mnt_root) || dentry == parent) {
		up = BPF_CORE_READ(mnt, mnt_parent);
		if (up != mnt && up) {
			c->path.dentry = (u64)BPF_CORE_READ(mnt, mnt_mountpoint);
			c->path.mnt = (u64)up;
			return 0;
		}
		/* A file that is the root of its own tree: a memfd. */
		n = used ? 0
			 : bpf_probe_read_kernel_str(c->file.path, 256,
						     BPF_CORE_READ(dentry, d_name.name));
		c->path.used = n > 0 ? used + (n & 511) : used;
		return 1;
	}
	if (used > FILE_PATH_BYTES - 256)
		return 1;
	name = BPF_CORE_READ(dentry, d_name.name);
	asm volatile("" : "+r"(used)); /* 5.10 forgets the bounds of what was spilled */
	n = bpf_probe_read_kernel_str(c->file.path + (used & (FILE_PATH_BYTES - 1)), 256, name);
	if (n <= 0)
		return 1;
	c->path.used = used + (n & 511);
	c->path.dentry = (u64)parent;
	return 0;
}

/* Components from the leaf to the root of the process's view, each with its NUL. */
static __always_inline u32 file_path(struct cpu_state *c, struct file *file)
{
	struct vfsmount *vfs = BPF_CORE_READ(file, f_path.mnt);

	c->path.dentry = (u64)BPF_CORE_READ(file, f_path.dentry);
	c->path.mnt = (u64)vfs - bpf_core_field_offset(struct mount, mnt);
	c->path.used = 0;
	for (int i = 0; i < 40; i++) {
		if (path_step(c->cpu))
			break;
	}
	return c->path.used;
}

/* Tells user space about a file: rarely, so cost is no matter. */
static __noinline int file_announce(struct cpu_state *c, struct vm_area_struct *vma, u32 id,
				    struct file_key *key)
{
	struct file *file = BPF_CORE_READ(vma, vm_file);
	u32 bytes;

	c->file.h.kind = EVENT_FILE;
	c->file.key = *key;
	c->file.vm_start = BPF_CORE_READ(vma, vm_start);
	c->file.vm_end = BPF_CORE_READ(vma, vm_end);
	c->file.size = BPF_CORE_READ(file, f_inode, i_size);
	c->file.id = id;
	c->file.tgid = c->id.tgid;
	c->file.path_bytes = file_path(c, file) & (FILE_PATH_BYTES - 1);
	bytes = sizeof(struct event_file) - FILE_PATH_BYTES + c->file.path_bytes;
	c->file.h.bytes = bytes;
	return event_send(c, &c->file, bytes, BPF_RB_FORCE_WAKEUP);
}

/* The file's id and state; makes an id for a file that was never seen. */
static __always_inline int file_lookup(struct cpu_state *c, struct vm_area_struct *vma,
				       struct file_value *ret)
{
	struct inode *inode = BPF_CORE_READ(vma, vm_file, f_inode);
	struct file_key key = {};
	struct file_value *known, fresh = {};

	key.ino = BPF_CORE_READ(inode, i_ino);
	key.generation = BPF_CORE_READ(inode, i_generation);
	key.dev = BPF_CORE_READ(inode, i_sb, s_dev);
	key.mtime_ns = inode_mtime_ns(inode);
	known = bpf_map_lookup_elem(&files, &key);
	if (known) {
		*ret = *known;
		return 0;
	}
	/* Every CPU numbers on its own, without an atomic operation (5.10 has none that returns).
	 */
	fresh.id = FILE_ID_FIRST + c->files_named++ * n_cpus + c->cpu;
	fresh.state = RANGE_PENDING;
	if (fresh.id >= FILE_ID_CODE)
		return -1;
	/* Another CPU may be first: its id counts, ours is skipped. */
	if (bpf_map_update_elem(&files, &key, &fresh, BPF_NOEXIST)) {
		known = bpf_map_lookup_elem(&files, &key);
		if (!known)
			return -1;
		*ret = *known;
		return 0;
	}
	c->stats[STAT_NEW_FILES]++;
	/* Without the announcement nobody would ever read the file: forget it and try again. */
	if (!file_announce(c, vma, fresh.id, &key))
		bpf_map_delete_elem(&files, &key);
	*ret = fresh;
	return 0;
}

__u32 memo_epoch = 0;

static __always_inline struct range_memo *memo_of(struct cpu_state *c, u64 addr)
{
	u64 slot = ((addr >> 16) ^ (c->mm >> 6)) * 0x9e3779b97f4a7c15ULL;

	return &c->memos[slot >> 56 & (RANGE_MEMOS - 1)];
}

/* The range from memory, appended to c->ranges; NULL when it must be looked up. */
static __always_inline int memo_get(struct cpu_state *c, u64 addr, u32 *ret)
{
	struct range_memo *m = memo_of(c, addr);
	u32 i = c->n_ranges;

	if (!c->mm_layout || m->mm != c->mm || m->layout != c->mm_layout || m->seq != c->mm_seq ||
	    m->epoch != memo_epoch || addr - m->range.start >= m->range.size || i >= WALK_RANGES)
		return 0;
	c->ranges[i & (WALK_RANGES - 1)] = m->range;
	c->n_ranges = i + 1;
	*ret = i;
	return 1;
}

static __always_inline void memo_put(struct cpu_state *c, u64 addr, const struct range *range)
{
	struct range_memo *m = memo_of(c, addr);

	/* What a file is known by may still change while it is being read. */
	if (!c->mm_layout || range->state == RANGE_PENDING)
		return;
	m->mm = c->mm;
	m->layout = c->mm_layout;
	m->seq = c->mm_seq;
	m->epoch = memo_epoch;
	m->range = *range;
}

__noinline int vma_resolve(u32 cpu, u64 addr)
{
	struct cpu_state *c = cpu_state_of(cpu);
	struct mm_struct *mm;
	struct vm_area_struct *vma;
	struct range *range;
	struct file_value fv = {.id = FILE_ID_ANON, .state = RANGE_FP};
	u64 start, end, flags, offset;
	u32 i;

	if (!c)
		return -1;
	if (memo_get(c, addr, &i))
		return i & (WALK_RANGES - 1);
	mm = (void *)c->mm;
	c->stats[STAT_VMA_WALKS]++;
	if (!(bpf_core_field_exists(mm->mm_mt) ? maple_find(c, mm, addr) : rb_find(c, mm, addr)))
		return -1;
	vma = (void *)c->tree;
	start = BPF_CORE_READ(vma, vm_start);
	end = BPF_CORE_READ(vma, vm_end);
	flags = BPF_CORE_READ(vma, vm_flags);
	/* The tree is read without its lock: believe only what proves itself. */
	if (addr < start || addr >= end || BPF_CORE_READ(vma, vm_mm) != mm)
		return -1;
	if (!(flags & VM_EXEC)) {
		c->no_code.start = start;
		c->no_code.size = end - start;
		return -1;
	}
	/* The last slots serve as a ring: a stack through more mappings still resolves. */
	i = c->n_ranges < WALK_RANGES ? c->n_ranges++ : WALK_RANGES - 1 - (addr >> 12 & 7);
	range = &c->ranges[i & (WALK_RANGES - 1)];
	range->start = start;
	range->size = end - start;
	offset = BPF_CORE_READ(vma, vm_pgoff) << arch_page_shift();
	/* Offsets that a frame word cannot hold: taken as code without a file. */
	if (BPF_CORE_READ(vma, vm_file) && offset + (end - start) <= FILE_OFFSET_MASK) {
		if (file_lookup(c, vma, &fv))
			return -1;
		range->first_frame = FRAME_OF_FILE(fv.id, offset);
	} else if (start == (u64)BPF_CORE_READ(mm, context.vdso)) {
		fv.id = FILE_ID_VDSO;
		fv.state = RANGE_ROWS;
		range->first_frame = FRAME_OF_FILE(FILE_ID_VDSO, 0);
	} else {
		range->first_frame = FRAME(FRAME_ANON, start);
	}
	range->state = fv.state;
	range->runtime = fv.runtime;
	range->file = fv.id;
	/* The next walk asks again. */
	if (range->state == RANGE_PENDING)
		c->ranges_of.layout = 0;
	memo_put(c, addr, range);
	return i & (WALK_RANGES - 1);
}
