//! Reads one direction, finds requests and replies in it, and settles what becomes of them.

use std::io::{ErrorKind, Read as _};
use std::sync::mpsc::SyncSender;
use std::{iter, mem};

use super::{Connection, Item, Reply};
use crate::clock;
use crate::proxy::rule::{Action, Close};
use crate::proxy::shared::Shared;
use crate::proxy::toxic::Direction;
use crate::resp::{self, Framing};

/// What is read at once.
const PIECE: usize = 16 * 1024;

/// Reads until the source ends or the connection is closed.
pub(super) fn read(
    shared: &Shared,
    connection: &Connection,
    direction: Direction,
    to: &SyncSender<Item>,
) {
    let mut framing = Some(match direction {
        Direction::Upstream => Framing::requests(),
        Direction::Downstream => Framing::replies(),
    });
    let mut buffer = vec![0; PIECE];
    loop {
        let read = connection.source(direction).read(&mut buffer);
        if connection.is_closed() {
            return;
        }
        let last = match read {
            Ok(0) => Item::End { arrived: clock::now() },
            Ok(length) => {
                let items = cut(shared, connection, direction, &mut framing, &buffer[..length]);
                if items.into_iter().any(|item| to.send(item).is_err()) {
                    return;
                }
                continue;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            // The peer was reset; so is the other one.
            Err(_) => Item::Close(Close::Reset),
        };
        // Whoever writes has gone where this fails, and needs none of it.
        let rest = framing.as_mut().map(Framing::rest).unwrap_or_default();
        let _ = to.send(bytes(rest)).and_then(|()| to.send(last));
        return;
    }
}

/// What becomes of the bytes of one piece.
fn cut(
    shared: &Shared,
    connection: &Connection,
    direction: Direction,
    framing: &mut Option<Framing>,
    piece: &[u8],
) -> Vec<Item> {
    let Some(frames) = framing else { return vec![bytes(piece.to_vec())] };
    let mut items = Vec::new();
    let mut passing = Vec::new();
    let whole = frames.each(piece, |frame| {
        let item = match direction {
            Direction::Upstream => request(shared, connection, &frame),
            Direction::Downstream => reply(shared, connection, &frame),
        };
        match item {
            Fate::Pass => passing.extend_from_slice(&frame),
            Fate::Hold => {
                items.push(bytes(mem::take(&mut passing)));
                let held = shared.change(|settings| settings.hold());
                items.push(Item::Bytes { arrived: clock::now(), bytes: frame, held: Some(held) });
                shared.count(|counts| counts.held += 1);
            }
            Fate::Close(close) => {
                items.push(bytes(mem::take(&mut passing)));
                items.push(Item::Close(close));
            }
        }
    });
    if whole.is_err() {
        // Not the Redis protocol: bytes from here on.
        passing.extend(frames.rest());
        *framing = None;
    }
    items.push(bytes(passing));
    items
}

/// What becomes of a frame.
enum Fate {
    Pass,
    Hold,
    Close(Close),
}

fn request(shared: &Shared, connection: &Connection, frame: &[u8]) -> Fate {
    let expected = resp::replies(frame);
    if expected == 0 {
        // An empty line, to which nobody replies.
        return Fate::Pass;
    }
    // Counted when it is settled what becomes of it, and before it goes on.
    let action = shared.settings().action(frame);
    let (reply, fate) = match action {
        None => (Reply::Pass, Fate::Pass),
        Some(Action::DropReply(close)) => (Reply::Drop(close), Fate::Pass),
        Some(Action::HoldReply) => (Reply::Hold, Fate::Pass),
        Some(Action::HoldRequest) => (Reply::Pass, Fate::Hold),
        Some(Action::DropRequest(close)) => (Reply::Pass, Fate::Close(close)),
    };
    // What is to come of several replies is settled by the first.
    let others = iter::repeat_n(Reply::Pass, expected - 1);
    connection.replies().extend(iter::once(reply).chain(others));
    shared.count(|counts| {
        counts.requests += 1;
        counts.dropped_requests += u64::from(matches!(fate, Fate::Close(_)));
    });
    fate
}

fn reply(shared: &Shared, connection: &Connection, frame: &[u8]) -> Fate {
    let asked = if resp::is_push(frame) { None } else { connection.replies().pop_front() };
    let Some(reply) = asked else {
        shared.count(|counts| counts.pushes += 1);
        return Fate::Pass;
    };
    shared.count(|counts| {
        counts.replies += 1;
        counts.dropped_replies += u64::from(matches!(reply, Reply::Drop(_)));
    });
    match reply {
        Reply::Pass => Fate::Pass,
        Reply::Hold => Fate::Hold,
        Reply::Drop(close) => Fate::Close(close),
    }
}

/// Nothing is nothing to its writer.
fn bytes(bytes: Vec<u8>) -> Item {
    Item::Bytes { arrived: clock::now(), bytes, held: None }
}
