#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes unicode_tables.c from the Unicode Character Database (Debian package unicode-data 15.0).

    agent/relabel/unicode_tables.py [/usr/share/unicode] > agent/relabel/unicode_tables.c
    clang-format -i agent/relabel/unicode_tables.c

Version 15.0.0 is that of Go 1.21 to 1.25, with which Grafana Alloy is built.
"""
import sys

MAX = 0x110000
CATEGORIES = ('Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Co '
              'Cs').split()


def database(path):
    """category, lower and upper of each code point."""
    category, lower, upper, first = [''] * MAX, {}, {}, None
    for line in open(path + '/UnicodeData.txt', encoding='ascii'):
        f = line.split(';')
        c = int(f[0], 16)
        if f[1].endswith('First>'):
            first = c
            continue
        for i in range(first if first is not None else c, c + 1):
            category[i] = f[2]
        first = None
        if f[12]:
            upper[c] = int(f[12], 16)
        if f[13]:
            lower[c] = int(f[13], 16)
    return category, lower, upper


def scripts(path):
    of = [''] * MAX
    for line in open(path + '/Scripts.txt', encoding='utf-8'):
        line = line.split('#')[0].strip()
        if line:
            span, name = [x.strip() for x in line.split(';')]
            a, _, b = span.partition('..')
            for i in range(int(a, 16), int(b or a, 16) + 1):
                of[i] = name
    return of


def orbits(path, lower, upper):
    """Pairs (character, next of its orbit) where lower-case, else upper-case is not the answer."""
    group = {}
    for line in open(path + '/CaseFolding.txt', encoding='utf-8'):
        f = [x.strip() for x in line.split('#')[0].split(';')]
        if len(f) > 2 and f[1] in 'CS':
            to = int(f[2], 16)
            group.setdefault(to, {to}).add(int(f[0], 16))
    following = {}
    for members in group.values():
        m = sorted(members)
        for i, c in enumerate(m):
            following[c] = m[(i + 1) % len(m)]
    special = {}
    for c in set(following) | set(lower) | set(upper):
        plain = lower.get(c, c)
        plain = upper.get(c, c) if plain == c else plain
        if following.get(c, c) != plain:
            special[c] = following.get(c, c)
    return special


def starts(of, index):
    """Where a run of one value begins: first << 8 | value; 0 is none."""
    out, last = [], None
    for c in range(MAX):
        v = index[of[c]] if of[c] else 0
        if v != last:
            out.append(c << 8 | v)
            last = v
    return out


def runs(mapping):
    """[first, last, stride, distance] with the same distance at each stride."""
    out = []
    for c in sorted(mapping):
        d = mapping[c] - c
        if out and out[-1][3] == d:
            r = out[-1]
            if r[0] == r[1] and c - r[1] in (1, 2):
                r[1], r[2] = c, c - r[1]
                continue
            if r[0] != r[1] and c - r[1] == r[2]:
                r[1] = c
                continue
        out.append([c, c, 1, d])
    return out


def numbers(name, values):
    print(f'const uint32_t {name}[] = {{')
    print(', '.join(f'0x{v:x}' for v in values))
    print('};')
    print(f'const size_t {name}_n = {len(values)};\n')


def cases(name, mapping):
    r = runs(mapping)
    print(f'const struct unicode_run {name}[] = {{')
    print(', '.join(f'{{0x{a:x}, 0x{b:x}, {s}, {d}}}' for a, b, s, d in r))
    print('};')
    print(f'const size_t {name}_n = {len(r)};\n')


def main():
    path = sys.argv[1] if len(sys.argv) > 1 else '/usr/share/unicode'
    category, lower, upper = database(path)
    script = scripts(path)
    names = sorted({s for s in script if s})
    print('/* SPDX-License-Identifier: Apache-2.0 */')
    print('/* Made by unicode_tables.py from the Unicode Character Database 15.0.0. Do not edit.')
    print(' * lint: long file: generated tables of numbers */')
    print('#include "agent/relabel/unicode_tables.h"\n')
    print('const char *const unicode_category_names[] = {"", ' +
          ', '.join(f'"{c}"' for c in CATEGORIES) + '};')
    print(f'const size_t unicode_category_names_n = {len(CATEGORIES) + 1};\n')
    print('const char *const unicode_script_names[] = {"", ' +
          ', '.join(f'"{s}"' for s in names) + '};')
    print(f'const size_t unicode_script_names_n = {len(names) + 1};\n')
    numbers('unicode_categories', starts(category, {c: i + 1 for i, c in enumerate(CATEGORIES)}))
    numbers('unicode_scripts', starts(script, {s: i + 1 for i, s in enumerate(names)}))
    cases('unicode_lower', lower)
    cases('unicode_upper', upper)
    cases('unicode_orbits', orbits(path, lower, upper))


main()
