# SPDX-License-Identifier: Apache-2.0
"""`tephra fmt` and `tephra validate`: what a person and a CI job see of them."""

import glob
import os

from lib import TESTS, case, check, tephra

UGLY = 'b{x=1\nlonger=[1,// one\n2,]}\n'
PRETTY = 'b {\n\tx      = 1\n\tlonger = [1, // one\n\t\t2]\n}\n'
EXAMPLES = os.path.join(os.path.dirname(TESTS), "contrib", "examples")


def put(name, text):
    with open(name, "w") as f:
        f.write(text)


def piped(text):
    """Text as a file to read from."""
    put("piped", text)
    return open("piped", "rb")


def get(name):
    with open(name) as f:
        return f.read()


@case
def fmt_writes_to_standard_output_and_changes_files_only_when_told():
    put("a.alloy", UGLY)
    os.chmod("a.alloy", 0o640)
    os.symlink("a.alloy", "link.alloy")
    r = tephra("fmt", "a.alloy")
    check(r.out == PRETTY and get("a.alloy") == UGLY, f"to standard output\n{r!r}")
    with piped(UGLY) as f:
        r = tephra("fmt", stdin=f)
    os.unlink("piped")
    check(r.out == PRETTY, f"standard input\n{r!r}")
    r = tephra("fmt", "-t", "a.alloy", expect=1)
    check(r.out == "a.alloy\n" and get("a.alloy") == UGLY, f"the test names it\n{r!r}")
    r = tephra("fmt", "--write", "link.alloy")
    check(r.out == "" and get("a.alloy") == PRETTY, f"written\n{r!r}")
    check(os.path.islink("link.alloy"), "the link is still one")
    check(os.stat("a.alloy").st_mode & 0o777 == 0o640, "and the mode is the same")
    tephra("fmt", "-t", "a.alloy")
    check(sorted(os.listdir(".")) == ["a.alloy", "link.alloy"], "nothing is left behind")


@case
def fmt_tells_what_does_not_parse_and_leaves_it_alone():
    put("bad.alloy", "a = [\n1\n]\n")
    put("good.alloy", UGLY)
    r = tephra("fmt", "-w", "bad.alloy", "good.alloy", expect=1)
    check("bad.alloy:2:2: missing ',' in expression list" in r.err, repr(r))
    check(get("bad.alloy") == "a = [\n1\n]\n" and get("good.alloy") == PRETTY, "both files")
    r = tephra("fmt", "-w", "-", expect=2)
    check("standard input cannot be written to" in r.err, repr(r))
    r = tephra("fmt", "nowhere.alloy", expect=1)
    check("cannot read 'nowhere.alloy': No such file" in r.err, repr(r))


@case
def the_examples_are_formatted_and_valid():
    files = sorted(glob.glob(os.path.join(EXAMPLES, "*.alloy")))
    check(files, "there are examples")
    tephra("fmt", "-t", *files)
    for name in files:
        r = tephra("validate", name)
        check(r.err == "", f"{name}\n{r!r}")


@case
def validate_finds_everything_at_once_and_runs_nothing():
    put("a.alloy", 'local.file "t" {\n\tfilename = "/nonexistent"\n}\n')
    r = tephra("validate", "a.alloy")
    check(r.out == r.err == "", f"what only running shows is no error here\n{r!r}")
    put("b.alloy", 'pyroscope.write "w" { endpoint { urll = "x" } }\n'
                   'pyroscope.ebpf "e" { forward_to = [pyroscope.write.v.receiver] }\n')
    for path, name in (("b.alloy", "b.alloy"), ("-", "stdin")):
        with open("b.alloy", "rb") as f:
            r = tephra("validate", path, expect=1, stdin=f)
        for line in (":1:34: unrecognized attribute name \"urll\"",
                     ":1:23: missing required attribute \"url\"",
                     ":2:36: component \"pyroscope.write.v.receiver\" does not exist"):
            check(name + line in r.err, f"{line}\n{r!r}")
        check(r.err.endswith("Error: validation failed\n"), repr(r))
    r = tephra("validate", expect=2)
    check("the configuration is missing" in r.err, repr(r))
    r = tephra("validate", "--stability.level=x", "a.alloy", expect=2)
    check("generally-available, public-preview or experimental" in r.err, repr(r))


@case
def reference_prints_a_component_and_names_them_all():
    r = tephra("reference", "pyroscope.write")
    check(r.out.startswith("# pyroscope.write\n") and "| `remote_timeout` |" in r.out, repr(r))
    r = tephra("reference", "--list")
    check(r.out.count("\n") > 20 and "pyroscope.ebpf " in r.out, repr(r))
    r = tephra("reference", "pyroscope.wirte", expect=2)
    check("there is no component 'pyroscope.wirte'" in r.err, repr(r))
