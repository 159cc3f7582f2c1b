# SPDX-License-Identifier: Apache-2.0
"""What goes wrong, or is made to go wrong, around a recording: address spaces that change while
they are sampled, a parser that is killed, a cache that takes nothing, files that lie."""

import os
import random
import re
import signal
import struct
import subprocess
import time

from lib import (TEPHRA, Folded, Skip, Target, assert_chains, assert_complete, case, check,
                 fixture_path, fresh_copy, is_reason, matches_chain, record, spawn, tephra,
                 wait_for)

# mov ecx, 200000; 1: dec ecx; jnz 1b; ret
STUB = bytes([0xb9, 0x40, 0x0d, 0x03, 0x00, 0xff, 0xc9, 0x75, 0xfc, 0xc3])
PAGE = 4096


def accounted(r, folded):
    """The program's own count of samples against what is in its result."""
    m = re.search(r"(\d+) samples taken, (\d+) lost", r.err)
    check(m, f"no account of the samples:\n{r!r}")
    taken, lost = int(m[1]), int(m[2])
    print(f"taken {taken}, lost {lost}, in the result {folded.total}")
    # Those that no table had room for are a frame of their own.
    check(taken == folded.total,
          f"{taken} samples were taken, {lost} lost, but {folded.total} are in the result")
    return taken, lost


def children(pid):
    found = []
    for p in os.listdir("/proc"):
        if not p.isdigit():
            continue
        try:
            with open(f"/proc/{p}/stat") as f:
                if int(f.read().rpartition(")")[2].split()[1]) == pid:
                    found.append(int(p))
        except OSError:
            pass
    return found


# ---- Address spaces that change --------------------------------------------------------------

@case(timeout=120)
def mappings_come_and_go_under_samples():
    programs = [Target("remap", "60"), Target("exec_self", "60"),
                Target("storm", fixture_path("storm_child"), 100000, 2, 3)]
    pids = [a for t in programs for a in ("-p", t.pid)]
    r = record(*pids, "--children", "--log-level", "debug", d=10, f=4999, timeout=90)
    folded = r.folded()
    taken, lost = accounted(r, folded)
    check(taken > 5000, f"only {taken} samples")
    check(lost <= 0.01 * taken, f"{lost} samples were lost")
    for t in programs[:2]:
        check(t.proc.poll() is None, f"{t.name} died under the profiler")
    gone = folded.containing("[stack lost: *").total
    print(f"{gone} samples without their stack")
    check(gone <= 0.01 * folded.total, f"{gone} stacks did not arrive:\n{folded.show()}")
    own = folded.containing("remap_once")
    check(own.total > 100, f"the program that maps code was not seen:\n{folded.show(40)}")
    # Code that was unmapped between the sample and the lookup may cut a stack, rarely.
    for name, at_least in (("remap_once", 0.97), ("exec_burn", 0.99), ("storm_leaf", 0.97)):
        part = folded.containing(name)
        bad = part.only(lambda s: any(is_reason(f) for f in s))
        print(f"{name}: {part.total} samples, {bad.total} cut")
        check(bad.total <= (1 - at_least) * part.total,
              f"{bad.total} of {part.total} stacks of {name} are cut:\n{bad.show()}")


@case(timeout=90)
def every_sample_of_the_host_is_accounted_for():
    t = Target("chain")
    r = record("-a", "--log-level", "debug", d=3, f=1999)
    accounted(r, r.folded())
    assert_chains(r.folded().containing("chain_leaf"), t.chains)


# ---- The parser ------------------------------------------------------------------------------

@case(timeout=90)
def a_killed_parser_is_replaced():
    fresh_copy("chain", "chain-unseen")
    t = Target("chain", argv=[os.path.abspath("chain-unseen"), "60"])
    p = spawn([TEPHRA, "record", "-p", t.pid, "-F", 499, "-d", "5s", "--cache-dir", "", "-o",
               "out.folded"], stderr=subprocess.PIPE, text=True)
    killed = set()
    first = None
    while p.poll() is None and (not first or time.monotonic() - first < 2):
        for child in children(p.pid):
            try:
                os.kill(child, signal.SIGKILL)
                killed.add(child)
                first = first or time.monotonic()
            except ProcessLookupError:
                pass
        time.sleep(0.001)
    _, err = p.communicate(timeout=60)
    print(err, f"killed {len(killed)}")
    check(p.returncode == 0, f"exit code {p.returncode}: {err}")
    check(killed, "there never was a parser")
    folded = Folded.read("out.folded")
    check(folded.total > 100, f"only {folded.total} samples")
    # Whatever was killed in between: each stack is whole or says why it is not.
    for stack, _ in folded.stacks:
        check(any(is_reason(f) for f in stack) or "_start" in stack[:2] or "clone" in stack[1]
              or "+0x" in stack[1], "a stack without end or reason: " + ";".join(stack))


