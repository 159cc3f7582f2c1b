# SPDX-License-Identifier: Apache-2.0
"""What interpreters and virtual machines cost, and whether others see the same in them."""

import collections
import json
import math
import os
import re
import statistics
import subprocess
import time

import loads
import proc
from pprof import record

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = os.path.join(os.path.dirname(HERE), "fixtures", "python")
INSNS_MAX = 750_000  # three quarters of what the verifier looks at (BPF_COMPLEXITY_LIMIT_INSNS)


def classes():
    return loads.need(os.path.join(os.environ["FIXTURES"], "hotspot"))


def java(*args, flags=()):
    return [loads.need("/usr/bin/java"), *flags, "-cp", classes(), *args]


# ---- A frame -----------------------------------------------------------------------------------

def walk_pair(b, first, second):
    """ns of a further frame of two targets (paths); the lines that say so."""
    p = subprocess.run([loads.need(f"{b.build}/tests/bench/walk_cost"), first, second,
                        str(3 if b.quick else 15), "warm"],
                       capture_output=True, text=True, timeout=300, check=True)
    walked = [float(ln.split()[3]) for ln in p.stdout.splitlines() if ln.startswith("warm  ")]
    for few, more in (walked[:2], walked[2:]):
        if more - few < 30:
            raise loads.Missing(f"{few} and {more} frames of 31 and 101 were walked")
    m = re.search(r"warm per frame: walk (\S+) ns, .* them (\S+) ns", p.stdout)
    return float(m.group(1)), float(m.group(2)), p.stdout.splitlines()


