# SPDX-License-Identifier: Apache-2.0
"""discovery.docker with a real engine: labels, containers that come and go while profiling goes on,
an engine that hangs. And who is who: control groups of every shape, an agent in a container."""

import os
import shutil
import signal
import socket
import subprocess

from docker_engine import Docker, image_tar
from lib import TEPHRA, Folded, case, check, spawn, wait_for
from test_run import Receiver, agent

POD = "pod2b6c7d1e-0d2c-4d3e-9f5a-6b7c8d9e0f1a"

# What is left of the targets is profiled.
PROFILED = """
pyroscope.ebpf "e" {{
  targets          = discovery.relabel.r.output
  forward_to       = [pyroscope.write.w.receiver]
  collect_interval = "2s"
  sample_rate      = 97
}}

pyroscope.write "w" {{
  endpoint {{ url = "http://127.0.0.1:{port}" }}
}}
"""

CONFIG = """
discovery.docker "d" {{
  host             = "unix://{sock}"
  refresh_interval = "{refresh}"
}}

discovery.process "p" {{
  join             = discovery.docker.d.targets
  refresh_interval = "2s"
}}

discovery.relabel "r" {{
  targets = discovery.process.p.targets
  rule {{
    action        = "keep"
    source_labels = ["__meta_docker_container_id"]
    regex         = ".+"
  }}
  rule {{
    source_labels = ["__meta_docker_container_name"]
    regex         = "/(.*)"
    target_label  = "service_name"
  }}
  rule {{
    source_labels = ["__meta_docker_container_label_com_example_team"]
    target_label  = "team"
  }}
  rule {{
    source_labels = ["__meta_docker_network_name", "__address__"]
    separator     = "@"
    target_label  = "where"
  }}
  rule {{
    source_labels = ["__meta_process_exe"]
    target_label  = "exe"
  }}
}}
""" + PROFILED


def series(recv):
    """service_name -> the label sets that were pushed."""
    found = {}
    for p in recv.profiles():
        labels = dict(p["labels"])
        found.setdefault(labels.get("service_name"), []).append(labels)
    return found


def log_text():
    with open("agent.log") as f:
        return f.read()


@case(timeout=120)
def containers_are_profiled_with_their_labels():
    docker = Docker(network=True)
    try:
        image_tar(["split_static"])
        docker.run("import", "image.tar", "t:1")
        docker.run("network", "create", "--subnet", "172.29.7.0/24", "inner")
        run = ["run", "-d", "--network", "inner", "--ip"]
        docker.run(*run, "172.29.7.10", "--name", "web", "--label", "com.example/team=blue",
                   "--expose", "7000", "t:1", "/bin/split_static", "100")
        recv = Receiver()
        p = agent(CONFIG.format(sock=docker.path, refresh="1m", port=recv.port))
        try:
            wait_for(lambda: "web" in series(recv), 20, "a profile of the first container")
            web = series(recv)["web"][-1]
            check(web["team"] == "blue" and web["where"] == "inner@172.29.7.10:7000",
                  f"labels of the container: {web}")
            # Of the joined process, or of its container while the process was not known yet.
            wait_for(lambda: any(s.get("exe", "").endswith("split_static")
                                 for s in series(recv)["web"]), 10, "labels of the process")
            # One that is started now is followed; it is long gone when the agent looks again.
            docker.run(*run, "172.29.7.11", "--name", "short", "--label", "com.example/team=red",
                       "t:1", "/bin/split_static", "2")
            wait_for(lambda: "short" in series(recv), 15, "a profile of the short one")
            short = series(recv)["short"][-1]
            check(short["team"] == "red" and short["where"] == "inner@172.29.7.11:80",
                  f"labels of the short one: {short}")
            docker.run("kill", "web")
            seen = len(series(recv)["web"])
            docker.run(*run, "172.29.7.12", "--name", "next", "t:1", "/bin/split_static", "100")
            wait_for(lambda: len(series(recv).get("next", [])) >= 2, 15, "the next container")
            check(len(series(recv)["web"]) <= seen + 2, "a dead container is still profiled")
            check(set(series(recv)) == {"web", "short", "next"}, f"series: {set(series(recv))}")
        finally:
            p.send_signal(signal.SIGTERM)
            p.wait(15)
            print(log_text()[-3000:])
    finally:
        docker.stop()


