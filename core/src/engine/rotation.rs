//! Rotation of the secret: records made under the old one are found until it is retired, and no
//! request runs twice across it.
//!
//! During a rotation a request has two fingerprints. A search looks under both; a new record is
//! made under the new one. An insertion also disturbs the arbitration word of the old home, after
//! searching there and before its own arbitration. So a call that does not know of the rotation
//! yet either inserted before that search, and is found, or fails its arbitration, reads the word
//! again, and with it learns of the rotation.
//!
//! Retiring first disturbs every home, so that no call that began before the rotation can still
//! insert under the old key, and then looks whether a record under it is left.

use super::Engine;
use super::keys;
use crate::error::{Error, ErrorCode};
use crate::fingerprint::Secret;
use crate::region::Exclusive;
use crate::sync::planted::Bug;
use crate::sync::{Mutex, lock};

impl Engine {
    /// Starts to rotate to `secret`. From now on new records are made under it, and records made
    /// under the old one are still found.
    ///
    /// While both are in force a call hashes its request twice. Keep the rotation going for one
    /// dedup window, then call [`finish_rotation`](Self::finish_rotation). A call with the secret
    /// that is in force changes nothing.
    ///
    /// Where the table is shared, one process rotates for all. If the secrets are kept in a key
    /// file the others learn of the new one there. If they were given, or the table is inherited
    /// memory, each process must be told the new one by this call too, and its calls answer
    /// [`ErrorCode::WrongSecret`] until then.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::RotationPending`]: another rotation is under way.
    /// [`ErrorCode::Exhausted`]: the table has seen 255 rotations; that of a file goes on counting
    /// over restarts. [`ErrorCode::Unsupported`]: the engine has a tier, whose records other hosts
    /// look for under the old secret. [`ErrorCode::Forked`].
    ///
    /// ```
    /// # use oncegate::{Admission, Engine, Outcome, Request, Scope, Secret};
    /// # let engine = Engine::builder().capacity(1_000).build()?;
    /// # let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// if let Admission::Admitted(lease) = engine.begin(&request)? {
    ///     lease.complete(&Outcome::new(200, b"done"))?;
    /// }
    /// engine.rotate_secret(Secret::generate()?)?;
    /// assert!(matches!(engine.begin(&request)?, Admission::Replayed(_)));
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn rotate_secret(&self, secret: Secret) -> Result<(), Error> {
        self.enter()?;
        if self.has_tier() {
            let (found, limit) = ("an engine with a tier", "an engine without one");
            return Err(Error::new(ErrorCode::Unsupported, "rotate_secret", found, limit));
        }
        let _one_at_a_time = lock(self.rotation.get(Mutex::default));
        let rotated = self.region.exclusively(Exclusive::Upkeep, || self.rotate_to(&secret))?;
        rotated.ok_or_else(pending)
    }

    fn rotate_to(&self, secret: &Secret) -> Result<(), Error> {
        let now = keys::load(&self.region);
        if self.keys.learn(&self.region, now.current, [secret]) {
            // It is what is in force, or another process has begun it.
            return Ok(());
        }
        if now.retiring.is_some() {
            return Err(pending());
        }
        // What is made under it must still be found.
        self.hasher(now.current)?;
        let key = self.keys.add(secret, now)?;
        self.keep_secrets(|kept| {
            kept.retain(|(id, _)| *id != key.id);
            kept.push((key.id, secret.clone()));
        })?;
        keys::store_check(&self.region, key.id, key.check);
        // A request's home changes with its fingerprint; its tokens must grow all the same.
        self.table.raise_fence_floor(self.table.highest_fence());
        keys::store(&self.region, now.rotated_to(key.id));
        Ok(())
    }

    /// Retires the old secret, once no record made under it is left.
    ///
    /// Reads every slot: not for the hot path.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::RotationPending`] says how many records are left: wait until their windows
    /// are over, resolve the unknown ones, and call again. [`ErrorCode::NotFound`]: no rotation
    /// is under way. [`ErrorCode::Forked`].
    ///
    /// ```
    /// # use oncegate::{Engine, ErrorCode, Secret};
    /// # let engine = Engine::builder().capacity(1_000).build()?;
    /// engine.rotate_secret(Secret::generate()?)?;
    /// engine.finish_rotation()?;
    /// assert_eq!(engine.finish_rotation().unwrap_err().code(), ErrorCode::NotFound);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn finish_rotation(&self) -> Result<(), Error> {
        self.enter()?;
        let _one_at_a_time = lock(self.rotation.get(Mutex::default));
        let finished = self.region.exclusively(Exclusive::Upkeep, || self.retire_old())?;
        finished.ok_or_else(pending)
    }

    fn retire_old(&self) -> Result<(), Error> {
        let now = keys::load(&self.region);
        let Some(old) = now.retiring else {
            return Err(Error::of(ErrorCode::NotFound, "rotation"));
        };
        // Whoever inserts without knowing of the rotation fails from here on; what such a call
        // inserted before is seen below.
        self.table.disturb_all();
        // What is over goes, so that no holder can end a record that nobody finds any more. All
        // sets, whoever else sweeps; and what could not be cleared is counted.
        let rules = self.rules();
        let left = if Bug::RotationSweepsInTurn.is_planted() {
            self.sweep(usize::MAX)?;
            0
        } else {
            self.sweep_all(&rules);
            self.table.count_made_under(keys::short(old))
        };
        if left > 0 {
            let found = format!("{left} records under the old secret");
            return Err(Error::new(ErrorCode::RotationPending, "secret", found, "none"));
        }
        self.table.raise_fence_floor(self.table.highest_fence());
        keys::store(&self.region, now.retired());
        self.keep_secrets(|kept| kept.retain(|(id, _)| *id != old))
    }
}

/// Another rotation is under way, or another process takes a step of one.
fn pending() -> Error {
    Error::of(ErrorCode::RotationPending, "secret")
}
