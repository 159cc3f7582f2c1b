# SPDX-License-Identifier: Apache-2.0
"""One function for each line of the table: it measures, and gives what came out beside the reach.
Each takes the Bench (options and a directory to work in) and returns a list of Row."""

import json
import math
import os
import re
import shutil
import statistics
import subprocess
import time

import loads
import proc
import rows_kube
import rows_many
import rows_overhead
import rows_runtimes
import rows_symbols
import rows_targets
from rows_containers import containers
from pprof import record
from rows_push import dead_endpoint
from lib import binomial_bound, fresh_copy, matches_chain, name_matches

UNSURE = "over, but what was measured can not tell"
Z99 = 2.576  # both sides of the normal distribution


class Row:
    """ok: True, False or UNSURE; None: not measured. notes: what a reader asks next."""

    failed = False

    def __init__(self, what, reach, measured, ok, notes=()):
        self.what, self.reach, self.measured, self.ok = what, reach, measured, ok
        self.notes = list(notes)


# ---- Cost of a sample --------------------------------------------------------------------------

def walk_cost(b):
    d = os.path.join(b.build, "tests", "bench")
    p = subprocess.run([loads.need(f"{d}/walk_cost"), f"{d}/walk_target_fp",
                        f"{d}/walk_target_nofp", str(3 if b.quick else 15)],
                       capture_output=True, text=True, timeout=300, check=True)
    rows, per = [], {}
    for line in p.stdout.splitlines():
        m = re.match(r"(\w+) per frame: walk (\S+) ns, .* pointers (\S+) ns, .* them (\S+) ns",
                     line)
        if m:
            per[m.group(1)] = [float(x) for x in m.groups()[1:]]
        f = line.split()
        if f[1:2] != ["fp"]:
            continue
        caches, depth, walk, q1, q3, fp, ratio = f[0], f[2], f[6], f[7], f[8], f[9], float(f[11])
        reach = 2 if caches == "warm" else 1.1
        rows.append(Row(f"BPF time per sample, {depth} frames, {caches}",
                        f"<= {reach}x of bpf_get_stack", f"{walk} ns ({q1}..{q3}) / {fp} ns = "
                        f"{ratio:.2f}x ({f[12]}..{f[13]})", ratio <= reach))
    rows[-1].notes = p.stdout.splitlines()
    rows.append(Row("per additional native frame, warm", "<= 90 ns",
                    f"{per['warm'][2]:.0f} ns (with frame pointers {per['warm'][0]:.0f} ns, "
                    f"bpf_get_stack {per['warm'][1]:.0f} ns)",
                    max(per["warm"][0], per["warm"][2]) <= 90))
    return rows


# ---- Cost of the agent -------------------------------------------------------------------------

class CpuUse:
    """What the agent, its child and its BPF programs use between two moments."""

    def __init__(self, pid):
        self.pid = pid
        self.t0, self.at0 = time.monotonic(), self.read()

    def read(self):
        return (*proc.family_cpu_ns(self.pid), *proc.programs_time(self.pid),
                *(s * 1e9 for s in proc.cpu_seconds()))

    def per_busy_core(self):
        """Shares of one core for each busy core, in %: of agent and parser, of the BPF programs;
        the rest as text; of the agent alone."""
        d = [x - y for x, y in zip(self.read(), self.at0)]
        main, child, bpf, runs, busy, stolen = d
        wall = (time.monotonic() - self.t0) * 1e9
        text = (f"{wall / 1e9:.0f} s, {busy / wall:.2f} cores busy ({100 * stolen / wall:.1f} % "
                f"stolen by the hypervisor); agent {main / 1e6:.1f} ms, parser {child / 1e6:.1f} "
                f"ms, BPF {bpf / 1e6:.1f} ms in {runs} runs = {bpf / max(runs, 1):.0f} ns each")
        return 100 * (main + child) / busy, 100 * bpf / busy, text, 100 * main / busy


def intervals_of(agent, warm, n):
    """CpuUse of each of n intervals from one push to the next, and a line for each."""
    agent.wait_push(warm)
    uses, notes = [], []
    for i in range(n):
        use, files = CpuUse(agent.pid), len(os.listdir(agent.cache))
        agent.wait_push(warm + i + 1)
        uses.append(use.per_busy_core())
        notes.append(f"{uses[-1][0]:.3f} %: {uses[-1][2]}; "
                     f"{len(os.listdir(agent.cache)) - files} new files read")
    return uses, notes


