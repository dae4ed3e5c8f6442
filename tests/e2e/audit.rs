//! The audit: every event once, without a name or an address, for admins to look up.

use serde_json::{Value, json};

use crate::app::{AUDIT, Account, LOGOUT, NAME, PATIENCE, TestApp, eventually, is_time, members};

/// A bundle, and an admin's access token.
async fn start() -> Option<(TestApp, String)> {
    let app = TestApp::local().await?;
    let admin = app.login(&app.register_admin().await).await.access;
    Some((app, admin))
}

async fn read(app: &TestApp, admin: &str, query: &str) -> Value {
    let answer = app.get_as(admin, &format!("{AUDIT}{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

/// Logs a user in and out.
async fn visit(app: &TestApp, account: &Account) {
    let refresh = app.login(account).await.refresh;
    assert_eq!(app.post(LOGOUT, &json!({"refreshToken": refresh})).await.status, 204);
}

fn kinds(page: &Value) -> Vec<&str> {
    page["data"].as_array().unwrap().iter().map(|record| record["type"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_reads_every_event_of_a_user_newest_first_and_once() {
    let Some((app, admin)) = start().await else { return };
    let account = app.register_as("an-audit-of-mine").await;
    visit(&app, &account).await;
    let query = format!("?userId={}", account.id);
    let look = async || Some(read(&app, &admin, &query).await).filter(|page| kinds(page).len() == 3);
    let page = eventually("records", PATIENCE, look).await;
    assert_eq!(kinds(&page), ["auth.logged_out", "auth.login_success", "auth.user_registered"]);
    assert_eq!((&page["size"], &page["nextCursor"]), (&json!(10), &Value::Null));
    let first = &page["data"][2];
    assert_eq!(members(first), ["correlationId", "data", "id", "receivedAt", "timestamp", "type"]);
    assert_eq!(first["data"], json!({"userId": account.id}));
    assert_eq!(first["correlationId"], "an-audit-of-mine");
    assert!(
        ["timestamp", "receivedAt"].iter().all(|name| is_time(first[*name].as_str().unwrap())),
        "{first}"
    );
    let told = page.to_string();
    assert!(!told.contains(&account.email) && !told.contains(NAME), "{told}");
    // Told again, an event leaves the record that is there.
    let event = app.wait_for_event(&account, "auth.user_registered").await;
    let record = json!({
        "messageId": "m", "receiptHandle": "h", "body": event.to_string(), "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:AuditQueue",
        "attributes": {"ApproximateReceiveCount": "1"},
    });
    for _ in 0..3 {
        let answer = app.invoke("events-audit", &json!({"Records": [record]}).to_string()).await;
        assert_eq!(answer, Ok(json!({"batchItemFailures": []})));
    }
    assert_eq!(read(&app, &admin, &query).await, page);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_is_filtered_by_type_user_and_time_and_read_page_by_page() {
    let Some((app, admin)) = start().await else { return };
    let (one, other) = (app.register().await, app.register().await);
    for _ in 0..4 {
        visit(&app, &one).await;
    }
    visit(&app, &other).await;
    let login = "?type=auth.login_success";
    let of_one = format!("{login}&userId={}", one.id);
    let look = async || Some(read(&app, &admin, &of_one).await).filter(|page| kinds(page).len() == 4);
    let logins = eventually("records", PATIENCE, look).await;
    let look = async || Some(read(&app, &admin, login).await).filter(|page| kinds(page).len() == 6);
    let all = eventually("everybody's", PATIENCE, look).await;
    let times = |page: &Value| -> Vec<String> {
        page["data"].as_array().unwrap().iter().map(|r| r["timestamp"].as_str().unwrap().to_owned()).collect()
    };
    let mut sorted = times(&all);
    sorted.sort_unstable_by(|one, other| other.cmp(one));
    assert_eq!(times(&all), sorted, "newest first");
    // From the second login, and to before the fourth.
    let moments = times(&logins);
    let between = read(&app, &admin, &format!("{of_one}&from={}&to={}", moments[2], moments[0])).await;
    assert_eq!(times(&between), moments[1..3]);
    let none = read(&app, &admin, &format!("?from={}", "2999-01-01T00:00:00Z")).await;
    assert_eq!(none["data"], json!([]));
    // Page by page.
    let (mut seen, mut query) = (Vec::new(), format!("{of_one}&size=3"));
    loop {
        let page = read(&app, &admin, &query).await;
        seen.extend(times(&page));
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        query = format!("{of_one}&size=3&cursor={cursor}");
    }
    assert_eq!(seen, moments);
    let elsewhere = query.replace(&of_one, login);
    for (query, fault) in [
        (elsewhere.as_str(), "cursor INVALID_VALUE"),
        ("?type=auth.unknown", "type INVALID_VALUE"),
        ("?userId=me", "userId INVALID_FORMAT"),
        ("?from=yesterday", "from INVALID_FORMAT"),
        ("?page=1", "page UNKNOWN_FIELD"),
    ] {
        let answer = app.get_as(&admin, &format!("{AUDIT}{query}")).await;
        answer.problem(422, "VALIDATION_FAILED");
        assert_eq!(answer.faults(), [fault]);
    }
}
