/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "discovery/cgroup.h"

#define A   "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B   "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define ECS "0123456789abcdef0123456789abcdef-1234567890"
#define POD "pod2b6c7d1e-0d2c-4d3e-9f5a-6b7c8d9e0f1a"

static const struct {
	const char *text, *want; /* want NULL: none */
} cases[] = {
	{"0::/docker/" A "\n", A},
	{"0::/system.slice/docker-" A ".scope\n", A},
	{"0::/system.slice/docker-" A ".scope", A},
	{"0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice/"
	 "cri-containerd-" A ".scope\n",
	 A},
	{"0::/kubepods/besteffort/" POD "/" A "\n", A},
	{"0::/kubepods.slice/x.slice/crio-" A ".scope\n", A},
	{"0::/kubepods.slice/x.slice/crio-" A ".scope/container\n", A},
	{"0::/machine.slice/libpod-" A ".scope\n", A},
	{"0::/machine.slice/libpod-" A ".scope/container\n", A},
	{"0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" A
	 ".scope/container\n",
	 A},
	{"0::/libpod_parent/libpod-" A "\n", A},
	{"0::/ecs/0123456789abcdef0123456789abcdef/" ECS "\n", ECS},
	{"9:memory:/ecs/task/" ECS "\n", ECS},
	{"0::/kubelet/kubepods/burstable/" POD "/" A "\n", A},
	{"0::/system.slice/containerd.service/kubepods-burstable-pod1.slice:cri-containerd:" A "\n",
	 A},
	/* v1, hybrid, and v2 with v1 hierarchies left alone */
	{"12:cpuset:/docker/" A "\n11:memory:/docker/" A "\n0::/\n", A},
	{"12:cpuset:/\n4:name=systemd:/docker/" A "\n0::/system.slice/containerd.service\n", A},
	{"3:cpu,cpuacct:/\n2:memory:/\n0::/docker/" A "\n", A},
	/* nested: the innermost container; and what lies below a container */
	{"0::/docker/" A "/kubelet.slice/kubelet-kubepods.slice/cri-containerd-" B ".scope\n", B},
	{"0::/docker/" A "/docker/" B "\n", B},
	{"0::/docker/" A "/system.slice/nginx.service\n", A},
	{"0::/docker/" A "/init.scope\n", A},
	{"0::/../" A "/init\n", A},
	/* none */
	{"", NULL},
	{"\n\n", NULL},
	{"0::/\n", NULL},
	{"garbage " A, NULL},
	{"0::/k8s.io/name\n", NULL},
	{"0::/user.slice/user-1000.slice/session-1.scope\n", NULL},
	{"0::/machine.slice/libpod-conmon-" A ".scope\n", NULL},
	{"0::/kubepods.slice/crio-conmon-" A ".scope\n", NULL},
	{"0::/docker/a" A "\n", NULL}, /* 65 digits */
	{"0::/docker/x" A "\n", NULL},
	{"0::/docker/" A "x\n", NULL},
	{"0::/docker/0123456789abcdef0123456789abcdef\n", NULL},
	{"0::/ecs/0123456789abcdef0123456789abcdef-\n", NULL},
	{"0::/ecs/0123456789abcdef0123456789abcdef-123456789012345678901\n", NULL},
	{"0::/ecs/0123456789abcdef0123456789abcdef-12a\n", NULL},
	{"0::/docker/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n", NULL},
};

static void container_ids_are_found_in_every_known_shape(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t len = strlen(cases[i].text);
		char got[CGROUP_ID_MAX + 1] = "none", *exact = malloc(len ? len : 1);
		int r;

		/* Without the NUL, so that the sanitizer sees a read beyond the end. */
		assert_non_null(exact);
		memcpy(exact, cases[i].text, len);
		r = cgroup_container_id(exact, len, got);
		free(exact);
		if (r != (cases[i].want ? 0 : -ENOENT) ||
		    strcmp(got, cases[i].want ? cases[i].want : "none") != 0)
			fail_msg("'%s': %d %s", cases[i].text, r, got);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(container_ids_are_found_in_every_known_shape),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
