//! Retry budgets: which are refused, and of whom they are.

use std::ptr::null;

use crate::support::{NOTHING, Opened, Refused, blank, bytes};
use oncegate_ffi::*;

type Change = fn(&mut RawBudget);

fn budget(change: impl FnOnce(&mut RawBudget)) -> RawBudget {
    let mut budget = blank();
    change(&mut budget);
    budget
}

fn set(engine: &Opened, budget: &RawBudget) -> Result<(), Refused> {
    call!(oncegate_set_retry_budget(engine.0, &raw const *budget))
}

/// Goal: every number that is out of its range is refused by its name.
/// Method: one at a time, for each kind and preset; among them what is no number, and zero.
#[test]
fn numbers_have_limits() {
    let engine = Opened::new();
    let buckets: [(&str, Change); 16] = [
        ("capacity", |budget| budget.capacity = 10_001.0),
        ("capacity", |budget| budget.capacity = ONCEGATE_ZERO_F64),
        ("capacity", |budget| budget.capacity = f64::NAN),
        ("cost", |budget| budget.cost_transient = 101.0),
        ("cost", |budget| budget.cost_throttled = -2.0),
        ("cost", |budget| budget.cost_timeout = ONCEGATE_ZERO_F64),
        ("threshold", |budget| budget.threshold = 100.0),
        ("success", |budget| budget.success = 100.1),
        ("refill_per_second", |budget| budget.refill_per_second = f64::INFINITY),
        ("capacity", |budget| (budget.preset, budget.capacity) = (1, 1_001.0)),
        ("capacity", |budget| (budget.preset, budget.capacity) = (1, 1e20)),
        ("success", |budget| (budget.preset, budget.success) = (1, 0.0001)),
        ("ratio", |budget| (budget.kind, budget.ratio) = (1, 1_000.1)),
        ("min_per_second", |budget| (budget.kind, budget.min_per_second) = (1, 1 << 40)),
        ("ttl", |budget| (budget.kind, budget.ttl_ms) = (1, 999)),
        ("slices", |budget| (budget.kind, budget.slices) = (1, 61)),
    ];
    for (field, change) in buckets {
        let refused = set(&engine, &budget(change)).expect_err(field);
        let field = format!("retry_budget.{field}");
        assert_eq!(refused.is(), (ONCEGATE_INVALID_CONFIG, field.as_str()));
    }
    let refused = set(&engine, &budget(|budget| (budget.kind, budget.share) = (2, 1.1)));
    assert_eq!(refused.unwrap_err().is(), (ONCEGATE_INVALID_CONFIG, "retry_budget.share"));
    let own: [(&str, Change); 6] = [
        ("kind", |budget| budget.kind = 3),
        ("preset", |budget| budget.preset = 4),
        ("charge", |budget| budget.charge = 3),
        ("refund_cost", |budget| budget.refund_cost = 3),
        ("capacity", |budget| (budget.preset, budget.capacity) = (1, 1.5)),
        ("capacity", |budget| (budget.preset, budget.capacity) = (1, f64::NAN)),
    ];
    for (field, change) in own {
        let refused = set(&engine, &budget(change)).expect_err(field);
        assert_eq!(refused.is(), (ONCEGATE_BAD_VALUE, field));
    }
}

/// Goal: what is for another kind is refused by its name, so that nothing is ignored in silence.
/// Method: each field with each kind that does not know it.
#[test]
fn kinds_know_their_fields() {
    let engine = Opened::new();
    let fields: [(u32, &str, Change); 16] = [
        (0, "preset", |budget| budget.preset = 1),
        (0, "capacity", |budget| budget.capacity = 50.0),
        (0, "cost_transient", |budget| budget.cost_transient = 1.0),
        (0, "cost_throttled", |budget| budget.cost_throttled = 1.0),
        (0, "cost_timeout", |budget| budget.cost_timeout = 1.0),
        (0, "charge", |budget| budget.charge = 1),
        (0, "refund_cost", |budget| budget.refund_cost = 1),
        (0, "threshold", |budget| budget.threshold = 1.0),
        (0, "success", |budget| budget.success = 1.0),
        (0, "refill_per_second", |budget| budget.refill_per_second = 1.0),
        (1, "ratio", |budget| budget.ratio = 0.5),
        (1, "min_per_second", |budget| budget.min_per_second = 1),
        (1, "ttl_ms", |budget| budget.ttl_ms = 1_000),
        (1, "slices", |budget| budget.slices = 2),
        (2, "share", |budget| budget.share = 0.5),
        (2, "min_retries", |budget| budget.min_retries = 1),
    ];
    for (of, field, change) in fields {
        for kind in ONCEGATE_BUDGET_BUCKET..=ONCEGATE_BUDGET_CONCURRENCY {
            let mut given = budget(|budget| budget.kind = kind);
            change(&mut given);
            let refused = set(&engine, &given);
            if kind == of {
                assert_eq!(refused, Ok(()), "{field}");
            } else {
                assert_eq!(refused.expect_err(field).is(), (ONCEGATE_BAD_VALUE, field), "{kind}");
            }
        }
    }
}

/// Goal: names are bounded text.
/// Method: the longest, one byte more, no text, and nowhere.
#[test]
fn names_are_text() {
    let engine = Opened::new();
    let longest = "x".repeat(255);
    let named = |name: Bytes| set(&engine, &budget(|budget| budget.name = name));
    assert_eq!(named(bytes(&longest)), Ok(()));
    let refused = named(bytes(&"x".repeat(256))).unwrap_err();
    assert_eq!(refused.is(), (ONCEGATE_INVALID_CONFIG, "retry_budget.name"));
    assert_eq!(named(bytes(b"\xff")).unwrap_err().is(), (ONCEGATE_NOT_UTF8, "name"));
    let nowhere = Bytes { data: null(), len: 1 };
    assert_eq!(named(nowhere).unwrap_err().is(), (ONCEGATE_NULL_ARGUMENT, "name"));
}

