/* SPDX-License-Identifier: Apache-2.0 */
/* Which fields of which kind of object are kept: those that discovery/kubernetes/labels.c reads. */
#include "discovery/kubernetes/object.h"

#define SCALAR(key)                              \
	{                                        \
		KUBE_##key, KUBE_SCALAR, NULL, 0 \
	}
#define STRINGS(key)                              \
	{                                         \
		KUBE_##key, KUBE_STRINGS, NULL, 0 \
	}
#define MAP(key)                              \
	{                                     \
		KUBE_##key, KUBE_MAP, NULL, 0 \
	}
#define FIELDS(key, table)                                        \
	{                                                         \
		KUBE_##key, KUBE_FIELDS, table, ARRAY_SIZE(table) \
	}
#define LIST(key, table)                                        \
	{                                                       \
		KUBE_##key, KUBE_LIST, table, ARRAY_SIZE(table) \
	}

static const char *const key_names[] = {
	[KUBE_NONE] = "",
	[KUBE_ADDRESS] = "address",
	[KUBE_ADDRESSES] = "addresses",
	[KUBE_ADDRESS_TYPE] = "addressType",
	[KUBE_ANNOTATIONS] = "annotations",
	[KUBE_APP_PROTOCOL] = "appProtocol",
	[KUBE_CLUSTER_IP] = "clusterIP",
	[KUBE_CONDITIONS] = "conditions",
	[KUBE_CONTAINER_ID] = "containerID",
	[KUBE_CONTAINER_PORT] = "containerPort",
	[KUBE_CONTAINER_STATUSES] = "containerStatuses",
	[KUBE_CONTAINERS] = "containers",
	[KUBE_CONTROLLER] = "controller",
	[KUBE_DAEMON_ENDPOINTS] = "daemonEndpoints",
	[KUBE_DEPRECATED_TOPOLOGY] = "deprecatedTopology",
	[KUBE_ENDPOINTS] = "endpoints",
	[KUBE_EXTERNAL_NAME] = "externalName",
	[KUBE_HOST] = "host",
	[KUBE_HOST_IP] = "hostIP",
	[KUBE_HOSTNAME] = "hostname",
	[KUBE_HOSTS] = "hosts",
	[KUBE_HTTP] = "http",
	[KUBE_IMAGE] = "image",
	[KUBE_INGRESS] = "ingress",
	[KUBE_INGRESS_CLASS_NAME] = "ingressClassName",
	[KUBE_INIT_CONTAINER_STATUSES] = "initContainerStatuses",
	[KUBE_INIT_CONTAINERS] = "initContainers",
	[KUBE_IP] = "ip",
	[KUBE_IP_FAMILIES] = "ipFamilies",
	[KUBE_IP_FAMILY_POLICY] = "ipFamilyPolicy",
	[KUBE_KIND] = "kind",
	[KUBE_KUBELET_ENDPOINT] = "kubeletEndpoint",
	[KUBE_LABELS] = "labels",
	[KUBE_LOAD_BALANCER] = "loadBalancer",
	[KUBE_LOAD_BALANCER_IP] = "loadBalancerIP",
	[KUBE_METADATA] = "metadata",
	[KUBE_NAME] = "name",
	[KUBE_NAMESPACE] = "namespace",
	[KUBE_NODE_NAME] = "nodeName",
	[KUBE_NOT_READY_ADDRESSES] = "notReadyAddresses",
	[KUBE_OWNER_REFERENCES] = "ownerReferences",
	[KUBE_PATH] = "path",
	[KUBE_PATHS] = "paths",
	[KUBE_PHASE] = "phase",
	[KUBE_POD_IP] = "podIP",
	[KUBE_PORT] = "port",
	[KUBE_PORT_UPPER] = "Port",
	[KUBE_PORTS] = "ports",
	[KUBE_PROTOCOL] = "protocol",
	[KUBE_PROVIDER_ID] = "providerID",
	[KUBE_READY] = "ready",
	[KUBE_RULES] = "rules",
	[KUBE_SERVING] = "serving",
	[KUBE_SPEC] = "spec",
	[KUBE_STATUS] = "status",
	[KUBE_SUBSETS] = "subsets",
	[KUBE_TARGET_REF] = "targetRef",
	[KUBE_TERMINATING] = "terminating",
	[KUBE_TLS] = "tls",
	[KUBE_TYPE] = "type",
	[KUBE_UID] = "uid",
	[KUBE_ZONE] = "zone",
};

static const struct kube_shape metadata[] = {
	SCALAR(NAME),
	SCALAR(NAMESPACE),
	MAP(LABELS),
	MAP(ANNOTATIONS),
};

/* Pods. */
static const struct kube_shape owner[] = {SCALAR(KIND), SCALAR(NAME), SCALAR(CONTROLLER)};
static const struct kube_shape pod_metadata[] = {
	SCALAR(NAME), SCALAR(NAMESPACE), SCALAR(UID),
	MAP(LABELS),  MAP(ANNOTATIONS),	 LIST(OWNER_REFERENCES, owner),
};
static const struct kube_shape container_port[] = {
	SCALAR(NAME),
	SCALAR(CONTAINER_PORT),
	SCALAR(PROTOCOL),
};
static const struct kube_shape container[] = {
	SCALAR(NAME),
	SCALAR(IMAGE),
	LIST(PORTS, container_port),
};
static const struct kube_shape pod_spec[] = {
	SCALAR(NODE_NAME),
	LIST(CONTAINERS, container),
	LIST(INIT_CONTAINERS, container),
};
static const struct kube_shape condition[] = {SCALAR(TYPE), SCALAR(STATUS)};
static const struct kube_shape container_status[] = {SCALAR(NAME), SCALAR(CONTAINER_ID)};
static const struct kube_shape pod_status[] = {
	SCALAR(PHASE),
	SCALAR(POD_IP),
	SCALAR(HOST_IP),
	LIST(CONDITIONS, condition),
	LIST(CONTAINER_STATUSES, container_status),
	LIST(INIT_CONTAINER_STATUSES, container_status),
};
static const struct kube_shape pod[] = {
	FIELDS(METADATA, pod_metadata),
	FIELDS(SPEC, pod_spec),
	FIELDS(STATUS, pod_status),
};

