//! Multipart bodies (RFC 2046, section 5.1; RFC 7578), without their boundary.
//!
//! Each part is absorbed as its three headers, in the order of [`HEADERS`], then part(bytes):
//!
//! ```text
//! header: 0 if absent; else 1, part(value in lower case), count of parameters
//!     each, ordered by name: part(name in lower case), part(value)
//! ```
//!
//! Values of parameters are taken as they stand between the quotes. Encoders disagree about
//! escapes there, and undoing one encoder's escapes would make two names of another's equal.

use super::{Absorb, Payload, refused};
use crate::{Error, ErrorCode};

/// Absorbs the parts in their order.
pub(super) fn absorb(body: &[u8], boundary: &str, out: &mut impl Absorb) -> Result<(), Error> {
    check_boundary(boundary)?;
    let parts = split(body, boundary)?;
    out.absorb_count(parts.len());
    for part in parts {
        let (headers, content) = split_headers(part)?;
        absorb_headers(headers, out)?;
        out.absorb_part(content);
    }
    Ok(())
}

fn check_boundary(boundary: &str) -> Result<(), Error> {
    const LIMIT: &str = "1 to 70 characters of RFC 2046, the last no space";
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte);
    let refuse = |found: String| {
        Err(Error::new(ErrorCode::InvalidPayload, "payload.boundary", found, LIMIT))
    };
    if !(1..=70).contains(&boundary.len()) {
        return refuse(format!("{} bytes", boundary.len()));
    }
    if !boundary.bytes().all(allowed) || boundary.ends_with(' ') {
        return refuse("another character".to_owned());
    }
    Ok(())
}

/// The parts between the delimiters. Every delimiter but the first includes the CRLF before it.
fn split<'b>(body: &'b [u8], boundary: &str) -> Result<Vec<&'b [u8]>, Error> {
    let delimiter = [b"\r\n--", boundary.as_bytes()].concat();
    let mut parts = Vec::new();
    let mut line = if body.starts_with(&delimiter[2..]) {
        read_delimiter(body, 0, delimiter.len() - 2)
    } else {
        None
    };
    if line.is_none() {
        line = find_delimiter(body, 0, &delimiter);
    }
    loop {
        let Some(opening) = line else {
            return Err(refused("a body without its closing delimiter", SYNTAX));
        };
        if opening.closes {
            return Ok(parts);
        }
        if parts.len() == Payload::MAX_PARTS {
            return Err(refused("a body of more parts", "at most 1024 parts"));
        }
        line = find_delimiter(body, opening.end, &delimiter);
        if let Some(next) = &line {
            parts.push(&body[opening.end..next.start]);
        }
    }
}

/// A delimiter line, from its first byte to after its line end.
struct Delimiter {
    start: usize,
    end: usize,
    closes: bool,
}

fn find_delimiter(body: &[u8], from: usize, delimiter: &[u8]) -> Option<Delimiter> {
    // A delimiter has one CR, its first byte: a failed match never has to be looked at again.
    let mut at = from;
    loop {
        at += body[at..].iter().position(|&byte| byte == b'\r')?;
        if body[at..].starts_with(delimiter) {
            let line = read_delimiter(body, at, delimiter.len());
            if line.is_some() {
                return line;
            }
        }
        at += 1;
    }
}

