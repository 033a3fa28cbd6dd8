#!/usr/bin/env bash
# The C ABI (ffi/), from the other side: what is exported, the header alone, programs in C and C++
# that misuse it in every way, the same under AddressSanitizer and valgrind, and what is installed.
set -euo pipefail
# Names in the order of their bytes.
export LC_ALL=C
cd "$(dirname "$0")/.."
. scripts/lib.sh
PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"

mkdir -p "${CARGO_TARGET_DIR:-target}"
target=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)
work=$target/ffi
tests=$PWD/ffi/tests/c
include=$PWD/ffi/include
rm -rf "$work"
mkdir -p "$work"

# The programs are C of POSIX; the header itself is strict C99, which is looked at first.
c=(-std=c11 -D_GNU_SOURCE -Wall -Wextra -Wpedantic -Werror -g "-I$include" "-I$work" "-I$tests")
cpp=(-std=c++17 -Wall -Wextra -Wpedantic -Werror -g "-I$include")
programs=(calls values growing layouts handles forks threads)
cpp_programs=(wrapper retries)

# with LIBRARY: what links a program with the shared library in that folder.
with() { printf '%s\n' "-L$1" -loncegate_ffi "-Wl,-rpath,$1" -pthread -ldl; }

# Every compiler that is here.
c_compilers=() cpp_compilers=()
for compiler in gcc clang; do ! have $compiler || c_compilers+=($compiler); done
for compiler in g++ clang++; do ! have $compiler || cpp_compilers+=($compiler); done
[ ${#c_compilers[@]} -gt 0 ] && [ ${#cpp_compilers[@]} -gt 0 ] || die "no compiler for C or C++"

header_alone() {
  say "whether the header is that of the crate"
  cargo test ${LOCKED:-} -q -p oncegate-ffi --test header
  say "the header alone, with ${c_compilers[*]} ${cpp_compilers[*]}"
  printf '#include "oncegate.h"\n#include "oncegate.h"\nextern int unused;\n' > "$work/twice.c"
  printf '#include "oncegate.hpp"\n#include "oncegate.hpp"\n' > "$work/twice.cpp"
  local compiler standard strict=(-pedantic -Wall -Wextra -Werror "-I$include" -fsyntax-only)
  for compiler in "${c_compilers[@]}"; do
    for standard in c99 c11 c17; do "$compiler" -std=$standard "${strict[@]}" "$work/twice.c"; done
  done
  for compiler in "${cpp_compilers[@]}"; do
    for standard in c++17 c++20; do
      "$compiler" -x c++ -std=$standard "${strict[@]}" "$work/twice.c"
      "$compiler" -std=$standard "${strict[@]}" "$work/twice.cpp"
    done
  done
}

# exports LIBRARY: exactly what is listed leaves the library.
exports() {
  say "exported symbols"
  nm -D --defined-only "$1" | awk '{ print $NF }' | sort > "$work/exports"
  diff "$work/exports" ffi/exports.txt >&2 || die "$1 exports other symbols than ffi/exports.txt"
  readelf -d "$1" | grep NODELETE >/dev/null || die "$1 could be unloaded below its own threads"
}

# program NAME LIBRARY SUFFIX FLAGS...
program() {
  local name=$1 library=$2 suffix=$3; shift 3
  # shellcheck disable=SC2046 # flags are words
  cc "${c[@]}" "$@" "$tests/$name.c" -o "$work/$name$suffix" $(with "$library")
}

# run COMMAND...: keeps what it told, and shows it if it fails.
run() {
  "$@" > "$work/last" 2>&1 || { tail -n 40 "$work/last" >&2; die "fails: $*"; }
  grep '^ok ' "$work/last" >> "$work/log" || { cat "$work/last" >&2; die "did not end: $*"; }
}

# reports TEXT COMMAND...: the planted error is found.
reports() {
  local text=$1; shift
  ! "$@" > "$work/last" 2>&1 || die "a planted error was not found by: $*"
  grep -q "$text" "$work/last" || { cat "$work/last" >&2; die "no report of \"$text\": $*"; }
}

plainly() {
  say "programs in C and C++"
  local name
  for name in "${programs[@]}" unload; do program "$name" "$target/debug" ""; done
  for name in "${programs[@]}"; do run "$work/$name"; done
  run "$work/unload" "$target/debug/liboncegate_ffi.so"
  for name in "${cpp_programs[@]}"; do
    # shellcheck disable=SC2046
    "${cpp_compilers[0]}" "${cpp[@]}" "$tests/$name.cpp" -o "$work/$name" $(with "$target/debug")
    run "$work/$name"
  done
}

panicking() {
  say "a library that panics"
  RUSTFLAGS="--cfg oncegate_planted_panic" \
    cargo build ${LOCKED:-} -q -p oncegate-ffi --target-dir "$target/ffi-panics"
  program panics "$target/ffi-panics/debug" ""
  RUST_BACKTRACE=0 run "$work/panics"
}

sanitized() {
  local host; host=$(rustc -vV | sed -n 's/^host: //p')
  case "$host" in
    x86_64-unknown-linux-gnu | aarch64-unknown-linux-gnu) ;;
    *) must_have_run "no AddressSanitizer for $host"; skipped+=("AddressSanitizer"); return ;;
  esac
  say "the same under AddressSanitizer, and C under UndefinedBehaviorSanitizer"
  # The stable compiler has the sanitizer, and takes it for unstable.
  RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address \
    cargo build ${LOCKED:-} -q -p oncegate-ffi --target "$host" --target-dir "$target/ffi-address"
  local library=$target/ffi-address/$host/debug name
  local flags=(-fsanitize=address,undefined -fno-sanitize-recover=undefined)
  for name in "${programs[@]}" overread; do program "$name" "$library" -asan "${flags[@]}"; done
  reports heap-buffer-overflow "$work/overread-asan"
  for name in "${programs[@]}"; do run "$work/$name-asan"; done
  for name in "${cpp_programs[@]}"; do
    # shellcheck disable=SC2046
    c++ "${cpp[@]}" "${flags[@]}" "$tests/$name.cpp" -o "$work/$name-asan" $(with "$library")
    run "$work/$name-asan"
  done
}

