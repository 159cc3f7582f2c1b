# SPDX-License-Identifier: Apache-2.0
"""What names cost and whether they are right: beside binutils, elfutils, LLVM and Go's own tool."""

import glob
import json
import os
import re
import shutil
import statistics
import subprocess
import time

import disputes
import loads
import pprof  # noqa: F401, it knows where tests/live is
import proc
import lines

LLVM = "/usr/lib/x86_64-linux-gnu/libLLVM-14.so.1"
CXX = "/usr/lib/x86_64-linux-gnu/debug/libstdc++.so.6.0.30"
DEBUG = "usr/lib/debug/.build-id"
TOOLS = ["addr2line", "eu-addr2line", "llvm-symbolizer", "go"]
FILES = 1000


def row(*args):
    from rows import Row  # rows.py imports this file
    return Row(*args)


def package(b, name):
    """A Debian package, unpacked; kept in the build directory."""
    to = os.path.join(b.build, "packages", name)
    if not os.path.isdir(to):
        work = os.path.join(b.work, name)
        os.makedirs(work)
        if subprocess.run(["apt-get", "download", name], cwd=work, capture_output=True,
                          check=False).returncode:
            raise loads.Missing(f"package {name} can not be had")
        os.makedirs(os.path.dirname(to), exist_ok=True)
        lines.sh("dpkg-deb", "-x", glob.glob(f"{work}/*.deb")[0], to + ".part")
        os.rename(to + ".part", to)
    return to


def debug_file_of(root, program):
    build_id = re.search(r"Build ID: ([0-9a-f]+)", lines.sh("readelf", "-n", program))[1]
    path = os.path.join(root, DEBUG, build_id[:2], build_id[2:] + ".debug")
    if not os.path.exists(path):
        raise loads.Missing(f"{program} is of another build than its debug package")
    return path


def build_rust(b):
    out = os.path.join(b.work, "rust")
    src = os.path.join(os.path.dirname(lines.__file__), "..", "fixtures", "rust.rs")
    lines.sh(loads.need(shutil.which("rustc") or "rustc"), "-g", "-O", "-o", out, src)
    return out


def subjects(b):
    """(name, file to ask the tools about, program and debug directory for ours, tools)"""
    libc = glob.glob("/lib/*-linux-gnu/libc.so.6")[0]
    found, missing = [], []

    def add(name, fn, tools=tuple(TOOLS[:3])):
        try:
            found.append((name, *fn(), tools))
        except (loads.Missing, subprocess.CalledProcessError) as e:
            missing.append(f"{name}: {e}")

    def of_libc():
        root = package(b, "libc6-dbg")
        return debug_file_of(root, libc), libc, os.path.join(root, "usr/lib/debug")
    add("libc", of_libc)
    add("libstdc++", lambda: (loads.need(CXX), None, None))
    add("Rust", lambda: (build_rust(b), None, None))
    go = os.path.join(os.environ["FIXTURES"], "golang")
    add("Go", lambda: (loads.need(go), None, None), TOOLS)
    add("libLLVM, stripped", lambda: (loads.need(LLVM), None, None))
    return found, missing


def ask_all(subject, n, rounds=1, leave_out=()):
    """{tool: ({address: frames}, the least seconds)}"""
    name, path, program, where, tools = subject
    addresses = lines.text_addresses(program or path, n)
    said = {}
    for tool in ("tephra", *(t for t in tools if t not in leave_out)):
        took = []
        for _ in range(rounds):
            t0 = time.monotonic()
            answer = lines.ask(path, tool, addresses, *(
                (where, program) if tool == "tephra" else ()))
            took.append(time.monotonic() - t0)
        said[tool] = answer, min(took)
    return said


def cold(subject, n=10000):
    """elfutils takes seconds; Go's tool does less: no inlined functions."""
    said = ask_all(subject, n, 5, ("eu-addr2line", "go"))
    mine = said["tephra"][1]
    others = {t: said[t][1] / mine for t in said if t != "tephra"}
    return row(f"{n:,} lookups, cold: {subject[0]}", "faster than addr2line, llvm",
               f"{mine * 1000:.0f} ms; " + ", ".join(f"{t} {r:.1f} x" for t, r in others.items()),
               min(others.values()) > 1,
               ["a fresh process each, files in the page cache, no table cached; the best of five, "
                "with the parsing of the output"])


