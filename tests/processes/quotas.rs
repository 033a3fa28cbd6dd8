//! Quotas are the table's, whichever process sets them or takes them back.

use std::os::fd::AsRawFd as _;

use oncegate::{Admission, Engine, ErrorCode, Quota, Reach, Request, Scope};

use crate::crew::Folder;
#[cfg(oncegate_failpoints)]
use crate::forked::Forked;

fn engine(folder: &Folder) -> Engine {
    let builder = Engine::builder().capacity(100).max_scopes(4);
    builder.reach(Reach::Host(folder.table())).build().expect("a table")
}

fn scope(name: &str) -> Scope<'_> {
    Scope::new(name).expect("short")
}

/// Goal: what one process takes back another one does not bring back. Method: one process sets a
/// quota, another one changes it and takes it back; the first one is asked, makes records, and is
/// asked again.
#[test]
fn a_quota_is_taken_back_for_all() {
    let folder = Folder::new();
    let [one, two] = [engine(&folder), engine(&folder)];
    let tenant = scope("tenant");
    one.set_quota(tenant, Quota::unlimited().max_live(1)).expect("room");
    two.set_quota(tenant, Quota::unlimited().rate(3.0, 2)).expect("room");
    let told = one.quota(tenant).expect("a part");
    assert_ne!(told, Quota::unlimited().max_live(1), "what it set itself is gone");
    assert_eq!(two.quota(tenant).expect("a part"), Quota::unlimited().rate(3.0, 2));
    two.remove_quota(tenant).expect("a part");
    for _ in 0..2 {
        assert_eq!(one.quota(tenant).expect("a part"), Quota::unlimited());
        for key in ["a", "b", "c", "d"] {
            let request = Request::new(tenant, "POST /charges", key).expect("valid");
            let Ok(Admission::Admitted(lease)) = one.begin(&request) else { panic!("{key}") };
            lease.abandon().expect("the holder");
        }
    }
}

/// Goal: a file fills up with no names of tenants that left. Method: many more tenants than there
/// are places, each in a process of its own.
#[test]
fn tenants_that_left_make_room_over_restarts() {
    let folder = Folder::new();
    for tenant in 0..40 {
        let name = format!("tenant-{tenant}");
        let engine = engine(&folder);
        engine.set_quota(scope(&name), Quota::unlimited().max_live(1)).expect("room");
        engine.set_quota(scope(&name), Quota::unlimited()).expect("room");
        let request = Request::new(scope(&name), "POST /charges", "k").expect("valid");
        assert!(matches!(engine.begin(&request), Ok(Admission::Admitted(_))), "{name}");
    }
}

/// Goal: of processes that set quotas one does so at a time, and whoever waits for one that is
/// stopped over it is told. Method: the lock that stands for it is held by somebody else, and then
/// free; two processes set and take back one quota many times, and what holds then is one of both,
/// and is taken back whole.
#[test]
fn one_process_sets_at_a_time() {
    let folder = Folder::new();
    let [one, two] = [engine(&folder), engine(&folder)];
    let (tenant, own) = (scope("tenant"), Quota::unlimited().max_live(1).rate(2.0, 3));
    let other = std::fs::OpenOptions::new().write(true).open(folder.table()).expect("own file");
    let mut range = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: (1 << 16) + 1,
        l_len: 1,
        l_pid: 0,
    };
    // SAFETY: an open descriptor, and a structure that outlives the call.
    let locked = unsafe { libc::fcntl(other.as_raw_fd(), libc::F_OFD_SETLK, &raw mut range) };
    assert_eq!(locked, 0);
    for refused in [one.set_quota(tenant, own), one.remove_quota(tenant)] {
        let error = refused.expect_err("another one has the lock");
        assert_eq!((error.code(), error.field()), (ErrorCode::RegionInUse, "quotas"));
        assert_eq!(two.quota(tenant).expect("a part"), Quota::unlimited());
    }
    drop(other);
    std::thread::scope(|threads| {
        threads.spawn(|| (0..300).for_each(|_| one.set_quota(tenant, own).expect("room")));
        threads.spawn(|| (0..300).for_each(|_| two.remove_quota(tenant).expect("a part")));
    });
    let told = two.quota(tenant).expect("a part");
    assert_eq!(one.quota(tenant).expect("a part"), told);
    assert!(told == own || told == Quota::unlimited(), "{told:?}");
    one.remove_quota(tenant).expect("a part");
    assert_eq!(two.quota(tenant).expect("a part"), Quota::unlimited());
}

