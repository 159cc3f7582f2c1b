# SPDX-License-Identifier: Apache-2.0
"""Who is who: which processes a target gets, names of what no target names, threads, and changes of
targets and arguments while profiling goes on."""

import os
import secrets
import signal
import subprocess
import time

from lib import (TEPHRA, Skip, Target, case, check, fixture_path, spawn, stolen_s,
                 wait_for)
from test_run import Receiver


class Cgroup:
    """A control group at `path` in every hierarchy that takes processes, removed at the end."""

    def __init__(self, path):
        self.dirs = []
        with open("/proc/self/mounts", encoding="utf-8") as f:
            mounts = [ln.split()[1:4] for ln in f if ln.split()[2] in ("cgroup", "cgroup2")]
        for root, kind, options in mounts:
            # cpuset takes no process before it is set up.
            if kind == "cgroup" and "cpuset" in options.split(","):
                continue
            try:
                os.makedirs(root + path, exist_ok=True)
                self.dirs.append((root, root + path))
            except OSError as e:
                print(f"no control group in {root}: {e}")
        if not self.dirs:
            raise Skip("no control group can be made here")

    def add(self, pid):
        done = 0
        for _, d in self.dirs:
            try:
                with open(d + "/cgroup.procs", "w", encoding="utf-8") as f:
                    f.write(str(pid))
                done += 1
            except OSError as e:
                print(f"{d}: {e}")
        check(done, "the process could not be moved into the control group")

    def remove(self):
        for root, d in self.dirs:
            while d != root:
                try:
                    wait_for(lambda: not open(d + "/cgroup.procs").read(), 5, "an empty group")
                    os.rmdir(d)
                except (OSError, AssertionError):
                    break
                d = os.path.dirname(d)


class Container(Cgroup):
    def __init__(self):
        self.id = secrets.token_hex(32)
        super().__init__(f"/tephra-test/{self.id}")


class Agent:
    """`tephra run` with targets and arguments that change; .series() is what it pushed by service."""

    def __init__(self, wrap=(), **kw):
        self.recv = Receiver()
        self.write(**kw)
        self.log = open("agent.log", "w", encoding="utf-8")
        self.proc = spawn([*wrap, TEPHRA, "run", "--cache-dir", os.path.abspath("cache"),
                           "--server.http.listen-addr=127.0.0.1:0", "config.alloy"], stderr=self.log)

    def write(self, targets=(), more="", interval="1s", rate=499, second=""):
        listed = "".join("    {" + ", ".join(f'"{k}" = "{v}"' for k, v in t.items()) + "},\n"
                         for t in targets)
        text = f"""
pyroscope.ebpf "e" {{
  forward_to       = [pyroscope.write.w.receiver]
  targets          = [
{listed}  ]
  collect_interval = "{interval}"
  sample_rate      = {rate}
{more}
}}
{second}
pyroscope.write "w" {{
  endpoint {{
    url = "http://127.0.0.1:{self.recv.port}"
  }}
}}
"""
        with open("config.alloy.new", "w", encoding="utf-8") as f:
            f.write(text)
        os.rename("config.alloy.new", "config.alloy")

    def reload(self, **kw):
        self.write(**kw)
        self.proc.send_signal(signal.SIGHUP)

    def series(self):
        found = {}
        for p in self.recv.profiles():
            check("error" not in p, f"the receiver refused a profile: {p}")
            found.setdefault(p["labels"]["service_name"], []).append(p)
        return found

    def wait_for(self, *names, timeout=20):
        return wait_for(lambda: all(n in self.series() for n in names) and self.series(), timeout,
                        f"profiles of {names}, there are {list(self.series())}")

    def said(self):
        self.log.flush()
        return open("agent.log", encoding="utf-8").read()

    def stop(self):
        self.proc.send_signal(signal.SIGTERM)
        code = self.proc.wait(15)
        print(self.said()[-3000:])
        check(code == 0, f"exit code {code} after SIGTERM")
        return self.series()


def seconds(profiles):
    return sum(p["total"] for p in profiles) / 1e9


def pid_target(pid, name, **more):
    return {"__process_pid__": pid, "service_name": name, **more}


def container_target(cid, name):
    return {"__container_id__": cid, "service_name": name}


