#!/usr/bin/env bash
# The Python package: how its Rust and its Python are written and typed, a source distribution, one
# wheel made from that and nothing else, the wheel in every CPython from 3.9 on that is here, the
# tests, and the programs of the pages about it.
#
#   scripts/python.sh                the suite
#   scripts/python.sh run COMMAND…   a command where the package of this tree is installed, as in
#                                    `scripts/python.sh run pytest bindings/python/tests -k lease`;
#                                    changes of .py files need no other build
#   scripts/python.sh wheel          only builds the wheel, and prints where it is
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/.."
. scripts/lib.sh
PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"

mkdir -p "${CARGO_TARGET_DIR:-target}"
target=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)
work=$target/python
project=$PWD/bindings/python
requirements=$project/requirements
# What the tools leave behind stays out of the tree.
export CARGO_TARGET_DIR=$work/build HYPOTHESIS_STORAGE_DIRECTORY=$work/cache/hypothesis
export PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1
unset VIRTUAL_ENV PYTHONPATH PYTHONHOME

# environment FOLDER PYTHON FILES...: an environment with these requirements, unless it is there.
environment() {
  local folder=$1 python=$2 file files=(); shift 2
  local stamp; stamp=$("$python" -VV; cat "$requirements"/core.txt "$@")
  [ "$stamp" != "$(cat "$folder/stamp" 2>/dev/null)" ] || return 0
  say "an environment with $(basename -a "$@" | tr '\n' ' ')for $("$python" -V)"
  rm -rf "$folder"
  "$python" -m venv "$folder"
  for file in "$@"; do files+=(-r "$file"); done
  "$folder/bin/python" -m pip install -q "${files[@]}" ||
    die "pip cannot install the requirements; is a package index in reach?"
  printf '%s\n' "$stamp" > "$folder/stamp"
}

# must WHAT COMMAND...: one that fails fails the suite, at its end: the others are run all the same.
failed=()
must() {
  local what=$1; shift
  "$@" || { say "FAILED: $what"; failed+=("$what"); }
}

# quiet COMMAND...: shows what it says only where it fails.
quiet() {
  "$@" > "$work/said" 2>&1 || { cat "$work/said" >&2; die "$(basename "$1") $2 fails"; }
}

# digest PATHS...: of what lies there, so that nothing is built anew for the same bytes.
digest() {
  { rustc -V; find "$@" -type f ! -path '*/__pycache__/*' -print0 | LC_ALL=C sort -z |
    xargs -0 sha256sum; } | sha256sum | cut -d' ' -f1
}

rust=(Cargo.toml core/Cargo.toml core/src bindings/python/Cargo.{toml,lock} bindings/python/src)
python=(bindings/python/{python,pyproject.toml,README.md})

# wheel: a source distribution, and from it alone, without a network, a wheel.
wheel() {
  local folder; folder=$work/wheels/$(digest "${rust[@]}" "${python[@]}")
  [ -z "$(find "$folder" -name '*.whl' 2>/dev/null)" ] || { find "$folder" -name '*.whl'; return; }
  say "a source distribution, and the wheel from it"
  rm -rf "$work/wheels" "$work/clean"
  mkdir -p "$folder"
  # First, since maturin makes a lock file right that is not.
  cargo fetch --locked -q --manifest-path "$project/Cargo.toml"
  (cd "$project" && quiet "$work/main/bin/maturin" sdist -o "$folder")
  from_source "$main" "$folder"
  find "$folder" -name '*.whl'
}

# from_source PYTHON FOLDER OPTIONS...: the wheel for an interpreter, in an environment that has the
# build's backend and nothing else.
from_source() {
  local python=$1 folder=$2; shift 2
  rm -rf "$work/clean"
  "$python" -m venv "$work/clean"
  "$work/clean/bin/pip" install -q "$(grep '^maturin==' "$requirements/tools.txt")"
  PATH=$work/clean/bin:$PATH CARGO_NET_OFFLINE=true quiet "$work/clean/bin/pip" wheel --no-index \
    --no-cache-dir --no-build-isolation --no-deps -w "$folder" "$@" "$folder"/oncegate-*.tar.gz
}

# run COMMAND...: builds the package where the tree has changed, and runs the command.
run() {
  local now; now="wheel $(digest "${rust[@]}" "${python[@]}")"
  local linked; linked="linked $(digest "${rust[@]}")"
  case "$(cat "$work/main/installed" 2>/dev/null)" in
    "$now" | "$linked") ;;
    *)
      say "the package, into $work/main"
      (cd "$project" && VIRTUAL_ENV=$work/main quiet "$work/main/bin/maturin" develop --release)
      printf '%s\n' "$linked" > "$work/main/installed" ;;
  esac
  PATH=$work/main/bin:$PATH VIRTUAL_ENV=$work/main "$@"
}

