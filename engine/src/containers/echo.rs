//! What a door sent, kept to be given back.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// A JSON value, kept as its text: as a tree it takes ten times the memory, for every container, and is read only by
/// `inspect`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Echo(Box<str>);

impl Echo {
    /// Keeps `value`.
    pub fn of(value: &Value) -> Self {
        Self(value.to_string().into())
    }

    /// The value; null when nothing was sent.
    pub fn read(&self) -> Value {
        // The text was written by `of`.
        serde_json::from_str(&self.0).unwrap_or_default()
    }
}

impl Default for Echo {
    fn default() -> Self {
        Self::of(&Value::Null)
    }
}

impl Serialize for Echo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.read().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Echo {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(|value| Self::of(&value)).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::Echo;

    #[test]
    fn it_is_stored_as_the_value_that_it_is() {
        let value = serde_json::json!({"HostConfig": {"Memory": 1, "Binds": null}});
        let stored = serde_json::to_value(Echo::of(&value)).expect("stored");
        assert_eq!(stored, value);
        assert_eq!(serde_json::from_value::<Echo>(stored).expect("read").read(), value);
        assert!(Echo::default().read().is_null());
    }
}
