//! The contenders: one file each, which says what it cannot do.

mod dashmap;
#[cfg(oncegate_idempotent)]
mod idempotent;
mod moka;
mod oncegate;
mod papaya;
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
pub use self::oncegate::{Oncegate, OncegateText};
pub use self::papaya::PapayaStore;
pub use self::quick_cache::QuickCacheStore;
pub use self::scc_cache::SccCacheStore;
pub use self::scc_map::SccMapStore;
pub use self::sharded_lru::ShardedLruStore;
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
    visitor.visit::<ShardedLruStore<Hashed, BuildIdentity>>();
    visitor.visit::<QuickCacheStore<Hashed, BuildIdentity>>();
    visitor.visit::<MokaStore<Hashed, BuildIdentity, true, false>>();
}

/// The peers, given strings and their own default hashers.
pub fn text(visitor: &mut impl Visitor) {
    visitor.visit::<PapayaStore<Text, RandomState>>();
    visitor.visit::<DashMapStore<Text, RandomState, true>>();
    visitor.visit::<SccMapStore<Text, RandomState>>();
    visitor.visit::<ShardedMapStore<Text, hashbrown::DefaultHashBuilder>>();
    visitor.visit::<StdMapStore<Text, RandomState>>();
    visitor.visit::<SccCacheStore<Text, RandomState>>();
    visitor.visit::<ShardedLruStore<Text, hashbrown::DefaultHashBuilder>>();
    visitor.visit::<QuickCacheStore<Text, ::quick_cache::DefaultHashBuilder>>();
    visitor.visit::<MokaStore<Text, RandomState, true, false>>();
}
