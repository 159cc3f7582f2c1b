/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct kube_reader: what the Kubernetes API sends for a list or a watch, taken apart as it
 * arrives. A list is {kind, metadata: {resourceVersion, continue}, items: [OBJECT...]}, a watch an
 * endless sequence of {type, object: OBJECT}, a refusal {kind: "Status", message, reason, code}
 * (Kubernetes API concepts, 1.20 to 1.33). Only what kube_shape() names is kept, so memory does not
 * depend on how much the server sends.
 */
#pragma once

#include "discovery/json.h"
#include "discovery/kubernetes/object.h"

#define KUBE_ITEM_MAX_BYTES (16u << 20) /* of one object on the wire; etcd allows 1.5 MiB */

enum kube_event_type {
	KUBE_EVENT_ITEM, /* of a list */
	KUBE_EVENT_ADDED,
	KUBE_EVENT_MODIFIED,
	KUBE_EVENT_DELETED,
	KUBE_EVENT_BOOKMARK, /* nothing happened up to this version */
	KUBE_EVENT_ERROR,    /* the watch is over: see the status */
	KUBE_EVENT_UNKNOWN,
};

struct kube_status {
	char *kind;    /* "Status", or what else was sent */
	char *message; /* "" when there is none; so are the others */
	char *reason;
	char *code;
};

struct kube_event {
	enum kube_event_type type;
	struct kube_object *object;	  /* for free() by who is called; NULL: too large to keep */
	const char *version;		  /* the object's resourceVersion, "" when it has none */
	const struct kube_status *status; /* of KUBE_EVENT_ERROR */
};

/* < 0 ends the reading with that. */
typedef int (*kube_event_fn)(const struct kube_event *e, void *data);

struct kube_reader;

/* 0 or -ENOMEM. */
int kube_reader_new(enum kube_kind kind, bool watch, kube_event_fn fn, void *data,
		    struct kube_reader **ret);
struct kube_reader *kube_reader_free(struct kube_reader *r);
DEFINE_CLEANUP(struct kube_reader *, kube_reader_free)
/* 0, -EBADMSG (not JSON), -E2BIG (KUBE_ITEM_MAX_BYTES), -ENOMEM, or what fn returned. */
int kube_reader_feed(struct kube_reader *r, const void *p, size_t n);
/* Nothing comes any more: -EBADMSG in the middle of something, or of a list that has no items. */
int kube_reader_end(struct kube_reader *r);
/* Of a list, "" when there is none. Borrowed. */
const char *kube_reader_version(const struct kube_reader *r);
const char *kube_reader_continue(const struct kube_reader *r);
/* What a server that refuses says of it. Borrowed. */
const struct kube_status *kube_reader_status(const struct kube_reader *r);
