#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""walk_target.py DEPTH hot: as walk_target.c, in Python."""

import sys


def leaf():
    print("ready", flush=True)
    n = 0
    while True:
        n += 1


def down(left):
    if left:
        down(left - 1)
    else:
        leaf()


down(int(sys.argv[1]))
