//! Engines of several hosts that share their records by a real Redis server.

use std::path::PathBuf;
use std::ptr;
use std::sync::Arc;
use std::thread;

use oncegate_ffi::*;
use oncegate_rig::{
    Certificates, Clients, Cluster, Fsync, Options, Sentinels, Server, present, until,
};

use crate::set::Set;
use crate::support::{
    Engine, MARK, Refused, Room, SOON, attempt_error, bytes, call, is_readable, options, refused,
};
use crate::support::{request, zeroed};

/// A server that forgets nothing when it is killed. `None`: there is none to start.
fn server() -> Option<Server> {
    present("the tier of the C ABI")
        .then(|| Server::with(Options::new().append_only(Fsync::Always)).expect("a server starts"))
}

const SECRET: &[u8] = &[7; 32];

/// A host whose engine shares its records by the server at `url`, with what `set` changes.
fn host(url: &str, set: impl FnOnce(&mut RawTierOptions)) -> Engine {
    open(url, set).expect("an engine")
}

fn open(url: &str, set: impl FnOnce(&mut RawTierOptions)) -> Result<Engine, Refused> {
    open_with(url, bytes(SECRET), set)
}

fn open_with(
    url: &str,
    secret: Bytes,
    set: impl FnOnce(&mut RawTierOptions),
) -> Result<Engine, Refused> {
    let struct_size = size_of::<RawTierOptions>();
    let mut tier = RawTierOptions { struct_size, url: bytes(url.as_bytes()), ..zeroed() };
    set(&mut tier);
    let (options, mut engine) =
        (RawOptions { secret, tier: &raw const tier, ..options() }, ptr::null_mut());
    // SAFETY: what is pointed to lives for the call, here and below.
    call(|error| unsafe { oncegate_engine_open(&raw const options, &raw mut engine, error) })?;
    Ok(Engine(engine))
}

/// Longer than any test: what blocks until then is seen.
fn patient(tier: &mut RawTierOptions) {
    tier.deadline_ms = 60_000;
}

/// Has an engine meet its store, and waits until it does nothing there by itself.
fn prepare(engine: &Engine, key: &str) {
    let lease = engine.admitted(key).lease;
    engine.complete(&lease, b"").expect("held");
    flush(engine).expect("the store answers");
}

fn flush(engine: &Engine) -> Result<(), Refused> {
    // SAFETY: as above.
    call(|error| unsafe { oncegate_engine_flush_tier(engine.0, SOON, error) })
}

fn stats(engine: &Engine) -> Result<RawTierStats, Refused> {
    let mut stats =
        RawTierStats { struct_size: size_of::<RawTierStats>(), ..RawTierStats::default() };
    // SAFETY: as above.
    call(|error| unsafe { oncegate_engine_tier_stats(engine.0, &raw mut stats, error) })?;
    Ok(stats)
}

fn is_local_only(engine: &Engine, lease: &Lease) -> Result<bool, Refused> {
    let mut alone = 77;
    // SAFETY: as above.
    call(|error| unsafe { oncegate_lease_is_local_only(engine.0, lease, &raw mut alone, error) })?;
    Ok(alone == 1)
}

fn complete(engine: &Engine, lease: &Lease, body: &[u8]) -> u32 {
    let struct_size = size_of::<RawOutcome>();
    let outcome = RawOutcome { struct_size, status: 200, body: bytes(body), ..zeroed() };
    let (outcome, mut stored) = (&raw const outcome, 0);
    // SAFETY: as above.
    call(|error| unsafe {
        oncegate_lease_complete(engine.0, lease, outcome, &raw mut stored, error)
    })
    .expect("held");
    stored
}

/// Begins a request, and gives the verdict and the outcome's body.
fn begin(engine: &Engine, key: &str) -> Result<(u32, Vec<u8>), Refused> {
    let (request, mut admission) = (request(key), RawAdmission::default());
    let (mut room, into) = (Room::new(4_096), &raw mut admission);
    // SAFETY: as above.
    call(|error| unsafe {
        oncegate_begin(engine.0, &raw const request, ptr::null(), room.raw(), into, error)
    })?;
    let outcome = admission.outcome;
    Ok((admission.verdict, room.part(outcome.body_offset, outcome.body_len).to_vec()))
}

