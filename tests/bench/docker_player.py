#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A Docker engine's API at a rate that no real engine reaches, with what a real one (20.10.24)
replied: docker_player.py SOCKET RATE LIVE_SECONDS SECONDS

RATE containers start each second and end LIVE_SECONDS later, with their events; and as many control
groups are made and removed, in every hierarchy, as a runtime does it. Every tenth gets a process.
The last line on stdout is what happened, in JSON; the first one says that it listens."""

import collections
import contextlib
import json
import os
import re
import signal
import socketserver
import subprocess
import sys
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler

HERE = os.path.dirname(os.path.abspath(__file__))
RECORDED = os.path.join(os.path.dirname(HERE), "unit", "agent", "docker")


def load(name):
    with open(os.path.join(RECORDED, name), encoding="utf-8") as f:
        return f.read()


class Engine:
    def __init__(self):
        self.networks = json.dumps(json.loads(load("networks.json"))).encode()
        # One with seven ports, which makes four targets, and one that makes one.
        self.templates = [json.dumps(c, separators=(",", ":")).replace(c["Id"], "@ID@").replace(
            c["Names"][0], "/c@NAME@") for c in json.loads(load("containers.json"))
            if c["Names"][0] in ("/web", "/hosty")]
        event = load("events.json").splitlines()[1]
        self.event = event.replace(json.loads(event)["id"], "@ID@")
        self.running = collections.OrderedDict()  # id -> (JSON, when it started)
        self.streams, self.lock = [], threading.Lock()
        self.started = self.ended = self.questions = 0
        self.asked = {}

    def start(self):
        cid = f"{self.started:08x}" * 8
        with self.lock:
            template = self.templates[self.started % len(self.templates)]
            self.running[cid] = (template.replace("@ID@", cid).replace(
                "@NAME@", str(self.started)), time.monotonic())
            self.started += 1
        self.tell(cid, "start")
        return cid

    def end(self, cid):
        with self.lock:
            del self.running[cid]
            self.ended += 1
        self.tell(cid, "die")

    def tell(self, cid, action):
        line = (self.event.replace("@ID@", cid).replace('"start"', f'"{action}"') + "\n").encode()
        for s in list(self.streams):
            try:
                s.write(b"%x\r\n%s\r\n" % (len(line), line))
            except OSError:
                with contextlib.suppress(ValueError):
                    self.streams.remove(s)

    def list(self, ids):
        now = time.monotonic()
        with self.lock:
            self.questions += 1
            found = []
            for cid in self.running if ids is None else ids:
                if cid in self.running:
                    found.append(self.running[cid][0])
                    self.asked.setdefault(cid, now - self.running[cid][1])
        return ("[" + ",".join(found) + "]").encode()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 0

    def log_message(self, *args):
        pass

    def address_string(self):
        return "unix"

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        filters = json.loads(urllib.parse.parse_qs(url.query).get("filters", ["{}"])[0])
        engine = self.server.engine
        if url.path == "/events":
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            engine.streams.append(self.wfile)
            while self.wfile in engine.streams:
                time.sleep(0.2)
            return
        body = engine.networks if url.path == "/networks" else engine.list(filters.get("id"))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 64


def hierarchies():
    """Of version 2, and of the controller of version 1 that tells containers apart."""
    tops = []
    with open("/proc/self/mountinfo", encoding="utf-8") as f:
        for line in f:
            fields = line.split()
            kind = fields[fields.index("-") + 1]
            if kind == "cgroup2" or (kind == "cgroup" and re.search(r"\bmemory\b", fields[-1])):
                tops.append(fields[4])
    return tops


class Groups:
    def __init__(self):
        self.tops = [f"{t}/tephra-bench-{os.getpid()}" for t in hierarchies()]
        self.home = [os.path.dirname(t) for t in self.tops]
        for t in self.tops:
            os.mkdir(t)
        self.process = subprocess.Popen(["sleep", "1000"])
        self.at = None  # where the process is
        self.made = self.moved = 0

    def move(self, dirs, cid):
        for d in dirs:
            with open(f"{d}/cgroup.procs", "w", encoding="ascii") as f:
                f.write(str(self.process.pid))
        self.at = cid
        self.moved += 1

    def make(self, cid):
        dirs = [f"{t}/{cid}" for t in self.tops]
        for d in dirs:
            os.mkdir(d)
        self.made += 1
        if self.made % 10 == 0:
            self.move(dirs, cid)

    def remove(self, cid):
        if self.at == cid:
            self.move(self.home, None)
        for t in self.tops:
            os.rmdir(f"{t}/{cid}")

    def done(self):
        self.move(self.home, None)
        self.process.kill()
        self.process.wait()
        for t in self.tops:
            for name in os.listdir(t):
                if os.path.isdir(f"{t}/{name}"):
                    os.rmdir(f"{t}/{name}")
            os.rmdir(t)


def main():
    path, rate, live, seconds = sys.argv[1], *map(float, sys.argv[2:5])
    engine, groups, alive = Engine(), Groups(), collections.deque()
    server = Server(path, Handler)
    server.engine = engine
    threading.Thread(target=server.serve_forever, daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    print("listening", flush=True)
    try:
        sys.stdin.readline()  # until the one who measures is ready
        begin = time.monotonic()
        while (now := time.monotonic()) < begin + seconds:
            while engine.started < (now - begin) * rate:
                cid = f"{engine.started:08x}" * 8
                groups.make(cid)
                engine.start()
                alive.append((time.monotonic() + live, cid))
            while alive and alive[0][0] < now:
                cid = alive.popleft()[1]
                engine.end(cid)
                groups.remove(cid)
            time.sleep(0.005)
        took = time.monotonic() - begin
        late = sorted(engine.asked.values())
        print(json.dumps({"seconds": took, "started": engine.started, "ended": engine.ended,
                          "groups": groups.made * len(groups.tops), "moved": groups.moved,
                          "questions": engine.questions, "asked": len(engine.asked),
                          "late_p50": late[len(late) // 2] if late else None,
                          "late_max": late[-1] if late else None}), flush=True)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        groups.done()


if __name__ == "__main__":
    main()
