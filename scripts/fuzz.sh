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

# An input takes milliseconds, and one that hangs takes for ever: between them is what a virtual
# machine may stand still.
patience=-timeout=60

# Tables that a fuzzer left which was ended in the middle of an input; another one's are in use.
swept() {
  local table pid
  for table in /dev/shm/oncegate-fuzz-*; do
    pid=${table##*/oncegate-fuzz-}
    [ -d "/proc/${pid%%-*}" ] || rm -f "$table"
  done
}
trap swept EXIT

targets=(${TARGET:-$(cargo fuzz list)})
say "building ${#targets[@]} fuzz targets (a minute or two the first time)"
cargo fuzz build "${build[@]}" ${TARGET:-}

# fuzz TARGET LOG OPTION...: runs the fuzzer on all that is known of a target.
fuzz() {
  local target=$1 log=$2 found="$folder/corpus/$1" seed=$((RANDOM * 32768 + RANDOM + 1))
  shift 2
  local options=(-max_len=4096 "$patience" -verbosity=0 -print_final_stats=1 -seed="$seed")
  [ -f "fuzz/dictionaries/$target" ] && options+=(-dict="fuzz/dictionaries/$target")
  mkdir -p "$found"
  say "$target, -seed=$seed $*"
  printf '%s\n' "-seed=$seed $*" >"$log"
  cargo fuzz run "${build[@]}" "$target" "$found" fuzz/corpus/"$target" fuzz/regressions/"$target" \
    -- "${options[@]}" "$@" >>"$log" 2>&1
}

# broke TARGET LOG...: notes what is known of the fuzzers that failed, each by its log, since there
# may be nothing to look at but the summary; and stops.
broke() {
  local target=$1 log input
  shift
  for log in "$@"; do
    say "the end of $log"
    tail -n 60 "$log" >&2
    note fuzz "FAILED: $target, $(head -n 1 "$log")"
    grep -m 1 '^SUMMARY: ' "$log" | noted || tail -n 3 "$log" | noted
    # What was panicked with, up to the backtrace.
    awk '/ panicked at / { said = 1 } /^(note: run with|stack backtrace:|==[0-9]+==)/ { said = 0 }
         said && lines++ < 8' "$log" | cut -c 1-600 | noted || true
    input=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
    if [ -f "$input" ]; then
      note fuzz "its input: echo $(base64 -w 0 "$input") | base64 -d >${input##*/}"
      # Where it keeps its promises, the reason lies in what ran before it, or in the machine.
      if cargo fuzz run "${build[@]}" "$target" "$input" -- "$patience" >"$log.alone" 2>&1; then
        note fuzz "alone: it keeps its promises, in $(sed -n 's/^Executed .* in //p' "$log.alone")"
      else
        note fuzz "alone: it breaks again"
      fi
    fi
  done
  die "$target broke; repeat it: cargo run -p oncegate-fuzz --bin $target -- FILE (named above)"
}

# noted: notes each line of its input; false where there is none.
noted() {
  local line any=1
  while IFS= read -r line; do
    note fuzz "$line"
    any=0
  done
  return "$any"
}

told=()
for target in "${targets[@]}"; do
  log="$folder/$target.log"
  logs=("$log")
  failed=()
  if [ "$target" = ffi_calls ] && [ "$sanitizer" = none ]; then
    # So many runs rather than a time: what the header promises is tried a million times.
    logs=("$log.1" "$log.2")
    # Short ones: most of a run is its calls, and what a call does depends on few before it.
    fuzz "$target" "${logs[0]}" -max_len=256 -runs=$((calls / 2)) &
    first=$!
    RANDOM=$$
    fuzz "$target" "${logs[1]}" -max_len=256 -runs=$((calls - calls / 2)) || failed+=("${logs[1]}")
    wait "$first" || failed+=("${logs[0]}")
  else
    fuzz "$target" "$log" -max_total_time="$each" || failed+=("$log")
  fi
  [ ${#failed[@]} -eq 0 ] || broke "$target" "${failed[@]}"
  runs=$(awk '/^stat::number_of_executed_units/ { runs += $2 } END { print runs }' "${logs[@]}")
  told+=("$target $runs")
done
inputs=$(find fuzz/corpus fuzz/regressions -type f -printf '%s\n' |
  awk '{ bytes += $1 } END { printf "%d inputs of %d KiB", NR, bytes / 1024 }')
list=$(printf ', %s' "${told[@]}")
note fuzz "runs in $each s each, ffi_calls for as long as it takes: ${list#, }; from $inputs"
