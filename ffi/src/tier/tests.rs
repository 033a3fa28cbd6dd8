use super::*;

fn zeroed() -> RawTierOptions {
    let none = Bytes { data: std::ptr::null(), len: 0 };
    RawTierOptions {
        struct_size: size_of::<RawTierOptions>(),
        url: none,
        prefix: none,
        encryption_key: none,
        retiring_key: none,
        deadline_ms: 0,
        latency_objective_ms: 0,
        lease_slice_ms: 0,
        margin_ms: 0,
        poll_every_ms: 0,
        quarantine_ms: 0,
        undelivered: 0,
        on_outage: 0,
        allow_eviction: 0,
        tls_root: none,
        tls_certificate: none,
        tls_key: none,
        cluster: 0,
        reserved: 0,
        dead_letters: 0,
        wait_replicas: 0,
        wait_replicas_ms: 0,
        outcome_limit: 0,
        compress_from: 0,
        sentinel_name: none,
        sentinels: none,
    }
}

/// Goal: each hazard has a flag of its own.
/// Method: all that there are, one by one.
#[test]
fn hazards_have_flags_of_their_own() {
    let all = [
        (Hazard::Evicts { policy: "allkeys-lru".to_owned() }, ONCEGATE_HAZARD_EVICTS),
        (Hazard::AlmostFull { percent: 95 }, ONCEGATE_HAZARD_ALMOST_FULL),
        (Hazard::NotPersistent, ONCEGATE_HAZARD_NOT_PERSISTENT),
        (Hazard::ClockBehind { by: Duration::from_secs(1) }, ONCEGATE_HAZARD_CLOCK_BEHIND),
    ];
    for (hazard, flag) in &all {
        assert_eq!(number(hazard), *flag, "{hazard:?}");
    }
}

/// Goal: each statistic is told as the field of its name.
/// Method: a number of its own in each.
#[test]
fn statistics_are_told_by_name() {
    let mut found = TierStats::default();
    found.granted = 1;
    found.imported = 2;
    found.elsewhere = 3;
    found.refused = 4;
    found.local_only = 5;
    found.unknown = 6;
    found.undelivered = 7;
    found.delivered_late = 8;
    found.undelivered_lost = 9;
    found.conflicts = 10;
    found.sessions_lost = 11;
    found.letters_logged = 12;
    found.letters_waiting = 13;
    found.letters_lost = 14;
    for breaker_open in [false, true] {
        found.breaker_open = breaker_open;
        let raw = told(&found, &[Hazard::NotPersistent]);
        let counts = [
            (raw.granted, 1),
            (raw.imported, 2),
            (raw.elsewhere, 3),
            (raw.refused, 4),
            (raw.local_only, 5),
            (raw.unknown, 6),
            (raw.undelivered, 7),
            (raw.delivered_late, 8),
            (raw.undelivered_lost, 9),
            (raw.conflicts, 10),
            (raw.sessions_lost, 11),
            (raw.letters_logged, 12),
            (raw.letters_waiting, 13),
            (raw.letters_lost, 14),
        ];
        assert!(counts.iter().all(|(count, expected)| count == expected), "{counts:?}");
        assert_eq!(raw.breaker_open, u32::from(breaker_open));
        assert_eq!(raw.hazards, ONCEGATE_HAZARD_NOT_PERSISTENT);
    }
}

/// Goal: each field is the setting of that name, and its refusal names it.
/// Method: one field at a time, with a value that only this setting refuses, as an engine is built.
#[cfg(feature = "redis")]
#[test]
fn fields_are_the_settings() {
    type Set = fn(&mut RawTierOptions);
    let cases: [(Set, &str); 7] = [
        (|raw| raw.deadline_ms = 60_001, "tier.deadline"),
        (|raw| raw.latency_objective_ms = 60_001, "tier.latency_objective"),
        (|raw| raw.lease_slice_ms = 99, "tier.lease_slice"),
        (|raw| raw.margin_ms = 60_001, "tier.margin"),
        (|raw| raw.poll_every_ms = 60_001, "tier.poll_every"),
        (|raw| raw.quarantine_ms = u64::MAX - 1, "tier.quarantine"),
        (|raw| raw.undelivered = 10_000_001, "tier.undelivered"),
    ];
    let url = b"redis://127.0.0.1:1/";
    for (set, field) in cases {
        let mut raw = zeroed();
        raw.url = Bytes { data: url.as_ptr(), len: url.len() };
        set(&mut raw);
        let secret = oncegate::Secret::from_bytes(&[7; 32]).expect("32 bytes");
        let builder = oncegate::Engine::builder().tiny().secret(secret);
        // SAFETY: what it refers to lives for the call.
        let builder = unsafe { with_tier(builder, "tier", &raw const raw) }.expect("understood");
        let error = builder.build().expect_err(field);
        assert_eq!(error.field(), field);
    }
}

/// Goal: what is said of sizes and replicas is what the store is built with.
/// Method: a number of its own in each, in what the settings of the store show.
#[cfg(feature = "redis")]
#[test]
fn sizes_and_replicas_are_as_they_are_said() {
    let built = |raw: &RawTierOptions| {
        format!("{:?}", sized(oncegate::tier::Redis::builder("redis://127.0.0.1:1/"), raw))
    };
    let mut raw = zeroed();
    (raw.dead_letters, raw.outcome_limit, raw.compress_from) = (11, 12_000, 1_300);
    (raw.wait_replicas, raw.wait_replicas_ms) = (3, 7);
    let said = built(&raw);
    let all = ["dead_letters: Some(11)", "outcome_limit: 12000", "compress_from: Some(1300)"];
    assert!(all.iter().all(|one| said.contains(one)), "{said}");
    assert!(said.contains("Some((3, 7ms))"), "{said}");
    raw.wait_replicas_ms = 0;
    assert!(built(&raw).contains("Some((3, 50ms))"), "{}", built(&raw));
}
