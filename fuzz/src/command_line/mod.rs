//! The command line: no argument vector and no input makes the command panic, and what it takes
//! is within its limits.
//!
//! An input that begins with the line `args` is an argument vector, one argument a line. After the
//! line `options` a few bytes choose each option of a storm, and a value at the edge of its range;
//! after the line `letters`, those for dead letters.
//! Everything else is a file of requests.

mod letters;
mod options;

use std::ffi::OsStr;
use std::io::{self, Read, Write};

use clap::Parser;
use flate2::Compression;
use flate2::write::GzEncoder;
use oncegate_cli::cli::{Cli, Command, StormArgs};
use oncegate_cli::input::{self, Input, Line, LineError, MAX_LINE_BYTES, Unreadable};
use serde_json::{Map, Value};

/// Takes one argument vector, or one file.
pub fn run(data: &[u8]) {
    if let Some(arguments) = data.strip_prefix(b"args\n") {
        argument_vector(arguments);
    } else if let Some(choices) = data.strip_prefix(b"options\n") {
        options::run(choices);
    } else if let Some(choices) = data.strip_prefix(b"letters\n") {
        letters::run(choices);
    } else {
        file(data);
    }
}

#[cfg(unix)]
fn argument(bytes: &[u8]) -> &OsStr {
    std::os::unix::ffi::OsStrExt::from_bytes(bytes)
}

fn argument_vector(lines: &[u8]) {
    let arguments = lines.split(|byte| *byte == b'\n').map(argument);
    match Cli::try_parse_from([OsStr::new("oncegate")].into_iter().chain(arguments)) {
        Ok(cli) => match cli.command {
            Command::Storm(storm) => within_limits(&storm),
            Command::Bench(bench) => assert!((1..=7).contains(&bench.rounds)),
            Command::Inspect(inspect) => assert!(inspect.top <= 1_000),
            Command::Top(top) => {
                assert!((100..=3_600_000).contains(&top.interval) && top.count != Some(0));
                assert!(!(top.once && top.count.is_some()), "{top:?}");
            }
            Command::Doctor(doctor) => assert!(doctor.recreate || !doctor.force, "{doctor:?}"),
            Command::Gc(gc) => drop(format!("{gc:?}")),
            Command::Dlq(dlq) => letters::within_limits(&dlq),
            Command::StormWorker(worker) => drop(format!("{worker:?}")),
            Command::Completions { shell } => drop(format!("{shell:?}")),
        },
        Err(error) => {
            // Help and version are no failures; everything else is wrong usage.
            let status = if error.use_stderr() { 2 } else { 0 };
            assert_eq!(error.exit_code(), status, "{error}");
            assert!(!error.to_string().trim().is_empty());
        }
    }
}

/// The numbers are within the limits that the help gives, and mean the same written out.
fn within_limits(storm: &StormArgs) {
    let shares = [storm.fail_rate, storm.pause_rate];
    assert!(shares.iter().all(|share| (0.0..=0.9).contains(share)), "{storm:?}");
    assert!((1..=512).contains(&storm.clients) && (1..=100).contains(&storm.copies), "{storm:?}");
    assert!(storm.work_ms <= 10_000 && (10..=60_000).contains(&storm.lease_ms), "{storm:?}");
    assert!(!(storm.baseline && storm.compare), "{storm:?}");
    assert!((0.0..=100.0).contains(&storm.kill_rate), "{storm:?}");
    let alone = !storm.baseline && !storm.compare;
    assert!(storm.processes.is_none_or(|all| alone && (1..=64).contains(&all)), "{storm:?}");
    let flag = |name: &str, set: bool| set.then(|| name.to_owned());
    let mut written = vec!["oncegate".to_owned(), "storm".to_owned()];
    written.extend([
        format!("--clients={}", storm.clients),
        format!("--copies={}", storm.copies),
        format!("--fail-rate={}", storm.fail_rate),
        format!("--pause-rate={}", storm.pause_rate),
        format!("--seed={}", storm.seed),
        format!("--work-ms={}", storm.work_ms),
        format!("--lease-ms={}", storm.lease_ms),
    ]);
    if let Some(processes) = storm.processes {
        written.push(format!("--processes={processes}"));
        written.push(format!("--kill-rate={}", storm.kill_rate));
    }
    written.extend(flag("--baseline", storm.baseline));
    written.extend(flag("--compare", storm.compare));
    written.extend(flag("--json", storm.json));
    let mut written: Vec<_> = written.into_iter().map(Into::into).collect();
    let paths = [("--input=", Some(&storm.input)), ("--path=", storm.path.as_ref())];
    for (name, path) in paths.into_iter().filter_map(|(name, path)| Some((name, path?))) {
        let mut argument = std::ffi::OsString::from(name);
        argument.push(path);
        written.push(argument);
    }
    let again = Cli::try_parse_from(written).expect("what was taken is taken again");
    let Command::Storm(again) = again.command else { panic!("another command") };
    assert_eq!(format!("{again:?}"), format!("{storm:?}"));
}

