/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From one profile of the host to one pprof for each series: a target of pyroscope.ebpf, or with
 * targets_only = false also a service of this host that no target names.
 */
#pragma once

#include "agent/components/pyroscope_ebpf.h"
#include "agent/export/profile.h"

#define SERIES_SERVICES_MAX 512 /* of one interval; the rest is ebpf/unspecified */

/* Hands everything to the receivers, and counts in c->stats what could not be. */
void series_send(struct ebpf_component *c, const struct profile *p, const struct ebpf_args *args);
