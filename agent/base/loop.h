/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct loop: the one event loop of the agent (epoll). File descriptors, one-shot or repeating
 * timers (CLOCK_MONOTONIC, by the wait's time-out) and signals (signalfd). Callbacks may add and
 * remove any source, also the one that is being called. Single-threaded, no locks.
 */
#pragma once

#include <sys/epoll.h>

#include "agent/base/macro.h"

struct loop;
struct loop_source;

typedef void (*loop_fd_fn)(int fd, uint32_t events, void *data);
typedef void (*loop_timer_fn)(void *data);
typedef void (*loop_signal_fn)(int signo, void *data);

/* 0 or a negative errno. */
int loop_new(struct loop **ret);
struct loop *loop_free(struct loop *l);
DEFINE_CLEANUP(struct loop *, loop_free)

/* The fd stays the caller's. NULL without memory or when epoll refuses the fd (errno is set). */
struct loop_source *loop_add_fd(struct loop *l, int fd, uint32_t events, loop_fd_fn fn, void *data);
int loop_set_events(struct loop_source *s, uint32_t events);
/* A timer that does nothing until loop_set_timer(). */
struct loop_source *loop_add_timer(struct loop *l, loop_timer_fn fn, void *data);
/* First call after `after_ms`, then every `interval_ms` (0: once). Re-arms a running timer. */
void loop_set_timer(struct loop_source *s, uint64_t after_ms, uint64_t interval_ms);
/* Once, after `after_ms` or when it is due as it is: whichever comes first. */
void loop_set_timer_before(struct loop_source *s, uint64_t after_ms);
void loop_stop_timer(struct loop_source *s);
/* Blocks the signal for the process and calls fn from the loop. */
struct loop_source *loop_add_signal(struct loop *l, int signo, loop_signal_fn fn, void *data);
/* Accepts NULL; returns NULL. */
struct loop_source *loop_remove(struct loop_source *s);

/* Runs until loop_quit(). Returns its code, or a negative errno. */
int loop_run(struct loop *l);
/* One round: waits at most timeout_ms (-1: for ever), dispatches what is due. */
int loop_once(struct loop *l, int timeout_ms);
void loop_quit(struct loop *l, int code);
