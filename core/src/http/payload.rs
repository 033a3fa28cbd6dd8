//! How the body of a request is read when two of them are compared.

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};

use crate::Payload;

/// The kind of payload that the headers announce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PayloadKind {
    Raw,
    Json,
    Form,
    /// With its boundary.
    Multipart(String),
}

impl PayloadKind {
    /// What is encoded, unknown, or announced twice is compared byte by byte.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut types = headers.get_all(CONTENT_TYPE).iter();
        let (Some(only), None) = (types.next(), types.next()) else {
            return Self::Raw;
        };
        let Ok(text) = only.to_str() else {
            return Self::Raw;
        };
        if headers.contains_key(CONTENT_ENCODING) {
            return Self::Raw;
        }
        let (essence, parameters) = text.split_once(';').unwrap_or((text, ""));
        let essence = essence.trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/json" | "text/json" => Self::Json,
            "application/x-www-form-urlencoded" => Self::Form,
            "multipart/form-data" => boundary(parameters).map_or(Self::Raw, Self::Multipart),
            _ if essence.ends_with("+json") => Self::Json,
            _ => Self::Raw,
        }
    }

    /// An empty body is no payload, whatever its type: clients set a type for all requests.
    pub(super) fn payload<'a>(&'a self, bytes: &'a [u8]) -> Payload<'a> {
        match self {
            _ if bytes.is_empty() => Payload::none(),
            Self::Raw => Payload::raw(bytes),
            Self::Json => Payload::json(bytes),
            Self::Form => Payload::form(bytes),
            Self::Multipart(boundary) => Payload::multipart(bytes, boundary),
        }
    }
}

/// The parameter `boundary`. Its characters need no escapes (RFC 2046, section 5.1.1).
fn boundary(parameters: &str) -> Option<String> {
    let mut rest = parameters;
    loop {
        let (name, after) = rest.split_once('=')?;
        let name = name.trim_start_matches([';', ' ', '\t']).trim_end();
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_once(';').unwrap_or((after, "")),
        };
        if name.eq_ignore_ascii_case("boundary") {
            return Some(value.trim_end().to_owned()).filter(|value| !value.is_empty());
        }
        rest = next;
    }
}
