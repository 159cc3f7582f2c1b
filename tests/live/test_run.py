# SPDX-License-Identifier: Apache-2.0
"""`tephra run`: a configuration, profiles pushed to a receiver, errors in a configuration."""

import json
import os
import re
import signal
import subprocess
import time

from lib import TEPHRA, TESTS, Skip, Target, case, check, spawn, tephra, wait_for

RECEIVER = os.path.join(TESTS, "live", "push_receiver.py")


class Receiver:
    """tests/live/push_receiver.py, as a child: decodes and validates what is pushed to it."""

    def __init__(self, *args):
        if not os.path.exists(RECEIVER):
            raise Skip("tests/live/push_receiver.py is not there")
        self.dir = os.path.abspath("received")
        os.mkdir(self.dir)
        self.proc = spawn(["/usr/bin/python3", RECEIVER, "--port", "0", "--out", self.dir, *args],
                          stdout=subprocess.PIPE, text=True)
        self.port = json.loads(self.proc.stdout.readline())["port"]

    def profiles(self):
        found = []
        for name in sorted(os.listdir(self.dir)):
            if name.endswith(".json"):
                with open(os.path.join(self.dir, name)) as f:
                    found.append(json.load(f))
        return found


def config(port, pid, interval="3s", extra=""):
    return f"""
pyroscope.ebpf "host" {{
  forward_to       = [pyroscope.write.local.receiver]
  targets          = [{{ "__process_pid__" = "{pid}", "service_name" = "split" }}]
  collect_interval = "{interval}"
  sample_rate      = 97
}}

pyroscope.write "local" {{
  endpoint {{
    url = "http://127.0.0.1:{port}"
  }}
  external_labels = {{ "env" = "test" }}
}}
{extra}"""


def agent(text, name="config.alloy"):
    with open(name, "w") as f:
        f.write(text)
    return spawn([TEPHRA, "run", "--server.http.listen-addr=127.0.0.1:0", name], stderr=open("agent.log", "w"))


@case(timeout=90)
def profiles_are_pushed():
    t, recv = Target("split"), Receiver()
    start = time.monotonic()
    p = agent(config(recv.port, t.pid))
    try:
        first = wait_for(recv.profiles, 15, "a pushed profile")
        took = time.monotonic() - start
        print(f"first profile after {took:.2f} s: {json.dumps(first[0])[:1500]}")
        check(took <= 3 + 1 + 1, f"the first profile took {took:.1f} s at an interval of 3 s")
        wait_for(lambda: len(recv.profiles()) >= 3, 15, "three profiles")
        text = json.dumps(recv.profiles())
        for word in ("split_sixty", "service_name", "split", "env", "test"):
            check(word in text, f"{word} is not in what was pushed")
        p.send_signal(signal.SIGTERM)
        check(p.wait(10) == 0, f"exit code {p.returncode} after SIGTERM")
    finally:
        print(open("agent.log").read()[-3000:])


@case
def a_config_error_has_place_and_cure():
    with open("bad.alloy", "w") as f:
        f.write(config(1, 1).replace("sample_rate      = 97", "sample_rat = 97"))
    r = tephra("run", "bad.alloy", expect=None, timeout=15)
    check(r.rc in (1, 2), f"exit code\n{r!r}")
    check(re.search(r"bad\.alloy:6:\d+", r.err), f"no file:line:column\n{r!r}")
    check("sample_rat" in r.err and "sample_rate" in r.err, f"no excerpt and cure\n{r!r}")


@case
def a_missing_config_file_is_named():
    r = tephra("run", "/nonexistent/config.alloy", expect=None, timeout=15)
    check(r.rc in (1, 2) and "/nonexistent/config.alloy" in r.err, f"message\n{r!r}")
