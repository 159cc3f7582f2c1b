# SPDX-License-Identifier: Apache-2.0
"""What applications lose to an agent that profiles the host: short slices with and without it, in turn,
as what else slows a machine comes and goes within seconds. One agent stays up; in the slices without
it its events are disabled, and it and its child are stopped, so that nothing of it runs. In some
blocks both kinds of slices are without it: by what they differ the method errs. In others an event that
does nothing takes its place: that much is the interrupt alone."""

import array
import bisect
import ctypes
import fcntl
import math
import os
import platform
import random
import signal
import statistics
import struct
import time

import loads
import proc
from rows_push import Counter

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = os.path.join(os.path.dirname(HERE), "fixtures", "python", "app.py")
DEPTH = 40        # calls above the rounds of an application
SLICE_S = 0.05    # five samples
KINDS = {"agent": 0.5, "interrupt": 0.3, "nothing": 0.2}  # of blocks, and their parts
DISTURBED = 1.2   # times what the quickest quarter of the rounds takes
REACH = 0.5       # %
START_S = 20      # until an agent samples, at the most
ENABLE, DISABLE = 0x2400, 0x2401  # PERF_EVENT_IOC_ENABLE, _DISABLE (linux/perf_event.h)
PIDFD_GETFD = 438                 # on every architecture (asm-generic/unistd.h, Linux 5.6)


