//! Measurements: see `operations.rs` beside this crate's manifest.
