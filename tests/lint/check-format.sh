#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every C file is as .clang-format says, by the version that Debian 12 has.
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
format=$(command -v clang-format-14 || command -v clang-format) || {
	echo "SKIP: clang-format is not installed"
	exit 77
}

if [ "${1:-}" = --self-test ]; then
	tmp=$(mktemp -d) && trap 'rm -rf "$tmp"' EXIT
	cp "$root/.clang-format" "$tmp/"
	printf 'int f( void ){ return 1; }\n' >"$tmp/bad.c"
	if "$format" --dry-run -Werror "$tmp/bad.c" 2>/dev/null; then
		echo "self-test: bad.c must fail"
		exit 1
	fi
	exit 0
fi

cd "$root" || exit 1
find agent bpf symbolizer unwinders discovery tests -name '*.[ch]' -print0 | sort -z |
	xargs -0 "$format" --dry-run -Werror 2>&1 | grep -o '^[^:]*:[0-9]*:.*error:' |
	awk -F: '{ n[$1]++; if (!($1 in at)) at[$1] = $2 } END { for (f in n)
		printf "%s:%d: not formatted (%d places): clang-format -i %s\n", f, at[f], n[f], f }' | sort
[ "${PIPESTATUS[2]}" = 0 ]
