#!/usr/bin/env bash
# The Go module on the library: how it is written, its tests, its examples and the page about it.
# Then the tests once more under the race detector, with every check of what crosses into C, with
# a collection of garbage wherever there can be one, and with a search for memory that C was given
# and nobody freed.
#
#   scripts/go.sh           the suite
#   scripts/go.sh library   only builds the library for the module: what `go build` needs
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"

mkdir -p "${CARGO_TARGET_DIR:-target}"
target=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)
work=$target/go
module=$PWD/bindings/go

# library: header and static library, where cgo looks for them.
library() {
  local machine; machine=$(uname -m)
  case "$(uname -s) $machine" in
    'Linux x86_64') machine=amd64 ;;
    'Linux aarch64') machine=arm64 ;;
    *) die "the module brings no flags for $(uname -s) on $machine; docs/go.md says what to do" ;;
  esac
  say "the library for Go"
  cargo build ${LOCKED:-} --release -p oncegate-ffi
  local archive=$target/release/liboncegate_ffi.a
  mkdir -p "$module/dist/include" "$module/dist/linux_$machine"
  put ffi/include/oncegate.h "$module/dist/include/oncegate.h"
  put "$archive" "$module/dist/linux_$machine/liboncegate.a"
  printf '%s\n' '/* Made by `make go-library`. Go looks at this file, and not into archives. */' \
    "#define ONCEGATE_LIBRARY \"$(sha256sum "$archive" | cut -d' ' -f1)\"" > "$work/library.h"
  put "$work/library.h" "$module/library.h"
}

# put FROM TO: copies what differs, so that Go builds nothing anew for the same bytes.
put() {
  cmp -s "$1" "$2" || cp "$1" "$2"
}

# run NAME WHAT COMMAND...: runs tests, and keeps what they told.
run() {
  local name=$1 what=$2; shift 2
  say "$what"
  (cd "$module" && "$@") > "$work/$name.json" ||
    { failures "$work/$name.json"; die "$what: tests fail"; }
  # All of it is read: who stops at the first line ends the pipe, which counts as a failure.
  [ -n "$(passed "$work/$name.json")" ] || die "$what: no test ran"
}

# passed REPORT: the tests that passed, the parts of one not counted.
passed() {
  grep '"Action":"pass"' "$1" | sed -n 's/.*"Test":"\([^"/]*\)".*/\1/p'
}

# failures REPORT: what the tests that failed printed.
failures() {
  local name
  sed -n '/"Action":"build-output"/s/.*"Output":"\(.*\)"}$/\1/p' "$1" | sed 's/\\n$//' >&2
  grep '"Action":"fail"' "$1" | sed -n 's/.*"Test":"\([^"]*\)".*/\1/p' | while read -r name; do
    grep -F "\"Test\":\"$name\"" "$1" | sed -n 's/.*"Output":"\(.*\)"}$/\1/p' | sed 's/\\n$//' >&2
  done
  grep -v '"Test":' "$1" | sed -n 's/.*"Output":"\(.*\)"}$/\1/p' | sed 's/\\n$//' >&2
}

mkdir -p "$work"
if [ "${1:-}" = library ]; then
  library
  exit
fi

if ! has_go; then
  wanted=$(sed -n 's/^go //p' bindings/go/go.mod)
  must_have_run "Go $wanted or newer is not installed"
  say "SKIPPED: Go $wanted or newer is not installed"
  note go "SKIPPED: Go $wanted or newer is not installed"
  exit
fi

library
say "gofmt and vet"
unformatted=$(gofmt -l bindings/go tests/host/go)
[ -z "$unformatted" ] || die "not as gofmt writes it: $unformatted"
(cd bindings/go && go vet ./...)
(cd tests/host/go && go vet ./...)

# Not from the cache: the library may be another one.
run plain "the tests" go test -json -count=1 ./...
run race "the tests under the race detector" go test -json -count=1 -race ./...
run cgocheck "the tests with every check of pointers" \
  env GOEXPERIMENT=cgocheck2 go test -json -count=1 ./...
run garbage "the tests with a collection wherever there can be one" \
  env GOGC=1 GODEBUG=cgocheck=1 go test -json -count=1 ./...

# page: every program of docs/go.md prints what the page says that it does.
page() {
  local count=0
  local folder=$work/page
  rm -rf "$folder"
  while awk -v language=go -v block=$((count + 1)) -f scripts/doc-code.awk docs/go.md \
    > "$work/program.go" 2>/dev/null; do
    count=$((count + 1))
    mkdir -p "$folder/$count"
    mv "$work/program.go" "$folder/$count/main.go"
    awk -v language=text -v block=$count -f scripts/doc-code.awk docs/go.md > "$folder/$count/said"
  done
  [ "$count" -gt 0 ] || die "docs/go.md has no program"
  # As a user's own module, by the lines of the page.
  (cd "$folder" && go mod init example.com/page 2>/dev/null &&
    go mod edit -replace "github.com/oncegate/oncegate/bindings/go=$module" &&
    go mod tidy 2>/dev/null && go vet ./...)
  local program
  for program in $(seq "$count"); do
    [ -z "$(gofmt -l "$folder/$program")" ] || die "program $program of docs/go.md: see gofmt"
    (cd "$folder" && go run "./$program") > "$folder/$program/printed"
    diff "$folder/$program/said" "$folder/$program/printed" >&2 ||
      die "program $program of docs/go.md prints something else than the page says"
  done
  pages=$count
}

say "the programs of docs/go.md"
page

# Memory of C: Go's own is collected, and what is counted here it does not allocate.
said_leaks=
if printf 'int main(void) { return 0; }' | "$(go env CC)" -fsanitize=address -x c - \
  -o "$work/probe" 2>/dev/null; then
  run leaks "the tests with a search for memory that nobody freed" \
    go test -json -count=1 -asan -skip Allocate ./...
  said_leaks=" and -asan (leaks)"
else
  must_have_run "the C compiler has no AddressSanitizer"
  note go "SKIPPED: -asan: the C compiler has no AddressSanitizer"
fi

# The same by the library that is installed, as the page says.
said_installed=
if have cargo-capi || [ "${ONCEGATE_REQUIRE_ALL:-0}" = 1 ]; then
  say "the library that is installed"
  rm -rf "$work/installed"
  make --no-print-directory install-c PREFIX="$work/installed" LIBDIR=lib LOCKED="${LOCKED:-}" \
    > "$work/install.log" 2>&1 || { cat "$work/install.log" >&2; die "make install-c fails"; }
  export PKG_CONFIG_PATH=$work/installed/lib/pkgconfig
  LD_LIBRARY_PATH=$work/installed/lib \
    run installed "the tests on it" go test -json -count=1 -tags oncegate_system ./...
  said_installed=" and on the installed library"
else
  note go "SKIPPED: the installed library: scripts/setup.sh c brings what installs it"
fi

tests=$(passed "$work/plain.json" | grep -vc '^Example' || true)
examples=$(passed "$work/plain.json" | grep -c '^Example' || true)
note go "$(go env GOVERSION): gofmt, vet; $tests tests and $examples examples, and again under" \
  "-race, GOEXPERIMENT=cgocheck2, GOGC=1$said_leaks$said_installed; $pages programs of docs/go.md" \
  "print what it says"
