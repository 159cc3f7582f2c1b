# SPDX-License-Identifier: Apache-2.0
"""Code that runtimes make in memory has the names that they write down for it: wherever their /tmp
is, however they count processes, and only if they wrote it."""

import gzip
import os
import shutil
import time

from lib import Target, case, check, fixture_path, need_program, record, wait_for


def named_share(folded):
    return folded.count(lambda s: any(f.startswith("made step ") for f in s)) / folded.total


def steps(folded):
    return {int(f.split()[2]) for s, _ in folded.stacks for f in s if f.startswith("made step ")}


def first_child(pid):
    """The host's id of the program that `unshare --fork` runs."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            children = f.read().split()
        if children:
            return int(children[0])
        time.sleep(0.02)
    raise AssertionError("unshare started nothing")


def remove(path):
    if os.path.lexists(path):
        os.unlink(path)


@case
def generated_code_is_called_as_its_runtime_says():
    t = Target("jit", "60", "/tmp/perf-%d.map")
    try:
        folded = record("-p", t.pid, d=3).folded()
        below = [s for s, _ in folded.stacks if s[-1].startswith("made step ") and
                 s[-2] == "jit_named_caller"]
        check(below, "names without callers:\n" + folded.show())
        check(named_share(folded) > 0.95, f"{named_share(folded):.1%} named:\n" + folded.show())
        # The map grew while it was profiled: what was made last has a name as well.
        found = steps(folded)
        check(len(found) >= 8 and max(found) - min(found) >= 8, f"only steps {sorted(found)}")
    finally:
        remove(f"/tmp/perf-{t.pid}.map")


@case
def a_jitdump_gives_names_and_lines():
    t = Target("jit", "60", os.path.abspath("jit-%d.dump"))
    folded = record("-p", t.pid, d=2).folded()
    check(named_share(folded) > 0.95, f"{named_share(folded):.1%} named:\n" + folded.show())
    check(len(steps(folded)) >= 4, f"only steps {sorted(steps(folded))}")
    # Unlike a path, a mapping is still there when the file is not.
    os.unlink(f"jit-{t.pid}.dump")
    record("-p", t.pid, d=1, out="lines.pb.gz")
    with gzip.open("lines.pb.gz") as f:
        profile = f.read()
    check(b"/app/app.js" in profile and b"made step" in profile, "no file of generated code")


@case
def generated_code_in_a_container_is_named():
    need_program("unshare")
    os.mkdir("tmp")
    shutil.copy(fixture_path("jit"), "tmp/jit")
    t = Target("jit", argv=["unshare", "--pid", "--mount", "--fork", "--kill-child", "sh", "-c",
                            f"mount --bind {os.path.abspath('tmp')} /tmp && "
                            "exec /tmp/jit 60 /tmp/perf-%d.map"])
    pid = first_child(t.pid)
    check(t.info["pid"] == 1 and pid != 1, f"no namespace: {t.info}")
    wait_for(lambda: os.path.exists("tmp/perf-1.map"), 10, "the map")
    folded = record("-p", pid, d=2).folded()
    check(named_share(folded) > 0.95, f"{named_share(folded):.1%} named:\n" + folded.show())


@case
def names_of_a_process_that_ended_are_there():
    folded = record("--", "sh", "-c", f"echo $$ > pid; exec {fixture_path('jit')} 1.5 "
                    "/tmp/perf-%d.map", d=None).folded()
    with open("pid") as f:
        remove(f"/tmp/perf-{f.read().strip()}.map")
    check(named_share(folded) > 0.9, f"{named_share(folded):.1%} named:\n" + folded.show())


@case
def a_map_that_others_made_is_not_believed():
    need_program("setpriv")
    jit = fixture_path("jit")
    os.chmod(".", 0o777)
    t = Target("jit", argv=["setpriv", "--reuid=65534", "--clear-groups", jit, "60",
                            os.path.abspath("perf-%d.txt")])
    fake = f"/tmp/perf-{t.pid}.map"
    wait_for(lambda: os.path.exists(f"perf-{t.pid}.txt"), 10, "the map")
    try:
        shutil.copy(f"perf-{t.pid}.txt", fake)
        os.chown(fake, 1, 1)
        folded = record("-p", t.pid, d=1).folded()
        check(named_share(folded) == 0, "the map of another user was read:\n" + folded.show())
        os.unlink(fake)
        os.mkfifo(fake)
        os.chown(fake, 65534, 65534)
        r = record("-p", t.pid, d=1)
        check(r.wall < 20, f"a FIFO held it up for {r.wall:.0f} s")
        check(named_share(r.folded()) == 0, "names out of nowhere")
        os.unlink(fake)
        os.symlink("/dev/zero", fake)
        folded = record("-p", t.pid, d=1).folded()
        check(named_share(folded) == 0, "names out of a device")
        # The same file, but theirs.
        os.unlink(fake)
        os.link(f"perf-{t.pid}.txt", fake)
        folded = record("-p", t.pid, d=1).folded()
        check(named_share(folded) > 0.9, "their own map was not read:\n" + folded.show())
    finally:
        remove(fake)
