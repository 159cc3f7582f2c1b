# SPDX-License-Identifier: Apache-2.0
"""Kubernetes discovery against API servers: targets, changes, bad days, and profiles of pods."""

import json
import os
import subprocess
import threading
import time

from kube_objects import NODE, endpoints, endpointslice, ingress, namespace, node, pod, service
from kube_server import Fake, Real
from lib import TEPHRA, Skip, case, check, spawn, wait_for

DRIVER = os.environ.get("KUBE_DRIVER", os.path.join(os.path.dirname(os.path.dirname(TEPHRA)), "tests", "live", "kube_driver"))
META = "__meta_kubernetes_"


class Driver:
    """tests/live/kube_driver: what components export and how they are, now."""

    def __init__(self, text, wrap=(), env=None):
        if not os.path.exists(DRIVER):
            raise Skip("kube_driver was not built")
        with open("config.alloy", "w") as f:
            f.write(text)
        self.exports, self.health, self.n, self.memory = {}, {}, 0, None
        self.proc = spawn([*wrap, DRIVER, "config.alloy"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=open("driver.log", "w"), text=True, env={**os.environ, **(env or {})})
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.proc.stdout:
            o = json.loads(line)
            name = o.get("id", "").rpartition(".")[2]
            if "exports" in o:
                self.exports[name] = o["exports"]
                self.n += 1
            if "health" in o:
                self.health[name] = (o["health"]["state"], o["health"]["text"])
            self.memory = o.get("memory", self.memory)

    def targets(self, name="pods"):
        return self.exports.get(name, {}).get("targets", [])

    def find(self, key, value, name="pods"):
        return [t for t in self.targets(name) if t.get(META + key) == value]

    def wait(self, pred, timeout=15, what="the targets that should be there"):
        try:
            return wait_for(pred, timeout, what)
        except AssertionError:
            print(open("driver.log").read()[-2000:], self.health, json.dumps(self.exports)[:3000])
            raise

    def peak_kb(self):
        self.memory = None
        self.proc.stdin.write("m")
        self.proc.stdin.flush()
        return wait_for(lambda: self.memory, 5, "the driver's memory")

    def end(self):
        self.proc.stdin.close()
        check(self.proc.wait(10) == 0, f"the driver ended with {self.proc.returncode}\n" + open("driver.log").read()[-2000:])


def config(server, role="pod", name="pods", extra=""):
    return f"""
discovery.kubernetes "{name}" {{
  role         = "{role}"
  api_server   = "{server.url}"
  bearer_token = "{server.token}"
  tls_config {{
    ca_file = "{server.ca}"
  }}
  {extra}
}}
"""


def labels_of_pod(d):
    """The table of discovery.kubernetes, label by label."""
    t = d.wait(lambda: d.find("pod_container_name", "app") and d.targets())
    app = [x for x in t if x[META + "pod_container_name"] == "app"]
    check(len(app) == 2, f"a target for each port: {app}")
    want = {"__address__": "10.1.0.7:8080", "namespace": "shop", "pod_name": "web-0", "pod_ip": "10.1.0.7",
            "pod_ready": "true", "pod_phase": "Running", "pod_node_name": NODE, "pod_host_ip": "192.168.7.1",
            "pod_controller_kind": "ReplicaSet", "pod_controller_name": "web-6d4f8",
            "pod_label_app": "web", "pod_labelpresent_app": "true", "pod_label_app_kubernetes_io_name": "web",
            "pod_annotation_pyroscope_io_scrape": "true", "pod_annotationpresent_pyroscope_io_scrape": "true",
            "pod_container_name": "app", "pod_container_id": "containerd://" + "a" * 64,
            "pod_container_image": "app:1.2", "pod_container_init": "false", "pod_container_port_name": "http",
            "pod_container_port_number": "8080", "pod_container_port_protocol": "TCP"}
    got = next(x for x in app if x["__address__"].endswith(":8080"))
    for k, v in want.items():
        have = got.get(k if k.startswith("__") else META + k)
        check(have == v, f"{k} is {have!r}, not {v!r}\n{json.dumps(got, indent=1)}")
    check(got[META + "pod_uid"], "no uid")
    init = [x for x in t if x[META + "pod_container_init"] == "true"]
    check(len(init) == 1 and init[0][META + "pod_container_id"] == "containerd://" + "b" * 64
          and init[0]["__address__"] == "10.1.0.7", f"the init container: {init}")


def the_pod(**kw):
    return pod("shop", "web-0", containers={"app": ("a" * 64, {"http": 8080, "debug": 6060})},
               init={"setup": ("b" * 64, {})}, **kw)


def follow(server):
    """Labels, and what comes, changes and goes."""
    server.put(namespace("shop"))
    server.put(the_pod())
    server.put(pod("shop", "pending-0", ip=None, phase="Pending"))
    d = Driver(config(server))
    labels_of_pod(d)
    check(not d.find("pod_name", "pending-0"), "a pod without an address is a target")
    check(d.health["pods"][0] == 3, f"health: {d.health}")
    server.put(pod("shop", "web-1", ip="fd00::7"))
    t = d.wait(lambda: d.find("pod_name", "web-1"))
    check(t[0]["__address__"] == "[fd00::7]:8080", f"IPv6: {t}")
    server.put(the_pod(labels={"version": "2"}))
    d.wait(lambda: d.find("pod_label_version", "2"))
    server.delete(pod("shop", "web-1"))
    d.wait(lambda: not d.find("pod_name", "web-1") and d.find("pod_name", "web-0"))
    d.end()


@case
def a_real_server_is_followed():
    follow(Real())


@case
def our_server_is_followed():
    follow(Fake())


def all_roles(server, slices):
    for o in (namespace("shop"), node(), the_pod(), service("shop", "web"), ingress("shop", "web"),
              endpoints("shop", "web", {"web-0": "10.1.0.7"})):
        server.put(o)
    roles = ["pod", "node", "service", "endpoints", "ingress"]
    if slices:
        server.put(endpointslice("shop", "web-x7z", "web", {"web-0": "10.1.0.7"}))
        roles.append("endpointslice")
    attach = "attach_metadata {\n node = true\n namespace = true\n }"
    own = 'namespaces {\n names = ["shop", "shop"]\n }'
    d = Driver("".join(config(server, r, r, attach + "\n" + ("" if r == "node" else own)) for r in roles))

    def one(role, **want):
        def get():
            return [t for t in d.targets(role)
                    if all(t.get(META + k) == v for k, v in want.items())]
        return d.wait(get, what=f"role {role} with {want}")[0]
    t = one("pod", pod_name="web-0", node_name=NODE, node_label_zone="z1", namespace_label_team="a-team")
    t = one("node", node_name=NODE, node_provider_id=f"kind://docker/kind/{NODE}", node_address_InternalIP="192.168.7.1",
            node_condition_ready="true", node_label_zone="z1")
    check(t["__address__"] == "192.168.7.1:10250" and t["instance"] == NODE, f"node: {t}")
    t = one("service", service_name="web", service_port_name="http", service_port_number="80", service_type="ClusterIP",
            service_label_app="web", namespace_label_team="a-team")
    check(t["__address__"] == "web.shop.svc:80" and t[META + "service_cluster_ip"].startswith("10.96."), f"service: {t}")
    t = one("ingress", ingress_name="web", ingress_host="shop.example.com", ingress_scheme="https", ingress_path="/cart",
            ingress_class_name="nginx")
    t = one("endpoints", endpoints_name="web", endpoint_ready="true", endpoint_port_name="http", service_name="web",
            endpoint_address_target_kind="Pod", endpoint_address_target_name="web-0", pod_name="web-0",
            pod_container_name="app", pod_container_port_number="8080", node_label_zone="z1", endpoint_node_name=NODE)
    check(t["__address__"] == "10.1.0.7:8080", f"endpoints: {t}")
    t = one("endpoints", pod_container_port_number="6060")  # a port that the service does not have
    if slices:
        one("endpointslice", endpointslice_name="web-x7z", endpointslice_address_type="IPv4", endpointslice_port="8080",
            endpointslice_endpoint_conditions_ready="true", endpointslice_endpoint_conditions_terminating="false",
            endpointslice_endpoint_zone="z1", endpointslice_endpoint_node_name=NODE, service_name="web", pod_name="web-0",
            pod_container_port_name="http")
    # What an object refers to changes: its targets do, too.
    server.put(service("shop", "web", labels={"tier": "front"}))
    one("endpoints", service_label_tier="front")
    server.put(node(labels={"zone": "z2"}))
    one("pod", node_label_zone="z2")
    d.end()


@case
def roles_of_a_real_server():
    all_roles(Real(), False)


@case
def roles_of_our_server():
    all_roles(Fake(), True)


@case
def selectors_are_the_servers_work():
    s = Fake()
    for i in range(1200):
        s.put(pod("shop", f"web-{i}", node=f"node-{i % 4}"))
    s.chunk = 100
    d = Driver(config(s, extra=f'selectors {{\n role = "pod"\n field = "spec.nodeName=node-1"\n label = "app=web"\n }}'))
    d.wait(lambda: len(d.targets()) == 300)
    lists = [q for p, q in s.requests if not q.get("watch")]
    check(len(lists) == 3 and all(q["fieldSelector"] == "spec.nodeName=node-1" and q["labelSelector"] == "app=web"
                                  for q in lists), f"chunks with selectors: {lists}")
    d.end()


@case(timeout=90)
def bad_days_are_survived():
    s = Fake()
    s.put(the_pod())
    d = Driver(config(s))
    d.wait(lambda: len(d.targets()) == 3)
    # The history is gone: what happened meanwhile is seen all the same.
    s.delete(the_pod())
    s.put(pod("shop", "after-410"))
    s.compact()
    d.wait(lambda: d.find("pod_name", "after-410") and not d.find("pod_name", "web-0"))
    for fault, words in (("500", "etcdserver: request timed out"), ("garbage", "no JSON"),
                         ("huge", "16 MiB")):
        s.fault, t0 = fault, time.monotonic()
        s.end_watches()
        d.wait(lambda: d.health["pods"][0] == 1 and words in d.health["pods"][1], 20, f"the reason after '{fault}'")
        print(f"{fault}: {d.health['pods'][1]} after {time.monotonic() - t0:.1f} s")
        check(d.find("pod_name", "after-410"), f"targets were lost by '{fault}'")
        s.fault = None
        s.put(pod("shop", f"after-{fault}"))
        d.wait(lambda: d.find("pod_name", f"after-{fault}") and d.health["pods"][0] == 3, 40, f"recovery from '{fault}'")
        print(f"and back after {time.monotonic() - t0:.1f} s")
    check(os.environ.get("KUBE_DRIVER") or d.peak_kb() < 48 << 10, f"{d.peak_kb()} KiB were needed")
    s.stop()
    d.wait(lambda: d.health["pods"][0] == 1 and "onnect" in d.health["pods"][1], 20, "a server that is away")
    s.put(pod("shop", "after-restart"))
    s.start()
    d.wait(lambda: d.find("pod_name", "after-restart") and d.health["pods"][0] == 3, 40, "the server's return")
    d.end()


def in_pod(server, account):
    """The service account's directory where every pod has it, for the child alone."""
    place = "/var/run/secrets/kubernetes.io/serviceaccount"
    script = f'mount -t tmpfs none "$(realpath /var/run)" && mkdir -p {place} && mount --bind {account} {place} && exec "$@"'
    env = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(server.port)}
    return ["unshare", "-m", "sh", "-c", script, "sh"], env