#[cfg(oncegate_failpoints)]
const NONE: Quota = Quota::unlimited();
#[cfg(oncegate_failpoints)]
const TWO: Quota = Quota::unlimited().max_live(2);

/// What a process was doing when it died.
#[cfg(oncegate_failpoints)]
const ACTS: [fn(&Engine); 4] = [
    |engine| drop(begun(engine, Scope::unauthenticated(), "guest")),
    |engine| drop(begun(engine, scope("tenant"), "k")),
    |engine| engine.set_quota(scope("tenant"), TWO).expect("room"),
    |engine| engine.remove_quota(scope("named")).expect("a part"),
];

#[cfg(oncegate_failpoints)]
fn begun<'e>(
    engine: &'e Engine,
    scope: Scope<'_>,
    key: &str,
) -> Result<Admission<'e>, oncegate::Error> {
    engine.begin(&Request::new(scope, "POST /charges", key).expect("valid"))
}

/// How many of ten new records `engine` makes for `scope`.
#[cfg(oncegate_failpoints)]
fn room(engine: &Engine, scope: Scope<'_>, name: &str) -> usize {
    let leases = (0..10).map(|number| begun(engine, scope, &format!("{name}-{number}")));
    let made = leases.filter_map(|begun| match begun {
        Ok(Admission::Admitted(lease)) => Some(lease.into_token()),
        _ => None,
    });
    made.count()
}

/// Goal: whoever dies over a quota leaves each scope one that can be set and taken back, and no
/// scope the rights of another one; above all guests do not evict what is others' (a guest whose
/// entry was half made was taken for a scope with a reservation). Method: a death before each write
/// of a guest's first record, of a tenant's, and of a quota that is set and taken back.
#[cfg(oncegate_failpoints)]
#[test]
fn a_death_leaves_quotas_to_others() {
    let mut deaths = 0_u64;
    for (number, act) in ACTS.into_iter().enumerate() {
        for writes in 1.. {
            let folder = Folder::new();
            let build = || {
                let builder = Engine::builder().capacity(64).max_scopes(4);
                let all = if number < 2 { Quota::unlimited().max_live(500) } else { NONE };
                let builder = builder.default_quota(all);
                builder.reach(Reach::Host(folder.table())).build().expect("a table")
            };
            let engine = build();
            engine.set_quota(scope("named"), Quota::unlimited().max_live(1)).expect("room");
            let before = if number == 2 { room(&engine, scope("tenant"), "before") } else { 0 };
            assert_eq!(before % 10, 0, "nothing limits it");
            let child = Forked::new(|| {
                let own = build();
                oncegate::fate::die_before_write(writes);
                act(&own);
                oncegate::fate::die_before_write(0);
                0
            });
            let died = child.status().is_none();
            deaths += u64::from(died);
            let about = format!("act {number}, before write {writes}");
            engine.bury_dead().expect("a part");
            // What the tenant may have had before it is limited again.
            let mut counted = usize::from(number == 1);
            if number >= 2 {
                // What is told is in force, also where it was remembered that there was none.
                let told = engine.quota(scope("tenant")).expect("a part");
                let made = room(&engine, scope("tenant"), "told");
                let agree = told == TWO && made == 2 || told == NONE && [2, 10].contains(&made);
                assert!(agree, "{about}: {told:?}: {made}");
                assert!(died || told == if number == 2 { TWO } else { NONE }, "{about}");
                counted = made % 10;
            }
            for name in ["named", "tenant"] {
                engine.set_quota(scope(name), Quota::unlimited().max_live(3)).expect("room");
                let before = if name == "tenant" { counted } else { 0 };
                let made = room(&engine, scope(name), "first");
                assert!((3 - before..=3).contains(&made), "{about}: {name}: {made}");
                engine.remove_quota(scope(name)).expect("a part");
                assert_eq!(room(&engine, scope(name), "second"), 10, "{about}: {name}");
            }
            for number in 0..100 {
                let begun = begun(&engine, scope("payer"), &number.to_string());
                let Ok(Admission::Admitted(lease)) = begun else { panic!("{about}: {begun:?}") };
                lease.complete(&oncegate::Outcome::default()).expect("the holder");
            }
            let evicted = || engine.stats().expect("a part").evicted_early;
            let before = evicted();
            assert!(before > 0, "the table is full");
            room(&engine, Scope::unauthenticated(), "guest");
            assert_eq!(evicted(), before, "{about}: a guest evicts others");
            if !died {
                assert!(writes > 1, "act {number} writes nothing");
                break;
            }
        }
    }
    println!("processes: {deaths} killed, each before another write of quotas");
}
