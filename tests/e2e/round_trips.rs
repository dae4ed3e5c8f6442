//! What each endpoint asks of DynamoDB: how often it waits, how much it calls, and what that costs.

use std::sync::Arc;
use std::time::Duration;

use local::Options;
use local_aws::State;
use reqwest::Method;
use serde_json::{Value, json};
use shared::function::Kind;

use crate::app::{
    AUDIT, Answer, CHANGE_PASSWORD, FILES, FORGOT_PASSWORD, LOGIN, LOGOUT, LOGOUT_ALL, ME, NAME,
    OTHER_PASSWORD, PASSWORD, PRODUCTS, REFRESH, REGISTER, RESEND, RESET_PASSWORD, SEARCH, SESSIONS, TestApp,
    USERS, VERIFY_EMAIL, new_account, new_address,
};
use crate::documents::pdf;
use crate::drive::{Drive, path};
use crate::faults::{self, Done, Faults, Spent};

/// How long each call takes: calls that are made side by side have all begun by then.
const DELAY: Duration = Duration::from_millis(100);
/// How long DynamoDB is not asked anything before nobody is at work.
const QUIET: Duration = Duration::from_millis(300);

/// Where the table of what each request costs is. A change that makes one cost more, or less, has to say so there.
/// Read when it runs: a row that is mended needs no build.
const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/PERFORMANCE.md");
/// What its head is: the columns are the fields of [`Spent`].
const HEAD: &str = "| request | round trips | calls | read units | write units |";
/// Where gRPC's methods are.
const PROTO: &str = include_str!("../../functions/products/proto/arcana/product/v1/product_service.proto");

/// A request, its round trips, its calls, and its read and write capacity units.
type Cost = (&'static str, u64, u64, f64, f64);

/// The table, row by row.
fn known() -> Vec<Cost> {
    let text: &str = std::fs::read_to_string(TABLE).unwrap().leak();
    let (_, table) = text.split_once(HEAD).expect("a table of what requests cost");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with("| "));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, name, trips, calls, read, written, _] = cells[..] else { panic!("{row}") };
        (
            name,
            trips.parse().unwrap(),
            calls.parse().unwrap(),
            read.parse().unwrap(),
            written.parse().unwrap(),
        )
    })
    .collect()
}

struct Meter {
    app: TestApp,
    done: Arc<Done>,
    measured: Vec<Cost>,
}

impl Meter {
    /// A bundle in which nothing follows from a request that these functions would do.
    async fn start(held: &[&str]) -> Option<Self> {
        let held = held.iter().map(ToString::to_string).collect();
        let faults = Faults { delay_ms: u64::try_from(DELAY.as_millis()).unwrap(), ..Faults::default() };
        let options = Options { held, ..Options::default() };
        let (app, done) = faults::start_with(State::Memory, faults, options).await?;
        Some(Self { app, done, measured: Vec::new() })
    }

    /// Waits until nobody asks anything of DynamoDB.
    async fn quiet(&self) {
        for _ in 0..100 {
            self.done.take_spent();
            tokio::time::sleep(QUIET).await;
            if self.done.take_spent() == Spent::default() {
                return;
            }
        }
        panic!("DynamoDB is always asked something");
    }

