# SPDX-License-Identifier: Apache-2.0
"""What `tephra symbolize` says of the addresses of a file, beside what other tools say."""

import os
import random
import re
import subprocess

from lib import TEPHRA

LLVM = ["llvm-symbolizer", "--output-style=GNU", "-a", "-i", "-f", "--no-demangle"]
BINUTILS = ["addr2line", "-a", "-i", "-f"]
ELFUTILS = ["eu-addr2line", "-a", "-i", "-f"]


def sh(*argv, **kw):
    return subprocess.run([str(a) for a in argv], check=True, capture_output=True, text=True,
                          errors="surrogateescape", **kw).stdout


def symbolize(path, *args, input=None):
    return sh(TEPHRA, "symbolize", *args, path, input=input)


def as_input(addresses):
    return "".join(f"{a:#x}\n" for a in addresses)


def place(text):
    """(normalised path, line) of what tools print for a place in a source."""
    path, _, line = text.split(" (discriminator")[0].rpartition(":")
    if path.rpartition(":")[2].isdigit():  # elfutils: path:line:column
        path, _, line = path.rpartition(":")
    path = os.path.normpath(path)
    return "??" if path in (".", "?") else path, line if line.isdigit() and line != "0" else "?"


class Frames(list):
    inlined_at = None  # elfutils: where its -f line says the innermost call is


def parse_addr2line(text):
    """address -> [(function, normalised path, line)], innermost first"""
    out, key, lines, i = {}, None, text.splitlines(), 0
    while i < len(lines):
        if re.fullmatch("0x[0-9a-f]+", lines[i]):
            key = int(lines[i], 16)
            out[key] = Frames()
            i += 1
        elif i + 1 < len(lines):
            # elfutils: "f inlined at PLACE in g"
            name, _, call = lines[i].partition(" inlined at ")
            if call and not out[key]:
                out[key].inlined_at = place(call.rpartition(" in ")[0])
            out[key].append((name, *place(lines[i + 1])))
            i += 2
    return out


def parse_go(text, addresses):
    """`go tool addr2line` prints the function that the code belongs to, and the innermost line."""
    lines = text.splitlines()
    return {a: [(lines[2 * i], *place(lines[2 * i + 1]))] for i, a in enumerate(addresses)}


def text_addresses(path, n, seed=7):
    """n random addresses of .text, each once, ascending."""
    m = re.search(r"\] \.text +(?:PROGBITS|NOBITS) +([0-9a-f]+) [0-9a-f]+ ([0-9a-f]+)",
                  sh("readelf", "-SW", path))
    base, size = int(m.group(1), 16), int(m.group(2), 16)
    return sorted(random.Random(seed).sample(range(base, base + size), n))


class Names:
    """What symbols a file has: names of one address are as good as each other."""

    def __init__(self, *paths):
        self.at, self.of = {}, {}
        for path in paths:
            for args in ((), ("-D",)):
                p = subprocess.run(["nm", "-S", *args, path], capture_output=True, text=True,
                                   errors="surrogateescape", check=False)
                for f in (ln.split(maxsplit=3) for ln in p.stdout.splitlines()):
                    if len(f) == 4 and f[2] in "tTwWiuVv":
                        self.add(self.base(f[3]), int(f[0], 16), int(f[1], 16))

    def add(self, name, start, size):
        self.at.setdefault(start, set()).add(name)
        self.of.setdefault(name, []).append((start, size))

    @staticmethod
    def base(name):
        """Without the version, what compilers append to a function they split or clone, and the types
        that Go's own table leaves out."""
        name = re.sub(r"\[[^]]*\]", "[...]", re.sub(r"@.*", "", name))
        return re.sub(r"(\.(cold|part|isra|constprop|localalias|lto_priv|llvm|abi0)(\.\d+)*)+$", "",
                      name)

    def same(self, left, right):
        """left is ours. elfutils gives some functions without their scope and arguments."""
        left, right = self.base(left), self.base(right)
        plain = re.match(r"~?(\w+)", right)
        return left == right or any(right in self.at[a] for a, _ in self.of.get(left, ())) or (
            left.startswith("_Z") and plain is not None and
            (right.startswith("operator") or f"{len(plain[1])}{plain[1]}" in left))

    def covers(self, name, address):
        """Whether the code at an address belongs to a symbol, as far as its size tells."""
        return any(a <= address < a + size for a, size in self.of.get(self.base(name), ()))