def agent_cpu(b):
    running, missing = loads.several(
        (loads.fixture, "split"), (loads.python,), (loads.compiler, "/usr/bin/g++"),
        *[(loads.fixture, "split")] * (os.cpu_count() - 2))
    with proc.bpf_time_accounted():
        agent = loads.Agent(b.work, interval=5 if b.quick else 15)
        uses, notes = intervals_of(agent, *((2, 2) if b.quick else (4, 8)))
        agent.stop()
    for p in running:
        loads.end(p)
    share, bpf, alone = (statistics.median(x[k] for x in uses) for k in (0, 1, 3))
    steady = any(n.endswith("; 0 new files read") for n in notes)
    return [Row("agent CPU at full load, 99 Hz, steady", "<= 0.1 % of a core per busy core",
                f"{share:.3f} % (agent {alone:.3f} %, the rest its parser), worst interval "
                f"{max(x[0] for x in uses):.3f} %; the samples themselves {bpf:.3f} %",
                True if share <= 0.1 else UNSURE if alone <= 0.1 and not steady else False,
                ["load: split, python, g++ again and again; each interval from one push to "
                 "the next, after a warm-up; the median counts. Files never seen before come from "
                 "builds elsewhere on the machine", *notes, *missing])]


def biggest(pid, n=8):
    parts = sorted(proc.pss_by_mapping(pid).items(), key=lambda x: -x[1])[:n]
    return ", ".join(f"{k} {v / 1000:.1f}" for k, v in parts)


def by_process(agent):
    return "; ".join(f"{'agent' if p == agent.pid else 'parser'}: {biggest(p)}"
                     for p in proc.family(agent.pid))


class Peak:
    """The highest PSS, what it was, and the highest sum of each process's own peak of RSS."""

    def __init__(self, agent, seconds):
        self.pss = self.hwm = 0
        self.what = ""
        while time.monotonic() < agent.began + seconds:
            agent.pushes()
            try:
                self.look(agent)
            except OSError:
                pass  # a child has ended
            time.sleep(0.05)

    def look(self, agent):
        pss, family = proc.pss_mb(agent.pid), proc.family(agent.pid)
        self.hwm = max(self.hwm, sum(proc.status_kb(p, "VmHWM") * 1024 / 1e6 for p in family))
        if pss > self.pss:
            self.pss = pss
            self.what = by_process(agent)


def largest_maps(pid):
    maps = sorted(proc.bpf_objects(pid)[0].values(), key=lambda m: -int(m["memlock"]))[:8]
    return "largest maps in MB: " + ", ".join(
        f"type {m['map_type']} {m['key_size']}+{m['value_size']} x {m['max_entries']}: "
        f"{int(m['memlock']) / 1e6:.1f}" for m in maps)


def agent_memory(b):
    running, missing = loads.several((loads.java, b.work), (loads.node,),
                                     (loads.compiler, "/usr/bin/clang"), (loads.python,))
    after = 22 if b.quick else 600
    with proc.bpf_time_accounted():
        agent = loads.Agent(b.work)
        peak = Peak(agent, 20)
        agent.wait_push(1)
        use = CpuUse(agent.pid)
        loads.wait_until(lambda: agent.pushes() and time.monotonic() > agent.began + after,
                         after + 60, "the run")
        share, bpf, text, _ = use.per_busy_core()
    pss, maps = proc.pss_mb(agent.pid), proc.maps_mb(agent.pid)
    mapped = proc.pss_by_mapping(agent.pid).get("mapped BPF maps", 0) * 1024 / 1e6
    parts, top = by_process(agent), largest_maps(agent.pid)
    agent.stop()
    for p in running:
        loads.end(p)
    return [
        Row(f"agent memory, PSS of all processes after {after} s", "<= 30 MB",
            f"{pss:.1f} MB ({mapped:.1f} MB of it are BPF maps, counted below)", pss <= 30,
            ["in MB: " + parts, "load: JVM, node, clang again and again, python",
             f"CPU in this run: {share:.3f} % of a core per busy core, samples {bpf:.3f} %; {text}",
             *missing]),
        Row("agent memory, kernel maps", "<= 24 MB", f"{maps:.1f} MB", maps <= 24, [top]),
        Row("agent memory, peak of the first 20 s", "<= 60 MB",
            f"{peak.pss:.1f} MB PSS (sum of each one's own peak RSS: {peak.hwm:.1f} MB)",
            peak.pss <= 60, ["the cache directory was empty; PSS read every 50 ms",
                             "at the peak, in MB: " + peak.what]),
    ]


