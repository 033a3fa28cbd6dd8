#!/usr/bin/env bash
# Builds the command and storms the engine with real webhooks: once without it, once with it, then
# from processes that share one table and are killed, then while what they call is down, and then on
# two hosts that share a Redis server, both of which are killed.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"

say "building the command (a minute or two the first time)"
cargo build ${LOCKED:-} --release --quiet -p oncegate-cli
say "255 webhooks, 6 copies each, 32 clients, seed 7: without the engine, then with it"
oncegate="${CARGO_TARGET_DIR:-target}/release/oncegate"
input=bindings/cli/data/github-webhooks.ndjson.gz
"$oncegate" storm --compare --input "$input" \
  --clients 32 --copies 6 --fail-rate 0.05 --pause-rate 0.02 --seed 7
say "the same webhooks to 4 processes that share a table and are killed, about 8 a second"
"$oncegate" storm --processes 4 --kill-rate 8 --input "$input" \
  --clients 16 --copies 4 --work-ms 60 --fail-rate 0.05 --seed 7
say "the same webhooks to a downstream that is down: retried at once, with backoff, by the engine"
"$oncegate" storm --outage-ms 1500 --input "$input" \
  --clients 48 --copies 4 --work-ms 20 --fail-rate 0.02 --seed 7 \
  --svg "${CARGO_TARGET_DIR:-target}/outage.svg"
if have redis-server; then
  say "the same webhooks to 2 hosts with a table each and one Redis: locks by hand, then the engine"
  exec "$oncegate" storm --hosts 2 --input "$input" \
    --clients 32 --copies 4 --work-ms 30 --fail-rate 0.05 --seed 7
fi
say "left out: two hosts that share a Redis server, since there is no redis-server here to start"
