#!/usr/bin/env bash
# Runs the stress program (tests/stress/) under ThreadSanitizer, AddressSanitizer and
# LeakSanitizer, with the stable compiler. First each of them must report the error that was
# planted for it: one that reports nothing proves nothing. Nothing of ours is suppressed.
#   make sanitize STEPS=1000000 SEED=7 SANITIZERS="thread leak"
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"

target=$(rustc -vV | sed -n 's/^host: //p')
case "$target" in
  x86_64-unknown-linux-gnu | aarch64-unknown-linux-gnu) ;;
  *)
    must_have_run "Rust has no sanitizers for $target"
    say "SKIPPED: Rust has no sanitizers for $target"
    note sanitize "SKIPPED: Rust has no sanitizers for $target"
    exit 0
    ;;
esac

run=(--steps "${STEPS:-10000}" --seed "${SEED:-232124117}" --threads 6 --forks 8)

# built SANITIZER FLAGS...: builds the program, and says where it is.
built() {
  local sanitizer=$1; shift
  local folder="${CARGO_TARGET_DIR:-target}/sanitize-$sanitizer"
  # The stable compiler has the sanitizers, and takes them for unstable. `--target` keeps them out
  # of build scripts.
  RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=$sanitizer $*" \
    cargo build ${LOCKED:-} --quiet --profile sanitize -p oncegate-stress \
    --target "$target" --target-dir "$folder" >&2
  echo "$folder/$target/sanitize/oncegate-stress"
}

# reports PROGRAM PLANT TEXT: the planted error must be found, for the reason that TEXT gives.
reports() {
  local said
  if said=$("$1" --plant "$2" 2>&1); then
    printf '%s\n' "$said" >&2
    die "a planted error ($2) was not reported"
  fi
  grep -q "$3" <<< "$said" || { printf '%s\n' "$said" >&2; die "$2: no report of \"$3\""; }
}

# sanitized SANITIZER PLANT TEXT FLAGS...: builds, tries the planted error, and runs.
sanitized() {
  local sanitizer=$1 plant=$2 text=$3; shift 3
  [[ " ${SANITIZERS:-thread address leak} " == *" $sanitizer "* ]] || return 0
  say "$sanitizer"
  local program; program=$(built "$sanitizer" "$@")
  reports "$program" "$plant" "$text"
  local said; said=$("$program" "${run[@]}") || die "$sanitizer sanitizer: see its report above"
  note sanitize "$sanitizer: ${said#stress: }; the planted $plant was reported"
  printf '%s: %s; the planted %s was reported\n' "$sanitizer" "$said" "$plant"
}

# The standard library was built without the sanitizer. Two things make up for that, neither of
# which suppresses a report: locks of ours are never contended (core/src/sync/gated.rs), and the
# counts of shared pointers order what they guard (tests/stress/src/tsan.rs).
sanitized thread race "ThreadSanitizer: data race" \
  -Cunsafe-allow-abi-mismatch=sanitizer --cfg oncegate_tsan \
  -Clink-arg=-Wl,--wrap=__tsan_atomic64_fetch_sub
sanitized address use-after-free "AddressSanitizer: heap-use-after-free"
sanitized leak leak "LeakSanitizer: detected memory leaks"
