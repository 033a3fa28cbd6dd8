//! Fingerprints by a second implementation: the layout as it is documented, HMAC as RFC 2104 has
//! it.

use sha2::{Digest, Sha256};

/// What makes the fingerprints of an engine under one secret.
pub(crate) struct Identity {
    identity: [u8; 32],
    payload: [u8; 32],
}

impl Identity {
    pub(crate) fn new(secret: &[u8]) -> Self {
        let derive = |label: &str| hmac(secret, &[label.as_bytes(), &[0, 0]].concat());
        Self { identity: derive("oncegate identity"), payload: derive("oncegate payload 2") }
    }

    /// The fingerprint of a request under a client's key.
    pub(crate) fn of_key(&self, scope: (u8, &[u8]), operation: &str, key: &[u8]) -> [u8; 32] {
        self.of(scope, operation, 0, key)
    }

    /// The fingerprint of a request that its payload identifies: `content` is the payload's kind
    /// and its canonical content.
    pub(crate) fn of_payload(
        &self,
        scope: (u8, &[u8]),
        operation: &str,
        content: &[u8],
    ) -> [u8; 32] {
        self.of(scope, operation, 1, &hmac(&self.payload, content))
    }

    fn of(
        &self,
        (kind, scope): (u8, &[u8]),
        operation: &str,
        key_kind: u8,
        key: &[u8],
    ) -> [u8; 32] {
        let mut message = vec![kind | key_kind << 4, scope.len() as u8];
        message.extend_from_slice(scope);
        message.extend_from_slice(&(operation.len() as u16).to_le_bytes());
        message.extend_from_slice(operation.as_bytes());
        message.push(key.len() as u8);
        message.extend_from_slice(key);
        hmac(&self.identity, &message)
    }
}

/// Appends a count as eight bytes, little-endian.
pub(crate) fn count(content: &mut Vec<u8>, count: usize) {
    content.extend_from_slice(&(count as u64).to_le_bytes());
}

/// Appends a part after its length.
pub(crate) fn part(content: &mut Vec<u8>, part: &[u8]) {
    count(content, part.len());
    content.extend_from_slice(part);
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let padded = |with: u8| {
        let mut block = [with; 64];
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        block
    };
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize().into()
}
