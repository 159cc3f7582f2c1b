# SPDX-License-Identifier: Apache-2.0
"""What a dead endpoint costs: the profiles of an hour, handed over in seconds to the real component."""

import http.server
import json
import os
import socket
import subprocess
import threading
import time

import loads

MB = 1e6


class Counter(http.server.ThreadingHTTPServer):
    """Takes pushes and counts them."""
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, port):
        self.taken = 0
        lock = threading.Lock()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                with lock:
                    self.server.taken += 1
                self.send_response(200)
                self.send_header("Content-Type", "application/proto")
                self.send_header("Content-Length", "0")
                self.end_headers()
        super().__init__(("127.0.0.1", port), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Writer:
    """The component pyroscope.write with its queue, its client and its event loop."""

    def __init__(self, b, port, count, size):
        config = os.path.join(b.work, "outage.alloy")
        with open(config, "w", encoding="utf-8") as f:
            f.write('pyroscope.write "w" {\n endpoint {\n'
                    f'  url = "http://127.0.0.1:{port}"\n  max_backoff_period = "5s"\n }}\n}}\n')
        self.proc = subprocess.Popen(
            [loads.need(f"{b.build}/tests/live/write_driver"), "--stats", "--spread", "--count",
             str(count), "--bytes", str(size), "--run-ms", "300000", config],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.before = self.use()
        loads.wait_until(lambda: self.use()["sent"] == count, 120, "the profiles to be queued")

    def use(self):
        self.proc.stdin.write("\n")
        self.proc.stdin.flush()
        return json.loads(self.proc.stdout.readline())

    def end(self):
        """What the component says of its endpoint in the end."""
        self.proc.stdin.close()
        state = json.loads(self.proc.stdout.read().splitlines()[-1])
        self.proc.wait(timeout=30)
        return state["debug"]["endpoints"][0]

    def wait(self, seconds):
        """MB more than before anything was queued, and the CPU share of waiting in %."""
        a, t0 = self.use(), time.monotonic()
        time.sleep(seconds)
        b, t1 = self.use(), time.monotonic()
        return ((max(a["rss"], b["rss"]) - self.before["rss"]) / MB,
                (b["cpu_us"] - a["cpu_us"]) / (t1 - t0) / 1e4)


def outage(b, what, targets, size, listening):
    """One hour of 15 s intervals for so many targets, while nobody listens or nobody answers."""
    count = 240 * targets
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
        if listening:
            s.listen(64)
        w = Writer(b, port, count, size)
        grown, cpu = w.wait(2 if b.quick else 20)
    server = Counter(port)

    def all_arrived():
        """No more came for two seconds."""
        before = server.taken
        time.sleep(2)
        return server.taken == before > 0
    t0 = time.monotonic()
    loads.wait_until(all_arrived, 60, "the profiles to arrive")
    took = time.monotonic() - t0 - 2
    end = w.end()
    server.shutdown()
    server.server_close()
    dropped = sum(end["dropped_profiles"].values())
    lost = count - server.taken - dropped
    note = (f"{what}: {count} profiles of {size // 1000} KB on average ({count * size / MB:.0f} "
            f"MB) queued; resident {grown:+.1f} MB, {cpu:.3f} % of a core while waiting; then "
            f"{server.taken} arrived within {took:.0f} s, {dropped} were dropped and counted "
            f"({json.dumps(end['dropped_profiles'])}), {lost} unaccounted")
    return grown, cpu, count, server.taken, dropped, lost, note


def dead_endpoint(b):
    from rows import Row
    runs = [outage(b, "closed port, small", 10, 5000, False),
            outage(b, "closed port, large", 20, 40000, False),
            outage(b, "hanging server, large", 20, 40000, True)]
    grown, cpu = max(r[0] for r in runs), max(r[1] for r in runs)
    small = runs[0]
    return [Row("a dead endpoint for an hour", "< 16 MB, no CPU",
                f"{grown:.1f} MB, {cpu:.3f} % of a core", grown < 16 and cpu < 0.1,
                [r[6] for r in runs] +
                ["the profiles of 240 intervals are handed over as fast as they are taken; backoff "
                 "up to 5 s instead of 5 min, so what an attempt costs is counted 60 times as often"]),
            Row("... what fits arrives when it is back", "all of it",
                f"{small[3]} of {small[2]}; over the budget the oldest go: {runs[1][3]} of "
                f"{runs[1][2]}", small[3] == small[2] and not any(r[5] for r in runs))]
