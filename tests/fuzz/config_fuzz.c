/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A configuration from text to decoded arguments, and its diagnostics as a person sees them.
 * Nothing is built or started.
 */
#include "agent/components/registry.h"
#include "agent/config/graph.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(graph_freep) struct graph *g = NULL;
	_cleanup_diag_ struct diag_list d = {0};
	struct component_env env = {
		.check_only = true, .no_files = true, .stability = STABILITY_EXPERIMENTAL};
	_cleanup_free_ char *text = NULL;
	size_t n;
	FILE *f;

	env.types = component_registry(&env.n_types);
	if (graph_load_text("fuzz", (const char *)data, size, &env, &d, &g) < 0)
		return 0;
	f = open_memstream(&text, &n);
	if (!f)
		return 0;
	diag_print(&d, f, size & 1, 20);
	fclose(f);
	return 0;
}
