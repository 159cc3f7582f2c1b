# SPDX-License-Identifier: Apache-2.0
"""Code whose object files a runtime registered with debuggers (GDB's JIT interface): LLVM's own JITs,
a program that makes code while it is profiled, and lists that lie."""

import contextlib
import os
import re
import signal
import time

import runtimes
from lib import (TEPHRA, Folded, Skip, Target, assert_complete, case, check, fixture_path,
                 is_complete, need_program, record, spawn, wait_for)
from lines import sh
from test_ops import Agent, config, parse_metrics, value

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


# Roots of other suites: their libgcc keeps registered frames in a tree. What is here may have lists.
TREES = {"gcc_14": "python3.13-trixie", "newest": "python3.13-sid"}


def frames_target(how, *objects, root=None, program="registered"):
    """A program that registers frames with libgcc alone, run in a root directory of its own."""
    argv = [how, "60", *[os.path.abspath(o) for o in objects]]
    if not root:
        return Target(program, *argv)
    try:
        r = runtimes.find(root).get()
    except runtimes.Unavailable as e:
        raise Skip(str(e))
    program = os.path.abspath(fixture_path(program))
    t = Target("registered", argv=r.command(*argv, program=program,
                                            mount=[os.path.dirname(program), os.getcwd()]))
    with open(f"/proc/{t.pid}/maps", encoding="utf-8") as f:
        check("libgcc_s.so.1" in f.read(), "it has a libgcc of its own")
    return t


def unnamed_share(folded):
    """Of the samples below run(), those with code there, which has no names without an object file,
    and with all its callers."""
    there = folded.only(lambda s: any(f.startswith("[jit]") for f in s) or "run" in s)
    whole = there.count(lambda s: is_complete(s) and
                        any(s[i] == "run" and s[i + 1].startswith("[jit]")
                            for i in range(len(s) - 1)))
    check(there.total > 20, "hardly a sample:\n" + folded.show())
    return whole / there.total


def code_whose_frames_libgcc_has_is_walked(how, root=None, program="registered"):
    t = frames_target(how, frameless("small", 40), root=root, program=program)
    r = record("-p", t.pid, d=2)
    check(r.wall < 20, f"{how}: {r.wall:.0f} s")
    folded = r.folded()
    whole = unnamed_share(folded)
    check(whole > 0.95, f"{how}: {whole:.1%} walked:\n" + folded.show())


@case
def code_whose_frames_are_registered_alone_is_walked():
    code_whose_frames_libgcc_has_is_walked("frames")


@case
def code_whose_frames_are_sorted_by_libgcc_is_walked():
    code_whose_frames_libgcc_has_is_walked("frames_seen")


@case
def many_pieces_of_code_whose_frames_are_registered_are_walked():
    code_whose_frames_libgcc_has_is_walked("frames_many")


@case
def code_whose_frames_a_static_libgcc_has_is_walked():
    # There the lists lie in memory behind the file's, and the program's own frames are in them.
    for how in ("frames", "frames_many"):
        code_whose_frames_libgcc_has_is_walked(how, program="registered_static")


@case(timeout=180)
def code_whose_frames_gcc_14_s_libgcc_has_is_walked():
    for how in ("frames", "frames_seen", "frames_many", "frames_busy"):
        code_whose_frames_libgcc_has_is_walked(how, TREES["gcc_14"])


@case(timeout=180)
def code_whose_frames_the_newest_libgcc_has_is_walked():
    for how in ("frames", "frames_seen", "frames_many", "frames_busy"):
        code_whose_frames_libgcc_has_is_walked(how, TREES["newest"])


@case(timeout=180)
def trees_that_lie_cost_nothing():
    for how in ("frames_circle", "frames_wild", "frames_huge", "frames_locked"):
        code_whose_frames_libgcc_has_is_walked(how, TREES["newest"])


def rows_follow_frames_in_the_same_memory(root=None):
    t = frames_target("frames_reuse", frameless("small", 40), frameless("large", 5000), root=root)
    # As below: the old rows are taken for the new code until the list is looked at again.
    folded = record("-p", t.pid, d=5).folded()
    whole = unnamed_share(folded)
    check(whole > 0.7, f"{whole:.1%} walked:\n" + folded.show())
    folded = record("-p", t.pid, d=1).folded()
    whole = unnamed_share(folded)
    check(whole > 0.98, f"{whole:.1%} of the second walked in the end:\n" + folded.show())


@case
def rows_follow_frames_that_libgcc_has_in_the_same_memory():
    rows_follow_frames_in_the_same_memory()


