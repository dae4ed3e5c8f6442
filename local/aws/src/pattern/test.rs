//! The comparisons that a pattern's leaf lists.

use std::net::IpAddr;

use serde_json::{Number, Value};

/// One entry of a leaf, asked of one string, number, boolean or null.
#[derive(Clone, Debug)]
pub(super) enum Test {
    Equals(Value),
    EqualsIgnoreCase(String),
    Prefix(String),
    PrefixIgnoreCase(String),
    Suffix(String),
    SuffixIgnoreCase(String),
    /// The literal text between the stars.
    Wildcard(Vec<String>),
    Numeric(Vec<(Comparison, f64)>),
    Cidr {
        network: u128,
        mask: u128,
        v4: bool,
    },
    Exists,
    AnythingBut(Vec<Test>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Comparison {
    Less,
    LessOrEqual,
    Equal,
    Greater,
    GreaterOrEqual,
}

impl Test {
    /// The comparisons' names in a pattern.
    pub(super) const NAMES: [&str; 8] =
        ["prefix", "suffix", "anything-but", "numeric", "exists", "equals-ignore-case", "wildcard", "cidr"];

    /// `None` is "exists: false", which has no value to be asked of.
    pub(super) fn parse(value: &Value) -> Result<Option<Self>, String> {
        match value {
            Value::Array(_) => Err("Nested arrays are not allowed".to_owned()),
            Value::Object(_) => match sole_field(value)? {
                ("exists", Value::Bool(exists)) => Ok(exists.then_some(Self::Exists)),
                ("exists", _) => Err("exists match pattern must be either true or false".to_owned()),
                ("anything-but", but) => anything_but(but).map(Self::AnythingBut).map(Some),
                ("numeric", terms) => numeric(terms).map(Some),
                ("cidr", block) => cidr(text("cidr", block)?).map(Some),
                (name, operand) => on_text(name, operand).map(Some),
            },
            exact => Ok(Some(Self::Equals(exact.clone()))),
        }
    }

    pub(super) fn holds(&self, value: &Value) -> bool {
        match self {
            Self::Exists => true,
            Self::AnythingBut(tests) => !tests.iter().any(|test| test.holds(value)),
            Self::Equals(Value::Number(wanted)) => {
                value.as_number().is_some_and(|number| same_number(wanted, number))
            }
            Self::Equals(wanted) => wanted == value,
            Self::Numeric(terms) => {
                value.as_f64().is_some_and(|number| terms.iter().all(|(is, bound)| is.holds(number, *bound)))
            }
            on_text => value.as_str().is_some_and(|text| on_text.holds_for_text(text)),
        }
    }

    fn holds_for_text(&self, text: &str) -> bool {
        match self {
            Self::EqualsIgnoreCase(wanted) => text.to_lowercase() == *wanted,
            Self::Prefix(prefix) => text.starts_with(prefix),
            Self::PrefixIgnoreCase(prefix) => text.to_lowercase().starts_with(prefix),
            Self::Suffix(suffix) => text.ends_with(suffix),
            Self::SuffixIgnoreCase(suffix) => text.to_lowercase().ends_with(suffix),
            Self::Wildcard(literals) => wildcard_matches(literals, text),
            Self::Cidr { network, mask, v4 } => {
                text.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv4() == *v4 && bits(ip) & mask == *network)
            }
            _ => false,
        }
    }
}

fn sole_field(value: &Value) -> Result<(&str, &Value), String> {
    let mut fields = value.as_object().into_iter().flatten();
    match (fields.next(), fields.next()) {
        (Some((name, operand)), None) => Ok((name, operand)),
        _ => Err("Only one key allowed in match expression".to_owned()),
    }
}

fn text<'a>(name: &str, operand: &'a Value) -> Result<&'a str, String> {
    operand.as_str().ok_or_else(|| format!("{name} match pattern must be a string"))
}

/// The comparisons that stand both by themselves and under "anything-but".
fn on_text(name: &str, operand: &Value) -> Result<Test, String> {
    if let ("prefix" | "suffix", Value::Object(_)) = (name, operand) {
        return match (name, sole_field(operand)?) {
            ("prefix", ("equals-ignore-case", operand)) => {
                Ok(Test::PrefixIgnoreCase(text(name, operand)?.to_lowercase()))
            }
            (_, ("equals-ignore-case", operand)) => {
                Ok(Test::SuffixIgnoreCase(text(name, operand)?.to_lowercase()))
            }
            (_, (other, _)) => Err(format!("Unsupported anything in {name}: {other}")),
        };
    }
    match name {
        "prefix" => Ok(Test::Prefix(text(name, operand)?.to_owned())),
        "suffix" => Ok(Test::Suffix(text(name, operand)?.to_owned())),
        "equals-ignore-case" => Ok(Test::EqualsIgnoreCase(text(name, operand)?.to_lowercase())),
        "wildcard" => Ok(Test::Wildcard(wildcard_literals(text(name, operand)?)?)),
        other => Err(format!("Unrecognized match type {other}")),
    }
}

