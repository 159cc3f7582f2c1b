#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""record_hotspot.py BUILD CLASSES JAVA...: makes tests/fixtures/recordings/hotspot anew, as root. JAVA is a
command that starts a JVM ("java", or one that enters a root directory first); CLASSES a directory that it
sees under the same path, with a class Truth that works in work() until it is killed, and the target
program truth.Truth. Of each JVM some stacks are kept: with its defaults, in the interpreter alone, and
with C1 alone; and of virtual threads that have blocked, with references of both sizes."""

import os
import re
import shlex
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
OUT = os.path.join(ROOT, "tests", "fixtures", "recordings", "hotspot")
MODES = [([], 2), (["-Xint"], 2), (["-XX:TieredStopAtLevel=1"], 1)]
VIRTUAL = [(["-Xint"], 1), (["-XX:TieredStopAtLevel=1"], 1), (["-XX:-UseCompressedOops"], 2)]
WARM_S = 6


def record(build, java, options, keep, args, *extra):
    """(feature release, recordings)"""
    jvm = subprocess.Popen(shlex.split(java) + options + args, stdout=subprocess.DEVNULL)
    try:
        time.sleep(WARM_S)
        with tempfile.NamedTemporaryFile() as out:
            r = subprocess.run([os.path.join(build, "tests/unit/unwinders/record_hotspot"), "-n", "400",
                                "-m", str(keep), "-o", out.name, *extra, str(jvm.pid)],
                               stdout=subprocess.PIPE, text=True)
            print(java, options, r.stdout)
            return re.search(r"version (\d+):", r.stdout).group(1), out.read()
    finally:
        jvm.kill()
        jvm.wait()


def record_all(build, java, what, modes, args, *extra):
    data = b""
    for options, keep in modes:
        version, got = record(build, java, options, keep, args, *extra)
        data += got
    with open(os.path.join(OUT, f"{what}{version}.jrec"), "wb") as f:
        f.write(data)
    return int(version)


for command in sys.argv[3:]:
    release = record_all(sys.argv[1], command, "jdk", MODES, ["-cp", sys.argv[2], "Truth", "2"])
    if release >= 21:
        record_all(sys.argv[1], command, "virtual", VIRTUAL,
                   ["-Xmx256m", "-cp", sys.argv[2], "truth.Truth", "blocked_threads", "100"], "-v")