@case(timeout=120)
def rows_follow_frames_in_the_same_memory_with_trees():
    for root in TREES.values():
        rows_follow_frames_in_the_same_memory(root)


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


def in_the_middle(t, act):
    """A recording in which something is done once all stacks are known: kernel frames would make new
    ones, and a new stack has its code looked at."""
    begin = t.cpu_s()
    p = spawn([TEPHRA, "record", "-p", str(t.pid), "-F", "499", "--kernel", "no", "-d", "4s",
               "-o", "out.folded"])
    wait_for(lambda: t.cpu_s() > begin + 2.8, 30, "the middle of the recording")
    act()
    check(p.wait(30) == 0, "the recording failed")
    return Folded.read("out.folded")


@case
def code_that_is_registered_while_profiled_is_named():
    t = registered("late")
    folded = in_the_middle(t, lambda: os.kill(t.pid, signal.SIGUSR1))
    named, walked = (share(folded, *f) for f in (("registered_code",), ("run", "registered_code")))
    check(named > 0.9, f"{named:.1%} named:\n" + folded.show())
    # It has no frame pointer: the rows of what was registered are used from then on.
    check(0.15 < walked < 0.99, f"{walked:.1%} walked:\n" + folded.show())


def kill_parsers(agent, n):
    """The next n children that read files for this agent, each as soon as it is there."""
    def one():
        with open(f"/proc/{agent}/task/{agent}/children", encoding="ascii") as f:
            children = [int(x) for x in f.read().split()]
        for pid in children:
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    if b"--parser-child" not in f.read():
                        continue
                os.kill(pid, signal.SIGKILL)
                return True
            except (FileNotFoundError, ProcessLookupError):
                pass
        return False

    for i in range(n):
        wait_for(one, 30, f"child {i + 1} to be killed", step=0.005)


def answers_that_are_lost_are_asked_for_again(frame, t):
    p = spawn([TEPHRA, "record", "-p", str(t.pid), "-F", "199", "-d", "120s", "-o", "out.folded"])
    kill_parsers(p.pid, 3)
    begin = t.cpu_s()
    wait_for(lambda: t.cpu_s() > begin + 6, 60, "what is recorded with children that live")
    p.send_signal(signal.SIGINT)
    check(p.wait(60) == 0, "the recording failed")
    folded = Folded.read("out.folded")
    named = share(folded, frame)
    check(named > 0.9, f"{named:.1%} named:\n" + folded.show())


@case
def where_a_list_is_is_asked_again_when_the_answer_is_lost():
    answers_that_are_lost_are_asked_for_again("registered_code", registered("once"))


@contextlib.contextmanager
def perf_map(t):
    """A function that writes a map for the target, with this name for its code."""
    path = f"/tmp/perf-{t.pid}.map"

    def write(name):
        with open(f"/proc/{t.pid}/maps", encoding="utf-8") as f:
            at = next(ln.split("-")[0] for ln in f if " rwxp " in ln)
        with open(path, "w", encoding="ascii") as f:
            f.write(f"{at} 1000 {name}\n")
    try:
        yield write
    finally:
        if os.path.exists(path):
            os.unlink(path)


@case
def a_map_is_read_again_when_its_names_are_lost():
    t = registered("late")
    with perf_map(t) as write:
        write("written_early")
        answers_that_are_lost_are_asked_for_again("written_early", t)


@case
def a_map_that_is_written_while_profiled_names_code():
    t = registered("late")
    with perf_map(t) as write:
        folded = in_the_middle(t, lambda: write("written_late"))
    named = share(folded, "written_late")
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


def lists_cut(target):
    """How often the agent says so, once it has read what the target registered."""
    a = Agent(config(target)).ready()

    def read():
        m = parse_metrics(a.get("/metrics"))
        return value(m, "tephra_memory_used_bytes", part="jit_names") > 0 and m

    n = value(wait_for(read, 20, "names of code"), "tephra_jit_lists_cut_total")
    a.stop()
    target.stop()
    return n


@case(timeout=120)
def what_is_left_out_of_a_list_is_counted():
    check(lists_cut(registered("once")) == 0, "of a list that is sound")
    check(lists_cut(registered("wild")) > 0, "nothing of a list that leads nowhere")
    newest = TREES["newest"]
    small = frameless("small", 40)
    check(lists_cut(frames_target("frames_many", small, root=newest)) == 0, "of a sound tree")
    check(lists_cut(frames_target("frames_wild", small, root=newest)) > 0, "nothing of a wild tree")
