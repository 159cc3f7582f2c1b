# SPDX-License-Identifier: Apache-2.0
"""Relabelling from end to end: clients push to pyroscope.receive_http, pyroscope.relabel changes
their labels, pyroscope.write sends them on; discovery.relabel decides which processes are profiled;
and label values that somebody made to do harm."""

import base64
import gzip
import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import urllib.parse

from lib import Target, case, check, fresh_copy, pb_fields, wait_for
from test_run import Receiver, agent
from web import Web

PUSH = "/push.v1.PusherService/Push"
# The smallest pprof that a server takes.
PPROF = (bytes.fromhex("0a0408011002" "12090a0101120480ade204" "1a0408013801" "2208080110012202"
                       "0801" "2a0408011003" "3200") + b"\x32\x03cpu\x32\x0bnanoseconds\x32\x04main"
         + bytes.fromhex("5a0408011002" "6080ade204"))


class NoTest:
    """What web.Web wants of a test; the sink ends with the process."""

    def addCleanup(self, *args):
        pass


class Sink(Web):
    """The server behind it all: what was pushed, byte for byte, and what came to /ingest."""

    def __init__(self):
        super().__init__(NoTest())

    def pushed(self):
        """(labels, profile) of every push."""
        found = []
        for q in list(self.requests):
            if q["path"] != PUSH:
                continue
            for _, series in fields(q["body"], 1):
                labels = {}
                for _, pair in fields(series, 1):
                    text = dict(fields(pair))
                    labels[text[1].decode()] = text.get(2, b"").decode()
                found += [(labels, dict(fields(sample))[1]) for _, sample in fields(series, 2)]
        return found

    def ingested(self):
        """(name, the other parameters, content type, body) of every request to /ingest."""
        found = []
        for q in list(self.requests):
            url = urllib.parse.urlsplit(q["path"])
            if url.path == "/ingest":
                query = urllib.parse.parse_qs(url.query)
                found.append((query.pop("name")[0], {k: v[0] for k, v in query.items()},
                              q["headers"]["Content-Type"], q["body"]))
        return found


def fields(data, only=None):
    return [(n, v) for n, v in ((f[0], f[-1]) for f in pb_fields(data)) if only in (None, n)]


def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def push_request(labels, *profiles):
    pairs = b"".join(field(1, field(1, k.encode()) + field(2, v.encode()))
                     for k, v in labels.items())
    return field(1, pairs + b"".join(field(2, field(1, p)) for p in profiles))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def log():
    with open("agent.log", encoding="utf-8") as f:
        return f.read()


def config(port, sink, rules, extra=""):
    return f"""
pyroscope.receive_http "in" {{
  http {{
    listen_address = "127.0.0.1"
    listen_port    = {port}
    {extra}
  }}
  forward_to = [pyroscope.relabel.rules.receiver]
}}

pyroscope.relabel "rules" {{
  forward_to = [pyroscope.write.out.receiver]
{rules}
}}

pyroscope.write "out" {{
  endpoint {{
    url = "{sink.url}/base"
  }}
}}
"""


RULES = """
  rule {
    source_labels = ["env"]
    regex         = "dev-(.+)"
    target_label  = "stage"
    replacement   = "${1}!"
  }
  rule {
    source_labels = ["service_name"]
    regex         = "secret.*"
    action        = "drop"
  }
  rule {
    action = "labeldrop"
    regex  = "env|pod_.+"
  }
"""


class Client:
    """One connection to the agent, as an SDK keeps it."""

    def __init__(self, port, tls=None):
        self.http = (http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=tls) if tls
                     else http.client.HTTPConnection("127.0.0.1", port, timeout=10))

    def post(self, path, body, content_type="application/proto", **headers):
        self.http.request("POST", path, body, {"Content-Type": content_type, **{
            k.replace("_", "-"): v for k, v in headers.items()}})
        r = self.http.getresponse()
        return r.status, r.headers, r.read()


def start(text):
    p = agent(text)
    wait_for(lambda: "listening on" in log(), 15, "the listener")
    return p


