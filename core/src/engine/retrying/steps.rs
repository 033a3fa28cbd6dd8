//! Steps: work of several parts under one record, each of which runs once however many attempts it
//! takes.

use std::fmt;
use std::future::Future;

use super::super::{Engine, Lease, LeaseToken};
use super::care::Keeping;
use super::next::Attempt;
use crate::error::{Error, ErrorCode};
use crate::retry::journal::{Journal, MAX_NAME, MAX_STEPS, StepNote};
use crate::sync::planted::Bug;
use crate::table::Found;

/// What came of [`Lease::step`].
///
/// ```
/// use oncegate::{Admission, Engine, Request, Scope, Step};
///
/// let engine = Engine::builder().capacity(1_000).build()?;
/// let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
/// let Admission::Admitted(mut lease) = engine.begin(&request)? else { unreachable!() };
/// let step = lease.step("charge", || Ok::<_, String>(b"id-7".to_vec()))?;
/// assert!(matches!(step, Step::Ran(result) if result == b"id-7"));
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
#[must_use]
pub enum Step<E> {
    /// It ran now, and its result is kept.
    Ran(Vec<u8>),
    /// It had run before, in this attempt or an earlier one: this is what it left.
    Remembered(Vec<u8>),
    /// It ran now and failed; the next attempt runs it again.
    Failed(E),
}

impl<E> Step<E> {
    /// The result, whenever it came about, or the error.
    ///
    /// # Errors
    ///
    /// What the step failed with.
    ///
    /// ```
    /// # use oncegate::Step;
    /// assert_eq!(Step::<String>::Remembered(vec![7]).result(), Ok(vec![7]));
    /// ```
    pub fn result(self) -> Result<Vec<u8>, E> {
        match self {
            Self::Ran(result) | Self::Remembered(result) => Ok(result),
            Self::Failed(error) => Err(error),
        }
    }
}

impl<E> fmt::Debug for Step<E> {
    /// Without the result, which may hold what no log may.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ran(result) => write!(f, "Ran({} bytes)", result.len()),
            Self::Remembered(result) => write!(f, "Remembered({} bytes)", result.len()),
            Self::Failed(_) => f.write_str("Failed"),
        }
    }
}

/// A step that is finished, for whoever compensates it.
///
/// ```
/// use oncegate::FinishedStep;
/// fn undo(step: &FinishedStep<'_>) -> Result<(), String> {
///     println!("undo {}", step.name);
///     Ok(())
/// }
/// ```
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct FinishedStep<'s> {
    /// Its name.
    pub name: &'s str,
    /// What it left.
    pub result: &'s [u8],
}

impl fmt::Debug for FinishedStep<'_> {
    /// Without the result.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FinishedStep").field("result_bytes", &self.result.len()).finish()
    }
}

