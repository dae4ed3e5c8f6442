//! Reading a JSON body so that one answer names every fault in it.
//!
//! `serde` stops at the first error; a form with five bad fields deserves one answer, not five. So a
//! body is a flat list of named raw values, and each field's type reads its own (see [`Field`]).
//! Numbers reach their type as they were written, never through a float.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::{Error, Result};

/// Members of a body at most: no request has as many, and each is compared with all before it.
const MOST_FIELDS: usize = 100;

/// What is wrong with one field, as the `errors` member of a problem names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// Where: a JSON Pointer (RFC 6901) into the body or the name of a query parameter.
    #[serde(flatten)]
    pub place: Place,
    /// Which rule was broken, for programs.
    pub code: &'static str,
    /// Which rule was broken, for people.
    pub detail: Cow<'static, str>,
}

/// Where a bad value was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Place {
    /// A JSON Pointer into the body.
    Pointer(String),
    /// A query parameter's name.
    Parameter(String),
}

/// Why a field could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A value of another JSON type (400 `INVALID_TYPE`); holds the type that was wanted.
    Type(&'static str),
    /// A value of the right type that breaks rules (422): each with its code and its text.
    Invalid(Vec<(&'static str, Cow<'static, str>)>),
}

impl Fault {
    /// One broken rule.
    pub fn invalid(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::Invalid(vec![(code, detail.into())])
    }
}

/// A type that can stand as a field of a JSON body.
pub trait Field: Sized {
    /// Reads the field's value, or says all that is wrong with it.
    fn read(raw: &Raw<'_>) -> Result<Self, Fault>;

    /// What an absent field means: an error unless the type says otherwise.
    fn absent() -> Result<Self, Fault> {
        Err(Fault::invalid("REQUIRED", "is required"))
    }
}

/// An optional field: absent is `None`; `null` is a value of the wrong type.
impl<T: Field> Field for Option<T> {
    fn read(raw: &Raw<'_>) -> Result<Self, Fault> {
        T::read(raw).map(Some)
    }

    fn absent() -> Result<Self, Fault> {
        Ok(None)
    }
}

/// A field's value as it was written, with the body around it.
pub struct Raw<'a> {
    value: &'a RawValue,
    body: &'a Body<'a>,
}

impl Raw<'_> {
    /// The value as a JSON string.
    pub fn string(&self) -> Result<String, Fault> {
        serde_json::from_str(self.value.get()).map_err(|_| Fault::Type("string"))
    }

    /// Another field of the same body, if it is there and a string: for rules that span fields.
    pub fn sibling(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.body.get(name)?.get()).ok()
    }
}

/// A JSON object whose values are not read yet. Keys are distinct.
pub struct Body<'a> {
    fields: Vec<(String, &'a RawValue)>,
}

impl<'a> Body<'a> {
    /// Parses `bytes` as one JSON object (400 `MALFORMED_JSON` otherwise; a JSON value of another
    /// kind is 400 `INVALID_TYPE`).
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Err(Error::MalformedJson("The request body is missing".to_owned()));
        }
        let malformed = |error: serde_json::Error| Error::MalformedJson(error.to_string());
        let value: &RawValue = serde_json::from_slice(bytes).map_err(malformed)?;
        if !value.get().starts_with('{') {
            return Err(Error::InvalidType(vec![FieldError {
                place: Place::Pointer(String::new()),
                code: "INVALID_VALUE",
                detail: "must be an object".into(),
            }]));
        }
        // A raw value is only looked over. Reading it finds what its strings' escapes do not mean (a lone
        // surrogate) and what is nested too deep.
        serde_json::from_str::<serde_json::Value>(value.get()).map_err(malformed)?;
        serde_json::from_str(value.get()).map_err(malformed)
    }

    fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.fields.iter().find(|(key, _)| key == name).map(|(_, value)| *value)
    }
}

impl<'de> Deserialize<'de> for Body<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Body<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Body<'de>, A::Error> {
                let mut fields: Vec<(String, &RawValue)> = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, &RawValue>()? {
                    if fields.len() == MOST_FIELDS {
                        return Err(de::Error::custom(format_args!("more than {MOST_FIELDS} members")));
                    }
                    if fields.iter().any(|(known, _)| *known == key) {
                        return Err(de::Error::custom(format_args!("the key {key:?} stands twice")));
                    }
                    fields.push((key, value));
                }
                Ok(Body { fields })
            }
        }

        deserializer.deserialize_map(Fields)
    }
}

/// Collects the fields of a body and the faults found on the way.
pub struct Reader<'a> {
    body: &'a Body<'a>,
    known: Vec<&'static str>,
    wrong_type: Vec<FieldError>,
    invalid: Vec<FieldError>,
}

impl<'a> Reader<'a> {
    /// Starts to read `body`.
    pub fn new(body: &'a Body<'a>) -> Self {
        Self { body, known: Vec::new(), wrong_type: Vec::new(), invalid: Vec::new() }
    }

    /// Reads the field `name`; `None` means that a fault was noted.
    pub fn field<T: Field>(&mut self, name: &'static str) -> Option<T> {
        self.known.push(name);
        let read = match self.body.get(name) {
            Some(value) => T::read(&Raw { value, body: self.body }),
            None => T::absent(),
        };
        read.map_err(|fault| self.note(name, fault)).ok()
    }

    fn note(&mut self, name: &str, fault: Fault) {
        let place = Place::Pointer(pointer(name));
        match fault {
            Fault::Type(wanted) => self.wrong_type.push(FieldError {
                place,
                code: "INVALID_VALUE",
                detail: format!("must be a {wanted}").into(),
            }),
            Fault::Invalid(rules) => {
                self.invalid.extend(rules.into_iter().map(|(code, detail)| FieldError {
                    place: place.clone(),
                    code,
                    detail,
                }));
            }
        }
    }

