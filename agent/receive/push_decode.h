/* SPDX-License-Identifier: Apache-2.0 */
/*
 * push.v1.PushRequest as clients send it, in protobuf or JSON (grafana/pyroscope
 * api/push/v1/push.proto and types/v1/types.proto, 3fe6a457; JSON as protojson reads it: unknown
 * fields are ignored, bytes are base64 in either alphabet).
 */
#pragma once

#include "agent/labels.h"

#define PUSH_DECODE_LABELS   1000	 /* of a series */
#define PUSH_DECODE_SAMPLES  10000	 /* of a request */
#define PUSH_DECODE_PROFILES (64u << 20) /* bytes of all profiles of a request in JSON */

/* One profile; all is borrowed for the call. < 0 ends the decoding with that. */
typedef int (*push_decode_fn)(const struct label_set *labels, const uint8_t *profile, size_t n,
			      void *data);

/*
 * Calls fn for each profile, when the whole request has proved to be right. -EBADMSG (malformed),
 * -E2BIG (over a limit) with the reason in why, -ENOMEM, or what fn returned.
 */
int push_decode_proto(const void *body, size_t n, push_decode_fn fn, void *data, char *why,
		      size_t size);
int push_decode_json(const void *body, size_t n, push_decode_fn fn, void *data, char *why,
		     size_t size);
