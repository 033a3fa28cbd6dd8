//! The verdict: what the ledger of a storm of processes proves.

use std::collections::{HashMap, HashSet};

use super::captain::Finals;
use super::ledger::{Kind, Record};
use crate::input::Line;
use crate::storm::Plan;

/// What there is to judge by.
#[derive(Clone, Copy)]
pub(crate) struct Evidence<'e> {
    pub(crate) plan: &'e Plan,
    pub(crate) lines: &'e [Line],
    /// The ledger, oldest first.
    pub(crate) records: &'e [Record],
    /// Processes that were killed.
    pub(crate) killed: &'e HashSet<u32>,
    pub(crate) finals: &'e Finals,
    /// Whether an attempt that hangs may lose its lease while its process lives.
    pub(crate) leases_lapse: bool,
}

/// Counts, and what was broken.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) attempts: u64,
    pub(crate) effects: u64,
    pub(crate) failed: u64,
    pub(crate) fenced: u64,
    pub(crate) answered: u64,
    /// Effects of attempts that were killed before they completed.
    pub(crate) interrupted: u64,
    /// Attempts that were killed before they had an effect.
    pub(crate) killed_before_effect: u64,
    /// Other effects beyond the first.
    pub(crate) duplicates: u64,
    pub(crate) lost_outcomes: u64,
    pub(crate) recovered: u64,
    /// From each kill to the next attempt of a request that was held, in microseconds, sorted.
    pub(crate) recovery_us: Vec<u64>,
    pub(crate) mismatched: u64,
    pub(crate) violations: Vec<String>,
}

/// The records of one request, each with its place in the ledger.
type Story<'e> = Vec<(usize, &'e Record)>;

impl Verdict {
    /// Judges.
    pub(crate) fn of(evidence: &Evidence<'_>) -> Self {
        let mut verdict = Self::default();
        let mut stories: Vec<Story<'_>> = vec![Vec::new(); evidence.plan.distinct()];
        let mut answers: HashMap<u32, u64> = HashMap::new();
        let mut kills: HashMap<u32, (usize, u64)> = HashMap::new();
        for (at, record) in evidence.records.iter().enumerate() {
            match record.kind {
                Kind::Killed => {
                    kills.insert(record.instance, (at, record.at_us));
                    continue;
                }
                Kind::Answered => *answers.entry(record.delivery).or_default() += 1,
                _ => {}
            }
            if let Some(story) = stories.get_mut(record.request as usize) {
                story.push((at, record));
            }
        }
        kills.retain(|instance, _| evidence.killed.contains(instance));
        for (request, story) in stories.iter().enumerate() {
            let line = evidence.lines[evidence.plan.originals[request] as usize].number;
            let last = evidence.finals.tokens.get(request).copied().flatten();
            let leases_lapse = evidence.leases_lapse;
            let mut judge = Judge { kills: &kills, leases_lapse, line, verdict: &mut verdict };
            judge.attempts(story);
            judge.effects(story, last);
            judge.answers(story, last);
        }
        verdict.deliveries(evidence, &answers);
        verdict.recovery_us.sort_unstable();
        verdict
    }

    fn deliveries(&mut self, evidence: &Evidence<'_>, answers: &HashMap<u32, u64>) {
        self.answered = answers.values().sum();
        let all = 0..evidence.plan.order.len() as u32;
        let wrong = all.filter(|number| answers.get(number) != Some(&1)).count();
        if wrong > 0 {
            self.violations.push(format!("{wrong} deliveries did not get one final answer each"));
        }
        let Finals { conflicting, mismatched, .. } = evidence.finals;
        self.mismatched = *mismatched;
        if conflicting != mismatched {
            let text =
                format!("{mismatched} deliveries answered as mismatched, expected {conflicting}");
            self.violations.push(text);
        }
    }
}

/// Judges one request.
struct Judge<'j> {
    /// Where in the ledger each kill stands, and when it was.
    kills: &'j HashMap<u32, (usize, u64)>,
    leases_lapse: bool,
    line: u64,
    verdict: &'j mut Verdict,
}

