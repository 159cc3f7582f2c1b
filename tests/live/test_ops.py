# SPDX-License-Identifier: Apache-2.0
"""What the running agent says and does over HTTP, to its service manager and in its log."""

import base64
import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import threading
import time

from lib import ROOT, TEPHRA, Target, case, check, need_program, spawn, tephra, wait_for
from test_run import Receiver

CONFIG = """
pyroscope.ebpf "host" {{
  forward_to       = [pyroscope.write.local.receiver]
  targets          = [
    {{ "__process_pid__" = "{pid}", "service_name" = "split" }},
    {{ "__process_pid__" = "4194300", "service_name" = "gone\\n\\"<b>" }},
  ]
  collect_interval = "1s"
  sample_rate      = 97
}}

pyroscope.write "local" {{
  endpoint {{
    url = "http://127.0.0.1:{port}"
    basic_auth {{
      username = "u"
      password = "hush-hush"
    }}
  }}
}}
{extra}"""


_receivers = []


def config(target, extra="", port=None):
    """A configuration for this target, pushing to a receiver of the case's own."""
    if not port and not _receivers:
        _receivers.append(Receiver())
    return CONFIG.format(pid=target.pid, port=port or _receivers[0].port, extra=extra)


class Agent:
    """A running agent: .get(path), .log(), .stop()."""

    def __init__(self, text, *args, env=None, tls=None):
        self.write(text)
        self.tls = tls
        self.proc = spawn([TEPHRA, "run", "--server.http.listen-addr=127.0.0.1:0", *args,
                           "config.alloy"], stderr=open("agent.log", "w"),
                          env={**os.environ, **(env or {})})
        self.port = int(wait_for(self._port, 20, "the HTTP server"))

    def write(self, text):
        with open("config.alloy", "w") as f:
            f.write(text)

    def log(self):
        with open("agent.log", errors="replace") as f:
            return f.read()

    def _port(self):
        check(self.proc.poll() is None, f"the agent ended:\n{self.log()}")
        m = re.search(r"http traffic at 127\.0\.0\.1:(\d+)", self.log())
        return m and m.group(1)

    def request(self, method, path, headers=None, body=None):
        if self.tls:
            c = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=10, context=self.tls)
        else:
            c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            c.request(method, path, body=body, headers=headers or {})
            r = c.getresponse()
            return r.status, r.read().decode(), r.headers
        finally:
            c.close()

    def get(self, path, status=200, **headers):
        got, text, _ = self.request("GET", path, headers)
        check(got == status, f"{path}: {got}, expected {status}\n{text[:2000]}")
        return text

    def ready(self):
        wait_for(lambda: "msg=profiling" in self.log() or '"msg":"profiling"' in self.log(), 20,
                 "profiling")
        return self

    def stop(self):
        self.proc.send_signal(signal.SIGTERM)
        check(self.proc.wait(15) == 0, f"exit code {self.proc.returncode}\n{self.log()[-3000:]}")


# ---- The Prometheus text format, version 0.0.4 -------------------------------------------------

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"'
SAMPLE = re.compile(rf"(?P<name>{NAME})(?:\{{(?P<labels>{LABEL}(?:,{LABEL})*)\}})? "
                    r"(?P<value>NaN|[+-]Inf|[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\Z")


