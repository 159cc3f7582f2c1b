/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loaders of classes that a JVM keeps as long as it runs: those of the boot class path, of the
 * platform and of the application (is_permanent_class_loader_data()). What they load is never
 * unloaded, so nothing else comes to lie there.
 */
#pragma once

#include "agent/base/macro.h"
#include "bpf/hotspot.h"

struct target_memory;

/* Of the ClassLoaderData at this address; false also when that can not be told: in 8, of a loader
 * that is named on the command line, when a read fails. */
bool hotspot_loader_stays(struct target_memory *m, const struct hotspot_proc *p, uint64_t loader);
