//! The engine in memory of each kind, with huge pages as the kernel gives them, and without.

use std::sync::{Mutex, PoisonError};

use oncegate::{BeginOptions, Engine, Lease, Outcome, Reach};
use rustix::thread::disable_transparent_huge_pages;

use super::Oncegate;
use crate::host::Folder;
use crate::process::huge_bytes;
use crate::record::{LEASE, WINDOW};
use crate::store::{Begun, Store};

/// A table in `MEMORY` of one kind; with `HUGE`, large pages are asked for.
pub struct Placed<const MEMORY: u8, const HUGE: bool> {
    engine: Oncegate,
    /// Where the file lies: an engine whose file is gone refuses to go on.
    _folder: Option<Folder>,
}

/// Memory of the process itself.
pub const PRIVATE: u8 = 0;
/// Memory that forked processes inherit.
pub const INHERITED: u8 = 1;
/// A file in memory, which unrelated processes open.
pub const NAMED: u8 = 2;

/// What the kernel gave to a table.
#[derive(Clone, Copy, Debug)]
pub struct Given {
    /// The contender.
    pub name: &'static str,
    /// Bytes of the table.
    pub bytes: u64,
    /// Bytes of it in huge pages.
    pub huge: u64,
}

/// What was given to the tables that were opened since this was asked last.
pub fn given() -> Vec<Given> {
    std::mem::take(&mut *GIVEN.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A table is opened inside the harness, which knows nothing of pages.
static GIVEN: Mutex<Vec<Given>> = Mutex::new(Vec::new());

impl<const MEMORY: u8, const HUGE: bool> Placed<MEMORY, HUGE> {
    fn build(capacity: usize, folder: Option<&Folder>) -> Engine {
        let reach = match folder {
            Some(folder) => Reach::Host(folder.path().join("table")),
            None if MEMORY == INHERITED => Reach::HostInherited,
            None => Reach::Process,
        };
        let builder = Engine::builder().capacity(capacity).reach(reach);
        let builder = builder.lease_duration(LEASE).dedup_window(WINDOW).outcome_limit(64);
        // Touched at once, so that all pages are of the size that is in force now.
        let builder = builder.inline_outcome(64).outcome_bytes(64 << 10).prefault(true);
        builder.build().expect("a valid configuration")
    }
}

impl<const MEMORY: u8, const HUGE: bool> Store for Placed<MEMORY, HUGE> {
    type Key = [u64; 4];
    type Lease<'s> = Lease<'s>;
    type Outcome = Outcome;
    const NAME: &'static str = match (MEMORY, HUGE) {
        (INHERITED, true) => "oncegate, inherited",
        (INHERITED, false) => "oncegate, inherited, small pages",
        (NAMED, true) => "oncegate, file",
        (NAMED, false) => "oncegate, file, small pages",
        (_, true) => "oncegate",
        (_, false) => "oncegate, small pages",
    };
    const BOUNDED: bool = true;
    const LOCKS: bool = false;
    const NOTE: &'static str = "In memory of one kind, touched when it is opened.";

    fn open(capacity: usize) -> Self {
        if !HUGE {
            disable_transparent_huge_pages(true).expect("always allowed");
        }
        let before = huge_bytes();
        let folder = (MEMORY == NAMED).then(|| Folder::new().expect("a folder"));
        let engine = Self::build(capacity, folder.as_ref());
        let huge = huge_bytes().saturating_sub(before);
        if !HUGE {
            disable_transparent_huge_pages(false).expect("always allowed");
        }
        let bytes = engine.stats().expect("not forked").bytes;
        let mut all = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(Given { name: Self::NAME, bytes, huge: huge.min(bytes) });
        drop(all);
        Self { engine: Oncegate::of(engine, BeginOptions::new()), _folder: folder }
    }

    #[inline]
    fn key(number: u64) -> [u64; 4] {
        Oncegate::key(number)
    }

    fn outcome(fill: u8) -> Outcome {
        Oncegate::outcome(fill)
    }

    #[inline]
    fn begin<'s>(&'s self, key: &[u64; 4], into: &mut Outcome) -> Begun<Lease<'s>> {
        self.engine.begin(key, into)
    }

    #[inline]
    fn complete<'s>(&'s self, lease: Lease<'s>, outcome: &Outcome) {
        self.engine.complete(lease, outcome);
    }

    fn remove(&self, _: &[u64; 4]) {}
}
