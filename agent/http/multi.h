/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct http_multi: libcurl's multi interface on the event loop. All transfers of the agent go
 * through one, so that connections are kept and shared. What is asked is fetch.h's affair.
 */
#pragma once

#include "agent/base/loop.h"

struct http_multi;

/* 0 or a negative errno. The loop is borrowed and must outlive it. */
int http_multi_new(struct loop *loop, struct http_multi **ret);
/* Ends what is under way without telling anybody. Accepts NULL; returns NULL. */
struct http_multi *http_multi_free(struct http_multi *m);
DEFINE_CLEANUP(struct http_multi *, http_multi_free)

struct loop *http_multi_loop(const struct http_multi *m);
