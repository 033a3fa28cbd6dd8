#!/usr/bin/env bash
# What a call costs from each language, beside a call that does nothing in the same language and
# the same work in Rust, in one run: a table of medians, with the least and the greatest round.
#   ROUNDS=9 scripts/bench-foreign.sh
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"

rounds=${ROUNDS:-7}
mkdir -p "${CARGO_TARGET_DIR:-target}"
target=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)
work=$target/foreign
rm -rf "$work"
mkdir -p "$work"

# A table that the caches hold, and one that they do not.
small=1024
large=1048576

# add LANGUAGE SIZE: lines of a call's name and nanoseconds.
add() { sed "s/^/$1 $2 /" >> "$work/times"; }

say "Rust and C, $rounds rounds in turns"
cargo build ${LOCKED:-} --release --quiet -p oncegate-paths -p oncegate-ffi
cc -std=c11 -O2 -Wall -Wextra -Werror -Iffi/include benches/foreign/crossing.c -o "$work/crossing" \
  -L"$target/release" -loncegate_ffi -Wl,-rpath,"$target/release"
for _ in $(seq "$rounds"); do
  for size in $small $large; do
    "$target/release/crossing" 1 $size | add Rust $size
    "$work/crossing" 1 $size | add C $size
  done
done

if has_go; then
  say "Go"
  scripts/go.sh library 2> "$work/log"
  (cd bindings/go && go test -run '^$' -bench Crossing -count "$rounds" .) > "$work/go"
  awk -v small=$small '/^BenchmarkCrossing/ {
    size = match($1, /records=[0-9]+/) ? substr($1, RSTART + 8, RLENGTH - 8) : small
    match($1, /what=[a-z0-9]+/)
    print "Go", size, substr($1, RSTART + 5, RLENGTH - 5), $3 }' "$work/go" >> "$work/times"
fi

if have mvn && jdk 17 1000 > /dev/null; then
  say "Java"
  for _ in $(seq $(((rounds + 2) / 3))); do
    BENCHMARKS='trivial|replayHashed.*' scripts/java.sh bench 2> "$work/log"
  done > "$work/java"
  awk -v small=$small '
    # Maven leaves colours behind.
    { gsub(/\033\[[0-9;]*m/, "") }
    { of = $1 == "ffm" ? "Java,foreign" : "Java,JNA" }
    $2 == "trivial" { print of, small, "trivial", $NF }
    $2 == "replayHashed" { print of, $3, "single", $NF }
    $2 == "replayHashedBatch" { print of, $3, "batch64", $NF }' "$work/java" >> "$work/times"
fi

sort -k1,3 -k4n "$work/times" | awk -f scripts/medians.awk
