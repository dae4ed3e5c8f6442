//! Sessions: how they are kept alive, listed and ended.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{
    Account, CHANGE_PASSWORD, FORGOT_PASSWORD, LOGIN, LOGOUT, LOGOUT_ALL, OTHER_PASSWORD, PASSWORD, PATIENCE,
    PRODUCTS, REFRESH, REGISTER, RESET_PASSWORD, SEARCH, SESSIONS, TestApp, Tokens, USERS, VERIFY_EMAIL,
    admins_only, eventually, is_time, members, new_account, new_address, protected,
};

/// The refresh token that is used up is worth nothing: a token of its own or another's.
#[track_caller]
fn refused(answer: &crate::app::Answer) {
    let problem = answer.problem(401, "TOKEN_EXPIRED");
    assert_eq!(problem["detail"], "Invalid or expired refresh token");
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
}

async fn events(app: &TestApp, account: &Account, kind: &str) -> Vec<Value> {
    let mut events = app.events_about(account).await;
    events.retain(|event| event["detail-type"] == kind);
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn refresh_answers_with_a_new_pair_and_the_old_one_stays_a_session() {
    let app = TestApp::start().await;
    let account = app.register().await;
    let first = app.login(&account).await;
    let answer = app.try_refresh(&first.refresh).await;
    let second = Tokens::of(&answer);
    assert_eq!(members(&answer.json()), ["accessToken", "expiresIn", "refreshToken", "tokenType"]);
    assert_ne!(first.refresh, second.refresh);
    for token in [&first.access, &second.access] {
        assert_eq!(app.me(token).await.status, 200);
    }
    let third = app.refresh(&second.refresh).await;
    assert_eq!(app.me(&third.access).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn refresh_of_one_token_a_hundred_times_at_once_moves_the_session_by_one() {
    let Some(app) = TestApp::local().await else { return };
    let account = app.register().await;
    let first = app.login(&account).await;
    let answers = join_all((0..100).map(|_| app.try_refresh(&first.refresh))).await;
    let mut successors = BTreeSet::new();
    for answer in &answers {
        successors.insert(Tokens::of(answer).refresh);
    }
    assert_eq!(successors.len(), 1, "one and the same successor");

    // The counter is what a token says after its 32 bytes of ids.
    let counter = |token: &str| {
        use base64::Engine as _;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        u64::from_be_bytes(payload[32..].try_into().unwrap())
    };
    let successor = successors.pop_first().unwrap();
    assert_eq!((counter(&first.refresh), counter(&successor)), (0, 1));

    // Once the successor is used, the first is the one before last: somebody has a copy.
    let second = app.refresh(&successor).await;
    refused(&app.try_refresh(&first.refresh).await);
    refused(&app.try_refresh(&second.refresh).await);
    app.me(&second.access).await.problem(401, "UNAUTHENTICATED");
    let event = app.wait_for_event(&account, "auth.token_reuse_detected").await;
    assert_eq!(members(&event["detail"]["data"]), ["sessionId", "userId"]);
    let subject = "Security alert for your Arcana account";
    let look =
        async || app.mails_to(&account.email).await.into_iter().find(|mail| mail["subject"] == subject);
    eventually("security alert", PATIENCE, look).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refresh_forgives_a_lost_reply_for_ten_seconds() {
    let Some(app) = TestApp::local().await else { return };
    let account = app.register().await;
    let first = app.login(&account).await;
    let lost = app.refresh(&first.refresh).await;
    let again = app.refresh(&first.refresh).await;
    assert_eq!(lost.refresh, again.refresh);
    let next = app.refresh(&again.refresh).await;

    app.advance_clock(11).await;
    refused(&app.try_refresh(&again.refresh).await);
    refused(&app.try_refresh(&next.refresh).await);
    app.me(&next.access).await.problem(401, "UNAUTHENTICATED");
    app.wait_for_event(&account, "auth.token_reuse_detected").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refresh_takes_no_token_that_was_not_issued_here() {
    let app = TestApp::start().await;
    let (account, other) = (app.register().await, app.register().await);
    let (tokens, others) = (app.login(&account).await, app.login(&other).await);
    let parts: Vec<&str> = tokens.refresh.split('.').collect();
    let other_parts: Vec<&str> = others.refresh.split('.').collect();
    let forged = [
        "x".to_owned(),
        "..".to_owned(),
        tokens.access.clone(),
        parts[..2].join("."),
        format!("{}.", tokens.refresh),
        format!("{}.{}.{}", parts[0], other_parts[1], parts[2]),
        format!("{}.{}.{}", parts[0], parts[1], "A".repeat(43)),
        format!("unknown.{}.{}", parts[1], parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
    ];
    for token in forged {
        refused(&app.try_refresh(&token).await);
    }
    app.try_refresh("").await.problem(422, "VALIDATION_FAILED");
    app.refresh(&tokens.refresh).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refresh_ends_seven_days_after_the_last_and_ninety_after_the_login() {
    let Some(app) = TestApp::local().await else { return };
    let account = app.register().await;
    let idle = app.login(&account).await;
    let mut kept = app.login(&account).await;
    for _ in 0..14 {
        app.advance_clock(6 * 86_400).await;
        kept = app.refresh(&kept.refresh).await;
    }
    refused(&app.try_refresh(&idle.refresh).await);
    // 84 days have passed: the session ends in six, and no token of it lives longer.
    app.advance_clock(6 * 86_400 - 600).await;
    let answer = app.try_refresh(&kept.refresh).await;
    kept = Tokens::of(&answer);
    assert!((500..=600).contains(&answer.json()["expiresIn"].as_i64().unwrap()), "{}", answer.body);
    app.advance_clock(700).await;
    refused(&app.try_refresh(&kept.refresh).await);
    app.me(&kept.access).await.problem(401, "UNAUTHENTICATED");
}

#[tokio::test(flavor = "multi_thread")]
async fn logout_ends_its_session_alone_and_never_complains() {
    let Some(app) = TestApp::local().await else { return };
    let account = app.register().await;
    let (tokens, other) = (app.login(&account).await, app.login(&account).await);
    for token in [tokens.refresh.as_str(), tokens.refresh.as_str(), "unknown", &tokens.access] {
        let answer = app.post(LOGOUT, &json!({"refreshToken": token})).await;
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (204, ""));
    }
    app.post(LOGOUT, &json!({"refreshToken": ""})).await.problem(422, "VALIDATION_FAILED");
    app.me(&tokens.access).await.problem(401, "UNAUTHENTICATED");
    refused(&app.try_refresh(&tokens.refresh).await);
    assert_eq!(app.me(&other.access).await.status, 200);
    let event = app.wait_for_event(&account, "auth.logged_out").await;
    assert_eq!(members(&event["detail"]["data"]), ["sessionId", "userId"]);
    app.settle().await;
    assert_eq!(events(&app, &account, "auth.logged_out").await.len(), 1);
    assert_eq!(events(&app, &account, "auth.token_reuse_detected").await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn logout_with_a_token_that_was_exchanged_before_is_a_reuse() {
    let Some(app) = TestApp::local().await else { return };
    let account = app.register().await;
    let first = app.login(&account).await;
    let last = app.refresh(&app.refresh(&first.refresh).await.refresh).await;
    assert_eq!(app.post(LOGOUT, &json!({"refreshToken": first.refresh})).await.status, 204);
    app.me(&last.access).await.problem(401, "UNAUTHENTICATED");
    app.wait_for_event(&account, "auth.token_reuse_detected").await;
    assert_eq!(events(&app, &account, "auth.logged_out").await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn logout_of_a_session_that_ended_otherwise_raises_nothing() {
    let Some(app) = TestApp::local().await else { return };
    let account = app.register().await;
    let (one, other) = (app.login(&account).await, app.login(&account).await);
    assert_eq!(app.do_as(&one.access, Method::POST, LOGOUT_ALL, &json!({})).await.status, 204);
    for tokens in [&one, &other] {
        assert_eq!(app.post(LOGOUT, &json!({"refreshToken": tokens.refresh})).await.status, 204);
    }
    app.wait_for_event(&account, "auth.logged_out").await;
    app.settle().await;
    assert_eq!(events(&app, &account, "auth.logged_out").await.len(), 1, "of the logout of all");
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_are_over_do_not_pile_up() {
    let Some(app) = TestApp::local().await else { return };
    let account = app.register().await;
    for round in 0..60 {
        let tokens = app.login(&account).await;
        if round == 30 {
            assert_eq!(app.do_as(&tokens.access, Method::POST, LOGOUT_ALL, &json!({})).await.status, 204);
        }
        assert_eq!(app.post(LOGOUT, &json!({"refreshToken": tokens.refresh})).await.status, 204);
    }
    let last = app.login(&account).await;
    let query =
        app.aws().dynamodb().query().table_name("SessionsTable").key_condition_expression("userId = :id");
    let id = aws_sdk_dynamodb::types::AttributeValue::S(account.id.clone());
    let kept = query.expression_attribute_values(":id", id).send().await.unwrap().count();
    assert_eq!(kept, 1);
    assert_eq!(app.me(&last.access).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_lists_the_live_ones_and_ends_one() {
    let app = TestApp::start().await;
    let account = app.register().await;
    let (one, two) = (app.login(&account).await, app.login(&account).await);
    let answer = app.get_as(&one.access, SESSIONS).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let sessions = answer.json()["data"].as_array().unwrap().clone();
    assert_eq!(sessions.len(), 2);
    for session in &sessions {
        assert_eq!(members(session), ["createdAt", "current", "id", "ip", "lastUsedAt", "userAgent"]);
        assert!(is_time(session["createdAt"].as_str().unwrap()));
    }
    let (current, others): (Vec<&Value>, Vec<&Value>) =
        sessions.iter().partition(|session| session["current"] == true);
    assert_eq!((current.len(), others.len()), (1, 1));
    let end = async |session: &Value| {
        let path = format!("{SESSIONS}/{}", session["id"].as_str().unwrap());
        app.send(app.as_user(&one.access, Method::DELETE, &path)).await
    };
    assert_eq!(end(others[0]).await.status, 204);
    end(others[0]).await.problem(404, "NOT_FOUND");
    app.me(&two.access).await.problem(401, "UNAUTHENTICATED");
    end(&json!({"id": "nothing"})).await.problem(404, "NOT_FOUND");
    assert_eq!(app.get_as(&one.access, SESSIONS).await.json()["data"].as_array().unwrap().len(), 1);
    // Its own, too.
    assert_eq!(end(current[0]).await.status, 204);
    end(current[0]).await.problem(401, "UNAUTHENTICATED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_has_at_most_fifty_sessions_also_of_logins_at_once() {
    // All of them are attempts until they succeed.
    let Some(app) = TestApp::with_parameter("LoginFreeAttempts", "100").await else { return };
    let account = app.register().await;
    let oldest = app.login(&account).await;
    let logins = join_all((0..60).map(|_| app.login(&account))).await;
    let newest = app.login(&account).await;
    let listed = app.get_as(&newest.access, SESSIONS).await;
    assert_eq!(listed.json()["data"].as_array().unwrap().len(), 50);
    app.me(&oldest.access).await.problem(401, "UNAUTHENTICATED");
    let mut alive = 0;
    for tokens in &logins {
        alive += usize::from(app.me(&tokens.access).await.status == 200);
    }
    assert_eq!(alive, 49);
}

/// What ends a live session at once.
#[derive(Clone, Copy, Debug)]
enum End {
    Logout,
    LogoutAll,
    ChangePassword,
    ResetPassword,
    Roles,
    Suspension,
    Deletion,
}

async fn end(app: &TestApp, how: End, account: &Account, tokens: &Tokens, admin: &Tokens) {
    let user = format!("{USERS}/{}", account.id);
    let (answer, status) = match how {
        End::Logout => (app.post(LOGOUT, &json!({"refreshToken": tokens.refresh})).await, 204),
        End::LogoutAll => (app.do_as(&tokens.access, Method::POST, LOGOUT_ALL, &json!({})).await, 204),
        End::ChangePassword => {
            let body = json!({"currentPassword": PASSWORD, "newPassword": OTHER_PASSWORD});
            (app.do_as(&tokens.access, Method::POST, CHANGE_PASSWORD, &body).await, 204)
        }
        End::ResetPassword => {
            app.post(crate::app::FORGOT_PASSWORD, &json!({"email": account.email})).await;
            let token = app.token_in_mail(&account.email, "Password Reset Request", 1).await;
            let body = json!({"token": token, "newPassword": OTHER_PASSWORD});
            (app.post(RESET_PASSWORD, &body).await, 204)
        }
        End::Roles => {
            let roles = json!({"roles": ["user", "admin"]});
            (app.do_as(&admin.access, Method::PUT, &format!("{user}/roles"), &roles).await, 200)
        }
        End::Suspension => {
            let status = json!({"status": "SUSPENDED"});
            (app.do_as(&admin.access, Method::PUT, &format!("{user}/status"), &status).await, 200)
        }
        End::Deletion => {
            let body = json!({"password": PASSWORD});
            (app.do_as(&tokens.access, Method::DELETE, crate::app::ME, &body).await, 204)
        }
    };
    assert_eq!(answer.status, status, "{how:?}: {}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_ends_a_session_ends_its_access_tokens_at_once_on_every_endpoint() {
    let Some(app) = TestApp::local().await else { return };
    let admin = app.login(&app.register_admin().await).await;
    let all = [
        End::Logout,
        End::LogoutAll,
        End::ChangePassword,
        End::ResetPassword,
        End::Roles,
        End::Suspension,
        End::Deletion,
    ];
    for how in all {
        // An admin, so that the endpoints of admins can be asked too.
        let account =
            if matches!(how, End::Roles) { app.register().await } else { app.register_admin().await };
        let tokens = app.login(&account).await;
        assert_eq!(app.me(&tokens.access).await.status, 200);
        end(&app, how, &account, &tokens, &admin).await;
        for (method, path, body) in protected().into_iter().chain(admins_only()) {
            let request = app.as_user(&tokens.access, method.clone(), &path.replace("{id}", &account.id));
            let request = if let Some(body) = &body { request.json(body) } else { request };
            let answer = app.send(request).await;
            answer.problem(401, "UNAUTHENTICATED");
            assert_eq!(
                answer.header("www-authenticate"),
                Some("Bearer error=\"invalid_token\""),
                "{how:?} {path}"
            );
        }
        refused(&app.try_refresh(&tokens.refresh).await);
    }
}

/// Every endpoint that anybody may call, and that checks the token of whoever sends one; with a body that it reads.
fn for_visitors() -> Vec<(Method, &'static str, Option<Value>)> {
    let email = new_address();
    let token = json!({"token": "x".repeat(43)});
    let reset = json!({"token": "x".repeat(43), "newPassword": OTHER_PASSWORD});
    vec![
        (Method::POST, REGISTER, Some(new_account(&email))),
        (Method::POST, LOGIN, Some(json!({"email": email, "password": PASSWORD}))),
        (Method::POST, REFRESH, Some(json!({"refreshToken": "none"}))),
        (Method::POST, LOGOUT, Some(json!({"refreshToken": "none"}))),
        (Method::POST, FORGOT_PASSWORD, Some(json!({"email": email}))),
        (Method::POST, RESET_PASSWORD, Some(reset)),
        (Method::POST, VERIFY_EMAIL, Some(token)),
        (Method::GET, PRODUCTS, None),
        (Method::GET, "/api/v1/products/{id}", None),
        (Method::GET, SEARCH, None),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_public_endpoint_answers_a_good_token_as_none_and_refuses_one_whose_session_is_over() {
    let app = TestApp::start().await;
    let account = app.register().await;
    let tokens = app.login(&account).await;
    let send = async |(method, path, body): (Method, &str, Option<Value>), token: Option<&str>| {
        let query = if path == SEARCH { "?q=lamp" } else { "" };
        let request = app.request(method, &format!("{}{query}", path.replace("{id}", &account.id)));
        let request = token.into_iter().fold(request, reqwest::RequestBuilder::bearer_auth);
        app.send(body.into_iter().fold(request, |request, body| request.json(&body))).await
    };
    // Another address each time: an account is made once.
    for (without, with) in for_visitors().into_iter().zip(for_visitors()) {
        let path = without.1;
        let (without, with) = (send(without, None).await, send(with, Some(&tokens.access)).await);
        assert_eq!(with.status, without.status, "{path}: {} {}", with.body, without.body);
        if path == PRODUCTS || path == SEARCH {
            assert_eq!(with.body, without.body, "{path}");
        }
        assert_ne!(with.header("www-authenticate"), Some("Bearer error=\"invalid_token\""), "{path}");
    }
    let logout = app.post(LOGOUT, &json!({"refreshToken": tokens.refresh})).await;
    assert_eq!(logout.status, 204, "{}", logout.body);
    for endpoint in for_visitors() {
        let path = endpoint.1;
        let answer = send(endpoint, Some(&tokens.access)).await;
        answer.problem(401, "UNAUTHENTICATED");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer error=\"invalid_token\""), "{path}");
    }
}

/// The lists that the tests here go by are of every endpoint that the template has look at a token.
#[test]
fn no_endpoint_that_looks_at_a_token_is_left_out_of_the_tests_of_all() {
    let template = local::template::Template::read(&local::bundle::default_template(), &[].into()).unwrap();
    let mut routes = BTreeSet::new();
    for (_, resource) in template.resources() {
        if matches!(resource["Metadata"]["Access"].as_str(), Some("Visitor" | "SignedIn" | "Admin")) {
            let http = &resource["Properties"]["Events"]["Http"]["Properties"];
            routes.insert(format!("{} {}", http["Method"].as_str().unwrap(), http["Path"].as_str().unwrap()));
        }
    }
    let tested = for_visitors().into_iter().chain(protected()).chain(admins_only());
    let tested: BTreeSet<_> = tested.map(|(method, path, _)| format!("{method} {path}")).collect();
    let left_out: Vec<_> = routes.difference(&tested).collect();
    assert!(left_out.is_empty(), "in none of for_visitors(), protected() and admins_only(): {left_out:?}");
    let gone: Vec<_> = tested.difference(&routes).collect();
    assert!(gone.is_empty(), "no such endpoint looks at a token: {gone:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_protected_endpoint_asks_for_a_token() {
    let app = TestApp::start().await;
    for (method, path, body) in protected().into_iter().chain(admins_only()) {
        let request = app.request(method.clone(), &path.replace("{id}", &uuid::Uuid::now_v7().to_string()));
        let request = if let Some(body) = &body { request.json(body) } else { request };
        let answer = app.send(request).await;
        answer.problem(401, "UNAUTHENTICATED");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{method} {path}");
    }
}
