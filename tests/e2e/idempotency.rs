//! `Idempotency-Key`: a request that is sent again is done once and answered as the first time.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{Answer, PATIENCE, PRODUCTS, TestApp, eventually};
use crate::catalogue::{Catalogue, path, stock_path};
use crate::faults::{self, Faults};

fn new_key() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// Sends a request as somebody under a key.
async fn send(app: &TestApp, token: &str, method: Method, path: &str, body: &Value, key: &str) -> Answer {
    app.send(app.as_user(token, method, path).header("idempotency-key", key).json(body)).await
}

async fn create(shop: &Catalogue, body: &Value, key: &str) -> Answer {
    send(&shop.app, &shop.admin, Method::POST, PRODUCTS, body, key).await
}

async fn take(shop: &Catalogue, product: &Value, change: i64, key: &str) -> Answer {
    let body = json!({"quantityChange": change});
    send(&shop.app, &shop.admin, Method::PATCH, &stock_path(product), &body, key).await
}

#[track_caller]
fn replayed(answer: &Answer, first: &Answer) {
    assert_eq!((answer.status, &answer.body), (first.status, &first.body));
    assert_eq!(answer.header("idempotency-replayed"), Some("true"));
    assert_eq!(first.header("idempotency-replayed"), None);
    for name in ["content-type", "location", "etag"] {
        assert_eq!(answer.header(name), first.header(name), "{name}");
    }
    assert_ne!(answer.header("x-request-id"), first.header("x-request-id"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_and_body_are_answered_as_the_first_time() {
    let Some(shop) = Catalogue::start().await else { return };
    let (key, body) = (new_key(), json!({"name": "Lamp", "price": 1, "stock": 5}));
    let first = create(&shop, &body, &key).await;
    assert_eq!(first.status, 201, "{}", first.body);
    let product = first.json();
    let key_of_stock = new_key();
    let taken = take(&shop, &product, -2, &key_of_stock).await;
    assert_eq!(taken.json()["stock"], 3);
    // Whatever has become of it since.
    shop.put(&product, &json!({"name": "Lantern"})).await;
    for _ in 0..3 {
        replayed(&create(&shop, &body, &key).await, &first);
        replayed(&take(&shop, &product, -2, &key_of_stock).await, &taken);
    }
    assert_eq!(shop.list("").await["total"], 1);
    assert_eq!(shop.read(&product).await.json()["stock"], 3);
    assert_eq!(shop.delete(&product).await.status, 204);
    replayed(&create(&shop, &body, &key).await, &first);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_given_again_too() {
    let Some(shop) = Catalogue::start().await else { return };
    let product = shop.create(&json!({"name": "Lamp", "price": 1, "stock": 5})).await;
    let key = new_key();
    let refused = take(&shop, &product, -6, &key).await;
    refused.problem(409, "INSUFFICIENT_STOCK");
    assert_eq!(shop.change_stock(&product, 5).await.status, 200);
    let again = take(&shop, &product, -6, &key).await;
    assert_eq!((again.status, &again.body), (refused.status, &refused.body));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.header("content-type"), Some("application/problem+json"));
    let (key, body) = (new_key(), json!({"name": ""}));
    let invalid = create(&shop, &body, &key).await;
    invalid.problem(422, "VALIDATION_FAILED");
    assert_eq!(create(&shop, &body, &key).await.body, invalid.body);
    assert_eq!(take(&shop, &product, -6, &new_key()).await.json()["stock"], 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_belongs_to_one_caller_one_route_and_one_body() {
    let Some(shop) = Catalogue::start().await else { return };
    let other = shop.app.login(&shop.app.register_admin().await).await.access;
    let (key, body) = (new_key(), json!({"name": "Lamp", "price": 1}));
    let first = create(&shop, &body, &key).await;
    for changed in [json!({"name": "Lamp", "price": 2}), json!({"name": "Lamp ", "price": 1}), json!({})] {
        create(&shop, &changed, &key).await.problem(422, "IDEMPOTENCY_KEY_REUSED");
    }
    let theirs = send(&shop.app, &other, Method::POST, PRODUCTS, &body, &key).await;
    assert_eq!((theirs.status.as_u16(), theirs.header("idempotency-replayed")), (201, None));
    assert_ne!(theirs.json()["id"], first.json()["id"]);
    let (one, two) = (first.json(), theirs.json());
    for product in [&one, &two] {
        let taken = take(&shop, product, 1, &key).await;
        assert_eq!((taken.status.as_u16(), taken.header("idempotency-replayed")), (200, None));
    }
    assert_eq!(shop.list("").await["total"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_is_for_those_only_who_may_still_call() {
    let Some(shop) = Catalogue::start().await else { return };
    let account = shop.app.register_admin().await;
    let ended = shop.app.login(&account).await.access;
    let (key, body) = (new_key(), json!({"name": "Lamp", "price": 1}));
    assert_eq!(send(&shop.app, &ended, Method::POST, PRODUCTS, &body, &key).await.status, 201);
    let request = shop.app.as_user(&ended, Method::POST, crate::app::LOGOUT_ALL);
    assert_eq!(shop.app.send(request).await.status, 204);
    send(&shop.app, &ended, Method::POST, PRODUCTS, &body, &key).await.problem(401, "UNAUTHENTICATED");
    // Nor does a session that has ended hear whether a key was used.
    let other = json!({"name": "Lamp", "price": 2});
    send(&shop.app, &ended, Method::POST, PRODUCTS, &other, &key).await.problem(401, "UNAUTHENTICATED");
    send(&shop.app, &ended, Method::POST, PRODUCTS, &other, " ").await.problem(401, "UNAUTHENTICATED");
    // A key that nobody used yet is not used up by whoever is refused.
    let fresh = new_key();
    send(&shop.app, &ended, Method::POST, PRODUCTS, &body, &fresh).await.problem(401, "UNAUTHENTICATED");
    let again = shop.app.login(&account).await.access;
    let answer = send(&shop.app, &again, Method::POST, PRODUCTS, &body, &key).await;
    assert_eq!((answer.status.as_u16(), answer.header("idempotency-replayed")), (201, Some("true")));
    let answer = send(&shop.app, &again, Method::POST, PRODUCTS, &body, &fresh).await;
    assert_eq!((answer.status.as_u16(), answer.header("idempotency-replayed")), (201, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_none_is_refused() {
    let Some(shop) = Catalogue::start().await else { return };
    let body = json!({"name": "Lamp", "price": 1});
    for key in ["", " ", &"k".repeat(256)] {
        let answer = create(&shop, &body, key).await;
        answer.problem(422, "VALIDATION_FAILED");
        assert_eq!(answer.faults().len(), 1, "{}", answer.body);
    }
    assert_eq!(create(&shop, &body, &"k".repeat(255)).await.status, 201);
    assert_eq!(shop.list("").await["total"], 1);
}

/// The answer names the fault, and not at such length that it cannot be kept.
#[tokio::test(flavor = "multi_thread")]
async fn a_huge_name_of_a_field_is_refused_with_a_key_as_without() {
    let Some(shop) = Catalogue::start().await else { return };
    for name in ["a".repeat(210_000), "\u{301}".repeat(60_000), "\"".repeat(60_000)] {
        let (key, body) = (new_key(), json!({"name": "x", "price": 1, name: 1}));
        let plain = shop.try_create(&body).await;
        plain.problem(422, "VALIDATION_FAILED");
        assert!(plain.body.len() < 4_000, "{} bytes", plain.body.len());
        let first = create(&shop, &body, &key).await;
        first.problem(422, "VALIDATION_FAILED");
        assert_eq!(create(&shop, &body, &key).await.body, first.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_at_once_under_one_key_make_one_product() {
    let Some(shop) = Catalogue::start().await else { return };
    let mut refused = 0;
    for round in 0..10 {
        let (key, body) = (new_key(), json!({"name": format!("Lamp {round}"), "price": 1}));
        let answers = join_all((0..20).map(|_| create(&shop, &body, &key))).await;
        let ids: Vec<Value> = answers
            .iter()
            .filter_map(|answer| match answer.status.as_u16() {
                201 => Some(answer.json()["id"].clone()),
                _ => {
                    answer.problem(409, "IDEMPOTENCY_IN_PROGRESS");
                    assert_eq!(answer.header("retry-after"), Some("1"));
                    refused += 1;
                    None
                }
            })
            .collect();
        assert!(!ids.is_empty() && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        assert_eq!(create(&shop, &body, &key).await.json()["id"], ids[0]);
        assert_eq!(shop.list("").await["total"], round + 1);
    }
    assert!(refused > 0, "none came while another was under way");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_forgotten_after_a_day() {
    let Some(shop) = Catalogue::start().await else { return };
    let account = shop.app.register_admin().await;
    let (key, body) = (new_key(), json!({"name": "Lamp", "price": 1}));
    let token = shop.app.login(&account).await.access;
    assert_eq!(send(&shop.app, &token, Method::POST, PRODUCTS, &body, &key).await.status, 201);
    shop.app.advance_clock(24 * 3600 - 60).await;
    let token = shop.app.login(&account).await.access;
    let answer = send(&shop.app, &token, Method::POST, PRODUCTS, &body, &key).await;
    assert_eq!(answer.header("idempotency-replayed"), Some("true"));
    shop.app.advance_clock(120).await;
    let answer = send(&shop.app, &token, Method::POST, PRODUCTS, &body, &key).await;
    assert_eq!((answer.status.as_u16(), answer.header("idempotency-replayed")), (201, None));
}

/// Records as a crash leaves them: a claim without an effect, and an effect whose answer was not kept.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_leaves_both_the_effect_and_its_record_or_neither() {
    use aws_sdk_dynamodb::types::AttributeValue;
    let Some(shop) = Catalogue::start().await else { return };
    let client = shop.app.aws().dynamodb();
    let table = "IdempotencyTable";
    let product = shop.create(&json!({"name": "Lamp", "price": 1, "stock": 5})).await;
    let key = new_key();
    let taken = take(&shop, &product, -1, &key).await;
    let record = client.scan().table_name(table).send().await.unwrap().items.unwrap().pop().unwrap();
    assert!(record["answer"].as_s().is_ok() && record["done"] == AttributeValue::Bool(true));
    // As if the function had died between the effect and the answer.
    let mut unanswered = record.clone();
    unanswered.remove("answer");
    client.put_item().table_name(table).set_item(Some(unanswered.clone())).send().await.unwrap();
    take(&shop, &product, -1, &key).await.problem(409, "IDEMPOTENCY_IN_PROGRESS");
    shop.app.advance_clock(40).await;
    let answers = join_all((0..10).map(|_| take(&shop, &product, -1, &key))).await;
    for answer in answers.iter().filter(|answer| answer.status != 409) {
        assert_eq!((answer.status, &answer.body), (taken.status, &taken.body), "it is not taken twice");
    }
    assert!(answers.iter().any(|answer| answer.status == 200));
    let again = take(&shop, &product, -1, &key).await;
    assert_eq!((&again.body, again.header("idempotency-replayed")), (&taken.body, Some("true")));
    // As if it had died before its effect: the claim lapses.
    unanswered.insert("done".to_owned(), AttributeValue::Bool(false));
    let claim = {
        let mut claim = unanswered;
        let until = shop_seconds() + 40 + 30;
        claim.insert("claimedUntil".to_owned(), AttributeValue::N(until.to_string()));
        claim
    };
    client.put_item().table_name(table).set_item(Some(claim)).send().await.unwrap();
    take(&shop, &product, -1, &key).await.problem(409, "IDEMPOTENCY_IN_PROGRESS");
    shop.app.advance_clock(40).await;
    assert_eq!(take(&shop, &product, -1, &key).await.json()["stock"], 3, "never done, so done now");
}

/// Seconds since the epoch, by the clock of this machine.
fn shop_seconds() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

/// A database that loses replies: whoever repeats what was answered 503 gets one product for each key.
#[tokio::test(flavor = "multi_thread")]
async fn lost_replies_make_no_product_twice() {
    let Some((app, done)) = faults::start(Faults { conflicts: 20, cuts: 20, ..Faults::default() }, &[]).await
    else {
        return;
    };
    let shop = Catalogue::of(app).await;
    let make = async |number: usize| {
        let (key, body) = (new_key(), json!({"name": format!("Lamp {number}"), "price": 1}));
        let made = async || {
            let answer = create(&shop, &body, &key).await;
            match answer.status.as_u16() {
                201 => Some(answer),
                409 | 503 => None,
                _ => panic!("{answer:?}"),
            }
        };
        eventually("product", PATIENCE, made).await.json()
    };
    let products = join_all((0..100).map(make)).await;
    assert_eq!(shop.list("size=100").await["total"], 100);
    assert_eq!(shop.list("size=100").await["data"].as_array().unwrap().len(), 100);
    for product in &products[..10] {
        assert_eq!(shop.app.get_as(&shop.admin, &path(product)).await.status, 200);
    }
    let count = |count: &std::sync::atomic::AtomicU64| count.load(std::sync::atomic::Ordering::Relaxed);
    assert!(count(&done.cuts) > 20 && count(&done.conflicts) > 10);
}