under_valgrind() {
  if ! have valgrind; then
    must_have_run "valgrind is not installed"
    skipped+=(valgrind)
    return
  fi
  say "the same under valgrind"
  program overread "$target/debug" ""
  local memcheck=(valgrind -q --error-exitcode=9 --leak-check=full --show-leak-kinds=definite
    --errors-for-leak-kinds=definite)
  reports 'Invalid read' "${memcheck[@]}" "$work/overread"
  local name
  for name in calls values growing layouts "${cpp_programs[@]}"; do
    run "${memcheck[@]}" "$work/$name"
  done
  run "${memcheck[@]}" "$work/threads" 2 1
}

# example NAME PROGRAM COMMAND...: builds an example, and runs it.
example() {
  local name=$1; shift
  "$@" -o "$work/$name"
  LD_LIBRARY_PATH=$libdir "$work/$name" > "$work/last" 2>&1 ||
    { cat "$work/last" >&2; die "the example $name fails"; }
  built+=("$name")
}

# block LANGUAGE NUMBER: code of the page.
block() { awk -v language="$1" -v block="$2" -f scripts/doc-code.awk docs/c.md; }

installed() {
  if ! have cargo-capi || ! have pkg-config || ! have cmake; then
    must_have_run "cargo-c, pkg-config or CMake is not installed"
    skipped+=("what is installed: it needs cargo-c, pkg-config and CMake")
    return
  fi
  say "what make install-c installs"
  local prefix=$work/prefix libdir built=()
  make --no-print-directory install-c PREFIX="$prefix" LIBDIR=lib LOCKED="${LOCKED:-}" \
    > "$work/last" 2>&1 || { tail -n 40 "$work/last" >&2; die "make install-c fails"; }
  libdir=$prefix/lib
  exports "$libdir/liboncegate.so"
  readelf -d "$libdir/liboncegate.so" | grep 'SONAME.*\[liboncegate\.so\.[0-9.]*\]' >/dev/null ||
    die "the shared library has no SONAME with a version"

  # Nothing but a compiler and pkg-config.
  export PKG_CONFIG_PATH=$libdir/pkgconfig
  local flags libraries private
  flags=$(pkg-config --cflags oncegate)
  libraries=$(pkg-config --libs oncegate)
  private=$(pkg-config --static --libs oncegate | sed 's/-loncegate *//')
  # shellcheck disable=SC2086 # flags are words
  {
    example charge cc -std=c99 $flags ffi/examples/charge.c $libraries
    example charge-static cc -std=c99 $flags ffi/examples/charge.c "$libdir/liboncegate.a" $private
    example charge-cpp "${cpp_compilers[0]}" -std=c++17 $flags ffi/examples/charge.cpp $libraries
  }
  ldd "$work/charge" | grep liboncegate >/dev/null || die "the example is not linked to the library"
  ! ldd "$work/charge-static" | grep liboncegate >/dev/null ||
    die "the static example is not static"

  say "the programs of docs/c.md"
  # shellcheck disable=SC2086
  {
    block c 1 > "$work/page.c"
    example page-c cc -std=c99 -Wall -Wextra -Werror $flags "$work/page.c" $libraries
    diff <(block text 1) "$work/last" >&2 || die "docs/c.md tells something else than it does"
    block c 2 > "$work/shared.c"
    cc -std=c99 -Wall -Wextra -Werror $flags -c "$work/shared.c" -o "$work/shared.o"
    block cpp 1 > "$work/page.cpp"
    example page-cpp c++ -std=c++17 -Wall -Wextra -Werror $flags "$work/page.cpp" $libraries
    diff <(block text 2) "$work/last" >&2 || die "docs/c.md tells something else than it does"
  }

  say "the examples by CMake"
  cmake -S ffi/examples -B "$work/cmake" -DCMAKE_PREFIX_PATH="$prefix" > "$work/last" &&
    cmake --build "$work/cmake" >> "$work/last" &&
    ctest --test-dir "$work/cmake" --output-on-failure >> "$work/last" ||
    { cat "$work/last" >&2; die "the examples cannot be built by CMake"; }
  installs="; installed: ${#built[@]} programs by pkg-config, \
$(sed -n 's/^100% tests passed.* out of \([0-9]*\)$/\1/p' "$work/last") by CMake"
}

installs=
skipped=()
if have redis-server; then
  programs+=(fleet) cpp_programs+=(hosts)
else
  must_have_run "redis-server is not installed"
  skipped+=("engines that share a Redis: it needs redis-server")
fi
cargo build ${LOCKED:-} -q -p oncegate-ffi
awk -f "$tests/calls.awk" "$tests/nullable.txt" ffi/exports.txt "$include/oncegate.h" \
  > "$work/calls.inc"
awk -f "$tests/layouts.awk" "$include/oncegate.h" > "$work/layouts.inc"
header_alone
exports "$target/debug/liboncegate_ffi.so"
plainly
panicking
sanitized
under_valgrind
installed

checks=$(awk '{ n += $(NF - 1) } END { print n }' "$work/log")
runs=$(wc -l < "$work/log")
symbols=$(wc -l < ffi/exports.txt)
count=$((${#programs[@]} + ${#cpp_programs[@]} + 2))
note ffi "header strict and fresh, $symbols symbols; $checks checks in $runs runs of $count" \
  "programs in C and C++, AddressSanitizer and valgrind among them$installs"
for each in "${skipped[@]}"; do note ffi "SKIPPED: $each"; done
