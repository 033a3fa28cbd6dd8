#!/usr/bin/env bash
# Cargo's runner for the models: each test in a process of its own, one for each processor at once.
# Every execution of a model maps and unmaps the stacks of its threads, for which the threads of one
# process wait for each other: together they take half as much processor time again.
#   one-by-one.sh BINARY [FILTER...]
set -euo pipefail
export binary=$1
shift

# one TEST: its line where it passes, and all that it said where it does not.
one() {
  local said code=0
  said=$("$binary" --exact "$1" --test-threads=1 2>&1) || code=$?
  if [ "$code" = 0 ]; then
    sed -n '/^test .* \.\.\. /p' <<<"$said"
  else
    printf '%s\ntest %s ... FAILED\n' "$(sed '/^test /d' <<<"$said")" "$1"
    return 1
  fi
}
export -f one

"$binary" --list --format terse "$@" | sed -n 's/: test$//p' |
  xargs -P "$(getconf _NPROCESSORS_ONLN)" -I '{}' bash -c 'one "$1"' one '{}' |
  awk '{ print; fflush() }
       /^test .* \.\.\. ok$/ { passed++ }
       /^test .* \.\.\. FAILED$/ { failed++ }
       /^test .* \.\.\. ignored/ { ignored++ }
       END { printf "test result: %s. %d passed; %d failed; %d ignored\n",
                    failed ? "FAILED" : "ok", passed, failed, ignored }'
