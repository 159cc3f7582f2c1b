#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""record_hotspot.py BUILD FIXTURES KIND[:RUNTIME]...: makes recordings in tests/fixtures/recordings/hotspot
anew, as root: KINDRELEASE.jrec of each runtime (tests/live/runtimes.py) of a kind of KINDS.

What is recorded is the target program truth.Truth. Of the stacks that the recorder takes those are kept
that the program says it has, small ones before large ones, each with another mix of frames.

jdk*, loops* and native* are of other programs, and are not made again."""

import contextlib
import os
import re
import struct
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
OUT = os.path.join(ROOT, "tests", "fixtures", "recordings", "hotspot")
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, "tests", "live"))
os.environ["FIXTURES"] = sys.argv[2]
import runtimes  # noqa: E402
from lib import Target, wait_for  # noqa: E402
from managed import HIDDEN, Expected, java_argv, name_matches, plain  # noqa: E402
from test_hotspot import LENIENT, OWN, VIRTUAL, graal  # noqa: E402

WARM_S = 4
BLOCKED, BURNING = "blocked_threads", "calls,inlined,recursion"
ZGC = ["-XX:+UseZGC", "-XX:+ZGenerational"]
# Runtimes; for each group of stacks options of the JVM, scenarios, options of the recorder, how many to keep.
KINDS = {
    "virtual": (["jdk21-sid", "jdk25-sid", "jdk28-sid"],
                [(["-Xint"], BLOCKED, ["-v"], 1), (["-XX:TieredStopAtLevel=1"], BLOCKED, ["-v"], 1),
                 (["-XX:-UseCompressedOops"], BLOCKED, ["-v"], 2)]),
    "zgc": (["jdk21-sid", "jdk25-sid", "jdk28-sid"], [(ZGC, BLOCKED, ["-v"], 1), ([*ZGC, "-Xint"], BLOCKED, ["-v"], 1)]),
    "shenandoah": (["jdk17-sid", "jdk25-sid"],
                   [(["-XX:+UseShenandoahGC"], "calls,churn", ["-p"], 2),
                    (["-XX:+UseShenandoahGC"], BLOCKED, ["-v"], 1)]),
    "oneheap": (["jdk11-sid", "jdk28-sid"], [(["-XX:-SegmentedCodeCache"], BURNING, [], 2)]),
    "graal": (["jdk11-bullseye"], [(["graal"], "calls", ["-p"], 2),
                                  (["graal", "-XX:-TieredCompilation"], "calls", ["-p", "-m", "2000"], 2)]),
}


# Where a frame of Graal's begins and ends: sub and add of rsp, mov of rbp to and from there, test, ret.
ENDS = ("4883ec", "4881ec", "48896c", "4889ac", "4883c4", "4881c4", "488b6c", "488bac", "85", "4185", "c3")
# Its own threads, which run code of its own.
GRAAL_ROOT = "jdk.vm.ci.hotspot.HotSpotJVMCIRuntime.compileMethod"


class Recording:
    """One of a .jrec file: see hotspot_recording.h."""

    def __init__(self, data):
        (_, _, n, file, regs, stack, blocks, words, text, _) = struct.unpack_from("<2Q8I", data)
        self.data = data[:n]
        at = 48 + file
        self.pc, = struct.unpack_from("<Q", data, at)
        at += regs + stack
        addresses = struct.unpack_from(f"<{blocks}Q", data, at)
        at += 8 * blocks
        self.blocks = {a: data[at + 64 * i:at + 64 * i + 64] for i, a in enumerate(addresses)}
        at += 64 * blocks
        word, = struct.unpack_from("<Q", data, at)
        self.blob = word & (1 << 48) - 1
        at += 8 * words
        self.text = data[at:at + text - 1].decode()

    def code(self):
        """The instruction that it is at, roughly."""
        at = self.pc % 64
        return self.blocks.get(self.pc - at, b"")[at:at + 3]

    def is_unmarked(self):
        """Of JDK 11: does the code blob of its first frame say of no place that the frame is complete?"""
        at = self.blob % 64 + 20
        return self.blocks.get(self.blob - self.blob % 64, b"")[at:at + 4] == b"\xff" * 4

    def frames(self):
        """(name, file, line), outermost first, as Expected wants them."""
        lines = [line.rsplit(" ", 2) for line in self.text.splitlines()[::-1] if line[0] != "["]
        frames = [plain((name.replace(", ", ","), path, int(line))) for name, path, line in lines
                  if path.endswith(".java")]
        return [f for f in frames if not any(name_matches(h, f[0]) for h in HIDDEN)]


def recordings(data):
    while data:
        yield Recording(data)
        data = data[struct.unpack_from("<2QI", data)[2]:]


def is_true(r, expected):
    """Is it a chain of the program, or the beginning of one?"""
    got = r.frames()
    if got and expected.way_of(got) and expected.in_loop(got):
        return True
    begins = [w[:len(got) - 1] == got[:-1] and len(w) >= len(got) and w[len(got) - 1][0] == got[-1][0]
              for w in expected.ways.values()]
    return bool(got) and any(begins) and len(got) > 2


def is_wanted(r, options, expected):
    if options[0] == "graal":
        # With no other compiler its own threads run its code, too: there frames begin and end more often.
        own = [f[0] for f in r.frames()[:1]] == [GRAAL_ROOT] and r.code().hex().startswith(ENDS)
        return r.is_unmarked() and (own if len(options) > 1 else is_true(r, expected))
    return is_true(r, expected)


def pick(found, keep, by_code):
    """Small ones before large ones, each another mix of frames."""
    kept, seen = [], set()
    for r in sorted(found, key=lambda r: len(r.data)):
        key = r.code() if by_code else r.text.splitlines()[0].partition("(")[0]
        ranked = (key in seen, len(r.data))
        seen.add(key)
        kept.append((ranked, r))
    return [r for _, r in sorted(kept, key=lambda k: k[0])[:keep]]


@contextlib.contextmanager
def running(runtime, options, scenarios):
    """The target program, warm; the option "graal" stands for those of that compiler."""
    with contextlib.ExitStack() as stack:
        compiled = None
        if options[0] == "graal":
            flags, compiled = stack.enter_context(graal(runtime))
            options = [*flags, *options[1:]]
        t = Target("truth", argv=java_argv(runtime, scenarios, *LENIENT, *options))
        stack.callback(t.stop)
        if compiled:
            wait_for(lambda: "truth.Truth.burn" in compiled(), 90, "compilations by Graal")
        time.sleep(WARM_S)
        yield t


def record(build, runtime, options, scenarios, flags, keep):
    """(feature release, recordings)"""
    with running(runtime, options, scenarios) as t, tempfile.NamedTemporaryFile() as out:
        tool = os.path.join(build, "tests/unit/unwinders/record_hotspot")
        r = subprocess.run([tool, "-n", "600", "-m", "60", "-o", out.name, *flags, str(t.pid)],
                           stdout=subprocess.PIPE, text=True, timeout=150)
        found = list(recordings(out.read()))
        expected = Expected(t.info, OWN, VIRTUAL, False)
        true = [r for r in found if is_wanted(r, options, expected)]
        print(runtime.name, options, r.stdout.splitlines()[-1], f"{len(true)} of {len(found)} true")
        release = re.search(r"version (\d+):", r.stdout)[1]
        return release, pick(true, keep, "-p" in flags)


def record_kind(build, what, runtime, groups):
    data = b""
    for options, scenarios, flags, keep in groups:
        if scenarios == BLOCKED and runtime.version < (21,):
            continue
        release, got = record(build, runtime, options, scenarios, flags, keep)
        for r in got:
            print("   ", len(r.data), r.code().hex(), r.text.splitlines()[:2])
        data += b"".join(r.data for r in got)
    path = os.path.join(OUT, f"{what}{release}.jrec")
    with open(path, "wb") as f:
        f.write(data)
    print(path, len(data), "bytes")


for kind in sys.argv[3:]:
    kind, _, only = kind.partition(":")
    for name in KINDS[kind][0]:
        if only in ("", name):
            record_kind(sys.argv[1], kind, runtimes.find(name).get(), KINDS[kind][1])
