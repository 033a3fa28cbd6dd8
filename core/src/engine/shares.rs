//! Shares: what attempts are to the retry budgets, where no guard has it.
//!
//! A budget belongs to a process, and so does what was taken of it: it lies here, under the slot
//! and the fencing counter of its attempt, and nowhere else. So it is settled once, by whoever took
//! it, and goes with him. A share is here
//!
//! - from the moment in which a retry was granted until it is handed out in this process;
//! - while the guard of a lease was given up for its token.
//!
//! Another process may run the retry, or be given the token, and tells nobody. It runs unpaid
//! there, since it was paid for here; and here the record is looked at: whenever a retry is asked
//! for, and by whoever looks after what is due. A retry counts until its attempt has ended, as it
//! would if it had run here, and brings what a success brings.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::lease::Paid;
use super::{Engine, Lease, LeaseToken};
use crate::error::Error;
use crate::retry::Withdrawal;
use crate::sync::{MutexGuard, lock};
use crate::table::Found;
use crate::table::control::{Fence, State};
use crate::table::slot::Kind;

/// Shares of one process. Beyond so many the oldest counts as that of an attempt that failed.
#[derive(Default)]
pub(super) struct Shares {
    numbers: FxHashMap<Name, u64>,
    /// In the order in which they came.
    kept: BTreeMap<u64, (Name, Share)>,
    /// The last number that was given, from one on.
    last: u64,
    /// The share that was looked at last.
    looked: u64,
}

/// Which attempt a share is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Name {
    slot: usize,
    fence: u64,
    /// It is of the attempt that follows the one with this counter.
    next: bool,
}

struct Share {
    paid: Paid,
    /// What tells the attempt from those of another record that comes to lie there.
    attempt: u32,
    first_word: u64,
}

/// What the record says of the attempt of a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It runs, or is to come.
    Open,
    Succeeded,
    /// It has failed, or nobody can tell any more.
    Failed,
    /// Its record ended before it.
    NeverRan,
}

impl Name {
    fn of(slot: usize, fence: Fence) -> Self {
        Self { slot, fence: fence.get(), next: false }
    }

    fn after(found: Found) -> Self {
        Self { slot: found.slot, fence: found.seen.fence().get(), next: true }
    }
}

impl Shares {
    fn keep(&mut self, name: Name, share: Share, now: Duration) {
        if self.kept.len() >= MOST
            && let Some((_, (oldest, share))) = self.kept.pop_first()
        {
            self.numbers.remove(&oldest);
            share.paid.end(false, now);
        }
        self.last += 1;
        if let Some(before) = self.numbers.insert(name, self.last) {
            self.kept.remove(&before);
        }
        self.kept.insert(self.last, (name, share));
    }

    fn take(&mut self, name: Name) -> Option<Share> {
        let number = self.numbers.remove(&name)?;
        self.kept.remove(&number).map(|(_, share)| share)
    }

    /// Settles those of `most` that have ended, by what `standing` says of them; others in each
    /// call.
    fn look(&mut self, most: usize, now: Duration, standing: impl Fn(Name, &Share) -> Standing) {
        let later = self.kept.range((Excluded(self.looked), Unbounded));
        let turn = later.chain(self.kept.range(..=self.looked)).take(most);
        let turn: Vec<_> =
            turn.map(|(number, (name, share))| (*number, *name, standing(*name, share))).collect();
        self.looked = turn.last().map_or(0, |(number, ..)| *number);
        for (_, name, standing) in turn {
            let over = (standing != Standing::Open).then(|| self.take(name)).flatten();
            match over {
                // What never started gives back what it took.
                Some(share) if standing == Standing::NeverRan => drop(share),
                Some(share) => share.paid.end(standing == Standing::Succeeded, now),
                None => {}
            }
        }
    }
}

