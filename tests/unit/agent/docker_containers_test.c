/* SPDX-License-Identifier: Apache-2.0 */
/* What a Docker engine (20.10.24) replied, recorded, and the targets that it makes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/file.h"
#include "agent/components/docker_containers.h"
#include "agent/components/docker_reply.h"
#include "agent/components/targets_value.h"

static const char *dir; /* of the recordings */

static struct value *json(const char *text, size_t len)
{
	char why[256] = "";
	struct value *v = NULL;

	if (docker_reply_parse(text, len, &v, why, sizeof(why)) < 0)
		fail_msg("%s", why);
	return v;
}

static struct value *recorded(const char *name)
{
	_cleanup_buf_ struct buf b = BUF_INIT(1u << 20);
	char path[512];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(file_read(path, &b, NULL), 0);
	return json(buf_cstr(&b), b.len);
}

static struct docker_containers *engine(bool match_first_network)
{
	const struct docker_options o = {80, "localhost", match_first_network};
	_cleanup_value_ struct value *networks = recorded("networks.json");
	_cleanup_value_ struct value *containers = recorded("containers.json");
	struct docker_containers *d = docker_containers_new(&o);
	char why[256];

	assert_non_null(d);
	assert_int_equal(docker_containers_networks(d, networks, why, sizeof(why)), 0);
	assert_int_equal(docker_containers_list(d, containers, why, sizeof(why)), 0);
	return d;
}

/* The targets of one container, a line each: values of these labels. */
static const char *shown(struct docker_containers *d, const char *name, const char *const *labels,
			 size_t n, struct buf *b)
{
	_cleanup_value_ struct value *targets = docker_containers_targets(d);

	buf_reset(b);
	assert_non_null(targets);
	for (size_t i = 0; i < targets->n_items; i++) {
		const struct value *t = targets->items[i];

		if (strcmp(targets_value_get(t, "__meta_docker_container_name"), name) != 0)
			continue;
		for (size_t k = 0; k < n; k++)
			buf_printf(b, "%s%s", k ? " " : "", targets_value_get(t, labels[k]));
		buf_adds(b, "\n");
	}
	return buf_cstr(b);
}

static const char *const where[] = {
	"__address__",
	"__meta_docker_network_name",
	"__meta_docker_network_ip",
	"__meta_docker_port_private",
	"__meta_docker_port_public",
	"__meta_docker_port_public_ip",
	"__meta_docker_network_internal",
};
#define WHERE(d, name) shown(d, name, where, ARRAY_SIZE(where), &b)

static void a_container_is_a_target_for_each_port_and_network(void **state)
{
	_cleanup_(docker_containers_freep) struct docker_containers *one = engine(true);
	_cleanup_(docker_containers_freep) struct docker_containers *all = engine(false);
	_cleanup_buf_ struct buf b = BUF_INIT(65536);

	assert_string_equal(WHERE(one, "/web"),
			    "172.28.0.2:7000 alpha 172.28.0.2 7000   true\n"
			    "172.28.0.2:80 alpha 172.28.0.2 80 8080 127.0.0.1 true\n"
			    "172.28.0.2:9090 alpha 172.28.0.2 9090 9090 0.0.0.0 true\n"
			    "172.28.0.2:9090 alpha 172.28.0.2 9090 9090 :: true\n");
	assert_string_equal(WHERE(all, "/web"),
			    "172.28.0.2:7000 alpha 172.28.0.2 7000   true\n"
			    "172.28.0.2:80 alpha 172.28.0.2 80 8080 127.0.0.1 true\n"
			    "172.28.0.2:9090 alpha 172.28.0.2 9090 9090 0.0.0.0 true\n"
			    "172.28.0.2:9090 alpha 172.28.0.2 9090 9090 :: true\n"
			    "172.29.0.2:7000 zeta 172.29.0.2 7000   false\n"
			    "172.29.0.2:80 zeta 172.29.0.2 80 8080 127.0.0.1 false\n"
			    "172.29.0.2:9090 zeta 172.29.0.2 9090 9090 0.0.0.0 false\n"
			    "172.29.0.2:9090 zeta 172.29.0.2 9090 9090 :: false\n");
}

