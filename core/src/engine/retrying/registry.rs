//! The registry: what was set for operations, scopes and the engine, in one process.
//!
//! A child that forks while another thread changes a setting would find a lock that nobody opens.
//! So each process has a registry of its own, and what was set is noted in a list that only grows,
//! without a lock: the first look in a child makes its registry from that list. What is set in a
//! child is the child's alone.

use std::sync::Arc;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry as Place;

use super::hooks::ReconcileHook;
use super::retries::hash_of;
use super::settings::OperationSettings;
use crate::error::{Error, ErrorCode};
use crate::fork::{Once, PerProcess};
use crate::retry::{Budgets, Levels, RetryBudget};
use crate::sync::Ordering;
use crate::sync::plain::{AtomicBool, AtomicU64, Mutex};

/// Something that was set.
#[derive(Clone)]
pub(super) enum Setting {
    Operation(Box<str>, Arc<OperationSettings>),
    Reconciler(ReconcileHook),
    EngineBudget(RetryBudget),
    /// A scope by the whole of its hash.
    ScopeBudget(u64, RetryBudget),
    NoScopeBudget(u64),
    OperationBudget(Box<str>, RetryBudget),
}

/// Settings of all processes.
pub(super) struct Registry {
    own: PerProcess<InForce>,
    /// All settings, in the order in which they were made.
    log: Entry,
    noted: AtomicU64,
    /// Whether any budget was ever set.
    budgeted: AtomicBool,
    /// Whether any hook was ever set, or no policy can be.
    leaves_lapses: AtomicBool,
}

/// A place in the list, and the rest of it.
struct Entry(Once<(Setting, Box<Entry>)>);

/// Settings of one process.
struct InForce {
    /// By the hash that entries have of an operation, with its name: two names may have one.
    operations: DashMap<u32, (Box<str>, Arc<OperationSettings>)>,
    /// Scopes that have budgets: by the part of their hash that leases have, the whole of it.
    scopes: DashMap<u32, u64>,
    reconciler: Mutex<Option<ReconcileHook>>,
    budgets: Budgets,
}

impl Registry {
    pub(super) fn new() -> Self {
        Self {
            own: PerProcess::new(InForce::new()),
            log: Entry(Once::new()),
            noted: AtomicU64::new(0),
            budgeted: AtomicBool::new(false),
            leaves_lapses: AtomicBool::new(false),
        }
    }

    fn in_force(&self) -> &InForce {
        self.own.get(|| {
            let fresh = InForce::new();
            let mut at = &self.log;
            while let Some((setting, next)) = at.0.get() {
                // It was accepted before.
                let _ = fresh.apply(setting.clone());
                at = next;
            }
            fresh
        })
    }

    /// Applies `setting`, and notes it for children.
    pub(super) fn set(&self, setting: Setting) -> Result<(), Error> {
        // Relaxed: a count that keeps the list from growing for ever.
        if self.noted.fetch_add(1, Ordering::Relaxed) >= MOST_SETTINGS {
            let limit = format!("{MOST_SETTINGS} changes of settings");
            return Err(Error::new(ErrorCode::QuotaExceeded, "settings", "one more", limit));
        }
        let flag = match &setting {
            Setting::Operation(_, settings) if settings.has_hooks() => Some(&self.leaves_lapses),
            Setting::EngineBudget(_) | Setting::ScopeBudget(..) | Setting::OperationBudget(..) => {
                Some(&self.budgeted)
            }
            _ => None,
        };
        self.in_force().apply(setting.clone())?;
        if let Some(flag) = flag {
            // Relaxed: whoever sets something before he begins a request has done so in this
            // thread, or synchronised by other means.
            flag.store(true, Ordering::Relaxed);
        }
        self.log.append(setting);
        Ok(())
    }

    /// Whether any budget was ever set.
    #[inline]
    pub(super) fn is_budgeted(&self) -> bool {
        // Relaxed: see `set`.
        self.budgeted.load(Ordering::Relaxed)
    }

    /// Whether an operation was ever given a hook, or this process has no policies.
    pub(super) fn leaves_lapses(&self) -> bool {
        // Relaxed: see `set`.
        self.leaves_lapses.load(Ordering::Relaxed)
    }

    pub(super) fn knows(&self, operation: u32) -> bool {
        self.in_force().operations.contains_key(&operation)
    }

