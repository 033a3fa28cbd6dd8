//! The judge itself: histories written by hand, each with one fault, and some without.
//!
//! A line is a call: its host, when it was invoked and had returned, what it asked, what it was
//! told; `-`: nobody knows. Or it is an effect: when, and of which token. Hosts 0 and 1 share a
//! table where `shared` is said, and `killed HOST TIME` says when one was killed.

use super::history::{Effect, Event, History, Host, KeyHistory};
use super::judge::{Loss, Tally, Terms, judge};

const KEEPS: Terms = Terms { loss: None, once: false };
const ONCE: Terms = Terms { loss: None, once: true };
/// Its store forgets all at about 50, and nothing new runs for 40.
const LOSES: Terms = Terms { loss: Some(Loss { from: 50, to: 52, quarantine: 40 }), once: false };

/// Its name, what the judge has to say, what was promised, and what happened.
type Bad = (&'static str, &'static str, Terms, &'static str);

const BAD: &[Bad] = &[
    (
        "two effects of one attempt",
        "an effect of no attempt, or twice of one",
        LOSES,
        "0 1 2 | begin | admitted 10 1 100
         effect 3 10
         effect 4 10
         0 5 6 | complete 10 | stored",
    ),
    (
        "an effect that nobody was admitted to",
        "an effect of no attempt, or twice of one",
        LOSES,
        "0 1 2 | begin | admitted 10 1 100
         effect 3 11",
    ),
    (
        "a second effect after a lapse, where leases outlast everything",
        "not one effect, but none or several",
        ONCE,
        "0 1 2 | begin | admitted 10 1 100
         effect 3 10
         1 101 102 | begin | admitted 11 2 200
         effect 103 11
         1 104 105 | complete 11 | stored",
    ),
    (
        "a completion without an effect",
        "not one effect, but none or several",
        ONCE,
        "0 1 2 | begin | admitted 10 1 100
         0 5 6 | complete 10 | stored",
    ),
    (
        "a token that falls",
        "a token is not above one before it",
        LOSES,
        "0 1 2 | begin | admitted 10 1 100
         0 3 4 | fail 10 | done 0
         1 5 6 | begin | admitted 9 2 100",
    ),
    (
        "a token that comes again",
        "a token was given out twice",
        LOSES,
        "0 1 2 | begin | admitted 10 1 100
         1 101 102 | begin | admitted 10 2 200",
    ),
    (
        "a lease over a live one",
        "an attempt began while another one held its lease",
        LOSES,
        "0 1 2 | begin | admitted 10 1 100
         1 3 4 | begin | admitted 11 2 100",
    ),
    (
        "a lease over one that was renewed",
        "an attempt began while another one held its lease",
        LOSES,
        "0 1 2 | begin | admitted 10 1 100
         0 48 49 | renew 10 | done 200
         1 149 150 | begin | admitted 11 2 300",
    ),
    (
        "a lease over that of a process which was killed, by another host",
        "an attempt began while another one held its lease",
        LOSES,
        "0 1 2 | begin | admitted 10 1 100
         killed 0 5
         1 9 10 | begin | admitted 11 2 100",
    ),
    (
        "a lease over a live one, by the process that shares its table",
        "an attempt began while another one held its lease",
        LOSES,
        "shared
         0 1 2 | begin | admitted 10 1 100
         killed 0 9
         1 7 8 | begin | admitted 11 2 100",
    ),
    (
        "an attempt after a completion",
        "a new attempt after a completion",
        KEEPS,
        "0 1 2 | begin | admitted 10 1 100
         0 3 4 | complete 10 | stored
         1 101 102 | begin | admitted 11 2 200",
    ),
    (
        "an attempt after a completion, before the store forgets it",
        "a new attempt after a completion",
        LOSES,
        "0 1 2 | begin | admitted 10 1 100
         0 3 4 | complete 10 | stored
         1 5 6 | begin | admitted 11 2 200",
    ),
    (
        "an attempt within the quarantine",
        "an attempt began within the quarantine",
        LOSES,
        "0 1 2 | begin | admitted 10 1 20
         0 3 4 | complete 10 | stored
         1 53 54 | begin | admitted 11 1 80",
    ),
    (
        "an outcome that is lost, and another one that everybody gets",
        "an outcome that was stored is lost",
        KEEPS,
        "0 1 2 | begin | admitted 10 1 100
         1 101 202 | begin | admitted 11 2 300
         0 103 104 | complete 10 | stored
         1 203 204 | complete 11 | stored
         0 205 206 | begin | replayed 11
         1 205 206 | begin | replayed 11",
    ),
    (
        "two hosts that replay two outcomes",
        "hosts replay different outcomes",
        KEEPS,
        "0 1 2 | begin | admitted 10 1 100
         0 3 4 | complete 10 | -
         1 101 102 | begin | admitted 11 2 200
         1 103 104 | complete 11 | stored
         0 105 106 | begin | replayed 10
         1 105 106 | begin | replayed 11",
    ),
    (
        "an outcome of no attempt",
        "an outcome that no attempt left",
        LOSES,
        "0 1 2 | begin | replayed 10",
    ),
    (
        "an outcome before its attempt ends",
        "an outcome that no attempt left",
        LOSES,
        "0 1 2 | begin | admitted 10 1 100
         1 3 4 | begin | replayed 10
         0 5 6 | complete 10 | stored",
    ),
    (
        "an answer about nothing",
        "an answer that nobody expects",
        LOSES,
        "0 1 2 | begin | odd OutcomeGone",
    ),
    (
        "running after it has finished",
        "its calls have no order",
        KEEPS,
        "0 1 2 | begin | admitted 10 1 100
         0 3 4 | complete 10 | stored
         1 5 6 | begin | in-progress",
    ),
    (
        "running before it has begun",
        "its calls have no order",
        KEEPS,
        "1 1 2 | begin | in-progress
         0 3 4 | begin | admitted 10 1 100",
    ),
    (
        "a holder that is fenced while it holds its lease",
        "its calls have no order",
        KEEPS,
        "0 1 2 | begin | admitted 10 1 100
         0 3 4 | complete 10 | fenced",
    ),
    (
        "a stale completion that counts",
        "its calls have no order",
        KEEPS,
        "0 1 2 | begin | admitted 10 1 100
         1 101 102 | begin | admitted 11 2 200
         0 103 104 | complete 10 | stored",
    ),
    (
        "an attempt that is left out",
        "its calls have no order",
        KEEPS,
        "0 1 2 | begin | admitted 10 1 100
         1 101 102 | begin | admitted 11 3 200",
    ),
    (
        "a failed attempt that begins anew",
        "its calls have no order",
        KEEPS,
        "0 1 2 | begin | admitted 10 1 100
         0 3 4 | fail 10 | done 0
         1 5 6 | begin | admitted 11 1 100",
    ),
    (
        "an outcome that nobody knew of, and then somebody, and then nobody",
        "its calls have no order",
        KEEPS,
        "0 1 2 | begin | admitted 10 1 100
         0 3 4 | complete 10 | -
         1 5 6 | begin | replayed 10
         2 7 8 | begin | in-progress",
    ),
];

const GOOD: &[(&str, Terms, &str)] = &[
    (
        "once, and replayed",
        ONCE,
        "0 1 2 | begin | admitted 10 1 100
         1 1 3 | begin | in-progress
         effect 4 10
         0 5 8 | complete 10 | stored
         1 6 7 | begin | replayed 10
         2 6 7 | begin | in-progress
         2 9 10 | begin | replayed 10",
    ),
    (
        "a takeover at the end of a lease, and a former holder that comes late",
        KEEPS,
        "0 1 2 | begin | admitted 10 1 100
         1 90 101 | begin | admitted 11 2 200
         effect 102 11
         effect 103 10
         0 104 105 | complete 10 | fenced
         1 106 107 | complete 11 | stored
         0 108 109 | begin | replayed 11",
    ),
    (
        "a lapsed lease that nobody took over, completed",
        KEEPS,
        "0 1 2 | begin | admitted 10 1 100
         0 150 151 | complete 10 | stored",
    ),
    (
        "a completion whose holder was killed, and that counts",
        KEEPS,
        "0 1 2 | begin | admitted 10 1 100
         0 3 4 | complete 10 | -
         killed 0 5
         1 6 7 | begin | in-progress
         1 8 9 | begin | replayed 10",
    ),
    (
        "one that does not",
        KEEPS,
        "0 1 2 | begin | admitted 10 1 100
         0 3 4 | complete 10 | -
         killed 0 5
         1 101 102 | begin | admitted 11 2 200
         1 103 104 | complete 11 | stored",
    ),
    (
        "a process that shares the table of one that was killed",
        KEEPS,
        "shared
         0 1 2 | begin | admitted 10 1 100
         killed 0 5
         1 6 7 | begin | admitted 11 2 100",
    ),
    (
        "a refusal that was granted to nobody, and taken back",
        KEEPS,
        "0 1 2 | begin | refused
         1 3 4 | begin | in-progress
         0 5 6 | begin | admitted 11 2 100
         0 7 8 | complete 11 | stored",
    ),
    (
        "an outcome that the store hears of later",
        ONCE,
        "0 1 2 | begin | admitted 10 1 100
         effect 3 10
         0 4 5 | complete 10 | stored-here
         0 6 7 | begin | replayed 10
         1 8 9 | begin | in-progress
         1 20 21 | begin | replayed 10",
    ),
    (
        "one that comes too late, and that its host keeps",
        KEEPS,
        "0 1 2 | begin | admitted 10 1 100
         0 4 5 | complete 10 | stored-here
         1 101 102 | begin | admitted 11 2 200
         1 103 104 | complete 11 | stored
         0 105 106 | begin | replayed 10
         1 105 106 | begin | replayed 11",
    ),
    (
        "a failure that the store hears of later, and a retry",
        KEEPS,
        "0 1 2 | begin | admitted 10 1 100
         0 3 4 | fail 10 | done 0
         1 5 6 | begin | in-progress
         0 7 8 | begin | scheduled
         1 9 10 | begin | admitted 11 2 200",
    ),
    (
        "running for a host that asks itself just now",
        KEEPS,
        "0 1 2 | begin | admitted 10 1 100
         0 3 4 | complete 10 | stored
         1 5 9 | begin | replayed 10
         1 6 7 | begin | in-progress",
    ),
    (
        "an outcome that a store lost with its memory",
        LOSES,
        "0 1 2 | begin | admitted 10 1 100
         0 3 4 | complete 10 | stored
         1 101 102 | begin | admitted 11 1 200
         1 103 104 | complete 11 | stored
         0 105 106 | begin | replayed 10
         1 105 106 | begin | replayed 11",
    ),
];

/// Goal: what may not be is found, and named. Method: histories written by hand.
#[test]
fn bad_rounds_are_refused() {
    for (name, what, terms, text) in BAD {
        let wrong = judge(&history(text), *terms).expect_err(name);
        let found: Vec<&str> = wrong.iter().map(|wrong| wrong.what).collect();
        assert!(found.contains(what), "{name}: {found:?}");
        assert!(!history(text).draw("key").is_empty(), "{name}");
    }
}

/// Goal: what may be is not refused. Method: the same of what stops, dies, lapses and is lost.
#[test]
fn good_rounds_are_accepted() {
    for (name, terms, text) in GOOD {
        let judged = judge(&history(text), *terms);
        let judged = judged.unwrap_or_else(|wrong| {
            panic!("{name}: {wrong:?}\n{}", history(text).draw("key"));
        });
        let Tally { keys, lost, kept_out, .. } = judged;
        assert_eq!((keys, lost), (1, usize::from(name.contains("lost"))), "{name}");
        assert_eq!(kept_out, usize::from(name.contains("comes late")), "{name}");
    }
}

/// Goal: what a host writes is read as it was. Method: lines of a host that was killed, and their
/// histories.
#[test]
fn what_hosts_write_is_read() {
    let mut read = History { hosts: hosts(), ..History::default() };
    read.add_calls(
        1,
        "call 0 5 key begin\ncall 1 6 other begin\ntold 0 7 admitted 10 1 100\n\
         call 2 8 key complete 10\ntold 1 9 odd Two words\n",
    );
    let expected = history(
        "1 5 7 | begin | admitted 10 1 100
         1 8 9 | complete 10 | -",
    );
    assert_eq!(read.keys["key"], expected.keys["key"]);
    assert_eq!(read.keys["other"], history("1 6 9 | begin | odd Two words").keys["key"]);
}

fn hosts() -> Vec<Host> {
    let host = |table| Host { name: format!("host-{table}"), table, killed: None };
    (0..3).map(host).collect()
}

fn history(text: &str) -> History {
    let mut history = History { hosts: hosts(), ..History::default() };
    let mut key = KeyHistory::default();
    for line in text.lines().map(str::trim) {
        let parts: Vec<&str> = line.split('|').map(str::trim).collect();
        let words: Vec<&str> = parts[0].split_whitespace().collect();
        let number = |at: usize| words[at].parse::<u64>().expect("a number");
        match (words[0], &parts[1..]) {
            ("shared", _) => history.hosts[1].table = history.hosts[0].table,
            ("killed", _) => history.hosts[number(1) as usize].killed = Some(number(2)),
            ("effect", _) => key.effects.push(Effect { at: number(1), token: number(2) }),
            (_, [ask, told]) => {
                let told = (*told != "-").then(|| told.parse().expect("an answer"));
                let (host, invoked) = (number(0) as usize, number(1));
                let told = told.map(|told| (number(2), told));
                key.events.push(Event { host, ask: ask.parse().expect("a call"), invoked, told });
            }
            _ => panic!("{line}"),
        }
    }
    key.events.sort_by_key(|event| event.invoked);
    history.keys.insert("key".to_owned(), key);
    history
}
