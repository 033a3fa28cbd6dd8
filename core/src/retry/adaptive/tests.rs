//! The controller: what presses, how far it goes, and that it comes back.

use proptest::prelude::*;

use super::*;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn standard() -> AdaptiveBackoff {
    AdaptiveBackoff::builder().build().expect("valid")
}

/// Goal: each input presses above its target alone, and by itself. Method: each of the four, at
/// its target and just above it.
#[test]
fn each_input_presses_above_its_target() {
    type Observe = fn(&AdaptiveBackoff, bool);
    let inputs: [Observe; 4] = [
        |a, above| a.observe_lag(Duration::from_millis(100) + Duration::from_nanos(above.into())),
        |a, above| a.observe_ready(1_000 + usize::from(above)),
        |a, above| a.observe_in_flight(1_000 + usize::from(above)),
        |a, above| a.set_load(if above { 0.800_001 } else { 0.8 }).expect("a load"),
    ];
    for (at, observe) in inputs.into_iter().enumerate() {
        for above in [false, true] {
            let adaptive = standard();
            observe(&adaptive, above);
            let stretch = adaptive.step(secs(1));
            assert_eq!(stretch.base, if above { 2.0 } else { 1.0 }, "input {at}");
            let stats = adaptive.stats();
            let all = [stats.lag_seconds, stats.ready, stats.in_flight, stats.load];
            for (other, input) in all.iter().enumerate() {
                assert_eq!(input.value.is_some(), other == at);
                assert_eq!(input.pressed, above && other == at);
            }
            assert_eq!(all.map(|input| input.target), [0.1, 1_000.0, 1_000.0, 0.8]);
            assert_eq!(stats.decreases, u64::from(above));
        }
    }
}

/// Goal: the least lag and depth of an interval count, and the last load and count in flight.
/// Method: several observations of each before one step.
#[test]
fn bursts_do_not_press() {
    let adaptive = standard();
    for (lag, depth, attempts, load) in [(900, 5_000, 5_000, 1.0), (20, 70, 9, 0.1)] {
        adaptive.observe_lag(Duration::from_millis(lag));
        adaptive.observe_ready(depth);
        adaptive.observe_in_flight(attempts);
        adaptive.set_load(load).expect("a load");
    }
    adaptive.observe_lag(Duration::from_secs(5));
    adaptive.observe_ready(9_999);
    assert_eq!(adaptive.step(secs(1)), Stretch::NONE);
    let stats = adaptive.stats();
    assert_eq!(stats.lag_seconds.value, Some(0.02));
    assert_eq!(stats.ready.value, Some(70.0));
    assert_eq!(stats.in_flight.value, Some(9.0));
    assert_eq!(stats.load.value, Some(0.1));
}

/// Goal: no observation is taken for none. Method: the largest of each.
#[test]
fn the_largest_observations_press() {
    let inputs: [fn(&AdaptiveBackoff); 3] = [
        |a| a.observe_lag(Duration::MAX),
        |a| a.observe_ready(usize::MAX),
        |a| a.observe_in_flight(usize::MAX),
    ];
    for observe in inputs {
        let adaptive = standard();
        observe(&adaptive);
        assert_eq!(adaptive.step(secs(1)).base, 2.0);
    }
}

/// Goal: however long an input presses, each factor stays within its bound. Method: a hundred
/// intervals of pressure.
#[test]
fn factors_are_bounded() {
    let config = AdaptiveBackoff::builder().max_factor(16.0).max_ceiling(4.0).max_width(1.5);
    let adaptive = config.max_base(32.0).build().expect("valid");
    for now in 1..=100 {
        adaptive.observe_ready(usize::MAX);
        let stretch = adaptive.step(secs(now));
        assert!(stretch.base <= 16.0 && adaptive.stats().factor <= 16.0, "{stretch:?}");
    }
    assert_eq!(adaptive.stretch(), Stretch { base: 16.0, ceiling: 4.0, width: 1.5 });
    // So it comes back within as many steps, and not a hundred times later.
    for now in 101..=120 {
        adaptive.observe_ready(0);
        adaptive.step(secs(now));
    }
    assert_eq!(adaptive.stretch(), Stretch::NONE);
}

/// Goal: the rate rises by addition: twice the factor is given up in as many steps as it takes for
/// the rate to come back. Method: the rates of single steps.
#[test]
fn the_rate_is_added_to() {
    let adaptive = AdaptiveBackoff::builder().increase(0.125).build().expect("valid");
    let mut now = 0;
    let mut step = |depth| {
        now += 1;
        adaptive.observe_ready(depth);
        1.0 / adaptive.step(secs(now)).base
    };
    assert_eq!([step(0), step(2_000), step(2_000)], [1.0, 0.5, 0.25]);
    assert_eq!([step(1_000), step(0), step(0)], [0.375, 0.5, 0.625]);
    assert_eq!(step(1_001), 0.3125);
    let stats = adaptive.stats();
    assert_eq!((stats.decreases, stats.increases), (3, 3));
}

/// Goal: two processes with unlike rates come to the same one. Method: both see the sum of their
/// loads against one target; their ratio after each rise and fall.
#[test]
fn rates_converge_to_a_fair_share() {
    let (one, two) = (standard(), standard());
    for now in 1..=3 {
        one.observe_ready(2_000);
        one.step(secs(now));
    }
    let rates = || [one.stretch(), two.stretch()].map(|stretch| 1.0 / stretch.base);
    assert!(rates()[1] / rates()[0] > 7.0);
    for now in 4..=400 {
        let over = rates().iter().sum::<f64>() > 1.2;
        for own in [&one, &two] {
            own.observe_ready(if over { 2_000 } else { 0 });
            own.step(secs(now));
        }
    }
    let [first, second] = rates();
    assert!((first / second - 1.0).abs() < 0.05, "{first} and {second}");
}

