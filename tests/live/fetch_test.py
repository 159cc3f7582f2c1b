#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""agent/http/fetch.h: streams, limits, cancelling, sockets, and servers that misbehave.

  fetch_test.py path/to/fetch_driver
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from web import Certificates, Web

DRIVER = sys.argv.pop(1) if len(sys.argv) > 1 else "build/tests/live/fetch_driver"


def read(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


def wait_for(what):
    deadline = time.monotonic() + 10
    while not what():
        if time.monotonic() > deadline:
            raise AssertionError("it did not happen within 10 s")
        time.sleep(0.02)


def plain(status, body, **headers):
    return lambda handler, _: (status, {"Content-Type": "text/plain", **headers}, body)


def chunked(*pieces, pause=0.0, end=True):
    """A reply in pieces, as a watch of Kubernetes comes; without its end, for ever."""
    def answer(handler, _):
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for p in pieces:
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(p), p))
            handler.wfile.flush()
            time.sleep(pause)
        if end:
            handler.wfile.write(b"0\r\n\r\n")
        else:
            handler.connection.recv(1)
    return answer


class FetchTest(unittest.TestCase):
    def setUp(self):
        tmp = tempfile.TemporaryDirectory()
        self.addCleanup(tmp.cleanup)
        self.tmp = tmp.name

    def fetch(self, *args):
        """The reply, the pieces of a stream, and the last line with what was left open."""
        p = subprocess.run([DRIVER, *map(str, args)], capture_output=True, text=True, timeout=40)
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertEqual(p.stderr, "")
        lines = [json.loads(line) for line in p.stdout.splitlines()]
        replies = [x for x in lines if "r" in x]
        pieces = "".join(x["data"] for x in lines if "data" in x)
        return replies, pieces, lines[-1]

    def one(self, *args):
        (reply,), pieces, _ = self.fetch(*args)
        return reply, pieces

    def test_a_body_is_collected(self):
        w = Web(self, plain(200, b"hello"))
        r, _ = self.one("--header", "X-A=b", w.url + "/x?y=1")
        self.assertEqual((r["r"], r["status"], r["body"], r["type"]),
                         ("0", 200, "hello", "text/plain"))
        q, = w.requests
        self.assertEqual((q["method"], q["path"], q["headers"]["X-A"]), ("GET", "/x?y=1", "b"))
        self.assertTrue(q["headers"]["User-Agent"].startswith("tephra/"))

    def test_methods_and_bodies(self):
        w = Web(self, plain(200, b"ok"))
        for method, body in (("POST", "b1"), ("PUT", "b2"), ("DELETE", ""), ("HEAD", "")):
            args = ["--body", body] if body else []
            self.assertEqual(self.one("--method", method, *args, w.url)[0]["status"], 200)
        self.assertEqual([(r["method"], r["body"]) for r in w.requests],
                         [("POST", b"b1"), ("PUT", b"b2"), ("DELETE", b""), ("HEAD", b"")])

    def test_a_unix_socket(self):
        path = os.path.join(self.tmp, "engine.sock")
        w = Web(self, plain(200, b"engine"), unix=path)
        r, _ = self.one("--unix", path, "http://localhost/v1.40/info")
        self.assertEqual((r["status"], r["body"]), (200, "engine"))
        self.assertEqual(w.requests[0]["path"], "/v1.40/info")
        r, _ = self.one("--unix", path + "x", "http://localhost/")
        self.assertEqual((r["r"], r["status"]), ("ECONNREFUSED", 0))

    def test_a_stream_comes_as_it_is_sent(self):
        w = Web(self, chunked(b"one\n", b"two\n", b"three\n", pause=0.05))
        r, pieces = self.one("--stream", w.url)
        self.assertEqual((r["r"], r["status"], pieces), ("0", 200, "one\ntwo\nthree\n"))
        self.assertEqual((r["len"], r["streamed"]), (0, 14))

    def test_a_stream_of_small_pieces_comes_in_batches(self):
        text = "".join(f"{i}\n" for i in range(100))
        w = Web(self, chunked(*[f"{i}\n".encode() for i in range(100)], pause=0.004))
        _, pieces, last = self.fetch("--stream", "--batch-ms", 100, w.url)
        self.assertEqual(pieces, text)
        self.assertEqual(last["left"], 0)
        # What came between two batches is not lost when the reader or the stream ends.
        w = Web(self, chunked(b"one\n", b"two\n", b"three\n", pause=0.01, end=False))
        for args, r, want in ((["--stop-after", 2], "ECANCELED", "one\ntwo\n"),
                              (["--idle-ms", 400], "ETIMEDOUT", "one\ntwo\nthree\n")):
            reply, pieces = self.one("--stream", "--batch-ms", 100, *args, w.url)
            self.assertEqual((reply["r"], pieces), (r, want))
        replies, _, last = self.fetch("--stream", "--batch-ms", 100, "--cancel-after", 2, w.url)
        self.assertEqual((replies, last["left"]), ([], 0))

    def test_an_endless_stream_does_not_end_by_itself(self):
        w = Web(self, chunked(b"one\n", end=False))
        start = time.monotonic()
        r, pieces = self.one("--stream", "--idle-ms", 300, w.url)
        self.assertEqual((r["r"], pieces), ("ETIMEDOUT", "one\n"))
        self.assertEqual(r["why"], "nothing more of the reply within 0.3 s")
        self.assertLess(time.monotonic() - start, 3)

    def test_a_slow_stream_is_not_idle(self):
        w = Web(self, chunked(*[b"x"] * 8, pause=0.1))
        r, pieces = self.one("--stream", "--idle-ms", 350, w.url)
        self.assertEqual((r["r"], pieces), ("0", "x" * 8))

    def test_a_stream_costs_no_memory(self):
        w = Web(self, chunked(*[b"x" * 65536] * 1000))
        r, _ = self.one("--stream", "--quiet", w.url)
        self.assertEqual(r["streamed"], 65536000)
        self.assertLess(r["max_rss_kib"], 30000)

    def test_only_a_good_reply_is_streamed(self):
        w = Web(self, plain(403, b"forbidden"))
        r, pieces = self.one("--stream", w.url)
        self.assertEqual((r["r"], r["status"], r["body"], pieces), ("0", 403, "forbidden", ""))

    def test_the_reader_can_end_a_stream(self):
        w = Web(self, chunked(b"one\n", b"two\n", pause=0.1, end=False))
        r, pieces = self.one("--stream", "--stop-after", 2, w.url)
        self.assertEqual((r["r"], pieces), ("ECANCELED", "one\ntwo\n"))

    def test_cancelling_from_inside_a_stream(self):
        w = Web(self, chunked(b"one\n", b"two\n", pause=0.1, end=False))
        replies, pieces, last = self.fetch("--stream", "--cancel-after", 1, w.url)
        self.assertEqual((replies, pieces, last["left"]), ([], "one\n", 0))
        replies, _, last = self.fetch("--stream", "--n", 8, "--cancel-after", 1, "--cancel-all",
                                      w.url)
        self.assertEqual((replies, last["left"]), ([], 0))

    def test_cancelling_from_the_loop(self):
        w = Web(self, chunked(b"one\n", end=False))
        replies, _, last = self.fetch("--stream", "--n", 20, "--cancel-ms", 300, w.url)
        self.assertEqual(replies, [])
        self.assertLess(last["ms"], 2000)
        # Before anything was begun, and while nobody answers.
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen()
            url = f"http://127.0.0.1:{s.getsockname()[1]}"
            self.assertEqual(self.fetch("--n", 5, "--cancel-ms", 1, url)[0], [])
            self.assertEqual(self.fetch("--n", 5, "--cancel-ms", 200, url)[0], [])

    def test_many_at_once(self):
        w = Web(self, plain(200, b"x" * 1000))
        replies, _, last = self.fetch("--n", 64, w.url)
        self.assertEqual([r["len"] for r in replies], [1000] * 64)
        self.assertEqual(last["left"], 0)

    def test_a_reply_that_is_too_large(self):
        w = Web(self, plain(200, b"x" * 100001))
        r, _ = self.one("--max-bytes", 100000, w.url)
        self.assertEqual((r["r"], r["status"]), ("E2BIG", 200))
        self.assertEqual(r["why"], "the reply is larger than 100000 bytes")
        w = Web(self, plain(200, b"x" * 100000))
        self.assertEqual(self.one("--max-bytes", 100000, w.url)[0]["len"], 100000)
        w = Web(self, plain(500, b"x" * 100001))
        self.assertEqual(self.one("--stream", w.url)[0]["r"], "E2BIG")

    def test_time_limits(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen()
            url = f"http://127.0.0.1:{s.getsockname()[1]}"
            r, _ = self.one("--timeout-ms", 200, url)
            self.assertEqual((r["r"], r["why"]), ("ETIMEDOUT", "no reply of the server within 0.2 s"))
        w = Web(self, chunked(*[b"x"] * 100, pause=0.05))
        r, _ = self.one("--timeout-ms", 300, w.url)
        self.assertEqual((r["r"], r["why"], r["status"]),
                         ("ETIMEDOUT", "the reply was not complete within 0.3 s", 200))

    def test_a_dead_name_server_holds_up_nothing(self):
        inside = """
import fcntl, os, socket, struct, subprocess, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
fcntl.ioctl(s, 0x8914, struct.pack("16sh14x", b"lo", 1))  # SIOCSIFFLAGS, IFF_UP
s.bind(("127.0.0.1", 53))
subprocess.run(["mount", "--bind", sys.argv[1], "/etc/resolv.conf"], check=True)
sys.exit(subprocess.run(sys.argv[2:]).returncode)
"""
        conf = os.path.join(self.tmp, "resolv.conf")
        with open(conf, "w") as f:
            f.write("nameserver 127.0.0.1\noptions timeout:5 attempts:1\n")
        start = time.monotonic()
        p = subprocess.run(["unshare", "-rmn", sys.executable, "-c", inside, conf, DRIVER,
                            "--timeout-ms", "300", "http://pyroscope.test/"],
                           capture_output=True, text=True, timeout=30)
        took = time.monotonic() - start
        reply, last = (json.loads(line) for line in p.stdout.splitlines())
        self.assertEqual((reply["r"], last["left"]), ("ETIMEDOUT", 0), p.stderr)
        self.assertLess(last["ms"], 2000)
        self.assertLess(took, 4)  # the end does not wait for it either

    def test_nobody_there(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        r, _ = self.one(f"http://127.0.0.1:{port}")
        self.assertEqual(r["r"], "ECONNREFUSED")
        self.assertIn(f"port {port}", r["why"])
        r, _ = self.one("http://name.invalid/")
        self.assertEqual(r["r"], "EHOSTUNREACH")

    def test_requests_that_cannot_be_made_are_told_like_all_else(self):
        for args, why in ((["ftp://h/"], "no valid URL"), (["http://"], "no valid URL"),
                          (["--header", "a b=c", "http://h"], "no valid header name"),
                          (["--header", "a=c\r\nd: e", "http://h"], "has a line break"),
                          (["--method", "GET /x", "http://h"], "no valid method")):
            r, _ = self.one(*args)
            self.assertEqual(r["r"], "EINVAL")
            self.assertIn(why, r["why"])

    def raw(self, data):
        """A server that answers with these bytes, whatever is asked."""
        server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(server.close)

        def serve():
            while True:
                try:
                    c, _ = server.accept()
                except OSError:
                    return
                with c:
                    c.recv(65536)
                    try:
                        c.sendall(data)
                    except OSError:
                        pass
        threading.Thread(target=serve, daemon=True).start()
        return f"http://127.0.0.1:{server.getsockname()[1]}"

    def test_garbage_ends_with_an_error(self):
        head = b"HTTP/1.1 200 OK\r\n"
        for data in (b"", b"\0" * 100, os.urandom(1000), b"HTTP/1.1 ", head,
                     head + b"Content-Length: 100\r\n\r\nx",
                     head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
                     head + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
                     head + b"X: " + b"y" * 1000000 + b"\r\n\r\n",
                     head + b"X: y\r\n" * 100000 + b"\r\n"):
            r, _ = self.one("--timeout-ms", 5000, self.raw(data))
            self.assertNotEqual(r["r"], "0", data[:40])
            self.assertTrue(r["why"])

    def test_http2(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        cert, key = Certificates(self.tmp).by_ip
        with open(os.path.join(self.tmp, "big"), "wb") as f:
            f.write(b"x" * 3000000)
        log = os.path.join(self.tmp, "log")
        with open(log, "w") as out:
            server = subprocess.Popen(["nghttpd", "-v", "--address=127.0.0.1", "-d", self.tmp,
                                       str(port), key, cert], stdout=out)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        wait_for(lambda: "listen" in read(log))
        url = f"https://127.0.0.1:{port}/big"
        replies, _, _ = self.fetch("--insecure", "--http2", "--n", 8, url)
        self.assertEqual([(r["r"], r["status"], r["len"]) for r in replies],
                         [("0", 200, 3000000)] * 8)
        r, _ = self.one("--insecure", "--http2", "--stream", "--quiet", url)
        self.assertEqual((r["r"], r["streamed"]), ("0", 3000000))
        wait_for(lambda: read(log).count(":path: /big") == 9)
        self.assertIn("The negotiated protocol: h2", read(log))

    def test_retry_after_is_told(self):
        w = Web(self, plain(503, b"", **{"Retry-After": "7"}))
        self.assertEqual(self.one(w.url)[0]["retry_after"], 7)

    def test_redirects(self):
        seen = Web(self, plain(200, b"there"))
        w = Web(self, plain(303, b"body of the redirect", Location=seen.url + "/there"))
        r, _ = self.one("--follow", "--method", "POST", "--body", "x", w.url)
        self.assertEqual((r["status"], r["body"]), (200, "there"))
        self.assertEqual((seen.requests[0]["method"], seen.requests[0]["body"]), ("GET", b""))
        r, _ = self.one(w.url)
        self.assertEqual((r["status"], r["body"]), (303, "body of the redirect"))
        for location in ("http://", "file:///etc/passwd", "ftp://h/", ""):
            w = Web(self, plain(302, b"", Location=location))
            r, _ = self.one("--follow", w.url)
            self.assertNotEqual((r["r"], r["status"]), ("0", 200), location)
        w = Web(self, plain(302, b"", Location="/again"))
        self.assertEqual(self.one("--follow", w.url)[0]["r"], "ELOOP")
        self.assertEqual(len(w.requests), 11)

    def test_a_redirect_of_a_stream_streams_its_end_only(self):
        w = Web(self)
        stream = chunked(b"end\n")
        w.answer = lambda h, b: (stream(h, b) if h.path == "/x" else
                                 (307, {"Location": "/x"}, b"not this"))
        r, pieces = self.one("--stream", "--follow", w.url)
        self.assertEqual((r["r"], pieces), ("0", "end\n"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