/// Goal: what one host runs, another one neither runs again nor misses the outcome of.
/// Method: two hosts; one runs, the other asks meanwhile and afterwards; the counts of both.
#[test]
fn two_hosts_run_a_request_once() {
    let Some(server) = server() else { return };
    let (one, other) = (host(&server.url(), |_| {}), host(&server.url(), |_| {}));
    let leader = one.admitted("k");
    assert!(!is_local_only(&one, &leader.lease).expect("held"));
    assert_eq!(other.begin("k").verdict, ONCEGATE_IN_PROGRESS);
    assert_eq!(complete(&one, &leader.lease, b"charged"), ONCEGATE_STORED);
    assert_eq!(begin(&other, "k"), Ok((ONCEGATE_REPLAYED, b"charged".to_vec())));
    refused(is_local_only(&one, &leader.lease), oncegate_fenced(), "lease");
    let told = stats(&one).expect("it has a tier");
    assert_eq!((told.granted, told.imported, told.undelivered), (1, 0, 0));
    let told = stats(&other).expect("it has a tier");
    assert_eq!((told.granted, told.elsewhere, told.imported), (0, 1, 1));
}

fn oncegate_fenced() -> Status {
    Status::from(oncegate::ErrorCode::Fenced.number())
}

fn unavailable() -> Status {
    Status::from(oncegate::ErrorCode::TierUnavailable.number())
}

/// Goal: while the store is gone nothing new runs by default, what is known here is answered, and
/// work goes on when it is back. Method: a server that is killed and started again.
#[test]
fn an_outage_refuses_what_is_new() {
    let Some(mut server) = server() else { return };
    // Of a server that began anew nobody knows what it kept: nothing is run for a lease's time.
    let engine = host(&server.url(), |tier| tier.quarantine_ms = 1);
    prepare(&engine, "known");
    server.kill();
    refused(begin(&engine, "new"), unavailable(), "tier");
    assert_eq!(engine.begin("known").verdict, ONCEGATE_REPLAYED);
    assert_eq!(stats(&engine).expect("it has a tier").refused, 1);
    server.restart().expect("it starts again");
    // A real process: the breaker and the connection take their time.
    until("the store is used again", || begin(&engine, "new").ok()).expect("it is");
}

/// Goal: a host that may go on alone says so of each lease, and what it ran is the others' when the
/// store is back. Method: a server that is killed, and started again before the other host asks.
#[test]
fn a_host_alone_says_so_and_tells_later() {
    let Some(mut server) = server() else { return };
    let alone = |tier: &mut RawTierOptions| {
        (tier.on_outage, tier.quarantine_ms) = (ONCEGATE_ON_OUTAGE_LOCAL_ONLY, 1);
    };
    let (one, other) = (host(&server.url(), alone), host(&server.url(), |_| {}));
    prepare(&one, "known");
    server.kill();
    let lease = one.admitted("k").lease;
    assert!(is_local_only(&one, &lease).expect("held"));
    assert_eq!(complete(&one, &lease, b"alone"), ONCEGATE_STORED_HERE);
    let told = stats(&one).expect("it has a tier");
    assert_eq!((told.local_only, told.undelivered), (1, 1));
    server.restart().expect("it starts again");
    flush(&one).expect("it is told");
    assert_eq!(begin(&other, "k"), Ok((ONCEGATE_REPLAYED, b"alone".to_vec())));
}

/// Goal: whoever waits in a set on one host gets what another host's attempt leaves.
/// Method: one submits, the other completes.
#[test]
fn a_set_hears_of_other_hosts() {
    let Some(server) = server() else { return };
    let (one, other) = (host(&server.url(), |_| {}), host(&server.url(), |_| {}));
    let leader = one.admitted("k");
    let set = Set::open(&other);
    set.submit("k", 5);
    assert!(set.is_empty(), "it runs elsewhere, or that is being asked");
    complete(&one, &leader.lease, b"charged");
    let taken = set.take_one(SOON);
    assert_eq!((taken.user_data, taken.admission.verdict), (5, ONCEGATE_REPLAYED));
}