/// What must not hold: values of one kind, or one comparison with one or several operands.
fn anything_but(but: &Value) -> Result<Vec<Test>, String> {
    let Value::Object(_) = but else {
        let values = one_or_many("anything-but", but)?;
        let one_kind = values.iter().all(Value::is_string) || values.iter().all(Value::is_number);
        if !one_kind {
            return Err("Inside anything-but list, either all values are number or string".to_owned());
        }
        return Ok(values.iter().cloned().map(Test::Equals).collect());
    };
    let (name, operand) = sole_field(but)?;
    one_or_many(name, operand)?.iter().map(|operand| on_text(name, operand)).collect()
}

fn one_or_many<'a>(name: &str, operand: &'a Value) -> Result<&'a [Value], String> {
    match operand {
        Value::Array(values) if values.is_empty() => {
            Err(format!("Value of {name} must not be an empty array"))
        }
        Value::Array(values) => Ok(values),
        one => Ok(std::slice::from_ref(one)),
    }
}

fn numeric(terms: &Value) -> Result<Test, String> {
    let terms = terms.as_array().ok_or("Value of numeric must be an array")?;
    let terms = terms.chunks(2).map(numeric_term).collect::<Result<Vec<_>, _>>()?;
    match terms.as_slice() {
        [_] => Ok(Test::Numeric(terms)),
        [(lower, bottom), (upper, top)] => {
            if !lower.is_lower_bound() || !upper.is_upper_bound() {
                return Err("A numeric range is one of > and >= followed by one of < and <=".to_owned());
            }
            if bottom >= top {
                return Err("Bottom must be less than top".to_owned());
            }
            Ok(Test::Numeric(terms))
        }
        _ => Err("Value of numeric must hold one comparison or a range of two".to_owned()),
    }
}

fn numeric_term(term: &[Value]) -> Result<(Comparison, f64), String> {
    let [is, bound] = term else {
        return Err("Value of numeric must be pairs of an operator and a number".to_owned());
    };
    let is = match is.as_str() {
        Some("<") => Comparison::Less,
        Some("<=") => Comparison::LessOrEqual,
        Some("=") => Comparison::Equal,
        Some(">") => Comparison::Greater,
        Some(">=") => Comparison::GreaterOrEqual,
        _ => return Err(format!("Unrecognized numeric range operator: {is}")),
    };
    let bound = bound.as_f64().ok_or_else(|| format!("Value of numeric must be numeric, not {bound}"))?;
    Ok((is, bound))
}

impl Comparison {
    fn is_lower_bound(self) -> bool {
        matches!(self, Self::Greater | Self::GreaterOrEqual)
    }

    fn is_upper_bound(self) -> bool {
        matches!(self, Self::Less | Self::LessOrEqual)
    }

    #[expect(clippy::float_cmp, reason = "\"=\" means the very number that the pattern names")]
    fn holds(self, number: f64, bound: f64) -> bool {
        match self {
            Self::Less => number < bound,
            Self::LessOrEqual => number <= bound,
            Self::Equal => number == bound,
            Self::Greater => number > bound,
            Self::GreaterOrEqual => number >= bound,
        }
    }
}

/// 300 and 300.0 are one number; large integers do not lose digits to `f64`.
fn same_number(one: &Number, other: &Number) -> bool {
    one == other || (one.is_f64() != other.is_f64() && one.as_f64() == other.as_f64())
}

/// Splits at the stars; `\*` and `\\` stand for themselves.
fn wildcard_literals(pattern: &str) -> Result<Vec<String>, String> {
    let mut literals = vec![String::new()];
    let mut characters = pattern.chars();
    let mut after_star = false;
    while let Some(character) = characters.next() {
        let literal = match character {
            '*' if after_star => return Err("Consecutive wildcard characters".to_owned()),
            '*' => {
                literals.push(String::new());
                after_star = true;
                continue;
            }
            '\\' => characters
                .next()
                .filter(|next| matches!(next, '*' | '\\'))
                .ok_or("Invalid escape character")?,
            other => other,
        };
        after_star = false;
        if let Some(last) = literals.last_mut() {
            last.push(literal);
        }
    }
    Ok(literals)
}

fn wildcard_matches(literals: &[String], text: &str) -> bool {
    let [first, middle @ .., last] = literals else {
        return literals.first().is_some_and(|whole| whole == text);
    };
    let Some(mut rest) = text.strip_prefix(first.as_str()).and_then(|rest| rest.strip_suffix(last.as_str()))
    else {
        return false;
    };
    // The leftmost place for each literal leaves the most room for the next.
    for literal in middle {
        match rest.split_once(literal.as_str()) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    true
}

fn cidr(block: &str) -> Result<Test, String> {
    let wrong = || format!("Malformed CIDR: {block}");
    let (ip, length) = block.split_once('/').ok_or_else(wrong)?;
    let (ip, length) =
        (ip.parse::<IpAddr>().map_err(|_| wrong())?, length.parse::<u32>().map_err(|_| wrong())?);
    let width: u32 = if ip.is_ipv4() { 32 } else { 128 };
    let host = width.checked_sub(length).ok_or_else(wrong)?;
    let mask = u128::MAX.checked_shl(host).unwrap_or(0);
    Ok(Test::Cidr { network: bits(ip) & mask, mask, v4: ip.is_ipv4() })
}

fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}
