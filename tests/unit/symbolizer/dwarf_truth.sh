#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds truth.c in every form of debug information: dwarf_truth.sh SOURCE OUTDIR STAMP
set -e
source=$(realpath "$1") out=$2 stamp=$3
rm -rf "$out"
mkdir -p "$out/split4" "$out/split5" "$out/splitclang"
for v in 2 3 4 5; do
	gcc -O2 -gdwarf-$v -o "$out/gcc$v" "$source"
	clang -O2 -gdwarf-$v -o "$out/clang$v" "$source"
done
gcc -O2 -gdwarf-5 -gdwarf64 -o "$out/gcc64" "$source"
gcc -O2 -g -gz=zlib -o "$out/zlib" "$source"
gcc -O2 -g -gz=zlib-gnu -o "$out/gnu" "$source"
objcopy --compress-debug-sections=zstd "$out/gcc5" "$out/zstd" 2>/dev/null || cp "$out/zlib" "$out/zstd"
objcopy --only-keep-debug "$out/gcc5" "$out/separate"
for v in 4 5; do
	(cd "$out/split$v" && gcc -O2 -gdwarf-$v -gsplit-dwarf -c -o truth.o "$source" && gcc -o ../gccsplit$v truth.o)
done
(cd "$out/splitclang" && clang -O2 -gdwarf-5 -gsplit-dwarf -c -o truth.o "$source" && clang -o ../clangsplit truth.o)
(cd "$out/split4" && dwp -e ../gccsplit4 -o ../gccsplit4.dwp)
# dwz moves what two files share into a third one.
cp "$out/gcc4" "$out/dwz4"
cp "$out/gcc4" "$out/dwz4b"
dwz -m "$out/dwz4.alt" "$out/dwz4" "$out/dwz4b"
touch "$stamp"
