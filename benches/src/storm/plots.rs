//! The plots of the documentation.

use super::{Series, Storm, Strategy};
use crate::report::svg;
use crate::studies::{Row, Study};

/// Each plot by the name of its file: the load on the service, and what it answers in time.
#[must_use]
pub fn plots(storm: &Storm, runs: &[(Strategy, Series)]) -> [(&'static str, String); 2] {
    let study = |name, about, unit, of: fn(&Series) -> &[u64]| {
        let seconds = storm.horizon_ms.div_ceil(1_000);
        let row = |(strategy, series): &(Strategy, Series)| {
            let figures = of(series).iter().map(|&count| Some(count as f64)).collect();
            Row { name: strategy.name().to_owned(), figures }
        };
        let columns = (0..seconds).map(|second| second as f64).collect();
        let rows = runs.iter().map(row).collect();
        let axis = "seconds; the service is down from 10 to 40, and warm again at 60";
        (name, svg::of_study(&Study { name, about, unit, axis, columns, log_axis: false, rows }))
    };
    [
        study(
            "recovering-service",
            "the load on a service that can do 100 requests a second",
            "attempts in each second",
            |series| &series.load,
        ),
        study(
            "recovering-service-goodput",
            "what it answers of 60 requests a second, while somebody waits for it",
            "answers in each second",
            |series| &series.goodput,
        ),
    ]
}
