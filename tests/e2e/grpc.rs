//! The catalogue over gRPC-Web and Connect, asked by hand: what no client library would send. Clients that are not ours
//! walk it in `tests/grpc`.

use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::join_all;
use reqwest::Method;
use reqwest::header::{ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, CONTENT_TYPE, ORIGIN};
use serde_json::{Value, json};

use crate::app::{Answer, LOGOUT_ALL, TestApp};
use crate::catalogue::Catalogue;

const SERVICE: &str = "/arcana.product.v1.ProductService";
/// The largest message, in bytes.
const MAX_MESSAGE: usize = 3 * 1024 * 1024;

/// Calls a method over Connect with JSON.
async fn call(app: &TestApp, token: Option<&str>, method: &str, message: &Value) -> Answer {
    let request = app.request(Method::POST, &format!("{SERVICE}/{method}")).json(message);
    app.send(token.into_iter().fold(request, reqwest::RequestBuilder::bearer_auth)).await
}

/// A message in a frame with these flags.
fn frame(flags: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[flags], &length[..], message].concat()
}

/// What came of a call over gRPC-Web: its status and its message.
async fn web(app: &TestApp, method: &str, headers: &[(&str, &str)], body: Vec<u8>) -> (u32, String) {
    let text = headers.iter().any(|(_, value)| value.starts_with("application/grpc-web-text"));
    let request = app.request(Method::POST, &format!("{SERVICE}/{method}")).body(body);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    let mut body = response.bytes().await.unwrap().to_vec();
    if text {
        body = STANDARD.decode(body).unwrap();
    }
    let mut rest = &body[..];
    while let Some((head, after)) = rest.split_first_chunk::<5>() {
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        if head[0] == 0x80 {
            let trailers = String::from_utf8(after[..length].to_vec()).unwrap();
            let value = |name: &str| {
                let line = trailers.lines().find_map(|line| line.strip_prefix(name));
                line.unwrap_or_default().trim().to_owned()
            };
            return (value("grpc-status:").parse().unwrap(), value("grpc-message:"));
        }
        rest = &after[length..];
    }
    panic!("no trailers in {body:?}");
}

const WEB: (&str, &str) = ("content-type", "application/grpc-web+proto");
const TEXT: (&str, &str) = ("content-type", "application/grpc-web-text");
const GZIP: (&str, &str) = ("grpc-encoding", "gzip");

const INVALID_ARGUMENT: u32 = 3;
const DEADLINE_EXCEEDED: u32 = 4;
const RESOURCE_EXHAUSTED: u32 = 8;
const UNIMPLEMENTED: u32 = 12;
const INTERNAL: u32 = 13;

/// What is sent, by its name, with which headers, and the statuses that it may get.
type Case<'a> = (&'a str, Vec<u8>, &'a [(&'a str, &'a str)], &'a [u32]);

