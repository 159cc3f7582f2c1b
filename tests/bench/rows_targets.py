# SPDX-License-Identifier: Apache-2.0
"""What targets cost those that are none, and what a change of them costs those that are."""

import contextlib
import math
import os
import secrets
import time

import loads
import proc

Z99 = 2.576  # both sides of the normal distribution


def row(*args):
    from rows import Row  # rows.py imports this file
    return Row(*args)


@contextlib.contextmanager
def empty_container():
    """The control group of a container without processes, in every hierarchy."""
    cid, made = secrets.token_hex(32), []
    with open("/proc/self/mounts", encoding="utf-8") as f:
        roots = [ln.split()[1] for ln in f if ln.split()[2] in ("cgroup", "cgroup2")]
    try:
        for root in roots:
            path = os.path.join(root, f"tephra-bench-{cid[:8]}", cid)
            try:
                os.makedirs(path)
                made.append(path)
            except OSError:
                pass
        yield cid
    finally:
        for path in made:
            os.rmdir(path)
            os.rmdir(os.path.dirname(path))


def cost(b, targets):
    """Nanoseconds and number of the samples of an agent whose targets do not run."""
    agent = loads.Agent(b.work, targets=targets)
    try:
        loads.wait_until(lambda: proc.programs_time(agent.pid)[1] > 100, 20, "samples")
        before = proc.programs_time(agent.pid)
        time.sleep(3 if b.quick else 30)
        ns, runs = (x - y for x, y in zip(proc.programs_time(agent.pid), before))
    finally:
        agent.stop()
    return ns / max(runs, 1), runs


def unmatched(b):
    busy = [loads.fixture("split") for _ in range(os.cpu_count())] + [loads.python()]
    sleeper = loads.start(["/bin/sleep", "1000"])
    by_pid = f'{{ "__process_pid__" = "{sleeper.pid}" }}'
    with proc.bpf_time_accounted(), empty_container() as cid:
        pid = cost(b, by_pid)
        both = cost(b, by_pid + f', {{ "__container_id__" = "{cid}" }}')
        everything = cost(b, "")
    for p in [*busy, sleeper]:
        loads.end(p)
    notes = [f"per sample of a process that no target names, at 99 Hz with all CPUs busy: "
             f"{pid[0]:.0f} ns ({pid[1]} samples) with a process as target, {both[0]:.0f} ns "
             f"({both[1]}) with a container too; of one that is profiled {everything[0]:.0f} ns "
             f"({everything[1]})",
             "the caches belong to the load: what else the machine does moves all three alike"]
    most = max(pid[0], both[0])
    return [row("samples of processes that no target names, 99 Hz", "<= 0.05 % of each CPU",
                f"{most * 99 / 1e7:.4f} % ({most:.0f} ns each, "
                f"{100 * most / everything[0]:.0f} % of one that is profiled)",
                most * 99 / 1e7 <= 0.05, notes)]


def reloads(b):
    """The program is in the list all the time; its labels, and other targets, are not."""
    busy = loads.fixture("split")
    hz, seconds = 499, 8 if b.quick else 60

    def targets(n):
        other = f', {{ "__container_id__" = "{secrets.token_hex(32)}" }}' if n % 2 else ""
        return (f'{{ "__process_pid__" = "{busy.pid}", "service_name" = "s{n % 3}", '
                f'"n" = "{n}" }}{other}')

    agent = loads.Agent(b.work, hz=hz, interval=5, targets=targets(0))
    agent.wait_push(1)
    # From here on: the first interval is in neither sum.
    first = sum(p["total"] for p in agent.profiles()) / 1e9
    start = max(p["time_ns"] + p["duration_ns"] for p in agent.profiles()) / 1e9
    before, late = proc.run_ns(busy.pid) / 1e9, time.time() - start
    n, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        n += 1
        agent.reload(2 + n % 4, hz, targets(n))
        time.sleep(1)
    used = proc.run_ns(busy.pid) / 1e9 - before
    ended = time.time()
    agent.stop()
    got = sum(p["total"] for p in agent.profiles()) / 1e9 - first
    last = max(p["time_ns"] + p["duration_ns"] for p in agent.profiles()) / 1e9
    loads.end(busy)
    # Both readings of the scheduler are a moment off the intervals: at the load it had then.
    share = used / (ended - start - late)
    used += share * (late + last - ended)
    bound = Z99 * math.sqrt(max(used * hz * max(1 - share, 0), 1)) / hz + 0.01 * used
    return [row(f"CPU time pushed over {n} reloads in {seconds} s", "as the scheduler's, within "
                "the sampling error and 1 %", f"{got:.3f} s, scheduler {used:.3f} s: "
                f"{100 * (got - used) / used:+.2f} %", abs(got - used) <= bound,
                [f"bound {bound:.3f} s; labels, another target and collect_interval change each "
                 "second"])]
