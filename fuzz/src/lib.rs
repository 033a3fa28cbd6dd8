//! Fuzz targets: plain functions that take any bytes and panic where a promise is broken.
//!
//! | target | what the bytes are | what is promised |
//! |---|---|---|
//! | [`operations`] | calls of clients, holders, reconcilers and clocks | the oracle's answers |
//! | [`fingerprints`] | two requests, and rules for keys | one fingerprint, one request; typed limits |
//! | [`canonical_json`] | a JSON document, and pointers into it | what a second implementation digests |
//! | [`command_line`] | arguments, or a file of requests | usage within limits; every line accounted for |
//! | [`regions`] | changes of a table's file, and calls | an answer or a typed error to each |
//! | [`ffi_calls`] | calls of the C ABI, right and wrong | the header's word; what a model foretells |
//! | [`outcomes`] | an outcome, and a token in bytes | what is stored comes back whole |
//!
//! `cargo fuzz` calls them through the programs in `targets/`; the test `replay` calls them with
//! every file of `corpus/` and `regressions/`. A file is replayed alone, without the fuzzer, by
//! `cargo run -p oncegate-fuzz --bin TARGET -- FILE`.

pub mod canonical_json;
pub mod command_line;
pub mod ffi_calls;
pub mod fingerprints;
mod identity;
pub mod operations;
pub mod outcomes;
pub mod regions;

// The oracle is that of the property tests, file by file.
#[path = "../../tests/oracle/drive.rs"]
mod drive;
#[path = "../../tests/oracle/full_table.rs"]
mod full_table;
#[path = "../../tests/oracle/model.rs"]
mod model;
#[path = "../../tests/oracle/ops.rs"]
mod ops;
#[path = "../../tests/oracle/outcomes.rs"]
mod outcome_ring;
#[path = "../../tests/oracle/quotas.rs"]
mod quotas;
#[path = "../../tests/oracle/requests.rs"]
mod requests;
#[path = "../../tests/oracle/tokens.rs"]
mod tokens;
#[path = "../../tests/oracle/told.rs"]
mod told;

use std::process::ExitCode;

/// A fuzz target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The name of its program, its corpus and its regressions.
    pub name: &'static str,
    /// Takes one input.
    pub run: fn(&[u8]),
}

/// Every target; `Cargo.toml` has a program for each.
pub const TARGETS: &[Target] = &[
    Target { name: "operations", run: operations::run },
    Target { name: "fingerprints", run: fingerprints::run },
    Target { name: "canonical_json", run: canonical_json::run },
    Target { name: "command_line", run: command_line::run },
    Target { name: "ffi_calls", run: ffi_calls::run },
    Target { name: "outcomes", run: outcomes::run },
    Target { name: "regions", run: regions::run },
];

/// Runs a target on the files that the command line names. A broken promise is a panic.
pub fn replay(run: fn(&[u8])) -> ExitCode {
    let mut replayed = 0;
    for path in std::env::args_os().skip(1) {
        match std::fs::read(&path) {
            Ok(data) => run(&data),
            Err(error) => {
                eprintln!("{}: {error}", path.display());
                return ExitCode::FAILURE;
            }
        }
        replayed += 1;
    }
    println!("{replayed} files replayed");
    ExitCode::SUCCESS
}
