//! Fields of a JSON object, each taken out as it is read: what is left at the end is a mistake.

use std::fmt;

use serde_json::{Map, Value};

/// Why a vector failed: the step, and what was found there.
pub(crate) type Failure = String;

/// The fields of one object that have not been read yet.
pub(crate) struct Fields {
    left: Map<String, Value>,
}

impl Fields {
    pub(crate) fn of(value: Value) -> Result<Self, Failure> {
        match value {
            Value::Object(left) => Ok(Self { left }),
            other => Err(format!("an object is expected, and not {other}")),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// The value of a field as it stands.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        self.left.remove(name)
    }

    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, Failure> {
        self.read(name, "text", |value| value.as_str().map(str::to_owned))
    }

    pub(crate) fn number(&mut self, name: &str) -> Result<Option<u64>, Failure> {
        self.read(name, "a whole number", Value::as_u64)
    }

    pub(crate) fn float(&mut self, name: &str) -> Result<Option<f64>, Failure> {
        self.read(name, "a number", Value::as_f64)
    }

    pub(crate) fn flag(&mut self, name: &str) -> Result<Option<bool>, Failure> {
        self.read(name, "true or false", Value::as_bool)
    }

    pub(crate) fn list(&mut self, name: &str) -> Result<Option<Vec<Value>>, Failure> {
        self.read(name, "a list", |value| value.as_array().cloned())
    }

    pub(crate) fn texts(&mut self, name: &str) -> Result<Option<Vec<String>>, Failure> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        self.read(name, "a list of texts", |value| value.as_array()?.iter().map(text).collect())
    }

    pub(crate) fn numbers(&mut self, name: &str) -> Result<Option<Vec<u64>>, Failure> {
        let all = |value: &Value| value.as_array()?.iter().map(Value::as_u64).collect();
        self.read(name, "a list of whole numbers", all)
    }

    /// Bytes: the text `name`, or the hexadecimal digits `name_hex`.
    pub(crate) fn bytes(&mut self, name: &str) -> Result<Option<Vec<u8>>, Failure> {
        if let Some(text) = self.text(name)? {
            return Ok(Some(text.into_bytes()));
        }
        let name = format!("{name}_hex");
        self.text(&name)?.map(|digits| from_hex(&digits)).transpose()
    }

    /// An object; an empty one where there is none.
    pub(crate) fn object(&mut self, name: &str) -> Result<Self, Failure> {
        self.take(name).map_or(Ok(Self { left: Map::new() }), Self::of)
    }

    /// Compares what was found with what is expected under this name, if anything is.
    pub(crate) fn same<T: Into<Value>>(&mut self, name: &str, found: T) -> Result<(), Failure> {
        let found = found.into();
        match self.take(name) {
            Some(expected) if expected != found => {
                Err(format!("{name}: expected {expected}, found {found}"))
            }
            _ => Ok(()),
        }
    }

    /// Nothing may be left.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        match self.left.keys().next() {
            None => Ok(()),
            Some(name) => Err(format!("nothing is known of `{name}` here")),
        }
    }

    fn read<T>(
        &mut self,
        name: &str,
        kind: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>, Failure> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let refused = || format!("{name}: {kind} is expected, and not {value}");
        read(&value).map(Some).ok_or_else(refused)
    }
}

/// The field is there.
pub(crate) fn needed<T>(name: &str, value: Option<T>) -> Result<T, Failure> {
    value.ok_or_else(|| format!("`{name}` is missing"))
}

/// The choice of this name.
pub(crate) fn choice<T: Copy>(
    name: &str,
    given: &str,
    choices: &[(&str, T)],
) -> Result<T, Failure> {
    let found = choices.iter().find(|(choice, _)| *choice == given);
    found.map(|(_, value)| *value).ok_or_else(|| format!("{name}: there is no {given}"))
}

pub(crate) fn from_hex(digits: &str) -> Result<Vec<u8>, Failure> {
    let byte = |pair: &[u8]| {
        let text = std::str::from_utf8(pair).ok().filter(|text| text.len() == 2)?;
        u8::from_str_radix(text, 16).ok()
    };
    let bytes: Option<Vec<u8>> = digits.as_bytes().chunks(2).map(byte).collect();
    bytes.ok_or_else(|| format!("these are no bytes in hexadecimal digits: {digits}"))
}

pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.left.fmt(f)
    }
}
