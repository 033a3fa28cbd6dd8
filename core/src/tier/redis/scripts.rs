//! The scripts: which there are, and how they are called.

use std::sync::OnceLock;

use super::wire::pack;

/// Each is a prelude, which all share that read records or the time, and a part of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Script {
    Claim,
    Renew,
    End,
    Read,
    Due,
    Beat,
    Guards,
    Letter,
}

impl Script {
    pub(super) const ALL: [Self; 8] = [
        Self::Claim,
        Self::Renew,
        Self::End,
        Self::Read,
        Self::Due,
        Self::Beat,
        Self::Guards,
        Self::Letter,
    ];

    pub(super) fn source(self) -> &'static str {
        match self {
            Self::Claim => concat!(include_str!("prelude.lua"), include_str!("claim.lua")),
            Self::Renew => concat!(include_str!("prelude.lua"), include_str!("renew.lua")),
            Self::End => concat!(include_str!("prelude.lua"), include_str!("end.lua")),
            Self::Read => concat!(include_str!("prelude.lua"), include_str!("read.lua")),
            Self::Due => concat!(include_str!("prelude.lua"), include_str!("due.lua")),
            Self::Beat => concat!(include_str!("prelude.lua"), include_str!("beat.lua")),
            Self::Guards => concat!(include_str!("prelude.lua"), include_str!("guards.lua")),
            Self::Letter => include_str!("letter.lua"),
        }
    }

    /// The command that makes a server know it.
    pub(super) fn load(self) -> Vec<u8> {
        pack(&[b"SCRIPT", b"LOAD", self.source().as_bytes()])
    }

    /// The command that runs it.
    pub(super) fn call(self, keys: &[&[u8]], args: &[&[u8]]) -> Vec<u8> {
        static DIGESTS: OnceLock<[String; Script::ALL.len()]> = OnceLock::new();
        let digests = DIGESTS.get_or_init(|| {
            Self::ALL.map(|script| redis::Script::new(script.source()).get_hash().to_owned())
        });
        let count = keys.len().to_string();
        let mut words: Vec<&[u8]> =
            vec![b"EVALSHA", digests[self as usize].as_bytes(), count.as_bytes()];
        words.extend_from_slice(keys);
        words.extend_from_slice(args);
        pack(&words)
    }
}
