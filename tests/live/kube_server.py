# SPDX-License-Identifier: Apache-2.0
"""Two API servers with one face: the real kube-apiserver with etcd, where it can be had, and one of
our own that also does what a real one only does on bad days. Both speak TLS with a CA of their own
and want a bearer token."""

import base64
import http.server
import json
import os
import re
import shutil
import socketserver
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

from lib import TESTS, Skip, check, spawn, wait_for

sys.path.insert(0, TESTS)
import debian  # noqa: E402

REAL = os.environ.get("KUBE_APISERVER", os.path.join(debian.CACHE, "kube-apiserver"))

# kind -> (path of the group, resource, whether objects have a namespace)
KINDS = {
    "Pod": ("/api/v1", "pods", True), "Node": ("/api/v1", "nodes", False),
    "Namespace": ("/api/v1", "namespaces", False), "Service": ("/api/v1", "services", True),
    "Endpoints": ("/api/v1", "endpoints", True), "Secret": ("/api/v1", "secrets", True),
    "ConfigMap": ("/api/v1", "configmaps", True),
    "ServiceAccount": ("/api/v1", "serviceaccounts", True),
    "EndpointSlice": ("/apis/discovery.k8s.io/v1", "endpointslices", True),
    "Ingress": ("/apis/networking.k8s.io/v1", "ingresses", True),
    "DaemonSet": ("/apis/apps/v1", "daemonsets", True),
    "ClusterRole": ("/apis/rbac.authorization.k8s.io/v1", "clusterroles", False),
    "ClusterRoleBinding": ("/apis/rbac.authorization.k8s.io/v1", "clusterrolebindings", False),
}


def make_certs(d):
    """ca.crt, server.crt and server.key for 127.0.0.1 in the directory."""
    os.makedirs(d, exist_ok=True)

    def openssl(*args):
        subprocess.run(["openssl", *args], cwd=d, check=True, capture_output=True)
    with open(f"{d}/ext", "w") as f:
        f.write("subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:kubernetes.default.svc\n")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl("req", "-x509", *key, "-days", "2", "-subj", "/CN=test-ca", "-keyout", "ca.key",
            "-out", "ca.crt")
    openssl("req", *key, "-subj", "/CN=kube-apiserver", "-keyout", "server.key", "-out", "server.csr")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-days", "2",
            "-CAcreateserial", "-extfile", "ext", "-out", "server.crt")


def path_of(o, with_name=True):
    group, resource, namespaced = KINDS[o["kind"]]
    ns = f"/namespaces/{o['metadata']['namespace']}" if namespaced else ""
    return f"{group}{ns}/{resource}" + (f"/{o['metadata']['name']}" if with_name else "")


