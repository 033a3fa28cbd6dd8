//! `oncegate top`: a table, watched.

use std::io::{IsTerminal, Write, stdout};
use std::time::{Duration, Instant};

use oncegate::{Insertions, Inspection};

use super::{TableArgs, TopArgs, text};
use crate::Failure;
use crate::storm::report::count;

/// What is kept from one look to the next.
struct Before {
    insertions: Insertions,
    /// A table that was made anew is another one.
    epoch: u64,
    at: Instant,
}

/// Prints one view for each interval.
pub(crate) fn top(args: &TopArgs) -> Result<(), Failure> {
    let is_drawn = stdout().is_terminal() && !args.once;
    let interval = Duration::from_millis(args.interval.into());
    let looks = if args.once { Some(1) } else { args.count };
    let mut before = None;
    let mut made = 0;
    loop {
        let (view, now) = look(&args.table, before.as_ref())?;
        before = Some(now);
        let mut out = stdout().lock();
        if is_drawn {
            out.write_all(CLEAR)?;
        }
        out.write_all(view.as_bytes())?;
        out.flush()?;
        made += 1;
        if looks.is_some_and(|looks| made >= looks) {
            return Ok(());
        }
        drop(out);
        std::thread::sleep(interval);
    }
}

/// The view, and what the next one is compared with.
fn look(table: &TableArgs, before: Option<&Before>) -> Result<(String, Before), Failure> {
    // Opened anew each time: a table that was removed and made again is the one to be seen.
    let file = table.open()?;
    let insertions = file.insertions().map_err(|error| table.failed(error))?;
    let at = Instant::now();
    let seen = file.inspect().map_err(|error| table.failed(error))?;
    let rate = before.filter(|before| before.epoch == seen.epoch).map(|before| {
        let seconds = at.duration_since(before.at).as_secs_f64();
        insertions.since(&before.insertions) as f64 / seconds.max(1e-3)
    });
    let view = view(table, &seen, rate);
    Ok((view, Before { insertions, epoch: seen.epoch, at }))
}

fn view(table: &TableArgs, seen: &Inspection, rate: Option<f64>) -> String {
    let mut view = format!("{}  {} UTC\n", table.path.display(), text::now());
    let rate = rate.map_or_else(|| "-".to_owned(), |rate| count(rate.round() as u64));
    text::line(&mut view, "new records", &format!("{rate} a second"));
    view.push_str(&text::state(seen));
    view.push_str(&text::processes(seen, ROWS));
    view.push_str(&text::scopes(seen, SCOPES));
    view.push('\n');
    view
}

/// Clears the terminal and goes to its first line.
const CLEAR: &[u8] = b"\x1b[H\x1b[2J";
/// Processes in a view.
const ROWS: usize = 16;
/// Scopes in a view.
const SCOPES: usize = 5;
