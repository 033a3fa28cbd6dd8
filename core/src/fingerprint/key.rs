//! Key rules: which idempotency keys a service accepts.

use std::borrow::Cow;

use super::predictable;
use crate::sync::planted::Bug;
use crate::{Error, ErrorCode, Request};

/// The rules that a client's idempotency key has to meet.
///
/// The rules are checked before anything is looked up, so that a refused key says nothing about
/// records. Keys stay opaque: nothing is trimmed or folded, and `A` is not `a`. A service should
/// publish its rules, as draft-ietf-httpapi-idempotency-key-header asks for.
///
/// ```
/// use oncegate::{ErrorCode, KeyRules};
///
/// let rules = KeyRules::any().min_len(16).refuse_predictable();
/// assert!(rules.check(b"8e03978e-40d5-43dd-bc93-6894a57f9324").is_ok());
/// let error = rules.check(b"000000000000000000001042").unwrap_err();
/// assert_eq!(error.code(), ErrorCode::InvalidKey);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyRules {
    min_len: usize,
    max_len: usize,
    uuid: bool,
    charset: Option<KeyCharset>,
    refuse_predictable: bool,
}

impl KeyRules {
    /// Any key of 1 to 255 bytes: the default.
    ///
    /// ```
    /// use oncegate::KeyRules;
    ///
    /// assert!(KeyRules::any().check(&[0]).is_ok());
    /// assert!(KeyRules::any().check(&[0; 256]).is_err());
    /// ```
    #[must_use]
    pub const fn any() -> Self {
        Self {
            min_len: 1,
            max_len: Request::MAX_KEY_BYTES,
            uuid: false,
            charset: None,
            refuse_predictable: false,
        }
    }

    /// The shortest key, in bytes.
    ///
    /// ```
    /// # use oncegate::KeyRules;
    /// assert!(KeyRules::any().min_len(8).check(b"short").is_err());
    /// ```
    #[must_use]
    pub const fn min_len(mut self, bytes: usize) -> Self {
        self.min_len = bytes;
        self
    }

    /// The longest key, in bytes; never more than 255.
    ///
    /// ```
    /// # use oncegate::KeyRules;
    /// assert!(KeyRules::any().max_len(8).check(b"much too long").is_err());
    /// ```
    #[must_use]
    pub const fn max_len(mut self, bytes: usize) -> Self {
        self.max_len = bytes;
        self
    }

    /// Only UUIDs in their text form of 36 characters, of the variant and one of the versions 1
    /// to 8 of RFC 9562, in either case. The nil and max UUIDs name nothing and are refused.
    ///
    /// ```
    /// # use oncegate::KeyRules;
    /// let rules = KeyRules::any().uuid();
    /// assert!(rules.check(b"8e03978e-40d5-43dd-bc93-6894a57f9324").is_ok());
    /// assert!(rules.check(b"8e03978e40d543ddbc936894a57f9324").is_err());
    /// ```
    #[must_use]
    pub const fn uuid(mut self) -> Self {
        self.uuid = true;
        self
    }

    /// Only keys of these characters.
    ///
    /// ```
    /// # use oncegate::{KeyCharset, KeyRules};
    /// assert!(KeyRules::any().charset(KeyCharset::Hex).check(b"c0ffee").is_ok());
    /// ```
    #[must_use]
    pub const fn charset(mut self, charset: KeyCharset) -> Self {
        self.charset = Some(charset);
        self
    }

