/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/config/config.h"

#include <errno.h>
#include <string.h>

#include "agent/base/log.h"

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

static void log_diags(const struct diag_list *d)
{
	for (size_t i = 0; i < MIN(d->n, (size_t)CONFIG_MAX_SHOWN); i++) {
		const struct diag *x = &d->items[i];
		_cleanup_free_ char *line = diag_line(x);

		if (!line)
			continue;
		if (x->severity == DIAG_ERROR)
			log_error("%s%s%s", line, x->help ? "; help: " : "",
				  x->help ? x->help : "");
		else
			log_warn("%s", line);
	}
	if (d->n_errors + d->n_warnings > CONFIG_MAX_SHOWN)
		log_warn("and %zu more diagnostics",
			 d->n_errors + d->n_warnings - CONFIG_MAX_SHOWN);
}

int config_reload(struct graph *g, char **ret_error)
{
	_cleanup_diag_ struct diag_list d = {0};
	int r = graph_reload(g, &d);

	log_diags(&d);
	if (r >= 0) {
		log_info("configuration reloaded");
		return 0;
	}
	*ret_error = d.n_errors ? diag_summary(&d) : strdup(strerror(-r));
	log_error("failed to reload the configuration: %s", *ret_error ? *ret_error : "no memory");
	return r;
}
