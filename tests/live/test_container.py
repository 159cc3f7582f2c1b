# SPDX-License-Identifier: Apache-2.0
"""A real Docker container, profiled by its id: a daemon of the test's own, no network needed."""

import os
import shutil
import subprocess
import tarfile

from lib import (Target, assert_chains, assert_complete, case, check, fixture_path, need_program,
                 record, spawn, tephra, wait_for)


class Docker:
    """A dockerd with its own data, socket and process ids, ended with the case."""

    def __init__(self):
        need_program("dockerd")
        need_program("docker")
        self.dir = os.path.abspath("docker")
        os.mkdir(self.dir)
        self.sock = f"unix://{self.dir}/d.sock"
        self.log = open(f"{self.dir}/log", "w")
        # No bridge and no firewall rules: the test must not touch the host's network.
        self.proc = spawn(["dockerd", "--iptables=false", "--ip6tables=false", "--bridge=none",
                           "--data-root", f"{self.dir}/data", "--exec-root", f"{self.dir}/exec",
                           "--pidfile", f"{self.dir}/pid", "-H", self.sock],
                          stdout=self.log, stderr=self.log)
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


def image_tar(programs):
    """A root file system of static programs, and of dynamic ones with their libraries."""
    with tarfile.open("image.tar", "w") as tar:
        for p in programs:
            tar.add(fixture_path(p), f"bin/{p}")
        libs = subprocess.run(["ldd", *[fixture_path(p) for p in programs]], capture_output=True,
                              text=True).stdout
        paths = {w for ln in libs.splitlines() for w in ln.split() if w.startswith("/")
                 and not w.endswith(":")}
        for lib in sorted(paths):
            tar.add(os.path.realpath(lib), lib.lstrip("/"))
        box = shutil.which("busybox")
        if box:
            tar.add(os.path.realpath(box), "bin/busybox")


@case(timeout=150)
def container_by_id():
    docker = Docker()
    try:
        image_tar(["chain", "split_static", "cxx"])
        docker.run("import", "image.tar", "tephra-test:latest")
        ids = {}
        for prog in ("chain", "cxx"):
            ids[prog] = docker.run("run", "-d", "--net=host", "tephra-test:latest", f"/bin/{prog}",
                                   "100").stdout.strip()
            check(len(ids[prog]) == 64, f"not a container id: {ids[prog]!r}")
        outside = Target("thrash")
        folded = record("-c", ids["chain"][:12]).folded()
        assert_complete(folded)
        assert_chains(folded, [["main", "chain_outer", "chain_inner", "chain_leaf"],
                               ["chain_thread", "chain_outer", "chain_inner", "chain_leaf"]])
        check(folded.containing("thrash_walk").total == 0, "the host is in the container's profile")
        folded = record("-c", ids["chain"], "-c", ids["cxx"][:12], out="two.folded").folded()
        for leaf in ("chain_leaf", "fixture::handler()"):
            check(folded.containing(leaf).total > 15, f"{leaf} is missing:\n{folded.show()}")
        r = tephra("record", "-c", "0123456789abcdef", "-d", "1s", "-o", "x.folded", expect=1)
        check("0123456789abcdef" in r.err, f"the message does not name the container\n{r!r}")
        outside.stop()
    finally:
        docker.stop()
