#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A Pyroscope server's push endpoint, as strict as the real one and as nasty as the network.

Decodes and validates every push.v1.PushRequest with its gzip pprof, and plays a script of replies,
one step a request; the last step repeats.

  push_receiver.py --port 0 --out FILE --script ok,500,429,hang,ok

The first line on stdout is {"port": N}. FILE gets one JSON line per profile that was taken (or
that was invalid, with "error"); when --out is a directory, it gets one numbered .json file each.
--requests FILE gets one JSON line per request, with its step, status and headers.

Steps: ok; a status (500, 503, 400, 401, 404, 413, 429...) with a connect error as body;
STATUS:plain without one; 429:SECONDS with Retry-After; hang (no reply); close (ends the connection
while the body arrives); cut (promises a body and ends); trickle (a byte now and then, for ever);
flood (a body without end); garbage (no HTTP); html (200, but no Pyroscope); empty (ends without a
byte); redirect, redirect302 (to a URL that is taken).
"""

import argparse
import gzip
import json
import os
import socket
import sys
import threading
import time
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PATH = "/push.v1.PusherService/Push"
CODES = {400: "invalid_argument", 401: "unauthenticated", 403: "permission_denied",
         404: "not_found", 429: "resource_exhausted", 500: "internal", 501: "unimplemented",
         503: "unavailable", 504: "deadline_exceeded"}
MAX_PROFILE = 4 << 20
MAX_LABELS = 30


class Invalid(Exception):
    """What a real server would refuse with invalid_argument."""


def need(ok, text):
    if not ok:
        raise Invalid(text)


# ---- protobuf --------------------------------------------------------------------------------

def varint(data, at):
    value = shift = 0
    while True:
        need(at < len(data) and shift < 70, "truncated varint")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value & (1 << 64) - 1, at
        shift += 7


def fields(data):
    """(number, value) of a message: int for varints, bytes for length-delimited fields."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        number, kind = key >> 3, key & 7
        need(number > 0, "field number 0")
        if kind == 0:
            value, at = varint(data, at)
        elif kind == 2:
            size, at = varint(data, at)
            need(at + size <= len(data), "truncated field")
            value, at = data[at:at + size], at + size
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
            need(at + size <= len(data), "truncated field")
            value, at = int.from_bytes(data[at:at + size], "little"), at + size
        else:
            raise Invalid(f"wire type {kind}")
        yield number, value


def signed(v):
    return v - (1 << 64) if v >> 63 else v


def collect(data, repeated=(), packed=(), nested=()):
    """A message as {number: value}; the named fields as lists, packed ones unpacked."""
    out = {n: [] for n in (*repeated, *packed, *nested)}
    for n, v in fields(data):
        if n in packed:
            if isinstance(v, bytes):
                at = 0
                while at < len(v):
                    x, at = varint(v, at)
                    out[n].append(x)
            else:
                out[n].append(v)
        elif n in repeated or n in nested:
            out[n].append(v)
        else:
            out[n] = v
    return out


def text(data, what):
    need(isinstance(data, bytes), f"{what} is no string")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as e:
        raise Invalid(f"invalid utf8 string hex: {data.hex()[:80]} ({what})") from e


# ---- pprof -----------------------------------------------------------------------------------

