#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""pyroscope.write with every argument of the shared HTTP client, against real servers.

  write_test.py path/to/write_driver
"""

import base64
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import unittest
import warnings
from urllib.parse import parse_qs, urlsplit

from push_receiver import decode_push, describe
from web import Certificates, Proxy, TokenServer, Web, take

DRIVER = sys.argv.pop(1) if len(sys.argv) > 1 else "build/tests/live/write_driver"
HEALTHY, UNHEALTHY = 3, 1
warnings.simplefilter("ignore", DeprecationWarning)  # old TLS is asked for on purpose


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def deny(status):
    return lambda handler, body: (status, {"Content-Type": "text/plain"}, b"no")


class WriteTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.shared = tempfile.TemporaryDirectory()
        cls.certs = Certificates(cls.shared.name)

    @classmethod
    def tearDownClass(cls):
        cls.shared.cleanup()

    def setUp(self):
        tmp = tempfile.TemporaryDirectory()
        self.addCleanup(tmp.cleanup)
        self.tmp = tmp.name

    def file(self, name, text):
        path = os.path.join(self.tmp, name)
        with open(path, "w") as f:
            f.write(text)
        return path

    @staticmethod
    def config(*endpoints, top=""):
        """Each endpoint: (url, further lines)."""
        blocks = "".join(
            f'  endpoint {{\n    url = "{url}"\n    min_backoff_period = "20ms"\n'
            f'    max_backoff_period = "60ms"\n    {inside}\n  }}\n' for url, inside in endpoints)
        return f'pyroscope.write "w" {{\n  {top}\n{blocks}}}\n'

    def drive(self, *endpoints, top="", args=(), env=None):
        """What people see of the component in the end; the log is in self.log."""
        path = self.file("config.alloy", self.config(*endpoints, top=top))
        p = subprocess.run([DRIVER, *map(str, args), path], capture_output=True, text=True,
                           timeout=60, env={**os.environ, **(env or {})})
        self.log = p.stderr
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertNotIn("Sanitizer", p.stderr)
        state = json.loads(p.stdout)
        state["endpoints"] = state["debug"]["endpoints"]
        return state

    def drive_one(self, url, inside="", **more):
        return self.drive((url, inside), **more)["endpoints"][0]

    def assert_sent(self, url, inside="", n=1, **more):
        s = self.drive_one(url, inside, **more)
        self.assertEqual((s["sent_profiles"], s["queued_profiles"]), (n, 0), self.log)
        return s

    def assert_not_sent(self, url, inside, why):
        """It is retried, as the fault may be the server's, and says why."""
        s = self.drive_one(url, inside, args=("--run-ms", 250))
        self.assertEqual(s["sent_profiles"], 0)
        self.assertRegex(s["last_error"], why)
        self.assertRegex(self.log, why)

    # ---- Credentials and headers -------------------------------------------------------------

    def test_basic_auth(self):
        w = Web(self)
        secret = self.file("password", "s3:cret\n")
        for inside in ('password = "s3:cret"', f'password_file = "{secret}"'):
            self.assert_sent(w.url, f'basic_auth {{\n username = "user"\n {inside}\n}}')
        want = "Basic " + base64.b64encode(b"user:s3:cret").decode()
        self.assertEqual([r["headers"]["Authorization"] for r in w.requests], [want] * 2)
        self.assertEqual(describe(*decode_push(w.requests[0]["body"]))["total"], 10000000)

    def test_tokens(self):
        w = Web(self)
        token = self.file("token", "abc\n")
        for inside in ('bearer_token = "abc"', f'bearer_token_file = "{token}"',
                       'authorization {\n credentials = "abc"\n}',
                       f'authorization {{\n credentials_file = "{token}"\n}}'):
            self.assert_sent(w.url, inside)
        self.assert_sent(w.url, 'authorization {\n type = "Token"\n credentials = "abc"\n}')
        self.assertEqual([r["headers"]["Authorization"] for r in w.requests],
                         ["Bearer abc"] * 4 + ["Token abc"])

    def test_headers(self):
        w = Web(self)
        self.assert_sent(w.url, 'headers = {"X-Scope-OrgID" = "tenant", "X-Empty" = ""}\n'
                                'http_headers = {"X-Two" = ["1", "2"], "X-None" = []}')
        h = w.requests[0]["headers"]
        self.assertEqual((h["X-Scope-OrgID"], h["X-Empty"]), ("tenant", ""))
        self.assertEqual(h.get_all("X-Two"), ["1", "2"])
        self.assertNotIn("X-None", h)
        self.assertEqual(h["Connect-Timeout-Ms"], "10000")

    # ---- TLS ---------------------------------------------------------------------------------

    def tls(self, inside):
        return f"enable_http2 = false\ntls_config {{\n{inside}\n}}"

    def test_a_private_ca_is_trusted_when_it_is_named(self):
        w = Web(self, tls=self.certs.server())
        self.assert_sent(w.url, self.tls(f'ca_file = "{self.certs.ca}"'))
        with open(self.certs.ca) as f:
            pem = f.read()
        self.assert_sent(w.url, self.tls(f"ca_pem = `{pem}`"))
        self.assert_not_sent(w.url, "", "SSL certificate problem")
        self.assert_not_sent(w.url, self.tls(f'ca_file = "{self.certs.other_ca}"'),
                             "SSL certificate problem")
        self.assert_not_sent(w.url, self.tls('ca_file = "/nonexistent"'), "/nonexistent")
        self.assertEqual(len(w.requests), 2)

    def test_an_expired_certificate_is_refused_unless_unasked_for(self):
        w = Web(self, tls=self.certs.server(self.certs.expired))
        ca = f'ca_file = "{self.certs.ca}"'
        self.assert_not_sent(w.url, self.tls(ca), "certificate has expired")
        self.assertEqual(w.requests, [])
        self.assert_sent(w.url, self.tls("insecure_skip_verify = true"))

    def test_the_name_in_the_certificate_counts(self):
        w = Web(self, tls=self.certs.server(self.certs.by_name))
        ca = f'ca_file = "{self.certs.ca}"\n'
        self.assert_not_sent(w.url, self.tls(ca), "127.0.0.1")
        self.assertEqual(w.requests, [])
        del w.sni[:]
        self.assert_sent(w.url + "/prefix", self.tls(ca + 'server_name = "pyroscope.test"'))
        self.assertEqual(w.sni, ["pyroscope.test"])
        self.assertEqual(w.requests[0]["headers"]["Host"], f"127.0.0.1:{w.port}")
        self.assertEqual(w.requests[0]["path"], "/prefix/push.v1.PusherService/Push")
        self.assert_not_sent(w.url, self.tls(ca + 'server_name = "other.test"'), "other.test")

    def test_a_client_certificate(self):
        w = Web(self, tls=self.certs.server(client_ca=self.certs.ca))
        cert, key = self.certs.client
        ca = f'ca_file = "{self.certs.ca}"\n'
        with open(cert) as c, open(key) as k:
            pems = f"cert_pem = `{c.read()}`\nkey_pem = `{k.read()}`"
        self.assert_sent(w.url, self.tls(ca + f'cert_file = "{cert}"\nkey_file = "{key}"'))
        self.assert_sent(w.url, self.tls(ca + pems))
        self.assertEqual([r["client"] for r in w.requests], ["client"] * 2)
        self.assert_not_sent(w.url, self.tls(ca), "certificate")
        self.assertNotIn("PRIVATE KEY", self.log)

    def test_the_least_version_of_tls(self):
        ca = f'ca_file = "{self.certs.ca}"\n'
        v = ssl.TLSVersion
        new = Web(self, tls=self.certs.server(versions=(v.TLSv1_2, v.TLSv1_2)))
        self.assert_sent(new.url, self.tls(ca + 'min_version = "TLS12"'))
        self.assert_not_sent(new.url, self.tls(ca + 'min_version = "TLS13"'), "version|alert")
        old = Web(self, tls=self.certs.server(versions=(v.TLSv1, v.TLSv1)))
        self.assert_not_sent(old.url, self.tls(ca), "version|alert|unsupported|wrong|protocol")
        self.assert_sent(old.url, self.tls(ca + 'min_version = "TLS10"'))

    def test_http2_is_offered_unless_switched_off(self):
        w = Web(self, tls=self.certs.server())
        ca = f'tls_config {{\nca_file = "{self.certs.ca}"\n}}\n'
        self.drive_one(w.url, ca, args=("--run-ms", 200))
        self.assertEqual(w.alpn[0], "h2")
        del w.alpn[:]
        self.assert_sent(w.url, ca + "enable_http2 = false")
        self.assertEqual(w.alpn, ["http/1.1"])

    # ---- Proxies -----------------------------------------------------------------------------

    def test_a_plain_request_goes_through_the_proxy(self):
        p = Proxy(self)
        self.assert_sent("http://pyroscope.test:4040/x", f'proxy_url = "{p.url}"\n'
                         'proxy_connect_header = {"X-Connect" = ["1"]}')
        r, = p.requests
        self.assertEqual(r["path"],
                         "http://pyroscope.test:4040/x/push.v1.PusherService/Push")
        self.assertEqual(r["headers"]["Host"], "pyroscope.test:4040")
        self.assertNotIn("X-Connect", r["headers"])

    def test_a_tls_request_is_tunneled(self):
        w = Web(self, tls=self.certs.server(self.certs.by_name))
        p = Proxy(self, target=w.port)
        self.assert_sent("https://pyroscope.test",
                         self.tls(f'ca_file = "{self.certs.ca}"') +
                         f'\nproxy_url = "http://pu:pw@127.0.0.1:{p.port}"\n'
                         'proxy_connect_header = {"X-Connect" = ["1", "2"]}\n'
                         'bearer_token = "abc"')
        r, = p.requests
        self.assertEqual((r["method"], r["path"]), ("CONNECT", "pyroscope.test:443"))
        self.assertEqual(r["headers"].get_all("X-Connect"), ["1", "2"])
        self.assertEqual(r["headers"]["Proxy-Authorization"],
                         "Basic " + base64.b64encode(b"pu:pw").decode())
        # The proxy gets no credentials of the server, the server none of the proxy.
        self.assertNotIn("Authorization", r["headers"])
        self.assertEqual(w.requests[0]["headers"]["Authorization"], "Bearer abc")
        self.assertNotIn("Proxy-Authorization", w.requests[0]["headers"])
        self.assertNotIn("X-Connect", w.requests[0]["headers"])

    def test_a_server_name_behind_a_proxy(self):
        w = Web(self, tls=self.certs.server(self.certs.by_name))
        p = Proxy(self, target=w.port)
        self.assert_sent("https://elsewhere.test:8443",
                         self.tls(f'ca_file = "{self.certs.ca}"\nserver_name = "pyroscope.test"') +
                         f'\nproxy_url = "{p.url}"')
        self.assertEqual(p.requests[0]["path"], "elsewhere.test:8443")
        self.assertEqual(w.sni, ["pyroscope.test"])
        self.assertEqual(w.requests[0]["headers"]["Host"], "elsewhere.test:8443")

    def test_a_proxy_that_refuses_is_named(self):
        p = Proxy(self, refuse=403)
        self.assert_not_sent("https://pyroscope.test", f'proxy_url = "{p.url}"', "403")

    def test_exceptions_from_the_proxy(self):
        w, p = Web(self), Proxy(self)
        self.assert_sent(w.url, f'proxy_url = "{p.url}"\nno_proxy = "10.0.0.0/8,example.com"')
        self.assertEqual((len(w.requests), len(p.requests)), (1, 0))  # loopback, as in Go
        self.assert_sent(w.url, f'proxy_url = "{p.url}"')
        self.assertEqual((len(w.requests), len(p.requests)), (1, 1))

    def test_the_proxy_of_the_environment(self):
        w, p = Web(self), Proxy(self)
        env = {"HTTP_PROXY": p.url, "NO_PROXY": "skipped.test"}
        self.assert_sent("http://pyroscope.test:4040", "proxy_from_environment = true", env=env)
        self.assertEqual(len(p.requests), 1)
        self.assert_sent(w.url, "", env=env)
        self.assertEqual((len(w.requests), len(p.requests)), (1, 1))

    # ---- OAuth 2 -----------------------------------------------------------------------------

    @staticmethod
    def oauth2(server, inside="", secret='client_secret = "s3cret"'):
        return (f'oauth2 {{\nclient_id = "id 1"\n{secret}\ntoken_url = "{server.token_url}"\n'
                f'{inside}\n}}')

    def guarded(self, good):
        """A server that takes the token which good() names."""
        def answer(handler, body):
            if handler.headers["Authorization"] != "Bearer " + good():
                return 401, {"Content-Type": "text/plain"}, b"who?"
            return take(handler, body)
        return Web(self, answer)

    def test_one_token_serves_many_pushes(self):
        t = TokenServer(self)
        w = self.guarded(lambda: "t1")
        self.assert_sent(w.url, self.oauth2(t, 'scopes = ["a", "b"]\n'
                                               'endpoint_params = {audience = "x y"}'), n=10,
                         args=("--count", 10))
        self.assertEqual((t.issued, len(w.requests)), (1, 10))
        self.assertEqual(t.requests[0]["form"], {"grant_type": "client_credentials",
                                                 "scope": "a b", "audience": "x y"})
        self.assertNotIn("s3cret", self.log)

    def test_a_token_is_renewed_before_its_end(self):
        t = TokenServer(self, expires_in=10)  # the last ten seconds are not used
        w = Web(self)
        self.assert_sent(w.url, self.oauth2(t), n=3, args=("--count", 3, "--interval-ms", 60))
        self.assertEqual([r["headers"]["Authorization"] for r in w.requests],
                         ["Bearer t1", "Bearer t2", "Bearer t3"])

    def test_a_refused_token_is_renewed_at_once(self):
        t = TokenServer(self)
        w = self.guarded(lambda: "t1" if len(w.requests) <= 2 else "t2")
        s = self.assert_sent(w.url, self.oauth2(t), n=4,
                             args=("--count", 4, "--interval-ms", 60))
        self.assertEqual((t.issued, s["retries"], len(w.requests)), (2, 0, 5))

    def test_a_server_that_never_takes_the_token_is_not_asked_for_ever(self):
        t = TokenServer(self)
        w = self.guarded(lambda: "none")
        s = self.drive_one(w.url, self.oauth2(t))
        self.assertEqual(s["dropped_profiles"], {"refused": 1})
        self.assertEqual((t.issued, len(w.requests)), (2, 2))

    def test_the_secret_goes_into_the_body_if_it_must(self):
        t = TokenServer(self, style="body")
        w = self.guarded(lambda: "t1")
        path = self.file("secret", "s3cret\n")
        self.assert_sent(w.url, self.oauth2(t, secret=f'client_secret_file = "{path}"'))
        self.assertEqual(len(t.requests), 2)

    def test_a_wrong_secret_is_told(self):
        t = TokenServer(self, secret="other")
        w = Web(self)
        self.assert_not_sent(w.url, self.oauth2(t),
                             "no OAuth 2 token: status 401, invalid_client: who are you")
        self.assertEqual(w.requests, [])

    def test_the_token_server_has_its_own_tls_and_proxy(self):
        t = TokenServer(self, tls=self.certs.server(self.certs.by_name))
        p = Proxy(self, target=t.port)
        t.token_url = "https://pyroscope.test/token"
        w = self.guarded(lambda: "t1")
        self.assert_sent(w.url, "enable_http2 = false\n" + self.oauth2(
            t, f'proxy_url = "{p.url}"\ntls_config {{\nca_file = "{self.certs.ca}"\n}}'))
        self.assertEqual(p.requests[0]["path"], "pyroscope.test:443")

    def test_a_token_server_that_hangs_holds_up_nobody_else(self):
        t, well = TokenServer(self, hang=30), Web(self)
        s = self.drive(("http://127.0.0.1:1", self.oauth2(t) + '\nremote_timeout = "300ms"'),
                       (well.url, ""), args=("--count", 5, "--run-ms", 600))
        self.assertEqual([e["sent_profiles"] for e in s["endpoints"]], [0, 5])
        self.assertIn("no OAuth 2 token within 0.3 s", s["endpoints"][0]["last_error"])

    # ---- Redirects ---------------------------------------------------------------------------

    def redirecting(self, to, status=307):
        return lambda h, b: ((status, {"Location": to()}, b"") if "/moved" not in h.path
                             else take(h, b))

    def test_a_redirect_on_the_same_server_keeps_credentials(self):
        w = Web(self)
        for status in (301, 302, 307, 308):
            w.answer = self.redirecting(lambda: "/moved", status)
            del w.requests[:]
            self.assert_sent(w.url, 'bearer_token = "abc"\nhttp_headers = {"X-Key" = ["k"]}')
            self.assertEqual([r["method"] for r in w.requests], ["POST"] * 2)
            self.assertEqual([r["headers"]["Authorization"] for r in w.requests],
                             ["Bearer abc"] * 2)
            self.assertEqual(w.requests[0]["body"], w.requests[1]["body"])

    def test_a_redirect_to_another_server_loses_credentials(self):
        other = Web(self)
        w = Web(self, self.redirecting(lambda: other.url + "/moved"))
        for inside in ('bearer_token = "abc"', 'basic_auth {\nusername = "u"\npassword = "p"\n}',
                       'headers = {"Authorization" = "x", "Cookie" = "y"}'):
            del other.requests[:]
            self.assert_sent(w.url, inside + '\nhttp_headers = {"X-Key" = ["k"]}')
            self.assertTrue(w.requests[-1]["headers"]["Authorization"])
            r, = other.requests
            for name in ("Authorization", "X-Key", "Cookie"):
                self.assertNotIn(name, r["headers"])
            self.assertEqual(r["body"], w.requests[-1]["body"])

    def test_credentials_do_not_come_back_by_a_detour(self):
        w = Web(self)
        other = Web(self, lambda h, b: (307, {"Location": w.url + "/moved"}, b""))
        w.answer = self.redirecting(lambda: other.url)
        self.assert_sent(w.url, 'bearer_token = "abc"')
        self.assertNotIn("Authorization", w.requests[1]["headers"])

    def test_redirects_are_not_followed_when_told_so_nor_for_ever(self):
        w = Web(self, lambda h, b: (307, {"Location": "/again"}, b""))
        self.assert_not_sent(w.url, "", "redirects in a circle")
        w = Web(self, self.redirecting(lambda: "/moved"))
        s = self.drive_one(w.url, "follow_redirects = false", args=("--run-ms", 200))
        self.assertIn("307", s["last_error"])
        self.assertFalse([r for r in w.requests if r["path"] == "/moved"])

    # ---- /ingest -----------------------------------------------------------------------------

    def test_ingest_is_forwarded_with_its_labels_in_the_name(self):
        w = Web(self, lambda h, b: (200, {}, b""))
        s = self.drive((w.url + "/base/", 'headers = {"X-Scope-OrgID" = "t"}'),
                       top='external_labels = {env = "prod"}', args=("--ingest", "--count", 2))
        self.assertEqual(s["endpoints"][0]["sent_profiles"], 2)
        # They go beside each other, so either may arrive first.
        r = min(w.requests, key=lambda r: r["path"])
        url = urlsplit(r["path"])
        self.assertEqual(url.path, "/base/ingest")
        self.assertEqual(parse_qs(url.query),
                         {"name": ["web{env=prod,n=0,odd=a_b_c,service_name=web}"],
                          "from": ["1"], "until": ["2"], "format": ["pprof"]})
        self.assertEqual(r["headers"]["Content-Type"], "multipart/form-data; boundary=xyz")
        self.assertEqual(r["headers"]["X-Scope-OrgID"], "t")
        self.assertNotIn("Connect-Protocol-Version", r["headers"])
        self.assertIn('type="ingest_downstream"', s["metrics"])

    def test_ingest_is_retried_when_that_may_help(self):
        for status, retried in ((408, True), (429, True), (500, True), (503, True),
                                (400, False), (413, False), (422, False), (204, False)):
            replies = [deny(status)]
            w = Web(self, lambda h, b: (replies.pop() if replies else
                                        lambda *a: (200, {}, b""))(h, b))
            s = self.drive_one(w.url, "", args=("--ingest",))
            self.assertEqual(s["sent_profiles"], 1 if retried else 0, status)
            self.assertEqual(s["dropped_profiles"], {} if retried else {"refused": 1})
        w = Web(self, deny(429))
        s = self.drive_one(w.url, "retry_on_http_429 = false", args=("--ingest",))
        self.assertEqual(s["dropped_profiles"], {"refused": 1})

    # ---- What people see ---------------------------------------------------------------------

    def metric(self, state, name, **labels):
        want = {f'{k}="{v}"' for k, v in labels.items()}
        for line in state["metrics"].splitlines():
            m = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
            if m and m[1] == name and want <= set(re.findall(r'\w+="[^"]*"', m[2] or "")):
                return float(m[3])
        self.fail(f"no {name} {labels} in\n{state['metrics']}")
        return None

    def test_metrics_have_the_names_of_alloy(self):
        well, ill = Web(self), Web(self, deny(500))
        s = self.drive((well.url + "/", ""), (ill.url, 'max_backoff_retries = 2'),
                       args=("--count", 3, "--bytes", 1000))
        sent = {"endpoint": well.url + "/"}
        self.assertEqual(self.metric(s, "pyroscope_write_sent_profiles_total", **sent), 3)
        self.assertGreater(self.metric(s, "pyroscope_write_sent_bytes_total", **sent), 3000)
        self.assertLess(self.metric(s, "pyroscope_write_sent_bytes_total", **sent), 3300)
        bad = {"endpoint": ill.url}
        self.assertEqual(self.metric(s, "pyroscope_write_dropped_profiles_total", **bad), 3)
        self.assertGreater(self.metric(s, "pyroscope_write_dropped_bytes_total", **bad), 3000)
        self.assertEqual(self.metric(s, "pyroscope_write_retries_total", **bad), 6)
        self.assertEqual(self.metric(s, "tephra_write_dropped_profiles_total", reason="retries",
                                     **bad), 3)
        count = "pyroscope_write_latency_count"
        self.assertEqual(self.metric(s, count, endpoint="-", type="push_total"), 3)
        self.assertEqual(self.metric(s, count, type="push_endpoint", **bad), 3)
        self.assertEqual(self.metric(s, count, type="push_downstream", **bad), 9)
        self.assertEqual(self.metric(s, "pyroscope_write_latency_bucket", le="+Inf",
                                     type="push_downstream", **sent), 3)

    def test_endpoints_of_one_url_are_one_series(self):
        w = Web(self)
        s = self.drive((w.url, 'headers = {"X-Scope-OrgID" = "a"}'),
                       (w.url, 'headers = {"X-Scope-OrgID" = "b"}'), args=("--count", 2))
        self.assertEqual(self.metric(s, "pyroscope_write_sent_profiles_total"), 4)
        self.assertEqual(sorted(r["headers"]["X-Scope-OrgID"] for r in w.requests),
                         ["a", "a", "b", "b"])
        lines = [x.rsplit(" ", 1)[0] for x in s["metrics"].splitlines() if x[0] != "#"]
        self.assertEqual(len(lines), len(set(lines)))

    def test_credentials_in_the_url_are_shown_nowhere(self):
        w = Web(self)
        s = self.drive((w.url.replace("//", "//someone:hidden@"), ""))
        self.assertEqual(s["endpoints"][0]["sent_profiles"], 1)
        self.assertNotIn("hidden", self.log + json.dumps(s))

    def test_a_failing_endpoint_is_unhealthy_until_it_works(self):
        ill = Web(self, deny(500))
        s = self.drive((ill.url, "max_backoff_retries = 0"), args=("--run-ms", 400))
        self.assertEqual(s["health"], UNHEALTHY)
        self.assertIn(f"{ill.url} fails: HTTP status 500", s["health_text"])
        e = s["endpoints"][0]
        self.assertEqual((e["state"], e["queued_profiles"], e["last_success"]),
                         ("failing", 1, None))
        self.assertRegex(e["last_error_time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        replies = [deny(500)] * 5
        w = Web(self, lambda h, b: (replies.pop() if replies else take)(h, b))
        s = self.drive((w.url, ""))
        self.assertEqual((s["health"], s["endpoints"][0]["state"]), (HEALTHY, "working"))

    def test_a_server_that_refuses_everything_is_unhealthy(self):
        w = Web(self, deny(401))
        s = self.drive((w.url, ""), args=("--count", 4, "--interval-ms", 20))
        self.assertEqual(s["health"], UNHEALTHY)
        self.assertIn("401", s["health_text"])

    # ---- Changes at run time -----------------------------------------------------------------

    def test_an_update_loses_nothing_of_what_waits(self):
        port = free_port()
        dead = f"http://127.0.0.1:{port}"
        old = Web(self)
        second = self.file("second.alloy", self.config(
            (dead, 'bearer_token = "new"'), (dead, 'headers = {"X-Scope-OrgID" = "b"}')))
        path = self.file("config.alloy", self.config(
            (dead, 'bearer_token = "old"'), (dead, 'headers = {"X-Scope-OrgID" = "b"}'),
            (old.url, "")))
        p = subprocess.Popen([DRIVER, "--count", "20", "--interval-ms", "20", "--run-ms", "15000",
                              "--second", second, path],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(p.kill)
        deadline = time.monotonic() + 10
        while os.path.exists(second) and time.monotonic() < deadline:
            time.sleep(0.01)
        w = Web(self, port=port)
        out, log = p.communicate(timeout=30)
        self.assertEqual(p.returncode, 0, log)
        s = json.loads(out)
        self.assertEqual([e["sent_profiles"] for e in s["debug"]["endpoints"]], [20, 20], log)
        self.assertEqual({r["headers"].get("Authorization") for r in w.requests},
                         {"Bearer new", None})
        self.assertEqual(sum(r["headers"].get("X-Scope-OrgID") == "b" for r in w.requests), 20)
        self.assertIn(len(old.requests), range(5, 16))


if __name__ == "__main__":
    unittest.main(verbosity=2)
