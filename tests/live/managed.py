# SPDX-License-Identifier: Apache-2.0
"""What the tests of the runtimes share: their truth programs (tests/fixtures/python, hotspot), which
say themselves which stacks a profile must show, and the comparison, to the line."""

import functools
import glob
import os
import re
import shutil
import sys

import runtimes
from lib import (CASES, FIXTURES, TESTS, VERSIONS, Skip, Target, check, few, name_matches, record,
                 wait_for)
from test_run import Receiver, agent, config

sys.path.insert(0, os.path.join(TESTS, "bench"))
from pprof import Profile  # noqa: E402

PYTHON = os.path.join(TESTS, "fixtures", "python")
HOTSPOT = os.path.join(FIXTURES, "hotspot")
LOOPS = ["_PyEval_EvalFrameDefault*"]


class Host:
    """A runtime that is installed on this machine."""

    name, mounts = "host", ()

    def __init__(self, kind, program, name="host"):
        self.kind, self.program, self.name = kind, program, name

    def get(self):
        if not os.path.exists(self.program):
            raise Skip(f"{self.program} is not installed")
        return self

    def command(self, *args, mount=()):
        return [self.program, *[str(a) for a in args]]


HOSTS = {"python": Host("python", "/usr/bin/python3"), "jdk": Host("jdk", "/usr/bin/java")}
# Methods that the JVM leaves out of its own stack traces (@Hidden); those that it makes have no file.
HIDDEN = ("java.lang.Thread.runWith", "java.lang.invoke.*")
# Of each runtime the newest that there is.
NEWEST = {"python": "python3.15-sid", "jdk": "jdk28-sid"}


def pyenv():
    """CPythons that pyenv has built here: their loop is in a library of their own."""
    root = os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv")
    for path in sorted(glob.glob(f"{root}/versions/3.*/bin/python3"),
                       key=lambda p: [int(x) for x in re.findall(r"\d+", p[len(root):])]):
        yield Host("python", path, "pyenv" + path.split("/")[-3])


def every(kind):
    """All but the ones that the live suite has."""
    got = [r for r in runtimes.available() if r.kind == kind and r.name != NEWEST[kind]]
    return [*got, *pyenv()] if kind == "python" else got


def versions(kind, *, timeout=60, newest=False):
    """Marks a test that takes a runtime. The live suite has it for the host's and, where `newest`
    is set, for the newest; the suite `runtimes` for all others."""
    def mark(fn):
        def bind(name, get):
            def run():
                try:
                    fn(get().get())
                except runtimes.Unavailable as e:
                    raise Skip(str(e))
            run.__name__, run.__module__ = f"{fn.__name__}.{name}", fn.__module__
            run.timeout = timeout
            return run
        CASES.append(bind("host", lambda: HOSTS[kind]))
        if newest:
            CASES.append(bind(NEWEST[kind], lambda: runtimes.find(NEWEST[kind])))
        VERSIONS.append((kind, fn.__name__, bind, newest))
        return fn
    return mark


def all_versions():
    """The cases of the suite `runtimes`."""
    found = []
    for kind in HOSTS:
        for r in every(kind):
            found += [bind(r.name, functools.partial(lambda x: x, r))
                      for k, _, bind, _ in VERSIONS if k == kind]
        found += [bind(NEWEST[kind], functools.partial(runtimes.find, NEWEST[kind]))
                  for k, _, bind, newest in VERSIONS if k == kind and not newest]
    return found


# ---- Truth programs --------------------------------------------------------------------------

def python_argv(runtime, scenarios, seconds=1e6):
    return runtime.command(os.path.join(PYTHON, "truth.py"), scenarios, seconds, mount=[PYTHON])


def java_argv(runtime, scenarios, *flags, seconds=1e6):
    if not os.path.exists(os.path.join(HOTSPOT, "truth", "Truth.class")):
        raise Skip("the Java target program was not built")
    jni = os.path.join(HOTSPOT, "libtruth.so")
    # Merged into burn(), the one call of note() would lend its debug information to the loop.
    alone = ("-XX:CompileCommand=quiet", "-XX:CompileCommand=dontinline,truth.Truth::note")
    return runtime.command("-Xmx256m", *alone, *flags, *([f"-Dtruth.jni={jni}"] if os.path.exists(jni)
                                                 else []),
                           "-cp", HOTSPOT, "truth.Truth", scenarios, seconds, mount=[HOTSPOT])


