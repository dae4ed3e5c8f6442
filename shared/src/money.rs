//! Money, exact: no amount passes through a float, from JSON to the database and back.
//!
//! An amount is a whole number of ten-thousandths, because no currency of ISO 4217 has more than four minor digits.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::input::{self, Fault, Field, Raw};

/// How many of an amount's units make 1.
const UNIT: i64 = 10_000;
/// The digits behind the point that [`UNIT`] has room for.
const DIGITS: usize = 4;
/// The largest amount: 999,999,999,999.99.
const LARGEST: i64 = 9_999_999_999_999_900;

/// An amount of some currency: 0 to 999,999,999,999.99, at most four digits behind the point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount(i64);

/// Why a number is no [`Amount`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAnAmount {
    /// It is no decimal number.
    #[error("must be a decimal number")]
    Malformed,
    /// It is below 0 or too large.
    #[error("must be from 0 to 999999999999.99")]
    OutOfRange,
    /// It has more than four digits behind the point.
    #[error("must have at most 4 digits behind the point")]
    TooPrecise,
}

impl FromStr for Amount {
    type Err = NotAnAmount;

    /// Reads a number as JSON writes it (RFC 8259, section 6), with no rounding.
    fn from_str(text: &str) -> Result<Self, NotAnAmount> {
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (negative, mantissa) = mantissa.strip_prefix('-').map_or((false, mantissa), |rest| (true, rest));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
        if !is_digits(whole) || !is_digits(fraction) {
            return Err(NotAnAmount::Malformed);
        }
        // The number is `significant` * 10^exponent, and `significant` has no zero at its end.
        let digits = format!("{whole}{fraction}");
        let significant = digits.trim_end_matches('0');
        let dropped = digits.len() - significant.len();
        let exponent = read_exponent(exponent)? - length(fraction.len()) + length(dropped);
        let significant = significant.trim_start_matches('0');
        if significant.is_empty() {
            return Ok(Self(0));
        }
        if negative {
            return Err(NotAnAmount::OutOfRange);
        }
        let shift = exponent + length(DIGITS);
        if shift < 0 {
            return Err(NotAnAmount::TooPrecise);
        }
        let units =
            u32::try_from(shift).ok().and_then(|shift| 10_i64.checked_pow(shift)).and_then(|factor| {
                let significant: i64 = significant.parse().ok()?;
                significant.checked_mul(factor)
            });
        units.filter(|units| *units <= LARGEST).map(Self).ok_or(NotAnAmount::OutOfRange)
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A length as an exponent counts.
fn length(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// An exponent; one beyond any amount is cut down to one that is just as far beyond.
fn read_exponent(text: &str) -> Result<i64, NotAnAmount> {
    const BEYOND: i64 = 1 << 40;
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !is_digits(digits) {
        return Err(NotAnAmount::Malformed);
    }
    let size = digits.parse().unwrap_or(BEYOND).min(BEYOND);
    Ok(if text.starts_with('-') { -size } else { size })
}

impl Amount {
    /// How many digits behind the point it needs.
    fn precision(self) -> usize {
        let fraction = format!("{:04}", self.0 % UNIT);
        fraction.trim_end_matches('0').len()
    }

    /// The amount with `digits` digits behind the point; more, if it needs more.
    fn written(self, digits: usize) -> String {
        let digits = digits.max(self.precision());
        let fraction = format!("{:04}", self.0 % UNIT);
        match digits {
            0 => (self.0 / UNIT).to_string(),
            digits => format!("{}.{}", self.0 / UNIT, &fraction[..digits]),
        }
    }
}

impl Field for Amount {
    fn read(raw: &Raw<'_>) -> Result<Self, Fault> {
        let amount = raw.number()?.parse().map_err(|fault: NotAnAmount| {
            let code = match fault {
                NotAnAmount::OutOfRange => "OUT_OF_RANGE",
                NotAnAmount::Malformed | NotAnAmount::TooPrecise => "INVALID_FORMAT",
            };
            Fault::invalid(code, fault.to_string())
        })?;
        // A body that names its currency hears of too many digits together with all its other faults.
        match raw.sibling("currency").and_then(|code| code.parse().ok()) {
            Some(currency) => Money::new(amount, currency).map(|_| amount),
            None => Ok(amount),
        }
    }

    fn schema() -> Schema {
        input::schema_of::<Self>()
    }
}

impl JsonSchema for Amount {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Amount".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "number", "minimum": 0, "maximum": 999_999_999_999.99,
            "description": "A decimal number that is kept exactly, with no more digits than its currency has"})
    }
}

/// A currency of ISO 4217 that money is counted in: no metals, no codes for tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Currency(iso_currency::Currency);

/// A text that is no currency's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a currency code of ISO 4217, as in \"EUR\"")]
pub struct NotACurrency;

impl Currency {
    /// How many digits an amount has behind the point.
    pub fn digits(self) -> usize {
        self.0.exponent().map_or(0, usize::from)
    }

    /// Its code of three letters.
    pub fn code(self) -> &'static str {
        self.0.code()
    }
}

/// What stands in for a currency that is missing while a function starts: it never does start.
impl Default for Currency {
    fn default() -> Self {
        Self(iso_currency::Currency::USD)
    }
}

impl FromStr for Currency {
    type Err = NotACurrency;

