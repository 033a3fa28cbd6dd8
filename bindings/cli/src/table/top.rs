//! `oncegate top`: a table, watched.

use std::io::{IsTerminal, Write, stdout};
use std::time::{Duration, Instant};

use oncegate::{Insertions, Inspection};

use super::window::Window;
use super::{TableArgs, TableError, TopArgs, text, time};
use crate::Failure;
use crate::storm::report::count;

/// What is kept from one look to the next.
struct Before {
    insertions: Insertions,
    /// A table that was made anew is another one.
    epoch: u64,
    at: Instant,
}

/// What one look sees.
struct Look {
    insertions: Insertions,
    seen: Inspection,
    at: Instant,
}

/// Prints one view for each interval.
pub(crate) fn top(args: &TopArgs) -> Result<(), Failure> {
    let is_drawn = stdout().is_terminal() && !args.once;
    let interval = Duration::from_millis(args.interval.into());
    let looks = if args.once { Some(1) } else { args.count };
    let mut before: Option<Before> = None;
    let mut made = 0;
    loop {
        // Asked for each time: people pull at it.
        let window = is_drawn.then(Window::of_stdout);
        let view = match look(&args.table) {
            Ok(now) => {
                let view = view(&args.table, &now, before.as_ref(), window);
                let Look { insertions, seen, at } = now;
                before = Some(Before { insertions, epoch: seen.epoch, at });
                view
            }
            // It was there: somebody makes it anew.
            Err(error) if before.is_some() && error.why.is_absence() => gone(&args.table),
            Err(error) => return Err(error.into()),
        };
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

fn look(table: &TableArgs) -> Result<Look, TableError> {
    // Opened anew each time: a table that was removed and made again is the one to be seen.
    let file = table.open()?;
    let insertions = file.insertions().map_err(|error| table.failed(error))?;
    let at = Instant::now();
    let seen = file.inspect().map_err(|error| table.failed(error))?;
    Ok(Look { insertions, seen, at })
}

fn view(table: &TableArgs, now: &Look, before: Option<&Before>, window: Option<Window>) -> String {
    let seen = &now.seen;
    let rate = before.filter(|before| before.epoch == seen.epoch).map(|before| {
        let seconds = now.at.duration_since(before.at).as_secs_f64();
        now.insertions.since(&before.insertions) as f64 / seconds.max(1e-3)
    });
    let rate = rate.map_or_else(|| "-".to_owned(), |rate| count(rate.round() as u64));
    let mut head = title(table);
    text::line(&mut head, "new records", &format!("{rate} a second"));
    head.push_str(&text::state(seen));
    let draw = |processes, scopes| {
        let (processes, scopes) = (text::processes(seen, processes), text::scopes(seen, scopes));
        format!("{head}{processes}{scopes}")
    };
    match window {
        Some(window) => window.fit(draw, ROWS, SCOPES),
        None => draw(ROWS, SCOPES) + "\n",
    }
}

fn gone(table: &TableArgs) -> String {
    format!("{}there is no table any more; looking for the next one\n\n", title(table))
}

fn title(table: &TableArgs) -> String {
    format!("{}  {} UTC\n", table.path.display(), time::now())
}

/// Clears the terminal and goes to its first line.
const CLEAR: &[u8] = b"\x1b[H\x1b[2J";
/// Processes in a view.
const ROWS: usize = 16;
/// Scopes in a view.
const SCOPES: usize = 5;
