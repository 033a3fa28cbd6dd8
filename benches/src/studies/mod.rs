//! Studies: what is not a rate of operations. Each gives a grid of figures.

mod early_evictions;
mod growth;
mod hit_rate;
pub mod memory;
pub mod opening;
mod retention;

pub use self::early_evictions::early_evictions;
pub use self::growth::growth;
pub use self::hit_rate::hit_rate;
pub use self::memory::memory;
pub use self::opening::opening;
pub use self::retention::retention;

use serde::Serialize;

/// Figures by rows and columns.
#[derive(Clone, Debug, Serialize)]
pub struct Study {
    /// Its name in reports.
    pub name: &'static str,
    /// What it is, in a sentence.
    pub about: &'static str,
    /// What the figures count.
    pub unit: &'static str,
    /// What the columns are.
    pub axis: &'static str,
    /// Where the columns lie on that axis.
    pub columns: Vec<f64>,
    /// Whether the axis is drawn by its logarithm.
    pub log_axis: bool,
    /// One for each contender, or for each thing that is counted.
    pub rows: Vec<Row>,
}

/// The figures of one contender.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its name in tables.
    pub name: String,
    /// One for each column; nothing where it was not measured.
    pub figures: Vec<Option<f64>>,
}

impl Study {
    /// The figure of a row in the column at `at`.
    #[must_use]
    pub fn figure(&self, row: &str, at: f64) -> Option<f64> {
        let column = self.columns.iter().position(|&column| (column - at).abs() < 1e-9)?;
        let row = self.rows.iter().find(|other| other.name == row)?;
        row.figures.get(column).copied().flatten()
    }
}
