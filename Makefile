# Everything a contributor runs. `make help` lists it; CONTRIBUTING.md explains it.
SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup demo test lint unit loom histories planted mutants tidy deny msrv instructions
.PHONY: bench doc

# Where rustup puts Cargo, for a shell that does not know it yet.
export PATH := $(or $(CARGO_HOME),$(HOME)/.cargo)/bin:$(PATH)

CARGO ?= cargo
# `--locked` where the lock file must already be right, as in CI.
LOCKED ?=
# One model: `make loom MODEL=begin_vs_begin`.
MODEL ?=
# As many runs: `make histories N=100000`; a saved one again: `make histories REPLAY=<file>`.
N ?= 20000
REPLAY ?=
# One part: `make mutants MUTANTS=fingerprint`.
MUTANTS ?=
# A new baseline of instruction counts: `make instructions UPDATE=1`.
UPDATE ?= 0
# A short run of the measurements: `make bench QUICK=1`.
QUICK ?= 0
# The command has the engine's name, and would overwrite its pages.
DOC = $(CARGO) doc $(LOCKED) --workspace --exclude oncegate-cli --all-features --no-deps

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

setup: ## Install what the demo and the tests need
	@scripts/setup.sh test

demo: ## Storm real webhooks with and without the engine, side by side
	@scripts/setup.sh build
	@scripts/demo.sh

test: ## Every suite: lint, tidy, unit, loom, planted, deny, msrv, instructions; a line for each
	@scripts/setup.sh test
	@scripts/test.sh

lint: ## rustfmt, clippy and rustdoc, warnings denied
	$(CARGO) fmt --all --check
	$(CARGO) clippy $(LOCKED) --workspace --all-targets --all-features -- -D warnings
	$(CARGO) clippy $(LOCKED) -p oncegate --no-default-features -- -D warnings
	RUSTFLAGS="--cfg oncegate_loom" CARGO_TARGET_DIR="$${CARGO_TARGET_DIR:-target}/loom" \
	  $(CARGO) clippy $(LOCKED) --profile loom -p oncegate-tests --test loom -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(DOC)

unit: ## Unit, integration and property tests, and the examples of the documentation
	$(CARGO) test $(LOCKED) --workspace --all-features --no-fail-fast

loom: ## The models of the lock-free part, every interleaving within their bounds
	RUSTFLAGS="--cfg oncegate_loom" CARGO_TARGET_DIR="$${CARGO_TARGET_DIR:-target}/loom" \
	  $(CARGO) test $(LOCKED) --profile loom -p oncegate-tests --test loom -- $(MODEL)

histories: ## Recorded histories of real threads, and whether an order explains each
	ONCEGATE_HISTORIES="$(N)" ONCEGATE_HISTORY="$(abspath $(REPLAY))" \
	  $(CARGO) test $(LOCKED) -p oncegate-tests --test histories -- --nocapture \
	  $(if $(REPLAY),a_saved_history)

planted: ## Plant every bug of docs/planted-bugs.md; its test must catch it
	$(CARGO) test $(LOCKED) -p oncegate-tests --test planted

mutants: ## Change the engine at random; docs/mutants.md explains what no test noticed (hours)
	@scripts/setup.sh mutants
	@scripts/mutants.sh $(MUTANTS)

tidy: ## The house rules that a program can check
	$(CARGO) test $(LOCKED) -p oncegate-tests --test tidy -- --nocapture

deny: ## Licences, sources, bans and, where the database can be had, advisories
	@scripts/deny.sh

msrv: ## The minimum Rust version
	@scripts/msrv.sh

instructions: ## Instruction counts of the hot paths against the baseline; UPDATE=1 writes it
	@UPDATE=$(UPDATE) scripts/instructions.sh

bench: ## The engine beside its peers, with a report; QUICK=1 takes minutes instead of half an hour
	RUSTFLAGS="--cfg oncegate_idempotent" CARGO_TARGET_DIR="$${CARGO_TARGET_DIR:-target}/bench" \
	  $(CARGO) run $(LOCKED) --release --ignore-rust-version -p oncegate-benches --bin compare -- \
	  $(if $(filter 1,$(QUICK)),--quick) --report "$${CARGO_TARGET_DIR:-target}/bench-report"

doc: ## The API documentation
	$(DOC)
	@echo "open $${CARGO_TARGET_DIR:-target}/doc/oncegate/index.html"
