#!/usr/bin/env bash
# Runs the conformance vectors (tests/vectors/) in every language, and compares: each runner has to
# have run each vector, and each has to have failed every twisted one, in which one expectation is
# wrong. A runner whose language is not installed is left out, and said so, unless
# ONCEGATE_REQUIRE_ALL=1.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"

mkdir -p "${CARGO_TARGET_DIR:-target}"
target=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)
work=$target/vectors
rm -rf "$work"
mkdir -p "$work"
vectors=$PWD/tests/vectors
twisted=$work/twisted
ran=()
left_out=()

# ids FOLDER: the names of all vectors there. Inside of a text the quotes have a backslash.
ids() { grep -oh '"id": *"[^"]*"' "$1"/*.json | sed 's/.*"\([^"]*\)"$/\1/' | sort; }

# same LANGUAGE REPORT FOLDER WORD: every vector of FOLDER is in the report, and ended with WORD.
same() {
  local other
  other=$(diff <(ids "$3") <(sed -n "s/^$4 \\([^:]*\\).*/\\1/p" "$2" | sort) || true)
  [ -z "$other" ] && return
  printf '%s\n' "$other" | sed -n 's/^[<>] //p' | head -n 20 >&2
  grep -v "^$4 " "$2" | head -n 20 >&2 || true
  die "$1: these vectors are not \`$4\`, as every one has to be"
}

# compare LANGUAGE COMMAND...: runs a runner on all vectors, and on all twisted ones. One that runs
# several times leaves a report of each, with a name of its own behind a dot.
compare() {
  local language=$1 report name; shift
  say "vectors in $language"
  ONCEGATE_VECTORS=$vectors ONCEGATE_VECTORS_REPORT=$work/$language.report "$@" ||
    die "the vectors do not hold in $language"
  ONCEGATE_VECTORS=$twisted ONCEGATE_VECTORS_REPORT=$work/$language.twisted \
    ONCEGATE_VECTORS_TWISTED=1 "$@" || die "the twisted vectors cannot be run in $language"
  for report in "$work/$language".report*; do
    name=$language${report#"$work/$language.report"}
    same "$name" "$report" "$vectors" ok
    same "$name" "$work/$language.twisted${name#"$language"}" "$twisted" failed
    ran+=("$name")
  done
}

# leave_out LANGUAGE REASON
leave_out() {
  must_have_run "the vectors do not run in $1: $2"
  say "SKIPPED: $1: $2"
  left_out+=("$1 ($2)")
}

in_rust() {
  cargo test ${LOCKED:-} -q -p oncegate-tests --test vectors every_vector_holds -- --nocapture
}

in_c() { "$work/vectors-c" "$ONCEGATE_VECTORS" "$ONCEGATE_VECTORS_REPORT"; }

# Not from the cache: neither files nor library are Go's.
in_go() { (cd bindings/go && go test -count=1 -run '^TestVectors$' .); }

# On each JVM that is here, by each binding that it has.
in_java() { scripts/java.sh maven -pl oncegate verify -Dit.test=VectorsTest; }

in_python() { scripts/python.sh run python -m pytest -q bindings/python/tests/vectors; }

# The twisted vectors are made by the runner in Rust, which looks itself whether each fails.
ONCEGATE_VECTORS_KEEP_TWISTED=$twisted \
  cargo test ${LOCKED:-} -q -p oncegate-tests --test vectors -- --nocapture
compare rust in_rust

cargo build ${LOCKED:-} -q -p oncegate-ffi
if ! have pkg-config || ! pkg-config --exists jansson; then
  leave_out c "it needs a C compiler, pkg-config and jansson"
else
  # shellcheck disable=SC2046 # flags are words
  cc -std=c11 -Wall -Wextra -Wpedantic -Werror -g -Iffi/include tests/vectors/c/*.c \
    -o "$work/vectors-c" $(pkg-config --cflags --libs jansson) \
    -L"$target/debug" -loncegate_ffi -Wl,-rpath,"$target/debug"
  compare c in_c
fi

if ! has_go; then
  leave_out go "it is not installed, or too old"
else
  scripts/go.sh library
  compare go in_go
fi

if ! have mvn || ! jdk 17 1000 >/dev/null; then
  leave_out java "there is no JDK 17 or newer, or no Maven"
else
  compare java in_java
fi

if ! main_python >/dev/null; then
  leave_out python "there is no CPython 3.11 or newer with venv"
else
  compare python in_python
fi

languages=$(printf ', %s' "${ran[@]}")
line="$(ids "$vectors" | wc -l) vectors in ${languages#, }; $(ids "$twisted" | wc -l) twisted ones"
note vectors "$line, which each of them fails"
for language in "${left_out[@]}"; do note vectors "SKIPPED: $language"; done
