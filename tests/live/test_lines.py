# SPDX-License-Identifier: Apache-2.0
"""Functions, inlined functions, files and lines: what `tephra symbolize` says beside what binutils
and elfutils say, where debug files are looked for, and that profiles have it."""

import json
import os
import re
import shutil

from lib import case, check, need_program, record, spawn, wait_for
from lines import agreement, sh, symbolize, text_addresses
from test_run import Receiver, agent, config

SOURCE = """
#include <stdlib.h>
static inline __attribute__((always_inline)) int twist(int x)
{
	volatile int s = 0;
	for (int i = 0; i < 200; i++)
		s += x ^ i;
	return s;
}
__attribute__((noinline)) int work(int n)
{
	int t = 0;
	for (int i = 0; i < n; i++)
		t += twist(i);
	return t;
}
int main(int argc, char **argv)
{
	for (int i = 0; i < 100; i++)
		work(atoi(argv[1]));
}
"""


def build(*flags, name="hot"):
    with open("hot.c", "w") as f:
        f.write(SOURCE)
    sh("gcc", "-O2", "-g", *flags, "-o", name, "hot.c")
    return os.path.abspath(name)


def address_of_twist(path):
    """An address in the loop: in the middle of work()."""
    start, size = next((int(f[0], 16), int(f[1], 16)) for f in
                       (line.split() for line in sh("nm", "-S", path).splitlines())
                       if len(f) == 4 and f[3] == "work")
    return hex(start + size // 2)


def expect_lines(path, address, *args):
    text = symbolize(path, *args, input=address)
    check(re.search(r" twist at .*hot\.c:[67]\n +inlined into work at .*hot\.c:14\n", text), text)


def expect_name_only(path, address, *args):
    text = symbolize(path, *args, input=address)
    check("twist" not in text and "hot.c" not in text, text)


def separate(path):
    """Splits the debug information off into hot.debug."""
    sh("objcopy", "--only-keep-debug", path, "hot.debug")
    sh("objcopy", "--strip-all", "--add-gnu-debuglink=hot.debug", path)


@case
def lines_agree_with_llvm_symbolizer():
    need_program("llvm-symbolizer")
    path = "/usr/lib/x86_64-linux-gnu/debug/libstdc++.so.6.0.30"
    share, wrong = agreement(path, "llvm-symbolizer", text_addresses(path, 10000))
    check(share >= 0.999, f"{share:.4f}\n" + "\n".join(map(str, wrong[:5])))


@case
def debug_file_beside_the_program():
    path = build()
    address = address_of_twist(path)
    expect_lines(path, address)
    separate(path)
    expect_lines(path, address)
    os.mkdir(".debug")
    os.rename("hot.debug", ".debug/hot.debug")
    expect_lines(path, address)
    os.remove(".debug/hot.debug")
    expect_name_only(path, address)


@case
def debug_file_in_a_debug_directory():
    path = build()
    address = address_of_twist(path)
    separate(path)
    build_id = re.search(r"Build ID: ([0-9a-f]+)", sh("readelf", "-n", path)).group(1)
    debug = os.path.abspath("debug")
    by_id = os.path.join(debug, ".build-id", build_id[:2], build_id[2:] + ".debug")
    os.makedirs(os.path.dirname(by_id))
    shutil.move("hot.debug", by_id)
    expect_lines(path, address, "--debug-dir", debug)
    by_path = os.path.join(debug + os.path.dirname(path), "hot.debug")
    os.makedirs(os.path.dirname(by_path))
    shutil.move(by_id, by_path)
    expect_lines(path, address, "--debug-dir", debug)


@case
def debug_file_of_another_build_is_refused():
    path = build()
    address = address_of_twist(path)
    separate(path)
    other = build("-DOTHER", "-O1", name="other")
    sh("objcopy", "--only-keep-debug", other, "hot.debug")
    expect_name_only(path, address)
    text = symbolize(path, input=address)
    check("debug file of another build" in text, text)


@case
def debug_file_is_checked_by_its_checksum():
    path = build("-Wl,--build-id=none")
    address = address_of_twist(path)
    separate(path)
    expect_lines(path, address)
    with open("hot.debug", "ab") as f:
        f.write(b"x")
    expect_name_only(path, address)


@case
def fifo_or_link_in_place_of_a_debug_file():
    path = build()
    address = address_of_twist(path)
    separate(path)
    os.remove("hot.debug")
    os.mkfifo("hot.debug")
    expect_name_only(path, address)
    os.remove("hot.debug")
    os.symlink("/dev/zero", "hot.debug")
    expect_name_only(path, address)


@case
def split_debug_information_is_found():
    path = build("-gsplit-dwarf")
    expect_lines(path, address_of_twist(path))


@case
def profile_has_inlined_functions_and_lines():
    path = build()
    record("-o", "p.pb.gz", "--", path, "100000", d=2, out="p.folded")
    with open("p.folded") as f:
        lines = [line.rsplit(" ", 1) for line in f]
    total = sum(int(n) for _, n in lines)
    inlined = sum(int(n) for s, n in lines if "main;work;twist" in s)
    check(inlined > 0.85 * total, f"{inlined} of {total} samples in twist():\n{lines[:5]}")
    text = sh("go", "tool", "pprof", "-lines", "-top", "p.pb.gz")
    check(re.search(r"twist .*hot\.c:[67] \(inline\)", text), text)


@case
def stripped_program_has_names_from_its_debug_file():
    path = build()
    separate(path)
    record("--", path, "100000", d=1, out="p.folded")
    with open("p.folded") as f:
        text = f.read()
    check("main;work;twist" in text, text)


@case
def the_first_pushed_profile_has_inlined_functions():
    path, recv = build(), Receiver()
    p = spawn([path, "1000000"])
    run = agent(config(recv.port, p.pid, interval="1s"))
    wait_for(recv.profiles, 15, "a pushed profile")
    run.terminate()
    first = json.dumps(recv.profiles()[0])
    check("twist" in first, first[:2000])
