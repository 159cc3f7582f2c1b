# SPDX-License-Identifier: Apache-2.0
"""discovery.file and discovery.http: lists of targets that others keep, while profiling goes on."""

import json
import os

from lib import Target, case, check, wait_for
from test_relabel import NoTest
from test_run import Receiver, agent
from web import Web


def lists(pid, team):
    """A process as such lists have it: an address nobody uses, and labels."""
    return json.dumps([{"targets": ["127.0.0.1:1"],
                        "labels": {"__process_pid__": str(pid), "service_name": "split", "team": team}}])


def config(source, port):
    return f"""
{source}
pyroscope.ebpf "e" {{
  forward_to       = [pyroscope.write.w.receiver]
  targets          = SOURCE.targets
  collect_interval = "1s"
}}
pyroscope.write "w" {{
  endpoint {{ url = "http://127.0.0.1:{port}" }}
}}
""".replace("SOURCE", ".".join(source.split()[:2]).replace('"', ""))


def team_arrives(recv, team):
    wait_for(lambda: any(p["labels"].get("team") == team for p in recv.profiles()), 20,
             f"a profile of team {team}")


@case
def a_list_from_a_server_is_followed():
    t, recv = Target("split"), Receiver()
    reply = [200, "application/json; charset=utf-8", lists(t.pid, "one")]
    web = Web(NoTest(), lambda handler, body: (reply[0], {"Content-Type": reply[1]}, reply[2].encode()))
    p = agent(config(f'discovery.http "d" {{\n  url = "{web.url}/targets"\n'
                     '  refresh_interval = "300ms"\n}', recv.port))
    team_arrives(recv, "one")
    sent = web.requests[0]["headers"].get("X-Prometheus-Refresh-Interval-Seconds")
    check(sent == "0.3", f"refresh interval told: {sent}")
    reply[1:] = "application/json", lists(t.pid, "two")
    team_arrives(recv, "two")
    # What is wrong with an answer is said, and the last good list stays.
    for bad, words in (((500, "text/plain", "no"), "500"),
                       ((200, "text/html", "<html>"), "unsupported content type"),
                       ((200, "application/json", '[{"targets": 5}]'), "targets")):
        said = open("agent.log").read().count(words)  # 500 may be a part of a port
        reply[:] = bad
        wait_for(lambda: open("agent.log").read().count(words) > said, 15, f"'{words}' in the log")
        healthy = open("agent.log").read().count("is healthy")
        if words != "targets":
            reply[:] = 200, "application/json", lists(t.pid, "two")
            wait_for(lambda: open("agent.log").read().count("is healthy") > healthy, 15, "its end")
    n = len(recv.profiles())
    wait_for(lambda: len(recv.profiles()) >= n + 2, 15, "profiles by the last good list")
    reply[:] = 200, "application/json", lists(t.pid, "three")
    team_arrives(recv, "three")
    check(p.poll() is None, "the agent ended")


@case
def a_list_in_a_file_is_followed():
    t, recv = Target("split"), Receiver()
    path = os.path.abspath("targets.json")

    def put(text):
        with open("new", "w") as f:
            f.write(text)
        os.rename("new", path)

    put(lists(t.pid, "one"))
    p = agent(config(f'discovery.file "d" {{\n  files = ["{path}"]\n}}', recv.port))
    team_arrives(recv, "one")
    put(lists(t.pid, "two"))
    team_arrives(recv, "two")
    put("[{")
    wait_for(lambda: "targets.json" in open("agent.log").read(), 15, "the damaged file in the log")
    n = len(recv.profiles())
    wait_for(lambda: len(recv.profiles()) >= n + 2, 15, "profiles by the last good list")
    put(lists(t.pid, "three"))
    team_arrives(recv, "three")
    check(p.poll() is None, "the agent ended")
