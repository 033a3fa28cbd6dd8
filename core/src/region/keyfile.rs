//! The key file: the secrets of a region whose users give none, in a file of its own beside it.
//!
//! ```text
//! oncegate secrets 1
//! <key id> <secret in hexadecimal digits>
//! ```
//!
//! Only whoever may write the table may read it. The region itself never holds a secret.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::file::{self, Draft, io_error};
use crate::error::{Error, ErrorCode};
use crate::fingerprint::Secret;
use crate::reach::FileAccess;

/// Secrets with the ids of their keys.
pub(crate) type Secrets = Vec<(u8, Secret)>;

/// Where the secrets of the region at `path` are kept.
pub(crate) fn path_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".key");
    name.into()
}

/// The secrets at `path`, or a new one that is kept there from now on.
pub(crate) fn read_or_create(path: &Path, access: &FileAccess) -> Result<Secrets, Error> {
    for _ in 0..TRIES {
        if let Some(secrets) = read(path, access)? {
            return Ok(secrets);
        }
        let secrets = vec![(0, Secret::generate()?)];
        let draft = Draft::of(path, access).map_err(of_key_file)?;
        if written(draft, &secrets)?.publish(path).map_err(of_key_file)? {
            return Ok(secrets);
        }
        // Another process was faster.
    }
    let found = "a key file that comes and goes, or a link that leads nowhere";
    Err(Error::new(ErrorCode::Os, "secret", found, "a file"))
}

/// The secrets at `path`; `None`: there is no such file.
pub(crate) fn read(path: &Path, access: &FileAccess) -> Result<Option<Secrets>, Error> {
    let opened = file::open(path, access, false).map_err(of_key_file)?;
    let Some(file) = opened else { return Ok(None) };
    let mut text = Zeroizing::new(String::new());
    let most = MOST_BYTES as u64;
    match File::take(file, most).read_to_string(&mut text) {
        Ok(_) => {}
        // No text at all.
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => return Err(unreadable()),
        Err(error) => return Err(of_key_file(io_error("secret", &error))),
    }
    let mut lines = text.lines();
    let known = lines.next() == Some(TITLE);
    let secrets: Option<Secrets> = lines.map(parse).collect();
    match secrets.filter(|secrets| known && !secrets.is_empty()) {
        Some(secrets) => Ok(Some(secrets)),
        None => Err(unreadable()),
    }
}

fn unreadable() -> Error {
    let found = "a key file that cannot be read";
    Error::new(ErrorCode::WrongSecret, "secret", found, "the file that was made beside the table")
}

/// Keeps `secrets` at `path`, instead of what is there.
pub(crate) fn replace(path: &Path, access: &FileAccess, secrets: &Secrets) -> Result<(), Error> {
    let draft = Draft::beside(path, access).map_err(of_key_file)?;
    written(draft, secrets)?.replace(path).map_err(of_key_file)
}

/// `error`, said of the key file and not of the table.
fn of_key_file(error: Error) -> Error {
    error.about("secret", "the key file beside the table: ")
}

fn written(draft: Draft, secrets: &Secrets) -> Result<Draft, Error> {
    let mut text = Zeroizing::new(String::from(TITLE));
    text.push('\n');
    for (id, secret) in secrets {
        let digits = secret.to_hex();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{id} {}", digits.as_str());
    }
    let made = (&draft.file).write_all(text.as_bytes()).and_then(|()| draft.file.sync_all());
    made.map_err(|error| io_error("secret", &error))?;
    Ok(draft)
}

fn parse(line: &str) -> Option<(u8, Secret)> {
    let (id, digits) = line.split_once(' ')?;
    Some((id.parse().ok()?, Secret::from_hex(digits)?))
}

/// How often it is looked for and made.
const TRIES: usize = 100;
const TITLE: &str = "oncegate secrets 1";
/// More than sixteen of the longest secrets.
const MOST_BYTES: usize = 16 << 10;
