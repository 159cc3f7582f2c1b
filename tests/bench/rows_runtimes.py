# SPDX-License-Identifier: Apache-2.0
"""What interpreters and virtual machines cost, and whether others see the same in them."""

import collections
import contextlib
import datetime
import itertools
import json
import math
import os
import re
import statistics
import subprocess
import time
import types

import loads
import proc
from pprof import record

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = os.path.join(os.path.dirname(HERE), "fixtures", "python")
# A signal's handler, which libc's __restore_rt "calls".
IN_HANDLER = re.compile(r";(libc\.so[^;]*|__restore_rt[^;]*);(python3|lib(python|c))")
# Agent CPU, % of a core per busy core. Nothing that is read of a JVM holds for the next: there the
# names of nearly each stack are read anew, some 8 pages of the JVM's memory and 70 us a sample.
LONG_JVM, NEW_JVMS = 0.3, 1.0
AGREE = 0.02  # of shares
INSNS_MAX = 500_000  # half of what the verifier looks at (BPF_COMPLEXITY_LIMIT_INSNS)


def classes():
    return loads.need(os.path.join(os.environ["FIXTURES"], "hotspot"))


def java(*args, flags=()):
    return [loads.need("/usr/bin/java"), *flags, "-cp", classes(), *args]


# ---- A frame -----------------------------------------------------------------------------------

def walk_pair(b, first, second):
    """ns of a further frame of two targets (paths); the lines that say so."""
    # Its first byte says that a target is ready; an unbuffered Python would write the second into a
    # pipe that nobody reads.
    env = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    p = subprocess.run([loads.need(f"{b.build}/tests/bench/walk_cost"), first, second,
                        str(3 if b.quick else 15), "warm"],
                       capture_output=True, text=True, timeout=300, check=True, env=env)
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
    """Of Java, compiled code that stays where it is on the stack, such that does not, which the kernel
    looks at anew, and interpreted code."""
    from rows import Row  # which imports this file for its table
    stays = script(b, "java-stays", java("truth.Deep", flags=("-XX:-Inline",)))
    moves = script(b, "java-moves", java("truth.Deep", flags=("-XX:-Inline", "-Dmoves=true")))
    interpreted = script(b, "java-interpreted", java("truth.Deep", flags=("-Xint",)))
    py, moving, notes = walk_pair(b, os.path.join(HERE, "walk_target.py"), moves)
    slow, staying, more = walk_pair(b, interpreted, stays)
    rows = [Row("per additional Python frame, warm", "<= 120 ns", f"{py:.0f} ns", py <= 120),
            Row("per additional Java frame, compiled / at another place / interpreted, warm",
                "<= 120 ns", f"{staying:.0f} ns / {moving:.0f} ns / {slow:.0f} ns",
                max(moving, staying, slow) <= 120)]
    rows[-1].notes = ["fp: Python, no-fp: Java compiled, at another place each time; then Java "
                      "interpreted and compiled", *notes, *more]
    return rows


# ---- Others' view ------------------------------------------------------------------------------

def leaf_shares(samples):
    """{function: share} of (function, count)."""
    total = collections.Counter()
    for name, n in samples:
        total[name] += n
    everything = sum(total.values())
    return {k: v / everything for k, v in total.items()}, everything


