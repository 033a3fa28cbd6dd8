//! A history as a reader sees it: a line for each call, in the order of their invocation.

use std::fmt::Write;

use oncegate::{Completed, Outcome};

use crate::checker::Refusal;
use crate::history::{Ask, Event, History};
use crate::model::Key;
use crate::spec::{Answer, End, State, Verdict};

/// The timeline of `history`; where it was refused, with the longest order that was found.
pub(crate) fn draw(history: &History, refusal: Option<&Refusal<Key>>) -> String {
    let mut text = String::new();
    let History { kind, seed, key, terms, times, events } = history;
    let _ = writeln!(text, "{kind}, seed {seed}, key {key}: {} calls", events.len());
    let _ = writeln!(text, "{terms:?}");
    let _ = writeln!(text, "the clock showed {times:?}\n");
    let from = events.iter().map(|event| event.invoked).min().unwrap_or(0);
    let to = events.iter().map(|event| event.returned).max().unwrap_or(0);
    let tokens = Tokens::of(history);
    let _ = writeln!(text, "order  thread {:BAR$}  clock     call", "time");
    for (at, event) in events.iter().enumerate() {
        let order = refusal.map_or(String::new(), |refusal| {
            let place = refusal.order.iter().position(|ordered| *ordered == at);
            match place {
                Some(place) => (place + 1).to_string(),
                None if refusal.stuck.contains(&at) => "stuck".to_owned(),
                None => String::new(),
            }
        });
        let bar = bar(event, from, to);
        let clock = format!("{}..{}", event.from, event.to);
        let call = call(event, &tokens);
        let _ = writeln!(text, "{order:>5}  t{:<5} {bar}  {clock:<9} {call}", event.thread);
    }
    if let Some(refusal) = refusal {
        let placed = refusal.order.len();
        let _ = writeln!(
            text,
            "\nNo order explains all answers. The longest has {placed} calls and leads to\n  {}\n\
             where none of those that are stuck gets the answer that it got.",
            state(&refusal.state, &tokens)
        );
    }
    text
}

/// When the call was under way, among all stamps of the history.
fn bar(event: &Event, from: u64, to: u64) -> String {
    let column = |stamp: u64| {
        let span = (to - from).max(1);
        ((stamp - from) * (BAR as u64 - 1) / span) as usize
    };
    let (first, last) = (column(event.invoked), column(event.returned));
    let inside = |at: usize| if (first..=last).contains(&at) { '=' } else { '.' };
    (0..BAR).map(inside).collect()
}

/// Tokens are told by how far they are from the first one.
struct Tokens {
    first: u64,
}

impl Tokens {
    fn of(history: &History) -> Self {
        let granted = history.events.iter().filter_map(|event| event.grant);
        Self { first: granted.map(|grant| grant.token).min().unwrap_or(0) }
    }

    fn name(&self, token: u64) -> String {
        token.checked_sub(self.first).map_or(token.to_string(), |beyond| format!("+{beyond}"))
    }
}

fn call(event: &Event, tokens: &Tokens) -> String {
    let asked = match &event.ask {
        Ask::Begin { payload, lease, lapse, patience } => {
            format!("begin payload {payload}, lease {lease}, {lapse:?}, patience {patience:?}")
        }
        Ask::End { token, window, how } => {
            let how = match how {
                End::Complete(outcome) => format!("complete {}", show(outcome)),
                End::Terminal(outcome) => format!("fail {}", show(outcome)),
                End::Retry { delay_us: None } => "abandon".to_owned(),
                End::Retry { delay_us: Some(us) } => format!("retry after {}", us / 1_000),
                End::GiveUp => "give up".to_owned(),
                End::Renew { lease_us } => format!("renew for {}", lease_us / 1_000),
                End::Drop => "drop".to_owned(),
            };
            format!("{how} by {}, window {window}", tokens.name(*token))
        }
        Ask::Resolve(Verdict::Succeeded(outcome)) => format!("resolve: success {}", show(outcome)),
        Ask::Resolve(Verdict::Failed(outcome)) => format!("resolve: failure {}", show(outcome)),
        Ask::Resolve(Verdict::RunAgain) => "resolve: run again".to_owned(),
        Ask::LostTakeover => "a takeover that was lost, perhaps".to_owned(),
    };
    format!("{asked} -> {}", answer(event, tokens))
}

fn answer(event: &Event, tokens: &Tokens) -> String {
    match &event.answer {
        Answer::Admitted { attempt, status, .. } => {
            let grant = event.grant.map_or(String::new(), |grant| {
                format!(", token {}, until {}", tokens.name(grant.token), grant.until)
            });
            format!("ADMITTED attempt {attempt}, {status:?}{grant}")
        }
        Answer::Replayed(outcome) => format!("replayed {}", show(outcome)),
        Answer::InProgress { attempt, remaining_ms } => {
            format!("in progress: attempt {attempt}, {remaining_ms} left")
        }
        Answer::Scheduled { next_attempt, due_in_ms } => {
            format!("scheduled: attempt {next_attempt} in {due_in_ms}")
        }
        Answer::Completed(Completed::Stored) => "stored".to_owned(),
        Answer::Completed(Completed::WithoutBytes) => "done without bytes".to_owned(),
        Answer::Refused(code) => format!("{code:?}"),
        Answer::OutcomeGone => "outcome gone".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    }
}

fn state(key: &Key, tokens: &Tokens) -> String {
    let Some(record) = &key.world else {
        return format!("no record; highest token {}", tokens.name(key.highest));
    };
    let state = match &record.state {
        State::Finished { success, ends, outcome } => {
            let outcome = outcome.as_ref().map_or("no bytes".to_owned(), show);
            let what = if *success { "succeeded" } else { "failed" };
            format!("{what} with {outcome}, until {ends}")
        }
        other => format!("{other:?}"),
    };
    let (attempt, token) = (record.attempt, tokens.name(record.token));
    format!("attempt {attempt}, token {token}, payload {}: {state}", record.payload)
}

/// An outcome by its number, and its bytes, of which all are equal.
pub(crate) fn show(outcome: &Outcome) -> String {
    let body = outcome.body();
    match body.first() {
        None => format!("#{}", outcome.status()),
        Some(first) if body.iter().all(|byte| byte == first) => {
            format!("#{}:{first}x{}", outcome.status(), body.len())
        }
        Some(_) => format!("#{}:{body:?}", outcome.status()),
    }
}

const BAR: usize = 32;