static void special_networks_have_their_addresses(void **state)
{
	_cleanup_(docker_containers_freep) struct docker_containers *d = engine(true);
	_cleanup_buf_ struct buf b = BUF_INIT(65536);

	assert_string_equal(WHERE(d, "/hosty"), "localhost host     false\n");
	assert_string_equal(WHERE(d, "/none"), ":80 none     false\n");
	/* The network is that of "web", the ports are its own: none. */
	assert_string_equal(WHERE(d, "/side"), "172.28.0.2:80 alpha 172.28.0.2    true\n");
	assert_false(docker_containers_lack_network(d));
}

static void labels_are_those_of_container_and_network(void **state)
{
	static const char *const labels[] = {
		"__meta_docker_container_label_com_example_some_thing",
		"__meta_docker_container_label_empty", "__meta_docker_container_network_mode",
		"__meta_docker_network_scope", "__meta_docker_network_ingress"};
	_cleanup_(docker_containers_freep) struct docker_containers *d = engine(true);
	_cleanup_value_ struct value *targets = docker_containers_targets(d);
	_cleanup_buf_ struct buf b = BUF_INIT(65536);

	assert_memory_equal(shown(d, "/web", labels, ARRAY_SIZE(labels), &b),
			    "v1  zeta local false\n", 21);
	for (size_t i = 0; i < targets->n_items; i++)
		assert_int_equal(
			strlen(targets_value_get(targets->items[i], "__meta_docker_container_id")),
			64);
}

static void one_that_starts_or_ends_changes_its_own_targets_only(void **state)
{
	static const char started[] =
		"[{\"Id\":\"new\",\"Names\":[\"/new\"],\"HostConfig\":{\"NetworkMode\":\"n2\"},"
		"\"NetworkSettings\":{\"Networks\":{\"n2\":{\"NetworkID\":\"abc\",\"IPAddress\":"
		"\"fd00::2\"}}}}]";
	static const char more[] = "[{\"Id\":\"abc\",\"Name\":\"n2\",\"Scope\":\"local\"}]";
	_cleanup_(docker_containers_freep) struct docker_containers *d = engine(true);
	_cleanup_value_ struct value *reply = json(started, strlen(started));
	_cleanup_value_ struct value *networks = json(more, strlen(more));
	_cleanup_buf_ struct buf b = BUF_INIT(65536);
	size_t n = docker_containers_count(d);
	char why[256];

	assert_int_equal(docker_containers_merge(d, reply, why, sizeof(why)), 0);
	assert_int_equal(docker_containers_count(d), n + 1);
	assert_string_equal(WHERE(d, "/new"), "[fd00::2]:80  fd00::2    \n");
	/* A network that is as new as the container: labels come with the next list of them. */
	assert_true(docker_containers_lack_network(d));
	assert_int_equal(docker_containers_networks(d, networks, why, sizeof(why)), 0);
	assert_false(docker_containers_lack_network(d));
	assert_string_equal(WHERE(d, "/new"), "[fd00::2]:80 n2 fd00::2    false\n");
	assert_int_equal(docker_containers_merge(d, reply, why, sizeof(why)), 0);
	assert_int_equal(docker_containers_count(d), n + 1);
	assert_true(docker_containers_remove(d, "new"));
	assert_false(docker_containers_remove(d, "new"));
	assert_string_equal(WHERE(d, "/new"), "");
	assert_string_equal(WHERE(d, "/hosty"), "localhost host     false\n");
}

static void a_reply_that_is_none_changes_nothing(void **state)
{
	static const char *const bad[] = {
		"{\"message\":\"page not found\"}",
		"[{\"Names\":[\"/x\"]}]",
		"[{\"Id\":\"new\",\"Names\":[\"/new\"]},17]",
		"null",
	};
	_cleanup_(docker_containers_freep) struct docker_containers *d = engine(true);
	size_t n = docker_containers_count(d);

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_value_ struct value *reply = json(bad[i], strlen(bad[i]));
		char why[256] = "";

		assert_int_equal(docker_containers_list(d, reply, why, sizeof(why)), -EBADMSG);
		assert_true(*why);
		assert_int_equal(docker_containers_merge(d, reply, why, sizeof(why)), -EBADMSG);
		assert_int_equal(docker_containers_count(d), n);
		assert_false(docker_containers_has(d, "new"));
	}
}

