#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Our regular expressions beside Go's own: a table of expressions and texts, and random ones.

    regex_differential.py REGEX_LINES ORACLE [NUMBER [SEED]]
"""
import random
import re
import subprocess
import sys

EXPRESSIONS = r'''
(.*) .* .+ [^/]+ ()  ^$ a|b (a)|(b) (a|ab)(c|bcd)(d*) (a+)(b+) x* (?:x*)* (x*)* (|a)* (|a)+ (a|)* (a*)+ (a*?)* (a??)*
(a?)*? (?:(a)|b)* ((a)|(b))* (?:(a)?b)* (a*)*b ((a*)|b)* (?:a*?)+? (()|a)+ ((a|())*)* a{2} a{2,} a{2,4} a{0} a{0,0} a{0,2}
(a){0} (a){0,2} (a|b){2,3}? a{1}{2} a{,2} a{ {2 a{1,a} x{1001} x{1000} x{2,1} (x{100}){11} ((x{10}){10}){10} x{1000000000}
(?i)straSSe (?i)k (?i)[k-l] (?i)s+ (?i)\w+ (?i)[^k] (?i:a)b (?i)ǅ (?i)\pL (?i)\p{Lu} (?i)\x{212a} (?i)[[:upper:]]+ (?-i)A
(?m)^b$ ^b$ (?s). . (?U)a+ (?U)a+? (?i-s:.) (?s-i). (?i)(?-i)a (?ims-U)a ((?i)a)b ((?i)a|b)c a(?i)*
\bfoo\b \Bo \Aa a\z \Z a\Z \Qa.b\E+ \Qa+ \Q\E* \C \1 (a)\1 \8 \07 \123 \x41 \x{41} \x{110000} \x{} \x{g} \xg \x4 \x \_ \- \é \e
\d+ \D+ \s \S \w \W [\d\-x] [\D] [\w-z] [a-\d] [[:alpha:]] [[:^alpha:]] [[:word:]] [[:foo:]] [[:alpha] [[:space:][:digit:]]+
[[:cntrl:]] [[:ascii:]] [[:^ascii:]] [[:punct:]] [[:print:]] [[:graph:]] [[:blank:]] [[:xdigit:]]
[] []] []a] [^]a] [a [a- [a-] [-a] [b-a] [a-a] [^a] [^\x00-\x{10FFFF}] [\x00-\x{10FFFF}] [\Qa\E] [a\] [[a] [é-ü] [^\n]
\pL \pN \p{Greek} \p{^Greek} \P{Greek} \P{^Greek} \p{Lu}\p{Ll} \pZ \p \p{ \p{} \p{Foo} \pX \p{Any} [\pL\d]+ [^\pL] \p{Yi} \p{L} \p{Old_Italic}
(?P<n>a)(?P<m>b) (?P<n>a)|(?P<n>b) (?P<>a) (?P<n (?P<n> (?P<n-m>a) (?P=n) (?P>n) (?Pn) (?P (?i (? (?) (?:) (?:a (?i) (?-) (?-:a) (?i-) (?--i) (?ii)a (?z)
(?=a) (?!a) (?>a) (?#a) (?|a) (?'n'a) (?R) (?1) a++ a*+ a** a?* a*? a+? a?? a??? a{2}? a{2}+ a*{2} * +a ?a |* (*) (|*) ^* $* ^+ \b+ (?:)* (?:^)* (^)*
( ) (( )) (() ()) a) (a a\ \ | || a|| (|) (|a|) (a||b) a(?:b|c)d ab|ac|ad (?:ab|ac)+ abc|abd|x[ab]|x[cd] é+ . [é] \x{e9} ☺|☻
(.+?)(?::\d+)?;(\d+) ([^:]+)(?::\d+)?;(\d+) __meta_kubernetes_pod_label_(.+) (?:/docker/)?([0-9a-f]{12})[0-9a-f]* ^(?s:(.*))$ ^(?s:a)|(b)$
(\w+)-[a-z0-9]{8,10}-[a-z0-9]{5} (.*)-(.*) (.*?)-(.*) ([a-z]+)(\d*)$ (x+x+)+y (a|aa)+$ (.*)(.*)(.*)(.*)z ((a*)*)*b (?:(?:a?){20})a{20}
'''.split()
EXPRESSIONS += ['', ' ', 'a b', '[ ]', '(?i: )', '\x00', '[\x00]', 'a\nb', '(?P<n>a', '(' * 999 + ')' * 999, '(' * 1000 + ')' * 1000,
                '(?i)' + 'ſ', '((((((((((a))))))))))', '(?:' * 50 + 'a*' + ')*' * 50]
TEXTS = ['', 'a', 'b', 'ab', 'ba', 'aa', 'aab', 'abcd', 'aaaa', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'abab', 'xxxxxxxxxxxxxxxxxxxxxxxx', 'xxxxxxy',
         'foo bar', 'a.b', 'a.b.b', 'a+', 'A', 'K', 'K', 's', 'ſ', 'strasse', 'STRAßE', 'ß', 'ẞ', 'ǆ', 'ǅ', 'Ǆ', 'α', 'Ω', 'Ω', 'a\nb', '\n', 'b\n',
         'a\nb\nc', '☺', 'é', 'ü', '\t', '\x7f', '\x00', '-', ']', '[', '\\', '{', 'a{', 'a{,2}', '_', '0', '12', 'A1', '10.1.2.3:80;9090', '10.1.2.3;1',
         '__meta_kubernetes_pod_label_app', '/docker/0123456789abcdef', 'web-7d4b9c6f5d-x2x9z', 'one-two-three', 'ꀀ', '𐌀', '\u2028', '\u00a0']
BAD = [b'\xff', b'a\xffb', b'\xc3', b'\xe2\x98', b'\xed\xa0\x80', b'x\xf4\x90\x80\x80y', b'\xef\xbf\xbd']
TEMPLATES = ['$1', '${1}', '$0-$2', '$n', '${n}x$$', '$1_x', '${1}_x', '$', '${', '${1', '$}', '${}', '$$$1', '$01', '$m$n', 'a$é', '$1é', '$100000000000']


def random_expression(r, depth):
    kind = r.random()
    if depth <= 0 or kind < 0.3:
        return r.choice(['a', 'b', 'c', '.', 'x', '[ab]', '[^a]', r'\w', r'\d', r'\b', '^', '$', '', 'é', r'\pL', '[a-cé]', '(?:)', r'\B', r'\x{fffd}',
                         '(?i:k)', '(?i:É)', r'\s', '[[:alpha:]]', '(?m:^)', '(?m:$)', '(?s:.)'])
    if kind < 0.55:
        return random_expression(r, depth - 1) + random_expression(r, depth - 1)
    if kind < 0.7:
        return random_expression(r, depth - 1) + '|' + random_expression(r, depth - 1)
    group = r.choice(['(', '(?:', '(?P<n>', '(', '(?i:', '(?U:'])
    inner = group + random_expression(r, depth - 1) + ')'
    if kind < 0.8:
        return inner
    return inner + r.choice(['*', '+', '?', '*?', '+?', '??', '{2}', '{0,2}', '{1,3}?', '{2,}', '{0,1}', '{,1}'])


def random_garbage(r):
    return ''.join(r.choice(r'()[]{}|*+?.^$\\abdDwpPxQEzAC0127,:-<>=!PinsUm' + 'é') for _ in range(r.randrange(1, 12)))


def random_text(r):
    return ''.join(r.choice('aaabbbcxk0 é\n-KKÉ') for _ in range(r.randrange(0, 14))).encode()


def cases(number, seed):
    for e in EXPRESSIONS:
        for t in TEXTS:
            yield e.encode(), t.encode(), b'<$0|$1|$2|$n>'
        for t in BAD:
            yield e.encode(), t, b'<$0|$1|$2|$n>'
    for t in TEMPLATES:
        for e in ('(a)(?P<n>b)?', '(?P<n>a)|(?P<n>b)(?P<m>)', 'a', '(?P<1x>a)(b)'):
            yield e.encode(), b'ab', t.encode()
            yield e.encode(), b'b', t.encode()
    for b in BAD:
        yield b, b'a', b'-'
        yield b'[' + b + b']', b, b'-'
        yield b'(?P<' + b + b'>a)', b, b'-'
        yield b'\\p{' + b + b'}', b, b'-'
        yield b'\\Q' + b, b, b'-'
        yield b'\\' + b, b, b'-'
        yield b'a', b'a', b'$1' + b
    r = random.Random(seed)
    for _ in range(number):
        e = random_expression(r, 5).encode()
        if r.random() < 0.3:
            e = random_garbage(r).encode()
        for _ in range(3):
            t = random_text(r)
            if r.random() < 0.1:
                t += r.choice(BAD) + random_text(r)
            yield e, t, b'<$0|$1|$2|$n>'


def readable(line):
    """An error as text. Of a long expression we show the beginning, and invalid bytes we replace."""
    if line[0] == 'E':
        line = bytes.fromhex(line[2:]).decode('utf-8', 'replace')
        line = re.sub('\ufffd+', '\ufffd', line)
        line = line if len(line) < 200 else line[:200].rstrip('.`') + '...'
    return line


def main():
    number = int(sys.argv[3]) if len(sys.argv) > 3 else 20000
    seed = int(sys.argv[4]) if len(sys.argv) > 4 else 1
    # Go 1.22 and later know (?<name>), and 1.19 does not; see regex_test.c.
    work = [c for c in cases(number, seed) if b'(?<' not in c[0]]
    text = '\n'.join(' '.join(w.hex() or '-' for w in c) for c in work) + '\n'
    want = subprocess.run([sys.argv[2]], input=text, capture_output=True, text=True, check=True)
    wrong = 0
    for mode in ('short', 'long'):
        got = subprocess.run([sys.argv[1], mode], input=text, capture_output=True, text=True,
                             check=True)
        for c, a, b in zip(work, want.stdout.splitlines(), got.stdout.splitlines(), strict=True):
            a, b = readable(a), readable(b)
            if a != b:
                wrong += 1
                if wrong < 30:
                    print(f'{mode}: {c[0][:80]!r} in {c[1]!r}, {c[2]!r}: Go {a}, we {b}')
    print(f'{len(work)} cases, twice: {wrong} differ')
    sys.exit(wrong > 0)


main()
