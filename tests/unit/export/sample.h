/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The small profile that the tests of the writers share, 100 Hz for 2 s:
 *   web (pid 10)   main;serve;parse(inlined into serve)   3 samples, complete
 *   web (pid 10)   main;serve;sys_read (kernel)           1 sample,  complete
 *   job (pid 20)   [no rule];libz.so+0x99                 1 sample,  cut
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "agent/export/profile.h"

#define SAMPLE_PERIOD 10000000u

static inline uint32_t sample_string(struct profile *p, const char *s)
{
	uint32_t id = intern_str(&p->strings, s);

	assert_int_not_equal(id, INTERN_INVALID);
	return id;
}

static inline uint32_t sample_mapping(struct profile *p, const char *file, const char *build_id)
{
	return (uint32_t)profile_add_mapping(
		       p, &(struct profile_mapping){.start = 0x1000,
						    .limit = 0x9000,
						    .file = sample_string(p, file),
						    .build_id = sample_string(p, build_id),
						    .has_functions = true}) +
	       1;
}

static inline struct profile_line sample_line(struct profile *p, const char *name, const char *file,
					      uint32_t line)
{
	int64_t f = profile_add_function(
		p, &(struct profile_function){.name = sample_string(p, name),
					      .system_name = sample_string(p, name),
					      .file = sample_string(p, file),
					      .start_line = line});

	assert_true(f >= 0);
	return (struct profile_line){(uint32_t)f, line + 1};
}

static inline uint32_t sample_location(struct profile *p, uint64_t address, uint32_t mapping,
				       enum profile_kind kind, const char *name)
{
	struct profile_line line = sample_line(p, name, "", 0);
	int64_t l = profile_add_location(p, address, mapping, kind,
					 kind != PROFILE_REASON && !strchr(name, '+'), &line, 1);

	assert_true(l >= 0);
	return (uint32_t)l;
}

static inline uint32_t sample_process(struct profile *p, uint32_t pid, const char *comm)
{
	int64_t i = profile_add_process(
		p, &(struct profile_process){.pid = pid, .comm = sample_string(p, comm)});

	assert_true(i >= 0);
	return (uint32_t)i;
}

static inline void sample_add(struct profile *p, uint32_t process, const uint32_t *stack, size_t n,
			      uint64_t count, bool complete)
{
	assert_int_equal(
		profile_add_sample(p, process, stack, n, count * SAMPLE_PERIOD, count, complete),
		0);
}

static inline struct profile *sample_profile(void)
{
	struct profile *p = NULL;
	struct profile_line inlined[2];
	uint32_t web, job, exe, kernel, libz, main_, serve, parse, read_, rule, raw;

	assert_int_equal(profile_new(&p), 0);
	p->time_ns = UINT64_C(1700000000000000000);
	p->duration_ns = 2000000000;
	p->period_ns = SAMPLE_PERIOD;
	p->event = sample_string(p, "cpu-clock");
	web = sample_process(p, 10, "web");
	job = sample_process(p, 20, "job");
	exe = sample_mapping(p, "/usr/bin/web", "abcd");
	kernel = sample_mapping(p, "[kernel]", "");
	libz = sample_mapping(p, "/usr/lib/libz.so", "ef01");
	main_ = sample_location(p, 0x1100, exe, PROFILE_NATIVE, "main");
	serve = sample_location(p, 0x1200, exe, PROFILE_NATIVE, "serve");
	inlined[0] = sample_line(p, "parse", "/src/parse.c", 41);
	inlined[1] = sample_line(p, "serve", "", 0);
	parse = (uint32_t)profile_add_location(p, 0x1210, exe, PROFILE_NATIVE, true, inlined, 2);
	read_ = sample_location(p, 0xffffffff81000010, kernel, PROFILE_KERNEL, "sys_read");
	rule = sample_location(p, 0, 0, PROFILE_REASON, "[no unwind rule]");
	raw = sample_location(p, 0x99, libz, PROFILE_NATIVE, "libz.so+0x99");
	sample_add(p, web, (uint32_t[]){parse, main_}, 2, 3, true);
	sample_add(p, web, (uint32_t[]){read_, serve, main_}, 3, 1, true);
	sample_add(p, job, (uint32_t[]){raw, rule}, 2, 1, false);
	return p;
}