def start(argv):
    """A truth program that is ready; skips what it can not do."""
    t = Target(argv[-2], argv=argv)
    for what, why in t.info["skipped"].items():
        print(f"skipped: {what}: {why}")
        if not t.chains:
            raise Skip(f"{what}: {why}")
    return t


def profile(target, *, d=3, f=499, **kw):
    record("-p", target.pid, d=d, f=f, out="out.pb.gz", **kw)
    return Profile("out.pb.gz")


# ---- Comparison ------------------------------------------------------------------------------

def is_managed(frame):
    """Native code of this project's targets has no files of Python or Java."""
    return frame[1].endswith((".py", ".java")) or frame[1].startswith("<")


def plain(frame):
    """(name without arguments, file, line); Java's files by their last part, its packages with
    dots. A method without lines has line 0."""
    name, path, line = frame
    if path.endswith(".java"):
        name = name.partition("(")[0].rpartition(" ")[2].replace("/", ".")
        path = os.path.basename(path)
    return name, path, max(line, 0)


def managed(sample):
    frames = [plain(f) for f in sample.frames if is_managed(f)]
    return [f for f in frames if not any(name_matches(h, f[0]) for h in HIDDEN)]


class Expected:
    """The chains of a truth program. `own` names what its classes begin with, for chains through
    parts of a library that change while it runs; `tail` the ways whose outer frames are others'."""

    def __init__(self, info, own=(), tail=(), exact=True):
        self.leaf, self.loop, self.own, self.tail = info["leaf"], info["loop"], own, tail
        self.exact = exact
        self.ways = {way: [plain(f) for f in chain if f[1] and
                           not any(name_matches(h, f[0]) for h in HIDDEN)]
                     for way, chain in info["chains"].items()}

    def matches(self, way, got):
        want = self.ways[way][:-1]
        got = got[:-1]
        if way.startswith("own "):
            want, got = ([f for f in c if f[0].startswith(self.own)] for c in (want, got))
        if way in self.tail:
            got = got[-len(want):]
        return want == got

    def way_of(self, got):
        """Which way a stack came, or None. Of ways with the same chain, the first."""
        return next((w for w in self.ways if self.matches(w, got)), None)

    def in_loop(self, got):
        """Compiled Java code knows where it is at safepoints: a line of burn() is near enough."""
        slack = 0 if self.exact else 4
        return self.loop[0] - slack <= got[-1][2] <= self.loop[1] + slack


def show(samples, limit=6, frames=12):
    out = []
    for s in sorted(samples, key=lambda s: -s.count)[:limit]:
        text = "; ".join(f"{n[:60]} {os.path.basename(p)}:{ln}" if is_managed((n, p, ln)) else n[:40]
                         for n, p, ln in s.frames[-frames:])
        out.append(f"  {s.count:5d} [{len(s.frames)} frames] ... {text}")
    return "\n".join(out)


def assert_whole(samples, at_least=0.99, spare=lambda s: False):
    total = sum(s.count for s in samples)
    bad = [s for s in samples if not s.whole() and not spare(s)]
    share = 1 - sum(s.count for s in bad) / max(total, 1)
    print(f"complete: {share:.2%} of {total}")
    check(total, "no samples")
    check(few(sum(s.count for s in bad), total, at_least),
          f"only {share:.2%} of {total} stacks are complete; the others "
          f"({', '.join({s.cut() or 'begins at ' + s.stack[0] for s in bad})}):\n{show(bad)}")


def is_loop(name):
    """Is this the interpreter's loop? It must not be seen: its frames are those of Python. On the way
    there, through the PLT, it has not begun."""
    return not name.endswith("@plt") and any(name_matches(x, name) for x in LOOPS)


