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
            Self::Type(wanted) => {
                let detail = format!("must be a {wanted}").into();
                Error::InvalidType(vec![FieldError { place, code: "INVALID_VALUE", detail }])
            }
            Self::Invalid(rules) => {
                let of = |(code, detail)| FieldError { place: place.clone(), code, detail };
                Error::Validation(rules.into_iter().map(of).collect())
            }
        }
    }
}

/// The JSON Pointer to the member `name` of the body (RFC 6901, section 3).
pub(super) fn pointer(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}
