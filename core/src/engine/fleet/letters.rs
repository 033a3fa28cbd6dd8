//! Letters: what the fleet's log of dead letters is told, by the porter.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::super::{Buried, Engine, LetterId};
use super::link::{Counts, Fleet};
use super::parcel::Parcel;
use super::porter::{BATCH, FIRST_WAIT, MOST_DOUBLED};
use crate::outcome::Outcome;
use crate::sync::plain::{Mutex, MutexGuard};
use crate::tier::{Letter, LetterReason};

/// What the log has not been told yet, of one process.
#[derive(Default)]
pub(super) struct Letters(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    /// Oldest first.
    mails: VecDeque<Mail>,
    /// How many are being told just now.
    in_flight: u64,
    /// The log is asked again then.
    next_try: Duration,
    failures: u32,
}

/// A letter, and when it was buried, on the engine's clock.
#[derive(Clone, Copy)]
struct Mail {
    letter: Letter,
    buried: Duration,
}

impl Letters {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        let waiting = self.waiting();
        waiting.mails.len() as u64 + waiting.in_flight
    }

    /// When there is something to tell next.
    pub(super) fn next(&self) -> Option<Duration> {
        let waiting = self.waiting();
        (!waiting.mails.is_empty()).then_some(waiting.next_try)
    }

    /// The tier answers again. True: there is something to tell.
    pub(super) fn try_at_once(&self) -> bool {
        let mut waiting = self.waiting();
        (waiting.next_try, waiting.failures) = (Duration::ZERO, 0);
        !waiting.mails.is_empty()
    }
}

impl Engine {
    /// The record of `parcel` has failed for good, for `reason`, and is a dead letter here if it
    /// has a name.
    pub(in super::super) fn tell_buried(
        &self,
        parcel: Option<Parcel>,
        outcome: &Outcome,
        reason: Buried,
        id: Option<LetterId>,
    ) {
        if let (Some(fleet), Some(parcel)) = (&self.fleet, &parcel) {
            fleet.enter_letter(parcel, LetterReason::Buried(reason), id);
        }
        self.tell_failed(parcel, outcome);
    }
}

impl Fleet {
    /// Has the log of the fleet told of the record of `parcel`, if there is a log.
    pub(super) fn enter_letter(
        self: &Arc<Self>,
        parcel: &Parcel,
        reason: LetterReason,
        id: Option<LetterId>,
    ) {
        if self.keeps_letters {
            self.keep_letter(parcel, reason, id);
            self.start_porter();
        }
    }

    /// The same where the porter runs.
    pub(super) fn keep_letter(&self, parcel: &Parcel, reason: LetterReason, id: Option<LetterId>) {
        if !self.keeps_letters {
            return;
        }
        let letter = Letter {
            key: parcel.key,
            table: parcel.holder.table,
            fence: parcel.fence,
            attempts: parcel.attempt,
            reason,
            id,
            age: Duration::ZERO,
        };
        let mail = Mail { letter, buried: self.now() };
        let fits = {
            let mut waiting = self.porter().letters.waiting();
            let count = waiting.mails.len() as u64 + waiting.in_flight;
            let fits = count < self.options.undelivered as u64;
            if fits {
                waiting.mails.push_back(mail);
            }
            fits
        };
        if !fits {
            Counts::add(&self.counts.letters_lost);
        }
        self.porter().unpark();
    }

    /// Tells the log what it has not been told. False: nothing was to be told, or its time has not
    /// come.
    ///
    /// It asks nothing of a tier that is let alone, and whether the tier answers requests is not
    /// judged by it: a log that takes nothing endangers nothing else.
    pub(super) fn deliver_letters(&self, now: Duration, last: bool) -> bool {
        let porter = self.porter();
        let mails: Vec<Mail> = {
            let mut waiting = porter.letters.waiting();
            if waiting.mails.is_empty() || now < waiting.next_try && !last {
                return false;
            }
            if self.is_let_alone() {
                // `tell_at_once` says when it answers again.
                waiting.next_try = now + FIRST_WAIT * (1 << MOST_DOUBLED);
                return false;
            }
            let count = BATCH.min(waiting.mails.len());
            waiting.in_flight += count as u64;
            waiting.mails.drain(..count).collect()
        };
        // As late as can be: ages are what the log dates letters by.
        let asked = self.now();
        let letters: Vec<Letter> = mails.iter().map(|mail| mail.at(asked)).collect();
        let replies = self.tier.log_letters(&letters, self.options.deadline);
        let mut waiting = porter.letters.waiting();
        waiting.in_flight = waiting.in_flight.saturating_sub(mails.len() as u64);
        let mut left: Vec<Mail> = Vec::new();
        for (at, mail) in mails.into_iter().enumerate() {
            match replies.get(at) {
                Some(Ok(())) => Counts::add(&self.counts.letters_logged),
                // Once more, if it was entered: the log knows it.
                Some(Err(_)) | None => left.push(mail),
            }
        }
        let told = left.is_empty();
        waiting.failures = if told { 0 } else { waiting.failures.saturating_add(1) };
        let wait = FIRST_WAIT * (1 << waiting.failures.min(MOST_DOUBLED));
        waiting.next_try = if told { Duration::ZERO } else { self.now() + wait };
        left.into_iter().rev().for_each(|mail| waiting.mails.push_front(mail));
        told
    }
}

impl Mail {
    fn at(&self, now: Duration) -> Letter {
        Letter { age: now.saturating_sub(self.buried), ..self.letter }
    }
}
