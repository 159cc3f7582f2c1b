# SPDX-License-Identifier: Apache-2.0
"""Debug files from debuginfod: elfutils' own server, and servers that do harm."""

import http.server
import os
import re
import shutil
import socket
import subprocess
import threading
import time
import urllib.request

from lib import Skip, TEPHRA, case, check, record, spawn, wait_for
from lines import sh
from test_lines import address_of_twist, build, separate


def stripped():
    """(program without debug information, address in it, its build id); hot.debug is elsewhere."""
    path = build()
    address = address_of_twist(path)
    separate(path)
    os.mkdir("elsewhere")
    shutil.move("hot.debug", "elsewhere/hot.debug")
    return path, address, re.search(r"Build ID: ([0-9a-f]+)", sh("readelf", "-n", path)).group(1)


def ask(path, address, *args, env=None, log="warn"):
    t0 = time.monotonic()
    p = subprocess.run([TEPHRA, "symbolize", "--log-level", log, *args, path, address], text=True,
                       capture_output=True, timeout=50, env={**os.environ, **(env or {})},
                       check=False)
    check(p.returncode == 0, p.stderr)
    return p.stdout, p.stderr, time.monotonic() - t0


class Server:
    """Answers with what `reply(handler)` does; remembers the paths."""

    def __init__(self, reply):
        self.paths = []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def do_GET(self):
                server.paths.append(self.path)
                try:
                    reply(self)
                except OSError:
                    pass
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_port}"


def gives(path):
    def reply(h):
        with open(path, "rb") as f:
            data = f.read()
        h.send_response(200)
        h.send_header("Content-Length", str(len(data)))
        h.end_headers()
        h.wfile.write(data)
    return reply


def not_found(h):
    h.send_response(404)
    h.send_header("Content-Length", "0")
    h.end_headers()


def answers(url):
    try:
        with urllib.request.urlopen(f"{url}/metrics", timeout=2):
            return True
    except OSError:
        return False


def real_server():
    """(process, URL)"""
    program = shutil.which("debuginfod") or os.environ.get("DEBUGINFOD")
    if not program:
        raise Skip("debuginfod is not installed")
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
    with open("debuginfod.log", "wb") as log:
        p = spawn([program, "-d", os.path.abspath("db.sqlite"), "-p", port, "-F", "-t", "0", "-g", "0",
                   os.path.abspath("elsewhere")], stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    wait_for(lambda: answers(url), 15, "debuginfod to answer")
    return p, url


@case
def debuginfod_of_elfutils_has_the_debug_file():
    path, address, build_id = stripped()
    p, url = real_server()
    wait_for(lambda: "twist" in ask(path, address, "--debuginfod", url)[0], 20,
             "debuginfod to have read its files")
    cache = os.path.abspath("cache")
    text, _, _ = ask(path, address, "--debuginfod", "env", "--cache-dir", cache,
                     env={"DEBUGINFOD_URLS": f" {url} "})
    check("twist" in text, text)
    check(os.listdir("cache/debuginfod") == [f"{build_id}.debug"], os.listdir("cache/debuginfod"))
    p.kill()
    p.wait()
    text, _, _ = ask(path, address, "--debuginfod", url, "--cache-dir", cache)
    check("twist" in text, f"not from the cache: {text}")


@case
def servers_are_asked_only_when_somebody_says_so():
    path, address, _ = stripped()
    server = Server(not_found)
    text, _, _ = ask(path, address, env={"DEBUGINFOD_URLS": server.url})
    check("twist" not in text and server.paths == [], server.paths)
    p = subprocess.run([TEPHRA, "symbolize", "--debuginfod", "ftp://x", path], capture_output=True,
                       text=True, check=False)
    check(p.returncode == 2 and "http://" in p.stderr, p.stderr)


@case
def profile_has_lines_from_a_server():
    path, _, build_id = stripped()
    none, server = Server(not_found), Server(gives("elsewhere/hot.debug"))
    record("--debuginfod", none.url, "--debuginfod", server.url + "/", "--", path, "100000", d=1,
           out="p.folded")
    with open("p.folded", encoding="utf-8") as f:
        text = f.read()
    check("main;work;twist" in text, text)
    check(server.paths.count(f"/buildid/{build_id}/debuginfo") == 1, server.paths)


@case(timeout=90)
def bad_servers_cost_the_lines_and_no_more():
    path, address, build_id = stripped()
    other = build("-DOTHER", "-O1", name="other")

    def endless(h):
        h.send_response(200)
        h.end_headers()
        while True:
            h.wfile.write(b"\x7fELF" * 262144)

    def hang(h):
        time.sleep(60)

    def cut(h):
        with open("elsewhere/hot.debug", "rb") as f:
            data = f.read()
        h.send_response(200)
        h.send_header("Content-Length", str(len(data)))
        h.end_headers()
        h.wfile.write(data[:len(data) // 2])
    cache = os.path.abspath("cache")
    for reply, seconds in ((not_found, 5), (gives(other), 5), (cut, 5), (endless, 40), (hang, 20)):
        server = Server(reply)
        text, err, took = ask(path, address, "--debuginfod", server.url, "--cache-dir", cache)
        name = getattr(reply, "__name__", "?")
        check("twist" not in text and "no debug file" in text, f"{name}: {text}{err}")
        check(took < seconds, f"{name}: {took:.0f} s")
        check(reply is not_found or "debuginfod: " in err, f"{name} is not told: {err}")
        check(os.listdir("cache/debuginfod") == [], f"{name}: {os.listdir('cache/debuginfod')}")
        check(len(server.paths) == 1, f"{name}: {server.paths}")
    good = Server(gives("elsewhere/hot.debug"))
    os.symlink("/etc/passwd", f"cache/debuginfod/{build_id}.debug")
    text, err, _ = ask(path, address, "--debuginfod", good.url, "--cache-dir", cache)
    check("twist" in text, f"a link in the cache: {text}{err}")
