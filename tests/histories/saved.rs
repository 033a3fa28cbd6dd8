//! The text of a history, to save it and to judge it again.
//!
//! ```text
//! history KIND SEED KEY
//! terms WINDOW LEASE ON_DROP OUTCOME_LIMIT [evicts] [drops] [scarce] [fills]
//! times TIME...
//! THREAD INVOKED RETURNED FROM TO [LATEST_RETURN LATEST_TIME] | ASK | ANSWER
//! ```
//!
//! with asks such as `begin PAYLOAD LEASE LAPSE PATIENCE`, `complete TOKEN WINDOW OUTCOME` and
//! `resolve again`, and answers such as `admitted ATTEMPT STATUS TOKEN UNTIL`, `replayed OUTCOME`
//! and `Fenced`. An outcome is its status and its body in hexadecimal digits, or `-`.

use std::fmt::{Debug, Write};
use std::str::FromStr;

use oncegate::{Completed, ErrorCode, OnDrop, OnLapse, Outcome, Status};

use crate::history::{Ask, Event, Grant, History, Patience, Reach, Terms};
use crate::spec::{Answer, End, Rules, Verdict};

pub(crate) fn write(history: &History) -> String {
    let History { kind, seed, key, terms, times, events } = history;
    let Terms { rules, lease, evicts, drops, scarce, fills } = terms;
    let Rules { window, on_drop, outcome_limit } = rules;
    let mut text = format!("history {kind} {seed} {key}\n");
    let _ = write!(text, "terms {window} {lease} {on_drop:?} {outcome_limit}");
    for (name, _) in FLAGS.iter().zip([evicts, drops, scarce, fills]).filter(|(_, set)| **set) {
        let _ = write!(text, " {name}");
    }
    text.push_str("\ntimes");
    for time in times {
        let _ = write!(text, " {time}");
    }
    text.push('\n');
    for event in events {
        let Event { thread, invoked, returned, from, to, reach, .. } = event;
        let Reach { returned: last, to: latest } = reach;
        let _ = write!(text, "{thread} {invoked} {returned} {from} {to} {last} {latest}");
        let _ = writeln!(text, " | {} | {}", write_ask(&event.ask), write_answer(event));
    }
    text
}

fn write_ask(ask: &Ask) -> String {
    match ask {
        Ask::Begin { payload, lease, lapse, patience } => {
            let patience = match patience {
                Patience::None => "now".to_owned(),
                Patience::Wait(limit) => limit.to_string(),
                Patience::Join => "join".to_owned(),
                Patience::Glance => "glance".to_owned(),
            };
            format!("begin {payload} {lease} {lapse:?} {patience}")
        }
        Ask::End { token, window, how } => match how {
            End::Complete(outcome) => format!("complete {token} {window} {}", bytes(outcome)),
            End::Terminal(outcome) => format!("fail {token} {window} {}", bytes(outcome)),
            End::Retry { delay_us } => {
                format!("retry {token} {window} {}", delay_us.unwrap_or(0))
            }
            End::Renew { lease_us } => format!("renew {token} {window} {lease_us}"),
            End::GiveUp => format!("unknown {token} {window}"),
            End::Drop => format!("drop {token} {window}"),
        },
        Ask::Resolve(Verdict::Succeeded(outcome)) => format!("resolve success {}", bytes(outcome)),
        Ask::Resolve(Verdict::Failed(outcome)) => format!("resolve failure {}", bytes(outcome)),
        Ask::Resolve(Verdict::RunAgain) => "resolve again".to_owned(),
        Ask::LostTakeover => "lost".to_owned(),
    }
}