# install FOLDER WHEEL
install() {
  "$1/bin/python" -m pip install -q --no-index --no-deps --force-reinstall "$2"
}

# checked_wheel WHEEL: what is inside, and that it says the version of the workspace.
checked_wheel() {
  local version; version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
  case "$(basename "$1")" in
    "oncegate-$version-cp39-abi3-"*) ;;
    *) die "$(basename "$1") is not oncegate-$version-cp39-abi3-…: versions or tags differ" ;;
  esac
  quiet "$work/main/bin/abi3audit" --strict --verbose "$1"
  "$work/main/bin/python" "$project/tests/wheel.py" "$1" "$project" "$version"
}

# style: how Rust and Python are written and typed. Types are checked where the wheel is installed.
style() {
  local folder
  say "rustfmt and clippy"
  must rustfmt inside cargo fmt --check
  must clippy inside cargo clippy -q --locked --all-targets -- -D warnings
  say "ruff"
  must "ruff format" inside ruff format --no-cache -q --diff .
  must "ruff check" inside ruff check --no-cache -q --output-format concise .
  say "mypy --strict"
  must "mypy: package" types -p oncegate
  # Each folder has modules of its own, and so is a program of its own.
  for folder in "$project"/tests "$project"/tests/*/ "$project"/examples/*/; do
    folder=${folder%/}
    ! compgen -G "$folder/*.py" >/dev/null ||
      must "mypy: ${folder#"$project/"}" types --follow-imports silent --allow-untyped-decorators \
        --allow-subclassing-any "$folder"/*.py
  done
  say "the stubs against the module"
  must stubtest inside env MYPYPATH=python python -m mypy.stubtest oncegate._core \
    --mypy-config-file pyproject.toml --allowlist tests/stubtest.txt
  say "pyright"
  must pyright inside pyright --pythonpath "$work/main/bin/python" --warnings
  must "complete types" complete_types
}

# inside COMMAND...: in the project's folder, with the environment's programs.
inside() { (cd "$project" && PATH=$work/main/bin:$PATH "$@"); }

# types FILES...: under mypy, with the modules of the example that has their folder's name.
types() {
  local example; example=examples/$(basename "$(dirname "${*: -1}")")
  inside env MYPYPATH="python:$example" mypy --cache-dir "$work/cache/mypy" \
    --no-error-summary "$@"
}

# complete_types: nothing that a user can see is without one.
complete_types() {
  inside pyright --pythonpath "$work/main/bin/python" --ignoreexternal --verifytypes oncegate \
    --outputjson > "$work/types.json" || true
  "$work/main/bin/python" "$project/tests/complete.py" "$work/types.json"
}

# tests NAME ENVIRONMENT FILES...: runs tests and leaves a report. Those marked `alone` run after
# the others, one at a time.
tests() {
  local name=$1 bin=$2/bin; shift 2
  local options=(-q -ra --color=no -o cache_dir="$work/cache/pytest" -c "$project/pyproject.toml")
  must "tests: $name" inside "$bin/python" -m pytest "${options[@]}" -n 2 --dist loadfile \
    -m 'not alone' --junitxml "$work/reports/$name.xml" "$@"
  ! grep -rqs 'mark\.alone' "$@" || must "tests: $name" inside "$bin/python" -m pytest \
    "${options[@]}" -p no:xdist -m alone --junitxml "$work/reports/$name-alone.xml" "$@"
}

# count ATTRIBUTE NAMES...: summed over reports.
count() {
  local attribute=$1; shift
  local name
  for name in "$@"; do cat "$work/reports/$name".xml "$work/reports/$name"-alone.xml 2>/dev/null ||
    true; done | grep -o "<testsuite [^>]*" | grep -o " $attribute=\"[0-9]*\"" |
    awk -F '"' '{ sum += $2 } END { print sum + 0 }'
}

# pages: every program of a page, typed and run; it prints what the page says.
pages() {
  local page folder program printed
  rm -rf "$work/pages"
  for page in README.md bindings/python/README.md docs/*.md; do
    grep -q '^```python$' "$page" || continue
    folder=$work/pages/$(basename "$(dirname "$page")")-$(basename "$page" .md)
    mkdir -p "$folder"
    programs=$((programs + $(awk -v folder="$folder" -f scripts/doc-programs.awk "$page")))
    for program in "$folder"/*.py; do
      say "$page: $(basename "$program")"
      must "mypy: $page, program $(basename "$program" .py)" types \
        --follow-imports silent --allow-untyped-decorators --allow-subclassing-any "$program"
      printed=${program%.py}.printed
      must "$page: program $(basename "$program" .py) fails" said "$program" "$printed"
      [ ! -e "${program%.py}.said" ] || must "$page: what $(basename "$program" .py) prints" \
        diff "${program%.py}.said" "$printed"
    done
  done
}

# said PROGRAM FILE: runs a program in its folder; what it prints goes into the file.
said() { (cd "$(dirname "$1")" && timeout 120 "$work/main/bin/python" "$1" > "$2"); }

# every_python WHEEL: the wheel in each interpreter; and the package's own tests on the oldest and
# on the newest one.
every_python() {
  local all oldest newest version program
  all=$(pythons)
  oldest=$(grep -v '^[0-9.]*t' <<< "$all" | head -n 1 | cut -f1)
  newest=$(grep -v '^[0-9.]*t' <<< "$all" | tail -n 1 | cut -f1)
  while IFS=$tab read -r version program; do
    say "the wheel on $version"
    case "$version" in
      *t) free_threaded "$version" "$program"; continue ;;
      "$main_version") ran+=("$version (all)"); continue ;;
      "$oldest" | "$newest")
        environment "$work/$version" "$program" "$requirements/core.txt"
        install "$work/$version" "$1"
        tests "$version" "$work/$version" "${own[@]}"
        ran+=("$version ($(count tests "$version"))") ;;
      *)
        rm -rf "${work:?}/$version"
        "$program" -m venv "$work/$version"
        install "$work/$version" "$1"
        must "smoke test on $version" "$work/$version/bin/python" -I "$project/tests/smoke.py"
        ran+=("$version (a smoke test)") ;;
    esac
  done <<< "$all"
  [ "$oldest" = 3.9 ] || left_out+=("Python 3.9: the oldest one here is $oldest")
}

# free_threaded VERSION PYTHON: the stable ABI is not for it, so it has a wheel of its own.
free_threaded() {
  local folder=$work/free/$1
  mkdir -p "$folder"
  cp "$work"/wheels/*/oncegate-*.tar.gz "$folder"
  from_source "$2" "$folder" --config-settings=build-args=--no-default-features
  environment "$work/$1" "$2" "$requirements/core.txt" "$requirements/free-threaded.txt"
  install "$work/$1" "$(find "$folder" -name '*.whl')"
  must "tests: $1" inside "$work/$1/bin/python" -X gil=0 -m pytest -q -ra -c pyproject.toml \
    --parallel-threads 4 --junitxml "$work/reports/$1.xml" "${own[@]}"
  free+=("$1 ($(count tests "$1"))")
}

