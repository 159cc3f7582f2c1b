/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct kube_object: what is kept of one Kubernetes object, in one flat block without pointers:
 * the fields that labels come from, and nothing else (an object of 20 KiB leaves about 1 KiB). Two
 * objects that give the same labels are the same bytes. The fields are those of the API's v1
 * versions (kubernetes API reference 1.20 to 1.33).
 */
#pragma once

#include "agent/base/buf.h"

/* Every field name that is kept. */
enum kube_key {
	KUBE_NONE,
	KUBE_ADDRESS,
	KUBE_ADDRESSES,
	KUBE_ADDRESS_TYPE,
	KUBE_ANNOTATIONS,
	KUBE_APP_PROTOCOL,
	KUBE_CLUSTER_IP,
	KUBE_CONDITIONS,
	KUBE_CONTAINER_ID,
	KUBE_CONTAINER_PORT,
	KUBE_CONTAINER_STATUSES,
	KUBE_CONTAINERS,
	KUBE_CONTROLLER,
	KUBE_DAEMON_ENDPOINTS,
	KUBE_DEPRECATED_TOPOLOGY,
	KUBE_ENDPOINTS,
	KUBE_EXTERNAL_NAME,
	KUBE_HOST,
	KUBE_HOST_IP,
	KUBE_HOSTNAME,
	KUBE_HOSTS,
	KUBE_HTTP,
	KUBE_IMAGE,
	KUBE_INGRESS,
	KUBE_INGRESS_CLASS_NAME,
	KUBE_INIT_CONTAINER_STATUSES,
	KUBE_INIT_CONTAINERS,
	KUBE_IP,
	KUBE_IP_FAMILIES,
	KUBE_IP_FAMILY_POLICY,
	KUBE_KIND,
	KUBE_KUBELET_ENDPOINT,
	KUBE_LABELS,
	KUBE_LOAD_BALANCER,
	KUBE_LOAD_BALANCER_IP,
	KUBE_METADATA,
	KUBE_NAME,
	KUBE_NAMESPACE,
	KUBE_NODE_NAME,
	KUBE_NOT_READY_ADDRESSES,
	KUBE_OWNER_REFERENCES,
	KUBE_PATH,
	KUBE_PATHS,
	KUBE_PHASE,
	KUBE_POD_IP,
	KUBE_PORT,
	KUBE_PORT_UPPER, /* "Port" of a node's kubeletEndpoint: the API really has it so */
	KUBE_PORTS,
	KUBE_PROTOCOL,
	KUBE_PROVIDER_ID,
	KUBE_READY,
	KUBE_RULES,
	KUBE_SERVING,
	KUBE_SPEC,
	KUBE_STATUS,
	KUBE_SUBSETS,
	KUBE_TARGET_REF,
	KUBE_TERMINATING,
	KUBE_TLS,
	KUBE_TYPE,
	KUBE_UID,
	KUBE_ZONE,
};

enum kube_kind {
	KUBE_POD,
	KUBE_NODE,
	KUBE_NAMESPACE_OBJECT,
	KUBE_SERVICE,
	KUBE_ENDPOINTS_OBJECT,
	KUBE_ENDPOINTSLICE,
	KUBE_INGRESS_OBJECT,
	KUBE_KINDS,
};

/* What of a JSON value is kept. */
enum kube_form {
	KUBE_SCALAR,  /* a string, number or bool, as text */
	KUBE_STRINGS, /* an array of scalars */
	KUBE_MAP,     /* any key, scalar values: labels and annotations */
	KUBE_FIELDS,  /* an object: its fields among `fields` */
	KUBE_LIST,    /* an array of such objects */
};

struct kube_shape {
	enum kube_key key;
	enum kube_form form;
	const struct kube_shape *fields;
	size_t n;
};

/* The shape of an object of that kind: KUBE_FIELDS. */
const struct kube_shape *kube_shape(enum kube_kind kind);
/* The name in JSON. */
const char *kube_key_name(enum kube_key key);

/* A value in the block; offsets from its beginning, 0: none. */
struct kube_node {
	uint32_t next;	/* the following field or element */
	uint32_t value; /* text, or the first field or element */
	uint32_t name;	/* of an entry of a KUBE_MAP: its key */
	uint32_t key;	/* enum kube_key; KUBE_NONE for elements and entries */
};

#define KUBE_OBJECT_MAX_BYTES  (1u << 20) /* what may be kept of one object */
#define KUBE_OBJECT_MAX_STRING (256u << 10)
#define KUBE_OBJECT_MAX_NODES  65536

struct kube_object {
	uint32_t bytes; /* of `data` */
	uint8_t data[]; /* a struct kube_node: the object; everything else behind it */
};

/* The object's own node. */
const struct kube_node *kube_object_root(const struct kube_object *o);
/* The field of an object's node; NULL when it is not there or null. n may be NULL. */
const struct kube_node *kube_field(const struct kube_object *o, const struct kube_node *n,
				   enum kube_key key);
/* The first of what an array, object or map holds, and the one after it; NULL at the end. */
const struct kube_node *kube_first(const struct kube_object *o, const struct kube_node *n);
const struct kube_node *kube_next(const struct kube_object *o, const struct kube_node *n);
/* The text of a scalar, "" for NULL. */
const char *kube_text(const struct kube_object *o, const struct kube_node *n);
/* The key of an entry of a map. */
const char *kube_entry_name(const struct kube_object *o, const struct kube_node *n);
/* kube_text() of a field, "" when it is not there. */
const char *kube_get(const struct kube_object *o, const struct kube_node *n, enum kube_key key);
/* From metadata. */
const char *kube_name(const struct kube_object *o);
const char *kube_namespace(const struct kube_object *o);
bool kube_object_equal(const struct kube_object *a, const struct kube_object *b);

/* Makes an object field by field, as kube_reader hears of them. Zero-initialised. */
struct kube_builder {
	struct buf block;
	uint32_t
		last[16]; /* at each depth the node that the next one follows; 0: it is the first */
	unsigned int depth, nodes;
	int failed; /* -E2BIG or -ENOMEM */
};

void kube_builder_begin(struct kube_builder *b);
void kube_builder_done(struct kube_builder *b);
/* A node at the present depth. name and text may be NULL. */
void kube_builder_add(struct kube_builder *b, enum kube_key key, const char *name,
		      const char *text);
/* What follows is in the node that was added last, until _leave(). */
void kube_builder_enter(struct kube_builder *b);
void kube_builder_leave(struct kube_builder *b);
/* The object, for free(); NULL when failed. */
struct kube_object *kube_builder_take(struct kube_builder *b);
