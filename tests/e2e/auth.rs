//! Accounts and logins.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::app::{
    LOGIN, ME, NAME, PASSWORD, PATIENCE, REGISTER, TestApp, is_time, members, new_account, new_address,
};

#[tokio::test(flavor = "multi_thread")]
async fn register_answers_with_the_account() {
    let app = TestApp::start().await;
    let email = new_address();
    let answer = app.post(REGISTER, &new_account(&email)).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("location"), Some(ME));
    let account = answer.json();
    let id: uuid::Uuid = account["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(id.get_version_num(), 7);
    assert_eq!(account, json!({"id": id.to_string(), "name": NAME, "email": email}));
}

#[tokio::test(flavor = "multi_thread")]
async fn register_knows_an_email_in_every_spelling() {
    let app = TestApp::start().await;
    let email = new_address();
    let spelled = format!("  {} ", email.to_uppercase());
    let answer = app.post(REGISTER, &new_account(&spelled)).await;
    assert_eq!((answer.status.as_u16(), answer.json()["email"].as_str()), (201, Some(&*email)));
    for spelling in [email.clone(), spelled, format!("\t{email}\n")] {
        let problem =
            app.post(REGISTER, &new_account(&spelling)).await.problem(409, "EMAIL_ALREADY_REGISTERED");
        assert_eq!(problem["detail"], "Email already registered");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn register_makes_one_account_of_fifty_requests_at_once() {
    let Some(app) = TestApp::local().await else { return };
    let body = new_account(&new_address());
    let requests = (0..50).map(|_| app.post(REGISTER, &body));
    let answers = futures_util::future::join_all(requests).await;

    let (made, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
    assert_eq!((made.len(), refused.len()), (1, 49));
    for answer in refused {
        answer.problem(409, "EMAIL_ALREADY_REGISTERED");
    }
    let email = body["email"].as_str().unwrap();
    app.wait_for_mail(email, PATIENCE).await;
    app.settle().await;
    assert_eq!(app.mails_to(email).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn register_names_every_fault_at_once() {
    let app = TestApp::start().await;
    let body = json!({"name": "n".repeat(300), "email": "nobody", "password": "short", "role/s": "admin"});
    let answer = app.post(REGISTER, &body).await;
    answer.problem(422, "VALIDATION_FAILED");
    assert_eq!(
        answer.faults(),
        [
            "/name TOO_LONG",
            "/email INVALID_FORMAT",
            "/password PASSWORD_TOO_SHORT",
            "/password PASSWORD_NO_UPPERCASE",
            "/password PASSWORD_NO_DIGIT",
            "/role~1s UNKNOWN_FIELD",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn register_names_every_missing_field() {
    let app = TestApp::start().await;
    let answer = app.post(REGISTER, &json!({})).await;
    answer.problem(422, "VALIDATION_FAILED");
    assert_eq!(answer.faults(), ["/name REQUIRED", "/email REQUIRED", "/password REQUIRED"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn register_takes_names_of_1_to_255_characters() {
    let app = TestApp::start().await;
    for name in ["A".to_owned(), "\u{e9}".repeat(255), "Zo\u{eb} \u{1f680} O'Neil-\u{674e}".to_owned()] {
        let body = json!({"name": name, "email": new_address(), "password": PASSWORD});
        let answer = app.post(REGISTER, &body).await;
        assert_eq!((answer.status.as_u16(), answer.json()["name"].as_str()), (201, Some(&*name)));
    }
    for (name, fault) in [(String::new(), "/name TOO_SHORT"), ("\u{e9}".repeat(256), "/name TOO_LONG")] {
        let body = json!({"name": name, "email": new_address(), "password": PASSWORD});
        let answer = app.post(REGISTER, &body).await;
        answer.problem(422, "VALIDATION_FAILED");
        assert_eq!(answer.faults(), [fault]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn register_refuses_what_is_no_email() {
    let app = TestApp::start().await;
    for email in
        ["", "ada", "@example.com", "ada@", "a b@example.com", "Ada <ada@example.com>", "a@b.com,c@d.com"]
    {
        let answer = app.post(REGISTER, &new_account(email)).await;
        answer.problem(422, "VALIDATION_FAILED");
        assert_eq!(answer.faults(), ["/email INVALID_FORMAT"], "{email:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn register_holds_a_password_to_every_rule() {
    let app = TestApp::start().await;
    let local_part = format!("countess{}", uuid::Uuid::new_v4().simple());
    let cases: &[(&str, &[&str])] = &[
        ("", &["TOO_SHORT", "NO_UPPERCASE", "NO_LOWERCASE", "NO_DIGIT"]),
        ("Abc-xy7", &["TOO_SHORT"]),
        ("abcdefg7", &["NO_UPPERCASE"]),
        ("ABCDEFG7", &["NO_LOWERCASE"]),
        ("Zyxwvuts", &["NO_DIGIT"]),
        ("abcdefghijklmn", &["NO_UPPERCASE", "NO_DIGIT"]),
        (&"x".repeat(257), &["TOO_LONG"]),
        // The limit is in bytes: 129 characters of two.
        (&"\u{e9}".repeat(129), &["TOO_LONG"]),
        ("Password1", &["TOO_COMMON"]),
        ("123456789123456789", &["TOO_COMMON"]),
        ("my-loveLACE-7", &["CONTAINS_IDENTITY"]),
        (&format!("X{}7", local_part.to_uppercase()), &["CONTAINS_IDENTITY"]),
        ("lovelace", &["NO_UPPERCASE", "NO_DIGIT", "CONTAINS_IDENTITY"]),
    ];
    for (password, rules) in cases {
        let email = format!("{local_part}@example.com");
        let body = json!({"name": "Ada King Lovelace", "email": email, "password": password});
        let answer = app.post(REGISTER, &body).await;
        answer.problem(422, "VALIDATION_FAILED");
        let faults: Vec<String> = rules.iter().map(|rule| format!("/password PASSWORD_{rule}")).collect();
        assert_eq!(answer.faults(), faults, "{password:?}");
        assert!(password.is_empty() || !answer.body.contains(password), "a password was repeated");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn register_takes_a_mixture_of_eight_or_any_fifteen_characters() {
    let app = TestApp::start().await;
    let passwords = [
        "Zyxwvut7",
        "fifteen of them",
        "\u{674e}\u{767d}\u{675c}\u{752b}\u{738b}\u{7dad}\u{5b5f}\u{6d69}\u{7136}\u{674e}\u{5546}\u{96b1}\u{767d}\u{5c45}\u{6613}",
        // A word of the name with fewer than four characters does not count.
        "Adaptable-9",
        &"x".repeat(256),
    ];
    for password in passwords {
        let email = new_address();
        let body = json!({"name": "Ada Byron", "email": email, "password": password});
        let answer = app.post(REGISTER, &body).await;
        assert_eq!(answer.status, 201, "{password:?}: {}", answer.body);
        let answer = app.post(LOGIN, &json!({"email": email, "password": password})).await;
        assert_eq!(answer.status, 200, "{password:?}: {}", answer.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn login_answers_with_a_token_pair() {
    let app = TestApp::start().await;
    let account = app.register().await;
    let answer = app.post(LOGIN, &json!({"email": account.email, "password": PASSWORD})).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let pair = answer.json();
    assert_eq!(members(&pair), ["accessToken", "expiresIn", "refreshToken", "tokenType"]);
    assert_eq!((&pair["tokenType"], &pair["expiresIn"]), (&json!("Bearer"), &json!(86_400)));
    assert!(pair["refreshToken"].as_str().is_some_and(|token| token.len() >= 43));

    let token = pair["accessToken"].as_str().unwrap();
    let decoded = |segment: usize| -> Value {
        let segment = token.split('.').nth(segment).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(segment).unwrap()).unwrap()
    };
    let (header, claims) = (decoded(0), decoded(1));
    assert_eq!(token.split('.').count(), 3);
    assert_eq!(members(&header), ["alg", "kid", "typ"]);
    assert_eq!((&header["alg"], &header["typ"]), (&json!("EdDSA"), &json!("at+jwt")));
    assert_eq!(members(&claims), ["aud", "authVersion", "exp", "iat", "iss", "jti", "roles", "sid", "sub"]);
    assert_eq!((&claims["sub"], &claims["roles"]), (&json!(account.id), &json!(["user"])));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 86_400);
}

#[tokio::test(flavor = "multi_thread")]
async fn login_makes_another_session_each_time() {
    let app = TestApp::start().await;
    let account = app.register().await;
    let (one, two) = (app.login(&account).await, app.login(&account).await);
    assert_ne!(one.access, two.access);
    assert_ne!(one.refresh, two.refresh);
    for tokens in [one, two] {
        assert_eq!(app.me(&tokens.access).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn login_knows_an_email_in_every_spelling() {
    let app = TestApp::start().await;
    let account = app.register().await;
    let email = format!(" {}\t", account.email.to_uppercase());
    let answer = app.post(LOGIN, &json!({"email": email, "password": PASSWORD})).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn login_rejects_a_wrong_password() {
    let app = TestApp::start().await;
    let account = app.register().await;
    let nearly = [PASSWORD.to_lowercase(), format!("{PASSWORD} "), PASSWORD[1..].to_owned(), "x".repeat(300)];
    for password in nearly {
        let answer = app.post(LOGIN, &json!({"email": account.email, "password": password})).await;
        let problem = answer.problem(401, "INVALID_CREDENTIALS");
        assert_eq!(problem["detail"], "Invalid email or password");
        assert!(answer.header("www-authenticate").is_some_and(|value| value.starts_with("Bearer")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn login_does_not_tell_whether_an_account_exists() {
    let app = TestApp::start().await;
    let account = app.register().await;
    let mut told = BTreeSet::new();
    for email in [account.email, new_address()] {
        let answer = app.post(LOGIN, &json!({"email": email, "password": "Wrong-password-1"})).await;
        answer.problem(401, "INVALID_CREDENTIALS");
        let body = answer.body.replace(answer.header("x-request-id").unwrap(), "");
        let mut headers: Vec<String> = answer
            .headers
            .iter()
            .filter(|(name, _)| !["x-request-id", "apigw-requestid", "date"].contains(&name.as_str()))
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        headers.sort();
        told.insert((body, headers));
    }
    assert_eq!(told.len(), 1, "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn login_names_every_fault_at_once() {
    let app = TestApp::start().await;
    let answer = app.post(LOGIN, &json!({"email": "nobody", "password": "", "remember": true})).await;
    answer.problem(422, "VALIDATION_FAILED");
    assert_eq!(answer.faults(), ["/email INVALID_FORMAT", "/password TOO_SHORT", "/remember UNKNOWN_FIELD"]);
    let answer = app.post(LOGIN, &json!({})).await;
    answer.problem(422, "VALIDATION_FAILED");
    assert_eq!(answer.faults(), ["/email REQUIRED", "/password REQUIRED"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn login_tells_how_long_the_stack_lets_a_token_live() {
    let Some(app) = TestApp::with_parameter("AccessTokenSeconds", "300").await else { return };
    let account = app.register().await;
    let answer = app.post(LOGIN, &json!({"email": account.email, "password": PASSWORD})).await;
    assert_eq!(answer.json()["expiresIn"], 300);
    let token = answer.json()["accessToken"].as_str().unwrap().to_owned();
    assert_eq!(app.me(&token).await.status, 200);
    app.advance_clock(400).await;
    app.me(&token).await.problem(401, "UNAUTHENTICATED");
}

#[tokio::test(flavor = "multi_thread")]
async fn me_answers_with_the_callers_account_and_nothing_else() {
    let app = TestApp::start().await;
    let (account, _other) = (app.register().await, app.register().await);
    let answer = app.me(&app.login(&account).await.access).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let me = answer.json();
    let created = me["createdAt"].as_str().unwrap();
    assert!(is_time(created), "{created}");
    assert_eq!(
        me,
        json!({
            "id": account.id, "name": NAME, "email": account.email, "emailVerified": false,
            "roles": ["user"], "createdAt": created, "updatedAt": created,
        })
    );
    assert!(!answer.body.contains("argon2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn jwks_shows_the_public_keys_that_verify_tokens_and_nothing_secret() {
    let app = TestApp::start().await;
    let answer = app.get("/.well-known/jwks.json").await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(answer.header("cache-control"), Some("public, max-age=3600"));
    let keys = answer.json()["keys"].as_array().unwrap().clone();
    assert!((2..=3).contains(&keys.len()), "previous, current and next");
    for key in &keys {
        assert_eq!(members(key), ["alg", "crv", "kid", "kty", "use", "x"]);
    }
    let token = app.login(&app.register().await).await.access;
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    assert!(keys.iter().any(|key| key["kid"] == header["kid"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn me_asks_for_a_token() {
    let app = TestApp::start().await;
    let answer = app.get(ME).await;
    answer.problem(401, "UNAUTHENTICATED");
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
}

#[tokio::test(flavor = "multi_thread")]
async fn login_replaces_a_hash_of_earlier_parameters() {
    let Some(app) = TestApp::local().await else { return };
    let account = app.register().await;
    let dynamodb = app.aws().dynamodb();
    let key = AttributeValue::S(account.email.clone());
    // Of `PASSWORD`, with a twentieth of the memory.
    let old =
        "$argon2id$v=19$m=1024,t=1,p=1$c29tZXNhbHQtc29tZXNhbHQ$2YF7YxkOGIGnC9NUKz9zcklxeBao1E7Txl8X09U2RDE";
    let update = dynamodb.update_item().table_name("CredentialsTable").key("email", key.clone());
    let update = update.update_expression("SET passwordHash = :hash");
    update.expression_attribute_values(":hash", AttributeValue::S(old.to_owned())).send().await.unwrap();
    let hash = async || {
        let get = dynamodb.get_item().table_name("CredentialsTable").key("email", key.clone());
        let item = get.send().await.unwrap().item.unwrap();
        item["passwordHash"].as_s().unwrap().clone()
    };
    assert_eq!(app.try_login(&account.email, "Wrong-password-1").await.status, 401);
    assert_eq!(hash().await, old);
    app.login(&account).await;
    let new = hash().await;
    assert!(new.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{new}");
    app.login(&account).await;
    assert_eq!(hash().await, new);
}
