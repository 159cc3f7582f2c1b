/* SPDX-License-Identifier: Apache-2.0 */
/* The user half of bpf/python_jit.h: which processes may have such code, and the walk over a
 * recorded stack. */
#include <errno.h>
#include <string.h>

#include "unwinders/python_internal.h"
#include "unwinders/runtime.h"
#include "unwinders/walk_env.h"

static inline bool is_shim(struct walk_env *e, __u64 ra, __u64 above);
#define PYTHON_IS_SHIM is_shim
#define PYTHON_JIT
#include "bpf/python_jit.h"

static const struct range *range_of(const struct native_walk *w, uint64_t addr)
{
	for (uint32_t i = 0; i < w->n_ranges; i++) {
		if (addr - w->ranges[i].start < w->ranges[i].size)
			return &w->ranges[i];
	}
	return NULL;
}

/* Where the code is that the words point to is known of a process that is gone, too. */
static inline bool is_shim(struct walk_env *e, __u64 ra, __u64 above)
{
	const struct range *code = range_of(e->w, ra), *loop = range_of(e->w, above);

	return code && code->file == FILE_ID_ANON && loop && loop->runtime == RUNTIME_PYTHON &&
	       (!e->m || python_shim_code(e, ra));
}

int python_jit_attach(const struct runtime_process *p, void *ret_proc)
{
	const struct python_file *f = p->file;

	(void)ret_proc;
	return f->version == PYTHON_JIT_VERSION ? 0 : -ENOENT;
}

int python_jit_walk(const struct runtime_process *p, struct native_walk *w)
{
	struct walk_env e = {w, p ? p->memory : NULL};
	struct walk_regs regs = w->regs;
	__u64 stack[PYTHON_JIT_WORDS];

	if (native_read(w, regs.sp, stack, sizeof(stack)) || python_jit_leave(&e, &regs, stack))
		return -ENOENT;
	native_push_code(w);
	w->regs = regs;
	return 0;
}
