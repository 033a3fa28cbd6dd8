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
        match worked.end {
            _ if worked.left_alone => Answer::LeftAlone,
            WorkEnd::Committed(_) => {
                site.note_success(delivery.request);
                Answer::Settled
            }
            WorkEnd::Failed | WorkEnd::Refused => Answer::Again(None),
        }
    }
}
