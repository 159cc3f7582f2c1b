#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Every source file names its licence in its first lines, and it is the right one."""

import tree

ENDINGS = (".c", ".h", ".py", ".sh", ".cpp", ".rs", ".go")
KERNEL, USER = "GPL-2.0-only OR BSD-2-Clause", "Apache-2.0"


def check(root):
    found = []
    for name in tree.files(root):
        text = tree.lines(root, name)
        if not name.endswith(ENDINGS) and not (text and text[0].startswith("#!")):
            continue
        if name.startswith("tests/fuzz/corpus/"):
            continue
        want = KERNEL if name.startswith("bpf/") or name.endswith(".bpf.c") else USER
        got = [ln.split("SPDX-License-Identifier:")[1].replace("*/", "").strip()
               for ln in text[:3] if "SPDX-License-Identifier:" in ln]
        if got != [want]:
            found.append(f"{name}: licence {got[0] if got else 'missing'}, must be '{want}'")
    return found


tree.main(check, [
    ({"agent/x.c": "int x;\n"}, "missing"),
    ({"bpf/x.bpf.c": f"/* SPDX-License-Identifier: {USER} */\n"}, KERNEL),
    ({"tests/run": "#!/bin/bash\ntrue\n"}, "missing"),
], [{"bpf/x.h": f"/* SPDX-License-Identifier: {KERNEL} */\n"}])
