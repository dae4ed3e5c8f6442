//! Message attributes: their rules, their size and the MD5 that clients check.

use std::fmt::Write;

use crate::AwsError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use serde_json::{Map, Value};

use crate::sqs::errors;

/// One attribute, its value as the bytes that count and are hashed.
struct Attribute<'a> {
    name: &'a str,
    data_type: &'a str,
    binary: bool,
    value: Vec<u8>,
}

pub(crate) fn md5_hex(bytes: &[u8]) -> String {
    Md5::digest(bytes).iter().fold(String::with_capacity(32), |mut hex, byte| {
        // Writing to a string cannot fail.
        _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Refuses attributes that AWS would refuse; answers their size in bytes.
pub(crate) fn check(attributes: &Map<String, Value>) -> Result<usize, AwsError> {
    if attributes.len() > 10 {
        let count = attributes.len();
        return Err(errors::parameter(format!(
            "Number of message attributes [{count}] exceeds the allowed maximum [10]."
        )));
    }
    let mut bytes = 0;
    for (name, value) in attributes {
        check_name(name)?;
        let attribute = parse(name, value)?;
        bytes += name.len() + attribute.data_type.len() + attribute.value.len();
    }
    Ok(bytes)
}

/// `MD5OfMessageAttributes`, if there are any.
pub(crate) fn md5(attributes: &Map<String, Value>) -> Option<String> {
    let mut parsed: Vec<_> =
        attributes.iter().map(|(name, value)| parse(name, value)).collect::<Result<_, _>>().ok()?;
    if parsed.is_empty() {
        return None;
    }
    parsed.sort_by(|a, b| a.name.cmp(b.name));
    let mut text = Vec::new();
    for attribute in &parsed {
        put(&mut text, attribute.name.as_bytes());
        put(&mut text, attribute.data_type.as_bytes());
        text.push(if attribute.binary { 2 } else { 1 });
        put(&mut text, &attribute.value);
    }
    Some(md5_hex(&text))
}

fn put(text: &mut Vec<u8>, part: &[u8]) {
    // A message is at most 1 MiB, so its parts' lengths fit.
    text.extend(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
    text.extend(part);
}

/// Whether `ReceiveMessage`'s `MessageAttributeNames` asks for this one: by name, by `prefix.*`, or all.
pub(crate) fn wanted(name: &str, patterns: &[String]) -> bool {
    patterns.iter().any(|pattern| match pattern.strip_suffix(".*") {
        Some(prefix) => name.starts_with(prefix),
        None => pattern == "All" || pattern == name,
    })
}

fn check_name(name: &str) -> Result<(), AwsError> {
    let lower = name.to_ascii_lowercase();
    let characters = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
    let dots = name.starts_with('.') || name.ends_with('.') || name.contains("..");
    let reserved = lower.starts_with("aws.") || lower.starts_with("amazon.");
    if characters && !dots && !reserved && (1..=256).contains(&name.len()) {
        return Ok(());
    }
    Err(errors::parameter(format!("The message attribute name '{name}' is invalid.")))
}

fn parse<'a>(name: &'a str, attribute: &'a Value) -> Result<Attribute<'a>, AwsError> {
    let invalid = |why: &str| errors::parameter(format!("The message attribute '{name}' {why}."));
    let text = |field: &str| attribute.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
    let data_type =
        text("DataType").ok_or_else(|| invalid("must contain non-empty message attribute type"))?;
    let (kind, _label) = data_type.split_once('.').unwrap_or((data_type, ""));
    let value = match kind {
        "Binary" => text("BinaryValue").and_then(|value| STANDARD.decode(value).ok()),
        "String" => text("StringValue").map(|value| value.as_bytes().to_vec()),
        "Number" => text("StringValue")
            .filter(|value| value.parse::<f64>().is_ok())
            .map(|value| value.as_bytes().to_vec()),
        _ => {
            return Err(invalid(
                "has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and String",
            ));
        }
    };
    let value = value
        .filter(|value| !value.is_empty())
        .ok_or_else(|| invalid(&format!("must contain a non-empty value of the type '{data_type}'")))?;
    Ok(Attribute { name, data_type, binary: kind == "Binary", value })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn the_md5_of_attributes_is_the_one_that_aws_answers() {
        let attributes = map(json!({"timestamp": {"DataType": "Number", "StringValue": "1493147359900"}}));
        assert_eq!(md5(&attributes).as_deref(), Some("235c5c510d26fb653d073faed50ae77c"));
    }

    #[test]
    fn attributes_that_aws_refuses_are_refused() {
        for wrong in [
            json!({"AWS.x": {"DataType": "String", "StringValue": "v"}}),
            json!({"a..b": {"DataType": "String", "StringValue": "v"}}),
            json!({"a": {"DataType": "String", "StringValue": ""}}),
            json!({"a": {"DataType": "Number", "StringValue": "many"}}),
            json!({"a": {"DataType": "Binary", "StringValue": "v"}}),
            json!({"a": {"DataType": "Text", "StringValue": "v"}}),
            json!({"a": 1}),
        ] {
            assert!(check(&map(wrong.clone())).is_err(), "{wrong}");
        }
    }
}
