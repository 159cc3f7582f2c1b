# SPDX-License-Identifier: Apache-2.0
"""CPython: whole stacks of Python and native frames, to the line, in the shares that the program
itself measures. Each case runs with the host's version here, and in the suite `runtimes` with every
other one. The truth is what the interpreter says of itself (tests/fixtures/python/truth.py)."""

import json
import os
import random
import signal
import struct
import subprocess

from lib import (TEPHRA, Folded, Skip, Target, assert_share, case, check, fresh_copy, is_reason,
                 measured, name_matches, need_program, record, spawn, wait_for)
from managed import (HOSTS, PYTHON, Profile, assert_truth, assert_whole, at_stripped_entry,
                     in_clone, managed, names_pushed, native_between, profile, python_argv, show,
                     start, versions)


def whole_stacks(runtime, scenarios, **kw):
    t = start(python_argv(runtime, scenarios))
    p = profile(t, d=kw.pop("d", 3), f=kw.pop("f", 499))
    assert_truth(p, t.info, **kw)
    return t, p


def known_split(runtime):
    t = Target("split", argv=python_argv(runtime, "split", 7))
    record("-p", t.pid, f=997, d=10, out="out.pb.gz")
    truth = t.finish()["shares"]
    p = Profile("out.pb.gz")
    assert_truth(p, t.info)
    own = Folded([(s.stack, s.count) for s in p.samples if "timed" in s.stack])
    for name, share in truth.items():
        assert_share(own, name, share)


@versions("python", newest=True)
def known_split_is_within_the_binomial_bound(runtime):
    measured(lambda: known_split(runtime))


@versions("python", newest=True)
def every_kind_of_call_has_its_lines(runtime):
    whole_stacks(runtime, "calls", f=997)


@versions("python")
def generators_and_coroutines(runtime):
    whole_stacks(runtime, "generators,coroutines,tasks")


@versions("python", newest=True)
def native_code_calls_back(runtime):
    """Native frames stand between those of Python, where the calls went through them."""
    t, p = whole_stacks(runtime, "callbacks")
    for outer, inner, what in (
            ("callbacks", "sort_key", "*python*"), ("callbacks", "reducer", "*"),
            ("callbacks", "of_map", "*"), ("callbacks", "compare", "qsort*")):
        between = [native_between(s, outer, inner) for s in p.samples]
        between = [b for b in between if b is not None]
        if inner == "compare" and "ctypes" in t.info["skipped"]:
            continue
        check(between, f"{outer} > {inner} was not seen")
        check(all(b for b in between), f"nothing native between {outer} and {inner}")
        if what == "qsort*":
            check(any(name_matches("libffi*", n) or name_matches("ffi_*", n)
                      for b in between for n in b), f"no libffi: {between[0]}")
            check(any(name_matches(what, n) for b in between for n in b), f"no qsort: {between[0]}")


@versions("python")
def native_and_kernel_leaves(runtime):
    t = start(python_argv(runtime, "leaves"))
    p = profile(t)
    assert_whole(p.samples)
    for caller in ("in_library", "in_kernel"):
        mine = [s for s in p.samples if caller in s.stack]
        n = sum(s.count for s in mine)
        below = [s for s in mine if managed(s)[-1][0] == caller != s.stack[-1]]
        check(n > 30, f"{caller} has {n} samples:\n{show(p.samples)}")
        check(sum(s.count for s in below) > 0.9 * n,
              f"nothing below {caller}, where its time goes:\n{show(mine)}")
    kernel = [s for s in p.samples if "in_kernel" in s.stack and
              any(n.startswith("entry_SYSCALL_64") for n in s.stack)]
    check(sum(s.count for s in kernel) > 30, "no kernel below Python:\n" + show(p.samples))
    for s in kernel:
        at = next(i for i, n in enumerate(s.stack) if n.startswith("entry_SYSCALL_64"))
        check(s.stack.index("in_kernel") < at, "the kernel calls Python: " + show([s]))


@versions("python")
def three_hundred_frames(runtime):
    whole_stacks(runtime, "recursion")


@versions("python", newest=True)
def five_hundred_and_twelve_frames(runtime):
    if getattr(runtime, "debug", False) and runtime.version < (3, 11):
        raise Skip("nothing is inlined in that build: each Python call is seven native ones")
    t, _ = whole_stacks(runtime, "deepest")
    check(len(t.chains["recursion"]) >= 510, f"{len(t.chains['recursion'])} frames")


@versions("python")
def recursion_through_native_code(runtime):
    whole_stacks(runtime, "native_recursion")


@versions("python")
def threads_that_stay(runtime):
    whole_stacks(runtime, "long_threads")