# ---- The cache -------------------------------------------------------------------------------

def record_with_cache(options):
    os.mkdir("cache")
    fresh_copy("chain", "chain-unseen")
    t = Target("chain", argv=[os.path.abspath("chain-unseen"), "60"])
    script = f"mount -t tmpfs -o {options} none cache && exec \"$@\""
    r = record("-p", t.pid, "--cache-dir", "cache",
               wrap=["unshare", "--mount", "sh", "-c", script, "sh"])
    assert_chains(r.folded(), t.chains)
    assert_complete(r.folded())
    check("cache" in r.err, f"nothing says that the cache is of no use:\n{r!r}")


@case
def a_full_cache_costs_nothing_but_a_warning():
    record_with_cache("size=64k,mode=0700")


@case
def a_cache_that_can_not_be_written_costs_nothing_but_a_warning():
    record_with_cache("size=1m,mode=0700,ro")


@case
def a_cache_that_is_a_file_costs_nothing_but_a_warning():
    t = Target("chain")
    with open("cache", "w") as f:
        f.write("not a directory")
    r = record("-p", t.pid, "--cache-dir", "cache")
    assert_chains(r.folded(), t.chains)
    check("cache" in r.err, f"nothing says that the cache is of no use:\n{r!r}")


# ---- Exit codes ------------------------------------------------------------------------------

@case
def errors_that_are_not_the_kernels_have_another_exit_code():
    with open("not-executable", "w") as f:
        f.write("x")
    r = tephra("record", "--", "./not-executable", expect=1)
    check("cannot run './not-executable'" in r.err, repr(r))
    r = tephra("record", "-d", "100ms", "-o", "missing/x.svg", expect=1)
    check("cannot write 'missing/x.svg'" in r.err, repr(r))
    r = tephra("record", "--", "no-such-program", expect=1)
    check("cannot run 'no-such-program'" in r.err, repr(r))


@case
def a_thread_is_not_taken_for_a_process():
    t = Target("chain")
    tid = wait_for(lambda: [i for i in os.listdir(f"/proc/{t.pid}/task") if int(i) != t.pid],
                   what="a second thread")[0]
    r = tephra("record", "-p", tid, "-d", "1s", expect=1)
    check(f"{tid} is a thread of process {t.pid}" in r.err, repr(r))


@case
def a_command_does_not_run_when_profiling_is_refused():
    """Without any capability nothing can be profiled."""
    r = tephra("record", "--", "touch", "ran", expect=3,
               wrap=["setpriv", "--bounding-set=-all", "--inh-caps=-all"])
    check("CAP_BPF" in r.err, repr(r))
    check(not os.path.exists("ran"), "the command was run without a profile")


# ---- Files that lie --------------------------------------------------------------------------

SHT_PROGBITS, SHT_SYMTAB, SHT_STRTAB, SHT_NOTE, SHT_DYNSYM = 1, 2, 3, 7, 11


def section(name, type_, offset, size, addr=0, link=0, entsize=0, flags=2, info=0):
    return struct.pack("<IIQQQQIIQQ", name, type_, flags, addr, offset, size, link, info, 8,
                       entsize)


