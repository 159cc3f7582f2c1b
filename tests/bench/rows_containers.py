# SPDX-License-Identifier: Apache-2.0
"""What it costs to follow containers that start and end all the time."""

import json
import os
import subprocess
import time

import loads
import proc

CONFIG = """
discovery.docker "d" {{ host = "unix://{sock}" }}

pyroscope.ebpf "e" {{
  targets    = discovery.docker.d.targets
  forward_to = [pyroscope.write.w.receiver]
  // Making profiles has rows of its own.
  collect_interval = "5m"
}}

pyroscope.write "w" {{ }}
"""


def containers(b):
    from rows import Row  # which imports this file for its table
    rate, live, seconds = 200, 1, 8 if b.quick else 30
    sock, config = os.path.join(b.work, "docker.sock"), os.path.join(b.work, "docker.alloy")
    with open(config, "w", encoding="utf-8") as f:
        f.write(CONFIG.format(sock=sock))
    player = loads.start(["/usr/bin/python3", os.path.join(os.path.dirname(__file__),
                                                           "docker_player.py"), sock, str(rate),
                          str(live), str(seconds)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         text=True)
    if player.stdout.readline() != "listening\n":
        raise RuntimeError("the player of the engine's replies did not start")
    with open(os.path.join(b.work, "docker.log"), "w", encoding="utf-8") as log:
        agent = loads.start([os.environ["TEPHRA"], "run", config], stderr=log)
    time.sleep(4)
    if agent.poll() is not None:
        with open(log.name, encoding="utf-8") as f:
            raise RuntimeError(f"the agent ended: {f.read()[-500:]}")

    def used(pause):
        """Of one core, in %: the agent, its children."""
        before, t0 = proc.family_cpu_ns(agent.pid), time.monotonic()
        out = pause()
        wall = time.monotonic() - t0
        return [(y - x) / 1e7 / wall for x, y in
                zip(before, proc.family_cpu_ns(agent.pid))], out

    idle, _ = used(lambda: time.sleep(3 if b.quick else 10))

    def play():
        player.stdin.write("\n")
        player.stdin.flush()
        return json.loads(player.stdout.readline())

    busy, told = used(play)
    player.wait(30)  # it removes its groups
    code = loads.end(agent)
    did = told["started"] / told["seconds"]
    row = Row(f"CPU of the agent, {rate} containers start and end each second", "< 2 % of a core",
              f"{sum(busy):.2f} % (when nothing starts {sum(idle):.2f} %)",
              None if did < 0.95 * rate else sum(busy) < 2,
              [f"the agent {busy[0]:.2f} %, the process that parses {busy[1]:.2f} %",
               f"{told['started']} started and {told['ended']} ended in {told['seconds']:.1f} s, "
               f"{told['groups']} control groups made, {told['moved']} moves of a process",
               f"{told['asked']} of them asked for in {told['questions']} questions, after "
               f"{told['late_p50']:.3f} s (median), {told['late_max']:.3f} s (latest)",
               f"the engine is a player of recorded replies; exit code {code}"])
    missed = Row("containers that live 1 s and became targets", ">= 99 %",
                 f"{100 * told['asked'] / told['started']:.2f} %",
                 told["asked"] >= 0.99 * (told["started"] - rate * 0.2))
    return [row, missed]
