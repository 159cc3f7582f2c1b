# SPDX-License-Identifier: Apache-2.0
"""From pods in the API to series: processes in the control groups that a kubelet makes, targets from
an API server, rules, profiles that are pushed. In a network and mount namespace of the case's own."""

import ctypes
import json
import os
import subprocess

from kube_objects import NODE, pod
from kube_server import KINDS, Fake, Real
from lib import ROOT, TEPHRA, Skip, case, check, fixture_path, spawn, wait_for
from test_kube import make_account
from test_run import RECEIVER

# Grafana's example for pyroscope.ebpf on Kubernetes, as people have it.
EXAMPLE = """
discovery.kubernetes "all_pods" {
  role = "pod"
  selectors {
    field = "spec.nodeName=" + sys.env("HOSTNAME")
    role = "pod"
  }
}

discovery.relabel "local_pods" {
  targets = discovery.kubernetes.all_pods.targets
  rule {
    action = "drop"
    regex = "Succeeded|Failed"
    source_labels = ["__meta_kubernetes_pod_phase"]
  }
  rule {
    action = "replace"
    regex = "(.*)@(.*)"
    replacement = "ebpf/${1}/${2}"
    separator = "@"
    source_labels = ["__meta_kubernetes_namespace", "__meta_kubernetes_pod_container_name"]
    target_label = "service_name"
  }
  rule {
    action = "labelmap"
    regex = "__meta_kubernetes_pod_label_(.+)"
  }
  rule {
    action = "replace"
    source_labels = ["__meta_kubernetes_namespace"]
    target_label = "namespace"
  }
  rule {
    action = "replace"
    source_labels = ["__meta_kubernetes_pod_name"]
    target_label = "pod"
  }
  rule {
    action = "replace"
    source_labels = ["__meta_kubernetes_pod_node_name"]
    target_label = "node"
  }
  rule {
    action = "replace"
    source_labels = ["__meta_kubernetes_pod_container_name"]
    target_label = "container"
  }
}
pyroscope.ebpf "local_pods" {
  forward_to = [ pyroscope.write.endpoint.receiver ]
  targets = discovery.relabel.local_pods.output
}

pyroscope.write "endpoint" {
  endpoint {
    url = "http://pyroscope:4040"
  }
}
"""