def agreement(b):
    n = 1000 if b.quick else 10000
    found, missing = subjects(b)
    rows, speed = [], []
    for s in found:
        name, path, program, _, tools = s
        said, names = ask_all(s, n), lines.Names(path, *([program] if program else []))
        ours = said["tephra"][0]
        result = {t: lines.compare(ours, said[t][0], names, t) for t in tools}
        judge = disputes.Judge(path, names)
        notes, unexplained = [], set()
        for t, (wrong, silent) in result.items():
            classes = judge.sort(t, wrong)
            notes.append(f"{t}: {len(wrong)} differ, {silent} it knows less of")
            notes += disputes.notes(t, classes)
            unexplained |= {w[0] for w in classes.get(disputes.OPEN, ())}
        rows.append(row(f"same answers: {name}, {n:,} addresses", ">= 99.9 %",
                        f"{100 - 100 * len(unexplained) / n:.2f} % same or the tool is wrong; same: "
                        + ", ".join(f"{t} {100 - 100 * len(r[0]) / n:.2f}"
                                    for t, r in result.items()),
                        len(unexplained) <= n / 1000, notes))
        speed.append(cold(s))
    if not rows:
        raise loads.Missing("; ".join(missing))
    rows[0].notes += missing
    return rows + speed


def cost(b, what, path, n=1000):
    text = lines.as_input(lines.text_addresses(path, n)) if n else ""
    p = subprocess.run([loads.need(f"{b.build}/tests/bench/symbols_cost"), what, path], input=text,
                       capture_output=True, text=True, timeout=120, check=False)
    return json.loads(p.stdout)


def symtab_bytes(path):
    total = 0
    for s in (".symtab", ".strtab"):
        m = re.search(rf"\] {re.escape(s)} +\w+ +[0-9a-f]+ [0-9a-f]+ ([0-9a-f]+)",
                      lines.sh("readelf", "-SW", path))
        total += int(m[1], 16) if m else 0
    return total


def warm_and_size(b):
    rows = []
    for name, path in (("libstdc++", CXX), ("tephra", os.environ["TEPHRA"])):
        table, answers = cost(b, "file", loads.need(path), 10000), cost(b, "lines", path, 10000)
        worst = max(table["lookup_ns"], answers["lookup_ns"])
        rows.append(row(f"a lookup, warm: {name}", "< 1 us",
                        f"symbol {table['lookup_ns']:.0f} ns, lines {answers['lookup_ns']:.0f} ns",
                        worst < 1000, ["10,000 random addresses, 100 rounds"]))
    for name, path in (("libstdc++", CXX), ("tephra", os.environ["TEPHRA"]),
                       ("Go", os.path.join(os.environ["FIXTURES"], "golang")),
                       ("Rust", build_rust(b))):
        t, whole = cost(b, "file", loads.need(path), 0), symtab_bytes(path)
        share = 100 * t["bytes"] / whole
        rows.append(row(f"names of {name} in the table", "<= 60 % of .symtab + .strtab",
                        f"{share:.0f} %: {t['bytes'] / t['symbols']:.1f} bytes a function of "
                        f"{t['symbols']:,}", share <= 60))
    return rows


def child_memory(b):
    rows = []

    def add(name, fn, kinds):
        try:
            path = fn()
        except loads.Missing as e:
            rows.append(row(f"the child: {name}", "", f"not measured: {e}", None))
            return
        for what in kinds:
            c = cost(b, what, path)
            done = "" if c["r"] == 0 else f", error {c['r']}"
            rows.append(row(f"the child: {name}, {what}", "<= 500 MB",
                            f"{c['peak_kib'] * 1024 / 1e6:.0f} MB, {c['child_ms']:,.0f} ms{done}",
                            c["peak_kib"] * 1024 / 1e6 <= 500))

    def biggest(root):
        return max(glob.glob(f"{root}/{DEBUG}/*/*.debug"), key=os.path.getsize)
    libc = glob.glob("/lib/*-linux-gnu/libc.so.6")[0]
    add("libLLVM", lambda: loads.need(LLVM), ["file"])
    add("libstdc++ debug", lambda: loads.need(CXX), ["file", "debug", "lines"])
    add("libc debug", lambda: debug_file_of(package(b, "libc6-dbg"), libc), ["debug", "lines"])
    if not b.quick:
        add("libjvm debug, 156 MB compressed", lambda: biggest(package(b, "openjdk-17-dbg")),
            ["debug", "lines"])
    return rows