def parse_metrics(text):
    """{(name, labels): value}; fails on anything that the format does not allow."""
    check(text.endswith("\n"), "the last line has no end")
    samples, types, done, family, helped = {}, {}, set(), None, None
    for line in text.split("\n")[:-1]:
        m = re.fullmatch(rf"# (HELP|TYPE) ({NAME}) (.*)", line)
        if m and m.group(1) == "HELP":
            check(m.group(2) not in done and m.group(2) != family, f"family twice: {line}")
            check(not re.search(r"\\[^n\\]", m.group(3)), f"escape: {line}")
            done.add(family)
            helped = m.group(2)
        elif m:
            check(m.group(2) == helped, f"TYPE without its HELP: {line}")
            check(m.group(3) in ("counter", "gauge", "histogram"), f"type: {line}")
            family = m.group(2)
            types[family] = m.group(3)
        else:
            s = SAMPLE.match(line)
            check(s, f"no sample: {line!r}")
            name, labels = s["name"], re.findall(LABEL, s["labels"] or "")
            base = re.sub(r"_(bucket|sum|count)$", "", name) if types[family] == "histogram" \
                else name
            check(base == family, f"{name} stands in the family {family}")
            check(len({k for k, _ in labels}) == len(labels), f"a label twice: {line}")
            key = (name, tuple(sorted(labels)))
            check(key not in samples, f"a sample twice: {line}")
            samples[key] = float(s["value"].replace("Inf", "inf"))
    for key, value in samples.items():
        if types.get(key[0]) == "counter":
            check(value >= 0, f"a counter below zero: {key}")
    return samples


def value(samples, name, **labels):
    """The sum over all samples of this name with these labels."""
    found = [v for (n, ls), v in samples.items()
             if n == name and all(pair in ls for pair in labels.items())]
    check(found, f"no {name} with {labels}")
    return sum(found)


# ---- Cases -------------------------------------------------------------------------------------

@case
def pages_say_what_runs():
    t = Target("split")
    a = Agent(config(t)).ready()
    check(a.get("/-/ready").strip() == "Tephra is ready.", "ready")
    check("healthy" in a.get("/-/healthy"), "healthy")
    listed = json.loads(a.get("/api/v0/web/components"))
    check([c["localID"] for c in listed] == ["pyroscope.write.local", "pyroscope.ebpf.host"],
          f"components: {listed}")
    check(listed[1]["referencesTo"] == ["pyroscope.write.local"], f"references: {listed[1]}")
    one = json.loads(a.get("/api/v0/web/components/pyroscope.write.local"))
    text = json.dumps(one)
    check(one["health"]["state"] == "healthy" and one["name"] == "pyroscope.write", text)
    check("hush-hush" not in text and "(secret)" in text, f"the password is shown: {text}")
    a.get("/api/v0/web/components/pyroscope.write.other", 404)
    a.get("/api/v0/web/modules/none/components")
    a.get("/nonesuch", 404)
    status, page, headers = a.request("GET", "/")
    check(status == 200 and "pyroscope.ebpf.host" in page, page[:500])
    check("default-src 'none'" in headers["Content-Security-Policy"], str(headers))
    check("http://" not in page and "<script" not in page, "the page loads something")
    for path, method in (("/metrics", "POST"), ("/-/reload", "DELETE"), ("/", "PUT")):
        status, _, headers = a.request(method, path)
        check(status == 405 and "GET" in headers["Allow"], f"{method} {path}: {status}")
    status, text, headers = a.request("HEAD", "/metrics")
    check(status == 200 and not text and int(headers["Content-Length"]) > 1000, str(headers))
    # A page of another site in a browser on this machine.
    a.get("/metrics", 403, Host="rebound.example:12345")
    a.get("/-/reload", 403, **{"Sec-Fetch-Site": "cross-site"})
    a.stop()
    t.stop()


@case
def an_unhealthy_component_is_named():
    t = Target("split")
    a = Agent(config(t, port=9)).ready()
    wait_for(lambda: a.request("GET", "/-/healthy")[0] == 500, 20, "the unhealthy component")
    text = a.get("/-/healthy", 500)
    check("pyroscope.write.local" in text and "pyroscope.ebpf.host" not in text, text)
    one = json.loads(a.get("/api/v0/web/components/pyroscope.write.local"))
    check(one["health"]["state"] == "unhealthy" and "127.0.0.1:9" in one["health"]["message"],
          str(one["health"]))
    a.get("/-/ready")
    a.stop()
    t.stop()