impl Lease<'_> {
    /// Runs `work` unless a step of this `name` is finished, and keeps its result in the record: a
    /// later attempt, in whichever process, gets the result and does not run it again.
    ///
    /// Between the effect of a step and the note of it a process may die, or lose its lease; then
    /// the step runs again. So pass its [`step_key`](Self::step_key) to the service below, which is
    /// the same in every attempt.
    ///
    /// Costs about as much as storing an outcome of the size of all steps together; for a small one
    /// as much as [`retry_later`](Self::retry_later) (study `scheduling` of `make bench`).
    ///
    /// # Errors
    ///
    /// [`ErrorCode::InvalidOption`], field `step`: a name that is empty or longer than 255 bytes,
    /// or one step more than 64; it did not run. [`ErrorCode::Full`], field `steps_limit`: the
    /// results of all steps are larger than [`steps_limit`](crate::EngineBuilder::steps_limit);
    /// fields `max_retrying`, `outcome_bytes`: no room. [`ErrorCode::Fenced`]: the lease is lost.
    /// In these cases the step has run if there was none of its name, and is not noted.
    ///
    /// ```
    /// use oncegate::{Admission, Engine, Failure, Outcome, Request, Scope, Step};
    ///
    /// let engine = Engine::builder().capacity(1_000).build()?;
    /// let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// let Admission::Admitted(mut lease) = engine.begin(&request)? else { unreachable!() };
    /// lease.step("charge", || Ok::<_, String>(b"charge-7".to_vec()))?.result().expect("runs");
    /// lease.fail(Failure::retryable())?; // the next part did not work
    ///
    /// let Admission::Admitted(mut lease) = engine.begin(&request)? else { unreachable!() };
    /// let step = lease.step("charge", || -> Result<_, String> { unreachable!("charged twice") })?;
    /// assert!(matches!(step, Step::Remembered(result) if result == b"charge-7"));
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn step<E>(
        &mut self,
        name: &str,
        work: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<Step<E>, Error> {
        self.own()?;
        if let Some(result) = self.engine().finished_step(self.token(), name)? {
            return Ok(Step::Remembered(result));
        }
        match work() {
            Ok(result) => self.finish_step(name, result),
            Err(error) => Ok(Step::Failed(error)),
        }
    }

    /// [`step`](Self::step) for asynchronous work.
    ///
    /// # Errors
    ///
    /// As [`step`](Self::step).
    ///
    /// ```
    /// use std::pin::pin;
    /// use std::future::Future;
    /// use std::task::{Context, Poll, Waker};
    /// use oncegate::{Admission, Engine, Request, Scope, Step};
    ///
    /// let engine = Engine::builder().capacity(1_000).build()?;
    /// let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// let Admission::Admitted(mut lease) = engine.begin(&request)? else { unreachable!() };
    /// let step = pin!(lease.step_async("charge", async || Ok::<_, String>(b"7".to_vec())))
    ///     .poll(&mut Context::from_waker(Waker::noop()));
    /// assert!(matches!(step, Poll::Ready(Ok(Step::Ran(_)))));
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub async fn step_async<E, F>(
        &mut self,
        name: &str,
        work: impl FnOnce() -> F,
    ) -> Result<Step<E>, Error>
    where
        F: Future<Output = Result<Vec<u8>, E>>,
    {
        self.own()?;
        if let Some(result) = self.engine().finished_step(self.token(), name)? {
            return Ok(Step::Remembered(result));
        }
        match work().await {
            Ok(result) => self.finish_step(name, result),
            Err(error) => Ok(Step::Failed(error)),
        }
    }

    fn finish_step<E>(&mut self, name: &str, result: Vec<u8>) -> Result<Step<E>, Error> {
        self.keep();
        self.engine().finish_step(self.token(), name, &result)?;
        Ok(Step::Ran(result))
    }

    /// Undoes the finished steps of this record, the last one first, and notes for each that it is
    /// undone, whoever goes on with it. A process that dies between `undo` and that note leaves one
    /// that is undone again: give its downstream key to the service below. Stops at the first that
    /// fails. Writes the journal once for each.
    ///
    /// For a record that is not going to be completed: fail it for good afterwards. What it undoes
    /// is finished no more, and runs again if there is another attempt.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::Fenced`]: the lease is lost; what was undone last may not be noted.
    /// [`ErrorCode::Full`]: no room to note it. The inner error is `undo`'s.
    ///
    /// ```
    /// use oncegate::{Admission, Engine, Request, Scope};
    ///
    /// let engine = Engine::builder().capacity(1_000).build()?;
    /// let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// let Admission::Admitted(mut lease) = engine.begin(&request)? else { unreachable!() };
    /// for name in ["charge", "ship"] {
    ///     let _ = lease.step(name, || Ok::<_, String>(Vec::new()))?;
    /// }
    /// let mut undone = Vec::new();
    /// lease.compensate(|step| {
    ///     undone.push(step.name.to_owned());
    ///     Ok::<_, String>(())
    /// })?.expect("none fails");
    /// assert_eq!(undone, ["ship", "charge"]);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn compensate<E>(
        &mut self,
        undo: impl FnMut(&FinishedStep<'_>) -> Result<(), E>,
    ) -> Result<Result<(), E>, Error> {
        self.own()?;
        self.engine().compensate_steps(self.token(), undo)
    }
}

