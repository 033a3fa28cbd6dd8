//! Requests: scope, operation, key and payload, as the caller has them in memory.

use oncegate::{Payload, Scope};

use crate::convert::no_choice;
use crate::raw::{Bytes, Growing, GrownElements, Plain, elements, grown};
use crate::status::{ONCEGATE_BAD_SIZE, Refusal};

/// The scope has a name: a tenant, an account.
pub const ONCEGATE_SCOPE_NAMED: u32 = 0;
/// There is one tenant, and that is meant so.
pub const ONCEGATE_SCOPE_SINGLE_TENANT: u32 = 1;
/// Nobody is known to stand behind the request; it has a quota of its own.
pub const ONCEGATE_SCOPE_UNAUTHENTICATED: u32 = 2;

/// The key is given.
pub const ONCEGATE_KEY_GIVEN: u32 = 0;
/// The payload stands in for a key: requests that are alike are the same.
pub const ONCEGATE_KEY_FROM_PAYLOAD: u32 = 1;

/// No payload: duplicates are not compared.
pub const ONCEGATE_PAYLOAD_NONE: u32 = 0;
/// Bytes that are compared as they are.
pub const ONCEGATE_PAYLOAD_RAW: u32 = 1;
/// A JSON document, compared by its canonical form (RFC 8785).
pub const ONCEGATE_PAYLOAD_JSON: u32 = 2;
/// A form (`application/x-www-form-urlencoded`), compared by its pairs.
pub const ONCEGATE_PAYLOAD_FORM: u32 = 3;
/// A form of parts (`multipart/form-data`), compared without its boundary.
pub const ONCEGATE_PAYLOAD_MULTIPART: u32 = 4;

/// A request, by references into the caller's memory, which are followed during the call alone.
///
/// Zeros are refused: a scope has to be named, or to be said to be none.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct RawRequest {
    /// `sizeof(oncegate_request)`.
    pub struct_size: usize,
    /// One of `ONCEGATE_SCOPE_…`.
    pub scope_kind: u32,
    /// One of `ONCEGATE_KEY_…`.
    pub key_kind: u32,
    /// One of `ONCEGATE_PAYLOAD_…`.
    pub payload_kind: u32,
    /// Zero.
    pub reserved: u32,
    /// 1 to 255 bytes; none unless the scope is named.
    pub scope: Bytes,
    /// What is asked for, in UTF-8, 1 to 1,024 bytes: `POST /charges`.
    pub operation: Bytes,
    /// 1 to 255 bytes; none where the payload stands in for it.
    pub key: Bytes,
    /// At most 64 MiB.
    pub payload: Bytes,
    /// The boundary of a form of parts, in UTF-8.
    pub boundary: Bytes,
    /// JSON pointers (RFC 6901), in UTF-8, to values that may differ between attempts.
    pub excluded: *const Bytes,
    /// How many; with those below at most 64.
    pub excluded_count: usize,
    /// JSON pointers to the values that count; none: all do.
    pub included: *const Bytes,
    /// How many.
    pub included_count: usize,
}

// SAFETY: `repr(C)`, numbers and pointers.
unsafe impl Plain for RawRequest {}
// SAFETY: the first field is the size.
unsafe impl Growing for RawRequest {
    /// Up to and with the key.
    const LEAST: usize = 72;
}

/// What a request refers to, looked at.
pub(crate) struct Parts<'a> {
    scope_kind: u32,
    scope: &'a [u8],
    operation: &'a str,
    key: Option<&'a [u8]>,
    payload_kind: u32,
    payload: &'a [u8],
    boundary: &'a str,
    /// Apart, since few requests have any.
    pointers: Option<Box<Pointers<'a>>>,
}

/// The JSON pointers of a request.
struct Pointers<'a> {
    excluded: Vec<&'a str>,
    included: Vec<&'a str>,
}

/// A request in memory of its own.
pub(crate) struct Copied {
    scope_kind: u32,
    scope: Vec<u8>,
    operation: String,
    key: Option<Vec<u8>>,
    payload_kind: u32,
    payload: Vec<u8>,
    boundary: String,
    excluded: Vec<String>,
    included: Vec<String>,
}

