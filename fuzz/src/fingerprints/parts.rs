//! The parts of a request, and how another one is made from them.

use arbitrary::{Result, Unstructured};
use oncegate::{Error, ErrorCode, Request, Scope};

use super::body::Body;
use crate::identity::Identity;

/// A word that no error and no debug output contains, unless it shows content.
pub(crate) const MARK: &str = "kolibri";

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) scope: Tenant,
    pub(super) operation: String,
    pub(super) key: Vec<u8>,
    /// The payload takes the place of the key.
    pub(super) by_payload: bool,
    pub(super) body: Body,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Tenant {
    Named(Vec<u8>),
    #[default]
    Single,
    Unauthenticated,
}

impl Parts {
    pub(super) fn read(bytes: &mut Unstructured<'_>) -> Result<Self> {
        let flags: u8 = bytes.arbitrary()?;
        let scope = match flags & 3 {
            0 | 1 => Tenant::Named(text(bytes, flags & 4 != 0)?),
            2 => Tenant::Single,
            _ => Tenant::Unauthenticated,
        };
        let operation = String::from_utf8_lossy(&text(bytes, flags & 8 != 0)?).into_owned();
        let key = text(bytes, flags & 16 != 0)?;
        let by_payload = flags & 32 != 0;
        Ok(Self { scope, operation, key, by_payload, body: Body::read(bytes)? })
    }

    /// Another request, which may be the same.
    pub(super) fn varied(&self, bytes: &mut Unstructured<'_>) -> Result<Self> {
        let mut other = self.clone();
        match bytes.int_in_range(0..=7)? {
            0 => {}
            1 => other.cut_again(bytes)?,
            2 => {
                other.scope = match &self.scope {
                    Tenant::Named(_) => Tenant::Single,
                    Tenant::Single => Tenant::Unauthenticated,
                    Tenant::Unauthenticated => Tenant::Named(vec![3]),
                }
            }
            3 => other.by_payload = !self.by_payload,
            4 => other.body = Body::read(bytes)?,
            5 => other.body = self.body.respelled(bytes)?,
            6 => other.key = text(bytes, false)?,
            _ => other = Self::read(bytes)?,
        }
        Ok(other)
    }

    /// The text of scope, operation and key, cut in other places.
    fn cut_again(&mut self, bytes: &mut Unstructured<'_>) -> Result<()> {
        let Tenant::Named(name) = &self.scope else { return Ok(()) };
        let whole = [name, self.operation.as_bytes(), &self.key].concat();
        let first = bytes.int_in_range(0..=whole.len())?;
        let second = bytes.int_in_range(first..=whole.len())?;
        let Ok(operation) = std::str::from_utf8(&whole[first..second]) else { return Ok(()) };
        self.operation = operation.to_owned();
        self.scope = Tenant::Named(whole[..first].to_vec());
        self.key = whole[second..].to_vec();
        Ok(())
    }

    pub(super) fn request(&self) -> std::result::Result<Request<'_>, Error> {
        let scope = match &self.scope {
            Tenant::Named(name) => Scope::new(name)?,
            Tenant::Single => Scope::single_tenant(),
            Tenant::Unauthenticated => Scope::unauthenticated(),
        };
        let payload = self.body.payload();
        if self.by_payload {
            return Request::by_payload(scope, &self.operation, payload);
        }
        Ok(Request::new(scope, &self.operation, &self.key)?.payload(payload))
    }

    /// What has to be refused first, by the documented limits.
    pub(super) fn refusal(&self) -> Option<(ErrorCode, &'static str)> {
        let fits = |length: usize, most: usize| (1..=most).contains(&length);
        if matches!(&self.scope, Tenant::Named(name) if !fits(name.len(), 255)) {
            Some((ErrorCode::InvalidScope, "scope"))
        } else if !fits(self.operation.len(), 1_024) {
            Some((ErrorCode::InvalidOperation, "operation"))
        } else if !self.by_payload && !fits(self.key.len(), 255) {
            Some((ErrorCode::InvalidKey, "key"))
        } else {
            None
        }
    }

    /// What a request is: two are the same if and only if this is.
    pub(super) fn identity(&self) -> (&Tenant, &str, Option<&[u8]>, Option<Vec<u8>>) {
        let key = (!self.by_payload).then_some(&*self.key);
        let content = self.by_payload.then(|| self.body.meaning());
        (&self.scope, &self.operation, key, content)
    }

    /// Whether [`identity`](Self::identity) tells different requests apart: what a body of any
    /// bytes means is known to the engine alone.
    pub(super) fn is_known(&self) -> bool {
        !self.by_payload || !matches!(self.body, Body::Multipart { .. })
    }

    /// The fingerprint by the second implementation, where it knows the payload.
    pub(super) fn expected(&self, by: &Identity, content: Option<&[u8]>) -> Option<[u8; 32]> {
        let scope = match &self.scope {
            Tenant::Named(name) => (1, name.as_slice()),
            Tenant::Single => (2, &[][..]),
            Tenant::Unauthenticated => (3, &[][..]),
        };
        if self.by_payload {
            return content.map(|content| by.of_payload(scope, &self.operation, content));
        }
        Some(by.of_key(scope, &self.operation, &self.key))
    }
}

/// Some bytes: a few that are given, or very many, around every limit. A marked text has the mark
/// in it.
pub(super) fn text(bytes: &mut Unstructured<'_>, marked: bool) -> Result<Vec<u8>> {
    let length: u8 = bytes.arbitrary()?;
    let mut text = match length {
        0..=191 => bytes.bytes(usize::from(length % 48).min(bytes.len()))?.to_vec(),
        _ => {
            let length = LENGTHS[usize::from(length) % LENGTHS.len()];
            vec![bytes.arbitrary::<u8>()?; length]
        }
    };
    if marked {
        let at = text.len().min(usize::from(length % 5));
        text.splice(at..at, MARK.bytes());
    }
    Ok(text)
}

/// Around the limits of scope, key and operation, with the mark and without it.
const LENGTHS: [usize; 12] = [0, 1, 180, 247, 248, 249, 254, 255, 256, 1_023, 1_024, 1_025];