impl Engine {
    /// The result of the step `name` of the record that `token` leases, if it is finished; for
    /// whoever keeps a token instead of a [`Lease`].
    ///
    /// # Errors
    ///
    /// As [`Lease::step`].
    ///
    /// ```
    /// # use oncegate::{Admission, Engine, Request, Scope};
    /// # let engine = Engine::builder().capacity(1_000).build()?;
    /// # let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// # let Admission::Admitted(lease) = engine.begin(&request)? else { unreachable!() };
    /// let token = lease.into_token();
    /// assert_eq!(engine.finished_step(&token, "charge")?, None);
    /// engine.finish_step(&token, "charge", b"7")?;
    /// assert_eq!(engine.finished_step(&token, "charge")?, Some(b"7".to_vec()));
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn finished_step(&self, token: &LeaseToken, name: &str) -> Result<Option<Vec<u8>>, Error> {
        self.enter()?;
        if !(1..=MAX_NAME).contains(&name.len()) {
            let (found, limit) = (format!("{} bytes", name.len()), "1 to 255 bytes");
            return Err(Error::new(ErrorCode::InvalidOption, "step", found, limit));
        }
        let steps = self.steps_of(token)?;
        let is_full = steps.len() >= MAX_STEPS;
        let known = steps.into_iter().find(|step| step.name == name);
        if known.is_none() && is_full {
            return Err(one_step_more());
        }
        Ok(known.filter(|_| !Bug::StepForgotten.is_planted()).map(|step| step.result))
    }

    /// Notes that the step `name` is finished, and what it left. A step that is finished already
    /// stays as it was.
    ///
    /// # Errors
    ///
    /// As [`Lease::step`].
    ///
    /// ```
    /// # use oncegate::{Admission, Engine, Request, Scope};
    /// # let engine = Engine::builder().capacity(1_000).build()?;
    /// # let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// # let Admission::Admitted(lease) = engine.begin(&request)? else { unreachable!() };
    /// engine.finish_step(lease.token(), "charge", b"7")?;
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn finish_step(&self, token: &LeaseToken, name: &str, result: &[u8]) -> Result<(), Error> {
        if self.finished_step(token, name)?.is_some() {
            return Ok(());
        }
        let limit = self.retries.steps_limit;
        self.change_journal_of(token, |journal| {
            journal.steps.retain(|step| step.name != name);
            let (name, result) = (name.to_owned(), result.to_vec());
            journal.steps.push(StepNote { name, result });
            // Another thread with this token may have noted one since they were counted.
            if journal.steps.len() > MAX_STEPS {
                return Err(one_step_more());
            }
            let bytes = journal.steps_bytes();
            if bytes > limit && !Bug::StepsUnbounded.is_planted() {
                let (found, limit) = (format!("{bytes} bytes"), format!("{limit} bytes"));
                return Err(Error::new(ErrorCode::Full, "steps_limit", found, limit));
            }
            Ok(())
        })
    }

    /// The step that was finished last, and what it left: what is undone next, by whoever
    /// compensates with a token. `None`: there is none, or all are [undone](Self::undone_step).
    ///
    /// # Errors
    ///
    /// [`ErrorCode::Fenced`]: the lease is lost. [`ErrorCode::Forked`].
    ///
    /// ```
    /// # use oncegate::{Admission, Engine, Request, Scope};
    /// # let engine = Engine::builder().capacity(1_000).build()?;
    /// # let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// # let Admission::Admitted(lease) = engine.begin(&request)? else { unreachable!() };
    /// let token = lease.into_token();
    /// engine.finish_step(&token, "charge", b"7")?;
    /// while let Some((name, result)) = engine.last_step(&token)? {
    ///     println!("undo {name}, which left {} bytes", result.len());
    ///     engine.undone_step(&token, &name)?;
    /// }
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn last_step(&self, token: &LeaseToken) -> Result<Option<(String, Vec<u8>)>, Error> {
        self.enter()?;
        let mut steps = self.steps_of(token)?;
        let first = Bug::CompensatesInOrder.is_planted() && !steps.is_empty();
        let last = if first { Some(steps.swap_remove(0)) } else { steps.pop() };
        Ok(last.map(|step| (step.name, step.result)))
    }

