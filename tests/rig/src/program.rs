//! Programs that do as they are told, line by line.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;

use crate::process::Process;
use crate::{Error, PATIENCE, clock};

/// A program at the end of two pipes: it reads lines, and answers with lines. It is killed with
/// this value, and when the program that started it is gone.
///
/// ```
/// use std::process::Command;
/// use oncegate_rig::Program;
///
/// let mut echo = Program::start(&mut Command::new("cat"))?;
/// assert_eq!(echo.ask("hello")?, "hello");
/// assert_eq!(echo.end()?, 0);
/// # Ok::<(), oncegate_rig::Error>(())
/// ```
#[derive(Debug)]
pub struct Program {
    process: Process,
    to: Option<ChildStdin>,
    from: Receiver<String>,
}

impl Program {
    /// Starts `command`. What it writes to its standard error goes where that of this program goes.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub fn start(command: &mut Command) -> Result<Self, Error> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process::start(command)?;
        let to = process.child().stdin.take();
        let says = process.child().stdout.take().ok_or_else(|| Error::new("no pipe"))?;
        let (say, from) = mpsc::channel();
        // It ends with the pipe, or when nobody listens any more. Nobody waits for that: a child
        // of the program may have the pipe, too.
        thread::spawn(move || {
            for line in BufReader::new(says).lines().map_while(Result::ok) {
                if say.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { process, to, from })
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Tells it a line, and does not wait for an answer.
    ///
    /// # Errors
    ///
    /// It does not read any more.
    pub fn tell(&mut self, line: &str) -> Result<(), Error> {
        let to = self.to.as_mut().ok_or_else(|| Error::new("it was ended"))?;
        let told = to.write_all(format!("{line}\n").as_bytes()).and_then(|()| to.flush());
        told.map_err(|error| Error::of("telling a program", &error))
    }

    /// Its next line.
    ///
    /// # Errors
    ///
    /// It says nothing within [`PATIENCE`], or has ended.
    pub fn answer(&mut self) -> Result<String, Error> {
        self.from.recv_timeout(PATIENCE).map_err(|error| match error {
            RecvTimeoutError::Timeout => Error::new("the program says nothing"),
            RecvTimeoutError::Disconnected => Error::new("the program has ended"),
        })
    }

    /// Its next line, if there is one now.
    pub fn answer_now(&mut self) -> Option<String> {
        self.from.try_recv().ok()
    }

    /// Tells it a line, and waits for the next one of its own.
    ///
    /// # Errors
    ///
    /// As with [`tell`](Self::tell) and [`answer`](Self::answer).
    pub fn ask(&mut self, line: &str) -> Result<String, Error> {
        self.tell(line)?;
        self.answer()
    }

    /// Stops it by SIGSTOP, and returns when it has stopped.
    ///
    /// # Errors
    ///
    /// The system refuses it.
    pub fn pause(&self) -> Result<(), Error> {
        self.process.pause()
    }

    /// Lets it go on by SIGCONT.
    ///
    /// # Errors
    ///
    /// The system refuses it.
    pub fn resume(&self) -> Result<(), Error> {
        self.process.resume()
    }

    /// Kills it by SIGKILL, whatever it is doing, and returns when it is gone.
    pub fn kill(self) {
        drop(self);
    }

    /// Closes its input, and waits until it has ended by itself: its code, or the number of the
    /// signal that ended it, below zero.
    ///
    /// # Errors
    ///
    /// It does not end within [`PATIENCE`]; then it is killed.
    pub fn end(mut self) -> Result<i32, Error> {
        drop(self.to.take());
        clock::until("the program ends", || self.process.end())
    }
}
