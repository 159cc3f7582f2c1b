/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The service that a process belongs to, when nobody has named it: its container, the systemd unit
 * it runs in, or its executable. Few names for many processes: what is numbered anew each time (a
 * login session, a transient unit) gives no name, and the executable is asked.
 */
#pragma once

#include "agent/base/macro.h"

#define SERVICE_NAME_MAX 127

struct service_of {
	const char *container;	 /* id, "": none */
	const char *cgroup_path; /* "/system.slice/nginx.service", "": unknown */
	const char *exe;	 /* path, "": unknown */
	const char *comm;	 /* name of the process */
	bool is_kernel;		 /* a kernel thread */
};

/*
 * "container/0123456789ab", "nginx", "postgresql@15-main", "python3", "kernel"; the process's name
 * when nothing else is known, "" when that is empty too. Printable, valid UTF-8.
 */
void service_name(const struct service_of *s, char ret[SERVICE_NAME_MAX + 1]);

/*
 * The innermost systemd unit of a cgroup path, without its suffix and with its \xNN unescaped.
 * Names of units: systemd.unit(5); of desktop applications: https://systemd.io/DESKTOP_ENVIRONMENTS
 * ("app-LAUNCHER-ID-RANDOM.scope", "app-LAUNCHER-ID@RANDOM.service"). -ENOENT: none, or one whose
 * name says nothing (user@1000.service, session-2.scope, run-*.scope, init.scope).
 */
int service_unit(const char *cgroup_path, char ret[SERVICE_NAME_MAX + 1]);
