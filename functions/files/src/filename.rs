//! What a client says of a file: its name, its size, its media type.

use schemars::{Schema, json_schema};
use shared::files::{Extension, LARGEST};
use shared::input::{Fault, Field, Raw, Told};
use shared::text::{Name, line};

/// The name of a file, without the folders before it, and its kind.
pub(crate) struct Filename {
    pub(crate) text: String,
    pub(crate) extension: Extension,
}

/// Whether a character makes a name look like another: it changes the direction of what follows, so that `gpj.exe` can
/// look like `exe.jpg` (<https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters>), or breaks the line.
/// Others that are not seen stay: scripts and emojis are written with them.
fn misleads(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

impl Filename {
    fn parse(text: &str) -> Result<Self, Fault> {
        let wrong = |detail: &'static str| Fault::invalid("INVALID_FORMAT", detail);
        let text = line(text, Name::MAX)?;
        if text.contains(misleads) {
            return Err(wrong("must not contain characters that turn text or break the line"));
        }
        let mut parts = text.split(['/', '\\']);
        if parts.clone().any(|part| part.trim() == "..") {
            return Err(wrong("must not lead out of its folder"));
        }
        let text = line(parts.next_back().unwrap_or_default(), Name::MAX)?;
        let (stem, extension) = text.rsplit_once('.').unwrap_or((&text, ""));
        if stem.trim_matches(['.', ' ']).is_empty() {
            return Err(wrong("must have a name before its extension"));
        }
        let known = Extension::ALL.into_iter().find(|known| known.name().eq_ignore_ascii_case(extension));
        match known {
            Some(extension) => Ok(Self { text, extension }),
            None => {
                let extension = extension.to_lowercase();
                let detail = format!("File type not allowed: {extension}");
                Err(Fault::Told("NOT_ALLOWED", detail.into(), Told::Extension(extension)))
            }
        }
    }
}

impl Field for Filename {
    fn read(raw: &Raw<'_>) -> Result<Self, Fault> {
        Self::parse(&raw.string()?)
    }

    fn schema() -> Schema {
        let names = Extension::ALL.map(Extension::name).join(", ");
        json_schema!({"type": "string", "minLength": 1, "maxLength": Name::MAX,
            "description": format!("One line of text that ends in one of {names}; folders before it are cut off")})
    }
}

/// The size of a file, in bytes.
pub(crate) struct Size(pub(crate) i64);

impl Field for Size {
    fn read(raw: &Raw<'_>) -> Result<Self, Fault> {
        match raw.integer()? {
            size @ 1..=LARGEST => Ok(Self(size)),
            actual if actual > LARGEST => {
                let detail = format!("File too large. Max size: {LARGEST} bytes");
                Err(Fault::Told("OUT_OF_RANGE", detail.into(), Told::Size { max: LARGEST, actual }))
            }
            _ => Err(Fault::invalid("OUT_OF_RANGE", "must be 1 or more")),
        }
    }

    fn schema() -> Schema {
        json_schema!({"type": "integer", "minimum": 1, "maximum": LARGEST})
    }
}

/// The media type of a file: that of its extension, which it is by itself.
pub(crate) struct ContentType;

impl Field for ContentType {
    fn read(raw: &Raw<'_>) -> Result<Self, Fault> {
        let text = raw.string()?;
        // Of a name that is at fault, nothing follows.
        let Some(Ok(name)) = raw.sibling("filename").map(|name| Filename::parse(&name)) else {
            return Ok(Self);
        };
        let wanted = name.extension.content_type();
        if text.trim().eq_ignore_ascii_case(wanted) {
            return Ok(Self);
        }
        Err(Fault::invalid("INVALID_VALUE", format!("must be {wanted}, as its extension says")))
    }

    fn schema() -> Schema {
        json_schema!({"type": "string", "description": "That of the extension, which it is by itself"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, Fault> {
        Filename::parse(text).map(|name| format!("{} {}", name.text, name.extension.name()))
    }

    #[test]
    fn a_name_is_what_comes_after_the_last_folder() {
        for (text, name) in [
            ("a.png", "a.png png"),
            (" My r\u{e9}sum\u{e9}.v2.PDF ", "My r\u{e9}sum\u{e9}.v2.PDF pdf"),
            ("C:\\fakepath\\a.jpeg", "a.jpeg jpeg"),
            ("/etc/passwd.doc", "passwd.doc doc"),
            ("..a.gif", "..a.gif gif"),
            ("\u{1f680}.xlsx", "\u{1f680}.xlsx xlsx"),
        ] {
            assert_eq!(parse(text), Ok(name.to_owned()), "{text:?}");
        }
    }

    #[test]
    fn a_name_that_would_lead_elsewhere_or_look_like_another_is_refused() {
        let long = format!("{}.png", "\u{1f600}".repeat(300));
        for (text, code) in [
            ("../a.png", "INVALID_FORMAT"),
            ("a/../../b.png", "INVALID_FORMAT"),
            ("..\\a.png", "INVALID_FORMAT"),
            ("a\r\nSet-Cookie: b.png", "INVALID_FORMAT"),
            ("a\0.png", "INVALID_FORMAT"),
            ("a\u{202e}gnp.exe.png", "INVALID_FORMAT"),
            ("a\u{2028}b.png", "INVALID_FORMAT"),
            (&long, "TOO_LONG"),
            (".png", "INVALID_FORMAT"),
            ("..png", "INVALID_FORMAT"),
            ("a/", "TOO_SHORT"),
            ("  ", "TOO_SHORT"),
        ] {
            match parse(text) {
                Err(Fault::Invalid(rules)) => assert_eq!(rules[0].0, code, "{text:?}"),
                other => panic!("{text:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_kind_that_is_not_taken_is_told() {
        for (text, extension) in [("a.EXE", "exe"), ("a.png.svg", "svg"), ("png", ""), ("a.", "")] {
            match parse(text) {
                Err(Fault::Told(_, detail, told)) => {
                    assert_eq!(detail, format!("File type not allowed: {extension}"));
                    assert_eq!(told, Told::Extension(extension.to_owned()));
                }
                other => panic!("{text:?}: {other:?}"),
            }
        }
    }
}
