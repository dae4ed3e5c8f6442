//! Reading a JSON body or a query so that one answer names every fault in it.
//!
//! `serde` stops at the first error; a form with five bad fields deserves one answer, not five. So a
//! body is a flat list of named raw values, and each field's type reads its own (see [`Field`]).
//! Numbers reach their type as they were written, never through a float.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::{Error, Result};

mod fault;

use fault::pointer;
pub use fault::{Fault, FieldError, Place, Told};

/// Characters of an unknown field's name that are repeated in an answer.
const LONGEST_NAME: usize = 100;
/// Members of a body at most: no request has as many, and each is compared with all before it.
const MOST_FIELDS: usize = 100;

/// A type that can stand as a field of a JSON body.
pub trait Field: Sized {
    /// Reads the field's value, or says all that is wrong with it.
    fn read(raw: &Raw<'_>) -> Result<Self, Fault>;

    /// What is taken, as JSON Schema: no narrower than [`read`](Self::read), and as close to it as it can be.
    fn schema() -> Schema;

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

    fn schema() -> Schema {
        T::schema()
    }

    fn absent() -> Result<Self, Fault> {
        Ok(None)
    }
}

/// A field of a change: absent leaves things as they are, `null` or an empty text clears them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Patch<T> {
    /// It stays as it is.
    Keep,
    /// There is to be none.
    Clear,
    /// It is to be this.
    Set(T),
}

impl<T> Patch<T> {
    /// What a new thing has by it.
    pub fn set(self) -> Option<T> {
        match self {
            Self::Set(value) => Some(value),
            Self::Keep | Self::Clear => None,
        }
    }

    /// What a thing that had `old` has by it.
    pub fn apply<O>(self, old: Option<O>, into: impl FnOnce(T) -> O) -> Option<O> {
        match self {
            Self::Keep => old,
            Self::Clear => None,
            Self::Set(value) => Some(into(value)),
        }
    }
}

impl<T: Field> Field for Patch<T> {
    fn read(raw: &Raw<'_>) -> Result<Self, Fault> {
        if raw.is_null() || raw.string().is_ok_and(|text| text.trim().is_empty()) {
            return Ok(Self::Clear);
        }
        T::read(raw).map(Self::Set)
    }

    fn schema() -> Schema {
        let mut schema = T::schema();
        let kind = schema.remove("type");
        schema.insert("type".to_owned(), serde_json::json!([kind, "null"]));
        // An empty text is as good as null.
        schema.remove("minLength");
        schema
    }

    fn absent() -> Result<Self, Fault> {
        Ok(Self::Keep)
    }
}

/// Any text.
impl Field for String {
    fn read(raw: &Raw<'_>) -> Result<Self, Fault> {
        raw.string()
    }

    fn schema() -> Schema {
        json_schema!({"type": "string"})
    }
}

/// A field's value as it was written.
pub enum Raw<'a> {
    /// In JSON, with the body around it.
    Json(&'a RawValue, &'a Body<'a>),
    /// As a text, with the others around it.
    Text(&'a str, &'a Texts),
}

impl Raw<'_> {
    /// The value as a string.
    pub fn string(&self) -> Result<String, Fault> {
        match self {
            Self::Json(value, _) => serde_json::from_str(value.get()).map_err(|_| Fault::Type("string")),
            Self::Text(text, _) => Ok((*text).to_owned()),
        }
    }

    /// Whether the value is JSON's `null`.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Json(value, _) if value.get() == "null")
    }

    /// The value as a whole number; one that is beyond 64 bits is out of range.
    pub fn integer(&self) -> Result<i64, Fault> {
        let text = self.number()?;
        let digits = text.strip_prefix('-').unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(match self {
                Self::Json(..) => Fault::Type("whole number"),
                Self::Text(..) => Fault::invalid("INVALID_FORMAT", "must be a whole number"),
            });
        }
        text.parse().map_err(|_| Fault::invalid("OUT_OF_RANGE", "is beyond any limit"))
    }

    /// The value as a number, as it was written; in a query, whatever stands there.
    pub fn number(&self) -> Result<&str, Fault> {
        match self {
            Self::Json(value, _) if !is_number(value) => Err(Fault::Type("number")),
            Self::Json(value, _) => Ok(value.get()),
            Self::Text(text, _) => Ok(text),
        }
    }

    /// The value as a list of strings.
    pub fn strings(&self) -> Result<Vec<String>, Fault> {
        match self {
            Self::Json(value, _) => {
                serde_json::from_str(value.get()).map_err(|_| Fault::Type("list of strings"))
            }
            Self::Text(text, _) => Ok(text.split(',').map(ToOwned::to_owned).collect()),
        }
    }

    /// Another field of the same request, if it is there and a string: for rules that span fields.
    pub fn sibling(&self, name: &str) -> Option<String> {
        match self {
            Self::Json(_, body) => serde_json::from_str(body.get(name)?.get()).ok(),
            Self::Text(_, texts) => texts.get(name).map(ToOwned::to_owned),
        }
    }
}

/// Fields that are texts: the parameters of a query, decoded, or the fields of a message that is no JSON.
pub struct Texts(Vec<(String, String)>);

impl Texts {
    /// Takes the fields of a request, in its order.
    pub fn new(fields: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(fields.into_iter().take(MOST_FIELDS).collect())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, text)| text.as_str())
    }
}

/// Where the fields of an [`Input`] stand.
#[derive(Clone, Copy)]
pub enum Source<'a> {
    /// In a JSON body.
    Body(&'a Body<'a>),
    /// As texts.
    Texts(&'a Texts),
}