@case(timeout=120)
def an_engine_that_hangs_keeps_its_targets():
    docker = Docker()
    try:
        image_tar(["split_static"])
        docker.run("import", "image.tar", "t:1")
        docker.run("run", "-d", "--net=host", "--name", "web", "t:1", "/bin/split_static", "100")
        recv = Receiver()
        link = os.path.abspath("engine.sock")

        def lead_to(path):
            os.symlink(path, "next")
            os.rename("next", link)

        hanging = socket.socket(socket.AF_UNIX)
        hanging.bind("hang.sock")
        hanging.listen(8)
        lead_to(os.path.abspath("nothing.sock"))
        p = agent(CONFIG.format(sock=link, refresh="2s", port=recv.port))
        try:
            wait_for(lambda: "discovery.docker.d is unhealthy" in log_text(), 10,
                     "word of a socket that is not there")
            lead_to(docker.path)
            wait_for(lambda: "discovery.docker.d is healthy" in log_text(), 10, "a second attempt")
            wait_for(lambda: "web" in series(recv), 15, "a profile")
            lead_to(os.path.abspath("hang.sock"))
            os.kill(docker.proc.pid, signal.SIGSTOP)  # the open connections hang, too
            wait_for(lambda: log_text().count("discovery.docker.d is unhealthy") >= 2, 15,
                     "word of an engine that hangs")
            n = len(series(recv)["web"])
            wait_for(lambda: len(series(recv)["web"]) >= n + 2, 15,
                     "profiles with the last targets")
            os.kill(docker.proc.pid, signal.SIGCONT)
            lead_to(docker.path)
            wait_for(lambda: log_text().count("discovery.docker.d is healthy") >= 2, 15,
                     "the engine's return")
        finally:
            os.kill(docker.proc.pid, signal.SIGCONT)
            p.send_signal(signal.SIGTERM)
            p.wait(15)
            print(log_text()[-3000:])
    finally:
        docker.stop()


# ---- Control groups --------------------------------------------------------------------------

def hierarchies():
    """Where a process can be put into a group: version 2, and version 1 without cpuset, whose new
    groups take no process."""
    with open("/proc/self/mountinfo") as f:
        fields = [ln.split() for ln in f]
    return [f[4] for f in fields if f[3] == "/" and f[f.index("-") + 1] in ("cgroup", "cgroup2")
            and "cpuset" not in f[-1]]