def own_network():
    """A network with nothing but a loopback device, and files that nobody else sees."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x40000000 | 0x00020000):
        raise Skip(f"no namespaces: {os.strerror(ctypes.get_errno())}")
    for cmd in (["mount", "--make-rprivate", "/"], ["ip", "link", "set", "lo", "up"]):
        subprocess.run(cmd, check=True)
    with open("hosts", "w") as f:
        f.write("127.0.0.1 localhost pyroscope\n")
    subprocess.run(["mount", "--bind", "hosts", "/etc/hosts"], check=True)


def mount_account(account):
    place = "/var/run/secrets/kubernetes.io/serviceaccount"
    subprocess.run(["mount", "-t", "tmpfs", "none", os.path.realpath("/var/run")], check=True)
    os.makedirs(place)
    subprocess.run(["mount", "--bind", account, place], check=True)


class Cgroup:
    """kubepods.slice/.../cri-containerd-ID.scope in every hierarchy that lets us."""

    def __init__(self, uid, cid):
        pod_slice = f"kubepods-burstable-pod{uid.replace('-', '_')}.slice"
        path = f"kubepods.slice/kubepods-burstable.slice/{pod_slice}/cri-containerd-{cid}.scope"
        with open("/proc/mounts") as f:
            mounts = [ln.split() for ln in f]
        self.dirs = []
        for _, where, kind, options, *_ in mounts:
            if kind not in ("cgroup", "cgroup2") or "cpuset" in options.split(","):
                continue
            try:
                os.makedirs(f"{where}/{path}", exist_ok=True)
                self.dirs.append((where, path))
            except OSError:
                pass
        check(self.dirs, "no control group could be made")

    def add(self, pid):
        done = 0
        for where, path in self.dirs:
            try:
                with open(f"{where}/{path}/cgroup.procs", "w") as f:
                    f.write(str(pid))
                done += 1
            except OSError:
                pass
        check(done, "the process is in no control group")

    def remove(self):
        for where, path in self.dirs:
            while path:
                try:
                    os.rmdir(f"{where}/{path}")
                except OSError:
                    break
                path = os.path.dirname(path)


class Node:
    """Processes in containers of pods."""

    def __init__(self, server):
        self.server, self.running = server, []

    def start(self, ns, name, container, program, n):
        cid, uid = f"{n:x}" * 64, f"0000000{n}-1111-4222-8333-444455556666"
        group = Cgroup(uid, cid)
        ready, go = os.pipe()
        # In its group before it is itself, as a runtime does it.
        argv = ["sh", "-c", 'read x <&3; exec 3<&-; exec "$@"', "sh", fixture_path(program), "60"]
        p = spawn(["bash", "-c", f"exec 3<&{ready}; exec \"$@\"", "bash", *argv], pass_fds=[ready],
                  stdout=subprocess.DEVNULL)
        os.close(ready)
        group.add(p.pid)
        os.write(go, b"\n")
        os.close(go)
        self.running.append((p, group))
        o = pod(ns, name, containers={container: (cid, {"http": 8080})}, labels={"tier": "front"})
        self.server.put(o)
        return o, p

    def end(self):
        for p, group in self.running:
            p.kill()
            p.wait()
            wait_for(lambda g=group: g.remove() or not any(os.path.exists(f"{w}/{x}") for w, x in g.dirs), 10,
                     "the end of the control groups")


class Receiver:
    def __init__(self, port):
        self.dir = os.path.abspath("received")
        os.mkdir(self.dir)
        self.proc = spawn(["/usr/bin/python3", RECEIVER, "--port", str(port), "--out", self.dir],
                          stdout=subprocess.PIPE, text=True)
        self.proc.stdout.readline()

    def series(self):
        """{(namespace, pod, container): [profile...]}"""
        found = {}
        for name in sorted(os.listdir(self.dir)):
            if name.endswith(".json"):
                with open(os.path.join(self.dir, name)) as f:
                    o = json.load(f)
                labels = o["labels"]
                found.setdefault((labels.get("namespace"), labels.get("pod"), labels.get("container")), []).append(o)
        return found


def agent(text, server):
    with open("config.alloy", "w") as f:
        f.write(text)
    env = {**os.environ, "HOSTNAME": NODE, "KUBERNETES_SERVICE_HOST": "127.0.0.1",
           "KUBERNETES_SERVICE_PORT": str(server.port)}
    return spawn([TEPHRA, "run", "config.alloy"], stderr=open("agent.log", "w"), env=env)


@case(timeout=90)
def the_example_profiles_the_pods_of_its_node():
    own_network()
    s = Fake()
    mount_account(make_account(s.ca, s.token))
    recv, node = Receiver(4040), Node(s)
    try:
        node.start("shop", "web-0", "app", "chain", 1)
        s.put(pod("shop", "elsewhere", node="node-2"))
        p = agent(EXAMPLE, s)
        node.start("bank", "api-0", "db", "split_static", 2)
        got = wait_for(lambda: len(recv.series()) >= 2 and recv.series(), 40, "two series")
        check(set(got) == {("shop", "web-0", "app"), ("bank", "api-0", "db")}, f"series: {set(got)}")
        for (ns, name, container), symbol in ((("shop", "web-0", "app"), "chain_leaf"),
                                              (("bank", "api-0", "db"), "split_sixty")):
            o = got[ns, name, container][0]
            want = {"service_name": f"ebpf/{ns}/{container}", "node": NODE, "tier": "front", "app": "web"}
            check(want.items() <= o["labels"].items(), f"labels of {name}: {o['labels']}")
            check(symbol in json.dumps(o), f"{symbol} is not in the profile of {name}")
        p.terminate()
        check(p.wait(15) == 0, f"exit code {p.returncode}")
    finally:
        print(open("agent.log").read()[-3000:] if os.path.exists("agent.log") else "")
        node.end()


def documents():
    with open(os.path.join(ROOT, "contrib", "kubernetes", "tephra.yaml")) as f:
        return f.read().split("\n---\n")


def manifest_on_real_server():
    """Everything in contrib/kubernetes/tephra.yaml, created in a real API server."""
    s = Real()
    names = {}
    for text in documents():
        fields = dict(ln.split(": ", 1) for ln in text.splitlines() if ": " in ln and not ln.startswith((" ", "#")))
        group, resource, namespaced = KINDS[fields["kind"]]
        path = f"{group}/namespaces/tephra/{resource}" if namespaced else f"{group}/{resource}"
        made = json.loads(s.request("POST", path, text.encode(), "application/yaml"))
        names[fields["kind"]] = made
    return s, names


@case(timeout=90)
def the_manifest_is_enough_on_a_real_server():
    own_network()
    s, made = manifest_on_real_server()
    container = made["DaemonSet"]["spec"]["template"]["spec"]["containers"][0]
    check(container["env"][0]["valueFrom"]["fieldRef"]["fieldPath"] == "spec.nodeName", f"{container}")
    # Its configuration, with the rights of its service account and nothing else.
    mount_account(make_account(s.ca, s.account_token("tephra", "tephra"), "tephra"))
    text = made["ConfigMap"]["data"]["config.alloy"]
    check("http://pyroscope.pyroscope.svc:4040" in text, text)
    text = text.replace("http://pyroscope.pyroscope.svc:4040", "http://pyroscope:4040")
    text = text.replace('pyroscope.ebpf "pods" {', 'pyroscope.ebpf "pods" {\n collect_interval = "2s"\n')
    s.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    recv, node = Receiver(4040), Node(s)
    try:
        o, _ = node.start("shop", "web-0", "app", "chain", 3)
        p = agent(text, s)
        got = wait_for(lambda: recv.series(), 20, "a series")
        labels = got["shop", "web-0", "app"][0]["labels"]
        check(labels["service_name"] == "ebpf/shop/app" and labels["node"] == NODE, f"labels: {labels}")
        # A pod that comes is profiled from then on, one that goes no longer.
        node.start("shop", "web-1", "app", "split_static", 4)
        wait_for(lambda: ("shop", "web-1", "app") in recv.series(), 20, "the second pod")
        s.delete(o)
        n = {k: len(v) for k, v in recv.series().items()}
        wait_for(lambda: len(recv.series()["shop", "web-1", "app"]) >= n["shop", "web-1", "app"] + 2, 20, "two intervals")
        n = {k: len(v) for k, v in recv.series().items()}
        wait_for(lambda: len(recv.series()["shop", "web-1", "app"]) >= n["shop", "web-1", "app"] + 1, 20, "another one")
        check(len(recv.series()["shop", "web-0", "app"]) == n["shop", "web-0", "app"], "a pod that is gone is profiled")
        p.terminate()
        check(p.wait(15) == 0, f"exit code {p.returncode}")
    finally:
        print(open("agent.log").read()[-3000:] if os.path.exists("agent.log") else "")
        node.end()
