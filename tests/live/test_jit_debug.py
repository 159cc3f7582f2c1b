# SPDX-License-Identifier: Apache-2.0
"""Code whose object files a runtime registered with debuggers (GDB's JIT interface): LLVM's own JITs,
a program that makes code while it is profiled, and lists that lie."""

import os
import re
import time

from lib import (Skip, Target, assert_complete, case, check, fixture_path, is_complete, need_program,
                 record, spawn)
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


def lli(kind, frame_pointers=True):
    need_program("lli")
    need_program("clang")
    with open("hot.c", "w", encoding="ascii") as f:
        f.write(HOT)
    sh("clang", "-g", "-O1", "-fno-omit-frame-pointer" if frame_pointers else "-fomit-frame-pointer",
       "-S", "-emit-llvm", "-o", "hot.ll", "hot.c")
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


def llvm_code_without_frame_pointers_is_walked(kind):
    p = lli(kind, frame_pointers=False)
    with open("hot.ll", encoding="ascii") as f:
        check('"frame-pointer"="all"' not in f.read(), "it has frame pointers")
    folded = record("-p", p.pid, d=2).folded()
    walked = share(folded, "main", "jitted_outer", "jitted_inner")
    check(walked > 0.9, f"{walked:.1%} walked:\n" + folded.show())
    assert_complete(folded, 0.98)


@case
def code_of_llvm_s_mcjit_without_frame_pointers_is_walked():
    llvm_code_without_frame_pointers_is_walked("mcjit")


@case
def code_of_llvm_s_orc_without_frame_pointers_is_walked():
    llvm_code_without_frame_pointers_is_walked("orc")


def frameless(name, room):
    """An object file with a function that calls another, neither with a frame pointer (rbp is used
    for something else), and with `room` bytes of stack each."""
    sh("gcc", "-O1", "-g", "-c", "-fomit-frame-pointer", "-fPIC", "-fno-stack-protector",
       "-fno-toplevel-reorder", "-o", f"{name}.o", "-xc", "-", input=f"""
static int __attribute__((noinline)) {name}_inner(volatile int *p, int n);
int {name}_outer(volatile int *p)
{{
	volatile char room[{room}];

	room[*p & 7] = 1;
	return {name}_inner(p, 100000) + room[1];
}}
static int __attribute__((noinline)) {name}_inner(volatile int *p, int n)
{{
	volatile char room[{room}];
	register long busy __asm__("rbp") = n;

	room[*p & 7] = 1;
	for (int i = 0; i < n; i++) {{
		*p += i;
		__asm__ volatile("lea 1(%0), %0" : "+r"(busy));
	}}
	return *p + room[1];
}}
""")
    return f"{name}.o"


def frameless_share(folded, name):
    """Of the samples in this code, those with all callers."""
    there = folded.only(lambda s: any(f.startswith(name) for f in s))
    whole = there.count(lambda s: is_complete(s) and
                        any(tuple(s[i:i + 3]) == ("run", f"{name}_outer", f"{name}_inner") or
                            tuple(s[i:i + 2]) == ("run", f"{name}_outer")
                            for i in range(len(s))))
    check(there.total > 20, f"hardly a sample in {name}:\n" + folded.show())
    return whole / there.total


@case
def registered_code_without_frame_pointers_is_walked():
    t = Target("registered", "once", "60", frameless("small", 40))
    folded = record("-p", t.pid, d=2).folded()
    whole = frameless_share(folded, "small")
    check(whole > 0.98, f"{whole:.1%} walked:\n" + folded.show())
    assert_complete(folded, 0.98)


def code_whose_frames_libgcc_has_is_walked(how):
    # Of GCC 13 and later they are in a tree, whose root is not found.
    libgcc = sh("gcc", "-print-file-name=libgcc_s.so.1").strip()
    with open(libgcc, "rb") as f:
        if b"GCC_13.0.0" in f.read():
            raise Skip("the libgcc here keeps registered frames in a tree")
    t = Target("registered", how, "60", frameless("small", 40))
    folded = record("-p", t.pid, d=2).folded()
    # Without an object file it has no names.
    whole = folded.count(lambda s: is_complete(s) and
                         any(s[i] == "run" and s[i + 1].startswith("[jit]")
                             for i in range(len(s) - 1))) / folded.total
    check(whole > 0.95, f"{whole:.1%} walked:\n" + folded.show())


@case
def code_whose_frames_are_registered_alone_is_walked():
    code_whose_frames_libgcc_has_is_walked("frames")


@case
def code_whose_frames_are_sorted_by_libgcc_is_walked():
    code_whose_frames_libgcc_has_is_walked("frames_seen")


@case
def rows_follow_what_is_registered_in_the_same_memory():
    t = Target("registered", "reuse", "60", frameless("small", 40), frameless("large", 5000))
    # Until the list is looked at again, the old rows are taken for the new code, which has larger
    # frames: a second of seven. All have the names of what is there in the end.
    folded = record("-p", t.pid, d=7).folded()
    whole = frameless_share(folded, "large")
    check(whole > 0.75, f"{whole:.1%} walked:\n" + folded.show())
    folded = record("-p", t.pid, d=1).folded()
    whole = frameless_share(folded, "large")
    check(whole > 0.98, f"{whole:.1%} of the second walked in the end:\n" + folded.show())


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