fn file(data: &[u8]) {
    let read = input::read(data);
    if data.starts_with(&GZIP_MAGIC) {
        // Compressed, or broken: what is in it is known to the decompressor.
        if let Ok(input) = &read {
            let valid = |line: &Line| line.request().is_ok();
            assert!(input.lines.iter().all(valid), "a line was parsed and is no request");
        }
        return;
    }
    let blank = |line: &&[u8]| line.trim_ascii().is_empty();
    let lines: Vec<&[u8]> = data.split(|byte| *byte == b'\n').collect();
    let written = lines.iter().filter(|line| !blank(line)).count();
    match &read {
        Ok(input) => {
            assert_eq!(input.lines.len() + input.skipped.len(), written);
            assert!(input.lines.is_sorted_by_key(|line| line.number));
            assert!(input.skipped.is_sorted_by_key(|line| line.number));
            for line in &input.lines {
                taken(line, lines[line.number as usize - 1]);
            }
            for line in &input.skipped {
                skipped(&line.reason, lines[line.number as usize - 1]);
            }
        }
        Err(Unreadable::Empty { skipped }) => assert_eq!(*skipped, written),
        Err(error) => panic!("{error}"),
    }
    // However it comes: in small pieces, and compressed.
    let told = told(&read);
    let piece = 1 + usize::from(data.first().copied().unwrap_or_default() % 7);
    assert_eq!(self::told(&input::read(Trickle { data, piece })), told);
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(data).expect("a Vec takes every write");
    let packed = packed.finish().expect("a Vec takes every write");
    assert_eq!(self::told(&input::read(&packed[..])), told);
}

/// A line is the request that its fields say, and the engine takes it.
fn taken(line: &Line, text: &[u8]) {
    line.request().expect("it was parsed");
    assert_eq!(crate::canonical_json::names_differ(text), Some(true), "line {}", line.number);
    // Beside what the engine looked at, a number may be beyond serde_json's range.
    let Ok(Value::Object(fields)) = serde_json::from_slice(text) else { return };
    let whole = Value::Object(fields.clone());
    let payload = fields.get("payload").filter(|value| !value.is_null()).unwrap_or(&whole);
    let read: Value = serde_json::from_str(&line.payload).expect("the engine took it");
    assert_eq!(&read, payload, "the payload of {line:?}");
    let owner = [&["organization", "login"][..], &["repository", "owner", "login"]]
        .into_iter()
        .chain([&["sender", "login"][..]])
        .find_map(|path| path.iter().try_fold(payload, |value, name| value.get(name))?.as_str())
        .filter(|login| !login.is_empty());
    let scope = Expected::of(&fields, &["scope", "tenant"], owner.unwrap_or("input"));
    scope.is(&line.scope, text);
    Expected::of(&fields, &["operation", "event", "type"], "deliver").is(&line.operation, text);
    match Expected::of(&fields, &["key", "delivery", "delivery_id", "id"], "") {
        Expected::Text("") => {
            let digest = line.key.strip_prefix("line-").expect("a key made of the line");
            assert!(digest.len() == 32 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()));
        }
        given => given.is(&line.key, text),
    }
}

/// What a part of a request has to be.
enum Expected<'f> {
    Text(&'f str),
    /// As it is written in the line.
    Number,
}

impl<'f> Expected<'f> {
    fn of(fields: &'f Map<String, Value>, names: &[&str], otherwise: &'f str) -> Self {
        let present = |name: &&str| fields.get(*name).filter(|value| !value.is_null());
        match names.iter().find_map(present) {
            None => Self::Text(otherwise),
            Some(Value::String(text)) => Self::Text(text),
            Some(Value::Number(_)) => Self::Number,
            Some(other) => panic!("{other} was taken as text"),
        }
    }

    fn is(&self, found: &str, line: &[u8]) {
        match self {
            Self::Text(text) => assert_eq!(found, *text),
            Self::Number => {
                assert!(found.parse::<f64>().is_ok(), "{found}");
                let written = line.windows(found.len()).any(|part| part == found.as_bytes());
                assert!(written, "{found} is not written in the line");
            }
        }
    }
}

/// A line is skipped for what it is, and the reason quotes nothing of it.
fn skipped(reason: &LineError, text: &[u8]) {
    let parsed = serde_json::from_slice::<Value>(text);
    match reason {
        LineError::NotJson(_) => assert!(parsed.is_err(), "{reason}"),
        LineError::NotObject(_) => assert!(!matches!(parsed, Ok(Value::Object(_))), "{reason}"),
        LineError::TooLong => assert!(text.len() > MAX_LINE_BYTES),
        _ => assert!(!matches!(parsed, Ok(ref value) if !value.is_object()), "{reason}"),
    }
    let shown = reason.to_string();
    assert!(!shown.contains(MARK), "{shown}");
}

/// Everything that a file came to, as text.
fn told(read: &Result<Input, Unreadable>) -> String {
    match read {
        Ok(input) => format!("{:?} {:?}", input.lines, input.skipped),
        Err(error) => error.to_string(),
    }
}

/// Gives a few bytes at a time, as a pipe may.
struct Trickle<'a> {
    data: &'a [u8],
    piece: usize,
}

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.piece.min(self.data.len()).min(buffer.len());
        buffer[..length].copy_from_slice(&self.data[..length]);
        self.data = &self.data[length..];
        Ok(length)
    }
}

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// A word of the corpus that no reason may quote.
const MARK: &str = "kolibri";
