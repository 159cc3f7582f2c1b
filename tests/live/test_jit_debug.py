# SPDX-License-Identifier: Apache-2.0
"""Code whose object files a runtime registered with debuggers (GDB's JIT interface): LLVM's own JITs,
a program that makes code while it is profiled, and lists that lie."""

import os
import re
import time

from lib import Target, case, check, fixture_path, need_program, record, spawn
from lines import sh

HOT = """
volatile unsigned sink;
__attribute__((noinline)) unsigned jitted_inner(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		sink += i;
	return sink;
}
__attribute__((noinline)) unsigned jitted_outer(unsigned n)
{
	return jitted_inner(n) + 1;
}
int main(void)
{
	for (;;)
		sink += jitted_outer(100000);
}
"""


def share(folded, *frames):
    """Of the samples, those that have these frames, callers first, one after another."""
    return folded.count(lambda s: any(tuple(s[i:i + len(frames)]) == frames
                                      for i in range(len(s)))) / folded.total


def lli(kind):
    need_program("lli")
    need_program("clang")
    with open("hot.c", "w", encoding="ascii") as f:
        f.write(HOT)
    sh("clang", "-g", "-O1", "-fno-omit-frame-pointer", "-S", "-emit-llvm", "-o", "hot.ll", "hot.c")
    # MCJIT writes a jitdump as well, which is asked first; ORC registers only.
    p = spawn(["lli", f"--jit-kind={kind}", "hot.ll"], env={**os.environ, "JITDUMPDIR": os.getcwd()})
    time.sleep(0.5)
    return p


def llvm_code_is_named(kind):
    p = lli(kind)
    folded = record("-p", p.pid, d=2).folded()
    named = share(folded, "main", "jitted_outer", "jitted_inner")
    check(named > 0.9, f"{named:.1%} named:\n" + folded.show())
    record("-p", p.pid, d=1, out="p.pb.gz")
    text = sh("go", "tool", "pprof", "-lines", "-top", "p.pb.gz")
    check(re.search(r"jitted_outer .*hot\.c:11\b", text), text)


@case
def code_of_llvm_s_mcjit_is_named():
    llvm_code_is_named("mcjit")


@case
def code_of_llvm_s_orc_is_named():
    llvm_code_is_named("orc")


def registered(how, seconds=60):
    """A program that registers an object file for code that it copied to memory."""
    sh("gcc", "-O1", "-g", "-c", "-fno-omit-frame-pointer", "-fno-asynchronous-unwind-tables",
       "-o", "code.o", "-xc", "-", input="""
int registered_code(volatile int *p)
{
	for (int i = 0; i < 100000; i++)
		*p += i;
	return *p;
}
""")
    return Target("registered", how, str(seconds), "code.o")


@case
def code_that_is_registered_while_profiled_is_named():
    t = registered("late")
    folded = record("-p", t.pid, d=4).folded()
    named = share(folded, "registered_code")
    check(named > 0.9, f"{named:.1%} named:\n" + folded.show())


@case
def the_executable_need_not_export_the_list():
    check("__jit_debug_descriptor" not in sh("nm", "-D", fixture_path("registered")), "it does")
    folded = record("-p", registered("once").pid, d=1).folded()
    check(share(folded, "registered_code") > 0.9, folded.show())


@case(timeout=180)
def lists_that_lie_cost_nothing_but_their_names():
    for how in ("circle", "wild", "huge", "garbage", "endless"):
        t = registered(how)
        r = record("-p", t.pid, d=2)
        check(r.wall < 20, f"{how}: {r.wall:.0f} s")
        folded = r.folded()
        named = share(folded, "registered_code")
        check(folded.total > 20, f"{how}: hardly a sample:\n" + folded.show())
        # What is sound in the list is believed.
        check(named > 0.9 or how == "garbage", f"{how}: {named:.1%} named:\n" + folded.show())
