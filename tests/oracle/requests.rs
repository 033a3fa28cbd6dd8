//! The requests of a run, by number.

use oncegate::{Engine, Error, Fingerprint, Payload, Prepared, Request, Scope};

/// The name of a scope; `None` is the single tenant.
pub(crate) type Tenant = Option<&'static str>;

/// Requests that differ in one part each, or whose parts run together to the same text.
const REQUESTS: [(Tenant, &str, &str); 7] = [
    (Some("acme"), "charge", "k1"),
    (Some("acme"), "charge", "k2"),
    (Some("acme"), "refund", "k1"),
    (Some("acmec"), "harge", "k1"),
    (Some("other"), "charge", "k1"),
    (Some("single tenant"), "charge", "k1"),
    (None, "charge", "k1"),
];

/// The first request that comes hashed.
pub(crate) const HASHED_FROM: usize = REQUESTS.len();
/// Requests that come hashed, by their scopes.
const HASHED: [Tenant; 2] = [Some("acme"), None];
/// How many requests there are.
pub(crate) const KEYS: usize = REQUESTS.len() + HASHED.len();

/// The scope that a request counts for.
pub(crate) fn tenant(key: usize) -> Tenant {
    let hashed = || HASHED[key - REQUESTS.len()];
    REQUESTS.get(key).map_or_else(hashed, |(tenant, ..)| *tenant)
}

pub(crate) fn scope(key: usize) -> Scope<'static> {
    tenant(key).map_or(Scope::single_tenant(), |name| Scope::new(name).expect("short"))
}

/// A request that the engine hashes; its key is below [`HASHED_FROM`].
pub(crate) fn request(key: usize, payload: usize) -> Request<'static> {
    let (_, operation, name) = REQUESTS[key];
    let payload = [Payload::none(), Payload::raw(b"a"), Payload::raw(b"b")][payload];
    Request::new(scope(key), operation, name).expect("short").payload(payload)
}

/// Any request, with its digests made by the engine or brought along.
pub(crate) fn prepare(
    engine: &Engine,
    key: usize,
    payload: usize,
) -> Result<Prepared<'static>, Error> {
    if key < HASHED_FROM {
        return engine.prepare(&request(key, payload));
    }
    // The lowest eight bits of a digest are not compared.
    let digest = (payload as u64) << 8 | key as u64;
    let spread = [0x9e, 0x37, 0x79, 0xb9].map(|byte: u8| byte.wrapping_mul(key as u8));
    let mut bytes = [key as u8; 32];
    bytes.chunks_exact_mut(4).for_each(|chunk| chunk.copy_from_slice(&spread));
    Ok(engine.prepare_hashed(scope(key), Fingerprint::from_bytes(bytes), digest))
}