impl Engine {
    fn shares(&self) -> MutexGuard<'_, Shares> {
        lock(self.retries.shares())
    }

    /// Keeps what was paid for `attempt`, the one after the one that was found, whose end has just
    /// been decided. It may run already: then its share is settled by a later look.
    pub(super) fn keep_grant(&self, found: Found, attempt: u32, paid: Withdrawal) {
        if paid.is_free() {
            return;
        }
        let first_word = self.table.slot(found.slot).first_word();
        let share = Share { paid: Paid::Retry(paid), attempt, first_word };
        let now = self.now();
        self.shares().keep(Name::after(found), share, now);
    }

    /// The attempt after the one that was found has begun here, and has the counter `fence`: what
    /// was paid for it is kept for its lease.
    pub(super) fn grant_taken(&self, found: Found, fence: Fence) {
        if !self.retries.is_budgeted() {
            return;
        }
        let now = self.now();
        let mut shares = self.shares();
        if let Some(mut share) = shares.take(Name::after(found)) {
            if let Paid::Retry(paid) = &mut share.paid {
                paid.start();
            }
            shares.keep(Name::of(found.slot, fence), share, now);
        }
    }

    /// The attempt after the one that was found does not come to be: what was paid for it here is
    /// given back.
    pub(super) fn grant_back(&self, found: Found) {
        if self.retries.is_budgeted() {
            let unused = self.shares().take(Name::after(found));
            drop(unused);
        }
    }

    /// Gives a lease what is kept of its attempt, if something is.
    pub(super) fn pay_from_share(&self, lease: &mut Lease<'_>) {
        if !self.retries.is_budgeted() {
            return;
        }
        let name = self.name_of(lease.token());
        let share = name.and_then(|name| self.shares().take(name));
        if let Some(share) = share {
            lease.pay(share.paid);
        }
    }

    /// Keeps what a lease was to the budgets while its token is out.
    pub(super) fn keep_share(&self, token: &LeaseToken, paid: Paid) {
        let Some(name) = self.name_of(token) else { return };
        let at = self.table.slot(name.slot);
        let first_word = at.first_word();
        // The table's own number: a tier counts otherwise.
        let attempt = if token.counter == 0 {
            token.attempt
        } else {
            at.control().load().fence().attempt(at.attempt())
        };
        let now = self.now();
        self.shares().keep(name, Share { paid, attempt, first_word }, now);
    }

    /// The attempt of a token is about to be followed by another: if it is a retry, that one needs
    /// its place.
    pub(super) fn make_way(&self, token: &LeaseToken) {
        if !self.retries.is_budgeted() {
            return;
        }
        let Some(name) = self.name_of(token) else { return };
        let now = self.now();
        let mut shares = self.shares();
        match shares.take(name) {
            Some(Share { paid: paid @ Paid::Retry(_), .. }) => paid.end(false, now),
            Some(share) => shares.keep(name, share, now),
            None => {}
        }
    }

    /// Settles what is kept of the attempt of a token that was just ended, or is lost.
    #[inline]
    pub(super) fn settle_token<T>(
        &self,
        token: &LeaseToken,
        ended: &Result<T, Error>,
        succeeded: bool,
    ) {
        if self.retries.is_budgeted() {
            self.settle_share(token, ended.as_ref().err(), succeeded);
        }
    }

    #[cold]
    fn settle_share(&self, token: &LeaseToken, refused: Option<&Error>, succeeded: bool) {
        if refused.is_some_and(|error| !error.is_fenced()) {
            // The lease lasts.
            return;
        }
        let share = self.name_of(token).and_then(|name| self.shares().take(name));
        if let Some(share) = share {
            share.paid.end(succeeded && refused.is_none(), self.now());
        }
    }

    /// Settles what has ended elsewhere, of a bounded number of shares.
    pub(super) fn look_at_shares(&self) {
        if self.retries.is_budgeted() {
            let (now, now_ms) = (self.now(), self.now_ms());
            let standing = |name, share: &Share| self.standing_of(name, share, now_ms);
            self.shares().look(LOOKED_AT, now, standing);
        }
    }

    fn standing_of(&self, name: Name, share: &Share, now_ms: u64) -> Standing {
        let at = self.table.slot(name.slot);
        let seen = at.control().load();
        let (first_word, deadline) = (at.first_word(), at.deadline());
        let attempt = seen.fence().attempt(at.attempt());
        if at.control().load().fence() != seen.fence() {
            // It is changing: the next look finds more.
            return Standing::Open;
        }
        let named = seen.fence().get() == name.fence;
        let open = matches!(seen.state(), State::Running | State::Waiting | State::Unknown);
        if named && name.next {
            return if open { Standing::Open } else { Standing::NeverRan };
        }
        let is_this = named || first_word == share.first_word && attempt == share.attempt;
        match seen.state() {
            _ if !is_this => Standing::Failed,
            State::Succeeded => Standing::Succeeded,
            // One that was just taken has no deadline yet.
            State::Running if !deadline.belongs_to(seen.fence()) => Standing::Open,
            State::Running if deadline.kind != Kind::Closed && deadline.lasts(now_ms) => {
                Standing::Open
            }
            _ => Standing::Failed,
        }
    }

    fn name_of(&self, token: &LeaseToken) -> Option<Name> {
        self.locate(token).map(|(slot, fence)| Name::of(slot, fence))
    }
}

/// How many shares are kept: two megabytes of them.
const MOST: usize = 16_384;
/// How many are looked at in one go.
const LOOKED_AT: usize = 32;

#[cfg(all(test, not(any(oncegate_loom, oncegate_shuttle))))]
mod tests;
