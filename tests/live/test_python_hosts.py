# SPDX-License-Identifier: Apache-2.0
"""CPython in other people's programs: servers that load or start it, programs that embed it,
containers. The truth is what the interpreter says of itself (tests/fixtures/python)."""

import http.client
import json
import os
import socket
import subprocess
import threading

import runtimes
from docker_engine import Docker
from lib import Skip, Target, case, check, fixture_path, need_program, record, spawn, wait_for
from managed import PYTHON, Profile, assert_truth, at_stripped_entry, managed, profile, show

SERVED = os.path.join(PYTHON, "served.py")
HOST = "127.0.0.1"
WORKERS = 2


# ---- Servers ---------------------------------------------------------------------------------

def free_port():
    with socket.socket() as s:
        s.bind((HOST, 0))
        return s.getsockname()[1]


def get(port, path="/"):
    c = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        c.request("GET", path)
        r = c.getresponse()
        body = r.read()
        check(r.status == 200, f"GET {path}: {r.status}\n{body[-2000:]}")
        return body
    finally:
        c.close()


def listens(port):
    try:
        get(port)
        return True
    except OSError:
        return False


def truth_of(port, path=""):
    """Of a worker that has answered; which one it is makes no difference to the chains."""
    def asked():
        get(port, path + "/")
        info = json.loads(get(port, path + "/truth"))
        return len(info["chains"]) == 2 and info
    return wait_for(asked, 10, "a worker that has answered")


def descendants(pid):
    out = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True)
    for child in out.stdout.split():
        yield int(child)
        yield from descendants(int(child))


def served(argv, port, paths=("",), clients=4):
    """The profile of a server's processes while clients ask it, and what it says of itself: for each
    path."""
    log = open("server.log", "w")
    server = spawn(argv, stdout=log, stderr=log)
    try:
        wait_for(lambda: listens(port), 20, "a listening server")
    except AssertionError:
        print(open("server.log").read()[-3000:])
        raise
    wait_for(lambda: len([*descendants(server.pid)]) >= WORKERS, 20, "two workers")
    infos = [truth_of(port, p) for p in paths]
    over = threading.Event()

    def ask():
        while not over.is_set():
            for p in paths:
                get(port, p + "/")
    asking = [threading.Thread(target=ask) for _ in range(clients)]
    for t in asking:
        t.start()
    try:
        pids = [server.pid, *descendants(server.pid)]
        record(*[a for pid in pids for a in ("-p", pid)], d=2, out="out.pb.gz")
    finally:
        over.set()
        for t in asking:
            t.join()
    return Profile("out.pb.gz"), infos


def assert_served(p, infos, through=None):
    """`through`: what the native functions between the start and the application begin with."""
    for info in infos:
        assert_truth(p, info, other=0.5, spare=at_stripped_entry)
    mine = [s for s in p.samples if "application" in s.stack]
    check(sum(s.count for s in mine) > 100, f"few requests:\n{show(p.samples)}")
    lost = [s for s in mine if through and
            not any(n.startswith(through) for n in s.stack[:s.stack.index("application")])]
    check(not lost, f"{through} does not lead to the application:\n{show(lost)}")
    check(len({s.pid for s in mine}) > 1, "one worker has done it all")


def uwsgi(port, *options):
    need_program("uwsgi")
    if not os.path.exists("/usr/lib/uwsgi/plugins/python3_plugin.so"):
        raise Skip("uwsgi-plugin-python3 is not installed")
    return ["uwsgi", "--plugin", "python3", "--http-socket", f"{HOST}:{port}", "--need-app",
            "--master", "--processes", str(WORKERS), "--die-on-term", *options]


@case
def uwsgi_with_processes():
    """libpython comes with a plugin that uWSGI loads; its workers are forks."""
    port = free_port()
    p, infos = served(uwsgi(port, "--wsgi-file", SERVED), port)
    assert_served(p, infos, "uwsgi")


@case
def uwsgi_with_threads_and_interpreters():
    """Each application has an interpreter of its own, each thread runs them all."""
    port = free_port()
    p, infos = served(uwsgi(port, "--enable-threads", "--threads", "2", "--manage-script-name",
                            "--mount", f"/one={SERVED}", "--mount", f"/two={SERVED}"), port,
                      paths=("/one", "/two"))
    # The chain is the same in both interpreters.
    assert_served(p, infos[:1], "uwsgi")


def gunicorn(port, *options):
    need_program("gunicorn")
    return ["/usr/bin/python3", "-m", "gunicorn", "--workers", str(WORKERS), "--bind",
            f"{HOST}:{port}", "--chdir", PYTHON, *options, "served:application"]


@case
def gunicorn_with_processes():
    port = free_port()
    p, infos = served(gunicorn(port), port)
    assert_served(p, infos)


@case
def gunicorn_with_threads():
    port = free_port()
    p, infos = served(gunicorn(port, "--worker-class", "gthread", "--threads", "2"), port)
    assert_served(p, infos)


# ---- Programs that embed it ------------------------------------------------------------------

def embedded(program):
    setup = f"import sys; sys.path.insert(0, {PYTHON!r}); import embedded"
    t = Target(program, argv=[fixture_path(program), setup, "embedded.in_main()",
                              "embedded.in_thread()", "embedded.in_other()"])
    p = profile(t, d=2)
    # Its two threads wake each other at every turn: 5 to 17 % are of that.
    assert_truth(p, t.info, other=0.4, vector=True)
    for place, native in (("in_main", "main"), ("in_other", "main"), ("in_thread", "in_native_thread")):
        mine = [s for s in p.samples if managed(s) and place in s.stack]
        for s in mine:
            check(native in s.stack and s.stack.index(native) < s.stack.index(place),
                  f"{place} is not below {native}():\n{show([s])}")


@case
def embedded_and_linked():
    """Threads that Python did not start, and two interpreters in turn."""
    embedded("embed")


@case
def embedded_and_loaded():
    """A libpython that dlopen() brought, long after the program's start."""
    embedded("embed_dlopen")


# ---- Containers ------------------------------------------------------------------------------

@case(timeout=90)
def python_in_a_container():
    """An interpreter that this machine has not, in a file system and a process id space of its own."""
    try:
        r = runtimes.find("python3.15-sid").get()
    except runtimes.Unavailable as e:
        raise Skip(str(e))
    docker = Docker()
    try:
        subprocess.run(["tar", "-C", r.root, "--exclude=./proc/*", "--exclude=./dev/*",
                        "--exclude=./test/*", "-cf", "image.tar", "."], check=True)
        docker.run("import", "image.tar", "python")
        os.unlink("image.tar")
        argv = ["docker", "-H", docker.sock, "run", "--rm", "--network=none", "-v",
                f"{PYTHON}:/truth:ro", "python", r.program, "/truth/truth.py", "split,generators", "1e6"]
        t = Target("container", argv=argv)
        pid = int(docker.run("inspect", "-f", "{{.State.Pid}}",
                             docker.run("ps", "-q").stdout.strip()).stdout)
        check(t.info["pid"] == 1, f"it is process {t.info['pid']} there")
        record("-p", pid, d=3, out="out.pb.gz")
        assert_truth(Profile("out.pb.gz"), t.info)
        cid = docker.run("ps", "-q").stdout.strip()
        record("-c", cid, d=2, out="out.pb.gz")
        assert_truth(Profile("out.pb.gz"), t.info)
    finally:
        docker.stop()
