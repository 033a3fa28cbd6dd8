#!/usr/bin/env bash
# Changes the engine, one operator or function at a time, and runs the tests that are to notice.
# What no test noticed must be explained in docs/mutants.md.
#   scripts/mutants.sh                  every part: hours
#   scripts/mutants.sh fingerprint ...  these parts
# It goes on where it was interrupted; remove target/mutants to begin anew.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"

parts=("$@")
[ $# -gt 0 ] || parts=(fingerprint table outcome)
page=docs/mutants.md
out="${CARGO_TARGET_DIR:-target}/mutants"
# Properties try fewer cases, always the same ones: thousands of runs have to end.
export PROPTEST_CASES=64 PROPTEST_RNG_SEED=7 PROPTEST_MAX_SHRINK_ITERS=0
# A test that fails has told enough: a backtrace takes longer than the test.
export RUST_BACKTRACE=0
# A loop without end that also collects is ended by its memory, before it ends something else.
ulimit -v $((12 << 20))

# mutants PART ARGUMENTS...: one pass over the files of PART. That something was missed, or ran
# for ever, is no failure of the pass.
mutants() {
  local part=$1 result=0; shift
  cargo mutants --package oncegate --file "core/src/$part/**" --output "$out/$part" --jobs 1 \
    --no-shuffle --colors never "$@" || result=$?
  case $result in 0 | 2 | 3) ;; *) die "cargo mutants ended with $result" ;; esac
}

# unexplained PART: the survivors of PART that are not on the page, one a line. Lines of code move;
# the page names a survivor by its file and by what was changed in which function.
unexplained() {
  local survivor file change
  while IFS= read -r survivor; do
    file=${survivor%%:*}
    change=${survivor#*:*:*: }
    change=${change//|/\\|}
    if ! grep -F "| \`${file#core/src/}\` |" "$page" | grep -F "| \`$change\` |" >/dev/null; then
      printf '%s: %s\n' "$file" "$change"
    fi
  done < "$out/$1/mutants.out/missed.txt"
}

# What is quickest comes first: the unit tests take a second, the suites ten, the slow ones minutes.
# Each sees only what those before it let through, and none is needed once all of that is
# explained. `--iterate` goes on where an earlier run ended, so that a part can be run in pieces.
pass() {
  local part=$1
  local suites=(--test-package oncegate-tests -- --test oracle --test public --)
  local slow=(--skip stress:: --skip race:: --skip steady_state:: --skip waiting_costs)
  case $part in
    fingerprint) mutants "$part" --iterate -- --lib fingerprint:: ;;
    table | outcome)
      mutants "$part" --iterate --timeout 10 --cargo-arg=--lib -- -- --skip fingerprint::
      [ -n "$(unexplained "$part")" ] || return 0
      mutants "$part" --iterate "${suites[@]}" "${slow[@]}"
      [ -n "$(unexplained "$part")" ] || return 0
      mutants "$part" --iterate "${suites[@]}"
      ;;
    *) die "no part $part; there are fingerprint, table and outcome" ;;
  esac
}

left=0
for part in "${parts[@]}"; do
  say "$part"
  pass "$part"
  found="$out/$part/mutants.out"
  changes=$(cargo mutants --list --package oncegate --file "core/src/$part/**" | wc -l)
  printf '%s: %s changes, %s survived, %s ran for ever; the others failed or do not compile\n' \
    "$part" "$changes" "$(wc -l < "$found/missed.txt")" "$(wc -l < "$found/timeout.txt")"
  while IFS= read -r survivor; do
    printf 'not explained in %s: %s\n' "$page" "$survivor"
    left=$((left + 1))
  done < <(unexplained "$part")
done
[ "$left" = 0 ] || die "$left survivors are not explained in $page"
say "every survivor is explained in $page"
