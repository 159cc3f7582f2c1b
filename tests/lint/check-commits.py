#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Subjects of commits: `area: summary`, at most 72 characters. An area that is no directory and
no file it touches is only worth a warning. Without a repository there is nothing to check."""

import re
import subprocess
import sys

import tree

SUBJECT_MAX = 72


def judge(subject, touched=None):
    """(errors, warnings) about one commit."""
    errors, warnings = [], []
    if len(subject) > SUBJECT_MAX:
        errors.append(f"{len(subject)} characters, at most {SUBJECT_MAX}")
    m = re.match(r"([a-z0-9][\w./, -]*): (\S.*)", subject)
    if not m:
        errors.append("not 'area: summary'")
    elif m[2].endswith("."):
        errors.append("ends with a full stop")
    elif touched is not None:
        words = set(re.split(r"[/, ]+", m[1]))
        if not any(w in path for w in words for path in touched):
            warnings.append(f"touches nothing of '{m[1]}'")
    return errors, warnings


def git(*args):
    return subprocess.run(["git", "-C", tree.ROOT, *args], capture_output=True, text=True)


def main():
    if "--self-test" in sys.argv[1:]:
        for bad in ("Fix it", "area: " + "x" * 72, "agent: ends with a stop.", "agent:no space"):
            if not judge(bad)[0]:
                sys.exit(f"self-test: {bad!r} must be found")
        if judge("bpf: walk the maple tree from 6.1 on")[0]:
            sys.exit("self-test: a good subject is refused")
        return 0
    log = git("log", "--no-merges", "--format=%x01%h %s", "--name-only")
    if log.returncode != 0:
        print("no repository here")
        return 77
    failed = False
    for entry in log.stdout.split("\x01")[1:]:
        head, *touched = entry.strip().splitlines()
        sha, _, subject = head.partition(" ")
        errors, warnings = judge(subject, [t for t in touched if t])
        for e in errors:
            print(f"{sha} '{subject}': {e}")
            failed = True
        for w in warnings:
            print(f"{sha} '{subject}': warning: {w}")
    return 1 if failed else 0


sys.exit(main())