@case
def a_scrape_is_well_formed_and_counts_samples():
    t = Target("split")
    a = Agent(config(t)).ready()
    wait_for(lambda: value(parse_metrics(a.get("/metrics")), "tephra_samples_total") > 100, 20,
             "samples in /metrics")
    before = parse_metrics(a.get("/metrics"))
    start = time.monotonic()
    for _ in range(20):
        a.get("/metrics")
    wall = (time.monotonic() - start) / 20
    after = parse_metrics(a.get("/metrics"))
    took = (value(after, "tephra_scrape_seconds_total") -
            value(before, "tephra_scrape_seconds_total")) / \
        (value(after, "tephra_scrapes_total") - value(before, "tephra_scrapes_total"))
    print(f"a scrape takes the agent {took * 1e3:.2f} ms, a client sees {wall * 1e3:.2f} ms, "
          f"{len(after)} samples")
    for key, v in before.items():
        if key[0].endswith("_total") and key in after:
            check(after[key] >= v, f"{key} went back from {v} to {after[key]}")
    for name in ("process_cpu_seconds_total", "process_resident_memory_bytes",
                 "pyroscope_ebpf_active_targets", "UnwindNativeFrames_total",
                 "tephra_kernel_map_bytes", "tephra_user_frames_total", "alloy_config_hash",
                 "tephra_build_info"):
        check(value(after, name) > 0, f"{name} is {value(after, name)}")
    check(value(after, "tephra_stacks_complete_ratio") > 0.9, "complete")
    check(value(after, "alloy_component_controller_running_components", health_type="healthy")
          == 2, "running components")
    check(value(after, "tephra_samples_total", component_id="pyroscope.ebpf.host") > 0, "scope")
    check(value(after, "UnwindNativeFrames_total", otel_scope_name="pyroscope.ebpf") > 0, "scope")
    # Root may measure it: the first second of that begins after three.
    wait_for(lambda: "\ntephra_bpf_cpu_ratio{" in a.get("/metrics"), 15, "the time of BPF")
    bpf = parse_metrics(a.get("/metrics"))
    print(f"BPF: {value(bpf, 'tephra_bpf_cpu_ratio') * 100:.3f} % of a CPU, "
          f"{value(bpf, 'tephra_bpf_sample_seconds') * 1e6:.1f} us a sample")
    check(0 < value(bpf, "tephra_bpf_cpu_ratio") < 0.05, "tephra_bpf_cpu_ratio")
    # What the dashboard asks for is there.
    with open(os.path.join(ROOT, "contrib", "dashboards", "tephra.json")) as f:
        asked = {x for p in json.load(f)["panels"] for t in p.get("targets", ())
                 for x in re.findall(r"\b(?:tephra|alloy|pyroscope)_[a-z_]+", t["expr"])}
    missing = asked - {name for name, _ in bpf}
    check(len(asked) > 20 and not missing, f"the dashboard asks for {sorted(missing)}")
    check(took < 0.005, f"a scrape takes {took * 1e3:.1f} ms")
    a.stop()
    t.stop()


@case
def targets_say_what_they_match_and_why_not():
    t = Target("split")
    a = Agent(config(t)).ready()

    def targets():
        info = json.loads(a.get("/debug/targets?format=json"))[0]["info"]
        found = {x["labels"]["service_name"]: x for x in info["targets"]}
        return found if found.get("split", {}).get("samples") else None

    found = wait_for(targets, 20, "samples of the target")
    check(found["split"]["pid"] == t.pid, str(found))
    check(found['gone\n"<b>']["samples"] == 0, str(found))
    table = a.get("/debug/targets")
    print(table)
    line = next(x for x in table.splitlines() if "split" in x)
    check(f"pid {t.pid}" in line, line)
    line = next(x for x in table.splitlines() if "gone" in x)
    check("no such process" in line and '"<b>' in line, repr(line))
    a.stop()
    t.stop()


