//! Payload: what a request carries, in the form in which two of them are compared.
//!
//! A payload is canonicalised and absorbed by a keyed hash. This is what is absorbed, where
//! `part(x)` is the length of x as a little-endian `u64` followed by x, and a count is such a
//! `u64` too:
//!
//! | kind | byte | canonical content |
//! |---|---|---|
//! | none | 0 | nothing |
//! | raw | 1 | the bytes |
//! | JSON | 2 | the document, see `json` |
//! | selected JSON | 3 | count of pointers; each: part(pointer), 1 and the document, or 0 |
//! | form | 4 | count of pairs; each: part(name), part(value) |
//! | multipart | 5 | count of parts; each: see `multipart` |

mod form;
mod json;
mod multipart;
mod pointer;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;

use crate::{Error, ErrorCode};

/// The payload of a request: how its bytes are to be read when two of them are compared.
///
/// A resend is rarely byte-identical. Choose the kind that the handler reads, and what cannot
/// matter to the handler will not matter to the comparison. Nothing is parsed until the payload
/// is digested; the limits below hold then.
///
/// ```
/// use oncegate::Payload;
///
/// let payload = Payload::json(br#"{"amount": 100, "sent_at": "10:31"}"#).excluding(&["/sent_at"]);
/// assert!(payload.check().is_ok());
/// assert!(Payload::json(b"{").check().unwrap_err().is_invalid_input());
/// ```
#[derive(Clone, Copy)]
pub struct Payload<'a> {
    body: Body<'a>,
    excluded: &'a [&'a str],
    included: &'a [&'a str],
}

impl<'a> Payload<'a> {
    /// The largest payload, in bytes (64 MiB). Beyond it, digest a hash of the content.
    ///
    /// ```
    /// # use oncegate::Payload;
    /// assert_eq!(Payload::MAX_BYTES, 67_108_864);
    /// ```
    pub const MAX_BYTES: usize = 64 << 20;

    /// The deepest nesting of JSON arrays and objects.
    ///
    /// ```
    /// # use oncegate::Payload;
    /// assert_eq!(Payload::MAX_JSON_DEPTH, 128);
    /// ```
    pub const MAX_JSON_DEPTH: usize = 128;

    /// The most values in a JSON document: what bounds the memory of its tree.
    ///
    /// ```
    /// # use oncegate::Payload;
    /// assert_eq!(Payload::MAX_JSON_VALUES, 1_000_000);
    /// ```
    pub const MAX_JSON_VALUES: usize = 1_000_000;

    /// The most pairs in a form.
    ///
    /// ```
    /// # use oncegate::Payload;
    /// assert_eq!(Payload::MAX_FORM_PAIRS, 10_000);
    /// ```
    pub const MAX_FORM_PAIRS: usize = 10_000;

    /// The most parts in a multipart body.
    ///
    /// ```
    /// # use oncegate::Payload;
    /// assert_eq!(Payload::MAX_PARTS, 1024);
    /// ```
    pub const MAX_PARTS: usize = 1024;

    /// The most JSON pointers in one list; each may have 1,024 bytes.
    ///
    /// ```
    /// # use oncegate::Payload;
    /// assert_eq!(Payload::MAX_POINTERS, 64);
    /// ```
    pub const MAX_POINTERS: usize = 64;

