//! `EventBridge` Scheduler expressions: `rate(...)`, `cron(...)` and `at(...)`, and when each is due next.
//!
//! Source: <https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html>, and for the cron
//! wildcards <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html>.
//! Everything is evaluated in UTC, the Scheduler's default time zone. Where AWS's text is silent this module
//! follows Quartz, which has the same wildcards: `LW` is the last weekday of the month, `nW` never leaves
//! its month, and a range may wrap round (`20-2` in hours).

use std::{collections::BTreeSet, fmt, num::NonZero, str::FromStr};

use jiff::civil::{Date, DateTime, Weekday};
use jiff::{Timestamp, tz::Offset};

const NANOS_PER_SECOND: i128 = 1_000_000_000;
/// The API's own limit; it also bounds the work one expression can ask for.
const MAX_LENGTH: usize = 256;

const MINUTES: Field = Field { name: "minutes", min: 0, max: 59, names: "" };
const HOURS: Field = Field { name: "hours", min: 0, max: 23, names: "" };
const DAY_OF_MONTH: Field = Field { name: "day-of-month", min: 1, max: 31, names: "" };
const MONTHS: Field =
    Field { name: "month", min: 1, max: 12, names: "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC" };
/// AWS counts Sunday as 1.
const DAY_OF_WEEK: Field =
    Field { name: "day-of-week", min: 1, max: 7, names: "SUN MON TUE WED THU FRI SAT" };
const YEARS: Field = Field { name: "year", min: 1970, max: 2199, names: "" };

/// A parsed schedule expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// Nanoseconds between ticks, always positive.
    Rate(i128),
    Cron(Cron),
    At(Timestamp),
}

impl Schedule {
    /// The first instant strictly later than `after` at which this schedule is due; `None` when there is none
    /// (an `at` that has passed, a cron whose years are over or whose day never comes).
    ///
    /// AWS counts a rate from the schedule's creation. Here its ticks are the multiples of the rate since the
    /// Unix epoch: `after` rounded down to such a multiple, plus the rate. The ticks then depend on nothing
    /// that a restart forgets, so a restart neither loses nor doubles one.
    #[must_use]
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        match &self.0 {
            Kind::Rate(rate) => next_multiple(after, *rate),
            Kind::Cron(cron) => {
                let start = Offset::UTC.to_datetime(next_multiple(after, 60 * NANOS_PER_SECOND)?);
                Offset::UTC.to_timestamp(cron.first_from(start)?).ok()
            }
            Kind::At(at) => Some(*at).filter(|at| *at > after),
        }
    }
}

/// Floors towards the past (not towards zero), so that times before 1970 are treated like any other.
fn next_multiple(after: Timestamp, step: i128) -> Option<Timestamp> {
    Timestamp::from_nanosecond((after.as_nanosecond().div_euclid(step) + 1) * step).ok()
}

/// Why a text is not a schedule expression: the text and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleError(String);

impl fmt::Display for ScheduleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ScheduleError {}

impl FromStr for Schedule {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        let kind = match text.strip_suffix(')').and_then(|text| text.split_once('(')) {
            _ if text.len() > MAX_LENGTH => Err(format!("it is longer than {MAX_LENGTH} characters")),
            Some(("rate", body)) => rate(body).map(Kind::Rate),
            Some(("cron", body)) => Cron::parse(body).map(Kind::Cron),
            Some(("at", body)) => at(body).map(Kind::At),
            _ => Err("it is none of rate(value unit), cron(fields), at(yyyy-mm-ddThh:mm:ss)".to_owned()),
        };
        kind.map(Self)
            .map_err(|reason| ScheduleError(format!("invalid schedule expression {text:?}: {reason}")))
    }
}

