# SPDX-License-Identifier: Apache-2.0
"""Names out of places that few look into: MiniDebugInfo and Go's inline tree, through the whole agent and its child."""

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


GO = """
package main

import "os"

var sink int

func innermost(x int) int { sink += x * 7; return sink ^ x }
func between(x int) int   { return innermost(x) + 1 }

//go:noinline
func outer(n int) int {
	t := 0
	for i := 0; i < n; i++ {
		t += between(i)
	}
	return t
}

func main() {
	os.Exit(outer(len(os.Args)) & 1)
}
"""


@case
def stripped_go_program_has_inlined_functions():
    need_program("go")
    with open("hot.go", "w") as f:
        f.write(GO)
    env = {**os.environ, "GO111MODULE": "off", "GOCACHE": os.path.abspath("cache"), "CGO_ENABLED": "0"}
    sh("go", "build", "-o", "hot", "hot.go", env=env)
    start, size = next((int(f[0], 16), int(f[1], 16)) for f in (ln.split() for ln in sh("nm", "-S", "hot").splitlines())
                       if len(f) == 4 and f[3] == "main.outer")
    sh("strip", "hot")
    text = sh(TEPHRA, "symbolize", "hot", *[hex(a) for a in range(start, start + size)])
    check(re.search(r" main\.innermost at .*hot\.go:8\n +inlined into main\.between at .*hot\.go:9\n"
                    r" +inlined into main\.outer at .*hot\.go:15\n", text), text)
