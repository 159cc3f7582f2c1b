# SPDX-License-Identifier: Apache-2.0
"""The command line of `tephra record`: what is profiled, output formats, messages, exit codes."""

import json
import os
import re
import signal
import subprocess
import time

from lib import (TEPHRA, Folded, Skip, Target, assert_chains, assert_complete,
                 assert_sample_count, case, check, fixture_path, fresh_copy, matches_chain,
                 need_program, read_pprof, record, spawn, stolen_s, tephra, wait_for)


@case
def a_command_until_it_ends():
    r = record("--", fixture_path("split"), "2", d=None, f=499)
    folded = r.folded()
    own = folded.containing("split_round")
    # What it says itself of the CPU time it got: other work may have had the rest of the 2 s.
    cpu_s = json.loads(r.out.strip().splitlines()[-1])["cpu_s"]
    check(own.total >= 0.9 * cpu_s * 499,
          f"{own.total} samples of {cpu_s:.2f} CPU-seconds\n{folded.show()}")
    # From its first instruction: the dynamic linker's work before main belongs to it.
    assert_complete(folded, at_least=0.99)
    check(r.wall < 8, f"took {r.wall:.1f} s for a command of 2 s")


@case
def a_command_keeps_its_output_and_status():
    r = tephra("record", "-F", 99, "-o", "x.folded", "--", "/bin/sh", "-c", "echo hello; exit 3",
               expect=None)
    check("hello" in r.out, f"the command's output is gone\n{r!r}")
    r = tephra("record", "-F", 99, "-o", "y.folded", "--", "/nonexistent/program", expect=1)
    check("/nonexistent/program" in r.err, f"the message does not name the program\n{r!r}")


@case
def several_pids():
    a, b = Target("split"), Target("thrash")
    folded = record("-p", a.pid, "-p", b.pid).folded()
    for leaf in ("split_sixty", "thrash_walk"):
        check(folded.containing(leaf).total > 15, f"{leaf} is missing:\n{folded.show()}")


@case
def only_the_named_pid():
    a, b = Target("split"), Target("thrash")
    folded = record("-p", a.pid).folded()
    check(folded.containing("thrash_walk").total == 0, "another process is in the profile")
    check(b.proc.poll() is None, "the other process ended")


@case
def kernel_frames_when_asked():
    t = Target("vdso")
    p = spawn(["dd", "if=/dev/zero", "of=/dev/null", "bs=1"], stderr=subprocess.DEVNULL)
    yes = record("-p", p.pid, "--kernel=yes", out="yes.folded").folded()
    no = record("-p", p.pid, "--kernel=no", out="no.folded").folded()
    t.stop()

    def kernel(s):
        return any(re.search(r"(do_syscall_64|entry_SYSCALL|ksys_|vfs_(read|write))", f)
                   for f in s)
    check(yes.count(kernel) > 0.3 * yes.total, "no kernel frames:\n" + yes.show())
    check(no.count(kernel) == 0, "kernel frames despite --kernel=no:\n" + no.show())


@case
def whole_host():
    a, b = Target("split"), Target("cxx")
    r = record("-a", d=4, f=199)
    folded = r.folded()
    for leaf in ("split_sixty", "fixture::handler()"):
        check(folded.containing(leaf).total > 20, f"{leaf} is missing:\n{folded.show()}")
    assert_complete(folded.only(lambda s: "split_round" in s or "fixture::round()" in s))
    check(b.proc.poll() is None and a.proc.poll() is None, "a profiled program ended")


@case
def children_of_a_command_are_profiled():
    script = f"{fixture_path('split')} 1 & {fixture_path('vdso')} 1 & wait"
    folded = record("--", "/bin/sh", "-c", script, d=None).folded()
    for leaf in ("split_sixty", "vdso_loop"):
        check(folded.containing(leaf).total > 15, f"{leaf} is missing:\n{folded.show()}")


@case
def interrupt_writes_the_result():
    t = Target("split")
    p = spawn([TEPHRA, "record", "-p", t.pid, "-d", "60s", "-F", "499", "-o", "int.folded"],
              stderr=subprocess.PIPE)
    # Sampling has begun when its BPF programs use CPU time, which only their loader can see;
    # two seconds of the target's CPU time are the same for a person.
    start = t.cpu_s()
    wait_for(lambda: t.cpu_s() - start > 2, 15, "two seconds of work")
    p.send_signal(signal.SIGINT)
    _, err = p.communicate(timeout=15)
    check(p.returncode == 0, f"exit code {p.returncode} after Ctrl-C: {err!r}")
    with open("int.folded") as f:
        folded = Folded.parse(f.read())
    check(folded.containing("split_sixty").total > 15, folded.show())