    /// Ends the reading: every fault in one error, or nothing.
    ///
    /// A value of the wrong type (400) comes before broken rules (422), because the rules of such a
    /// body could not all be checked.
    pub fn finish(mut self) -> Result<()> {
        for (name, _) in &self.body.fields {
            if !self.known.contains(&name.as_str()) {
                self.invalid.push(FieldError {
                    place: Place::Pointer(pointer(name)),
                    code: "UNKNOWN_FIELD",
                    detail: "is not a field of this request".into(),
                });
            }
        }
        if !self.wrong_type.is_empty() {
            return Err(Error::InvalidType(self.wrong_type));
        }
        if !self.invalid.is_empty() {
            return Err(Error::Validation(self.invalid));
        }
        Ok(())
    }
}

/// The JSON Pointer to the member `name` of the body (RFC 6901, section 3).
fn pointer(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// A request body: a struct that can be read with all its faults at once. Made by [`input!`](crate::input!).
pub trait Input: Sized {
    /// Reads every field.
    fn read(body: &Body<'_>) -> Result<Self>;
}

/// Declares a request body.
///
/// ```
/// shared::input! {
///     /// What a client sends to rename itself.
///     struct Rename { name: shared::text::Name }
/// }
/// let body = shared::input::Body::parse(br#"{"name": "Ada"}"#).unwrap();
/// let Rename { name } = shared::input::Input::read(&body).unwrap();
/// assert_eq!(name.as_str(), "Ada");
/// ```
///
/// A field's JSON name is its Rust name unless it says otherwise: `new_password as "newPassword": NewPassword`.
#[macro_export]
macro_rules! input {
    ($(#[$doc:meta])* $vis:vis struct $name:ident { $($field:ident $(as $key:literal)?: $type:ty),+ $(,)? }) => {
        $(#[$doc])*
        $vis struct $name { $($field: $type),+ }

        impl $crate::input::Input for $name {
            fn read(body: &$crate::input::Body<'_>) -> $crate::Result<Self> {
                let mut reader = $crate::input::Reader::new(body);
                $(let $field = reader.field::<$type>($crate::input!(@key $field $($key)?));)+
                reader.finish()?;
                // `finish` answers Ok only where no field was missed.
                let ($(Some($field),)+) = ($($field,)+) else {
                    unreachable!("a field without a value leaves a fault")
                };
                Ok(Self { $($field),+ })
            }
        }
    };
    (@key $field:ident) => { stringify!($field) };
    (@key $field:ident $key:literal) => { $key };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::email::Email;
    use crate::text::Name;

    crate::input! {
        struct Form { name: Name, email: Email, nick_name as "nickName": Option<Name> }
    }

    fn read(body: &str) -> Result<Form> {
        Form::read(&Body::parse(body.as_bytes())?)
    }

    #[test]
    fn a_field_may_be_named_otherwise_in_json() {
        let body = r#"{"name": " Ada ", "email": "ADA@example.com", "nickName": "A"}"#;
        let Form { name, email, nick_name } = read(body).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((name.as_str(), email.as_str()), ("Ada", "ada@example.com"));
        assert_eq!(nick_name.map(|name| name.as_str().to_owned()).as_deref(), Some("A"));
    }

    fn places(errors: &[FieldError]) -> Vec<(Place, &str)> {
        errors.iter().map(|error| (error.place.clone(), error.code)).collect()
    }

    #[test]
    fn every_broken_rule_is_named_in_one_error() {
        let Err(Error::Validation(errors)) = read(r#"{"email": "x", "a/b": 1, "nickName": ""}"#) else {
            panic!("no validation error")
        };
        assert_eq!(
            places(&errors),
            [
                (Place::Pointer("/name".into()), "REQUIRED"),
                (Place::Pointer("/email".into()), "INVALID_FORMAT"),
                (Place::Pointer("/nickName".into()), "TOO_SHORT"),
                (Place::Pointer("/a~1b".into()), "UNKNOWN_FIELD"),
            ]
        );
    }

    #[test]
    fn every_value_of_a_wrong_type_is_named_in_one_error() {
        let Err(Error::InvalidType(errors)) = read(r#"{"name": 1, "email": null, "nickName": []}"#) else {
            panic!("no type error")
        };
        assert_eq!(errors.len(), 3);
    }

    #[test]
    fn what_is_not_one_json_object_is_malformed() {
        for body in [
            "",
            " ",
            "{",
            "{}{}",
            r#"{"name": "Ada",}"#,
            r#"{"name": "a", "name": "b"}"#,
            r#"{"name": "a", "n\u0061me": "b"}"#,
            r#"{"name": "\ud800"}"#,
            "{\"name\": \"\u{1}\"}",
        ] {
            assert!(matches!(read(body), Err(Error::MalformedJson(_))), "{body:?} was taken");
        }
        let wide: Vec<String> = (0..30_000).map(|n| format!("\"{n}\":0")).collect();
        assert!(matches!(read(&format!("{{{}}}", wide.join(","))), Err(Error::MalformedJson(_))));
        let deep = format!("{{\"name\": {}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(matches!(read(&deep), Err(Error::MalformedJson(_))));
        assert!(matches!(read("[]"), Err(Error::InvalidType(_))));
        assert!(matches!(Body::parse(b"{\"name\": \"\xff\"}"), Err(Error::MalformedJson(_))));
    }
}
