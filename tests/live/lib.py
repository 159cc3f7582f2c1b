# SPDX-License-Identifier: Apache-2.0
"""What the live tests share: starting a target program, recording it, reading folded stacks, and
the assertions a person would make when looking at the result.

A test is a function marked with @case. It runs in a process of its own (tests/live/run), in a
directory of its own, and everything it started through this module is ended with it.
"""

import atexit
import functools
import gzip
import json
import math
import os
import re
import shutil
import signal
import subprocess
import time

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROOT = os.path.dirname(TESTS)
TEPHRA = os.environ.get("TEPHRA", os.path.join(ROOT, "build", "agent", "tephra"))
FIXTURES = os.environ.get("FIXTURES", os.path.join(ROOT, "build-tests", "fixtures"))

CASES = []
VERSIONS = []  # of runtimes: see managed.py

# What a complete stack may begin with. Debian's libc and dynamic linker have no .symtab, so the
# start of a thread (clone3) and of the dynamic linker show as module+0xoffset.
ENTRIES = ["_start", "_start_c", "_dl_start*", "clone", "clone3", "__clone*", "start_thread",
           "libc.so.6+0x*", "ld-linux-x86-64.so.2+0x*", "__start_context", "libc.musl*+0x*",
           "ld-musl-x86_64.so.1+0x*", "libc.so+0x*",
           "runtime.goexit*", "runtime.rt0_go*", "_rt0_*", "runtime.mstart*", "runtime.mcall*",
           "runtime.systemstack*", "runtime.morestack*", "runtime.clone*"]


class Skip(Exception):
    """Raised by a case that can not run here; the text says why."""


def case(fn=None, *, timeout=60):
    """Marks a test. `timeout` is in seconds, for the whole case."""
    if fn is None:
        return functools.partial(case, timeout=timeout)
    fn.timeout = timeout
    CASES.append(fn)
    return fn


def check(ok, text):
    if not ok:
        raise AssertionError(text)


def need_program(name):
    if not shutil.which(name):
        raise Skip(f"{name} is not installed")


# ---- Target programs -------------------------------------------------------------------------

@functools.lru_cache(maxsize=None)
def glob_re(pattern):
    """Only '*' is special: C++ and Go names are full of brackets."""
    return re.compile("".join(".*" if c == "*" else re.escape(c) for c in pattern) + r"\Z", re.S)


def name_matches(pattern, name):
    return name == pattern or ("*" in pattern and glob_re(pattern).match(name) is not None)


_children = []


def _end_children():
    for p in _children:
        if p.poll() is None:
            p.kill()
            p.wait()


atexit.register(_end_children)


def spawn(argv, **kw):
    """A child that is killed when the case ends."""
    p = subprocess.Popen([str(a) for a in argv], **kw)
    _children.append(p)
    return p


def fixture_path(name):
    path = os.path.join(FIXTURES, name)
    if not os.path.exists(path):
        raise Skip(f"the target program '{name}' was not built")
    return path


class Target:
    """A running target program: .pid, .info (its first line), .finish() -> its last line."""

    def __init__(self, name, *args, argv=None):
        self.name = name
        self.proc = spawn(argv or [fixture_path(name), *args], stdout=subprocess.PIPE, text=True)
        line = self.proc.stdout.readline()
        check(line.startswith("{"), f"{name} did not start: {line!r}")
        self.info = json.loads(line)
        self.pid = self.proc.pid
        self.chains = self.info["chains"]

    def cpu_s(self):
        """CPU time of all threads so far, by the scheduler's own count."""
        total = 0
        for tid in os.listdir(f"/proc/{self.pid}/task"):
            try:
                with open(f"/proc/{self.pid}/task/{tid}/schedstat") as f:
                    total += int(f.read().split()[0])
            except OSError:
                pass
        return total / 1e9

    def finish(self, timeout=30):
        out, _ = self.proc.communicate(timeout=timeout)
        lines = out.strip().splitlines()
        return json.loads(lines[-1]) if lines else None

    def stop(self):
        if self.proc.poll() is None:
            self.proc.kill()
        self.proc.wait()


# ---- Recording -------------------------------------------------------------------------------

class Result:
    def __init__(self, rc, out, err, path, wall):
        self.rc, self.out, self.err, self.path, self.wall = rc, out, err, path, wall

    def folded(self):
        return Folded.read(self.path)

    def __repr__(self):
        return (f"rc={self.rc}\n--- stdout ---\n{self.out[-4000:]}\n"
                f"--- stderr ---\n{self.err[-4000:]}")


