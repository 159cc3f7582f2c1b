# SPDX-License-Identifier: Apache-2.0
"""Files that change under a running program: removed, replaced, loaded anew, generated code,
another architecture, another root directory."""

import os
import shutil

from lib import (Skip, Target, assert_chains, assert_complete, case, check, fixture_path,
                 is_complete, is_reason, matches_chain, need_program, record, record_target, spawn)


def vanishing(how):
    os.mkdir("bin")
    path = shutil.copy2(fixture_path("vanish"), "bin/vanish")
    t = Target("vanish", argv=[os.path.abspath(path), "60", how])
    folded = record_target(t).folded()
    assert_chains(folded, t.chains)
    assert_complete(folded)


@case
def deleted_program():
    vanishing("delete")


@case
def replaced_program():
    """The path holds other bytes: names must come from the file that runs."""
    vanishing("replace")


@case
def exec_over_itself():
    t = Target("exec_self")
    folded = record("-p", t.pid).folded()
    # A tenth of a second of burning per program: its start (dynamic linker) shows a little.
    assert_complete(folded, at_least=0.98)
    assert_chains(folded, t.chains, other=0.1)
    # Inside of execve() there is no user stack; that is no fault, with or without kernel frames.
    folded = record("-p", t.pid, "--kernel=no", f=997, out="user.folded").folded()
    assert_complete(folded, at_least=0.98, complete=lambda s: is_complete(s) or
                    s[-1] == "[calling exec]")


@case
def libraries_come_and_go():
    t = Target("dlloop")
    folded = record_target(t).folded()
    assert_complete(folded)
    assert_chains(folded, t.chains, other=0.15)


@case
def generated_code_has_a_frame_and_callers():
    t = Target("jit")
    folded = record_target(t).folded()
    below = folded.count(lambda s: matches_chain(s, ["main", "jit_caller"]) and
                         s[-1] != "jit_caller")
    check(below > 0.9 * folded.total, "generated code lost its callers:\n" + folded.show())
    check(folded.count(lambda s: any(is_reason(f) for f in s)) <= 0.02 * folded.total,
          "gaps:\n" + folded.show())


@case
def thirty_two_bit_process_is_reported():
    t = Target("chain_m32")
    r = record_target(t)
    folded = r.folded()
    check(folded.total > 15, "a 32-bit process was not sampled")
    for stack, _ in folded.stacks:
        check(any(is_reason(f) for f in stack) or any("chain_leaf" in f for f in stack),
              "a 32-bit stack is neither walked nor explained: " + ";".join(stack))


@case
def overlay_root_in_own_namespaces():
    need_program("unshare")
    for d in ("lower", "upper", "work", "root"):
        os.mkdir(d)
    os.makedirs("lower/proc")
    shutil.copy2(fixture_path("chain_static"), "lower/prog")
    script = ("mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work root && "
              "mount -t proc proc root/proc && exec chroot root /prog 60")
    p = spawn(["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script],
              stdout=-1, text=True)
    line = p.stdout.readline()
    if not line.startswith("{"):
        raise Skip("no overlay file system in a mount namespace here")
    with open(f"/proc/{p.pid}/task/{p.pid}/children") as f:
        pid = int(f.read().split()[0])
    check(os.readlink(f"/proc/{pid}/ns/mnt") != os.readlink("/proc/self/ns/mnt"), "same namespace")
    folded = record("-p", pid).folded()
    assert_complete(folded)
    assert_chains(folded, [["main", "chain_outer", "chain_inner", "chain_leaf"],
                           ["chain_thread", "chain_outer", "chain_inner", "chain_leaf"]])