/* Two that share each other's network, and one that shares its own. */
static void a_ring_of_shared_networks_ends(void **state)
{
	static const char ring[] = "[{\"Id\":\"a\",\"Names\":[\"/"
				   "a\"],\"HostConfig\":{\"NetworkMode\":\"container:b\"}},"
				   "{\"Id\":\"b\",\"Names\":[\"/"
				   "b\"],\"HostConfig\":{\"NetworkMode\":\"container:a\"}},"
				   "{\"Id\":\"c\",\"Names\":[\"/"
				   "c\"],\"HostConfig\":{\"NetworkMode\":\"container:c\"}}]";
	_cleanup_(docker_containers_freep) struct docker_containers *d = engine(true);
	_cleanup_value_ struct value *reply = json(ring, strlen(ring)), *targets = NULL;
	char why[256];

	assert_int_equal(docker_containers_list(d, reply, why, sizeof(why)), 0);
	targets = docker_containers_targets(d);
	assert_int_equal(docker_containers_count(d), 3);
	assert_int_equal(targets->n_items, 0);
}

static void recorded_events_say_who_came_and_went(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT(1u << 20), seen = BUF_INIT(4096);
	char path[512], *p, *line;

	(void)snprintf(path, sizeof(path), "%s/events.json", dir);
	assert_int_equal(file_read(path, &b, NULL), 0);
	(void)buf_cstr(&b);
	for (p = (char *)b.data; (line = strsep(&p, "\n")) && *line;) {
		struct docker_event e;
		char why[256];

		assert_int_equal(docker_event_parse(line, strlen(line), &e, why, sizeof(why)), 0);
		buf_printf(&seen, "%d %.4s\n", e.kind, e.id);
	}
	/* create, start, die, rename, destroy */
	assert_string_equal(buf_cstr(&seen), "0 8a24\n1 8a24\n2 8a24\n3 1537\n0 1537\n");
}

/* Labels are among the attributes, and may look like anything. */
static void what_stands_inside_of_others_does_not_count(void **state)
{
	static const char line[] = "{\"Actor\":{\"Attributes\":{\"Action\":\"die\",\"x\":\"}\\\","
				   "\\\"ID\\\":1\",\"ID\":\"no\","
				   "\"y\":[{\"ID\":1},\"]\"]},\"ID\":\"yes\"}, \"Action\" : "
				   "\"start\" ,\"Type\":\"container\"}";
	struct docker_event e;
	char why[128];

	assert_int_equal(docker_event_parse(line, strlen(line), &e, why, sizeof(why)), 0);
	assert_int_equal(e.kind, DOCKER_EVENT_THERE);
	assert_string_equal(e.id, "yes");
}

static void what_is_no_event_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"{",
		"[]",
		"{}",
		"{\"Type\":\"container\",\"Action\":\"start\"}",
		"{\"Type\":\"container\",\"Action\":\"die\",\"Actor\":{\"ID\":\"\"}}",
		"{\"Type\":\"network\",\"Action\":\"connect\",\"Actor\":{\"ID\":\"n\"}}"};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct docker_event e;
		char why[256] = "";

		assert_int_equal(docker_event_parse(bad[i], strlen(bad[i]), &e, why, sizeof(why)),
				 -EBADMSG);
		assert_true(*why);
	}
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_container_is_a_target_for_each_port_and_network),
		cmocka_unit_test(special_networks_have_their_addresses),
		cmocka_unit_test(labels_are_those_of_container_and_network),
		cmocka_unit_test(one_that_starts_or_ends_changes_its_own_targets_only),
		cmocka_unit_test(a_reply_that_is_none_changes_nothing),
		cmocka_unit_test(a_ring_of_shared_networks_ends),
		cmocka_unit_test(recorded_events_say_who_came_and_went),
		cmocka_unit_test(what_stands_inside_of_others_does_not_count),
		cmocka_unit_test(what_is_no_event_is_refused),
	};

	if (argc < 2)
		return 2;
	dir = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
