//! Search: by words and their beginnings, the best first.

use serde_json::json;

use crate::app::{PATIENCE, SEARCH, eventually};
use crate::catalogue::{Catalogue, names, ok};
use crate::faults::{self, Faults};

async fn filled() -> Option<Catalogue> {
    let shop = Catalogue::start().await?;
    for (name, category, description, price) in [
        ("Crème Brûlée set", "Kitchen", "Four bowls and a burner", json!(25)),
        ("Burner", "Kitchen", "For crème brûlée, and for camping", json!(15.5)),
        ("Camping stove", "Outdoor", "A stove with one burner. Straße und Wald", json!(40)),
        ("Tent", "Outdoor", "For two", json!(120)),
        ("Stove gloves", "Kitchen", "Red", json!(0.3)),
    ] {
        let body = json!({"name": name, "category": category, "description": description, "price": price});
        shop.create_active(&body).await;
    }
    shop.indexed().await;
    Some(shop)
}

#[tokio::test(flavor = "multi_thread")]
async fn all_words_are_required_and_beginnings_will_do() {
    let Some(shop) = filled().await else { return };
    for (query, expected) in [
        // In the name before the description, of each the newest first.
        ("q=burner", &["Burner", "Camping stove", "Crème Brûlée set"][..]),
        ("q=creme", &["Crème Brûlée set", "Burner"]),
        ("q=CR%C3%88ME+br%C3%BBl%C3%A9e", &["Crème Brûlée set", "Burner"]),
        ("q=brul", &["Crème Brûlée set", "Burner"]),
        ("q=stove", &["Stove gloves", "Camping stove"]),
        ("q=st", &["Stove gloves", "Camping stove"]),
        ("q=strasse", &["Camping stove"]),
        ("q=STRASSE", &["Camping stove"]),
        ("q=stove+burner", &["Camping stove"]),
        ("q=burner+stove+one+camp", &["Camping stove"]),
        ("q=burner,+(camping)!", &["Camping stove", "Burner"]),
        ("q=kitchen", &["Stove gloves", "Burner", "Crème Brûlée set"]),
        ("q=tent", &["Tent"]),
        ("q=tents", &[]),
        ("q=ent", &[]),
        ("q=stove+tent", &[]),
        ("q=burner+burner+BURNER", &["Burner", "Camping stove", "Crème Brûlée set"]),
    ] {
        assert_eq!(shop.found(query).await, expected, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn category_and_price_narrow_a_search() {
    let Some(shop) = filled().await else { return };
    for (query, expected) in [
        ("q=burner&category=Kitchen", &["Burner", "Crème Brûlée set"][..]),
        ("q=burner&category=kitchen", &[]),
        ("q=burner&min_price=25", &["Camping stove", "Crème Brûlée set"]),
        ("q=burner&max_price=25", &["Burner", "Crème Brûlée set"]),
        ("q=burner&min_price=15.5&max_price=15.50", &["Burner"]),
        ("q=burner&min_price=15.51&max_price=24.99", &[]),
        ("q=red&max_price=0.3", &["Stove gloves"]),
        ("q=red&max_price=0.29", &[]),
        ("q=burner&limit=1", &["Burner"]),
        ("q=burner&limit=2&category=Kitchen&min_price=20", &["Crème Brûlée set"]),
    ] {
        assert_eq!(shop.found(query).await, expected, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_makes_no_sense_is_refused() {
    let Some(shop) = Catalogue::start().await else { return };
    for (query, faults) in [
        ("", &["q REQUIRED"][..]),
        ("q=", &["q TOO_SHORT"]),
        ("q=+", &["q TOO_SHORT"]),
        ("q=---+!", &["q INVALID_VALUE"]),
        ("q=%00", &["q INVALID_FORMAT"]),
        ("q=x&limit=0", &["limit OUT_OF_RANGE"]),
        ("q=x&limit=101", &["limit OUT_OF_RANGE"]),
        ("q=x&limit=many", &["limit INVALID_FORMAT"]),
        ("q=x&min_price=-1&max_price=x", &["min_price OUT_OF_RANGE", "max_price INVALID_FORMAT"]),
        ("q=x&min_price=2&max_price=1", &["min_price OUT_OF_RANGE"]),
        ("q=x&status=ACTIVE&page=1", &["page UNKNOWN_FIELD", "status UNKNOWN_FIELD"]),
    ] {
        let answer = shop.app.get(&format!("{SEARCH}?{query}")).await;
        answer.problem(422, "VALIDATION_FAILED");
        assert_eq!(answer.faults(), faults, "{query}");
    }
    let long = "x".repeat(256);
    let answer = shop.app.get(&format!("{SEARCH}?q={long}")).await;
    assert_eq!(answer.faults(), ["q TOO_LONG"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_index_follows_every_change_of_a_product() {
    let Some(shop) = Catalogue::start().await else { return };
    let product = shop.create_active(&json!({"name": "Lamp", "price": 1, "description": "bright red"})).await;
    let found = async |query: &str| {
        shop.indexed().await;
        shop.found(query).await
    };
    assert_eq!(found("q=red").await, ["Lamp"]);
    shop.put(&product, &json!({"description": "bright blue"})).await;
    assert!(found("q=red").await.is_empty());
    assert_eq!(found("q=blue").await, ["Lamp"]);
    shop.put(&product, &json!({"name": "Lantern", "category": "Light"})).await;
    assert!(found("q=lamp").await.is_empty());
    assert_eq!(found("q=light").await, ["Lantern"]);
    shop.put(&product, &json!({"status": "ARCHIVED"})).await;
    assert!(found("q=lantern").await.is_empty());
    assert_eq!(shop.found_by_admin("q=lantern").await, ["Lantern"]);
    shop.put(&product, &json!({"status": "ACTIVE"})).await;
    assert_eq!(found("q=lantern").await, ["Lantern"]);
    shop.delete(&product).await;
    assert!(found("q=lantern").await.is_empty());
}

/// What the `search` table has, by its keys.
async fn index(shop: &Catalogue) -> Vec<(String, String)> {
    let client = shop.app.aws().dynamodb();
    let pages = client.scan().table_name("SearchTable").into_paginator().items().send();
    let items = pages.try_collect().await.unwrap();
    let text = |item: &std::collections::HashMap<_, aws_sdk_dynamodb::types::AttributeValue>, name: &str| {
        item[name].as_s().unwrap().clone()
    };
    let mut keys: Vec<_> = items.iter().map(|item| (text(item, "prefix"), text(item, "place"))).collect();
    keys.sort();
    keys
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_index_is_made_anew_from_the_products() {
    let Some(shop) = filled().await else { return };
    let hidden = shop.create(&json!({"name": "Hidden stove", "price": 1})).await;
    shop.indexed().await;
    // The mark of `indexed` goes by itself.
    let settled = async || {
        let index = index(&shop).await;
        (!index.iter().any(|(prefix, _)| prefix.contains("#mark"))).then_some(index)
    };
    let whole = eventually("index without its mark", PATIENCE, settled).await;
    let client = shop.app.aws().dynamodb();
    for (prefix, place) in &whole {
        let key = |text: &str| aws_sdk_dynamodb::types::AttributeValue::S(text.to_owned());
        let delete = client.delete_item().table_name("SearchTable");
        delete.key("prefix", key(prefix)).key("place", key(place)).send().await.unwrap();
    }
    assert!(shop.found("q=stove").await.is_empty());
    let events = events(&shop).await;
    let answer = shop.app.invoke("products-reindex", "{}").await.unwrap();
    assert_eq!(answer, json!({"marked": 6, "next": null}));
    let restored = async || (index(&shop).await == whole).then_some(());
    eventually("whole index", PATIENCE, restored).await;
    assert_eq!(shop.found("q=stove").await, ["Stove gloves", "Camping stove"]);
    let read = shop.read(&hidden).await.json();
    assert_eq!(read["version"], hidden["version"], "a product is the same after it");
    shop.app.settle().await;
    assert_eq!(self::events(&shop).await, events, "and raises no event");
    assert!(shop.app.invoke("products-reindex", r#"{"afer": null}"#).await.is_err());
}

async fn events(shop: &Catalogue) -> usize {
    let events = shop.app.events().await;
    events.iter().filter(|event| event["detail-type"].as_str().unwrap().starts_with("product.")).count()
}

/// Words that many products have: the rarer one leads, a search says when there was more than it looked at, and a product that no
/// filter lets through costs no trip of its own.
#[tokio::test(flavor = "multi_thread")]
async fn the_rarest_word_leads_and_what_was_not_looked_at_is_said() {
    let Some((app, done)) = faults::start(Faults::default(), &[]).await else { return };
    let shop = Catalogue::of(app).await;
    // The rare word's products are the oldest of all, and it is the shorter word.
    for (name, cents, count) in [("laptopcomputer red", 25, 120), ("laptopcomputer", 75, 1_000)] {
        let make = async |number: usize| {
            let price = format!("{number}.{cents}").parse::<f64>().unwrap();
            shop.create_active(&json!({"name": name, "price": price})).await
        };
        for start in (0..count).step_by(10) {
            futures_util::future::join_all((start..(start + 10).min(count)).map(make)).await;
        }
    }
    shop.indexed().await;
    let search = async |query: &str| {
        done.take_spent();
        let answer = shop.app.get(&format!("{SEARCH}?{query}")).await;
        let incomplete = answer.header("x-result-incomplete");
        assert!(incomplete.is_none_or(|value| value == "true"), "{incomplete:?}");
        (names(&ok(&answer)).len(), incomplete.is_some(), done.take_spent().reads)
    };
    let (found, incomplete, _) = search("q=laptopcomputer&limit=100").await;
    assert_eq!((found, incomplete), (100, false), "as many as were wanted");
    let (found, incomplete, _) = search("q=laptopcomputer&min_price=0.5&max_price=0.6").await;
    assert_eq!((found, incomplete), (0, true), "1,000 of 1,120 were looked at");
    let (found, incomplete, _) = search("q=laptopcomputer&max_price=0.5").await;
    assert_eq!((found, incomplete), (0, true), "it is among the oldest");
    assert_eq!(search("q=laptopcomputer+red&limit=100").await.0, 100, "both words");
    let (found, incomplete, _) = search("q=laptopcomputer+red&limit=100&min_price=100").await;
    assert_eq!((found, incomplete), (20, false), "all of the rarer word's were looked at");
    let (found, incomplete, calls) = search("q=l&limit=1&min_price=5000").await;
    assert_eq!((found, incomplete), (0, true));
    assert!(calls <= 11 * 9, "{calls} calls: 11 rounds of 8 partitions and one batch at most");
    let (found, _, calls) = search("q=laptopcomputers&limit=1").await;
    assert_eq!(found, 0, "longer than the index knows");
    assert!(calls <= 11 * 9, "{calls} calls");
}

/// As a stream that is read twice, or half, may leave it.
#[tokio::test(flavor = "multi_thread")]
async fn a_product_that_stands_twice_in_the_index_is_found_once() {
    use aws_sdk_dynamodb::types::AttributeValue;
    let Some(shop) = Catalogue::start().await else { return };
    let product = shop.create_active(&json!({"name": "Lamp", "price": 1})).await;
    shop.indexed().await;
    let client = shop.app.aws().dynamodb();
    let (prefix, place) =
        index(&shop).await.into_iter().find(|(prefix, _)| prefix.ends_with("#lamp")).unwrap();
    for (prefix, rank) in [(prefix.clone(), "0"), (prefix.replace("#P#", "#A#"), "2"), (prefix, "1")] {
        let other = format!("{rank}{}", &place[1..]);
        let put = client.put_item().table_name("SearchTable");
        put.item("prefix", AttributeValue::S(prefix))
            .item("place", AttributeValue::S(other))
            .send()
            .await
            .unwrap();
    }
    assert_eq!(shop.found("q=lamp").await, ["Lamp"]);
    assert_eq!(shop.found_by_admin("q=lamp").await, ["Lamp"]);
    assert_eq!(product["status"], "ACTIVE");
}