if ! found=$(main_python); then
  reason="there is no CPython 3.11 or newer with venv (scripts/setup.sh python brings one)"
  must_have_run "$reason"
  say "SKIPPED: $reason"
  note python "SKIPPED: $reason"
  exit
fi
IFS=$tab read -r main_version main <<< "$found"
export PYO3_PYTHON=$main
environment "$work/main" "$main" "$requirements/test.txt" "$requirements/tools.txt"
case "${1:-}" in
  run) shift; run "$@"; exit ;;
  wheel) wheel; exit ;;
  '') ;;
  *) die "usage: scripts/python.sh [run COMMAND…|wheel]" ;;
esac

# The package's own tests, which need nothing else; each folder beside them is an integration.
own=("$project"/tests/test_*.py)
ran=() free=() left_out=() programs=0
rm -rf "$work/reports"
built=$(wheel)
install "$work/main" "$built"
printf 'wheel %s\n' "$(digest "${rust[@]}" "${python[@]}")" > "$work/main/installed"
checked_wheel "$built"
style

parts=(main)
say "the tests of the package"
tests main "$work/main" "${own[@]}"
for folder in "$project"/tests/*/; do
  part=$(basename "$folder")
  compgen -G "$folder/test_*.py" >/dev/null || continue
  say "the tests of $part"
  tests "$part" "$work/main" "$folder"
  parts+=("$part")
done
skipped=$(count skipped "${parts[@]}")
[ "$skipped" = 0 ] || must_have_run "$skipped tests were skipped (listed above)"
every_python "$built"
say "the programs of the pages"
pages

if [ ${#failed[@]} -gt 0 ]; then
  broken=$(printf '; %s' "${failed[@]}")
  note python "${#failed[@]} checks failed: ${broken#; }"
  die "${#failed[@]} checks failed: ${broken#; }"
fi
versions=$(printf ', %s' "${ran[@]}")
line="CPython $main_version: clippy, ruff, mypy --strict, stubtest, pyright;"
line+=" $(count tests "${parts[@]}") tests in ${#parts[@]} parts"
[ "$skipped" = 0 ] || line+=", $skipped of them SKIPPED"
note python "$line; $programs programs of the pages run and print what they say"
note python "a wheel from the sdist, $(basename "$built"), with tests on ${versions#, }"
if [ ${#free[@]} -gt 0 ]; then
  versions=$(printf ', %s' "${free[@]}")
  note python "without a global lock: ${versions#, }, four threads each"
else
  note python "not checked: a free-threaded build; there is no such interpreter here"
fi
for each in "${left_out[@]}"; do note python "not checked: $each"; done