    /// No payload. All requests without one agree, and differ from those with an empty one.
    ///
    /// ```
    /// # use oncegate::Payload;
    /// assert!(Payload::none().check().is_ok());
    /// ```
    #[must_use]
    pub const fn none() -> Payload<'static> {
        Payload { body: Body::None, excluded: &[], included: &[] }
    }

    /// Bytes that are compared as they are. Never refused but for its size; nothing is allocated.
    ///
    /// ```
    /// # use oncegate::Payload;
    /// assert!(Payload::raw(&[0xff, 0x00]).check().is_ok());
    /// ```
    #[must_use]
    pub const fn raw(bytes: &'a [u8]) -> Payload<'a> {
        Payload { body: Body::Raw(bytes), excluded: &[], included: &[] }
    }

    /// A JSON document, compared in the canonical form of RFC 8785: order of members, white space
    /// and spelling of strings and numbers do not matter.
    ///
    /// Refused are what I-JSON (RFC 7493) leaves undefined: duplicate member names, lone
    /// surrogates, text that is not UTF-8, numbers beyond the range of a double. RFC 8785 rounds
    /// every number to a double; here the digits that rounding would lose are compared as well,
    /// so that `9007199254740993` is not taken for `9007199254740992`.
    ///
    /// ```
    /// # use oncegate::Payload;
    /// assert!(Payload::json(br#"{"a": [1, 2.50]}"#).check().is_ok());
    /// assert!(Payload::json(br#"{"a": 1, "a": 2}"#).check().is_err());
    /// ```
    #[must_use]
    pub const fn json(document: &'a [u8]) -> Payload<'a> {
        Payload { body: Body::Json(document), excluded: &[], included: &[] }
    }

    /// An `application/x-www-form-urlencoded` body, compared as decoded pairs of name and value.
    ///
    /// Pairs are ordered by name; equal names keep their order. `+` and `%20` are both a space,
    /// and a name without `=` has an empty value (URL Standard, section 5.1). Refused is a
    /// percent sign without two hex digits, which servers read differently.
    ///
    /// ```
    /// # use oncegate::Payload;
    /// assert!(Payload::form(b"amount=100&currency=EUR").check().is_ok());
    /// assert!(Payload::form(b"rate=100%").check().is_err());
    /// ```
    #[must_use]
    pub const fn form(body: &'a [u8]) -> Payload<'a> {
        Payload { body: Body::Form(body), excluded: &[], included: &[] }
    }

    /// A multipart body and the `boundary` parameter of its content type, compared part by part:
    /// a boundary that is made anew for each attempt does not matter.
    ///
    /// A part is its `Content-Disposition`, `Content-Type` and `Content-Transfer-Encoding`, with
    /// parameters in any order, and its bytes. Other headers of a part are ignored, as RFC 7578,
    /// section 4.8, asks for. The order of the parts counts (section 5.2): a handler that reads
    /// a stream sees it. Preamble and epilogue are ignored. Lines end with CRLF.
    ///
    /// ```
    /// # use oncegate::Payload;
    /// let body = b"--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b--\r\n";
    /// assert!(Payload::multipart(body, "b").check().is_ok());
    /// ```
    #[must_use]
    pub const fn multipart(body: &'a [u8], boundary: &'a str) -> Payload<'a> {
        Payload { body: Body::Multipart(body, boundary), excluded: &[], included: &[] }
    }

    /// The same JSON payload without the values at these pointers (RFC 6901): time stamps, trace
    /// ids, whatever a client renews for each attempt.
    ///
    /// Positions in arrays are those of the document as it was sent. A pointer to nothing is
    /// fine. An empty list excludes nothing. Whatever is excluded may differ unnoticed.
    ///
    /// ```
    /// # use oncegate::Payload;
    /// let payload = Payload::json(br#"{"amount": 1, "trace": 7}"#);
    /// assert!(payload.excluding(&["/trace", "/absent"]).check().is_ok());
    /// assert!(payload.excluding(&["trace"]).check().is_err());
    /// assert!(Payload::raw(b"x").excluding(&["/trace"]).check().is_err());
    /// ```
    #[must_use]
    pub const fn excluding(mut self, pointers: &'a [&'a str]) -> Payload<'a> {
        self.excluded = pointers;
        self
    }

    /// Only the values at these pointers (RFC 6901) of the same JSON payload count; their order
    /// and repetition in the list do not. A value that is absent differs from every value, `null`
    /// as well. An empty list includes the whole document.
    ///
    /// With [`Payload::excluding`], the excluded values are gone before these are looked up.
    ///
    /// ```
    /// # use oncegate::Payload;
    /// let payload = Payload::json(br#"{"amount": 1, "trace": 7}"#).including(&["/amount"]);
    /// assert!(payload.check().is_ok());
    /// ```
    #[must_use]
    pub const fn including(mut self, pointers: &'a [&'a str]) -> Payload<'a> {
        self.included = pointers;
        self
    }

    /// Whether the payload can be digested: the same checks, without a secret. Costs about as
    /// much as a digest.
    ///
    /// # Errors
    /// `InvalidPayload` with the field `payload`, `payload.boundary` or `payload.pointer`.
    ///
    /// ```
    /// use oncegate::{ErrorCode, Payload};
    ///
    /// let deep = "[".repeat(100_000);
    /// let error = Payload::json(deep.as_bytes()).check().unwrap_err();
    /// assert_eq!(error.code(), ErrorCode::InvalidPayload);
    /// ```
    pub fn check(&self) -> Result<(), Error> {
        self.absorb(&mut Discard, true)
    }

    /// Whether this is [`Payload::none`] without pointers, whose digest is a constant.
    pub(super) const fn is_plain_none(&self) -> bool {
        matches!(self.body, Body::None) && self.excluded.is_empty() && self.included.is_empty()
    }

    /// Absorbs the canonical form. Version 1 of the digest leaves out the byte for the kind.
    pub(super) fn absorb(&self, out: &mut impl Absorb, with_kind: bool) -> Result<(), Error> {
        self.check_shape()?;
        if with_kind {
            out.absorb(&[self.kind_byte()]);
        }
        match self.body {
            Body::None => Ok(()),
            Body::Raw(bytes) => {
                out.absorb(bytes);
                Ok(())
            }
            Body::Json(document) => json::absorb(document, self.excluded, self.included, out),
            Body::Form(body) => form::absorb(body, out),
            Body::Multipart(body, boundary) => multipart::absorb(body, boundary, out),
        }
    }

    fn check_shape(&self) -> Result<(), Error> {
        let length = self.len();
        if length > Self::MAX_BYTES {
            return Err(refused(format!("{length} bytes"), "at most 67108864 bytes"));
        }
        let selects = !self.excluded.is_empty() || !self.included.is_empty();
        if selects && !matches!(self.body, Body::Json(_)) {
            let found = format!("pointers into a payload that is {}", self.kind_name());
            return Err(pointer_refused(found, "JSON payloads only"));
        }
        Ok(())
    }

    const fn len(&self) -> usize {
        match self.body {
            Body::None => 0,
            Body::Raw(b) | Body::Json(b) | Body::Form(b) | Body::Multipart(b, _) => b.len(),
        }
    }

    const fn kind_byte(&self) -> u8 {
        match self.body {
            Body::None => 0,
            Body::Raw(_) => 1,
            Body::Json(_) if self.included.is_empty() => 2,
            Body::Json(_) => 3,
            Body::Form(_) => 4,
            Body::Multipart(..) => 5,
        }
    }

    const fn kind_name(&self) -> &'static str {
        match self.body {
            Body::None => "none",
            Body::Raw(_) => "raw",
            Body::Json(_) => "json",
            Body::Form(_) => "form",
            Body::Multipart(..) => "multipart",
        }
    }
}