@case
def a_reload_is_answered_and_a_bad_one_changes_nothing():
    t = Target("split")
    good = config(t)
    a = Agent(good).ready()
    hash_before = a.get("/metrics").split("alloy_config_hash{")[1].split("}")[0]
    status, text, _ = a.request("POST", "/-/reload")
    check((status, text) == (200, "config reloaded\n"), f"{status} {text}")
    a.write(good.replace("sample_rate ", "sample_rat "))
    status, text, _ = a.request("POST", "/-/reload")
    print(text)
    check(status == 400 and re.search(r"config\.alloy:\d+:\d+", text), f"{status} {text}")
    m = parse_metrics(a.get("/metrics"))
    check(value(m, "alloy_config_last_load_successful") == 0, "last_load_successful")
    check(value(m, "alloy_config_load_failures_total") == 1, "failures")
    check("not accepted" in a.get("/"), "the page says nothing of the failure")
    a.get("/-/ready")
    a.write(good + '\npyroscope.write "second" {\n}\n')
    check(a.get("/-/reload") == "config reloaded\n", "reload by GET")
    check(len(json.loads(a.get("/api/v0/web/components"))) == 3, "the new component")
    m = parse_metrics(a.get("/metrics"))
    check(value(m, "alloy_config_last_load_successful") == 1, "last_load_successful")
    check(hash_before not in a.get("/metrics"), "the hash did not change")
    a.stop()
    t.stop()


@case
def a_busy_port_ends_with_the_cure_and_none_is_possible():
    t = Target("split")
    a = Agent(config(t))
    address = f"127.0.0.1:{a.port}"
    r = tephra("run", f"--server.http.listen-addr={address}", "config.alloy", expect=1,
               timeout=20)
    check(address in r.err and "--server.http.listen-addr" in r.err, f"message\n{r!r}")
    r = tephra("run", "--server.http.listen-addr=nonsense", "config.alloy", expect=1, timeout=20)
    check("nonsense" in r.err and "HOST:PORT" in r.err, f"message\n{r!r}")
    p = spawn([TEPHRA, "run", "--server.http.listen-addr=", "config.alloy"],
              stderr=open("second.log", "w"))
    wait_for(lambda: "msg=profiling" in open("second.log").read(), 20, "the second agent")
    check("http traffic" not in open("second.log").read(), "it listens")
    p.send_signal(signal.SIGTERM)
    check(p.wait(15) == 0, f"exit code {p.returncode}")
    a.stop()
    t.stop()


def hold(port, n, what, socks):
    for _ in range(n):
        try:
            s = socket.create_connection(("127.0.0.1", port), timeout=5)
            s.sendall(what)
            socks.append(s)
        except OSError:
            pass


