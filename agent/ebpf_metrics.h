/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What /metrics shows of a running profiling session: samples and what became of them, stacks,
 * files, memory. Where the page of pyroscope.ebpf names an equivalent of the OpenTelemetry
 * profiler (metrics/metrics.json), it is there under that name with the same scope label.
 */
#pragma once

#include "agent/metrics.h"
#include "agent/session.h"

void ebpf_session_metrics(struct session *s, struct metrics *m);
