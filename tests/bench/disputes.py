# SPDX-License-Identifier: Apache-2.0
"""Where a tool and we differ about an address: who is right. The judge is the debug information as
text (objdump prints the opcodes of the line table, nm the symbols), not another symbolizer."""

import bisect
import collections
import os
import re

import lines

PADDING = "no function's range holds it: it is padding, and the tool names the function before"
INCLUDED = "the line table says as we do; the tool names the unit's own source, or the row before"
ITSELF = "elfutils: the call is elsewhere in its own -f line, and there as we say"
TWICE = "it prints the function twice: as if it were inlined into itself"
UNNAMED_LEVELS = "all inlined levels are called as the function that the code belongs to"
OPEN = "not explained"


class LineTable:
    """What the opcodes of the line table say, as `objdump --dwarf=rawline` prints them."""

    def __init__(self, path):
        self.rows, self.before = [], None
        self.header()
        for text in lines.sh("objdump", "-w", "--dwarf=rawline", path).splitlines():
            op = re.match(r"\s*\[0x[0-9a-f]+\]\s+(.*)", text)
            if op:
                self.opcode(op[1])
            elif text.startswith("  Offset:"):
                self.header()
            elif "Directory Table" in text or "File Name Table" in text:
                self.table = self.dirs if "Directory" in text else self.files
            elif re.match(r"  \d+\t", text):
                self.entry(text.strip().split("\t"))
        self.rows.sort()
        self.starts = [r[0] for r in self.rows]

    def header(self):
        self.dirs, self.files, self.table = {}, {}, None
        self.restart()

    def restart(self):
        self.address, self.file, self.line = 0, 1, 1

    def entry(self, columns):
        """From version 5 on each column is preceded by its form, and a name by its offset."""
        columns = [c for c in columns if not re.fullmatch(r"\(\w+\)", c)]
        name = re.sub(r"^\(offset: \w+\): ", "", columns[-1])
        self.table[int(columns[0])] = (name, int(columns[1])) if self.table is self.files else name

    def path(self):
        name, directory = self.files.get(self.file, ("??", 0))
        return os.path.normpath(os.path.join(self.dirs.get(0, ""), self.dirs.get(directory, ""),
                                             name))

    def row(self, is_end=False):
        if self.before and self.before[0] < self.address:
            self.rows.append((self.before[0], self.address, *self.before[1:]))
        self.before = None if is_end else (self.address, self.path(), str(self.line))

    def opcode(self, text):
        """Where it says "to", that is the value afterwards."""
        m = re.search(r"(?:PC|Address) by .* to (0x[0-9a-f]+|0)|set Address to (0x[0-9a-f]+|0)", text,
                      re.I)
        if m:
            self.address = int(m[1] or m[2], 16)
        m = re.search(r"Line by -?\d+ to (\d+)", text)
        if m:
            self.line = int(m[1])
        m = re.search(r"Set File Name to entry (\d+)", text)
        if m:
            self.file = int(m[1])
        if text.startswith(("Special opcode", "Copy")):
            self.row()
        elif "End of Sequence" in text:
            self.row(is_end=True)
            self.restart()

    def agrees(self, address, frame):
        """Whether one of the rows around it says so; paths may lack the unit's directory."""
        i = bisect.bisect_right(self.starts, address)
        return any(start <= address < end and line == frame[2] and
                   (path.endswith(frame[1]) or frame[1].endswith(path.lstrip("./")))
                   for start, end, path, line in self.rows[max(0, i - 8):i])


class Judge:
    def __init__(self, path, names):
        self.path, self.names, self.table, self.ranges = path, names, None, None

    def line_table(self):
        if self.table is None:
            self.table = LineTable(self.path)
        return self.table

    def is_padding(self, address):
        """Behind the end of every symbol that begins before it."""
        if self.ranges is None:
            self.ranges = [r for all_of in self.names.of.values() for r in all_of]
        return not any(start <= address < start + size for start, size in self.ranges)

    def reason(self, tool, address, left, right):
        if left[-1][0] == "??" and self.is_padding(address):
            return PADDING
        stated = getattr(right, "inlined_at", None)
        if tool == "eu-addr2line" and stated and len(left) > 1 and left[0] == right[0] and \
                left[1][1:] == stated:
            return ITSELF
        if len(left) == 1 and len(right) == 2 and right[0][0] == right[1][0] and \
                self.names.same(left[0][0], right[0][0]) and left[0][1:] == right[0][1:]:
            return TWICE
        if [f[1:] for f in left] == [f[1:] for f in right] and len(right) > 1 and \
                len({f[0] for f in right}) == 1:
            return UNNAMED_LEVELS
        if [f[1:] for f in left[1:]] == [f[1:] for f in right[1:]] and \
                self.line_table().agrees(address, left[0]) and \
                not self.line_table().agrees(address, right[0]):
            return INCLUDED
        return OPEN

    def sort(self, tool, wrong):
        """{reason: [(address, ours, theirs)]} of what lines.compare() found."""
        classes = collections.defaultdict(list)
        for a, left, right in wrong:
            classes[self.reason(tool, int(a, 16), left, right)].append((a, left, right))
        return classes


def notes(tool, classes):
    """A line for each class, and the addresses of those that nothing explains."""
    out = [f"{tool}: {len(w)} of those: {reason}" for reason, w in
           sorted(classes.items(), key=lambda c: -len(c[1]))]
    return out + [f"{tool} {str(w)[:240]}" for w in classes.get(OPEN, [])[:3]]
