//! What went wrong, and whether an operation may have taken effect.

use std::io;

use redis::{ErrorKind, RedisError, ServerError};

use super::node::NO_SUCH_USER;
use crate::tier::{TierError, TierErrorKind};

/// Why an operation has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) kind: TierErrorKind,
    pub(super) cure: Cure,
    /// Whether all that is missing are replicas.
    pub(super) few_replicas: bool,
    /// Never anything that the server said beyond a code: it may repeat an argument.
    what: String,
}

/// What may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cure {
    /// Nothing that this tier could do.
    None,
    /// To ask again, over another connection if this one is gone.
    Again,
    /// To ask again after a moment.
    Later,
    /// To tell the server the scripts.
    Load,
    /// To look who is responsible now, and to ask again there.
    Route,
}

impl Fault {
    pub(super) fn new(kind: TierErrorKind, cure: Cure, what: impl Into<String>) -> Self {
        Self { kind, cure, few_replicas: false, what: what.into() }
    }

    /// It was sent, and no answer came.
    pub(super) fn lost(what: &str) -> Self {
        Self::new(TierErrorKind::Unknown, Cure::Again, what)
    }

    /// It was not sent.
    pub(super) fn unsent(what: impl Into<String>) -> Self {
        Self::new(TierErrorKind::Unavailable, Cure::None, what)
    }

    /// It was not sent, since no connection could be made a moment ago.
    pub(super) fn a_moment_ago(why_not: Option<&Self>) -> Self {
        let what = why_not.map_or("no connection", |fault| &fault.what);
        Self::unsent(format!("a moment ago: {what}"))
    }

    /// It was not sent, since the server may have forgotten.
    pub(super) fn session_over(what: &str) -> Self {
        Self::new(TierErrorKind::SessionOver, Cure::None, what)
    }

    /// The same, of something that went before: the operation itself was not sent.
    pub(super) fn unsent_yet(self) -> Self {
        match self.kind {
            TierErrorKind::Unknown => Self { kind: TierErrorKind::Unavailable, ..self },
            _ => self,
        }
    }

    pub(super) fn nobody() -> Self {
        Self::new(TierErrorKind::Unavailable, Cure::Route, "no server is responsible for the key")
    }

    pub(super) fn replica() -> Self {
        Self::new(TierErrorKind::Unavailable, Cure::Route, "the server is a replica")
    }

    /// It was carried out, but too few replicas have it.
    pub(super) fn few_replicas() -> Self {
        let fault = Self::new(TierErrorKind::Unknown, Cure::Again, "too few replicas have it");
        Self { few_replicas: true, ..fault }
    }

    pub(super) fn odd_reply() -> Self {
        Self::new(TierErrorKind::Unknown, Cure::None, "a reply in no known form")
    }

    /// No connection was made.
    pub(super) fn connecting(error: &RedisError) -> Self {
        let refused = error.kind() == ErrorKind::AuthenticationFailed
            || matches!(error.code(), Some("WRONGPASS" | "NOAUTH" | "NOPERM"));
        if refused {
            return Self::new(TierErrorKind::Unsafe, Cure::None, NO_SUCH_USER);
        }
        if error.kind() == ErrorKind::InvalidClientConfig {
            return Self::new(TierErrorKind::Unsafe, Cure::None, error.category().to_owned());
        }
        let why = match error.code() {
            Some(code) => code.to_owned(),
            None if error.is_connection_refusal() => "refused".to_owned(),
            None if error.is_timeout() => "timed out".to_owned(),
            None => error.category().to_owned(),
        };
        Self::new(TierErrorKind::Unavailable, Cure::Route, format!("no connection: {why}"))
    }

    /// No connection was made, or nobody could be convinced of who the other one is.
    pub(super) fn connecting_to(error: &io::Error) -> Self {
        let why = match error.kind() {
            io::ErrorKind::ConnectionRefused => "refused".to_owned(),
            io::ErrorKind::TimedOut => "timed out".to_owned(),
            kind => tls_error(error).unwrap_or_else(|| kind.to_string()),
        };
        Self::new(TierErrorKind::Unavailable, Cure::Route, format!("no connection: {why}"))
    }

    /// The server did not say whether it takes whoever asks.
    pub(super) fn not_greeted(self) -> Self {
        let what = format!("no connection: {}", self.what);
        Self::new(TierErrorKind::Unavailable, Cure::Route, what)
    }

