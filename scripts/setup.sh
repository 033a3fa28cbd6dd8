#!/usr/bin/env bash
# Installs what the project needs, and nothing that is already there.
#   scripts/setup.sh build   a C linker, make, curl, and Rust
#   scripts/setup.sh demo    the same, and a Redis server where apt can install one
#   scripts/setup.sh test    the same, with rustfmt, clippy, cargo-deny, cargo-fuzz, cargo-c,
#                            valgrind, what builds C and C++ programs, a Redis server to start when
#                            it is measured, and Go, two JDKs, Maven, Python, Chromium and wrk
#                            where ONCEGATE_REQUIRE_ALL=1
#   scripts/setup.sh go      a C linker, make, curl, Rust, and Go below target/
#   scripts/setup.sh python  a C linker, make, curl, Rust, and Python with its venv
#   scripts/setup.sh bench   a C linker, make, curl, Rust, that server, and wrk, which loads others
#   scripts/setup.sh mutants Rust and cargo-mutants
#   scripts/setup.sh c       a C linker, make, curl, Rust and cargo-c, which installs the C library
# ONCEGATE_NO_INSTALL=1 only reports what is missing.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

DENY_VERSION=0.20.2
MUTANTS_VERSION=27.1.0
FUZZ_VERSION=0.13.2
# The newest that Rust 1.95 builds.
CARGO_C_VERSION=0.10.24+cargo-0.98.0
# What the checksum database of Go has for this version of golang.org/toolchain.
GO_VERSION=1.27.3
GO_SUM_amd64=h1:r0ub+FnqzZxoWm/dSUOI9DcIqYWn/mNYGFJcv7PyBzs=
GO_SUM_arm64=h1:VY4gDzfxOrsM17J2qtgZgiAIsWhp7XWK1jMfE3kXV0s=
PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"

may_install() {
  [ "${ONCEGATE_NO_INSTALL:-0}" = 1 ] && die "$1 is missing, and ONCEGATE_NO_INSTALL=1"
  say "installing $1"
}

# The C toolchain links the program; curl fetches Rust; the fuzzer is C++, and so are examples of
# the C library, which CMake and pkg-config find; jansson reads the vectors in C; cargo-c is built
# against OpenSSL; valgrind counts instructions, and is not to be had for every system; the
# measurements compare with Redis.
system_packages() {
  local missing=()
  have cc || have gcc || missing+=(gcc libc6-dev)
  have make || missing+=(make)
  have curl || missing+=(curl ca-certificates)
  if [ "$1" = test ] && have apt-get; then
    have c++ || have g++ || missing+=(g++)
    have valgrind || missing+=(valgrind)
    have cmake || missing+=(cmake)
    [ -e /usr/include/jansson.h ] || missing+=(libjansson-dev)
  fi
  if { [ "$1" = test ] || [ "$1" = go ]; } && have apt-get; then
    ! wants_go || have unzip || missing+=(unzip)
  fi
  if { [ "$1" = test ] || [ "$1" = c ]; } && have apt-get; then
    have pkg-config || missing+=(pkg-config)
    have cargo-capi || [ -e /usr/include/openssl/ssl.h ] || missing+=(libssl-dev)
  fi
  if { [ "$1" = test ] || [ "$1" = bench ] || [ "$1" = server ]; } && have apt-get; then
    have redis-server || missing+=(redis-server)
    [ "$1" != bench ] || have wrk || missing+=(wrk)
  fi
  [ ${#missing[@]} -eq 0 ] && return
  have apt-get || die "missing: ${missing[*]}; install them with your system's package manager"
  root_needed "${missing[*]}"
  may_install "${missing[*]}"
  "${root[@]}" apt-get update -qq
  local redis=0
  case " ${missing[*]} " in *' redis-server '*) redis=1 ;; esac
  [ "$redis" = 0 ] || forbid_services
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}"
  [ "$redis" = 0 ] || leave_no_service redis-server
}

