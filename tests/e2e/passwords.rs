//! Passwords and the links in mails: guessing, changing, forgetting, verifying.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use local::Options;
use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{
    Account, Answer, CHANGE_PASSWORD, FORGOT_PASSWORD, ME, OTHER_PASSWORD, PASSWORD, REGISTER, RESEND,
    RESET_PASSWORD, TestApp, USERS, VERIFY_EMAIL, new_account, new_address,
};

const RESET: &str = "Password Reset Request";
const WELCOME: &str = "Welcome to Arcana!";
const VERIFY: &str = "Verify your email address";
const WRONG: &str = "Wrong-password-1";

/// A first delay that is not over before the test is.
const SLOW: (&str, &str) = ("LoginFirstDelaySeconds", "3600");

#[track_caller]
fn held_back(answer: &Answer) -> i64 {
    answer.problem(429, "TOO_MANY_REQUESTS");
    answer.header("retry-after").unwrap().parse().unwrap()
}

async fn with_limits(parameters: &[(&str, &str)]) -> Option<TestApp> {
    let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    TestApp::with(Options { parameters: parameters.collect(), ..Options::default() }).await
}

/// A bundle with a limit that is never reached, in which nothing follows from a request: what follows is done by
/// other functions, but on a laptop by the same processor.
async fn without_relay(limit: &str) -> Option<TestApp> {
    let parameters = [(limit.to_owned(), "1000000".to_owned())].into();
    let held = vec!["events-relay".to_owned()];
    TestApp::with(Options { parameters, held, ..Options::default() }).await
}

async fn change_password(app: &TestApp, token: &str, current: &str, new: &str) -> Answer {
    let body = json!({"currentPassword": current, "newPassword": new});
    app.do_as(token, Method::POST, CHANGE_PASSWORD, &body).await
}

async fn reset_password(app: &TestApp, token: &str, new: &str) -> Answer {
    app.post(RESET_PASSWORD, &json!({"token": token, "newPassword": new})).await
}

