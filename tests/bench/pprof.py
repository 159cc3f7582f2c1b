# SPDX-License-Identifier: Apache-2.0
"""A recorded profile: its samples with names outermost first, process and count, and its window."""

import os
import re
import subprocess
import sys

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TESTS, "live"))
sys.dont_write_bytecode = True

from lib import (ENTRIES, is_reason, name_matches, pb_fields, pb_varint,  # noqa: E402
                 read_pprof)

KERNEL_ENTRIES = ["[calling exec]", "entry_SYSCALL_64*", "asm_*", "ret_from_fork*"]


def message(data, lists=()):
    out = {n: [] for n in lists}
    for n, v in pb_fields(data):
        if n in lists:
            out[n].append(v)
        else:
            out[n] = v
    return out


def packed(values):
    out = []
    for v in values:
        if isinstance(v, bytes):
            i = 0
            while i < len(v):
                x, i = pb_varint(v, i)
                out.append(x)
        else:
            out.append(v)
    return out


class Sample:
    """.frames are (name, file, line) outermost first, .stack their names alone."""

    def __init__(self, frames, count, labels):
        self.frames, self.count = frames, count
        self.stack = [f[0] for f in frames]
        self.pid, self.comm = labels.get("pid", 0), labels.get("comm", "")

    def cut(self):
        """The reason that ends the stack, or None. execve() leaves no user stack to miss."""
        return next((f for f in self.stack if is_reason(f) and f != "[calling exec]"), None)

    def whole(self):
        """Does it begin at the entry of the process or thread, without a gap? Where the process
        has not got its user stack yet, or not any more, the way into the kernel is its entry."""
        if self.cut() or not self.stack:
            return False
        outer = self.stack[0]
        return any(name_matches(e, outer) for e in (*ENTRIES, *KERNEL_ENTRIES))

    def nameless(self):
        """Frames without a name, where their file has one: Debian's libc and dynamic linker hold
        the names of what they export and of nothing else."""
        return [f for f in self.stack if re.match(r"(.*\+)?0x", f) and
                not f.startswith(("libc.so.6+", "ld-linux-x86-64.so.2+"))]


class Profile:
    def __init__(self, path):
        m, lists = {}, {1: [], 2: [], 3: [], 4: [], 5: [], 6: []}
        for n, v in read_pprof(path):
            if n in lists:
                lists[n].append(v)
            else:
                m[n] = v
        self.strings = [s.decode("utf-8") for s in lists[6]]
        self.functions = {f[1]: (self.strings[f.get(2, 0)], self.strings[f.get(4, 0)])
                          for f in map(message, lists[5])}
        self.locations = {}
        for data in lists[4]:
            loc = message(data, (4,))
            lines = [message(x) for x in loc[4]]
            self.locations[loc[1]] = [(*self.functions[x.get(1, 0)], x.get(2, 0)) for x in lines] \
                or [(f"0x{loc.get(3, 0):x}", "", 0)]
        self.period, self.start_ns, self.duration_ns = m[12], m[9], m[10]
        self.samples = [self.sample(message(d, (1, 2, 3))) for d in lists[2]]
        self.total = sum(s.count for s in self.samples)

    def sample(self, m):
        labels = {}
        for data in m[3]:
            x = message(data)
            key = self.strings[x.get(1, 0)]
            labels[key] = self.strings[x[2]] if 2 in x else x.get(3, 0)
        leaf_first = [n for i in packed(m[1]) for n in self.locations[i]]
        return Sample(leaf_first[::-1], packed(m[2])[0] // self.period, labels)

    def count(self, pred=lambda s: True):
        return sum(s.count for s in self.samples if pred(s))

    def reasons(self, pred=lambda s: True):
        """What stacks that are not whole end with, most frequent first."""
        out = {}
        for s in self.samples:
            if pred(s) and not s.whole():
                key = s.cut() or f"begins at {s.stack[0] if s.stack else 'nothing'}"
                out[key] = out.get(key, 0) + s.count
        return sorted(out.items(), key=lambda x: -x[1])


def record(work, *args, timeout, name="record.pb.gz"):
    """`tephra record` into a file; (profile, what it and its command wrote)."""
    path = os.path.join(work, name)
    at = args.index("--") if "--" in args else len(args)
    argv = [os.environ["TEPHRA"], "record", *args[:at], "-o", path, *args[at:]]
    p = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       timeout=timeout, text=True, errors="replace", check=False)
    if p.returncode:
        raise RuntimeError(f"tephra record: exit code {p.returncode}: {p.stdout[-500:]}")
    return Profile(path), p.stdout