    /// This process has no policies.
    #[cfg(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]
    pub(super) fn leave_lapses(&self) {
        // Relaxed: before anybody else has the engine.
        self.leaves_lapses.store(true, Ordering::Relaxed);
    }

    /// The settings of `operation`.
    pub(super) fn operation(&self, operation: &str) -> Option<Arc<OperationSettings>> {
        let known = self.in_force().operations.get(&hash_of(operation))?;
        let (name, settings) = &*known;
        (**name == *operation).then(|| Arc::clone(settings))
    }

    /// How many attempts may run at a time of the operation with this hash, if it has settings.
    pub(super) fn limit_of(&self, hash: u32) -> Option<usize> {
        self.in_force().operations.get(&hash).map(|known| known.1.max_in_flight)
    }

    pub(super) fn reconciler(&self) -> Option<ReconcileHook> {
        held(&self.in_force().reconciler).clone()
    }

    /// The budgets that an attempt of `operation` in `scope` has to ask.
    pub(super) fn levels(&self, scope: u32, operation: &str) -> Levels {
        self.in_force().budgets.levels_of(scope, operation)
    }
}

impl InForce {
    fn new() -> Self {
        let reconciler = Mutex::new(None);
        let (operations, scopes) = (DashMap::new(), DashMap::new());
        Self { operations, scopes, reconciler, budgets: Budgets::new() }
    }

    fn apply(&self, setting: Setting) -> Result<(), Error> {
        match setting {
            Setting::Operation(operation, settings) => self.set_operation(operation, settings)?,
            Setting::Reconciler(hook) => *held(&self.reconciler) = Some(hook),
            Setting::EngineBudget(budget) => self.budgets.set_engine(budget),
            Setting::ScopeBudget(scope, budget) => self.set_scope_budget(scope, budget)?,
            Setting::NoScopeBudget(scope) => {
                if self.scopes.remove_if(&(scope as u32), |_, known| *known == scope).is_some() {
                    self.budgets.remove_tag(scope as u32);
                }
            }
            Setting::OperationBudget(operation, budget) => {
                self.budgets.set_operation(&operation, budget)?;
            }
        }
        Ok(())
    }

    fn set_operation(&self, name: Box<str>, settings: Arc<OperationSettings>) -> Result<(), Error> {
        let is_full = self.operations.len() >= MOST_OPERATIONS;
        match self.operations.entry(hash_of(&name)) {
            Place::Occupied(known) if known.get().0 != name => return Err(meets("operation")),
            Place::Vacant(_) if is_full => {
                let limit = format!("{MOST_OPERATIONS} operations");
                return Err(Error::new(ErrorCode::QuotaExceeded, "operations", "one more", limit));
            }
            place => _ = place.insert((name, settings)),
        }
        Ok(())
    }

    fn set_scope_budget(&self, scope: u64, budget: RetryBudget) -> Result<(), Error> {
        match self.scopes.entry(scope as u32) {
            Place::Occupied(known) if *known.get() != scope => return Err(meets("scope")),
            place => {
                self.budgets.set_tag(scope as u32, budget)?;
                place.insert(scope);
            }
        }
        Ok(())
    }
}

/// A name that the table cannot tell from another one.
fn meets(field: &'static str) -> Error {
    let found = "a name of the same 32-bit hash as another that has settings";
    Error::new(ErrorCode::InvalidOption, field, found, "another name, or one of them without")
}

impl Entry {
    fn append(&self, setting: Setting) {
        let mut at = self;
        let mut mine = Some(setting);
        while let Some(setting) = mine.take() {
            let mut kept = Some(setting);
            let (_, next) = at.0.get_or_set(|| {
                let setting = kept.take().unwrap_or_else(|| unreachable!("it is made once"));
                (setting, Box::new(Entry(Once::new())))
            });
            // Somebody else's stands there: mine comes after it.
            mine = kept;
            at = next;
        }
    }
}

impl Drop for Entry {
    /// One after the other: a long list would take as much of the stack.
    fn drop(&mut self) {
        let mut next = self.0.take();
        while let Some((_, mut entry)) = next {
            next = entry.0.take();
        }
    }
}

fn held<T>(mutex: &Mutex<T>) -> crate::sync::plain::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

const MOST_OPERATIONS: usize = 1_024;
/// How often something may be set in the life of an engine.
const MOST_SETTINGS: u64 = 65_536;
