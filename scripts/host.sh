#!/usr/bin/env bash
# Programs in C, Go, Java, Python and Rust on one table (tests/host/): builds them, and runs the
# test that starts and kills them. A program whose language is not installed has one in Rust in its
# place, and that is said, unless ONCEGATE_REQUIRE_ALL=1.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"

mkdir -p "${CARGO_TARGET_DIR:-target}"
target=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)
work=$target/host
rm -rf "$work"
mkdir -p "$work/java"
left_out=()

# leave_out LANGUAGE REASON
leave_out() {
  must_have_run "no program in $1 takes part: $2"
  say "SKIPPED: $1: $2"
  left_out+=("$1 ($2)")
}

cargo build ${LOCKED:-} -q -p oncegate-ffi

say "the program in C"
cc -std=c11 -Wall -Wextra -Wpedantic -Werror -O1 -g -Iffi/include tests/host/c/peer.c \
  -o "$work/c-peer" -L"$target/debug" -loncegate_ffi -Wl,-rpath,"$target/debug"
export ONCEGATE_HOST_C=$work/c-peer

if has_go; then
  scripts/go.sh library
  say "the program in Go"
  (cd tests/host/go && go build -o "$work/go-peer" .)
  export ONCEGATE_HOST_GO=$work/go-peer
else
  leave_out Go "it is not installed, or too old"
fi

if java=$(new_jdk || old_jdk) && have mvn; then
  scripts/java.sh maven -pl oncegate package dependency:build-classpath \
    -Dmdep.outputFile="$work/classpath"
  say "the program in Java"
  jar=$(echo "$PWD"/bindings/java/oncegate/target/oncegate-[0-9]*.[0-9].jar)
  classes=$jar:$work/java:$(cat "$work/classpath")
  "$java/bin/javac" -Xlint:all -Werror --release 17 -cp "$jar" -d "$work/java" \
    tests/host/java/Peer.java
  tab=$(printf '\t')
  native=
  [ "$java" != "$(new_jdk || true)" ] || native="--enable-native-access=ALL-UNNAMED$tab"
  export ONCEGATE_HOST_JAVA="$java/bin/java$tab$native-cp$tab$classes${tab}Peer"
else
  leave_out Java "there is no JDK 17 or newer, or no Maven"
fi

if main_python >/dev/null; then
  say "the program in Python"
  python=$(scripts/python.sh run python -c 'import sys; print(sys.executable)')
  export ONCEGATE_HOST_PYTHON="$python$(printf '\t')$PWD/tests/host/python/peer.py"
else
  leave_out Python "there is no CPython 3.11 or newer with venv"
fi

cargo test ${LOCKED:-} -q -p oncegate-tests --test host -- --nocapture | tee "$work/log"
note host "$(sed -n 's/^host: \([0-9]* requests .*\)$/\1/p' "$work/log"), each half way in a round"
for language in "${left_out[@]}"; do note host "SKIPPED: $language"; done
