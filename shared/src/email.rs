//! Email addresses.

use std::fmt;
use std::str::FromStr;

use email_address::{EmailAddress, Options};
use schemars::{JsonSchema, Schema, json_schema};
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use crate::input::{Fault, Field, Raw};
use crate::text::is_unsendable;

/// An email address as an account is known by: trimmed, NFC, lower-cased.
///
/// `Display` writes it whole, for mail headers and answers. It has no `Debug`, so that it does not
/// slip into a log line.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(inline, description = "An email address, in lower case", extend("format" = "email"))]
pub struct Email(String);

impl Email {
    /// The longest address that SMTP can carry, in bytes (RFC 5321, section 4.5.3.1.3, less the brackets).
    pub const MAX_BYTES: usize = 254;

    /// An address that is nobody's and never will be (RFC 2606, section 2).
    pub fn nobodys() -> Self {
        Self("deleted@account.invalid".to_owned())
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before the `@`.
    pub fn local_part(&self) -> &str {
        self.0.rsplit_once('@').map_or(&self.0, |(local, _)| local)
    }
}

/// Why a text is no email address.
#[derive(Debug, thiserror::Error)]
pub enum NotAnEmail {
    /// Longer than [`Email::MAX_BYTES`].
    #[error("must have at most {} bytes", Email::MAX_BYTES)]
    TooLong,
    /// Not of the form `local@domain.tld`.
    #[error("must be an email address")]
    Malformed,
}

impl FromStr for Email {
    type Err = NotAnEmail;

    fn from_str(text: &str) -> Result<Self, NotAnEmail> {
        // Composed last: lower-casing may leave something to compose.
        let folded: String = text.trim().to_lowercase().nfc().collect();
        if folded.len() > Self::MAX_BYTES {
            return Err(NotAnEmail::TooLong);
        }
        // Quoted local parts and domain literals are legal and never anybody's address; a display
        // name is not part of an address.
        let options = Options::default().with_required_tld().without_domain_literal().without_display_text();
        if folded.contains(['"', '<', '>', ','])
            || folded.chars().any(|c| c.is_whitespace() || is_unsendable(c))
        {
            return Err(NotAnEmail::Malformed);
        }
        EmailAddress::parse_with_options(&folded, options).map_err(|_| NotAnEmail::Malformed)?;
        Ok(Self(folded))
    }
}

impl TryFrom<String> for Email {
    type Error = NotAnEmail;

    fn try_from(text: String) -> Result<Self, NotAnEmail> {
        text.parse()
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Field for Email {
    fn read(raw: &Raw<'_>) -> Result<Self, Fault> {
        raw.string()?.parse().map_err(|fault: NotAnEmail| {
            let code = match fault {
                NotAnEmail::TooLong => "TOO_LONG",
                NotAnEmail::Malformed => "INVALID_FORMAT",
            };
            Fault::invalid(code, fault.to_string())
        })
    }

    fn schema() -> Schema {
        json_schema!({"type": "string", "format": "email", "maxLength": Self::MAX_BYTES,
            "description": "An address of the form local@domain.tld; upper and lower case are the same"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_trimmed_composed_and_lower_cased() {
        let email: Email = "  Jose\u{301}@Example.COM ".parse().unwrap();
        assert_eq!(email.as_str(), "jos\u{e9}@example.com");
        assert_eq!(email.local_part(), "jos\u{e9}");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "ada",
            "ada@",
            "@example.com",
            "ada@example",
            "a b@example.com",
            "ada@exa mple.com",
            "Ada <ada@example.com>",
            "a@b.com,c@d.com",
            "ada@example.com\r\nBcc: eve@example.com",
            "ada@[127.0.0.1]",
            "ada@@example.com",
            "ada\u{0}@example.com",
        ] {
            assert!(text.parse::<Email>().is_err(), "{text:?} was taken");
        }
        assert!(format!("{}@example.com", "a".repeat(250)).parse::<Email>().is_err());
    }
}
