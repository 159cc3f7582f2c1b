# SPDX-License-Identifier: Apache-2.0
"""Complete, correctly ordered stacks: languages, ways of linking, depths, kinds of frames."""

from lib import (Target, assert_chains, assert_complete, assert_sample_count, assert_share,
                 case, check, is_complete, is_reason, matches_chain, measured, name_matches,
                 record_target)


def whole_stacks(name, *args, f=499, d=3, **kw):
    """The usual test: sampled as often as it ran, complete, and every chain in order."""
    t = Target(name, *args)
    r = record_target(t, f=f, d=d)
    folded = r.folded()
    assert_sample_count(folded, r.cpu_range, f)
    assert_complete(folded)
    assert_chains(folded, t.chains, **kw)
    return t, folded


def known_split():
    t = Target("split", 5)
    folded = record_target(t, d=10, f=997, expect=0).folded()
    truth = t.finish()["shares"]
    assert_complete(folded)
    own = folded.only(lambda s: "split_round" in s)
    check(own.total >= 0.99 * folded.total, f"other work:\n{folded.show()}")
    for name, share in truth.items():
        assert_share(own, name, share["cpu"])


@case
def known_split_is_within_the_binomial_bound():
    measured(known_split)


@case
def c_without_frame_pointers():
    whole_stacks("chain")


@case
def cpp_exceptions_virtuals_templates_threads():
    whole_stacks("cxx", d=4, other=0.08)


@case
def rust_closures_generics_threads():
    whole_stacks("rust", d=4)


@case
def go_goroutines():
    whole_stacks("golang", d=4)


def musl(name):
    # Debian's musl has no unwind information for its own code: it is analysed.
    t = Target(name)
    folded = record_target(t).folded()
    assert_complete(folded)
    assert_chains(folded, t.chains)
    # Its memset() has no size, and what lies behind it is not exported: that must not be memset().
    check(not folded.containing("memset").total, f"a frame has another's name:\n{folded.show()}")


@case
def musl_dynamic():
    musl("chain_musl")


@case
def musl_static():
    musl("chain_musl_static")


@case
def static_glibc():
    whole_stacks("chain_static")


@case
def static_pie():
    whole_stacks("chain_static_pie")


@case
def not_pie():
    whole_stacks("chain_nopie")


@case
def frame_pointers_only():
    """No unwind information in the program at all: its frame pointer chain leads to libc."""
    t = Target("chain_fponly")
    folded = record_target(t).folded()
    assert_chains(folded, t.chains)
    # The last frame before libc's own may be _start, without rules and with rbp = 0.
    assert_complete(folded, at_least=0.98)


@case
def neither_rules_nor_frame_pointers_says_so():
    """Nothing to walk by: the leaf, a visible reason, and no invented caller."""
    t = Target("chain_bare")
    folded = record_target(t).folded()
    leaf = folded.containing("chain_leaf")
    check(leaf.total > 0.9 * folded.total, f"the leaf is not seen:\n{folded.show()}")
    for stack, _ in leaf.stacks:
        at = stack.index("chain_leaf")
        outer = stack[:at]
        honest = any(is_reason(f) for f in outer)
        true_chain = any(matches_chain(stack, c) for c in t.chains)
        check(honest or true_chain, "a stack without a reason and without its callers: "
              + ";".join(stack))


@case
def stripped_program_keeps_module_and_offset():
    t = Target("chain_stripped")
    folded = record_target(t).folded()
    assert_complete(folded, complete=lambda s: not any(is_reason(f) for f in s))
    named = folded.count(lambda s: any(f.startswith("chain_stripped+0x") for f in s))
    check(named >= 0.99 * folded.total, f"frames of a stripped file:\n{folded.show()}")


def depth(n, program="deep"):
    t, folded = whole_stacks(program, "60", str(n), d=3)
    whole = [f for f in t.chains[0]]
    exact = folded.count(lambda s: _contains_run(s, whole))
    check(exact >= 0.99 * folded.containing("deep_leaf").total,
          f"frames are missing or out of order:\n{folded.show(3)}")


