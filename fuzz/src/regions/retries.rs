//! Calls that have to do with retries and dead letters.

use std::time::Duration;

use oncegate::{
    AttemptError, Buried, DeadLetters, Engine, Error, ErrorCode, FileAccess, LeaseToken,
    LetterFilter, LetterId, Outcome, RetryContext,
};

use super::Place;

/// Makes the call that `what` chooses. Each may be refused, by an error that says why.
pub(super) fn call(engine: &Engine, what: u8, more: u8, tokens: &mut Vec<LeaseToken>) {
    let token = tokens.get(usize::from(what >> 4)).copied();
    let id = || letter(engine, usize::from(what >> 4), more);
    match (what & 15, token) {
        (0 | 1, Some(token)) => {
            let context = [7; 70];
            let context = RetryContext::new("op", &context[..usize::from(more) % 70]);
            let error = AttemptError::new("503").outcome(Outcome::new(502, [9; 40]));
            drop(engine.retry_later(&token, &error, &context));
        }
        (2..=4, _) => {
            if let Ok(Some(attempt)) = engine.next_attempt(Duration::ZERO) {
                assert!(attempt.lease().attempt() > 1, "{attempt:?}");
                tokens.push(attempt.into_lease().into_token());
            }
        }
        (5, _) => drop(engine.next_attempts(usize::from(more % 4), Duration::ZERO)),
        (6, _) => {
            let limit = usize::from(more);
            let driven = engine.advance(limit);
            assert!(driven.is_ok_and(|driven| driven.looked_at <= limit));
        }
        (7, _) => every_page(engine, usize::from(more % 4)),
        (8, _) => is_typed(engine.dead_letter(id()).map(|letter| {
            // Both are text for people, whatever it holds.
            let _ = (format!("{letter:?}"), letter.id.to_string());
            assert_eq!(letter.id.to_string().parse(), Ok(letter.id));
        })),
        (9 | 10, _) => is_typed(engine.redrive(id())),
        (11, _) => is_typed(engine.discard(id())),
        (12, _) => drop(engine.redrive_all(&filter(more), usize::from(what >> 4))),
        (13, _) => drop(engine.discard_all(&filter(more), usize::from(what >> 4))),
        _ => drop(engine.stats()),
    }
}

/// Somebody sees to the dead letters who has no secret, and reads the machine's clock.
pub(super) fn without_the_secret(place: &Place) {
    let letters = match DeadLetters::open(place.table(), FileAccess::owner_only()) {
        Ok(letters) => letters,
        Err(refused) => {
            let known = [ErrorCode::RegionInvalid, ErrorCode::RegistryFull];
            return assert!(known.contains(&refused.code()), "{refused}");
        }
    };
    let page = letters.list(&LetterFilter::all(), None, 2).expect("answered");
    for letter in page.letters {
        is_typed(letters.get(letter.id).map(drop));
        is_typed(letters.redrive(letter.id));
        is_typed(letters.discard(letter.id));
    }
    letters.discard_all(&LetterFilter::all(), usize::MAX).expect("answered");
}

fn is_typed(answer: Result<(), Error>) {
    let known = |code| matches!(code, ErrorCode::NotFound | ErrorCode::Full);
    assert!(answer.as_ref().err().is_none_or(|error| known(error.code())), "{answer:?}");
}

/// Pages come to an end, and no letter is on two.
fn every_page(engine: &Engine, size: usize) {
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = engine.dead_letters(&LetterFilter::all(), after, size + 1).expect("answered");
        seen.extend(page.letters.into_iter().map(|letter| letter.id));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let all = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), all, "a letter is on two pages");
}

/// A letter that there is, or a name that may be none's.
fn letter(engine: &Engine, number: usize, more: u8) -> LetterId {
    let page = engine.dead_letters(&LetterFilter::all(), None, 16).expect("answered");
    let known = page.letters.get(number).map(|letter| letter.id).filter(|_| more < 0x60);
    known.unwrap_or_else(|| format!("{number}-{more}").parse().expect("two numbers"))
}

fn filter(more: u8) -> LetterFilter {
    let all = LetterFilter::all();
    match more % 6 {
        0 => all.operation("op"),
        1 => all.class("503"),
        2 => all.reason(Buried::Attempts),
        3 => all.since(Duration::from_secs(1)),
        4 => all.until(Duration::MAX),
        _ => all,
    }
}