/// Goal: a set never blocks on the store: neither submitting, nor taking, nor cancelling, nor the
/// end of a wait's time. Method: a server that stands still, and a deadline that is longer than the
/// test: whoever blocked would be refused at its end.
#[test]
fn a_set_does_not_block_on_the_store() {
    let Some(server) = server() else { return };
    let (one, other) = (host(&server.url(), patient), host(&server.url(), patient));
    prepare(&one, "known");
    let leader = other.admitted("k");
    let set = Set::open(&one);
    server.pause().expect("it is there");
    let id = set.submit("cancelled", 1);
    set.submit_with(&request("k"), ONCEGATE_ZERO, 2).expect("submitted");
    set.submit("new", 3);
    assert!(set.is_empty(), "nobody has answered");
    assert!(!is_readable(set.descriptor().expect("open"), 0), "there is nothing to look at");
    set.cancel(id).expect("it was open");
    server.resume().expect("it is there");
    let mut taken =
        [set.take_next(), set.take_next()].map(|one| (one.user_data, one.admission.verdict));
    taken.sort_unstable();
    assert_eq!(taken, [(2, ONCEGATE_IN_PROGRESS), (3, ONCEGATE_ADMITTED)]);
    complete(&other, &leader.lease, b"");
    // What was cancelled is nobody's, once the store has been told.
    flush(&one).expect("the store answers");
    assert_eq!(other.begin("cancelled").verdict, ONCEGATE_ADMITTED);
}

/// Goal: the end of a wait's time, too, is answered by the fleet: it runs elsewhere. Method: a wait
/// with a limit, beside an attempt of another host that goes on.
#[test]
fn a_wait_ends_with_its_time() {
    let Some(server) = server() else { return };
    let (one, other) = (host(&server.url(), |_| {}), host(&server.url(), |_| {}));
    other.admitted("k");
    let set = Set::open(&one);
    set.submit_with(&request("k"), 100, 1).expect("submitted");
    assert_eq!(set.take_one(SOON).admission.verdict, ONCEGATE_IN_PROGRESS);
}

/// Goal: who is refused in a set of waits or in a batch learns when to ask again, as who is refused
/// alone. Method: a server that comes back without what it had, and a quarantine of an hour.
#[test]
fn who_is_refused_learns_when_to_ask_again() {
    let Some(mut server) = server() else { return };
    let engine = host(&server.url(), |tier| tier.quarantine_ms = 3_600_000);
    prepare(&engine, "known");
    server.restart_empty().expect("it starts again");
    // A connection that was cut, at first; what it has lost is seen with the next one.
    let alone = || begin(&engine, "k").err().filter(|found| found.retry_after_ms > 60_000);
    until("it is in quarantine", alone).expect("it is");
    let set = Set::open(&engine);
    set.submit("k", 1);
    let taken = set.take_into(SOON, 8, &mut Room::new(4_096)).expect("open");
    let [waited] = taken[..] else { panic!("{} answers", taken.len()) };
    let (requests, mut batch) = ([request("k"), request("l")], [RawAdmission::default(); 2]);
    let (mut room, into) = (Room::new(4_096), batch.as_mut_ptr());
    // SAFETY: as above.
    call(|error| unsafe {
        let (requests, buffer) = (requests.as_ptr(), room.raw());
        oncegate_begin_batch(engine.0, requests, 2, ptr::null(), buffer, into, error)
    })
    .expect("elements are refused");
    for told in [waited.admission, batch[0], batch[1]] {
        assert_eq!((told.status, told.verdict), (unavailable(), 0));
        assert!((60_001..=3_600_000).contains(&told.time_ms), "{}", told.time_ms);
    }
}

