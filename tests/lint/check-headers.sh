#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every header compiles alone: for the host, or for BPF when it is one of the kernel side's. Not
# bpf/walk.h: it is a template, whose includer says first how memory is read (WALK_ENV).
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
# What the build generates, without its contents.
generated=$(mktemp -d)
trap 'rm -rf "$generated"' EXIT
mkdir "$generated/bpf"
: >"$generated/bpf/runtimes.inc"

alone() { # ROOT HEADER
	local flags="-std=gnu17 -D_GNU_SOURCE -fsyntax-only -Wall -Werror -Wno-unused -I$generated"
	local host="gcc $flags -I$1" bpf="clang $flags -Wno-pragma-once-outside-header -target bpf -D__TARGET_ARCH_x86 -I$1"
	bpf+=" -isystem /usr/include/$(gcc -print-multiarch)"
	case $2 in
	# Registers of another machine, which the kernel's headers for it describe.
	*arm64.bpf.h)
		local arm=/usr/aarch64-linux-gnu/include
		[ -e $arm/asm/ptrace.h ] || return 0
		bpf=${bpf/TARGET_ARCH_x86/TARGET_ARCH_arm64}
		printf '#include "%s"\n' "$2" | ${bpf/isystem/isystem $arm -isystem} -x c -
		;;
	# Only the kernel side includes these.
	*.bpf.h | bpf/kernel.h) printf '#include "%s"\n' "$2" | $bpf -x c - ;;
	# Both sides do.
	bpf/*.h)
		printf '#include "%s"\n' "$2" | $host -x c - &&
			printf '#include "%s"\n' "$2" | $bpf -x c -
		;;
	*) printf '#include "%s"\n' "$2" | $host -x c - ;;
	esac
}

if [ "${1:-}" = --self-test ]; then
	tmp=$(mktemp -d) && trap 'rm -rf "$tmp" "$generated"' EXIT
	mkdir "$tmp/agent"
	echo 'uint32_t needs_stdint;' >"$tmp/agent/bad.h"
	echo 'struct good { int x; };' >"$tmp/agent/good.h"
	if alone "$tmp" agent/bad.h 2>/dev/null || ! alone "$tmp" agent/good.h; then
		echo "self-test: bad.h must fail and good.h must not"
		exit 1
	fi
	exit 0
fi

failed=0
cd "$root" || exit 1
while IFS= read -r header; do
	if ! out=$(alone "$root" "$header" 2>&1); then
		printf '%s does not compile alone:\n%s\n' "$header" "$out"
		failed=1
	fi
done < <(find agent bpf symbolizer unwinders discovery -name '*.h' ! -path bpf/walk.h | sort)
exit $failed
