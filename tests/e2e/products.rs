//! Products, one by one and in lists.

use futures_util::future::join_all;
use reqwest::Method;
use reqwest::header::{ETAG, IF_MATCH, IF_NONE_MATCH};
use serde_json::{Value, json};

use crate::app::{PRODUCTS, TestApp, is_time, members};
use crate::catalogue::{Catalogue, names, ok, path};
use crate::faults::{self, Faults};

#[tokio::test(flavor = "multi_thread")]
async fn a_new_product_is_a_draft_and_its_location_leads_to_it() {
    let Some(shop) = Catalogue::start().await else { return };
    let body = json!({
        "name": "  Analytical Engine ", "description": "Brass,\n\tand steel.", "price": 19.9, "currency": "EUR",
        "stock": 5, "category": "Machines",
    });
    let answer = shop.try_create(&body).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    let product = answer.json();
    assert_eq!(answer.header("location"), Some(path(&product).as_str()));
    assert_eq!(answer.header("etag"), Some("\"1\""));
    assert_eq!(
        members(&product),
        [
            "category",
            "createdAt",
            "currency",
            "description",
            "id",
            "name",
            "price",
            "status",
            "stock",
            "updatedAt",
            "version"
        ]
    );
    assert_eq!(product["name"], "Analytical Engine");
    assert_eq!(product["description"], "Brass,\n\tand steel.");
    assert_eq!((&product["price"], &product["currency"]), (&json!(19.9), &json!("EUR")));
    assert_eq!((&product["stock"], &product["category"]), (&json!(5), &json!("Machines")));
    assert_eq!((&product["status"], &product["version"]), (&json!("DRAFT"), &json!(1)));
    assert!(is_time(product["createdAt"].as_str().unwrap()) && product["createdAt"] == product["updatedAt"]);
    let read = shop.read(&product).await;
    assert_eq!(read.json(), product);
    assert_eq!(read.header("etag"), Some("\"1\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_out_has_the_defaults_and_what_is_empty_is_null() {
    let Some(shop) = Catalogue::start().await else { return };
    for body in [
        json!({"name": "Lamp", "price": 0}),
        json!({"name": "Lamp", "price": 0, "description": "", "category": " "}),
        json!({"name": "Lamp", "price": 0, "description": null, "category": null}),
    ] {
        let product = shop.create(&body).await;
        assert_eq!((&product["stock"], &product["currency"]), (&json!(0), &json!("USD")), "{body}");
        assert_eq!((&product["description"], &product["category"]), (&Value::Null, &Value::Null), "{body}");
    }
    let Some(app) = TestApp::with_parameter("DefaultCurrency", "JPY").await else { return };
    let yen = Catalogue::of(app).await;
    assert_eq!(yen.create(&json!({"name": "Lamp", "price": 5})).await["currency"], "JPY");
    let answer = yen.try_create(&json!({"name": "Lamp", "price": 5.5})).await;
    answer.problem(422, "VALIDATION_FAILED");
    assert_eq!(answer.faults(), ["/price INVALID_FORMAT"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_category_has_one_spelling() {
    let Some(shop) = Catalogue::start().await else { return };
    shop.create_active(&json!({"name": "Cup", "price": 1, "category": "Caf\u{e9}"})).await;
    shop.create_active(&json!({"name": "Mug", "price": 1, "category": "Cafe\u{301}"})).await;
    for spelling in ["Caf%C3%A9", "Cafe%CC%81"] {
        assert_eq!(shop.public_list(&format!("category={spelling}")).await["total"], 2, "{spelling}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_has_not_changed_is_not_sent_again() {
    let Some(shop) = Catalogue::start().await else { return };
    shop.create_active(&json!({"name": "Cup", "price": 1})).await;
    let first = shop.app.get(PRODUCTS).await;
    let tag = first.header("etag").unwrap();
    let get =
        async || shop.app.send(shop.app.request(Method::GET, PRODUCTS).header(IF_NONE_MATCH, tag)).await;
    let same = get().await;
    assert_eq!((same.status.as_u16(), same.body.as_str(), same.header("etag")), (304, "", Some(tag)));
    assert_eq!(same.header("cache-control"), Some("public, max-age=60"));
    shop.create_active(&json!({"name": "Mug", "price": 1})).await;
    assert_eq!(get().await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_field_of_a_product_is_named_in_one_answer() {
    let Some(shop) = Catalogue::start().await else { return };
    let long = |length: usize| "x".repeat(length);
    let body = json!({
        "name": "", "description": long(10_001), "price": -1, "currency": "XAU", "stock": -1,
        "category": long(101), "status": "ACTIVE",
    });
    let answer = shop.try_create(&body).await;
    answer.problem(422, "VALIDATION_FAILED");
    assert_eq!(
        answer.faults(),
        [
            "/name TOO_SHORT",
            "/description TOO_LONG",
            "/price OUT_OF_RANGE",
            "/currency INVALID_VALUE",
            "/stock OUT_OF_RANGE",
            "/category TOO_LONG",
            "/status UNKNOWN_FIELD"
        ]
    );
    let answer = shop.try_create(&json!({})).await;
    assert_eq!(answer.faults(), ["/name REQUIRED", "/price REQUIRED"]);
    let body = json!({"name": 1, "price": "19.99", "stock": 1.5, "currency": 1, "category": []});
    let answer = shop.try_create(&body).await;
    answer.problem(400, "INVALID_TYPE");
    assert_eq!(answer.faults().len(), 5, "{}", answer.body);
    let product = shop.create(&json!({"name": "Lamp", "price": 1})).await;
    let body = json!({"name": null, "price": null, "stock": null, "status": null});
    shop.try_put(&product, &body).await.problem(400, "INVALID_TYPE");
    let body = json!({"status": "GONE", "stock": 2_147_483_648_i64, "id": "x", "version": 1});
    let answer = shop.try_put(&product, &body).await;
    answer.problem(422, "VALIDATION_FAILED");
    assert_eq!(
        answer.faults(),
        ["/stock OUT_OF_RANGE", "/status INVALID_VALUE", "/id UNKNOWN_FIELD", "/version UNKNOWN_FIELD"]
    );
    for (name, text) in
        [("name", "A\u{0}B"), ("name", "A\r\nB"), ("description", "A\u{0}B"), ("category", "A\nB")]
    {
        let answer = shop.try_put(&product, &json!({name: text})).await;
        assert_eq!(answer.faults(), [format!("/{name} INVALID_FORMAT")], "{text:?}");
    }
    assert_eq!(shop.read(&product).await.json(), product);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_changes_what_it_names_and_nothing_else() {
    let Some(shop) = Catalogue::start().await else { return };
    let body = json!({"name": "Lamp", "description": "Bright", "price": 10, "stock": 5, "category": "Light"});
    let product = shop.create(&body).await;
    assert_eq!(shop.put(&product, &json!({})).await, product, "nothing asked for, nothing changed");
    assert_eq!(shop.put(&product, &json!({"name": "Lamp", "stock": 5})).await, product, "nothing new");
    let renamed = shop.put(&product, &json!({"name": "Lantern"})).await;
    let mut expected = product.clone();
    expected["name"] = json!("Lantern");
    expected["version"] = json!(2);
    expected["updatedAt"] = renamed["updatedAt"].clone();
    assert_eq!(renamed, expected);
    let cleared = shop.put(&product, &json!({"description": null, "category": ""})).await;
    assert_eq!((&cleared["description"], &cleared["category"]), (&Value::Null, &Value::Null));
    let all = json!({
        "name": "Sun", "description": "Hot", "price": 2.5, "currency": "BHD", "stock": 0, "category": "Sky",
        "status": "ACTIVE",
    });
    let changed = shop.put(&product, &all).await;
    for (name, value) in all.as_object().unwrap() {
        assert_eq!(&changed[name], value, "{name}");
    }
    assert_eq!(changed["version"], 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_that_is_not_there_is_not_found_by_any_method() {
    let Some(shop) = Catalogue::start().await else { return };
    let deleted = shop.create_active(&json!({"name": "Lamp", "price": 1})).await;
    assert_eq!(shop.delete(&deleted).await.status, 204);
    let never = json!({"id": uuid::Uuid::now_v7().to_string()});
    for product in [&deleted, &never, &json!({"id": "nonsense"})] {
        for answer in [
            shop.read(product).await,
            shop.app.get(&path(product)).await,
            shop.try_put(product, &json!({"name": "x"})).await,
            shop.change_stock(product, 1).await,
            shop.change_stock(product, -1).await,
            shop.delete(product).await,
        ] {
            assert_eq!(answer.problem(404, "NOT_FOUND")["detail"], "Product not found");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entity_tag_tells_whether_a_product_has_changed() {
    let Some(shop) = Catalogue::start().await else { return };
    let product = shop.create_active(&json!({"name": "Lamp", "price": 1, "stock": 3})).await;
    let path = path(&product);
    let get = async |tag: &str| {
        shop.app.send(shop.app.request(Method::GET, &path).header(IF_NONE_MATCH, tag)).await
    };
    let first = get("\"1\"").await;
    let tag = first.header("etag").unwrap().to_owned();
    assert_eq!((first.status.as_u16(), tag.as_str()), (200, "\"2\""));
    assert_eq!(first.header("cache-control"), Some("public, max-age=60"));
    assert_eq!(first.header("vary"), Some("Authorization, Origin"));
    for same in [tag.clone(), format!("W/{tag}"), format!("\"1\", {tag}"), "*".to_owned()] {
        let answer = get(&same).await;
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (304, ""), "{same}");
        assert_eq!(answer.header("etag"), Some(tag.as_str()));
        assert_eq!(answer.header("cache-control"), Some("public, max-age=60"));
    }
    assert_eq!(shop.change_stock(&product, -1).await.header("etag"), Some("\"3\""));
    assert_eq!(get(&tag).await.status, 200, "a stock change is a change");
    let own = shop.read(&product).await;
    assert_eq!(own.header("cache-control"), Some("private, no-store"));
    assert_eq!(own.headers.get_all(ETAG).iter().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_another_version_than_expected_is_refused() {
    let Some(shop) = Catalogue::start().await else { return };
    let product = shop.create(&json!({"name": "Lamp", "price": 1, "stock": 3})).await;
    let path = path(&product);
    let send = async |method: Method, path: &str, body: Option<Value>, tag: &str| {
        let request = shop.app.as_user(&shop.admin, method, path).header(IF_MATCH, tag);
        shop.app.send(if let Some(body) = body { request.json(&body) } else { request }).await
    };
    let (stock, take) = (format!("{path}/stock"), json!({"quantityChange": -1}));
    for tag in ["\"2\"", "W/\"1\"", "1", "\"\"", "\"x\""] {
        for answer in [
            send(Method::PUT, &path, Some(json!({"name": "x"})), tag).await,
            send(Method::PATCH, &stock, Some(take.clone()), tag).await,
            send(Method::DELETE, &path, None, tag).await,
        ] {
            answer.problem(412, "PRECONDITION_FAILED");
        }
    }
    assert_eq!(shop.read(&product).await.json(), product);
    assert_eq!(send(Method::PATCH, &stock, Some(take), "\"1\"").await.status, 200);
    assert_eq!(send(Method::PUT, &path, Some(json!({"name": "x"})), "\"7\", \"2\"").await.status, 200);
    let gone = path.replace(&product["id"].as_str().unwrap()[..8], "00000000");
    send(Method::DELETE, &gone, None, "\"1\"").await.problem(404, "NOT_FOUND");
    assert_eq!(send(Method::DELETE, &path, None, "*").await.status, 204);
}

/// Of many who change the same version, one does.
#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_changes_of_one_version_is_made() {
    let Some(shop) = Catalogue::start().await else { return };
    let product = shop.create(&json!({"name": "Lamp", "price": 1})).await;
    let put = async |number: usize| {
        let request = shop.app.as_user(&shop.admin, Method::PUT, &path(&product)).header(IF_MATCH, "\"1\"");
        shop.app.send(request.json(&json!({"name": format!("Lamp {number}")}))).await
    };
    let answers = join_all((0..20).map(put)).await;
    let made = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(made, 1);
    assert!(answers.iter().all(|answer| [200, 412].contains(&answer.status.as_u16())));
    assert_eq!(shop.read(&product).await.json()["version"], 2);
}

/// Every combination of filters counts what it lists, through all that moves a product from one to another.
#[tokio::test(flavor = "multi_thread")]
async fn totals_are_exact_for_every_filter() {
    let Some((app, done)) = faults::start(Faults { conflicts: 20, cuts: 5, ..Faults::default() }, &[]).await
    else {
        return;
    };
    let shop = Catalogue::of(app).await;
    let statuses = ["DRAFT", "ACTIVE", "INACTIVE", "ARCHIVED"];
    let categories = [None, Some("Books"), Some("Food#1 & drink")];
    let mut products = join_all((0..24).map(async |number: usize| {
        let body = json!({"name": format!("P{number}"), "price": 1, "category": categories[number % 3]});
        shop.create(&body).await
    }))
    .await;
    let all: Vec<Value> = products.clone();
    // All at once: the counters are shared.
    join_all(all.iter().enumerate().map(async |(number, product)| {
        shop.put(product, &json!({"status": statuses[number % 4]})).await;
        if number % 5 == 0 {
            shop.put(product, &json!({"category": "Books", "status": "ACTIVE"})).await;
        }
        if number % 7 == 0 {
            shop.change_stock(product, 3).await;
            assert_eq!(shop.delete(product).await.status, 204);
        }
    }))
    .await;
    products = join_all(products.iter().map(async |product| shop.read(product).await))
        .await
        .into_iter()
        .filter(|answer| answer.status == 200)
        .map(|answer| answer.json())
        .collect();
    assert_eq!(products.len(), 20);
    let mut filters = Vec::new();
    for status in [None].into_iter().chain(statuses.map(Some)) {
        for category in [None, Some("Books"), Some("Food#1 & drink"), Some("Nothing")] {
            filters.push((status, category));
        }
    }
    for (status, category) in filters {
        let mut expected: Vec<&Value> = products
            .iter()
            .filter(|product| status.is_none_or(|status| product["status"] == status))
            .filter(|product| category.is_none_or(|category| product["category"] == category))
            .collect();
        expected.sort_by_key(|product| std::cmp::Reverse(product["id"].as_str().unwrap().to_owned()));
        let status = status.map(|status| format!("&status={status}")).unwrap_or_default();
        let category = category.map(|category| {
            format!("&category={}", category.replace('#', "%23").replace('&', "%26").replace(' ', "%20"))
        });
        let query = format!("size=100{status}{}", category.unwrap_or_default());
        let list = shop.list(&query).await;
        assert_eq!(list["total"], expected.len(), "{query}");
        assert_eq!(list["data"], json!(expected), "{query}");
        assert_eq!(list["nextCursor"], Value::Null);
    }
    let conflicts = done.conflicts.load(std::sync::atomic::Ordering::Relaxed);
    assert!(conflicts > 10, "{conflicts} transactions met others");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_and_cursors_walk_the_same_list_and_new_products_do_not_shift_it() {
    let Some(shop) = Catalogue::start().await else { return };
    let products = join_all((0..25).map(async |number: usize| {
        shop.create_active(&json!({"name": format!("P{number}"), "price": 1, "category": "Books"})).await
    }))
    .await;
    let mut ids: Vec<&str> = products.iter().map(|product| product["id"].as_str().unwrap()).collect();
    ids.sort_unstable_by(|one, other| other.cmp(one));
    let listed = |list: &Value| -> Vec<String> {
        let data = list["data"].as_array().unwrap();
        data.iter().map(|product| product["id"].as_str().unwrap().to_owned()).collect()
    };
    for filter in ["", "&category=Books", "&status=ACTIVE", "&category=Books&status=ACTIVE"] {
        let mut paged = Vec::new();
        for page in 0..4 {
            let list = shop.public_list(&format!("size=7&page={page}{filter}")).await;
            assert_eq!((&list["page"], &list["size"], &list["total"]), (&json!(page), &json!(7), &json!(25)));
            assert_eq!(list["nextCursor"].is_null(), page == 3);
            paged.extend(listed(&list));
        }
        assert_eq!(paged, ids, "{filter}");
        let mut walked = Vec::new();
        let mut query = format!("size=7{filter}");
        loop {
            let list = shop.public_list(&query).await;
            walked.extend(listed(&list));
            let Some(cursor) = list["nextCursor"].as_str() else { break };
            query = format!("size=7&cursor={cursor}{filter}");
            // Hidden, so that the totals above hold for the next filter too.
            shop.create(&json!({"name": "New", "price": 1, "category": "Books"})).await;
        }
        assert_eq!(walked, ids, "{filter}");
    }
    let first = shop.public_list("size=7").await;
    shop.create_active(&json!({"name": "Newest", "price": 1})).await;
    let cursor = first["nextCursor"].as_str().unwrap();
    let second = shop.public_list(&format!("size=7&cursor={cursor}")).await;
    assert_eq!(listed(&second), ids[7..14], "what came meanwhile shifts nothing");
    assert_eq!(names(&shop.public_list("size=1").await["data"]), ["Newest"]);
    for query in [
        format!("cursor={cursor}&page=0"),
        format!("cursor={cursor}&category=Books"),
        format!("cursor={cursor}&status=ACTIVE"),
        format!("cursor={}", cursor.to_lowercase()),
        "cursor=".to_owned(),
        "size=0".to_owned(),
        "size=101".to_owned(),
        "size=ten".to_owned(),
        "page=-1".to_owned(),
        "page=1e3".to_owned(),
        "page=101&size=100".to_owned(),
        "page=99999999999999999999999".to_owned(),
        "status=active".to_owned(),
        "status=".to_owned(),
        "category=".to_owned(),
        "page=0&page=1".to_owned(),
        "sort=price".to_owned(),
    ] {
        shop.app.get(&format!("{PRODUCTS}?{query}")).await.problem(422, "VALIDATION_FAILED");
    }
    let answer = shop.app.get(&format!("{PRODUCTS}?page=101&size=100")).await;
    assert!(answer.problem(422, "VALIDATION_FAILED").to_string().contains("cursor"), "{}", answer.body);
    assert_eq!(ok(&shop.app.get(&format!("{PRODUCTS}?page=100&size=100")).await)["data"], json!([]));
}
