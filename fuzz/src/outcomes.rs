//! Outcomes and tokens: what a caller builds is what its duplicates get, limits are typed, and any
//! 32 bytes are a token by the layout, or are refused.

use arbitrary::{Result, Unstructured};
use oncegate::{
    Admission, BeginOptions, Completed, Engine, ErrorCode, Failure, LeaseToken, ManualClock,
    Outcome, Request, Scope,
};

use crate::tokens;

/// Takes one outcome, and the bytes of a token behind it.
pub fn run(data: &[u8]) {
    let mut bytes = Unstructured::new(data);
    let plan = Plan::read(&mut bytes).expect("missing bytes are zeros");
    let outcome = plan.build();
    let clock = ManualClock::new();
    let engine = Engine::builder()
        .capacity(16)
        .outcome_limit(plan.limit)
        .inline_outcome(plan.inline)
        .clock(clock)
        .build()
        .expect("valid");
    let request = Request::new(Scope::single_tenant(), "op", "key-1").expect("short");
    let Ok(Admission::Admitted(lease)) = engine.begin(&request) else {
        panic!("a new request is admitted")
    };
    forged(&engine, lease.token(), bytes.take_rest());
    let fits = plan.size() <= plan.limit && !plan.withheld;
    if plan.fails {
        lease.fail(Failure::terminal(outcome.clone())).expect("the lease is live");
    } else {
        let kept = lease.complete(&outcome).expect("the lease is live");
        assert_eq!(kept == Completed::Stored, fits, "{plan:?}");
    }
    let prepared = engine.prepare(&request).expect("valid");
    let mut buffer = Outcome::new(1, vec![0xee; 300]).with_metadata("a", "b").expect("short");
    for _ in 0..2 {
        match engine.begin_into(&prepared, &BeginOptions::new(), &mut buffer) {
            Ok(Admission::Replayed(found)) if fits => assert_eq!(*found, outcome, "{plan:?}"),
            Ok(Admission::OutcomeGone) if !fits => {}
            other => panic!("{other:?} for {plan:?}"),
        }
    }
}

/// What the bytes ask for.
#[derive(Debug)]
struct Plan {
    status: u16,
    withheld: bool,
    fails: bool,
    /// The engine's limit of the size of an outcome.
    limit: usize,
    /// How much of it may lie beside its record.
    inline: usize,
    entries: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Plan {
    fn read(bytes: &mut Unstructured<'_>) -> Result<Self> {
        let flags: u8 = bytes.arbitrary()?;
        let status: u16 = bytes.arbitrary()?;
        let entries = (0..flags >> 4).map(|_| Ok((text(bytes)?, text(bytes)?)));
        let entries = entries.collect::<Result<_>>()?;
        let body = text(bytes)?.into_bytes();
        let limits = [64, 65, 71, 72, 1_000, 16_384, 70_000, 1_000_000];
        let limit = limits[usize::from(flags >> 1 & 7)];
        let inline = [64, 0, 1, 448][usize::from(status % 4)];
        let withheld = flags & 0xf1 == 1;
        let fails = flags & 1 == 1 && status % 8 > 3;
        Ok(Self { status, withheld, fails, limit, inline, entries, body })
    }

    /// The outcome with the entries that are taken; each is held against the documented limits.
    fn build(&self) -> Outcome {
        if self.withheld {
            return Outcome::withheld(self.status);
        }
        let mut outcome = Outcome::new(self.status, &self.body);
        let mut taken = Vec::new();
        for (name, value) in &self.entries {
            let field = refusal(&taken, name, value);
            match outcome.clone().with_metadata(name, value) {
                Ok(more) => {
                    assert_eq!(field, None, "{} and {} bytes", name.len(), value.len());
                    outcome = more;
                    taken.push((name.as_str(), value.as_str()));
                }
                Err(error) => {
                    assert_eq!(error.code(), ErrorCode::InvalidOutcome, "{error}");
                    assert_eq!(Some(error.field()), field, "{error}");
                }
            }
        }
        assert_eq!((outcome.status(), outcome.body()), (self.status, &*self.body));
        assert_eq!(outcome.metadata().collect::<Vec<_>>(), taken);
        assert!(outcome.stored_bytes() >= self.body.len() + metadata(&taken));
        outcome
    }

    /// The bytes that count against the limit.
    fn size(&self) -> usize {
        let mut taken = Vec::new();
        for (name, value) in &self.entries {
            if refusal(&taken, name, value).is_none() {
                taken.push((name, value));
            }
        }
        let metadata = metadata(&taken);
        self.body.len() + metadata + if metadata > 0 { 8 } else { 0 }
    }
}

/// The field that has to be refused of one more entry.
fn refusal(taken: &[(&str, &str)], name: &str, value: &str) -> Option<&'static str> {
    if !(1..=255).contains(&name.len()) {
        Some("outcome.metadata.name")
    } else if value.len() > 8_192 {
        Some("outcome.metadata.value")
    } else if metadata(taken) + 3 + name.len() + value.len() > 16_384 {
        Some("outcome.metadata")
    } else {
        None
    }
}

fn metadata(entries: &[(&str, &str)]) -> usize {
    entries.iter().map(|(name, value)| 3 + name.len() + value.len()).sum()
}

/// Bytes that nobody was given: no token, or a token that changes nothing.
fn forged(engine: &Engine, lease: &LeaseToken, bytes: &[u8]) {
    let Some(tampered) = tokens::read(bytes).expect("the layout") else { return };
    if tokens::name_one_attempt(lease, &tampered.token) {
        return;
    }
    let outcome = Outcome::new(200, b"forged");
    let answers = [
        engine.complete(&tampered.token, &outcome).map(drop),
        engine.fail(&tampered.token, Failure::retryable()),
        engine.fail(&tampered.token, Failure::unknown()),
        engine.abandon(&tampered.token),
        engine.renew(&tampered.token, std::time::Duration::from_secs(1)).map(drop),
    ];
    for answer in answers {
        assert!(answer.as_ref().is_err_and(oncegate::Error::is_fenced), "{answer:?}");
    }
}

/// Text of a few given bytes, or of a length around a limit.
fn text(bytes: &mut Unstructured<'_>) -> Result<String> {
    let length: u8 = bytes.arbitrary()?;
    let text = match length {
        0..=159 => bytes.bytes(usize::from(length % 80).min(bytes.len()))?.to_vec(),
        _ => vec![b'a' + length % 26; LENGTHS[usize::from(length) % LENGTHS.len()]],
    };
    Ok(String::from_utf8_lossy(&text).into_owned())
}

const LENGTHS: [usize; 16] =
    [0, 1, 45, 46, 63, 64, 65, 255, 256, 999, 1_000, 8_100, 8_192, 8_193, 16_384, 70_000];
