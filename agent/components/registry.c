/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/components/registry.h"

#include "agent/components/discovery_docker.h"
#include "agent/components/discovery_dockerswarm.h"
#include "agent/components/discovery_file.h"
#include "agent/components/discovery_http.h"
#include "agent/components/discovery_kubelet.h"
#include "agent/components/discovery_kubernetes.h"
#include "agent/components/discovery_process.h"
#include "agent/components/discovery_relabel.h"
#include "agent/components/import.h"
#include "agent/components/local_file.h"
#include "agent/components/pyroscope_ebpf.h"
#include "agent/components/pyroscope_enrich.h"
#include "agent/components/pyroscope_java.h"
#include "agent/components/pyroscope_receive_http.h"
#include "agent/components/pyroscope_relabel.h"
#include "agent/components/pyroscope_scrape.h"
#include "agent/components/pyroscope_write.h"
#include "agent/components/remote_kubernetes.h"
#include "agent/components/settings.h"
#include "agent/components/settings_http.h"

/* One a line: branches meet here. */
/* clang-format off */
static const struct component_type *const types[] = {
	&settings_http,
	&settings_livedebugging,
	&settings_logging,
	&settings_remotecfg,
	&settings_tracing,
	&discovery_docker_type,
	&discovery_dockerswarm_type,
	&discovery_file_type,
	&discovery_http_type,
	&discovery_kubelet_type,
	&discovery_kubernetes_type,
	&discovery_process_type,
	&discovery_relabel_type,
	&import_file_type,
	&import_git_type,
	&import_http_type,
	&import_string_type,
	&local_file_type,
	&pyroscope_ebpf_type,
	&pyroscope_enrich_type,
	&pyroscope_java_type,
	&pyroscope_receive_http_type,
	&pyroscope_relabel_type,
	&pyroscope_scrape_type,
	&pyroscope_write_type,
	&remote_kubernetes_configmap_type,
	&remote_kubernetes_secret_type,
};
/* clang-format on */

const struct component_type *const *component_registry(size_t *ret_n)
{
	*ret_n = ARRAY_SIZE(types);
	return types;
}
