//! `oncegate doctor`: what is wrong with a table, and what to do about it.

use std::fmt::Write as _;

use oncegate::{ErrorCode, Finding, RegionFile, Severity};
use serde_json::json;

use super::{DoctorArgs, json as to_json, tier};

/// What the command prints, and whether all is well.
pub(crate) struct Diagnosis {
    pub(crate) text: String,
    pub(crate) is_well: bool,
}

/// What became of the wish to remove the table.
enum Removal {
    NotAsked,
    Done,
    /// There is no table.
    Needless,
    Refused(String),
}

/// Checks, and removes if that was asked for.
pub(crate) fn doctor(args: &DoctorArgs) -> Diagnosis {
    if let Some(url) = args.table.path.to_str().filter(|path| tier::is_store(path)) {
        return tier::doctor(args, url);
    }
    let found = RegionFile::diagnose(&args.table.path, args.table.access());
    let is_sound = found.iter().all(|finding| finding.severity < Severity::Error);
    let removal = if args.recreate { remove(args, &found) } else { Removal::NotAsked };
    let is_well = match removal {
        Removal::NotAsked => is_sound,
        Removal::Done | Removal::Needless => true,
        Removal::Refused(_) => false,
    };
    let text = if args.json {
        show_json(args, &found, &removal, is_sound)
    } else {
        show(args, &found, &removal)
    };
    Diagnosis { text, is_well }
}

fn remove(args: &DoctorArgs, found: &[Finding]) -> Removal {
    if found.iter().any(Finding::is_absence) {
        return Removal::Needless;
    }
    if !args.force && !found.iter().any(Finding::is_damage) {
        let worst = found.iter().find(|finding| finding.severity == Severity::Error);
        return Removal::Refused(worst.map_or_else(
            || format!("the table is sound; {FORCE}"),
            |worst| format!("{} is no damage of the table itself; {FORCE}", worst.code),
        ));
    }
    let remove = if args.force { RegionFile::remove_whatever_it_is } else { RegionFile::remove };
    match remove(args.table.path.clone(), args.table.access()) {
        Ok(()) => Removal::Done,
        Err(error) if error.code() == ErrorCode::RegionInUse => {
            Removal::Refused(format!("{error}: end them first; `oncegate inspect` lists them"))
        }
        Err(error) => {
            let why = RegionFile::explain(&args.table.path, args.table.access(), &error);
            match why.is_absence() {
                true => Removal::Needless,
                false => Removal::Refused(format!("{}; {}", why.text, why.advice)),
            }
        }
    }
}

fn show(args: &DoctorArgs, found: &[Finding], removal: &Removal) -> String {
    let mut text = format!("{}\n", args.table.path.display());
    for finding in found {
        let (severity, code) = (finding.severity.name(), finding.code);
        let _ = writeln!(text, "\n{severity}: {code}\n  {}\n  -> {}", finding.text, finding.advice);
    }
    if found.is_empty() {
        text.push_str("nothing is wrong\n");
    }
    match removal {
        Removal::NotAsked => {}
        Removal::Done => {
            text.push_str("\nremoved: the next process that opens it makes it anew\n");
            if args.table.has_key_file() {
                text.push_str(KEY_STAYS);
            }
        }
        Removal::Needless => text.push_str("\nnothing to remove: there is no table\n"),
        Removal::Refused(why) => {
            let _ = writeln!(text, "\nnot removed: {why}");
        }
    }
    text
}

fn show_json(args: &DoctorArgs, found: &[Finding], removal: &Removal, is_sound: bool) -> String {
    let refused = match removal {
        Removal::Refused(why) => Some(why.as_str()),
        Removal::Needless => Some("there is no table"),
        Removal::NotAsked | Removal::Done => None,
    };
    let object = json!({
        "path": args.table.path.to_string_lossy(),
        "healthy": is_sound,
        "findings": found.iter().map(to_json::finding).collect::<Vec<_>>(),
        "removed": matches!(removal, Removal::Done),
        "not_removed": refused,
    });
    object.to_string() + "\n"
}

const FORCE: &str = "--force removes it all the same, with all its records";
const KEY_STAYS: &str = "\
the key file stays: a new table that is given no secret takes the one that is kept there
";
