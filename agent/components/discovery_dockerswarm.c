/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/components/discovery_dockerswarm.h"

#include <errno.h>
#include <string.h>

#include "agent/components/docker_api.h"
#include "agent/components/http_client.h"
#include "agent/components/targets_value.h"

struct swarm_args {
	char *host, *role;
	int64_t port, refresh_interval;
	struct schema_blocks filters; /* struct docker_filter */
	struct http_client client;
};

#define ARG(member) offsetof(struct swarm_args, member)
static const struct option swarm_options[] = {
	{"host", OPTION_STRING, NULL, OPTION_REQUIRED, ARG(host),
	 .help = "the engine: unix:///var/run/docker.sock or an address"},
	{"role", OPTION_STRING, NULL, OPTION_REQUIRED, ARG(role), NULL, "services, tasks or nodes"},
	{"port", OPTION_INT, "80", .offset = ARG(port),
	 .help = "the port of targets that publish none"},
	{"refresh_interval", OPTION_DURATION, "60s", .offset = ARG(refresh_interval),
	 .help = "how often they are looked for"},
	{"filter", OPTION_BLOCKS, .offset = ARG(filters), .block = &docker_filter_schema,
	 .help = "which ones are listed"},
	HTTP_CLIENT_OPTIONS(struct swarm_args, client),
};

static int swarm_validate(const void *args, char *why, size_t size)
{
	static const char *const roles[] = {"services", "tasks", "nodes"};
	const struct swarm_args *a = args;
	_cleanup_free_ char *base = NULL, *path = NULL;
	bool known = false;
	int r = docker_host_parse(a->host, &base, &path, why, size);

	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(roles); i++)
		known |= !strcmp(roles[i], a->role);
	if (!known)
		(void)snprintf(why, size,
			       "invalid role \"%.40s\", expected tasks, services, or nodes",
			       a->role);
	else if (a->refresh_interval <= 0)
		(void)snprintf(why, size, "refresh_interval must be greater than 0");
	else
		return http_client_validate(&a->client, why, size);
	return -EINVAL;
}

static const struct schema swarm_schema = {
	.size = sizeof(struct swarm_args),
	.options = swarm_options,
	.n = ARRAY_SIZE(swarm_options),
	.validate = swarm_validate,
};

static int swarm_init(struct component *c)
{
	struct value_list none = {0};

	c->exports = targets_value_exports("targets", targets_value_array(&none));
	return c->exports ? 0 : -ENOMEM;
}

static int swarm_start(struct component *c, char *why, size_t size)
{
	component_set_health(c, HEALTH_UNHEALTHY,
			     "finding the targets of a swarm is not built yet, there are none: use "
			     "discovery.docker on each node");
	return 0;
}

const struct component_type discovery_dockerswarm_type = {
	.name = "discovery.dockerswarm",
	.help = "services, tasks and nodes of a Docker swarm",
	.schema = &swarm_schema,
	.size = sizeof(struct component),
	.init = swarm_init,
	.start = swarm_start,
};
