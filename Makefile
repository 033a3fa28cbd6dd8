# Everything a contributor runs. `make help` lists it; CONTRIBUTING.md explains it.
SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup demo test lint unit loom histories schedules sim processes chaos sanitize planted
.PHONY: fuzz mutants tidy deny msrv instructions bench bench-tier doc header install-c
.PHONY: ffi go go-library java java-install python vectors host demo-payments

# Where rustup puts Cargo, for a shell that does not know it yet.
export PATH := $(or $(CARGO_HOME),$(HOME)/.cargo)/bin:$(PATH)

CARGO ?= cargo
# `--locked` where the lock file must already be right, as in CI.
LOCKED ?=
# One model: `make loom MODEL=begin_vs_begin`.
MODEL ?=
# How many schedules each scenario gets: `make schedules N=100000 SEED=7`. One scenario:
# `make schedules SCENARIO=waiters`. One schedule again, as a failure printed it: SCHEDULE=9103….
SEED ?=
SCENARIO ?=
SCHEDULE ?=
# One simulated world again, all of it: `make sim N=1 SEED=7 TRACE=1`.
TRACE ?=
# One scene of the processes that are killed: `make processes SCENE=renewal`.
SCENE ?=
# One campaign of chaos: `make chaos CAMPAIGN=primaries_fail_over`.
CAMPAIGN ?=
# A saved history again: `make histories REPLAY=<file>`.
REPLAY ?=
# One part: `make mutants MUTANTS=fingerprint`.
MUTANTS ?=
# How long each fuzz target runs, and which one: `make fuzz TARGET=outcome SECONDS_EACH=600`.
SECONDS_EACH ?= 20
TARGET ?=
# `make fuzz SANITIZER=address`.
SANITIZER ?= none
# A new baseline of instruction counts: `make instructions UPDATE=1`.
UPDATE ?= 0
# How many rounds of it: `make bench-foreign ROUNDS=15`, `make bench-python ROUNDS=15`.
ROUNDS ?= 7
# A short run of the measurements: `make bench QUICK=1`.
QUICK ?= 0
# Where the C library goes: `make install-c PREFIX=/opt/oncegate LIBDIR=lib DESTDIR=<staging>`.
PREFIX ?= /usr/local
LIBDIR ?=
DESTDIR ?=
# The command has the engine's name, and would overwrite its pages.
DOC = $(CARGO) doc $(LOCKED) --workspace --exclude oncegate-cli --all-features --no-deps

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

setup: ## Install what the demo and the tests need
	@scripts/setup.sh test

demo: ## Storm real webhooks with and without the engine, in an outage, and on two hosts with Redis
	@scripts/setup.sh demo
	@scripts/demo.sh

demo-payments: ## Double clicks at a pay button in a browser, without the engine and with it
	@scripts/setup.sh python
	@scripts/python-demo.sh

test: ## Every suite, and one line for each at the end
	@scripts/setup.sh test
	@scripts/test.sh

lint: ## rustfmt, clippy and rustdoc, warnings denied
	$(CARGO) fmt --all --check
	$(CARGO) clippy $(LOCKED) --workspace --all-targets --all-features -- -D warnings
	$(CARGO) clippy $(LOCKED) -p oncegate --no-default-features -- -D warnings
	RUSTFLAGS="--cfg oncegate_loom" CARGO_TARGET_DIR="$${CARGO_TARGET_DIR:-target}/loom" \
	  $(CARGO) clippy $(LOCKED) --profile loom -p oncegate-tests --test loom -- -D warnings
	RUSTFLAGS="--cfg oncegate_shuttle" CARGO_TARGET_DIR="$${CARGO_TARGET_DIR:-target}/shuttle" \
	  $(CARGO) clippy $(LOCKED) --profile loom -p oncegate-tests --test schedules -- -D warnings
	RUSTFLAGS="--cfg oncegate_failpoints" \
	  CARGO_TARGET_DIR="$${CARGO_TARGET_DIR:-target}/failpoints" \
	  $(CARGO) clippy $(LOCKED) -p oncegate-tests --bins --test processes -- -D warnings
	RUSTFLAGS="--cfg oncegate_idempotent" CARGO_TARGET_DIR="$${CARGO_TARGET_DIR:-target}/bench" \
	  $(CARGO) clippy $(LOCKED) --ignore-rust-version -p oncegate-benches -p oncegate-bench-tier -- \
	  -D warnings
	RUSTDOCFLAGS="-D warnings" $(DOC)

