//! Health: what is wrong with a region, or worth knowing, each with what to do about it.

use std::path::Path;

use super::explain::{explain, obstacle};
use super::faults::{self, Faults, Tally};
use super::read::{Image, Pages, begins_as_a_table, first_words};
use super::remove::drafts;
use super::report::{Inspection, ProcessState, RetryEntries};
use super::survey;
use super::{Finding, Severity};
use crate::engine::{KeyState, check_word};
use crate::error::{Error, ErrorCode};
use crate::fingerprint::KeyedHasher;
use crate::reach::FileAccess;
use crate::region::{header, keyfile};

/// What is wrong at `path`, also where no table can be opened.
pub(super) fn diagnose(path: &Path, access: FileAccess) -> Vec<Finding> {
    Image::open(path, access).and_then(|image| check(&image)).unwrap_or_else(|error| {
        let mut found = vec![explain(path, access, &error)];
        found.extend(unfinished(path));
        found
    })
}

pub(super) fn check(image: &Image) -> Result<Vec<Finding>, Error> {
    let mut found = Vec::new();
    match image.pages() {
        Ok(pages) => {
            impossible(&faults::find(&pages)?, &mut found);
            found.extend(key_file(image, &pages));
            people(&survey::inspect(&pages)?, &mut found);
        }
        Err(error) if error.code() == ErrorCode::RegionInvalid => {
            found.push(header(image, &error));
        }
        Err(error) => return Err(error),
    }
    found.extend(unfinished(&image.path));
    found.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    Ok(found)
}

fn unfinished(path: &Path) -> Option<Finding> {
    let left = drafts(path).len();
    let text = format!("drafts that somebody began and, for a quarter of an hour, left: {left}");
    let advice = "`oncegate gc` removes them";
    (left > 0).then(|| Finding::new(Severity::Warning, "drafts", text, advice))
}

/// Why the header of the file, which gave `error`, is none.
pub(super) fn header(image: &Image, error: &Error) -> Finding {
    let words = first_words(&image.file);
    let is_ours = begins_as_a_table(&words);
    let bytes = image.file.metadata().map_or(0, |of| of.len());
    // Of a file that is shorter than a header, the error says that it is empty.
    let is_short = bytes < size_of::<[u64; header::EPOCH]>() as u64;
    let found = match (is_short, is_ours) {
        _ if header::is_ours(&words) && !is_ours => "a key file".to_owned(),
        (true, true) => format!("a table of which {bytes} bytes are left"),
        (true, false) if bytes > 0 => format!("another kind of file, of {bytes} bytes"),
        _ => error.found().to_owned(),
    };
    if is_ours && !is_short && header::is_of_another_version(&words) {
        return Finding::new(Severity::Error, "other-version", found, MIGRATE);
    }
    if is_ours {
        return damage("header-invalid", format!("the header cannot be believed: {found}"));
    }
    Finding::new(
        Severity::Error,
        "not-oncegate",
        format!("{found}: it does not begin as a table does"),
        "is it the right path? If a table was there and its first page was lost, \
         `oncegate doctor PATH --recreate --force` removes it",
    )
}

fn damage(code: &'static str, text: String) -> Finding {
    Finding::new(Severity::Error, code, text, RECREATE)
}

fn impossible(faults: &Faults, found: &mut Vec<Finding>) {
    let mut note = |code, count: u64, text: String| {
        if count > 0 {
            found.push(damage(code, text));
        }
    };
    let Faults { slots, tags, sets, chunks, retries, journals } = faults;
    let text = |tally: &Tally| {
        let (slot, fault) = tally.first.unwrap_or_default();
        let count = tally.count;
        format!(
            "slots that say what no step of the engine leads to: {count}; slot {slot} has {fault}"
        )
    };
    note("slots-impossible", slots.count, text(slots));
    note("tags-wrong", tags.count, text(tags));
    let at = |tally: &Tally, what: &str| {
        let first = tally.first.map_or(0, |(at, _)| at);
        format!("{what}: {}; the first is {first}", tally.count)
    };
    let text = at(sets, "sets that name slots that do not exist");
    note("sets-impossible", sets.count, text);
    let text = at(chunks, "chunks that say what no step of the engine leads to");
    note("chunks-impossible", chunks.count, text);
    let what = "entries of retried records that say what no step of the engine leads to";
    let fault = retries.first.map_or("", |(_, fault)| fault);
    note("retries-impossible", retries.count, format!("{}, which has {fault}", at(retries, what)));
    let text = at(journals, "entries of retried records whose journals cannot be read");
    note("journals-lost", journals.count, text);
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
    let is_full = alive as u64 >= seen.max_processes;
    note(is_full, Severity::Warning, "registry-full", text, GROW);
    let text = format!("live records are at {:.0} % of the capacity", seen.fill * 100.0);
    let advice = "finished records will go before their window is over, or newcomers be refused: \
                  if it stays so, end all processes, remove the table with `oncegate doctor PATH \
                  --recreate --force`, and start them with a higher `capacity`; its records are \
                  lost";
    note(seen.fill >= NEARLY_FULL, Severity::Warning, "nearly-full", text, advice);
    retried(&seen.retries, &mut note);
    let text = "the machine was started anew since the table was last used".to_owned();
    let advice = "nothing has to be done: the next process that opens it moves its time on";
    note(!seen.same_boot, Severity::Info, "other-boot", text, advice);
    let text = format!("chunks that wait to be recycled after a death: {}", seen.chunks.torn);
    let advice = "nothing has to be done: their turn comes";
    note(seen.chunks.torn > 0, Severity::Info, "torn-chunks", text, advice);
}

