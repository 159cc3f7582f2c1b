# SPDX-License-Identifier: Apache-2.0
"""A real Docker engine of the test's own, and images made of single programs."""

import os
import shutil
import subprocess
import tarfile

from lib import check, fixture_path, need_program, spawn, wait_for


class Docker:
    """A dockerd with its own data, socket and process ids, ended with the case. `network`: it has
    a network namespace of its own, too, in which it makes real networks. `v2`: it sees control
    groups of version 2 only."""

    def __init__(self, network=False, v2=False, name="docker"):
        need_program("dockerd")
        need_program("docker")
        self.dir = os.path.abspath(name)
        os.mkdir(self.dir)
        self.path = f"{self.dir}/d.sock"
        self.sock = f"unix://{self.path}"
        self.log = open(f"{self.dir}/log", "w")
        self.proc = None
        # No bridge and no firewall rules: the test must not touch the host's network.
        self.argv = ["dockerd", "--iptables=false", "--ip6tables=false",
                     "--data-root", f"{self.dir}/data", "--exec-root", f"{self.dir}/exec",
                     "--pidfile", f"{self.dir}/pid", "-H", self.sock]
        if network:
            self.argv = ["unshare", "-n", "sh", "-c", 'ip link set lo up; exec "$@"', "sh",
                         *self.argv, "--userland-proxy=false"]
        else:
            self.argv.append("--bridge=none")
        if v2:
            self.argv = ["unshare", "-m", "sh", "-c", "umount -l /sys/fs/cgroup && mount -t "
                         'cgroup2 none /sys/fs/cgroup && exec "$@"', "sh", *self.argv]
        self.start()

    def start(self):
        self.proc = spawn(self.argv, stdout=self.log, stderr=self.log)
        try:
            wait_for(lambda: self.run("info", ok=False).returncode == 0, 20, "a running dockerd")
        except AssertionError:
            self.log.flush()
            print(open(self.log.name).read()[-3000:])
            self.stop()
            raise

    def run(self, *args, ok=True):
        r = subprocess.run(["docker", "-H", self.sock, *args], capture_output=True, text=True)
        if ok:
            check(r.returncode == 0, f"docker {' '.join(args)}: {r.stderr}")
        return r

    def stop(self):
        for cid in self.run("ps", "-q", ok=False).stdout.split():
            self.run("kill", cid, ok=False)
        self.proc.terminate()
        try:
            self.proc.wait(15)
        except subprocess.TimeoutExpired:
            self.proc.kill()
        # Mounts that a killed daemon leaves behind would keep the directory.
        with open("/proc/self/mountinfo") as f:
            mounts = [ln.split()[4] for ln in f if self.dir in ln]
        for m in reversed(mounts):
            subprocess.run(["umount", "-l", m], check=False)


def image_tar(programs, paths=()):
    """A root file system of static programs, and of dynamic ones with their libraries. `paths` are
    programs by their path, which they keep."""
    with tarfile.open("image.tar", "w") as tar:
        for p in programs:
            tar.add(fixture_path(p), f"bin/{p}")
        for p in paths:
            tar.add(p, p.lstrip("/"))
        libs = subprocess.run(["ldd", *[fixture_path(p) for p in programs], *paths],
                              capture_output=True, text=True).stdout
        found = {w for ln in libs.splitlines() for w in ln.split() if w.startswith("/")
                 and not w.endswith(":")}
        for lib in sorted(found):
            tar.add(os.path.realpath(lib), lib.lstrip("/"))
        box = shutil.which("busybox")
        if box:
            tar.add(os.path.realpath(box), "bin/busybox")
