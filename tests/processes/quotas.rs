//! Quotas are the table's, whichever process sets them or takes them back.

use oncegate::{Admission, Engine, Quota, Reach, Request, Scope};

use crate::crew::Folder;

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
