#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Shell and Python files parse; the man page has no errors.
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)

parses() { # FILE
	case $(head -c 64 "$1" | tr -d '\0' | head -1) in
	*bash*) bash -n "$1" ;;
	*'/sh'*) sh -n "$1" ;;
	*python3*) /usr/bin/python3 -c 'import ast, sys; ast.parse(open(sys.argv[1]).read(), sys.argv[1])' "$1" ;;
	*) case $1 in
		*.py) /usr/bin/python3 -c 'import ast, sys; ast.parse(open(sys.argv[1]).read(), sys.argv[1])' "$1" ;;
		esac ;;
	esac
}

if [ "${1:-}" = --self-test ]; then
	tmp=$(mktemp -d) && trap 'rm -rf "$tmp"' EXIT
	printf '#!/bin/bash\nif true; then\n' >"$tmp/a"
	printf '#!/usr/bin/python3\ndef f(:\n' >"$tmp/b"
	for f in a b; do
		if parses "$tmp/$f" 2>/dev/null; then
			echo "self-test: $f must fail"
			exit 1
		fi
	done
	exit 0
fi

failed=0
cd "$root" || exit 1
while IFS= read -r f; do
	parses "$f" || failed=1
done < <(find tests contrib .ci -type f ! -path '*/corpus/*' | sort)
if command -v man >/dev/null && [ -e contrib/man/tephra.1 ]; then
	errors=$(LC_ALL=C.UTF-8 MANROFFSEQ='' MANWIDTH=80 man --warnings -E UTF-8 -l -Tutf8 -Z \
		contrib/man/tephra.1 2>&1 >/dev/null)
	[ -z "$errors" ] || { echo "$errors"; failed=1; }
fi
exit $failed
