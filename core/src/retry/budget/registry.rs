//! Budgets by scope, by operation, and for all.

use std::fmt;
use std::sync::PoisonError;

use dashmap::DashMap;

use super::{Levels, RetryBudget};
use crate::error::{Error, ErrorCode};
use crate::fingerprint::Scope;
use crate::sync::plain::{Mutex, MutexGuard};

/// Which budgets a request has to ask: its scope's, its operation's and the engine's, each if there
/// is one.
///
/// Looking them up takes a lock for the moment of a copy; whoever makes many requests of one kind
/// keeps the [`Levels`]. What is set applies to those that are looked up from then on.
///
/// ```
/// use oncegate::{Budgets, RetryBudget, Scope};
///
/// let budgets = Budgets::new();
/// budgets.set_engine(RetryBudget::finagle().name("all").build()?);
/// budgets.set_scope(Scope::new("noisy")?, RetryBudget::grpc(10, 0.1).name("noisy").build()?)?;
/// assert!(!budgets.levels(Scope::new("noisy")?, "search").is_empty());
/// # Ok::<(), oncegate::Error>(())
/// ```
pub struct Budgets {
    scopes: DashMap<Box<[u8]>, RetryBudget>,
    operations: DashMap<Box<str>, RetryBudget>,
    engine: Mutex<Option<RetryBudget>>,
    /// Held by whoever adds an entry, so that the limit is kept.
    adding: Mutex<()>,
    max_entries: usize,
}

impl Budgets {
    /// The most that [`max_entries`](Self::max_entries) takes.
    ///
    /// ```
    /// assert_eq!(oncegate::Budgets::MOST_ENTRIES, 65_536);
    /// ```
    pub const MOST_ENTRIES: usize = 65_536;

