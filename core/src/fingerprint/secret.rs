//! Secret: the key of every digest.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{Error, ErrorCode};

/// The secret under which fingerprints and payload digests are made.
///
/// Processes that share a table must share the secret. Its bytes are wiped when it is dropped,
/// `Debug` shows nothing of them, and two secrets are compared in constant time.
///
/// ```
/// use oncegate::Secret;
///
/// let secret = Secret::from_bytes(&[7; 32])?;
/// assert_eq!(format!("{secret:?}"), "Secret(..)");
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Clone)]
pub struct Secret(Zeroizing<Box<[u8]>>);

impl Secret {
    /// A fresh secret of 32 bytes from the operating system.
    ///
    /// Records made under it can only be found by those who hold it, so keep it where records
    /// outlive the process.
    ///
    /// # Errors
    /// `NoEntropy` when the operating system gives no randomness.
    ///
    /// ```
    /// use oncegate::Secret;
    ///
    /// assert!(Secret::generate()? != Secret::generate()?);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn generate() -> Result<Secret, Error> {
        let mut bytes = Zeroizing::new(vec![0; 32].into_boxed_slice());
        getrandom::fill(&mut bytes).map_err(|_| Error::of(ErrorCode::NoEntropy, "secret"))?;
        Ok(Secret(bytes))
    }

    /// A secret of 32 to 128 bytes, as a key service gave it. The bytes must be random; a
    /// password is not. They are copied, and the caller wipes the original.
    ///
    /// # Errors
    /// `InvalidConfig` when there are fewer than 32 bytes or more than 128, or when all of them
    /// are zero, which is what a secret that was never filled in looks like.
    ///
    /// ```
    /// use oncegate::{ErrorCode, Secret};
    ///
    /// let error = Secret::from_bytes(b"hunter2").unwrap_err();
    /// assert_eq!((error.code(), error.field()), (ErrorCode::InvalidConfig, "secret"));
    /// ```
    pub fn from_bytes(bytes: &[u8]) -> Result<Secret, Error> {
        const LIMIT: &str = "32 to 128 random bytes";
        if !(32..=128).contains(&bytes.len()) {
            let found = format!("{} bytes", bytes.len());
            return Err(Error::new(ErrorCode::InvalidConfig, "secret", found, LIMIT));
        }
        if bytes.iter().all(|&byte| byte == 0) {
            return Err(Error::new(ErrorCode::InvalidConfig, "secret", "zero bytes only", LIMIT));
        }
        Ok(Secret(Zeroizing::new(bytes.into())))
    }

    /// The secret in hexadecimal digits, for a file that only its owner reads.
    pub(crate) fn to_hex(&self) -> Zeroizing<String> {
        let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
        let mut digits = Zeroizing::new(String::with_capacity(2 * self.0.len()));
        for byte in self.0.iter() {
            digits.push(digit(byte >> 4));
            digits.push(digit(byte & 0xf));
        }
        digits
    }

    /// The secret that [`to_hex`](Self::to_hex) gave. `None`: it is none.
    pub(crate) fn from_hex(digits: &str) -> Option<Self> {
        let value = |digit: &u8| char::from(*digit).to_digit(16).map(|value| value as u8);
        let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
        let byte = |[high, low]: &[u8; 2]| Some(value(high)? << 4 | value(low)?);
        let bytes: Option<Vec<u8>> = pairs.iter().map(byte).collect();
        let bytes = Zeroizing::new(bytes.filter(|_| rest.is_empty())?);
        Self::from_bytes(&bytes).ok()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        bool::from(self.0.ct_eq(&other.0))
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