def tephra(*args, timeout=60, expect=0, wrap=(), env=None, stdin=None):
    """Runs the program to its end. expect: the exit code it must have, None for any."""
    argv = [*wrap, TEPHRA, *[str(a) for a in args]]
    t0 = time.monotonic()
    p = spawn(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
              stdin=stdin or subprocess.DEVNULL, env={**os.environ, **(env or {})})
    try:
        out, err = p.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        p.send_signal(signal.SIGQUIT)
        p.kill()
        out, err = p.communicate()
        print("stderr:", err.decode(errors="replace")[-4000:])
        raise AssertionError(f"still running after {timeout} s: {' '.join(argv)}")
    r = Result(p.returncode, out.decode(errors="surrogateescape"), err.decode(errors="replace"),
               None, time.monotonic() - t0)
    print("+", " ".join(argv), f"-> {r.rc} ({r.wall:.1f} s)")
    if r.err:
        print(r.err[-3000:], end="" if r.err.endswith("\n") else "\n")
    if expect is not None:
        check(r.rc == expect, f"exit code {r.rc}, expected {expect}\n{r!r}")
    return r


def record(*args, d=3, f=499, out="out.folded", **kw):
    """`tephra record ARGS -F f -d d -o out`; returns the result with .path set."""
    opts = ["-F", f, "-o", out]
    if d is not None:
        opts += ["-d", f"{d}s"]
    args = list(args)
    at = args.index("--") if "--" in args else len(args)
    r = tephra("record", *args[:at], *opts, *args[at:], timeout=kw.pop("timeout", (d or 20) + 40),
               **kw)
    r.path = out
    if r.rc == 0:
        check(os.path.exists(out) and os.path.getsize(out) > 0, f"no result in {out}\n{r!r}")
    return r


def record_target(target, **kw):
    """Records a running target. .cpu_range is what it can have used in the time that was recorded:
    the readings before and after also cover the profiler's start and end, and the machine may be
    busy with other work."""
    before, t0 = target.cpu_s(), time.monotonic()
    r = record("-p", target.pid, **kw)
    used, wall = target.cpu_s() - before, time.monotonic() - t0
    threads = min(len(os.listdir(f"/proc/{target.pid}/task")), os.cpu_count())
    r.cpu_range = max(0.0, used - (wall - kw.get("d", 3)) * threads), used
    return r


# ---- Folded stacks ---------------------------------------------------------------------------

def is_reason(name):
    """A visible gap: '[stack memory unreadable]'. '[vdso]+0x1' and '[kernel]' are none."""
    return name.startswith("[") and name.endswith("]") and \
        name not in ("[kernel]", "[vdso]", "[anon]", "[jit]")


class Folded:
    """Stacks outermost first, as lists of names, with their counts."""

    def __init__(self, stacks):
        self.stacks = stacks
        self.total = sum(n for _, n in stacks)

    @classmethod
    def read(cls, path):
        with open(path, encoding="utf-8") as f:
            return cls.parse(f.read())

    @classmethod
    def parse(cls, text):
        stacks = []
        for i, line in enumerate(text.splitlines()):
            stack, sep, n = line.rpartition(" ")
            check(sep and n.isdigit(), f"line {i + 1} is not 'frames count': {line[:200]!r}")
            stacks.append((stack.split(";"), int(n)))
        check(stacks, "no stacks at all")
        return cls(stacks)

    def only(self, pred):
        return Folded([(s, n) for s, n in self.stacks if pred(s)])

    def count(self, pred):
        return sum(n for s, n in self.stacks if pred(s))

    def show(self, limit=15):
        top = sorted(self.stacks, key=lambda e: -e[1])[:limit]
        return "\n".join(f"  {n:6d} {';'.join(s)[-600:]}" for s, n in top)

    def containing(self, name):
        return self.only(lambda s: any(name_matches(name, f) for f in s))


def entry_of(stack):
    """The outermost frame that is not the synthetic root (the name of the process)."""
    for f in stack[:2]:
        if any(name_matches(e, f) for e in ENTRIES):
            return f
    return None


def is_complete(stack):
    return entry_of(stack) is not None and not any(is_reason(f) for f in stack)


def matches_chain(stack, chain):
    """Are the chain's names on the stack in this order (with others between them)?"""
    i = 0
    for f in stack:
        if i < len(chain) and name_matches(chain[i], f):
            i += 1
    return i == len(chain)


def few(bad, total, at_least):
    """A single sample of a short recording does not tell 98 from 99 %."""
    return bad <= max(1, (1 - at_least) * total)


def assert_complete(folded, at_least=0.995, complete=is_complete):
    bad = folded.only(lambda s: not complete(s))
    share = 1 - bad.total / folded.total
    print(f"complete: {share * 100:.2f} % of {folded.total} samples")
    check(few(bad.total, folded.total, at_least),
          f"only {share * 100:.2f} % of {folded.total} stacks are complete; the others:\n"
          + bad.show())


