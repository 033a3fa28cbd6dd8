#!/usr/bin/env bash
# What may enter the dependency graph (deny.toml), and what may enter the engine.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"

# Deferred reclamation, rehashing caches, and thread-local state that a fork or an unload breaks.
unwanted=(crossbeam-epoch moka sharded-slab ahash rand fastrand openssl-sys)

if ! have cargo-deny; then
  must_have_run "cargo-deny is not installed (make setup installs it)"
  note deny "SKIPPED: cargo-deny is not installed (make setup installs it)"
  exit 0
fi

cargo deny --workspace check bans licenses sources

engine=$(cargo tree ${LOCKED:-} -p oncegate -e normal --all-features --prefix none --format '{p}' |
  cut -d' ' -f1 | sort -u | grep -vx oncegate)
for name in "${unwanted[@]}"; do
  if grep -qx "$name" <<< "$engine"; then
    die "the engine draws in $name, which it must not (scripts/deny.sh says why)"
  fi
done
# The Python package has a lock file of its own.
python=(cargo deny --manifest-path bindings/python/Cargo.toml --config deny.toml)
"${python[@]}" check -A license-exception-not-encountered -A license-not-encountered \
  bans licenses sources
note deny "licences, bans and sources of the whole graph, and of the Python package's;" \
  "$(wc -l <<< "$engine") crates below the engine, none unwanted"

# The advisories are a Git repository. A machine that cannot reach it can check all but this.
if timeout 120 cargo deny fetch db >/dev/null 2>&1; then
  cargo deny --workspace check advisories
  "${python[@]}" check advisories
  note deny "advisories: none open"
else
  say "SKIPPED: advisories; their database could not be fetched from the network"
  note deny "advisories SKIPPED: their database could not be fetched from the network"
fi