def compare(what, ours, theirs, how, judge=None):
    """A row: shares of the functions that are the hottest in one of two views, and whether their order
    is the same: of neighbours that are further apart than a share may be off, and chance. The judge is
    the other view, if not given."""
    from rows import UNSURE, Row
    (a, n), (view, m) = ours, theirs
    c = judge or view
    hot = {k for x in (a, view) for k in sorted(x, key=lambda k: -x[k])[:8]}
    hot = sorted(hot, key=lambda k: -c.get(k, 0))

    def chance(k):
        """What lies between two such samples of one truth, at most, 99 times of 100."""
        share = c.get(k, 0)
        return 2.576 * math.sqrt(share * (1 - share) * (1 / n + 1 / m))

    def off(k):
        return abs(a.get(k, 0) - c.get(k, 0))
    worst = max(hot, key=off)
    apart = [(x, y) for x, y in zip(hot, hot[1:])
             if c.get(x, 0) - c.get(y, 0) > AGREE + chance(x)]
    order = all(a.get(x, 0) > a.get(y, 0) for x, y in apart)
    diff, noise = off(worst), chance(worst)
    ok = False
    if order and diff <= AGREE + noise:
        ok = True if diff <= AGREE else UNSURE
    return Row(f"agreement with {what}, shares of hot functions", "within 2 points, same order",
               f"{100 * diff:.2f} points at most ({worst}; chance alone: up to "
               f"{100 * noise:.2f}), order {'the same' if order else 'OTHER'}",
               ok, [how, f"{n} and {m} samples; the order of {len(apart)} of {len(hot) - 1} "
                    "neighbours can be told", *(
                        f"{k}: {100 * a.get(k, 0):.2f} % and {100 * view.get(k, 0):.2f} %" +
                        (f", by the clock {100 * c.get(k, 0):.2f} %" if judge else "")
                        for k in hot)])


def is_managed(frame):
    return frame[1].endswith((".py", ".java"))


def innermost(profile, plain):
    for s in profile.samples:
        mine = [f for f in s.frames if is_managed(f)]
        if mine:
            yield plain(mine[-1][0]), s.count


def two_views(b, seconds):
    """(samples, innermost functions that CPython wrote in the same seconds), or None: the handler of
    the signal crashed, as it now and then does when it reads a frame that is just being made."""
    path = os.path.join(b.work, "stacks")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # of the run before
    app = loads.start([loads.need("/usr/bin/python3"), f"{PYTHON}/app.py", 3 * seconds + 60,
                       "--stacks", path])
    try:
        loads.wait_until(lambda: app.poll() is not None or os.path.exists(path) and
                         os.path.getsize(path) > 100_000, 20, "the application's own samples")
        begin = os.path.getsize(path)
        try:
            p, _ = record(b.work, "-F", "997", "-p", app.pid, "-d", f"{seconds}s",
                          timeout=seconds + 60)
        except RuntimeError:  # before it began, perhaps
            if app.poll() is None:
                raise
            return None
        size = os.path.getsize(path) - begin
        if app.poll() is not None:
            return None
    finally:
        loads.end(app)
    with open(path, encoding="utf-8") as f:
        f.seek(begin)
        return p.samples, re.findall(r'most recent call first\):\n  File "[^"]*", line \d+ in (\S+)',
                                     f.read(size))


def python_agrees(b):
    """CPython samples itself: a timer's signal, and faulthandler's C code, which does not wait for the
    interpreter."""
    seconds, runs, crashes, samples, theirs = 6, 1 if b.quick else 10, 0, [], []
    while runs > 0 and crashes < 30:
        both = two_views(b, seconds)
        if both:
            runs -= 1
            samples += both[0]
            theirs += both[1]
        else:
            crashes += 1
    if runs:
        raise loads.Missing(f"the program that samples itself crashed {crashes} times")
    # It is no time of the program's that the handler takes, the more the deeper the stack is.
    p = types.SimpleNamespace(
        samples=[s for s in samples if not IN_HANDLER.search(";".join(s.stack))])
    return compare("CPython's faulthandler",
                   leaf_shares(innermost(p, lambda n: n.rpartition(".")[2])),
                   leaf_shares((n, 1) for n in theirs), "innermost Python function of one program, "
                   f"in the same {1 if b.quick else 10} times {seconds} s; faulthandler every "
                   f"4 ms, 997 Hz; it crashed {crashes} times, and was run again")


def nanoseconds(text):
    """Of a time as the flight recorder's tool writes it."""
    m = re.fullmatch(r"([^.]*)\.?(\d*)(Z|[-+]\d\d:\d\d)", text)
    whole = datetime.datetime.fromisoformat(m[1] + m[3].replace("Z", "+00:00"))
    return int(whole.timestamp()) * 10**9 + int(m[2].ljust(9, "0"))