def assert_chains(folded, chains, at_least=0.995, other=0.05, seen=3):
    """Samples that show a chain's innermost function show that whole chain or another with the
    same end; each chain was seen; few samples are of something else."""
    leaves = {c[-1] for c in chains}

    def leaf_chains(stack):
        found = [c for c in chains if any(name_matches(c[-1], f) for f in stack)]
        return found

    own = folded.only(leaf_chains)
    bad = own.only(lambda s: not any(matches_chain(s, c) for c in leaf_chains(s)))
    rest = folded.only(lambda s: not leaf_chains(s))
    share = 1 - bad.total / own.total if own.total else 0
    print(f"chains: {share * 100:.2f} % of {own.total} match, {rest.total} other samples")
    check(own.total > 0, f"none of {sorted(leaves)} was seen:\n{folded.show()}")
    check(few(bad.total, own.total, at_least),
          f"only {share * 100:.2f} % show their whole chain; the others:\n" + bad.show())
    for c in chains:
        n = folded.count(lambda s: matches_chain(s, c))
        check(n >= seen, f"{' > '.join(c)} was seen {n} times:\n{folded.show(30)}")
    check(rest.total <= other * folded.total, f"{rest.total} of {folded.total} samples show none "
          f"of {sorted(leaves)}:\n{rest.show()}")


def assert_sample_count(folded, cpu_range, f, within=0.03):
    """A target that ran between low and high seconds is sampled about f times for each of them."""
    low, high = cpu_range[0] * f * (1 - within) - 10, cpu_range[1] * f * (1 + within) + 10
    print(f"samples: {folded.total}, expected {low:.0f} to {high:.0f} at {f} Hz")
    check(low <= folded.total <= high,
          f"{folded.total} samples, expected {low:.0f} to {high:.0f} at {f} Hz")


def stolen_s():
    """Seconds that the hypervisor took from all CPUs since boot. The clock that samples goes on
    meanwhile, that of the scheduler does not: they may differ by as much."""
    with open("/proc/stat", encoding="utf-8") as f:
        return int(f.readline().split()[8]) / os.sysconf("SC_CLK_TCK")


def binomial_bound(p, n, z=2.576):
    """Half the width of the two-sided 99 % interval of a share p seen in n samples."""
    return z * math.sqrt(p * (1 - p) / n) + 0.5 / n


class OutOfBound(AssertionError):
    """A share that is outside of its 99 % interval: true ones are, once in a hundred times."""


def measured(fn):
    """Runs what measures shares; once more when one is out of bound: what is wrong is wrong twice."""
    try:
        fn()
    except OutOfBound as e:
        print(f"{e}\n---- measured again")
        fn()


def assert_share(folded, name, p, what=None, slack=0.0):
    n = folded.count(lambda s: any(name_matches(name, f) for f in s))
    got, bound = n / folded.total, binomial_bound(p, folded.total) + slack
    print(f"{name}: {got * 100:.2f} %, truth {p * 100:.2f} % +- {bound * 100:.2f}")
    if abs(got - p) > bound:
        raise OutOfBound(f"{what or name} has {got * 100:.2f} % of {folded.total} samples, its true"
                         f" share is {p * 100:.2f} % (+- {bound * 100:.2f} at 99 %)")


# ---- pprof -----------------------------------------------------------------------------------

def read_pprof(path):
    """The fields of a gzip pprof, decoded by hand: a list of (field, wire type, value)."""
    with open(path, "rb") as f:
        data = f.read()
    check(data[:2] == b"\x1f\x8b", "a .pb.gz file must be gzip")
    return pb_fields(gzip.decompress(data))


def pb_varint(data, i):
    v = shift = 0
    while True:
        b = data[i]
        i += 1
        v |= (b & 127) << shift
        shift += 7
        if b < 128:
            return v, i


def pb_fields(data):
    out, i = [], 0
    while i < len(data):
        key, i = pb_varint(data, i)
        field, wire = key >> 3, key & 7
        if wire == 0:
            v, i = pb_varint(data, i)
        elif wire == 2:
            n, i = pb_varint(data, i)
            v, i = data[i:i + n], i + n
            check(len(v) == n, "pprof is cut short")
        elif wire == 1:
            v, i = data[i:i + 8], i + 8
        else:
            v, i = data[i:i + 4], i + 4
        out.append((field, v))
    return out


def wait_for(pred, timeout=10, what="condition", step=0.02):
    """Polls until pred() is true; a bounded wait for a state, never a sleep in hope."""
    end = time.monotonic() + timeout
    while True:
        v = pred()
        if v:
            return v
        check(time.monotonic() < end, f"{what} not reached within {timeout} s")
        time.sleep(step)


def fresh_copy(name, to):
    """A copy of a target program that no profiler has seen: other inode, other build id."""
    shutil.copy2(fixture_path(name), to)
    with open(to, "r+b") as f:
        data = f.read()
        # The GNU build-id note: name size 4, descriptor size 20, type 3, "GNU\0", the id.
        at = data.find(b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0")
        check(at >= 0, f"{name} has no build id")
        f.seek(at + 16)
        f.write(os.urandom(20))
    return to
