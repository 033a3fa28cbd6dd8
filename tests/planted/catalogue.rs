//! The catalogue: the tables of `docs/planted-bugs.md`, read as text.

/// Where the table stands.
pub(crate) const PAGE: &str = "docs/planted-bugs.md";

/// One bug and the test that catches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// Line of the page, from one on.
    pub(crate) line: usize,
    /// The variant of `Bug`.
    pub(crate) bug: String,
    pub(crate) breaks: String,
    pub(crate) promise: String,
    /// `path::test_name`, from the root of the tree.
    pub(crate) caught_by: String,
}

/// How a test is told of the bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A broken twin of a model: it plants the bug itself, and passes when the model notices.
    Twin,
    /// An ordinary test in a process that has the bug: it fails.
    Ordinary,
}

impl Row {
    pub(crate) fn kind(&self) -> Kind {
        if self.caught_by.starts_with("tests/loom/") { Kind::Twin } else { Kind::Ordinary }
    }
}

/// The rows of `page`: the lines of its tables whose first cell is a name in backticks.
pub(crate) fn rows(page: &str) -> Vec<Row> {
    let row = |(at, line): (usize, &str)| {
        let cells = line.trim().strip_prefix('|')?.strip_suffix('|')?;
        let cells: Vec<&str> = cells.split('|').map(str::trim).collect();
        let [bug, breaks, promise, caught_by] = cells[..] else { return None };
        let quoted = |cell: &str| Some(cell.strip_prefix('`')?.strip_suffix('`')?.to_owned());
        Some(Row {
            line: at + 1,
            bug: quoted(bug)?,
            breaks: breaks.to_owned(),
            promise: promise.to_owned(),
            caught_by: quoted(caught_by).unwrap_or_default(),
        })
    };
    page.lines().enumerate().filter_map(row).collect()
}
