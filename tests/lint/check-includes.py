#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Who may include whom. The table is the architecture: includes go one way."""

import os
import re

import tree

# Longest prefix first. "bpf" stands for bpf/*.h, not for *.bpf.h, except inside bpf/ itself.
TABLE = [
    ("agent/base", {"agent/base"}),
    ("bpf", {"bpf"}),
    ("symbolizer", {"symbolizer", "bpf", "agent/base"}),
    ("discovery", {"discovery", "agent/base"}),
    ("unwinders", {"unwinders", "symbolizer", "bpf", "agent/base"}),
    ("agent", {"agent", "unwinders", "symbolizer", "discovery", "bpf", "agent/base"}),
    ("tests", {"tests", "agent", "unwinders", "symbolizer", "discovery", "bpf", "agent/base"}),
    ("contrib", set()),
]
# Libraries that a layer has no business with.
SYSTEM = {
    "agent/base": ("bpf/", "curl/", "libelf", "gelf", "elfutils/", "seccomp", "zlib", "zstd"),
    "symbolizer": ("bpf/", "curl/"),
    "discovery": ("bpf/", "libelf", "gelf", "elfutils/"),
    "unwinders": ("curl/",),
}
# symbolizer writes the rows that the kernel reads: it knows their layout, and nothing else of bpf/.
ONLY = {("symbolizer", "bpf"): {"bpf/types.h"}}
GENERATED = re.compile(r"\.(skel\.h|inc)$|^config\.h$")


def area(path):
    for prefix, _ in TABLE:
        if path.startswith(prefix + "/"):
            return prefix
    return None


def runtimes(root):
    """A runtime is a slice with a BPF half and a user half; native code is what all stand on."""
    def stems(d, end):
        p = os.path.join(root, d)
        return {f[:-len(end)] for f in os.listdir(p) if f.endswith(end)} if os.path.isdir(p) else set()
    return (stems("bpf", ".bpf.c") & stems("unwinders", ".c")) - {"native"}


def stem(path):
    return re.sub(r"(_test|_fuzz)?(\.bpf)?\.[ch]$", "", os.path.basename(path))


def check_quoted(root, name, inc, slices):
    where, rule = area(name), dict(TABLE)
    if GENERATED.search(inc):
        return None if where in ("agent", "tests", "unwinders", "bpf") else "generated headers are agent/'s"
    if inc.endswith(".c") and where != "tests":
        return "a .c file is included only by tests"
    if not os.path.exists(os.path.join(root, inc)):
        if where == "tests" and os.path.exists(os.path.join(root, os.path.dirname(name), inc)):
            return None
        return "includes are written from the root of the tree"
    target = area(inc)
    if target not in rule[where]:
        return f"rule: {where} -> {', '.join(sorted(rule[where])) or 'nothing'}"
    if inc.endswith(".bpf.h") and where not in ("bpf", "tests"):
        return "rule: *.bpf.h stays in bpf/"
    only = ONLY.get((where, target))
    if only and inc not in only:
        return f"rule: {where} -> {', '.join(sorted(only))} only"
    a, b = stem(name), stem(inc)
    if where != "tests" and a in slices and b in slices and a != b:
        return "rule: a runtime never includes another runtime"
    return None


def check(root):
    found, slices = [], runtimes(root)
    for name in tree.files(root, ".c", ".h"):
        where = area(name)
        if not where:
            continue
        for i, line in enumerate(tree.lines(root, name), 1):
            m = re.match(r'\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)', line)
            if not m:
                continue
            why = None
            if m[1]:
                why = check_quoted(root, name, m[1], slices)
            elif m[2].startswith(SYSTEM.get(where, ("\0",))):
                why = f"{where} does not use that library"
            if why:
                found.append(f"{name}:{i}: includes {m[1] or m[2]}: {why}")
    return found


H = {"agent/base/buf.h": "", "symbolizer/objfile.h": "", "discovery/proc.h": "", "agent/main.h": "",
     "bpf/types.h": "", "bpf/unwind.bpf.h": "", "unwinders/native.h": ""}


def example(name, inc):
    return {**H, name: f'#include "{inc}"\n'}


tree.main(check, [
    (example("agent/base/buf.c", "symbolizer/objfile.h"), "rule: agent/base -> agent/base"),
    (example("symbolizer/x.c", "unwinders/native.h"), "rule: symbolizer"),
    (example("discovery/x.c", "unwinders/native.h"), "rule: discovery"),
    (example("unwinders/x.c", "discovery/proc.h"), "rule: unwinders"),
    (example("unwinders/x.c", "bpf/unwind.bpf.h"), "*.bpf.h stays"),
    (example("agent/x.c", "agent/y.c"), ".c file"),
    (example("agent/x.c", "main.h"), "from the root"),
    ({"symbolizer/x.c": "#include <bpf/libbpf.h>\n"}, "does not use that library"),
    ({"bpf/ruby.bpf.c": "", "bpf/perl.bpf.c": "", "unwinders/ruby.c": '#include "bpf/perl.h"\n',
      "unwinders/perl.c": "", "bpf/perl.h": ""}, "another runtime"),
], [example("agent/x.c", "unwinders/native.h"), example("unwinders/x.c", "bpf/types.h"),
    example("symbolizer/x.c", "bpf/types.h")])