class Switch:
    """Turns a running agent on and off from outside, and in its place events that do nothing."""

    def __init__(self, pid):
        self.pid, self.libc = pid, ctypes.CDLL(None, use_errno=True)
        self.events = {"agent": [], "interrupt": self.bare_events()}
        end = time.monotonic() + START_S
        while not self.events["agent"] and time.monotonic() < end:
            self.events["agent"] = self.events_of(pid)
            time.sleep(0.1)
        if not self.events["agent"]:
            raise loads.Missing("the agent's perf events can not be had (pidfd_getfd, Linux 5.6)")

    def events_of(self, pid):
        pidfd, found = os.pidfd_open(pid), []
        for fd in os.listdir(f"/proc/{pid}/fd"):
            try:
                name = os.readlink(f"/proc/{pid}/fd/{fd}")
            except OSError:
                continue  # it was closed
            if name == "anon_inode:[perf_event]":
                found.append(self.libc.syscall(PIDFD_GETFD, pidfd, int(fd), 0))
        os.close(pidfd)
        return [fd for fd in found if fd >= 0]

    def bare_events(self):
        """One each CPU at the same rate, without a program or a buffer. struct perf_event_attr of 64
        bytes: disabled, exclude_hv and exclude_idle are the bits 0, 6 and 7 (linux/perf_event.h)."""
        number = {"x86_64": 298, "aarch64": 241}[platform.machine()]
        attr = struct.pack("IIQQQQQIIQ", 1, 64, 0, 1_000_000_000 // 99, 0, 0, 0xc1, 0, 0, 0)
        fds = [self.libc.syscall(number, attr, -1, cpu, -1, 8) for cpu in os.sched_getaffinity(0)]
        if min(fds) < 0:
            raise loads.Missing("no event of its own (perf_event_open)")
        return fds

    @staticmethod
    def tell(pids, what):
        for pid in pids:
            try:
                os.kill(pid, what)
            except ProcessLookupError:
                pass  # a child has ended

    def turn(self, on):
        """The same calls each time but for the signals, whatever it was before."""
        if on == "agent":
            self.tell(proc.family(self.pid), signal.SIGCONT)
        for kind, fds in self.events.items():
            for fd in fds:
                fcntl.ioctl(fd, ENABLE if on == kind else DISABLE, 0)
        if on != "agent":
            self.tell([self.pid], signal.SIGSTOP)
            self.tell(proc.children(self.pid), signal.SIGSTOP)

    def close(self):
        """Leaves the agent running."""
        self.turn("agent")
        for fd in sum(self.events.values(), []):
            os.close(fd)


class App:
    """An application on a CPU of its own that writes down when each of its rounds ended. The rounds
    do the same work each."""

    def __init__(self, b, name, cpu, argv):
        self.name, self.path = name, os.path.join(b.work, f"rounds.{name}")
        with open(self.path, "wb") as f:
            f.truncate(16 << 20)
        self.proc = loads.start([loads.need("/usr/bin/taskset"), "-c", cpu,
                                 *(self.path if a is None else a for a in argv)])

    def finish(self):
        if self.proc.poll() is not None:
            raise RuntimeError(f"the {self.name} program ended")
        loads.end(self.proc)
        with open(self.path, "rb") as f:
            data = array.array("q", f.read())
        n = next((i for i in range(0, len(data), 2) if not data[i]), len(data))
        self.ends, self.cpu = data[:n:2], data[1:n:2]

    def span(self, begin, end):
        """Of a slice: ns that a round takes by the clock, and what each of the whole ones takes of
        CPU time."""
        i, j = (bisect.bisect_right(self.ends, t) for t in (begin, end))

        def done(i, t):
            return i + (t - self.ends[i - 1]) / (self.ends[i] - self.ends[i - 1])
        return ((end - begin) / (done(j, end) - done(i, begin)),
                [y - x for x, y in zip(self.cpu[i:j - 1], self.cpu[i + 1:j])])


def run_slices(switch, seconds):
    """[(kind, [(is with it, begin, end)])] of blocks ABBA or BAAB."""
    blocks, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        kind = random.choices(list(KINDS), KINDS.values())[0]
        first, block = random.random() < 0.5, []
        for a in (first, not first, not first, first):
            begin = time.monotonic_ns()
            switch.turn(kind if a else "nothing")
            time.sleep(SLICE_S)
            block.append((a, begin, time.monotonic_ns()))
        blocks.append((kind, block))
    return blocks


def interval(values, cut):
    """Mean without the highest and the lowest of the values (shares of them), and half the width of
    its 95 % interval, by the variance of the winsorized values (Yuen 1974)."""
    v, n = sorted(values), len(values)
    k = int(n * cut)
    near = v[k:n - k]
    spread = statistics.stdev([near[0]] * k + near + [near[-1]] * k)
    return statistics.mean(near), 1.98 * spread / ((1 - 2 * cut) * math.sqrt(n))


class Lost:
    """In % of the throughput, of one application, in the pairs of slices of some blocks."""

    def __init__(self, app, blocks):
        if not blocks:
            raise loads.Missing("no slices")
        begin, end = blocks[0][0][1], blocks[-1][-1][2]
        self.quick = statistics.quantiles(app.span(begin, end)[1], n=4)[0]
        self.left_out, self.all_rounds = {True: 0, False: 0}, {True: 0, False: 0}
        cpu, clock = [], []
        for block in blocks:
            for pair in (block[:2], block[2:]):
                a, c = (self.slice(app, *s) for s in sorted(pair, reverse=True))
                clock.append(100 * (1 - c[0] / a[0]))
                if a[1] and c[1]:
                    cpu.append(100 * (1 - c[1] / a[1]))
        self.pairs = len(cpu)
        if self.pairs < 10:
            raise loads.Missing(f"{self.pairs} pairs of slices: this machine is too busy")
        self.cpu, self.clock = interval(cpu, 0.2), interval(clock, 0)

    def slice(self, app, kind, begin, end):
        clock, rounds = app.span(begin, end)
        good = [x for x in rounds if x < DISTURBED * self.quick]
        self.all_rounds[kind] += len(rounds)
        self.left_out[kind] += len(rounds) - len(good)
        return clock, statistics.mean(good) if len(good) * 4 > len(rounds) else None

    def text(self):
        out = [100 * self.left_out[k] / max(self.all_rounds[k], 1) for k in (True, False)]
        return (f"{self.cpu[0]:.2f} +- {self.cpu[1]:.2f} % of {self.pairs} pairs, rounds left out "
                f"{out[0]:.1f} % and {out[1]:.1f} %; by the clock with all rounds "
                f"{self.clock[0]:.2f} +- {self.clock[1]:.2f} %")


def row(b, app, blocks, agent, notes):
    from rows import UNSURE, Row  # which imports this file for its table
    lost = {kind: Lost(app, [x for k, x in blocks if k == kind]) for kind in KINDS}
    mean, width = lost["agent"].cpu
    clock = lost["agent"].clock
    ok = UNSURE
    if mean + agent + width < REACH and clock[0] - clock[1] < REACH:
        ok = True
    elif mean + (0 if b.quick else agent) - width > REACH:
        ok = False  # in a quick run the agent has not read all that it is to read only once
    return Row(f"throughput lost by a {app.name} program, 99 Hz", f"< {REACH} %",
               f"{mean + agent:.2f} % +- {width:.2f} (95 %)", ok,
               [f"its own rounds {lost['agent'].text()}; and {agent:.3f} % of each busy core that the "
                "agent takes itself", f"the interrupt alone: {lost['interrupt'].text()}",
                f"nothing in both: {lost['nothing'].text()}", *notes])


def settle(pid, most):
    """Waits until an agent's child has read the files that it is to read, or for so many seconds."""
    end, before = time.monotonic() + most, -1
    while time.monotonic() < end:
        now = proc.family_cpu_ns(pid)[1]
        if 0 <= before and now - before < 20_000_000:
            return
        before = now
        time.sleep(3)


def start_apps(b):
    """Of both kinds in turn, one on each CPU, as long as the machine has CPUs."""
    flags = ("-Xmx128m", "-cp", loads.need(os.path.join(os.environ["FIXTURES"], "hotspot")))
    java = [loads.need("/usr/bin/java"), *flags, "truth.App", 3000, None, DEPTH]
    python = [loads.need("/usr/bin/python3"), PYTHON, 3000, "--rounds", None, "--depth", DEPTH]
    return [App(b, *(("Python", cpu, python) if i % 2 else ("Java", cpu, java)))
            for i, cpu in enumerate(sorted(os.sched_getaffinity(0))[:2])]


def own_use(agent, seconds):
    """What agent, parser and samples take while it is on all the time, in % of each busy core."""
    from rows import CpuUse
    with proc.bpf_time_accounted():
        use = CpuUse(agent.pid)
        time.sleep(seconds)
        share, bpf, text, _ = use.per_busy_core()
    return share, f"on all the time: {share:.3f} %, samples (in the rounds' time) {bpf:.3f} %; {text}"


def overhead(b):
    apps, counter = start_apps(b), Counter(0)
    targets = ", ".join(f'{{ "__process_pid__" = "{a.proc.pid}" }}' for a in apps)
    agent = loads.Agent(b.work, targets=targets, port=counter.server_address[1])
    settle(agent.pid, 9 if b.quick else 40)
    switch = Switch(agent.pid)
    try:
        blocks = run_slices(switch, 15 if b.quick else 840)
    finally:
        switch.close()
    share, note = own_use(agent, 7 if b.quick else 3 * agent.interval)
    agent.stop()
    counter.shutdown()
    for app in apps:
        app.finish()
    notes = [note, f"rounds of equal work, {DEPTH} calls deep, a program on each CPU, both targets of "
             f"the agent; slices of {SLICE_S} s. A round that takes {DISTURBED} times the CPU time of "
             "the quickest quarter is left out: the machine was slow. Pairs: mean without the outer "
             "fifths; the program's CPU time has the samples in it, not the agent"]
    return [row(b, app, blocks, share, notes) for app in apps]


ROWS = {"overhead": overhead}
