# SPDX-License-Identifier: Apache-2.0
"""Small real servers in threads for the tests of the HTTP client: web, TLS, proxy, token server.

Each keeps what it was asked in .requests; an answer is a function of the handler.
"""

import base64
import json
import os
import select
import socket
import ssl
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def take(handler, _body):
    """What a Pyroscope server says to a push that it takes."""
    return 200, {"Content-Type": "application/proto"}, b""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def log_message(self, *args):
        pass

    def note(self, body):
        cert = getattr(self.connection, "getpeercert", lambda: None)()
        subject = {k: v for part in (cert or {}).get("subject", ()) for k, v in part}
        self.server.requests.append({
            "method": self.command, "path": self.path, "body": body, "headers": self.headers,
            "at": time.monotonic(), "client": subject.get("commonName"),
            "port": self.client_address[1] if self.client_address else None})

    def answer(self):
        if self.command == "CONNECT":
            return self.server.connect(self)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.note(body)
        got = self.server.answer(self, body)
        if got is None:
            self.close_connection = True
            return None
        status, headers, data = got
        self.send_response(status)
        for k, v in headers.items():
            self.send_header(k, v)
        if "Transfer-Encoding" not in headers:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
        return None

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_CONNECT = answer


class Web(ThreadingHTTPServer):
    """On 127.0.0.1. tls: an ssl.SSLContext. unix: a path instead of a port."""
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, test, answer=take, tls=None, unix=None, port=0):
        self.answer, self.tls, self.requests, self.sni = answer, tls, [], []
        self.alpn = []
        if unix:
            self.address_family = socket.AF_UNIX
        super().__init__(unix or ("127.0.0.1", port), Handler, bind_and_activate=True)
        self.port = None if unix else self.server_address[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        if tls:
            tls.sni_callback = lambda sock, name, context: self.sni.append(name)
        self.thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()
        test.addCleanup(self.stop)

    def server_bind(self):
        if self.address_family == socket.AF_UNIX:
            self.socket.bind(self.server_address)
            self.server_name, self.server_port = "unix", 0
            return
        super().server_bind()

    def get_request(self):
        sock, address = super().get_request()
        return sock, address if isinstance(address, tuple) else ("unix", 0)

    def finish_request(self, request, client_address):
        if self.tls:
            request.settimeout(10)
            request = self.tls.wrap_socket(request, server_side=True)
            self.alpn.append(request.selected_alpn_protocol())
        super().finish_request(request, client_address)
        if self.tls:
            request.close()

    def handle_error(self, request, client_address):
        """Clients that go away, and failed handshakes, are part of the play."""

    def stop(self):
        if self.thread:
            self.shutdown()
            self.server_close()
            self.thread.join()
            self.thread = None


class Proxy(Web):
    """Plain requests are answered by `answer`; CONNECT leads to `target`, whatever was asked."""

    def __init__(self, test, target=None, answer=take, refuse=None):
        self.target, self.refuse = target, refuse
        super().__init__(test, answer)

    def connect(self, handler):
        handler.note(b"")
        handler.close_connection = True
        if self.refuse:
            handler.send_error(self.refuse)
            return
        with socket.create_connection(("127.0.0.1", self.target)) as up:
            handler.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            down = handler.connection
            while True:
                ready, _, _ = select.select([up, down], [], [], 10)
                if not ready:
                    return
                for s in ready:
                    data = s.recv(65536)
                    if not data:
                        return
                    (down if s is up else up).sendall(data)


class TokenServer(Web):
    """The client credentials grant. Tokens are "t1", "t2"...; `good` says which are valid."""

    def __init__(self, test, expires_in=3600, style="header", secret="s3cret", hang=False,
                 tls=None):
        self.expires_in, self.style, self.secret, self.hang = expires_in, style, secret, hang
        self.issued, self.refused = 0, set()
        super().__init__(test, self.give, tls=tls)
        self.token_url = self.url + "/token"

    def give(self, handler, body):
        from urllib.parse import parse_qs, unquote
        form = {k: v[0] for k, v in parse_qs(body.decode()).items()}
        self.requests[-1]["form"] = form
        if self.hang:
            time.sleep(self.hang)
        auth = handler.headers.get("Authorization", "")
        if self.style == "header" and auth.startswith("Basic "):
            who = tuple(unquote(x) for x in base64.b64decode(auth[6:]).decode().split(":"))
        elif self.style == "body" and not auth:
            who = form.get("client_id"), form.get("client_secret")
        else:
            who = None
        if who != ("id 1", self.secret):
            return 401, {"Content-Type": "application/json"}, json.dumps(
                {"error": "invalid_client", "error_description": "who are you?"}).encode()
        self.issued += 1
        reply = {"access_token": f"t{self.issued}", "token_type": "bearer"}
        if self.expires_in is not None:
            reply["expires_in"] = self.expires_in
        return 200, {"Content-Type": "application/json"}, json.dumps(reply).encode()


class Certificates:
    """A CA, a server for pyroscope.test, one for 127.0.0.1, a client; another CA; all by openssl."""

    def __init__(self, folder):
        self.dir = folder
        self.ca = self.authority("ca")
        self.other_ca = self.authority("other")
        self.by_ip = self.issue("by_ip", "subjectAltName=IP:127.0.0.1")
        self.by_name = self.issue("by_name", "subjectAltName=DNS:pyroscope.test")
        self.expired = self.issue("expired", "subjectAltName=IP:127.0.0.1", days="-1")
        self.client = self.issue("client", "extendedKeyUsage=clientAuth")

    def path(self, name):
        return os.path.join(self.dir, name)

    @staticmethod
    def openssl(*args):
        subprocess.run(["openssl", *args], check=True, capture_output=True, timeout=30)

    def authority(self, name):
        key, cert = self.path(name + ".key"), self.path(name + ".pem")
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                     "-nodes", "-keyout", key, "-out", cert, "-subj", f"/CN={name}", "-days", "2")
        return cert

    def issue(self, name, extension, days="2"):
        key, csr, cert, ext = (self.path(name + e) for e in (".key", ".csr", ".pem", ".ext"))
        with open(ext, "w") as f:
            f.write(extension + "\n")
        self.openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                     "-keyout", key, "-out", csr, "-subj", f"/CN={name}")
        self.openssl("x509", "-req", "-in", csr, "-CA", self.ca, "-CAkey", self.path("ca.key"),
                     "-CAcreateserial", "-out", cert, "-days", days, "-extfile", ext)
        return cert, key

    def server(self, which=None, client_ca=None, versions=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*(which or self.by_ip))
        context.set_alpn_protocols(["h2", "http/1.1"])
        if client_ca:
            context.load_verify_locations(client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        if versions:
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version, context.maximum_version = versions
        return context
