/* SPDX-License-Identifier: Apache-2.0 */
/*
 * discovery.docker: the running containers of a Docker engine as targets (grafana/alloy
 * internal/component/discovery/docker, 66ebea856dff). Besides looking every refresh_interval it
 * listens to the engine's events, so that a container is a target within a second of its start.
 */
#pragma once

#include "agent/config/component.h"

extern const struct component_type discovery_docker_type;
