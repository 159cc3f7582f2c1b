/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/alloy_flags.h"

#include <errno.h>
#include <string.h>

#include "agent/base/macro.h"

enum kind {
	FLAG_VALUE,  /* --name VALUE or --name=VALUE */
	FLAG_SWITCH, /* --name or --name=BOOL */
	FLAG_MOOT,   /* a switch for what is never done here: nothing to say */
};

static const struct flag {
	const char *name;
	enum kind kind;
} flags[] = {
	{"stability.level", FLAG_VALUE},
	{"config.format", FLAG_VALUE},
	{"config.extra-args", FLAG_VALUE},
	{"config.bypass-conversion-errors", FLAG_MOOT},
	{"disable-reporting", FLAG_MOOT},
	{"storage.path", FLAG_VALUE},
	{"server.http.memory-addr", FLAG_VALUE},
	{"server.http.enable-pprof", FLAG_SWITCH},
	{"server.http.disable-support-bundle", FLAG_MOOT},
	{"server.http.enable-graphql", FLAG_SWITCH},
	{"server.http.enable-graphql-playground", FLAG_SWITCH},
	{"feature.community-components.enabled", FLAG_SWITCH},
	{"feature.component-shutdown-deadline", FLAG_VALUE},
	{"feature.prometheus.direct-fanout.enabled", FLAG_MOOT},
	{"feature.prometheus.metric-validation-scheme", FLAG_VALUE},
	{"windows.priority", FLAG_VALUE},
	{"cluster.enabled", FLAG_SWITCH},
	{"cluster.name", FLAG_VALUE},
	{"cluster.node-name", FLAG_VALUE},
	{"cluster.join-addresses", FLAG_VALUE},
	{"cluster.discover-peers", FLAG_VALUE},
	{"cluster.rejoin-interval", FLAG_VALUE},
	{"cluster.advertise-address", FLAG_VALUE},
	{"cluster.advertise-interfaces", FLAG_VALUE},
	{"cluster.max-join-peers", FLAG_VALUE},
	{"cluster.wait-for-size", FLAG_VALUE},
	{"cluster.wait-timeout", FLAG_VALUE},
	{"cluster.enable-tls", FLAG_SWITCH},
	{"cluster.tls-ca-path", FLAG_VALUE},
	{"cluster.tls-cert-path", FLAG_VALUE},
	{"cluster.tls-key-path", FLAG_VALUE},
	{"cluster.tls-server-name", FLAG_VALUE},
	{"cluster.use-discovery-v1", FLAG_MOOT},
};

/* *ret_value is behind the '=', NULL without one. */
static const struct flag *find(const char *arg, const char **ret_value)
{
	size_t n;

	if (strncmp(arg, "--", 2) != 0)
		return NULL;
	arg += 2;
	n = strcspn(arg, "=");
	*ret_value = arg[n] ? arg + n + 1 : NULL;
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		if (strlen(flags[i].name) == n && !memcmp(flags[i].name, arg, n))
			return &flags[i];
	}
	return NULL;
}

static void ignore(struct alloy_flags *f, const char *name)
{
	size_t n = strlen(f->ignored);

	/* As many as fit are named. */
	if (n + strlen(name) + 5 < sizeof(f->ignored))
		(void)snprintf(f->ignored + n, sizeof(f->ignored) - n, "%s--%s", n ? ", " : "",
			       name);
}

static bool is_off(const char *value)
{
	return value && (!strcmp(value, "false") || !strcmp(value, "0") || !strcmp(value, "f"));
}

static int apply(struct alloy_flags *f, const struct flag *flag, const char *value, char *why,
		 size_t size)
{
	if (!strcmp(flag->name, "stability.level")) {
		if (stability_parse(value, &f->stability) >= 0)
			return 0;
		(void)snprintf(why, size,
			       "the stability level is generally-available, public-preview or "
			       "experimental");
		return -EINVAL;
	}
	if (!strcmp(flag->name, "config.format")) {
		if (!strcmp(value, "alloy"))
			return 0;
		(void)snprintf(why, size,
			       "only configurations in Alloy's syntax are read: convert it with "
			       "'alloy convert' first");
		return -EINVAL;
	}
	if (flag->kind == FLAG_VALUE || (flag->kind == FLAG_SWITCH && !is_off(value)))
		ignore(f, flag->name);
	return 0;
}

int alloy_flags_take(int *argc, char **argv, struct alloy_flags *ret, char *why, size_t size)
{
	struct alloy_flags f = {0};
	int kept = MIN(*argc, 1), i = kept;

	for (; i < *argc && strcmp(argv[i], "--") != 0; i++) {
		const char *value;
		const struct flag *flag = find(argv[i], &value);
		int r;

		if (!flag) {
			argv[kept++] = argv[i];
			continue;
		}
		if (flag->kind == FLAG_VALUE && !value) {
			if (i + 1 == *argc) {
				(void)snprintf(why, size, "option '--%s' needs a value",
					       flag->name);
				return -EINVAL;
			}
			value = argv[++i];
		}
		r = apply(&f, flag, value, why, size);
		if (r < 0)
			return r;
	}
	for (; i < *argc; i++)
		argv[kept++] = argv[i];
	argv[kept] = NULL;
	*argc = kept;
	*ret = f;
	return 0;
}
