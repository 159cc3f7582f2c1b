/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The machine whose stacks are walked: ARCH_X86 or ARCH_ARM64. BPF programs are told by libbpf's
 * __TARGET_ARCH_*; natively it is the machine that the agent is compiled for, unless a test asks
 * for another by the same macro.
 */
#pragma once

#if defined(__TARGET_ARCH_arm64)
#define ARCH_ARM64
#elif defined(__TARGET_ARCH_x86)
#define ARCH_X86
#elif !defined(__bpf__) && defined(__aarch64__)
#define ARCH_ARM64
#elif !defined(__bpf__) && defined(__x86_64__)
#define ARCH_X86
#else
#error "stacks of this machine can not be walked"
#endif
