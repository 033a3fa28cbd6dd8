//! The service as many are today: a retry with backoff in front of the handler, and nothing that
//! knows whether the request already runs or is done.

use super::client::{Answer, Service};
use super::meter::Meter;
use super::plan::Delivery;
use super::site::{Site, WorkEnd};

/// A service without coordination.
pub(crate) struct Baseline;

impl Service for Baseline {
    fn call(&self, site: &Site<'_>, delivery: Delivery, meter: &mut Meter) -> Answer {
        site.release_conflicts(delivery.request);
        site.ledger.open_unfenced(delivery.request);
        let worked = site.work(delivery, None, meter);
        let answer = match worked.end {
            WorkEnd::Committed(_) => {
                site.note_success(delivery.request);
                Answer::Completed
            }
            WorkEnd::Failed | WorkEnd::Refused => Answer::Again(None),
        };
        answer.unless_left(worked.left_alone, meter)
    }
}