/// `bytes`, gzipped.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_message_gets_a_status_and_the_next_call_is_answered() {
    let app = TestApp::start().await;
    let good = frame(0, b"");
    let bomb = gzip(&vec![0; 64 << 20]);
    assert!(bomb.len() < MAX_MESSAGE);
    let cases: Vec<Case<'_>> = vec![
        ("no frame", vec![], &[], &[UNIMPLEMENTED]),
        ("half a head", good[..3].to_vec(), &[], &[INVALID_ARGUMENT]),
        ("a message cut short", frame(0, b"0123456789")[..9].to_vec(), &[], &[INVALID_ARGUMENT]),
        ("a length beyond all", [0, 255, 255, 255, 255, 1].to_vec(), &[], &[RESOURCE_EXHAUSTED]),
        ("two messages", [good.clone(), good.clone()].concat(), &[], &[UNIMPLEMENTED]),
        ("a message and a bit", [good.clone(), vec![0]].concat(), &[], &[UNIMPLEMENTED]),
        ("trailers", frame(0x80, b"grpc-status: 0\r\n"), &[], &[UNIMPLEMENTED, INVALID_ARGUMENT, INTERNAL]),
        ("compressed, not said how", frame(1, &gzip(b"")), &[], &[INTERNAL]),
        ("compressed in another way", frame(1, &gzip(b"")), &[("grpc-encoding", "br")], &[UNIMPLEMENTED]),
        ("said to be compressed", frame(1, b"no gzip"), &[GZIP], &[INVALID_ARGUMENT, INTERNAL]),
        ("a bomb", frame(1, &bomb), &[GZIP], &[RESOURCE_EXHAUSTED]),
        ("too large", frame(0, &vec![0; MAX_MESSAGE + 1]), &[], &[RESOURCE_EXHAUSTED]),
        ("a field cut short", frame(0, &[0x0a, 5, b'x']), &[], &[INVALID_ARGUMENT]),
        ("a number without an end", frame(0, &[0x08, 0xff]), &[], &[INVALID_ARGUMENT]),
        ("a field of another type", frame(0, &[0x0d, 1, 2, 3, 4]), &[], &[INVALID_ARGUMENT]),
        ("no field", frame(0, &[0x00, 0x00]), &[], &[INVALID_ARGUMENT]),
        ("a text that is none", frame(0, &[0x0a, 2, 0xff, 0xfe]), &[], &[INVALID_ARGUMENT]),
    ];
    for (what, body, headers, expected) in cases {
        for text in [false, true] {
            let (kind, body) =
                if text { (TEXT, STANDARD.encode(&body).into_bytes()) } else { (WEB, body.clone()) };
            let headers = [&[kind], headers].concat();
            let (status, message) = web(&app, "GetProduct", &headers, body).await;
            assert!(expected.contains(&status), "{what}: {status} {message}");
        }
        assert_eq!(web(&app, "ListProducts", &[WEB], good.clone()).await.0, 0, "after {what}");
    }
    let (status, message) = web(&app, "GetProduct", &[TEXT], b"no base64!".to_vec()).await;
    assert_eq!(status, INVALID_ARGUMENT, "{message}");
    // More than a function is given at all.
    let request = app.request(Method::POST, &format!("{SERVICE}/GetProduct")).header(WEB.0, WEB.1);
    assert_eq!(request.body(frame(0, &vec![0; 2 * MAX_MESSAGE])).send().await.unwrap().status(), 413);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_method_or_no_protocol_is_said_to_be_unknown() {
    let app = TestApp::start().await;
    for method in ["Nope", "getProduct", "GetProduct%00", "%F0%9F%9A%80", "a%20b", "GetProduct%3Fx"] {
        let (status, message) = web(&app, method, &[WEB], frame(0, b"")).await;
        assert_eq!(status, UNIMPLEMENTED, "{method}: {message}");
        let answer = call(&app, None, method, &json!({})).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["code"]),
            (404, &json!("unimplemented")),
            "{method}"
        );
    }
    let (status, _) =
        web(&app, "GetProduct", &[("content-type", "application/grpc-web+thrift")], vec![]).await;
    assert_eq!(status, UNIMPLEMENTED);
    let path = format!("{SERVICE}/GetProduct");
    for content_type in
        [None, Some("text/plain"), Some("application/xml"), Some("application/jsonx"), Some("")]
    {
        let request = app.request(Method::POST, &path).body("{}");
        let request =
            content_type.into_iter().fold(request, |request, value| request.header(CONTENT_TYPE, value));
        assert_eq!(app.send(request).await.status, 415, "{content_type:?}");
    }
    for body in [
        "",
        "{",
        "[]",
        "null",
        "{\"id\": 5}",
        "{\"id\": \"\\ud800\"}",
        "{\"ids\": \"x\"}",
        &"[".repeat(100_000),
    ] {
        let answer = app.post_bytes(&path, body.to_owned()).await;
        assert_eq!(answer.status, 400, "{body:.20}: {}", answer.body);
        assert_eq!(answer.json()["code"], "invalid_argument", "{body:.20}");
    }
    let search = json!({"q": "x", "minPrice": ["EUR", "1", 0]});
    assert_eq!(call(&app, None, "SearchProducts", &search).await.json()["code"], "invalid_argument");
    let answer = app.post_bytes(&format!("{SERVICE}/CreateProduct"), "{").await;
    assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (401, &json!("unauthenticated")));
    let answer = app
        .send(app.request(Method::POST, &path).header("content-type", "Application/JSON").body("{}"))
        .await;
    assert_eq!(answer.json()["code"], "invalid_argument", "{}", answer.body);
    let request = app.request(Method::POST, &path).header("content-encoding", "br").json(&json!({}));
    assert_eq!(app.send(request).await.status, 415);
    assert_eq!(app.get(&path).await.problem(405, "METHOD_NOT_ALLOWED")["code"], "METHOD_NOT_ALLOWED");
    app.post(&format!("{SERVICE}/Get/Product"), &json!({})).await.problem(404, "NOT_FOUND");
    app.post("/arcana.product.v1.Other/GetProduct", &json!({})).await.problem(404, "NOT_FOUND");
}