fn rate(body: &str) -> Result<i128, String> {
    let parts: Vec<&str> = body.split_whitespace().collect();
    let [value, unit] = parts[..] else {
        return Err(format!("a rate is a value and a unit, not {} words", parts.len()));
    };
    let value: NonZero<u32> =
        digits(value).ok_or_else(|| format!("rate value {value:?} is not a positive 32-bit integer"))?;
    let (seconds, plural) = match unit {
        "minute" | "minutes" => (60, unit == "minutes"),
        "hour" | "hours" => (60 * 60, unit == "hours"),
        "day" | "days" => (24 * 60 * 60, unit == "days"),
        _ => return Err(format!("rate unit {unit:?} is none of minute(s), hour(s), day(s)")),
    };
    if plural == (value.get() == 1) {
        return Err(format!("rate unit {unit:?} does not agree with {value}: singular with 1, else plural"));
    }
    Ok(i128::from(value.get()) * seconds * NANOS_PER_SECOND)
}

fn at(body: &str) -> Result<Timestamp, String> {
    // Jiff reads more forms (fractions, second 60): only what prints back as it was written is of AWS's form.
    let written = body.parse::<DateTime>().ok().filter(|datetime| datetime.to_string() == body);
    written
        .and_then(|datetime| Offset::UTC.to_timestamp(datetime).ok())
        .ok_or_else(|| format!("{body:?} is not a time of the form yyyy-mm-ddThh:mm:ss"))
}

/// Plain digits only: the standard parser would also take a sign.
fn digits<T: FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Cron {
    minutes: BTreeSet<i16>,
    hours: BTreeSet<i16>,
    /// A day is due when any of these says so.
    days: Vec<DayRule>,
    months: BTreeSet<i16>,
    years: BTreeSet<i16>,
}

impl Cron {
    fn parse(body: &str) -> Result<Self, String> {
        let fields: Vec<&str> = body.split_whitespace().collect();
        let [minutes, hours, day_of_month, months, day_of_week, years] = fields[..] else {
            return Err(format!("cron has {} fields, not six", fields.len()));
        };
        let days = match (day_of_month, day_of_week) {
            (days, "?") if days != "?" => days.split(',').map(DayRule::of_month).collect::<Result<_, _>>()?,
            ("?", days) if days.contains('#') && days.contains(',') => {
                return Err(format!("day-of-week {days:?} has '#' and so can hold only one expression"));
            }
            ("?", days) if days != "?" => days.split(',').map(DayRule::of_week).collect::<Result<_, _>>()?,
            _ => return Err("exactly one of day-of-month and day-of-week must be '?'".to_owned()),
        };
        let (minutes, hours) = (MINUTES.list(minutes)?, HOURS.list(hours)?);
        let (months, years) = (MONTHS.list(months)?, YEARS.list(years)?);
        Ok(Self { minutes, hours, days, months, years })
    }

