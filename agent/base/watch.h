/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct watch: says when files or directories may have changed (inotify(7) on the event loop).
 * It follows a path the way the kernel does and watches every link and directory on it, so that
 * it sees a file that is written in place, replaced by rename, removed and made again, that does
 * not exist yet, that is mounted alone into a container, and the "..data" links of Kubernetes
 * being exchanged. It does not read anything and does not say what changed.
 */
#pragma once

#include "agent/base/loop.h"

#define WATCH_SETTLE_MS 50  /* writers are left alone for so long after their last change */
#define WATCH_LATEST_MS 500 /* but the first change is told of after so long at the latest */
#define WATCH_MAX_PATHS 256

struct watch;

/* Some of it may have changed. What watch_add() was told is still watched. */
typedef void (*watch_fn)(void *data);

/* Nothing is watched yet. -EMFILE: too many inotify instances; poll instead. */
int watch_new(struct loop *l, watch_fn fn, void *data, struct watch **ret);
/* Accepts NULL; returns NULL. Also from within its watch_fn. */
struct watch *watch_free(struct watch *w);
DEFINE_CLEANUP(struct watch *, watch_free)

/*
 * A file, which need not exist, or a directory: then also what is directly inside it. Read it
 * after this call, and no change is missed. 0; -ENOSPC when the system has no more watches and
 * -E2BIG over WATCH_MAX_PATHS, and then the path may be watched in part: poll it, too.
 */
int watch_add(struct watch *w, const char *path);
/* Forgets all paths. */
void watch_clear(struct watch *w);
