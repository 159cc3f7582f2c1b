#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""record_all.py BUILD FIXTURES [KIND...]: makes tests/fixtures/recordings anew, as root. Of each kind of
program some different stacks are kept whose names are a call chain the program says it runs, and
which begin at its entry. The stacks that do not match are counted: they are errors of the walk."""

import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
sys.path.insert(0, os.path.join(ROOT, "tests", "live"))
sys.dont_write_bytecode = True
from lib import entry_of, matches_chain  # noqa: E402

OUT = os.path.join(ROOT, "tests", "fixtures", "recordings")
KEEP = 6
KEEP_BYTES = 40000  # of one kind
KINDS = {
    "c": ["chain"], "c_frames": ["frames"], "c_mixed": ["mixed"], "frame_pointers": ["chain_fponly"],
    "static": ["chain_static"], "musl_static": ["chain_musl_static"], "musl": ["chain_musl"],
    "cxx": ["cxx"], "rust": ["rust"], "go": ["golang"], "signal": ["signals"], "plt": ["plt"],
    "vdso": ["vdso"], "deep": ["deep", "20"],
}


def pick(candidates, chains):
    """Different chains in turn, then different leaves, small ones before large ones."""
    ranked, of_chain, seen = [], {}, set()
    for path, names in sorted(candidates, key=lambda c: os.path.getsize(c[0])):
        # The longest chain says most: some are the beginning of others.
        chain = max((c for c in chains if matches_chain(names, c)), key=len)
        key = (*chain, names[-1], names[-2])
        ranked.append((key in seen, of_chain.get(tuple(chain), 0), path))
        of_chain[tuple(chain)] = ranked[-1][1] + 1
        seen.add(key)
    kept, total = [], 0
    for _, _, path in sorted(ranked)[:KEEP]:
        total += os.path.getsize(path)
        if total <= KEEP_BYTES:
            kept.append(path)
    return kept


def record(build, fixtures, name, argv):
    p = subprocess.Popen([os.path.join(fixtures, argv[0]), *(argv[1:] or ["20"])],
                         stdout=subprocess.PIPE, text=True)
    info = json.loads(p.stdout.readline())
    with tempfile.TemporaryDirectory() as d:
        tool = os.path.join(build, "tests", "unit", "unwinders", "record_stacks")
        lines = subprocess.run([tool, str(info["pid"]), "5", d], check=True, text=True,
                               stdout=subprocess.PIPE).stdout.splitlines()
        p.kill()
        p.wait()
        good, bad = [], []
        for line in lines:
            path, _, names = line.partition("\t")
            # As folded stacks are: the process first, then outermost to leaf.
            names = [name] + names.split(";")[::-1]
            whole = entry_of(names) and any(matches_chain(names, c) for c in info["chains"])
            (good if whole else bad).append((path, names))
        kept = pick(good, info["chains"])
        with open(os.path.join(OUT, name + ".rec"), "wb") as out:
            for path in kept:
                with open(path, "rb") as f:
                    out.write(f.read())
        print(f"{name}: {len(kept)} of {len(good)} kept, {len(bad)} others,",
              os.path.getsize(os.path.join(OUT, name + ".rec")), "bytes")
        for _, names in bad[:3]:
            print("   ", ";".join(names)[-300:])


os.makedirs(OUT, exist_ok=True)
for kind in sys.argv[3:] or KINDS:
    command = KINDS[kind]
    record(sys.argv[1], sys.argv[2], kind, command)
