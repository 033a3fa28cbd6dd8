//! What the tests of the wheel share.

use proptest::test_runner::{Config, RngSeed};

/// Properties run from one seed, so that a failure comes again; another one can be given in the
/// environment (`PROPTEST_RNG_SEED`). The seed is part of what a failure prints.
pub(super) fn seeded(cases: u32) -> Config {
    let mut config = Config { cases, failure_persistence: None, ..Config::default() };
    if let RngSeed::Random = config.rng_seed {
        config.rng_seed = RngSeed::Fixed(0x7469_6d65);
    }
    println!("proptest seed: {:?}", config.rng_seed);
    config
}