    /// The search is bounded by the year field: 230 years at most, however rare or impossible the day is.
    fn first_from(&self, start: DateTime) -> Option<DateTime> {
        let has = |values: &BTreeSet<i16>, value: i8| values.contains(&i16::from(value));
        let years = self.years.range(start.year()..);
        years
            .flat_map(|year| (1..=12).map(move |month| (*year, month)))
            .filter(|(_, month)| has(&self.months, *month))
            .flat_map(|(year, month)| (1..=31).filter_map(move |day| Date::new(year, month, day).ok()))
            .filter(|date| *date >= start.date() && self.days.iter().any(|rule| rule.holds(*date)))
            .flat_map(|date| (0..24).map(move |hour| date.at(hour, 0, 0, 0)))
            .filter(|time| has(&self.hours, time.hour()))
            .flat_map(|time| (0..60).map(move |minute| time.date().at(time.hour(), minute, 0, 0)))
            .find(|due| *due >= start && has(&self.minutes, due.minute()))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum DayRule {
    Days(BTreeSet<i16>),
    LastDay,
    LastWorkday,
    /// `3W`: the Monday to Friday nearest to day 3. A month without that day has none.
    NearestWorkday(i8),
    Weekdays(BTreeSet<i16>),
    /// `6L`: the last Friday of the month.
    LastWeekday(i16),
    /// `3#2`: the second Tuesday of the month.
    NthWeekday(i16, i8),
}

impl DayRule {
    fn of_month(item: &str) -> Result<Self, String> {
        match item.strip_suffix('W') {
            None if item == "L" => Ok(Self::LastDay),
            None => DAY_OF_MONTH.item(item).map(Self::Days),
            Some("L") => Ok(Self::LastWorkday),
            Some(day) => (digits(day).filter(|day| (1..=31).contains(day)).map(Self::NearestWorkday))
                .ok_or_else(|| format!("day-of-month {item:?}: W follows a day from 1 to 31, or L")),
        }
    }

    fn of_week(item: &str) -> Result<Self, String> {
        if let Some(day) = item.strip_suffix('L') {
            // Alone it is the last day of the week, every week.
            let saturday = Self::Weekdays(BTreeSet::from([DAY_OF_WEEK.max]));
            if day.is_empty() { Ok(saturday) } else { DAY_OF_WEEK.value(day).map(Self::LastWeekday) }
        } else if let Some((day, nth)) = item.split_once('#') {
            let nth = digits(nth).filter(|nth| (1..=5).contains(nth));
            let nth = nth.ok_or_else(|| format!("day-of-week {item:?}: # is followed by 1 to 5"))?;
            Ok(Self::NthWeekday(DAY_OF_WEEK.value(day)?, nth))
        } else if item.contains('/') {
            Err(format!("day-of-week {item:?}: AWS has no '/' in this field"))
        } else {
            Ok(Self::Weekdays(DAY_OF_WEEK.item(item)?))
        }
    }

    fn holds(&self, date: Date) -> bool {
        let weekday = i16::from(date.weekday().to_sunday_one_offset());
        match self {
            Self::Days(days) => days.contains(&i16::from(date.day())),
            Self::LastDay => date.day() == date.days_in_month(),
            Self::LastWorkday => date.day() == nearest_workday(date.last_of_month()),
            Self::NearestWorkday(day) => Date::new(date.year(), date.month(), *day)
                .is_ok_and(|wanted| date.day() == nearest_workday(wanted)),
            Self::Weekdays(weekdays) => weekdays.contains(&weekday),
            Self::LastWeekday(wanted) => weekday == *wanted && date.day() > date.days_in_month() - 7,
            Self::NthWeekday(wanted, nth) => weekday == *wanted && (date.day() - 1) / 7 + 1 == *nth,
        }
    }
}

/// The day, in `date`'s own month, of the Monday to Friday nearest to `date`.
fn nearest_workday(date: Date) -> i8 {
    let day = date.day();
    match date.weekday() {
        Weekday::Saturday if day == 1 => day + 2,
        Weekday::Saturday => day - 1,
        Weekday::Sunday if day == date.days_in_month() => day - 2,
        Weekday::Sunday => day + 1,
        _ => day,
    }
}

/// What the plain part of a cron field (numbers, names and `, - * /`) may hold.
struct Field {
    name: &'static str,
    min: i16,
    max: i16,
    /// Names for the values from `min` upwards.
    names: &'static str,
}

impl Field {
    fn list(&self, text: &str) -> Result<BTreeSet<i16>, String> {
        let items: Vec<_> = text.split(',').map(|item| self.item(item)).collect::<Result<_, _>>()?;
        Ok(items.into_iter().flatten().collect())
    }

    /// `*`, `5`, `1-5`, or one of these with a step: `0/15`, `*/15`, `8-17/3`.
    fn item(&self, text: &str) -> Result<BTreeSet<i16>, String> {
        let (range, step) = text.split_once('/').map_or((text, None), |(range, step)| (range, Some(step)));
        let (first, last) = match range.split_once('-') {
            Some((first, last)) => (self.value(first)?, self.value(last)?),
            None if range == "*" => (self.min, self.max),
            None if step.is_some() => (self.value(range)?, self.max),
            None => (self.value(range)?, self.value(range)?),
        };
        if first > last && self.name == YEARS.name {
            return Err(format!("year {text:?}: the range runs backwards"));
        }
        let step: NonZero<usize> = digits(step.unwrap_or("1"))
            .ok_or_else(|| format!("{} {text:?}: the step is not a positive integer", self.name))?;
        // AWS's own example is "20-2" in hours, through midnight: walk past the end, then fold back.
        let span = self.max - self.min + 1;
        let last = if first > last { last + span } else { last };
        Ok((first..=last).step_by(step.get()).map(|value| (value - self.min) % span + self.min).collect())
    }

    fn value(&self, text: &str) -> Result<i16, String> {
        let mut pairs = self.names.split_whitespace().zip(self.min..);
        let named = pairs.find_map(|(name, value)| (name == text).then_some(value));
        let value = named.or_else(|| digits(text).filter(|value| (self.min..=self.max).contains(value)));
        value
            .ok_or_else(|| format!("{} {text:?} is not a value from {} to {}", self.name, self.min, self.max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The next `N` times after `after`, as text.
    fn due<const N: usize>(expression: &str, after: &str) -> [String; N] {
        let schedule: Schedule = expression.parse().unwrap();
        let mut now: Timestamp = after.parse().unwrap();
        std::array::from_fn(|_| {
            now = schedule.next_after(now).unwrap();
            now.to_string()
        })
    }

    #[test]
    fn a_rate_ticks_on_its_epoch_multiples_whenever_it_is_asked() {
        let expected = ["2022-11-20T13:05:00Z", "2022-11-20T13:10:00Z"];
        assert_eq!(due("rate(5 minutes)", "2022-11-20T13:00:00Z"), expected);
        assert_eq!(due("rate(5 minutes)", "2022-11-20T13:04:59.999Z"), expected);
        assert_eq!(due("rate(1 hour)", "1969-12-31T23:59:59.5Z"), ["1970-01-01T00:00:00Z"]);
    }

    #[test]
    fn a_one_time_schedule_is_due_once_and_never_again() {
        let at: Schedule = "at(2022-11-20T13:00:00)".parse().unwrap();
        let then: Timestamp = "2022-11-20T13:00:00Z".parse().unwrap();
        assert_eq!(at.next_after(Timestamp::UNIX_EPOCH), Some(then));
        assert_eq!(at.next_after(then), None);
    }

    #[test]
    fn the_cron_examples_of_aws_are_due_when_it_says() {
        let sunday = "2022-11-20T13:00:00Z";
        for (fields, first, second) in [
            ("0 10 * * ? *", "2022-11-21T10:00", "2022-11-22T10:00"),
            ("0 8 1 * ? *", "2022-12-01T08:00", "2023-01-01T08:00"),
            ("1/10 * * * ? *", "2022-11-20T13:01", "2022-11-20T13:11"),
            ("0/5 8-17 ? * MON-FRI *", "2022-11-21T08:00", "2022-11-21T08:05"),
            ("0/30 20-2 ? * MON-FRI *", "2022-11-21T00:00", "2022-11-21T00:30"),
            ("15 10 ? * 6L 2022-2023", "2022-11-25T10:15", "2022-12-30T10:15"),
            ("0 9 ? * 2#1 *", "2022-12-05T09:00", "2023-01-02T09:00"),
            ("0 0 1 JAN,FEB,MAR ? *", "2023-01-01T00:00", "2023-02-01T00:00"),
        ] {
            let expected = [format!("{first}:00Z"), format!("{second}:00Z")];
            assert_eq!(due(&format!("cron({fields})"), sunday), expected, "{fields}");
        }
    }

    #[test]
    fn the_special_days_are_found_within_their_own_month() {
        for (fields, after, expected) in [
            ("0 0 L,15 * ? *", "2024-02-01T00:00:00Z", ["2024-02-15", "2024-02-29"]),
            ("0 0 LW * ? *", "2022-12-01T00:00:00Z", ["2022-12-30", "2023-01-31"]),
            ("0 0 3W * ? *", "2022-09-01T00:00:00Z", ["2022-09-02", "2022-10-03"]), // a Saturday, a Monday
            ("0 0 1W * ? *", "2022-09-30T00:00:00Z", ["2022-10-03", "2022-11-01"]), // Saturday the 1st
            ("0 0 31W * ? *", "2022-07-01T00:00:00Z", ["2022-07-29", "2022-08-31"]), // Sunday the 31st
            ("0 0 ? * L *", "2022-11-20T00:00:00Z", ["2022-11-26", "2022-12-03"]),
            ("0 0 ? * TUE#5 *", "2022-11-01T00:00:00Z", ["2022-11-29", "2023-01-31"]),
        ] {
            let expected = expected.map(|date| format!("{date}T00:00:00Z"));
            assert_eq!(due(&format!("cron({fields})"), after), expected, "{fields}");
        }
    }

    #[test]
    fn a_cron_whose_time_never_comes_is_not_due() {
        for fields in ["0 0 30 2 ? *", "0 0 ? * 6L 2002-2005", "0 0 29 FEB ? 2100"] {
            let schedule: Schedule = format!("cron({fields})").parse().unwrap();
            assert_eq!(schedule.next_after("2022-11-20T13:00:00Z".parse().unwrap()), None, "{fields}");
        }
        for always in ["cron(* * * * ? *)", "rate(4294967295 days)"] {
            let schedule: Schedule = always.parse().unwrap();
            assert!(schedule.next_after(Timestamp::MIN).is_some(), "{always}");
            assert_eq!(schedule.next_after(Timestamp::MAX), None, "{always}");
        }
    }

    #[test]
    fn a_refusal_names_what_is_wrong() {
        for (wrong, expressions) in [
            ("does not agree with", "rate(1 minutes);rate(5 minute)"),
            ("positive", "rate(0 minutes);rate(+5 minutes);rate(99999999999 days);cron(0/0 10 * * ? *)"),
            (
                "yyyy-mm-ddThh:mm:ss",
                "at(2022-11-20 13:00:00);at(2022-11-20T13:00:60);at(2022-02-30T13:00:00)",
            ),
            ("5 fields", "cron(0 10 * * *)"),
            ("'?'", "cron(0 10 * * * *);cron(0 10 ? * ? *);cron(0 10 1 * MON *)"),
            ("is not a value from", "cron(60 10 * * ? *);cron(0 10 * FOO ? *);cron(0 10 * * ? 1969)"),
            ("only one expression", "cron(0 10 ? * 3#1,6#3 *)"),
            (
                "day-of-week",
                "cron(0 10 ? * 0 *);cron(0 10 ? * MONL#1 *);cron(0 10 ? * 3#6 *);cron(0 10 ? * MON/2 *)",
            ),
            ("backwards", "cron(0 10 * * ? 2030-2020)"),
            ("none of", "every day;rate(5 weeks)"),
        ] {
            for expression in expressions.split(';') {
                let refusal = expression.parse::<Schedule>().unwrap_err().to_string();
                assert!(refusal.contains(wrong), "{refusal}");
            }
        }
    }

    #[test]
    fn no_text_panics() {
        let long =
            "0/18446744073709551615 1/99999999999999999999 32768 -5 5- L#1 1# 0W 1-7/9 MON-L \u{661} é";
        for part in "* ? L W LW # - / ,".split(' ').chain(long.split(' ')).chain(["", " "]) {
            for text in ["rate(X X)", "at(X)", "X(X)", "cron(X X X X ? X)", "cron(X X ? X X X)"] {
                let _ =
                    text.replace('X', part).parse().map(|it: Schedule| it.next_after(Timestamp::UNIX_EPOCH));
            }
        }
        assert!("é".repeat(300).parse::<Schedule>().is_err());
    }
}
