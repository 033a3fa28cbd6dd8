#!/usr/bin/env bash
# Runs every suite and prints, at the end, one line each: what was checked, and what was skipped.
# A suite that fails does not stop the others.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
export PATH

suites=(lint tidy unit loom schedules sim processes sanitize planted fuzz ffi go java python)
suites+=(vectors host deny msrv instructions)
logs="${CARGO_TARGET_DIR:-target}/test-logs"
rm -rf "$notes" "$logs"
mkdir -p "$notes" "$logs"

# passed LOG: how many tests the runs in LOG passed, and in how many binaries.
passed() {
  awk '/^test result:/ { runs++; passed += $4; failed += $6; ignored += $8 }
       END { printf "%d tests passed", passed
             if (failed) printf ", %d failed", failed
             if (ignored) printf ", %d ignored", ignored
             printf " in %d binaries", runs }' "$1"
}

# checked SUITE LOG: what the suite looked at, for its line.
checked() {
  case "$1" in
    lint) echo "rustfmt; clippy, all targets and features; rustdoc; warnings denied" ;;
    tidy) grep -o 'tidy: .*' "$2" | sed 's/^tidy: /house rules: /' || echo "did not run" ;;
    unit) echo "$(passed "$2") (unit, integration, property, documentation)" ;;
    schedules)
      local each; each=$(sed -n 's/^schedules: \([0-9]* of each scenario\)$/\1/p' "$2")
      echo "$(passed "$2"): $each, of four to nine threads, with their broken twins" ;;
    sim)
      local ran; ran=$(sed -n 's/^sim: \(.*\)$/\1/p' "$2")
      echo "$(passed "$2"): the whole engine in virtual time, ${ran:-no seed}" ;;
    processes)
      local kills; kills=$(awk '/^processes: [0-9]+ killed/ { n += $2 } END { print n + 0 }' "$2")
      echo "$(passed "$2"): one table, $kills processes killed, at every step among others"
      sed -n 's/^skipped: \(.*\)$/not checked: \1/p' "$2" ;;
    planted) echo "planted bugs: $(grep -E '^[0-9]+/[0-9]+ caught$' "$2" || echo "not counted")" ;;
    loom) echo "$(passed "$2"): the models, each with its broken twin" ;;
    *) cat "$notes/$1" 2>/dev/null || reason "$2" ;;
  esac
}

# reason LOG: why a suite that noted nothing stopped.
reason() {
  # Maven indents which tests broke.
  local why; why=$(sed -n -e 's/^error: //p' -e 's/^\[ERROR\]   \+//p' "$1" | tail -n 1)
  printf '%s\n' "${why:-nothing noted}"
}

# excerpt SUITE: what failed, out of the suite's output: what was panicked with, and the end.
excerpt() {
  printf '\n== %s FAILED; from %s:\n' "$1" "$logs/$1"
  { grep -A 4 -E "^thread '.*' .*panicked at |^error(\[|:)" "$logs/$1" || true; } | tail -n 40
  printf '%s\n' ...
  tail -n 40 "$logs/$1"
}

# What a suite alone builds goes with it where the disk counts more than the next run: in CI.
let_go() {
  [ "${ONCEGATE_KEEP_BUILDS:-1}" = 0 ] || return 0
  local builds=()
  case "$1" in
    loom) builds=(loom) ;;
    schedules) builds=(shuttle) ;;
    processes) builds=(failpoints polling) ;;
    sanitize) builds=(sanitize-thread sanitize-address sanitize-leak) ;;
    planted | fuzz) builds=("$1") ;;
    python) builds=(python/build python/clean) ;;
  esac
  for build in "${builds[@]}"; do rm -rf "${CARGO_TARGET_DIR:-target}/$build"; done
}

# Measured: what all suites leave behind with ONCEGATE_KEEP_BUILDS=1 is 6 GB. A disk that fills up
# fails as a compiler's error, half an hour later.
room_kb=$(df -Pk . | awk 'NR == 2 { print $4 }')
if [ "$room_kb" -lt $((8 * 1024 * 1024)) ]; then
  die "$((room_kb / 1024)) MB of disk are free here; the suites need 8 GB"
fi

failed=()
# A line each; those of suites that failed come last, where a log that was cut short still has them.
summary=() broken=()
for suite in "${suites[@]}"; do
  say "$suite"
  log="$logs/$suite"
  started=$SECONDS
  result=ok
  if ! make --no-print-directory "$suite" LOCKED="${LOCKED:-}" 2>&1 | tee "$log"; then
    result=FAILED
    failed+=("$suite")
  fi
  let_go "$suite"
  first=1
  while IFS= read -r line; do
    label=$suite; [ "$first" = 1 ] || label=; outcome=$result; [ "$first" = 1 ] || outcome=
    time="$((SECONDS - started)) s"; [ "$first" = 1 ] || time=
    told=$(printf '%-12s %-6s %6s  %s' "$label" "$outcome" "$time" "$line")
    if [ "$result" = ok ]; then summary+=("$told"); else broken+=("$told"); fi
    first=0
  done < <(checked "$suite" "$log")
done

# Again at the end, where they are found: of a long log often the end alone is kept.
for suite in ${failed[@]+"${failed[@]}"}; do excerpt "$suite"; done
printf '\n'
printf '%s\n' ${summary[@]+"${summary[@]}"} ${broken[@]+"${broken[@]}"}
if [ ${#failed[@]} -gt 0 ]; then
  die "${#failed[@]} of ${#suites[@]} suites failed; their output is in $logs"
fi