@case
def output_formats():
    t = Target("split")
    for name, fmt in (("a.folded", None), ("a.pb.gz", None), ("a.pprof", None), ("a.svg", None),
                      ("a.html", None)):
        record("-p", t.pid, d=1, out=name)
        with open(name, "rb") as f:
            data = f.read()
        if name.endswith((".pb.gz", ".pprof")):
            fields = read_pprof(name)
            strings = [v.decode("utf-8") for n, v in fields if n == 6]
            check(strings[0] == "" and "split_sixty" in strings and "nanoseconds" in strings,
                  f"strings of {name}: {strings[:40]}")
            check(sum(1 for n, _ in fields if n == 2) > 0, "no samples")
            check(any(n == 12 and v > 0 for n, v in fields), "no period")
        elif name.endswith(".svg"):
            check(data.lstrip()[:5] in (b"<?xml", b"<svg "), f"not SVG: {data[:60]!r}")
            check(b"split_sixty" in data, "the function is not in the picture")
        elif name.endswith(".html"):
            check(data[:15].lower().startswith(b"<!doctype html"), f"not HTML: {data[:60]!r}")
            check(b"split_sixty" in data, "the function is not in the page")
            loads = re.findall(rb"(?:src|href)\s*=\s*[\"'](?:https?:)?//", data)
            check(not loads, f"the page loads from the network: {loads[:3]}")
        else:
            check(b"split_sixty" in data, "folded output")


@case
def standard_output():
    t = Target("split")
    r = tephra("record", "-p", t.pid, "-d", "1s", "-F", 499, "-o", "-", "--format", "folded")
    folded = Folded.parse(r.out)
    check(folded.containing("split_sixty").total > 15, folded.show())


@case
def table_without_an_output_file():
    """Without the kernel's: the table has 15 functions, those that ran themselves first, and a busy
    machine has a sample each of many that handle interrupts."""
    t = Target("split")
    r = tephra("record", "-p", t.pid, "-d", "2s", "-F", 499, "--kernel", "no")
    for word in ("split_sixty", "split_thirty", "split_ten", "split"):
        check(word in r.out, f"'{word}' is not in the table\n{r!r}")
    at = [r.out.index(n) for n in ("split_sixty", "split_thirty", "split_ten")]
    check(at == sorted(at), "the hottest function is not first")
    line = next(ln for ln in r.out.splitlines() if "split_sixty" in ln)
    check(any(54 <= float(x) <= 66 for x in re.findall(r"\d+\.\d+|\d+", line)),
          f"no share near 60 %: {line}")
    check("\x1b" not in r.out, "control sequences in a file")


@case
def wrong_usage_is_exit_code_2():
    for args in (["record", "--nonsense"], ["record", "-p"], ["record", "-p", "abc"],
                 ["record", "-F", "0"], ["record", "-F", "1000000000"], ["record", "-d", "xyz"],
                 ["record", "-o", "x.unknown"], ["nonsense"], ["record", "--kernel=maybe"], []):
        r = tephra(*args, expect=2)
        lines = r.err.strip().splitlines()
        check(1 <= len(lines) <= 3, f"wrong usage should take a line, not {len(lines)}\n{r!r}")
        check("help" in r.err, f"no way to help is named\n{r!r}")
        check(not r.out, f"text on standard output\n{r!r}")


@case
def a_dead_pid_is_exit_code_1():
    p = spawn(["true"])
    p.wait()
    r = tephra("record", "-p", p.pid, "-d", "1s", "-o", "x.folded", expect=1)
    check(str(p.pid) in r.err, f"the message does not name the process\n{r!r}")
    check(r.wall < 5, "it took long to say so")


@case
def a_pid_that_ends_early_ends_the_recording():
    t = Target("split", 3)
    r = record("-p", t.pid, d=30)
    check(r.wall < 15, f"recorded {r.wall:.0f} s of a process that ended after three")
    check(r.folded().containing("split_sixty").total > 15, "its samples are gone")


@case
def an_unwritable_output_is_exit_code_1():
    t = Target("split")
    r = tephra("record", "-p", t.pid, "-d", "1s", "-o", "/nonexistent/dir/x.folded", expect=1)
    check("/nonexistent/dir/x.folded" in r.err, f"the message does not name the file\n{r!r}")
    if os.path.exists("/dev/full"):
        os.symlink("/dev/full", "full.folded")
        r = tephra("record", "-p", t.pid, "-d", "1s", "-o", "full.folded", expect=1)
        check("space" in r.err or "full" in r.err, f"a full disk is not named\n{r!r}")


@case
def missing_privileges_are_exit_code_3():
    need_program("setpriv")
    t = Target("split")
    drop = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    r = tephra("record", "-p", t.pid, "-d", "1s", "-o", "x.folded", wrap=drop, expect=3)
    check(re.search(r"CAP_(BPF|PERFMON|SYS_ADMIN)", r.err, re.I), f"no capability is named\n{r!r}")
    r = tephra("check", wrap=drop, expect=None)
    check(r.rc != 0, f"check says that all is well without privileges\n{r!r}")
    check(re.search(r"CAP_", r.out + r.err, re.I), f"no capability is named\n{r!r}")


@case
def the_least_privileges_are_enough():
    need_program("setpriv")
    t = Target("split")
    caps = "+bpf,+perfmon,+sys_ptrace,+checkpoint_restore,+dac_read_search,+syslog"
    keep = ["setpriv", f"--bounding-set=-all,{caps}", "--inh-caps=-all"]
    folded = record("-p", t.pid, wrap=keep).folded()
    assert_complete(folded)
    assert_chains(folded, t.chains)


