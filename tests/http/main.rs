//! The `tower` layer below real servers on the loopback interface, with real clients.
//!
//! A handler does nothing on its own: it reports its attempt to the test and waits to be told what
//! to answer, so that each overlap is arranged and not hoped for. Every test ends within a minute.
#![cfg(not(oncegate_loom))]

mod answers;
mod client;
mod direct;
mod disconnect;
mod duplicates;
mod failures;
mod hyper_server;
mod keys;
mod leaked_content;
mod limits;
mod site;
mod streams;
mod waiting;