/// Looks at a request.
///
/// # Safety
///
/// `at` is `NULL`, or a request whose references are the caller's for reading during the call.
pub(crate) unsafe fn parts<'a>(
    field: &'static str,
    at: *const RawRequest,
) -> Result<Parts<'a>, Refusal> {
    // SAFETY: the same contract.
    unsafe { Parts::new(&grown(field, at)?) }
}

/// Looks at how large an array of requests is, and of what size they are.
///
/// # Safety
///
/// As for [`parts`], for `count` of them, until the call is over.
pub(crate) unsafe fn all_requests(
    field: &'static str,
    at: *const RawRequest,
    count: usize,
) -> Result<Requests, Refusal> {
    check_batch(field, count)?;
    // SAFETY: the same contract.
    Ok(Requests(unsafe { GrownElements::new(field, at, count) }?))
}

/// Refuses more requests than a batch may hold.
pub(crate) fn check_batch(field: &'static str, count: usize) -> Result<(), Refusal> {
    if count > MAX_BATCH {
        let detail = format!("found {count}; limit: {MAX_BATCH}");
        return Err(Refusal::new(ONCEGATE_BAD_SIZE, field, detail));
    }
    Ok(())
}

/// The requests of a batch.
pub(crate) struct Requests(GrownElements<RawRequest>);

impl Requests {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Looks at one of them.
    pub(crate) fn parts<'a>(&'a self, index: usize) -> Result<Parts<'a>, Refusal> {
        // SAFETY: the contract of `all_requests`: it lasts as long as the call.
        unsafe { Parts::new(&self.0.get(index)) }
    }
}

/// The scope of a kind and a name.
///
/// # Safety
///
/// The name is the caller's for reading during the call.
#[inline(always)]
pub(crate) unsafe fn scope<'a>(kind: u32, name: Bytes) -> Result<Scope<'a>, Refusal> {
    // SAFETY: the same contract.
    scope_of(kind, unsafe { name.get("scope") }?)
}

#[inline(always)]
fn scope_of(kind: u32, name: &[u8]) -> Result<Scope<'_>, Refusal> {
    match kind {
        ONCEGATE_SCOPE_SINGLE_TENANT if name.is_empty() => Ok(Scope::single_tenant()),
        ONCEGATE_SCOPE_UNAUTHENTICATED if name.is_empty() => Ok(Scope::unauthenticated()),
        ONCEGATE_SCOPE_NAMED => Ok(Scope::new(name)?),
        other => Err(no_scope(other, name)),
    }
}

#[cold]
fn no_scope(kind: u32, name: &[u8]) -> Refusal {
    if kind > ONCEGATE_SCOPE_UNAUTHENTICATED {
        return no_choice("scope_kind", kind, ONCEGATE_SCOPE_UNAUTHENTICATED);
    }
    let detail = format!("found {} bytes; limit: none for this kind", name.len());
    Refusal::new(ONCEGATE_BAD_SIZE, "scope", detail)
}

impl<'a> Parts<'a> {
    /// # Safety
    ///
    /// The references of `raw` are the caller's for reading during the call.
    #[inline]
    unsafe fn new(raw: &RawRequest) -> Result<Self, Refusal> {
        let RawRequest { scope_kind, key_kind, payload_kind, .. } = *raw;
        // SAFETY: the same contract.
        let scope = unsafe { raw.scope.get("scope") }?;
        scope_of(scope_kind, scope)?;
        // SAFETY: the same contract.
        let operation = unsafe { raw.operation.text("operation") }?;
        // SAFETY: the same contract.
        let key = unsafe { raw.key.get("key") }?;
        let key = match key_kind {
            ONCEGATE_KEY_GIVEN => Some(key),
            ONCEGATE_KEY_FROM_PAYLOAD if key.is_empty() => None,
            ONCEGATE_KEY_FROM_PAYLOAD => {
                let detail = format!("found {} bytes; limit: none for this kind", key.len());
                return Err(Refusal::new(ONCEGATE_BAD_SIZE, "key", detail));
            }
            other => return Err(no_choice("key_kind", other, ONCEGATE_KEY_FROM_PAYLOAD)),
        };
        if payload_kind > ONCEGATE_PAYLOAD_MULTIPART {
            return Err(no_choice("payload_kind", payload_kind, ONCEGATE_PAYLOAD_MULTIPART));
        }
        if raw.reserved != 0 {
            return Err(no_choice("reserved", raw.reserved, 0));
        }
        // SAFETY: the same contract.
        let payload = unsafe { raw.payload.get("payload") }?;
        // SAFETY: the same contract.
        let boundary = unsafe { raw.boundary.text("boundary") }?;
        let pointers = match (raw.excluded_count, raw.included_count) {
            (0, 0) => None,
            // SAFETY: the same contract.
            _ => Some(unsafe { Pointers::new(raw) }?),
        };
        Ok(Self { scope_kind, scope, operation, key, payload_kind, payload, boundary, pointers })
    }

