/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One step of a walk through HotSpot's code on x86-64: which frame the program counter stands for,
 * and the registers of its caller. Compiled for the kernel and natively, like bpf/walk.h, whose
 * WALK_ENV it uses, and besides
 *
 *   static int walk_read(WALK_ENV *e, __u64 addr, void *to, __u32 bytes)   0, or unreadable
 *
 * for memory that is not the stack. Sources: frame_x86.{hpp,cpp}, stubGenerator_x86_64.cpp,
 * templateInterpreterGenerator_x86.cpp, sharedRuntime_x86_64.cpp of OpenJDK 8u504, 17.0.19 and 26.
 *
 * Every frame keeps rbp: compiled code saves it below the return address whatever it uses it for.
 * What is no frame yet or no more (prologue, epilogue, adapters) is told by its code bytes. A
 * return address of Java code lies in a code heap, or the chain is broken.
 */
#pragma once

#include "bpf/hotspot_blob.h"
#include "bpf/hotspot_chunk.h"
#include "bpf/hotspot_compiled.h"
#include "bpf/hotspot_interpreter.h"
#include "bpf/hotspot_stub.h"
