/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pyroscope.receive_http of Grafana Alloy (66ebea856dff): a server that takes profiles of SDKs and
 * other agents and hands them to all receivers: POST /ingest, and /push.v1.PusherService/Push as
 * connect speaks it over HTTP/1.1 (protobuf or JSON, gzip). gRPC is not spoken and refused as such.
 *
 * A request is answered when the receivers have it; their queues, retries and losses are theirs,
 * so a client does not wait for the server behind them. While the address cannot be had the
 * component is unhealthy, and tries again every RECEIVE_RETRY_MS.
 */
#pragma once

#include "agent/config/component.h"

#define RECEIVE_RETRY_MS     5000u
#define RECEIVE_MAX_BODY     (16u << 20) /* as sent */
#define RECEIVE_MAX_BODIES   (64u << 20) /* of all requests at a time */
#define RECEIVE_MAX_UNPACKED (32u << 20) /* a body in gzip, unpacked */

extern const struct component_type pyroscope_receive_http_type;