    /// No budgets yet, and room for those of 1,024 scopes and operations together: more than
    /// anybody names by hand, in 100 kB.
    ///
    /// ```
    /// let budgets = oncegate::Budgets::new();
    /// assert!(budgets.levels(oncegate::Scope::single_tenant(), "op").is_empty());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self {
            scopes: DashMap::new(),
            operations: DashMap::new(),
            engine: Mutex::new(None),
            adding: Mutex::new(()),
            max_entries: 1_024,
        }
    }

    /// How many scopes and operations together may have budgets, from 1 to
    /// [`MOST_ENTRIES`](Self::MOST_ENTRIES).
    ///
    /// # Errors
    ///
    /// [`ErrorCode::InvalidConfig`], field `retry_budgets.max_entries`.
    ///
    /// ```
    /// assert!(oncegate::Budgets::new().max_entries(0).is_err());
    /// ```
    pub fn max_entries(mut self, entries: usize) -> Result<Self, Error> {
        if !(1..=Self::MOST_ENTRIES).contains(&entries) {
            let (found, limit) = (format!("{entries}"), "1 to 65,536");
            let field = "retry_budgets.max_entries";
            return Err(Error::new(ErrorCode::InvalidConfig, field, found, limit));
        }
        self.max_entries = entries;
        Ok(self)
    }

    /// Sets the budget of a scope, in place of the one that it has.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::QuotaExceeded`], field `retry_budgets`, when as many scopes and operations have
    /// budgets as [`max_entries`](Self::max_entries) says.
    ///
    /// ```
    /// use oncegate::{Budgets, RetryBudget, Scope};
    ///
    /// let budgets = Budgets::new().max_entries(1)?;
    /// let budget = RetryBudget::envoy().build()?;
    /// budgets.set_scope(Scope::new("a")?, budget.clone())?;
    /// assert!(budgets.set_scope(Scope::new("b")?, budget).is_err());
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn set_scope(&self, scope: Scope<'_>, budget: RetryBudget) -> Result<(), Error> {
        with_key(scope, |key| self.set(&self.scopes, key, budget))
    }

    /// Sets the budget of an operation, in place of the one that it has.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::InvalidOperation`] when the name is empty or longer than 1,024 bytes;
    /// [`ErrorCode::QuotaExceeded`], as [`set_scope`](Self::set_scope).
    ///
    /// ```
    /// use oncegate::{Budgets, RetryBudget};
    ///
    /// let budgets = Budgets::new();
    /// budgets.set_operation("POST /charges", RetryBudget::aws_standard().build()?)?;
    /// assert!(budgets.set_operation("", RetryBudget::aws_standard().build()?).is_err());
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn set_operation(&self, operation: &str, budget: RetryBudget) -> Result<(), Error> {
        if operation.is_empty() || operation.len() > MAX_OPERATION {
            let (found, limit) = (format!("{} bytes", operation.len()), "1 to 1024 bytes");
            return Err(Error::new(ErrorCode::InvalidOperation, "operation", found, limit));
        }
        self.set(&self.operations, operation, budget)
    }

    /// Sets the budget of all requests together, in place of the one that there is.
    ///
    /// ```
    /// use oncegate::{Budgets, RetryBudget};
    ///
    /// Budgets::new().set_engine(RetryBudget::finagle().build()?);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn set_engine(&self, budget: RetryBudget) {
        *held(&self.engine) = Some(budget);
    }

    /// Takes the budget of a scope away; whether there was one.
    ///
    /// ```
    /// use oncegate::{Budgets, Scope};
    /// assert!(!Budgets::new().remove_scope(Scope::single_tenant()));
    /// ```
    pub fn remove_scope(&self, scope: Scope<'_>) -> bool {
        with_key(scope, |key| self.scopes.remove(key).is_some())
    }

    /// Takes the budget of an operation away; whether there was one.
    ///
    /// ```
    /// assert!(!oncegate::Budgets::new().remove_operation("search"));
    /// ```
    pub fn remove_operation(&self, operation: &str) -> bool {
        self.operations.remove(operation).is_some()
    }

    /// Takes the engine's budget away; whether there was one.
    ///
    /// ```
    /// assert!(!oncegate::Budgets::new().remove_engine());
    /// ```
    pub fn remove_engine(&self) -> bool {
        held(&self.engine).take().is_some()
    }

    /// The budgets of requests of this scope and operation.
    ///
    /// ```
    /// use oncegate::{Budgets, Scope};
    /// let levels = Budgets::new().levels(Scope::new("acme")?, "POST /charges");
    /// assert!(levels.is_empty());
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[must_use]
    pub fn levels(&self, scope: Scope<'_>, operation: &str) -> Levels {
        let of_scope = with_key(scope, |key| self.scopes.get(key).map(|own| own.clone()));
        let of_operation = self.operations.get(operation).map(|own| own.clone());
        Levels::new([of_scope, of_operation, held(&self.engine).clone()])
    }

    /// [`set_scope`](Self::set_scope) for a scope that is known by its hash alone.
    pub(crate) fn set_tag(&self, tag: u32, budget: RetryBudget) -> Result<(), Error> {
        self.set(&self.scopes, &tag.to_le_bytes()[..], budget)
    }

    /// [`remove_scope`](Self::remove_scope) for a scope that is known by its hash alone.
    pub(crate) fn remove_tag(&self, tag: u32) -> bool {
        self.scopes.remove(&tag.to_le_bytes()[..]).is_some()
    }

    /// [`levels`](Self::levels) of a scope that is known by its hash alone.
    pub(crate) fn levels_of(&self, tag: u32, operation: &str) -> Levels {
        let of_scope = self.scopes.get(&tag.to_le_bytes()[..]).map(|own| own.clone());
        let of_operation = self.operations.get(operation).map(|own| own.clone());
        Levels::new([of_scope, of_operation, held(&self.engine).clone()])
    }

    fn set<K: Eq + std::hash::Hash + ?Sized>(
        &self,
        map: &DashMap<Box<K>, RetryBudget>,
        key: &K,
        budget: RetryBudget,
    ) -> Result<(), Error>
    where
        for<'k> Box<K>: From<&'k K>,
    {
        let _one = held(&self.adding);
        let entries = self.scopes.len() + self.operations.len();
        if entries >= self.max_entries && !map.contains_key(key) {
            let (found, limit) = ("one more", format!("{} entries", self.max_entries));
            return Err(Error::new(ErrorCode::QuotaExceeded, "retry_budgets", found, limit));
        }
        map.insert(key.into(), budget);
        Ok(())
    }
}

impl Default for Budgets {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Budgets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scopes, operations) = (self.scopes.len(), self.operations.len());
        write!(f, "Budgets({scopes} scopes, {operations} operations)")
    }
}

/// The scope as a key: its kind, and its name. Nothing is allocated.
fn with_key<T>(scope: Scope<'_>, act: impl FnOnce(&[u8]) -> T) -> T {
    let mut key = [0; 1 + Scope::MAX_BYTES];
    let name = scope.name();
    key[0] = scope.kind_byte();
    key[1..=name.len()].copy_from_slice(name);
    act(&key[..=name.len()])
}

/// A panic of another holder leaves plain data behind, so poison means nothing.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// As `Request` has it.
const MAX_OPERATION: usize = 1_024;