class Group:
    """A control group made by hand in every hierarchy, with a target program in it."""

    def __init__(self, path):
        self.dirs = [top + path for top in hierarchies()]
        for d in self.dirs:
            os.makedirs(d)
        self.proc = spawn(["sh", "-c", 'read go && exec "$@"', "sh",
                           os.path.abspath("split_static"), "100"],
                          stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        for d in self.dirs:
            with open(f"{d}/cgroup.procs", "w") as f:
                f.write(str(self.proc.pid))
        self.proc.stdin.write(b"go\n")
        self.proc.stdin.close()

    def remove(self):
        self.proc.kill()
        self.proc.wait()
        for d in self.dirs:
            while d.count("/") > 4 or "tephra" in d:
                try:
                    os.rmdir(d)
                except OSError:
                    break
                d = os.path.dirname(d)


def ctr(docker, *args):
    return subprocess.run(["ctr", "-a", f"{docker.dir}/exec/containerd/containerd.sock", "-n",
                           "k8s.io", *args], capture_output=True, text=True)


def containerd(docker, cgroup, cid):
    """Starts the target with the engine's containerd, as kubelet has it done, without an image."""
    for d in ("bin", "proc", "dev", "sys", "etc", "run", "tmp"):
        os.makedirs(f"rootfs/{d}", exist_ok=True)
    shutil.copy2("split_static", "rootfs/bin/split_static")
    r = ctr(docker, "run", "-d", "--net-host", "--rootfs", "--cgroup", cgroup,
            os.path.abspath("rootfs"), cid, "/bin/split_static", "100")
    check(r.returncode == 0, f"ctr: {r.stderr}")


BY_ID = """
discovery.process "p" {{ refresh_interval = "2s" }}

discovery.relabel "r" {{
  targets = discovery.process.p.targets
  rule {{
    action        = "keep"
    source_labels = ["__container_id__"]
    regex         = "{ids}"
  }}
  rule {{
    source_labels = ["__container_id__"]
    target_label  = "service_name"
  }}
}}
""" + PROFILED


@case(timeout=120)
def control_groups_of_every_shape_are_containers():
    docker, docker2, groups = Docker(), Docker(v2=True, name="docker2"), []
    ids = {}
    try:
        image_tar(["split_static"])
        subprocess.run(["tar", "-xf", "image.tar", "--strip-components=1", "bin/split_static"],
                       check=True)
        docker.run("import", "image.tar", "t:1")
        docker2.run("import", "image.tar", "t:1")
        ids["v2"] = docker2.run("run", "-d", "--net=host", "t:1", "/bin/split_static",
                                "100").stdout.strip()
        for name, more in (("default", []), ("private", ["--cgroupns=private"]),
                           ("host", ["--cgroupns=host"]),
                           ("kubepods", [f"--cgroup-parent=/kubepods/burstable/{POD}"])):
            ids[name] = docker.run("run", "-d", "--net=host", *more, "t:1", "/bin/split_static",
                                   "100").stdout.strip()
        tag = f"{os.getpid():08x}"
        ids["ctr"] = (tag + "c") * 7 + "f"
        containerd(docker, f"/kubepods/besteffort/{POD}/{ids['ctr']}", ids["ctr"])
        made = {
            "systemd": "/tephra.slice/kubepods-besteffort-pod1.slice/cri-containerd-%s.scope",
            "podman": "/tephra.slice/libpod-%s.scope/container",
            "kind": "/tephra.slice/docker-" + "e" * 64 + ".scope/kubelet.slice/x.slice/crio-%s.scope",
            "v1": "/tephra.slice/system.slice:cri-containerd:%s",
            "ecs": "/tephra.slice/ecs/task/%s",
        }
        for i, (name, path) in enumerate(made.items()):
            ids[name] = (tag + str(i)) * 7 + "f"
            if name == "ecs":
                ids[name] = (tag * 4) + "-1234567890"
            groups.append(Group(path % ids[name]))
        recv = Receiver()
        p = agent(BY_ID.format(ids="|".join(ids.values()), port=recv.port))
        try:
            wait_for(lambda: set(series(recv)) >= set(ids.values()), 30,
                     "a profile of each container")
        except AssertionError:
            names = {v: k for k, v in ids.items()}
            print("seen:", sorted(names.get(s, s) for s in series(recv)))
            raise
        finally:
            p.send_signal(signal.SIGTERM)
            p.wait(15)
            print(log_text()[-2000:])
        # The same by their groups alone, as the kernel sees them.
        for name in ("systemd", "kind"):
            r = subprocess.run([TEPHRA, "record", "-c", ids[name], "-F", "499", "-d", "1s", "-o",
                                f"{name}.folded"], capture_output=True, text=True)
            check(r.returncode == 0, f"{name}: {r.stderr}")
            check(Folded.read(f"{name}.folded").containing("split_sixty").total > 5, name)
    finally:
        for g in groups:
            g.remove()
        ctr(docker, "task", "delete", "--force", ids.get("ctr", "none"))
        docker.stop()
        docker2.stop()


@case(timeout=120)
def an_agent_in_a_container_sees_the_others():
    docker = Docker()
    try:
        image_tar(["split_static"], [TEPHRA])
        docker.run("import", "image.tar", "t:1")
        ids = [docker.run("run", "-d", "--net=host", *more, "t:1", "/bin/split_static",
                          "100").stdout.strip()
               for more in ([], ["--cgroup-parent=/kubepods/burstable/" + POD])]
        os.mkdir("out")
        for ns, among in (("private", ids), ("host", ids[:1])):
            for cid in among:
                name = f"{ns}-{cid[:8]}.folded"
                r = docker.run("run", "--rm", "--pid=host", f"--cgroupns={ns}", "--net=host",
                               "--cap-add=SYS_ADMIN", "--cap-add=SYS_PTRACE",
                               "--security-opt=seccomp=unconfined",
                               "-v", f"{os.path.abspath('out')}:/out", "t:1", TEPHRA, "record",
                               "-c", cid[:16], "-F", "499", "-d", "1s", "-o", f"/out/{name}",
                               ok=False)
                check(r.returncode == 0, f"{ns}: {r.stdout}\n{r.stderr}")
                folded = Folded.read(f"out/{name}")
                check(folded.containing("split_sixty").total > 5, f"{ns}:\n{folded.show()}")
    finally:
        docker.stop()