def assert_truth(p, info, *, at_least=0.99, own=(), tail=(), other=0.15, seen=3, pids=None,
                 spare=lambda s: False, exact=True, vector=False):
    """Samples of burn's loop show one of the chains, each with its names, files and lines; every
    chain was seen; stacks are complete, where not spared; few samples are of something else.
    `vector`: in this build _PyEval_Vector() is a function of its own, without a name."""
    e = Expected(info, own, tail, exact)
    samples = [s for s in p.samples if pids is None or s.pid in pids]
    assert_whole(samples, spare=spare)
    looped = [s for s in samples if any(is_loop(n) for n in s.stack)]
    check(not looped, f"the interpreter's loop is on the stack:\n{show(looped)}")
    # Where the loop has no name: from 3.11 on it is all there is between these two.
    if info["name"] == "truth.py" and info["version"] >= [3, 11] and not vector:
        looped = [s for s in samples if any(
            a[0] == "PyEval_EvalCode" and "+0x" in b[0] and is_managed(c)
            for a, b, c in zip(s.frames, s.frames[1:], s.frames[2:]))]
        check(sum(s.count for s in looped) <= 0.01 * sum(s.count for s in samples),
              f"something between PyEval_EvalCode() and Python:\n{show(looped)}")
    mine = [(s, managed(s)) for s in samples]
    mine = [(s, m) for s, m in mine if m and m[-1][0] == e.leaf]
    total, burnt = sum(s.count for s in samples), sum(s.count for s, _ in mine)
    count, bad = dict.fromkeys(e.ways, 0), []
    for s, m in mine:
        way = e.way_of(m)
        if way is None or not e.in_loop(m):
            bad.append(s)
        else:
            count[way] += s.count
    share = 1 - sum(s.count for s in bad) / max(burnt, 1)
    print(f"right: {share:.2%} of {burnt}, {total - burnt} other samples; "
          f"least seen: {sorted(count.items(), key=lambda x: x[1])[:3]}")
    check(burnt, f"burn() was not seen:\n{show(samples)}")
    check(few(sum(s.count for s in bad), burnt, at_least),
          f"only {share:.2%} of {burnt} are right; the others:\n{show(bad)}\n"
          "they differ:\n" + nearest(bad, e))
    check(total - burnt <= other * total, f"{total - burnt} of {total} samples are of something "
          "else:\n" + show([s for s in samples if s not in [x for x, _ in mine]]))
    missing = [w for w, n in count.items() if n < seen and e.way_of(e.ways[w]) == w]
    check(not missing, f"not seen: {missing}\n{show(samples, 30)}")
    return count, burnt


def nearest(bad, e):
    """Where the most frequent wrong stacks differ from the chain that most resembles them."""
    out = []
    for s in sorted(bad, key=lambda s: -s.count)[:4]:
        got = managed(s)
        way = max(e.ways, key=lambda w: len(set(got) & set(e.ways[w])) - abs(len(got) - len(e.ways[w])))
        want = e.ways[way]
        at = next((i for i, (x, y) in enumerate(zip(got, want)) if x != y and (
            i + 1 < len(want) or not e.in_loop(got))), min(len(got), len(want)))
        out.append(f"  {s.count:5d} {len(got)} frames for {len(want)} of '{way}', from frame {at} on: "
                   f"{brief(got[at:at + 4])} for {brief(want[at:at + 4])}")
    return "\n".join(out)


def at_stripped_entry(sample):
    """The entry of a stripped program has no name: "java+0x12b0"."""
    return not sample.cut() and re.match(r"[\w.]+\+0x", sample.stack[0]) is not None


def in_clone(sample):
    """glibc's clone() and clone3() end their unwind information before the system call
    (sysdeps/unix/sysv/linux/x86_64/clone3.S, 2.34): neither side of it has a caller."""
    return sample.stack[0] in ("[no unwind information]", "[return address is not code]") and \
        any(sample.stack[1].startswith(n) for n in ("clone", "__clone", "libc.so.6+"))


def brief(frames):
    return "; ".join(f"{n} {os.path.basename(p)}:{ln}" for n, p, ln in frames) or "nothing"


def native_between(sample, outer, inner):
    """The names between the innermost `outer` and the next `inner` below it."""
    stack = sample.stack
    at = [i for i, n in enumerate(stack) if plain(sample.frames[i])[0] == outer]
    for i in reversed(at):
        for j in range(i + 1, len(stack)):
            if plain(sample.frames[j])[0] == inner:
                return stack[i + 1:j]
    return None


def names_pushed(pid, argument):
    """The hottest functions of a process in what `tephra run` pushes, with an argument of
    pyroscope.ebpf."""
    recv = Receiver()
    p = agent(config(recv.port, pid).replace("  sample_rate ", f"  {argument}\n  sample_rate "))
    try:
        got = wait_for(lambda: recv.profiles()[1:], 20, "two profiles")
    finally:
        p.terminate()
        p.wait()
        recv.proc.kill()
        recv.proc.wait()
        shutil.rmtree(recv.dir)
    return {t["name"] for g in got for t in g["top"]}