    /// Notes that the step `name` was undone: it is finished no more, takes no room, and runs again
    /// if there is another attempt. Of several who note it at once, one does.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::NotFound`], field `step`: no step of this name is finished.
    /// [`ErrorCode::Full`], field `outcome_bytes`: no room to note it. [`ErrorCode::Fenced`]: the
    /// lease is lost. [`ErrorCode::Forked`].
    ///
    /// ```
    /// # use oncegate::{Admission, Engine, ErrorCode, Request, Scope};
    /// # let engine = Engine::builder().capacity(1_000).build()?;
    /// # let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// # let Admission::Admitted(lease) = engine.begin(&request)? else { unreachable!() };
    /// let token = lease.into_token();
    /// engine.finish_step(&token, "charge", b"7")?;
    /// engine.undone_step(&token, "charge")?;
    /// let again = engine.undone_step(&token, "charge").unwrap_err();
    /// assert_eq!(again.code(), ErrorCode::NotFound);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn undone_step(&self, token: &LeaseToken, name: &str) -> Result<(), Error> {
        self.enter()?;
        self.change_journal_of(token, |journal| {
            let known = journal.steps.len();
            journal.steps.retain(|step| step.name != name);
            let undone = journal.steps.len() < known;
            undone.then_some(()).ok_or_else(|| Error::of(ErrorCode::NotFound, "step"))
        })
    }

    pub(super) fn compensate_steps<E>(
        &self,
        token: &LeaseToken,
        mut undo: impl FnMut(&FinishedStep<'_>) -> Result<(), E>,
    ) -> Result<Result<(), E>, Error> {
        while let Some((name, result)) = self.last_step(token)? {
            if let Err(error) = undo(&FinishedStep { name: &name, result: &result }) {
                return Ok(Err(error));
            }
            match self.undone_step(token, &name) {
                // Another thread with this token has noted it.
                Err(error) if error.code() == ErrorCode::NotFound => {}
                noted => noted?,
            }
        }
        Ok(Ok(()))
    }

    /// The finished steps of the record that `token` leases, in the order in which they were.
    fn steps_of(&self, token: &LeaseToken) -> Result<Vec<StepNote>, Error> {
        let (slot, seen) = self.held(token).ok_or_else(|| self.fenced())?;
        let entry = self.table.entry_of(slot, seen).map_err(|_| self.fenced())?;
        let journal = entry.and_then(|entry| self.journal(entry));
        Ok(journal.map_or_else(Vec::new, |(_, journal)| journal.steps))
    }

    /// `attempt` does not run after all: it is none of those that its policy allows.
    pub(in super::super) fn uncount(&self, attempt: &Attempt<'_>) {
        if Bug::OutageCounts.is_planted() {
            return;
        }
        // Where there is no room to note it, it counts.
        let _ = self.change_journal_of(attempt.lease().token(), |journal| {
            journal.before = journal.before.wrapping_add(1);
            Ok(())
        });
    }

    /// Puts a journal that was changed by `change` in the place of the one of the attempt that
    /// `token` leases.
    pub(super) fn change_journal_of(
        &self,
        token: &LeaseToken,
        change: impl Fn(&mut Journal) -> Result<(), Error>,
    ) -> Result<(), Error> {
        loop {
            let (slot, seen) = self.held(token).ok_or_else(|| self.fenced())?;
            let (found, rules) = (Found { slot, seen }, self.rules());
            let (entry, mut journal) = self.open_journal(found, token, &rules)?;
            change(&mut journal)?;
            let keeping = Keeping { found, entry, scope: token.scope, journal: &journal, rules };
            let Some((entry, made)) = self.keep_journal(&keeping)? else { continue };
            // A new entry was there before anybody could seal it, or not in time.
            if made && !self.table.confirm_lease(slot, seen) && self.withdraw(entry, made) {
                return Err(self.fenced());
            }
            self.table.note_change(entry.index);
            return Ok(());
        }
    }
}

fn one_step_more() -> Error {
    let limit = format!("{MAX_STEPS} steps");
    Error::new(ErrorCode::InvalidOption, "step", "one more", limit)
}
