# SPDX-License-Identifier: Apache-2.0
"""The whole agent behind a company's network: client certificates, a token server, a proxy, and one
endpoint that is dead. Every argument for itself is tested in write_test.py."""

import json
import os
import re

from lib import Target, case, check, need_program, wait_for
from push_receiver import decode_push, describe
from test_ops import Agent
from web import Certificates, Proxy, TokenServer, Web, take

CONFIG = """
pyroscope.ebpf "host" {{
  forward_to       = [pyroscope.write.out.receiver]
  targets          = [{{ "__process_pid__" = "{pid}", "service_name" = "split" }}]
  collect_interval = "1s"
  sample_rate      = 97
}}

pyroscope.write "out" {{
  endpoint {{
    url          = "https://pyroscope.test"
    enable_http2 = false
    proxy_url    = "{proxy}"
    http_headers = {{ "X-Key" = ["k3y"] }}
    oauth2 {{
      client_id     = "id 1"
      client_secret = "s3cret"
      token_url     = "{token_url}"
    }}
    tls_config {{
      ca_file   = "{ca}"
      cert_file = "{cert}"
      key_file  = "{key}"
    }}
  }}
  endpoint {{
    url                = "http://127.0.0.1:9"
    min_backoff_period = "100ms"
    max_backoff_period = "500ms"
  }}
  external_labels = {{ "env" = "test" }}
}}
"""


class Cleanups:
    """What a unittest would offer."""

    def __init__(self):
        self.calls = []

    def addCleanup(self, fn):
        self.calls.append(fn)

    def run(self):
        for fn in reversed(self.calls):
            fn()


@case(timeout=60)
def profiles_reach_a_guarded_server_while_another_is_dead():
    need_program("openssl")
    clean, certs = Cleanups(), Certificates(os.getcwd())
    tokens = TokenServer(clean)

    def guarded(handler, body):
        good = handler.headers["Authorization"] == "Bearer t1"
        return take(handler, body) if good else (401, {"Content-Type": "text/plain"}, b"who?")
    server = Web(clean, guarded, tls=certs.server(certs.by_name, client_ca=certs.ca))
    proxy = Proxy(clean, target=server.port)
    cert, key = certs.client
    t = Target("split")
    a = Agent(CONFIG.format(pid=t.pid, proxy=proxy.url, token_url=tokens.token_url, ca=certs.ca,
                            cert=cert, key=key))
    try:
        wait_for(lambda: len(server.requests) >= 3, 20, "three pushes")
        for r in server.requests:
            check(r["client"] == "client", "the client's certificate is shown")
            check(r["headers"]["X-Key"] == "k3y", "http_headers are sent")
        got = describe(*decode_push(server.requests[-1]["body"]))
        check(got["labels"]["env"] == "test" and got["labels"]["service_name"] == "split",
              f"labels: {got['labels']}")
        check(tokens.issued == 1, f"one token, not {tokens.issued}")
        check(proxy.requests[0]["path"] == "pyroscope.test:443", "it went through the proxy")

        def scrape():
            text = a.get("/metrics")
            found = dict(re.findall(r'^(tephra_write_endpoint_failing\{.*\}) (\d+)$', text, re.M))
            dead = [v for k, v in found.items() if 'endpoint="http://127.0.0.1:9"' in k]
            well = [v for k, v in found.items() if 'endpoint="https://pyroscope.test"' in k]
            sent = re.search(r'^pyroscope_write_sent_profiles_total\{.*endpoint="https://'
                             r'pyroscope.test".*\} (\d+)$', text, re.M)
            return dead == ["1"] and well == ["0"] and int(sent[1]) >= 3
        wait_for(scrape, 20, "one endpoint that works and one that fails in the metrics")
        detail = json.loads(a.get("/api/v0/web/components/pyroscope.write.out"))
        check(detail["health"]["state"] == "unhealthy", f"health: {detail['health']}")
        check("127.0.0.1:9 fails" in detail["health"]["message"], f"{detail['health']}")
        check("s3cret" not in json.dumps(detail) + a.log(), "the secret is shown nowhere")
    finally:
        a.stop()
        clean.run()