@case(timeout=90)
def targets_match_by_process_then_container():
    box, both = Container(), Container()
    t = {k: Target("split") for k in ("pid", "box", "both", "neither")}
    try:
        box.add(t["box"].pid)
        both.add(t["both"].pid)
        targets = [pid_target(t["pid"].pid, "old"), pid_target(t["pid"].pid, "by-pid"),
                   container_target(box.id, "old-box"), container_target(box.id, "by-box"),
                   container_target(both.id, "box-of-both"),
                   pid_target(t["both"].pid, "by-both", __container_id__=both.id, team="a"),
                   {"service_name": "nobody"}]
        agent = Agent(targets=targets)
        s = agent.wait_for("by-pid", "by-box", "by-both")
        check(set(s) == {"by-pid", "by-box", "by-both"}, f"other series: {list(s)}")
        labels = s["by-both"][0]["labels"]
        check(labels == {"__name__": "process_cpu", "service_name": "by-both", "team": "a",
                         "otel.scope.name": "com.grafana.alloy/pyroscope.ebpf"}, labels)
        # A list with other names, one gone, one new: at once, and nothing of the others.
        agent.reload(targets=[pid_target(t["pid"].pid, "renamed"),
                              pid_target(t["neither"].pid, "new"),
                              container_target(both.id, "box-of-both")])
        s = agent.wait_for("renamed", "new", "box-of-both")
        check(set(s) == {"by-pid", "by-box", "by-both", "renamed", "new", "box-of-both"}, list(s))
        agent.stop()
    finally:
        for x in t.values():
            x.stop()
        box.remove()
        both.remove()