def end(p):
    p.send_signal(signal.SIGTERM)
    check(p.wait(15) == 0, f"exit code {p.returncode} after SIGTERM")


def pushed_below(sink):
    """What was pushed, when the URL has a path of its own."""
    strip_base(sink)
    return sink.pushed()


def strip_base(sink):
    for q in sink.requests:
        q["path"] = q["path"].removeprefix("/base")


@case(timeout=60)
def pushed_profiles_pass_through_with_new_labels():
    sink, port = Sink(), free_port()
    p = start(config(port, sink, RULES))
    try:
        client, zipped = Client(port), gzip.compress(PPROF)
        labels = {"__name__": "process_cpu", "service_name": "web", "env": "dev-eu", "pod_ip": "1",
                  "__session_id__": "0123456789abcdef"}
        body = push_request(labels, PPROF, zipped)
        status, headers, reply = client.post(PUSH, body, Connect_Protocol_Version="1")
        check((status, reply, headers["Content-Type"]) == (200, b"", "application/proto"),
              f"answer to a push: {status} {headers} {reply}")
        status, _, _ = client.post(PUSH, gzip.compress(push_request(
            {"__name__": "unnamed", "env": "prod"}, PPROF)), Content_Encoding="gzip")
        check(status == 200, f"answer to a push in gzip: {status}")
        series = {"labels": [{"name": "__name__", "value": "json"}],
                  "samples": [{"ID": "x", "rawProfile": base64.b64encode(PPROF).decode()}]}
        status, _, reply = client.post(PUSH, json.dumps({"series": [series]}), "application/json")
        check((status, reply) == (200, b"{}"), f"answer to a push in JSON: {status} {reply}")
        status, _, _ = client.post(PUSH, push_request(
            {"__name__": "process_cpu", "service_name": "secret-thing"}, PPROF))
        check(status == 200, f"answer to a push that a rule drops: {status}")
        end(p)
        strip_base(sink)
        got = sorted(sink.pushed(), key=lambda x: (x[0]["service_name"], len(x[1])))
        print(json.dumps([g[0] for g in got]))
        check(got == sorted([
            ({"__name__": "process_cpu", "app_name": "process_cpu", "service_name": "web",
              "stage": "eu!"}, PPROF),
            ({"__name__": "process_cpu", "app_name": "process_cpu", "service_name": "web",
              "stage": "eu!"}, zipped),
            ({"__name__": "unnamed", "service_name": "unnamed"}, PPROF),
            ({"__name__": "json", "service_name": "json"}, PPROF),
        ], key=lambda x: (x[0]["service_name"], len(x[1]))), "not what was pushed")
    finally:
        print(log()[-3000:])


@case(timeout=60)
def requests_of_sdks_to_ingest_pass_through():
    sink, port = Sink(), free_port()
    p = start(config(port, sink, RULES))
    try:
        client = Client(port)
        boundary = "------------------------d74496d66958873e"
        form = (f'--{boundary}\r\nContent-Disposition: form-data; name="profile"; '
                'filename="profile.pprof"\r\nContent-Type: application/octet-stream\r\n\r\n'
                ).encode() + gzip.compress(PPROF) + (
            f'\r\n--{boundary}\r\nContent-Disposition: form-data; name="sample_type_config"; '
            'filename="sample_type_config.json"\r\n\r\n{"samples":{"units":"samples"}}\r\n'
            f'--{boundary}--\r\n').encode()
        kind = f"multipart/form-data; boundary={boundary}"
        name = urllib.parse.quote("my.app{env=dev-eu,pod_name=x,region=a b}")
        status, _, _ = client.post(f"/ingest?name={name}&from=1700000000&until=1700000010"
                                   "&spyName=gospy&sampleRate=100", form, kind)
        check(status == 200, f"answer to a form: {status}")
        folded = b"main;work 10\nmain;rest 3\n"
        status, _, _ = client.post("/ingest?from=1&until=2&name=curl-app&format=folded", folded,
                                   "application/x-www-form-urlencoded")
        check(status == 200, f"answer to folded stacks: {status}")
        status, _, reply = client.post("/ingest?from=1", folded, "text/plain")
        check(status == 400 and b"name: " in reply, f"answer without a name: {status} {reply}")
        status, _, _ = client.post("/ingest?name=secret%7B%7D", folded, "text/plain")
        check(status == 200, f"answer to one that a rule drops: {status}")
        end(p)
        strip_base(sink)
        got = sorted(sink.ingested())
        print(*[(g[0], g[1], g[2], len(g[3])) for g in got], sep="\n")
        check(got == [
            ("curl-app{service_name=curl-app}", {"from": "1", "until": "2", "format": "folded"},
             "application/x-www-form-urlencoded", folded),
            ("my.app{region=a b,service_name=my.app,stage=eu!}",
             {"from": "1700000000", "until": "1700000010", "spyName": "gospy",
              "sampleRate": "100"}, kind, form),
        ], "not what was sent")
    finally:
        print(log()[-3000:])