/// Goal: whoever closes an engine does not wait for who flushes it, who is sent back. Method: a
/// store that is not there, an end that it was not told of, and a flush on another thread, again
/// until the closing met it.
#[test]
fn closing_sends_a_flush_back() {
    let nowhere = "redis://127.0.0.1:1/";
    let met = until("a flush is sent back", || {
        let engine = host(nowhere, |tier| tier.on_outage = ONCEGATE_ON_OUTAGE_LOCAL_ONLY);
        let lease = engine.admitted("k").lease;
        engine.complete(&lease, b"charged").expect("stored here");
        thread::scope(|scope| {
            let flusher = scope.spawn(|| flush(&engine));
            // SAFETY: as above.
            call(|error| unsafe { oncegate_engine_close(engine.0, error) }).expect("it was open");
            let found = flusher.join().expect("it returns").expect_err("something is left");
            (found.status == ONCEGATE_CLOSED).then_some(())
        })
    });
    met.expect("it is");
}

/// Goal: a lease is given back without waiting for the store, for destructors. Method: a server
/// that stands still, and a deadline that is longer than the test.
#[test]
fn a_lease_is_given_back_without_waiting() {
    let Some(server) = server() else { return };
    let (one, other) = (host(&server.url(), patient), host(&server.url(), patient));
    let lease = one.admitted("k").lease;
    server.pause().expect("it is there");
    // SAFETY: as above.
    call(|error| unsafe { oncegate_lease_abandon_soon(one.0, &raw const lease, error) })
        .expect("held");
    // The store does not know, and need not have been asked.
    assert!(stats(&one).is_ok_and(|told| told.unknown == 0));
    server.resume().expect("it is there");
    flush(&one).expect("the store answers");
    let again = other.admitted("k");
    assert_eq!((again.attempt, again.how), (2, ONCEGATE_HOW_RETRIED));
}

/// Goal: outcomes lie encrypted under the prefix that was given; a key that is being rotated out
/// still reads them. Method: hosts with the same key, with that key as the retiring one, and with
/// another one; what the server has.
#[test]
fn outcomes_are_encrypted_and_prefixed() {
    let Some(server) = server() else { return };
    let with = |key: &'static [u8], retiring: Option<&'static [u8]>| {
        host(&server.url(), |tier| {
            (tier.prefix, tier.encryption_key) = (bytes(b"shop:"), bytes(key));
            tier.retiring_key = retiring.map_or_else(zeroed, bytes);
        })
    };
    let one = with(&[1; 32], None);
    let leader = one.admitted("k");
    complete(&one, &leader.lease, b"charged");
    let found = |host: Engine| begin(&host, "k").expect("an answer");
    let charged = (ONCEGATE_REPLAYED, b"charged".to_vec());
    assert_eq!(found(with(&[1; 32], None)), charged);
    assert_eq!(found(with(&[2; 32], Some(&[1; 32]))), charged);
    assert_eq!(found(with(&[2; 32], None)), (ONCEGATE_OUTCOME_GONE, Vec::new()));
    let names: Vec<String> = server.ask(&["KEYS", "*"]).expect("it answers");
    assert!(!names.is_empty() && names.iter().all(|name| name.starts_with("shop:")), "{names:?}");
}

