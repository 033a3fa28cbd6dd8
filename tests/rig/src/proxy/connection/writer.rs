//! Writes one direction, as its toxics allow.

use std::io::{ErrorKind, Write as _};
use std::net::Shutdown;
use std::ops::ControlFlow;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use super::{Connection, Item};
use crate::clock;
use crate::proxy::rule::Close;
use crate::proxy::shared::{Settings, Shared};
use crate::proxy::toxic::{Direction, Toxic};
use crate::random::Random;

/// Writes until the connection ends.
pub(super) fn write(
    shared: &Shared,
    connection: &Connection,
    direction: Direction,
    from: &Receiver<Item>,
    random: Random,
) {
    let mut writer = Writer { shared, connection, direction, random, passed: 0 };
    for item in from {
        if writer.take(item).is_break() {
            return;
        }
    }
}

/// What toxics have decided of a piece.
enum Verdict {
    /// It goes on.
    Pass,
    /// It is taken away.
    Swallow,
    /// The connection ends instead.
    Close(Close),
    /// Not yet; at that time, if there is one, or when a setting changes.
    Later(Option<Instant>),
}

struct Writer<'a> {
    shared: &'a Shared,
    connection: &'a Connection,
    direction: Direction,
    random: Random,
    /// Bytes passed on since the connection began.
    passed: u64,
}

/// Whether the direction goes on.
type Flow = ControlFlow<()>;

impl Writer<'_> {
    fn take(&mut self, item: Item) -> Flow {
        match item {
            Item::Bytes { bytes, .. } if bytes.is_empty() => Flow::Continue(()),
            Item::Bytes { arrived, bytes, held } => self.bytes(arrived, &bytes, held),
            Item::Close(close) => self.close(close),
            Item::End { arrived } => self.end(arrived),
        }
    }

    fn bytes(&mut self, arrived: Instant, bytes: &[u8], held: Option<u64>) -> Flow {
        // Drawn once for each piece, whether it is needed or not: what later pieces get does not
        // hang on when a toxic was put in.
        let drawn = self.random.next();
        let judge = |settings: &Settings| judge(settings, self.direction, arrived, held, drawn);
        match self.await_verdict(judge)? {
            Verdict::Pass => self.pieces(bytes),
            Verdict::Close(close) => self.close(close),
            Verdict::Swallow | Verdict::Later(_) => {
                self.shared.count(|counts| counts.swallowed += bytes.len() as u64);
                Flow::Continue(())
            }
        }
    }

    /// Passes bytes on, in slices where there is a slicer.
    fn pieces(&mut self, bytes: &[u8]) -> Flow {
        let mut left = bytes;
        while !left.is_empty() {
            let (slicer, rate, limit) = {
                let settings = self.shared.settings();
                let toxics = settings.toxics(self.direction);
                (toxics.find(slicer), toxics.find(rate), toxics.find(limit))
            };
            let mut size = left.len();
            if let Some((average, variation, _)) = slicer {
                let drawn = self.random.around(average as u64, variation as u64);
                size = size.min((drawn as usize).max(1));
            }
            if let Some(rate) = rate {
                // A tenth of a second at once, so that a change of the rate is soon felt.
                size = size.min((rate as usize / 10).max(1));
            }
            let allowed = limit.map_or(u64::MAX, |limit| limit.saturating_sub(self.passed));
            size = size.min(usize::try_from(allowed).unwrap_or(usize::MAX));
            let (piece, after) = left.split_at(size);
            self.write_all(piece)?;
            if limit.is_some_and(|limit| self.passed >= limit) {
                return self.close(Close::Fin);
            }
            left = after;
            let mut pause = Duration::ZERO;
            if let Some((_, _, delay)) = slicer.filter(|_| !left.is_empty()) {
                pause = delay;
            }
            if let Some(rate) = rate {
                pause = pause.max(Duration::from_secs_f64(size as f64 / rate.max(1) as f64));
            }
            self.pause(pause)?;
        }
        Flow::Continue(())
    }

    /// Passes on that the sender has ended its side. The other direction goes on.
    fn end(&mut self, arrived: Instant) -> Flow {
        let direction = self.direction;
        let judge = |settings: &Settings| {
            let toxics = settings.toxics(direction);
            let delay = toxics.find(|toxic| match toxic {
                Toxic::SlowClose { delay } => Some(*delay),
                _ => None,
            });
            match delay.map(|delay| arrived + delay) {
                // Whoever is gone without a word does not say that it ends, either.
                _ if toxics.has(Toxic::Swallow) || toxics.has(Toxic::Hold) => Verdict::Later(None),
                Some(due) if clock::now() < due => Verdict::Later(Some(due)),
                _ => Verdict::Pass,
            }
        };
        self.await_verdict(judge)?;
        let _ = self.connection.target(self.direction).shutdown(Shutdown::Write);
        Flow::Break(())
    }

    fn close(&self, close: Close) -> Flow {
        self.connection.close(self.shared, close);
        Flow::Break(())
    }

    /// Waits until `judge` has decided.
    fn await_verdict(&self, judge: impl Fn(&Settings) -> Verdict) -> ControlFlow<(), Verdict> {
        let mut settings = self.shared.settings();
        let mut delayed = false;
        loop {
            if self.connection.is_closed() {
                return ControlFlow::Break(());
            }
            let limit = match judge(&settings) {
                Verdict::Later(None) => None,
                Verdict::Later(Some(due)) => Some(due.saturating_duration_since(clock::now())),
                verdict => return ControlFlow::Continue(verdict),
            };
            if !delayed {
                delayed = true;
                self.shared.count(|counts| counts.delayed += 1);
            }
            settings = self.shared.wait(settings, limit);
        }
    }

    /// Lets `pause` go by, or the connection end.
    fn pause(&self, pause: Duration) -> Flow {
        if pause.is_zero() {
            return Flow::Continue(());
        }
        let due = clock::now() + pause;
        let judge = |_: &Settings| {
            if clock::now() < due { Verdict::Later(Some(due)) } else { Verdict::Pass }
        };
        self.await_verdict(judge).map_continue(drop)
    }

    /// Passes a piece on. A peer that does not read is waited for.
    fn write_all(&mut self, piece: &[u8]) -> Flow {
        let length = piece.len() as u64;
        self.passed += length;
        // Before it goes: who has it finds it counted.
        self.shared.count(|counts| {
            counts.pieces += u64::from(length > 0);
            match self.direction {
                Direction::Upstream => counts.upstream += length,
                Direction::Downstream => counts.downstream += length,
            }
        });
        let mut left = piece;
        while !left.is_empty() {
            let written = self.connection.target(self.direction).write(left);
            if self.connection.is_closed() {
                return Flow::Break(());
            }
            match written {
                Ok(length) => left = &left[length..],
                Err(error) if is_stalled(error.kind()) => {}
                // Its target is gone.
                Err(_) => return self.close(Close::Reset),
            }
        }
        Flow::Continue(())
    }
}