@case(timeout=60)
def what_is_no_push_is_refused_with_the_reason():
    sink, port = Sink(), free_port()
    p = start(config(port, sink, RULES))
    try:
        client, body = Client(port), push_request({"__name__": "x"}, PPROF)
        status, headers, reply = client.post(PUSH, body, "application/grpc+proto")
        check(status == 415 and b"connect" in reply and "application/proto" in headers["Accept-Post"],
              f"gRPC: {status} {reply}")
        status, _, reply = client.post(PUSH, body, "text/plain")
        check(status == 415, f"another type: {status}")
        for want, code, what, more in (
                (501, "unimplemented", body, {"Content_Encoding": "br"}),
                (400, "invalid_argument", body, {"Connect_Protocol_Version": "2"}),
                (400, "invalid_argument", body[:-5], {}),
                (400, "invalid_argument", b"\xff" * 1000, {}),
                (400, "invalid_argument", b"no gzip", {"Content_Encoding": "gzip"}),
                (429, "resource_exhausted", gzip.compress(bytes(100 << 20)),
                 {"Content_Encoding": "gzip"})):
            status, headers, reply = client.post(PUSH, what, **more)
            check(status == want and headers["Content-Type"] == "application/json" and
                  json.loads(reply)["code"] == code, f"{what[:20]} {more}: {status} {reply}")
        client = Client(port)
        client.http.request("GET", PUSH)
        check(client.http.getresponse().status == 405, "GET of the push path")
        with open(f"/proc/{p.pid}/status", encoding="ascii") as f:
            peak = int(re.search(r"VmHWM:\s+(\d+)", f.read())[1])
        print(f"peak of the agent {peak} KiB")
        check(peak < 100 << 10, f"the agent took {peak} KiB")
        end(p)
        check(not sink.requests, "something was passed on")
    finally:
        print(log()[-3000:])


@case(timeout=60)
def a_busy_address_is_tried_again_and_tls_is_spoken():
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out",
                    "cert.pem"], check=True, capture_output=True)
    sink, holder = Sink(), socket.socket()
    holder.bind(("127.0.0.1", 0))
    holder.listen()
    port = holder.getsockname()[1]
    tls = f'tls {{\n cert_file = "{os.path.abspath("cert.pem")}"\n' \
          f' key_file = "{os.path.abspath("key.pem")}"\n }}'
    p = agent(config(port, sink, RULES, tls))
    try:
        wait_for(lambda: "cannot listen" in log(), 15, "the complaint")
        check(p.poll() is None, "the agent ended")
        holder.close()
        wait_for(lambda: "listening on" in log(), 15, "the listener")
        client = Client(port, ssl.create_default_context(cafile="cert.pem"))
        status, _, _ = client.post(PUSH, push_request({"__name__": "tls"}, PPROF))
        check(status == 200, f"answer over TLS: {status}")
        end(p)
        strip_base(sink)
        check([x[0]["service_name"] for x in sink.pushed()] == ["tls"], "not what was pushed")
    finally:
        print(log()[-3000:])


