# SPDX-License-Identifier: Apache-2.0
"""Names out of places that few look into: MiniDebugInfo, through the whole agent and its child."""

import os
import re
import subprocess

from lib import TEPHRA, case, check, need_program

SOURCE = """
#include <stdlib.h>
static __attribute__((noinline)) int buried(int n)
{
	volatile int s = 0;
	for (int i = 0; i < n; i++)
		s += i;
	return s;
}
int main(int argc, char **argv)
{
	return buried(atoi(argv[1]));
}
"""


def sh(*argv, **kw):
    return subprocess.run([str(a) for a in argv], check=True, capture_output=True, text=True, **kw).stdout


def build():
    with open("hot.c", "w") as f:
        f.write(SOURCE)
    sh("gcc", "-O1", "-g", "-o", "hot", "hot.c")
    return os.path.abspath("hot")


@case
def minidebuginfo_names_static_functions():
    need_program("xz")
    path = build()
    address = "0x" + re.search(r"([0-9a-f]+) t buried", sh("nm", path)).group(1)
    sh("objcopy", "--only-keep-debug", path, "debug")
    sh("objcopy", "-S", "--keep-symbol=buried", "debug", "mini")
    sh("xz", "mini")
    sh("strip", path)
    text = sh(TEPHRA, "symbolize", path, address)
    check("buried" not in text, text)
    sh("objcopy", "--add-section", ".gnu_debugdata=mini.xz", path)
    text = sh(TEPHRA, "symbolize", path, address)
    check(re.search(r"\bburied at", text), text)
