/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct docker_containers: the containers of a Docker engine and the targets they make, from the
 * replies of its API (GET /containers/json and /networks; Engine API 1.41 to 1.52). No transfers
 * here. One target for each network and TCP port, labels and addresses as prometheus
 * discovery/moby/docker.go (3.x) makes them.
 */
#pragma once

#include "agent/components/docker_event.h"
#include "agent/config/value.h"

#define DOCKER_MAX_CONTAINERS 20000
#define DOCKER_MAX_TARGETS    100000 /* of all containers together */

struct docker_options {
	uint16_t port;			  /* of a container that exposes none */
	const char *host_networking_host; /* borrowed; the address in the host's network */
	bool match_first_network;
};

struct docker_containers;

/* NULL without memory. */
struct docker_containers *docker_containers_new(const struct docker_options *o);
struct docker_containers *docker_containers_free(struct docker_containers *d);
DEFINE_CLEANUP(struct docker_containers *, docker_containers_free)

/*
 * What the engine replied. The list: all there are; merge: some more, or some of them anew.
 * -EBADMSG with why when it is no such reply; then nothing has changed. -E2BIG, -ENOMEM.
 */
int docker_containers_list(struct docker_containers *d, const struct value *reply, char *why,
			   size_t size);
int docker_containers_merge(struct docker_containers *d, const struct value *reply, char *why,
			    size_t size);
int docker_containers_networks(struct docker_containers *d, const struct value *reply, char *why,
			       size_t size);
/* True: it was there. */
bool docker_containers_remove(struct docker_containers *d, const char *id);
bool docker_containers_has(const struct docker_containers *d, const char *id);
size_t docker_containers_count(const struct docker_containers *d);
/* A container is in a network that docker_containers_networks() was not told of. */
bool docker_containers_lack_network(const struct docker_containers *d);
/* An array of targets, in the order of the ids; a new reference. NULL: no memory, too many. */
struct value *docker_containers_targets(struct docker_containers *d);
