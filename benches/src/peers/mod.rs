//! The contenders: one file each, which says what it cannot do.

mod dashmap;
#[cfg(oncegate_idempotent)]
mod idempotent;
mod moka;
mod oncegate;
mod papaya;
pub mod placed;
mod quick_cache;
mod scc_cache;
mod scc_map;
mod sharded;
mod sharded_lru;
mod sharded_map;
mod std_map;

use std::collections::hash_map::RandomState;

pub use self::dashmap::DashMapStore;
#[cfg(oncegate_idempotent)]
pub use self::idempotent::{IdempotentStore, InItsRuntime};
pub use self::moka::MokaStore;
pub use self::oncegate::{Bare, Oncegate, OncegateText, widened};
pub use self::papaya::PapayaStore;
pub use self::quick_cache::QuickCacheStore;
pub use self::scc_cache::SccCacheStore;
pub use self::scc_map::SccMapStore;
pub use self::sharded_lru::LruStore;
pub use self::sharded_map::ShardedMapStore;
pub use self::std_map::StdMapStore;

use crate::key::{BuildIdentity, Hashed, Text};
use crate::store::Store;

/// Is shown every store of a kind, one after the other.
pub trait Visitor {
    /// Looks at one.
    fn visit<S: Store + 'static>(&mut self);
}

/// The peers, given fingerprints that were made before and an identity hasher.
pub fn hashed(visitor: &mut impl Visitor) {
    visitor.visit::<PapayaStore<Hashed, BuildIdentity>>();
    visitor.visit::<DashMapStore<Hashed, BuildIdentity, false>>();
    visitor.visit::<DashMapStore<Hashed, BuildIdentity, true>>();
    visitor.visit::<SccMapStore<Hashed, BuildIdentity>>();
    visitor.visit::<ShardedMapStore<Hashed, BuildIdentity>>();
    visitor.visit::<StdMapStore<Hashed, BuildIdentity>>();
    visitor.visit::<SccCacheStore<Hashed, BuildIdentity>>();
    visitor.visit::<LruStore<Hashed, BuildIdentity, 64>>();
    visitor.visit::<QuickCacheStore<Hashed, BuildIdentity>>();
    visitor.visit::<MokaStore<Hashed, BuildIdentity, true, false>>();
}

/// Stores that keep to a capacity, by their policies; the exact LRU is what they are held against.
pub fn bounded(visitor: &mut impl Visitor) {
    visitor.visit::<LruStore<Hashed, BuildIdentity, 1>>();
    visitor.visit::<Oncegate>();
    visitor.visit::<LruStore<Hashed, BuildIdentity, 64>>();
    visitor.visit::<SccCacheStore<Hashed, BuildIdentity>>();
    visitor.visit::<QuickCacheStore<Hashed, BuildIdentity>>();
    visitor.visit::<MokaStore<Hashed, BuildIdentity, true, false>>();
    visitor.visit::<MokaStore<Hashed, BuildIdentity, true, true>>();
}

/// The peers, given strings and their own default hashers.
pub fn text(visitor: &mut impl Visitor) {
    visitor.visit::<PapayaStore<Text, RandomState>>();
    visitor.visit::<DashMapStore<Text, RandomState, true>>();
    visitor.visit::<SccMapStore<Text, RandomState>>();
    visitor.visit::<ShardedMapStore<Text, hashbrown::DefaultHashBuilder>>();
    visitor.visit::<StdMapStore<Text, RandomState>>();
    visitor.visit::<SccCacheStore<Text, RandomState>>();
    visitor.visit::<LruStore<Text, hashbrown::DefaultHashBuilder, 64>>();
    visitor.visit::<QuickCacheStore<Text, ::quick_cache::DefaultHashBuilder>>();
    visitor.visit::<MokaStore<Text, RandomState, true, false>>();
}

/// Every contender, some of them more than once.
pub fn everyone(visitor: &mut impl Visitor) {
    bounded(visitor);
    hashed(visitor);
    visitor.visit::<Bare>();
    visitor.visit::<OncegateText<false>>();
    visitor.visit::<MokaStore<Hashed, BuildIdentity, false, false>>();
    #[cfg(oncegate_idempotent)]
    visitor.visit::<IdempotentStore>();
}
