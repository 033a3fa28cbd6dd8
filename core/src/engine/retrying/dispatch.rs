//! Dispatch: from entries that may be due to an attempt that is leased.

use super::super::{Engine, Lease, LeaseToken, Status, millis_up};
use super::behind::Changes;
use super::next::Attempt;
use super::scheduler::Index;
use crate::config::TEN_YEARS;
use crate::error::Error;
use crate::observe::Event;
use crate::retry::journal::End;
use crate::sync::planted::Bug;
use crate::table::control::State;
use crate::table::entry::Entry;
use crate::table::retrying::Standing;
use crate::table::slot::{Kind, Lapse};
use crate::table::{Found, Lapsed, LeaseDraft, NotTaken, Open, Rules, Table};

/// What a look at an entry came to.
enum Looked {
    /// Its next attempt is due.
    Due(Found, Lapse),
    /// It is to be looked at again then.
    Later(u64),
    /// Somebody else looks after it, or nobody has to.
    Nothing,
}

impl Engine {
    /// The next attempt that is due now, and may run, in the whole fleet.
    pub(super) fn try_next(&self) -> Result<Option<Attempt<'_>>, Error> {
        self.adopt_orphans();
        while let Some(attempt) = self.try_next_here()? {
            let confirmed = self.confirm_attempt(attempt)?;
            if confirmed.is_some() {
                return Ok(confirmed);
            }
        }
        Ok(None)
    }

    /// The next attempt that is due now, and may run as far as this table knows.
    pub(super) fn try_next_here(&self) -> Result<Option<Attempt<'_>>, Error> {
        let rules = self.rules();
        self.watch_file(rules.now_ms)?;
        self.look_at_all_changes();
        self.look_at_shares();
        if self.scheduler().index().next_doubt_ms().is_some_and(|ms| ms <= rules.now_ms) {
            self.reconcile(RECONCILED)?;
        }
        let mut ripened = self.ripen(&rules, RIPENED);
        loop {
            let (popped, held_up) = {
                let mut index = self.scheduler().index();
                let full = self.retries.is_full(index.in_flight());
                let may_run = |operation, running| self.retries.may_run(operation, running);
                let popped = if full { None } else { index.pop(may_run) };
                (popped, index.ready.len() != 0)
            };
            let Some((operation, due)) = popped else {
                if held_up && self.forget_ended(&rules) {
                    continue;
                }
                if !held_up && ripened == RIPENED {
                    // Its limit ended it, before it came to anything that may run.
                    ripened = self.ripen(&rules, RIPENED);
                    continue;
                }
                return Ok(None);
            };
            let number = due.index as usize;
            let Some(entry) = self.table.entry_at(number) else { continue };
            if self.table.operation_of(entry) != operation {
                // Another record's since it was ready: it has to ask for its own operation.
                self.scheduler().index().file(number, rules.now_ms);
                continue;
            }
            match self.look_at_entry(entry, &rules) {
                Looked::Due(found, lapse) => match self.run_due(found, entry, lapse, &rules)? {
                    Some(attempt) => {
                        let fence = attempt.lease.fencing_token().get();
                        self.scheduler().index().started(number, fence, operation, rules.now_ms);
                        self.note_dispatch(due.due_ms, &rules);
                        return Ok(Some(attempt));
                    }
                    // In a file that was damaged: no look at it finds more.
                    None if self.has_lost_journal(entry) => {}
                    // It changed: whoever changed it has counted that.
                    None => self.scheduler().index().file_again(number, rules.now_ms),
                },
                Looked::Later(due_ms) => self.scheduler().index().file_again(number, due_ms),
                Looked::Nothing => {}
            }
        }
    }

    fn has_lost_journal(&self, entry: Entry) -> bool {
        self.journal(entry).is_none() && !Bug::LostJournalsFiled.is_planted()
    }

    /// Gives the places free of attempts that this process handed out and that ended elsewhere:
    /// their tokens crossed to another process, or it took their records over. False: there is
    /// none.
    fn forget_ended(&self, rules: &Rules) -> bool {
        let running = self.scheduler().index().running();
        let over = running.into_iter().filter(|(number, fence)| {
            let record = self.table.entry_at(*number).map(|entry| entry.word.slot());
            let seen = record.map(|slot| self.table.slot(slot).control().load());
            !seen.is_some_and(|seen| {
                seen.state() == State::Running && self.fencing_token(seen.fence()).get() == *fence
            })
        });
        let over: Vec<_> = over.collect();
        let mut index = self.scheduler().index();
        let ended = |(number, fence)| index.ended(number, rules.now_ms, |one| one == fence);
        over.into_iter().map(ended).fold(false, |any, ended| any | ended)
    }

    /// Files all that has changed before this call, so that what is due first comes first.
    fn look_at_all_changes(&self) {
        // What changes meanwhile comes behind it, and may come for ever.
        let mut left = self.look_at_changes(FILED_AT_ONCE);
        while left > 0 {
            let more = self.look_at_changes(FILED_AT_ONCE);
            left = left.saturating_sub(FILED_AT_ONCE).min(more);
        }
    }

    /// Files what has changed about the entries since they were looked at last: `limit` of them, up
    /// to the next whole block. Gives how many are left.
    ///
    /// Where many have changed since the last call, it reads a counter for each 64 entries that
    /// there may be.
    pub(super) fn look_at_changes(&self, limit: usize) -> usize {
        {
            let mut index = self.scheduler().index();
            index.take_in(self.table.retry_entries(), &self.table);
            if self.region.is_shared() {
                index.behind.take_turn(self.now_ms());
            }
        }
        let mut left = limit;
        loop {
            let most = left.min(FILED_AT_ONCE);
            let (filed, behind) = self.file_some(most);
            left = left.saturating_sub(filed);
            if left == 0 || behind == 0 {
                return behind;
            }
        }
    }

    /// Files `most` entries under one lock. Gives how many it looked at, and how many are left.
    fn file_some(&self, most: usize) -> (usize, usize) {
        let entries = self.table.retry_entries();
        let mut index = self.scheduler().index();
        let mut filed = 0;
        while filed < most {
            let Some(next) = index.behind.next() else { break };
            filed += next.len();
            (next.start..next.end.min(entries))
                .for_each(|number| self.file_one(number, &mut index));
        }
        (filed, index.behind.entries())
    }

    fn file_one(&self, number: usize, index: &mut Index) {
        let entry = self.table.entry_at(number);
        if index.runs(number) {
            // Another process may have ended it, and given its entry up.
            let runs = entry.and_then(|entry| self.running_of(entry));
            index.ended(number, self.now_ms(), |one| runs != Some(one));
        }
        match entry.map(|entry| (entry, self.due_of(entry))) {
            Some((_, Some(due_ms))) => index.file(number, due_ms),
            // Its record has ended, perhaps in a process that did not come further.
            Some((entry, None)) => {
                index.unready(number);
                self.table.without_leavings(entry);
            }
            None => index.unready(number),
        }
    }

    /// When `entry` is to be looked at: when its next attempt is due, or its lease ends.
    fn due_of(&self, entry: Entry) -> Option<u64> {
        let at = self.table.slot(entry.word.slot());
        let seen = at.control().load();
        let deadline = at.deadline();
        let redriven = seen.state() == State::Failed && deadline.kind == Kind::Due;
        let unsaid = seen.state() == State::Waiting && deadline.kind != Kind::Due;
        // One that failed for good and whose finisher died is no letter before its window is open.
        let unsettled =
            seen.state() == State::Failed && matches!(deadline.kind, Kind::Lease | Kind::Closed);
        let open = matches!(seen.state(), State::Running | State::Waiting | State::Unknown);
        let runs = open || redriven;
        // One that is just being written, or whose process died, is looked at soon.
        let soon = unsaid || !deadline.belongs_to(seen.fence()) || self.table.is_orphan(seen);
        (runs || unsettled).then(|| if soon || unsettled { self.now_ms() } else { deadline.at_ms })
    }

    /// Moves what is due among what is ready, and sees to lapses: at most `limit` entries. Gives
    /// how many it looked at. If the upkeep is due, as much of that is done, too.
    pub(super) fn ripen(&self, rules: &Rules, limit: usize) -> usize {
        let (mut left, mut keeps_up) = (limit, false);
        loop {
            // Bound: a match on the guard itself would hold it.
            let due = self.scheduler().index().next_due(rules.now_ms, &mut left);
            let Some(due) = due else { break };
            let number = due.index as usize;
            if number == self.table.retry_entries() {
                keeps_up = true;
                continue;
            }
            let Some(entry) = self.table.entry_at(number) else { continue };
            match self.look_at_entry(entry, rules) {
                Looked::Due(..) => {
                    let (operation, scope) =
                        (self.table.operation_of(entry), self.table.scope_of(entry));
                    self.scheduler().index().ripe(operation, scope, due);
                }
                Looked::Later(due_ms) => self.scheduler().index().file_again(number, due_ms),
                Looked::Nothing => {}
            }
        }
        self.watch_backlog(rules, true);
        if keeps_up {
            self.keep_up(rules, limit);
        }
        limit - left
    }

    /// What the record of `entry` says: whether its next attempt is due. Sees to its lapse.
    fn look_at_entry(&self, entry: Entry, rules: &Rules) -> Looked {
        let slot = entry.word.slot();
        for _ in 0..MOST_ROUNDS {
            let at = self.table.slot(slot);
            let seen = at.control().load();
            let found = Found { slot, seen };
            match self.table.standing(entry, seen) {
                Standing::Current => {}
                Standing::Changed => {
                    // A slot without a record is what has become of one that has ended.
                    self.table.without_leavings(entry);
                    if self.table.entry_word(entry.index) == entry.word {
                        continue;
                    }
                    return Looked::Nothing;
                }
                Standing::Nobodys => {
                    self.table.without_leavings(entry);
                    return Looked::Nothing;
                }
            }
            self.note_end(entry, found);
            let open = matches!(seen.state(), State::Running | State::Waiting | State::Unknown);
            if open && !self.table.is_scheduled(entry) {
                // Its journal is kept for whoever begins it next.
                return Looked::Later(rules.now_ms.saturating_add(KEPT_MS));
            }
            let deadline = at.deadline();
            let own = deadline.belongs_to(seen.fence());
            match seen.state() {
                State::Waiting if own && deadline.kind == Kind::Due => {
                    return if deadline.at_ms > rules.now_ms {
                        Looked::Later(deadline.at_ms)
                    } else {
                        Looked::Due(found, deadline.lapse)
                    };
                }
                State::Running => match self.table.close_lease(slot, seen, rules) {
                    Err(Open::Until(_)) if Bug::OverlapAllowed.is_planted() => {
                        return Looked::Due(found, deadline.lapse);
                    }
                    Err(Open::Until(until_ms)) => return Looked::Later(until_ms),
                    Err(Open::Ending) => _ = self.help(found),
                    Err(Open::Changed) => {}
                    Ok(Lapsed(policy)) => {
                        if !self.lapse_retried(found, entry, policy, rules) {
                            return Looked::Later(rules.now_ms.saturating_add(NO_ROOM_MS));
                        }
                    }
                },
                State::Waiting => self.table.let_be_due(slot, seen, rules.now_ms),
                State::Vacant | State::Claimed | State::Inserting => {}
                State::Unknown => {
                    self.note_unknown(found);
                    return Looked::Nothing;
                }
                State::Succeeded | State::Failed => {
                    let Some(dead) = self.table.redriven(slot, seen) else {
                        self.settle_window(found);
                        self.table.without_leavings(entry);
                        return Looked::Nothing;
                    };
                    self.carry_out_redrive(found, dead, rules);
                }
            }
        }
        // In a file that was damaged a record may be in a state that nothing leads out of.
        Looked::Nothing
    }

    /// Gives the place of an attempt free that this process handed out, and that has ended.
    pub(super) fn note_end(&self, entry: Entry, found: Found) {
        let runs = found.seen.state() == State::Running;
        let fence = self.fencing_token(found.seen.fence()).get();
        // One that was handed out since the record was looked at has a higher token.
        let is_over = |one| one < fence || one == fence && !runs;
        self.scheduler().index().ended(entry.index, self.now_ms(), is_over);
    }

    /// The fencing token of the attempt that the record of `entry` runs, if it runs one.
    fn running_of(&self, entry: Entry) -> Option<u64> {
        let seen = self.table.slot(entry.word.slot()).control().load();
        (seen.state() == State::Running).then(|| self.fencing_token(seen.fence()).get())
    }

    /// Starts the next attempt of a record that is due. `None`: it has changed.
    fn run_due(
        &self,
        found: Found,
        entry: Entry,
        lapse: Lapse,
        rules: &Rules,
    ) -> Result<Option<Attempt<'_>>, Error> {
        let Found { slot, seen } = found;
        if !self.seal(found, entry, End::Unnoted, rules) {
            return Ok(None);
        }
        let Some((_, journal)) = self.journal(entry) else { return Ok(None) };
        let Some(lease_ms) = self.next_lease_ms(&journal, rules) else {
            self.bury_late(found, entry, lapse, rules);
            return Ok(None);
        };
        let until_ms = rules.now_ms.saturating_add(lease_ms);
        let home = self.table.home_of(slot);
        let taken = self.table.take(slot, seen, home, LeaseDraft { until_ms, lapse });
        let (taken, attempt) = match taken {
            Ok(taken) => taken,
            Err(NotTaken::Changed) => return Ok(None),
            Err(NotTaken::Exhausted) => {
                // Whoever asks may have others.
                let later_ms = rules.now_ms.saturating_add(KEPT_MS);
                self.scheduler().index().file(entry.index, later_ms);
                return Ok(None);
            }
        };
        self.grant_taken(found, taken.fence());
        self.table.follow(entry, taken.fence());
        self.no_letter_any_more(entry);
        self.look_when_it_ends(entry, until_ms);
        if taken.waiters() {
            self.waiters.wake_sooner(slot, until_ms);
        }
        self.counters.add(Event::Retried);
        let window_ms = match journal.window_ms {
            0 => self.defaults.window_ms,
            given => given.min(millis_up(TEN_YEARS)),
        };
        let token = LeaseToken {
            slot: slot as u64,
            fencing: self.fencing_token(taken.fence()),
            window_ms,
            attempt,
            scope: self.table.scope_of(entry),
            counter: 0,
            alone: false,
        };
        let mut lease = Lease::new(self, token, Status::Retried, until_ms);
        self.pay_from_share(&mut lease);
        Ok(Some(Attempt { lease, journal }))
    }

    /// Sees to it that `entry`, whose next attempt was just taken, is looked at when its lease
    /// ends: here, by whoever sleeps, and elsewhere by whoever looks.
    pub(in super::super) fn look_when_it_ends(&self, entry: Entry, until_ms: u64) {
        let change = self.table.note_change(entry.index);
        self.scheduler().index().file_own(entry.index, until_ms, change);
        self.scheduler().tell(until_ms, self.now_ms());
    }

    /// Tells whoever looks after attempts, in every process, that `entry` is due then.
    pub(in super::super) fn announce(&self, entry: Entry, due_ms: u64) {
        let change = self.table.note_change(entry.index);
        // Where another thread is at the index, the next look finds the change.
        if let Some(mut index) = self.scheduler().free_index() {
            index.file_own(entry.index, due_ms, change);
        }
        self.scheduler().tell(due_ms, self.now_ms());
        self.ring_for_attempts(due_ms);
    }
}

impl Changes for Table {
    fn in_all(&self) -> u64 {
        self.changes()
    }

    fn of_block(&self, block: usize) -> u64 {
        self.changes_of(block)
    }

    fn entry(&self, change: u64) -> Option<usize> {
        self.changed(change)
    }
}

/// Whoever meets a change that is under way makes it himself, so that a few rounds do.
const MOST_ROUNDS: u32 = 1_000;
/// How many entries a worker looks at before it takes one.
const RIPENED: usize = 1_024;
/// How many records a worker asks about before it takes one.
const RECONCILED: usize = 16;
/// How many entries are filed under one lock, for which the end of an attempt may wait.
const FILED_AT_ONCE: usize = 256;
/// How long a lapse waits that finds no room to be noted.
const NO_ROOM_MS: u64 = 1_000;
/// How often a record is looked at whose journal is kept, and that nobody schedules.
const KEPT_MS: u64 = 60_000;
