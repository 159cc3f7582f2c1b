# SPDX-License-Identifier: Apache-2.0
"""The programs that keep the machine busy, and how the agent and its receiver are started. What is
started here ends with the benchmark, by its own process group."""

import atexit
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)
RECEIVER = os.path.join(TESTS, "live", "push_receiver.py")

JAVA = """
import java.util.*;

public class Load {
    static long sink;

    static long words(int n) {
        Map<String, Integer> count = new HashMap<>();
        for (int i = 0; i < n; i++)
            count.merge("w" + i % 997, 1, Integer::sum);
        return count.size();
    }

    static long sorted(int n) {
        List<Integer> l = new ArrayList<>();
        for (int i = 0; i < n; i++)
            l.add(i * 7919 % 10007);
        Collections.sort(l);
        return l.get(0);
    }

    public static void main(String[] args) {
        for (;;)
            sink += words(10000) + sorted(10000);
    }
}
"""
NODE = """
function words(n) {
    const count = new Map();
    for (let i = 0; i < n; i++) { const k = 'w' + i % 997; count.set(k, (count.get(k) || 0) + 1); }
    return JSON.parse(JSON.stringify([...count])).length;
}
for (;;) words(10000);
"""
PYTHON = """
import json, re
while True:
    d = {f"w{i}": [i, str(i)] for i in range(2000)}
    re.findall(r"w(\\d+)", json.dumps(d))
    sorted(d, key=lambda k: d[k][1])
"""

started = []


class Missing(Exception):
    """A program that this machine does not have; the text names it."""


def end(p):
    """Ends a process and what it started in its process group."""
    if p in started:
        started.remove(p)
    try:
        os.killpg(p.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    p.wait()


@atexit.register
def end_all():
    for p in list(started):
        end(p)


def start(argv, **kw):
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL,
             "stdin": subprocess.DEVNULL}
    p = subprocess.Popen([str(a) for a in argv], start_new_session=True, **{**quiet, **kw})
    started.append(p)
    return p


def wait_until(pred, timeout, what):
    """Polls for a state; a bounded wait."""
    deadline = time.monotonic() + timeout
    while True:
        v = pred()
        if v:
            return v
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what}: not within {timeout:.0f} s")
        time.sleep(0.01)


def need(path):
    if not os.path.exists(path):
        raise Missing(f"{path} is not here")
    return path


def fixture(name, *args):
    """A running target program, after its first line."""
    path = need(os.path.join(os.environ["FIXTURES"], name))
    p = start([path, *args], stdout=subprocess.PIPE, text=True)
    line = p.stdout.readline()
    if not line.startswith("{"):
        raise RuntimeError(f"{name} did not start")
    p.info = json.loads(line)
    return p


def again(*argv):
    """A command that is run over and over."""
    return start(["/bin/sh", "-c", 'while :; do "$@" || exit; done', "again", *argv])


def compiler(program):
    source = os.path.join(TESTS, "fixtures", "cxx.cpp")
    return again(need(program), "-std=gnu++17", "-O2", "-x", "c++", "-c", source, "-o",
                 "/dev/null")


def python():
    return start([sys.executable, "-c", PYTHON])


def node():
    return start([need("/usr/bin/node"), "-e", NODE])


def java(work):
    need("/usr/bin/java")
    need("/usr/bin/javac")
    with open(os.path.join(work, "Load.java"), "w", encoding="utf-8") as f:
        f.write(JAVA)
    subprocess.run(["/usr/bin/javac", "-d", work, os.path.join(work, "Load.java")], check=True,
                   timeout=120, stdout=subprocess.DEVNULL)
    return start(["/usr/bin/java", "-Xmx256m", "-cp", work, "Load"])


def several(*starters):
    """Starts what can be started here; (processes, the texts of what is missing)."""
    running, missing = [], []
    for fn, *args in starters:
        try:
            running.append(fn(*args))
        except Missing as e:
            missing.append(str(e))
    return running, missing


