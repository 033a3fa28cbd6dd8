//! Downstream: what an attempt tells the services that it calls.

use super::super::{Engine, Lease, LeaseToken};
use crate::error::Error;
use crate::fingerprint::Fingerprint;
use crate::retry::{AttemptHeaders, DownstreamKey};

impl Lease<'_> {
    /// An idempotency key for a call of this request to `service`: the same in every attempt.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::InvalidOption`](crate::ErrorCode::InvalidOption): a name that is empty or
    /// longer than 255 bytes. [`ErrorCode::Fenced`](crate::ErrorCode::Fenced): the lease is lost.
    ///
    /// ```
    /// use oncegate::{Admission, Engine, Failure, Request, Scope};
    ///
    /// let engine = Engine::builder().capacity(1_000).build()?;
    /// let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// let Admission::Admitted(lease) = engine.begin(&request)? else { unreachable!() };
    /// let key = lease.downstream_key("payments")?;
    /// lease.fail(Failure::retryable())?;
    /// let Admission::Admitted(lease) = engine.begin(&request)? else { unreachable!() };
    /// assert_eq!(lease.downstream_key("payments")?, key);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn downstream_key(&self, service: &str) -> Result<DownstreamKey, Error> {
        self.engine().downstream_key(self.token(), service)
    }

    /// The same for a step of several that call `service`.
    ///
    /// # Errors
    ///
    /// As [`downstream_key`](Self::downstream_key).
    ///
    /// ```
    /// # use oncegate::{Admission, Engine, Request, Scope};
    /// # let engine = Engine::builder().capacity(1_000).build()?;
    /// # let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// # let Admission::Admitted(lease) = engine.begin(&request)? else { unreachable!() };
    /// assert_ne!(lease.step_key("payments", "charge")?, lease.step_key("payments", "fee")?);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn step_key(&self, service: &str, step: &str) -> Result<DownstreamKey, Error> {
        self.engine().step_key(self.token(), service, step)
    }

    /// The headers of a call to `service`: its idempotency key, the attempt, and the fencing token.
    ///
    /// # Errors
    ///
    /// As [`downstream_key`](Self::downstream_key).
    ///
    /// ```
    /// # use oncegate::{Admission, Engine, Request, Scope};
    /// # let engine = Engine::builder().capacity(1_000).build()?;
    /// # let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// # let Admission::Admitted(lease) = engine.begin(&request)? else { unreachable!() };
    /// for (name, value) in lease.headers("payments")?.iter() {
    ///     println!("{name}: {value}");
    /// }
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn headers(&self, service: &str) -> Result<AttemptHeaders, Error> {
        self.engine().attempt_headers(self.token(), service)
    }
}

impl Engine {
    /// [`Lease::downstream_key`], for whoever keeps a token instead of a [`Lease`].
    ///
    /// # Errors
    ///
    /// As there. [`ErrorCode::Forked`](crate::ErrorCode::Forked).
    ///
    /// ```
    /// # use oncegate::{Admission, Engine, Request, Scope};
    /// # let engine = Engine::builder().capacity(1_000).build()?;
    /// # let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// # let Admission::Admitted(lease) = engine.begin(&request)? else { unreachable!() };
    /// let key = lease.downstream_key("payments")?;
    /// let token = lease.into_token();
    /// assert_eq!(engine.downstream_key(&token, "payments")?, key);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn downstream_key(
        &self,
        token: &LeaseToken,
        service: &str,
    ) -> Result<DownstreamKey, Error> {
        DownstreamKey::new(self.identity_of(token)?, service)
    }

    /// [`Lease::step_key`], for whoever keeps a token instead of a [`Lease`].
    ///
    /// # Errors
    ///
    /// As [`downstream_key`](Self::downstream_key).
    ///
    /// ```
    /// # use oncegate::{Admission, Engine, Request, Scope};
    /// # let engine = Engine::builder().capacity(1_000).build()?;
    /// # let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// # let Admission::Admitted(lease) = engine.begin(&request)? else { unreachable!() };
    /// let key = engine.step_key(lease.token(), "payments", "charge")?;
    /// assert_eq!(key, lease.step_key("payments", "charge")?);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn step_key(
        &self,
        token: &LeaseToken,
        service: &str,
        step: &str,
    ) -> Result<DownstreamKey, Error> {
        DownstreamKey::of_step(self.identity_of(token)?, service, step)
    }

    /// [`Lease::headers`], for whoever keeps a token instead of a [`Lease`].
    ///
    /// # Errors
    ///
    /// As [`downstream_key`](Self::downstream_key).
    ///
    /// ```
    /// # use oncegate::{Admission, Engine, Request, Scope};
    /// # let engine = Engine::builder().capacity(1_000).build()?;
    /// # let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// # let Admission::Admitted(lease) = engine.begin(&request)? else { unreachable!() };
    /// let headers = engine.attempt_headers(lease.token(), "payments")?;
    /// assert!(headers == lease.headers("payments")?);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn attempt_headers(
        &self,
        token: &LeaseToken,
        service: &str,
    ) -> Result<AttemptHeaders, Error> {
        let key = self.downstream_key(token, service)?;
        AttemptHeaders::new(key, token.attempt(), token.fencing_token())
    }

    /// What names the record that `token` leases, as far as its slot tells.
    fn identity_of(&self, token: &LeaseToken) -> Result<Fingerprint, Error> {
        self.enter()?;
        let (slot, seen) = self.held(token).ok_or_else(|| self.fenced())?;
        let words = self.table.slot(slot).identity();
        // A record that went meanwhile is another's.
        if self.table.slot(slot).control().load().fence() != seen.fence() {
            return Err(self.fenced());
        }
        let mut bytes = [0; 32];
        for (to, word) in bytes.chunks_exact_mut(size_of::<u64>()).zip(words) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        Ok(Fingerprint::from_bytes(bytes))
    }
}
