/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct notify: what a service manager wants to hear (sd_notify(3): datagrams of NAME=VALUE lines
 * to the socket in $NOTIFY_SOCKET), and the watchdog that it may want fed. Without such a manager
 * everything here does nothing.
 */
#pragma once

#include "agent/base/loop.h"

struct notify;

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID and takes them out of the environment, which
 * children inherit. 0 or -ENOMEM; what cannot be used is logged. */
int notify_new(struct loop *l, struct notify **ret);
struct notify *notify_free(struct notify *n);
DEFINE_CLEANUP(struct notify *, notify_free)

/* From here on the watchdog is fed, from the loop: one that hangs is killed. */
void notify_ready(struct notify *n);
/* Until the next notify_ready(). */
void notify_reloading(struct notify *n);
void notify_stopping(struct notify *n);
/* One line for `systemctl status`. */
void notify_status(struct notify *n, const char *fmt, ...) _printf_(2, 3);
