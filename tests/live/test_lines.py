# SPDX-License-Identifier: Apache-2.0
"""Functions, inlined functions, files and lines: what `tephra symbolize` says beside what binutils
and elfutils say, where debug files are looked for, and that profiles have it."""

import json
import os
import re
import shutil
import struct
import subprocess
import time

from lib import TEPHRA, case, check, need_program, record, spawn, wait_for
from lines import agreement, as_input, sh, symbolize, text_addresses
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
def more_addresses_than_one_request_takes():
    path = "/usr/lib/x86_64-linux-gnu/debug/libstdc++.so.6.0.30"
    addresses = text_addresses(path, 70000)
    text = symbolize(path, input=as_input(addresses))
    check(text.endswith(symbolize(path, input=as_input(addresses[-200:]))),
          "the last of 70,000 addresses are described otherwise than alone:\n" + text[-500:])


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


def add_section(path, name, size):
    """A section of zeros at the end of the file, sparse: the header table is moved behind it."""
    with open(path, "r+b") as f:
        data = f.read()
        shoff, = struct.unpack_from("<Q", data, 40)
        shentsize, shnum, shstrndx = struct.unpack_from("<HHH", data, 58)
        headers = bytearray(data[shoff:shoff + shentsize * shnum])
        at = len(data) + 4096 & ~4095
        names, = struct.unpack_from("<Q", headers, shstrndx * shentsize + 24)
        for i in range(shnum):
            start = names + struct.unpack_from("<I", headers, i * shentsize)[0]
            if data[start:data.index(b"\0", start)] == name:
                old, n = struct.unpack_from("<QQ", headers, i * shentsize + 24)
                struct.pack_into("<QQ", headers, i * shentsize + 24, at, size)
                f.seek(at)
                f.write(data[old:old + n])
        end = at + size + 4096 & ~4095
        f.truncate(end)
        f.seek(end)
        f.write(headers)
        f.seek(40)
        f.write(struct.pack("<Q", end))


def timed(path, address, *args):
    """(text, seconds, MiB at the peak of the child and its parent)"""
    p = subprocess.run(["/usr/bin/python3", "-c", "import resource, subprocess, sys\n"
                        "t = subprocess.run(sys.argv[1:], capture_output=True, text=True)\n"
                        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)\n"
                        "print(t.stdout + t.stderr)",
                        TEPHRA, "symbolize", *args, path, address], capture_output=True, text=True,
                       check=True)
    peak, _, text = p.stdout.partition("\n")
    return text, int(peak)


@case
def debug_information_of_gigabytes_costs_neither_memory_nor_time():
    path = build()
    address = address_of_twist(path)
    add_section(path, b".debug_info", 3 << 30)
    t0 = time.monotonic()
    text, peak = timed(path, address)
    took = time.monotonic() - t0
    check(" twist at " in text and "inlined into work" in text, text)
    check(took < 10 and peak < 300, f"{took:.1f} s, {peak} MiB")


@case
def damaged_debug_file_costs_the_lines_and_no_name():
    path = build("-Wl,--compress-debug-sections=zlib")
    address = address_of_twist(path)
    sections = sh("readelf", "-SW", path)
    m = re.search(r"\.debug_info +PROGBITS +0+ ([0-9a-f]+) ([0-9a-f]+)", sections)
    with open(path, "r+b") as f:
        f.seek(int(m[1], 16) + 8)  # ch_size of Elf64_Chdr
        f.write(struct.pack("<Q", 64 << 30))
    text, peak = timed(path, address, "--log-level", "debug")
    check(" work at ??" in text and "twist" not in text, text)
    check("no lines from" in text or "debug information" in text, f"nothing is said: {text}")
    check(peak < 100, f"{peak} MiB")
    other = build(name="cut")
    address = address_of_twist(other)
    separate(other)
    os.truncate("hot.debug", os.path.getsize("hot.debug") // 2)
    text, _ = timed(other, address)
    check("twist" not in text, text)


# As a container's runtime does it (pivot_root(2): "." twice).
PIVOT = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
root = sys.argv[1].encode()
assert libc.mount(root, root, None, 4096, None) == 0
os.chdir(root)
assert libc.syscall(155, b".", b".") == 0
assert libc.umount2(b".", 2) == 0
os.chdir("/")
os.execv(sys.argv[2], sys.argv[2:])
"""


def folded_of(pid):
    record("-p", pid, d=1, out="p.folded")
    with open("p.folded", encoding="utf-8") as f:
        return f.read()


@case
def container_has_its_own_debug_file():
    path = build("-static", name="in_container")
    separate(path)
    os.makedirs("root/srv/.debug")
    os.rename(path, "root/srv/prog")
    os.rename("hot.debug", "root/srv/.debug/hot.debug")
    p = spawn(["unshare", "-m", "--propagation", "private", "/usr/bin/python3", "-c", PIVOT, "root",
               "/srv/prog", "100000000"])
    wait_for(lambda: os.readlink(f"/proc/{p.pid}/exe").endswith("/srv/prog"), 10, "the program")
    text = folded_of(p.pid)
    check("main;work;twist" in text, text)
    os.rename("root/srv/.debug/hot.debug", "hot.debug")
    os.symlink(os.path.abspath("hot.debug"), "root/srv/.debug/hot.debug")
    text = folded_of(p.pid)
    check("main;work" in text or "prog+0x" in text, text)
    check("twist" not in text, f"a link out of the container was followed: {text}")


@case
def process_in_a_chroot_is_searched_for_within_it():
    path = build("-static", name="in_chroot")
    separate(path)
    os.makedirs("root/srv/.debug")
    os.rename(path, "root/srv/prog")
    os.rename("hot.debug", "root/srv/.debug/hot.debug")
    p = spawn(["chroot", "root", "/srv/prog", "100000000"])
    wait_for(lambda: os.readlink(f"/proc/{p.pid}/exe").endswith("/srv/prog"), 10, "the program")
    text = folded_of(p.pid)
    check("main;work;twist" in text, f"its own debug file was not found: {text}")
    # Where both have a file, the one in the chroot is it; a link is one in the chroot, too.
    os.rename("root/srv/.debug/hot.debug", "hot.debug")
    for target in (os.path.abspath("hot.debug"), "../../../hot.debug"):
        os.symlink(target, "root/srv/.debug/hot.debug")
        text = folded_of(p.pid)
        check("work" in text or "prog+0x" in text, text)
        check("twist" not in text, f"a link out of the chroot was followed: {text}")
        os.remove("root/srv/.debug/hot.debug")
    os.rename("hot.debug", "root/hot.debug")
    os.symlink("/hot.debug", "root/srv/.debug/hot.debug")
    text = folded_of(p.pid)
    check("main;work;twist" in text, f"a link within the chroot was not followed: {text}")
