//! Health: what is wrong with a region, or worth knowing, each with what to do about it.

use super::faults::{self, Faults, Tally};
use super::read::{Image, Pages, first_words};
use super::remove::drafts;
use super::report::{Inspection, ProcessState};
use super::survey;
use super::{Finding, Severity};
use crate::engine::{KeyState, check_word};
use crate::error::{Error, ErrorCode};
use crate::fingerprint::KeyedHasher;
use crate::region::{header, keyfile};

pub(super) fn check(image: &Image) -> Result<Vec<Finding>, Error> {
    let mut found = Vec::new();
    match image.pages() {
        Ok(pages) => {
            impossible(&faults::find(&pages)?, &mut found);
            found.extend(key_file(image, &pages)?);
            people(&survey::inspect(&pages)?, &mut found);
        }
        Err(error) if error.code() == ErrorCode::RegionInvalid => {
            found.push(header(image, &error));
        }
        Err(error) => return Err(error),
    }
    let left = drafts(&image.path).len();
    if left > 0 {
        found.push(Finding::new(
            Severity::Warning,
            "drafts",
            format!("drafts beside the table that somebody began and never finished: {left}"),
            "`oncegate gc` removes them",
        ));
    }
    found.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    Ok(found)
}

fn header(image: &Image, error: &Error) -> Finding {
    if header::is_ours(&first_words(&image.file)) {
        return Finding::new(Severity::Error, "header-invalid", error.to_string(), RECREATE);
    }
    Finding::new(
        Severity::Error,
        "not-oncegate",
        format!("{error}: it does not begin as a table does"),
        "is it the right path? If a table was there and its first page was lost, \
         `oncegate doctor --recreate --force` removes it",
    )
}

fn impossible(faults: &Faults, found: &mut Vec<Finding>) {
    let mut note = |code, count: u64, text: String| {
        if count > 0 {
            found.push(Finding::new(Severity::Error, code, text, RECREATE));
        }
    };
    let Faults { slots, tags, sets, chunks } = faults;
    let text = |tally: &Tally| {
        let (slot, fault) = tally.first.unwrap_or_default();
        let count = tally.count;
        format!(
            "slots that say what no step of the engine leads to: {count}; slot {slot} has {fault}"
        )
    };
    note("slots-impossible", slots.count, text(slots));
    note("tags-wrong", tags.count, text(tags));
    let at = |tally: &Tally| tally.first.map_or(0, |(at, _)| at);
    let text = format!(
        "sets that name slots that do not exist: {}; the first is {}",
        sets.count,
        at(sets)
    );
    note("sets-impossible", sets.count, text);
    let text = format!(
        "chunks that say what no step of the engine leads to: {}; the first is {}",
        chunks.count,
        at(chunks)
    );
    note("chunks-impossible", chunks.count, text);
}

/// What the registry, the fill and the machine's life tell.
fn people(seen: &Inspection, found: &mut Vec<Finding>) {
    let mut note = |condition: bool, severity, code, text: String, advice: &'static str| {
        if condition {
            found.push(Finding::new(severity, code, text, advice));
        }
    };
    let gone = || seen.processes.iter().filter(|process| process.state != ProcessState::Alive);
    let left: u64 = gone().map(|process| process.leases + process.half_done).sum();
    let text = format!("leases and half-done steps of processes that ended: {left}");
    let advice = "whoever meets one takes it over at once; `oncegate gc` clears all of them";
    note(left > 0, Severity::Warning, "dead-leftovers", text, advice);
    let dead = gone().filter(|process| process.state == ProcessState::Dead).count();
    let text = format!("processes that ended without giving their entries up: {dead}");
    let advice = "nothing has to be done: who needs an entry clears one; `oncegate gc` clears all";
    note(dead > 0, Severity::Info, "dead-processes", text, advice);
    let alive = seen.processes.len() - gone().count();
    let text = format!("processes that share the table: {alive}, and it was made for as many");
    let advice = "end one, or make a new table with a higher `max_processes`";
    let is_full = alive as u64 >= seen.max_processes;
    note(is_full, Severity::Warning, "registry-full", text, advice);
    let text = format!("live records are at {:.0} % of the capacity", seen.fill * 100.0);
    let advice = "finished records will go before their window is over, or newcomers be refused: \
                  make a new table with a higher capacity";
    note(seen.fill >= NEARLY_FULL, Severity::Warning, "nearly-full", text, advice);
    let text = "the machine was started anew since the table was last used".to_owned();
    let advice = "nothing has to be done: the next process that opens it moves its time on";
    note(!seen.same_boot, Severity::Info, "other-boot", text, advice);
    let text = format!("chunks that wait to be recycled after a death: {}", seen.chunks.torn);
    let advice = "nothing has to be done: their turn comes";
    note(seen.chunks.torn > 0, Severity::Info, "torn-chunks", text, advice);
}

/// Whether whoever has no secret finds the region's beside it.
fn key_file(image: &Image, pages: &Pages<'_>) -> Result<Option<Finding>, Error> {
    let error = |code, text: String, advice: &'static str| {
        Ok(Some(Finding::new(Severity::Error, code, text, advice)))
    };
    let secrets = match keyfile::read(&keyfile::path_of(&image.path), &image.access) {
        Ok(Some(secrets)) => secrets,
        Ok(None) => {
            return Ok(Some(Finding::new(
                Severity::Info,
                "key-file-missing",
                "there is no key file beside the table",
                "each process has to be given the secret; if none has it, the table cannot be \
                 used any more: `oncegate doctor --recreate`",
            )));
        }
        Err(error_found) if error_found.code() == ErrorCode::FileRefused => {
            let advice = "give the key file the table's owner and permissions";
            return error("key-file-refused", error_found.to_string(), advice);
        }
        Err(error_found) if error_found.code() == ErrorCode::WrongSecret => {
            let advice = "bring the key file back that was made with the table; without it, and \
                          without the secret, `oncegate doctor --recreate` is the way out";
            return error("key-file-damaged", error_found.to_string(), advice);
        }
        Err(error_found) => return Err(error_found),
    };
    let keys = KeyState::unpack(pages.header[header::KEYS]);
    let knows = |id: u8| {
        let check = pages.header[check_word(id)];
        secrets.iter().any(|(_, secret)| KeyedHasher::check_of(secret) == check)
    };
    if knows(keys.current) && keys.retiring.is_none_or(knows) {
        return Ok(None);
    }
    let text = "the key file beside the table lacks a secret that is in force".to_owned();
    let advice = "bring the key file back that was made with the table, or give each process the \
                  secret; without both, `oncegate doctor --recreate` is the way out";
    error("key-file-wrong", text, advice)
}

/// What helps a region that cannot be trusted any more.
const RECREATE: &str = "end all processes that use the table, and remove it with `oncegate doctor \
                        --recreate`: the next one makes a new table, and what ran before may run \
                        again";
/// From this share of the capacity on, the table is said to be nearly full.
const NEARLY_FULL: f64 = 0.95;
