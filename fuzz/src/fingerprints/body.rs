//! Payloads of every kind, and what they mean, in plain code.

use arbitrary::{Result, Unstructured};
use oncegate::Payload;

use super::{form, multipart, parts};
use crate::canonical_json;
use crate::identity::{count, part};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Body {
    #[default]
    None,
    Raw(Vec<u8>),
    Json(Vec<u8>),
    Form(Vec<u8>),
    /// A body of known parts.
    Parts {
        body: Vec<u8>,
        boundary: String,
        parts: Vec<multipart::Part>,
    },
    /// A body of any bytes: it gets an answer, and nobody here knows which.
    Multipart {
        body: Vec<u8>,
        boundary: String,
    },
}

impl Body {
    pub(super) fn read(bytes: &mut Unstructured<'_>) -> Result<Self> {
        let kind: u8 = bytes.arbitrary()?;
        let marked = kind & 0x80 != 0;
        Ok(match kind % 7 {
            0 => Self::None,
            1 => Self::Raw(parts::text(bytes, marked)?),
            2 => Self::Json(parts::text(bytes, marked)?),
            3 => Self::Form(parts::text(bytes, marked)?),
            4 | 5 => {
                let parts = multipart::Part::read_some(bytes)?;
                let (body, boundary) = multipart::encode(&parts, bytes)?;
                Self::Parts { body, boundary, parts }
            }
            _ => {
                let boundary = String::from_utf8_lossy(&parts::text(bytes, false)?).into_owned();
                let body = parts::text(bytes, marked)?;
                Self::Multipart { body, boundary }
            }
        })
    }

    /// The same payload in another spelling, or the same bytes as another kind.
    pub(super) fn respelled(&self, bytes: &mut Unstructured<'_>) -> Result<Self> {
        Ok(match self {
            Self::None => Self::Raw(Vec::new()),
            Self::Raw(body) => match bytes.int_in_range(0..=2)? {
                0 => Self::Json(body.clone()),
                1 => Self::Form(body.clone()),
                _ => Self::Multipart { body: body.clone(), boundary: "b".to_owned() },
            },
            Self::Json(document) => {
                let content = canonical_json::content(document, &[], &[]);
                // Kind and length stand before the canonical text.
                let text = content.and_then(|content| {
                    let length = content.bytes.get(1..9)?.try_into().ok()?;
                    Some(
                        content
                            .bytes
                            .get(9..)?
                            .get(..u64::from_le_bytes(length) as usize)?
                            .to_vec(),
                    )
                });
                text.map_or_else(|| Self::Raw(document.clone()), Self::Json)
            }
            Self::Form(body) => {
                form::respelled(body).map_or_else(|| Self::Raw(body.clone()), Self::Form)
            }
            Self::Parts { parts, .. } => {
                let (body, boundary) = multipart::encode(parts, bytes)?;
                Self::Parts { body, boundary, parts: parts.clone() }
            }
            Self::Multipart { body, .. } => Self::Raw(body.clone()),
        })
    }

    pub(super) fn payload(&self) -> Payload<'_> {
        match self {
            Self::None => Payload::none(),
            Self::Raw(body) => Payload::raw(body),
            Self::Json(document) => Payload::json(document),
            Self::Form(body) => Payload::form(body),
            Self::Parts { body, boundary, .. } | Self::Multipart { body, boundary } => {
                Payload::multipart(body, boundary)
            }
        }
    }

    /// Whether it can be digested, where that is known.
    pub(super) fn is_valid(&self) -> Option<bool> {
        match self {
            Self::None | Self::Raw(_) | Self::Parts { .. } => Some(true),
            Self::Json(document) => Some(canonical_json::content(document, &[], &[]).is_some()),
            Self::Form(body) => Some(form::pairs(body).is_some()),
            Self::Multipart { .. } => None,
        }
    }

    /// What the engine digests, where that is known: the kind, and the canonical content.
    pub(super) fn content(&self) -> Option<Vec<u8>> {
        Some(match self {
            Self::None => vec![0],
            Self::Raw(body) => [&[1], body.as_slice()].concat(),
            Self::Json(document) => canonical_json::content(document, &[], &[])?.bytes,
            Self::Form(body) => {
                let pairs = form::pairs(body)?;
                let mut content = vec![4];
                count(&mut content, pairs.len());
                for (name, value) in pairs {
                    part(&mut content, &name);
                    part(&mut content, &value);
                }
                content
            }
            Self::Parts { parts, .. } => multipart::content(parts),
            Self::Multipart { .. } => return None,
        })
    }

    /// Equal if and only if the payloads are the same, for those that can be digested.
    pub(super) fn meaning(&self) -> Vec<u8> {
        self.content().unwrap_or_else(|| match self {
            Self::Multipart { body, boundary } => {
                [&[0xff], boundary.as_bytes(), &[0], body].concat()
            }
            _ => Vec::new(),
        })
    }
}