/// What the entries of retried records tell.
fn retried(
    seen: &RetryEntries,
    note: &mut impl FnMut(bool, Severity, &'static str, String, &'static str),
) {
    let text = format!("entries of retried records and dead letters: {} taken", seen.used());
    let text = format!("{text}, of {}", seen.total);
    let advice = "`retry_later` will be refused for want of room: redrive or discard dead letters \
                  (`oncegate dlq`), or end all processes, remove the table with `oncegate doctor \
                  PATH --recreate --force`, and start them with a higher `max_retrying`; its \
                  records are lost";
    let is_full = seen.total > 0 && seen.used() as f64 >= seen.total as f64 * NEARLY_FULL;
    note(is_full, Severity::Warning, "retries-nearly-full", text, advice);
    let letters = seen.dead_letters;
    let text = format!("dead letters: {letters}, of {} that are kept", seen.max_dead_letters);
    let advice = "`oncegate dlq ls` lists them; redrive what may run again, and discard the rest";
    note(letters > 0, Severity::Info, "dead-letters", text, advice);
}

/// Whether whoever has no secret finds the region's beside it.
fn key_file(image: &Image, pages: &Pages<'_>) -> Option<Finding> {
    let path = keyfile::path_of(&image.path);
    let found = |severity, code, text: String, advice: &'static str| {
        Some(Finding::new(severity, code, text, advice))
    };
    let secrets = match keyfile::read(&path, &image.access) {
        Ok(Some(secrets)) => secrets,
        Ok(None) => {
            let text = format!("there is no key file beside the table: {OTHERS_CANNOT}");
            return found(Severity::Info, "key-file-missing", text, KEY_MISSING);
        }
        // It was opened, and is no text, or lacks its lines.
        Err(error) if error.code() == ErrorCode::WrongSecret => {
            let text = format!("the key file is damaged: {}; {OTHERS_CANNOT}", error.found());
            return found(Severity::Error, "key-file-damaged", text, KEY_DAMAGED);
        }
        Err(error) => {
            let text = obstacle(&path, &image.access, &error).text;
            let text = format!("the key file beside the table: {text}; {OTHERS_CANNOT}");
            return found(Severity::Error, "key-file-refused", text, KEY_REFUSED);
        }
    };
    let keys = KeyState::unpack(pages.header[header::KEYS]);
    let knows = |id: u8| {
        let check = pages.header[check_word(id)];
        secrets.iter().any(|(_, secret)| KeyedHasher::check_of(secret) == check)
    };
    if knows(keys.current) && keys.retiring.is_none_or(knows) {
        return None;
    }
    let text = format!("the key file lacks a secret of this table: {OTHERS_CANNOT}");
    found(Severity::Warning, "key-file-wrong", text, KEY_WRONG)
}

const OTHERS_CANNOT: &str = "processes that are given the secret are not affected; those that are \
                             not cannot open the table";
const KEY_MISSING: &str = "if each process is given the secret, nothing has to be done; if nobody \
                           has it, the table cannot be used any more: end all processes, and \
                           remove it with `oncegate doctor PATH --recreate --force`";
const KEY_REFUSED: &str = "give the key file the owner and the permissions of the table: `chown` \
                           it, and `chmod 600` it";
const KEY_DAMAGED: &str = "bring back the key file that was made with the table, or give each \
                           process the secret; without both, end all processes, move the key file \
                           away, and remove the table with `oncegate doctor PATH --recreate \
                           --force`: with a damaged key file, no new one is made either";
const KEY_WRONG: &str = "if each process is given the secret, move the key file away, which was \
                         another table's; else bring back the one that was made with the table. \
                         Without both, end all processes, and remove the table with `oncegate \
                         doctor PATH --recreate --force`: the new one takes the key file's secret";
const MIGRATE: &str = "use the version that made it; or end all processes, remove the table with \
                       `oncegate doctor PATH --recreate --force`, and start them with this \
                       version; its records are lost";
/// What helps a region that cannot be trusted any more.
const RECREATE: &str = "end all processes that use the table, and remove it with `oncegate doctor \
                        PATH --recreate`: the next one makes a new table, and what ran before may \
                        run again";
/// What helps where one more process would be refused.
pub(super) const GROW: &str = "end one; or end all, remove the table with `oncegate doctor PATH \
                               --recreate --force`, and start them with a higher \
                               `max_processes`; its records are lost";
/// From this share of the capacity on, the table is said to be nearly full.
const NEARLY_FULL: f64 = 0.95;
