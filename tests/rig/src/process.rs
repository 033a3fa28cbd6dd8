//! A process that is ended with its value.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use crate::{Error, guard};

/// A process of this program's own: killed and waited for when this value goes, and killed when
/// the program is gone.
#[derive(Debug)]
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(command: &mut Command) -> Result<Self, Error> {
        let name = command.get_program().to_string_lossy().into_owned();
        let process = Self(command.spawn().map_err(|error| Error::of(&name, &error))?);
        guard::started(process.id())?;
        Ok(process)
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    pub(crate) const fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }

    /// Stops it by SIGSTOP, and returns when it has stopped.
    pub(crate) fn pause(&self) -> Result<(), Error> {
        self.signal(Signal::STOP)?;
        // A signal is sent, not delivered, when its call returns. `NOWAIT` leaves what was seen
        // to the child itself, and an end counts too.
        let seen = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(self.pid()), seen).map_err(|error| Error::of("waitid", &error))?;
        Ok(())
    }

    /// Lets it go on by SIGCONT.
    pub(crate) fn resume(&self) -> Result<(), Error> {
        self.signal(Signal::CONT)
    }

    /// How it has ended by itself, if it has: its code, or its signal below zero.
    pub(crate) fn end(&mut self) -> Option<i32> {
        let status = self.0.try_wait().ok()??;
        status.code().or_else(|| status.signal().map(|signal| -signal))
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.0)
    }

    fn signal(&self, signal: Signal) -> Result<(), Error> {
        // Not waited for, so the number is still this process's.
        kill_process(self.pid(), signal).map_err(|error| Error::of("kill", &error))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        guard::ended(self.id());
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
