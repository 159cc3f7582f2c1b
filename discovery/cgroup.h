/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Container ids out of the text of /proc/PID/cgroup. Pure functions: they know the path shapes of
 * docker, containerd, cri-o, podman, kubernetes (cgroupfs and systemd drivers) and ECS, on cgroup
 * v1, v2 and hybrid hosts, and pick the innermost container of nested ones.
 */
#pragma once

#include "agent/base/macro.h"

#define CGROUP_ID_MAX 64 /* hex digits; ECS: 32 hex digits, '-', up to 20 decimal ones */

/* 0 with the id, NUL-terminated; -ENOENT when the text names no container. */
int cgroup_container_id(const char *text, size_t len, char ret[CGROUP_ID_MAX + 1]);
/* The same for one path. */
int cgroup_path_id(const char *path, size_t len, char ret[CGROUP_ID_MAX + 1]);
/* The path in a line `hierarchy:controllers:path`; *ret_len 0 when it is no such line. */
const char *cgroup_line_path(const char *line, size_t len, size_t *ret_len);
