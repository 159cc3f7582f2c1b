/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which proxy a request goes through. As in Go's programs (golang.org/x/net/http/httpproxy,
 * 094d4385; prometheus/common config/http_config.go), not as in libcurl: NO_PROXY knows ports,
 * networks and "*.domain", and with NO_PROXY or the environment in force the own host is never
 * asked through a proxy.
 */
#pragma once

#include "agent/http/options.h"

/* As getenv(); a parameter for the tests' sake. */
typedef char *(*http_getenv)(const char *name);

/*
 * The URL of the proxy, or NULL for none; borrowed from p or the environment. scheme, host (no
 * brackets around IPv6) and port are those of the request.
 */
const char *http_proxy_for(const struct http_proxy_options *p, const char *scheme, const char *host,
			   uint16_t port, http_getenv env);
