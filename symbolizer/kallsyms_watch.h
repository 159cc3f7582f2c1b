/* SPDX-License-Identifier: Apache-2.0 */
/* What changes in a kernel's symbols while it runs, found out without reading them all. */
#pragma once

#include "agent/base/macro.h"

/* A number that is another one when modules come or go; 0 when /proc/modules can not be read. */
uint64_t kallsyms_modules(void);
/*
 * The same for BPF programs, and links, which make trampolines (bpf_trampoline_*,
 * ftrace_trampoline). About 1 us for each. 0 without the right to ask (CAP_SYS_ADMIN).
 */
uint64_t kallsyms_bpf(void);
