//! `oncegate doctor redis://…`: whether a store across machines can be relied on.

use std::fmt::Write as _;
use std::net::Ipv6Addr;
use std::path::Path;
use std::time::Duration;

use oncegate::Severity;
use oncegate::tier::{Hazard, Redis, RedisBuilder, TierError, TierErrorKind, examine};
use serde_json::{Value, json};

use super::DoctorArgs;
use super::args::StoreArgs;
use super::doctor::Diagnosis;

/// What was found, and what to do about it.
struct Found {
    severity: Severity,
    code: &'static str,
    text: String,
    advice: &'static str,
}

/// Whether `path` names a store instead of a file: by a scheme that an engine takes, or, since it
/// may be a slip of the pen and have a password, by any other before `://`.
pub(super) fn is_store(path: &str) -> bool {
    let read = as_read(path);
    let Some((scheme, rest)) = read.split_once(':') else { return false };
    let of_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    let is_scheme = !scheme.is_empty() && scheme.chars().all(of_scheme);
    is_scheme && (rest.starts_with("//") || SCHEMES.contains(&scheme.to_lowercase().as_str()))
}

/// Joins the store at `url` as an engine does, and looks for what endangers its promises. It makes
/// one record, of a random key, and takes it away again.
pub(super) fn doctor(args: &DoctorArgs, url: &str) -> Diagnosis {
    let found = if args.recreate { vec![nothing_to_remove()] } else { look(args, url) };
    let is_well = found.iter().all(|found| found.severity < Severity::Error);
    let shown = without_secrets(url);
    let text = if args.json { show_json(&shown, &found, is_well) } else { show(&shown, &found) };
    Diagnosis { text, is_well }
}

fn look(args: &DoctorArgs, url: &str) -> Vec<Found> {
    let builder = match settings(&args.store, url) {
        Ok(builder) => builder,
        Err(found) => return vec![found],
    };
    match builder.build().and_then(|tier| examine(&tier, WITHIN)) {
        Ok(hazards) => hazards.iter().map(of_hazard).collect(),
        Err(error) => vec![of_error(&error)],
    }
}

/// What an engine would be given.
fn settings(args: &StoreArgs, url: &str) -> Result<RedisBuilder, Found> {
    let mut builder = Redis::builder(url).allow_eviction(true);
    if let Some(prefix) = &args.prefix {
        builder = builder.prefix(prefix);
    }
    if let Some(root) = &args.tls_root {
        builder = builder.tls_root(&read(root)?);
    }
    if let (Some(certificate), Some(key)) = (&args.tls_certificate, &args.tls_key) {
        builder = builder.tls_client(&read(certificate)?, &read(key)?);
    }
    if args.cluster {
        builder = builder.cluster(&[]);
    }
    if let Some(name) = &args.sentinel_name {
        let urls: Vec<&str> = args.sentinel.iter().map(String::as_str).collect();
        builder = builder.sentinels(name, &urls);
    }
    Ok(builder)
}

fn read(file: &Path) -> Result<Vec<u8>, Found> {
    std::fs::read(file).map_err(|error| Found {
        severity: Severity::Error,
        code: "tier-file-unreadable",
        text: format!("{}: {error}", file.display()),
        advice: "look at the path, and at who may read the file",
    })
}

fn of_error(error: &TierError) -> Found {
    let (code, advice) = match error.kind() {
        TierErrorKind::Unsafe => (
            "tier-unsafe",
            "an engine refuses it: give the user the rights that docs/redis.md lists, and let one \
             address lead to one store",
        ),
        _ => ("tier-unreachable", "see that it runs, and that this machine reaches it by this URL"),
    };
    Found { severity: Severity::Error, code, text: error.what().to_owned(), advice }
}