class Real:
    """etcd and kube-apiserver as children, with an administrator's token."""

    def __init__(self):
        if not os.path.exists(REAL):
            raise Skip("no kube-apiserver here (tests/live/build_apiserver makes one)")
        if not shutil.which("etcd"):
            raise Skip("etcd is not installed")
        self.dir = os.path.abspath("apiserver")
        os.mkdir(self.dir)
        self.token = "admin-token"
        make_certs(self.dir)
        subprocess.run(["openssl", "genrsa", "-out", f"{self.dir}/accounts.key", "2048"], check=True,
                       capture_output=True)
        self.ca = f"{self.dir}/ca.crt"
        with open(f"{self.dir}/tokens.csv", "w") as f:
            f.write(f'{self.token},admin,admin,"system:masters"\n')
        self.port, etcd, peer = free_ports(3)
        self.url = f"https://127.0.0.1:{self.port}"
        self.log = open(f"{self.dir}/log", "w")
        self.etcd = spawn(["etcd", "--data-dir", f"{self.dir}/etcd", "--unsafe-no-fsync",
                           "--listen-client-urls", f"http://127.0.0.1:{etcd}",
                           "--advertise-client-urls", f"http://127.0.0.1:{etcd}",
                           "--listen-peer-urls", f"http://127.0.0.1:{peer}"],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.args = [REAL, f"--etcd-servers=http://127.0.0.1:{etcd}", f"--secure-port={self.port}",
                     "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1",
                     f"--tls-cert-file={self.dir}/server.crt",
                     f"--tls-private-key-file={self.dir}/server.key",
                     f"--service-account-key-file={self.dir}/accounts.key",
                     f"--service-account-signing-key-file={self.dir}/accounts.key",
                     "--service-account-issuer=https://kubernetes.default.svc",
                     "--service-cluster-ip-range=10.96.0.0/24", "--authorization-mode=RBAC",
                     "--allow-privileged=true",
                     f"--token-auth-file={self.dir}/tokens.csv", f"--cert-dir={self.dir}",
                     "--disable-admission-plugins=ServiceAccount,TaintNodesByCondition"]
        self.start()

    def start(self):
        self.proc = spawn(self.args, stdout=self.log, stderr=self.log)
        wait_for(self.is_ready, 30, "a running kube-apiserver")

    def stop(self):
        self.proc.terminate()
        self.proc.wait(20)

    def is_ready(self):
        try:
            return self.request("GET", "/readyz") == b"ok"
        except OSError:
            return False

    def request(self, method, path, body=None, kind="application/json"):
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        req = urllib.request.Request(self.url + path, data, method=method, headers={
            "Authorization": f"Bearer {self.token}", "Content-Type": kind})
        ctx = ssl.create_default_context(cafile=self.ca)
        try:
            with urllib.request.urlopen(req, context=ctx, timeout=10) as r:
                return r.read()
        except urllib.error.HTTPError as e:
            e.msg = f"{e.msg}: {e.read().decode(errors='replace')}"
            raise

    def put(self, o):
        """Creates or replaces, with its status."""
        try:
            made = json.loads(self.request("POST", path_of(o, False), o))
        except urllib.error.HTTPError as e:
            if e.code != 409:
                raise
            made = json.loads(self.request("GET", path_of(o)))
            for part in ("labels", "annotations"):
                made["metadata"][part] = o["metadata"].get(part)
            made |= {k: v for k, v in o.items() if k not in ("metadata", "status", "spec")}
            made = json.loads(self.request("PUT", path_of(o), made))
        if "status" in o:
            self.request("PUT", path_of(o) + "/status", made | {"status": o["status"]})

    def delete(self, o):
        self.request("DELETE", path_of(o), {"gracePeriodSeconds": 0})

    def account_token(self, ns, name, seconds=600):
        """A token as a kubelet mounts it."""
        r = self.request("POST", f"/api/v1/namespaces/{ns}/serviceaccounts/{name}/token",
                         {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
                          "spec": {"expirationSeconds": seconds}})
        return json.loads(r)["status"]["token"]


def free_ports(n):
    import socket
    held = [socket.socket() for _ in range(n)]
    for s in held:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


class Threads(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, address):
        pass  # a client that went away


class Fake:
    """What the API says of list and watch, and on demand what it should not do."""

    def __init__(self, dir="fake"):
        self.dir = os.path.abspath(dir)
        make_certs(self.dir)
        self.ca = f"{self.dir}/ca.crt"
        self.tokens = {"admin-token"}
        self.token = "admin-token"
        self.cond = threading.Condition()
        self.version, self.floor = 100, 0
        self.objects = {}  # (resource, namespace, name) -> object
        self.events = []   # (version, resource, type, object)
        self.requests = []
        self.fault = None  # of lists and watches; a callable or a word, see Handler
        self.chunk = 500
        self.epoch = 0     # watches of an older one end
        self.port = 0
        self.start()

    def start(self):
        fake, self.down = self, False

        class Bound(Handler):
            server_state = fake
        self.httpd = Threads(("127.0.0.1", self.port), Bound)
        ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ctx.load_cert_chain(f"{self.dir}/server.crt", f"{self.dir}/server.key")
        self.httpd.socket = ctx.wrap_socket(self.httpd.socket, server_side=True,
                                            do_handshake_on_connect=False)
        self.port = self.httpd.server_address[1]
        self.url = f"https://127.0.0.1:{self.port}"
        threading.Thread(target=self.httpd.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        self.down = True
        self.end_watches()
        self.httpd.shutdown()
        self.httpd.server_close()

    def end_watches(self):
        with self.cond:
            self.epoch += 1
            self.cond.notify_all()

    def compact(self):
        """History before now is gone, and who watches has to come again."""
        with self.cond:
            self.version += 1000
            self.floor = self.version
            self.events.clear()
        self.end_watches()

    def put(self, o):
        o = json.loads(json.dumps(o))
        resource = KINDS[o["kind"]][1]
        m = o["metadata"]
        key = (resource, m.get("namespace", ""), m["name"])
        with self.cond:
            self.version += 1
            known = self.objects.get(key)
            m["uid"] = known["metadata"]["uid"] if known else f"{self.version:08x}-1111-4222-8333-444455556666"
            m["resourceVersion"] = str(self.version)
            m["creationTimestamp"] = "2026-01-02T03:04:05Z"
            m["managedFields"] = [{"manager": "kubelet", "operation": "Update", "apiVersion": "v1",
                                   "time": "2026-01-02T03:04:05Z", "fieldsType": "FieldsV1",
                                   "fieldsV1": {"f:metadata": {"f:labels": {f"f:{k}": {} for k in m.get("labels") or {}}},
                                                "f:spec": {"f:containers": {'k:{"name":"app"}': {".": {}, "f:image": {}}}}}}]
            if resource == "services":
                o["spec"].setdefault("clusterIP", "10.96.0.9")
            self.objects[key] = o
            self.events.append((self.version, resource, "MODIFIED" if known else "ADDED", o))
            self.cond.notify_all()

    def delete(self, o):
        m = o["metadata"]
        key = (KINDS[o["kind"]][1], m.get("namespace", ""), m["name"])
        with self.cond:
            self.version += 1
            gone = json.loads(json.dumps(self.objects.pop(key)))
            gone["metadata"]["resourceVersion"] = str(self.version)
            self.events.append((self.version, key[0], "DELETED", gone))
            self.cond.notify_all()


def matches(o, q):
    labels, meta = o["metadata"].get("labels") or {}, o["metadata"]
    for part in filter(None, q.get("labelSelector", "").split(",")):
        k, eq, v = part.partition("=")
        if eq and labels.get(k.rstrip("=!")) != v.lstrip("=") or not eq and k not in labels:
            return False
    for part in filter(None, q.get("fieldSelector", "").split(",")):
        k, _, v = part.partition("=")
        have = {"spec.nodeName": o.get("spec", {}).get("nodeName", ""), "metadata.name": meta["name"],
                "status.phase": o.get("status", {}).get("phase", "")}[k]
        if have != v:
            return False
    return True


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_state = None

    def log_message(self, *args):
        pass

    def answer(self, code, o):
        body = o if isinstance(o, bytes) else json.dumps(o).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, code, reason, message):
        self.answer(code, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                           "message": message, "reason": reason, "code": code})

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def begin_chunks(self):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def do_GET(self):
        s = self.server_state
        url = urllib.parse.urlsplit(self.path)
        q = {k: v[-1] for k, v in urllib.parse.parse_qs(url.query).items()}
        if s.down:  # a connection that was kept
            self.close_connection = True
            return None
        s.requests.append((url.path, q))
        if self.headers.get("Authorization", "")[7:] not in s.tokens:
            return self.refuse(401, "Unauthorized", "Unauthorized")
        if s.fault and self.misbehave(s.fault, q):
            return None
        m = re.fullmatch(r"/(?:api/v1|apis/[a-z0-9.]+/v1)(?:/namespaces/([^/]+))?/([a-z]+)(?:/([^/]+))?", url.path)
        if url.path == "/pods":
            return self.list("pods", None, {})
        if not m:
            return self.refuse(404, "NotFound", "the server could not find the requested resource")
        ns, resource, name = m.groups()
        if name:
            o = s.objects.get((resource, ns or "", name))
            return self.answer(200, o) if o else self.refuse(404, "NotFound", f'{resource} "{name}" not found')
        return self.watch(resource, ns, q) if q.get("watch") == "true" else self.list(resource, ns, q)

    def misbehave(self, fault, q):
        """True when it has answered, or never will."""
        if callable(fault):
            return fault(self, q)
        if fault == "hang":
            with self.server_state.cond:
                self.server_state.cond.wait_for(lambda: self.server_state.fault != "hang", 120)
            self.close_connection = True
        elif fault == "500":
            self.refuse(500, "InternalError", "etcdserver: request timed out")
        elif fault == "html":
            self.answer(200, b"<html><body>please log in</body></html>")
        elif fault == "garbage":
            self.begin_chunks()
            while self.server_state.fault == "garbage":
                self.chunk(os.urandom(65536))
        elif fault == "huge":
            self.begin_chunks()
            self.chunk(b'{"kind":"PodList","metadata":{"resourceVersion":"5"},"items":[{"metadata":{"name":"')
            for _ in range(16384):  # 1 GiB of one name
                self.chunk(b"x" * 65536)
        return True

    def list(self, resource, ns, q):
        s = self.server_state
        with s.cond:
            version = s.version
            if int(q.get("resourceVersion") or 0) > version:
                return self.refuse(504, "Timeout", "Too large resource version")
            found = sorted(k for k, o in s.objects.items() if k[0] == resource and
                           (not ns or k[1] == ns) and matches(o, q))
            meta = {"resourceVersion": str(version)}
            if q.get("continue"):
                token = json.loads(base64.b64decode(q["continue"]))
                if token["rv"] < s.floor:
                    return self.refuse(410, "Expired", "The provided continue parameter is too old")
                meta["resourceVersion"] = str(token["rv"])
                found = [k for k in found if list(k) > token["after"]]
            limit = min(int(q.get("limit") or 1 << 30), s.chunk)
            if len(found) > limit:
                found = found[:limit]
                meta["continue"] = base64.b64encode(json.dumps(
                    {"rv": int(meta["resourceVersion"]), "after": found[-1]}).encode()).decode()
            kind = next(k for k, v in KINDS.items() if v[1] == resource)
            items = [{k: v for k, v in s.objects[f].items() if k not in ("kind", "apiVersion")} for f in found]
        return self.answer(200, {"kind": f"{kind}List", "apiVersion": "v1", "metadata": meta, "items": items})

    def event(self, kind, o):
        self.chunk(json.dumps({"type": kind, "object": o}).encode() + b"\n")

    def watch(self, resource, ns, q):
        s = self.server_state
        at, epoch = int(q["resourceVersion"]), s.epoch
        end = time.monotonic() + float(q.get("timeoutSeconds", 300))
        self.begin_chunks()
        if at < s.floor:
            self.event("ERROR", {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                                 "message": f"too old resource version: {at} ({s.floor})",
                                 "reason": "Expired", "code": 410})
        elif q.get("allowWatchBookmarks") == "true":
            self.event("BOOKMARK", {"kind": "Pod", "apiVersion": "v1",
                                    "metadata": {"resourceVersion": str(at), "creationTimestamp": None}})
        while at >= s.floor and s.epoch == epoch and time.monotonic() < end:
            with s.cond:
                s.cond.wait_for(lambda: s.version > at or s.epoch != epoch, min(1.0, end - time.monotonic()))
                due = [e for e in s.events if e[0] > at]
                at = max(at, s.version) if s.epoch == epoch else at
            for _, r, kind, o in due:
                if r == resource and (not ns or o["metadata"].get("namespace") == ns) and matches(o, q):
                    self.event(kind, o)
        self.wfile.write(b"0\r\n\r\n")
