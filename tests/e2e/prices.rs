//! Money is exact: what goes in comes out, digit by digit.

use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::json;

use crate::app::{Answer, PRODUCTS};
use crate::catalogue::{Catalogue, path};

/// Makes a product of a price that is written just so.
async fn create(shop: &Catalogue, price: &str, currency: &str) -> Answer {
    let body = format!("{{\"name\": \"Lamp\", \"price\": {price}, \"currency\": \"{currency}\"}}");
    let request = shop.app.as_user(&shop.admin, Method::POST, PRODUCTS);
    shop.app.send(request.header(CONTENT_TYPE, "application/json").body(body)).await
}

/// The price in an answer, as it is written there.
#[track_caller]
fn price(answer: &Answer) -> String {
    assert!(answer.status.is_success(), "{}", answer.body);
    let (_, rest) = answer.body.split_once("\"price\":").expect("a price");
    rest.split(',').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_price_comes_back_as_it_was_sent() {
    let Some(shop) = Catalogue::start().await else { return };
    for (sent, currency, kept) in [
        ("19.99", "EUR", "19.99"),
        ("0.3", "EUR", "0.30"),
        ("999999999.99", "USD", "999999999.99"),
        ("999999999999.99", "USD", "999999999999.99"),
        ("1e-2", "USD", "0.01"),
        ("1.005", "KWD", "1.005"),
        ("1.005E+3", "JPY", "1005"),
        ("123456789012.3400000", "USD", "123456789012.34"),
        ("-0", "USD", "0.00"),
        ("1.2345", "CLF", "1.2345"),
    ] {
        let created = create(&shop, sent, currency).await;
        assert_eq!(price(&created), kept, "{sent} {currency}");
        // From the database, through a change, and in a list.
        let product = created.json();
        assert_eq!(price(&shop.read(&product).await), kept, "{sent} {currency}");
        assert_eq!(price(&shop.try_put(&product, &json!({"status": "ACTIVE"})).await), kept);
        let list = shop.app.get(&format!("{PRODUCTS}?size=1")).await;
        assert_eq!(price(&list), kept, "{sent} {currency}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_price_that_cannot_be_kept_exactly_is_refused() {
    let Some(shop) = Catalogue::start().await else { return };
    for (sent, currency, code) in [
        ("1.005", "EUR", "INVALID_FORMAT"),
        ("0.30000000000000004", "EUR", "INVALID_FORMAT"),
        ("12345678901234567", "EUR", "OUT_OF_RANGE"),
        ("1234567890.1234567", "EUR", "INVALID_FORMAT"),
        ("1e-3", "USD", "INVALID_FORMAT"),
        ("0.5", "JPY", "INVALID_FORMAT"),
        ("-0.01", "USD", "OUT_OF_RANGE"),
        ("1000000000000", "USD", "OUT_OF_RANGE"),
        ("1e999", "USD", "OUT_OF_RANGE"),
        ("1e-999999999999999999999", "USD", "INVALID_FORMAT"),
    ] {
        let answer = create(&shop, sent, currency).await;
        answer.problem(422, "VALIDATION_FAILED");
        assert_eq!(answer.faults(), [format!("/price {code}")], "{sent} {currency}");
    }
    for sent in ["\"19.99\"", "true", "null", "[1]", "{\"value\": 1}"] {
        create(&shop, sent, "USD").await.problem(400, "INVALID_TYPE");
    }
    for sent in ["01", "1.", ".5", "+1", "NaN", "Infinity", "1,5"] {
        create(&shop, sent, "USD").await.problem(400, "MALFORMED_JSON");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn price_and_currency_fit_each_other_after_every_change() {
    let Some(shop) = Catalogue::start().await else { return };
    let product = create(&shop, "19.99", "EUR").await.json();
    let answer = shop.try_put(&product, &json!({"currency": "JPY"})).await;
    answer.problem(422, "VALIDATION_FAILED");
    assert_eq!(answer.faults(), ["/currency INVALID_FORMAT"]);
    assert_eq!(price(&shop.try_put(&product, &json!({"currency": "JPY", "price": 20})).await), "20");
    let answer = shop.try_put(&product, &json!({"price": 20.5})).await;
    assert_eq!(answer.faults(), ["/price INVALID_FORMAT"]);
    assert_eq!(price(&shop.try_put(&product, &json!({"currency": "USD"})).await), "20.00");
    // One changes the price to what only dollars can be, one the currency: never both.
    for _ in 0..10 {
        let product = create(&shop, "20", "USD").await.json();
        let (cents, yen) = (json!({"price": 20.5}), json!({"currency": "JPY"}));
        let (one, other) =
            futures_util::future::join(shop.try_put(&product, &cents), shop.try_put(&product, &yen)).await;
        let read = shop.app.get_as(&shop.admin, &path(&product)).await;
        let both = one.status == 200 && other.status == 200;
        assert!(!both || price(&read) == "20", "{} {} {}", one.body, other.body, read.body);
        assert!(!(price(&read) == "20.50" && read.json()["currency"] == "JPY"), "{}", read.body);
    }
}
