//! A bundle with an admin who fills its catalogue.

use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{Answer, PATIENCE, PRODUCTS, SEARCH, TestApp, eventually};

/// A bundle and an admin's access token.
pub(crate) struct Catalogue {
    pub(crate) app: TestApp,
    pub(crate) admin: String,
}

impl Catalogue {
    /// A bundle of the test's own; `None` where there is none, and then the test is skipped.
    pub(crate) async fn start() -> Option<Self> {
        Some(Self::of(TestApp::local().await?).await)
    }

    pub(crate) async fn of(app: TestApp) -> Self {
        let account = app.register_admin().await;
        let admin = app.login(&account).await.access;
        Self { app, admin }
    }

    pub(crate) async fn try_create(&self, body: &Value) -> Answer {
        self.app.do_as(&self.admin, Method::POST, PRODUCTS, body).await
    }

    /// Makes a product and answers it.
    pub(crate) async fn create(&self, body: &Value) -> Value {
        let answer = self.try_create(body).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.json()
    }

    /// Makes a product that everybody sees.
    pub(crate) async fn create_active(&self, body: &Value) -> Value {
        let product = self.create(body).await;
        self.put(&product, &json!({"status": "ACTIVE"})).await
    }

    pub(crate) async fn try_put(&self, product: &Value, body: &Value) -> Answer {
        self.app.do_as(&self.admin, Method::PUT, &path(product), body).await
    }

    /// Changes a product and answers it.
    pub(crate) async fn put(&self, product: &Value, body: &Value) -> Value {
        let answer = self.try_put(product, body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    }

    pub(crate) async fn change_stock(&self, product: &Value, change: i64) -> Answer {
        let body = json!({"quantityChange": change});
        self.app.do_as(&self.admin, Method::PATCH, &stock_path(product), &body).await
    }

    pub(crate) async fn delete(&self, product: &Value) -> Answer {
        self.app.send(self.app.as_user(&self.admin, Method::DELETE, &path(product))).await
    }

    /// A product as the admin sees it.
    pub(crate) async fn read(&self, product: &Value) -> Answer {
        self.app.get_as(&self.admin, &path(product)).await
    }

    /// A list as the admin sees it.
    pub(crate) async fn list(&self, query: &str) -> Value {
        ok(&self.app.get_as(&self.admin, &format!("{PRODUCTS}?{query}")).await)
    }

    /// A list as everybody sees it.
    pub(crate) async fn public_list(&self, query: &str) -> Value {
        ok(&self.app.get(&format!("{PRODUCTS}?{query}")).await)
    }

    /// The names of what everybody finds, the best first.
    pub(crate) async fn found(&self, query: &str) -> Vec<String> {
        names(&ok(&self.app.get(&format!("{SEARCH}?{query}")).await))
    }

    /// The names of what the admin finds, the best first.
    pub(crate) async fn found_by_admin(&self, query: &str) -> Vec<String> {
        names(&ok(&self.app.get_as(&self.admin, &format!("{SEARCH}?{query}")).await))
    }

    /// Waits until the index has come to all that was written before.
    pub(crate) async fn indexed(&self) {
        let mark = format!("mark{}", uuid::Uuid::new_v4().simple());
        let product = self.create(&json!({"name": mark, "price": 0})).await;
        let look = async || (self.found_by_admin(&format!("q={mark}")).await.len() == 1).then_some(());
        eventually("mark in the index", PATIENCE, look).await;
        assert_eq!(self.delete(&product).await.status, 204);
    }
}

#[track_caller]
pub(crate) fn ok(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

pub(crate) fn path(product: &Value) -> String {
    format!("{PRODUCTS}/{}", product["id"].as_str().unwrap())
}

pub(crate) fn stock_path(product: &Value) -> String {
    format!("{}/stock", path(product))
}

/// The names of the products in an array.
#[track_caller]
pub(crate) fn names(products: &Value) -> Vec<String> {
    let name = |product: &Value| product["name"].as_str().unwrap().to_owned();
    products.as_array().unwrap().iter().map(name).collect()
}
