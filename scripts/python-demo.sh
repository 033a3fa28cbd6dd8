#!/usr/bin/env bash
# Serves the payments demo (bindings/python/examples/payments): builds the Python package into an
# environment of its own, starts workers, and prints the address. Ctrl-C ends it.
#
# CHECK=1 storms it with clients instead, prints what the ledger says, and ends by itself.
# WORKERS=4 and PORT=8000 are two workers and a free port, unless they are given.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/.."
. scripts/lib.sh
PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"

mkdir -p "${CARGO_TARGET_DIR:-target}"
target=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)
folder=$target/python/payments
demo=bindings/python/examples/payments
requirements=bindings/python/requirements
export PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# The Python suite builds there, too.
export CARGO_TARGET_DIR=$target/python/build
unset VIRTUAL_ENV PYTHONPATH PYTHONHOME

found=$(main_python) || die "there is no CPython 3.11 or newer with venv: scripts/setup.sh python"
IFS=$tab read -r _ python <<< "$found"
export PYO3_PYTHON=$python
mapfile -t needed < <(grep -hE '^(fastapi|httpx|uvicorn)==' "$requirements/test.txt")
mapfile -t built_by < <(grep -hE '^maturin==' "$requirements/tools.txt")

# Whatever the package is built from, and with.
stamp=$({ "$python" -VV; rustc -V; printf '%s\n' "${needed[@]}" "${built_by[@]}"
  find Cargo.toml core/Cargo.toml core/src bindings/python/{Cargo.toml,Cargo.lock,src,python} \
    bindings/python/pyproject.toml -type f ! -path '*/__pycache__/*' ! -name '*.so' -print0 |
    LC_ALL=C sort -z | xargs -0 sha256sum; } | sha256sum)
if [ "$stamp" != "$(cat "$folder/stamp" 2>/dev/null)" ]; then
  say "building the package into $folder (a minute or two the first time)"
  rm -rf "$folder"
  "$python" -m venv "$folder"
  "$folder/bin/pip" install -q "${built_by[@]}" "${needed[@]}" ||
    die "pip cannot install ${needed[*]}; is a package index in reach?"
  PATH=$folder/bin:$PATH "$folder/bin/pip" install -q --no-deps --no-build-isolation \
    ./bindings/python
  printf '%s\n' "$stamp" > "$folder/stamp"
fi

serve=("$folder/bin/python" "$demo/serve.py" --workers "${WORKERS:-2}" --port "${PORT:-0}")
[ "${CHECK:-0}" = 1 ] || exec "${serve[@]}"

coproc server { exec "${serve[@]}"; }
# shellcheck disable=SC2154 # coproc sets it
pid=$server_PID
trap 'kill "$pid" 2>/dev/null || true' EXIT
IFS= read -r line <&"${server[0]}" || die "the demo does not start"
say "$line"
"$folder/bin/python" "$demo/storm.py" "${line##* }"
kill "$pid"
wait "$pid"
trap - EXIT
