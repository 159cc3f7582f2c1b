# SPDX-License-Identifier: Apache-2.0
"""HotSpot: whole stacks of Java and native frames, interpreted, compiled and inlined, to the line, in
the shares that the program itself measures. Each case runs with the host's version here, and in the
suite `runtimes` with every other one. The truth is what the JVM says of itself
(tests/fixtures/hotspot/Truth.java)."""

import collections
import contextlib
import os
import random
import re
import signal
import subprocess
import threading
import time

from lib import (Folded, Skip, Target, TEPHRA, assert_share, case, check, few, fixture_path, is_reason,
                 measured, name_matches, record, spawn, wait_for)
from managed import (HOSTS, HOTSPOT, Profile, assert_truth, assert_whole, at_stripped_entry, in_clone,
                     java_argv, managed, names_pushed, native_between, plain, profile, show, start,
                     versions)

MODES = [("interpreted", "-Xint"), ("quickly compiled", "-XX:TieredStopAtLevel=1"),
         ("compiled", "-XX:-TieredCompilation"), ("as usual", "-XX:+TieredCompilation")]
OWN = ("truth.",)
# Not every version has every option.
LENIENT = ("-XX:+IgnoreUnrecognizedVMOptions", "-XX:+UnlockExperimentalVMOptions")
# The carrier's frames are outside of a virtual thread's.
VIRTUAL = ("virtual", "virtual again", "woken", "woken 20", "woken 40", "woken 60")


def whole_stacks(runtime, scenarios, *flags, d=3, f=499, **kw):
    t = start(java_argv(runtime, scenarios, *flags))
    p = profile(t, d=d, f=f)
    assert_truth(p, t.info, own=OWN, tail=VIRTUAL, exact="-Xint" in flags, **kw)
    return t, p


def known_split(runtime, *flags, seconds=7, **kw):
    t = Target("split", argv=java_argv(runtime, "split", *flags, seconds=seconds))
    record("-p", t.pid, f=997, d=seconds + 3, out="out.pb.gz")
    truth = t.finish()["shares"]
    p = Profile("out.pb.gz")
    assert_truth(p, t.info, exact=False, **kw)
    own = Folded([([f[0] for f in managed(s)], s.count) for s in p.samples
                  if any(f[0] == "truth.Truth.split" for f in managed(s))])
    for name, share in truth.items():
        assert_share(own, "truth.Truth." + name, share)


@versions("jdk", newest=True)
def known_split_is_within_the_binomial_bound(runtime):
    measured(lambda: known_split(runtime))


# Soon enough for a test: what runs often is compiled by Graal after some seconds.
GRAAL = ("-XX:+UnlockExperimentalVMOptions", "-XX:+EnableJVMCI", "-XX:+UseJVMCICompiler",
         "-XX:Tier4InvocationThreshold=200", "-XX:Tier4MinInvocationThreshold=100",
         "-XX:Tier4CompileThreshold=300", "-XX:Tier4BackEdgeThreshold=2000")


