//! Multipart bodies, the other way round: parts are encoded as encoders please.

use arbitrary::{Result, Unstructured};

use super::parts::text;
use crate::identity::{count, part};

/// One part of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    name: Vec<u8>,
    filename: Option<Vec<u8>>,
    /// An index of [`TYPES`].
    media: Option<usize>,
    content: Vec<u8>,
}

impl Part {
    pub(super) fn read_some(bytes: &mut Unstructured<'_>) -> Result<Vec<Self>> {
        let many = bytes.int_in_range(0..=4)?;
        (0..many).map(|_| Self::read(bytes)).collect()
    }

    fn read(bytes: &mut Unstructured<'_>) -> Result<Self> {
        let flags: u8 = bytes.arbitrary()?;
        let name = quotable(bytes)?;
        let filename = (flags & 1 != 0).then(|| quotable(bytes)).transpose()?;
        let media = (flags & 2 != 0).then_some(usize::from(flags >> 2) % TYPES.len());
        Ok(Self { name, filename, media, content: text(bytes, false)? })
    }
}

/// The parts as a body, and its boundary.
pub(super) fn encode(parts: &[Part], bytes: &mut Unstructured<'_>) -> Result<(Vec<u8>, String)> {
    let style: u8 = bytes.arbitrary()?;
    let styled = |bit: u8| style & 1 << bit != 0;
    let mut boundary = if styled(0) { "----WebKitFormBoundary7MA" } else { "b" }.to_owned();
    let holds = |content: &[u8], boundary: &str| {
        let delimiter = format!("--{boundary}");
        content.windows(delimiter.len()).any(|window| window == delimiter.as_bytes())
    };
    while parts.iter().any(|part| holds(&part.content, &boundary)) {
        boundary.push('x');
    }
    let mut body = Vec::new();
    if styled(1) {
        body.extend_from_slice(b"a preamble\r\n");
    }
    for part in parts {
        let space = if styled(2) { " \t" } else { "" };
        body.extend_from_slice(format!("--{boundary}{space}\r\n").as_bytes());
        if styled(3) {
            body.extend_from_slice(b"X-Trace: 7\r\n");
        }
        let mut parameters = vec![[b"name=\"".as_slice(), &part.name, b"\""].concat()];
        if let Some(filename) = &part.filename {
            parameters.push([b"FileName=\"".as_slice(), filename, b"\""].concat());
        }
        if styled(4) {
            parameters.reverse();
        }
        let disposition = if styled(5) { "content-DISPOSITION:FORM-data" } else { DISPOSITION };
        body.extend_from_slice(disposition.as_bytes());
        for parameter in &parameters {
            body.extend_from_slice(if styled(6) { b";\r\n " } else { b"; " });
            body.extend_from_slice(parameter);
        }
        body.extend_from_slice(b"\r\n");
        if let Some(media) = part.media {
            body.extend_from_slice(format!("Content-Type: {}\r\n", TYPES[media].0).as_bytes());
        }
        body.extend_from_slice(b"\r\n");
        body.extend_from_slice(&part.content);
        body.extend_from_slice(b"\r\n");
    }
    let epilogue = if styled(7) { "\r\nan epilogue" } else { "" };
    body.extend_from_slice(format!("--{boundary}--{epilogue}").as_bytes());
    Ok((body, boundary))
}

/// What the engine digests of the parts: the kind, then each part's headers in the order of their
/// names, then its bytes.
pub(super) fn content(parts: &[Part]) -> Vec<u8> {
    let mut content = vec![5];
    count(&mut content, parts.len());
    for one in parts {
        content.push(1);
        part(&mut content, b"form-data");
        count(&mut content, 1 + usize::from(one.filename.is_some()));
        if let Some(filename) = &one.filename {
            part(&mut content, b"filename");
            part(&mut content, filename);
        }
        part(&mut content, b"name");
        part(&mut content, &one.name);
        // No transfer encoding.
        content.push(0);
        match one.media {
            None => content.push(0),
            Some(media) => {
                let (_, kind, parameters) = TYPES[media];
                content.push(1);
                part(&mut content, kind.as_bytes());
                count(&mut content, parameters.len());
                for (name, value) in parameters {
                    part(&mut content, name.as_bytes());
                    part(&mut content, value.as_bytes());
                }
            }
        }
        part(&mut content, &one.content);
    }
    content
}

/// Bytes that stand between quotes as they are.
fn quotable(bytes: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut name = text(bytes, false)?;
    name.retain(|byte| !matches!(byte, b'"' | b'\\' | b'\r' | b'\n'));
    Ok(name)
}

type Media = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const DISPOSITION: &str = "Content-Disposition: form-data";
/// Media types as they are sent, and as they are read.
const TYPES: [Media; 3] = [
    ("image/PNG", "image/png", &[]),
    ("text/plain;Charset=utf-8", "text/plain", &[("charset", "utf-8")]),
    ("a/b; y=\"1;2\" ; X=z;", "a/b", &[("x", "z"), ("y", "1;2")]),
];
