#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""record_hotspot.py BUILD CLASSES JAVA...: makes tests/fixtures/recordings/hotspot anew, as root. JAVA is a
command that starts a JVM ("java", or one that enters a root directory first); CLASSES a directory that it
sees under the same path, with a class Truth that works in work() until it is killed. Of each JVM some
stacks are kept: with its defaults, in the interpreter alone, and with C1 alone."""

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
WARM_S = 6


def record(build, classes, java):
    data, version = b"", None
    for options, keep in MODES:
        jvm = subprocess.Popen(shlex.split(java) + options + ["-cp", classes, "Truth", "2"])
        try:
            time.sleep(WARM_S)
            with tempfile.NamedTemporaryFile() as out:
                r = subprocess.run([os.path.join(build, "tests/unit/unwinders/record_hotspot"), "-n", "400",
                                    "-m", str(keep), "-o", out.name, str(jvm.pid)],
                                   stdout=subprocess.PIPE, text=True)
                print(java, options, r.stdout)
                version = re.search(r"version (\d+):", r.stdout).group(1)
                data += out.read()
        finally:
            jvm.kill()
            jvm.wait()
    with open(os.path.join(OUT, f"jdk{version}.jrec"), "wb") as f:
        f.write(data)


for command in sys.argv[3:]:
    record(sys.argv[1], sys.argv[2], command)
