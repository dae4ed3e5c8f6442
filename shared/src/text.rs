//! Human text: names, categories, descriptions.

use schemars::{Schema, json_schema};
use serde::{Deserialize, Serialize};

use unicode_normalization::UnicodeNormalization as _;

use crate::input::{Fault, Field, Raw};

/// The name of a person or a thing: 1 to 255 characters, trimmed, without control characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Name(String);

/// A text that is no name.
#[derive(Debug, thiserror::Error)]
#[error("not a name")]
pub struct NotAName;

impl TryFrom<String> for Name {
    type Error = NotAName;

    fn try_from(text: String) -> Result<Self, NotAName> {
        line(&text, Self::MAX).map(Self).map_err(|_| NotAName)
    }
}

impl Name {
    /// The longest name, in characters.
    pub const MAX: usize = 255;

    /// The name's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Field for Name {
    fn read(raw: &Raw<'_>) -> Result<Self, Fault> {
        Ok(Self(line(&raw.string()?, Self::MAX)?))
    }

    fn schema() -> Schema {
        json_schema!({"type": "string", "minLength": 1, "maxLength": Self::MAX,
            "description": "One line of text without control characters; space around it is cut off"})
    }
}

/// The name of a category: 1 to 100 characters, trimmed, without control characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Category(String);

impl Category {
    /// The longest name, in characters.
    pub const MAX: usize = 100;

    /// The category's name.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl Field for Category {
    fn read(raw: &Raw<'_>) -> Result<Self, Fault> {
        // One spelling: a category is compared by its bytes.
        let text: String = raw.string()?.nfc().collect();
        Ok(Self(line(&text, Self::MAX)?))
    }

    fn schema() -> Schema {
        json_schema!({"type": "string", "minLength": 1, "maxLength": Self::MAX,
            "description": "One line of text without control characters; space around it is cut off"})
    }
}

/// What a thing is like: 1 to 10,000 characters, trimmed, of several lines maybe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Description(String);

impl Description {
    /// The longest description, in characters.
    pub const MAX: usize = 10_000;

    /// The description's text.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl Field for Description {
    fn read(raw: &Raw<'_>) -> Result<Self, Fault> {
        let text = raw.string()?;
        let is_forbidden = |c: char| is_unsendable(c) && !matches!(c, '\n' | '\r' | '\t');
        Ok(Self(bounded(&text, Self::MAX, is_forbidden)?))
    }

    fn schema() -> Schema {
        json_schema!({"type": "string", "minLength": 1, "maxLength": Self::MAX,
            "description": "Text, of several lines maybe; space around it is cut off"})
    }
}

/// Whether a character has no business in a line of text: control characters, and the two that no message of
/// a queue may have, however it is written
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>).
pub fn is_unsendable(c: char) -> bool {
    c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}')
}

/// One line of text of 1 to `max` characters, trimmed.
///
/// A control character (NUL, CR, LF ...) is refused rather than removed: it has no business in a
/// name, and it is how a header is forged.
pub fn line(text: &str, max: usize) -> Result<String, Fault> {
    bounded(text, max, is_unsendable)
}

fn bounded(text: &str, max: usize, is_forbidden: impl Fn(char) -> bool) -> Result<String, Fault> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Fault::invalid("TOO_SHORT", "must not be empty"));
    }
    if text.chars().count() > max {
        return Err(Fault::invalid("TOO_LONG", format!("must have at most {max} characters")));
    }
    if text.chars().any(is_forbidden) {
        return Err(Fault::invalid("INVALID_FORMAT", "must not contain control characters"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_no_character_that_a_header_or_a_queue_refuses() {
        for text in ["a\0b", "a\r\nBcc: b", "a\u{85}b", "\u{fffe}", "\u{ffff}"] {
            assert!(line(text, 255).is_err(), "{text:?} was taken");
        }
        assert_eq!(line("  Ada \u{1f680}\u{fffd} ", 255).unwrap(), "Ada \u{1f680}\u{fffd}");
    }
}