/// Goal: a server that speaks TLS, and knows its clients, is used with the certificates of the
/// options; without them nothing is. Method: a server of an authority that nobody knows, with a
/// user, and hosts that lack one thing each.
#[test]
fn hosts_speak_tls() {
    if !present("TLS of the C ABI") {
        return;
    }
    let certificates = Arc::new(Certificates::new().expect("made"));
    let options = Options::new().user(format!("app on >{MARK} ~* &* +@all"));
    let options = options.tls(&certificates, Clients::Certified);
    let server = Server::with(options).expect("it starts");
    let url = format!("rediss://app:{MARK}@{}/", server.address());
    let read = |path: PathBuf| std::fs::read(path).expect("a file");
    let (root, certificate) = (read(certificates.authority()), read(certificates.client()));
    let key = read(certificates.client_key());
    let given = |tier: &mut RawTierOptions| {
        tier.tls_root = bytes(&root);
        (tier.tls_certificate, tier.tls_key) = (bytes(&certificate), bytes(&key));
    };
    let (one, other) = (host(&url, given), host(&url, given));
    let leader = one.admitted("k");
    complete(&one, &leader.lease, b"charged");
    assert_eq!(begin(&other, "k"), Ok((ONCEGATE_REPLAYED, b"charged".to_vec())));
    let stranger = host(&url, |tier| tier.tls_root = bytes(&root));
    refused(begin(&stranger, "k"), unavailable(), "tier");
    let distrustful = host(&url, |tier| {
        given(tier);
        tier.tls_root = bytes(b"");
    });
    refused(begin(&distrustful, "k"), unavailable(), "tier");
    let unsafe_user = Status::from(oncegate::ErrorCode::TierUnsafe.number());
    let impostor = host(&url.replace(MARK, "guessed"), given);
    refused(begin(&impostor, "k"), unsafe_user, "tier");
}

/// Goal: a node of a Cluster leads to the others. Method: keys of all nodes, from two hosts.
#[test]
fn hosts_share_a_cluster() {
    if !present("a Cluster of the C ABI") {
        return;
    }
    let cluster = Cluster::start().expect("it starts");
    let urls = cluster.urls();
    let at = |url: &str| host(url, |tier| tier.cluster = 1);
    let (one, other) = (at(&urls[0]), at(&urls[1]));
    for key in 0..16 {
        let key = format!("key {key}");
        let leader = one.admitted(&key);
        complete(&one, &leader.lease, b"charged");
        assert_eq!(begin(&other, &key), Ok((ONCEGATE_REPLAYED, b"charged".to_vec())));
    }
}

/// Goal: the primary is found by its Sentinels, whatever is in the URL. Method: two hosts, of which
/// one knows a Sentinel that is not there, too.
#[test]
fn hosts_find_a_primary_by_its_sentinels() {
    if !present("Sentinels of the C ABI") {
        return;
    }
    let all = Sentinels::start().expect("they start");
    let urls = all.urls().join(", ");
    let more = format!("redis://127.0.0.1:1,{urls}");
    let at = |urls: &str| {
        host("redis://primary", |tier| {
            (tier.sentinel_name, tier.sentinels) =
                (bytes(all.name().as_bytes()), bytes(urls.as_bytes()));
        })
    };
    let (one, other) = (at(&urls), at(&more));
    complete(&one, &one.admitted("k").lease, b"charged");
    assert_eq!(begin(&other, "k"), Ok((ONCEGATE_REPLAYED, b"charged".to_vec())));
}

/// Goal: what is said of sizes and replicas reaches the store. Method: outcomes above a limit, and
/// of which half is left when they are compressed; a replica that is not there.
#[test]
fn outcomes_and_replicas_are_as_they_are_said() {
    let Some(server) = server() else { return };
    let stored = |key: &str, set: fn(&mut RawTierOptions)| {
        let engine = host(&server.url(), set);
        server.ask::<()>(&["CONFIG", "RESETSTAT"]).expect("an answer");
        complete(&engine, &engine.admitted(key).lease, &[7; 1_000]);
        let names: Vec<String> = server.ask(&["KEYS", "oncegate:*:*"]).expect("an answer");
        let sizes = names.iter().map(|name| server.ask::<u64>(&["STRLEN", name]));
        let largest = sizes.map(|size| size.expect("a record")).max().expect("records");
        names.iter().for_each(|name| server.ask::<()>(&["DEL", name]).expect("an answer"));
        largest
    };
    let whole = stored("whole", |_| {});
    assert!(whole > 1_000, "{whole}");
    let compressed = stored("compressed", |tier| tier.compress_from = 500);
    assert!(compressed < 500, "{compressed}");
    let limited = stored("limited", |tier| tier.outcome_limit = 500);
    assert!(limited < 500, "{limited}");
    let alone = host(&server.url(), |tier| (tier.wait_replicas, tier.wait_replicas_ms) = (1, 1));
    refused(begin(&alone, "k"), unavailable(), "tier");
}

