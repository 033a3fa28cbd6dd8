//! The keys that a program tries, in an order of its own.

use std::error::Error;
use std::io::{BufRead as _, Write as _};
use std::path::Path;
use std::time::Duration;

use oncegate::{
    Admission, BeginOptions, Engine, Lease, OnConflict, Outcome, Reach, Request, Scope, Secret,
    Status,
};

use crate::effect::Effects;

type Failed = Box<dyn Error>;

struct Tries {
    engine: Engine,
    effects: Effects,
    name: String,
    /// The keys, in the order in which they are tried, and how many were.
    order: Vec<u64>,
    tried: usize,
    /// Created, expired, retried, replayed.
    counts: [u64; 4],
    /// The body of each outcome, by key.
    bodies: Vec<Vec<u8>>,
}

/// Does as it is told on standard input.
pub(crate) fn serve(arguments: &[String]) -> Result<(), Failed> {
    let [table, ledger, name, seed, keys] = arguments else {
        return Err("TABLE LEDGER NAME SEED KEYS".into());
    };
    let secret: Vec<u8> = (1..=32).collect();
    let engine = Engine::builder()
        .reach(Reach::Host(table.into()))
        .capacity(20_000)
        .secret(Secret::from_bytes(&secret)?)
        .build()?;
    let keys: u64 = keys.parse()?;
    let mut tries = Tries {
        engine,
        effects: Effects::open(Path::new(ledger))?,
        name: name.clone(),
        order: shuffled(keys, seed.parse()?),
        tried: 0,
        counts: [0; 4],
        bodies: vec![Vec::new(); usize::try_from(keys)?],
    };
    say("ready")?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (word, number) = line.split_once(' ').unwrap_or((&line, "0"));
        let answer = match word {
            "try" => tries.try_some(number.parse()?)?,
            "hold" => tries.hold(number.parse()?)?,
            "digest" => format!("digest {:016x}", digest(&tries.bodies)),
            _ => return Err(format!("there is no `{line}`").into()),
        };
        say(&answer)?;
    }
    Ok(())
}

impl Tries {
    fn try_some(&mut self, count: usize) -> Result<String, Failed> {
        for _ in 0..count {
            let key = self.next()?;
            self.try_one(key)?;
        }
        Ok(format!("tried {}", self.told()))
    }

    fn hold(&mut self, count: usize) -> Result<String, Failed> {
        let mut held = Vec::new();
        while held.len() < count {
            let key = self.next()?;
            let Some((token, status)) = self.begin(key)? else { continue };
            self.count(status);
            if status != Status::Created {
                self.finish(key, &token)?;
                continue;
            }
            if held.len() % 2 == 0 {
                self.effects.happen(key, token.fencing_token().get())?;
            }
            held.push(key.to_string());
        }
        Ok(format!("holds {} {}", self.told(), held.join(" ")))
    }

    fn try_one(&mut self, key: u64) -> Result<(), Failed> {
        if let Some((token, status)) = self.begin(key)? {
            self.count(status);
            self.finish(key, &token)?;
        }
        Ok(())
    }

    fn count(&mut self, status: Status) {
        self.counts[match status {
            Status::Created => 0,
            Status::Expired => 1,
            Status::Retried => 2,
        }] += 1;
    }

    /// A lease, or none where the outcome was replayed.
    fn begin(&mut self, key: u64) -> Result<Option<(oncegate::LeaseToken, Status)>, Failed> {
        let name = format!("key-{key}");
        let request = Request::new(Scope::new("acme")?, "POST /charges", &name)?;
        let patient = OnConflict::Wait(Duration::from_secs(10));
        let options = BeginOptions::new().on_conflict(patient);
        loop {
            match self.engine.begin_with(&request, &options)? {
                Admission::Admitted(lease) => {
                    let status = lease.status();
                    return Ok(Some((Lease::into_token(lease), status)));
                }
                Admission::Replayed(outcome) => {
                    self.counts[3] += 1;
                    self.bodies[usize::try_from(key)?] = outcome.body().to_vec();
                    return Ok(None);
                }
                Admission::InProgress { .. } => {}
                other => return Err(format!("{name}: {other:?}").into()),
            }
        }
    }

    fn finish(&mut self, key: u64, token: &oncegate::LeaseToken) -> Result<(), Failed> {
        self.effects.happen(key, token.fencing_token().get())?;
        let body = format!("{}:{}", self.name, token.attempt());
        self.engine.complete(token, &Outcome::new(200, &body))?;
        self.bodies[usize::try_from(key)?] = body.into_bytes();
        Ok(())
    }

    fn next(&mut self) -> Result<u64, Failed> {
        let key = self.order.get(self.tried).copied().ok_or("no key is left")?;
        self.tried += 1;
        Ok(key)
    }

    fn told(&self) -> String {
        self.counts.map(|count| count.to_string()).join(" ")
    }
}

/// Fisher and Yates, by SplitMix64.
fn shuffled(keys: u64, seed: u64) -> Vec<u64> {
    let mut order: Vec<u64> = (0..keys).collect();
    let mut state = seed;
    for at in (1..order.len()).rev() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        order.swap(at, ((z ^ z >> 31) % (at as u64 + 1)) as usize);
    }
    order
}

fn digest(bodies: &[Vec<u8>]) -> u64 {
    let bytes = bodies.iter().flat_map(|body| body.iter().chain(b"\n"));
    bytes.fold(0xcbf2_9ce4_8422_2325, |digest: u64, byte| {
        (digest ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn say(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush())
}