def write(path, text):
    with open(path + "~", "w") as f:
        f.write(text)
    os.replace(path + "~", path)


def make_account(ca, token, ns="shop"):
    d = os.path.abspath("account")
    os.makedirs(d, exist_ok=True)
    for name, text in (("ca.crt", open(ca).read()), ("token", token), ("namespace", ns)):
        write(f"{d}/{name}", text)
    return d


@case
def a_pods_own_account_is_used():
    s = Fake()
    s.put(the_pod())
    s.put(pod("other", "web-9"))
    account = make_account(s.ca, "first-token\n")
    s.tokens = {"first-token"}
    wrap, env = in_pod(s, account)
    d = Driver('discovery.kubernetes "pods" {\n role = "pod"\n namespaces {\n own_namespace = true\n }\n}\n', wrap, env)
    d.wait(lambda: len(d.targets()) == 3)
    check(not d.find("namespace", "other"), "another namespace than the pod's own")
    # Tokens live for an hour; the next one is in the same file.
    s.tokens = {"second-token"}
    s.end_watches()
    d.wait(lambda: d.health["pods"][0] == 1 and "401" in d.health["pods"][1], 20, "the old token's end")
    write(f"{account}/token", "second-token\n")
    s.put(pod("shop", "web-2"))
    d.wait(lambda: d.find("pod_name", "web-2"), 20)
    d.end()


