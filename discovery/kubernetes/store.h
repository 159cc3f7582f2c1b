/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct kube_store: the objects of one kind that are known, in the order of (namespace, name). A
 * list is merged into what is there: kube_store_mark() before it, kube_store_sweep() after it takes
 * away what it did not have. An object that is the same as before is no change.
 */
#pragma once

#include "discovery/kubernetes/object.h"

#define KUBE_STORE_MAX_OBJECTS 100000
#define KUBE_STORE_MAX_BYTES   (128u << 20)

struct kube_entry {
	struct kube_object *object;
	uint64_t changed; /* the clock when it came or changed */
	uint64_t built;	  /* the clock when `user` was made of it; 0: never */
	void *user;	  /* of who uses the store; given to `release` before it goes */
	bool seen;
};

struct kube_store {
	struct kube_entry *v;
	size_t n, cap, bytes;
	uint64_t removed; /* the clock when an object went */
	uint64_t *clock;  /* borrowed: shared by the stores that are used together; starts at 0 */
	void (*release)(void *user);
};

void kube_store_init(struct kube_store *s, uint64_t *clock, void (*release)(void *user));
void kube_store_done(struct kube_store *s);
/* Takes o. 1: new or changed, 0: the same as before, -E2BIG (over the limits), -EINVAL (without a
 * name), -ENOMEM. */
int kube_store_put(struct kube_store *s, struct kube_object *o);
/* Whether it was there. */
bool kube_store_remove(struct kube_store *s, const char *namespace, const char *name);
/* NULL when it is not there. Valid until the next change. */
struct kube_entry *kube_store_find(const struct kube_store *s, const char *namespace,
				   const char *name);
/* namespace NULL: all. _sweep() returns how many went. */
void kube_store_mark(struct kube_store *s, const char *namespace);
size_t kube_store_sweep(struct kube_store *s, const char *namespace);