@case(timeout=60)
def new_rules_and_receivers_do_not_disturb_clients():
    sink, port = Sink(), free_port()
    p = start(config(port, sink, RULES))
    try:
        client, body = Client(port), push_request({"__name__": "x", "env": "dev-eu"}, PPROF)
        check(client.post(PUSH, body)[0] == 200, "the first push")
        kept = client.http.sock.getsockname()
        with open("config.alloy", "w", encoding="utf-8") as f:
            f.write(config(port, sink, RULES.replace("${1}!", "new-$1")).replace(
                "forward_to = [pyroscope.relabel.rules.receiver]",
                "forward_to = [pyroscope.relabel.rules.receiver, pyroscope.write.out.receiver]"))
        p.send_signal(signal.SIGHUP)

        def stages():
            check(client.post(PUSH, body)[0] == 200, "a push while reloading")
            return [x[0].get("stage") for x in pushed_below(sink)]
        wait_for(lambda: {"eu!", "new-eu", None} <= set(stages()), 15, "profiles by the new rules")
        check(client.http.sock.getsockname() == kept, "the connection was closed")
        end(p)
    finally:
        print(log()[-3000:])


# ---- discovery.relabel ---------------------------------------------------------------------------

DISCOVER = """
discovery.process "all" {
  refresh_interval = "1s"
}

discovery.relabel "chosen" {
  targets = discovery.process.all.targets
  rule {
    source_labels = ["__meta_process_exe"]
    regex         = `.*/(relabelled)`
    target_label  = "service_name"
    replacement   = "my-$1"
  }
  rule {
    source_labels = ["service_name"]
    regex         = "my-.+"
    action        = "keep"
  }
  rule {
    source_labels = ["__meta_process_commandline"]
    target_label  = "cmdline"
  }
  rule {
    source_labels = ["__meta_process_commandline"]
    regex         = "((.*)+)+!"
    target_label  = "never"
  }
  rule {
    source_labels = ["__process_pid__"]
    action        = "hashmod"
    modulus       = 1
    target_label  = "shard"
  }
}

pyroscope.ebpf "host" {
  forward_to       = [pyroscope.write.out.receiver]
  targets          = discovery.relabel.chosen.output
  collect_interval = "2s"
  sample_rate      = 97
}
"""


@case(timeout=60)
def rules_choose_what_is_profiled_whatever_its_command_line_holds():
    """The second target has a command line of a megabyte, with control characters and bytes that
    are no UTF-8."""
    evil = b"\x01\x1b[2J\xff\xfe\xc3\"\\\n${1}\x7f" + b"\xe2\x82" + b"x" * 100000
    exe = os.path.abspath("relabelled")
    fresh_copy("split", exe)
    plain, recv = Target("split", argv=[exe, "60"]), Receiver()
    hostile = subprocess.Popen([b"split", b"60"] + [evil] * 9, executable=exe,
                               stdout=subprocess.PIPE)
    p = agent(DISCOVER + f'\npyroscope.write "out" {{\n endpoint {{\n'
              f'  url = "http://127.0.0.1:{recv.port}"\n }}\n}}\n')
    try:
        def lines():
            return {x["labels"].get("cmdline") for x in recv.profiles() if "labels" in x}
        wait_for(lambda: len(lines()) > 1, 25, "profiles of both")
        check(p.poll() is None, "the agent ended")
        for x in recv.profiles():
            check("error" not in x, f"the receiver refused {x}")
            check(x["labels"]["service_name"] == "my-relabelled", f"profiled: {x['labels']}")
            check(x["labels"]["shard"] == "0" and "never" not in x["labels"], f"{x['labels']}")
            check(len(x["labels"]["cmdline"].encode()) <= 2048, "a label is too long")
        seen = sorted(lines(), key=len)
        print([text[:60] for text in seen])
        check(seen[0] == f"{exe} 60", f"the plain one is {seen[0]!r}")
        check(seen[1].startswith('split 60 \x01\x1b[2J\ufffd\ufffd\ufffd"\\\n${1}\x7f\ufffd'),
              f"the hostile one is {seen[1][:100]!r}")
        end(p)
    finally:
        hostile.kill()
        hostile.wait()
        plain.stop()
        print(log()[-3000:])
