//! Pages of a list: `page` and `size`, or `cursor` and `size`.

use schemars::{JsonSchema, Schema, json_schema};
use serde::Serialize;
use uuid::Uuid;

use crate::input::{Fault, Field, FieldError, Place, Raw};
use crate::{Error, Request, Result, cursor, input};

/// How many items of a list `page` can pass over; a cursor goes further at constant cost.
const FURTHEST: u64 = 10_000;

/// How many items a page has: 1 to 100, and 10 unless the client says otherwise.
#[derive(Clone, Copy)]
pub struct Size(pub usize);

/// The number of a page, from 0.
#[derive(Clone, Copy)]
pub struct Number(pub u64);

/// Which page a client asks for.
pub struct Page {
    /// Its number; 0 where a cursor leads to it.
    pub number: u64,
    /// How many items it has at most.
    pub size: usize,
    /// How many items come before it.
    pub skip: usize,
    /// The item that it follows, if a cursor leads to it.
    pub after: Option<Uuid>,
    /// The list that it is of, in its cursors.
    list: String,
}

/// A page as it is answered.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "{T}Page")]
pub struct Listed<T> {
    data: Vec<T>,
    /// The number that was asked for; 0 where a cursor leads here.
    page: u64,
    /// How many items a page has at most.
    size: usize,
    /// How many items the list has.
    total: i64,
    /// Where the next page begins; null on the last one.
    next_cursor: Option<String>,
}

impl Field for Size {
    fn read(raw: &Raw<'_>) -> Result<Self, Fault> {
        match raw.integer()? {
            size @ 1..=100 => Ok(Self(usize::try_from(size).unwrap_or(100))),
            _ => Err(Fault::invalid("OUT_OF_RANGE", "must be from 1 to 100")),
        }
    }

    fn schema() -> Schema {
        json_schema!({"type": "integer", "minimum": 1, "maximum": 100, "default": 10,
            "description": "How many items a page has"})
    }
}

impl Field for Number {
    fn read(raw: &Raw<'_>) -> Result<Self, Fault> {
        let out_of_range = |_| Fault::invalid("OUT_OF_RANGE", "must be 0 or more");
        raw.integer()?.try_into().map(Self).map_err(out_of_range)
    }

    fn schema() -> Schema {
        json_schema!({"type": "integer", "minimum": 0, "maximum": FURTHEST, "default": 0,
            "description": "Which page, from 0; page * size is at most 10000, and a cursor goes on from there"})
    }
}

input! {
    /// What every list takes.
    pub struct Parameters {
        page: Option<Number>,
        size: Option<Size>,
        /// The `nextCursor` of the page before, in place of `page`
        cursor: Option<String>,
    }
}

input! {
    /// What a list takes that is not counted.
    pub struct CursorParameters {
        size: Option<Size>,
        /// The `nextCursor` of the page before
        cursor: Option<String>,
    }
}

/// A page of a list that is not counted, as it is answered.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "{T}CursorPage")]
pub struct Followed<T> {
    data: Vec<T>,
    /// How many items a page has at most.
    size: usize,
    /// Where the next page begins; null on the last one.
    next_cursor: Option<String>,
}

impl Page {
    /// Reads `size` and `cursor` of a request for `list` that takes nothing else.
    pub fn follow(request: &Request, list: impl Into<String>) -> Result<Self> {
        let CursorParameters { size, cursor } = request.query()?;
        Self::of(None, size, cursor.as_deref(), list)
    }

    /// Reads `page`, `size` and `cursor` of a request for `list` that takes nothing else.
    pub fn read(request: &Request, list: &str) -> Result<Self> {
        let Parameters { page, size, cursor } = request.query()?;
        Self::of(page, size, cursor.as_deref(), list)
    }

    /// The page of `list` that `page` and `size` or `cursor` and `size` ask for.
    pub fn of(
        page: Option<Number>,
        size: Option<Size>,
        cursor: Option<&str>,
        list: impl Into<String>,
    ) -> Result<Self> {
        let list = list.into();
        let size = size.map_or(10, |size| size.0);
        let mut faults = Vec::new();
        let mut fault = |name: &str, code, detail: &'static str| {
            faults.push(FieldError::new(Place::Parameter(name.to_owned()), code, detail));
        };
        let number = page.map_or(0, |page| page.0);
        let skip = number.saturating_mul(size as u64);
        if page.is_some() && cursor.is_some() {
            fault("page", "NOT_ALLOWED", "must not stand beside cursor");
        } else if skip > FURTHEST {
            fault("page", "OUT_OF_RANGE", "is too far: page * size must be at most 10000, use cursor");
        }
        let after = cursor.and_then(|cursor| cursor::read(&list, cursor));
        if cursor.is_some() && after.is_none() {
            fault("cursor", "INVALID_VALUE", "is no cursor of this list");
        }
        if !faults.is_empty() {
            return Err(Error::Validation(faults));
        }
        Ok(Self { number, size, skip: usize::try_from(skip).unwrap_or_default(), after, list })
    }

    /// The page's ids out of one more than it has room for, and where the next one begins.
    pub fn cut(&self, mut ids: Vec<Uuid>) -> (Vec<Uuid>, Option<String>) {
        let more = ids.len() > self.size;
        ids.truncate(self.size);
        let next = ids.last().filter(|_| more).map(|last| cursor::write(&self.list, *last));
        (ids, next)
    }

    /// The page as it is answered, of a list that is not counted.
    pub fn answer_followed<T>(&self, data: Vec<T>, next_cursor: Option<String>) -> Followed<T> {
        Followed { data, size: self.size, next_cursor }
    }

    /// The page as it is answered.
    pub fn answer<T>(&self, data: Vec<T>, total: i64, next_cursor: Option<String>) -> Listed<T> {
        Listed { data, page: self.number, size: self.size, total, next_cursor }
    }
}
