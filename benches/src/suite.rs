//! Suite: the workloads, and who takes part in each.

use crate::contender::{Contender, Kind, Single};
use crate::key::{BuildIdentity, Hashed};
use crate::peers::{self, MokaStore, Oncegate, OncegateText, Visitor};
use crate::rounds::{Figures, Opener, Settings, measure};
use crate::store::Store;
use crate::workloads::{Batched, Hits, Hot, Mix, Race, Unique, Workload};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// [`Hot`].
    Hot,
    /// [`Hits`] on 64 thousand records.
    Hits64k,
    /// [`Hits`] on 16 million records.
    Hits16m,
    /// [`Mix`].
    Mix,
    /// [`Unique`].
    Unique,
    /// [`Race`].
    Race,
    /// [`Hot`], and the keys are strings that have to be hashed.
    HotText,
    /// [`Unique`], and the keys are strings that have to be hashed.
    UniqueText,
}

impl Task {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Hot,
        Self::Hits64k,
        Self::Mix,
        Self::Unique,
        Self::Race,
        Self::HotText,
        Self::UniqueText,
        Self::Hits16m,
    ];

    /// Its name on the command line and in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hot => "hot",
            Self::Hits64k => "hits64k",
            Self::Hits16m => "hits16m",
            Self::Mix => "mix",
            Self::Unique => "unique",
            Self::Race => "race",
            Self::HotText => "hot-text",
            Self::UniqueText => "unique-text",
        }
    }

    /// What it is, in a sentence.
    #[must_use]
    pub fn about(self, sizes: &Sizes) -> String {
        let (small, million, large) = (sizes.small, sizes.million, sizes.large);
        match self {
            Self::Hot => "every request is a duplicate of one of 16 finished ones".to_owned(),
            Self::Hits64k => format!("99 % duplicates of {small} live records, uniform"),
            Self::Hits16m => format!("99 % duplicates of {large} live records, uniform"),
            Self::Mix => {
                format!("50 % new, 50 % duplicates of {million} records by Zipf's law (0.99)")
            }
            Self::Unique => {
                format!("every request is new: begun and completed in a full table of {million}")
            }
            Self::Race => "all threads begin the same new keys in lockstep".to_owned(),
            Self::HotText => "as hot, with string keys that each contender hashes".to_owned(),
            Self::UniqueText => "as unique, with string keys that each contender hashes".to_owned(),
        }
    }

    /// Measures it.
    #[must_use]
    pub fn run(self, sizes: &Sizes, filter: &Filter, settings: &Settings) -> Vec<Figures> {
        match self {
            Self::Hot => hashed(&Hot, &[], true, filter, settings),
            Self::Hits64k => hashed(&sizes.hits64k(), &[16, 32], true, filter, settings),
            Self::Hits16m => hashed(&sizes.hits16m(), &[8, 16, 32], false, filter, settings),
            Self::Mix => hashed(&Mix { popular: sizes.million }, &[16], true, filter, settings),
            Self::Unique => {
                hashed(&Unique { records: sizes.million }, &[16], true, filter, settings)
            }
            Self::Race => race(filter, settings),
            Self::HotText => text(&Hot, true, filter, settings),
            Self::UniqueText => text(&Unique { records: sizes.million }, true, filter, settings),
        }
    }
}

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Seconds: enough to see everything work.
    Tiny,
    /// Three minutes: smaller tables, shorter slices, no table of 16 million records.
    Quick,
    /// Half an hour.
    Full,
}

impl Extent {
    /// One of three.
    pub fn choose<T>(self, tiny: T, quick: T, full: T) -> T {
        match self {
            Self::Tiny => tiny,
            Self::Quick => quick,
            Self::Full => full,
        }
    }
}

/// How large the tables are.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// A table in the caches.
    pub small: usize,
    /// A table beyond them.
    pub million: usize,
    /// A table far beyond them.
    pub large: usize,
}

impl Sizes {
    /// Those of an extent.
    #[must_use]
    pub const fn of(extent: Extent) -> Self {
        match extent {
            Extent::Tiny => Self { small: 1_000, million: 2_000, large: 3_000 },
            Extent::Quick => Self { small: 64_000, million: 250_000, large: 2_000_000 },
            Extent::Full => Self { small: 64_000, million: 1_000_000, large: 16_000_000 },
        }
    }

