//! SHA-256 of bytes, as 64 hexadecimal digits (FIPS 180-4).

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::input::{Fault, Field, Raw};

/// A checksum. It is written in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sha256([u8; 32]);

/// A text that is not 64 hexadecimal digits.
#[derive(Debug, thiserror::Error)]
#[error("must be 64 hexadecimal digits")]
pub struct NotAChecksum;

impl Sha256 {
    /// One for the API's document: that of no bytes.
    pub const EXAMPLE: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    /// In base64: how S3's header has it.
    pub fn base64(&self) -> String {
        STANDARD.encode(self.0)
    }
}

impl From<[u8; 32]> for Sha256 {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Sha256 {
    type Err = NotAChecksum;

    fn from_str(text: &str) -> Result<Self, NotAChecksum> {
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(NotAChecksum);
        }
        let mut bytes = [0; 32];
        for (place, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * place..2 * place + 2], 16).map_err(|_| NotAChecksum)?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Sha256 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sha256 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Sha256 {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Sha256".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^[0-9A-Fa-f]{64}$", "description": "SHA-256, as hexadecimal digits"})
    }
}

impl Field for Sha256 {
    fn read(raw: &Raw<'_>) -> Result<Self, Fault> {
        let wrong = |error: NotAChecksum| Fault::invalid("INVALID_FORMAT", error.to_string());
        raw.string()?.parse().map_err(wrong)
    }

    fn schema() -> Schema {
        Self::json_schema(&mut SchemaGenerator::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_is_64_hexadecimal_digits() {
        let checksum: Sha256 = Sha256::EXAMPLE.to_uppercase().parse().unwrap();
        assert_eq!(checksum.to_string(), Sha256::EXAMPLE);
        assert_eq!(checksum.base64(), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
        for text in ["", &Sha256::EXAMPLE[1..], &Sha256::EXAMPLE.replace('e', "g"), &"\u{e9}".repeat(32)] {
            assert!(text.parse::<Sha256>().is_err(), "{text:?} was taken");
        }
    }
}
