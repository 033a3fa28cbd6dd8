//! One line of the input, and how a request is found in it.

use oncegate::{Payload, Request, Scope};
use serde_json::value::RawValue;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::MAX_LINE_BYTES;
use super::json::{self, Kind, Members};

/// How the four parts of a request are found; printed by `oncegate storm --help`.
pub(crate) const DERIVATION: &str = "\
Each line of the input is one JSON object. The parts of a request are taken from its fields:
  scope      `scope`, else `tenant`; else, from the payload, `organization.login`,
             `repository.owner.login` or `sender.login`; else the word `input`
  operation  `operation`, else `event`, else `type`; else the word `deliver`
  key        `key`, else `delivery`, else `delivery_id`, else `id`; else `line-` and the
             xxh3-128 digest of the line's canonical JSON (RFC 8785, numbers unrounded)
  payload    `payload`, of any JSON type; else the whole object
A field that is null counts as absent. The first three are strings, or numbers, which are taken
as they are written. The payload goes to the engine as it is written, and the engine decides which
payloads are the same. A line that names a field twice is broken; so is one whose payload the
engine refuses, such as one with a member twice. Empty lines are passed over.";

/// One request, as a client delivers it.
#[derive(Clone, Debug)]
pub struct Line {
    /// The line's number in the file; the first line is 1.
    pub number: u64,
    /// Whose request it is.
    pub scope: String,
    /// What is asked for.
    pub operation: String,
    /// The caller's idempotency key.
    pub key: String,
    /// The payload as JSON, as it is written in the line.
    pub payload: String,
    /// A digest of the written payload, by which the ledger knows it again.
    pub digest: u64,
}

impl Line {
    /// Finds the request in a line.
    ///
    /// # Errors
    /// [`LineError`] when the line is no JSON object, a field is there twice or has the wrong
    /// type, or the engine refuses one of the parts.
    pub(crate) fn parse(number: u64, text: &[u8]) -> Result<Self, LineError> {
        let line = json::read(text).map_err(|e| LineError::NotJson(e.column()))?;
        let fields = fields(line)?;
        let payload = present(&fields, PAYLOAD[0]).unwrap_or(line);
        let scope = match first(&fields, SCOPE)? {
            Some(scope) => scope,
            None => owner(payload).unwrap_or_else(|| "input".to_owned()),
        };
        let operation = first(&fields, OPERATION)?;
        let operation = operation.unwrap_or_else(|| "deliver".to_owned());
        let key = first(&fields, KEY)?;
        Payload::json(payload.get().as_bytes()).check()?;
        let key = key.map_or_else(|| derived_key(line), Ok)?;
        Request::new(Scope::new(&scope)?, operation.as_str(), key.as_str())?;
        let payload = payload.get().to_owned();
        let digest = xxh3_64(payload.as_bytes());
        Ok(Self { number, scope, operation, key, payload, digest })
    }

    /// The request as the engine sees it. Cheap: it borrows the line.
    ///
    /// # Errors
    /// None for a line that was parsed; the engine's type can express one.
    pub fn request(&self) -> Result<Request<'_>, oncegate::Error> {
        let scope = Scope::new(&self.scope)?;
        let request = Request::new(scope, self.operation.as_str(), self.key.as_str())?;
        Ok(request.payload(Payload::json(self.payload.as_bytes())))
    }
}

/// Why a line is no request. Names fields and kinds, never their values.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// Not JSON, from this column on.
    #[error("not valid JSON at column {0}")]
    NotJson(usize),
    /// JSON, but not an object.
    #[error("found {0}; expected a JSON object")]
    NotObject(&'static str),
    /// Two members of the line have one name.
    #[error("{0}: found twice; limit: once in a line")]
    Twice(&'static str),
    /// A field that is read as text holds something else.
    #[error("{field}: found {found}; expected a string or a number")]
    FieldType {
        /// The field of the line.
        field: &'static str,
        /// The kind of value that it holds.
        found: &'static str,
    },
    /// A string holds half of a surrogate pair.
    #[error("{0}: found a lone surrogate; expected Unicode text")]
    NotText(&'static str),
    /// Longer than the limit.
    #[error("longer than {MAX_LINE_BYTES} bytes; limit: that many")]
    TooLong,
    /// The engine would refuse the whole line as a payload, so that no key can be made of it.
    #[error("no key, and none can be made of the whole line: {0}")]
    NoKey(#[source] oncegate::Error),
    /// The content has no canonical form.
    #[error("no key, and the line has no canonical JSON form to make one of")]
    NotCanonical,
    /// The engine refuses the scope, the operation, the key or the payload.
    #[error(transparent)]
    Refused(#[from] oncegate::Error),
}

/// The members of a line, each of them once.
fn fields(line: &RawValue) -> Result<Members<'_>, LineError> {
    match Kind::of(line) {
        Kind::Object => {}
        other => return Err(LineError::NotObject(other.name())),
    }
    let fields = Members::of(line).ok_or(LineError::NotText("the name of a member"))?;
    match fields.duplicate() {
        None => Ok(fields),
        // The names that are read here may be told; any other one is content.
        Some(name) => {
            let mut known = [SCOPE, OPERATION, KEY, PAYLOAD].into_iter().flatten();
            Err(LineError::Twice(known.find(|field| **field == name).unwrap_or(&"a member")))
        }
    }
}

/// The first of the fields that is present, as text.
fn first(fields: &Members<'_>, names: &[&'static str]) -> Result<Option<String>, LineError> {
    let found = names.iter().find_map(|&name| Some((name, present(fields, name)?)));
    let Some((field, value)) = found else { return Ok(None) };
    match Kind::of(value) {
        Kind::String => json::text(value).map(Some).ok_or(LineError::NotText(field)),
        Kind::Number => Ok(Some(value.get().to_owned())),
        other => Err(LineError::FieldType { field, found: other.name() }),
    }
}

fn present<'a>(fields: &Members<'a>, name: &str) -> Option<&'a RawValue> {
    fields.get(name).filter(|value| Kind::of(value) != Kind::Null)
}

/// The account that a webhook payload belongs to.
fn owner(payload: &RawValue) -> Option<String> {
    let paths: [&[&str]; 3] =
        [&["organization", "login"], &["repository", "owner", "login"], &["sender", "login"]];
    let find = |path: &[&str]| {
        let value = path.iter().try_fold(payload, |value, name| Members::of(value)?.get(name))?;
        json::text(value)
    };
    paths.into_iter().find_map(find).filter(|login| !login.is_empty())
}

/// A key that lines share when they have the same content, and no others have.
fn derived_key(line: &RawValue) -> Result<String, LineError> {
    Payload::json(line.get().as_bytes()).check().map_err(LineError::NoKey)?;
    let canonical = json::canonical(line).ok_or(LineError::NotCanonical)?;
    Ok(format!("line-{:032x}", xxh3_128(&canonical)))
}

/// Where each part is taken from; the first field that is present counts.
const SCOPE: &[&str] = &["scope", "tenant"];
const OPERATION: &[&str] = &["operation", "event", "type"];
const KEY: &[&str] = &["key", "delivery", "delivery_id", "id"];
const PAYLOAD: &[&str] = &["payload"];
