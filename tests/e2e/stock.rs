//! Stock: never below zero, never lost, never doubled, and its events on crossing and not otherwise.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::{join, join_all};
use local::Options;
use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{Answer, PATIENCE, TestApp, eventually, share};
use crate::catalogue::{Catalogue, stock_path};
use crate::faults::{self, Faults};

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_answered_with_the_product_as_it_is_then() {
    let Some(shop) = Catalogue::start().await else { return };
    let product = shop.create(&json!({"name": "Lamp", "price": 1, "stock": 5})).await;
    let answer = shop.change_stock(&product, -2).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let mut expected = product.clone();
    expected["stock"] = json!(3);
    expected["version"] = json!(2);
    expected["updatedAt"] = answer.json()["updatedAt"].clone();
    assert_eq!(answer.json(), expected);
    assert_eq!(shop.change_stock(&product, 4).await.json()["stock"], 7);
    let answer = shop.change_stock(&product, -8).await;
    let problem = answer.problem(409, "INSUFFICIENT_STOCK");
    assert_eq!(problem["detail"], "Insufficient stock. Available: 7");
    assert_eq!((&problem["available"], &problem["requested"]), (&json!(7), &json!(8)));
    assert_eq!(shop.change_stock(&product, -7).await.json()["stock"], 0);
    assert_eq!(shop.change_stock(&product, -1).await.problem(409, "INSUFFICIENT_STOCK")["available"], 0);
    assert_eq!(shop.change_stock(&product, 2_147_483_647).await.json()["stock"], 2_147_483_647);
    let answer = shop.change_stock(&product, 1).await;
    answer.problem(422, "VALIDATION_FAILED");
    assert_eq!(answer.faults(), ["/quantityChange OUT_OF_RANGE"]);
    assert_eq!(shop.read(&product).await.json()["stock"], 2_147_483_647);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_is_none_is_refused() {
    let Some(shop) = Catalogue::start().await else { return };
    let product = shop.create(&json!({"name": "Lamp", "price": 1, "stock": 5})).await;
    for (body, fault) in [
        ("{\"quantityChange\": 0}", "/quantityChange OUT_OF_RANGE"),
        ("{\"quantityChange\": -2147483648}", "/quantityChange OUT_OF_RANGE"),
        ("{\"quantityChange\": 2147483648}", "/quantityChange OUT_OF_RANGE"),
        ("{\"quantityChange\": -9223372036854775808}", "/quantityChange OUT_OF_RANGE"),
        ("{\"quantityChange\": 9223372036854775807}", "/quantityChange OUT_OF_RANGE"),
        ("{\"quantityChange\": 99999999999999999999999999}", "/quantityChange OUT_OF_RANGE"),
        ("{}", "/quantityChange REQUIRED"),
        ("{\"quantityChange\": 1, \"stock\": 5}", "/stock UNKNOWN_FIELD"),
    ] {
        let request = shop.app.as_user(&shop.admin, Method::PATCH, &stock_path(&product));
        let answer = shop.app.send(request.header("content-type", "application/json").body(body)).await;
        answer.problem(422, "VALIDATION_FAILED");
        assert_eq!(answer.faults(), [fault]);
    }
    for body in
        [json!({"quantityChange": "1"}), json!({"quantityChange": 1.5}), json!({"quantityChange": null})]
    {
        let answer = shop.app.do_as(&shop.admin, Method::PATCH, &stock_path(&product), &body).await;
        answer.problem(400, "INVALID_TYPE");
    }
    assert_eq!(shop.read(&product).await.json(), product);
}

/// Takes one under a key, and again for as long as nobody knows whether it was taken.
async fn take_one(app: &TestApp, admin: &str, path: &str) -> Answer {
    let key = uuid::Uuid::new_v4().to_string();
    for _ in 0..200 {
        let request = app.as_user(admin, Method::PATCH, path).header("idempotency-key", &key);
        let answer = app.send(request.json(&json!({"quantityChange": -1}))).await;
        let again = answer.status == 503
            || (answer.status == 409 && answer.json()["code"] == "IDEMPOTENCY_IN_PROGRESS");
        if !again {
            return answer;
        }
        // A claim whose holder got no reply lapses after half a minute.
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    panic!("no end of 503");
}

/// Whoever reads the products' stream: what is sold here is not looked for, and the machine is small.
const READERS: [&str; 2] = ["events-relay", "products-index"];

/// `orders` of one each from 50 workers: exactly `stock` are served.
async fn sell_out(shop: &Catalogue, stock: u64, orders: u64) {
    let product = shop.create(&json!({"name": "Lamp", "price": 1, "stock": stock})).await;
    let (path, next, sold) = (stock_path(&product), AtomicU64::new(0), AtomicU64::new(0));
    let worker = async |_| {
        while next.fetch_add(1, Ordering::Relaxed) < orders {
            let answer = take_one(&shop.app, &shop.admin, &path).await;
            if answer.status == 200 {
                assert!(answer.json()["stock"].as_u64().is_some_and(|left| left < stock), "{}", answer.body);
                sold.fetch_add(1, Ordering::Relaxed);
            } else {
                let problem = answer.problem(409, "INSUFFICIENT_STOCK");
                assert_eq!((&problem["available"], &problem["requested"]), (&json!(0), &json!(1)));
            }
        }
    };
    join_all((0..50).map(worker)).await;
    assert_eq!(sold.load(Ordering::Relaxed), stock);
    let left = shop.read(&product).await.json();
    assert_eq!(left["stock"], 0);
    assert_eq!(left["version"], stock + 1, "each change once");
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_of_more_than_there_is_leave_none() {
    let held = READERS.map(ToOwned::to_owned).to_vec();
    let Some(app) = TestApp::with(Options { held, ..Options::default() }).await else { return };
    sell_out(&Catalogue::of(app).await, share(6_000), share(10_000)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_order_is_lost_or_doubled_when_replies_are_cut_and_transactions_meet() {
    let Some((app, done)) =
        faults::start(Faults { conflicts: 30, cuts: 5, ..Faults::default() }, &READERS).await
    else {
        return;
    };
    sell_out(&Catalogue::of(app).await, share(6_000), share(10_000)).await;
    let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
    assert!(count(&done.conflicts) > share(3_000) && count(&done.cuts) > share(500), "the faults were made");
}

/// A change of a name does not wait for a quiet moment of the stock, nor does it undo what is sold meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_put_beside_many_orders_keeps_them() {
    let Some(shop) = Catalogue::start().await else { return };
    let product = shop.create(&json!({"name": "Lamp", "price": 1, "stock": 1_000})).await;
    let orders = join_all((0..10).map(async |_| {
        for _ in 0..50 {
            assert_eq!(shop.change_stock(&product, -1).await.status, 200);
        }
    }));
    let changes = async {
        for number in 0..30 {
            let (name, status) = (format!("Lamp {number}"), ["ACTIVE", "INACTIVE"][number % 2]);
            let changed = shop.put(&product, &json!({"name": name, "status": status})).await;
            assert_eq!((&changed["name"], &changed["status"]), (&json!(name), &json!(status)));
        }
    };
    join(orders, changes).await;
    let read = shop.read(&product).await.json();
    assert_eq!((&read["stock"], &read["name"]), (&json!(500), &json!("Lamp 29")));
    assert_eq!(read["version"], 1 + 500 + 30);
    assert_eq!(shop.list("status=INACTIVE").await["total"], 1);
    assert_eq!(shop.list("").await["total"], 1);
}

/// The events about a product, as the contract says they must be: type and data.
async fn events_about(app: &TestApp, product: &Value, count: usize) -> Vec<Value> {
    let look = async || {
        let mut events = app.events().await;
        events.retain(|event| event["detail"]["data"]["productId"] == product["id"]);
        (events.len() >= count).then_some(events)
    };
    eventually("events", PATIENCE, look).await
}

fn crossing(id: &Value, old: i64, new: i64) -> Option<Value> {
    if new == 0 && old > 0 {
        Some(json!({"type": "product.out_of_stock", "data": {"productId": id}}))
    } else if old > 10 && (1..=10).contains(&new) {
        Some(json!({"type": "product.low_stock", "data": {"productId": id, "stock": new}}))
    } else {
        None
    }
}

/// Random walks of PATCH and PUT against a model of the contract.
#[tokio::test(flavor = "multi_thread")]
async fn events_are_raised_on_crossing_and_not_otherwise() {
    let Some(shop) = Catalogue::start().await else { return };
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    for walk in 0..12 {
        let mut stock = i64::try_from(random(15)).unwrap();
        let product = shop.create(&json!({"name": "Lamp", "price": 1, "stock": stock})).await;
        let id = &product["id"];
        let mut expected = vec![json!({"type": "product.created", "data": {"productId": id}})];
        for step in 0..25 {
            let amount = i64::try_from(random(16)).unwrap();
            match random(4) {
                // A change of the stock alone.
                0 | 1 => {
                    let change = if amount == 0 { -8 } else { amount - 8 };
                    if change == 0 {
                        continue;
                    }
                    let answer = shop.change_stock(&product, change).await;
                    if stock + change < 0 {
                        answer.problem(409, "INSUFFICIENT_STOCK");
                        continue;
                    }
                    assert_eq!(answer.json()["stock"], stock + change);
                    expected.extend(crossing(id, stock, stock + change));
                    stock += change;
                }
                2 => {
                    shop.put(&product, &json!({"stock": amount})).await;
                    expected.extend(crossing(id, stock, amount));
                    stock = amount;
                }
                // The stock and something else, or something else alone.
                _ => {
                    let name = format!("Lamp {walk} {step}");
                    let with_stock = random(2) == 0;
                    let new = if with_stock { amount } else { stock };
                    let body =
                        if with_stock { json!({"name": name, "stock": new}) } else { json!({"name": name}) };
                    shop.put(&product, &body).await;
                    expected.push(json!({"type": "product.updated", "data": {"productId": id}}));
                    expected.extend(crossing(id, stock, new));
                    stock = new;
                }
            }
        }
        assert_eq!(shop.delete(&product).await.status, 204);
        expected.push(json!({"type": "product.deleted", "data": {"productId": id}}));
        let events = events_about(&shop.app, &product, expected.len()).await;
        let told: Vec<Value> = events
            .iter()
            .map(|event| {
                assert_eq!(event["detail-type"], event["detail"]["type"]);
                json!({"type": event["detail"]["type"], "data": event["detail"]["data"]})
            })
            .collect();
        assert_eq!(told, expected, "walk {walk}");
        let mut ids: Vec<&str> = events.iter().map(|event| event["detail"]["id"].as_str().unwrap()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), events.len(), "each event has an id of its own");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_carries_the_correlation_id_of_its_request() {
    let Some(shop) = Catalogue::start().await else { return };
    let correlation_id = crate::app::new_correlation_id();
    let request = shop.app.as_user(&shop.admin, Method::POST, crate::app::PRODUCTS);
    let request = request.header("x-correlation-id", &correlation_id);
    let answer = shop.app.send(request.json(&json!({"name": "Lamp", "price": 1}))).await;
    let events = events_about(&shop.app, &answer.json(), 1).await;
    assert_eq!(events[0]["detail"]["correlationId"], correlation_id.as_str());
    assert_eq!(events[0]["source"], "arcana");
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_run_the_shop_are_told_when_a_product_becomes_scarce_and_when_it_is_gone() {
    let Some(shop) = Catalogue::start().await else { return };
    let product = shop.create(&json!({"name": "Lamp <b>& Co", "price": 1, "stock": 12})).await;
    for (change, subject, count) in [
        (-1, "", 0),
        (-1, "Stock alert: Lamp <b>& Co, 10 left", 1),
        (-3, "", 1),
        (-7, "Stock alert: Lamp <b>& Co, out of stock", 2),
        (50, "", 2),
        (-45, "Stock alert: Lamp <b>& Co, 5 left", 3),
    ] {
        assert_eq!(shop.change_stock(&product, change).await.status, 200);
        if !subject.is_empty() {
            let look = async || {
                Some(shop.app.mails_to("shop@arcana.localhost").await).filter(|mails| mails.len() == count)
            };
            let mails = eventually("mail", PATIENCE, look).await;
            let mail = mails.last().unwrap();
            assert_eq!(mail["subject"], subject);
            let (text, html) = (mail["text"].as_str().unwrap(), mail["html"].as_str().unwrap());
            assert!(
                text.contains(product["id"].as_str().unwrap()) && text.contains("Lamp <b>& Co"),
                "{text}"
            );
            assert!(!html.contains("<b>") && !html.contains("Hello"), "{html}");
        }
    }
    shop.app.settle().await;
    assert_eq!(shop.app.mails_to("shop@arcana.localhost").await.len(), 3);
}
