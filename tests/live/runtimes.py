#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""
Every CPython and OpenJDK that Debian's suites offer, each in a small root directory of its own.

    tests/live/runtimes.py [--list | --get NAME... | --run NAME ARG...]

A runtime's name is python3.13-trixie, python3.13d-trixie (Py_DEBUG), jdk21-sid, or that of a build
from source that no suite has as a package: python3.13t (free-threaded), python3.11refs
(Py_TRACE_REFS), python3.13musl and python3.13static (with musl). python3.14jit-sid is python3.14-sid
with its JIT compiler switched on. Its root is made of its packages and what they depend on,
downloaded by apt (which checks them) and unpacked, not installed: no script of a package runs. Kept
in the test cache; what was downloaded before an interruption is not downloaded again. --run starts
it in its root, with /proc and /dev.
"""

import contextlib
import fcntl
import functools
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import debian  # noqa: E402
from debian import CACHE, Unavailable  # noqa: E402

SUITES = ["bullseye", "bookworm", "trixie", "sid"]
ROOTS = os.path.join(CACHE, "runtimes")
# Built from the source package: the suite, arguments of configure.
BUILDS = {"python3.11refs": ("bookworm", "--with-trace-refs"),
          "python3.13t": ("trixie", "--disable-gil"),
          "python3.13musl": ("trixie", ""),
          "python3.13static": ("trixie", "LDFLAGS=-static MODULE_BUILDTYPE=static")}
MUSL = ("python3.13musl", "python3.13static")
# Packages that have the JIT compiler in them, which is off (--enable-experimental-jit=yes-off).
JITS = ("python3.14jit-sid", "python3.15jit-sid")
# Modules that take long to build or need libraries that are not there, and are not needed.
LEFT_OUT = ("_decimal _sqlite3 _ssl _curses _curses_panel _tkinter _dbm _gdbm readline _lzma _bz2 "
            "_codecs_cn _codecs_hk _codecs_iso2022 _codecs_jp _codecs_kr _codecs_tw _multibytecodec "
            "pyexpat _elementtree nis ossaudiodev spwd xxlimited xxlimited_35").split()
TRIES = 5
# What the maintainer scripts of a package would have made.
DIRS = ("proc", "dev", "tmp", "run", "root", "test", "usr/bin", "usr/sbin", "usr/lib", "usr/lib64")


class Runtime:
    """One interpreter or virtual machine. .kind is 'python' or 'jdk', .version (3, 13) or (21,)."""

    def __init__(self, kind, version, suite, packages, variant=""):
        self.kind, self.suite, self.packages = kind, suite, packages
        self.version = tuple(int(x) for x in version.split("."))
        self.variant, self.debug = variant, packages[0].endswith("-dbg")
        self.name = f"{kind}{version}{variant or 'd' * self.debug}-{suite}"
        if variant and variant != "jit":
            self.name = f"{kind}{version}{variant}"
        self.built = self.name in BUILDS
        self.environment = ["PYTHON_JIT=1"] if variant == "jit" else []
        # With another environment it is the same program.
        self.home = self.name.replace("jit-", "-") if self.environment else self.name
        self.root = os.path.join(ROOTS, self.home)

    @property
    def program(self):
        """The path of the program in its root."""
        if self.variant == "t":
            return "/usr/bin/python%d.%dt" % self.version
        if self.debug:
            return "/usr/bin/python%d.%dd" % self.version
        if self.kind == "python":
            return "/usr/bin/python%d.%d" % self.version
        found = glob.glob(f"{self.root}/usr/lib/jvm/java-{self.version[0]}-*/bin/java") + \
            glob.glob(f"{self.root}/usr/lib/jvm/java-{self.version[0]}-*/jre/bin/java")
        if not found:
            raise Unavailable(f"no java in {self.root}")
        return found[0][len(self.root):]

    def command(self, *args, program=None, mount=()):
        """What starts it: in a mount namespace of its own, which ends with it. `mount` is a list of
        directories that it sees under the same path."""
        binds = "".join(f'mkdir -p "{self.root}{d}" && mount --rbind "{d}" "{self.root}{d}" && '
                        for d in ("/proc", "/dev", *mount))
        script = f'{binds}exec env {" ".join(self.environment)} chroot "{self.root}" "$@"'
        return ["unshare", "-m", "sh", "-c", script, "sh", program or self.program,
                *[str(a) for a in args]]

    def get(self):
        """Makes its root directory unless it is there; returns itself."""
        with locked(self.home):
            if not os.path.exists(f"{self.root}/.complete"):
                if self.built:
                    build(self)
                else:
                    unpack(self)
        return self


@contextlib.contextmanager
def locked(name):
    os.makedirs(ROOTS, exist_ok=True)
    with open(f"{ROOTS}/{name}.lock", "w") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


def tried(argv, what, **kw):
    """Runs a command that needs the network, again when it fails: a time-out is no answer."""
    for attempt in range(TRIES):
        r = subprocess.run(argv, capture_output=True, text=True, **kw)
        if r.returncode == 0:
            return r.stdout
        time.sleep(2 * attempt)
    raise Unavailable(f"{what}: {r.stderr.strip()[-400:]}")


# ---- What there is ---------------------------------------------------------------------------

def updated(suite, sources=False, again=False):
    with locked(f"index-{suite}"):
        for attempt in range(TRIES):
            try:
                return debian.update(suite, sources=sources, again=again)
            except Unavailable:
                if attempt == TRIES - 1:
                    raise
                time.sleep(2 * attempt)


def in_suite(suite):
    opts = updated(suite)
    names = subprocess.run(["apt-cache", *opts, "pkgnames"], capture_output=True, text=True,
                           check=True).stdout.split()
    found = []
    for n in names:
        if m := re.fullmatch(r"python(3\.\d+)(-dbg)?", n):
            found.append(parse(f"python{m[1]}{'d' if m[2] else ''}-{suite}"))
        elif m := re.fullmatch(r"openjdk-(\d+)-jre-headless", n):
            found.append(parse(f"jdk{m[1]}-{suite}"))
    return found


@functools.lru_cache(maxsize=None)
def available():
    """All that the suites offer, oldest first."""
    every = [r for s in SUITES for r in in_suite(s)]
    names = {r.name for r in every}
    every += [parse(name) for name in BUILDS]
    every += [parse(name) for name in JITS if name.replace("jit-", "-") in names]
    return sorted(every, key=lambda r: (r.kind != "python", r.version, r.variant,
                                        SUITES.index(r.suite)))


def parse(name):
    """A runtime by its whole name, without asking what there is."""
    if name in BUILDS:
        m = re.fullmatch(r"python([\d.]+)(\w+)", name)
        return Runtime("python", m[1], BUILDS[name][0], ["python" + m[1]], variant=m[2])
    if m := re.fullmatch(r"(python|jdk)([\d.]+)(d?|jit)-(\w+)", name):
        package = f"openjdk-{m[2]}-jre-headless" if m[1] == "jdk" else \
            m[1] + m[2] + ("-dbg" if m[3] == "d" else "")
        return Runtime(m[1], m[2], m[4], [package], variant="jit" if m[3] == "jit" else "")
    return None


def find(name):
    """By its name, with or without the suite."""
    if r := parse(name):
        return r
    for r in available():
        if name == r.name.partition("-")[0]:
            return r
    raise Unavailable(f"no suite has {name}; there are: {' '.join(r.name for r in available())}")


# ---- From packages ---------------------------------------------------------------------------

def download(suite, packages):
    """The packages and what they depend on: paths of .deb files."""
    opts = updated(suite)
    argv = ["apt-get", *opts, "-q", "-y", "--no-install-recommends", "install", *packages]
    # Where the answer is "nothing is broken" only because nothing is installed: libc6 is a
    # dependency of all, and brings what it needs. Files that are there already, of a download that
    # was interrupted, would not be named: the plan is made as if none was.
    with tempfile.TemporaryDirectory() as empty:
        os.mkdir(f"{empty}/partial")
        planned = tried([*argv, "-o", f"Dir::Cache::archives={empty}", "--print-uris"],
                        f"resolve {packages}")
    names = re.findall(r"^'[^']+' (\S+\.deb) \d+", planned, re.M)
    archives = os.path.join(CACHE, "apt", f"{suite}-amd64", "cache", "archives")
    tried([*argv, "--download-only"], f"download {packages} of {suite}")
    return [f"{archives}/{n}" for n in names]


def unpack(r):
    with locked(f"packages-{r.suite}"):
        debs = download(r.suite, r.packages)
        part = f"{r.root}.part"
        shutil.rmtree(part, ignore_errors=True)
        for d in DIRS:
            os.makedirs(f"{part}/{d}")
        os.chmod(f"{part}/tmp", 0o1777)
        for d in ("bin", "sbin", "lib", "lib64"):
            os.symlink(f"usr/{d}", f"{part}/{d}")
        for deb in debs:
            with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb],
                                  stdout=subprocess.PIPE) as out:
                subprocess.run(["tar", "-x", "--keep-directory-symlink", "-C", part],
                               stdin=out.stdout, check=True)
            if out.returncode != 0:
                raise Unavailable(f"{deb} can not be unpacked")
        for junk in ("usr/share/doc", "usr/share/man", "usr/share/locale"):
            shutil.rmtree(f"{part}/{junk}", ignore_errors=True)
        finish_root(part)
        shutil.rmtree(r.root, ignore_errors=True)
        with open(f"{part}/.complete", "w") as f:
            f.write("".join(f"{os.path.basename(d)}\n" for d in sorted(debs)))
        os.rename(part, r.root)
        for deb in debs:
            os.unlink(deb)


def finish_root(root):
    """What the scripts of the packages would do and a start needs."""
    for pattern in ("jvm.cfg-default", "jvm-amd64.cfg-default"):
        for path in glob.glob(f"{root}/**/{pattern}", recursive=True):
            to = path[:-len("-default")]
            if not os.path.lexists(to):
                shutil.copy(path, to)
    with open(f"{root}/etc/passwd", "w") as f:
        f.write("root:x:0:0:root:/root:/bin/sh\n")


# ---- From source -----------------------------------------------------------------------------

MUSL_CC = """#!/bin/sh
# configure asks for whom the compiler compiles; musl-gcc would give the answer of gcc.
[ "$*" = --print-multiarch ] && exec echo x86_64-linux-musl
exec musl-gcc "$@"
"""


def source(r, work):
    """Unpacks the source package; the name of its description."""
    opts = updated(r.suite, sources=True)
    argv = ["-q", "source", "--download-only", r.packages[0]]
    try:
        tried(["apt-get", *opts, *argv], f"source of {r.packages[0]}", cwd=work)
    except Unavailable:  # another version has taken its place
        opts = updated(r.suite, sources=True, again=True)
        tried(["apt-get", *opts, *argv], f"source of {r.packages[0]}", cwd=work)
    dsc = sorted(glob.glob(f"{work}/*.dsc"))[-1]
    shutil.rmtree(f"{work}/src", ignore_errors=True)
    subprocess.run(["dpkg-source", "--no-check", "--skip-patches", "-x", dsc, f"{work}/src"],
                   check=True, capture_output=True)
    return os.path.basename(dsc)


def options(r, work):
    """Arguments of configure."""
    given = BUILDS[r.name][1] + " CFLAGS=-g1 "
    if r.name in MUSL:
        with open(f"{work}/musl-cc", "w") as f:
            f.write(MUSL_CC)
        os.chmod(f"{work}/musl-cc", 0o755)
        # What pkg-config knows is of the other libc.
        given += f"CC={work}/musl-cc PKG_CONFIG=false "
    return given + " ".join(f"py_cv_module_{m}=n/a" for m in LEFT_OUT)


def build(r):
    """From the source package, with shared memory of nothing but libc: 3 to 5 minutes on two CPUs."""
    work, part = os.path.join(ROOTS, f"{r.name}.build"), f"{r.root}.part"
    os.makedirs(work, exist_ok=True)
    dsc = source(r, work)
    os.makedirs(f"{work}/out", exist_ok=True)
    log = f"{r.root}.log"
    steps = [f"../src/configure {options(r, work)} --prefix=/usr --without-ensurepip "
             "--disable-test-modules >/dev/null",
             "nice -n 10 make -j2 -s LINKFORSHARED=" if r.variant == "static" else
             "nice -n 10 make -j2 -s", f"make -s install DESTDIR={part}"]
    shutil.rmtree(part, ignore_errors=True)
    with open(log, "w") as out:
        for step in steps:
            if subprocess.run(step, shell=True, cwd=f"{work}/out", stdout=out, stderr=out,
                              stdin=subprocess.DEVNULL).returncode != 0:
                raise Unavailable(f"building {r.name} failed, see {log}")
    for d in ("proc", "dev", "tmp"):
        os.makedirs(f"{part}/{d}", exist_ok=True)
    copy_libraries(part, "/lib/ld-musl-x86_64.so.1" if r.name in MUSL else
                   "/lib64/ld-linux-x86-64.so.2")
    with open(f"{part}/.complete", "w") as f:
        f.write(dsc + "\n")
    os.rename(part, r.root)
    shutil.rmtree(work)


def copy_libraries(part, loader):
    """This machine's libc and what else it was linked with, so that it runs in its root."""
    for exe in glob.glob(f"{part}/usr/bin/python3.*[0-9t]") + \
            glob.glob(f"{part}/usr/lib/python3.*/lib-dynload/*.so"):
        out = subprocess.run([loader, "--list", exe], capture_output=True, text=True).stdout
        for path in re.findall(r"(/\S+) \(0x", out):
            if not os.path.exists(part + path):
                os.makedirs(os.path.dirname(part + path), exist_ok=True)
                shutil.copy(os.path.realpath(path), part + path)


# ---- By hand ---------------------------------------------------------------------------------

def main():
    args = sys.argv[1:]
    if args[:1] == ["--run"] and len(args) > 1:
        r = find(args[1]).get()
        argv = r.command(*args[2:])
        os.execvp(argv[0], argv)
    if args[:1] not in ([], ["--list"], ["--get"]):
        sys.exit(__doc__.strip())
    failed = 0
    names = args[1:] if args[:1] == ["--get"] else []
    for r in ([find(n) for n in names] if names else available()):
        try:
            if args[:1] == ["--get"]:
                t0 = time.monotonic()
                r.get()
                print(f"{r.name}: {r.root} ({time.monotonic() - t0:.0f} s)", flush=True)
            else:
                print(r.name, r.root if os.path.exists(f"{r.root}/.complete") else "-")
        except Unavailable as e:
            failed += 1
            print(f"{r.name}: {e}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
