# SPDX-License-Identifier: Apache-2.0
"""Debian packages of other suites and architectures, without touching this machine's packages:
an apt state of its own for each (suite, architecture) in a cache directory, fed from the mirror
that this machine's apt is configured with. No mirror is named here."""

import os
import subprocess
import time

CACHE = os.environ.get("TEPHRA_TEST_CACHE") or os.path.join(
    os.environ.get("XDG_CACHE_HOME") or "/var/cache", "tephra-tests")
INDEX_DAYS = 7


class Unavailable(Exception):
    """What is needed can not be had here; the text says why."""


def mirror():
    out = subprocess.run(["apt-get", "indextargets", "--format",
                          "$(ORIGIN)|$(LABEL)|$(REPO_URI)", "Created-By: Packages"],
                         capture_output=True, text=True).stdout
    for line in out.splitlines():
        origin, label, uri = line.split("|", 2)
        if origin == "Debian" and label == "Debian":
            return uri
    raise Unavailable("apt has no Debian source here; run apt-get update first")


def options(suite, arch="amd64", sources=False):
    """Arguments for apt-get and apt-cache that make them use a state of their own, in which source
    packages are known when `sources` is set."""
    d = os.path.join(CACHE, "apt", f"{suite}-{arch}" + ("-src" if sources else ""))
    for sub in ("lists/partial", "cache/archives/partial", "etc"):
        os.makedirs(os.path.join(d, sub), exist_ok=True)
    with open(f"{d}/status", "a"):
        pass
    with open(f"{d}/etc/sources.list", "w") as f:
        f.write(f"{'deb-src' if sources else 'deb'} [signed-by=/usr/share/keyrings/"
                f"debian-archive-keyring.gpg] {mirror()} {suite} main\n")
    opts = {"Dir::State::lists": f"{d}/lists", "Dir::Cache": f"{d}/cache",
            "Dir::State::status": f"{d}/status", "Dir::Etc::sourcelist": f"{d}/etc/sources.list",
            "Dir::Etc::sourceparts": "/dev/null", "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": "/dev/null", "APT::Sandbox::User": "root",
            "APT::Architecture": arch, "APT::Architectures": arch,
            "Acquire::Check-Valid-Until": "false", "Acquire::Languages": "none"}
    return [a for k, v in opts.items() for a in ("-o", f"{k}={v}")]


def update(suite, arch="amd64", sources=False, again=False):
    """Fetches the suite's index unless it is recent, or again."""
    opts = options(suite, arch, sources)
    stamp = os.path.join(CACHE, "apt", f"{suite}-{arch}" + ("-src" if sources else ""), "updated")
    if again or not os.path.exists(stamp) or time.time() - os.path.getmtime(stamp) > INDEX_DAYS * 86400:
        r = subprocess.run(["apt-get", *opts, "update"], capture_output=True, text=True)
        if r.returncode != 0:
            raise Unavailable(f"apt-get update for {suite} {arch}: {r.stderr.strip()[-300:]}")
        with open(stamp, "w"):
            pass
    return opts