/// Goal: operations and scopes have budgets of their own, as many as there may be.
/// Method: good ones, replaced ones, and those that are taken away; wrong names; one too many.
#[test]
fn operations_and_scopes_have_their_own() {
    let engine = Opened::new();
    let given: RawBudget = blank();
    let given = &raw const given;
    let scoped = |name: &[u8]| {
        let kind = ONCEGATE_SCOPE_NAMED;
        call!(oncegate_set_scope_budget(engine.0, kind, bytes(name), given))
    };
    let of = |name: &[u8]| call!(oncegate_set_operation_budget(engine.0, bytes(name), given));
    assert_eq!(scoped(b"acme"), Ok(()));
    assert_eq!(scoped(b"acme"), Ok(()));
    let single = ONCEGATE_SCOPE_SINGLE_TENANT;
    assert_eq!(call!(oncegate_set_scope_budget(engine.0, single, NOTHING, given)), Ok(()));
    assert_eq!(call!(oncegate_remove_scope_budget(engine.0, single, NOTHING)), Ok(()));
    assert_eq!(call!(oncegate_remove_scope_budget(engine.0, single, NOTHING)), Ok(()));
    assert_eq!(scoped(b"").unwrap_err().status, ONCEGATE_INVALID_SCOPE);
    let refused = call!(oncegate_set_scope_budget(engine.0, 3, NOTHING, given)).unwrap_err();
    assert_eq!(refused.is(), (ONCEGATE_BAD_VALUE, "scope_kind"));
    let refused = call!(oncegate_remove_scope_budget(engine.0, single, bytes("x"))).unwrap_err();
    assert_eq!(refused.is(), (ONCEGATE_BAD_SIZE, "scope"));
    assert_eq!(of(b"charge"), Ok(()));
    assert_eq!(of(b"").unwrap_err().is(), (ONCEGATE_INVALID_OPERATION, "operation"));
    assert_eq!(of(&[b'x'; 1_025]).unwrap_err().is(), (ONCEGATE_INVALID_OPERATION, "operation"));
    assert_eq!(of(b"\xff").unwrap_err().is(), (ONCEGATE_NOT_UTF8, "operation"));
    for number in 2..1_024 {
        assert_eq!(of(format!("operation {number}").as_bytes()), Ok(()), "{number}");
    }
    assert_eq!(of(b"more").unwrap_err().is(), (ONCEGATE_QUOTA_EXCEEDED, "retry_budgets"));
    let name = bytes(b"acme");
    let removed = call!(oncegate_remove_scope_budget(engine.0, ONCEGATE_SCOPE_NAMED, name));
    assert_eq!((removed, of(b"more")), (Ok(()), Ok(())), "there is room for one more");
}

/// Goal: `NULL` in each position is refused by its name.
/// Method: one at a time.
#[test]
fn budgets_need_their_arguments() {
    let engine = Opened::new();
    let given: RawBudget = blank();
    let (given, single, op) = (&raw const given, ONCEGATE_SCOPE_SINGLE_TENANT, bytes("charge"));
    let nowhere = Bytes { data: null(), len: 1 };
    let is = |refused: Result<(), Refused>, field: &str| {
        assert_eq!(refused.unwrap_err().is(), (ONCEGATE_NULL_ARGUMENT, field));
    };
    is(call!(oncegate_set_retry_budget(null(), given)), "engine");
    is(call!(oncegate_set_retry_budget(engine.0, null())), "budget");
    is(call!(oncegate_set_operation_budget(null(), op, given)), "engine");
    is(call!(oncegate_set_operation_budget(engine.0, nowhere, given)), "operation");
    is(call!(oncegate_set_operation_budget(engine.0, op, null())), "budget");
    is(call!(oncegate_set_scope_budget(null(), single, NOTHING, given)), "engine");
    is(call!(oncegate_set_scope_budget(engine.0, 0, nowhere, given)), "scope");
    is(call!(oncegate_set_scope_budget(engine.0, single, NOTHING, null())), "budget");
    is(call!(oncegate_remove_scope_budget(null(), single, NOTHING)), "engine");
    is(call!(oncegate_remove_scope_budget(engine.0, 0, nowhere)), "scope");
}

/// Goal: a budget of an older caller and of a newer one is understood.
/// Method: memory that ends with the name; zeros behind all that is known; something there; and
/// sizes that are none.
#[test]
fn budgets_may_grow() {
    let engine = Opened::new();
    let older: [u64; 4] = [32, u64::from(ONCEGATE_BUDGET_RATIO), 0, 0];
    assert_eq!(call!(oncegate_set_retry_budget(engine.0, older.as_ptr().cast())), Ok(()));
    #[repr(C)]
    struct Newer {
        known: RawBudget,
        unknown: u64,
    }
    let mut newer = Newer { known: blank(), unknown: 0 };
    newer.known.struct_size = size_of::<Newer>();
    let whole =
        |newer: &Newer| call!(oncegate_set_retry_budget(engine.0, (&raw const *newer).cast()));
    assert_eq!(whole(&newer), Ok(()));
    newer.unknown = 1;
    assert_eq!(whole(&newer).unwrap_err().is(), (ONCEGATE_BAD_SIZE, "budget.struct_size"));
    for size in [0, 24, 33, 1 << 20] {
        let refused = set(&engine, &budget(|budget| budget.struct_size = size)).unwrap_err();
        assert_eq!(refused.is(), (ONCEGATE_BAD_SIZE, "budget.struct_size"), "{size}");
    }
}