@case
def outside_of_a_cluster_the_cure_is_named():
    d = Driver('discovery.kubernetes "pods" {\n role = "pod"\n}\n', env={"KUBERNETES_SERVICE_HOST": ""})
    check(d.proc.wait(10) != 0, "it started")
    text = open("driver.log").read()
    check("config.alloy:1" in text and "api_server or kubeconfig_file" in text, text)


@case
def a_kubelet_is_asked():
    s = Fake()
    s.put(the_pod())
    s.put(pod("other", "web-9"))
    d = Driver(f"""
discovery.kubelet "pods" {{
  url               = "{s.url}"
  refresh_interval  = "200ms"
  bearer_token_file = "token"
  namespaces        = ["shop"]
  tls_config {{
    ca_file = "{s.ca}"
  }}
}}""")
    d.wait(lambda: d.health.get("pods", (0, ""))[0] == 1)  # there is no token yet
    write("token", s.token)
    labels_of_pod(d)
    check(not d.find("namespace", "other"), "another namespace")
    s.delete(the_pod())
    d.wait(lambda: not d.targets())
    d.end()


@case
def secrets_and_configmaps_arrive_late():
    s = Fake()
    account = make_account(s.ca, s.token)
    text = """
remote.kubernetes.secret "s" {
  namespace      = "shop"
  name           = "credentials"
  poll_frequency = "300ms"
}
remote.kubernetes.configmap "m" {
  namespace      = "shop"
  name           = "settings"
  poll_frequency = "300ms"
}
discovery.kubelet "later" {
  url              = remote.kubernetes.configmap.m.data["url"]
  bearer_token     = remote.kubernetes.secret.s.data["token"]
  refresh_interval = "300ms"
  tls_config {
    ca_file = "CA"
  }
}
""".replace("CA", s.ca)
    wrap, env = in_pod(s, account)
    d = Driver(text, wrap, env)
    d.wait(lambda: d.health.get("s", (0, ""))[0] == 1 and '"credentials" not found' in d.health["s"][1])
    s.put(the_pod())
    s.put({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": {"name": "credentials", "namespace": "shop"},
           "data": {"token": "YWRtaW4tdG9rZW4=", "binary": "AAEC"}})
    s.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "shop"},
           "data": {"url": s.url}})
    d.wait(lambda: d.exports.get("m", {}).get("data") == {"url": s.url})
    d.wait(lambda: d.exports.get("s", {}).get("data") == {"token": "(secret)"})
    d.wait(lambda: len(d.targets("later")) == 3, what="what waited for the secret")
    d.end()
