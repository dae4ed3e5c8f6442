//! A DynamoDB that throttles and is slow at times: nearly every request is answered all the same, in time.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream;
use reqwest::Method;
use serde_json::json;

use crate::app::{
    LOGIN, ME, PASSWORD, PRODUCTS, REGISTER, SEARCH, TestApp, admins_only, new_account, new_address,
    protected,
};
use crate::faults::{self, Faults, Service};

/// Accounts that are made, and do a few things each.
const LIVES: usize = 30;
/// What is done at once. More, and it is this machine that is slow.
const AT_ONCE: usize = 4;
/// The longest that API Gateway waits for a function.
const LONGEST: Duration = Duration::from_secs(28);

/// What a request was answered, whether it was told when to come again, and after how long.
type Outcome = (&'static str, u16, bool, Duration);

/// Somebody registers, logs in, looks at products and changes one.
async fn live(app: &TestApp, admin: &str, product: &str) -> Vec<Outcome> {
    let email = new_address();
    let timed = async |what, request| {
        let started = Instant::now();
        let answer = app.send(request).await;
        (
            (what, answer.status.as_u16(), answer.headers.contains_key("retry-after"), started.elapsed()),
            answer,
        )
    };
    let mut outcomes = Vec::new();
    let (outcome, registered) =
        timed("register", app.request(Method::POST, REGISTER).json(&new_account(&email))).await;
    outcomes.push(outcome);
    if registered.status != 201 {
        return outcomes;
    }
    let login = json!({"email": email, "password": PASSWORD});
    let (outcome, login) = timed("login", app.request(Method::POST, LOGIN).json(&login)).await;
    outcomes.push(outcome);
    if login.status == 200 {
        let token = login.json()["accessToken"].as_str().unwrap().to_owned();
        outcomes.push(timed("me", app.as_user(&token, Method::GET, ME)).await.0);
        outcomes.push(
            timed("rename", app.as_user(&token, Method::PATCH, ME).json(&json!({"name": "Ada"}))).await.0,
        );
    }
    let get = |path: String| app.request(Method::GET, &path);
    outcomes.push(timed("list", get(PRODUCTS.to_owned())).await.0);
    outcomes.push(timed("search", get(format!("{SEARCH}?q=lamp"))).await.0);
    outcomes.push(timed("get", get(format!("{PRODUCTS}/{product}"))).await.0);
    let sold = json!({"quantityChange": -1});
    let stock = app.as_user(admin, Method::PATCH, &format!("{PRODUCTS}/{product}/stock")).json(&sold);
    outcomes.push(timed("stock", stock).await.0);
    outcomes
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_of_a_third_of_calls_and_slow_ones_fail_fewer_than_one_request_in_a_hundred() {
    let faults = Faults { throttles: 30, spikes: 1, ..Faults::default() };
    let Some((app, done)) = faults::start(faults, &[]).await else { return };
    let admin = app.register_admin().await;
    let admin = app.login(&admin).await.access;
    let lamp = json!({"name": "Lamp", "price": 5, "stock": 1000});
    let product = app.do_as(&admin, Method::POST, PRODUCTS, &lamp).await;
    assert_eq!(product.status, 201, "{}", product.body);
    let product = product.json()["id"].as_str().unwrap().to_owned();
    let path = format!("{PRODUCTS}/{product}");
    let active = app.do_as(&admin, Method::PUT, &path, &json!({"status": "ACTIVE"})).await;
    assert_eq!(active.status, 200, "{}", active.body);
    let lives = stream::iter(0..LIVES).map(|_| live(&app, &admin, &product)).buffer_unordered(AT_ONCE);
    let outcomes: Vec<Outcome> = lives.collect::<Vec<_>>().await.concat();
    let failed: Vec<_> = outcomes.iter().filter(|(_, status, ..)| *status >= 300).collect();
    println!(
        "{} requests, {} calls throttled, failed: {failed:?}",
        outcomes.len(),
        done.throttles.load(Ordering::Relaxed)
    );
    assert!(done.throttles.load(Ordering::Relaxed) > 200, "DynamoDB throttles");
    assert!(failed.len() * 100 <= outcomes.len(), "{failed:?}");
    let slowest = outcomes.iter().max_by_key(|(.., took)| *took).unwrap();
    assert!(slowest.3 < LONGEST, "{slowest:?}");
    assert!(failed.iter().all(|(_, status, retry, _)| *status == 503 && *retry), "{failed:?}");
}

/// While DynamoDB is not there, each request is refused in time, whatever it holds: nobody is let in unseen.
async fn is_refused_while(service: Service) {
    let Some((app, done)) = faults::start(Faults::default(), &[]).await else { return };
    let account = app.register_admin().await;
    let token = app.login(&account).await.access;
    done.is_away(service);
    let fill = |path: &str| path.replace("{id}", &account.id);
    let all = protected().into_iter().chain(admins_only());
    let signed_in = all.map(|(method, path, body)| {
        let request = app.as_user(&token, method, &fill(path));
        body.map_or(request.try_clone().unwrap(), |body| request.json(&body))
    });
    let login = app.request(Method::POST, LOGIN).json(&json!({"email": account.email, "password": PASSWORD}));
    let requests: Vec<_> = signed_in
        .chain([login, app.request(Method::GET, PRODUCTS), app.request(Method::GET, "/health/ready")])
        .collect();
    let timed = async |request| {
        let started = Instant::now();
        (app.send(request).await, started.elapsed())
    };
    let answers = stream::iter(requests).map(timed).buffer_unordered(16);
    for (answer, took) in answers.collect::<Vec<_>>().await {
        assert!(took < LONGEST, "{took:?}: {answer:?}");
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(answer.headers.contains_key("retry-after"), "{answer:?}");
    }
    done.is_away(None);
    assert_eq!(app.me(&token).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_dynamodb_every_request_is_refused_until_it_is_back() {
    is_refused_while(Service::DynamoDb).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dynamodb_that_hangs_keeps_nobody_waiting() {
    is_refused_while(Service::HangingDynamoDb).await;
}
