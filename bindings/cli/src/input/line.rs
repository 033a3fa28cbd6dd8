//! One line of the input, and how a request is found in it.

use oncegate::{Payload, Request, Scope};
use serde_json::{Map, Value};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::MAX_LINE_BYTES;

/// How the four parts of a request are found; printed by `oncegate storm --help`.
pub(crate) const DERIVATION: &str = "\
Each line of the input is one JSON object. The parts of a request are taken from its fields:
  scope      `scope`, else `tenant`; else, from the payload, `organization.login`,
             `repository.owner.login` or `sender.login`; else the word `input`
  operation  `operation`, else `event`, else `type`; else the word `deliver`
  key        `key`, else `delivery`, else `delivery_id`, else `id`; else `line-` and the
             xxh3-128 digest of the line's canonical JSON (RFC 8785)
  payload    `payload`, of any JSON type; else the whole object
A field that is null counts as absent. The first three are strings or numbers. Empty lines are
passed over.";

/// One request, as a client delivers it.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// The line's number in the file; the first line is 1.
    pub(crate) number: u64,
    /// Whose request it is.
    pub(crate) scope: String,
    /// What is asked for.
    pub(crate) operation: String,
    /// The caller's idempotency key.
    pub(crate) key: String,
    /// The payload as canonical JSON.
    pub(crate) payload: Vec<u8>,
    /// A digest of the payload, by which the ledger knows it again.
    pub(crate) digest: u64,
}

impl Line {
    /// Finds the request in a line.
    ///
    /// # Errors
    /// [`LineError`] when the line is no JSON object, a field has the wrong type, or the engine
    /// refuses one of the parts.
    pub(crate) fn parse(number: u64, text: &[u8]) -> Result<Self, LineError> {
        let value = serde_json::from_slice(text).map_err(|e| LineError::NotJson(e.column()))?;
        let Value::Object(fields) = &value else {
            return Err(LineError::NotObject(kind(&value)));
        };
        let payload = present(fields, "payload").unwrap_or(&value);
        let scope = match first(fields, &["scope", "tenant"])? {
            Some(scope) => scope,
            None => owner(payload).unwrap_or("input").to_owned(),
        };
        let operation = first(fields, &["operation", "event", "type"])?;
        let operation = operation.unwrap_or_else(|| "deliver".to_owned());
        let key = match first(fields, &["key", "delivery", "delivery_id", "id"])? {
            Some(key) => key,
            None => format!("line-{:032x}", xxh3_128(&canonical(&value)?)),
        };
        Request::new(Scope::new(&scope)?, operation.as_str(), key.as_str())?;
        let payload = canonical(payload)?;
        Payload::json(&payload).check()?;
        let digest = xxh3_64(&payload);
        Ok(Self { number, scope, operation, key, payload, digest })
    }
}

/// Why a line is no request. Names fields and kinds, never their values.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LineError {
    /// Not JSON, from this column on.
    #[error("not valid JSON at column {0}")]
    NotJson(usize),
    /// JSON, but not an object.
    #[error("found {0}; expected a JSON object")]
    NotObject(&'static str),
    /// A field that is read as text holds something else.
    #[error("{field}: found {found}; expected a string or a number")]
    FieldType {
        /// The field of the line.
        field: &'static str,
        /// The kind of value that it holds.
        found: &'static str,
    },
    /// Longer than the limit.
    #[error("longer than {MAX_LINE_BYTES} bytes; limit: that many")]
    TooLong,
    /// The content has no canonical form.
    #[error("the content has no canonical JSON form")]
    NotCanonical,
    /// The engine refuses the scope, the operation, the key or the payload.
    #[error(transparent)]
    Refused(#[from] oncegate::Error),
}

/// The first of the fields that is present, as text.
fn first(fields: &Map<String, Value>, names: &[&'static str]) -> Result<Option<String>, LineError> {
    let found = names.iter().find_map(|&name| Some((name, present(fields, name)?)));
    match found {
        None => Ok(None),
        Some((_, Value::String(text))) => Ok(Some(text.clone())),
        Some((_, Value::Number(number))) => Ok(Some(number.to_string())),
        Some((field, other)) => Err(LineError::FieldType { field, found: kind(other) }),
    }
}

fn present<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    fields.get(name).filter(|value| !value.is_null())
}

/// The account that a webhook payload belongs to.
fn owner(payload: &Value) -> Option<&str> {
    ["/organization/login", "/repository/owner/login", "/sender/login"]
        .iter()
        .find_map(|path| payload.pointer(path)?.as_str())
        .filter(|login| !login.is_empty())
}

fn canonical(value: &Value) -> Result<Vec<u8>, LineError> {
    serde_json_canonicalizer::to_vec(value).map_err(|_| LineError::NotCanonical)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