def elf(path, body, sections, *, shnum=None, shoff=None, phnum=1, vaddr=0, cut=None, memsz=None):
    """header, one executable segment over everything, body at 0x1000, sections, the stub on a
    page of its own; returns the stub's offset."""
    names = b"\0.eh_frame\0.symtab\0.strtab\0.text\0.eh_frame_hdr\0.gopclntab\0.debug_frame\0"
    base = 0x1000 + len(names)
    blob = names + body
    headers_at = (0x1000 + len(blob) + 7) & ~7
    headers = b"".join([section(0, 0, 0, 0, flags=0),
                        section(0, SHT_STRTAB, 0x1000, len(names), flags=0),
                        *[s(base) if callable(s) else s for s in sections]])
    stub_at = (headers_at + len(headers) + PAGE) & ~(PAGE - 1)
    total = stub_at + PAGE
    ehdr = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1" + bytes(9), 3, 62, 1, 0, 64,
                       headers_at if shoff is None else shoff, 0, 64, 56, phnum, 64,
                       len(headers) // 64 if shnum is None else shnum, 1)
    load = struct.pack("<IIQQQQQQ", 1, 5, 0, vaddr, vaddr, total, memsz or total, PAGE)
    data = bytearray(total)
    data[0:64] = ehdr
    data[64:120] = load
    data[0x1000:0x1000 + len(blob)] = blob
    data[headers_at:headers_at + len(headers)] = headers
    data[stub_at:stub_at + len(STUB)] = STUB
    with open(path, "wb") as f:
        f.write(data)
    return stub_at


N_EH, N_SYM, N_STR, N_TEXT, N_HDR, N_GO, N_DEBUG = 1, 11, 19, 27, 33, 47, 58


def cie_fde(start, size, program):
    """One CIE (rsp + 8, return address below it) and one FDE of absolute addresses."""
    cie = struct.pack("<IB4sBBB", 0, 1, b"zR\0\x01"[:3] + b"\x01", 0x78, 16, 1)
    cie = struct.pack("<I", 0) + b"\x01zR\0" + b"\x01\x78\x10\x01\x00" + b"\x0c\x07\x08\x90\x01"
    cie += bytes(-(len(cie) + 4) % 8)
    fde = struct.pack("<IQQ", len(cie) + 4 + 4, start, size) + b"\0" + program
    fde += bytes(-(len(fde) + 4) % 8)
    return struct.pack("<I", len(cie)) + cie + struct.pack("<I", len(fde)) + fde