    fn from_str(code: &str) -> Result<Self, NotACurrency> {
        let known = iso_currency::Currency::from_code(code).filter(|known| known.code() == code);
        known.filter(|known| known.exponent().is_some()).map(Self).ok_or(NotACurrency)
    }
}

impl Field for Currency {
    fn read(raw: &Raw<'_>) -> Result<Self, Fault> {
        raw.string()?
            .parse()
            .map_err(|fault: NotACurrency| Fault::invalid("INVALID_VALUE", fault.to_string()))
    }

    fn schema() -> Schema {
        json_schema!({"type": "string", "pattern": "^[A-Z]{3}$", "description": "A currency of ISO 4217"})
    }
}

/// An amount of a currency, with no more digits behind the point than the currency has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Money {
    amount: Amount,
    currency: Currency,
}

/// Money as the database holds it.
#[derive(Serialize, Deserialize)]
struct Stored {
    price: Amount,
    currency: Currency,
}

impl Money {
    /// The amount, which must have no more digits behind the point than the currency.
    pub fn new(amount: Amount, currency: Currency) -> Result<Self, Fault> {
        let digits = currency.digits();
        if amount.precision() > digits {
            let detail = format!("must have at most {digits} digits behind the point in {}", currency.code());
            return Err(Fault::invalid("INVALID_FORMAT", detail));
        }
        Ok(Self { amount, currency })
    }

    /// How much.
    pub fn amount(self) -> Amount {
        self.amount
    }

    /// How much, in whole units and in billionths: what `google.type.Money` is made of.
    pub fn units_and_nanos(self) -> (i64, i32) {
        let nanos = self.amount.0 % UNIT * (1_000_000_000 / UNIT);
        (self.amount.0 / UNIT, i32::try_from(nanos).unwrap_or_default())
    }

    /// Of what.
    pub fn currency(self) -> Currency {
        self.currency
    }
}

/// The amount alone, with the currency's digits, as in `19.90`: a JSON number.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.amount.written(self.currency.digits()))
    }
}

impl From<Money> for Stored {
    fn from(Money { amount, currency }: Money) -> Self {
        Self { price: amount, currency }
    }
}

impl TryFrom<Stored> for Money {
    type Error = &'static str;

    fn try_from(Stored { price, currency }: Stored) -> Result<Self, Self::Error> {
        Self::new(price, currency).map_err(|_| "a price with more digits than its currency has")
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.written(0))
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(amount: &str, currency: &str) -> Option<String> {
        Money::new(amount.parse().ok()?, currency.parse().ok()?).ok().map(|money| money.to_string())
    }

    #[test]
    fn an_amount_is_what_was_written() {
        for (written, read) in [
            ("19.99", "19.99"),
            ("0.30", "0.30"),
            ("0.1", "0.10"),
            ("999999999.99", "999999999.99"),
            ("999999999999.99", "999999999999.99"),
            ("1e-2", "0.01"),
            ("1.005e3", "1005.00"),
            ("1E+2", "100.00"),
            ("100000000000000000000000000000000e-30", "100.00"),
            ("0.010000000000000000000000000000000000", "0.01"),
            ("0", "0.00"),
            ("-0.0", "0.00"),
            ("0e999999999999999999999", "0.00"),
            ("12345678901.23", "12345678901.23"),
        ] {
            assert_eq!(money(written, "EUR").as_deref(), Some(read), "{written}");
        }
        assert_eq!(money("5", "JPY").as_deref(), Some("5"));
        assert_eq!(money("1.005", "BHD").as_deref(), Some("1.005"));
        assert_eq!(money("1.0005", "CLF").as_deref(), Some("1.0005"));
    }

    #[test]
    fn an_amount_that_cannot_be_kept_exactly_is_refused() {
        use NotAnAmount::{Malformed, OutOfRange, TooPrecise};
        for (written, fault) in [
            ("-0.01", OutOfRange),
            ("1000000000000", OutOfRange),
            ("999999999999.991", OutOfRange),
            ("1e12", OutOfRange),
            ("1e99999999999999999999999", OutOfRange),
            ("99999999999999999999999999999999999999", OutOfRange),
            ("0.00001", TooPrecise),
            ("1e-99999999999999999999999", TooPrecise),
            ("0.30000000000000004", TooPrecise),
            ("", Malformed),
            (".5", Malformed),
            ("5.", Malformed),
            ("1e", Malformed),
            ("+1", Malformed),
            ("--1", Malformed),
            ("NaN", Malformed),
            ("1_000", Malformed),
            ("0x10", Malformed),
        ] {
            assert_eq!(written.parse::<Amount>(), Err(fault), "{written}");
        }
    }

    #[test]
    fn no_more_digits_than_the_currency_has() {
        for (amount, currency) in
            [("1.005", "EUR"), ("0.5", "JPY"), ("1.0005", "BHD"), ("1", "XAU"), ("1", "eur")]
        {
            assert_eq!(money(amount, currency), None, "{amount} {currency}");
        }
    }

    #[test]
    fn every_amount_is_read_back_as_it_was_written() {
        let mut random = 1_i64;
        for _ in 0..2_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let amount = Amount(random.rem_euclid(LARGEST + 1));
            for digits in 0..=DIGITS {
                assert_eq!(amount.written(digits).parse(), Ok(amount));
            }
        }
    }
}
