/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel tells of a method: the texts and numbers in it are a process's. */
#include <stdlib.h>
#include <string.h>

#include "unwinders/runtime.h"

#include "bpf/hotspot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

extern const struct runtime hotspot_runtime;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct runtime_function functions[RUNTIME_FUNCTIONS_MAX];
	struct target_memory nothing = {0}; /* no budget: nothing is read */
	struct hotspot_proc proc = {.version = 17};
	struct runtime_process process = {.proc = &proc, .memory = &nothing, .key = 1};
	/* Of its exact size, so that the sanitizer sees what lies outside. */
	_cleanup_free_ struct event_runtime *e = malloc(size ? size : 1);
	struct hotspot_record r;
	struct runtime_frame f;
	void *names = NULL;
	const char *why;

	if (!e || size < sizeof(*e))
		return 0;
	memcpy(e, data, size);
	memset(&r, 0, sizeof(r));
	memcpy(&r, data, MIN(size, sizeof(r)));
	process.id = (struct process_key){(uint32_t)(r.e.key >> 32), (uint32_t)r.e.key};
	if (hotspot_runtime.names_new(&names) < 0)
		return 0;
	hotspot_runtime.on_record(names, e, size);
	f = (struct runtime_frame){.value = HOTSPOT_VALUE(HOTSPOT_INTERPRETED, r.method),
				   .more = HOTSPOT_MORE(r.cookie, 3),
				   .process = &process};
	(void)hotspot_runtime.name_frame(names, &f, functions, &why);
	hotspot_runtime.next_interval(names, NULL, NULL);
	hotspot_runtime.names_free(names);
	return 0;
}
