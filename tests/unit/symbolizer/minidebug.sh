#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# minidebug.sh PROGRAM DIR STAMP: a stripped copy of PROGRAM with MiniDebugInfo, DIR/mini, made as
# rpm's scripts/find-debuginfo.sh makes it: the function symbols that are not in .dynsym.
set -eu
program=$1 dir=$2 stamp=$3
mkdir -p "$dir"
cd "$dir"
nm -D "$program" --format=posix --defined-only | awk '{print $1}' | sort -u >dynsyms
nm "$program" --format=posix --defined-only | awk '$2 ~ /^[TtD]$/ {print $1}' | sort -u >funcsyms
comm -13 dynsyms funcsyms >keep
objcopy --only-keep-debug "$program" debug
objcopy -S --remove-section .gdb_index --remove-section .comment --keep-symbols=keep debug mini.elf
rm -f mini.elf.xz
xz mini.elf
objcopy --strip-all "$program" stripped
cp stripped mini
objcopy --add-section .gnu_debugdata=mini.elf.xz mini
: >"$stamp"
