# SPDX-License-Identifier: Apache-2.0
"""What the kernel says about processes: CPU time, memory, BPF maps and programs, and the CPU time
of every process over a time window. Reads /proc only."""

import contextlib
import ctypes
import os
import platform
import re
import threading
import time

TICK = os.sysconf("SC_CLK_TCK")


def read(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


def children(pid):
    """Pids of the children and theirs, now."""
    found = []
    try:
        for tid in os.listdir(f"/proc/{pid}/task"):
            for child in read(f"/proc/{pid}/task/{tid}/children").split():
                found += [int(child), *children(int(child))]
    except OSError:
        pass
    return found


def family(pid):
    return [pid, *children(pid)]


def run_ns(pid):
    """CPU time of all living threads of a process, in nanoseconds; None when it is gone."""
    total = 0
    try:
        for tid in os.listdir(f"/proc/{pid}/task"):
            total += int(read(f"/proc/{pid}/task/{tid}/schedstat").split()[0])
    except (OSError, IndexError):
        return None
    return total


def stat_fields(pid):
    return read(f"/proc/{pid}/stat").rpartition(")")[2].split()


def family_cpu_ns(pid):
    """(CPU time of a process, that of its children), those that have ended included."""
    f = stat_fields(pid)
    ended = (int(f[13]) + int(f[14])) * 1_000_000_000 // TICK
    return run_ns(pid), ended + sum(run_ns(p) or 0 for p in children(pid))


def rollup_kb(pid, key="Pss"):
    m = re.search(rf"^{key}:\s+(\d+) kB", read(f"/proc/{pid}/smaps_rollup"), re.M)
    return int(m.group(1)) if m else 0


def pss_mb(pid):
    """PSS of a process and its children, in MB (10^6 bytes)."""
    total = 0
    for p in family(pid):
        try:
            total += rollup_kb(p)
        except OSError:
            pass
    return total * 1024 / 1e6


def status_kb(pid, key):
    m = re.search(rf"^{key}:\s+(\d+) kB", read(f"/proc/{pid}/status"), re.M)
    return int(m.group(1)) if m else 0


def memory_mb(key):
    """A line of /proc/meminfo, in MB (10^6 bytes)."""
    return int(re.search(rf"^{key}: +(\d+) kB", read("/proc/meminfo"), re.M).group(1)) * 1024 / 1e6


def mapping_name(text):
    if "bpf" in text:
        return "mapped BPF maps"
    if text in ("[heap]", "[stack]", ""):
        return text or "anonymous"
    return os.path.basename(text)


def pss_by_mapping(pid):
    """{what is mapped: KB of PSS}."""
    out, name = {}, ""
    for line in read(f"/proc/{pid}/smaps").splitlines():
        head = re.match(r"[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \d+ *(.*)", line)
        if head:
            name = mapping_name(head.group(1))
        elif line.startswith("Pss:"):
            out[name] = out.get(name, 0) + int(line.split()[1])
    return out


def bpf_objects(pid):
    """(maps, programs) of a process, by id, each as the fields of its fdinfo."""
    maps, progs = {}, {}
    for fd in os.listdir(f"/proc/{pid}/fdinfo"):
        try:
            text = read(f"/proc/{pid}/fdinfo/{fd}")
        except OSError:
            continue
        f = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        f = {k: v.strip() for k, v in f.items()}
        if "map_id" in f:
            maps[f["map_id"]] = f
        elif "prog_type" in f:
            progs[f["prog_id"]] = f
    return maps, progs


def maps_mb(pid):
    return sum(int(m["memlock"]) for m in bpf_objects(pid)[0].values()) / 1e6


def programs_time(pid):
    """(nanoseconds, runs) of a process's BPF programs, while accounting is on."""
    progs = bpf_objects(pid)[1].values()
    return (sum(int(p.get("run_time_ns", 0)) for p in progs),
            sum(int(p.get("run_cnt", 0)) for p in progs))


@contextlib.contextmanager
def bpf_time_accounted():
    """The kernel accounts the time of BPF programs within it, where it can. BPF_ENABLE_STATS is
    command 32 of bpf(2), BPF_STATS_RUN_TIME is 0 (linux/bpf.h, 5.8); closing the fd ends it."""
    number = {"x86_64": 321, "aarch64": 280}.get(platform.machine())
    fd = -1
    if number:
        attr = ctypes.create_string_buffer(128)
        fd = ctypes.CDLL(None, use_errno=True).syscall(number, 32, attr, 128)
    try:
        yield
    finally:
        if fd >= 0:
            os.close(fd)


def cpu_seconds():
    """(busy, stolen by the hypervisor) of all CPUs since boot. Waiting for a disk is idle."""
    v = [int(x) / TICK for x in read("/proc/stat").splitlines()[0].split()[1:]]
    return sum(v[:3]) + sum(v[5:7]), v[7]


class Watch:
    """CPU time of every process over a window that is known only afterwards: a thread reads all of
    them several times a second, with the time of day."""

    def __init__(self, hz=5):
        self.samples, self.hz = {}, hz
        self.end = threading.Event()
        self.take_all()  # a reading before whatever is watched begins
        self.thread = threading.Thread(target=self.loop, daemon=True)
        self.thread.start()

    def loop(self):
        while not self.end.wait(1 / self.hz):
            self.take_all()

    def take_all(self):
        for name in os.listdir("/proc"):
            if name.isdigit():
                self.take(int(name))

    def take(self, pid):
        try:
            tids = tuple(sorted(os.listdir(f"/proc/{pid}/task")))
        except OSError:
            return
        ns = run_ns(pid)
        if ns:
            self.samples.setdefault(pid, []).append((time.time_ns(), ns, tids))

    def stop(self):
        self.end.set()
        self.thread.join()
        self.take_all()  # and one after it

    def used_s(self, start_ns, end_ns):
        """{pid: CPU seconds in the window}, of processes with the same threads all through it."""
        out = {}
        for pid, s in self.samples.items():
            before = [x for x in s if x[0] <= start_ns]
            after = [x for x in s if x[0] >= end_ns]
            if before and after and len({x[2] for x in s if x[0] >= before[-1][0] and
                                         x[0] <= after[0][0]}) == 1:
                out[pid] = (self.at(s, end_ns) - self.at(s, start_ns)) / 1e9
        return out

    @staticmethod
    def at(s, when):
        """Between two readings a process is taken to have run evenly."""
        for (t0, v0, _), (t1, v1, _) in zip(s, s[1:]):
            if t0 <= when <= t1:
                return v0 + (v1 - v0) * (when - t0) / max(t1 - t0, 1)
        return s[-1][1]