@contextlib.contextmanager
def graal(runtime):
    """Options that make a JVM compile with Graal, and a function: the methods that it has compiled,
    by its own log. Only JDK 11 has it inside."""
    r = subprocess.run(runtime.command("--describe-module", "jdk.internal.vm.compiler"),
                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    if "provides " not in r.stdout:
        raise Skip("it has no Graal compiler")
    log = os.path.join(HOTSPOT, f"graal-{os.getpid()}.log")

    def compiled():
        if not os.path.exists(log):
            return set()
        with open(log, encoding="utf-8") as f:
            rows = [line.split() for line in f if line.startswith("HotSpotCompilation-")]
        return {row[1].strip("L;").replace("/", ".") + "." + row[2] for row in rows}
    try:
        yield (*GRAAL, "-Dgraal.PrintCompilation=true", f"-Dgraal.LogFile={log}"), compiled
    finally:
        if os.path.exists(log):
            os.unlink(log)


@versions("jdk", timeout=150)
def graal_compiles(runtime):
    """Its loops begin with their poll, it keeps rbp elsewhere, and says of no place that the frame is
    complete. All of the calls do the same work, so each has its share."""
    wanted = {"truth.Truth." + n for n in ("burn", "down", "calls")}
    with graal(runtime) as (flags, compiled):
        t = start(java_argv(runtime, "calls,inlined,callbacks,jni,recursion", *flags))
        wait_for(lambda: wanted <= compiled(), 90, "compilations by Graal")
        p = profile(t, d=8)
        count, _ = assert_truth(p, t.info, own=OWN, exact=False, other=0.3)
        calls = ("square", "circle", "constructor", "synchronized", "default method", "generic", "catch",
                 "finally", "lambda", "anonymous", "locked", "tiny")
        mean = sum(count[c] for c in calls) / len(calls)
        check(all(mean / 2 < count[c] < mean * 2 for c in calls),
              f"the same work, but: { {c: count[c] for c in calls} }")
        t.stop()


@versions("jdk", timeout=90)
def graal_alone(runtime):
    """No other compiler: Graal's own code is in the profile, interpreted and compiled."""
    with graal(runtime) as (flags, compiled):
        t = start(java_argv(runtime, "calls,callbacks", *flags, "-XX:-TieredCompilation"))
        wait_for(lambda: "truth.Truth.burn" in compiled(), 40, "compilations by Graal")
        assert_truth(profile(t, d=8), t.info, own=OWN, exact=False, other=0.9)
        t.stop()


@versions("jdk", timeout=120)
def graal_splits_within_the_binomial_bound(runtime):
    def once():
        with graal(runtime) as (flags, compiled):
            known_split(runtime, *flags, seconds=16, other=0.9)
            own = {n for n in compiled() if n.startswith(OWN)}
            check("truth.Truth.burn" in own, f"compiled by Graal: {own}")
    measured(once)


@versions("jdk", newest=True, timeout=90)
def every_kind_of_call_in_every_mode(runtime):
    for what, flag in MODES:
        print(f"---- {what}")
        whole_stacks(runtime, "calls,inlined", flag)[0].stop()


@versions("jdk", timeout=90)
def libraries_call_back(runtime):
    for what, flag in MODES[0], MODES[3]:
        print(f"---- {what}")
        whole_stacks(runtime, "callbacks", flag)[0].stop()


@versions("jdk")
def jni_calls_back(runtime):
    _, p = whole_stacks(runtime, "jni")
    between = [native_between(s, "truth.Truth.callBack", "truth.Truth.fromNative")
               for s in p.samples]
    between = [b for b in between if b is not None]
    check(between and all("jni_calls_java" in b for b in between),
          f"the library is not between callBack() and fromNative(): {between[:1]}")
    # burn() may be inlined into fromNative(), and the first instructions of all of these, before it is
    # decided which way to go, are taken for burn()'s.
    mine = [s for s in p.samples if "truth.Truth.burn" in [f[0] for f in managed(s)]]
    bad = [s for s in mine if s.stack.count("jni_calls_java") != 4]
    check(few(sum(s.count for s in bad), sum(s.count for s in mine), 0.99), show(bad))


@versions("jdk")
def native_and_kernel_leaves(runtime):
    t = start(java_argv(runtime, "leaves"))
    p = profile(t)
    assert_whole(p.samples)
    names = {id(s): [f[0] for f in managed(s)] for s in p.samples}
    for caller, leaf in (("truth.Truth.inLibrary", "libz*|deflate*|*.so+0x*"),
                         ("truth.Truth.inKernel", "entry_SYSCALL_64*")):
        mine = [s for s in p.samples if caller in names[id(s)]]
        below = [s for s in mine if any(name_matches(x, n) for x in leaf.split("|")
                                        for n in after(s, caller))]
        n = sum(s.count for s in below)
        check(n > 30, f"{leaf} below {caller} has {n} samples:\n{show(mine or p.samples)}")


def after(sample, name):
    """What a method calls."""
    return sample.stack[1 + max(i for i, f in enumerate(sample.frames) if plain(f)[0] == name):]


@versions("jdk", timeout=90)
def three_hundred_frames(runtime):
    for what, flag in MODES[0], MODES[3]:
        print(f"---- {what}")
        whole_stacks(runtime, "recursion", flag)[0].stop()


@versions("jdk", newest=True, timeout=90)
def five_hundred_and_twelve_frames(runtime):
    for what, flag in MODES[0], MODES[3]:
        print(f"---- {what}")
        t, _ = whole_stacks(runtime, "deepest", flag)
        check(len(t.chains["recursion"]) >= 509, f"{len(t.chains['recursion'])} frames")
        t.stop()


def rungs(n):
    """The methods of Deep's stack, from the outermost one."""
    return [f"truth.Deep$Rungs.down{i % 8 or ''}" for i in range(n)]


def stand(runtime, calls, *flags):
    """Runs Deep, until its stack stands."""
    argv = runtime.command("-Xmx256m", *flags, "-cp", HOTSPOT, "truth.Deep", calls, mount=[HOTSPOT])
    t = spawn(argv, stdout=subprocess.PIPE, text=True)
    check(t.stdout.readline() == "ready\n", "it did not start")
    return t


@versions("jdk", newest=True, timeout=90)
def four_hundred_methods_on_one_stack(runtime):
    """More than the sets in which the kernel remembers methods and code have room for; they stay where
    they are, or are found at another place each time."""
    for what, *flags in (("interpreted", "-Xint"), ("compiled", "-XX:-Inline"),
                         ("compiled, at another place each time", "-XX:-Inline", "-Dmoves=true")):
        t = stand(runtime, 400, *flags)
        record("-p", t.pid, f=2999, d=2, out="out.pb.gz")
        samples = Profile("out.pb.gz").samples
        assert_whole(samples, 0.99)
        names = collections.Counter()
        for s in samples:
            if s.whole():
                names[tuple(f[0] for f in managed(s) if "Rungs.down" in f[0])] += s.count
        wrong = [n for n in names if list(n) != rungs(len(n))]
        check(not wrong, f"{len(wrong)} stacks in another order: {str(wrong[:1])[:2000]}")
        deep, n = names[tuple(rungs(401))], sum(names.values())
        print(f"{what}: {n} samples, {deep} of them at the end of all calls")
        check(n > 3000 and deep > 0.5 * n, f"{deep} of {n}")
        t.kill()
        t.wait()


@versions("jdk")
def deeper_than_the_limit_is_cut_visibly(runtime):
    t = stand(runtime, 2400, "-Xss16m", "-XX:-Inline")
    record("-p", t.pid, f=499, d=2, out="out.pb.gz")
    n = 0
    for s in Profile("out.pb.gz").samples:
        names = [f[0] for f in managed(s) if "Rungs.down" in f[0]]
        if not names:
            continue
        check(any(is_reason(f) for f in s.stack), "a cut stack has no frame that says so")
        check(names == rungs(2401)[-len(names):], "frames out of order: " + ";".join(s.stack[:5]))
        n += s.count if len(names) > 1900 else 0
    check(n > 700, f"{n} samples have 1,900 frames")


@versions("jdk")
def threads_that_stay(runtime):
    whole_stacks(runtime, "long_threads")


@versions("jdk")
def threads_that_end_at_once(runtime):
    whole_stacks(runtime, "short_threads", other=0.9, spare=in_clone)


@versions("jdk", newest=True)
def virtual_threads(runtime):
    whole_stacks(runtime, "virtual_threads", other=0.3)


def being_put_back(sample):
    """Some frames are on their way from the heap to the stack: those of the carrier are there, and what
    puts them back."""
    return sample.cut() == "[java: frames are being put back]" and \
        "jdk.internal.vm.Continuation.run()" in sample.stack and \
        any("thaw" in n for n in sample.stack)


def being_put_back_or_moved(sample):
    return being_put_back(sample) or (sample.cut() == "[java: frames in the heap]" and
                                      "jdk.internal.vm.Continuation.run()" in sample.stack)


@versions("jdk", newest=True, timeout=120)
def virtual_threads_that_have_blocked(runtime):
    """Most of their frames are in the heap, in several ways: objects are laid out by the options."""
    for what, mode in (*MODES, ("wide", "-XX:-UseCompressedOops"),
                       ("compact", "-XX:+UseCompactObjectHeaders"),
                       ("wide classes", "-XX:-UseCompressedClassPointers")):
        print(f"---- {what}")
        t, p = whole_stacks(runtime, "blocked_threads", *LENIENT, mode, "-Xshare:off", d=2, other=0.5,
                            spare=being_put_back)
        n = sum(s.count for s in p.samples if being_put_back(s))
        check(n <= 0.05 * sum(s.count for s in p.samples), f"{n} samples while frames are put back")
        t.stop()


@versions("jdk", newest=True, timeout=120)
def who_waits_for_a_cpu_is_met_before_it_counts(runtime):
    """Frames in the heap are not taken along to user space, where the first samples of a process go. So
    these must be over when the recording begins, also for a process that others hardly let run."""
    t = start(java_argv(runtime, "blocked_threads", "-Xint"))
    for tid in os.listdir(f"/proc/{t.pid}/task"):
        os.setpriority(os.PRIO_PROCESS, int(tid), 19)
    others = [spawn(["sh", "-c", "while :; do :; done"]) for _ in range(2 * os.cpu_count())]
    all_bad = []
    try:
        for _ in range(3):
            p = profile(t, d=2)
            # The JVM's own threads may come to code whose rows were not needed before.
            bad = [s for s in p.samples if not s.whole() and not being_put_back(s) and
                   (managed(s) or (s.cut() or "").startswith("[java:"))]
            print(f"{sum(s.count for s in p.samples)} samples, {len(bad)} are not whole")
            all_bad += bad
    finally:
        for o in others:
            o.kill()
    # So may the program's own, once; of a process that is met too late it is the first ones each time.
    check(sum(s.count for s in all_bad) <= 1, show(all_bad))
    t.stop()


@versions("jdk", newest=True, timeout=90)
def virtual_threads_that_yield(runtime):
    """All that they do is to go to the heap and come back. While they go, their frames are in both
    places, and must be shown once."""
    for what, mode in MODES[:3]:
        print(f"---- {what}")
        t = start(java_argv(runtime, "yielding_threads", *LENIENT, mode, "-Xshare:off"))
        p = profile(t, d=2, f=4999)
        assert_whole(p.samples, spare=being_put_back)
        going = [s for s in p.samples if s.whole() and "jdk.internal.vm.Continuation.run()" in s.stack
                 and any("doYield" in n for n in s.stack)]
        frames = collections.Counter()
        for s in going:
            # None is left when doYield() returns to the carrier.
            frames[[plain(f)[0] for f in s.frames].count("truth.Truth.yields")] += s.count
        print(f"frames of yields() below doYield(): {frames}")
        check(frames[21] > 100 and set(frames) <= {0, 21} and frames[0] < frames[21] / 4,
              f"{frames}\n{show([s for s in going if s.stack.count('truth.Truth.yields') != 21])}")
        t.stop()


@versions("jdk", newest=True)
def virtual_threads_under_zgc(runtime):
    """Its addresses in the heap have colours, which change with each of its collections. In 21 and 22
    it may have generations or not; before, and later, it has no choice. While one runs, objects may be
    elsewhere: a frame says that there are some, and those of the carrier follow."""
    version = getattr(runtime, "version", (0,))[0]
    modes = [["-XX:+ZGenerational"], ["-XX:-ZGenerational"]] if 21 <= version < 23 else [[]]
    for flags in modes:
        for what, spared, right in (("blocked_threads", being_put_back, 0.99),
                                    ("blocked_threads,churn", being_put_back_or_moved, 0.95)):
            print(f"---- {flags} {what}")
            t, p = whole_stacks(runtime, what, *LENIENT, "-XX:+UseZGC", *flags, d=4, other=0.8,
                                spare=spared, at_least=right)
            n = sum(s.count for s in p.samples if spared(s))
            check(n <= 0.05 * sum(s.count for s in p.samples), f"{n} are not whole")
            t.stop()


@versions("jdk")
def garbage_collectors(runtime):
    """Threads of the JVM itself are native, and whole."""
    for flag in ("-XX:+UseSerialGC", "-XX:+UseParallelGC", "-XX:+UseG1GC"):
        print(f"---- {flag}")
        t, p = whole_stacks(runtime, "churn", flag, d=2, other=1)
        check(any("GC" in n or "Collect" in n or "Scavenge" in n or "Evac" in n or "libjvm.so+" in n
                  for s in p.samples for n in s.stack), show(p.samples))
        t.stop()


@versions("jdk", newest=True, timeout=90)
def collectors_that_move_objects_meanwhile(runtime):
    """Their barriers are code of their own in compiled methods, and pointers may have colours."""
    for flag in ("-XX:+UseShenandoahGC", "-XX:+UseZGC"):
        print(f"---- {flag}")
        t, _ = whole_stacks(runtime, "calls,inlined,churn", *LENIENT, flag, other=0.8)
        t.stop()


@versions("jdk", newest=True)
def one_code_heap(runtime):
    whole_stacks(runtime, "calls,inlined,callbacks", *LENIENT, "-XX:-SegmentedCodeCache")


@versions("jdk", newest=True)
def classes_that_are_thrown_away(runtime):
    whole_stacks(runtime, "unloading", "-XX:MaxMetaspaceSize=64m", d=4, other=0.9)


RENAMED_MS = 40


def renamed(runtime, *flags):
    """{number: samples} of classes that lie one after another at the same addresses."""
    t = Target("renamed", argv=runtime.command("-Xmx256m", *flags, "-cp", HOTSPOT, "truth.Renamed",
                                               RENAMED_MS, 6, mount=[HOTSPOT]))
    record("-p", t.pid, d=10, f=997, out="out.pb.gz")
    last, seen = t.finish()["classes"], collections.Counter()
    for s in Profile("out.pb.gz").samples:
        numbers = {n for f in managed(s) for n in re.findall(r"(?:Named|burn)(\d{4})", f[0])}
        check(len(numbers) <= 1, f"a stack of several: {show([s])}")
        seen.update({int(n): s.count for n in numbers})
    first = min(seen) + 1
    check(last - first > 15, f"only classes {first} to {last} ran while recorded")
    return [seen[n] for n in range(first, last)]


@versions("jdk", newest=True, timeout=90)
def a_class_in_the_memory_of_one_that_is_gone(runtime):
    for flags in ((), ("-Xint",), ("-Xint", "-XX:-UsePerfData")):
        samples = renamed(runtime, *flags)
        expected = RENAMED_MS * 0.997
        text = f"{flags}: {expected:.0f} samples of each class expected: {samples}"
        check(max(samples) < 1.5 * expected, text)
        # Who had to wait for a CPU finds a class gone: it has no name then.
        check(sum(n < 0.6 * expected for n in samples) < 0.1 * len(samples), text)


@versions("jdk", newest=True, timeout=90)
def names_of_what_is_gone_when_the_agent_looks(runtime):
    """The agent gets no CPU, twice while some twenty classes come and go."""
    t = Target("renamed", argv=runtime.command("-Xmx256m", "-Xint", "-cp", HOTSPOT, "truth.Renamed",
                                               RENAMED_MS, 80, mount=[HOTSPOT]))
    p = spawn([TEPHRA, "record", "-p", str(t.pid), "-F", "997", "-d", "80s", "-o", "out.pb.gz"])
    begin = t.cpu_s()
    for after in (1.5, 3):
        wait_for(lambda: t.cpu_s() > begin + after, 30, "samples", step=0.01)
        os.kill(p.pid, signal.SIGSTOP)
        wait_for(lambda: t.cpu_s() > begin + after + 1, 30, "samples unseen", step=0.01)
        os.kill(p.pid, signal.SIGCONT)
    p.send_signal(signal.SIGINT)
    check(p.wait(60) == 0, "the recording failed")
    t.stop()
    samples = Profile("out.pb.gz").samples
    gone = sum(s.count for s in samples if any("[java: code is gone]" in n for n in s.stack))
    total = sum(s.count for s in samples)
    print(f"{gone} of {total} samples have a method without a name")
    check(total > 1000, f"{total} samples")
    check(gone < 0.03 * total, f"{gone} of {total} samples have a method without a name")


@versions("jdk")
def a_code_cache_that_is_flushed(runtime):
    whole_stacks(runtime, "calls,inlined,callbacks,unloading", "-XX:ReservedCodeCacheSize=3m",
                 "-XX:InitialCodeCacheSize=2496k", d=5, other=0.6)


@versions("jdk")
def other_layouts_of_memory(runtime):
    """Class pointers of 64 bits, no shared archive of classes."""
    whole_stacks(runtime, "calls,recursion", *LENIENT, "-XX:-UseCompressedClassPointers",
                 "-XX:-UseCompressedOops", "-Xshare:off")


@versions("jdk", newest=True)
def a_short_life(runtime):
    """All of its life is recorded, from exec() on: little of it may be lost."""
    r = record("--", *java_argv(runtime, "split", seconds=1.5), f=499, d=None, out="out.pb.gz")
    p = Profile("out.pb.gz")
    assert_whole(p.samples, at_least=0.97, spare=at_stripped_entry)
    named = sum(s.count for s in p.samples
                if any(f[0].startswith("truth.Truth.") for f in managed(s)))
    check(named > 150, f"{named} samples of its own code:\n{show(p.samples)}\n{r.err}")


# ---- What must not break anything --------------------------------------------------------------

@case(timeout=120)
def machines_killed_at_any_moment():
    """JVMs that are killed while they are looked at: the others' stacks stay whole."""
    chance = random.Random(5)
    stays = start(java_argv(HOSTS["jdk"], "calls"))
    end = time.monotonic() + 12
    killed = []

    def kill_some():
        while time.monotonic() < end:
            t = Target("doomed", argv=java_argv(HOSTS["jdk"], "calls,unloading"))
            time.sleep(chance.uniform(0, 0.6))
            t.stop()
            killed.append(t.pid)
    killers = [threading.Thread(target=kill_some) for _ in range(2)]
    for k in killers:
        k.start()
    try:
        record("-a", d=10, f=499, out="out.pb.gz", timeout=60)
    finally:
        for k in killers:
            k.join()
    p = Profile("out.pb.gz")
    check(len(killed) > 5, f"{len(killed)} were killed")
    mine = [s for s in p.samples if s.pid == stays.pid]
    assert_whole(mine)
    assert_truth(p, stays.info, pids=[stays.pid], own=OWN, exact=False)
    for s in p.samples:
        if s.pid in killed:
            check(s.whole() or at_stripped_entry(s) or any(is_reason(n) for n in s.stack),
                  f"begins at {s.stack[0]}, and does not say why:\n{show([s])}")


@case
def a_machine_that_is_noise():
    for kind in ("noise", "endless"):
        t = Target("fake_jvm", argv=[fixture_path("fake_jvm"), "60", kind])
        p = profile(t, d=4)
        n = sum(s.count for s in p.samples)
        check(n > 100, f"{n} samples")
        for s in p.samples:
            check(not managed(s), f"it runs no Java:\n{show([s])}")
        lost = [s for s in p.samples if "main" not in s.stack]
        check(sum(s.count for s in lost) <= 0.01 * n,
              f"code without a file is left by its frame pointer:\n{show(lost)}")
        t.stop()


@case
def hotspot_switched_off():
    """hotspot_enabled = false: no Java frames; the native ones are as good as they get."""
    t = start(java_argv(HOSTS["jdk"], "split"))
    off = names_pushed(t.pid, "hotspot_enabled = false")
    check(off and not any("Truth" in n for n in off), f"without: {off}")
    on = names_pushed(t.pid, "hotspot_enabled = true")
    check(any("Truth.sixty" in n for n in on), f"with: {on}")