# ---- Completeness ------------------------------------------------------------------------------

PROGRAMS = [("C", "chain"), ("C++", "cxx"), ("Rust", "rust"), ("Go", "golang"),
            ("musl", "chain_musl"), ("musl, static", "chain_musl_static")]


def complete(b):
    notes, whole, total, missing = [], 0, 0, []
    for language, name in PROGRAMS:
        try:
            target = loads.fixture(name)
        except loads.Missing as e:
            missing.append(language)
            notes.append(f"{language}: {e}")
            continue
        p, _ = record(b.work, "-p", target.pid, "-F", 499, "-d", f"{2 if b.quick else 15}s",
                      timeout=60)
        loads.end(target)
        n, all_n = p.count(lambda s: s.whole()), p.total
        main = p.count(lambda s: s.whole() or any(
            name_matches(x, f) for f in s.stack for x in ("main", "chain_thread")))
        whole, total = whole + n, total + all_n
        why = ", ".join(f"{k} {v}" for k, v in p.reasons()[:3])
        notes.append(f"{language} ({name}): {100 * n / max(all_n, 1):.2f} % of {all_n}; "
                     f"reach main or the thread's function {100 * main / max(all_n, 1):.2f} %"
                     + (f"; else {why}" if why else ""))
    share = 100 * whole / max(total, 1)
    return [Row("complete stacks, -O2 without frame pointers", ">= 99.5 % of samples",
                f"{share:.2f} % of {total}" + (f" (without {', '.join(missing)})" if missing else
                                               ""), share >= 99.5 and not missing, notes)]


def fork_storm(b):
    count = 300 if b.quick else 2000
    program = fresh_copy("storm_child", os.path.join(b.work, "storm_child"))
    cache = os.path.join(b.work, "storm_cache")
    shutil.rmtree(cache, ignore_errors=True)
    storm = loads.need(os.path.join(os.environ["FIXTURES"], "storm"))
    p, out = record(b.work, "-F", 499, "--cache-dir", cache, "--", storm, program, count, "2",
                    "10", timeout=180)
    report = json.loads([ln for ln in out.splitlines() if ln.startswith('{"processes"')][0])
    own = lambda s: s.comm == "storm_child"
    total = p.count(own)
    good = p.count(lambda s: own(s) and s.whole() and not s.nameless())
    whole = p.count(lambda s: own(s) and s.whole())
    work = lambda s: own(s) and any(f in ("storm_work", "storm_leaf") for f in s.stack)
    n_work = p.count(work)
    chain = p.count(lambda s: work(s) and s.whole() and
                    matches_chain(s.stack, ["_start", "main", "storm_work"]))
    used = sum(report["cpu_us"]) / 1e6
    share = 100 * good / max(total, 1)
    nameless, exports = {}, 0
    for s in filter(own, p.samples):
        exports += s.count * any("+0x" in f for f in s.stack)
        for f in s.nameless():
            nameless[f] = nameless.get(f, 0) + s.count
    notes = [f"{total} samples of {count} processes, which used {used:.2f} s of CPU by their exit "
             f"records: {100 * total / 499 / max(used, 1e-9):.1f} % of it",
             f"begin at the entry: {100 * whole / max(total, 1):.2f} %; of the program's own work "
             f"_start > main > storm_work: {100 * chain / max(n_work, 1):.2f} % of {n_work}"]
    why = p.reasons(own)[:4]
    if why:
        notes.append("not whole: " + ", ".join(f"{k} {v}" for k, v in why))
    notes.append(f"{exports} have a frame in libc or the dynamic linker that these files hold no "
                 "name for (shown as module+0xoffset; not held against them)")
    if nameless:
        top = sorted(nameless.items(), key=lambda x: -x[1])[:4]
        notes.append("without a name: " + ", ".join(f"{k} {v}" for k, v in top))
    return [Row(f"fork storm, {count} x 10 ms, a new program",
                ">= 99 % of its samples whole, named",
                f"{share:.2f} % of {total}", share >= 99, notes)]


