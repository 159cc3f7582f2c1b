# SPDX-License-Identifier: Apache-2.0
"""SIGHUP while profiling: changed, broken, renamed and removed components, and modules; no interval
is lost."""

import http.server
import os
import signal
import subprocess
import threading
import time

from lib import TEPHRA, Target, case, check, spawn, wait_for
from test_run import Receiver, agent

INTERVAL_S = 2


def ebpf(pid, to="local", extra="", rate=97):
    return f"""
pyroscope.ebpf "host" {{
  forward_to       = [pyroscope.write.{to}.receiver]
  targets          = [{{ "__process_pid__" = "{pid}", "service_name" = "split" }}]
  collect_interval = "{INTERVAL_S}s"
  sample_rate      = {rate}
  {extra}
}}
"""


def write(port, step, name="local"):
    return f"""
pyroscope.write "{name}" {{
  endpoint {{
    url = "http://127.0.0.1:{port}"
  }}
  external_labels = {{ "step" = "{step}" }}
}}
"""


def log():
    with open("agent.log", encoding="utf-8") as f:
        return f.read()


class Agent:
    """The agent on config.alloy, which is replaced and read again."""

    def __init__(self, text):
        self.proc = agent(text)
        wait_for(lambda: "profiling" in log(), 20, "the agent's start")

    def reload(self, text, want, name="config.alloy"):
        seen = log().count(want)
        with open("new", "w", encoding="utf-8") as f:
            f.write(text)
        os.rename("new", name)
        self.proc.send_signal(signal.SIGHUP)
        wait_for(lambda: log().count(want) > seen, 10, f"'{want}' in the log")
        check(self.proc.poll() is None, "the agent ended")

    def end(self):
        self.proc.send_signal(signal.SIGTERM)
        check(self.proc.wait(15) == 0, f"exit code {self.proc.returncode} after SIGTERM")


def steps(recv):
    return {p["labels"].get("step") for p in recv.profiles()}


def wait_step(recv, step):
    wait_for(lambda: step in steps(recv), INTERVAL_S * 3 + 5, f"a profile of step {step}")


def check_nothing_lost(recv, low, high, gap=INTERVAL_S / 2):
    """What was pushed is the CPU time of the target, but for `gap` seconds."""
    got = sum(p["total"] for p in recv.profiles()) / 1e9
    print(f"pushed {got:.2f} s, the target used {low:.2f} to {high:.2f} s, steps {steps(recv)}")
    check(low * 0.97 - gap <= got <= high * 1.03 + 0.2,
          f"{got:.2f} s were pushed of {low:.2f} to {high:.2f} s")


@case(timeout=90)
def no_interval_is_lost_at_a_reload():
    t, recv = Target("split"), Receiver()
    used = t.cpu_s()
    p = Agent(ebpf(t.pid) + write(recv.port, "a"))
    start = t.cpu_s()
    try:
        wait_step(recv, "a")
        p.reload(ebpf(t.pid) + write(recv.port, "b"), "configuration reloaded")
        wait_step(recv, "b")
        # A file that does not parse, an unknown component, a missing reference: nothing changes.
        p.reload(ebpf(t.pid) + write(recv.port, "c") + "oops", "failed to reload")
        p.reload(ebpf(t.pid) + write(recv.port, "c") + 'no.such "x" { }', "failed to reload")
        p.reload(ebpf(t.pid, "gone") + write(recv.port, "c"), "failed to reload")
        # One component is wrong: the other is applied, the wrong one goes on as it was.
        p.reload(ebpf(t.pid, extra='comm = "x"') + write(recv.port, "d"), "failed to reload")
        wait_step(recv, "d")
        check("c" not in steps(recv), "a configuration that was refused was applied")
        # The receiver goes while the profiler points at it.
        p.reload(ebpf(t.pid, "other") + write(recv.port, "e", "other"), "configuration reloaded")
        wait_step(recv, "e")
        end = t.cpu_s()
        p.end()
        check_nothing_lost(recv, end - start, t.cpu_s() - used)
    finally:
        print(log()[-4000:])


@case(timeout=60)
def a_removed_profiler_hands_over_and_a_new_one_starts():
    t, recv = Target("split"), Receiver()
    used = t.cpu_s()
    p = Agent(ebpf(t.pid) + write(recv.port, "a"))
    start = t.cpu_s()
    try:
        time.sleep(INTERVAL_S / 2)
        p.reload(ebpf(t.pid, "w").replace('"host"', '"again"') + write(recv.port, "b", "w"),
                 "configuration reloaded")
        # What the first had collected went to its own receiver, though that is gone as well.
        wait_step(recv, "a")
        wait_step(recv, "b")
        end = t.cpu_s()
        p.end()
        # The profiler went on for the new one.
        check_nothing_lost(recv, end - start, t.cpu_s() - used, gap=0.2)
    finally:
        print(log()[-4000:])