def _contains_run(stack, run):
    """The chain without any other frame in it (libc's lie outside)."""
    for i in range(len(stack) - len(run) + 1):
        if stack[i] == run[0]:
            return stack[i:i + len(run)] == run
    return False


@case
def thirty_one_frames():
    depth(26)


@case
def one_hundred_and_one_frames():
    depth(96)


@case
def five_hundred_frames():
    depth(500)


@case
def three_thousand_frames():
    depth(3000)


@case
def frame_pointer_build_of_the_deep_stack():
    depth(96, "deep_fp")


@case
def deeper_than_the_limit_is_cut_visibly():
    t = Target("deep", "60", "4000")
    folded = record_target(t).folded()
    leaf = folded.containing("deep_leaf")
    check(leaf.total > 0.9 * folded.total, f"the leaf is not seen:\n{folded.show(3)}")
    deep_enough = 0
    for stack, n in leaf.stacks:
        own = [f for f in stack if f[0] == "f" and f[1:].isdigit()]
        deep_enough += n if len(own) >= 3000 else 0
        check(len(own) >= 4000 or any(is_reason(f) for f in stack),
              "a cut stack has no frame that says so: " + ";".join(stack[:5]))
        order = [int(f[1:]) for f in own]
        check(all((b - a) % 128 == 1 for a, b in zip(order, order[1:])), "frames out of order")
    # The first sight of a file walks a bounded copy of the stack; after that all of it is there.
    check(deep_enough >= 0.99 * leaf.total, f"{deep_enough} of {leaf.total} have 3,000 frames")


@case
def signal_handlers_on_both_stacks():
    t, folded = whole_stacks("signals", d=4, other=0.1)
    through = folded.count(lambda s: matches_chain(
        s, ["main", "sig_interrupted", "sig_on_normal_stack"]))
    check(through > 15, f"{through} samples through an interrupted function")


@case
def vdso_is_named_and_complete():
    t = Target("vdso")
    folded = record_target(t).folded()
    assert_complete(folded)
    check(folded.count(lambda s: matches_chain(s, ["main", "vdso_loop"])) > 0.95 * folded.total,
          folded.show())
    inside = folded.count(lambda s: any("clock_gettime" in f for f in s[-3:]))
    check(inside > 0.3 * folded.total, f"the vDSO's function is not named:\n{folded.show()}")


@case
def lazy_binding_and_stubs():
    t = Target("plt")
    folded = record_target(t, f=997).folded()
    assert_complete(folded)
    for c in (["main", "plt_loop"], ["main", "plt_resolve"]):
        check(folded.count(lambda s: matches_chain(s, c)) > 15, folded.show())
    # The resolver calls from inside the stub: main > plt_resolve > plt_a_bind_all > libc/ld.so.
    deep = folded.count(lambda s: matches_chain(s, ["main", "plt_resolve", "plt_a_bind_all"])
                        and s[-1] != "plt_a_bind_all")
    check(deep > 10, f"no stack goes through the resolver:\n{folded.show(30)}")


@case
def library_without_frame_pointers_calls_back():
    whole_stacks("mixed")


@case
def alloca_alignment_tail_calls_longjmp_coroutines():
    t = Target("frames")
    folded = record_target(t, f=997, d=4).folded()
    # A frame of more than 4 MiB may end in a reason, and so may a coroutine: makecontext() makes
    # its caller up. Everything else must be whole.
    usual = folded.only(lambda s: "huge_frame" not in s)
    assert_complete(usual.only(lambda s: "coroutine" not in s))
    assert_chains(usual, [c for c in t.chains if "huge_frame" not in c], other=0.08)
    for stack, _ in folded.containing("huge_frame").stacks:
        check(matches_chain(stack, ["main", "huge_frame"]) or any(is_reason(f) for f in stack),
              "a huge frame ends a stack silently: " + ";".join(stack))
    check(folded.count(lambda s: "tail_start" in s) <= 0.002 * folded.total,
          "a caller that jumped away was invented")


@case
def main_thread_gone():
    t = Target("headless")
    folded = record_target(t).folded()
    assert_chains(folded, t.chains)
    assert_complete(folded)


@case
def random_memory_load():
    whole_stacks("thrash", d=2)