@case
def check_says_what_works():
    r = tephra("check", expect=0)
    lines = [ln for ln in r.out.splitlines() if ln.strip()]
    check(len(lines) >= 5, f"one line for each thing, please\n{r!r}")


@case
def help_and_version():
    r = tephra("--version", expect=0)
    check(re.search(r"\d+\.\d+", r.out), f"no version\n{r!r}")
    for args in (["--help"], ["record", "--help"], ["run", "--help"], ["check", "--help"]):
        r = tephra(*args, expect=0)
        check(len(r.out) > 100 and not r.err, f"help goes to standard output\n{r!r}")
        check(all(len(ln) <= 100 for ln in r.out.splitlines()), "help is wider than 100 columns")


@case(timeout=150)
def fork_storm_of_a_new_program():
    """Processes of 10 ms of a program never seen before are attributed, named and complete."""
    prog = fresh_copy("storm_child", os.path.abspath("storm_child"))
    storm = fixture_path("storm")
    count = 2000
    r = tephra("record", "-F", 499, "-o", "storm.folded", "--", storm, prog, count, "2", "10",
               timeout=120)
    report = json.loads([ln for ln in r.out.splitlines() if ln.startswith('{"processes"')][0])
    with open("storm.folded") as f:
        folded = Folded.parse(f.read())
    children = folded.only(lambda s: any(f.startswith("storm_child") for f in s[:2]) or
                           any(f in ("storm_work", "storm_leaf") for f in s))
    cpu_s = sum(report["cpu_us"]) / 1e6
    print(f"{count} processes used {cpu_s:.1f} s of CPU; {children.total} samples")
    named = children.count(lambda s: matches_chain(s, ["main", "storm_work"]))
    # exec and exit are part of each process's time; the program's own work is 10 of its ~11 ms.
    check(named >= 0.99 * 0.9 * 499 * 0.010 * count,
          f"{named} samples of {0.010 * count * 499:.0f} have full named stacks\n{folded.show()}")
    leaf = folded.containing("storm_leaf")
    whole = leaf.count(lambda s: matches_chain(s, ["_start", "main", "storm_work", "storm_leaf"]))
    check(whole >= 0.99 * leaf.total, f"{whole} of {leaf.total} are whole\n{folded.show()}")


@case
def profile_agrees_with_the_scheduler():
    """sum(samples) x period against the CPU time that the scheduler gave, on busy CPUs: three
    programs for two CPUs, recorded from their start to their end, within 2 %."""
    stolen = stolen_s()
    script = f"for i in 1 2 3; do {fixture_path('split')} 10 & done; wait"
    r = record("--", "/bin/sh", "-c", script, d=None, f=499)
    used = sum(json.loads(ln)["cpu_s"] for ln in r.out.splitlines() if ln.startswith('{"cpu_s"'))
    got = r.folded().containing("split_round").total / 499
    stolen = stolen_s() - stolen
    print(f"{got:.2f} s in the profile, {used:.2f} s by the scheduler, {stolen:.2f} s stolen")
    check(abs(got - used) <= 0.02 * used + stolen,
          f"{got:.2f} s in the profile, {used:.2f} s by the scheduler")


@case
def go_tool_pprof_reads_the_profile():
    if not os.path.exists("/usr/bin/go"):
        raise Skip("go is not installed")
    t = Target("split")
    record("-p", t.pid, d=2, out="p.pb.gz")
    p = subprocess.run(["/usr/bin/go", "tool", "pprof", "-top", "p.pb.gz"], capture_output=True,
                       text=True, timeout=60, env={**os.environ, "HOME": os.getcwd()})
    print(p.stdout, p.stderr)
    check(p.returncode == 0, p.stderr)
    check("split_sixty" in p.stdout and "cpu" in p.stdout, p.stdout)
    bad = [ln for ln in p.stderr.splitlines() if "rror" in ln or "arning" in ln]
    check(not bad, f"go tool pprof complains: {bad}")


@case
def a_stopped_target_costs_nothing():
    """Nobody runs: an empty recording is a result, not an error."""
    t = Target("split")
    os.kill(t.pid, signal.SIGSTOP)
    r = tephra("record", "-p", t.pid, "-d", "1s", "-o", "x.pb.gz", expect=0)
    check(r.wall < 10, "it hung")
    os.kill(t.pid, signal.SIGCONT)


@case
def no_sample_is_lost_while_cpus_are_busy():
    """Twice as many busy threads as CPUs: every CPU is sampled all the time."""
    targets = [Target("chain") for _ in range(os.cpu_count())]
    d, f = 3, 499
    before, t0 = [t.cpu_s() for t in targets], time.monotonic()
    folded = record("-a", d=d, f=f).folded()
    used = sum(t.cpu_s() for t in targets) - sum(before)
    spare = (time.monotonic() - t0 - d) * os.cpu_count()
    assert_sample_count(folded.containing("chain_outer"), (max(0, used - spare), used), f)