LIBRARY = """
#define P(x) static __attribute__((noinline, used)) int work_0000_##x(int n) {{ return n * x + 1; }}
{many}
static __attribute__((noinline, used)) int work_0000(int n)
{{
	volatile int s = 0;
	for (int i = 0; i < n; i++)
		s += i;
	return s;
}}
int entry(int n) {{ return work_0000(n) + 1; }}
"""
PROGRAM = """
#include <dlfcn.h>
#include <stdio.h>
int main(int argc, char **argv)
{
	static int (*entries[4096])(int);
	int n = 0;
	char path[4096];
	for (; n < 4096; n++) {
		snprintf(path, sizeof(path), "%s/lib%04d.so", argv[1], n);
		void *h = dlopen(path, RTLD_NOW | RTLD_LOCAL);
		if (!h)
			break;
		entries[n] = dlsym(h, "entry");
	}
	printf("%d\\n", n);
	fflush(stdout);
	for (;;)
		for (int i = 0; i < n; i++)
			entries[i](1000000);
}
"""


def make_libraries(b, n):
    """n shared objects that differ in build id and names; the program that runs code in all."""
    d = os.path.join(b.work, "libraries")
    os.makedirs(d)
    build_id = bytes.fromhex("ab" * 20)
    for name, text in (("lib.c", LIBRARY.format(many="\n".join(f"P({i})" for i in range(200)))),
                       ("main.c", PROGRAM)):
        with open(os.path.join(d, name), "w", encoding="ascii") as f:
            f.write(text)
    lines.sh("gcc", "-O1", "-g", "-shared", "-fPIC", f"-Wl,--build-id=0x{build_id.hex()}", "-o",
             f"{d}/lib", f"{d}/lib.c")
    lines.sh("gcc", "-O1", "-o", f"{d}/main", f"{d}/main.c", "-ldl")
    with open(f"{d}/lib", "rb") as f:
        image = f.read()
    for i in range(n):
        with open(f"{d}/lib{i:04d}.so", "wb") as f:
            f.write(image.replace(build_id, i.to_bytes(20, "big")).replace(
                b"work_0000", b"work_%04d" % i))
    return d


def resident_mb(pid):
    return (proc.status_kb(pid, "RssAnon") + proc.status_kb(pid, "RssShmem")) * 1024 / 1e6


def one_process(pid):
    """As `targets` of an agent: what else runs on this host takes memory, too."""
    return f'{{"__process_pid__" = "{pid}", "service_name" = "bench"}}'


def many_files(b):
    d = make_libraries(b, FILES)
    agent = loads.Agent(b.work, hz=997, interval=5 if b.quick else 10,
                        targets=one_process(os.getpid()))
    try:
        agent.wait_push(2)
        before = max(resident_mb(agent.pid) for _ in range(20) if not time.sleep(0.05))
        start = loads.start([f"{d}/main", d], stdout=subprocess.PIPE, text=True)
        mapped = int(start.stdout.readline())
        agent.reload(agent.interval, 997, one_process(start.pid))
        done, peak, after = len(agent.pushes()) + 4, 0, []
        while len(agent.pushes()) < done:
            after.append(resident_mb(agent.pid))
            peak = max(peak, after[-1])
            time.sleep(0.1)
        seen = [int(n) for n in re.findall(r'"mappings": (\d+)', json.dumps(agent.profiles()))]
    finally:
        agent.stop()
    grown = statistics.median(after[-20:]) - before
    return [row(f"memory for {mapped:,} mapped files", "< 10 MB beyond file-backed pages",
                f"{grown:.1f} MB at rest, {peak - before:.1f} MB at the peak",
                grown < 10, [f"{max(seen)} files in one profile; before: {before:.1f} MB "
                             "(RssAnon + RssShmem)"])]


ROWS = {"symbols": agreement, "lookups": warm_and_size, "child": child_memory, "files": many_files}
