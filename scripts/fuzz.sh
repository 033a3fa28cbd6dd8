#!/usr/bin/env bash
# Fuzzes every target for a while, from the committed corpus on.
#   SECONDS_EACH=20   how long each target runs
#   TARGET=           one target; all without it
#   CALLS=1000000     how often the target of the C ABI runs instead, by two fuzzers at once
#   SANITIZER=none    or address, for which the stable compiler is told to take nightly's flags
# What is found on the way stays in the target folder. An input that breaks a promise is left in
# fuzz/artifacts, which Git ignores.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"

each=${SECONDS_EACH:-20}
calls=${CALLS:-1000000}
sanitizer=${SANITIZER:-none}

# skip REASON: nothing is fuzzed here, and the summary says so.
skip() {
  must_have_run "$1"
  say "SKIPPED: $1"
  note fuzz "SKIPPED: $1"
  exit 0
}

[ "$(uname -s)" = Linux ] || skip "libFuzzer is set up for Linux only"
have c++ || have g++ || skip "libFuzzer needs a C++ compiler (make setup installs it)"
have cargo-fuzz || skip "cargo-fuzz is not installed (make setup installs it)"

cargo metadata ${LOCKED:-} --format-version 1 >/dev/null
folder="${CARGO_TARGET_DIR:-target}/fuzz"
# The region is one map, and the engine's unsafe code is there: the address sanitizer sees no bounds
# in it, and halves the speed. Link-time optimisation would take minutes more than it saves.
export CARGO_PROFILE_RELEASE_LTO=off
[ "$sanitizer" = none ] || export RUSTC_BOOTSTRAP=1
build=(--sanitizer "$sanitizer" --target-dir "$folder/$sanitizer")

targets=(${TARGET:-$(cargo fuzz list)})
say "building ${#targets[@]} fuzz targets (a minute or two the first time)"
cargo fuzz build "${build[@]}" ${TARGET:-}

# fuzz TARGET LOG OPTION...: runs the fuzzer on all that is known of a target.
fuzz() {
  local target=$1 log=$2 found="$folder/corpus/$1" seed=$((RANDOM * 32768 + RANDOM + 1))
  shift 2
  local options=(-max_len=4096 -timeout=20 -verbosity=0 -print_final_stats=1 -seed="$seed")
  [ -f "fuzz/dictionaries/$target" ] && options+=(-dict="fuzz/dictionaries/$target")
  mkdir -p "$found"
  say "$target, -seed=$seed $*"
  cargo fuzz run "${build[@]}" "$target" "$found" fuzz/corpus/"$target" fuzz/regressions/"$target" \
    -- "${options[@]}" "$@" >"$log" 2>&1
}

told=()
for target in "${targets[@]}"; do
  log="$folder/$target.log"
  logs=("$log")
  failed=
  if [ "$target" = ffi_calls ] && [ "$sanitizer" = none ]; then
    # So many runs rather than a time: what the header promises is tried a million times.
    logs=("$log.1" "$log.2")
    # Short ones: most of a run is its calls, and what a call does depends on few before it.
    fuzz "$target" "${logs[0]}" -max_len=256 -runs=$((calls / 2)) &
    first=$!
    RANDOM=$$
    fuzz "$target" "${logs[1]}" -max_len=256 -runs=$((calls - calls / 2)) || failed=1
    wait "$first" || failed=1
  else
    fuzz "$target" "$log" -max_total_time="$each" || failed=1
  fi
  if [ -n "$failed" ]; then
    tail -n 60 "${logs[@]}" >&2
    die "$target broke; repeat it: cargo run -p oncegate-fuzz --bin $target -- FILE (named above)"
  fi
  runs=$(awk '/^stat::number_of_executed_units/ { runs += $2 } END { print runs }' "${logs[@]}")
  told+=("$target $runs")
done
# A fuzzer that is ended in the middle of an input leaves its table.
rm -f /dev/shm/oncegate-fuzz-*
inputs=$(find fuzz/corpus fuzz/regressions -type f -printf '%s\n' |
  awk '{ bytes += $1 } END { printf "%d inputs of %d KiB", NR, bytes / 1024 }')
list=$(printf ', %s' "${told[@]}")
note fuzz "runs in $each s each, ffi_calls for as long as it takes: ${list#, }; from $inputs"
