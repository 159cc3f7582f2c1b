/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A JVM that is not one: any memory behind a recording (tests/unit/unwinders/hotspot_recording.h)
 * is attached to, walked and named. It must end, within its budget of reads, and say what is
 * missing.
 */
#include <stdlib.h>
#include <string.h>

#include "unwinders/hotspot.h"
#include "unwinders/runtime.h"

extern const struct runtime hotspot_runtime;

#include "tests/unit/unwinders/hotspot_recording.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define WORDS 256

static void walk(const struct jrec *rec)
{
	struct target_memory memory = {.read = jrec_read, .data = (void *)rec, .budget = 1u << 20};
	struct hotspot_proc proc;
	struct runtime_process p = {.file = &rec->file,
				    .bias = rec->h->bias,
				    .proc = &proc,
				    .memory = &memory,
				    .key = 1};
	uint64_t words[WORDS];
	struct native_walk w = jrec_start(rec, words, WORDS, true);
	struct buf text = BUF_INIT(1u << 20);
	void *names = NULL;

	if (!hotspot_valid(&rec->file) || hotspot_attach(&p, &proc) < 0 ||
	    hotspot_runtime.names_new(&names) < 0)
		return;
	jrec_walk(&p, &w);
	jrec_text(names, &p, &w, &text);
	hotspot_runtime.next_interval(names, NULL, NULL);
	hotspot_runtime.names_free(names);
	if (w.n_frames > WORDS)
		abort();
	buf_done(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Aligned, and of its exact size, so that the sanitizer sees what lies outside. */
	_cleanup_free_ uint8_t *copy = malloc(size ? size : 1);
	struct jrec_header h;
	struct jrec rec;

	if (!copy || size < sizeof(h))
		return 0;
	memcpy(copy, data, size);
	memcpy(&h, copy, sizeof(h));
	h.bytes = (uint32_t)(size & ~(size_t)7);
	memcpy(copy, &h, sizeof(h));
	if (jrec_parse(copy, size, &rec) > 0)
		walk(&rec);
	return 0;
}