/// Reads the rest of a delimiter line; `None` when it is content that only begins like one.
fn read_delimiter(body: &[u8], start: usize, length: usize) -> Option<Delimiter> {
    let mut end = start + length;
    let closes = body[end..].starts_with(b"--");
    if closes {
        end += 2;
    }
    end += body[end..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    if body[end..].starts_with(b"\r\n") {
        return Some(Delimiter { start, end: end + 2, closes });
    }
    (closes && end == body.len()).then_some(Delimiter { start, end, closes })
}

/// Headers, each with its line end, and the content after the empty line.
fn split_headers(part: &[u8]) -> Result<(&[u8], &[u8]), Error> {
    if let Some(content) = part.strip_prefix(b"\r\n") {
        return Ok((&[], content));
    }
    let head = &part[..part.len().min(MAX_HEADER_BYTES + 2)];
    match head.windows(4).position(|window| window == b"\r\n\r\n") {
        Some(at) => Ok((&part[..at + 2], &part[at + 4..])),
        None if part.len() > MAX_HEADER_BYTES => {
            Err(refused("larger headers of a part", "at most 16384 bytes of headers in a part"))
        }
        None => Err(refused("a part without an empty line after its headers", SYNTAX)),
    }
}

fn absorb_headers(headers: &[u8], out: &mut impl Absorb) -> Result<(), Error> {
    let mut values: [Option<&[u8]>; HEADERS.len()] = [None; HEADERS.len()];
    let mut rest = headers;
    while !rest.is_empty() {
        let (line, after) = rest.split_at(header_end(rest)?);
        rest = after;
        let colon = line.iter().position(|&byte| byte == b':');
        let Some((name, value)) = colon.map(|at| (&line[..at], &line[at + 1..])) else {
            return Err(refused("a header without a colon", SYNTAX));
        };
        if name.is_empty() || !name.iter().all(|&byte| is_token(byte)) {
            return Err(refused("a malformed header name", SYNTAX));
        }
        let known = HEADERS.iter().position(|known| name.eq_ignore_ascii_case(known.as_bytes()));
        if let Some(index) = known
            && values[index].replace(value).is_some()
        {
            return Err(refused("a header of a part given twice", SYNTAX));
        }
    }
    for value in values {
        match value {
            Some(value) => absorb_header(value, out)?,
            None => out.absorb(&[0]),
        }
    }
    Ok(())
}

/// The length of the first header with its line end; a line that starts with a space goes on.
fn header_end(headers: &[u8]) -> Result<usize, Error> {
    let ends = headers.windows(2).enumerate().filter(|(_, pair)| pair == b"\r\n");
    for (at, _) in ends {
        if !matches!(headers.get(at + 2), Some(b' ' | b'\t')) {
            return Ok(at + 2);
        }
    }
    Err(refused("a header without a line end", SYNTAX))
}

fn absorb_header(value: &[u8], out: &mut impl Absorb) -> Result<(), Error> {
    let semicolon = value.iter().position(|&byte| byte == b';').unwrap_or(value.len());
    let main = value[..semicolon].trim_ascii().to_ascii_lowercase();
    let mut parameters = Vec::new();
    let mut rest = value[semicolon..].trim_ascii();
    while let Some(after) = rest.strip_prefix(b";") {
        let after = after.trim_ascii_start();
        if after.is_empty() {
            // Some encoders end the list with a semicolon.
            break;
        }
        let (parameter, tail) = read_parameter(after)?;
        parameters.push(parameter);
        rest = tail.trim_ascii_start();
        if !rest.is_empty() && !rest.starts_with(b";") {
            return Err(refused("text after a header parameter", SYNTAX));
        }
    }
    parameters.sort_unstable();
    if parameters.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return Err(refused("a header parameter given twice", SYNTAX));
    }
    out.absorb(&[1]);
    out.absorb_part(&main);
    out.absorb_count(parameters.len());
    for (name, value) in &parameters {
        out.absorb_part(name);
        out.absorb_part(value);
    }
    Ok(())
}

type Parameter<'b> = (Vec<u8>, &'b [u8]);

/// One `name=value` or `name="value"`, and the text after it.
fn read_parameter(text: &[u8]) -> Result<(Parameter<'_>, &[u8]), Error> {
    let name_length = text.iter().take_while(|&&byte| is_token(byte)).count();
    let (name, rest) = text.split_at(name_length);
    let value = rest.strip_prefix(b"=").filter(|_| name_length > 0);
    let Some(value) = value else {
        return Err(refused("a malformed header parameter", SYNTAX));
    };
    let name = name.to_ascii_lowercase();
    let Some(quoted) = value.strip_prefix(b"\"") else {
        let length = value.iter().take_while(|&&byte| is_token(byte)).count();
        let (value, rest) = value.split_at(length);
        return Ok(((name, value), rest));
    };
    let mut at = 0;
    loop {
        match quoted.get(at) {
            Some(b'"') => return Ok(((name, &quoted[..at]), &quoted[at + 1..])),
            Some(b'\\') => at += 2,
            Some(_) => at += 1,
            None => return Err(refused("a quoted parameter without an end", SYNTAX)),
        }
    }
}

/// What may stand in a header name, a parameter name or an unquoted value (RFC 9110, 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The headers of a part that count.
const HEADERS: [&str; 3] = ["content-disposition", "content-transfer-encoding", "content-type"];
const MAX_HEADER_BYTES: usize = 16 * 1024;
const SYNTAX: &str = "a multipart body as in RFC 2046 and RFC 7578";
