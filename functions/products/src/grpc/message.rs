//! Messages: what is asked, as the fields that REST has, and products as they are answered.

use buffa::{EnumValue, Inline, MessageField};
use buffa_types::google::protobuf::Timestamp;
use shared::id::ProductId;
use shared::input::{Fault, Input, Source, Texts};
use shared::money::Money;
use shared::products::{self, Status};
use shared::{Error, Result, time};

use crate::create::NewProduct;
use crate::proto::arcana::product::v1::{
    CreateProductRequest, ListProductsRequest, Product, ProductStatus, SearchProductsRequest,
    UpdateProductRequest, UpdateStockRequest,
};
use crate::proto::google::r#type::Money as MoneyMessage;
use crate::stock::StockChange;
use crate::update::Changes;
use crate::{list, search};

/// Reads a message as `T` from those of its fields that are set, by their names in REST.
fn read<T: Input, const N: usize>(fields: [(&str, Option<String>); N]) -> Result<T> {
    let set = fields.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?)));
    T::read(Source::Texts(&Texts::new(set)))
}

/// A text that is unset where it is empty.
fn text(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

/// A number that is unset where it is 0.
fn number(number: i32) -> Option<String> {
    (number != 0).then(|| number.to_string())
}

/// A status that is unset where it is unspecified. One that is not known is called by its number, as no status is.
fn status(status: EnumValue<ProductStatus>) -> Option<String> {
    let known = Status::ALL.into_iter().find(|known| status == to_message(*known));
    known.map(|known| known.name().to_owned()).or_else(|| number(status.to_i32()))
}

/// The amount, as REST writes it.
fn amount(money: &MoneyMessage) -> String {
    let MoneyMessage { units, nanos, .. } = *money;
    let sign = if units < 0 || nanos < 0 { "-" } else { "" };
    let nanos_fit = nanos.unsigned_abs() < 1_000_000_000 && (units.signum() * i64::from(nanos.signum())) >= 0;
    if nanos_fit {
        format!("{sign}{}.{:09}", units.unsigned_abs(), nanos.unsigned_abs())
    } else {
        format!("{units} and {nanos} billionths")
    }
}

/// The amount and the currency of a price.
fn price(money: MessageField<MoneyMessage, Inline<MoneyMessage>>) -> (Option<String>, Option<String>) {
    money.into_option().map_or((None, None), |money| (Some(amount(&money)), text(money.currency_code)))
}

/// The id of a product; what is no id is none.
pub(super) fn product_id(id: &str, field: &str) -> Result<ProductId> {
    if id.is_empty() {
        return Err(Fault::invalid("REQUIRED", "is required").at(field));
    }
    id.parse().map_err(|_| Error::NotFound("Product"))
}

pub(super) fn list(request: ListProductsRequest) -> Result<list::Parameters> {
    let ListProductsRequest { page, size, category, status: asked, cursor, .. } = request;
    read([
        ("page", number(page)),
        ("size", number(size)),
        ("category", category),
        ("status", status(asked)),
        ("cursor", text(cursor)),
    ])
}

pub(super) fn search(request: SearchProductsRequest) -> Result<search::Parameters> {
    let SearchProductsRequest { q, category, min_price, max_price, limit, .. } = request;
    let (min_price, min_currency) = price(min_price);
    let (max_price, max_currency) = price(max_price);
    if min_currency.is_some() && max_currency.is_some() && min_currency != max_currency {
        let fault = Fault::invalid("INVALID_VALUE", "must be the same as that of min_price");
        return Err(fault.at("max_price.currency_code"));
    }
    read([
        ("q", text(q)),
        ("category", category),
        ("min_price", min_price),
        ("max_price", max_price),
        ("price_currency", min_currency.or(max_currency)),
        ("limit", number(limit)),
    ])
}

pub(super) fn create(request: CreateProductRequest) -> Result<NewProduct> {
    let CreateProductRequest { name, description, price: money, stock, category, .. } = request;
    let (amount, currency) = price(money);
    read([
        ("name", text(name)),
        ("description", description),
        ("price", amount),
        ("currency", currency),
        ("stock", Some(stock.to_string())),
        ("category", category),
    ])
}

pub(super) fn update(request: UpdateProductRequest) -> Result<Changes> {
    let UpdateProductRequest { name, description, price: money, stock, category, status: asked, .. } =
        request;
    let (amount, currency) = price(money);
    read([
        ("name", name),
        ("description", description),
        ("price", amount),
        ("currency", currency),
        ("stock", stock.map(|stock| stock.to_string())),
        ("category", category),
        ("status", status(asked)),
    ])
}

pub(super) fn stock_change(request: &UpdateStockRequest) -> Result<StockChange> {
    read([("quantityChange", Some(request.quantity_change.to_string()))])
}

/// A product as it is answered.
pub(super) fn product(product: products::Product) -> Result<Product> {
    Ok(Product {
        id: product.id.to_string(),
        price: MessageField::some(money(product.price)),
        stock: i32::try_from(product.stock).map_err(Error::internal)?,
        status: to_message(product.status).into(),
        version: i64::try_from(product.version).map_err(Error::internal)?,
        created_at: MessageField::some(timestamp(product.created_at)),
        updated_at: MessageField::some(timestamp(product.updated_at)),
        name: product.name,
        description: product.description,
        category: product.category,
        ..Product::default()
    })
}

fn money(price: Money) -> MoneyMessage {
    let (units, nanos) = price.units_and_nanos();
    MoneyMessage {
        currency_code: price.currency().code().to_owned(),
        units,
        nanos,
        ..MoneyMessage::default()
    }
}

fn timestamp(time: time::Timestamp) -> Timestamp {
    let nanos = i32::try_from(time.ms() % 1000 * 1_000_000).unwrap_or_default();
    Timestamp { seconds: time.seconds(), nanos, ..Timestamp::default() }
}

fn to_message(status: Status) -> ProductStatus {
    match status {
        Status::Draft => ProductStatus::PRODUCT_STATUS_DRAFT,
        Status::Active => ProductStatus::PRODUCT_STATUS_ACTIVE,
        Status::Inactive => ProductStatus::PRODUCT_STATUS_INACTIVE,
        Status::Archived => ProductStatus::PRODUCT_STATUS_ARCHIVED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_written_as_its_units_and_nanos_say() {
        for (units, nanos, written) in [
            (19, 990_000_000, "19.990000000"),
            (0, 0, "0.000000000"),
            (0, -10_000_000, "-0.010000000"),
            (-1, -750_000_000, "-1.750000000"),
            (i64::MIN, -999_999_999, "-9223372036854775808.999999999"),
            (i64::MAX, 1, "9223372036854775807.000000001"),
        ] {
            assert_eq!(amount(&MoneyMessage { units, nanos, ..MoneyMessage::default() }), written);
        }
        for (units, nanos) in [(1, -1), (-1, 1), (0, 1_000_000_000), (1, i32::MIN), (5, i32::MAX)] {
            let written = amount(&MoneyMessage { units, nanos, ..MoneyMessage::default() });
            assert!(written.parse::<shared::money::Amount>().is_err(), "{written}");
        }
    }
}