impl<'a> Source<'a> {
    fn get(self, name: &str) -> Option<Raw<'a>> {
        match self {
            Self::Body(body) => body.get(name).map(|value| Raw::Json(value, body)),
            Self::Texts(texts) => texts.get(name).map(|text| Raw::Text(text, texts)),
        }
    }

    fn place(self, name: &str) -> Place {
        match self {
            Self::Body(_) => Place::Pointer(pointer(name)),
            Self::Texts(_) => Place::Parameter(name.to_owned()),
        }
    }

    fn names(self) -> Vec<&'a str> {
        match self {
            Self::Body(body) => body.fields.iter().map(|(name, _)| name.as_str()).collect(),
            Self::Texts(Texts(all)) => all.iter().map(|(name, _)| name.as_str()).collect(),
        }
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
            let place = Place::Pointer(String::new());
            return Err(Error::InvalidType(vec![FieldError::new(
                place,
                "INVALID_VALUE",
                "must be an object",
            )]));
        }
        let body: Self = serde_json::from_str(value.get()).map_err(malformed)?;
        // A raw value is only looked over. Reading it finds what its strings' escapes do not mean (a lone
        // surrogate) and what is nested too deep. A number is read by its field: it may be beyond any float.
        for (_, value) in body.fields.iter().filter(|(_, value)| !is_number(value)) {
            serde_json::from_str::<serde_json::Value>(value.get()).map_err(malformed)?;
        }
        Ok(body)
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

/// Collects fields and the faults found on the way.
pub struct Reader<'a> {
    source: Source<'a>,
    known: Vec<&'static str>,
    wrong_type: Vec<FieldError>,
    invalid: Vec<FieldError>,
}

impl<'a> Reader<'a> {
    /// Starts to read what is in `source`.
    pub fn new(source: Source<'a>) -> Self {
        Self { source, known: Vec::new(), wrong_type: Vec::new(), invalid: Vec::new() }
    }

    /// Reads the field `name`; `None` means that a fault was noted.
    pub fn field<T: Field>(&mut self, name: &'static str) -> Option<T> {
        self.known.push(name);
        let read = self.source.get(name).map_or_else(T::absent, |raw| T::read(&raw));
        read.map_err(|fault| self.note(name, fault)).ok()
    }

    fn note(&mut self, name: &str, fault: Fault) {
        let faults = match fault {
            Fault::Type(_) => &mut self.wrong_type,
            Fault::Invalid(_) | Fault::Told(..) => &mut self.invalid,
        };
        faults.extend(fault.errors(&self.source.place(name)));
    }

    /// Ends the reading: every fault in one error, or nothing.
    ///
    /// A value of the wrong type (400) comes before broken rules (422), because the rules of such a
    /// body could not all be checked.
    pub fn finish(mut self) -> Result<()> {
        let mut seen = Vec::new();
        for name in self.source.names() {
            let (code, detail) = if !self.known.contains(&name) {
                ("UNKNOWN_FIELD", "is not a field of this request")
            } else if seen.contains(&name) {
                // A body's keys are distinct, a query's need not be.
                ("INVALID_VALUE", "must stand once")
            } else {
                seen.push(name);
                continue;
            };
            // What a client calls a field is told back, as far as it could be a name.
            let name: String = name.chars().take(LONGEST_NAME).collect();
            self.invalid.push(FieldError::new(self.source.place(&name), code, detail));
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

fn is_number(value: &RawValue) -> bool {
    value.get().starts_with(|c: char| c == '-' || c.is_ascii_digit())
}

/// What an [`Input`] says of one of its fields.
pub struct Member {
    /// Its name.
    pub name: &'static str,
    /// Whether it has to be there.
    pub required: bool,
    /// What it takes.
    pub schema: Schema,
}

impl Member {
    /// The field `name` of type `T`, with the lines of its own documentation.
    pub fn new<T: Field>(name: &'static str, documentation: &[&str]) -> Self {
        let mut schema = T::schema();
        if !documentation.is_empty() {
            schema.insert("description".to_owned(), documentation.join("").trim().into());
        }
        Self { name, required: T::absent().is_err(), schema }
    }
}

/// The schema of a type that is answered too, written out: what a [`Field`] of the type takes.
pub fn schema_of<T: JsonSchema>() -> Schema {
    T::json_schema(&mut SchemaGenerator::default())
}

/// A body or a query: a struct that can be read with all its faults at once. Made by [`input!`](crate::input!).
pub trait Input: Sized {
    /// What fields it has.
    fn members() -> Vec<Member>;

    /// Reads every field.
    fn read(source: Source<'_>) -> Result<Self>;
}

/// Declares a request's body or its query.
///
/// ```
/// shared::input! {
///     /// What a client sends to rename itself.
///     struct Rename { name: shared::text::Name }
/// }
/// let body = shared::input::Body::parse(br#"{"name": "Ada"}"#).unwrap();
/// let Rename { name } = shared::input::Input::read(shared::input::Source::Body(&body)).unwrap();
/// assert_eq!(name.as_str(), "Ada");
/// ```
///
/// A field's JSON name is its Rust name unless it says otherwise: `new_password as "newPassword": NewPassword`.
/// A comment at a field is what the API's document says of it.
#[macro_export]
macro_rules! input {
    ($(#[$doc:meta])* $vis:vis struct $name:ident { $($(#[doc = $text:literal])* $field:ident $(as $key:literal)?: $type:ty),+ $(,)? }) => {
        $(#[$doc])*
        $vis struct $name { $($field: $type),+ }

        impl $crate::input::Input for $name {
            fn members() -> Vec<$crate::input::Member> {
                vec![$($crate::input::Member::new::<$type>($crate::input!(@key $field $($key)?), &[$($text),*])),+]
            }

            fn read(source: $crate::input::Source<'_>) -> $crate::Result<Self> {
                let mut reader = $crate::input::Reader::new(source);
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
mod tests;
