# SPDX-License-Identifier: Apache-2.0
"""A real Docker container, profiled by its id: a daemon of the test's own, no network needed."""

from docker_engine import Docker, image_tar
from lib import Target, assert_chains, assert_complete, case, check, record, tephra


@case(timeout=150)
def container_by_id():
    docker = Docker()
    try:
        image_tar(["chain", "split_static", "cxx"])
        docker.run("import", "image.tar", "tephra-test:latest")
        ids = {}
        for prog in ("chain", "cxx"):
            ids[prog] = docker.run("run", "-d", "--net=host", "tephra-test:latest", f"/bin/{prog}",
                                   "100").stdout.strip()
            check(len(ids[prog]) == 64, f"not a container id: {ids[prog]!r}")
        outside = Target("thrash")
        folded = record("-c", ids["chain"][:12]).folded()
        assert_complete(folded)
        assert_chains(folded, [["main", "chain_outer", "chain_inner", "chain_leaf"],
                               ["chain_thread", "chain_outer", "chain_inner", "chain_leaf"]])
        check(folded.containing("thrash_walk").total == 0, "the host is in the container's profile")
        folded = record("-c", ids["chain"], "-c", ids["cxx"][:12], out="two.folded").folded()
        for leaf in ("chain_leaf", "fixture::handler()"):
            check(folded.containing(leaf).total > 15, f"{leaf} is missing:\n{folded.show()}")
        r = tephra("record", "-c", "0123456789abcdef", "-d", "1s", "-o", "x.folded", expect=1)
        check("0123456789abcdef" in r.err, f"the message does not name the container\n{r!r}")
        outside.stop()
    finally:
        docker.stop()