unit: ## Unit, integration and property tests, and the examples of the documentation
	$(CARGO) test $(LOCKED) --workspace --all-features --no-fail-fast

loom: ## The models of the lock-free part, every interleaving within their bounds
	RUSTFLAGS="--cfg oncegate_loom" CARGO_TARGET_DIR="$${CARGO_TARGET_DIR:-target}/loom" \
	  $(CARGO) test $(LOCKED) --profile loom -p oncegate-tests --test loom \
	  --config 'target."cfg(all())".runner = ["$(CURDIR)/scripts/one-by-one.sh"]' -- $(MODEL)

histories: N ?= 20000
histories: ## Recorded histories of real threads, and whether an order explains each
	ONCEGATE_HISTORIES="$(N)" ONCEGATE_HISTORY="$(abspath $(REPLAY))" \
	  $(CARGO) test $(LOCKED) -p oncegate-tests --test histories -- --nocapture \
	  $(if $(REPLAY),a_saved_history)

schedules: N ?= 10000
schedules: ## Four to nine threads at once under N drawn schedules, each scenario with its twins
	@echo "schedules: $(N) of each scenario"
	ONCEGATE_SCHEDULES=$(N) ONCEGATE_SEED=$(SEED) ONCEGATE_SCHEDULE=$(SCHEDULE) \
	RUSTFLAGS="--cfg oncegate_shuttle" CARGO_TARGET_DIR="$${CARGO_TARGET_DIR:-target}/shuttle" \
	  $(CARGO) test $(LOCKED) --profile loom -p oncegate-tests --test schedules -- $(SCENARIO)

sim: N ?= 200
sim: ## The whole engine in virtual time: N worlds from SEED on, and every line of them with TRACE=1
	ONCEGATE_SIM="$(N)" ONCEGATE_SIM_SEED="$(SEED)" ONCEGATE_SIM_TRACE="$(TRACE)" \
	  $(CARGO) test $(LOCKED) --profile loom -p oncegate-tests --test sim -- --nocapture \
	  $(if $(SEED)$(TRACE),every_seed_keeps_the_promises)

processes: ## Real processes that share a table, killed at every step of what they do: SCENE=renewal
	RUSTFLAGS="--cfg oncegate_failpoints" CARGO_TARGET_DIR="$${CARGO_TARGET_DIR:-target}/failpoints" \
	  SCENE="$(SCENE)" $(CARGO) test $(LOCKED) -p oncegate-tests --test processes -- \
	  --nocapture $(if $(SCENE),killed_before_every_write)
ifeq ($(SCENE),)
	RUSTFLAGS="--cfg oncegate_polling" CARGO_TARGET_DIR="$${CARGO_TARGET_DIR:-target}/polling" \
	  $(CARGO) test $(LOCKED) -p oncegate-tests --test processes -- waiting
endif

chaos: SECONDS_EACH = 60
chaos: ## Hosts and Redis servers that stop, die and lose each other; SECONDS_EACH=60 SEED=7
	ONCEGATE_CHAOS_SECONDS="$(SECONDS_EACH)" ONCEGATE_CHAOS_SEED="$(SEED)" ONCEGATE_REQUIRE_ALL=1 \
	  $(CARGO) test $(LOCKED) -p oncegate-tests --test fleet --all-features -- --nocapture \
	  --test-threads=1 chaos::$(CAMPAIGN)

sanitize: ## The stress program under three sanitizers: STEPS=100000 SEED=7 SANITIZERS=thread
	@scripts/sanitize.sh

