//! Messages: what is asked, as the fields that REST has, and products as they are answered.

use buffa::{EnumValue, Inline, MessageField};
use buffa_types::google::protobuf::Timestamp;
use shared::id::ProductId;
use shared::input::{Fault, Input, Place, Source, Texts};
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

/// Both, or what is wrong with either: faults of fields are told together.
fn both<A, B>(one: Result<A>, other: Result<B>) -> Result<(A, B)> {
    match (one, other) {
        (Ok(one), Ok(other)) => Ok((one, other)),
        (Err(Error::Validation(mut faults)), Err(Error::Validation(more))) => {
            faults.extend(more);
            Err(Error::Validation(faults))
        }
        (Err(error), _) | (_, Err(error)) => Err(error),
    }
}

/// The same error, with the faults of the field `name` at `path`.
fn renamed(error: Error, name: &str, path: &str) -> Error {
    let Error::Validation(mut faults) = error else { return error };
    for fault in &mut faults {
        if fault.place == Place::Parameter(name.to_owned()) {
            fault.place = Place::Parameter(path.to_owned());
        }
    }
    Error::Validation(faults)
}

/// A price, taken apart into what REST calls its fields.
struct Price {
    amount: Option<String>,
    currency: Option<String>,
    /// Whether it is one.
    sound: Result<()>,
}

impl Price {
    fn of(money: MessageField<MoneyMessage, Inline<MoneyMessage>>, field: &str) -> Self {
        let Some(MoneyMessage { currency_code, units, nanos, .. }) = money.into_option() else {
            return Self { amount: None, currency: None, sound: Ok(()) };
        };
        let opposed = units.signum() * i64::from(nanos.signum()) < 0;
        let fault = if opposed {
            Some(("INVALID_FORMAT", "units and nanos must not have opposite signs"))
        } else if nanos.unsigned_abs() >= 1_000_000_000 {
            Some(("OUT_OF_RANGE", "nanos must be from -999999999 to 999999999"))
        } else {
            None
        };
        let sign = if units < 0 || nanos < 0 { "-" } else { "" };
        let amount = match fault {
            None => format!("{sign}{}.{:09}", units.unsigned_abs(), nanos.unsigned_abs()),
            // Nothing more is said of it.
            Some(_) => "0".to_owned(),
        };
        let sound = fault.map_or(Ok(()), |(code, detail)| Err(Fault::invalid(code, detail).at(field)));
        Self { amount: Some(amount), currency: text(currency_code), sound }
    }
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
    let (min, max) = (Price::of(min_price, "min_price"), Price::of(max_price, "max_price"));
    let same = match (&min.currency, &max.currency) {
        (Some(min), Some(max)) if min != max => {
            let fault = Fault::invalid("INVALID_VALUE", "must be the same as that of min_price");
            Err(fault.at("max_price.currency_code"))
        }
        _ => Ok(()),
    };
    // Which of the two names it.
    let named = if min.currency.is_some() { "min_price.currency_code" } else { "max_price.currency_code" };
    let parameters = read([
        ("q", text(q)),
        ("category", category),
        ("min_price", min.amount),
        ("max_price", max.amount),
        ("price_currency", min.currency.or(max.currency)),
        ("limit", number(limit)),
    ]);
    let parameters = parameters.map_err(|error| renamed(error, "price_currency", named));
    let (parameters, _) = both(parameters, both(both(min.sound, max.sound), same))?;
    Ok(parameters)
}

pub(super) fn create(request: CreateProductRequest) -> Result<NewProduct> {
    let CreateProductRequest { name, description, price, stock, category, .. } = request;
    let Price { amount, currency, sound } = Price::of(price, "price");
    let new = read([
        ("name", text(name)),
        ("description", description),
        ("price", amount),
        ("currency", currency),
        ("stock", Some(stock.to_string())),
        ("category", category),
    ]);
    both(new, sound).map(|(new, ())| new)
}

pub(super) fn update(request: UpdateProductRequest) -> Result<(Changes, ProductId)> {
    let UpdateProductRequest { id, name, description, price, stock, category, status: asked, .. } = request;
    let Price { amount, currency, sound } = Price::of(price, "price");
    let changes = read([
        ("name", name),
        ("description", description),
        ("price", amount),
        ("currency", currency),
        ("stock", stock.map(|stock| stock.to_string())),
        ("category", category),
        ("status", status(asked)),
    ]);
    let changes = both(changes, sound).map(|(changes, ())| changes);
    both(changes, product_id(&id, "id"))
}

pub(super) fn stock_change(request: &UpdateStockRequest) -> Result<(ProductId, StockChange)> {
    let change = read([("quantityChange", Some(request.quantity_change.to_string()))]);
    both(product_id(&request.product_id, "product_id"), change)
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

    fn price(units: i64, nanos: i32) -> Price {
        Price::of(MessageField::some(MoneyMessage { units, nanos, ..MoneyMessage::default() }), "price")
    }

    #[test]
    fn an_amount_is_what_its_units_and_nanos_say() {
        for (units, nanos, written) in [
            (19, 990_000_000, "19.990000000"),
            (0, 0, "0.000000000"),
            (0, -10_000_000, "-0.010000000"),
            (-1, -750_000_000, "-1.750000000"),
            (i64::MIN, -999_999_999, "-9223372036854775808.999999999"),
            (i64::MAX, 1, "9223372036854775807.000000001"),
        ] {
            let Price { amount, sound, .. } = price(units, nanos);
            assert_eq!((amount.as_deref(), sound.is_ok()), (Some(written), true));
        }
        for (units, nanos) in [(1, -1), (-1, 1), (0, 1_000_000_000), (1, i32::MIN), (5, i32::MAX)] {
            assert!(price(units, nanos).sound.is_err(), "{units} and {nanos}");
        }
    }

    #[test]
    fn every_fault_of_a_message_is_told_at_once() {
        let Err(Error::Validation(faults)) = update(UpdateProductRequest {
            name: Some(String::new()),
            price: MessageField::some(MoneyMessage { units: 1, nanos: -1, ..MoneyMessage::default() }),
            stock: Some(-1),
            status: 99.into(),
            ..UpdateProductRequest::default()
        }) else {
            panic!("taken, or refused at once");
        };
        assert_eq!(faults.len(), 5, "{faults:?}");
    }
}
