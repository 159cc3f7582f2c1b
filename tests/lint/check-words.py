#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Words that have no place in the tree: paths of somebody's machine, package registries by name
(they are found through the machine's own configuration), functions that read untrusted text
without bounds, and comments that were meant to be temporary."""

import re

import tree

PLACES = [
    (re.compile(r"/(work|farm|home/\w+)/"), "an absolute path of one machine"),
    (re.compile(r"https?://[\w.-]*(debian|npmjs|pypi|pythonhosted|crates|rubygems|docker)"
                r"[.](org|com|io)\b"), "a registry's address"),
    (re.compile(r"\b(ghcr|quay|gcr)[.]io/"), "a registry's address"),
]
CODE = ("agent/", "bpf/", "symbolizer/", "unwinders/", "discovery/")
BANNED = re.compile(r"(?<![\w.>])(strto(?:l|ul|ll|ull)|sscanf|strtok|strtok_r|strcpy|strcat|"
                    r"sprintf|vsprintf|atoi|atol|atof|alloca|gets|tmpnam|mktemp)\s*\(")
TEMPORARY = re.compile(r"(?:^|\s)//(?! FIXME\(kernel \d+\.\d+\): )")


def without_strings(line):
    return re.sub(r'"(?:[^"\\]|\\.)*"', '""', line)


def check(root):
    found = []
    for name in tree.files(root):
        if name.startswith("tests/fuzz/corpus/") or name == "LICENSE":
            continue
        code = name.startswith(CODE) and name.endswith((".c", ".h"))
        for i, line in enumerate(tree.lines(root, name), 1):
            for pattern, what in PLACES:
                if pattern.search(line) and name != "tests/lint/check-words.py":
                    found.append(f"{name}:{i}: {what}: {line.strip()[:80]}")
            if not code:
                continue
            bare = without_strings(line)
            m = BANNED.search(bare)
            if m and not re.match(r"\s*(/?\*|\*)", bare):
                found.append(f"{name}:{i}: {m[1]}() does not belong near untrusted text")
            if TEMPORARY.search(re.sub(r"/\*.*?\*/", "", bare)) and "/*" not in bare:
                found.append(f"{name}:{i}: // is for temporary comments")
    return found


tree.main(check, [
    ({"README.md": "see /" + "work/main\n"}, "absolute path"),
    ({"tests/x.sh": "curl http" + "://deb.debian" + ".org/\n"}, "registry"),
    ({"agent/x.c": "\tn = strtol(s, NULL, 0);\n"}, "strtol()"),
    ({"agent/x.c": "\tx = 1; // why not\n"}, "temporary"),
], [{"agent/x.c": '\tputs("// strtol(");\n\t/* like strtol() */\n\tr = num_strtol(s);\n'}])
