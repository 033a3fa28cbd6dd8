//! Dead letters as JSON: the same names as in the engine's own types.

use std::path::Path;

use oncegate::{DeadLetter, LetterId, PastAttempt};
use serde_json::{Value, json};

use super::ContextAs;
use super::text::{hex, unix_ms};

/// One dead letter, with its context if that was asked for.
pub(super) fn letter(letter: &DeadLetter, context: Option<ContextAs>) -> Value {
    let context = context.map(|how| match how {
        ContextAs::Text => String::from_utf8_lossy(letter.context()).into_owned(),
        ContextAs::Hex => hex(letter.context()),
    });
    json!({
        "id": letter.id.to_string(),
        "operation": letter.operation,
        "reason": letter.reason.name(),
        "buried_unix_ms": unix_ms(letter.buried),
        "attempts": letter.attempts,
        "class": letter.history.last().map(|past| &past.class),
        "history": letter.history.iter().map(past).collect::<Vec<_>>(),
        "left_out": letter.left_out,
        "steps": letter.steps,
        "context_bytes": letter.context().len(),
        "context": context,
    })
}

fn past(past: &PastAttempt) -> Value {
    json!({
        "attempt": past.attempt,
        "end": past.end.name(),
        "class": past.class,
        // Beyond what a double holds.
        "fencing_token": past.fencing_token.to_string(),
        "process": past.process,
        "began_unix_ms": past.began.map(unix_ms),
        "ended_unix_ms": unix_ms(past.ended),
    })
}

/// What was `done`, by its name, and what was not there.
pub(super) fn changed(path: &Path, name: &str, done: usize, missing: &[LetterId]) -> Value {
    json!({
        "path": path.to_string_lossy(),
        name: done,
        "missing": missing.iter().map(LetterId::to_string).collect::<Vec<_>>(),
    })
}