@case(timeout=60)
def a_profiler_in_an_imported_module_follows_its_file():
    t, recv = Target("split"), Receiver()

    def module(label):
        return f"""
declare "profiling" {{
  argument "destinations" {{
    comment = "Must be a list of profile destinations"
  }}
  pyroscope.ebpf "ebpf" {{
    forward_to       = argument.destinations.value
    targets          = [{{ "__process_pid__" = "{t.pid}", "service_name" = "{label}" }}]
    collect_interval = "1s"
    sample_rate      = 97
  }}
}}
"""

    def services():
        return {p["labels"]["service_name"] for p in recv.profiles()}

    with open("module.alloy", "w", encoding="utf-8") as f:
        f.write(module("before"))
    p = Agent(write(recv.port, "a") + """
import.file "lib" {
  filename = module_path + "/module.alloy"
}
lib.profiling "one" {
  destinations = [pyroscope.write.local.receiver]
}
""")
    try:
        wait_for(lambda: "before" in services(), 15, "a profile from the module")
        with open("module.new", "w", encoding="utf-8") as f:
            f.write(module("after"))
        os.rename("module.new", "module.alloy")
        wait_for(lambda: "after" in services(), 15, "a profile from the new text of the module")
        with open("module.alloy", "w", encoding="utf-8") as f:
            f.write("declare {")
        wait_for(lambda: "module.alloy:1:" in log(), 10, "the error in the log")
        n = len(recv.profiles())
        wait_for(lambda: len(recv.profiles()) > n, 15, "a profile with the last good text")
        p.end()
    finally:
        print(log()[-3000:])


class ModuleServer(http.server.BaseHTTPRequestHandler):
    """Answers with .text, or 503 as long as there is none."""

    text, asked = None, 0

    def do_GET(self):
        ModuleServer.asked += 1
        body = (ModuleServer.text or "").encode()
        self.send_response(200 if body else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@case(timeout=60)
def a_module_comes_from_a_server_that_is_away_at_first():
    t, recv = Target("split"), Receiver()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), ModuleServer)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def module(step):
        return f"""
declare "profiling" {{
  argument "to" {{ }}
  pyroscope.ebpf "ebpf" {{
    forward_to       = argument.to.value
    targets          = [{{ "__process_pid__" = "{t.pid}", "service_name" = "{step}" }}]
    collect_interval = "1s"
  }}
}}
"""

    def services():
        return {p["labels"]["service_name"] for p in recv.profiles()}

    p = Agent(write(recv.port, "a") + f"""
import.http "lib" {{
  url            = "http://127.0.0.1:{server.server_port}/module.alloy"
  poll_frequency = "500ms"
  poll_timeout   = "400ms"
}}
lib.profiling "one" {{
  to = [pyroscope.write.local.receiver]
}}
""")
    try:
        wait_for(lambda: ModuleServer.asked > 1, 10, "a second request")
        check("import.http.lib is unhealthy" in log() or "the server answers 503" in log(), log())
        ModuleServer.text = module("one")
        wait_for(lambda: "one" in services(), 15, "a profile from the module")
        ModuleServer.text = module("two")
        wait_for(lambda: "two" in services(), 15, "a profile from its new text")
        p.end()
    finally:
        print(log()[-3000:])


@case
def a_configuration_comes_from_the_standard_input_with_the_flags_of_alloy():
    t, recv = Target("split"), Receiver()
    argv = [TEPHRA, "run", "--storage.path=/var/lib/alloy/data", "--stability.level",
            "public-preview", "--cluster.enabled", "--disable-reporting",
            "--server.http.listen-addr=127.0.0.1:0", "-"]
    with open("agent.log", "w", encoding="utf-8") as err:
        p = spawn(argv, stdin=subprocess.PIPE, stderr=err)
    p.stdin.write((ebpf(t.pid) + write(recv.port, "a")).encode())
    p.stdin.close()
    try:
        wait_for(lambda: "profiling" in log(), 20, "the agent's start")
        check("flags without effect here: --storage.path, --cluster.enabled" in log(), log())
        # It cannot be read again: what it was stays.
        p.send_signal(signal.SIGHUP)
        wait_for(lambda: "configuration reloaded" in log(), 10, "the reload")
        wait_step(recv, "a")
        p.send_signal(signal.SIGTERM)
        check(p.wait(15) == 0, f"exit code {p.returncode} after SIGTERM")
    finally:
        print(log()[-3000:])
