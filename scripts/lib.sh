# Shared by the scripts of this folder; sourced, never run.

# Where a suite leaves the one line that the summary prints for it.
notes="${CARGO_TARGET_DIR:-target}/test-notes"

# say WORDS...: progress, on stderr, so that output stays clean.
say() { printf '== %s\n' "$*" >&2; }

# die WORDS...: stop with a reason.
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# have COMMAND: whether it can be run.
have() { command -v "$1" >/dev/null 2>&1; }

# note SUITE WORDS...: what a suite checked, for the summary.
note() {
  local suite=$1; shift
  mkdir -p "$notes"
  printf '%s\n' "$*" >> "$notes/$suite"
}

# must_have_run REASON: a skip that only the network excuses is none. A skip for any other reason
# is a failure where everything is required.
must_have_run() {
  if [ "${ONCEGATE_REQUIRE_ALL:-0}" = 1 ]; then
    die "$1, and ONCEGATE_REQUIRE_ALL=1 allows no such skip"
  fi
}

# minimum_rust: the version that the workspace states.
minimum_rust() {
  sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml | head -n 1
}

# older A B: whether version A is older than version B.
older() {
  [ "$1" != "$2" ] && [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]
}

# Where `scripts/setup.sh test` puts a Go of its own.
own_go="${CARGO_TARGET_DIR:-target}/toolchains/go"

# has_go: whether there is a Go that the module can be built with; setup.sh's comes into the PATH
# where no other will do. Go fetches no other version of itself, unless that was asked for.
has_go() {
  export GOTOOLCHAIN="${GOTOOLCHAIN:-local}"
  go_will_do && return
  [ -x "$own_go/bin/go" ] || return 1
  PATH="$(cd "$own_go/bin" && pwd):$PATH"
  go_will_do
}

go_will_do() {
  have go || return 1
  local found; found=$(cd bindings/go && go env GOVERSION 2>/dev/null) || return 1
  ! older "${found#go}" "$(sed -n 's/^go //p' bindings/go/go.mod)"
}

# jdk FROM BELOW: the home of a JDK from version FROM on and below BELOW; of several the newest.
jdk() {
  local home version best=0 found=
  for home in "${JAVA_HOME:-}" "$(home_of javac)" /usr/lib/jvm/* "$HOME"/.sdkman/candidates/java/*
  do
    [ -x "$home/bin/javac" ] || continue
    version=$(sed -n 's/^JAVA_VERSION="\([0-9]*\).*/\1/p' "$home/release" 2>/dev/null)
    if [ "${version:-0}" -ge "$1" ] && [ "$version" -lt "$2" ] && [ "$version" -gt "$best" ]; then
      best=$version found=$home
    fi
  done
  [ -n "$found" ] && printf '%s\n' "$found"
}

# home_of COMMAND: the folder above that of the program itself.
home_of() {
  have "$1" || return 0
  local program; program=$(readlink -f "$(command -v "$1")")
  printf '%s\n' "${program%/bin/*}"
}

# The JDKs of the Java suite: one without final foreign functions, and one with them.
old_jdk() { jdk 17 22; }
new_jdk() { jdk 22 1000; }

# pythons: every CPython from 3.9 on that is here and can make environments, the oldest first: its
# version, with a `t` where it has no global lock, a tab, and the program. Of one version the first
# one is taken: what the PATH has goes before what pyenv and uv keep.
pythons() {
  local folder program IFS=:
  for folder in $PATH; do
    for program in "$folder"/python3 "$folder"/python3.[0-9] "$folder"/python3.[0-9][0-9]*; do
      case "$program" in *-config | *\*) ;; *) python_version "$program" ;; esac
    done
  done | cat - <(for program in "$HOME"/.pyenv/versions/*/bin/python3 \
    "$HOME"/.local/share/uv/python/*/bin/python3; do python_version "$program"; done) |
    awk -F '\t' '!seen[$1]++' | sort -V
}

# python_version PROGRAM: its line of `pythons`, or nothing.
python_version() {
  [ -x "$1" ] || return 0
  "$1" -I - 2>/dev/null <<'PROGRAM' || true
import sys, sysconfig
if sys.implementation.name != "cpython" or sys.version_info < (3, 9):
    sys.exit(1)
import ensurepip, venv
bare = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
print("%d.%d%s\t%s" % (sys.version_info[:2] + (bare, sys.executable)))
PROGRAM
}

# main_python: the line of the interpreter that everything runs on: the first one of the PATH, or
# else the newest one with a global lock, if it is 3.11 or newer: frameworks have no current
# releases for older ones.
main_python() {
  local found
  found=$(python_version "$(command -v python3 || true)")
  recent_python "$found" || found=$(pythons | grep -v '^[0-9.]*t' | tail -n 1)
  recent_python "$found" && printf '%s\n' "$found"
}

recent_python() {
  case "$1" in
    '' | 3.9"$tab"* | 3.10"$tab"* | *t"$tab"*) return 1 ;;
  esac
}
tab=$(printf '\t')