# One act of the demo needs a server. Where there is none, the demo says so and does the others.
demo_server() {
  if have redis-server || ! have apt-get || [ "${ONCEGATE_NO_INSTALL:-0}" = 1 ]; then
    return 0
  fi
  [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null || return 0
  (system_packages server) || say "redis-server cannot be installed here"
}

# root_needed PACKAGES: how to become root, to install them.
root_needed() {
  root=()
  [ "$(id -u)" != 0 ] || return 0
  have sudo || die "missing: $1; run as root: apt-get install $1"
  root=(sudo)
}

# Debian starts what it installs, unless this file says no.
policy=/usr/sbin/policy-rc.d
forbade=0
forbid_services() {
  [ -e "$policy" ] && return
  printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee "$policy" >/dev/null
  "${root[@]}" chmod 755 "$policy"
  forbade=1
  trap 'allow_services' EXIT
}

allow_services() {
  if [ "$forbade" = 1 ]; then
    "${root[@]}" rm -f "$policy"
    forbade=0
  fi
}

# leave_no_service NAME: the measurements start a server of their own.
leave_no_service() {
  allow_services
  if have systemctl; then
    "${root[@]}" systemctl disable "$1" >/dev/null 2>&1 || true
  fi
}

# Rust comes from rustup: the compilers that Debian 12 and 13 package (1.63, 1.85) are too old.
rust() {
  local minimum; minimum=$(minimum_rust)
  if ! have cargo; then
    may_install "Rust through rustup"
    local installer; installer=$(mktemp)
    curl --proto '=https' --tlsv1.2 -sSf -o "$installer" https://sh.rustup.rs ||
      curl --proto '=https' --tlsv1.2 -sSf -o "$installer" \
        https://static.rust-lang.org/rustup/rustup-init.sh ||
      die "cannot fetch rustup; install Rust $minimum or newer from https://rustup.rs"
    sh "$installer" -y --profile minimal --default-toolchain stable --no-modify-path
    rm -f "$installer"
    say "Rust is in ${CARGO_HOME:-$HOME/.cargo}/bin; put that into your PATH to use it by hand"
  fi
  local version; version=$(rustc --version | cut -d' ' -f2)
  if older "$version" "$minimum"; then
    die "rustc $version is older than $minimum; run: rustup update stable"
  fi
}

components() {
  local missing=()
  cargo fmt --version >/dev/null 2>&1 || missing+=(rustfmt)
  cargo clippy --version >/dev/null 2>&1 || missing+=(clippy)
  [ ${#missing[@]} -eq 0 ] && return
  have rustup || die "missing: ${missing[*]}; install them where your Rust comes from"
  may_install "${missing[*]}"
  rustup component add "${missing[@]}"
}

# tool NAME VERSION: a Cargo command at this very version.
tool() {
  [ "$(cargo "${1#cargo-}" --version 2>/dev/null)" = "$1 $2" ] && return
  install_tool "$1" "$2"
}

# install_tool NAME VERSION OPTIONS...
install_tool() {
  local name=$1 version=$2; shift 2
  may_install "$name $version (compiles for some minutes, once)"
  cargo install "$name" --locked --force --version "$version" "$@" \
    --target-dir "${CARGO_TARGET_DIR:-target}/tools"
  rm -rf "${CARGO_TARGET_DIR:-target}/tools"
}

deny() { tool cargo-deny "$DENY_VERSION"; }

# The fuzzer runs where `scripts/fuzz.sh` runs it.
fuzz() {
  [ "$(uname -s)" != Linux ] || tool cargo-fuzz "$FUZZ_VERSION"
}

# It has Cargo itself inside: one of its programs is enough, and it need not be quick.
cargo_c() {
  [ "$(cargo-capi --version 2>/dev/null)" = "cargo-c $CARGO_C_VERSION" ] && return
  CARGO_PROFILE_DEV_DEBUG=none CARGO_INCREMENTAL=0 \
    install_tool cargo-c "$CARGO_C_VERSION" --debug --bin cargo-capi
}

# wants_go: whether a Go has to be fetched. It is 240 MB on the disk, for one suite.
wants_go() {
  [ "$(uname -s)" = Linux ] && ! has_go &&
    { [ "$asked" = go ] || [ "${ONCEGATE_REQUIRE_ALL:-0}" = 1 ]; }
}

# The toolchain that Go itself would fetch, from the module proxy: the compilers that Debian 12 and
# Ubuntu 24.04 package (1.19, 1.22) are too old.
go_toolchain() {
  if ! wants_go; then
    has_go || say "no Go, or too old a one: its suite is skipped (scripts/setup.sh go brings one)"
    return 0
  fi
  local machine sum; machine=$(uname -m)
  case "$machine" in
    x86_64) machine=amd64 sum=$GO_SUM_amd64 ;;
    aarch64) machine=arm64 sum=$GO_SUM_arm64 ;;
    *) die "Go is missing or too old, and its version for $machine is not known here" ;;
  esac
  may_install "Go $GO_VERSION (75 MB) below ${CARGO_TARGET_DIR:-target}"
  local module=golang.org/toolchain@v0.0.1-go$GO_VERSION.linux-$machine
  local work=${CARGO_TARGET_DIR:-target}/toolchains/fetched
  rm -rf "$work" "$own_go"
  mkdir -p "$work"
  fetch_module "golang.org/toolchain/@v/${module#*@}.zip" "$work/go.zip"
  (cd "$work" && unzip -q go.zip)
  local found; found=$(module_sum "$work")
  [ "$found" = "$sum" ] || die "$module: the checksum is $found, and not $sum"
  chmod -R u+rwX,go+rX "$work/$module"
  find "$work/$module/bin" "$work/$module/pkg/tool" -type f -exec chmod 755 {} +
  mv "$work/$module" "$own_go"
  rm -rf "$work"
  has_go || die "Go $GO_VERSION does not run here"
}

# fetch_module PATH FILE: from the first proxy of GOPROXY that has it.
fetch_module() {
  local proxy
  for proxy in $(printf '%s' "${GOPROXY:-https://proxy.golang.org}" | tr ',|' '  '); do
    case "$proxy" in
      *://*) curl -sSfL -o "$2" "${proxy%/}/$1" && return ;;
    esac
  done
  die "no proxy of GOPROXY has $1; install Go from https://go.dev/dl"
}

# module_sum FOLDER: the checksum of a module that was unpacked there, as go.sum has it.
module_sum() {
  local hex
  hex=$(cd "$1" && find golang.org -type f | LC_ALL=C sort | xargs -d '\n' sha256sum | sha256sum)
  # shellcheck disable=SC2059 # the format is the bytes
  printf 'h1:%s\n' "$(printf "$(printf '%s' "${hex%% *}" | sed 's/../\\x&/g')" | base64)"
}

# Maven and two JDKs take 700 MB, for one suite: who has none of them gets none.
java_toolchain() {
  if [ "${ONCEGATE_REQUIRE_ALL:-0}" = 1 ]; then
    have mvn || package maven
    # Debian 12 has the first one, Debian 13 the second one.
    old_jdk >/dev/null || package openjdk-17-jdk-headless openjdk-21-jdk-headless
    new_jdk >/dev/null || package openjdk-25-jdk-headless
  elif ! have mvn || ! { old_jdk || new_jdk; } >/dev/null; then
    say "no Maven, or no JDK from 17 on: the Java suite is skipped"
  fi
}

# package NAMES...: installs the first one that the system's package manager has.
package() {
  have apt-get || die "missing: $1; install it with your system's package manager"
  root_needed "$1"
  "${root[@]}" apt-get update -qq
  local name
  for name in "$@"; do
    # apt-cache also knows names that only others depend on.
    # Not by `grep -q`, which leaves before apt-cache has said all: that is an error of the pipe.
    if apt-cache policy "$name" | grep 'Candidate: [0-9]' >/dev/null; then
      may_install "$name"
      "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "$name"
      return
    fi
  done
  die "missing: $*; apt has none of them; install one by hand, a JDK in /usr/lib/jvm"
}

# Debian has Python without what makes environments.
python_toolchain() {
  if [ "$asked" != python ] && [ "${ONCEGATE_REQUIRE_ALL:-0}" != 1 ]; then
    main_python >/dev/null ||
      say "no CPython 3.11 or newer with venv: its suite is skipped (scripts/setup.sh python)"
    return 0
  fi
  if ! main_python >/dev/null; then
    package python3-venv
    main_python >/dev/null || die "the system's Python is older than 3.11; install a newer one"
  fi
}

# Chromium takes 400 MB, for the page of one demo. It brings no fonts.
browser() {
  if [ "${ONCEGATE_REQUIRE_ALL:-0}" = 1 ]; then
    have chromium || have chromium-browser || { package chromium; package fonts-dejavu-core; }
  elif main_python >/dev/null && ! have chromium && ! have chromium-browser; then
    say "no Chromium: the page of the payments demo is not tested"
  fi
}

# The storm on the servers of the Python package is its work.
load_tool() {
  if [ "${ONCEGATE_REQUIRE_ALL:-0}" = 1 ]; then
    have wrk || package wrk
  elif main_python >/dev/null && ! have wrk; then
    say "no wrk: no storm is raised on the servers of the Python package"
  fi
}

mutants() { tool cargo-mutants "$MUTANTS_VERSION"; }

asked=${1:-test}
case "$asked" in
  build) system_packages build; rust ;;
  demo) system_packages build; demo_server; rust ;;
  bench) system_packages bench; rust ;;
  test) system_packages test; rust; components; deny; fuzz; cargo_c; go_toolchain; java_toolchain
    python_toolchain; browser; load_tool ;;
  go) system_packages go; rust; go_toolchain ;;
  python) system_packages build; rust; python_toolchain ;;
  mutants) system_packages build; rust; mutants ;;
  c) system_packages c; rust; cargo_c ;;
  *) die "usage: scripts/setup.sh [build|demo|bench|test|go|python|mutants|c]" ;;
esac
