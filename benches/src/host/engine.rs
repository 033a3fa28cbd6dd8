//! The engine, with everything on, in a file that unrelated processes open, in memory that forked
//! ones inherit, and in memory of its own for threads.

use std::sync::Arc;

use oncegate::{
    Admission, BeginOptions, Engine, Error, Fingerprint, Lease, Outcome, Prepared, Reach, Scope,
};

use super::{Answer, Asked, HostStore, Site};
use crate::peers::widened;

/// A table in a file in memory; each process opens it by its path. `DEFAULT`: it has room for as
/// many records as the engine makes room for when nothing is said, and so is nearer to the caches.
pub struct Named<const DEFAULT: bool>(Table);
/// A table without a name, opened before the processes are forked.
pub struct Inherited(Table);
/// A table of one process, for threads.
pub struct Private(Table);

/// What the three have in common.
struct Table {
    engine: Arc<Engine>,
    options: BeginOptions,
}

impl Table {
    fn open(site: &Site, reach: Reach) -> Result<Arc<Engine>, String> {
        let builder = Engine::builder().capacity(site.capacity).reach(reach).prefault(true);
        let builder = builder.lease_duration(site.lease).dedup_window(site.window);
        // All outcomes are small enough to lie beside their records.
        let builder = builder.outcome_limit(64).inline_outcome(64).outcome_bytes(64 << 10);
        builder.build().map(Arc::new).map_err(|error| error.to_string())
    }

    fn of(engine: &Arc<Engine>) -> Self {
        Self { engine: Arc::clone(engine), options: BeginOptions::new() }
    }

    #[inline]
    fn prepare(&self, asked: &Asked) -> Prepared<'static> {
        let fingerprint = Fingerprint::from_bytes(widened(asked.key));
        self.engine.prepare_hashed(Scope::single_tenant(), fingerprint, asked.digest)
    }

    #[inline]
    fn begin(&self, asked: &Asked, into: &mut Outcome) -> Answer<Lease<'_>> {
        answer(self.engine.begin_into(&self.prepare(asked), &self.options, into))
    }

    fn batch(&self, asked: &[Asked], outcome: &Outcome, into: &mut Outcome) -> u64 {
        const MOST: usize = 32;
        let mut created = 0;
        for asked in asked.chunks(MOST) {
            let mut batch = [self.prepare(&asked[0]); MOST];
            for (prepared, asked) in batch.iter_mut().zip(asked) {
                *prepared = self.prepare(asked);
            }
            let mut leases: [Option<Lease<'_>>; MOST] = [const { None }; MOST];
            let batch = &batch[..asked.len()];
            self.engine.begin_batch(batch, &self.options, into, |index, admission| {
                if let Answer::Created(lease) = answer(admission) {
                    leases[index] = Some(lease);
                }
            });
            for lease in leases.iter_mut().filter_map(Option::take) {
                created += u64::from(complete(lease, outcome));
            }
        }
        created
    }
}

#[inline]
fn answer<'e>(admission: Result<Admission<'e, &Outcome>, Error>) -> Answer<Lease<'e>> {
    match admission.expect("an evicting table has room") {
        Admission::Admitted(lease) => Answer::Created(lease),
        Admission::Replayed(_) => Answer::Replayed,
        Admission::InProgress { .. } => Answer::InProgress,
        Admission::Mismatched => Answer::Mismatched,
        other => unreachable!("nobody asks for {other:?}"),
    }
}

#[inline]
fn complete(lease: Lease<'_>, outcome: &Outcome) -> bool {
    match lease.complete(outcome) {
        Ok(_) => true,
        Err(error) => {
            assert!(error.is_fenced(), "{error}");
            false
        }
    }
}

/// The parts of [`HostStore`] that are the same in all three.
macro_rules! of_table {
    () => {
        type Lease<'s> = Lease<'s>;
        type Outcome = Outcome;
        const BATCHES: bool = true;

        fn outcome(fill: u8) -> Outcome {
            Outcome::new(200, [fill; 64])
        }

        fn bytes(outcome: &Outcome) -> &[u8] {
            outcome.body()
        }

        #[inline]
        fn begin(&self, asked: &Asked, into: &mut Outcome) -> Answer<Lease<'_>> {
            self.0.begin(asked, into)
        }

        #[inline]
        fn complete(&self, lease: Lease<'_>, outcome: &Outcome) -> bool {
            complete(lease, outcome)
        }

        fn fence(lease: &Lease<'_>) -> u64 {
            lease.fencing_token().get()
        }

        fn batch(&self, asked: &[Asked], outcome: &Outcome, into: &mut Outcome) -> u64 {
            self.0.batch(asked, outcome, into)
        }
    };
}

impl<const DEFAULT: bool> HostStore for Named<DEFAULT> {
    type Before = ();
    const NAME: &'static str = if DEFAULT { "oncegate, default capacity" } else { "oncegate" };
    const NOTE: &'static str = if DEFAULT {
        "The same, with room for 65,536 records."
    } else {
        "A table in a file in memory, which each process opens by its path; full."
    };

    fn before(_: &Site) -> Result<(), String> {
        Ok(())
    }

    fn open((): &(), site: &Site) -> Result<Self, String> {
        let (name, most) = if DEFAULT { ("default", 65_536) } else { ("table", usize::MAX) };
        let site = Site { capacity: site.capacity.min(most), ..site.clone() };
        let engine = Table::open(&site, Reach::Host(site.folder.join(name)))?;
        Ok(Self(Table::of(&engine)))
    }

    of_table!();
}

impl HostStore for Inherited {
    type Before = Arc<Engine>;
    const NAME: &'static str = "oncegate, inherited";
    const NOTE: &'static str = "A table without a name, opened before the processes are forked.";

    fn before(site: &Site) -> Result<Arc<Engine>, String> {
        Table::open(site, Reach::HostInherited)
    }

    fn open(before: &Arc<Engine>, _: &Site) -> Result<Self, String> {
        Ok(Self(Table::of(before)))
    }

    of_table!();
}

impl HostStore for Private {
    type Before = Arc<Engine>;
    const NAME: &'static str = "oncegate, private";
    const NOTE: &'static str = "A table of one process alone; its callers are threads. For \
        comparison: it does not reach the host.";
    const THREADS: bool = true;

    fn before(site: &Site) -> Result<Arc<Engine>, String> {
        Table::open(site, Reach::Process)
    }

    fn open(before: &Arc<Engine>, _: &Site) -> Result<Self, String> {
        Ok(Self(Table::of(before)))
    }

    of_table!();
}
