# SPDX-License-Identifier: Apache-2.0
"""A thousand interpreters and a hundred virtual machines at once: what they cost while they sleep, and
whether all of them are walked and named once each works a little."""

import os
import time

import loads
import proc
from pprof import record
from rows_runtimes import is_managed, java

MANY = """
import sys, time
def burn():
    n = 20000
    while n:
        n -= 1
def now_and_then():
    while True:
        burn()
        time.sleep(float(sys.argv[1]))
open(sys.argv[2]).close()
now_and_then()
"""
SMALL = ("-Xmx16m", "-Xss256k", "-Xshare:auto", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
         "-XX:ReservedCodeCacheSize=8m", "-XX:-UsePerfData")


def used_ms(agent):
    return [ns / 1e6 for ns in proc.family_cpu_ns(agent.pid)]


class Begun:
    """An agent on the host for two intervals, and what it cost by then."""

    def __init__(self, b):
        self.agent = loads.Agent(b.work, interval=3 if b.quick else 15)
        self.agent.wait_push(2)
        self.main, self.parser = used_ms(self.agent)
        self.pss = proc.pss_mb(self.agent.pid)

    def text(self):
        return (f"agent {self.main:.0f} ms, parser {self.parser:.0f} ms of CPU time, PSS "
                f"{self.pss:.1f} MB")


def asleep(processes):
    """Waits until all of them have started, and wait."""
    def total():
        return sum(proc.run_ns(p.pid) or 0 for p in processes)

    def still():
        before, t0 = total(), time.monotonic()
        time.sleep(1)
        return total() - before < 0.05e9 * (time.monotonic() - t0)
    loads.wait_until(still, 180, f"{len(processes)} processes to have started")
    gone = sum(p.poll() is not None for p in processes)
    if gone:
        raise RuntimeError(f"{gone} of {len(processes)} processes ended")


def started(b, name, argv, n):
    """n processes that wait for the end of a FIFO, which comes with open()."""
    fifo = os.path.join(b.work, f"fifo.{name}")
    os.mkfifo(fifo)
    free = proc.memory_mb("MemAvailable")
    processes = [loads.start([*argv, fifo]) for _ in range(n)]
    asleep(processes)
    return processes, fifo, (free - proc.memory_mb("MemAvailable")) / 1e3


def seen_in(b, processes):
    """(pids with samples, share of whole stacks, of those with the runtime's frames, samples, why
    others are not whole)"""
    pids = {p.pid for p in processes}
    p, _ = record(b.work, "-a", "-F", "499", "-d", "4s" if b.quick else "20s", timeout=120)

    def mine(s):
        return s.pid in pids
    total = max(p.count(mine), 1)
    return ({s.pid for s in p.samples if mine(s)}, p.count(lambda s: mine(s) and s.whole()) / total,
            p.count(lambda s: mine(s) and any(is_managed(f) for f in s.frames)) / total, total,
            [f"{n}: {r}" for r, n in p.reasons(mine)[:5]])


def many(b, name, argv, n, alone):
    from rows import UNSURE, CpuUse, Row  # which imports this file for its table
    processes, fifo, gb = started(b, name, argv, n)
    begun = Begun(b)  # they are there already: none of them is sampled while it sleeps
    agent = begun.agent
    each = (begun.main - alone.main) / n
    notes = [f"{n} that sleep, two intervals of {agent.interval} s with them: {begun.text()}",
             f"without them: {alone.text()}"]
    rows = []
    if name == "Python":  # a virtual machine wakes up now and then, and is sampled
        small = each < 0.2 and begun.pss - alone.pss < n / 250
        rows = [Row(f"{n} {name} processes that sleep, to the agent", "< 0.2 ms, < 4 KB each",
                    f"{each:.3f} ms of CPU time, {1000 * (begun.pss - alone.pss) / n:.1f} KB each",
                    small or (UNSURE if b.quick else False), notes)]
        notes = []
    with open(fifo, "w", encoding="ascii"), proc.bpf_time_accounted():
        agent.wait_push(len(agent.pushes()) + 1)
        use = CpuUse(agent.pid)
        agent.wait_push(len(agent.pushes()) + (1 if b.quick else 2))
        share, bpf, text, _ = use.per_busy_core()
        pss, maps = proc.pss_mb(agent.pid), proc.maps_mb(agent.pid)
        agent.stop()
        seen, whole, named, total, why = seen_in(b, processes)
    for p in processes:
        p.kill()
    for p in processes:
        loads.end(p)
    rows.append(Row(f"{n} {name} processes at once: whole stacks", ">= 99 %",
                    f"{100 * whole:.2f} % of {total}, {100 * named:.2f} % with frames of {name}, of "
                    f"{len(seen)} processes", whole >= 0.99,
                    [f"agent {share:.3f} % of a core per busy core, samples {bpf:.3f} %; {text}",
                     f"PSS {pss:.1f} MB, kernel maps {maps:.1f} MB; the processes take {gb:.1f} GB",
                     *why, *notes]))
    return rows


def thousands(b):
    n, m = (200, 20) if b.quick else (1000, 150)
    busy = loads.python()
    alone = Begun(b)
    alone.agent.stop()
    program = os.path.join(b.work, "now_and_then.py")
    with open(program, "w", encoding="ascii") as f:
        f.write(MANY)
    python = [loads.need("/usr/bin/python3"), program, n / 1000]
    rows = [*many(b, "Python", python, n, alone),
            *many(b, "Java", java("truth.Idle", m / 500, flags=SMALL), m, alone)]
    loads.end(busy)
    return rows


ROWS = {"thousands": thousands}