    /// The request itself.
    #[inline]
    pub(crate) fn request(&self) -> Result<oncegate::Request<'_>, Refusal> {
        let payload = match self.payload_kind {
            ONCEGATE_PAYLOAD_NONE => Payload::none(),
            ONCEGATE_PAYLOAD_RAW => Payload::raw(self.payload),
            ONCEGATE_PAYLOAD_JSON => Payload::json(self.payload),
            ONCEGATE_PAYLOAD_FORM => Payload::form(self.payload),
            _ => Payload::multipart(self.payload, self.boundary),
        };
        let payload = match &self.pointers {
            None => payload,
            Some(all) => payload.excluding(&all.excluded).including(&all.included),
        };
        let scope = scope_of(self.scope_kind, self.scope)?;
        Ok(match self.key {
            Some(key) => oncegate::Request::new(scope, self.operation, key)?.payload(payload),
            None => oncegate::Request::by_payload(scope, self.operation, payload)?,
        })
    }

    /// The same in memory of its own, for what outlasts the call.
    pub(crate) fn copied(&self) -> Copied {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let (excluded, included) = match &self.pointers {
            None => (Vec::new(), Vec::new()),
            Some(all) => (texts(&all.excluded), texts(&all.included)),
        };
        Copied {
            scope_kind: self.scope_kind,
            scope: self.scope.to_vec(),
            operation: self.operation.to_owned(),
            key: self.key.map(<[u8]>::to_vec),
            payload_kind: self.payload_kind,
            payload: self.payload.to_vec(),
            boundary: self.boundary.to_owned(),
            excluded,
            included,
        }
    }
}

impl<'a> Pointers<'a> {
    /// # Safety
    ///
    /// The references of `raw` are the caller's for reading during the call.
    #[cold]
    unsafe fn new(raw: &RawRequest) -> Result<Box<Self>, Refusal> {
        // SAFETY: the same contract.
        let excluded = unsafe { pointers("excluded", raw.excluded, raw.excluded_count) }?;
        // SAFETY: the same contract.
        let included = unsafe { pointers("included", raw.included, raw.included_count) }?;
        Ok(Box::new(Self { excluded, included }))
    }
}

impl Copied {
    /// What was copied.
    pub(crate) fn parts(&self) -> Parts<'_> {
        Parts {
            scope_kind: self.scope_kind,
            scope: &self.scope,
            operation: &self.operation,
            key: self.key.as_deref(),
            payload_kind: self.payload_kind,
            payload: &self.payload,
            boundary: &self.boundary,
            pointers: (!self.excluded.is_empty() || !self.included.is_empty()).then(|| {
                Box::new(Pointers {
                    excluded: self.excluded.iter().map(String::as_str).collect(),
                    included: self.included.iter().map(String::as_str).collect(),
                })
            }),
        }
    }
}

/// # Safety
///
/// `count` texts at `at` are the caller's for reading during the call.
unsafe fn pointers<'a>(
    field: &'static str,
    at: *const Bytes,
    count: usize,
) -> Result<Vec<&'a str>, Refusal> {
    if count == 0 {
        return Ok(Vec::new());
    }
    if count > Payload::MAX_POINTERS {
        let detail = format!("found {count}; limit: {}", Payload::MAX_POINTERS);
        return Err(Refusal::new(ONCEGATE_BAD_SIZE, field, detail));
    }
    // SAFETY: the same contract.
    let pointers = unsafe { elements(field, at, count) }?;
    // SAFETY: the same contract.
    pointers.iter().map(|pointer| unsafe { pointer.text(field) }).collect()
}

/// Requests of one batch.
const MAX_BATCH: usize = 65_536;