fn of_hazard(hazard: &Hazard) -> Found {
    let found = |severity, code, text, advice| Found { severity, code, text, advice };
    match hazard {
        Hazard::Evicts { policy } => found(
            Severity::Error,
            "tier-evicts",
            format!("with maxmemory-policy {policy} records go before their time, and run again"),
            "CONFIG SET maxmemory-policy noeviction",
        ),
        Hazard::AlmostFull { percent } => found(
            Severity::Warning,
            "tier-almost-full",
            format!("{percent} % of its maxmemory is in use; when it is full, nothing new is run"),
            "more memory, shorter dedup windows, or smaller outcomes",
        ),
        Hazard::NotPersistent => found(
            Severity::Warning,
            "tier-not-persistent",
            "a restart forgets every record, and finished requests may run again".to_owned(),
            "appendonly yes; with appendfsync always a restart loses nothing",
        ),
        Hazard::ClockBehind { by } => found(
            Severity::Warning,
            "tier-clock-behind",
            format!("its clock is {} ms behind the tokens that it gave out", by.as_millis()),
            "let its clock be kept by NTP; tokens grow all the same",
        ),
        other => found(
            Severity::Warning,
            "tier-hazard",
            format!("{other:?}"),
            "a newer version of this command explains it",
        ),
    }
}

fn nothing_to_remove() -> Found {
    Found {
        severity: Severity::Error,
        code: "not-removed",
        text: "a store across machines is not removed by this command".to_owned(),
        advice: "leave out --recreate",
    }
}

fn show(url: &str, all: &[Found]) -> String {
    let mut text = format!("{url}\n");
    for Found { severity, code, text: what, advice } in all {
        let _ = writeln!(text, "\n{}: {code}\n  {what}\n  -> {advice}", severity.name());
    }
    if all.is_empty() {
        text.push_str("nothing is wrong: a second claim is refused, and nothing is evicted\n");
    }
    text
}

fn show_json(url: &str, all: &[Found], is_well: bool) -> String {
    let findings: Vec<Value> = all
        .iter()
        .map(|Found { severity, code, text, advice }| {
            json!({"severity": severity.name(), "code": code, "text": text, "advice": advice})
        })
        .collect();
    json!({"url": url, "healthy": is_well, "findings": findings}).to_string() + "\n"
}

/// What of a URL is no secret: its scheme, its host and port, and its path. Who may look, and by
/// which password, stands before an `@` or in the query. Where it is not sure which part is which,
/// such as a password with a `/` that nobody escaped, there is the scheme alone.
fn without_secrets(url: &str) -> String {
    let read = as_read(url);
    let (scheme, rest) = read.split_once(':').unwrap_or(("", &read));
    let scheme = scheme.to_lowercase();
    let shown = rest.strip_prefix("//").unwrap_or(rest);
    let (place, hidden) = shown.split_at(shown.find(['?', '#']).unwrap_or(shown.len()));
    let (authority, path) = place.split_at(place.find('/').unwrap_or(place.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let is_plain = !hidden.contains('@') && !path.contains('@') && is_host(host);
    // Without a socket, what follows the host is the number of a database.
    let is_path = scheme.ends_with("unix") || path.bytes().all(|c| b"/0123456789".contains(&c));
    let known = SCHEMES.contains(&scheme.as_str());
    match known && is_plain && is_path {
        true => format!("{scheme}://{host}{path}"),
        false if known => format!("{scheme}://…"),
        false => "…".to_owned(),
    }
}

/// Whether it is a name or an address, with or without a port.
fn is_host(host: &str) -> bool {
    let of_name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) if address.parse::<Ipv6Addr>().is_ok() => ("", port),
        Some(_) => return false,
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let is_port = port.strip_prefix(':').map_or(port.is_empty(), |it| it.parse::<u16>().is_ok());
    name.chars().all(of_name) && is_port
}

/// The URL as whoever takes it apart reads it: white space around it and line ends in it go.
fn as_read(url: &str) -> String {
    url.trim().chars().filter(|c| !c.is_ascii_control()).collect()
}

/// In lower case.
const SCHEMES: [&str; 7] =
    ["redis", "rediss", "valkey", "valkeys", "unix", "redis+unix", "valkey+unix"];
/// How long one answer of the store may take.
const WITHIN: Duration = Duration::from_secs(3);
