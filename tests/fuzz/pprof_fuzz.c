/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as pprof: what is accepted must survive every writer and read back with equal sums. */
#include <stdlib.h>

#include "agent/export/flamegraph.h"
#include "agent/export/folded.h"
#include "agent/export/pprof.h"
#include "agent/export/pprof_read.h"
#include "agent/export/report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_check(bool ok)
{
	if (!ok)
		abort();
}

static void fuzz_round_trip(const struct profile *p)
{
	_cleanup_buf_ struct buf out = BUF_INIT(64u << 20);
	_cleanup_(profile_freep) struct profile *again = NULL;
	const struct pprof_options o = {.label_pid = true, .label_comm = true, .label_event = true};
	struct profile_totals a, b;

	fuzz_check(pprof_encode(p, &o, &out) == (int64_t)p->n_samples);
	if (!p->n_samples)
		return;
	fuzz_check(pprof_parse(out.data, out.len, &again) == 0);
	profile_sum(p, &a);
	profile_sum(again, &b);
	/* pprof has no negative numbers to spare for values over INT64_MAX: those were cut. */
	fuzz_check(a.value > INT64_MAX || a.value == b.value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(profile_freep) struct profile *p = NULL;
	_cleanup_fclose_ FILE *null = NULL;

	if (pprof_parse(data, size, &p) < 0)
		return 0;
	null = fopen("/dev/null", "we");
	fuzz_check(null != NULL);
	fuzz_round_trip(p);
	fuzz_check(folded_write(p, NULL, null) == 0);
	fuzz_check(report_print(null, p, NULL) == 0);
	fuzz_check(flamegraph_svg(p, NULL, null) == 0);
	fuzz_check(flamegraph_html(p, NULL, null) == 0);
	return 0;
}