class Profile:
    """A decoded and checked pprof (google/pprof proto/profile.proto)."""

    def __init__(self, raw):
        need(len(raw) <= MAX_PROFILE, "uncompressed profile payload size exceeds limit of 4.2 MB")
        m = collect(raw, repeated=(6, 13), nested=(1, 2, 3, 4, 5))
        self.strings = [text(s, "string table") for s in m[6]]
        need(self.strings and self.strings[0] == "", "string 0 should be empty string")
        self.types = [self.value_type(v) for v in m[1]]
        need(self.types, "empty profile")
        need(all("-" not in t for t, _ in self.types), "sample type contains -")
        self.mappings = self.by_id(m[3], "mapping", self.mapping)
        self.functions = self.by_id(m[5], "function", self.function)
        self.locations = self.by_id(m[4], "location", self.location)
        self.samples = [self.sample(v) for v in m[2]]
        need(11 in m, "no period type")
        self.period_type = self.value_type(m[11])
        self.period = signed(m.get(12, 0))
        self.time_ns = signed(m.get(9, 0))
        self.duration_ns = signed(m.get(10, 0))
        self.comments = [self.string(i) for i in m[13]]

    def string(self, index):
        need(isinstance(index, int) and index < len(self.strings), "string index out of range")
        return self.strings[index]

    def value_type(self, data):
        m = collect(data)
        return self.string(m.get(1, 0)), self.string(m.get(2, 0))

    def by_id(self, messages, what, decode):
        out = {}
        for data in messages:
            m = collect(data, nested=(4,) if what == "location" else ())
            key = m.get(1, 0)
            need(key != 0, f"{what} id is 0")
            need(key not in out, f"{what} id {key} occurs twice")
            out[key] = decode(m)
        return out

    def mapping(self, m):
        start, limit = m.get(2, 0), m.get(3, 0)
        need(start <= limit, "mapping ends before it starts")
        return {"file": self.string(m.get(5, 0)), "build_id": self.string(m.get(6, 0))}

    def function(self, m):
        self.string(m.get(3, 0))
        self.string(m.get(4, 0))
        return self.string(m.get(2, 0))

    def location(self, m):
        need(m.get(2, 0) == 0 or m[2] in self.mappings, "location refers to an unknown mapping")
        names = []
        for line in m[4]:
            f = collect(line).get(1, 0)
            need(f != 0, "function id is 0")
            need(f in self.functions, "line refers to an unknown function")
            names.append(self.functions[f])
        return names or [f"0x{m.get(3, 0):x}"]

    def sample(self, data):
        m = collect(data, packed=(1, 2), nested=(3,))
        need(len(m[2]) == len(self.types), "sample value length mismatch")
        values = [signed(v) for v in m[2]]
        need(all(v >= 0 for v in values), "negative sample value")
        for i in m[1]:
            need(i != 0, "location id is 0")
            need(i in self.locations, "sample refers to an unknown location")
        labels = {}
        for data in m[3]:
            label = collect(data)
            labels[self.string(label.get(1, 0))] = (self.string(label.get(2, 0))
                                                    or label.get(3, 0))
        # Leaf first; inlined functions come before the one they are inlined into.
        return {"values": values, "labels": labels,
                "stack": [name for i in m[1] for name in self.locations[i]]}

    def by_label(self):
        """{"comm=reader": sum of the first value, ...}"""
        sums = {}
        for s in self.samples:
            for k, v in s["labels"].items():
                sums[f"{k}={v}"] = sums.get(f"{k}={v}", 0) + s["values"][0]
        return sums

    def roots(self):
        """The same by the outermost frame."""
        sums = {}
        for s in self.samples:
            name = s["stack"][-1] if s["stack"] else ""
            sums[name] = sums.get(name, 0) + s["values"][0]
        return sums

    def top(self, n):
        flat, cum = {}, {}
        for s in self.samples:
            if not s["stack"]:
                continue
            flat[s["stack"][0]] = flat.get(s["stack"][0], 0) + s["values"][0]
            for name in set(s["stack"]):
                cum[name] = cum.get(name, 0) + s["values"][0]
        names = sorted(cum, key=lambda k: (-flat.get(k, 0), -cum[k], k))[:n]
        return [{"name": k, "self": flat.get(k, 0), "total": cum[k]} for k in names]


def decode_pprof(data):
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as e:
            raise Invalid(f"bad gzip: {e}") from e
    return Profile(data)


def decode_labels(pairs):
    labels = {}
    for data in pairs:
        m = collect(data)
        name, value = text(m.get(1, b""), "label name"), text(m.get(2, b""), "label value")
        need(name, "empty label name")
        need(name not in labels, f"has duplicate label name: '{name}'")
        need(len(name.encode()) <= 1024, "label name too long")
        need(len(value.encode()) <= 2048, "label value too long")
        need(all(c.isascii() and (c.isalnum() or c in "_.") for c in name),
             f"invalid label name '{name}'")
        need(not name.startswith("__") or name in ("__name__", "__delta__"),
             f"private label '{name}' was sent")
        labels[name] = value
    need(labels, "error at least one label pair is required per profile")
    need(labels.get("__name__"), "invalid labels with error: invalid metric name")
    need(len(labels) <= MAX_LABELS, f"has {len(labels)} label names; limit {MAX_LABELS}")
    need(list(labels) == sorted(labels), "labels are not sorted")
    return labels


def decode_push(data):
    """The one profile of a PushRequest as (labels, Profile, bytes of the pprof)."""
    series = collect(data, nested=(1,))[1]
    need(len(series) == 1, f"{len(series)} series in one request")
    m = collect(series[0], nested=(1, 2))
    need(len(m[2]) == 1, f"{len(m[2])} profiles in one series")
    raw = collect(m[2][0]).get(1, b"")
    return decode_labels(m[1]), decode_pprof(raw), len(raw)


def describe(labels, profile, size):
    used = [s for s in profile.samples if any(s["values"])]
    return {
        "labels": labels, "total": sum(s["values"][0] for s in profile.samples),
        "samples": len(profile.samples), "nonzero_samples": len(used), "bytes": size,
        "sample_types": ["/".join(t) for t in profile.types],
        "period_type": "/".join(profile.period_type), "period": profile.period,
        "time_ns": profile.time_ns, "duration_ns": profile.duration_ns,
        "mappings": len(profile.mappings), "functions": len(profile.functions),
        "locations": len(profile.locations), "comments": profile.comments,
        "max_depth": max((len(s["stack"]) for s in profile.samples), default=0),
        "top": profile.top(100), "sample_labels": profile.by_label(), "roots": profile.roots(),
    }


# ---- the server ------------------------------------------------------------------------------

