#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes C arrays of the flame graph's files: embed.py OUT.c NAME=FILE[+FILE...]..."""
import base64
import hashlib
import sys


def array(name, data):
    lines = [data[i:i + 24] for i in range(0, len(data), 24)]
    body = "\n".join("\t" + "".join(f"{b}," for b in line) for line in lines)
    digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
    return (f"static const char data_{name}[] = {{\n{body}\n\t0\n}};\n"
            f"const struct asset asset_{name} = {{data_{name}, {len(data)}, \"{digest}\"}};\n")


def main():
    out = ['#include "agent/export/assets/assets.h"\n']
    for arg in sys.argv[2:]:
        name, files = arg.split("=", 1)
        data = b"".join(open(f, "rb").read() for f in files.split("+"))
        if name == "script" and (b"</" in data or b"]]>" in data or b"<!--" in data):
            sys.exit("embed: a script must contain none of '</', '<!--', ']]>'")
        # Bytes over 127 do not fit a plain char on every machine.
        if any(b > 127 for b in data):
            sys.exit(f"embed: {files} is not ASCII")
        out.append(array(name, data))
    with open(sys.argv[1], "w") as f:
        f.write("\n".join(out))


main()