impl fmt::Debug for Payload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({}, {} bytes)", self.kind_name(), self.len())
    }
}

#[derive(Clone, Copy)]
enum Body<'a> {
    None,
    Raw(&'a [u8]),
    Json(&'a [u8]),
    Form(&'a [u8]),
    Multipart(&'a [u8], &'a str),
}

/// What takes in a canonical form piece by piece: a keyed hash.
///
/// How the pieces are cut never matters, only the bytes that they add up to.
pub(super) trait Absorb {
    fn absorb(&mut self, bytes: &[u8]);

    fn absorb_count(&mut self, count: usize) {
        self.absorb(&(count as u64).to_le_bytes());
    }

    /// The length first, so that no two sequences of parts run together.
    fn absorb_part(&mut self, part: &[u8]) {
        self.absorb_count(part.len());
        self.absorb(part);
    }
}

/// Takes everything and keeps nothing: for checking alone.
struct Discard;

impl Absorb for Discard {
    fn absorb(&mut self, _: &[u8]) {}
}

fn refused(found: impl Into<Cow<'static, str>>, limit: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorCode::InvalidPayload, "payload", found, limit)
}

fn pointer_refused(found: impl Into<Cow<'static, str>>, limit: &'static str) -> Error {
    Error::new(ErrorCode::InvalidPayload, "payload.pointer", found, limit)
}