def known_split(b):
    target = loads.fixture("split", str(8 if b.quick else 25))
    p, _ = record(b.work, "-p", target.pid, "-F", 997, "-d", f"{4 if b.quick else 20}s",
                  timeout=60)
    out, _ = target.communicate(timeout=40)
    truth = json.loads(out.splitlines()[-1])["shares"]
    own = [s for s in p.samples if "split_round" in s.stack]
    total, ok, parts = sum(s.count for s in own), True, []
    for name, share in truth.items():
        got = sum(s.count for s in own if name in s.stack) / max(total, 1)
        bound = binomial_bound(share["cpu"], max(total, 1))
        ok = ok and abs(got - share["cpu"]) <= bound
        parts.append(f"{100 * got:.2f} % (is {100 * share['cpu']:.2f} +- {100 * bound:.2f})")
    return [Row("known split 60/30/10", "within the binomial 99 % bound", ", ".join(parts), ok,
                [f"{total} samples; the truth is the CPU time that the program measured itself"])]


# ---- Against the scheduler ---------------------------------------------------------------------

def compare_cpu(b, hz, what, pinned):
    """All processes of the host for a while; what the profile says and what the scheduler says."""
    seconds = 6 if b.quick else 60
    watch = proc.Watch()
    p, _ = record(b.work, "-a", "-F", hz, "-d", f"{seconds}s", timeout=seconds + 60)
    watch.stop()
    end_ns = p.start_ns + min(p.duration_ns, seconds * 10**9)
    used = watch.used_s(p.start_ns, end_ns)
    wall = (end_ns - p.start_ns) / 1e9
    lines, worst, far = [], 0, 0
    for pid, cpu in sorted(used.items(), key=lambda x: -x[1]):
        if cpu < 1:
            continue
        mine = [s for s in p.samples if s.pid == pid]
        n = sum(s.count for s in mine)
        got = n * p.period / 1e9
        deviation = 100 * (got - cpu) / cpu
        expected = 100 * Z99 * math.sqrt(max(1 - cpu / wall, 0) / max(n, 1))
        if not pinned or pid in pinned:
            worst = deviation if abs(deviation) > abs(worst) else worst
            far += abs(deviation) > max(2, expected)
        lines.append(f"{mine[0].comm if mine else pid}: {got:.2f} s, scheduler {cpu:.2f} s: "
                     f"{deviation:+.2f} % (99 % of such draws are within {expected:.2f})")
    if not lines:
        raise RuntimeError("no process used a CPU-second")
    return Row(f"samples x period against CPU time, {what}, {hz} Hz, {seconds} s",
               "within 2 % over 1 CPU-second", f"worst of {len(pinned) or len(lines)}: "
               f"{worst:+.2f} %" + (f"; {far} beyond 2 % and the sampling error" if far else ""),
               True if abs(worst) <= 2 else False if far else UNSURE, lines[:12])


def scheduler(b):
    rows, cpus = [], sorted(os.sched_getaffinity(0))
    running = []
    for cpu in cpus:
        running.append(loads.fixture("split"))
        os.sched_setaffinity(running[-1].pid, {cpu})
    rows.append(compare_cpu(b, 99, "one process a CPU", {p.pid for p in running}))
    running += [loads.fixture(n) for n in ("thrash", "vdso", "cxx")] + [loads.python()]
    rows.append(compare_cpu(b, 997, "processes that share CPUs", ()))
    for p in running:
        loads.end(p)
    return rows


def first_push(b):
    took = []
    busy = loads.fixture("split")  # so that there is something to push
    for _ in range(1 if b.quick else 3):
        agent = loads.Agent(b.work, interval=5)
        took.append(agent.wait_push(1, timeout=30))
        code = agent.stop()
        if code:
            raise RuntimeError(f"the agent ended with {code}")
    loads.end(busy)
    return [Row("start to first pushed profile, interval 5 s", "<= 6 s",
                ", ".join(f"{t:.2f} s" for t in took), max(took) <= 6,
                ["from fork() of the agent to the receiver having checked the profile; no cache"])]


