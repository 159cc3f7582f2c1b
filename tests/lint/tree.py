# SPDX-License-Identifier: Apache-2.0
"""What the checks of this directory share: which files there are, how a violation is printed, and
the self-test: every check is run on a small tree with a mistake in it and must find it."""

import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SKIP_DIRS = {".git", "__pycache__"}


def files(root, *endings):
    """Paths relative to root: what git tracks, or everything where there is no repository."""
    r = subprocess.run(["git", "-C", root, "ls-files", "-z", "--cached", "--others",
                        "--exclude-standard"], capture_output=True)
    if r.returncode == 0 and os.path.exists(os.path.join(root, ".git")):
        names = [n for n in r.stdout.decode().split("\0") if n]
    else:
        names = []
        for d, dirs, fs in os.walk(root):
            dirs[:] = [x for x in dirs if x not in SKIP_DIRS and not x.startswith("build")]
            names += [os.path.relpath(os.path.join(d, f), root) for f in fs]
    return sorted(n for n in names if (not endings or n.endswith(endings))
                  and os.path.isfile(os.path.join(root, n)))


def lines(root, name):
    with open(os.path.join(root, name), encoding="utf-8", errors="replace") as f:
        return f.read().splitlines()


def main(check, bad_examples, good_examples=()):
    """check(root) -> list of violations. Each example is ({path: text}, word the finding has)."""
    if "--self-test" in sys.argv[1:]:
        for tree, word in [*bad_examples, *((g, None) for g in good_examples)]:
            with tempfile.TemporaryDirectory(prefix="tephra-lint-") as d:
                for name, text in tree.items():
                    os.makedirs(os.path.dirname(os.path.join(d, name)), exist_ok=True)
                    with open(os.path.join(d, name), "w") as f:
                        f.write(text)
                found = check(d)
            if word is None and found:
                sys.exit(f"self-test: {tree} is good, but: {found}")
            if word is not None and not any(word in v for v in found):
                sys.exit(f"self-test: {tree} must be found ({word!r}); found: {found}")
        sys.exit(0)
    found = check(ROOT)
    for v in found:
        print(v)
    sys.exit(1 if found else 0)
