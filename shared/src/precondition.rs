//! Conditional requests: entity tags and what a client makes of them (RFC 9110, section 13).
//!
//! A resource's tag is the number of its writes, so it can be compared inside the database too.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{IF_MATCH, IF_NONE_MATCH};
use http::{HeaderMap, HeaderName};
use sha2::{Digest as _, Sha256};

use crate::transaction::Condition;
use crate::{Error, Result};

/// Tags of one header at most: no client has as many versions of one thing.
const MOST_TAGS: usize = 50;

/// The strong entity tag of a version.
pub fn etag(version: u64) -> String {
    format!("\"{version}\"")
}

/// The strong entity tag of a version whose answer shows something besides that is otherwise from time to time. For `If-Match` it is
/// the version alone.
pub fn etag_beside(version: u64, beside: &str) -> String {
    format!("\"{version}-{beside}\"")
}

/// The strong entity tag of a text that has no version.
pub fn etag_of(text: &str) -> String {
    format!("\"{}\"", URL_SAFE_NO_PAD.encode(&Sha256::digest(text)[..16]))
}

/// The `If-Match` of a request: which versions its sender is ready to change.
#[derive(Clone, Debug)]
pub enum IfMatch {
    /// Whatever is there: there was no header, or `*`.
    Any,
    /// One of these.
    Versions(Vec<u64>),
}

impl IfMatch {
    /// Reads the header. A tag that is none of ours, or a weak one, matches nothing.
    pub fn of(headers: &HeaderMap) -> Self {
        let Some(tags) = tags(headers, &IF_MATCH) else { return Self::Any };
        if tags == ["*"] {
            return Self::Any;
        }
        let version = |tag: &String| {
            let text = tag.strip_prefix('"')?.strip_suffix('"')?;
            let number = text.split_once('-').map_or(text, |(number, _)| number);
            let version: u64 = number.parse().ok()?;
            (version.to_string() == number).then_some(version)
        };
        Self::Versions(tags.iter().filter_map(version).collect())
    }

    /// Holds a request to the version that it found ([`Error::PreconditionFailed`]).
    pub fn check(&self, version: u64) -> Result<()> {
        match self {
            Self::Versions(versions) if !versions.contains(&version) => Err(Error::PreconditionFailed),
            _ => Ok(()),
        }
    }

    /// The same as a condition of a write, for an item with the attribute `version`.
    pub fn condition(&self) -> Condition {
        let Self::Versions(versions) = self else { return Condition::default() };
        // No item has the version 0: no tag, no match.
        let versions = if versions.is_empty() { &[0][..] } else { versions };
        let names: Vec<String> = (0..versions.len()).map(|place| format!(":match{place}")).collect();
        let condition = Condition::new(&format!("#version IN ({})", names.join(", ")));
        let with = |condition: Condition, (name, version): (&String, &u64)| condition.number(name, *version);
        names.iter().zip(versions).fold(condition.name("#version", "version"), with)
    }
}

/// Whether the sender of a request has what is tagged `etag` already: the answer is 304 then.
pub fn not_modified(headers: &HeaderMap, etag: &str) -> bool {
    let tags = tags(headers, &IF_NONE_MATCH).unwrap_or_default();
    tags.iter().any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

fn tags(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<String>> {
    let values: Vec<_> = headers.get_all(name).iter().collect();
    if values.is_empty() {
        return None;
    }
    let texts = values.iter().filter_map(|value| value.to_str().ok());
    Some(texts.flat_map(|text| text.split(',')).map(|tag| tag.trim().to_owned()).take(MOST_TAGS).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &HeaderName, values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), http::HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_change_is_made_to_a_version_that_was_named() {
        for (values, holds) in [
            (&["\"7\""][..], true),
            (&["\"6\", \"7\""], true),
            (&["\"6\"", "\"7\""], true),
            (&["*"], true),
            (&[], true),
            (&["\"6\""], false),
            (&["W/\"7\""], false),
            (&["7"], false),
            (&["\"07\""], false),
            (&["\"7-PENDING\""], true),
            (&["\"6-PENDING\""], false),
            (&["\"-7\""], false),
            (&["\"7"], false),
            (&[""], false),
        ] {
            let if_match = IfMatch::of(&headers(&IF_MATCH, values));
            assert_eq!(if_match.check(7).is_ok(), holds, "{values:?}");
        }
    }

    #[test]
    fn what_the_sender_has_is_not_sent_again() {
        for (values, same) in [
            (&["\"7\""][..], true),
            (&["W/\"7\""], true),
            (&["\"6\" , \"7\""], true),
            (&["*"], true),
            (&["\"6\""], false),
            (&["7"], false),
            (&[], false),
        ] {
            assert_eq!(not_modified(&headers(&IF_NONE_MATCH, values), &etag(7)), same, "{values:?}");
        }
    }
}
