//! Letters: the dead letters of a table, for whoever looks after them from outside.

use std::fmt;
use std::path::Path;

use super::ends;
use crate::engine::{DeadLetter, Engine, LetterFilter, LetterId, LetterPage};
use crate::error::Error;
use crate::reach::FileAccess;

/// The dead letters of a table that processes share by [`Reach::Host`](crate::Reach::Host), for
/// whoever has not its secret: they can be listed, redriven and discarded.
///
/// Takes part in the table as a process of its own as long as it lives, and can begin nothing. A
/// process that has an [`Engine`] needs none: the engine has the same calls.
///
/// ```no_run
/// # use oncegate::{DeadLetters, FileAccess, LetterFilter};
/// let letters = DeadLetters::open("/dev/shm/charges", FileAccess::owner_only())?;
/// for letter in letters.list(&LetterFilter::all().operation("charge"), None, 100)?.letters {
///     println!("{} {}", letter.id, letter.reason.name());
/// }
/// # Ok::<(), oncegate::Error>(())
/// ```
pub struct DeadLetters {
    engine: Engine,
}

impl DeadLetters {
    /// Joins the table at `path`, if its file is safe to trust by `access`. It makes none.
    ///
    /// Where it gets an entry that another process has used, it clears what that one left: a look
    /// at every slot.
    ///
    /// # Errors
    ///
    /// As of [`EngineBuilder::build`](crate::EngineBuilder::build) with
    /// [`Reach::Host`](crate::Reach::Host); [`ErrorCode::Os`](crate::ErrorCode::Os) also where
    /// there is no table.
    ///
    /// ```
    /// use oncegate::{DeadLetters, FileAccess};
    /// assert!(DeadLetters::open("/does/not/exist", FileAccess::owner_only()).is_err());
    /// ```
    pub fn open(path: impl AsRef<Path>, access: FileAccess) -> Result<Self, Error> {
        ends::caretaker(path.as_ref(), access).map(|engine| Self { engine })
    }

    /// As [`Engine::dead_letters`].
    ///
    /// # Errors
    ///
    /// As of that.
    ///
    /// ```no_run
    /// # use oncegate::{DeadLetters, FileAccess, LetterFilter};
    /// # let letters = DeadLetters::open("/dev/shm/charges", FileAccess::owner_only())?;
    /// let first = letters.list(&LetterFilter::all(), None, 100)?;
    /// let second = letters.list(&LetterFilter::all(), first.next, 100)?;
    /// # let _ = second;
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn list(
        &self,
        filter: &LetterFilter,
        after: Option<LetterId>,
        limit: usize,
    ) -> Result<LetterPage, Error> {
        self.engine.dead_letters(filter, after, limit)
    }

    /// As [`Engine::dead_letter`].
    ///
    /// # Errors
    ///
    /// As of that.
    ///
    /// ```no_run
    /// # use oncegate::{DeadLetters, FileAccess};
    /// # let letters = DeadLetters::open("/dev/shm/charges", FileAccess::owner_only())?;
    /// println!("{} attempts", letters.get("17-3".parse()?)?.attempts);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn get(&self, id: LetterId) -> Result<DeadLetter, Error> {
        self.engine.dead_letter(id)
    }

    /// As [`Engine::redrive`]: a worker of the table's processes gets the next attempt.
    ///
    /// # Errors
    ///
    /// As of that.
    ///
    /// ```no_run
    /// # use oncegate::{DeadLetters, FileAccess};
    /// # let letters = DeadLetters::open("/dev/shm/charges", FileAccess::owner_only())?;
    /// letters.redrive("17-3".parse()?)?;
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn redrive(&self, id: LetterId) -> Result<(), Error> {
        self.engine.redrive(id)
    }

    /// As [`Engine::redrive_all`].
    ///
    /// # Errors
    ///
    /// As of that.
    ///
    /// ```no_run
    /// # use oncegate::{DeadLetters, FileAccess, LetterFilter};
    /// # let letters = DeadLetters::open("/dev/shm/charges", FileAccess::owner_only())?;
    /// letters.redrive_all(&LetterFilter::all().class("503"), 1_000)?;
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn redrive_all(&self, filter: &LetterFilter, limit: usize) -> Result<usize, Error> {
        self.engine.redrive_all(filter, limit)
    }

    /// As [`Engine::discard`].
    ///
    /// # Errors
    ///
    /// As of that.
    ///
    /// ```no_run
    /// # use oncegate::{DeadLetters, FileAccess};
    /// # let letters = DeadLetters::open("/dev/shm/charges", FileAccess::owner_only())?;
    /// letters.discard("17-3".parse()?)?;
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn discard(&self, id: LetterId) -> Result<(), Error> {
        self.engine.discard(id)
    }

    /// As [`Engine::discard_all`].
    ///
    /// # Errors
    ///
    /// As of that.
    ///
    /// ```no_run
    /// # use oncegate::{DeadLetters, FileAccess, LetterFilter};
    /// # let letters = DeadLetters::open("/dev/shm/charges", FileAccess::owner_only())?;
    /// letters.discard_all(&LetterFilter::all().operation("mail"), usize::MAX)?;
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn discard_all(&self, filter: &LetterFilter, limit: usize) -> Result<usize, Error> {
        self.engine.discard_all(filter, limit)
    }
}

impl fmt::Debug for DeadLetters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetters").finish_non_exhaustive()
    }
}