/// The decoder repeats what it was sent.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_a_bad_message_is_short() {
    let app = TestApp::start().await;
    let long = "\"".repeat(1_500_000);
    for message in [json!({"status": long}), json!({long.clone(): 1}), json!({"page": long}), json!([long])] {
        let zipped = gzip(message.to_string().as_bytes());
        let request =
            app.request(Method::POST, &format!("{SERVICE}/ListProducts")).header("content-encoding", "gzip");
        let answer = app.send(request.header(CONTENT_TYPE, "application/json").body(zipped.clone())).await;
        assert_eq!(answer.status, 400, "{:.200}", answer.body);
        assert!(answer.body.len() < 2_000, "{} bytes", answer.body.len());
        let headers = [("content-type", "application/grpc-web+json"), GZIP];
        let (status, said) = web(&app, "ListProducts", &headers, frame(1, &zipped)).await;
        assert_eq!(status, INVALID_ARGUMENT);
        assert!(said.len() < 2_000, "{} bytes", said.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_is_kept() {
    let app = TestApp::start().await;
    for timeout in ["1n", "0m", "00000001n"] {
        let headers = [WEB, ("grpc-timeout", timeout)];
        let (status, _) = web(&app, "ListProducts", &headers, frame(0, b"")).await;
        assert_eq!(status, DEADLINE_EXCEEDED, "{timeout}");
    }
    for timeout in ["10S", "99999999H"] {
        let (status, _) = web(&app, "ListProducts", &[WEB, ("grpc-timeout", timeout)], frame(0, b"")).await;
        assert_eq!(status, 0, "{timeout}");
    }
    let request = app.request(Method::POST, &format!("{SERVICE}/ListProducts")).json(&json!({}));
    let answer = app.send(request.header("connect-timeout-ms", "0")).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (408, &json!("deadline_exceeded")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_comes_to_its_end_whatever_its_deadline() {
    let Some(shop) = Catalogue::start().await else { return };
    let message = json!({"name": "Lamp", "price": {"units": 1}});
    let send = async |deadline: Option<(&str, &str)>| {
        let request = shop.app.as_user(&shop.admin, Method::POST, &format!("{SERVICE}/CreateProduct"));
        let request = request.header("idempotency-key", "late").json(&message);
        let request =
            deadline.into_iter().fold(request, |request, (name, value)| request.header(name, value));
        shop.app.send(request).await
    };
    let first = send(Some(("connect-timeout-ms", "0"))).await;
    assert_eq!(first.status, 200, "{}", first.body);
    let again = send(None).await;
    assert_eq!((again.status.as_u16(), again.header("idempotency-replayed")), (200, Some("true")));
    assert_eq!(again.body, first.body);
    assert_eq!(shop.list("").await["total"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_answer_was_lost_is_answered_as_the_first_time() {
    let Some(shop) = Catalogue::start().await else { return };
    let dynamodb = shop.app.aws().dynamodb();
    for (method, more) in [
        ("UpdateProduct", json!({"name": "Lantern"})),
        ("UpdateStock", json!({})),
        ("DeleteProduct", json!({})),
    ] {
        let product = shop.create(&json!({"name": "Lamp", "price": 1, "stock": 5})).await;
        let mut message = json!({"id": product["id"]});
        if method == "UpdateStock" {
            message = json!({"productId": product["id"], "quantityChange": -2});
        }
        message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let send = async || {
            let request = shop.app.as_user(&shop.admin, Method::POST, &format!("{SERVICE}/{method}"));
            shop.app
                .send(request.header("idempotency-key", "lost").header("if-match", "\"1\"").json(&message))
                .await
        };
        let first = send().await;
        assert_eq!(first.status, 200, "{method}: {}", first.body);
        // As a crash between the effect and its answer leaves it, unless both are written at once.
        if method != "DeleteProduct" {
            let keys = dynamodb.scan().table_name("IdempotencyTable").send().await.unwrap();
            for mut item in keys.items.unwrap_or_default() {
                item.remove("answer");
                item.insert("claimedUntil".to_owned(), AttributeValue::N("0".to_owned()));
                dynamodb.put_item().table_name("IdempotencyTable").set_item(Some(item)).send().await.unwrap();
            }
        }
        let again = send().await;
        assert_eq!((again.status.as_u16(), &again.body), (200, &first.body), "{method}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_session_reads_and_writes_nothing() {
    let Some(shop) = Catalogue::start().await else { return };
    let (app, admin) = (&shop.app, &shop.admin);
    let product = shop.create(&json!({"name": "Lamp", "price": 1, "stock": 5})).await;
    let id = &product["id"];
    assert_eq!(app.do_as(admin, Method::POST, LOGOUT_ALL, &json!({})).await.status, 204);
    for (method, message) in [
        ("GetProduct", json!({"id": id})),
        ("ListProducts", json!({})),
        ("SearchProducts", json!({"q": "lamp"})),
        ("CreateProduct", json!({"name": "Other", "price": {"units": 1}})),
        ("UpdateProduct", json!({"id": id, "name": "Other"})),
        ("UpdateProduct", json!({"id": id})),
        ("UpdateStock", json!({"productId": id, "quantityChange": -9})),
        ("DeleteProduct", json!({"id": id})),
    ] {
        let answer = call(app, Some(admin), method, &message).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["code"]),
            (401, &json!("unauthenticated")),
            "{method}"
        );
        assert_eq!(answer.header("www-authenticate"), Some("Bearer error=\"invalid_token\""), "{method}");
    }
    let other = Catalogue::of(shop.app).await;
    assert_eq!(other.read(&product).await.json(), product);
    assert_eq!(other.list("").await["total"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_defect_is_internal_and_says_no_cause() {
    let Some(shop) = Catalogue::start().await else { return };
    let table = "ProductsTable";
    shop.app.aws().dynamodb().delete_table().table_name(table).send().await.unwrap();
    let id = "01a0c450-6c78-7d1e-9a05-3f5b6c7d8e9f";
    let answer = call(&shop.app, None, "GetProduct", &json!({"id": id})).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (500, &json!("internal")));
    let write = call(&shop.app, Some(&shop.admin), "DeleteProduct", &json!({"id": id})).await;
    assert_eq!(write.json()["code"], "internal");
    let (status, message) =
        web(&shop.app, "GetProduct", &[WEB], frame(0, &[&[0x0a, 36][..], id.as_bytes()].concat())).await;
    assert_eq!(status, INTERNAL);
    for said in [answer.body, write.body, message] {
        for cause in ["ResourceNotFound", "dynamo", table] {
            assert!(!said.contains(cause), "{said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_used_once_however_many_come_at_once() {
    let Some(shop) = Catalogue::start().await else { return };
    let message = json!({"name": "Lamp", "price": {"units": 1}});
    let send = || {
        let request = shop.app.as_user(&shop.admin, Method::POST, &format!("{SERVICE}/CreateProduct"));
        shop.app.send(request.header("idempotency-key", "once").json(&message))
    };
    let answers = join_all((0..20).map(|_| send())).await;
    let made: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert!(!made.is_empty());
    for answer in &answers {
        match answer.status.as_u16() {
            200 => assert_eq!(answer.json(), made[0].json()),
            _ => assert_eq!(answer.json()["code"], "aborted", "{}", answer.body),
        }
    }
    assert_eq!(send().await.header("idempotency-replayed"), Some("true"));
    assert_eq!(shop.list("").await["total"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_fronts_at_once_take_no_more_than_there_is() {
    let Some(shop) = Catalogue::start().await else { return };
    let product = shop.create(&json!({"name": "Lamp", "price": 1, "stock": 60})).await;
    let message = json!({"productId": product["id"], "quantityChange": -1});
    let takes = (0..100).map(|number| {
        let (shop, product, message) = (&shop, &product, &message);
        async move {
            let answer = match number % 2 {
                0 => shop.change_stock(product, -1).await,
                _ => call(&shop.app, Some(&shop.admin), "UpdateStock", message).await,
            };
            answer.status == 200
        }
    });
    let taken = join_all(takes).await.into_iter().filter(|taken| *taken).count();
    assert_eq!(taken, 60);
    assert_eq!(shop.read(&product).await.json()["stock"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_fronts_list_the_same_of_a_category() {
    let Some(shop) = Catalogue::start().await else { return };
    let mut lamps = Vec::new();
    for (name, category) in [("Desk lamp", "lamps"), ("Teapot", "kitchen"), ("Floor lamp", "lamps")] {
        let product = shop.create_active(&json!({"name": name, "price": 1, "category": category})).await;
        if category == "lamps" {
            lamps.insert(0, product["id"].clone());
        }
    }
    let page = shop.public_list("category=lamps").await;
    let answer = call(&shop.app, None, "ListProducts", &json!({"category": "lamps"})).await;
    let listed = |page: &Value, of: &str| -> Vec<Value> {
        page[of].as_array().unwrap().iter().map(|product| product["id"].clone()).collect()
    };
    assert_eq!(listed(&page, "data"), lamps);
    assert_eq!(listed(&answer.json(), "products"), lamps, "{}", answer.body);
}

/// API Gateway would let it in and lose the trailers.
#[tokio::test(flavor = "multi_thread")]
async fn native_grpc_is_told_what_to_speak_where_no_front_turns_it() {
    let Some(app) = TestApp::local().await else { return };
    let sample = include_str!("../../events/products-grpc.json");
    let mut event: Value = serde_json::from_str(sample).unwrap();
    event["headers"]["content-type"] = json!("application/grpc");
    let answer = app.invoke("products-grpc", &event.to_string()).await.unwrap();
    assert_eq!(answer["statusCode"], 200);
    assert_eq!(answer["headers"]["grpc-status"], "12");
    assert!(answer["headers"]["grpc-message"].as_str().unwrap().contains("gRPC-Web"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_may_call() {
    let app = TestApp::start().await;
    let path = format!("{SERVICE}/ListProducts");
    let headers = "authorization,content-type,x-grpc-web,x-user-agent,grpc-timeout,connect-protocol-version,connect-timeout-ms";
    let preflight = app
        .request(Method::OPTIONS, &path)
        .header(ORIGIN, "http://localhost:5173")
        .header(ACCESS_CONTROL_REQUEST_METHOD, "POST")
        .header(ACCESS_CONTROL_REQUEST_HEADERS, headers);
    let answer = app.send(preflight).await;
    assert_eq!(answer.status, 204);
    let allowed = answer.header("access-control-allow-headers").unwrap();
    for header in headers.split(',') {
        assert!(allowed.contains(header), "{header} is not in {allowed}");
    }
    let request = app.request(Method::POST, &path).header(ORIGIN, "http://localhost:5173").json(&json!({}));
    let answer = app.send(request).await;
    for header in ["grpc-status", "grpc-message", "grpc-status-details-bin"] {
        assert!(answer.header("access-control-expose-headers").unwrap().contains(header), "{header}");
    }
}
