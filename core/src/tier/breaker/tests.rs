//! The breaker, call by call, at times that the tests say.

use super::*;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

struct Site {
    breaker: Breaker,
    jitter: JitterSource,
}

impl Site {
    fn new(objective: Option<Duration>) -> Self {
        Self { breaker: Breaker::new(objective), jitter: JitterSource::seeded(7) }
    }

    fn note(&self, fared: Fared, at: Duration) -> bool {
        self.breaker.note(fared, ms(1), at, &self.jitter)
    }

    /// Fails until it opens, at `at`; gives when it is to be asked again.
    fn open(&self, at: Duration) -> Duration {
        for _ in 0..LEAST {
            assert_eq!(self.breaker.admit(at), Ok(()));
            self.note(Fared::Badly, at);
        }
        at + self.breaker.admit(at).expect_err("open")
    }
}

/// Goal: a few failures among many calls stop nothing; half of them do. Method: both, counted.
#[test]
fn it_opens_when_half_of_the_calls_fail() {
    let site = Site::new(None);
    for round in 0..100 {
        assert_eq!(site.breaker.admit(ms(round)), Ok(()), "round {round}");
        site.note(if round % 3 == 0 { Fared::Badly } else { Fared::Well }, ms(round));
    }
    assert!(!site.breaker.is_open(), "a third");
    let mut rounds = 0;
    while !site.breaker.is_open() {
        site.note(Fared::Badly, ms(200));
        rounds += 1;
    }
    assert!((3..=6).contains(&rounds), "{rounds} in a row, of twenty");
}

/// Goal: four failures are too few to tell. Method: four, then a call.
#[test]
fn few_failures_open_nothing() {
    let site = Site::new(None);
    for _ in 1..LEAST {
        site.note(Fared::Badly, ms(0));
    }
    assert_eq!(site.breaker.admit(ms(0)), Ok(()));
    site.note(Fared::Badly, ms(0));
    assert!(site.breaker.admit(ms(0)).is_err());
}

/// Goal: one call tries whether the store is back, and the others do not. Method: after the time,
/// two ask; the one that was let through closes it.
#[test]
fn one_call_probes() {
    let site = Site::new(None);
    let again = site.open(ms(1_000));
    assert!(site.breaker.admit(again - ms(1)).is_err(), "not before");
    assert_eq!(site.breaker.admit(again), Ok(()));
    assert!(site.breaker.admit(again).is_err(), "one at a time");
    assert!(site.note(Fared::Well, again), "it tells of its closing");
    assert!(!site.breaker.is_open());
    assert!(!site.note(Fared::Well, again), "once");
    assert_eq!(site.breaker.admit(again), Ok(()));
}

/// Goal: a probe that never ends keeps nobody out for ever. Method: one that is not noted, and the
/// next after the longest wait.
#[test]
fn a_probe_that_is_lost_is_followed_by_another() {
    let site = Site::new(None);
    let again = site.open(ms(0));
    assert_eq!(site.breaker.admit(again), Ok(()));
    assert!(site.breaker.admit(again + LONGEST - ms(1)).is_err());
    assert_eq!(site.breaker.admit(again + LONGEST), Ok(()));
}

/// Goal: a store that stays away is asked ever less often, up to a limit; and those who share it
/// do not come in step. Method: probes that fail; the waits double, within their jitter.
#[test]
fn waits_double_with_jitter() {
    let site = Site::new(None);
    let (mut at, mut waits) = (ms(0), Vec::new());
    let mut again = site.open(at);
    for _ in 0..10 {
        waits.push(again - at);
        at = again;
        assert_eq!(site.breaker.admit(at), Ok(()));
        assert!(!site.note(Fared::Badly, at));
        again = at + site.breaker.admit(at).expect_err("open");
    }
    for (number, wait) in waits.iter().enumerate() {
        let whole = (FIRST * (1 << number.min(6))).min(LONGEST);
        assert!((whole / 2..=whole).contains(wait), "wait {number}: {wait:?} of {whole:?}");
    }
    let other = Site { jitter: JitterSource::seeded(8), ..Site::new(None) };
    assert_ne!(other.open(ms(0)), ms(0) + waits[0], "out of step");
}

/// Goal: a store that answers too late is as good as one that does not. Method: slow calls that
/// succeed, with an objective and without one.
#[test]
fn slow_calls_count_as_failed() {
    for (objective, opens) in [(Some(ms(10)), true), (None, false)] {
        let site = Site::new(objective);
        for _ in 0..LEAST {
            site.breaker.note(Fared::Well, ms(11), ms(0), &site.jitter);
        }
        assert_eq!(site.breaker.is_open(), opens, "{objective:?}");
    }
}

/// Goal: what was under way when it opened neither closes nor opens it again. Method: late notes
/// in the open phase.
#[test]
fn late_notes_change_nothing() {
    let site = Site::new(None);
    let again = site.open(ms(0));
    site.note(Fared::Well, ms(1));
    site.note(Fared::Badly, ms(2));
    assert_eq!(site.breaker.admit(ms(3)), Err(again - ms(3)));
}
