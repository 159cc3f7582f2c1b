#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Compiles registered.c in the forms that JITs register: gdb_jit_objects.sh SOURCE OUTDIR STAMP
set -e
source=$(realpath "$1") out=$2 stamp=$3
mkdir -p "$out"
for v in 2 4 5; do
	gcc -O1 -gdwarf-$v -DFIRST=first -c -o "$out/gcc$v.o" "$source"
done
for v in 4 5; do
	clang -O1 -gdwarf-$v -DFIRST=first -c -o "$out/clang$v.o" "$source"
done
gcc -O1 -g -gz=zlib -DFIRST=first -c -o "$out/zlib.o" "$source"
gcc -O1 -g -DFIRST=newer -c -o "$out/renamed.o" "$source"
touch "$stamp"
