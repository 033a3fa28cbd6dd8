//! `oncegate gc`: what is over in a table goes.

use oncegate::RegionFile;
use serde_json::json;

use super::{GcArgs, TableError};
use crate::storm::report::count;

/// Clears, and gives what the command prints.
pub(crate) fn gc(args: &GcArgs) -> Result<String, TableError> {
    let table = &args.table;
    let done = RegionFile::collect(&table.path, table.access()).map_err(|error| {
        let failed = table.failed(error);
        // Whoever began to make the first table and was killed left a draft, and no table.
        let is_absent = failed.why.is_absence();
        let removed = is_absent.then(|| RegionFile::remove_drafts(&table.path).unwrap_or(0));
        TableError { drafts: removed, ..failed }
    })?;
    if args.json {
        let object = json!({
            "path": table.path.to_string_lossy(),
            "buried": done.buried,
            "recovered": done.recovered,
            "lapsed": done.lapsed,
            "cleared": done.cleared,
            "drafts": done.drafts,
        });
        return Ok(object.to_string() + "\n");
    }
    let rows = [
        ("entries of ended processes", done.buried),
        ("leases and half-done steps of theirs", done.recovered),
        ("leases of others that had lapsed", done.lapsed),
        ("records that were over", done.cleared),
        ("drafts that nobody finished", done.drafts),
    ];
    Ok(rows.map(|(label, number)| format!("{:>13}  {label}\n", count(number))).concat())
}