def flight_samples(path, begin, end):
    """Stacks of the flight recorder's samples between two times, innermost method first: its name, and
    whether it is inlined into the next."""
    out = subprocess.run([loads.need("/usr/bin/jfr"), "print", "--json", "--stack-depth", "64",
                          "--events", "jdk.ExecutionSample", path], capture_output=True, text=True,
                         timeout=240, check=True).stdout
    for event in json.loads(out)["recording"]["events"]:
        v = event["values"]
        if begin <= nanoseconds(v["startTime"]) < end and v["stackTrace"]:
            yield [(f"{f['method']['type']['name'].replace('/', '.')}.{f['method']['name']}",
                    f["type"] == "Inlined") for f in v["stackTrace"]["frames"]]


def clock_of(said):
    """{method: share} of the program's parts by its own clock."""
    spent = {f"truth.App.{k}": int(v) for k, v in (ln.split() for ln in said.splitlines()
                                                   if re.fullmatch(r"[a-z]+ \d+", ln))}
    return {k: v / sum(spent.values()) for k, v in spent.items()}


def java_views(b, flags=()):
    """One program, seen by us and by the flight recorder in the same seconds: [(stack, count)] each,
    innermost first; the methods that the recorder saw in code of their own, mostly; how; the clock."""
    warm, seconds, path = 4, 6 if b.quick else 60, os.path.join(b.work, "flight.jfr")
    flight = (f"-XX:StartFlightRecording=settings=profile,filename={path},dumponexit=true,"
              "jdk.ExecutionSample#period=2ms")
    app = loads.start(java("truth.App", warm + seconds + 4, flags=(flight, *flags)),
                      stdout=subprocess.PIPE, text=True)
    time.sleep(warm)  # for the compilers
    p, _ = record(b.work, "-F", "997", "-p", app.pid, "-d", f"{seconds}s", timeout=seconds + 60)
    said = app.communicate(timeout=120)[0]
    theirs = list(flight_samples(path, p.start_ns, p.start_ns + p.duration_ns))
    inlined = collections.Counter()
    for name, is_inlined in itertools.chain(*theirs):
        inlined[name] += 1 if is_inlined else -1

    def plain(frame):
        return frame[0].partition("(")[0].rpartition(" ")[2].replace("/", ".")
    # The flight recorder looks at threads in Java code only, and has its own threads.
    mine = [([plain(f) for f in reversed(s.frames)], s.count) for s in p.samples
            if any("truth.App.main" in n for n in s.stack) and is_managed(s.frames[-1])]
    return (mine, [([name for name, _ in stack], 1) for stack in theirs],
            {name for name, n in inlined.items() if n < 0}, f"one program, in the same {seconds} s; JFR "
            "with its settings 'profile' and a period of 2 ms, 997 Hz", clock_of(said))


def part_of(stack, clock):
    """The part of the program that a stack is in; None: in none."""
    return next((f for f in reversed(stack) if f in clock), None)


def java_agrees(b):
    """Of inlined code the flight recorder takes the next place by address that the compiler wrote down
    (see clock_agrees()): what is compared is the innermost method that has code of its own. It can not
    begin a stack where code makes or leaves its frame, so it sees a third of fib(), which does little
    else, and more of the rest: how long the parts of the program take, the clock says; what a part's
    time goes into, the recorder."""
    mine, theirs, own, how, clock = java_views(b, (
        "-XX:CompileCommand=quiet", "-XX:CompileCommand=dontinline,truth.App::*"))

    def leaf(stack):
        return next((f for f in stack if f in own), stack[0])
    parts = {part: leaf_shares((leaf(stack), n) for stack, n in theirs if part_of(stack, clock) == part)
             for part in clock}
    judge = collections.Counter()
    for part, (shares, _) in parts.items():
        for k, share in shares.items():
            judge[k] += share * clock[part]
    return compare("JFR's ExecutionSample", leaf_shares((leaf(s), n) for s, n in mine),
                   leaf_shares((leaf(s), n) for s, n in theirs),
                   f"innermost Java method with code of its own of {how}", judge)


