//! Identifiers: UUIDv7 (RFC 9562), so that newer ids sort after older ones.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::input::{Fault, Field, Raw};
use crate::time::Timestamp;

/// A new random id that sorts by the moment it was made.
pub fn uuid(now: Timestamp) -> Uuid {
    let seconds = u64::try_from(now.seconds()).unwrap_or_default();
    let nanos = u32::try_from(now.ms() % 1000 * 1_000_000).unwrap_or_default();
    Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanos))
}

/// An id that is the same each time it is derived from the same `parts` (UUIDv5).
///
/// What is sent again after a crash carries it, so that its receiver can tell.
pub fn derived(parts: &[&str]) -> Uuid {
    /// Arcana's own namespace, drawn once at random.
    const NAMESPACE: Uuid = Uuid::from_u128(0x3d0c_5ec9_76e4_4f0b_9d3a_52a6_8a51_7c1e);
    // The length before each part keeps ("ab", "c") apart from ("a", "bc").
    let mut name = Vec::new();
    for part in parts {
        name.extend_from_slice(&(part.len() as u64).to_be_bytes());
        name.extend_from_slice(part.as_bytes());
    }
    Uuid::new_v5(&NAMESPACE, &name)
}

/// A text that is no id as it is written here: with hyphens, in lower case. Another spelling would be a second
/// name of one thing.
#[derive(Debug, thiserror::Error)]
#[error("not an id")]
pub struct NotAnId;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// One for the API's document.
            pub const EXAMPLE: &str = "01a203c8-f2a1-79ba-b51f-e8e5ab46bc24";

            /// A new id.
            pub fn new(now: Timestamp) -> Self {
                Self(uuid(now))
            }

            /// The id's 16 bytes.
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl std::str::FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, NotAnId> {
                let id = text.parse::<Uuid>().ok().filter(|id| id.to_string() == text);
                id.map(Self).ok_or(NotAnId)
            }
        }

        impl Field for $name {
            fn read(raw: &Raw<'_>) -> Result<Self, Fault> {
                let wrong = |_| Fault::invalid("INVALID_FORMAT", "must be a UUID in lower case");
                raw.string()?.parse().map_err(wrong)
            }

            fn schema() -> Schema {
                json_schema!({"type": "string", "format": "uuid"})
            }
        }

        impl From<[u8; 16]> for $name {
            fn from(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "format": "uuid"})
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

ids! {
    /// Whose account.
    UserId
    /// Which login of a user.
    SessionId
    /// Which product of the catalogue.
    ProductId
    /// Which file.
    FileId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_derived_id_depends_on_each_part_and_their_borders() {
        assert_eq!(derived(&["a", "b"]), derived(&["a", "b"]));
        assert_ne!(derived(&["ab", "c"]), derived(&["a", "bc"]));
    }

    #[test]
    fn a_later_id_sorts_after_an_earlier_one() {
        let now = Timestamp::from_ms(1_790_000_000_000);
        assert!(uuid(now) < uuid(now.plus_ms(1)));
    }
}
