#!/usr/bin/env bash
# Counts the instructions of the hot paths, and holds them against benches/instructions.txt, and
# those through the C ABI against benches/instructions-abi.txt. UPDATE=1 writes these files anew.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"

baseline=benches/instructions.txt
abi_baseline=benches/instructions-abi.txt
if ! have valgrind; then
  must_have_run "valgrind is not installed (make setup installs it)"
  say "SKIPPED: valgrind is not installed (make setup installs it)"
  note instructions "SKIPPED: valgrind is not installed (make setup installs it)"
  exit 0
fi

cargo build ${LOCKED:-} --release --quiet -p oncegate-paths
programs=${CARGO_TARGET_DIR:-target}/release
if [ "${UPDATE:-0}" = 1 ]; then
  "$programs/paths" update "$baseline"
  "$programs/abi-paths" update "$abi_baseline"
  exit
fi
counted=$("$programs/paths" check "$baseline") || { printf '%s\n' "$counted"; exit 1; }
printf '%s\n' "$counted"
abi=$("$programs/abi-paths" check "$abi_baseline") || { printf '%s\n' "$abi"; exit 1; }
printf '%s\n' "$abi"
counted+=$'\n'$abi
if grep -q '^WARNING' <<< "$counted"; then
  note instructions "NOT COMPARED: $(sed -n 's/^WARNING: //p' <<< "$counted")"
else
  note instructions "$(wc -l <<< "$counted") hot paths within 3 % of $baseline"
fi
