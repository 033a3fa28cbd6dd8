//! Reports: what was measured, for people and for programs.

pub mod plain;
