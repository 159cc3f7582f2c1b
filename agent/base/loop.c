/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/base/loop.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>

#include "agent/base/clock.h"

enum source_kind { SOURCE_FD, SOURCE_TIMER, SOURCE_SIGNAL };

struct loop_source {
	struct loop *loop; /* borrowed */
	struct loop_source *next;
	enum source_kind kind;
	bool dead;		      /* removed; freed after the round */
	int fd;			      /* owned for SOURCE_SIGNAL */
	uint64_t due_ms, interval_ms; /* due_ms 0: not armed */
	union {
		loop_fd_fn on_fd;
		loop_timer_fn on_timer;
		loop_signal_fn on_signal;
	};
	void *data; /* borrowed */
};

struct loop {
	int epoll_fd;
	struct loop_source *sources; /* owned list */
	bool quit, has_dead;
	int code;
};

int loop_new(struct loop **ret)
{
	struct loop *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll_fd < 0) {
		free(l);
		return -errno;
	}
	*ret = l;
	return 0;
}

static void source_free(struct loop_source *s)
{
	if (s->kind == SOURCE_SIGNAL)
		close(s->fd);
	free(s);
}

struct loop *loop_free(struct loop *l)
{
	if (!l)
		return NULL;
	while (l->sources) {
		struct loop_source *s = l->sources;

		l->sources = s->next;
		source_free(s);
	}
	close(l->epoll_fd);
	free(l);
	return NULL;
}

static struct loop_source *source_new(struct loop *l, enum source_kind kind, void *data)
{
	struct loop_source *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->loop = l;
	s->kind = kind;
	s->data = data;
	s->fd = -1;
	s->next = l->sources;
	l->sources = s;
	return s;
}

static int source_poll(struct loop_source *s, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = s};

	return epoll_ctl(s->loop->epoll_fd, EPOLL_CTL_ADD, s->fd, &ev) < 0 ? -errno : 0;
}

static void loop_reap(struct loop *l)
{
	struct loop_source **p = &l->sources;

	while (l->has_dead && *p) {
		struct loop_source *s = *p;

		if (s->dead) {
			*p = s->next;
			source_free(s);
		} else {
			p = &s->next;
		}
	}
	l->has_dead = false;
}

struct loop_source *loop_remove(struct loop_source *s)
{
	if (!s || s->dead)
		return NULL;
	if (s->fd >= 0)
		(void)epoll_ctl(s->loop->epoll_fd, EPOLL_CTL_DEL, s->fd, NULL);
	s->dead = true;
	s->loop->has_dead = true;
	return NULL;
}

struct loop_source *loop_add_fd(struct loop *l, int fd, uint32_t events, loop_fd_fn fn, void *data)
{
	struct loop_source *s = source_new(l, SOURCE_FD, data);

	if (!s)
		return NULL;
	s->fd = fd;
	s->on_fd = fn;
	if (source_poll(s, events) < 0) {
		int saved_errno = errno;

		loop_remove(s);
		errno = saved_errno;
		return NULL;
	}
	return s;
}

int loop_set_events(struct loop_source *s, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = s};

	return epoll_ctl(s->loop->epoll_fd, EPOLL_CTL_MOD, s->fd, &ev) < 0 ? -errno : 0;
}

struct loop_source *loop_add_timer(struct loop *l, loop_timer_fn fn, void *data)
{
	struct loop_source *s = source_new(l, SOURCE_TIMER, data);

	if (s)
		s->on_timer = fn;
	return s;
}

void loop_set_timer(struct loop_source *s, uint64_t after_ms, uint64_t interval_ms)
{
	s->due_ms = clock_ms() + after_ms;
	s->interval_ms = interval_ms;
}

void loop_set_timer_before(struct loop_source *s, uint64_t after_ms)
{
	uint64_t due_ms = clock_ms() + after_ms;

	if (!s->due_ms || due_ms < s->due_ms)
		s->due_ms = due_ms;
}

void loop_stop_timer(struct loop_source *s)
{
	s->due_ms = 0;
}

struct loop_source *loop_add_signal(struct loop *l, int signo, loop_signal_fn fn, void *data)
{
	struct loop_source *s = source_new(l, SOURCE_SIGNAL, data);
	sigset_t set;

	if (!s)
		return NULL;
	sigemptyset(&set);
	sigaddset(&set, signo);
	sigprocmask(SIG_BLOCK, &set, NULL);
	s->on_signal = fn;
	s->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->fd < 0 || source_poll(s, EPOLLIN) < 0)
		return loop_remove(s);
	return s;
}

static int loop_wait_ms(const struct loop *l, int timeout_ms)
{
	uint64_t now = clock_ms(), first = UINT64_MAX;

	for (const struct loop_source *s = l->sources; s; s = s->next) {
		if (s->kind == SOURCE_TIMER && !s->dead && s->due_ms)
			first = MIN(first, s->due_ms);
	}
	if (first == UINT64_MAX)
		return timeout_ms;
	first = first > now ? MIN(first - now, 1u << 30) : 0;
	return timeout_ms < 0 ? (int)first : MIN(timeout_ms, (int)first);
}

static void loop_run_timers(struct loop *l)
{
	uint64_t now = clock_ms();

	for (struct loop_source *s = l->sources; s; s = s->next) {
		if (s->kind != SOURCE_TIMER || s->dead || !s->due_ms || s->due_ms > now)
			continue;
		/* A late loop skips missed periods instead of firing them in a burst. */
		if (s->interval_ms)
			s->due_ms += s->interval_ms * ((now - s->due_ms) / s->interval_ms + 1);
		else
			s->due_ms = 0;
		s->on_timer(s->data);
	}
}

static void source_dispatch(struct loop_source *s, uint32_t events)
{
	struct signalfd_siginfo si;

	if (s->kind == SOURCE_FD)
		s->on_fd(s->fd, events, s->data);
	else if (read(s->fd, &si, sizeof(si)) == sizeof(si))
		s->on_signal((int)si.ssi_signo, s->data);
}

int loop_once(struct loop *l, int timeout_ms)
{
	struct epoll_event ev[32];
	int n = epoll_wait(l->epoll_fd, ev, ARRAY_SIZE(ev), loop_wait_ms(l, timeout_ms));

	if (n < 0 && errno != EINTR)
		return -errno;
	for (int i = 0; i < n; i++) {
		struct loop_source *s = ev[i].data.ptr;

		if (!s->dead)
			source_dispatch(s, ev[i].events);
	}
	loop_run_timers(l);
	loop_reap(l);
	return 0;
}

int loop_run(struct loop *l)
{
	l->quit = false;
	while (!l->quit) {
		int r = loop_once(l, -1);

		if (r < 0)
			return r;
	}
	return l->code;
}

void loop_quit(struct loop *l, int code)
{
	l->quit = true;
	l->code = code;
}