def clock_agrees(b):
    """Methods inlined as usual: whom the code belongs to is found from what little the compiler wrote
    down. The program looks at the clock between its parts."""
    from rows import UNSURE, Row
    mine, theirs, _, how, clock = java_views(b)

    def shares(samples):
        parts = ((part_of(stack, clock), n) for stack, n in samples)
        return leaf_shares((part, n) for part, n in parts if part)
    (ours, n), (jfr, m) = shares(mine), shares(theirs)

    def off(view):
        k = max(clock, key=lambda k: abs(view.get(k, 0) - clock[k]))
        return 100 * abs(view.get(k, 0) - clock[k]), k
    (worst, name), (other, other_name) = off(ours), off(jfr)
    noise = 100 * 2.576 * math.sqrt(clock[name] * (1 - clock[name]) / n)
    return Row("shares of a Java program's parts against its own clock, all inlined",
               "within 2 points", f"{worst:.2f} points at most ({name}; chance alone: up to "
               f"{noise:.2f}); JFR {other:.2f} ({other_name})",
               True if worst <= 2 else UNSURE if worst <= 2 + noise else False,
               [f"parts of {how}; {n} and {m} samples; clock, ours, JFR:",
                *(f"{k}: {100 * v:.2f} %, {100 * ours.get(k, 0):.2f} %, {100 * jfr.get(k, 0):.2f} %"
                  for k, v in clock.items())])


def agreement(b):
    return [python_agrees(b), java_agrees(b), clock_agrees(b)]


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


def agent_beside(b, what, limit, running, about):
    """A row: what the agent costs while these processes run."""
    from rows import UNSURE, Row, intervals_of
    with proc.bpf_time_accounted():
        agent = loads.Agent(b.work, interval=5 if b.quick else 15)
        uses, notes = intervals_of(agent, *((2, 2) if b.quick else (3, 6)))
        agent.stop()
    about = about()
    for p in running:
        loads.end(p)
    share, bpf, alone = (statistics.median(x[k] for x in uses) for k in (0, 1, 3))
    return Row(f"agent CPU beside {what}, 99 Hz", f"<= {limit} % of a core per busy core",
               f"{share:.3f} % (agent {alone:.3f} %), worst interval "
               f"{max(x[0] for x in uses):.3f} %; the samples themselves {bpf:.3f} %",
               True if share <= limit else UNSURE if alone <= limit else False,
               [about, *notes])


def one_jvm(b, listing, n):
    """A build server: its JVM never ends, and never comes to the end of compiling code."""
    path = os.path.join(b.work, "rounds")
    with open(path, "w", encoding="utf-8") as out:
        running = [loads.start(java("truth.Compile", listing, f"{b.work}/classes",
                                    os.cpu_count()), stdout=out)]
    begin = time.monotonic()

    def about():
        with open(path, encoding="utf-8") as f:
            lines = f.read().splitlines()
        if not lines:
            raise loads.Missing("the JVM did not come to the end of its first round")
        rounds, ms, loaded, unloaded = lines[-1].split()
        share = 100 * int(ms) / 1e3 / (time.monotonic() - begin) / os.cpu_count()
        if share < 5:
            raise loads.Missing(f"the JVM compiled code for {share:.1f} % of its time only")
        return (f"javac of the {n} files of commons-lang3 in {os.cpu_count()} threads of one JVM, "
                f"which loads and calls what it made: {rounds} rounds, {share:.0f} % of its time "
                f"in the JIT compilers, {loaded} classes loaded, {unloaded} unloaded")
    return agent_beside(b, "a JVM that compiles all the time", LONG_JVM, running, about)


def new_jvms(b, listing, n):
    running = [loads.again("/usr/bin/javac", "-nowarn", "-proc:none", "-d",
                           f"{b.work}/classes{i}", f"@{listing}") for i in range(os.cpu_count())]
    return agent_beside(b, "a new JVM every few seconds", NEW_JVMS, running, lambda: (
        f"javac of the {n} files of commons-lang3, {len(running)} at once, again and again: every "
        "method of each JVM is new, interpreted first, and compiled twice"))


def jvm_agent_cpu(b):
    loads.need("/usr/bin/javac")
    listing, n = sources(b)
    return [one_jvm(b, listing, n), new_jvms(b, listing, n)]


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


ROWS = {"frames": frame_cost, "agreement": agreement, "jvm": jvm_agent_cpu,
        "verifier": verifier}
