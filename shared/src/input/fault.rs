//! What is wrong with a field, and where.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Serialize;

use crate::Error;

/// Every code that a field's fault can have: the contract's closed list.
const CODES: [&str; 15] = [
    "REQUIRED",
    "TOO_SHORT",
    "TOO_LONG",
    "OUT_OF_RANGE",
    "INVALID_FORMAT",
    "INVALID_VALUE",
    "UNKNOWN_FIELD",
    "NOT_ALLOWED",
    "PASSWORD_TOO_SHORT",
    "PASSWORD_NO_UPPERCASE",
    "PASSWORD_NO_LOWERCASE",
    "PASSWORD_NO_DIGIT",
    "PASSWORD_TOO_LONG",
    "PASSWORD_TOO_COMMON",
    "PASSWORD_CONTAINS_IDENTITY",
];

/// What is wrong with one field: `pointer` leads to it in the body, or `parameter` names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FieldError {
    /// Where: a JSON Pointer (RFC 6901) into the body or the name of a query parameter.
    #[serde(flatten)]
    pub place: Place,
    /// Which rule was broken, for programs.
    #[schemars(extend("enum" = CODES))]
    pub code: &'static str,
    /// Which rule was broken, for people.
    pub detail: Cow<'static, str>,
    /// What the problem document tells of it beside, where that has members of its own.
    #[serde(skip)]
    pub told: Option<Told>,
}

impl FieldError {
    /// A fault that has no members of its own.
    pub fn new(place: Place, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { place, code, detail: detail.into(), told: None }
    }
}

/// What a problem document tells of a bad field in members of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// The extension of a kind of file that is not taken.
    Extension(String),
    /// A size over the largest, in bytes.
    Size {
        /// The largest.
        max: i64,
        /// What was asked for.
        actual: i64,
    },
}

/// Where a bad value was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
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
    /// A broken rule of which the problem document tells more: its code, its text, and that.
    Told(&'static str, Cow<'static, str>, Told),
}

impl Fault {
    /// One broken rule.
    pub fn invalid(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::Invalid(vec![(code, detail.into())])
    }

    /// The error of a body whose field `name` has this fault.
    pub fn at(self, name: &str) -> Error {
        let place = Place::Pointer(pointer(name));
        match self {
            Self::Type(_) => Error::InvalidType(self.errors(&place)),
            Self::Invalid(_) | Self::Told(..) => Error::Validation(self.errors(&place)),
        }
    }

    /// What is told of a field at `place` that has this fault.
    pub(super) fn errors(self, place: &Place) -> Vec<FieldError> {
        let error = |code, detail| FieldError::new(place.clone(), code, detail);
        match self {
            Self::Type(wanted) => vec![error("INVALID_VALUE", format!("must be a {wanted}").into())],
            Self::Invalid(rules) => rules.into_iter().map(|(code, detail)| error(code, detail)).collect(),
            Self::Told(code, detail, told) => vec![FieldError { told: Some(told), ..error(code, detail) }],
        }
    }
}

/// The JSON Pointer to the member `name` of the body (RFC 6901, section 3).
pub(super) fn pointer(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}