/// What becomes of bytes that arrived at `arrived`.
fn judge(
    settings: &Settings,
    direction: Direction,
    arrived: Instant,
    held: Option<u64>,
    drawn: u64,
) -> Verdict {
    let toxics = settings.toxics(direction);
    let after = |timeout: Duration, close: Close| {
        let due = arrived + timeout;
        if clock::now() < due { Verdict::Later(Some(due)) } else { Verdict::Close(close) }
    };
    if let Some(timeout) = toxics.find(reset_peer) {
        return after(timeout, Close::Reset);
    }
    if let Some(timeout) = toxics.find(timeout) {
        return after(timeout, Close::Fin);
    }
    if toxics.has(Toxic::Swallow) {
        return Verdict::Swallow;
    }
    if toxics.has(Toxic::Hold) || held.is_some_and(|number| number > settings.released) {
        return Verdict::Later(None);
    }
    match toxics.find(latency) {
        None => Verdict::Pass,
        Some((latency, jitter)) => {
            let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
            let delay = Random::of(drawn).around(nanos(latency), nanos(jitter));
            let due = arrived + Duration::from_nanos(delay);
            if clock::now() < due { Verdict::Later(Some(due)) } else { Verdict::Pass }
        }
    }
}

fn is_stalled(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

const fn latency(toxic: &Toxic) -> Option<(Duration, Duration)> {
    match toxic {
        Toxic::Latency { latency, jitter } => Some((*latency, *jitter)),
        _ => None,
    }
}

const fn timeout(toxic: &Toxic) -> Option<Duration> {
    match toxic {
        Toxic::Timeout { timeout } => Some(*timeout),
        _ => None,
    }
}

const fn reset_peer(toxic: &Toxic) -> Option<Duration> {
    match toxic {
        Toxic::ResetPeer { timeout } => Some(*timeout),
        _ => None,
    }
}

const fn slicer(toxic: &Toxic) -> Option<(usize, usize, Duration)> {
    match toxic {
        Toxic::Slicer { size, variation, delay } => Some((*size, *variation, *delay)),
        _ => None,
    }
}

const fn rate(toxic: &Toxic) -> Option<u64> {
    match toxic {
        Toxic::Bandwidth { rate } => Some(*rate),
        _ => None,
    }
}

const fn limit(toxic: &Toxic) -> Option<u64> {
    match toxic {
        Toxic::LimitData { bytes } => Some(*bytes),
        _ => None,
    }
}
