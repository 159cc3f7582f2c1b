/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the programs need to know of the machine they run on: one header each, the same functions.
 */
#pragma once

#include "bpf/arch.h"

#ifdef ARCH_ARM64
#include "bpf/arch_arm64.bpf.h"
#else
#include "bpf/arch_x86.bpf.h"
#endif
