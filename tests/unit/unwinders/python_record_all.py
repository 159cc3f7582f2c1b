#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the recordings in tests/fixtures/recordings/python:

    python_record_all.py RECORDER NAME DIRECTORY COMMAND...

starts an interpreter with recorded.py, a copy of tests/fixtures/python/recorded.py in DIRECTORY (its
path will be in the recording), and writes NAME.rec."""

import os
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
FIXTURES = os.path.join(os.path.dirname(os.path.dirname(HERE)), "fixtures")


def stopped(pid):
    with open(f"/proc/{pid}/stat") as f:
        return f.read().rpartition(")")[2].split()[0] == "T"


def main(recorder, name, cwd, *command):
    p = subprocess.Popen([*command, "recorded.py"], stdout=subprocess.PIPE, cwd=cwd)
    try:
        deadline = time.monotonic() + 20
        while not stopped(p.pid):
            if time.monotonic() > deadline or p.poll() is not None:
                sys.exit(f"{name}: the program did not stop")
            time.sleep(0.01)
        truth = os.read(p.stdout.fileno(), 65536)
        subprocess.run([recorder, str(p.pid), os.path.join(FIXTURES, "recordings", "python",
                                                            name + ".rec")],
                       input=truth, check=True)
    finally:
        p.send_signal(signal.SIGKILL)
        p.wait()


main(*sys.argv[1:])
