//! Workers: processes of their own, each at the end of two pipes.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

/// A folder of its own for a test, in memory, gone with it.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        // Relaxed: numbers only have to differ.
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("oncegate-test-{}-{number}", std::process::id());
        let base = Path::new("/dev/shm");
        let base = if base.is_dir() { base.to_owned() } else { std::env::temp_dir() };
        let path = base.join(name);
        std::fs::create_dir(&path).expect("a folder for this test");
        Self(path)
    }

    /// Where the table lies.
    pub(crate) fn table(&self) -> PathBuf {
        self.0.join("table")
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A process that does as it is told. It is killed when this value goes.
pub(crate) struct Worker {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Worker {
    /// A worker that has not opened anything.
    pub(crate) fn idle() -> Self {
        Self::start(&mut Command::new(env!("CARGO_BIN_EXE_oncegate-worker")))
    }

    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a worker starts");
        let to = child.stdin.take();
        let from = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, to, from }
    }

    /// A worker that has opened the table in `folder`.
    #[track_caller]
    pub(crate) fn of(folder: &Folder, options: &str) -> Self {
        let mut worker = Self::idle();
        let opened = worker.ask(&format!("open {} {options}", folder.table().display()));
        assert_eq!(opened, "open", "{options}");
        worker
    }

    /// Tells the worker a line, without waiting for its answer.
    pub(crate) fn tell(&mut self, line: &str) {
        let to = self.to.as_mut().expect("not ended");
        writeln!(to, "{line}").and_then(|()| to.flush()).expect("it reads");
    }

    /// The answer to the oldest line that has none yet.
    pub(crate) fn answer(&mut self) -> String {
        let mut line = String::new();
        self.from.read_line(&mut line).expect("it writes");
        line.trim_end().to_owned()
    }

    /// Lets the worker wait for `key`, which somebody runs; its answer comes later.
    #[track_caller]
    pub(crate) fn waits(&mut self, key: &str) {
        assert_eq!(self.ask(&format!("begin {key} wait=60000")), "waits");
    }

    /// Whether an answer comes within `limit`.
    pub(crate) fn is_ready(&mut self, limit: std::time::Duration) -> bool {
        use std::os::fd::AsRawFd as _;
        let fd = self.from.get_ref().as_raw_fd();
        let mut asked = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        let limit = limit.as_millis() as libc::c_int;
        // SAFETY: one structure, which lives for the call.
        unsafe { libc::poll(&raw mut asked, 1, limit) > 0 }
    }

    pub(crate) fn ask(&mut self, line: &str) -> String {
        self.tell(line);
        self.answer()
    }

    /// The answer, if there is anybody to give one.
    pub(crate) fn ask_if_there(&mut self, line: &str) -> Option<String> {
        let to = self.to.as_mut()?;
        writeln!(to, "{line}").and_then(|()| to.flush()).ok()?;
        Some(self.answer()).filter(|answer| !answer.is_empty())
    }

    /// The fencing token of a new attempt.
    #[track_caller]
    pub(crate) fn admitted(&mut self, key: &str) -> Attempt {
        let answer = self.ask(&format!("begin {key}"));
        Attempt::parse(&answer).unwrap_or_else(|| panic!("not admitted: {answer}"))
    }

    pub(crate) fn signal(&self, signal: libc::c_int) {
        let child = self.child.id() as libc::pid_t;
        // SAFETY: sends a signal to a process that this one started and has not waited for.
        assert_eq!(unsafe { libc::kill(child, signal) }, 0);
    }

    /// Kills the worker, whatever it is doing, and waits until it is gone.
    pub(crate) fn kill(mut self) {
        self.signal(libc::SIGKILL);
        let status = self.child.wait().expect("a child");
        assert_eq!(status.signal(), Some(libc::SIGKILL));
    }

    /// Waits until the worker has ended by itself, and tells by which signal, if by one.
    pub(crate) fn ended(mut self) -> Option<i32> {
        drop(self.to.take());
        self.child.wait().expect("a child").signal()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What an admission says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) number: u32,
    pub(crate) fence: u64,
    pub(crate) status: String,
}

impl Attempt {
    pub(crate) fn parse(answer: &str) -> Option<Self> {
        let mut words = answer.strip_prefix("admitted ")?.split_whitespace();
        let number = words.next()?.parse().ok()?;
        let fence = words.next()?.parse().ok()?;
        Some(Self { number, fence, status: words.next()?.to_owned() })
    }
}
