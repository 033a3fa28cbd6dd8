//! Adaptive backoff: which settings and loads are refused.

use crate::support::{Opened, Refused, blank};
use oncegate_ffi::*;

fn opened(adaptive: &RawAdaptive) -> Result<Opened, Refused> {
    Opened::try_with(|options| options.adaptive = adaptive)
}

/// Goal: every setting that is out of its range is refused by its name, when an engine is opened
/// and when its memory is counted.
/// Method: one setting at a time; `ONCEGATE_ZERO` and its like where zero itself is no value.
#[test]
fn settings_have_limits() {
    type Set = fn(&mut RawAdaptive);
    let cases: [(&str, Set); 12] = [
        ("adaptive.load_target", |adaptive| adaptive.load_target = 1.5),
        ("adaptive.load_target", |adaptive| adaptive.load_target = f64::NAN),
        ("adaptive.interval", |adaptive| adaptive.interval_ms = ONCEGATE_ZERO),
        ("adaptive.interval", |adaptive| adaptive.interval_ms = 3_600_001),
        ("adaptive.quiet", |adaptive| adaptive.quiet_ms = 86_400_001),
        ("adaptive.decrease", |adaptive| adaptive.decrease = 1.0),
        ("adaptive.increase", |adaptive| adaptive.increase = ONCEGATE_ZERO_F64),
        ("adaptive.max_factor", |adaptive| adaptive.max_factor = 0.5),
        ("adaptive.max_base", |adaptive| adaptive.max_base = f64::INFINITY),
        ("adaptive.max_ceiling", |adaptive| adaptive.max_ceiling = -2.0),
        ("adaptive.max_width", |adaptive| adaptive.max_width = 1e7),
        ("adaptive.max_width", |adaptive| adaptive.max_width = 0.99),
    ];
    for (field, set) in cases {
        let mut adaptive: RawAdaptive = blank();
        set(&mut adaptive);
        let refused = opened(&adaptive).err().expect(field);
        assert_eq!(refused.is(), (ONCEGATE_INVALID_CONFIG, field));
        let (mut options, mut bytes): (RawOptions, u64) = (blank(), 0);
        options.adaptive = &raw const adaptive;
        let counted = call!(oncegate_required_bytes(&raw const options, &raw mut bytes));
        assert_eq!(counted, Err(refused));
    }
    let mut adaptive: RawAdaptive = blank();
    (adaptive.lag_target_ms, adaptive.ready_target) = (ONCEGATE_ZERO, ONCEGATE_ZERO);
    (adaptive.in_flight_target, adaptive.quiet_ms) = (ONCEGATE_ZERO, ONCEGATE_ZERO);
    adaptive.load_target = ONCEGATE_ZERO_F64;
    assert!(opened(&adaptive).is_ok(), "zero itself is a value of these");
}

/// Goal: a load needs an adaptive engine and a number from 0 to 1.
/// Method: an engine without, and numbers beyond both ends.
#[test]
fn loads_are_checked() {
    let engine = Opened::new();
    let refused = call!(oncegate_set_load(engine.0, 0.5)).unwrap_err();
    assert_eq!(refused.is(), (ONCEGATE_INVALID_CONFIG, "adaptive_backoff"));
    let engine = opened(&blank()).expect("all defaults");
    for load in [-0.1, 1.1, f64::NAN] {
        let refused = call!(oncegate_set_load(engine.0, load)).unwrap_err();
        assert_eq!(refused.status, ONCEGATE_INVALID_OPTION, "{load}");
    }
    for load in [0.0, 1.0] {
        call!(oncegate_set_load(engine.0, load)).expect("an end of the range");
    }
    let refused = call!(oncegate_set_load(std::ptr::null(), 0.5)).unwrap_err();
    assert_eq!(refused.is(), (ONCEGATE_NULL_ARGUMENT, "engine"));
}

/// Goal: settings of an older caller and of a newer one are understood.
/// Method: a size that ends after the first setting, before one that would be refused; zeros behind
/// all that is known; something there; and sizes that are none.
#[test]
fn settings_may_grow() {
    let mut older: RawAdaptive = blank();
    (older.struct_size, older.max_width) = (16, 0.5);
    assert!(opened(&older).is_ok(), "what is beyond the size does not count");
    #[repr(C)]
    struct Newer {
        known: RawAdaptive,
        unknown: u64,
    }
    let mut newer = Newer { known: blank(), unknown: 0 };
    newer.known.struct_size = size_of::<Newer>();
    let open = |newer: &Newer| {
        let at = (&raw const *newer).cast::<RawAdaptive>();
        Opened::try_with(|options| options.adaptive = at).map(drop)
    };
    assert_eq!(open(&newer), Ok(()));
    newer.unknown = 1;
    let refused = open(&newer).unwrap_err();
    assert_eq!(refused.is(), (ONCEGATE_BAD_SIZE, "adaptive.struct_size"));
    for size in [0, 8, 17, 1 << 20] {
        older.struct_size = size;
        let refused = opened(&older).err().expect("no size");
        assert_eq!(refused.is(), (ONCEGATE_BAD_SIZE, "adaptive.struct_size"), "{size}");
    }
}