    /// Refuses keys that another client could guess or hit upon by accident.
    ///
    /// A guessed key is answered with somebody's outcome, and a repeated one suppresses a request
    /// that was never made before. The rules, in this order; the first that applies is named:
    ///
    /// 1. **UUID**: as 36 characters, alone or between other text that does not run into it
    ///    (`order-…`, `{…}`, `urn:uuid:…`), or as 32 digits, alone, in braces or after
    ///    `urn:uuid:`. Version 4 (random) is accepted, and version 7 for its 74 random bits,
    ///    unless three in five of the random digits are the same one, fewer than 7 digits are
    ///    different, or rule 4 applies: a counter in the coat of a UUID. Refused are versions 1, 2
    ///    and 6 (clock and network card), 3 and 5 (computed from a name) and 8 (nothing is known
    ///    about it): RFC 9562, sections 5 and 6.9. 32 digits alone are never taken for one of
    ///    these. A key with a UUID in it meets no other rule.
    /// 2. **Counter, time stamp, date**: digits only, of any length; 10, 13, 16 or 19 of them
    ///    that start with 1 or 2 are called a time stamp (seconds to nanoseconds since 1970). Or
    ///    nothing but digits, `T`, `Z`, spaces and `- : . , / + _`.
    /// 3. **Words and numbers**: every character that is no letter and no digit separates
    ///    sections, and all sections are plain: a number, a time as `20261123T100000Z`, a word of
    ///    fewer than 16 letters in lower, upper or title case, up to 12 such letters with a number
    ///    behind them, one letter behind a number, or up to 12 behind 8 digits and more, or three
    ///    such pieces with at least 8 digits and at most 8 letters. `order-1042`,
    ///    `payment0000001042`, `größe-1042`, `user1042@example.com`, `correct-horse-battery`,
    ///    `Mon, 23 Nov 2026 10:00:00 GMT`. Where other separators than `- _ . : / ,` and spaces
    ///    occur, what the sections hold beyond their first characters has to be half of the key.
    ///    Sections of letters and digits that are all hexadecimal are not plain.
    /// 4. **Low variety**: fewer than 5 different bytes, one block repeated, three in four
    ///    neighbours one apart (or equal), as in `abcdefgh12345678`, or 8 equal bytes in a row.
    /// 5. **Too short**: length × log2(alphabet) is below 64 bits, where the length is in
    ///    characters and the alphabet is made of the classes that occur: 10 digits, 16 hex digits
    ///    of one case or 22 of both, 26 letters of each case, 33 others. A letter beyond ASCII
    ///    counts as one of 26. Only where a key is not UTF-8 do its bytes count, as 256.
    ///
    /// A key that passes is not proven random; the rules catch how predictable keys are made in
    /// practice. **Not caught** are, among others: a hash of something guessable; a UUID of
    /// version 1 to 3, 5, 6 or 8 as 32 digits alone; identifiers that hide a clock and a counter
    /// among hex digits, such as those of MongoDB; words of 16 letters and more, or in
    /// `camelCase`; numbers joined to the letters `a` to `f`; a guessable text beside a random
    /// UUID that is always the same.
    ///
    /// Random keys are refused by accident less than once in 10⁷ as UUIDs, ULIDs, 25 digits of
    /// base36 or 16 raw bytes; four times in 10⁷ as 32 hex digits, mostly when all are below 10;
    /// about once in 10⁶ as base64 of 128 bits; and three times in 10⁶ as nanoid of 21 characters.
    /// Short keys are nearer to what people write: 16 hex digits are refused once in 1,800, 16
    /// digits of base36 once in 4,000, 16 printable characters of all kinds once in 1,000, and 25
    /// capital letters and digits in groups of five once in 300.
    ///
    /// ```
    /// # use oncegate::KeyRules;
    /// let rules = KeyRules::any().refuse_predictable();
    /// for key in ["1042", "1764028800", "2026-11-23T10:00:00Z", "checkout", "order-1042"] {
    ///     assert!(rules.check(key.as_bytes()).is_err());
    /// }
    /// assert!(rules.check(b"00000000-0000-4000-8000-000000001042").is_err());
    /// assert!(rules.check(b"V1StGXR8_Z5jdHi6B-myT").is_ok());
    /// ```
    #[must_use]
    pub const fn refuse_predictable(mut self) -> Self {
        self.refuse_predictable = true;
        self
    }

    /// Whether a key meets the rules. Costs nanoseconds to a microsecond; allocates only for a
    /// refusal.
    ///
    /// # Errors
    /// `InvalidKey`, naming the rule and the class of what was found, never the key.
    ///
    /// ```
    /// # use oncegate::KeyRules;
    /// let error = KeyRules::any().min_len(16).check(b"hunter2").unwrap_err();
    /// assert_eq!(error.field(), "key");
    /// assert!(!error.to_string().contains("hunter2"));
    /// ```
    pub fn check(&self, key: &[u8]) -> Result<(), Error> {
        let (min, max) = (self.min_len.max(1), self.max_len.min(Request::MAX_KEY_BYTES));
        if !(min..=max).contains(&key.len()) {
            let found = format!("{} bytes", key.len());
            return Err(refused(found, format!("{min} to {max} bytes")));
        }
        if self.uuid && !matches!(uuid_version(key), Some(1..=8)) {
            return Err(refused("no UUID", "a UUID of RFC 9562, as 36 characters"));
        }
        if let Some(charset) = self.charset
            && !key.iter().all(|&byte| charset.contains(byte))
        {
            return Err(refused("another character", charset.limit()));
        }
        let refuses = self.refuse_predictable && !Bug::PredictableAccepted.is_planted();
        if refuses { predictable::check(key) } else { Ok(()) }
    }