@case(timeout=120)
def hostile_clients_do_not_stop_the_profiling():
    t = Target("split")
    a = Agent(config(t)).ready()
    samples = lambda: value(parse_metrics(a.get("/metrics")), "tephra_samples_total")
    wait_for(lambda: samples() > 0, 20, "samples")
    before, cpu_before, ran_before = samples(), cpu_s(a.proc.pid), t.cpu_s()
    start = time.monotonic()
    for text in (os.urandom(4096), b"GET / HTTP/1.1\r\nX: " + b"a" * 200000,
                 b"GET /" + b"%00" * 30000 + b" HTTP/1.1\r\n\r\n",
                 b"POST /-/reload HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
                 b"POST /-/reload HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" +
                 b"10000\r\n" * 3 + b"x" * 300000,
                 b"\x16\x03\x01\x00\xa5\x01\x00" + os.urandom(160), b"\r\n" * 5000,
                 b"GET / HTTP/1.1\r\n" + b"".join(b"h%d: x\r\n" % i for i in range(5000))):
        for _ in range(5):
            try:
                with socket.create_connection(("127.0.0.1", a.port), timeout=5) as s:
                    s.sendall(text)
            except OSError:
                pass
    socks = []
    hold(a.port, 1000, b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-", socks)
    # With a thousand others, each new client is still answered.
    for _ in range(5):
        asked = time.monotonic()
        a.get("/-/ready")
        check(time.monotonic() - asked < 3, "an answer took over 3 s")
    m = parse_metrics(a.get("/metrics"))
    check(value(m, "tephra_http_connections") <= 100, "connections")
    check(value(m, "tephra_http_refused_total", reason="crowded") >= 900, "crowded")
    # Who sends nothing more is disconnected, and the agent rests again.
    wait_for(lambda: value(parse_metrics(a.get("/metrics")), "tephra_http_connections") <= 5, 30,
             "the end of slow connections")
    for s in socks:
        s.close()
    wall, got, ran = time.monotonic() - start, samples() - before, t.cpu_s() - ran_before
    rss = value(parse_metrics(a.get("/metrics")), "tephra_resident_bytes", kind="anon")
    cpu = cpu_s(a.proc.pid) - cpu_before
    print(f"{got:.0f} samples of {ran:.1f} s of CPU in {wall:.1f} s, the agent: {cpu:.2f} s of CPU, {rss / 1e6:.1f} MB of its own")
    check(got >= 0.9 * 97 * ran, f"only {got:.0f} samples of {ran:.1f} s of CPU")
    check(cpu < 0.25 * wall + 1, f"{cpu:.1f} s of CPU in {wall:.1f} s")
    a.stop()
    t.stop()


def cpu_s(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@case
def a_password_and_a_filter_protect_paths():
    t = Target("split")
    auth = """
http {
  auth {
    basic {
      username = "admin"
      password = "s3cret:x"
    }
    filter {
      paths                       = ["/-/ready"]
      authenticate_matching_paths = false
    }
  }
}
"""
    a = Agent(config(t, auth)).ready()
    status, _, headers = a.request("GET", "/metrics")
    check(status == 401 and headers["WWW-Authenticate"].startswith("Basic"), f"{status}")
    a.get("/-/ready")
    good = "Basic " + base64.b64encode(b"admin:s3cret:x").decode()
    a.get("/metrics", Authorization=good)
    a.get("/metrics", 401, Authorization="Basic " + base64.b64encode(b"admin:wrong").decode())
    a.write(config(t))
    a.get("/-/reload", Authorization=good)
    a.get("/metrics")
    a.stop()
    t.stop()


def make_certificates():
    need_program("openssl")

    def openssl(*args):
        subprocess.run(["openssl", *args], check=True, capture_output=True)

    ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    for ca in ("ca", "other"):
        openssl("req", "-x509", *ec, "-keyout", f"{ca}.key", "-out", f"{ca}.pem", "-subj",
                f"/CN={ca}")
    openssl("req", "-x509", *ec, "-keyout", "server.key", "-out", "server.pem", "-subj",
            "/CN=server", "-addext", "subjectAltName=IP:127.0.0.1")
    for name, ca in (("client", "ca"), ("stranger", "other")):
        openssl("req", *ec[:-2], "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj",
                f"/CN={name}")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key",
                "-CAcreateserial", "-days", "2", "-out", f"{name}.pem")


def context(client=None, cafile="server.pem"):
    c = ssl.create_default_context(cafile=cafile)
    if client:
        c.load_cert_chain(f"{client}.pem", f"{client}.key")
    return c


@case
def tls_asks_for_the_right_client():
    make_certificates()
    t = Target("split")
    here = os.getcwd()
    tls = f"""
http {{
  tls {{
    cert_file        = "{here}/server.pem"
    key_file         = "{here}/server.key"
    client_ca_file   = "{here}/ca.pem"
    client_auth_type = "RequireAndVerifyClientCert"
  }}
}}
"""
    a = Agent(config(t, tls), tls=context("client")).ready()
    a.get("/-/ready")
    for who in (None, "stranger"):
        a.tls = context(who)
        a.get("/-/ready", 403)
    with socket.create_connection(("127.0.0.1", a.port), timeout=5) as s:
        s.sendall(b"GET /-/ready HTTP/1.1\r\nHost: localhost\r\n\r\n")
        check(b"ready" not in s.recv(4096), "plain HTTP is answered")
    old = ssl.create_default_context(cafile="server.pem")
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    old.load_cert_chain("client.pem", "client.key")
    a.tls = old
    a.get("/-/ready")
    # Another certificate, and a reload: new connections see it.
    os.rename("server.pem", "old.pem")
    make_certificates()
    a.tls = ssl._create_unverified_context()
    a.tls.load_cert_chain("client.pem", "client.key")

    def answered_by_the_new_one():
        try:
            c = context("client")
            with c.wrap_socket(socket.create_connection(("127.0.0.1", a.port), timeout=5),
                               server_hostname="127.0.0.1"):
                return True
        except OSError:
            return False

    check(not answered_by_the_new_one(), "the new certificate is there before the reload")
    a.proc.send_signal(signal.SIGHUP)
    wait_for(answered_by_the_new_one, 10, "the new certificate")
    a.stop()
    # Without its certificate it must not serve in the clear.
    os.unlink("server.key")
    r = tephra("run", "--server.http.listen-addr=127.0.0.1:0", "config.alloy", expect=1,
               timeout=20)
    check("server.key" in r.err, f"message\n{r!r}")
    t.stop()


class Manager:
    """The notify socket of a service manager."""

    def __init__(self):
        self.path = os.path.abspath("notify")
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(self.path)
        self.heard = []
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()

    def _listen(self):
        while True:
            for line in self.sock.recv(4096).decode().split("\n"):
                self.heard.append((time.monotonic(), line))

    def count(self, prefix):
        return sum(line.startswith(prefix) for _, line in self.heard)


@case
def a_service_manager_is_told_and_its_watchdog_fed():
    t, m = Target("split"), Manager()
    a = Agent(config(t),
              env={"NOTIFY_SOCKET": m.path, "WATCHDOG_USEC": "400000"})
    wait_for(lambda: m.count("READY=1") == 1, 20, "READY")
    wait_for(lambda: m.count("WATCHDOG=1") >= 6, 10, "the watchdog")
    feeds = [at for at, line in m.heard if line == "WATCHDOG=1"]
    print("between feeds:", [f"{b - a:.2f}" for a, b in zip(feeds, feeds[1:])])
    a.proc.send_signal(signal.SIGHUP)
    wait_for(lambda: m.count("READY=1") == 2, 10, "READY after a reload")
    check(m.count("RELOADING=1") == 1 and m.count("MONOTONIC_USEC=") == 1, str(m.heard))
    a.write("nonsense")
    a.proc.send_signal(signal.SIGHUP)
    wait_for(lambda: m.count("STATUS=profiling, the last reload failed") == 1, 10, "the status")
    with open(f"/proc/{a.proc.pid}/task/{a.proc.pid}/children") as f:
        for child in f.read().split():
            with open(f"/proc/{child}/environ", "rb") as e:
                check(b"NOTIFY_SOCKET" not in e.read(), "a child could speak to the manager")
    a.stop()
    check(m.count("STOPPING=1") == 1, str(m.heard))
    t.stop()


@case
def the_log_is_json_where_it_is_wanted_and_names_components():
    t = Target("split")
    a = Agent(config(t, 'logging {\n  format = "json"\n}\n')).ready()
    lines = [json.loads(x) for x in a.log().splitlines()]
    check(all({"ts", "level", "msg"} <= set(x) for x in lines), a.log())
    check(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", lines[0]["ts"]), str(lines[0]))
    # At run time; and a flag wins over the block.
    a.write(config(t, 'logging {\n  level = "error"\n}\n'))
    a.get("/-/reload")
    at = len(a.log())
    a.get("/-/reload")
    check("reloaded" not in a.log()[at:], a.log()[at:])
    a.write(config(t))
    a.get("/-/reload")
    a.stop()
    a = Agent(config(t, 'logging {\n  level = "error"\n}\n'),
              "--log.level=info", "--log.format=logfmt").ready()
    check("level=info msg=profiling" in a.log(), a.log())
    a.write(config(t).replace("forward_to ", "forward_t "))
    for _ in range(200):
        a.request("POST", "/-/reload")
    lines = [x for x in a.log().splitlines() if "failed to reload" in x]
    check(len(lines) < 100, f"{len(lines)} lines of the same kind")
    a.stop()
    t.stop()
