//! The same service with the engine in front of its handler. The only file that calls the engine
//! while a storm runs.

use std::time::{Duration, Instant};

use oncegate::{Admission, Engine, Error, Failure, Lease, OnDrop, Outcome};

use super::client::{Answer, Service};
use super::ledger::{Opening, Receipt};
use super::meter::{DefectKind, Meter};
use super::plan::{Delivery, Plan};
use super::site::{Grant, Site, WorkEnd};

/// A service whose handler runs behind the engine.
pub(crate) struct Gated {
    engine: Engine,
}

impl Gated {
    /// An engine with room for every request of the plan.
    ///
    /// # Errors
    /// What the engine says of its configuration.
    pub(crate) fn new(plan: &Plan) -> Result<Self, Error> {
        let engine = Engine::builder()
            .capacity((2 * plan.distinct()).max(1_024))
            .outcome_bytes((plan.distinct() * OUTCOME_ROOM).max(8 << 20))
            .outcome_limit(OUTCOME_LIMIT)
            .lease_duration(plan.shape.lease)
            .dedup_window(DEDUP_WINDOW)
            .on_drop(OnDrop::Retry)
            // Leases here last milliseconds; the coarse clock may be one tick of the kernel late.
            .precise_clock()
            .build()?;
        Ok(Self { engine })
    }

    /// An attempt was admitted: opens the ledger, works, and completes or fails.
    fn attempt(
        &self,
        site: &Site<'_>,
        delivery: Delivery,
        lease: Lease<'_>,
        leased_until: Instant,
        meter: &mut Meter,
    ) -> Answer {
        let request = delivery.request;
        let token = lease.fencing_token().get();
        match site.ledger.open(request, token) {
            Opening::Open => {}
            Opening::Committed(receipt) => {
                meter.counts.adopted += 1;
                return complete(site, request, lease, receipt, meter);
            }
            Opening::Fenced => {
                // The lease is lost already: whatever the engine answers, a newer attempt decides.
                drop(lease);
                return Answer::Again(None);
            }
        }
        let grant = Grant { token, leased_until };
        // A planned panic passes through here: dropping the lease hands the request on.
        let worked = site.work(delivery, Some(grant), meter);
        let answer = match worked.end {
            WorkEnd::Committed(receipt) => complete(site, request, lease, receipt, meter),
            WorkEnd::Refused => complete_stale(request, lease, meter),
            WorkEnd::Failed => fail(lease, meter),
        };
        answer.unless_left(worked.left_alone, meter)
    }
}

impl Service for Gated {
    fn call(&self, site: &Site<'_>, delivery: Delivery, meter: &mut Meter) -> Answer {
        let had_succeeded = site.has_succeeded(delivery.request);
        let before = Instant::now();
        let line = &site.lines[delivery.line as usize];
        let admission = match line.request() {
            Ok(request) => meter.time_begin(|| self.engine.begin(&request)),
            Err(error) => Err(error),
        };
        match admission {
            Ok(Admission::Admitted(lease)) => {
                if had_succeeded {
                    meter.defect(delivery.request, DefectKind::RanAfterSuccess);
                }
                if delivery.conflicting {
                    meter.defect(delivery.request, DefectKind::MismatchRan);
                }
                site.release_conflicts(delivery.request);
                let leased_until = before + site.plan.shape.lease.saturating_sub(CLOCK_GRAIN);
                self.attempt(site, delivery, lease, leased_until, meter)
            }
            Ok(Admission::Replayed(outcome)) => {
                meter.counts.replayed += 1;
                let is_ours = site.ledger.is_effect(delivery.request, receipt(&outcome));
                if delivery.conflicting || !is_ours {
                    meter.defect(delivery.request, DefectKind::ForeignOutcome);
                }
                Answer::Settled
            }
            Ok(Admission::InProgress { remaining, .. }) => {
                meter.counts.in_progress += 1;
                Answer::Again(Some(remaining))
            }
            Ok(Admission::Scheduled { due_in, .. }) => {
                meter.counts.scheduled += 1;
                Answer::Again(Some(due_in))
            }
            Ok(Admission::Mismatched) => {
                meter.counts.mismatched += 1;
                if !delivery.conflicting {
                    meter.defect(delivery.request, DefectKind::ForeignOutcome);
                }
                Answer::Settled
            }
            Ok(Admission::Unresolved) => unexpected(delivery, DefectKind::Unresolved, meter),
            Ok(Admission::OutcomeGone) => unexpected(delivery, DefectKind::NoOutcome, meter),
            Err(error) => refused(site, delivery, &error, meter),
        }
    }
}

/// The effect is in the ledger: tell the engine, so that duplicates get its receipt.
fn complete(
    site: &Site<'_>,
    request: u32,
    lease: Lease<'_>,
    receipt: Receipt,
    meter: &mut Meter,
) -> Answer {
    match lease.complete(&Outcome::new(200, receipt.to_le_bytes())) {
        Ok(_) => {
            site.note_success(request);
            Answer::Completed
        }
        Err(error) => {
            meter.counts.fenced_completes += u64::from(error.is_fenced());
            // The effect stands, but the lease was over. Who runs now will find it and adopt it.
            Answer::Again(None)
        }
    }
}

/// The ledger refused the effect of a holder whose lease is over. The holder does not notice and
/// completes all the same; the engine must refuse that too.
fn complete_stale(request: u32, lease: Lease<'_>, meter: &mut Meter) -> Answer {
    match lease.complete(&Outcome::new(200, STALE_RECEIPT.to_le_bytes())) {
        Ok(_) => meter.defect(request, DefectKind::StaleCompletion),
        Err(error) => meter.counts.fenced_completes += u64::from(error.is_fenced()),
    }
    Answer::Again(None)
}

fn fail(lease: Lease<'_>, meter: &mut Meter) -> Answer {
    if let Err(error) = lease.fail(Failure::retryable()) {
        meter.counts.fenced_completes += u64::from(error.is_fenced());
    }
    Answer::Again(None)
}

fn unexpected(delivery: Delivery, kind: DefectKind, meter: &mut Meter) -> Answer {
    meter.counts.unexpected += 1;
    meter.defect(delivery.request, kind);
    Answer::Settled
}

fn refused(site: &Site<'_>, delivery: Delivery, error: &Error, meter: &mut Meter) -> Answer {
    if error.is_retriable() {
        meter.counts.deferred += 1;
        return Answer::Again(error.retry_after());
    }
    meter.counts.refused += 1;
    site.note_refusal(delivery.request, error.to_string());
    Answer::Settled
}

fn receipt(outcome: &Outcome) -> Option<Receipt> {
    outcome.body().try_into().map(Receipt::from_le_bytes).ok()
}

/// No ledger hands this out: seen in a replay, it came from a holder that had been fenced off.
const STALE_RECEIPT: Receipt = Receipt::MAX;
/// Bytes of the outcome budget for each request: a receipt and what the engine adds to it.
const OUTCOME_ROOM: usize = 512;
/// An outcome here is a receipt, and no more.
const OUTCOME_LIMIT: usize = 256;
/// The engine keeps deadlines in whole milliseconds: a lease may end this much before its time.
const CLOCK_GRAIN: Duration = Duration::from_millis(2);
/// Far longer than a storm.
const DEDUP_WINDOW: Duration = Duration::from_secs(3_600);
