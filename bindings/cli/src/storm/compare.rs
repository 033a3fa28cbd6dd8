//! Which payloads are the same: asked of the engine before a storm, so that plan, ledger and engine
//! mean the same by it.

use oncegate::{Admission, Engine, Error, Outcome, Payload, Request, Scope};

use crate::input::Line;

/// An engine of its own that runs nothing. It only says whether a payload is a mismatch.
pub(crate) struct Comparer {
    engine: Engine,
    /// Comparisons so far: each is a request of its own.
    made: u64,
}

impl Comparer {
    /// A comparer; costs an engine of a thousand records.
    ///
    /// # Errors
    /// What the engine says when it cannot be built.
    pub(crate) fn new() -> Result<Self, Error> {
        let engine = Engine::builder().capacity(1_024).build()?;
        Ok(Self { engine, made: 0 })
    }

    /// By line: whether its payload differs from that of the original. Costs a digest of each
    /// payload that is not written as the original's.
    ///
    /// # Errors
    /// What the engine says when it refuses a payload.
    pub(crate) fn conflicts(
        &mut self,
        original: &Line,
        lines: &[&Line],
    ) -> Result<Vec<bool>, Error> {
        if lines.iter().all(|line| line.payload == original.payload) {
            return Ok(vec![false; lines.len()]);
        }
        self.made += 1;
        let key = self.made.to_le_bytes();
        let request = Request::new(Scope::single_tenant(), "compare", &key)?;
        let begin = |line: &Line| {
            self.engine.begin(&request.payload(Payload::json(line.payload.as_bytes())))
        };
        // A finished record answers every payload that comes after it, and may be evicted then.
        if let Admission::Admitted(lease) = begin(original)? {
            lease.complete(&Outcome::new(200, []))?;
        }
        let differs = |line: &&Line| {
            if line.payload == original.payload {
                return Ok(false);
            }
            Ok(matches!(begin(line)?, Admission::Mismatched))
        };
        lines.iter().map(differs).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input;

    /// Goal: payloads are the same when the engine says so, and only then. Method: other spellings,
    /// numbers that a double cannot tell apart, another kind; two requests in turn.
    #[test]
    fn the_engine_decides() {
        let payloads = [
            r#"{"a":9007199254740993,"b":[1,"x"]}"#,
            r#"{"a":9007199254740993,"b":[1,"x"]}"#,
            r#"{ "b" : [1.0, "\u0078"], "a" : 9007199254740993.0 }"#,
            r#"{"a":9007199254740992,"b":[1,"x"]}"#,
            r#""a""#,
        ];
        let text = payloads.map(|payload| format!("{{\"key\":1,\"payload\":{payload}}}\n"));
        let lines = input::read(text.concat().as_bytes()).unwrap().lines;
        let mut comparer = Comparer::new().unwrap();
        let all: Vec<_> = lines.iter().collect();
        let expected = [false, false, false, true, true];
        assert_eq!(comparer.conflicts(&lines[0], &all).unwrap(), expected);
        let expected = [true, true, true, false, true];
        assert_eq!(comparer.conflicts(&lines[3], &all).unwrap(), expected);
    }

    /// Goal: no number of comparisons fills the engine. Method: several times its capacity.
    #[test]
    fn comparisons_do_not_add_up() {
        let lines = input::read(&b"{\"key\":1}\n{\"key\":2}\n"[..]).unwrap().lines;
        let mut comparer = Comparer::new().unwrap();
        for _ in 0..5_000 {
            assert_eq!(comparer.conflicts(&lines[0], &[&lines[1]]).unwrap(), [true]);
        }
    }
}
