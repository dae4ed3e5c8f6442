//! Who sees what of the catalogue: everybody what is for sale, admins all.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{PRODUCTS, SEARCH};
use crate::catalogue::{Catalogue, names, path};

const HIDDEN: [&str; 3] = ["DRAFT", "INACTIVE", "ARCHIVED"];

/// A catalogue of products of every status, and one that is deleted.
async fn filled() -> Option<(Catalogue, Vec<Value>)> {
    let shop = Catalogue::start().await?;
    let mut products = Vec::new();
    for status in ["DRAFT", "ACTIVE", "INACTIVE", "ARCHIVED"] {
        for number in 0..4 {
            let body = json!({
                "name": format!("{status} lamp {number}"), "price": number, "category": "Light",
                "description": "bright",
            });
            let product = shop.create(&body).await;
            products.push(shop.put(&product, &json!({"status": status})).await);
        }
    }
    let deleted = shop.create_active(&json!({"name": "deleted lamp", "price": 1, "category": "Light"})).await;
    assert_eq!(shop.delete(&deleted).await.status, 204);
    products.push(deleted);
    shop.indexed().await;
    Some((shop, products))
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_an_admin_sees_what_is_not_active_by_any_way() {
    let Some((shop, products)) = filled().await else { return };
    let user = shop.app.login(&shop.app.register().await).await.access;
    let as_anyone =
        |path: &str| [shop.app.request(Method::GET, path), shop.app.as_user(&user, Method::GET, path)];
    for product in &products {
        let active = product["name"].as_str().unwrap().starts_with("ACTIVE");
        for request in as_anyone(&path(product)) {
            let answer = shop.app.send(request).await;
            assert_eq!(answer.status.as_u16(), if active { 200 } else { 404 }, "{product}");
            assert!(active || !answer.body.contains("lamp"));
            let tag = format!("\"{}\"", product["version"]);
            let request = shop.app.request(Method::GET, &path(product)).header("if-none-match", tag);
            assert_eq!(shop.app.send(request).await.status.as_u16(), if active { 304 } else { 404 });
        }
    }
    let filters = ["", "&category=Light", "&status=ACTIVE", "&category=Light&status=ACTIVE"];
    for filter in filters {
        for request in as_anyone(&format!("{PRODUCTS}?size=100{filter}")) {
            let list = shop.app.send(request).await.json();
            assert_eq!(list["total"], 4, "{filter}");
            let names = names(&list["data"]);
            assert!(names.len() == 4 && names.iter().all(|name| name.starts_with("ACTIVE")), "{names:?}");
        }
    }
    for status in HIDDEN {
        for category in ["", "&category=Light"] {
            for request in as_anyone(&format!("{PRODUCTS}?status={status}{category}")) {
                let list = shop.app.send(request).await.json();
                assert_eq!((&list["data"], &list["total"]), (&json!([]), &json!(0)), "{status}");
                assert_eq!(list["nextCursor"], Value::Null);
            }
        }
    }
    // Cursors that an admin got lead nobody else further than they may go.
    for query in
        ["size=1", "size=1&status=DRAFT", "size=1&category=Light", "size=3&status=ARCHIVED&category=Light"]
    {
        let cursor = shop.list(query).await["nextCursor"].as_str().unwrap().to_owned();
        for request in as_anyone(&format!("{PRODUCTS}?{query}&cursor={cursor}")) {
            let body = shop.app.send(request).await.body;
            assert!(!HIDDEN.iter().any(|status| body.contains(status)), "{body}");
        }
    }
    for query in
        ["q=lamp", "q=l", "q=lamp+bright", "q=draft", "q=archived+lamp", "q=lamp&category=Light", "q=deleted"]
    {
        for request in as_anyone(&format!("{SEARCH}?{query}&limit=100")) {
            let answer = shop.app.send(request).await;
            let seen: BTreeSet<String> = names(&answer.json()).into_iter().collect();
            assert!(seen.iter().all(|name| name.starts_with("ACTIVE")), "{query}: {seen:?}");
            assert_eq!(answer.header("x-result-incomplete"), None);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_sees_and_filters_all() {
    let Some((shop, products)) = filled().await else { return };
    assert_eq!(shop.list("size=100").await["total"], 16);
    for status in ["DRAFT", "ACTIVE", "INACTIVE", "ARCHIVED"] {
        let list = shop.list(&format!("status={status}")).await;
        assert_eq!(list["total"], 4);
        assert!(names(&list["data"]).iter().all(|name| name.starts_with(status)), "{list}");
    }
    assert_eq!(shop.found_by_admin("q=lamp&limit=100").await.len(), 16);
    for product in &products[..16] {
        assert_eq!(shop.read(product).await.json(), *product);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_leaves_the_shop_window_is_gone_at_once_everywhere() {
    let Some(shop) = Catalogue::start().await else { return };
    for round in 0..5 {
        let product = shop.create_active(&json!({"name": "Torch", "price": 1, "category": "Light"})).await;
        shop.indexed().await;
        assert_eq!(shop.found("q=torch").await, ["Torch"]);
        if round % 2 == 0 {
            shop.put(&product, &json!({"status": "INACTIVE"})).await;
        } else {
            assert_eq!(shop.delete(&product).await.status, 204);
        }
        // No waiting: an index that lags shows nothing that the product itself does not.
        assert!(shop.found("q=torch").await.is_empty());
        assert!(names(&shop.public_list("").await["data"]).is_empty());
        shop.app.get(&path(&product)).await.problem(404, "NOT_FOUND");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_token_is_refused_where_no_token_is_let_in() {
    let Some(shop) = Catalogue::start().await else { return };
    let product = shop.create_active(&json!({"name": "Torch", "price": 1})).await;
    for path in [PRODUCTS.to_owned(), format!("{SEARCH}?q=torch"), path(&product)] {
        for token in ["nonsense", "a.b.c"] {
            let answer = shop.app.get_as(token, &path).await;
            answer.problem(401, "UNAUTHENTICATED");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer error=\"invalid_token\""));
        }
        let ended = shop.app.login(&shop.app.register().await).await;
        assert_eq!(shop.app.get_as(&ended.access, &path).await.status, 200);
        let request = shop.app.as_user(&ended.access, Method::POST, crate::app::LOGOUT_ALL);
        assert_eq!(shop.app.send(request).await.status, 204);
        shop.app.get_as(&ended.access, &path).await.problem(401, "UNAUTHENTICATED");
    }
}
