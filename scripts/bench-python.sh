#!/usr/bin/env bash
# What a call, a decorator and a middleware cost from Python, beside what people use today, in one
# shuffled run: tables of medians with the spread of the rounds, and ratios.
#   ROUNDS=15 scripts/bench-python.sh                  the wheel, which is for every CPython
#   ABI3=0 scripts/bench-python.sh                     a build for this CPython alone
#   scripts/bench-python.sh --only "A duplicate"       parts whose names begin so
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"

mkdir -p "${CARGO_TARGET_DIR:-target}"
target=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)
abi3=${ABI3:-1}
work=$target/bench-python/abi3-$abi3
needed=benches/python/requirements.txt
export PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1
unset VIRTUAL_ENV PYTHONPATH PYTHONHOME

have redis-server || die "there is no redis-server, which is a peer; scripts/setup.sh bench gets it"
found=$(main_python) || die "there is no CPython 3.11 or newer; scripts/setup.sh python brings one"
IFS=$tab read -r version python <<< "$found"
stamp=$("$python" -VV; cat "$needed")
if [ "$stamp" != "$(cat "$work/stamp" 2>/dev/null)" ]; then
  say "the peers, for CPython $version"
  rm -rf "$work"
  "$python" -m venv "$work"
  maturin=$(grep '^maturin==' bindings/python/requirements/tools.txt)
  "$work/bin/pip" install -q -r "$needed" "$maturin"
  printf '%s\n' "$stamp" > "$work/stamp"
fi

say "the package"
features=()
[ "$abi3" = 1 ] || features=(--no-default-features)
# It is linked into the tree, where an interpreter takes the module that is for it alone before the
# one for all: what an earlier run or `scripts/python.sh` left there goes, and is built anew there.
rm -f bindings/python/python/oncegate/_core.*.so "$target/python/main/installed"
(cd bindings/python && CARGO_TARGET_DIR=$target/python/build VIRTUAL_ENV=$work \
  PYO3_PYTHON=$python "$work/bin/maturin" develop --release --locked -q "${features[@]}" >&2)

# Peers get huge pages too, as in `make bench`.
export GLIBC_TUNABLES=glibc.malloc.hugetlb=1
exec "$work/bin/python" benches/python/compare.py --rounds "${ROUNDS:-7}" \
  --json "$target/bench-python/report-abi3-$abi3.json" "$@"