/// Goal: dead letters of all hosts are in one stream, if that is asked for, and counted. Method: a
/// request that fails for good on each of two hosts, and before that on one without the option.
#[test]
fn dead_letters_are_in_one_stream() {
    let Some(server) = server() else { return };
    let bury = |key: &str, entries: u64| {
        let engine = host(&server.url(), |tier| tier.dead_letters = entries);
        let why = RawAttemptError { terminal: 1, ..attempt_error(b"404") };
        let lease = engine.admitted(key).lease;
        let later = engine.retry_later(&lease, &why, b"charge", b"").expect("held");
        assert_eq!(later.verdict, ONCEGATE_LATER_BURIED);
        flush(&engine).expect("the store answers");
        let told = stats(&engine).expect("a tier");
        let length: u64 = server.ask(&["XLEN", "oncegate:{dd}letters"]).expect("an answer");
        (length, told.letters_logged, told.letters_waiting, told.letters_lost)
    };
    assert_eq!(bury("without", 0), (0, 0, 0, 0));
    assert_eq!(bury("one", 10), (1, 1, 0, 0));
    assert_eq!(bury("other", 10), (2, 1, 0, 0));
}

/// Goal: neither the URL's password nor any key is in an error, whatever is wrong. Method: options
/// that are refused for each of their fields, and a store of nobody, with a word in all of them.
#[test]
fn errors_tell_nothing_secret() {
    let url = format!("redis://app:{MARK}@127.0.0.1:1/");
    let word = bytes(MARK.as_bytes());
    let (secure, database) = (url.replace("redis:", "rediss:"), format!("{url}7"));
    let wrong: [(&str, Wrong, &str); 18] = [
        (&url, |tier, _| tier.url.len = 3, "tier.url"),
        (&url, |tier, word| tier.url = word, "tier.url"),
        (&url, |tier, _| tier.url = bytes(b"\xffhunter2"), "tier.url"),
        (&url, |tier, _| tier.prefix = bytes(b"{hunter2}"), "tier.prefix"),
        (&url, |tier, word| tier.encryption_key = word, "tier.encryption_key"),
        (&url, |tier, word| tier.retiring_key = word, "tier.retiring_key"),
        (&secure, |tier, word| tier.tls_root = word, "tier.tls_root"),
        (&secure, |tier, word| tier.tls_key = word, "tier.tls_certificate"),
        (&secure, |tier, word| tier.tls_certificate = word, "tier.tls_key"),
        (
            &secure,
            |tier, word| (tier.tls_certificate, tier.tls_key) = (word, word),
            "tier.tls_certificate",
        ),
        (&url, |tier, _| tier.tls_root = bytes(CERTIFICATE), "tier.url"),
        (&database, |tier, _| tier.cluster = 1, "tier"),
        (&url, |tier, _| tier.dead_letters = 1_000_001, "tier.dead_letters"),
        (&url, |tier, _| tier.outcome_limit = (16 << 20) + 1, "tier.outcome_limit"),
        (&url, |tier, word| tier.sentinel_name = word, "tier.sentinels"),
        (&url, |tier, word| tier.sentinels = word, "tier.sentinel_name"),
        (&url, |tier, word| (tier.sentinel_name, tier.sentinels) = (word, word), "tier.sentinels"),
        (
            &url,
            |tier, word| {
                let sentinel = bytes(b"redis://127.0.0.1:1");
                (tier.sentinel_name, tier.sentinels, tier.cluster) = (word, sentinel, 1);
            },
            "tier.sentinels",
        ),
    ];
    for (url, set, field) in wrong {
        // Whatever is refused is looked through for the word.
        let found = open(url, |tier| set(tier, word)).map(drop).expect_err(field);
        assert_eq!(found.field, field);
    }
    let nobody = host(&url, |tier| tier.encryption_key = bytes(&[7; 32]));
    refused(begin(&nobody, MARK), unavailable(), "tier");
}

