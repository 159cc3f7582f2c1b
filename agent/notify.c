/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"

struct notify {
	int fd; /* -1: nobody listens */
	struct sockaddr_un to;
	socklen_t to_len;
	struct loop_source *timer;
	uint64_t watchdog_ms; /* how often it is fed; 0: there is none */
};

static uint64_t env_number(const char *name)
{
	const char *s = getenv(name);
	uint64_t v = 0;

	for (; s && *s >= '0' && *s <= '9' && v < UINT64_MAX / 100; s++)
		v = v * 10 + (uint64_t)(*s - '0');
	return v;
}

/* "/path" or "@abstract". */
static int set_address(struct notify *n, const char *name)
{
	size_t len = strlen(name);

	if ((name[0] != '/' && name[0] != '@') || len >= sizeof(n->to.sun_path))
		return -EINVAL;
	n->to.sun_family = AF_UNIX;
	memcpy(n->to.sun_path, name, len);
	if (name[0] == '@')
		n->to.sun_path[0] = '\0';
	n->to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (name[0] == '/'));
	return 0;
}

static void say(const struct notify *n, const char *text)
{
	if (n->fd < 0)
		return;
	if (sendto(n->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT,
		   (const struct sockaddr *)&n->to, n->to_len) < 0)
		log_debug_errno(-errno, "cannot tell the service manager");
}

static void on_watchdog(void *data)
{
	say(data, "WATCHDOG=1");
}

static void read_watchdog(struct notify *n)
{
	uint64_t us = env_number("WATCHDOG_USEC"), pid = env_number("WATCHDOG_PID");

	/* Twice in its time, as sd_watchdog_enabled(3) advises. */
	if (us && (!pid || pid == (uint64_t)getpid()))
		n->watchdog_ms = MAX(us / 2000, 1u);
}

int notify_new(struct loop *l, struct notify **ret)
{
	_cleanup_(notify_freep) struct notify *n = calloc(1, sizeof(*n));
	const char *name = getenv("NOTIFY_SOCKET");
	int r = 0;

	if (!n)
		return -ENOMEM;
	n->fd = -1;
	n->timer = loop_add_timer(l, on_watchdog, n);
	if (!n->timer)
		return -ENOMEM;
	if (name && *name) {
		r = set_address(n, name);
		n->fd = r < 0 ? -1 : socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		if (n->fd < 0)
			log_warn_errno(r < 0 ? r : -errno,
				       "cannot use NOTIFY_SOCKET, going on without");
		read_watchdog(n);
	}
	(void)unsetenv("NOTIFY_SOCKET");
	(void)unsetenv("WATCHDOG_USEC");
	(void)unsetenv("WATCHDOG_PID");
	*ret = TAKE_PTR(n);
	return 0;
}

struct notify *notify_free(struct notify *n)
{
	if (!n)
		return NULL;
	loop_remove(n->timer);
	if (n->fd >= 0)
		close(n->fd);
	free(n);
	return NULL;
}

void notify_ready(struct notify *n)
{
	say(n, "READY=1");
	if (n->watchdog_ms)
		loop_set_timer(n->timer, 0, n->watchdog_ms);
}

void notify_reloading(struct notify *n)
{
	char text[80];

	/* The time is what Type=notify-reload (systemd 253) wants with it. */
	(void)snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu",
		       (unsigned long long)clock_ns(CLOCK_MONOTONIC) / 1000);
	say(n, text);
}

void notify_stopping(struct notify *n)
{
	say(n, "STOPPING=1");
}

void notify_status(struct notify *n, const char *fmt, ...)
{
	char text[256] = "STATUS=";
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text + 7, sizeof(text) - 7, fmt, ap);
	va_end(ap);
	for (char *p = text; *p; p++)
		*p = *p == '\n' ? ' ' : *p;
	say(n, text);
}
