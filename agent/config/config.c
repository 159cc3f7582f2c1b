/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/config/config.h"

#include <errno.h>
#include <string.h>

int config_load(const char *const *paths, size_t n, const struct component_env *env, FILE *err,
		struct graph **ret)
{
	_cleanup_(graph_freep) struct graph *g = NULL;
	_cleanup_diag_ struct diag_list d = {0};
	int r = graph_load(paths, n, env, &d, &g);

	if (d.n_errors || d.n_warnings) {
		diag_print(&d, err, diag_colour(err), CONFIG_MAX_SHOWN);
		fputc('\n', err);
	}
	if (r >= 0 && graph_ok(g)) {
		*ret = TAKE_PTR(g);
		return 0;
	}
	if (r < 0)
		fprintf(err, "Error: %s\n", strerror(-r));
	fprintf(err, "Error: could not perform the initial load successfully\n");
	return -EINVAL;
}
