//! The log of dead letters: a stream that all hosts of a fleet write.

use std::time::Duration;

use super::ask::Request;
use super::fault::Fault;
use super::link::{Answer, Op};
use super::scripts::Script;
use super::wire::{self, millis};
use super::{Redis, keys};
use crate::tier::{Letter, TierError};

impl Redis {
    pub(super) fn log(
        &self,
        letters: &[Letter],
        most: usize,
        within: Duration,
    ) -> Vec<Result<(), TierError>> {
        let (bucket, names) = keys::letters(&self.core.settings.prefix);
        let names: [&[u8]; 2] = [&names[0], &names[1]];
        let most = most.to_string();
        let requests = letters.iter().map(|letter| {
            let (identity, entry) = (letter.identity(), entry(letter));
            let mut args: Vec<&[u8]> = vec![most.as_bytes(), &identity];
            for (field, value) in &entry {
                args.extend([field.as_bytes(), value.as_bytes()]);
            }
            let op = Op::plain(Script::Letter.call(&names, &args));
            Request { bucket, op, again: None }
        });
        self.ask_all(requests.collect(), within).into_iter().map(logged).collect()
    }
}

/// The entry of `letter`, as text: operators read it by whatever client they have.
fn entry(letter: &Letter) -> [(&'static str, String); 7] {
    let hex = |bytes: &[u8]| {
        let mut digits = Vec::with_capacity(2 * bytes.len());
        keys::push_hex(&mut digits, bytes);
        String::from_utf8(digits).unwrap_or_default()
    };
    [
        ("key", hex(&letter.key.to_bytes())),
        ("table", hex(&letter.table.0.to_be_bytes())),
        ("token", letter.fence.to_string()),
        ("attempts", letter.attempts.to_string()),
        ("reason", letter.reason.name().to_owned()),
        ("letter", letter.id.map(|id| id.to_string()).unwrap_or_default()),
        ("age_ms", millis(letter.age).to_string()),
    ]
}

fn logged(answer: Answer) -> Result<(), TierError> {
    match answer.map(|value| wire::done(&value)) {
        // Entered now, or before.
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(Fault::odd_reply().into_error()),
        Err(fault) => Err(fault.into_error()),
    }
}
