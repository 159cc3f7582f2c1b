#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""walk_target.py DEPTH hot: as walk_target.c, in Python. Each frame is of a function of its own, as in
programs: a function that calls itself costs the walk less."""

import sys

DOWN = """
def down{0}(left):
    if left:
        down{1}(left - 1)
    else:
        leaf()
"""


def leaf():
    print("ready", flush=True)
    n = 0
    while True:
        n += 1


for at in range(128):
    exec(compile(DOWN.format(at, at + 1), __file__, "exec"))
down0(int(sys.argv[1]))  # noqa: F821