/* Nodes. */
static const struct kube_shape node_spec[] = {SCALAR(PROVIDER_ID)};
static const struct kube_shape node_address[] = {SCALAR(TYPE), SCALAR(ADDRESS)};
static const struct kube_shape kubelet_endpoint[] = {SCALAR(PORT_UPPER)};
static const struct kube_shape daemon_endpoints[] = {FIELDS(KUBELET_ENDPOINT, kubelet_endpoint)};
static const struct kube_shape node_status[] = {
	LIST(ADDRESSES, node_address),
	LIST(CONDITIONS, condition),
	FIELDS(DAEMON_ENDPOINTS, daemon_endpoints),
};
static const struct kube_shape node[] = {
	FIELDS(METADATA, metadata),
	FIELDS(SPEC, node_spec),
	FIELDS(STATUS, node_status),
};

/* Namespaces. */
static const struct kube_shape namespace[] = {FIELDS(METADATA, metadata)};

/* Services. */
static const struct kube_shape service_port[] = {SCALAR(NAME), SCALAR(PORT), SCALAR(PROTOCOL)};
static const struct kube_shape service_spec[] = {
	SCALAR(TYPE),
	SCALAR(CLUSTER_IP),
	SCALAR(EXTERNAL_NAME),
	SCALAR(LOAD_BALANCER_IP),
	SCALAR(IP_FAMILY_POLICY),
	STRINGS(IP_FAMILIES),
	LIST(PORTS, service_port),
};
static const struct kube_shape balancer_ingress[] = {SCALAR(IP)};
static const struct kube_shape load_balancer[] = {LIST(INGRESS, balancer_ingress)};
static const struct kube_shape service_status[] = {FIELDS(LOAD_BALANCER, load_balancer)};
static const struct kube_shape service[] = {
	FIELDS(METADATA, metadata),
	FIELDS(SPEC, service_spec),
	FIELDS(STATUS, service_status),
};

/* Endpoints. */
static const struct kube_shape target_ref[] = {SCALAR(KIND), SCALAR(NAMESPACE), SCALAR(NAME)};
static const struct kube_shape endpoint_address[] = {
	SCALAR(IP),
	SCALAR(HOSTNAME),
	SCALAR(NODE_NAME),
	FIELDS(TARGET_REF, target_ref),
};
static const struct kube_shape subset[] = {
	LIST(ADDRESSES, endpoint_address),
	LIST(NOT_READY_ADDRESSES, endpoint_address),
	LIST(PORTS, service_port),
};
static const struct kube_shape endpoints[] = {
	FIELDS(METADATA, metadata),
	LIST(SUBSETS, subset),
};

/* EndpointSlices. */
static const struct kube_shape slice_conditions[] = {
	SCALAR(READY),
	SCALAR(SERVING),
	SCALAR(TERMINATING),
};
static const struct kube_shape slice_endpoint[] = {
	STRINGS(ADDRESSES),
	FIELDS(CONDITIONS, slice_conditions),
	SCALAR(HOSTNAME),
	SCALAR(NODE_NAME),
	SCALAR(ZONE),
	FIELDS(TARGET_REF, target_ref),
	MAP(DEPRECATED_TOPOLOGY),
};
static const struct kube_shape slice_port[] = {
	SCALAR(NAME),
	SCALAR(PORT),
	SCALAR(PROTOCOL),
	SCALAR(APP_PROTOCOL),
};
static const struct kube_shape endpointslice[] = {
	FIELDS(METADATA, metadata),
	SCALAR(ADDRESS_TYPE),
	LIST(ENDPOINTS, slice_endpoint),
	LIST(PORTS, slice_port),
};

/* Ingresses. */
static const struct kube_shape ingress_path[] = {SCALAR(PATH)};
static const struct kube_shape ingress_http[] = {LIST(PATHS, ingress_path)};
static const struct kube_shape ingress_rule[] = {SCALAR(HOST), FIELDS(HTTP, ingress_http)};
static const struct kube_shape ingress_tls[] = {STRINGS(HOSTS)};
static const struct kube_shape ingress_spec[] = {
	SCALAR(INGRESS_CLASS_NAME),
	LIST(RULES, ingress_rule),
	LIST(TLS, ingress_tls),
};
static const struct kube_shape ingress[] = {
	FIELDS(METADATA, metadata),
	FIELDS(SPEC, ingress_spec),
};

static const struct kube_shape shapes[] = {
	[KUBE_POD] = FIELDS(NONE, pod),
	[KUBE_NODE] = FIELDS(NONE, node),
	[KUBE_NAMESPACE_OBJECT] = FIELDS(NONE, namespace),
	[KUBE_SERVICE] = FIELDS(NONE, service),
	[KUBE_ENDPOINTS_OBJECT] = FIELDS(NONE, endpoints),
	[KUBE_ENDPOINTSLICE] = FIELDS(NONE, endpointslice),
	[KUBE_INGRESS_OBJECT] = FIELDS(NONE, ingress),
};

const struct kube_shape *kube_shape(enum kube_kind kind)
{
	return &shapes[kind];
}

const char *kube_key_name(enum kube_key key)
{
	return key_names[key];
}
