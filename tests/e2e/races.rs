//! Logins that race what ends sessions: none is left with a live one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join;
use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{CHANGE_PASSWORD, LOGOUT_ALL, OTHER_PASSWORD, PASSWORD, TestApp, Tokens, USERS, share};

/// Rounds in all, over three ways to end sessions.
const ROUNDS: u64 = 500;

/// What is raced. A login that answered after it began may live on only if it began after it.
#[derive(Clone, Copy, Debug)]
enum Race {
    LogoutAll,
    Password,
    Suspension,
}

/// The user's number, as an access token says it.
fn number(tokens: &Tokens) -> u64 {
    let claims = tokens.access.split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    claims["authVersion"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_races_the_end_of_all_sessions_ends_with_none() {
    let Some(app) = TestApp::local().await else { return };
    let admin = app.login(&app.register_admin().await).await;
    let mut account = app.register().await;
    let (mut won, mut lost) = (0, 0);
    for round in 0..share(ROUNDS) {
        let race = [Race::LogoutAll, Race::Password, Race::Suspension][usize::try_from(round % 3).unwrap()];
        if round % 10 == 0 {
            account = app.register().await;
        }
        let (current, next) = (PASSWORD, OTHER_PASSWORD);
        let tokens = app.login(&account).await;
        let ending = async {
            // From before the login's commit to after it.
            tokio::time::sleep(std::time::Duration::from_millis(round % 25)).await;
            match race {
                Race::LogoutAll => app.do_as(&tokens.access, Method::POST, LOGOUT_ALL, &json!({})).await,
                Race::Password => {
                    let body = json!({"currentPassword": current, "newPassword": next});
                    app.do_as(&tokens.access, Method::POST, CHANGE_PASSWORD, &body).await
                }
                Race::Suspension => {
                    let path = format!("{USERS}/{}/status", account.id);
                    app.do_as(&admin.access, Method::PUT, &path, &json!({"status": "SUSPENDED"})).await
                }
            }
        };
        let (raced, ended) = join(app.try_login(&account.email, current), ending).await;
        assert!(ended.status.is_success(), "{race:?}: {}", ended.body);
        if raced.status == 200 {
            let raced = Tokens::of(&raced);
            let alive = app.me(&raced.access).await.status == 200;
            match race {
                // A login that was decided on after the logout of all sessions is a new one, and may live. Which it
                // was is told by the number that it was decided on.
                Race::LogoutAll => assert_eq!(alive, number(&raced) > number(&tokens), "round {round}"),
                Race::Password | Race::Suspension => {
                    assert!(!alive, "round {round}: a session outlived its end by {race:?}");
                    assert_eq!(app.try_refresh(&raced.refresh).await.status, 401);
                }
            }
            won += 1;
        } else {
            raced.problem(401, "INVALID_CREDENTIALS");
            lost += 1;
        }
        app.me(&tokens.access).await.problem(401, "UNAUTHENTICATED");
        // And back to where it began.
        match race {
            Race::LogoutAll => {}
            Race::Password => {
                let token = Tokens::of(&app.try_login(&account.email, next).await).access;
                let body = json!({"currentPassword": next, "newPassword": current});
                assert_eq!(app.do_as(&token, Method::POST, CHANGE_PASSWORD, &body).await.status, 204);
            }
            Race::Suspension => {
                let path = format!("{USERS}/{}/status", account.id);
                let body = json!({"status": "ACTIVE"});
                assert_eq!(app.do_as(&admin.access, Method::PUT, &path, &body).await.status, 200);
            }
        }
    }
    println!("{won} logins came before the end, {lost} after it");
    assert!(won > 0 && lost > 0, "a race that only one side wins is none: {won} before, {lost} after");
}
