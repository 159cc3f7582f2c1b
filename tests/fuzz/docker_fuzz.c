/* SPDX-License-Identifier: Apache-2.0 */
/* Replies and events of a Docker engine. The first line is the networks, the second one the
 * containers, the third one more containers; all lines are events, too. */
#include <string.h>

#include "agent/components/docker_containers.h"
#include "agent/components/docker_reply.h"

static struct value *reply(const char *line, size_t n)
{
	struct value *v = NULL;
	char why[128];

	return docker_reply_parse(line, n, &v, why, sizeof(why)) < 0 ? NULL : v;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct docker_options o = {80, "localhost", size & 1};
	_cleanup_(docker_containers_freep) struct docker_containers *d = docker_containers_new(&o);
	const char *p = (const char *)data, *end = p + size;

	for (int i = 0; d && p < end; i++) {
		const char *eol = memchr(p, '\n', (size_t)(end - p));
		size_t n = (size_t)((eol ? eol : end) - p);
		_cleanup_value_ struct value *v = reply(p, n), *targets = NULL;
		struct docker_event e;
		char why[128];

		if (v && i % 3 == 0)
			(void)docker_containers_networks(d, v, why, sizeof(why));
		else if (v && i % 3 == 1)
			(void)docker_containers_list(d, v, why, sizeof(why));
		else if (v)
			(void)docker_containers_merge(d, v, why, sizeof(why));
		if (docker_event_parse(p, n, &e, why, sizeof(why)) == 0)
			(void)docker_containers_remove(d, e.id);
		targets = docker_containers_targets(d);
		(void)docker_containers_lack_network(d);
		p += n + 1;
	}
	return 0;
}
