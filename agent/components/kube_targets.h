/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the components of Kubernetes discovery share: the objects of a struct kube_view as targets.
 * Each object's targets are made once and kept with it (kube_entry.user) until it, or something
 * that it refers to, changes; a list for export only refers to them.
 */
#pragma once

#include "agent/config/value.h"
#include "discovery/kubernetes/view.h"

/* For kube_view_init(). */
void kube_targets_release(void *user);
/*
 * Makes the targets of at most `budget` objects anew. 1: all are made, 0: some are left for the
 * next call, or -ENOMEM. Adds to *left_out the targets that an object has too many.
 */
int kube_targets_step(struct kube_view *v, size_t budget, uint64_t *left_out);
/* All targets, in the order of the objects. NULL without memory, or over VALUE_MAX_ITEMS. */
struct value *kube_targets_list(const struct kube_view *v);