    /// Whether there is a key that meets these rules; checked when an engine is built.
    ///
    /// # Errors
    /// `InvalidConfig` (field `key_rules`) when every key would be refused.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        let (min, max) = (self.min_len, self.max_len);
        let refuse = |found: String, limit: &'static str| {
            Err(Error::new(ErrorCode::InvalidConfig, "key_rules", found, limit))
        };
        if min == 0 || min > max || max > Request::MAX_KEY_BYTES {
            return refuse(format!("{min} to {max} bytes"), "a range within 1 to 255 bytes");
        }
        if self.uuid && !(min..=max).contains(&UUID_BYTES) {
            return refuse(format!("UUIDs of {min} to {max} bytes"), "36 bytes for a UUID");
        }
        if self.uuid && self.charset == Some(KeyCharset::Hex) {
            return refuse("UUIDs of hex digits".to_owned(), "hyphens for a UUID");
        }
        let alphabet = self.charset.map_or(predictable::ANY_BYTES, KeyCharset::alphabet);
        if self.refuse_predictable && !predictable::holds_enough(max, alphabet) {
            let limit = "room for the 64 bits of a key that is not predictable";
            return refuse(format!("at most {max} of {alphabet} characters"), limit);
        }
        Ok(())
    }
}

impl Default for KeyRules {
    fn default() -> Self {
        Self::any()
    }
}

/// The characters that a key may be made of.
///
/// ```
/// use oncegate::{KeyCharset, KeyRules};
///
/// let rules = KeyRules::any().charset(KeyCharset::AlphanumericDashUnderscore);
/// assert!(rules.check(b"V1StGXR8_Z5jdHi6B-myT").is_ok());
/// assert!(rules.check(b"with space").is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyCharset {
    /// Visible ASCII, `!` to `~`: no spaces, no control characters.
    Visible,
    /// ASCII letters, digits, `-` and `_`: base64url, UUIDs, most id generators.
    AlphanumericDashUnderscore,
    /// Hexadecimal digits of either case.
    Hex,
}

impl KeyCharset {
    fn contains(self, byte: u8) -> bool {
        match self {
            KeyCharset::Visible => byte.is_ascii_graphic(),
            KeyCharset::AlphanumericDashUnderscore => {
                byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
            }
            KeyCharset::Hex => byte.is_ascii_hexdigit(),
        }
    }

    /// How many characters a key of this kind counts as drawn from, at most.
    const fn alphabet(self) -> u32 {
        match self {
            KeyCharset::Visible | KeyCharset::AlphanumericDashUnderscore => predictable::PRINTABLE,
            KeyCharset::Hex => predictable::HEX_OF_BOTH_CASES,
        }
    }

    const fn limit(self) -> &'static str {
        match self {
            KeyCharset::Visible => "visible ASCII characters",
            KeyCharset::AlphanumericDashUnderscore => "ASCII letters, digits, '-' and '_'",
            KeyCharset::Hex => "hexadecimal digits",
        }
    }
}

/// The version digit of a UUID in text form; `None` for every other text and variant.
pub(super) fn uuid_version(key: &[u8]) -> Option<u8> {
    if key.len() != UUID_BYTES {
        return None;
    }
    let well_formed = key.iter().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    });
    // RFC 9562, section 4.1: the variant's two bits are 1 and 0.
    let variant = matches!(key[19], b'8' | b'9' | b'a' | b'b' | b'A' | b'B');
    let version = key[14].wrapping_sub(b'0');
    (well_formed && variant && version <= 9).then_some(version)
}

pub(super) fn refused(
    found: impl Into<Cow<'static, str>>,
    limit: impl Into<Cow<'static, str>>,
) -> Error {
    Error::new(ErrorCode::InvalidKey, "key", found, limit)
}

const UUID_BYTES: usize = 36;