    /// The server does not take whoever asks, which means `refusal`, or not now.
    pub(super) fn greeted(error: &ServerError, refusal: &str) -> Self {
        let code = error.code();
        // Said to whoever comes, whatever he asks for.
        let full = error.details().is_some_and(|told| told.starts_with("max number of clients"));
        let busy = matches!(code, "BUSY" | "CLUSTERDOWN" | "LOADING" | "MASTERDOWN" | "TRYAGAIN");
        match code {
            _ if full => Self::new(TierErrorKind::Unavailable, Cure::Route, "too many clients"),
            _ if busy => {
                Self::new(TierErrorKind::Unavailable, Cure::Route, format!("no connection: {code}"))
            }
            "NOAUTH" | "NOPERM" | "WRONGPASS" => {
                Self::new(TierErrorKind::Unsafe, Cure::None, NO_SUCH_USER)
            }
            _ => Self::new(TierErrorKind::Unsafe, Cure::None, refusal),
        }
    }

    /// The server has answered that it did not carry it out.
    pub(super) fn answered(error: &ServerError) -> Self {
        let code = match error.code() {
            // Older servers put what a script's command was answered behind words of their own.
            "ERR" => error.details().and_then(inner_code).unwrap_or("ERR"),
            code => code,
        };
        let (kind, cure) = match code {
            "NOSCRIPT" => (TierErrorKind::Unavailable, Cure::Load),
            "MOVED" | "CLUSTERDOWN" | "READONLY" => (TierErrorKind::Unavailable, Cure::Route),
            // A slot that moves: it takes scripts again when all of its keys have arrived.
            "ASK" | "TRYAGAIN" => (TierErrorKind::Unavailable, Cure::Later),
            "LOADING" | "BUSY" => (TierErrorKind::Unavailable, Cure::Later),
            "MASTERDOWN" => (TierErrorKind::Unavailable, Cure::Route),
            "OOM" | "NOREPLICAS" | "MISCONF" => (TierErrorKind::Unavailable, Cure::None),
            "NOAUTH" | "WRONGPASS" | "NOPERM" | "ONCEGATE" => (TierErrorKind::Unsafe, Cure::None),
            // Nothing is known of it: it may have come in the middle.
            _ => (TierErrorKind::Unknown, Cure::None),
        };
        let known = CODES.iter().find(|known| **known == code).copied().unwrap_or("an error");
        Self::new(kind, cure, format!("the server answers {known}"))
    }

    pub(super) fn into_error(self) -> TierError {
        TierError::new(self.kind, self.what)
    }
}

#[cfg(feature = "redis-tls")]
fn tls_error(error: &io::Error) -> Option<String> {
    let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(format!("TLS: {error}"))
}

#[cfg(not(feature = "redis-tls"))]
fn tls_error(_: &io::Error) -> Option<String> {
    None
}

/// The code that follows the first hyphen at the start of a word.
fn inner_code(details: &str) -> Option<&'static str> {
    let found = details.split_whitespace().find_map(|word| word.strip_prefix('-'))?;
    CODES.iter().find(|code| **code == found).copied()
}

const CODES: &[&str] = &[
    "ASK",
    "BUSY",
    "CLUSTERDOWN",
    "ERR",
    "LOADING",
    "MASTERDOWN",
    "MISCONF",
    "MOVED",
    "NOAUTH",
    "NOPERM",
    "NOREPLICAS",
    "NOSCRIPT",
    "ONCEGATE",
    "OOM",
    "READONLY",
    "TRYAGAIN",
    "WRONGPASS",
];

#[cfg(test)]
mod tests {
    use redis::Value;

    use super::*;

    fn greeted(reply: &str) -> Fault {
        match redis::parse_redis_value(format!("-{reply}\r\n").as_bytes()) {
            Ok(Value::ServerError(error)) => Fault::greeted(&error, "what it means"),
            other => panic!("{other:?}"),
        }
    }

    /// Goal: a server that takes nobody just now is told from one that does not take this user.
    /// Method: what servers answer to who asks.
    #[test]
    fn a_busy_server_is_told_from_one_that_refuses() {
        for (reply, kind, what) in [
            ("LOADING Redis is loading", TierErrorKind::Unavailable, "no connection: LOADING"),
            ("MASTERDOWN Link down", TierErrorKind::Unavailable, "no connection: MASTERDOWN"),
            ("ERR max number of clients reached", TierErrorKind::Unavailable, "too many clients"),
            ("WRONGPASS invalid pair", TierErrorKind::Unsafe, NO_SUCH_USER),
            ("NOAUTH HELLO must be called", TierErrorKind::Unsafe, NO_SUCH_USER),
            ("ERR AUTH called without any password", TierErrorKind::Unsafe, "what it means"),
            ("NOPROTO unsupported", TierErrorKind::Unsafe, "what it means"),
        ] {
            let fault = greeted(reply);
            assert_eq!((fault.kind, fault.what.as_str()), (kind, what), "{reply}");
        }
    }
}