    fn hits64k(&self) -> Hits {
        Hits { name: "hits64k", records: self.small, capacity: self.small * 2 }
    }

    fn hits16m(&self) -> Hits {
        Hits { name: "hits16m", records: self.large, capacity: self.large + self.large / 20 }
    }
}

/// Which contenders take part.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Parts of names; none: all take part.
    pub names: Vec<String>,
}

impl Filter {
    fn takes(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|part| name.contains(part.as_str()))
    }
}

/// Us, us in batches, and the peers, with fingerprints.
fn hashed<W: Workload>(
    workload: &W,
    batches: &[usize],
    keep: bool,
    filter: &Filter,
    settings: &Settings,
) -> Vec<Figures> {
    let mut all = Collect { workload, filter, openers: Vec::new() };
    all.visit::<Oncegate>();
    for &size in batches {
        all.batched(size);
    }
    peers::hashed(&mut all);
    measure(&all.openers, keep, settings)
}

/// Us by both hashes, and the peers, with strings.
fn text<W: Workload>(
    workload: &W,
    keep: bool,
    filter: &Filter,
    settings: &Settings,
) -> Vec<Figures> {
    let mut all = Collect { workload, filter, openers: Vec::new() };
    all.visit::<OncegateText<true>>();
    all.visit::<OncegateText<false>>();
    peers::text(&mut all);
    #[cfg(oncegate_idempotent)]
    all.idempotent();
    measure(&all.openers, keep, settings)
}

fn race(filter: &Filter, settings: &Settings) -> Vec<Figures> {
    let mut all = CollectRace { filter, openers: Vec::new() };
    all.visit::<Oncegate>();
    peers::hashed(&mut all);
    all.visit::<MokaStore<Hashed, BuildIdentity, false, false>>();
    let settings = Settings { latencies: false, ..settings.clone() };
    let mut figures = measure(&all.openers, true, &settings);
    // One thread has nobody to race with.
    figures.retain(|figures| figures.threads > 1);
    figures
}

struct Collect<'w, W> {
    workload: &'w W,
    filter: &'w Filter,
    openers: Vec<Opener<'w>>,
}

impl<W: Workload> Collect<'_, W> {
    fn batched(&mut self, size: usize) {
        let (workload, name) = (self.workload, format!("oncegate, batches of {size}"));
        if self.filter.takes(&name) {
            let kind = Kind { batch: size, ..Kind::of::<Oncegate>() };
            let open =
                Box::new(move || Box::new(Batched::new(workload, size)) as Box<dyn Contender>);
            self.openers.push(Opener { name, kind, open });
        }
    }
}

#[cfg(oncegate_idempotent)]
impl<W: Workload> Collect<'_, W> {
    fn idempotent(&mut self) {
        use crate::peers::{IdempotentStore, InItsRuntime};
        let (workload, name) = (self.workload, IdempotentStore::NAME);
        if self.filter.takes(name) {
            let open =
                Box::new(move || Box::new(InItsRuntime::new(workload)) as Box<dyn Contender>);
            let kind = Kind::of::<IdempotentStore>();
            self.openers.push(Opener { name: name.to_owned(), kind, open });
        }
    }
}

impl<W: Workload> Visitor for Collect<'_, W> {
    fn visit<S: Store + 'static>(&mut self) {
        let workload = self.workload;
        if self.filter.takes(S::NAME) {
            let (name, kind) = (S::NAME.to_owned(), Kind::of::<S>());
            let open =
                Box::new(move || Box::new(Single::<S, W>::new(workload)) as Box<dyn Contender>);
            self.openers.push(Opener { name, kind, open });
        }
    }
}

struct CollectRace<'w> {
    filter: &'w Filter,
    openers: Vec<Opener<'w>>,
}

impl Visitor for CollectRace<'_> {
    fn visit<S: Store + 'static>(&mut self) {
        if self.filter.takes(S::NAME) {
            let (name, kind) = (S::NAME.to_owned(), Kind::of::<S>());
            let open = Box::new(|| Box::new(Race::<S>::new()) as Box<dyn Contender>);
            self.openers.push(Opener { name, kind, open });
        }
    }
}