fn write_answer(event: &Event) -> String {
    match &event.answer {
        Answer::Admitted { attempt, status, .. } => {
            let Grant { token, until } = event.grant.unwrap_or(Grant { token: 0, until: 0 });
            format!("admitted {attempt} {status:?} {token} {until}")
        }
        Answer::Replayed(outcome) => format!("replayed {}", bytes(outcome)),
        Answer::InProgress { attempt, remaining_ms } => format!("running {attempt} {remaining_ms}"),
        Answer::Scheduled { next_attempt, due_in_ms } => {
            format!("scheduled {next_attempt} {due_in_ms}")
        }
        Answer::Mismatched => "mismatched".to_owned(),
        Answer::Unresolved => "unresolved".to_owned(),
        Answer::OutcomeGone => "gone".to_owned(),
        Answer::Completed(Completed::Stored) => "stored".to_owned(),
        Answer::Completed(Completed::WithoutBytes) => "without-bytes".to_owned(),
        Answer::Completed(Completed::StoredHere) => "stored-here".to_owned(),
        Answer::Done => "done".to_owned(),
        Answer::Dropped => "dropped".to_owned(),
        Answer::Refused(code) => code.name().to_owned(),
    }
}

/// The history that [`write`] wrote. Lines that begin with `#` are left out.
pub(crate) fn read(text: &str) -> Result<History, String> {
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
    let mut lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let mut head = |name: &str| {
        let (at, line) = lines.next().ok_or_else(|| format!("no `{name}`"))?;
        let words = Words::of(line);
        words.after(name).ok_or_else(|| format!("line {at}: `{name}` is missing"))
    };
    let mut first = head("history")?;
    let (kind, seed, key) = (first.word()?.to_owned(), first.number()?, first.number()?);
    let mut terms = head("terms")?;
    let (window, lease) = (terms.number()?, terms.number()?);
    let on_drop =
        terms.named(&[OnDrop::Retry, OnDrop::Unknown, OnDrop::Failed, OnDrop::KeepLease])?;
    let rules = Rules { window, on_drop, outcome_limit: terms.number()? };
    let set: Vec<&str> = terms.rest().collect();
    let [evicts, drops, scarce, fills] = FLAGS.map(|flag| set.contains(&flag));
    let terms = Terms { rules, lease, evicts, drops, scarce, fills };
    let times = head("times")?.rest().map(parse).collect::<Result<_, _>>()?;
    let events = lines
        .map(|(at, line)| read_event(line).map_err(|why| format!("line {at}: {why}")))
        .collect::<Result<_, _>>()?;
    Ok(History { kind, seed, key, terms, times, events })
}

fn read_event(line: &str) -> Result<Event, String> {
    let mut parts = line.split('|').map(Words::of);
    let mut part = || parts.next().ok_or("three parts are expected");
    let (mut stamps, mut ask, mut told) = (part()?, part()?, part()?);
    let (answer, grant) = read_answer(&mut told)?;
    let thread = stamps.number()?;
    let (invoked, returned) = (stamps.number()?, stamps.number()?);
    let (from, to) = (stamps.number()?, stamps.number()?);
    let reach =
        Reach { returned: stamps.number().unwrap_or(returned), to: stamps.number().unwrap_or(to) };
    let ask = read_ask(&mut ask)?;
    Ok(Event { thread, invoked, returned, from, to, reach, ask, answer, grant })
}

fn read_ask(words: &mut Words<'_>) -> Result<Ask, String> {
    let name = words.word()?;
    let how = |words: &mut Words<'_>| {
        Ok::<_, String>(match name {
            "complete" => End::Complete(words.outcome()?),
            "fail" => End::Terminal(words.outcome()?),
            "retry" => {
                End::Retry { delay_us: Some(words.number()?).filter(|delay: &u64| *delay > 0) }
            }
            "renew" => End::Renew { lease_us: words.number()? },
            "unknown" => End::GiveUp,
            "drop" => End::Drop,
            other => return Err(format!("`{other}` is no call")),
        })
    };
    Ok(match name {
        "begin" => Ask::Begin {
            payload: words.number()?,
            lease: words.number()?,
            lapse: words.named(&[OnLapse::Reclaim, OnLapse::Unknown, OnLapse::Failed])?,
            patience: match words.word()? {
                "now" => Patience::None,
                "join" => Patience::Join,
                "glance" => Patience::Glance,
                limit => Patience::Wait(parse(limit)?),
            },
        },
        "resolve" => Ask::Resolve(match words.word()? {
            "success" => Verdict::Succeeded(words.outcome()?),
            "failure" => Verdict::Failed(words.outcome()?),
            _ => Verdict::RunAgain,
        }),
        "lost" => Ask::LostTakeover,
        _ => Ask::End { token: words.number()?, window: words.number()?, how: how(words)? },
    })
}

