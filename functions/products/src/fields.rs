//! What a product's fields may be, beyond what is said of texts and money.

use schemars::{Schema, json_schema};
use shared::Init;
use shared::input::{Fault, Field, Raw};
use shared::money::Currency;
use shared::products::MOST_STOCK;

/// How many there are of a product: 0 to 2^31-1.
pub(crate) struct Stock(pub(crate) i64);

impl Field for Stock {
    fn read(raw: &Raw<'_>) -> Result<Self, Fault> {
        match raw.integer()? {
            stock @ 0..=MOST_STOCK => Ok(Self(stock)),
            _ => Err(Fault::invalid("OUT_OF_RANGE", "must be from 0 to 2147483647")),
        }
    }

    fn schema() -> Schema {
        json_schema!({"type": "integer", "minimum": 0, "maximum": MOST_STOCK})
    }
}

/// How many are to be added to a product's stock, or taken from it: anything but 0.
pub(crate) struct QuantityChange(pub(crate) i64);

impl Field for QuantityChange {
    fn read(raw: &Raw<'_>) -> Result<Self, Fault> {
        match raw.integer()? {
            0 => Err(Fault::invalid("OUT_OF_RANGE", "must not be 0")),
            change if (-MOST_STOCK..=MOST_STOCK).contains(&change) => Ok(Self(change)),
            _ => Err(Fault::invalid("OUT_OF_RANGE", "must be from -2147483647 to 2147483647")),
        }
    }

    fn schema() -> Schema {
        json_schema!({"type": "integer", "minimum": -MOST_STOCK, "maximum": MOST_STOCK, "not": {"const": 0},
            "description": "How many are added; below 0, taken"})
    }
}

/// Reads `DEFAULT_CURRENCY`.
pub(crate) fn default_currency(init: &mut Init) -> Currency {
    init.parsed("DEFAULT_CURRENCY", |code| code.parse().map_err(|error| format!("{error}")))
}