impl Judge<'_> {
    fn broken(&mut self, what: &str) {
        self.verdict.violations.push(format!("line {}: {what}", self.line));
    }

    /// Attempts come one after the other, with rising tokens; none before the last one has ended.
    fn attempts(&mut self, story: &Story<'_>) {
        let mut before: Option<(usize, &Record)> = None;
        let mut known = 0;
        for &(at, record) in story {
            self.verdict.failed += u64::from(record.kind == Kind::Failed);
            self.verdict.fenced += u64::from(record.kind == Kind::Fenced);
            if record.kind != Kind::Started {
                continue;
            }
            self.verdict.attempts += 1;
            if let Some((_, before)) = before
                && (record.token <= before.token || record.attempt <= before.attempt)
            {
                self.broken("an attempt had no higher token and number than the one before it");
            }
            // Killed between the engine's answer and its record.
            let unseen = u64::from(record.attempt).saturating_sub(known + 1);
            self.verdict.recovered += unseen;
            if let Some((began, before)) = before {
                self.successor(story, (began, before), (at, record));
            }
            known = u64::from(record.attempt);
            before = Some((at, record));
        }
    }

    /// `next` follows `before`, which failed, or whose process was killed.
    fn successor(
        &mut self,
        story: &Story<'_>,
        (began, before): (usize, &Record),
        (at, next): (usize, &Record),
    ) {
        let ended = |kind| {
            let of = |(_, record): &&(usize, &Record)| {
                record.kind == kind && record.token == before.token
            };
            story.iter().find(of).map(|(at, _)| *at)
        };
        if ended(Kind::Completed).is_some() {
            self.broken("an attempt started although one had completed");
            return;
        }
        if ended(Kind::Failed).is_some_and(|failed| failed < at) {
            return;
        }
        // It learned later that its lease had gone to the next one.
        if self.leases_lapse && ended(Kind::Fenced).is_some() {
            return;
        }
        match self.kills.get(&before.instance) {
            Some((killed, when)) if (began..at).contains(killed) => {
                self.verdict.recovered += 1;
                self.verdict.recovery_us.push(next.at_us.saturating_sub(*when));
            }
            _ => self.broken("an attempt started while another one was running"),
        }
    }

    /// One effect for the outcome that is stored; any other was made by an attempt that was killed.
    fn effects(&mut self, story: &Story<'_>, last: Option<u64>) {
        let of = |kind| story.iter().map(|(_, record)| *record).filter(move |r| r.kind == kind);
        let tokens: HashSet<u64> = of(Kind::Effect).map(|effect| effect.token).collect();
        for attempt in of(Kind::Started).filter(|attempt| !tokens.contains(&attempt.token)) {
            let was_killed = self.kills.contains_key(&attempt.instance);
            let has_failed = of(Kind::Failed).any(|failed| failed.token == attempt.token);
            self.verdict.killed_before_effect += u64::from(was_killed && !has_failed);
        }
        let mut counted = 0;
        for effect in of(Kind::Effect) {
            self.verdict.effects += 1;
            let is_last = Some(effect.token) == last;
            let is_after = last.is_some_and(|last| effect.token > last);
            if is_last && counted == 0 {
                counted += 1;
            } else if is_last || is_after {
                self.verdict.duplicates += 1;
                self.broken("an effect was made beside that of the stored outcome");
            } else if self.was_interrupted(story, effect) {
                self.verdict.interrupted += 1;
            } else {
                self.verdict.duplicates += 1;
                self.broken("an attempt that nobody killed had an effect, and another one too");
            }
        }
        if last.is_some() && counted == 0 {
            self.broken("the stored outcome belongs to no effect");
        }
    }

    /// Whether the process was killed between this effect and its completion. One that came to its
    /// completion was not, whatever became of its process later.
    fn was_interrupted(&self, story: &Story<'_>, effect: &Record) -> bool {
        let has_come_on = story.iter().any(|(_, record)| {
            record.token == effect.token && matches!(record.kind, Kind::Completed | Kind::Fenced)
        });
        self.kills.contains_key(&effect.instance) && !has_come_on
    }

    /// Everybody got the outcome that is stored.
    fn answers(&mut self, story: &Story<'_>, last: Option<u64>) {
        if last.is_none() {
            self.verdict.lost_outcomes += 1;
            self.broken("its stored outcome is gone");
        }
        // What an attempt adopts has the token of another one; its answer says which.
        let adopts = |token| {
            let is_it = |r: &Record| r.kind == Kind::Adopted && r.token == token;
            story.iter().any(|(_, record)| is_it(record))
        };
        let is_answer = |record: &&Record| match record.kind {
            Kind::Answered => true,
            Kind::Completed => !adopts(record.token),
            _ => false,
        };
        let mut answers = story.iter().map(|(_, record)| *record).filter(is_answer);
        if last.is_some() && answers.any(|answer| Some(answer.token) != last) {
            self.verdict.lost_outcomes += 1;
            self.broken("a duplicate got another outcome than the one that is stored");
        }
    }
}

/// What was checked, in words.
pub(crate) const INVARIANTS: [&str; 7] = [
    "every delivery got one final answer",
    "every request has one stored outcome, and all duplicates got it byte for byte",
    "one effect belongs to each stored outcome; any other one to an attempt that was killed",
    "no attempt started after one had completed",
    "no attempt started before its predecessor had failed or its process was killed",
    "attempts and fencing tokens rise with every attempt of a request",
    "another payload under the same key was refused",
];

#[cfg(test)]
mod tests;
