//! `oncegate doctor`: what is wrong with a table, and what to do about it.

use std::fmt::Write as _;

use oncegate::{ErrorCode, RegionFile, Severity};
use serde_json::{Value, json};

use super::{DoctorArgs, TableError, json as to_json};

/// What the command prints, and whether all is well.
pub(crate) struct Diagnosis {
    pub(crate) text: String,
    pub(crate) is_well: bool,
}

/// One finding as it is told: the engine's, or one of why the file could not even be opened.
struct Told {
    severity: Severity,
    code: String,
    text: String,
    advice: String,
    json: Value,
}

/// What became of the wish to remove the table.
enum Removal {
    NotAsked,
    Done,
    Refused(String),
}

/// Checks, and removes if that was asked for.
pub(crate) fn doctor(args: &DoctorArgs) -> Result<Diagnosis, TableError> {
    let found = match RegionFile::open(&args.table.path, args.table.access()) {
        Ok(file) => {
            let found = file.check().map_err(|error| args.table.failed(error))?;
            found.iter().map(Told::of).collect()
        }
        Err(error) => vec![Told::unopened(&error)],
    };
    let is_sound = found.iter().all(|told| told.severity < Severity::Error);
    let removal = if args.recreate { remove(args, &found, is_sound) } else { Removal::NotAsked };
    let is_well = match removal {
        Removal::NotAsked => is_sound,
        Removal::Done => true,
        Removal::Refused(_) => false,
    };
    let text = if args.json {
        show_json(args, &found, &removal, is_sound)
    } else {
        show(args, &found, &removal)
    };
    Ok(Diagnosis { text, is_well })
}

fn remove(args: &DoctorArgs, found: &[Told], is_sound: bool) -> Removal {
    if is_sound && !args.force {
        let text = "the table is sound; --force removes it all the same, with all its records";
        return Removal::Refused(text.to_owned());
    }
    if found.iter().any(|told| told.code == "not-oncegate") && !args.force {
        let text = "the file does not begin as a table does; --force removes it all the same";
        return Removal::Refused(text.to_owned());
    }
    let remove = if args.force { RegionFile::remove_whatever_it_is } else { RegionFile::remove };
    match remove(args.table.path.clone(), args.table.access()) {
        Ok(()) => Removal::Done,
        Err(error) if error.code() == ErrorCode::RegionInUse => {
            Removal::Refused(format!("{error}: end them first; `oncegate inspect` lists them"))
        }
        Err(error) => Removal::Refused(error.to_string()),
    }
}

fn show(args: &DoctorArgs, found: &[Told], removal: &Removal) -> String {
    let mut text = format!("{}\n", args.table.path.display());
    for told in found {
        let (severity, code) = (told.severity.name(), &told.code);
        let _ = writeln!(text, "\n{severity}: {code}\n  {}\n  -> {}", told.text, told.advice);
    }
    if found.is_empty() {
        text.push_str("nothing is wrong\n");
    }
    match removal {
        Removal::NotAsked => {}
        Removal::Done => text.push_str("\nremoved: the next process that opens it makes it anew\n"),
        Removal::Refused(why) => {
            let _ = writeln!(text, "\nnot removed: {why}");
        }
    }
    text
}

fn show_json(args: &DoctorArgs, found: &[Told], removal: &Removal, is_sound: bool) -> String {
    let refused = match removal {
        Removal::Refused(why) => Some(why),
        _ => None,
    };
    let object = json!({
        "path": args.table.path.to_string_lossy(),
        "healthy": is_sound,
        "findings": found.iter().map(|told| &told.json).collect::<Vec<_>>(),
        "removed": matches!(removal, Removal::Done),
        "not_removed": refused,
    });
    object.to_string() + "\n"
}

impl Told {
    fn of(finding: &oncegate::Finding) -> Self {
        Self {
            severity: finding.severity,
            code: finding.code.to_owned(),
            text: finding.text.clone(),
            advice: finding.advice.clone().into_owned(),
            json: to_json::finding(finding),
        }
    }

    fn unopened(error: &oncegate::Error) -> Self {
        let (code, advice) = match error.code() {
            ErrorCode::FileRefused => ("file-refused", REFUSED),
            _ => ("file-unreadable", UNREADABLE),
        };
        let text = error.to_string();
        let severity = Severity::Error;
        let name = severity.name();
        let json = json!({ "severity": name, "code": code, "text": text, "advice": advice });
        Self { severity, code: code.to_owned(), text, advice: advice.to_owned(), json }
    }
}

const REFUSED: &str = "processes refuse it as well, unless they are told otherwise: give the file \
                       to the user that runs them, with permissions 0600; or allow more with \
                       --group, --foreign-owner or --follow-symlink, and in their configuration";
const UNREADABLE: &str = "is it the right path? Where there is no file, the first process that \
                          opens the table makes one";
