#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Files and functions that have grown too long. A flat table or switch may carry the waiver
`/* lint: long function: REASON */` (or `long file`), which must have a reason and be needed."""

import re

import tree

FILE_MAX, BPF_FILE_MAX, FUNCTION_MAX = 800, 500, 100


def functions(text):
    """(first line, last line) of each function: kernel formatting puts its braces in column 0."""
    start = None
    for i, line in enumerate(text, 1):
        if line == "{":
            start = i
        elif line.startswith("}") and start:
            yield start, i
            start = None


def check(root):
    found = []
    for name in tree.files(root, ".c", ".h"):
        text = tree.lines(root, name)
        limit = BPF_FILE_MAX if name.startswith("bpf/") else FILE_MAX
        waiver = any(re.search(r"lint: long file: \S", ln) for ln in text[:20])
        if len(text) > limit and not waiver:
            found.append(f"{name}: {len(text)} lines, at most {limit}")
        if len(text) <= limit and waiver:
            found.append(f"{name}: a waiver that is not needed")
        for a, b in functions(text):
            near = text[max(0, a - 8):a + 3]
            waiver = any(re.search(r"lint: long function: \S", ln) for ln in near)
            if b - a - 1 > FUNCTION_MAX and not waiver:
                found.append(f"{name}:{a}: a function of {b - a - 1} lines, at most {FUNCTION_MAX}")
    return found


LONG = "int f(void)\n{\n" + "\tx();\n" * 101 + "}\n"
tree.main(check, [
    ({"agent/x.c": "\n" * 801}, "801 lines"),
    ({"bpf/x.bpf.c": "\n" * 501}, "501 lines"),
    ({"agent/x.c": LONG}, "a function of 101 lines"),
    ({"agent/x.c": "/* lint: long file: a table */\n"}, "not needed"),
], [{"agent/x.c": "/* lint: long function: one flat switch */\n" + LONG}])