async fn forgot(app: &TestApp, account: &Account) {
    let answer = app.post(FORGOT_PASSWORD, &json!({"email": account.email})).await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (202, ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn login_holds_back_two_hundred_guesses_at_once() {
    let Some(app) = with_limits(&[SLOW]).await else { return };
    let account = app.register().await;
    let answers = join_all((0..200).map(|_| app.try_login(&account.email, WRONG))).await;
    let (tried, rest): (Vec<&Answer>, Vec<&Answer>) = answers.iter().partition(|answer| answer.status == 401);
    // A machine that cannot do two hundred things at once says so.
    let (away, held): (Vec<&Answer>, Vec<&Answer>) =
        rest.into_iter().partition(|answer| answer.status == 503);
    for answer in &held {
        held_back(answer);
    }
    // Ten are free; one that was not answered may have been of them.
    assert!(
        tried.len() <= 10 && tried.len() + away.len() >= 10,
        "{} tried, {} away",
        tried.len(),
        away.len()
    );
    // The right one has to wait too.
    held_back(&app.try_login(&account.email, PASSWORD).await);
    // A reset works meanwhile, and clears the count.
    forgot(&app, &account).await;
    let token = app.token_in_mail(&account.email, RESET, 1).await;
    assert_eq!(reset_password(&app, &token, OTHER_PASSWORD).await.status, 204);
    assert_eq!(app.try_login(&account.email, OTHER_PASSWORD).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn login_waits_twice_as_long_after_each_failure_and_lets_the_owner_in() {
    // A minute for each second of the template's, so that no wait is over before it was seen.
    let limits = [("LoginFirstDelaySeconds", "60"), ("LoginLongestDelaySeconds", "54000")];
    let Some(app) = with_limits(&limits).await else { return };
    let account = app.register().await;
    for _ in 0..10 {
        app.try_login(&account.email, WRONG).await.problem(401, "INVALID_CREDENTIALS");
    }
    for delay in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900] {
        let wait = held_back(&app.try_login(&account.email, PASSWORD).await);
        assert!((60 * delay - 30..=60 * delay).contains(&wait), "{wait} s instead of {delay} min");
        app.advance_clock(u32::try_from(60 * delay).unwrap()).await;
        app.try_login(&account.email, WRONG).await.problem(401, "INVALID_CREDENTIALS");
    }
    app.advance_clock(54_000).await;
    assert_eq!(app.try_login(&account.email, PASSWORD).await.status, 200);
    // And the count begins again.
    for _ in 0..10 {
        app.try_login(&account.email, WRONG).await.problem(401, "INVALID_CREDENTIALS");
    }
    held_back(&app.try_login(&account.email, WRONG).await);
}

/// Invokes `auth-login` as from an address.
async fn login_from(app: &TestApp, ip: &str, email: &str, password: &str) -> u64 {
    let event = json!({
        "version": "2.0", "routeKey": "POST /api/v1/auth/login", "rawPath": "/api/v1/auth/login",
        "rawQueryString": "", "headers": {"content-type": "application/json"},
        "requestContext": {
            "accountId": "123456789012", "apiId": "api",
            "http": {
                "method": "POST", "path": "/api/v1/auth/login", "protocol": "HTTP/1.1", "sourceIp": ip,
                "userAgent": "test",
            },
            "requestId": "r", "routeKey": "POST /api/v1/auth/login", "stage": "$default",
            "time": "21/Sep/2026:14:13:20 +0000", "timeEpoch": 1_790_000_000_000_i64,
        },
        "body": json!({"email": email, "password": password}).to_string(), "isBase64Encoded": false,
    });
    app.invoke("auth-login", &event.to_string()).await.unwrap()["statusCode"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn login_lets_no_stranger_lock_the_owner_out() {
    let Some(app) = with_limits(&[SLOW]).await else { return };
    let account = app.register().await;
    let (owner, stranger) = ("203.0.113.7", "198.51.100.9");
    assert_eq!(login_from(&app, owner, &account.email, PASSWORD).await, 200);
    for _ in 0..10 {
        assert_eq!(login_from(&app, stranger, &account.email, WRONG).await, 401);
    }
    assert_eq!(login_from(&app, stranger, &account.email, WRONG).await, 429);
    // Nor may a second stranger go on, but the owner's address has a count of its own.
    assert_eq!(login_from(&app, "192.0.2.44", &account.email, PASSWORD).await, 429);
    for _ in 0..10 {
        assert_eq!(login_from(&app, owner, &account.email, WRONG).await, 401);
    }
    assert_eq!(login_from(&app, owner, &account.email, PASSWORD).await, 429);
    app.advance_clock(3_600).await;
    assert_eq!(login_from(&app, owner, &account.email, PASSWORD).await, 200);
    // A month later, it is an address like any other.
    app.advance_clock(31 * 86_400).await;
    for _ in 0..10 {
        assert_eq!(login_from(&app, stranger, &account.email, WRONG).await, 401);
    }
    assert_eq!(login_from(&app, owner, &account.email, PASSWORD).await, 429);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_lets_its_owner_in_from_where_it_was_made_and_no_address_of_before() {
    let Some(app) = with_limits(&[SLOW]).await else { return };
    let account = app.register().await;
    let stranger = "198.51.100.9";
    assert_eq!(login_from(&app, stranger, &account.email, PASSWORD).await, 200, "with a stolen password");
    // The owner's own guesses, and a stranger's, are used up.
    for _ in 0..10 {
        app.try_login(&account.email, WRONG).await.problem(401, "INVALID_CREDENTIALS");
    }
    forgot(&app, &account).await;
    let token = app.token_in_mail(&account.email, RESET, 1).await;
    assert_eq!(reset_password(&app, &token, OTHER_PASSWORD).await.status, 204);
    for _ in 0..10 {
        assert_eq!(login_from(&app, stranger, &account.email, WRONG).await, 401);
    }
    assert_eq!(login_from(&app, stranger, &account.email, WRONG).await, 429, "no count of its own any more");
    assert_eq!(app.try_login(&account.email, OTHER_PASSWORD).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_may_not_try_holds_no_owner_off() {
    let Some(app) = with_limits(&[("LoginFailuresPerAddress", "10")]).await else { return };
    let account = app.register().await;
    let stranger = "198.51.100.9";
    for _ in 0..10 {
        assert_eq!(login_from(&app, stranger, &account.email, WRONG).await, 401);
    }
    app.advance_clock(1).await;
    for _ in 0..5 {
        assert_eq!(login_from(&app, stranger, &account.email, WRONG).await, 429);
    }
    assert_eq!(app.try_login(&account.email, PASSWORD).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn login_takes_a_hundred_failures_of_an_address_and_gives_successes_back() {
    let limits = [("LoginFailuresPerAddress", "20"), ("LoginFreeAttempts", "100000")];
    let Some(app) = with_limits(&limits).await else { return };
    let account = app.register().await;
    for _ in 0..25 {
        assert_eq!(login_from(&app, "203.0.113.7", &account.email, PASSWORD).await, 200);
    }
    for place in 0..20 {
        // One network of IPv6 is one address.
        let ip = format!("2001:db8:1:2::{place:x}");
        assert_eq!(login_from(&app, &ip, &new_address(), WRONG).await, 401);
    }
    assert_eq!(login_from(&app, "2001:db8:1:2::ffff", &account.email, PASSWORD).await, 429);
    assert_eq!(login_from(&app, "2001:db8:1:3::1", &account.email, PASSWORD).await, 200);
    app.advance_clock(901).await;
    assert_eq!(login_from(&app, "2001:db8:1:2::ffff", &account.email, PASSWORD).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn login_takes_the_same_time_whatever_the_account() {
    /// Pairs of each kind, and how far their medians may be apart.
    const PAIRS: usize = 200;
    const APART: f64 = 0.05;
    let Some(app) = without_relay("LoginFreeAttempts").await else { return };
    let (known, suspended) = (app.register().await, app.register().await);
    let admin = app.login(&app.register_admin().await).await;
    let status = format!("{USERS}/{}/status", suspended.id);
    let answer = app.do_as(&admin.access, Method::PUT, &status, &json!({"status": "SUSPENDED"})).await;
    assert_eq!(answer.status, 200, "{}", answer.body);

    let unknown = new_address();
    let kinds =
        [(known.email.as_str(), WRONG), (unknown.as_str(), WRONG), (suspended.email.as_str(), PASSWORD)];
    // The machine may be busy with something else for a while: then the medians of a run say nothing. What a
    // difference in the work makes is there in every run.
    let mut apart = Vec::new();
    for _ in 0..5 {
        let mut times = [const { Vec::new() }; 3];
        for round in 0..PAIRS {
            for place in 0..3 {
                let kind = (round + place) % 3;
                let (email, password) = kinds[kind];
                let started = Instant::now();
                let answer = app.try_login(email, password).await;
                times[kind].push(started.elapsed());
                assert_eq!(answer.status, 401, "{}", answer.body);
            }
        }
        let medians = times.map(|mut times| {
            times.sort();
            times[PAIRS / 2]
        });
        let (shortest, longest) = (medians.iter().min().unwrap(), medians.iter().max().unwrap());
        apart.push(longest.as_secs_f64() / shortest.as_secs_f64() - 1.0);
        println!("medians of known, unknown, suspended: {medians:?}");
        if apart.last().is_some_and(|apart| *apart < APART) {
            return;
        }
    }
    panic!("the medians are apart by {apart:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn register_takes_so_many_of_an_address_an_hour() {
    let Some(app) = with_limits(&[("RegistrationsPerAddress", "3")]).await else { return };
    for _ in 0..3 {
        app.register().await;
    }
    let answer = app.post(REGISTER, &new_account(&new_address())).await;
    assert!((3_500..=3_600).contains(&held_back(&answer)), "{:?}", answer.headers);
    app.advance_clock(3_601).await;
    app.register().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn change_password_asks_for_the_old_one_and_ends_every_session() {
    let Some(app) = TestApp::local().await else { return };
    let account = app.register().await;
    let (tokens, other) = (app.login(&account).await, app.login(&account).await);
    let answer = change_password(&app, &tokens.access, WRONG, OTHER_PASSWORD).await;
    assert_eq!(answer.problem(400, "INVALID_CREDENTIALS")["detail"], "Current password is incorrect");
    let answer = change_password(&app, &tokens.access, PASSWORD, "lovelace").await;
    answer.problem(422, "VALIDATION_FAILED");
    assert_eq!(
        answer.faults(),
        [
            "/newPassword PASSWORD_NO_UPPERCASE",
            "/newPassword PASSWORD_NO_DIGIT",
            "/newPassword PASSWORD_CONTAINS_IDENTITY"
        ]
    );
    assert_eq!(app.me(&tokens.access).await.status, 200);

    forgot(&app, &account).await;
    let link = app.token_in_mail(&account.email, RESET, 1).await;
    let answer = change_password(&app, &tokens.access, PASSWORD, OTHER_PASSWORD).await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (204, ""));
    for token in [&tokens.access, &other.access] {
        app.me(token).await.problem(401, "UNAUTHENTICATED");
    }
    app.try_login(&account.email, PASSWORD).await.problem(401, "INVALID_CREDENTIALS");
    assert_eq!(app.try_login(&account.email, OTHER_PASSWORD).await.status, 200);
    // A link that was asked for before sets nothing after.
    reset_password(&app, &link, PASSWORD).await.problem(400, "INVALID_TOKEN");
    app.wait_for_event(&account, "auth.password_changed").await;
    let subject = "Security alert for your Arcana account";
    let look =
        async || app.mails_to(&account.email).await.into_iter().find(|mail| mail["subject"] == subject);
    let mail = crate::app::eventually("security alert", crate::app::PATIENCE, look).await;
    assert!(mail["text"].as_str().unwrap().contains("password of your account was changed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_of_signed_in_users_are_counted_as_those_of_logins() {
    let Some(app) = with_limits(&[SLOW]).await else { return };
    let account = app.register().await;
    let token = app.login(&account).await.access;
    for place in 0..10 {
        let answer = if place % 2 == 0 {
            change_password(&app, &token, WRONG, OTHER_PASSWORD).await
        } else {
            app.do_as(&token, Method::DELETE, ME, &json!({"password": WRONG})).await
        };
        answer.problem(400, "INVALID_CREDENTIALS");
    }
    held_back(&change_password(&app, &token, PASSWORD, OTHER_PASSWORD).await);
    held_back(&app.do_as(&token, Method::DELETE, ME, &json!({"password": PASSWORD})).await);
    held_back(&app.try_login(&account.email, PASSWORD).await);
    assert_eq!(app.me(&token).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_password_is_set_anew_by_the_link_once() {
    let Some(app) = TestApp::local().await else { return };
    let account = app.register().await;
    let tokens = app.login(&account).await;
    forgot(&app, &account).await;
    let token = app.token_in_mail(&account.email, RESET, 1).await;
    app.wait_for_event(&account, "auth.password_reset_requested").await;

    // A password that is refused does not use the link up.
    let answer = reset_password(&app, &token, "short").await;
    answer.problem(422, "VALIDATION_FAILED");
    assert!(answer.faults().contains(&"/newPassword PASSWORD_TOO_SHORT".to_owned()));
    let answers = join_all((0..20).map(|_| reset_password(&app, &token, OTHER_PASSWORD))).await;
    let done = answers.iter().filter(|answer| answer.status == 204).count();
    assert_eq!(done, 1, "once, of twenty at once");
    for answer in answers.iter().filter(|answer| answer.status != 204) {
        answer.problem(400, "INVALID_TOKEN");
    }
    app.me(&tokens.access).await.problem(401, "UNAUTHENTICATED");
    app.try_login(&account.email, PASSWORD).await.problem(401, "INVALID_CREDENTIALS");
    assert_eq!(app.try_login(&account.email, OTHER_PASSWORD).await.status, 200);
    app.wait_for_event(&account, "auth.password_changed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_link_replaces_the_older_and_none_lives_longer_than_ten_minutes() {
    let Some(app) = TestApp::local().await else { return };
    let account = app.register().await;
    forgot(&app, &account).await;
    let first = app.token_in_mail(&account.email, RESET, 1).await;
    forgot(&app, &account).await;
    let second = app.token_in_mail(&account.email, RESET, 2).await;
    assert_ne!(first, second);
    reset_password(&app, &first, OTHER_PASSWORD).await.problem(400, "INVALID_TOKEN");
    app.advance_clock(601).await;
    reset_password(&app, &second, OTHER_PASSWORD).await.problem(400, "INVALID_TOKEN");
    assert_eq!(app.try_login(&account.email, PASSWORD).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_of_one_purpose_is_worth_nothing_for_another() {
    let Some(app) = TestApp::local().await else { return };
    let (account, other) = (app.register().await, app.register().await);
    let verify = app.token_in_mail(&account.email, WELCOME, 1).await;
    forgot(&app, &account).await;
    let reset = app.token_in_mail(&account.email, RESET, 1).await;
    reset_password(&app, &verify, OTHER_PASSWORD).await.problem(400, "INVALID_TOKEN");
    app.post(VERIFY_EMAIL, &json!({"token": reset})).await.problem(400, "INVALID_TOKEN");
    let refresh = app.login(&other).await.refresh;
    let parts: Vec<&str> = reset.split('.').collect();
    let forged = [
        "x".to_owned(),
        refresh,
        format!("{}.{}.{}", parts[0], parts[1], "A".repeat(43)),
        format!("{}.{}.{}", parts[0], "A".repeat(43), parts[2]),
        format!("{}.{}", parts[0], parts[1]),
    ];
    for token in forged {
        reset_password(&app, &token, OTHER_PASSWORD).await.problem(400, "INVALID_TOKEN");
        app.post(VERIFY_EMAIL, &json!({"token": token})).await.problem(400, "INVALID_TOKEN");
    }
    app.post(VERIFY_EMAIL, &json!({"token": ""})).await.problem(422, "VALIDATION_FAILED");
    assert_eq!(reset_password(&app, &reset, OTHER_PASSWORD).await.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn forgot_password_does_not_tell_who_has_an_account_nor_mails_too_often() {
    let Some(app) = TestApp::local().await else { return };
    let account = app.register().await;
    for _ in 0..5 {
        forgot(&app, &account).await;
        let answer = app.post(FORGOT_PASSWORD, &json!({"email": new_address()})).await;
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (202, ""));
    }
    app.post(FORGOT_PASSWORD, &json!({"email": "nobody"})).await.problem(422, "VALIDATION_FAILED");
    app.token_in_mail(&account.email, RESET, 3).await;
    app.settle().await;
    let mails = app.mails_to(&account.email).await;
    assert_eq!(mails.iter().filter(|mail| mail["subject"] == RESET).count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn forgot_password_takes_so_many_requests_of_an_address_an_hour() {
    let Some(app) = with_limits(&[("MailRequestsPerAddress", "4")]).await else { return };
    let token = app.login(&app.register().await).await.access;
    for _ in 0..2 {
        assert_eq!(app.post(FORGOT_PASSWORD, &json!({"email": new_address()})).await.status, 202);
        assert_eq!(app.do_as(&token, Method::POST, RESEND, &json!({})).await.status, 202);
    }
    held_back(&app.post(FORGOT_PASSWORD, &json!({"email": new_address()})).await);
    held_back(&app.do_as(&token, Method::POST, RESEND, &json!({})).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn forgot_password_takes_the_same_time_whatever_the_account() {
    const PAIRS: usize = 200;
    let Some(app) = without_relay("MailsPerAccount").await else { return };
    let (known, unknown) = (app.register().await.email, new_address());
    let mut apart = Vec::new();
    for _ in 0..5 {
        let mut times = [const { Vec::new() }; 2];
        for round in 0..PAIRS {
            for place in 0..2 {
                let kind = (round + place) % 2;
                let email = [&known, &unknown][kind];
                let started = Instant::now();
                let answer = app.post(FORGOT_PASSWORD, &json!({"email": email})).await;
                times[kind].push(started.elapsed());
                assert_eq!(answer.status, 202);
            }
        }
        let [known, unknown] = times.map(|mut times: Vec<Duration>| {
            times.sort();
            times[PAIRS / 2]
        });
        println!("medians of known and unknown: {known:?}, {unknown:?}");
        let difference = known.abs_diff(unknown);
        // Half a millisecond is what the embedded database's file takes for a write more.
        if difference < Duration::from_micros(500) || difference < known / 10 {
            return;
        }
        apart.push(difference);
    }
    panic!("the medians are apart by {apart:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_verified_by_the_link_of_the_welcome_mail() {
    let Some(app) = TestApp::local().await else { return };
    let account = app.register().await;
    let token = app.login(&account).await.access;
    let link = app.token_in_mail(&account.email, WELCOME, 1).await;
    let verified = async || app.me(&token).await.json()["emailVerified"].clone();
    assert_eq!(verified().await, json!(false));
    let answer = app.post(VERIFY_EMAIL, &json!({"token": link})).await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (204, ""));
    assert_eq!(verified().await, json!(true));
    app.post(VERIFY_EMAIL, &json!({"token": link})).await.problem(400, "INVALID_TOKEN");
    app.wait_for_event(&account, "auth.email_verified").await;

    // There is nothing left to verify.
    assert_eq!(app.do_as(&token, Method::POST, RESEND, &json!({})).await.status, 202);
    app.settle().await;
    assert_eq!(app.mails_to(&account.email).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn resend_verification_mails_another_link_that_replaces_the_first() {
    let Some(app) = TestApp::local().await else { return };
    let account = app.register().await;
    let token = app.login(&account).await.access;
    let first = app.token_in_mail(&account.email, WELCOME, 1).await;
    let answer = app.send(app.as_user(&token, Method::POST, RESEND)).await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (202, ""));
    let second = app.token_in_mail(&account.email, VERIFY, 1).await;
    app.wait_for_event(&account, "auth.verification_requested").await;
    app.post(VERIFY_EMAIL, &json!({"token": first})).await.problem(400, "INVALID_TOKEN");
    app.advance_clock(86_000).await;
    assert_eq!(app.post(VERIFY_EMAIL, &json!({"token": second})).await.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_whose_link_is_gone_is_not_sent() {
    let options = Options { held: vec!["email-worker".to_owned()], ..Options::default() };
    let Some(app) = TestApp::with(options).await else { return };
    let account = app.register().await;
    forgot(&app, &account).await;
    app.wait_for_event(&account, "auth.password_reset_requested").await;
    let id = uuid::Uuid::new_v4().to_string();
    let data = json!({"userId": account.id, "email": account.email, "name": "Ada"});
    let job = json!({"id": id, "job": "password-reset", "data": data, "correlationId": id});
    let record = json!({
        "messageId": id, "receiptHandle": "h", "body": job.to_string(),
        "attributes": {"ApproximateReceiveCount": "1"}, "messageAttributes": {}, "md5OfBody": "",
        "eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:EmailsQueue",
        "awsRegion": "us-east-1",
    });
    app.advance_clock(601).await;
    let answer = app.invoke("email-worker", &json!({"Records": [record]}).to_string()).await.unwrap();
    assert_eq!(answer, json!({"batchItemFailures": []}));
    assert_eq!(app.mails_to(&account.email).await, Vec::<Value>::new());
}
