/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct jit_debug: what one process has registered through GDB's JIT interface (gdb_jit.h), out of
 * its memory. The list may change while it is read, and its owner may be hostile: every read is of
 * a fixed size, the list has an end for us, and so have the files in it. Nothing that comes from
 * there is parsed here; it is copied for the parser's child.
 */
#pragma once

#include "agent/base/macro.h"

struct hash;
struct jit_debug;
struct table;

/* known: what was learned of files, for all processes; borrowed, begins empty, hash_done() is the
 * caller's. -ESRCH, -ENOMEM. What is opened stays this process's, whatever becomes of its id. */
int jit_debug_open(uint32_t tgid, struct hash *known, struct jit_debug **ret);
struct jit_debug *jit_debug_free(struct jit_debug *d);
DEFINE_CLEANUP(struct jit_debug *, jit_debug_free)

/* Files with code that the process has mapped and that nothing is known of, at most max: open, the
 * caller's. What BUILD_GDB_JIT_FIND says of them is for jit_debug_take(); NULL: none has a list. */
size_t jit_debug_unseen(struct jit_debug *d, int *ret_fds, size_t max);
void jit_debug_take(struct jit_debug *d, const struct table *answer);
/* In place of it: there was no answer, jit_debug_unseen() shall give them again. */
void jit_debug_lost(struct jit_debug *d);
/* Whether a list was found. */
bool jit_debug_has_list(const struct jit_debug *d);
/* What is registered, in a memfd for BUILD_GDB_JIT, the caller's. -EAGAIN: nothing changed;
 * -ENODATA: nothing is registered; -ESRCH: the process is gone; another error of the system.
 * ret_cut, for a memfd and -ENODATA: something was left out, for what our limits or its owner did.
 */
int jit_debug_collect(struct jit_debug *d, bool *ret_cut);
/* What was collected last was not read: it counts as changed. */
void jit_debug_collect_again(struct jit_debug *d);
