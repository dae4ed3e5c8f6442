//! What is shown of a product.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;
use shared::describe::{Value, json};
use shared::id::ProductId;
use shared::money::Amount;
use shared::products::{Product, Status};
use shared::time::Timestamp;
use shared::{Error, Result};

/// A product, as the API shows it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Product")]
pub(crate) struct Shown<'a> {
    id: ProductId,
    name: &'a str,
    description: Option<&'a str>,
    /// Written as it is kept: no float comes near it.
    #[schemars(with = "Amount")]
    price: Box<RawValue>,
    currency: &'static str,
    stock: i64,
    category: Option<&'a str>,
    status: Status,
    version: u64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl<'a> Shown<'a> {
    /// One for the API's document.
    pub(crate) fn example() -> Value {
        json!({
            "id": ProductId::EXAMPLE, "name": "Analytical Engine", "description": "Of brass, with a mill and a store",
            "price": 1843.5, "currency": "EUR", "stock": 3, "category": "Engines", "status": Status::Active,
            "version": 7, "createdAt": "2026-01-31T09:05:00.000Z", "updatedAt": "2026-01-31T09:05:00.000Z"
        })
    }

    /// What is shown of `product`.
    pub(crate) fn of(product: &'a Product) -> Result<Self> {
        Ok(Self {
            id: product.id,
            name: &product.name,
            description: product.description.as_deref(),
            price: RawValue::from_string(product.price.to_string()).map_err(Error::internal)?,
            currency: product.price.currency().code(),
            stock: product.stock,
            category: product.category.as_deref(),
            status: product.status,
            version: product.version,
            created_at: product.created_at,
            updated_at: product.updated_at,
        })
    }
}
