//! What happens to single requests.

use std::fmt;

use crate::resp;

/// How a connection ends at its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// In order: the client reads an end of file.
    Fin,
    /// By a reset: the client's next call fails.
    Reset,
}

/// What happens to a request that a rule is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The server executes it; instead of the reply the client gets the end of its connection.
    DropReply(Close),
    /// The server never sees it; the client gets the end of its connection.
    DropRequest(Close),
    /// The server executes it; the reply stays in the proxy until it is released. Later replies of
    /// the connection wait behind it.
    HoldReply,
    /// It stays in the proxy until it is released, and later requests of the connection with it.
    HoldRequest,
}

/// Which words a rule looks for: the whole request is handed over.
type Words = Box<dyn Fn(&[&[u8]]) -> bool + Send>;

/// Picks requests by what they say and by their number.
///
/// ```
/// use oncegate_rig::{Action, Close, Rule};
///
/// // The second completion is executed, and nobody hears of it.
/// let lost = Rule::new(Action::DropReply(Close::Fin)).command("EVALSHA").nth(2);
/// // Every write of one key is kept from the server.
/// let kept = Rule::new(Action::DropRequest(Close::Reset))
///     .when(|words| words.len() > 2 && words[1] == b"key")
///     .each();
/// # drop((lost, kept));
/// ```
pub struct Rule {
    action: Action,
    command: Vec<String>,
    when: Option<Words>,
    /// 0: each one.
    nth: u64,
    seen: u64,
}

/// A request has so many words, as far as rules are concerned.
pub(super) const MOST_WORDS: usize = 64;

impl Rule {
    /// `action` for the next request.
    #[must_use]
    pub const fn new(action: Action) -> Self {
        Self { action, command: Vec::new(), when: None, nth: 1, seen: 0 }
    }

    /// Only requests that begin with these words, in any case: `SET`, `CLIENT SETINFO`.
    #[must_use]
    pub fn command(mut self, words: &str) -> Self {
        self.command = words.split_whitespace().map(str::to_owned).collect();
        self
    }

    /// Only requests of whose first 64 words this holds.
    #[must_use]
    pub fn when(mut self, holds: impl Fn(&[&[u8]]) -> bool + Send + 'static) -> Self {
        self.when = Some(Box::new(holds));
        self
    }

    /// The `nth` of them from now on, 1 being the next one, and no other.
    #[must_use]
    pub fn nth(mut self, nth: u64) -> Self {
        self.nth = nth.max(1);
        self
    }

    /// Each of them.
    #[must_use]
    pub const fn each(mut self) -> Self {
        self.nth = 0;
        self
    }

    /// What it wants of the request that `frame` holds, if anything.
    pub(super) fn asks(&mut self, frame: &[u8]) -> Option<Action> {
        let words = resp::words(frame, MOST_WORDS);
        let same = |(ours, theirs): (&String, &&[u8])| theirs.eq_ignore_ascii_case(ours.as_bytes());
        let begins = words.len() >= self.command.len() && self.command.iter().zip(&words).all(same);
        if !begins || self.when.as_ref().is_some_and(|holds| !holds(&words)) {
            return None;
        }
        self.seen += 1;
        (self.nth == 0 || self.nth == self.seen).then_some(self.action)
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rule")
            .field("action", &self.action)
            .field("command", &self.command)
            .field("nth", &self.nth)
            .field("seen", &self.seen)
            .finish_non_exhaustive()
    }
}