def same_frames(left, right, names, tool):
    """Both innermost first. All name the outermost level by the symbol of the function that the
    code belongs to, binutils sometimes the innermost instead. Go's tool has no levels, and elfutils
    none where a unit is not in .debug_aranges: the function by its symbol, and the innermost line."""
    if tool == "go" or (tool == "eu-addr2line" and len(right) == 1 < len(left)):
        return names.same(left[-1][0], right[0][0]) and left[0][1:] == right[0][1:]
    if right[0][2] == "?" and len(left) == len(right) == 1 and left[0][2] == "?":
        # Without a line nothing but the symbol is known, and its file is a guess.
        return names.same(left[0][0], right[0][0])
    if [f[1:] for f in left] != [f[1:] for f in right]:
        return False
    return all(names.same(a[0], b[0]) for a, b in zip(left[1:], right[1:])) and (
        names.same(left[0][0], right[0][0]) or
        tool == "addr2line" and names.same(left[-1][0], right[0][0]))


def ask(path, tool, addresses, debug_dir=None, program=None):
    """What a tool says of addresses: its name, or "tephra"."""
    text = as_input(addresses)
    if tool == "tephra":
        where = ["--debug-dir", debug_dir] if debug_dir else []
        return parse_addr2line(symbolize(program or path, "--format=addr2line", "--demangle=none",
                                         *where, input=text))
    if tool == "go":
        return parse_go(sh("go", "tool", "addr2line", path, input=text), addresses)
    argv = {"addr2line": BINUTILS, "eu-addr2line": ELFUTILS, "llvm-symbolizer": LLVM}[tool]
    # elfutils fails when it knows nothing of one of the addresses.
    p = subprocess.run([*argv, "-e", path], input=text, capture_output=True, text=True,
                       errors="surrogateescape", check=tool != "eu-addr2line")
    return parse_addr2line(p.stdout)


def is_silent(left, right, names, address):
    """Whether a tool knows less than we do: nothing, no line, or only the next symbol below, which
    has ended before."""
    if right[-1][2] != "?" and right[-1][0] != "??":
        return False
    if left[-1][2] == "?" and right[-1][2] != "?":
        return False
    if right[-1][0] in ("??", left[-1][0]) or names.same(left[-1][0], right[-1][0]):
        return right[-1][0] != left[-1][0] or right[-1][2] != left[-1][2]
    return left[-1][0] == "??" and not names.covers(right[-1][0], address)


def compare(ours, theirs, names, tool):
    """([(address, ours, theirs)] of those that differ, how many the tool knows less of than we)"""
    wrong, silent = [], 0
    for a, right in theirs.items():
        left = ours.get(a) or [("??", "??", "?")]
        if not right or same_frames(left, right, names, tool):
            continue
        # binutils and llvm name what follows a symbol by it.
        named = [*right[:-1], ("??", *right[-1][1:])]
        if is_silent(left, right, names, a) or (
                left[-1][0] == "??" and not names.covers(right[-1][0], a) and
                (right[-1][2] == "?" or same_frames(left, named, names, tool))):
            silent += 1
        else:
            wrong.append((hex(a), left, right))
    return wrong, silent


def agreement(path, tool, addresses):
    """(share of addresses that agree, the others)"""
    wrong, _ = compare(ask(path, "tephra", addresses), ask(path, tool, addresses), Names(path),
                       tool)
    return 1 - len(wrong) / len(addresses), wrong
