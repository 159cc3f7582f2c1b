/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>

#include "agent/kube/kubeconfig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kubeconfig k = {0};
	char why[200];

	if (kubeconfig_parse((const char *)data, size, "/etc/kube", why, sizeof(why), &k) >= 0)
		kubeconfig_done(&k);
	return 0;
}