planted: ## Plant every bug of docs/planted-bugs.md; its test must catch it
	$(CARGO) test $(LOCKED) -p oncegate-tests --test planted

mutants: ## Change the engine at random; docs/mutants.md explains what no test noticed (hours)
	@scripts/setup.sh mutants
	@scripts/mutants.sh $(MUTANTS)

fuzz: ## Every fuzz target for SECONDS_EACH=20; TARGET= names one; its corpus is replayed by `unit`
	@SECONDS_EACH=$(SECONDS_EACH) TARGET=$(TARGET) SANITIZER=$(SANITIZER) scripts/fuzz.sh

header: ## The C header, made anew from the crate
	UPDATE=1 $(CARGO) test $(LOCKED) -p oncegate-ffi --test header

install-c: ## Install the C library, its headers, pkg-config and CMake files below PREFIX
	@scripts/setup.sh c
	$(CARGO) capi install $(LOCKED) --release -p oncegate-ffi --prefix "$(PREFIX)" \
	  $(if $(LIBDIR),--libdir "$(LIBDIR)") $(if $(DESTDIR),--destdir "$(DESTDIR)")

ffi: ## The C ABI: header, symbols, misuse from C and C++, under AddressSanitizer and valgrind
	@scripts/ffi.sh

go: ## The Go module: vet, tests, examples; under -race, cgocheck2 and GOGC=1
	@scripts/go.sh

go-library: ## The static library for the Go module, where its build finds it
	@scripts/go.sh library

vectors: ## The conformance vectors in every language, and whether all ran all of them
	@scripts/vectors.sh

host: ## Programs in C, Go, Java and Rust on one table, each killed half way in a round
	@scripts/host.sh

java: ## The Java modules: javac, javadoc, tests by JNA and by foreign functions
	@scripts/java.sh

python: ## The Python package: clippy, ruff, mypy, pyright, tests on every CPython that is here
	@scripts/python.sh

java-install: ## The Java modules into Maven's local repository
	@scripts/java.sh install

tidy: ## The house rules that a program can check
	$(CARGO) test $(LOCKED) -p oncegate-tests --test tidy -- --nocapture

deny: ## Licences, sources, bans and, where the database can be had, advisories
	@scripts/deny.sh

msrv: ## The minimum Rust version
	@scripts/msrv.sh

instructions: ## Instruction counts of the hot paths against the baseline; UPDATE=1 writes it
	@UPDATE=$(UPDATE) scripts/instructions.sh

bench: ## The engine beside its peers, with a report; QUICK=1 takes minutes instead of half an hour
	@scripts/setup.sh bench
	RUSTFLAGS="--cfg oncegate_idempotent" CARGO_TARGET_DIR="$${CARGO_TARGET_DIR:-target}/bench" \
	  $(CARGO) run $(LOCKED) --release --ignore-rust-version -p oncegate-benches --bin compare -- \
	  $(if $(filter 1,$(QUICK)),--quick) --report "$${CARGO_TARGET_DIR:-target}/bench-report"

bench-tier: ## The tier in Redis beside what people write with it; QUICK=1: half a minute
	@scripts/setup.sh bench
	RUSTFLAGS="--cfg oncegate_idempotent" CARGO_TARGET_DIR="$${CARGO_TARGET_DIR:-target}/bench" \
	  $(CARGO) run $(LOCKED) --release --ignore-rust-version -p oncegate-bench-tier -- \
	  $(if $(filter 1,$(QUICK)),--quick,--rounds $(ROUNDS))

bench-python: ## What calls, decorators and middlewares cost from Python, beside their peers
	@ROUNDS=$(ROUNDS) scripts/bench-python.sh

bench-foreign: ## What a call costs from C, Go and Java, beside one that does nothing
	@ROUNDS=$(ROUNDS) scripts/bench-foreign.sh

doc: ## The API documentation
	$(DOC)
	@echo "open $${CARGO_TARGET_DIR:-target}/doc/oncegate/index.html"
