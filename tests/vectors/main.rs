//! Conformance vectors on the engine itself: the runner that those of other languages follow.
//!
//! `README.md` beside this file says what a vector is.
#![cfg(not(any(oncegate_loom, oncegate_shuttle)))]

mod calls;
mod fields;
mod files;
mod open;
mod policy;
mod request;
mod run;
mod twist;
mod waits;

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::Value;

/// Goal: the engine does what the vectors say, which every other language is held to.
/// Method: every vector, on an engine of its own; where a script asks for it, which ones ran and
/// how they ended is written down, for the comparison with the runners of other languages.
#[test]
fn every_vector_holds() {
    let vectors = files::vectors();
    let results: Vec<_> =
        vectors.iter().map(|vector| (files::id(vector), outcome(vector))).collect();
    files::report(&results);
    let failed: Vec<_> =
        results.iter().filter_map(|(id, result)| Some((id, result.as_ref().err()?))).collect();
    let list: String = failed.iter().map(|(id, why)| format!("\n  {id}: {why}")).collect();
    println!("vectors: {} of {} hold", results.len() - failed.len(), results.len());
    assert!(files::are_twisted() || failed.is_empty(), "{} vectors fail:{list}", failed.len());
}

/// Goal: nothing that a vector expects is passed over.
/// Method: every expectation is changed, one at a time, and each such vector has to fail.
#[test]
fn every_expectation_is_looked_at() {
    let vectors = files::vectors();
    let twisted: Vec<Value> = vectors.iter().flat_map(twist::twisted).collect();
    files::keep_twisted(&twisted);
    assert!(twisted.len() > vectors.len(), "each vector expects something");
    let passed: Vec<_> = twisted.iter().filter(|vector| outcome(vector).is_ok()).collect();
    let list: String = passed.iter().map(|vector| format!("\n  {}", files::id(vector))).collect();
    println!("vectors: {} twisted", twisted.len());
    assert!(passed.is_empty(), "{} twisted vectors pass:{list}", passed.len());
}

/// Goal: an identifier names one vector, of the area that it begins with, and every area that is
/// promised has some. Method: all files of this folder.
#[test]
fn every_vector_has_a_name_of_its_own() {
    let vectors = files::vectors();
    let mut ids: Vec<String> = vectors.iter().map(files::id).collect();
    ids.sort_unstable();
    assert!(ids.windows(2).all(|pair| pair[0] != pair[1]), "{ids:?}");
    for area in files::AREAS {
        let own = ids.iter().filter(|id| id.starts_with(&format!("{area}/"))).count();
        assert!(own > 0, "no vector of {area}");
    }
}

/// How a vector ends; a panic is an end, too.
fn outcome(vector: &Value) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(|| run::run(vector)))
        .unwrap_or_else(|_| Err("a panic".to_owned()))
}
