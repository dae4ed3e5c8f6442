//! Files: what their owner can do with them, and nobody else.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{FILES, ME, PASSWORD, PATIENCE, TestApp, eventually, is_time, members};
use crate::documents::{one_of_each, pdf, png};
use crate::drive::{Drive, Upload, path};

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_file_is_uploaded_seen_active_downloaded_and_deleted() {
    let Some(drive) = Drive::start().await else { return };
    for (extension, bytes) in one_of_each() {
        let filename = format!("r\u{e9}sum\u{e9} \"1\".{extension}");
        let created = drive.create(&filename, bytes.len()).await;
        let names = ["contentType", "filename", "id", "size", "status", "upload", "url"];
        assert_eq!(members(&created), names);
        assert_eq!((&created["status"], &created["url"]), (&json!("PENDING"), &Value::Null));
        assert_eq!(members(&created["upload"]), ["expiresAt", "headers", "method", "url"]);
        assert!(is_time(created["upload"]["expiresAt"].as_str().unwrap()));
        let headers = &created["upload"]["headers"];
        assert_eq!(members(headers), ["content-type", "if-none-match"], "and no Content-Length");
        assert_eq!(headers["content-type"], created["contentType"]);
        drive.download(&created).await.problem(404, "NOT_FOUND");

        let put = drive.put(&Upload::of(&created), bytes.clone()).await;
        assert_eq!(put.status, 200, "{}", put.code());
        let file = drive.settled(&created).await;
        let names =
            ["contentType", "filename", "id", "reason", "sha256", "size", "status", "uploadedAt", "url"];
        assert_eq!(members(&file), names);
        assert_eq!(file["status"], "ACTIVE", "{file}");
        assert_eq!(file["sha256"], sha256(&bytes));
        assert_eq!(file["url"], format!("{}/download", path(&file)));
        assert!(is_time(file["uploadedAt"].as_str().unwrap()));

        let download = drive.download(&file).await.json();
        assert_eq!(members(&download), ["downloadUrl", "expiresAt"]);
        let fetched = drive.fetch(download["downloadUrl"].as_str().unwrap()).await;
        assert_eq!((fetched.status.as_u16(), fetched.body == bytes), (200, true), "{extension}");
        assert_eq!(fetched.headers["content-type"], created["contentType"].as_str().unwrap());
        let disposition = fetched.headers["content-disposition"].to_str().unwrap();
        let expected = format!(
            "attachment; filename=\"r_sum_ _1_.{extension}\"; \
             filename*=UTF-8''r%C3%A9sum%C3%A9%20%221%22.{extension}"
        );
        assert_eq!(disposition, expected);

        assert_eq!(drive.objects().await.len(), 1, "the quarantine is empty");
        assert_eq!(drive.delete(&file).await.status, 204);
        assert_eq!(drive.read(&file).await.problem(404, "NOT_FOUND")["detail"], "File not found");
        drive.download(&file).await.problem(404, "NOT_FOUND");
        drive.delete(&file).await.problem(404, "NOT_FOUND");
        assert_eq!(drive.objects().await, [""; 0]);
    }
    let count = one_of_each().len();
    let look = async || Some(drive.events().await).filter(|events| events.len() == 2 * count);
    let events = eventually("events", PATIENCE, look).await;
    assert_eq!(events.iter().filter(|kind| *kind == "file.uploaded").count(), count);
    assert_eq!(drive.list("").await["data"], json!([]));
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    let digest: [u8; 32] = sha2::Sha256::digest(bytes).into();
    shared::sha256::Sha256::from(digest).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_its_owners_on_every_verb_and_an_admin_reads_and_deletes() {
    let Some(drive) = Drive::start().await else { return };
    let file = drive.active("notes.pdf", &pdf(100)).await;
    let stranger = drive.app.login(&drive.app.register().await).await.access;
    let verbs = [
        (Method::GET, path(&file)),
        (Method::GET, format!("{}/download", path(&file))),
        (Method::DELETE, path(&file)),
    ];
    for (method, path) in &verbs {
        let answer = drive.app.send(drive.app.as_user(&stranger, method.clone(), path)).await;
        assert_eq!(answer.problem(404, "NOT_FOUND")["detail"], "File not found", "{method} {path}");
    }
    let listed = drive.app.get_as(&stranger, FILES).await.json();
    assert_eq!(listed, json!({"data": [], "size": 10, "nextCursor": null}));
    assert_eq!(drive.read(&file).await.json(), file, "and is as it was");

    let admin = drive.app.login(&drive.app.register_admin().await).await.access;
    assert_eq!(drive.app.get_as(&admin, FILES).await.json()["data"], json!([]), "the list is the own one");
    for (method, path) in verbs {
        let answer = drive.app.send(drive.app.as_user(&admin, method.clone(), &path)).await;
        assert!(answer.status.is_success(), "{method} {path}: {}", answer.body);
    }
    drive.read(&file).await.problem(404, "NOT_FOUND");
    let event = drive.app.wait_for_event(&drive.account, "file.deleted").await;
    assert_eq!(event["detail"]["data"], json!({"fileId": file["id"], "userId": drive.account.id}));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_session_deletes_nothing() {
    let Some(drive) = Drive::start().await else { return };
    let file = drive.active("notes.pdf", &pdf(100)).await;
    let logout = drive.send(Method::POST, crate::app::LOGOUT_ALL).await;
    assert_eq!(logout.status, 204);
    drive.delete(&file).await.problem(401, "UNAUTHENTICATED");
    assert_eq!(drive.objects().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_listed_newest_first_page_by_page() {
    let Some(drive) = Drive::start().await else { return };
    let mut made = Vec::new();
    for number in 0..7 {
        made.insert(0, drive.create(&format!("{number}.gif"), 9).await["id"].clone());
    }
    let ids = |page: &Value| -> Vec<Value> {
        page["data"].as_array().unwrap().iter().map(|file| file["id"].clone()).collect()
    };
    assert_eq!(ids(&drive.list("").await), made);
    let (mut seen, mut query) = (Vec::new(), "?size=3".to_owned());
    let cursor = loop {
        let page = drive.list(&query).await;
        assert_eq!(page["size"], 3);
        seen.extend(ids(&page));
        let Some(cursor) = page["nextCursor"].as_str() else { break query };
        query = format!("?size=3&cursor={cursor}");
    };
    assert_eq!(seen, made);
    // A cursor is of one list, and a page is not counted.
    let stranger = drive.app.login(&drive.app.register().await).await.access;
    let answer = drive.app.get_as(&stranger, &format!("{FILES}{cursor}")).await;
    assert_eq!(answer.faults(), ["cursor INVALID_VALUE"]);
    for (query, fault) in [
        ("?page=1", "page UNKNOWN_FIELD"),
        ("?size=0", "size OUT_OF_RANGE"),
        ("?size=101", "size OUT_OF_RANGE"),
    ] {
        assert_eq!(drive.send(Method::GET, &format!("{FILES}{query}")).await.faults(), [fault]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_new_file_is_told_at_once() {
    let Some(drive) = Drive::start().await else { return };
    let answer = drive.try_create(&json!({"filename": "run.EXE", "size": 9})).await;
    let problem = answer.problem(422, "VALIDATION_FAILED");
    assert_eq!(problem["detail"], "File type not allowed: exe");
    assert_eq!(problem["extension"], "exe");
    assert_eq!(answer.faults(), ["/filename NOT_ALLOWED"]);
    let answer = drive.try_create(&json!({"filename": "a.png", "size": 10_485_761})).await;
    let problem = answer.problem(422, "VALIDATION_FAILED");
    assert_eq!(problem["detail"], "File too large. Max size: 10485760 bytes");
    assert_eq!((&problem["maxSize"], &problem["actualSize"]), (&json!(10_485_760), &json!(10_485_761)));
    let answer =
        drive.try_create(&json!({"filename": "run.exe", "size": 10_485_761, "sha256": "no", "who": 1})).await;
    let problem = answer.problem(422, "VALIDATION_FAILED");
    assert_eq!((&problem["extension"], &problem["maxSize"]), (&json!("exe"), &json!(10_485_760)));
    let faults =
        ["/filename NOT_ALLOWED", "/size OUT_OF_RANGE", "/sha256 INVALID_FORMAT", "/who UNKNOWN_FIELD"];
    assert_eq!(answer.faults(), faults);
    let emojis = format!("{}.png", "\u{1f600}".repeat(300));
    for (filename, fault) in [
        ("../../etc/a.png", "/filename INVALID_FORMAT"),
        ("a\r\nX-Evil: 1.png", "/filename INVALID_FORMAT"),
        ("a\0.png", "/filename INVALID_FORMAT"),
        (&emojis, "/filename TOO_LONG"),
        ("", "/filename TOO_SHORT"),
    ] {
        let answer = drive.try_create(&json!({"filename": filename, "size": 9})).await;
        answer.problem(422, "VALIDATION_FAILED");
        assert_eq!(answer.faults(), [fault], "{filename:?}");
    }
    for (body, fault) in [
        (json!({"filename": "a.png"}), "/size REQUIRED"),
        (json!({"filename": "a.png", "size": 0}), "/size OUT_OF_RANGE"),
        (json!({"filename": "a.png", "size": -1}), "/size OUT_OF_RANGE"),
        (json!({"filename": "a.png", "size": 9, "contentType": "image/gif"}), "/contentType INVALID_VALUE"),
    ] {
        let answer = drive.try_create(&body).await;
        answer.problem(422, "VALIDATION_FAILED");
        assert_eq!(answer.faults(), [fault], "{body}");
    }
    let answer = drive.try_create(&json!({"filename": "a.png", "size": "9"})).await;
    answer.problem(400, "INVALID_TYPE");
    assert_eq!(drive.list("").await["data"], json!([]));
    // What is only the folder around a name is cut off.
    let file = drive.create("C:\\fakepath\\a.PNG", 9).await;
    assert_eq!((&file["filename"], &file["contentType"]), (&json!("a.PNG"), &json!("image/png")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_has_a_version() {
    let Some(drive) = Drive::start().await else { return };
    let created = drive.try_create(&json!({"filename": "a.png", "size": 100})).await;
    assert_eq!(created.header("etag"), Some("\"1\""));
    assert_eq!(created.header("location"), Some(&*path(&created.json())));
    let put = drive.put(&Upload::of(&created.json()), png(100)).await;
    assert_eq!(put.status, 200);
    let file = drive.settled(&created.json()).await;
    let read = drive.read(&file).await;
    let etag = read.header("etag").unwrap().to_owned();
    assert_eq!(etag, "\"2\"");
    let again = drive.app.as_user(&drive.token, Method::GET, &path(&file)).header("if-none-match", &etag);
    assert_eq!(drive.app.send(again).await.status, 304);
    let delete =
        |etag: &str| drive.app.as_user(&drive.token, Method::DELETE, &path(&file)).header("if-match", etag);
    drive.app.send(delete("\"1\"")).await.problem(412, "PRECONDITION_FAILED");
    assert_eq!(drive.objects().await.len(), 1, "and nothing was removed");
    assert_eq!(drive.app.send(delete(&etag)).await.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_gets_the_same_file_and_a_url_of_its_own() {
    let Some(drive) = Drive::embedded().await else { return };
    let body = json!({"filename": "a.png", "size": 100, "sha256": sha256(&png(100))});
    let send = async |body: &Value| {
        let request = drive.app.as_user(&drive.token, Method::POST, FILES).header("idempotency-key", "one");
        drive.app.send(request.json(body)).await
    };
    let first = send(&body).await;
    assert_eq!(first.status, 201, "{}", first.body);
    drive.app.advance_clock(3600).await;
    let again = send(&body).await;
    assert_eq!((again.status.as_u16(), again.header("idempotency-replayed")), (201, Some("true")));
    for name in ["location", "etag", "content-type"] {
        assert_eq!(again.header(name), first.header(name));
    }
    let (mut first, mut again) = (first.json(), again.json());
    let (old, new) = (Upload::of(&first), Upload::of(&again));
    assert_ne!(old.url, new.url);
    assert_eq!(old.headers, new.headers);
    first["upload"].take();
    again["upload"].take();
    assert_eq!(first, again);
    // The first one has expired by now.
    assert_eq!(drive.put(&old, png(100)).await.status, 403);
    assert_eq!(drive.put(&new, png(100)).await.status, 200);
    assert_eq!(drive.settled(&first).await["status"], "ACTIVE");
    assert_eq!(drive.list("").await["data"].as_array().unwrap().len(), 1);
    send(&json!({"filename": "b.png", "size": 100})).await.problem(422, "IDEMPOTENCY_KEY_REUSED");
    // What lies in the table has no signature.
    let items = drive.app.aws().dynamodb().scan().table_name("IdempotencyTable").send().await.unwrap();
    let answers: Vec<&String> =
        items.items().iter().filter_map(|item| item.get("answer")?.as_s().ok()).collect();
    assert_eq!(answers.len(), 1);
    assert!(!answers[0].to_lowercase().contains("x-amz-"), "{}", answers[0]);
}

const MB: usize = 1 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_is_never_exceeded_and_is_given_back_once() {
    let bytes = 13 * MB;
    let Some(app) = TestApp::with_parameter("FileQuotaBytes", &bytes.to_string()).await else { return };
    let mut drive = Drive::on(app).await;
    let ten = drive.create("ten.pdf", 10 * MB).await;
    // 50 at once for the last 3 MB: three find room, whichever these are.
    let body = json!({"filename": "a.png", "size": MB});
    let answers = join_all((0..50).map(|_| drive.try_create(&body))).await;
    let granted: Vec<Value> =
        answers.iter().filter(|answer| answer.status == 201).map(|a| a.json()).collect();
    assert_eq!(granted.len(), 3);
    for refused in answers.iter().filter(|answer| answer.status != 201) {
        let problem = refused.problem(422, "QUOTA_EXCEEDED");
        assert!(problem["detail"].as_str().unwrap().contains("13631488 bytes"), "{problem}");
    }
    // Deleted by many at once, one file gives back what one file took.
    let deleted = join_all((0..10).map(|_| drive.delete(&granted[0]))).await;
    assert!(deleted.iter().all(|answer| [204, 404].contains(&answer.status.as_u16())));
    assert!(deleted.iter().any(|answer| answer.status == 204));
    assert_eq!(drive.try_create(&json!({"filename": "a.png", "size": MB + 1})).await.status, 422);
    let again = drive.create("a.png", MB).await;
    // Rejected, a file gives it back; deleted after that, not once more.
    let lie = vec![0; MB];
    assert_eq!(drive.put(&Upload::of(&again), lie).await.status, 200);
    assert_eq!(drive.settled(&again).await["reason"], "TYPE_MISMATCH");
    assert_eq!(drive.delete(&again).await.status, 204);
    drive.create("a.png", MB).await;
    drive.try_create(&json!({"filename": "a.png", "size": 1})).await.problem(422, "QUOTA_EXCEEDED");
    // Expired, all do; and still not twice.
    drive.app.advance_clock(24 * 3600 + 3600).await;
    drive.token = drive.app.login(&drive.account).await.access;
    assert_eq!(drive.settled(&ten).await["status"], "EXPIRED");
    assert_eq!(drive.read(&ten).await.json()["reason"], "NOT_IN_TIME");
    assert_eq!(drive.delete(&ten).await.status, 204);
    for size in [10 * MB, 3 * MB] {
        let body = json!({"filename": "a.pdf", "size": size});
        let look = async || (drive.try_create(&body).await.status == 201).then_some(());
        eventually("room", PATIENCE, look).await;
    }
    drive.try_create(&json!({"filename": "a.png", "size": 1})).await.problem(422, "QUOTA_EXCEEDED");
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_files_and_no_more() {
    let Some(app) = TestApp::with_parameter("FileQuotaFiles", "3").await else { return };
    let drive = Drive::on(app).await;
    let body = json!({"filename": "a.png", "size": 1});
    let answers = join_all((0..12).map(|_| drive.try_create(&body))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 3);
    // Another user has a quota of their own.
    let other = Drive::on(drive.app).await;
    assert_eq!(other.try_create(&body).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_users_files_are_removed() {
    let Some(drive) = Drive::start().await else { return };
    // More than are removed at once.
    let bytes = pdf(50);
    let uploads = join_all((0..30).map(|number| {
        let (drive, bytes) = (&drive, &bytes);
        async move { drive.upload(&format!("{number}.pdf"), bytes).await }
    }));
    for file in uploads.await {
        assert_eq!(drive.settled(&file).await["status"], "ACTIVE");
    }
    let pending = drive.create("late.pdf", 50).await;
    let other = drive.app.login(&drive.app.register().await).await.access;
    let body = json!({"filename": "kept.pdf", "size": 50});
    let kept = drive.app.do_as(&other, Method::POST, FILES, &body).await.json();
    assert_eq!(drive.put(&Upload::of(&kept), bytes.clone()).await.status, 200);

    let answer = drive.app.do_as(&drive.token, Method::DELETE, ME, &json!({"password": PASSWORD})).await;
    assert_eq!(answer.status, 204, "{}", answer.body);
    let left = drive.wait_for_objects(1).await;
    assert_eq!(drive.app.get_as(&other, &path(&kept)).await.json()["status"], "ACTIVE");
    let look = async || Some(drive.events().await).filter(|events| events.len() == 30 + 31);
    eventually("an event of each", PATIENCE, look).await;
    // Nothing is left of how much it was, and nothing of a name.
    let of_user = |item: &&std::collections::HashMap<_, aws_sdk_dynamodb::types::AttributeValue>| {
        item["id"].as_s().unwrap().contains(&drive.account.id)
    };
    let look = async || {
        let counters = drive.app.aws().dynamodb().scan().table_name("CountersTable").send().await.unwrap();
        counters.items().iter().all(|item| !of_user(&item)).then_some(())
    };
    eventually("no counters", PATIENCE, look).await;
    let files = drive.app.aws().dynamodb().scan().table_name("FilesTable").send().await.unwrap();
    let named = files.items().iter().filter(|item| item["filename"].as_s().unwrap() != "deleted");
    assert_eq!(named.count(), 1, "the other user's");
    // What comes later for a file of theirs goes too.
    assert_eq!(drive.put(&Upload::of(&pending), bytes.clone()).await.status, 200);
    let look = async || (drive.objects().await == left).then_some(());
    eventually("the late one's end", PATIENCE, look).await;
}