class Sink:
    """Where results go: a file of lines, a directory of files, or nowhere."""

    def __init__(self, path):
        self.dir = path if path and os.path.isdir(path) else None
        self.file = open(path, "a", buffering=1) if path and not self.dir else None
        self.n = 0

    def write(self, what):
        self.n += 1
        if self.file:
            self.file.write(json.dumps(what) + "\n")
        elif self.dir:
            path = os.path.join(self.dir, f"{self.n:06}")
            with open(path + ".tmp", "w") as f:
                json.dump(what, f)
            os.rename(path + ".tmp", path + ".json")


class Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, args):
        super().__init__(("127.0.0.1", args.port), Handler)
        self.steps = [s for s in args.script.split(",") if s]
        self.profiles, self.requests = Sink(args.out), Sink(args.requests)
        self.window = args.window
        self.lock = threading.Lock()
        self.started = time.monotonic()

    def next_step(self):
        with self.lock:
            return self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]

    def handle_error(self, request, client_address):
        """Clients that go away are part of the play."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "push_receiver"
    timeout = 60

    def log_message(self, *args):
        pass

    def do_POST(self):
        if self.path.endswith("/taken"):
            return self.take("redirected")
        step = self.server.next_step()
        self.note(step)
        name = step.split(":")[0]
        if name == "close":
            self.rfile.read(min(16, int(self.headers.get("Content-Length", 0))))
            return self.end()
        play = getattr(self, "play_" + name, None)
        if play:
            self.body()
            return play()
        return self.take(step) if name == "ok" else self.play_status(step)

    def do_GET(self):
        self.note("GET")
        self.reply(405, b"", {"Allow": "POST"})

    def note(self, step):
        with self.server.lock:
            self.server.requests.write({
                "step": step, "path": self.path, "at": time.monotonic() - self.server.started,
                "headers": {k.lower(): v for k, v in self.headers.items()}})

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def reply(self, status, body, headers):
        self.send_response(status)
        for k, v in headers.items():
            self.send_header(k, v)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def error(self, status, message, headers=None):
        code = CODES.get(status, "unknown")
        self.reply(status, json.dumps({"code": code, "message": message}).encode(),
                   {"Content-Type": "application/json", **(headers or {})})

    def end(self):
        self.close_connection = True
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def check_request(self):
        need(self.path.endswith(PATH) or self.path.endswith("/taken"), f"path {self.path}")
        need(self.headers.get("Content-Type") == "application/proto", "wrong content type")
        need(self.headers.get("Connect-Protocol-Version") == "1", "no Connect-Protocol-Version")
        need(self.headers.get("Connect-Timeout-Ms", "").isdigit(), "no Connect-Timeout-Ms")
        need(self.headers.get("User-Agent", "").startswith("tephra/"), "wrong User-Agent")
        need("Content-Encoding" not in self.headers, "the request is compressed")

    def take(self, step):
        data = self.body()
        try:
            self.check_request()
            result = describe(*decode_push(data))
            age = time.time() - result["time_ns"] / 1e9
            need(not result["time_ns"] or -600 <= age <= self.server.window,
                 f"is outside of ingestion window ({age:.0f} s old)")
        except Invalid as e:
            with self.server.lock:
                self.server.profiles.write({"error": str(e), "step": step})
            return self.error(400, str(e))
        # Before the reply: who waits for it must find the result.
        with self.server.lock:
            self.server.profiles.write({**result, "step": step, "path": self.path})
        return self.reply(200, b"", {"Content-Type": "application/proto"})

    def play_status(self, step):
        self.body()
        parts = step.split(":")
        status, extra = int(parts[0]), parts[1] if len(parts) > 1 else ""
        if extra == "plain":
            return self.reply(status, b"no luck\n", {"Content-Type": "text/plain"})
        return self.error(status, f"scripted {status}", {"Retry-After": extra} if extra else None)

    def play_hang(self):
        while self.connection.recv(1024):
            pass
        self.end()

    def play_cut(self):
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/proto\r\n"
                         b"Content-Length: 100\r\n\r\nhalf")
        self.end()

    def play_empty(self):
        self.end()

    def play_garbage(self):
        self.wfile.write(os.urandom(64) + b"\r\n\r\n")
        self.end()

    def endless(self, piece, pause):
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/proto\r\n"
                         b"Content-Length: 1000000000\r\n\r\n")
        try:
            while True:
                self.wfile.write(piece)
                time.sleep(pause)
        except OSError:
            self.end()

    def play_trickle(self):
        self.endless(b"x", 0.05)

    def play_flood(self):
        self.endless(b"x" * 65536, 0)

    def play_html(self):
        self.reply(200, b"<html>welcome</html>", {"Content-Type": "text/html"})

    def play_redirect(self):
        self.reply(307, b"", {"Location": "/elsewhere/taken"})

    def play_redirect302(self):
        self.reply(302, b"", {"Location": "/elsewhere/taken"})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--out", help="file or directory for what was received")
    parser.add_argument("--requests", help="file for one line per request")
    parser.add_argument("--script", default="ok", help="steps, separated by commas")
    parser.add_argument("--window", type=float, default=3600, help="oldest profile, in seconds")
    server = Server(parser.parse_args())
    print(json.dumps({"port": server.server_port}), flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()
