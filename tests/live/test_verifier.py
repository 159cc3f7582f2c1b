# SPDX-License-Identifier: Apache-2.0
"""What the kernel's verifier had to look at before it let the BPF programs in."""

import managed  # noqa: F401, it knows where tests/bench is
from lib import Skip, case, check
from loads import Missing
from rows_runtimes import INSNS_MAX, verified


@case
def programs_are_far_from_the_verifiers_limit():
    try:
        found = verified()
    except Missing as e:
        raise Skip(str(e)) from e
    for name, n in sorted(found.items(), key=lambda x: -x[1]):
        print(f"{name}: {n:,} instructions")
        check(n < INSNS_MAX, f"{name}: the verifier looks at {n:,} instructions, at most {INSNS_MAX:,}")