/// Goal: at most one change an interval, and what was observed meanwhile is not lost. Method:
/// steps within an interval, and times that go back.
#[test]
fn one_change_an_interval() {
    let adaptive = standard();
    adaptive.observe_ready(2_000);
    assert_eq!(adaptive.step(secs(10)).base, 2.0);
    for early in [Duration::from_millis(10_999), secs(3), secs(10)] {
        adaptive.observe_ready(2_000);
        assert_eq!(adaptive.step(early).base, 2.0);
    }
    assert_eq!(adaptive.step(secs(11)).base, 4.0);
}

/// Goal: a load stays in force until another is told, or for the quiet time from the step that saw
/// it. Method: a quiet time of 3 s: one that presses, told once; then one that does not.
#[test]
fn load_stays_in_force() {
    let adaptive = AdaptiveBackoff::builder().quiet(secs(3)).build().expect("valid");
    adaptive.set_load(1.0).expect("a load");
    let mut told = Vec::new();
    for now in 1..=5 {
        adaptive.step(secs(now));
        told.push((adaptive.stats().load.value, adaptive.stats().decreases));
    }
    assert_eq!(told[..4], [(Some(1.0), 1), (Some(1.0), 2), (Some(1.0), 3), (Some(1.0), 4)]);
    assert_eq!(told[4], (None, 4));
    for (load, now) in [(1.0, 6), (0.5, 7)] {
        adaptive.set_load(load).expect("a load");
        adaptive.step(secs(now));
    }
    adaptive.step(secs(8));
    assert_eq!((adaptive.stats().load.value, adaptive.stats().decreases), (Some(0.5), 5));
}

/// Goal: silence holds the rate for a while, and then lets it rise, also where nobody stepped.
/// Method: a quiet time of 3 s: steps before it, in it, and one long after it.
#[test]
fn silence_relaxes() {
    let config = AdaptiveBackoff::builder().quiet(secs(3)).increase(0.125);
    let pressed = || {
        let adaptive = config.clone().build().expect("valid");
        adaptive.observe_ready(2_000);
        adaptive.step(secs(1));
        adaptive
    };
    let adaptive = pressed();
    let rates: Vec<f64> = (2..=8).map(|now| 1.0 / adaptive.step(secs(now)).base).collect();
    assert_eq!(rates, [0.5, 0.5, 0.5, 0.625, 0.75, 0.875, 1.0]);
    assert_eq!(pressed().step(secs(6)).base, 1.0 / 0.75);
    assert_eq!(pressed().step(secs(1_000)), Stretch::NONE);
    // Whoever observes something again is heard at once.
    let adaptive = pressed();
    adaptive.step(secs(5));
    adaptive.observe_ready(2_000);
    assert_eq!(adaptive.step(secs(6)).base, 1.0 / 0.3125);
}

/// Goal: what is no load, and no configuration, is refused by name. Method: each, out of range.
#[test]
fn input_is_checked() {
    let adaptive = standard();
    for load in [f64::NAN, -0.001, 1.001, f64::INFINITY] {
        let error = adaptive.set_load(load).expect_err("no load");
        assert_eq!((error.code(), error.field()), (ErrorCode::InvalidOption, "adaptive.load"));
    }
    adaptive.step(secs(1));
    assert_eq!(adaptive.stats().load.value, None);
    let config = AdaptiveBackoff::builder;
    for (built, field) in [
        (config().load_target(f64::NAN), "adaptive.load_target"),
        (config().decrease(0.09), "adaptive.decrease"),
        (config().decrease(1.0), "adaptive.decrease"),
        (config().increase(0.0), "adaptive.increase"),
        (config().max_factor(0.9), "adaptive.max_factor"),
        (config().max_base(2e6), "adaptive.max_base"),
        (config().max_ceiling(f64::NAN), "adaptive.max_ceiling"),
        (config().max_width(0.0), "adaptive.max_width"),
        (config().interval(Duration::ZERO), "adaptive.interval"),
        (config().interval(secs(3_601)), "adaptive.interval"),
        (config().quiet(secs(86_401)), "adaptive.quiet"),
    ] {
        let error = built.build().expect_err(field);
        assert_eq!((error.code(), error.field()), (ErrorCode::InvalidConfig, field));
    }
}

proptest! {
    /// Goal: whatever is observed, factors stay within their bounds, and calm brings them back.
    /// Method: random observations and times, and then twenty calm intervals.
    #[test]
    fn bounds_hold_and_calm_relaxes(
        seen in prop::collection::vec((any::<u16>(), 0..3_000_u64, 0.0..=1.0_f64), 1..80),
        max_factor in 1.0..64.0_f64,
    ) {
        let config = AdaptiveBackoff::builder().max_factor(max_factor);
        let adaptive = config.build().expect("valid");
        let mut now = Duration::ZERO;
        for (value, wait, load) in seen {
            now += Duration::from_millis(wait);
            adaptive.observe_lag(Duration::from_millis(value.into()));
            adaptive.observe_in_flight(value.into());
            adaptive.set_load(load).expect("a load");
            let Stretch { base, ceiling, width } = adaptive.step(now);
            prop_assert!((1.0..=max_factor.min(16.0)).contains(&base));
            prop_assert!((1.0..=4.0).contains(&ceiling) && (1.0..=16.0).contains(&width));
        }
        // Else the last one would stay in force.
        adaptive.set_load(0.0).expect("a load");
        for _ in 0..21 {
            now += secs(1);
            adaptive.observe_lag(Duration::ZERO);
            adaptive.step(now);
        }
        prop_assert_eq!(adaptive.stretch(), Stretch::NONE);
    }
}