def script(b, name, argv):
    path = os.path.join(b.work, name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(f'#!/bin/sh\nexec {" ".join(argv)} "$1"\n')
    os.chmod(path, 0o755)
    return path


def frame_cost(b):
    from rows import Row  # which imports this file for its table
    compiled = script(b, "java-compiled", java("truth.Deep", flags=("-XX:-Inline",)))
    interpreted = script(b, "java-interpreted", java("truth.Deep", flags=("-Xint",)))
    py, jit, notes = walk_pair(b, os.path.join(HERE, "walk_target.py"), compiled)
    slow, inlined, more = walk_pair(b, interpreted, script(b, "java", java("truth.Deep")))
    rows = [Row("per additional Python frame, warm", "<= 120 ns", f"{py:.0f} ns", py <= 120),
            Row("per additional Java frame, compiled / interpreted, warm", "<= 120 ns",
                f"{jit:.0f} ns / {slow:.0f} ns (with inlining {inlined:.0f} ns a method)",
                max(jit, slow) <= 120)]
    rows[-1].notes = ["fp: Python, no-fp: Java compiled; then Java interpreted and as usual",
                      *notes, *more]
    return rows


# ---- Others' view ------------------------------------------------------------------------------

def leaf_shares(samples):
    """{function: share} of (function, count)."""
    total = collections.Counter()
    for name, n in samples:
        total[name] += n
    everything = sum(total.values())
    return {k: v / everything for k, v in total.items()}, everything


def compare(what, ours, theirs, how):
    """A row: shares of the hottest functions in two views, and whether their order is the same, as
    far as chance lets one tell."""
    from rows import Row
    (a, n), (c, m) = ours, theirs
    hot = sorted(c, key=lambda k: -c[k])[:8]
    worst = max(hot, key=lambda k: abs(a.get(k, 0) - c[k]))
    apart = [(x, y) for x, y in zip(hot, hot[1:]) if c[x] - c[y] > 0.02]
    order = all(a.get(x, 0) > a.get(y, 0) for x, y in apart)
    diff = abs(a.get(worst, 0) - c[worst])
    noise = 2.576 * math.sqrt(c[worst] * (1 - c[worst]) * (1 / n + 1 / m))
    ok = order and (diff <= 0.02 or ("over, but chance alone can do that" if diff <= noise
                                     else False))
    return Row(f"agreement with {what}, shares of hot functions", "within 2 points, same order",
               f"{100 * diff:.2f} points at most ({worst}), order {'the same' if order else 'OTHER'}",
               ok, [how, f"{n} and {m} samples; chance alone: {100 * noise:.2f} points", *(
                   f"{k}: {100 * a.get(k, 0):.2f} % and {100 * c[k]:.2f} %" for k in hot)])


def is_managed(frame):
    return frame[1].endswith((".py", ".java"))


def innermost(profile, plain):
    for s in profile.samples:
        mine = [f for f in s.frames if is_managed(f)]
        if mine:
            yield plain(mine[-1][0]), s.count


def python_agrees(b):
    """CPython samples itself by CPU time: a timer's signal, and faulthandler's C code, which does not
    wait for the interpreter."""
    seconds, path = 6 if b.quick else 40, os.path.join(b.work, "stacks")
    p, _ = record(b.work, "-F", "499", "--", loads.need("/usr/bin/python3"), f"{PYTHON}/app.py",
                  seconds, path, timeout=seconds + 60)
    with open(path, encoding="utf-8") as f:
        theirs = re.findall(r'most recent call first\):\n  File "[^"]*", line \d+ in (\S+)',
                            f.read())
    return compare("CPython's faulthandler",
                   leaf_shares(innermost(p, lambda n: n.rpartition(".")[2])),
                   leaf_shares((n, 1) for n in theirs), "innermost Python function of one program, "
                   "in one run; faulthandler every 5 ms of CPU time")


def java_agrees(b):
    seconds, path = 10 if b.quick else 60, os.path.join(b.work, "flight.jfr")
    flight = f"-XX:StartFlightRecording=settings=profile,filename={path},dumponexit=true"
    p, _ = record(b.work, "-F", "499", "--", *java("truth.App", seconds, flags=(flight,)),
                  timeout=seconds + 60)
    out = subprocess.run([loads.need("/usr/bin/jfr"), "print", "--json", "--events",
                          "jdk.ExecutionSample", path], capture_output=True, text=True, timeout=120,
                         check=True).stdout
    theirs = [e["values"]["stackTrace"]["frames"][0]["method"]
              for e in json.loads(out)["recording"]["events"]]
    named = [(f"{m['type']['name'].replace('/', '.')}.{m['name']}", 1) for m in theirs]

    def plain(name):
        return name.partition("(")[0].rpartition(" ")[2].replace("/", ".")
    # The flight recorder looks at threads in Java code only, and has its own threads.
    mine = ((plain(s.frames[-1][0]), s.count) for s in p.samples
            if any("truth.App.main" in n for n in s.stack) and is_managed(s.frames[-1]))
    return compare("JFR's ExecutionSample", leaf_shares(mine), leaf_shares(named),
                   "innermost Java method of one program, in one run; JFR with its settings "
                   "'profile' (every 10 to 20 ms)")


def agreement(b):
    return [python_agrees(b), java_agrees(b)]


# ---- A real application ------------------------------------------------------------------------

def sources(b):
    """Java sources of a Debian package, as javac takes them: its list of files."""
    import runtimes
    where = os.path.join(runtimes.CACHE, "sources")
    os.makedirs(where, exist_ok=True)
    package, listing = "libcommons-lang3-java", os.path.join(b.work, "sources")
    if not os.path.isdir(f"{where}/{package}"):
        try:
            opts = runtimes.updated("bookworm", sources=True)
            runtimes.tried(["apt-get", *opts, "-q", "source", "--download-only", package],
                           package, cwd=where)
        except runtimes.Unavailable as e:
            raise loads.Missing(str(e)) from e
        dsc = next(n for n in os.listdir(where) if n.endswith(".dsc"))
        subprocess.run(["dpkg-source", "--no-check", "-x", f"{where}/{dsc}", f"{where}/{package}"],
                       check=True, capture_output=True)
    found = [os.path.join(d, n) for d, _, names in os.walk(f"{where}/{package}/src/main/java")
             for n in names if n.endswith(".java")]
    with open(listing, "w", encoding="utf-8") as f:
        f.write("\n".join(found))
    return listing, len(found)


def jvm_agent_cpu(b):
    from rows import UNSURE, Row, intervals_of
    loads.need("/usr/bin/javac")
    listing, n = sources(b)
    running = [loads.again("/usr/bin/javac", "-nowarn", "-proc:none", "-d",
                           f"{b.work}/classes{i}", f"@{listing}") for i in range(os.cpu_count())]
    with proc.bpf_time_accounted():
        agent = loads.Agent(b.work)
        uses, notes = intervals_of(agent, *((2, 2) if b.quick else (3, 6)))
        agent.stop()
    for p in running:
        loads.end(p)
    share, bpf, alone = (statistics.median(x[k] for x in uses) for k in (0, 1, 3))
    return [Row("agent CPU beside javac again and again, 99 Hz", "<= 0.3 % of a core per busy core",
                f"{share:.3f} % (agent {alone:.3f} %), worst interval "
                f"{max(x[0] for x in uses):.3f} %; the samples themselves {bpf:.3f} %",
                True if share <= 0.3 else UNSURE if alone <= 0.3 else False,
                [f"javac of the {n} files of commons-lang3, {len(running)} at once, each a new JVM "
                 "that compiles all the time", *notes])]


# ---- What the application notices --------------------------------------------------------------

class App:
    """An application that tells how far it is: rounds, CPU ns, wall ns."""

    def __init__(self, b, argv):
        self.path = os.path.join(b.work, "app.out")
        with open(self.path, "w", encoding="utf-8") as out:
            self.proc = loads.start(argv, stdout=out)
        time.sleep(4)  # compiled, and no file is new to the agent

    def at(self):
        """Its next line from now on."""
        size = os.path.getsize(self.path)

        def line():
            with open(self.path, encoding="utf-8") as f:
                f.seek(size)
                return [ln for ln in f.read().splitlines(keepends=True) if ln.endswith("\n")][1:2]
        return [int(x) for x in loads.wait_until(line, 10, "a line of the application")[0].split()]

    def rate(self, seconds):
        """Rounds for each second of its CPU time, and of the clock."""
        a = self.at()
        time.sleep(seconds)
        c = self.at()
        return [(c[0] - a[0]) / (c[k] - a[k]) * 1e9 for k in (1, 2)]


def slowed(b, argv, pairs, seconds):
    """What it loses beside the agent: interleaved pairs, [(of CPU time, of the clock) in %]."""
    app, lost = App(b, argv), []
    for i in range(pairs):
        rates = {}
        for with_agent in ((False, True), (True, False))[i % 2]:
            agent = loads.start([os.environ["TEPHRA"], "record", "-a", "-F", "99", "-d", "60s", "-o",
                                 f"{b.work}/overhead.pb.gz"]) if with_agent else None
            if agent:
                time.sleep(1.5)  # it has attached, and read the files that run
            rates[with_agent] = app.rate(seconds)
            if agent:
                loads.end(agent)
        lost.append([100 * (1 - rates[True][k] / rates[False][k]) for k in (0, 1)])
    loads.end(app.proc)
    return lost


def interval(values):
    """Mean and half the width of its 95 % interval. 2.0 to 2.8: Student's t for the few pairs."""
    n = len(values)
    t = {3: 3.18, 4: 2.78, 8: 2.31, 12: 2.18, 16: 2.12}.get(n - 1, 2.1 if n > 16 else 2.5)
    return statistics.mean(values), t * statistics.stdev(values) / math.sqrt(n)


def overhead(b):
    from rows import UNSURE, Row
    rows = []
    for name, argv in (("Java", java("truth.App", 3000)),
                       ("Python", [loads.need("/usr/bin/python3"), f"{PYTHON}/app.py", "3000"])):
        lost = slowed(b, argv, *((4, 2) if b.quick else (17, 5)))
        cpu, wall = (interval([x[k] for x in lost]) for k in (0, 1))
        ok = True if cpu[0] + cpu[1] < 0.5 else UNSURE if cpu[0] - cpu[1] < 0.5 else False
        rows.append(Row(f"throughput lost by a {name} program, 99 Hz", "< 0.5 %",
                        f"{cpu[0]:.2f} % +- {cpu[1]:.2f} (95 %)", ok,
                        ["rounds for each second of its CPU time, with and without the agent in turn;"
                         f" for each second of the clock {wall[0]:.2f} % +- {wall[1]:.2f}",
                         "pairs: " + " ".join(f"{x[0]:.2f}" for x in lost)]))
    return rows


# ---- Very many ---------------------------------------------------------------------------------

MANY = """
import sys, time
def burn():
    n = 20000
    while n:
        n -= 1
def now_and_then():
    while True:
        burn()
        time.sleep({pause})
now_and_then()
"""


def many(b, name, argv, n, reach):
    """n processes of a runtime, each with a little work each second."""
    from rows import CpuUse, Row
    before = proc.read("/proc/meminfo")
    processes = [loads.start(argv) for _ in range(n)]
    time.sleep(n / 40 if name == "Python" else n / 4)
    free = [int(re.search(r"MemAvailable: +(\d+)", t).group(1)) / 1e6
            for t in (before, proc.read("/proc/meminfo"))]
    with proc.bpf_time_accounted():
        agent = loads.Agent(b.work)
        agent.wait_push(2)
        use = CpuUse(agent.pid)
        agent.wait_push(4)
        share, bpf, text, _ = use.per_busy_core()
        pss, maps = proc.pss_mb(agent.pid), proc.maps_mb(agent.pid)
        agent.stop()
    p, _ = record(b.work, "-a", "-F", "499", "-d", "6s", timeout=60)
    pids = {q.pid for q in processes}
    mine = [s for s in p.samples if s.pid in pids]
    seen = {s.pid for s in mine}
    whole = sum(s.count for s in mine if s.whole())
    named = sum(s.count for s in mine if any(is_managed(f) for f in s.frames))
    total = sum(s.count for s in mine) or 1
    for q in processes:
        q.kill()
    for q in processes:
        loads.end(q)
    return Row(f"{n} {name} processes at once: whole stacks", reach,
               f"{100 * whole / total:.2f} % of {total}, {100 * named / total:.2f} % with frames of "
               f"{name}, of {len(seen)} processes", whole >= 0.99 * total,
               [f"agent {share:.3f} % of a core per busy core, samples {bpf:.3f} %; {text}",
                f"PSS {pss:.1f} MB, kernel maps {maps:.1f} MB; the processes take "
                f"{free[0] - free[1]:.1f} GB",
                *(f"{n}: {r}" for r, n in p.reasons(lambda s: s.pid in pids)[:5])])


def thousands(b):
    n, m = (200, 20) if b.quick else (1000, 150)
    rows = [many(b, "Python", [loads.need("/usr/bin/python3"), "-c",
                               MANY.format(pause=n / 1000)], n, ">= 99 %")]
    small = ("-Xmx16m", "-Xss256k", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
             "-XX:ReservedCodeCacheSize=8m")
    rows.append(many(b, "Java", java("truth.Idle", m / 500, flags=small), m, ">= 99 %"))
    return rows


# ---- The verifier ------------------------------------------------------------------------------

def programs(pid):
    """{name: instructions that the verifier looked at} of a process's BPF programs."""
    found = {}
    for p in proc.bpf_objects(pid)[1].values():
        if "verified_insns" not in p:
            raise loads.Missing("this kernel does not tell (verified_insns, from 5.16)")
        out = subprocess.run([loads.need("/usr/sbin/bpftool"), "-j", "prog", "show", "id",
                              p["prog_id"]], capture_output=True, text=True, check=True).stdout
        found[json.loads(out).get("name", p["prog_id"])] = int(p["verified_insns"])
    return found


def verified():
    """The same of the agent's, while it records this host."""
    agent = loads.start([os.environ["TEPHRA"], "record", "-a", "-d", "30s", "-o", "/dev/null",
                         "--format", "folded"])
    try:
        loads.wait_until(lambda: proc.bpf_objects(agent.pid)[1], 10, "its programs")
        time.sleep(1)
        return programs(agent.pid)
    finally:
        loads.end(agent)


def verifier(_):
    from rows import Row
    found = verified()
    most = max(found, key=found.get)
    return [Row("instructions that the verifier looks at, the largest program",
                f"< {INSNS_MAX:,}", f"{found[most]:,} ({most})", found[most] < INSNS_MAX,
                [f"{k}: {v:,}" for k, v in sorted(found.items(), key=lambda x: -x[1])])]


ROWS = {"frames": frame_cost, "agreement": agreement, "jvm": jvm_agent_cpu, "overhead": overhead,
        "thousands": thousands, "verifier": verifier}
