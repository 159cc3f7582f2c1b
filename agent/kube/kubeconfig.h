/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct kubeconfig: where the current context of a kubeconfig file leads, and with which
 * credentials (client-go tools/clientcmd/api/v1, 0.33). Relative paths are relative to the file.
 * Credentials that come out of a program (exec, auth-provider) are refused.
 */
#pragma once

#include "agent/base/buf.h"

#define KUBECONFIG_MAX_BYTES (1u << 20)

struct kubeconfig { /* owned; NULL: not given */
	char *server;
	char *ca_file, *ca_pem, *server_name, *proxy_url;
	bool insecure;
	char *token, *token_file;
	char *username, *password;
	char *cert_file, *cert_pem, *key_file, *key_pem;
};

void kubeconfig_done(struct kubeconfig *k);
/* dir: of the file. -EINVAL with the reason in why, -ENOMEM. ret needs kubeconfig_done() only after
 * success. */
int kubeconfig_parse(const char *text, size_t n, const char *dir, char *why, size_t size,
		     struct kubeconfig *ret);
int kubeconfig_read(const char *path, char *why, size_t size, struct kubeconfig *ret);
