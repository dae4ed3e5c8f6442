//! Accounts as their owners and as admins see them.

use futures_util::future::{join, join_all};
use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{
    Account, Answer, ME, PASSWORD, PATIENCE, SESSIONS, TestApp, Tokens, USERS, admins_only, eventually,
    members, new_account, protected,
};

async fn set_roles(app: &TestApp, admin: &Tokens, account: &Account, roles: Value) -> Answer {
    let path = format!("{USERS}/{}/roles", account.id);
    app.do_as(&admin.access, Method::PUT, &path, &json!({"roles": roles})).await
}

async fn set_status(app: &TestApp, admin: &Tokens, account: &Account, status: &str) -> Answer {
    let path = format!("{USERS}/{}/status", account.id);
    app.do_as(&admin.access, Method::PUT, &path, &json!({"status": status})).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_changes_their_name_and_nothing_else() {
    let app = TestApp::start().await;
    let account = app.register().await;
    let token = app.login(&account).await.access;
    let patch = async |body: Value| app.do_as(&token, Method::PATCH, ME, &body).await;
    let before = app.me(&token).await.json();
    let answer = patch(json!({"name": "  Ada King  "})).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let after = answer.json();
    assert_eq!(after["name"], "Ada King");
    assert_eq!(app.me(&token).await.json(), after);
    for member in ["id", "email", "emailVerified", "roles", "createdAt"] {
        assert_eq!(before[member], after[member], "{member}");
    }
    assert_eq!(patch(json!({})).await.json(), after, "nothing asked for, nothing changed");
    for (body, fault) in [
        (json!({"name": ""}), "/name TOO_SHORT"),
        (json!({"roles": ["admin"]}), "/roles UNKNOWN_FIELD"),
        (json!({"email": "eve@example.com"}), "/email UNKNOWN_FIELD"),
        (json!({"emailVerified": true}), "/emailVerified UNKNOWN_FIELD"),
    ] {
        let answer = patch(body).await;
        answer.problem(422, "VALIDATION_FAILED");
        assert_eq!(answer.faults(), [fault]);
    }
    patch(json!({"name": null})).await.problem(400, "INVALID_TYPE");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_account_is_gone_with_its_sessions_and_its_address_is_free() {
    let Some(app) = TestApp::with_parameter("LoginFreeAttempts", "100").await else { return };
    let account = app.register().await;
    let tokens = join_all((0..30).map(|_| app.login(&account))).await;
    let delete = async |password: &str| {
        app.do_as(&tokens[0].access, Method::DELETE, ME, &json!({"password": password})).await
    };
    delete("Wrong-password-1").await.problem(400, "INVALID_CREDENTIALS");
    let answer = delete(PASSWORD).await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (204, ""));
    for tokens in &tokens {
        app.me(&tokens.access).await.problem(401, "UNAUTHENTICATED");
    }
    app.try_login(&account.email, PASSWORD).await.problem(401, "INVALID_CREDENTIALS");
    let event = app.wait_for_event(&account, "user.deleted").await;
    assert_eq!(event["detail"]["data"], json!({"userId": account.id}));
    // Thirty are two pages.
    let dynamodb = app.aws().dynamodb();
    let look = async || {
        let query = dynamodb.query().table_name("SessionsTable").key_condition_expression("userId = :id");
        let id = aws_sdk_dynamodb::types::AttributeValue::S(account.id.clone());
        let found = query.expression_attribute_values(":id", id).send().await.unwrap();
        (found.count() == 0).then_some(())
    };
    eventually("end of all sessions", PATIENCE, look).await;

    let again = app.post(crate::app::REGISTER, &new_account(&account.email)).await;
    assert_eq!(again.status, 201, "{}", again.body);
    assert_ne!(again.json()["id"], account.id.as_str());
    let admin = app.login(&app.register_admin().await).await;
    app.get_as(&admin.access, &format!("{USERS}/{}", account.id)).await.problem(404, "NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_reads_every_account_and_never_a_hash() {
    let Some(app) = TestApp::local().await else { return };
    let (admin, account) = (app.register_admin().await, app.register().await);
    let token = app.login(&admin).await.access;
    let answer = app.get_as(&token, &format!("{USERS}/{}", account.id)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let names =
        ["createdAt", "email", "emailVerified", "id", "name", "roles", "status", "syncStatus", "updatedAt"];
    assert_eq!(members(&answer.json()), names);
    assert_eq!(
        (&answer.json()["status"], &answer.json()["email"]),
        (&json!("ACTIVE"), &json!(account.email))
    );
    for id in ["nothing", &uuid::Uuid::now_v7().to_string(), &account.id.to_uppercase()] {
        let problem = app.get_as(&token, &format!("{USERS}/{id}")).await.problem(404, "NOT_FOUND");
        assert_eq!(problem["detail"], "User not found");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_users_has_each_once_newest_first_by_page_and_by_cursor() {
    let Some(app) = TestApp::local().await else { return };
    let mut wanted = vec![app.register_admin().await];
    let admin = app.login(&wanted[0]).await;
    for _ in 0..24 {
        wanted.push(app.register().await);
    }
    wanted.reverse();
    let ids: Vec<&str> = wanted.iter().map(|account| account.id.as_str()).collect();
    let list = async |query: &str| app.get_as(&admin.access, &format!("{USERS}{query}")).await;
    let found = |page: &Value| -> Vec<String> {
        page["data"].as_array().unwrap().iter().map(|user| user["id"].as_str().unwrap().to_owned()).collect()
    };

    let first = list("").await.json();
    assert_eq!(members(&first), ["data", "nextCursor", "page", "size", "total"]);
    assert_eq!((&first["page"], &first["size"], &first["total"]), (&json!(0), &json!(10), &json!(25)));
    assert_eq!(found(&first), ids[..10]);
    assert_eq!(found(&list("?page=1&size=7").await.json()), ids[7..14]);
    assert_eq!(found(&list("?page=2&size=10").await.json()), ids[20..]);
    let last = list("?page=0&size=25").await.json();
    assert_eq!((found(&last).len(), &last["nextCursor"]), (25, &Value::Null));
    assert_eq!(found(&list("?page=100").await.json()).len(), 0);

    // A cursor stays where it is while others come.
    let mut walked = found(&first);
    let mut cursor = first["nextCursor"].clone();
    while let Some(next) = cursor.as_str() {
        app.register().await;
        let page = list(&format!("?size=6&cursor={next}")).await.json();
        walked.extend(found(&page));
        cursor = page["nextCursor"].clone();
    }
    assert_eq!(walked, ids);

    let next = first["nextCursor"].as_str().unwrap();
    let tampered = format!("{}{}", if next.starts_with('A') { 'B' } else { 'A' }, &next[1..]);
    for (query, parameter, code) in [
        ("?page=-1", "page", "OUT_OF_RANGE"),
        ("?page=x", "page", "INVALID_FORMAT"),
        ("?page=1001&size=10", "page", "OUT_OF_RANGE"),
        ("?size=0", "size", "OUT_OF_RANGE"),
        ("?size=101", "size", "OUT_OF_RANGE"),
        ("?size=1.5", "size", "INVALID_FORMAT"),
        ("?pgae=1", "pgae", "UNKNOWN_FIELD"),
        ("?cursor=x", "cursor", "INVALID_VALUE"),
        (&format!("?cursor={tampered}"), "cursor", "INVALID_VALUE"),
        (&format!("?cursor={next}&page=0"), "page", "NOT_ALLOWED"),
    ] {
        let problem = list(query).await.problem(422, "VALIDATION_FAILED");
        let fault = &problem["errors"][0];
        assert_eq!((&fault["parameter"], &fault["code"]), (&json!(parameter), &json!(code)), "{query}");
    }
    assert!(list("?page=1001").await.body.contains("cursor"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_total_follows_registrations_and_deletions_at_once() {
    let Some(app) = TestApp::local().await else { return };
    let admin = app.login(&app.register_admin().await).await;
    let accounts = join_all((0..20).map(|_| app.register())).await;
    join_all(accounts[..8].iter().map(async |account| {
        let token = app.login(account).await.access;
        let answer = app.do_as(&token, Method::DELETE, ME, &json!({"password": PASSWORD})).await;
        assert_eq!(answer.status, 204, "{}", answer.body);
    }))
    .await;
    let page = app.get_as(&admin.access, &format!("{USERS}?size=100")).await.json();
    assert_eq!((page["total"].as_i64(), page["data"].as_array().unwrap().len()), (Some(13), 13));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_gives_and_takes_roles() {
    let Some(app) = TestApp::local().await else { return };
    let (admin, account) = (app.login(&app.register_admin().await).await, app.register().await);
    let answer = set_roles(&app, &admin, &account, json!(["user", "admin", "user"])).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["roles"]), (200, &json!(["user", "admin"])));
    let promoted = app.login(&account).await;
    assert_eq!(app.get_as(&promoted.access, USERS).await.status, 200);
    let event = app.wait_for_event(&account, "user.roles_changed").await;
    assert_eq!(event["detail"]["data"], json!({"userId": account.id, "roles": ["user", "admin"]}));

    // The same once more changes nothing, and ends no session.
    assert_eq!(set_roles(&app, &admin, &account, json!(["admin", "user"])).await.status, 200);
    assert_eq!(app.me(&promoted.access).await.status, 200);
    for roles in [json!([]), json!(["root"]), json!(["user", "Admin"])] {
        set_roles(&app, &admin, &account, roles).await.problem(422, "VALIDATION_FAILED");
    }
    set_roles(&app, &admin, &account, json!("admin")).await.problem(400, "INVALID_TYPE");
    let nobody = Account { id: uuid::Uuid::now_v7().to_string(), email: String::new() };
    set_roles(&app, &admin, &nobody, json!(["user"])).await.problem(404, "NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_user_is_out_until_an_admin_says_otherwise() {
    let Some(app) = TestApp::local().await else { return };
    let (admin, account) = (app.login(&app.register_admin().await).await, app.register().await);
    let tokens = app.login(&account).await;
    let answer = set_status(&app, &admin, &account, "SUSPENDED").await;
    assert_eq!((answer.status.as_u16(), &answer.json()["status"]), (200, &json!("SUSPENDED")));
    app.try_login(&account.email, PASSWORD).await.problem(401, "INVALID_CREDENTIALS");
    app.try_refresh(&tokens.refresh).await.problem(401, "TOKEN_EXPIRED");
    assert_eq!(set_status(&app, &admin, &account, "ACTIVE").await.status, 200);
    app.me(&tokens.access).await.problem(401, "UNAUTHENTICATED");
    assert_eq!(app.try_login(&account.email, PASSWORD).await.status, 200);
    let event = app.wait_for_event(&account, "user.status_changed").await;
    assert_eq!(event["detail"]["data"], json!({"userId": account.id, "status": "SUSPENDED"}));
    set_status(&app, &admin, &account, "DELETED").await.problem(422, "VALIDATION_FAILED");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_active_admin_stays_one() {
    let Some(app) = TestApp::local().await else { return };
    let account = app.register_admin().await;
    let admin = app.login(&account).await;
    set_roles(&app, &admin, &account, json!(["user"])).await.problem(409, "LAST_ADMIN");
    set_status(&app, &admin, &account, "SUSPENDED").await.problem(409, "LAST_ADMIN");
    let delete = app.do_as(&admin.access, Method::DELETE, ME, &json!({"password": PASSWORD})).await;
    delete.problem(409, "LAST_ADMIN");
    assert_eq!(app.get_as(&admin.access, USERS).await.status, 200);

    // One that is suspended does not count.
    let second = app.register_admin().await;
    assert_eq!(set_status(&app, &admin, &second, "SUSPENDED").await.status, 200);
    set_roles(&app, &admin, &account, json!(["user"])).await.problem(409, "LAST_ADMIN");
    assert_eq!(set_roles(&app, &admin, &second, json!(["user"])).await.status, 200);
    set_roles(&app, &admin, &account, json!(["user"])).await.problem(409, "LAST_ADMIN");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_admins_who_demote_each_other_at_once_one_stays() {
    let Some(app) = TestApp::local().await else { return };
    let accounts = [app.register_admin().await, app.register_admin().await];
    for _ in 0..20 {
        let (one, two) = (app.login(&accounts[0]).await, app.login(&accounts[1]).await);
        let (first, second) = join(
            set_roles(&app, &one, &accounts[1], json!(["user"])),
            set_roles(&app, &two, &accounts[0], json!(["user"])),
        )
        .await;
        let mut statuses = [first.status.as_u16(), second.status.as_u16()];
        statuses.sort_unstable();
        assert!([[200, 401], [200, 409]].contains(&statuses), "{} {}", first.body, second.body);
        // And themselves.
        let demoted = &accounts[usize::from(first.status == 200)];
        let event = json!({"email": demoted.email, "role": "admin"});
        app.invoke("users-grant-role", &event.to_string()).await.unwrap();
        let (one, two) = (app.login(&accounts[0]).await, app.login(&accounts[1]).await);
        let (first, second) = join(
            set_roles(&app, &one, &accounts[0], json!(["user"])),
            set_roles(&app, &two, &accounts[1], json!(["user"])),
        )
        .await;
        let mut statuses = [first.status.as_u16(), second.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409], "{} {}", first.body, second.body);
        let demoted = &accounts[usize::from(second.status == 200)];
        let event = json!({"email": demoted.email, "role": "admin"});
        app.invoke("users-grant-role", &event.to_string()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_user_reaches_what_is_for_admins() {
    let Some(app) = TestApp::local().await else { return };
    let (account, other) = (app.register().await, app.register().await);
    let tokens = app.login(&account).await;
    for (method, path, body) in admins_only() {
        for id in [&account.id, &other.id] {
            let request = app.as_user(&tokens.access, method.clone(), &path.replace("{id}", id));
            let request = if let Some(body) = &body { request.json(body) } else { request };
            app.send(request).await.problem(403, "FORBIDDEN");
        }
    }
    assert_eq!(app.me(&tokens.access).await.json()["roles"], json!(["user"]));
    assert_eq!(app.try_login(&other.email, PASSWORD).await.status, 200);
    let grant = |email: &str, role: &str| json!({"email": email, "role": role}).to_string();
    assert!(app.invoke("users-grant-role", &grant("nobody@example.com", "admin")).await.is_err());
    assert!(app.invoke("users-grant-role", &grant(&account.email, "root")).await.is_err());
}

/// Everything that one user can do, with whatever of the other's ids fits: the other's account stays as it is.
#[tokio::test(flavor = "multi_thread")]
async fn neither_of_two_users_reads_or_changes_anything_of_the_other() {
    let Some(app) = TestApp::local().await else { return };
    for (method, path, body) in protected() {
        let (account, other) = (app.register().await, app.register().await);
        let (tokens, others) = (app.login(&account).await, app.login(&other).await);
        let before = app.me(&others.access).await.json();
        let session = app.get_as(&others.access, SESSIONS).await.json()["data"][0]["id"].clone();
        // A session's id is no file's either.
        let expected = if path.contains("{id}") { 404..405 } else { 200..300 };
        let path = path.replace("{id}", session.as_str().unwrap());
        let request = app.as_user(&tokens.access, method.clone(), &path);
        let request = if let Some(body) = &body { request.json(body) } else { request };
        let answer = app.send(request).await;
        assert!(expected.contains(&answer.status.as_u16()), "{method} {path}: {}", answer.body);
        for secret in [other.id.as_str(), &other.email, session.as_str().unwrap()] {
            let own = answer.body.replace(&path, "");
            assert!(!own.contains(secret), "{method} {path} tells {secret}: {}", answer.body);
        }
        assert_eq!(app.me(&others.access).await.json(), before, "{method} {path}");
        assert_eq!(app.get_as(&others.access, SESSIONS).await.json()["data"].as_array().unwrap().len(), 1);
        assert_eq!(app.try_login(&other.email, PASSWORD).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_changed_only_as_it_was_read() {
    let Some(app) = TestApp::local().await else { return };
    let account = app.register().await;
    let (token, admin) = (app.login(&account).await.access, app.login(&app.register_admin().await).await);
    let path = format!("{USERS}/{}", account.id);
    let conditional =
        async |token: &str, method: Method, path: &str, header: &str, tag: &str, body: Value| {
            let request = app.as_user(token, method, path).header(header, tag);
            app.send(if body.is_null() { request } else { request.json(&body) }).await
        };
    let tag = app.me(&token).await.header("etag").unwrap().to_owned();
    assert_eq!(app.get_as(&admin.access, &path).await.header("etag"), Some(tag.as_str()));
    for (token, path) in [(&token, ME), (&admin.access, &path)] {
        let answer = conditional(token, Method::GET, path, "if-none-match", &tag, Value::Null).await;
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (304, ""));
        assert_eq!(answer.header("etag"), Some(tag.as_str()));
    }
    let stale = "\"999\"";
    for body in [json!({"name": "Ada King"}), json!({})] {
        let answer = conditional(&token, Method::PATCH, ME, "if-match", stale, body).await;
        answer.problem(412, "PRECONDITION_FAILED");
    }
    let body = json!({"password": PASSWORD});
    conditional(&token, Method::DELETE, ME, "if-match", stale, body.clone())
        .await
        .problem(412, "PRECONDITION_FAILED");
    for (what, body) in [("roles", json!({"roles": ["user"]})), ("status", json!({"status": "SUSPENDED"}))] {
        let path = format!("{path}/{what}");
        let answer = conditional(&admin.access, Method::PUT, &path, "if-match", stale, body).await;
        answer.problem(412, "PRECONDITION_FAILED");
    }
    assert_eq!(app.me(&token).await.header("etag"), Some(tag.as_str()), "nothing was changed");
    let renamed = conditional(&token, Method::PATCH, ME, "if-match", &tag, json!({"name": "Ada King"})).await;
    assert_eq!(renamed.status, 200, "{}", renamed.body);
    let newer = renamed.header("etag").unwrap();
    assert_ne!(newer, tag);
    assert_eq!(conditional(&token, Method::GET, ME, "if-none-match", &tag, Value::Null).await.status, 200);
    conditional(&token, Method::DELETE, ME, "if-match", &tag, body.clone())
        .await
        .problem(412, "PRECONDITION_FAILED");
    assert_eq!(conditional(&token, Method::DELETE, ME, "if-match", newer, body).await.status, 204);
}
