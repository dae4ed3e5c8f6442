//! Tokens that are not what they say, and where no token of any kind gets in.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use local::Options;
use local_aws::State;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use serde_json::{Value, json};

use crate::app::{Answer, LOGIN, ME, PASSWORD, REGISTER, TestApp, new_account, new_address};

/// An access token taken apart.
struct Parts {
    header: Value,
    claims: Value,
    signature: Vec<u8>,
}

impl Parts {
    fn of(token: &str) -> Self {
        let segments: Vec<Vec<u8>> =
            token.split('.').map(|segment| URL_SAFE_NO_PAD.decode(segment).unwrap()).collect();
        let [header, claims, signature] = segments.try_into().unwrap();
        let json = |bytes: Vec<u8>| serde_json::from_slice(&bytes).unwrap();
        Self { header: json(header), claims: json(claims), signature }
    }

    fn token(&self) -> String {
        let header = URL_SAFE_NO_PAD.encode(self.header.to_string());
        let claims = URL_SAFE_NO_PAD.encode(self.claims.to_string());
        format!("{header}.{claims}.{}", URL_SAFE_NO_PAD.encode(&self.signature))
    }
}

/// What a thief does to a token.
type Change = fn(&mut Parts);

#[track_caller]
fn refused(answer: &Answer, what: &str) {
    assert_eq!(answer.status, 401, "{what}: {}", answer.body);
    answer.problem(401, "UNAUTHENTICATED");
    assert_eq!(answer.header("www-authenticate"), Some("Bearer error=\"invalid_token\""), "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_without_a_signature_is_refused() {
    let app = TestApp::start().await;
    let token = app.login(&app.register().await).await.access;
    let (signed, signature) = token.rsplit_once('.').unwrap();
    for stripped in [signed.to_owned(), format!("{signed}."), format!(".{signed}"), format!("..{signature}")]
    {
        refused(&app.me(&stripped).await, &stripped);
    }
    for alg in ["none", "None", "NONE", "nOnE", "", "EdDSA ", "eddsa"] {
        for signature in [Vec::new(), Parts::of(&token).signature] {
            let mut parts = Parts::of(&token);
            parts.header["alg"] = json!(alg);
            parts.signature = signature;
            refused(&app.me(&parts.token()).await, alg);
        }
    }
    assert_eq!(app.me(&token).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_was_changed_is_refused() {
    let app = TestApp::start().await;
    let (one, other) = (app.register().await, app.register().await);
    let (token, others) = (app.login(&one).await.access, app.login(&other).await.access);

    let changes: &[(&str, Change)] = &[
        ("a null signature", |parts| parts.signature.fill(0)),
        ("one bit of the signature", |parts| parts.signature[0] ^= 1),
        ("a short signature", |parts| parts.signature.truncate(63)),
        ("a long signature", |parts| parts.signature.push(0)),
        ("another role", |parts| parts.claims["roles"] = json!(["admin"])),
        ("a later end", |parts| parts.claims["exp"] = json!(4_102_444_800_i64)),
        ("an unknown key", |parts| parts.header["kid"] = json!("unknown")),
        ("a path for a key", |parts| parts.header["kid"] = json!("../../../../dev/null")),
        ("a statement for a key", |parts| parts.header["kid"] = json!("x' UNION SELECT 'key")),
        ("a list for a key", |parts| parts.header["kid"] = json!([parts.header["kid"]])),
        ("no key", |parts| parts.header["kid"] = Value::Null),
        ("another type", |parts| parts.header["typ"] = json!("JWT")),
        ("no type", |parts| parts.header["typ"] = Value::Null),
        ("a key to fetch", |parts| parts.header["jku"] = json!("http://127.0.0.1:9/jwks.json")),
        ("a critical extension", |parts| parts.header["crit"] = json!(["b64"])),
        ("no claims", |parts| parts.claims = json!({})),
        ("claims that are no object", |parts| parts.claims = json!([])),
    ];
    for (what, change) in changes {
        let mut parts = Parts::of(&token);
        change(&mut parts);
        refused(&app.me(&parts.token()).await, what);
    }

    let mut mixed = Parts::of(&token);
    mixed.claims = Parts::of(&others).claims;
    refused(&app.me(&mixed.token()).await, "the claims of another user");
    for (length, _) in token.char_indices().step_by(29) {
        refused(&app.me(&token[..length]).await, "a cut token");
    }
    assert_eq!(app.me(&token).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_is_no_access_token() {
    let app = TestApp::start().await;
    let tokens = app.login(&app.register().await).await;
    refused(&app.me(&tokens.refresh).await, "a refresh token");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authorization_header_that_is_not_one_bearer_token_is_refused() {
    let app = TestApp::start().await;
    let token = app.login(&app.register().await).await.access;
    let values = [
        "Bearer".to_owned(),
        "Bearer null".to_owned(),
        token.clone(),
        format!("Basic {token}"),
        format!("Token {token}"),
        format!("Bearer {token} {token}"),
        format!("Bearer {token},Bearer {token}"),
        format!("Bearer Bearer {token}"),
        format!("Bearer \"{token}\""),
        format!("Bearer {}", "a.".repeat(2_000)),
    ];
    for value in values {
        refused(&app.send(app.request(Method::GET, ME).header(AUTHORIZATION, &value)).await, &value);
    }
    let bytes = HeaderValue::from_bytes(b"Bearer \xff\xfe").unwrap();
    refused(&app.send(app.request(Method::GET, ME).header(AUTHORIZATION, bytes)).await, "no text");

    let twice = app.request(Method::GET, ME).bearer_auth(&token).bearer_auth(&token);
    refused(&app.send(twice).await, "two headers");

    let answer = app.get(&format!("{ME}?access_token={token}")).await;
    answer.problem(401, "UNAUTHENTICATED");
    // RFC 9110, section 11.1: the scheme's name is the same in any case.
    let answer =
        app.send(app.request(Method::GET, ME).header(AUTHORIZATION, format!("bEARER {token}"))).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_token_is_refused_where_none_is_needed() {
    let app = TestApp::start().await;
    let account = app.register().await;
    let email = new_address();
    for value in ["Bearer x.y.z", "Basic YTpi", "Bearer"] {
        let register = app.request(Method::POST, REGISTER).header(AUTHORIZATION, value);
        refused(&app.send(register.json(&new_account(&email))).await, value);
        let login = app.request(Method::POST, LOGIN).header(AUTHORIZATION, value);
        let body = json!({"email": account.email, "password": PASSWORD});
        refused(&app.send(login.json(&body)).await, value);
    }
    // Nothing was registered, and a good token does no harm.
    let register = app.request(Method::POST, REGISTER).bearer_auth(app.login(&account).await.access);
    assert_eq!(app.send(register.json(&new_account(&email))).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_token_is_refused() {
    let Some(app) = TestApp::local().await else { return };
    let account = app.register().await;
    let token = app.login(&account).await.access;
    app.advance_clock(86_000).await;
    assert_eq!(app.me(&token).await.status, 200);
    app.advance_clock(4_000).await;
    refused(&app.me(&token).await, "an expired token");
    assert_eq!(app.me(&app.login(&account).await.access).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_another_issuer_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let issued_by = |url: &str| Options {
        state: State::Directory(directory.path().to_owned()),
        parameters: [("AppBaseUrl".to_owned(), url.to_owned())].into(),
        ..Options::default()
    };
    let Some(app) = TestApp::embedded_with(issued_by("https://one.example.com")).await else { return };
    let account = app.register().await;
    let token = app.login(&account).await.access;
    assert_eq!(app.me(&token).await.status, 200);
    app.stop().await;

    // The same keys, the same accounts and sessions: only the issuer differs.
    let Some(app) = TestApp::embedded_with(issued_by("https://two.example.com")).await else { return };
    refused(&app.me(&token).await, "another issuer");
    let own = app.login(&account).await.access;
    assert_eq!(Parts::of(&own).header["kid"], Parts::of(&token).header["kid"]);
    assert_eq!(app.me(&own).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_another_stack_is_refused() {
    let (Some(one), Some(two)) = (TestApp::local().await, TestApp::local().await) else { return };
    let token = one.login(&one.register().await).await.access;
    assert_eq!(one.me(&token).await.status, 200);
    refused(&two.me(&token).await, "another stack's token");
}