/// Spoils options, with a secret word.
type Wrong = fn(&mut RawTierOptions, Bytes);

/// It looks like a certificate. That the URL takes none is told before it is looked into.
const CERTIFICATE: &[u8] = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

/// Goal: what the server is like is told. Method: a server that persists nothing.
#[test]
fn hazards_are_told() {
    if !present("hazards of the C ABI") {
        return;
    }
    let server = Server::start().expect("a server starts");
    let engine = host(&server.url(), |_| {});
    prepare(&engine, "known");
    // A real process: the engine looks on a thread of its own.
    let has = || stats(&engine).ok().filter(|told| told.hazards != 0);
    let told = until("it is looked at", has).expect("it is");
    assert_eq!(told.hazards & ONCEGATE_HAZARD_NOT_PERSISTENT, ONCEGATE_HAZARD_NOT_PERSISTENT);
}

/// Goal: settings that cannot be are refused, with their names, and nothing of what was given.
/// Method: each of them wrong; no server is needed.
#[test]
fn wrong_settings_are_refused() {
    let url = "redis://127.0.0.1:1/";
    let invalid = Status::from(oncegate::ErrorCode::InvalidConfig.number());
    refused(open_with(url, bytes(b""), |_| {}), invalid, "secret");
    refused(open("http://127.0.0.1", |_| {}), invalid, "tier.url");
    refused(open(url, |tier| tier.prefix = bytes(b"{a}")), invalid, "tier.prefix");
    refused(open(url, |tier| tier.deadline_ms = 60_001), invalid, "tier.deadline");
    let short = |tier: &mut RawTierOptions| tier.encryption_key = bytes(&[1; 31]);
    refused(open(url, short), ONCEGATE_BAD_SIZE, KEY);
    let short = |tier: &mut RawTierOptions| tier.retiring_key = bytes(&[1; 33]);
    refused(open(url, short), ONCEGATE_BAD_SIZE, "tier.retiring_key");
    refused(open(url, |tier| tier.encryption_key = bytes(b"")), ONCEGATE_BAD_SIZE, KEY);
    refused(
        open(url, |tier| tier.retiring_key = bytes(b"")),
        ONCEGATE_BAD_SIZE,
        "tier.retiring_key",
    );
    let alone = |tier: &mut RawTierOptions| tier.wait_replicas_ms = 5;
    refused(open(url, alone), ONCEGATE_BAD_VALUE, "tier.wait_replicas_ms");
    refused(open(url, |tier| tier.on_outage = 3), ONCEGATE_BAD_VALUE, "tier.on_outage");
    let odd = |tier: &mut RawTierOptions| tier.allow_eviction = 2;
    refused(open(url, odd), ONCEGATE_BAD_VALUE, "tier.allow_eviction");
    refused(open(url, |tier| tier.cluster = 2), ONCEGATE_BAD_VALUE, "tier.cluster");
    refused(open(url, |tier| tier.reserved = 1), ONCEGATE_BAD_VALUE, "tier.reserved");
    refused(open(url, |tier| tier.struct_size = 16), ONCEGATE_BAD_SIZE, "tier.struct_size");
}

const KEY: &str = "tier.encryption_key";

/// Goal: an engine without a tier says that it has none, and has nothing to tell anybody.
/// Method: the functions of a tier on one.
#[test]
fn an_engine_without_a_tier() {
    let engine = Engine::manual();
    refused(stats(&engine).map(|_| ()), ONCEGATE_NOT_FOUND, "tier");
    flush(&engine).expect("all was told");
    let lease = engine.admitted("k").lease;
    assert!(!is_local_only(&engine, &lease).expect("held"));
    // SAFETY: as above.
    call(|error| unsafe { oncegate_lease_abandon_soon(engine.0, &raw const lease, error) })
        .expect("held");
    assert_eq!(engine.admitted("k").attempt, 2);
}
