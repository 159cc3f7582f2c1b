/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct kube_reflector: keeps a kube_store like what the API server has of one kind of object, by
 * list and watch (Kubernetes API concepts, "Efficient detection of changes"; client-go
 * tools/cache/reflector.go, 0.33): list in chunks, watch from the list's resourceVersion with
 * bookmarks, list again when the version is too old. It never gives up, and it takes nothing out of
 * the store because a server is away.
 */
#pragma once

#include "agent/kube/client.h"
#include "discovery/kubernetes/store.h"

struct kube_reflector_options {
	struct kube_client *client; /* borrowed */
	enum kube_kind kind;
	const char *namespace;	   /* NULL: all of them, or the kind has none */
	const char *label, *field; /* selectors, "" or NULL: none */
	struct kube_store *store;  /* borrowed; others may feed it with other namespaces */
	/* The store may differ, or the state below does. From the loop. */
	void (*on_change)(void *data);
	void *data;
};

struct kube_reflector_state {
	bool synced;  /* one list was complete */
	bool failing; /* the server did not do what was asked, for the reason in why */
	char why[600];
	uint64_t added, modified, deleted, bookmarks; /* events */
	uint64_t lists, watches, failures;
	uint64_t left_out;   /* objects that were too large or too many */
	uint64_t contact_ms; /* CLOCK_MONOTONIC, the last time it did; 0: never */
};

struct kube_reflector;

/* Begins at once. 0 or -ENOMEM. */
int kube_reflector_new(const struct kube_reflector_options *o, struct kube_reflector **ret);
/* Accepts NULL; returns NULL. */
struct kube_reflector *kube_reflector_free(struct kube_reflector *r);
DEFINE_CLEANUP(struct kube_reflector *, kube_reflector_free)
const struct kube_reflector_state *kube_reflector_state(const struct kube_reflector *r);
enum kube_kind kube_reflector_kind(const struct kube_reflector *r);
/* "pods", "endpointslices"... */
const char *kube_kind_resource(enum kube_kind kind);