@versions("python")
def threads_that_end_at_once(runtime):
    whole_stacks(runtime, "short_threads", other=0.4, spare=in_clone)


@versions("python")
def more_than_one_interpreter(runtime):
    t = start(python_argv(runtime, "subinterpreter"))
    p = profile(t)
    info = {**t.info, "loop": t.info["sub loop"]}
    assert_truth(p, info, other=0.5)


@versions("python", newest=True)
def children_that_lived_ten_milliseconds(runtime):
    """os.fork() without exec(): each child is gone before anything could have looked at it."""
    r = record("--", *python_argv(runtime, "fork_storm", 4), f=499, d=None, out="out.pb.gz")
    info = json.loads(next(ln for ln in r.out.splitlines() if ln.startswith('{"name"')))
    p = Profile("out.pb.gz")
    children = {s.pid for s in p.samples} - {info["pid"]}
    check(len(children) > 30, f"{len(children)} children")
    assert_truth(p, info, other=0.6, pids=children)


@versions("python")
def exec_over_itself(runtime):
    """One process id, one Python program after the other: names are those of the one that ran."""
    t = start(python_argv(runtime, "first_life"))
    p = profile(t, d=4)
    seen, wrong = {}, []
    for s in p.samples:
        names = [f[0] for f in managed(s)]
        check(not ("first_life" in names and "second_life" in names), show([s]))
        for life in ("first_life", "second_life"):
            if life in names and names[-1] == "burn":
                seen[life] = seen.get(life, 0) + s.count
                if names != ["<module>", "main", life, "become", "burn"] or not s.whole():
                    wrong.append(s)
    check(sum(s.count for s in wrong) <= 0.01 * sum(seen.values()), show(wrong))
    check(len(seen) == 2 and min(seen.values()) > 20, f"{seen}\n{show(p.samples)}")


# ---- Other ways to have a Python -------------------------------------------------------------

@case
def python_inside_of_another_program():
    """gdb has a libpython in it, and calls it."""
    need_program("gdb")
    with open("inside.py", "w") as f:
        f.write(EMBEDDED)
    t = Target("gdb", argv=["gdb", "-nx", "-batch", "-x", os.path.abspath("inside.py")])
    p = profile(t)
    assert_truth(p, t.info, spare=at_stripped_entry)
    check(all(any(n.startswith("gdb+") for n in s.stack) for s in p.samples),
          f"gdb's own frames are not there:\n{show(p.samples)}")


EMBEDDED = """
import json, os, sys
def burn():
    n = 20000
    while n:
        n -= 1
def inside():
    burn()
path = os.path.abspath("inside.py")
print(json.dumps({"name": "inside", "pid": os.getpid(), "leaf": "burn", "loop": [5, 6], "skipped": {}, "chains": {
    "inside": [["<module>", path, 14], ["inside", path, 8], ["burn", path, 5]]}}), flush=True)
for _ in range(10**9):

    inside()
"""


@case
def deeper_than_a_late_sample_holds():
    """Nothing is known of any file, and the frames above do not fit the record that asks for the
    rows below: they are loaded all the same, and the stacks after the first ones are whole."""
    with open("deep.py", "w") as f:
        f.write(DEEP)
    record("--cache-dir", "", "--", "/usr/bin/python3", os.path.abspath("deep.py"), d=None)
    deep = Folded.read("out.folded").only(lambda s: s.count("down") > 500)
    whole = deep.count(lambda s: s.count("down") == 601 and not any(map(is_reason, s)))
    check(deep.total > 400, f"{deep.total} samples of the recursion")
    check(whole >= 0.98 * deep.total, f"{whole} of {deep.total} are whole")


DEEP = """
import sys, time
sys.setrecursionlimit(5000)
def burn(end):
    while time.thread_time() < end:
        for i in range(1000):
            pass
def down(n):
    if n == 0:
        burn(2)
    else:
        down(n - 1)
down(600)
"""


@case
def a_virtual_environment_and_numpy():
    """numpy's own work, and what it calls back; the interpreter is a link in a directory."""
    r = subprocess.run(["/usr/bin/python3", "-c", "import numpy"], capture_output=True)
    if r.returncode:
        need_program("python3-numpy")
    os.makedirs("venv/bin")
    os.symlink("/usr/bin/python3", "venv/bin/python")
    with open("venv/pyvenv.cfg", "w") as f:
        f.write("home = /usr/bin\ninclude-system-site-packages = true\n")
    t = start([os.path.abspath("venv/bin/python"), f"{PYTHON}/truth.py", "numpy", "1000"])
    p = profile(t)
    assert_truth(p, t.info, other=0.97)
    for inner in ("of_numpy", "of_axis"):
        between = [b for b in (native_between(s, "numpy_calls_back", inner) for s in p.samples)
                   if b is not None]
        check(between and all(any(n.startswith("_multiarray_umath") for n in b) for b in between),
              f"numpy is not between numpy_calls_back and {inner}: {between[:1]}")
    own = [s for s in p.samples if managed(s) and managed(s)[-1][0] == "numpy_itself"
           and any("blas" in n or n.startswith("_multiarray_umath") for n in s.stack)]
    check(sum(s.count for s in own) > 20, f"numpy's own work:\n{show(p.samples)}")


