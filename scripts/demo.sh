#!/usr/bin/env bash
# Builds the command and storms the engine with real webhooks: once without it, once with it.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"

say "building the command (a minute or two the first time)"
cargo build ${LOCKED:-} --release --quiet -p oncegate-cli
say "255 webhooks, 6 copies each, 32 clients, seed 7: without the engine, then with it"
exec "${CARGO_TARGET_DIR:-target}/release/oncegate" storm --compare \
  --input bindings/cli/data/github-webhooks.ndjson.gz \
  --clients 32 --copies 6 --fail-rate 0.05 --pause-rate 0.02 --seed 7