@case(timeout=60)
def a_container_is_profiled_from_its_start():
    first, second = Container(), Container()
    first.remove()
    agent = Agent(targets=[container_target(first.id, "group-later")])
    try:
        wait_for(lambda: "profiling" in agent.said(), 10, "a running agent")
        # The target was there before the group.
        late = Cgroup(f"/tephra-test/{first.id}")
        shell = "".join(f"echo $$ > {d}/cgroup.procs; " for _, d in late.dirs)
        t0 = time.monotonic()
        subprocess.run(["/bin/sh", "-c", shell + 'exec "$0" 1', fixture_path("split")],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        ran = time.monotonic() - t0
        late.remove()
        s = agent.wait_for("group-later")
        # The group was there before the target.
        t = Target("split")
        second.add(t.pid)
        agent.reload(targets=[container_target(second.id, "target-later")])
        agent.wait_for("target-later")
        t.stop()
        s = agent.stop()
        # A process that is gone with its container before the interval ends is in the profile.
        got = seconds(s["group-later"])
        print(f"{got:.2f} s of a container that lived {ran:.2f} s")
        check(got >= 0.3, f"only {got:.2f} s of a container that ran 1 s")
    finally:
        second.remove()


def with_pid(pid, argv):
    """A process with this id, or None: others may be faster."""
    for _ in range(50):
        try:
            with open("/proc/sys/kernel/ns_last_pid", "w", encoding="utf-8") as f:
                f.write(str(pid - 1))
        except OSError as e:
            raise Skip(f"process ids cannot be chosen here: {e}") from e
        p = spawn(argv, stdout=subprocess.DEVNULL)
        if p.pid == pid:
            return p
        p.kill()
        p.wait()
    return None


@case(timeout=60)
def a_reused_process_id_is_not_the_target():
    victim, other = Target("split"), Target("split")
    targets = [pid_target(victim.pid, "victim"), pid_target(other.pid, "other")]
    agent = Agent(targets=targets, interval="500ms")
    agent.wait_for("victim", "other")
    victim.stop()
    gone = time.time_ns()
    again = with_pid(victim.pid, [fixture_path("chain")])
    if not again:
        raise Skip("the process id could not be had again")
    n = len(agent.series()["other"])
    wait_for(lambda: len(agent.series()["other"]) >= n + 3, 15, "three more intervals")
    # The list is the same: also a reload does not make it another process.
    agent.reload(targets=[*targets, container_target("c" * 64, "x")], interval="500ms")
    wait_for(lambda: len(agent.series()["other"]) >= n + 6, 15, "three more intervals")
    s = agent.stop()
    late = [p for p in s["victim"] if p["time_ns"] > gone]
    check(not late, f"profiles of the process that got the id: {late}")
    check(not any("chain" in f["name"] for p in s["victim"] for f in p["top"]), "its functions")
    again.kill()
    other.stop()


@case(timeout=60)
def a_whole_host_has_names():
    unit, session, box = (Cgroup("/tephra-test/system.slice/tephra\\x2dtest.service/worker"),
                          Cgroup("/tephra-test/user.slice/session-7.scope"), Container())
    t = {k: Target("split") for k in ("unit", "session", "box", "named")}
    try:
        unit.add(t["unit"].pid)
        session.add(t["session"].pid)
        box.add(t["box"].pid)
        agent = Agent(targets=[pid_target(t["named"].pid, "named")], more="  targets_only = false")
        want = {"tephra-test", "split", f"container/{box.id[:12]}", "named"}
        agent.wait_for(*want)
        s = agent.stop()
        total = sum(seconds(v) for v in s.values())
        unnamed = sum(seconds(v) for k, v in s.items() if k.startswith("ebpf/"))
        check(unnamed < 0.05 * total, f"{unnamed:.2f} of {total:.2f} s unnamed: {list(s)}")
    finally:
        for x in t.values():
            x.stop()
        for c in (unit, session, box):
            c.remove()


def shares(profiles, key):
    sums = {}
    for p in profiles:
        for k, v in p[key].items():
            sums[k] = sums.get(k, 0) + v
    return sums


@case(timeout=60)
def threads_have_their_own_names_and_ids_when_asked():
    t = Target("names")
    more = '  comm = "both"\n  pid_label = true\n  tid_label = true'
    agent = Agent(targets=[pid_target(t.pid, "names")], more=more)
    wait_for(lambda: len(agent.series().get("names", [])) >= 3, 20, "three profiles")
    tids = {int(x) for x in os.listdir(f"/proc/{t.pid}/task")}
    # And back, without a restart.
    agent.reload(targets=[pid_target(t.pid, "plain")])
    agent.wait_for("plain")
    s = agent.stop()
    t.stop()
    labels, roots = shares(s["names"], "sample_labels"), shares(s["names"], "roots")
    print(labels, roots)
    total = sum(p["total"] for p in s["names"])
    check(labels.get(f"pid={t.pid}") == total, f"the process's id: {labels}")
    seen = {int(k[4:]) for k in labels if k.startswith("tid=")}
    check(seen and seen <= tids and len(seen) >= 3, f"thread ids {seen}, of {tids}")
    for name in ("reader", "writer", "renamed"):
        share = labels.get(f"comm={name}", 0) / total
        check(0.2 < share < 0.5, f"{name} has {share:.2f} of the samples: {labels}")
        check(roots.get(name) == labels[f"comm={name}"], f"outermost frames: {roots}")
    check(set(roots) <= {"reader", "writer", "renamed", "first", "names"}, f"roots: {roots}")
    check(not any(p["sample_labels"] for p in s["plain"]), "labels nobody asked for")
    # Threads that are not told apart share their stacks.
    n = [sum(p["samples"] for p in s[k]) / len(s[k]) for k in ("names", "plain")]
    print(f"samples in a profile: {n}")
    check(n[1] < n[0], f"stacks are split without being asked: {n}")


@case(timeout=60)
def arguments_apply_while_profiling():
    cxx = Target("cxx")
    dd = spawn(["dd", "if=/dev/zero", "of=/dev/null", "bs=1"], stderr=subprocess.DEVNULL)

    def targets(n):
        return [pid_target(dd.pid, f"dd{n}"), pid_target(cxx.pid, f"cxx{n}")]

    def names(what):
        return {f["name"] for p in agent.series()[what] for f in p["top"]}

    agent = Agent(targets=targets(1))
    agent.wait_for("dd1", "cxx1")
    agent.reload(targets=targets(2), more='  demangle = "full"\n  kernel_frames = false\n'
                                          '  verbose_mode = true')
    agent.wait_for("dd2", "cxx2")
    agent.stop()
    cxx.stop()
    check(any(x.startswith("_ZN7fixture") for x in names("cxx1")), names("cxx1"))
    check(any(x.startswith("fixture::") for x in names("cxx2")) and
          not any(x.startswith("_Z") for x in names("cxx2")), names("cxx2"))

    def kernel(what):
        return any("do_syscall_64" in x or "vfs_" in x for x in names(what))
    check(kernel("dd1") and not kernel("dd2"), f"{names('dd1')}\n{names('dd2')}")
    check("samples in" in agent.said(), "verbose_mode says what an interval brought")


@case(timeout=60)
def lazy_mode_loads_nothing_before_there_are_targets():
    t = Target("split")
    agent = Agent(more="  lazy_mode = true")
    wait_for(lambda: "nothing is loaded until" in agent.said(), 10, "the word about lazy_mode")
    fds = os.listdir(f"/proc/{agent.proc.pid}/fd")
    links = [os.readlink(f"/proc/{agent.proc.pid}/fd/{fd}") for fd in fds]
    check(not any("bpf" in x for x in links), f"loaded: {links}")
    agent.reload(targets=[pid_target(t.pid, "late")], more="  lazy_mode = true")
    agent.wait_for("late")
    agent.stop()
    t.stop()


@case(timeout=60)
def no_match_is_said_once():
    t, box = Target("split"), Container()
    try:
        box.add(t.pid)
        agent = Agent(targets=[container_target("d" * 64, "x")], interval="500ms")
        wait_for(lambda: "belongs to one of its 1 targets" in agent.said(), 15, "a hint")
        check("containers run that no target names" in agent.said(), agent.said())
        agent.reload(targets=[container_target(box.id, "x")], interval="500ms")
        agent.wait_for("x")
        agent.stop()
        check(agent.said().count("belongs to one of its") == 1, agent.said())
    finally:
        t.stop()
        box.remove()


def cpu_seconds(pid):
    with open(f"/proc/{pid}/schedstat", encoding="utf-8") as f:
        return int(f.read().split()[0]) / 1e9


@case(timeout=90)
def a_reload_loses_no_sample():
    """A busy program, and a configuration that changes every second: what was pushed is what the
    scheduler says it used."""
    t = Target("split")
    changes = ['', '  demangle = "full"', '  kernel_frames = false',
               '  comm = "label"', '  pid_label = true', '  targets_only = false',
               '  tid_label = true']
    names = ["a", "b"]
    agent = Agent(targets=[pid_target(t.pid, "a", team="0")], interval="3s")
    wait_for(lambda: "profiling" in agent.said(), 10, "a running agent")
    before, began, stolen = cpu_seconds(t.pid), time.monotonic(), stolen_s()
    n = 0
    while time.monotonic() < began + 7:
        n += 1
        agent.reload(targets=[pid_target(t.pid, names[n % 2], team=n),
                              *([container_target("e" * 64, "x")] if n % 3 else [])],
                     more=changes[n % len(changes)], interval=f"{2 + n % 3}s")
        time.sleep(0.95)
    # The last one puts it out of the list: what was sampled until then is still pushed.
    used, said = cpu_seconds(t.pid) - before, agent.said().count("configuration reloaded")
    agent.reload(targets=[], interval="1s")
    wait_for(lambda: agent.said().count("configuration reloaded") > said, 10, "the last reload")
    s = agent.stop()
    used_late = cpu_seconds(t.pid) - before
    t.stop()
    got = sum(seconds(v) for k, v in s.items() if k in ("a", "b", "split"))
    # 99 % of the draws: the process is sampled at 499 Hz; and what ran before the first reading.
    bound = 2.576 * (used * 499) ** 0.5 / 499 + 0.02 * used + stolen_s() - stolen
    print(f"{n} reloads: {got:.3f} s pushed, scheduler {used:.3f} to {used_late:.3f} s, "
          f"bound {bound:.3f} s")
    check(used - bound - 0.1 <= got <= used_late + bound + 0.3,
          f"{got:.3f} s pushed of {used:.3f} to {used_late:.3f} s")


@case(timeout=60)
def a_new_rate_loses_no_sample():
    t, rates = Target("split"), [997, 199, 499]
    agent = Agent(targets=[pid_target(t.pid, "t")], interval="2s")
    agent.wait_for("t")
    got = seconds(agent.series()["t"])
    first = max(p["time_ns"] + p["duration_ns"] for p in agent.series()["t"])
    before, late = cpu_seconds(t.pid), time.time() - first / 1e9
    for i in range(3):
        agent.reload(targets=[pid_target(t.pid, "t")], interval="2s",
                     more=f"  // {i}", rate=rates[i % 3])
        time.sleep(1)
    used = cpu_seconds(t.pid) - before
    s = agent.stop()["t"]
    t.stop()
    got = seconds(s) - got
    check({p["period"] for p in s} == {10**9 // r for r in rates}, f"{[p['period'] for p in s]}")
    bound = 2.576 * (used * 199) ** 0.5 / 199 + 0.03 * used
    print(f"{got:.3f} s pushed, scheduler {used:.3f} s, late by {late:.3f}, bound {bound:.3f} s")
    check(used - bound <= got <= used + late + bound + 0.3, f"{got:.3f} s of {used:.3f} s")


@case(timeout=60)
def two_profilers_do_not_disturb_each_other():
    a, b = Target("split"), Target("split")
    second = f"""
pyroscope.ebpf "second" {{
  forward_to       = [pyroscope.write.w.receiver]
  targets          = [{{ "__process_pid__" = "{b.pid}", "service_name" = "second" }},
                      {{ "__process_pid__" = "{a.pid}", "service_name" = "also" }}]
  collect_interval = "1s"
  sample_rate      = 199
}}
"""
    agent = Agent(targets=[pid_target(a.pid, "first")], second=second)
    agent.wait_for("first", "second", "also")
    s = agent.stop()
    check(set(s) == {"first", "second", "also"}, list(s))
    # One starts after the other: what they saw of the same process in each second is the same.
    share = [sum(p["total"] for p in s[k]) / sum(p["duration_ns"] for p in s[k])
             for k in ("first", "also")]
    print(share)
    check(abs(share[0] - share[1]) < 0.3 * max(share) + 0.1, f"the same process, twice: {share}")
    a.stop()
    b.stop()


@case(timeout=60)
def a_start_that_fails_is_tried_again():
    agent = Agent(targets=[pid_target(os.getpid(), "x")], wrap=("setpriv", "--bounding-set=-all",
                                                                "--inh-caps=-all"))
    wait_for(lambda: agent.said().count("trying again") >= 3, 20, "three tries")
    wait_for(lambda: "unhealthy" in agent.said(), 5, "its health")
    check("tephra check" in agent.said(), "the cure")
    check(agent.proc.poll() is None, "it ended")
    agent.stop()


@case(timeout=60)
def process_ids_are_those_of_the_agents_own_namespace():
    """In a pid namespace of its own, without the host's /proc: ids are translated in the kernel, and
    a process outside is never taken for the one inside with the same number."""
    agent_dir = os.getcwd()
    outside = Target("chain")
    recv = Receiver()
    with open("in.alloy", "w", encoding="utf-8") as f:
        f.write(f"""
pyroscope.ebpf "e" {{
  forward_to       = [pyroscope.write.w.receiver]
  targets          = [{{ "__process_pid__" = "2", "service_name" = "inside" }}]
  targets_only     = false
  pid_label        = true
  collect_interval = "1s"
  sample_rate      = 499
}}
pyroscope.write "w" {{
  endpoint {{
    url = "http://127.0.0.1:{recv.port}"
  }}
}}
""")
    script = f'"{fixture_path("split")}" > /dev/null & exec "{TEPHRA}" run --cache-dir "" ' \
        '--server.http.listen-addr= in.alloy'
    p = spawn(["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "/bin/sh", "-c",
               script], stderr=open("agent.log", "w", encoding="utf-8"), cwd=agent_dir)

    def series():
        found = {}
        for x in recv.profiles():
            found.setdefault(x["labels"]["service_name"], []).append(x)
        return found

    try:
        wait_for(lambda: len(series().get("inside", [])) >= 2, 20, f"profiles: {list(series())}")
        s = series()
        check("pid=2" in shares(s["inside"], "sample_labels"), s["inside"][0]["sample_labels"])
        check(any("split" in f["name"] for f in s["inside"][0]["top"]), s["inside"][0]["top"])
        # The one outside is known by what the kernel says of it, with its id of the host.
        check("chain" in s, f"series {list(s)}")
        check(f"pid={outside.pid}" in shares(s["chain"], "sample_labels"), s["chain"][0])
    finally:
        print(open("agent.log", encoding="utf-8").read()[-2000:])
        p.kill()
        outside.stop()
