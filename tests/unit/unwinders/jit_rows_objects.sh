#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Compiles shapes of frames as JITs register them, and links the same code: jit_rows_objects.sh
# SOURCE OUTDIR STAMP
set -e
source=$(realpath "$1") out=$2 stamp=$3
mkdir -p "$out"
make_form() {
	name=$1
	shift
	gcc -O1 -fomit-frame-pointer "$@" -c -o "$out/$name.o" "$source"
	gcc -shared -o "$out/$name.so" "$out/$name.o"
}
make_form eh -fPIC
make_form eh_large -fPIC -mcmodel=large
make_form debug -fPIC -g -fno-asynchronous-unwind-tables -fno-unwind-tables
make_form other -fPIC -DROOM=4000
gcc -O1 -fPIC -fno-asynchronous-unwind-tables -fno-unwind-tables -c -o "$out/none.o" "$source"
touch "$stamp"
