/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct docker_event: one line of GET /events (Engine API 1.41 to 1.52). Hundreds may come each
 * second and three of their members matter, so the line is not made into a value: it is skimmed in
 * place.
 */
#pragma once

#include "agent/base/macro.h"

#define DOCKER_ID_MAX 128

enum docker_event_kind {
	DOCKER_EVENT_OTHER,
	DOCKER_EVENT_THERE,
	DOCKER_EVENT_GONE,
	DOCKER_EVENT_CHANGED,
};

struct docker_event {
	enum docker_event_kind kind;
	char id[DOCKER_ID_MAX]; /* of the container */
};

/* 0, or -EBADMSG with why. */
int docker_event_parse(const char *line, size_t len, struct docker_event *ret, char *why,
		       size_t size);
