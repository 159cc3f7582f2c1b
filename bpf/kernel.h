/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel structures the programs read, with only the fields they use. libbpf relocates every
 * access to the running kernel's layout (CO-RE), so the order here means nothing. Where kernels
 * differ there is one accessor, chosen with bpf_core_field_exists(); no version is compared.
 */
#pragma once

#include "bpf/types.h"

#include <linux/bpf.h>
#include <linux/bpf_perf_event.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s64 s64;

#ifndef NULL
#define NULL ((void *)0)
#endif

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct rb_node {
	struct rb_node *rb_right;
	struct rb_node *rb_left;
};

struct rb_root {
	struct rb_node *rb_node;
};

struct maple_tree {
	void *ma_root;
};

/* include/linux/maple_tree.h; the same sizes since 6.1. */
struct maple_range_64 {
	unsigned long pivot[15];
	void *slot[16];
};

struct maple_arange_64 {
	unsigned long pivot[9];
	void *slot[10];
};

struct timespec64 {
	long long tv_sec;
	long tv_nsec;
};

struct super_block {
	u32 s_dev;
};

struct qstr {
	u32 len;
	const unsigned char *name;
};

struct inode {
	struct super_block *i_sb;
	unsigned long i_ino;
	u32 i_generation;
	long long i_size;
	/* 6.11 and later (commit 3aa63a569c64, "fs: switch timespec64 fields in inode to discrete
	 * integers"). */
	long long i_mtime_sec;
	u32 i_mtime_nsec;
};

struct inode___timespec {
	struct timespec64 i_mtime; /* before 6.7 */
};

struct inode___underscores {
	struct timespec64 __i_mtime; /* 6.7 to 6.10 (commit 12cd44023651) */
};

struct dentry {
	struct dentry *d_parent;
	struct qstr d_name;
	struct inode *d_inode;
};

struct vfsmount {
	struct dentry *mnt_root;
};

struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
};

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

struct file {
	struct path f_path;
	struct inode *f_inode;
};

typedef struct {
	void *vdso;
} mm_context_t;

struct mm_struct {
	struct maple_tree mm_mt;
	unsigned long start_stack;
	unsigned long start_brk;
	mm_context_t context;
};

struct mm_struct___lock_seq {
	int mm_lock_seq; /* 6.4 (commit 5e31275cc997) to 6.13 */
};

typedef struct seqcount {
	unsigned int sequence;
} seqcount_t;

struct mm_struct___lock_seqcount {
	seqcount_t mm_lock_seq; /* 6.14 and later */
};

struct mm_struct___rb {
	struct rb_root mm_rb; /* before 6.1 (commit 524e00b36e8c, "mm: remove rb tree") */
};

struct vm_area_struct {
	unsigned long vm_start;
	unsigned long vm_end;
	struct mm_struct *vm_mm;
	unsigned long vm_flags;
	unsigned long vm_pgoff;
	struct file *vm_file;
};

struct vm_area_struct___rb {
	struct rb_node vm_rb;
};

struct kernfs_node {
	u64 id;
	const char *name;
};

struct ns_common {
	u32 inum;
};

struct pid_namespace {
	struct ns_common ns;
};

struct upid {
	int nr;
	struct pid_namespace *ns;
};

struct pid {
	u32 level;
	struct upid numbers[1]; /* level + 1 of them, [] in newer kernels */
};

struct cgroup;

struct cgroup_subsys_state {
	struct cgroup *cgroup;
	struct cgroup_subsys_state *parent;
};

struct cgroup {
	struct cgroup_subsys_state self;
	struct kernfs_node *kn;
};

struct css_set {
	struct cgroup_subsys_state *subsys[16];
	struct cgroup *dfl_cgrp;
};

/* What the names of the register are in each machine's thread_struct (asm/processor.h). */
struct thread_struct {
	unsigned long fsbase; /* x86 */
	struct {
		unsigned long tp_value;
	} uw; /* arm64 */
};

struct task_struct {
	u32 flags;
	int pid;
	int tgid;
	void *stack;
	struct mm_struct *mm;
	struct task_struct *group_leader;
	struct task_struct *real_parent;
	struct pid *thread_pid;
	u64 start_time; /* CLOCK_MONOTONIC */
	u64 start_boottime;
	char comm[TASK_COMM_BYTES];
	struct css_set *cgroups;
	struct thread_struct thread;
};

#pragma clang attribute pop

/* From 5.11 on (bpf_get_current_task_btf()) the verifier knows what the current task is, and its
 * fields are read by an instruction each instead of a call. */
#define TASK_IS_KNOWN	       bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_get_current_task_btf)
#define TASK_READ(task, field) (TASK_IS_KNOWN ? (task)->field : BPF_CORE_READ(task, field))
#define TASK_READ2(task, a, b) (TASK_IS_KNOWN ? (task)->a->b : BPF_CORE_READ(task, a, b))

static __always_inline struct task_struct *current_task(void)
{
	if (TASK_IS_KNOWN)
		return (void *)bpf_get_current_task_btf();
	return (void *)bpf_get_current_task();
}

/* include/linux/sched.h */
#define PF_KTHREAD 0x00200000
/* include/linux/mm.h */
#define VM_EXEC 0x00000004

static __always_inline u64 inode_mtime_ns(struct inode *inode)
{
	if (bpf_core_field_exists(inode->i_mtime_sec))
		return BPF_CORE_READ(inode, i_mtime_sec) * 1000000000ULL +
		       BPF_CORE_READ(inode, i_mtime_nsec);
	if (bpf_core_field_exists(((struct inode___underscores *)0)->__i_mtime)) {
		struct inode___underscores *i = (void *)inode;

		return BPF_CORE_READ(i, __i_mtime.tv_sec) * 1000000000ULL +
		       BPF_CORE_READ(i, __i_mtime.tv_nsec);
	}
	struct inode___timespec *i = (void *)inode;

	return BPF_CORE_READ(i, i_mtime.tv_sec) * 1000000000ULL + BPF_CORE_READ(i, i_mtime.tv_nsec);
}

/* Changes whenever the mappings of the task change; false where the kernel does not count that.
 * Those that do know the current task. */
static __always_inline int mm_change_count(struct task_struct *task, u32 *ret)
{
	if (bpf_core_field_exists(((struct mm_struct___lock_seqcount *)0)->mm_lock_seq)) {
		struct mm_struct___lock_seqcount *m = (void *)task->mm;

		*ret = m->mm_lock_seq.sequence;
		return 1;
	}
	if (bpf_core_field_exists(((struct mm_struct___lock_seq *)0)->mm_lock_seq)) {
		struct mm_struct___lock_seq *m = (void *)task->mm;

		*ret = (u32)m->mm_lock_seq;
		return 1;
	}
	return 0;
}