CONFIG = """
pyroscope.ebpf "host" {{
  forward_to       = [pyroscope.write.local.receiver]
  targets          = [{targets}]
  targets_only     = {only}
  collect_interval = "{interval}s"
  sample_rate      = {hz}
}}

pyroscope.write "local" {{
  endpoint {{
    url = "http://127.0.0.1:{port}"
  }}
}}
"""


class Agent:
    """`tephra run` on the whole host, or with targets (as text) on them alone; with an empty cache,
    pushing to a receiver on this host: one that keeps and reads the profiles, or the caller's."""

    def __init__(self, work, hz=99, interval=15, targets="", port=0):
        need(RECEIVER)
        self.dir = os.path.join(work, "received")
        self.cache = os.path.join(work, "cache")
        for d in (self.dir, self.cache):
            shutil.rmtree(d, ignore_errors=True)
            os.mkdir(d, 0o700)
        self.receiver = None
        if not port:
            self.receiver = start([sys.executable, RECEIVER, "--port", "0", "--out", self.dir],
                                  stdout=subprocess.PIPE, text=True)
            port = json.loads(self.receiver.stdout.readline())["port"]
        self.config, self.port, self.starts = os.path.join(work, "bench.alloy"), port, {}
        self.configure(interval, hz, targets)
        self.log = os.path.join(work, "agent.log")
        self.began = time.monotonic()
        with open(self.log, "w", encoding="utf-8") as log:
            self.proc = start([os.environ["TEPHRA"], "run", "--cache-dir", self.cache,
                               "--server.http.listen-addr=127.0.0.1:0", self.config],
                              stderr=log)
        self.pid, self.interval = self.proc.pid, interval

    def get(self, path):
        """What its HTTP server answers."""
        with open(self.log, encoding="utf-8") as f:
            at = re.search(r"http traffic at ([0-9.:]+)", f.read()).group(1)
        with urllib.request.urlopen(f"http://{at}{path}", timeout=10) as reply:
            return reply.read().decode()

    def configure(self, interval, hz, targets):
        with open(self.config, "w", encoding="utf-8") as f:
            f.write(CONFIG.format(interval=interval, hz=hz, port=self.port, targets=targets,
                                  only="true" if targets else "false"))

    def reload(self, *args):
        self.configure(*args)
        self.proc.send_signal(signal.SIGHUP)

    def pushes(self):
        """The intervals that were pushed so far, oldest first: the first file of each. The profiles
        of one interval have one start."""
        if self.proc.poll() is not None:
            with open(self.log, encoding="utf-8") as f:
                raise RuntimeError(f"the agent ended: {f.read()[-500:]}")
        for name in sorted(n for n in os.listdir(self.dir) if n.endswith(".json")):
            if name not in self.starts:
                with open(os.path.join(self.dir, name), encoding="utf-8") as f:
                    self.starts[name] = json.load(f).get("time_ns")
        first = {}
        for name, start in self.starts.items():
            first.setdefault(start, name)
        return sorted(first.values())

    def wait_push(self, n, timeout=None):
        """Waits for the nth push; the seconds since the start."""
        wait_until(lambda: len(self.pushes()) >= n,
                   timeout or self.interval * (n + 1) + 15, f"push number {n}")
        return time.monotonic() - self.began

    def profiles(self):
        """All that were taken, as the receiver describes them."""
        found = []
        for name in sorted(n for n in os.listdir(self.dir) if n.endswith(".json")):
            with open(os.path.join(self.dir, name), encoding="utf-8") as f:
                found.append(json.load(f))
        return found

    def stop(self):
        """As an operator would; the exit code."""
        self.proc.terminate()
        try:
            self.proc.wait(15)
        except subprocess.TimeoutExpired:
            pass
        code = self.proc.poll()
        end(self.proc)
        if self.receiver:
            end(self.receiver)
        return code