    /// Does a request when nobody else does, and takes down what it costs.
    async fn cost(&mut self, name: &'static str, status: u16, request: reqwest::RequestBuilder) -> Answer {
        self.quiet().await;
        let answer = self.app.send(request).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.body);
        self.measured.push(self.spent(name));
        answer
    }

    fn spent(&self, name: &'static str) -> Cost {
        let Spent { trips, calls, read, written, .. } = self.done.take_spent();
        (name, trips, calls, read, written)
    }

    async fn post(&mut self, name: &'static str, status: u16, path: &str, body: &Value) -> Answer {
        self.cost(name, status, self.app.request(Method::POST, path).json(body)).await
    }

    async fn get(&mut self, name: &'static str, path: &str) -> Answer {
        self.cost(name, 200, self.app.request(Method::GET, path)).await
    }

    /// A request of a user.
    async fn of(
        &mut self,
        token: &str,
        name: &'static str,
        status: u16,
        method: Method,
        path: &str,
    ) -> Answer {
        self.cost(name, status, self.app.as_user(token, method, path)).await
    }

    /// A request of a user with a body.
    async fn with(
        &mut self,
        token: &str,
        (name, status): (&'static str, u16),
        (method, path): (Method, &str),
        body: &Value,
    ) -> Answer {
        self.cost(name, status, self.app.as_user(token, method, path).json(body)).await
    }

    /// A request of a user under an `Idempotency-Key`, and the same again.
    async fn keyed(
        &mut self,
        token: &str,
        names: [&'static str; 2],
        (method, path): (Method, &str),
        body: &Value,
    ) {
        let key = uuid::Uuid::new_v4().to_string();
        let request = |app: &TestApp| {
            app.as_user(token, method.clone(), path).header("idempotency-key", &key).json(body)
        };
        for name in names {
            self.quiet().await;
            let answer = self.app.send(request(&self.app)).await;
            assert!(answer.status.is_success(), "{name}: {}", answer.body);
            self.measured.push(self.spent(name));
        }
    }

    /// An access token of a new session.
    async fn token(&self, email: &str) -> String {
        let login = self.app.try_login(email, PASSWORD).await;
        login.json()["accessToken"].as_str().unwrap().to_owned()
    }

    /// The token of the mail that `email-worker` writes for an account. Nothing else makes it write one here.
    async fn mailed(&self, job: &str, user: &Value, email: &str) -> String {
        let data = json!({"userId": user, "email": email, "name": NAME});
        let body = json!({"id": uuid::Uuid::new_v4(), "job": job, "data": data, "correlationId": "-"});
        let event = json!({"Records": [{
            "messageId": "message-0", "receiptHandle": "-", "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:EmailsQueue",
            "attributes": {"ApproximateReceiveCount": "1"}, "body": body.to_string(),
        }]});
        let answer = self.app.invoke("email-worker", &event.to_string()).await.unwrap();
        assert_eq!(answer, json!({"batchItemFailures": []}));
        let mails = self.done.cloud.mail().list().unwrap();
        let text = mails.last().and_then(|mail| mail.text.clone()).unwrap();
        let (_, token) = text.split_once("#token=").unwrap();
        token.split_whitespace().next().unwrap().to_owned()
    }
}

async fn accounts(meter: &mut Meter) {
    let email = new_address();
    let registered = meter.post("auth-register", 201, REGISTER, &new_account(&email)).await;
    let id = registered.json()["id"].clone();
    let login = json!({"email": email, "password": PASSWORD});
    meter.post("auth-login, the first", 200, LOGIN, &login).await;
    let tokens = meter.post("auth-login", 200, LOGIN, &login).await.json();
    let wrong = json!({"email": email, "password": OTHER_PASSWORD});
    meter.post("auth-login, a wrong password", 401, LOGIN, &wrong).await;
    let refresh = json!({"refreshToken": tokens["refreshToken"]});
    let tokens = meter.post("auth-refresh", 200, REFRESH, &refresh).await.json();
    let access = tokens["accessToken"].as_str().unwrap();
    meter.of(access, "auth-me", 200, Method::GET, ME).await;
    meter.with(access, ("auth-update-me", 200), (Method::PATCH, ME), &json!({"name": "Grace"})).await;
    let sessions = meter.of(access, "auth-list-sessions", 200, Method::GET, SESSIONS).await.json();
    let other =
        sessions["data"].as_array().unwrap().iter().find(|session| session["current"] == false).unwrap();
    let other = format!("{SESSIONS}/{}", other["id"].as_str().unwrap());
    meter.of(access, "auth-end-session", 204, Method::DELETE, &other).await;
    meter.of(access, "auth-resend-verification", 202, Method::POST, RESEND).await;
    let token = meter.mailed("verify-email", &id, &email).await;
    meter.post("auth-verify-email", 204, VERIFY_EMAIL, &json!({"token": token})).await;
    let passwords = json!({"currentPassword": PASSWORD, "newPassword": OTHER_PASSWORD});
    meter.with(access, ("auth-change-password", 204), (Method::POST, CHANGE_PASSWORD), &passwords).await;
    meter.post("auth-forgot-password", 202, FORGOT_PASSWORD, &json!({"email": email})).await;
    let nobody = json!({"email": new_address()});
    meter.post("auth-forgot-password, nobody's", 202, FORGOT_PASSWORD, &nobody).await;
    let token = meter.mailed("password-reset", &id, &email).await;
    let reset = json!({"token": token, "newPassword": PASSWORD});
    meter.post("auth-reset-password", 204, RESET_PASSWORD, &reset).await;
    let tokens = meter.app.try_login(&email, PASSWORD).await.json();
    let refresh = json!({"refreshToken": tokens["refreshToken"]});
    meter.post("auth-logout", 204, LOGOUT, &refresh).await;
    let all = meter.token(&email).await;
    meter.of(&all, "auth-logout-all", 204, Method::POST, LOGOUT_ALL).await;
    let last = meter.token(&email).await;
    meter.with(&last, ("auth-delete-me", 204), (Method::DELETE, ME), &json!({"password": PASSWORD})).await;
}

/// Makes five products that everybody sees; answers one of them.
async fn five(meter: &Meter, admin: &str, body: &Value) -> Value {
    let mut product = Value::Null;
    for _ in 0..5 {
        let created = meter.app.do_as(admin, Method::POST, PRODUCTS, body).await.json();
        let path = format!("{PRODUCTS}/{}", created["id"].as_str().unwrap());
        product = meter.app.do_as(admin, Method::PUT, &path, &json!({"status": "ACTIVE"})).await.json();
    }
    product
}

/// Search needs what follows from products.
async fn search() -> Option<Vec<Cost>> {
    let mut meter = Meter::start(&["events-relay"]).await?;
    let admin = meter.app.register_admin().await;
    let admin = meter.app.login(&admin).await.access;
    five(&meter, &admin, &json!({"name": "Lamp", "price": 1})).await;
    meter.quiet().await;
    for (name, query) in [("products-search", "lamp"), ("products-search, two words", "lamp+la")] {
        let found = meter.get(name, &format!("{SEARCH}?q={query}")).await.json();
        assert_eq!(found.as_array().unwrap().len(), 5, "{found}");
    }
    let name = "products-grpc, SearchProducts";
    let found = meter.post(name, 200, &method(name), &json!({"q": "lamp"})).await.json();
    assert_eq!(found["products"].as_array().unwrap().len(), 5, "{found}");
    Some(meter.measured)
}

async fn catalogue(meter: &mut Meter, admin: &str) {
    let lamp = json!({"name": "Lamp", "price": 1, "stock": 9, "category": "Lighting"});
    let product = five(meter, admin, &lamp).await;
    meter.with(admin, ("products-create", 201), (Method::POST, PRODUCTS), &lamp).await;
    meter
        .keyed(admin, ["products-create, keyed", "products-create, again"], (Method::POST, PRODUCTS), &lamp)
        .await;
    let id = product["id"].as_str().unwrap();
    let path = format!("{PRODUCTS}/{id}");
    meter.get("products-get", &path).await;
    meter.of(admin, "products-get, signed in", 200, Method::GET, &path).await;
    let page = meter.get("products-list", &format!("{PRODUCTS}?size=2")).await.json();
    let next = page["nextCursor"].as_str().unwrap_or_else(|| panic!("{page}"));
    meter.get("products-list, by a cursor", &format!("{PRODUCTS}?size=2&cursor={next}")).await;
    meter.get("products-list, of a category", &format!("{PRODUCTS}?category=Lighting")).await;
    let stock = format!("{path}/stock");
    let sold = json!({"quantityChange": -1});
    meter.with(admin, ("products-stock", 200), (Method::PATCH, &stock), &sold).await;
    meter
        .keyed(admin, ["products-stock, keyed", "products-stock, again"], (Method::PATCH, &stock), &sold)
        .await;
    meter.with(admin, ("products-update", 200), (Method::PUT, &path), &json!({"price": 2})).await;
    meter.of(admin, "products-delete", 204, Method::DELETE, &path).await;
}

/// Every method of gRPC, by Connect; searching apart.
async fn grpc(meter: &mut Meter, admin: &str) {
    let lamp = json!({"name": "Lamp", "price": {"currencyCode": "USD", "units": "1"}, "stock": 9});
    let create = "products-grpc, CreateProduct";
    let created = meter.with(admin, (create, 200), (Method::POST, &method(create)), &lamp).await.json();
    let id = &created["product"]["id"];
    let update = ("products-grpc, UpdateProduct", json!({"id": id, "status": "PRODUCT_STATUS_ACTIVE"}));
    let stock = ("products-grpc, UpdateStock", json!({"productId": id, "quantityChange": -1}));
    for (name, message) in [update, stock] {
        meter.with(admin, (name, 200), (Method::POST, &method(name)), &message).await;
    }
    let get = ("products-grpc, GetProduct", json!({"id": id}));
    for (name, message) in [get, ("products-grpc, ListProducts", json!({}))] {
        meter.post(name, 200, &method(name), &message).await;
    }
    let delete = "products-grpc, DeleteProduct";
    meter.with(admin, (delete, 200), (Method::POST, &method(delete)), &json!({"id": id})).await;
}

/// Where the method of a row is.
fn method(name: &str) -> String {
    format!("/arcana.product.v1.ProductService/{}", name.trim_start_matches("products-grpc, "))
}

/// What is the same for everybody.
async fn public(meter: &mut Meter) {
    meter.get("auth-jwks", "/.well-known/jwks.json").await;
    meter.get("ops-docs", "/docs").await;
    meter.get("ops-openapi", "/api/v1/openapi.json").await;
    meter.get("ops-health", "/health").await;
    meter.get("ops-ready", "/health/ready").await;
    let nowhere = meter.app.request(Method::GET, "/nowhere");
    meter.cost("ops-fallback", 404, nowhere).await;
}

async fn users(meter: &mut Meter, admin: &str) {
    let user = format!("{USERS}/{}", meter.app.register().await.id);
    meter.of(admin, "users-list", 200, Method::GET, USERS).await;
    meter.of(admin, "users-get", 200, Method::GET, &user).await;
    let roles = format!("{user}/roles");
    meter
        .with(admin, ("users-roles", 200), (Method::PUT, &roles), &json!({"roles": ["user", "admin"]}))
        .await;
    let status = format!("{user}/status");
    meter.with(admin, ("users-status", 200), (Method::PUT, &status), &json!({"status": "SUSPENDED"})).await;
    meter.of(admin, "ops-audit", 200, Method::GET, AUDIT).await;
}

async fn files(mut meter: Meter) -> Meter {
    // A drive has an app of its own.
    let url = meter.app.bundle.as_ref().unwrap().api_url();
    let drive = Drive::on(TestApp::at(&url)).await;
    let token = drive.token.clone();
    let bytes = pdf(2_000);
    let wanted = json!({"filename": "notes.pdf", "size": bytes.len()});
    meter.with(&token, ("files-create", 201), (Method::POST, FILES), &wanted).await;
    meter.keyed(&token, ["files-create, keyed", "files-create, again"], (Method::POST, FILES), &wanted).await;
    let file = drive.active("notes.pdf", &bytes).await;
    let file = path(&file);
    meter.of(&token, "files-list", 200, Method::GET, FILES).await;
    meter.of(&token, "files-get", 200, Method::GET, &file).await;
    meter.of(&token, "files-download", 200, Method::GET, &format!("{file}/download")).await;
    meter.of(&token, "files-delete", 204, Method::DELETE, &file).await;
    meter
}

#[tokio::test(flavor = "multi_thread")]
async fn no_endpoint_asks_more_of_dynamodb_than_it_is_known_to() {
    let Some(mut meter) = Meter::start(&["events-relay", "products-index"]).await else { return };
    accounts(&mut meter).await;
    let admin = meter.app.register_admin().await;
    let admin = meter.app.login(&admin).await.access;
    catalogue(&mut meter, &admin).await;
    grpc(&mut meter, &admin).await;
    users(&mut meter, &admin).await;
    public(&mut meter).await;
    let mut meter = files(meter).await;
    meter.measured.extend(search().await.unwrap());
    for (name, trips, calls, read, written) in &meter.measured {
        println!("| {name} | {trips} | {calls} | {read} | {written} |");
    }
    let by_name = |costs: &[Cost]| {
        let mut costs = costs.to_vec();
        costs.sort_by_key(|(name, ..)| *name);
        costs
    };
    let (measured, known) = (by_name(&meter.measured), by_name(&known()));
    let wrong = |these: &[Cost], those: &[Cost]| {
        these.iter().filter(|cost| !those.contains(cost)).map(|cost| format!("{cost:?}")).collect::<Vec<_>>()
    };
    let (new, old) = (wrong(&measured, &known), wrong(&known, &measured));
    assert!(new.is_empty() && old.is_empty(), "measured: {new:#?}, but the table has: {old:#?}");
    assert_eq!(measured, known, "a row stands twice");
    for function in local::functions().filter(|function| matches!(function.kind, Kind::Http { .. })) {
        let is_measured =
            meter.measured.iter().any(|(name, ..)| name.split(',').next() == Some(function.name));
        assert!(is_measured, "{} is not in the table", function.name);
    }
    for line in PROTO.lines() {
        let Some((method, _)) = line.trim().strip_prefix("rpc ").and_then(|line| line.split_once('(')) else {
            continue;
        };
        let is_measured = meter.measured.iter().any(|(name, ..)| *name == format!("products-grpc, {method}"));
        assert!(is_measured, "{method} of gRPC is not in the table");
    }
}