def truncated(path):
    with open(fixture_path("libplugin.so"), "rb") as f:
        data = f.read()
    data = data[:len(data) // 2]
    at = (len(data) + PAGE - 1) & ~(PAGE - 1)
    with open(path, "wb") as f:
        f.write(data.ljust(at, b"\0") + STUB.ljust(PAGE, b"\0"))
    return at


def sections_beyond_the_file(path):
    return elf(path, b"", [section(N_EH, SHT_PROGBITS, 1 << 62, 1 << 61, 0x1000),
                           section(N_SYM, SHT_SYMTAB, 0x1000, (1 << 64) - 8, link=1, entsize=24),
                           section(N_GO, SHT_PROGBITS, (1 << 64) - 64, 128)])


def headers_beyond_the_file(path):
    return elf(path, b"", [], shnum=0xfff0, shoff=(1 << 63) - 64, phnum=0xffff)


def ten_million_rows(path):
    """advance 1; CFA = rsp + 16; advance 1; CFA = rsp + 8; ..."""
    cfi = cie_fde(0x1000, 1 << 40, b"\x41\x0e\x10\x41\x0e\x08" * 5000000)
    return elf(path, cfi, [lambda b: section(N_EH, SHT_PROGBITS, b, len(cfi), b),
                           lambda b: section(N_TEXT, SHT_PROGBITS, 0x1000, 1 << 40, 0x1000,
                                             flags=6)], memsz=1 << 41)


def a_million_functions(path):
    one = cie_fde(0x1000, 1 << 20, b"\x41\x0e\x10")
    cfi = one * (24000000 // len(one))
    return elf(path, cfi, [lambda b: section(N_EH, SHT_PROGBITS, b, len(cfi), b)])


def symbols_that_name_themselves(path):
    """The string table is the symbol table; names and sizes are the largest numbers."""
    syms = b"".join(struct.pack("<IBBHQQ", random.getrandbits(32), 2, 0, 1,
                                random.getrandbits(16), random.getrandbits(64))
                    for _ in range(100000))
    return elf(path, syms, [lambda b: section(N_SYM, SHT_SYMTAB, b, len(syms), link=2, entsize=24),
                            lambda b: section(N_SYM, SHT_DYNSYM, b, len(syms), link=3, entsize=0),
                            lambda b: section(N_SYM, SHT_SYMTAB, b, len(syms), link=0xfffffff0,
                                              entsize=1)])


def one_table_in_sixty_thousand_sections(path):
    syms = struct.pack("<IBBHQQ", 1, 2, 0, 1, 0x1000, 0x100) * 40000
    return elf(path, syms, [lambda b: section(N_SYM, SHT_SYMTAB, b, len(syms), link=1,
                                              entsize=24)] * 60000)


def noise(path):
    with open(path, "wb") as f:
        f.write(b"\x7fELF\2\1\1" + bytes(9) + random.randbytes(50 * PAGE - 16) +
                STUB.ljust(PAGE, b"\0"))
    return 50 * PAGE


def a_hole_of_sixty_gigabytes(path):
    at = 60 << 30
    with open(path, "wb") as f:
        f.write(b"\x7fELF\2\1\1" + bytes(9))
        f.seek(at)
        f.write(STUB.ljust(PAGE, b"\0"))
    return at


LIES = [truncated, sections_beyond_the_file, headers_beyond_the_file, ten_million_rows,
        a_million_functions, symbols_that_name_themselves, one_table_in_sixty_thousand_sections,
        noise, a_hole_of_sixty_gigabytes]


def peak_kib(pid):
    try:
        with open(f"/proc/{pid}/status") as f:
            return int(re.search(r"VmHWM:\s+(\d+)", f.read())[1])
    except (OSError, TypeError):
        return 0


@case(timeout=120)
def files_that_lie_cost_only_their_own_names():
    random.seed(1)
    liars = []
    for make in LIES:
        path = os.path.abspath(make.__name__)
        try:
            at = make(path)
        except OSError as e:
            raise Skip(f"the file system does not take '{make.__name__}': {e}")
        liars.append(Target("mapped", 100, path, at))
    honest = Target("chain", argv=[fresh_copy("chain", os.path.abspath("chain-unseen")), "100"])
    pids = [a for t in (*liars, honest) for a in ("-p", t.pid)]
    t0 = time.monotonic()
    p = spawn([TEPHRA, "record", *pids, "-F", 499, "-d", "8s", "--cache-dir", "cache", "-o",
               "out.folded"], stderr=subprocess.PIPE, text=True)
    peak = {}
    while p.poll() is None:
        for pid in (p.pid, *children(p.pid)):
            peak[pid] = max(peak.get(pid, 0), peak_kib(pid))
        check(time.monotonic() - t0 < 80, "the recording does not end")
        time.sleep(0.02)
    err = p.stderr.read()
    print(err, f"{time.monotonic() - t0:.1f} s, agent {peak[p.pid] // 1024} MiB, children up to "
          f"{max([v for k, v in peak.items() if k != p.pid] or [0]) // 1024} MiB")
    check(p.returncode == 0, f"exit code {p.returncode}: {err}")
    check(peak[p.pid] < 150 * 1024, f"the agent grew to {peak[p.pid] // 1024} MiB")
    folded = Folded.read("out.folded")
    mine = folded.containing("chain_leaf")
    assert_chains(mine, honest.chains)
    assert_complete(mine)
    for t, make in zip(liars, LIES):
        check(t.proc.poll() is None, f"{make.__name__} ended")
    # Where they have a rule or none: the call into the file shows its caller or a reason.
    theirs = folded.only(lambda s: not matches_chain(s, ["chain_leaf"]))
    check(theirs.total > 0.5 * folded.total, f"the others were not sampled:\n{folded.show()}")
    unnamed = {f.partition("+0x")[0] for s, _ in theirs.stacks for f in s if "+0x" in f}
    print("without names:", sorted(unnamed))


@case
def a_device_that_is_mapped_is_not_opened():
    """Generated code in a private mapping of /dev/zero: the kernel names a device as its file."""
    script = ("import ctypes, mmap, os, sys, time\n"
              "code = bytes.fromhex('" + STUB.hex() + "')\n"
              "fd = os.open('/dev/zero', os.O_RDWR)\n"
              "m = mmap.mmap(fd, 4096, mmap.MAP_PRIVATE, 7)\n"
              "m.write(code)\n"
              "fn = ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(m)))\n"
              "print('ready', flush=True)\n"
              "while True: fn()\n")
    p = spawn(["/usr/bin/python3", "-c", script], stdout=subprocess.PIPE, text=True)
    if p.stdout.readline() != "ready\n":
        raise Skip("no executable mapping of /dev/zero here")
    folded = record("-p", p.pid).folded()
    wait_for(lambda: p.poll() is None, what="the program")
    leaf = folded.count(lambda s: any("zero" in f or "[jit]" in f for f in s[-2:]))
    check(leaf > 0.5 * folded.total, "code in a mapped device is not shown:\n" + folded.show())