def scrape(b):
    """What a scrape costs the agent that profiles a busy host, as it counts itself."""
    busy = loads.fixture("split")
    agent = loads.Agent(b.work, interval=5)
    try:
        agent.wait_push(1, timeout=30)
        n, counters = 20 if b.quick else 200, []
        for i in range(n + 1):
            text = agent.get("/metrics")
            if i in (0, n):
                counters.append([float(re.search(rf"^{name} (\S+)$", text, re.M).group(1))
                                 for name in ("tephra_scrape_seconds_total", "tephra_scrapes_total")])
        agent.stop()
    finally:
        loads.end(busy)
    ms = (counters[1][0] - counters[0][0]) / (counters[1][1] - counters[0][1]) * 1e3
    return [Row("a scrape of /metrics", "< 5 ms", f"{ms:.2f} ms", ms < 5,
                [f"{len(text.splitlines())} lines, {len(text)} bytes"])]


# ---- Targets -----------------------------------------------------------------------------------

def relabel_cost(b):
    program = loads.need(os.path.join(b.build, "tests", "bench", "relabel_cost"))
    out = subprocess.run([program, "3" if b.quick else "15"], capture_output=True, text=True,
                         timeout=120, check=True).stdout
    runs = {}
    for line in out.splitlines():
        what, *figures = line.split()
        runs.setdefault(what, []).append([float(x) for x in figures[:4]] + figures[4:])

    def ms(what):
        return (f"{statistics.median(r[0] for r in runs[what]):.0f} ms "
                f"({min(r[0] for r in runs[what]):.0f}..{max(r[0] for r in runs[what]):.0f})")
    peak = max(r[1] for r in runs["cluster"])
    fast = statistics.median(r[0] for r in runs["cluster"]) < 200
    bounded = max(r[0] for r in runs["wide"]) < 5000 and all(
        r[4] == "unhealthy" for r in runs["wide"])
    return [Row("5,000 targets of 35 labels, 10 rules", "< 200 ms, < 20 MB",
                f"{ms('cluster')}, {peak * 1.048576:.1f} MB", fast and peak * 1.048576 < 20,
                ["from the new list to the output of discovery.relabel, both lists in memory; the "
                 "labels are those of Kubernetes' pod role; 10 of the output's are new"]),
            Row("5,000 targets, rules that explode elsewhere", "as long as any other",
                f"{ms('explosive')}; over its budget: refused after {ms('wide')}",
                bounded and statistics.median(r[0] for r in runs["explosive"]) < 200,
                ["(x+x+)+y, ((((x*)*)*)*)*y and (x|xx|x+)*(.*)*y on 140 times x; then "
                 "(.*x.*x){500}y, 1.2 MB of instructions"])]


# ---- Configuration -----------------------------------------------------------------------------

def config_load(b):
    """A configuration of 2,000 lines: to a graph, and to the same graph again; and one of errors."""
    p = subprocess.run([loads.need(f"{b.build}/tests/bench/config_load"), "5" if b.quick else "50"],
                       capture_output=True, text=True, timeout=300, check=True)
    f = json.loads(p.stdout)
    memory = f"{f['kib']} KiB"
    return [
        Row(f"load {f['lines']:,} lines of configuration", "< 50 ms",
            f"{f['load_ms']:.1f} ms ({f['components']} components, {memory})", f["load_ms"] < 50),
        Row("reload it, nothing changed", "< 50 ms", f"{f['reload_ms']:.1f} ms",
            f["reload_ms"] < 50),
        Row(f"{f['errors']:,} errors in one file", "< 50 ms", f"{f['errors_ms']:.1f} ms "
            f"({f['errors_kib']} KiB)", f["errors_ms"] < 50),
    ]


ROWS = {"walk": walk_cost, "cpu": agent_cpu, "memory": agent_memory, "complete": complete,
        "storm": fork_storm, "split": known_split, "scheduler": scheduler, "push": first_push,
        "outage": dead_endpoint, "scrape": scrape, "relabel": relabel_cost,
        "config": config_load,
        "filter": rows_targets.unmatched, "reload": rows_targets.reloads,
        "kube": rows_kube.pods_of_a_cluster, "containers": containers,
        **rows_runtimes.ROWS, **rows_overhead.ROWS, **rows_many.ROWS, **rows_symbols.ROWS}
