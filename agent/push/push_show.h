/* SPDX-License-Identifier: Apache-2.0 */
/* What people see of a struct push: metrics, health and the state of each endpoint. */
#pragma once

#include "agent/config/value.h"
#include "agent/metrics.h"
#include "agent/push/push.h"

/* Alloy's families, with the configured URL as `endpoint`, and the queues and drops by reason. */
void push_add_metrics(const struct push *p, struct metrics *m);
/* {endpoints = [{...}]}; NULL without memory. */
struct value *push_debug_info(const struct push *p);
/* True when all endpoints work; else the text names the failing ones and why. */
bool push_is_healthy(const struct push *p, char *text, size_t size);