def garbage_copy(seed):
    """The fake with another version and, behind it, another table of offsets."""
    noise = random.Random(seed)
    path = fresh_copy("fake_python", os.path.abspath(f"fake-{seed}"))
    with open(path, "r+b") as f:
        data = f.read()
        version = (0x0d, 0x0e, 0x0f, 0x0b, 0x08, 0x7f)[seed]
        table = struct.pack("<Q", 0x03_00_05_f0 | version << 16)
        while len(table) < 2048:
            table += struct.pack("<Q", noise.choice([0, noise.randrange(8, 4096, 8), 2**40,
                                                     noise.randrange(2**64)]))
        f.seek(data.index(b"xdebugpy") + 8)
        f.write(table)
    return path


@case
def a_runtime_that_is_noise():
    """Programs that say they are a Python and hold noise: nothing is invented, nothing breaks."""
    for seed in range(6):
        path = garbage_copy(seed)
        t = Target("fake_python", argv=[path])
        p = profile(t, d=2)
        n = sum(s.count for s in p.samples)
        check(n > 100, f"{n} samples")
        for s in p.samples:
            check(not managed(s), f"it runs no Python:\n{show([s])}")
            check(s.whole() or any(is_reason(x) for x in s.stack), show([s]))
        lost = [s for s in p.samples if "main" not in s.stack]
        check(sum(s.count for s in lost) <= 0.01 * n, f"the native stack went, too:\n{show(lost)}")
        t.stop()


# Says that it runs until a file is there; then runs ever new functions, then one for ever.
FLOOD = """
import os, sys, time
os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
def beat(seconds, go_on):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass
    print("beat", flush=True)
    return go_on()
def flooded():
    end = time.thread_time() + 2
    i = 0
    while time.thread_time() < end:
        i += 1
        names = {}
        exec(f"def many{i}():\\n n = 9000\\n while n: n -= 1", names)
        names[f"many{i}"]()
def first_met_in_the_flood():
    end = time.thread_time() + 0.5
    while time.thread_time() < end:
        pass
    print("met", flush=True)
    while True:
        time.thread_time()
while beat(0.3, lambda: not os.path.exists(sys.argv[1])):
    pass
flooded()
first_met_in_the_flood()
"""


@case
def names_that_found_no_room_come_later():
    """User space does not read for two seconds, in which code is met for the first time: the records
    with its names are lost, and are sent again once there is room."""
    with open("flood.py", "w") as f:
        f.write(FLOOD)
    t = spawn(["/usr/bin/python3", os.path.abspath("flood.py"), os.path.abspath("go")],
              stdout=subprocess.PIPE, text=True)
    agent = spawn([TEPHRA, "record", "-p", t.pid, "-F", 4999, "-d", "12s", "-o", "out.folded"])
    fds = f"/proc/{agent.pid}/fd"
    wait_for(lambda: any("perf_event" in os.readlink(f"{fds}/{n}") for n in os.listdir(fds)
                         if os.path.lexists(f"{fds}/{n}")), 20, "the start of the recording")
    for _ in range(4):
        t.stdout.readline()
    agent.send_signal(signal.SIGSTOP)
    open("go", "w").close()
    wait_for(lambda: t.stdout.readline() == "met\n", 20, "the function behind the flood")
    agent.send_signal(signal.SIGCONT)
    check(agent.wait(60) == 0, "the recording failed")
    p = Folded.read("out.folded")
    many = p.count(lambda s: any(x.startswith("many") for x in s))
    named = p.count(lambda s: "first_met_in_the_flood" in s)
    print(f"{many} samples of the flood have names, {named} of the function behind it")
    check(many < 5000, "the flood found room: nothing was tested")
    check(named > 10000, "the function behind the flood has no name")


@case
def python_switched_off():
    """python_enabled = false: no Python frames, and the interpreter's own are there instead."""
    t = start(python_argv(HOSTS["python"], "split"))
    off = names_pushed(t.pid, "python_enabled = false")
    check("sixty" not in off and "_PyEval_EvalFrameDefault" in off, f"without: {off}")
    on = names_pushed(t.pid, "python_enabled = true")
    check("sixty" in on and "_PyEval_EvalFrameDefault" not in on, f"with: {on}")
