//! Moments in time as the API writes them: RFC 3339, UTC, milliseconds.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::input::{self, Fault, Field, Raw};

/// A moment, in whole milliseconds since the Unix epoch.
///
/// Shown and serialised as `2026-01-31T09:05:00.000Z` (RFC 3339).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
#[schemars(inline, with = "String", description = "RFC 3339, in UTC, with milliseconds", extend("format" = "date-time"))]
pub struct Timestamp(i64);

impl Timestamp {
    /// The latest moment that can be written: `9999-12-30T21:59:59.999Z`.
    const LAST_MS: i64 = 253_402_207_199_999;

    /// The moment `ms` milliseconds after the Unix epoch, kept within the years that RFC 3339 can write.
    pub fn from_ms(ms: i64) -> Self {
        Self(ms.clamp(0, Self::LAST_MS))
    }

    pub(crate) fn system() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::from_ms(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// Milliseconds since the Unix epoch.
    pub fn ms(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch: what JWTs and DynamoDB's TTL count in.
    pub fn seconds(self) -> i64 {
        self.0 / 1000
    }

    /// The moment as a person reads it, to the minute: `21 September 2026, 14:13 UTC`.
    pub fn for_people(self) -> String {
        let moment = jiff::Timestamp::from_millisecond(self.0).unwrap_or_default();
        moment.strftime("%-d %B %Y, %H:%M UTC").to_string()
    }

    /// The moment `ms` milliseconds later.
    #[must_use]
    pub fn plus_ms(self, ms: i64) -> Self {
        Self::from_ms(self.0.saturating_add(ms))
    }

    /// The moment `seconds` later.
    #[must_use]
    pub fn plus_seconds(self, seconds: i64) -> Self {
        self.plus_ms(seconds.saturating_mul(1000))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = jiff::Timestamp::from_millisecond(self.0).map_err(|_| fmt::Error)?;
        write!(f, "{moment:.3}")
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let moment: jiff::Timestamp = text.parse().map_err(de::Error::custom)?;
        Ok(Self::from_ms(moment.as_millisecond()))
    }
}

impl Field for Timestamp {
    fn read(raw: &Raw<'_>) -> Result<Self, Fault> {
        let wrong = |_| Fault::invalid("INVALID_FORMAT", "must be a time as 2026-01-31T09:05:00Z");
        let moment: jiff::Timestamp = raw.string()?.parse().map_err(wrong)?;
        Ok(Self::from_ms(moment.as_millisecond()))
    }

    fn schema() -> Schema {
        input::schema_of::<Self>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_is_written_with_milliseconds_and_read_back() {
        let moment = Timestamp::from_ms(1_790_000_000_120);
        assert_eq!(moment.to_string(), "2026-09-21T14:13:20.120Z");
        let json = serde_json::to_string(&moment).unwrap();
        assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), moment);
    }

    #[test]
    fn a_person_reads_a_moment_to_the_minute() {
        assert_eq!(Timestamp::from_ms(1_790_000_000_120).for_people(), "21 September 2026, 14:13 UTC");
    }

    #[test]
    fn the_last_moment_can_still_be_written() {
        assert_eq!(Timestamp::from_ms(i64::MAX).to_string(), "9999-12-30T21:59:59.999Z");
    }
}