fn read_answer(words: &mut Words<'_>) -> Result<(Answer, Option<Grant>), String> {
    let answer = match words.word()? {
        "admitted" => {
            let attempt = words.number()?;
            let status = words.named(&[Status::Created, Status::Retried, Status::Expired])?;
            let grant = Grant { token: words.number()?, until: words.number()? };
            return Ok((Answer::Admitted { attempt, status, remaining_ms: 0 }, Some(grant)));
        }
        "replayed" => Answer::Replayed(words.outcome()?),
        "running" => Answer::InProgress { attempt: words.number()?, remaining_ms: words.number()? },
        "scheduled" => {
            Answer::Scheduled { next_attempt: words.number()?, due_in_ms: words.number()? }
        }
        "mismatched" => Answer::Mismatched,
        "unresolved" => Answer::Unresolved,
        "gone" => Answer::OutcomeGone,
        "stored" => Answer::Completed(Completed::Stored),
        "without-bytes" => Answer::Completed(Completed::WithoutBytes),
        "stored-here" => Answer::Completed(Completed::StoredHere),
        "done" => Answer::Done,
        "dropped" => Answer::Dropped,
        name => {
            let code = ErrorCode::ALL.iter().find(|code| code.name() == name);
            Answer::Refused(*code.ok_or_else(|| format!("`{name}` is no answer"))?)
        }
    };
    Ok((answer, None))
}

/// The words of a line, one after the other.
struct Words<'t>(std::str::SplitWhitespace<'t>);

impl<'t> Words<'t> {
    fn of(line: &'t str) -> Self {
        Self(line.split_whitespace())
    }

    fn after(mut self, name: &str) -> Option<Self> {
        (self.0.next() == Some(name)).then_some(self)
    }

    fn rest(self) -> impl Iterator<Item = &'t str> {
        self.0
    }

    fn word(&mut self) -> Result<&'t str, String> {
        self.0.next().ok_or_else(|| "a word is missing".to_owned())
    }

    fn number<T: FromStr>(&mut self) -> Result<T, String> {
        self.word().and_then(parse)
    }

    fn named<T: Debug + Copy>(&mut self, all: &[T]) -> Result<T, String> {
        let word = self.word()?;
        let found = all.iter().find(|one| format!("{one:?}") == word);
        found.copied().ok_or_else(|| format!("`{word}` is none of {all:?}"))
    }

    fn outcome(&mut self) -> Result<Outcome, String> {
        let status = self.number()?;
        let digits = self.word()?.trim_start_matches('-');
        let bytes = digits.as_bytes().chunks(2).map(|pair| {
            let pair = std::str::from_utf8(pair).map_err(|error| error.to_string())?;
            u8::from_str_radix(pair, 16).map_err(|error| error.to_string())
        });
        Ok(Outcome::new(status, bytes.collect::<Result<Vec<u8>, String>>()?))
    }
}

fn parse<T: FromStr>(word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("`{word}` is no number that fits"))
}

fn bytes(outcome: &Outcome) -> String {
    let mut digits = String::new();
    for byte in outcome.body() {
        let _ = write!(digits, "{byte:02x}");
    }
    format!("{} {}", outcome.status(), if digits.is_empty() { "-" } else { &digits })
}

const FLAGS: [&str; 4] = ["evicts", "drops", "scarce", "fills"];
