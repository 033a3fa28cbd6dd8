//! Requests and outcomes, as vectors spell them.

use std::time::Duration;

use oncegate::{BeginOptions, Error, OnConflict, Outcome, Payload, Request, Scope};

use crate::fields::{Failure, Fields, choice};
use crate::open::LAPSES;

/// What a request refers to.
pub(crate) struct Parts {
    scope_kind: String,
    scope: Vec<u8>,
    operation: String,
    key_kind: String,
    key: Vec<u8>,
    payload_kind: String,
    payload: Vec<u8>,
    boundary: String,
    excluded: Vec<String>,
    included: Vec<String>,
}

impl Parts {
    pub(crate) fn read(fields: &mut Fields) -> Result<Self, Failure> {
        let or = |text: Option<String>, default: &str| text.unwrap_or_else(|| default.to_owned());
        let scope_kind = or(fields.text("scope_kind")?, "NAMED");
        let scope = fields.bytes("scope")?;
        let default: &[u8] = if scope_kind == "NAMED" { b"acme" } else { b"" };
        Ok(Self {
            scope: scope.unwrap_or_else(|| default.to_vec()),
            scope_kind,
            operation: or(fields.text("operation")?, "POST /charges"),
            key_kind: or(fields.text("key_kind")?, "GIVEN"),
            key: fields.bytes("key")?.unwrap_or_default(),
            payload_kind: or(fields.text("payload_kind")?, "NONE"),
            payload: fields.bytes("payload")?.unwrap_or_default(),
            boundary: fields.text("boundary")?.unwrap_or_default(),
            excluded: fields.texts("excluded")?.unwrap_or_default(),
            included: fields.texts("included")?.unwrap_or_default(),
        })
    }

    /// The JSON pointers, for [`request`](Self::request).
    pub(crate) fn pointers(&self) -> Pointers<'_> {
        let excluded = self.excluded.iter().map(String::as_str).collect();
        Pointers { excluded, included: self.included.iter().map(String::as_str).collect() }
    }

    /// The request, or why the engine takes none such.
    pub(crate) fn request<'a>(
        &'a self,
        pointers: &'a Pointers<'a>,
    ) -> Result<Result<Request<'a>, Error>, Failure> {
        let bytes = &self.payload[..];
        let payload = match &self.payload_kind[..] {
            "NONE" => Payload::none(),
            "RAW" => Payload::raw(bytes),
            "JSON" => Payload::json(bytes),
            "FORM" => Payload::form(bytes),
            "MULTIPART" => Payload::multipart(bytes, &self.boundary),
            other => return Err(format!("payload_kind: there is no {other}")),
        };
        let payload = payload.excluding(&pointers.excluded).including(&pointers.included);
        let scope = match &self.scope_kind[..] {
            "NAMED" => Scope::new(&self.scope),
            "SINGLE_TENANT" => Ok(Scope::single_tenant()),
            "UNAUTHENTICATED" => Ok(Scope::unauthenticated()),
            other => return Err(format!("scope_kind: there is no {other}")),
        };
        Ok(match &self.key_kind[..] {
            "GIVEN" => scope.and_then(|scope| {
                let request = Request::new(scope, &self.operation, &self.key)?;
                Ok(request.payload(payload))
            }),
            "FROM_PAYLOAD" => {
                scope.and_then(|scope| Request::by_payload(scope, &self.operation, payload))
            }
            other => return Err(format!("key_kind: there is no {other}")),
        })
    }
}

/// References to the pointers of a request, in the form in which a payload takes them.
pub(crate) struct Pointers<'a> {
    excluded: Vec<&'a str>,
    included: Vec<&'a str>,
}

/// How a request is begun.
pub(crate) fn begin_options(fields: &mut Fields) -> Result<BeginOptions, Failure> {
    let mut options = BeginOptions::new();
    if let Some(ms) = fields.number("lease_ms")? {
        options = options.lease_duration(Duration::from_millis(ms));
    }
    if let Some(ms) = fields.number("dedup_window_ms")? {
        options = options.dedup_window(Duration::from_millis(ms));
    }
    if let Some(ms) = fields.number("wait_ms")? {
        options = options.on_conflict(OnConflict::Wait(Duration::from_millis(ms)));
    }
    if let Some(lapse) = fields.text("on_lapse")? {
        options = options.on_lapse(choice("on_lapse", &lapse, LAPSES)?);
    }
    if fields.flag("run_due")? == Some(true) {
        options = options.run_due();
    }
    Ok(options)
}

/// The outcome that a step gives: `None` where it says nothing of one, and an error where the
/// engine takes none such.
pub(crate) fn outcome(fields: &mut Fields) -> Result<Option<Result<Outcome, Error>>, Failure> {
    let status = fields.number("outcome_status")?;
    let body = fields.bytes("body")?;
    let withheld = fields.flag("withheld")?.unwrap_or(false);
    let metadata = fields.list("metadata")?;
    if status.is_none() && body.is_none() && metadata.is_none() && !withheld {
        return Ok(None);
    }
    let status = u16::try_from(status.unwrap_or(0)).map_err(|error| error.to_string())?;
    if withheld {
        return Ok(Some(Ok(Outcome::withheld(status))));
    }
    let mut outcome = Ok(Outcome::new(status, body.unwrap_or_default()));
    for pair in metadata.unwrap_or_default() {
        let text = |at: usize| pair.get(at).and_then(serde_json::Value::as_str);
        let (Some(name), Some(value)) = (text(0), text(1)) else {
            return Err(format!("metadata: a name and a value are expected, and not {pair}"));
        };
        outcome = outcome.and_then(|outcome| outcome.with_metadata(name, value));
    }
    Ok(Some(outcome))
}

/// Compares a stored outcome with what is expected.
pub(crate) fn same_outcome(expect: &mut Fields, outcome: &Outcome) -> Result<(), Failure> {
    expect.same("outcome_status", outcome.status())?;
    if let Some(body) = expect.bytes("body")?
        && body != outcome.body()
    {
        let found = crate::fields::to_hex(outcome.body());
        return Err(format!("body: expected {}, found {found}", crate::fields::to_hex(&body)));
    }
    let pairs: Vec<[&str; 2]> = outcome.metadata().map(|(name, value)| [name, value]).collect();
    expect.same("metadata", serde_json::json!(pairs))
}
