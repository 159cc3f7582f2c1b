/* SPDX-License-Identifier: Apache-2.0 */
/* Clocks: monotonic for measuring and timers, real time for what is written into profiles. */
#pragma once

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Milliseconds of CLOCK_MONOTONIC. */
static inline uint64_t clock_ms(void)
{
	return clock_ns(CLOCK_MONOTONIC) / 1000000u;
}

/*
 * From now to the next multiple of `every`, at least 1. Whoever may wait, and waits so, wakes
 * together with all others that do: a wake-up of an idle CPU costs more than most work does.
 */
static inline uint64_t clock_until_ms(uint64_t every)
{
	return every - clock_ms() % every;
}
