//! `files-finalize`, killed between any two steps, told twice, too late or by many at once.

use std::sync::Arc;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{FILES, LOGOUT_ALL, ME, PASSWORD, PATIENCE, TestApp, eventually};
use crate::documents::{exe, pdf};
use crate::drive::{Drive, Upload, path};
use crate::faults::{self, Done, Faults};
use crate::gate::Stop;

/// A bundle whose calls can be stopped, and which finalizes nothing by itself.
async fn start() -> Option<(Drive, Arc<Done>)> {
    let (app, done) = faults::start(Faults::default(), &["files-finalize"]).await?;
    Some((Drive::on(app).await, done))
}

/// What the queue of `files-finalize` holds for an uploaded file.
fn told(file: &Value) -> String {
    let key = format!("quarantine/{}", file["id"].as_str().unwrap());
    let body = json!({
        "id": uuid::Uuid::new_v4(), "source": "aws.s3", "detail-type": "Object Created",
        "detail": {"bucket": {"name": crate::drive::BUCKET}, "object": {"key": key, "size": file["size"]}},
    });
    json!({"Records": [{
        "messageId": "message-0", "receiptHandle": "-", "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:ObjectCreatedQueue",
        "attributes": {"ApproximateReceiveCount": "1"}, "body": body.to_string(),
    }]})
    .to_string()
}

async fn tell(app: &TestApp, file: &Value) -> bool {
    let answer = app.invoke("files-finalize", &told(file)).await.unwrap();
    answer == json!({"batchItemFailures": []})
}

/// The types of the events about a file that were put on the bus.
fn events(done: &Done, file: &Value) -> Vec<String> {
    let events = json!(done.cloud.bus().recent(10_000).unwrap());
    let of_file = |event: &&Value| event["detail"]["data"]["fileId"] == file["id"];
    let kind = |event: &Value| event["detail-type"].as_str().unwrap().to_owned();
    events.as_array().unwrap().iter().filter(of_file).map(kind).collect()
}

/// Deletes a file, and waits until everything is told of it.
async fn end(drive: &Drive, done: &Done, file: &Value) -> Vec<String> {
    assert_eq!(drive.delete(file).await.status, 204);
    let look =
        async || Some(events(done, file)).filter(|events| events.iter().any(|kind| kind == "file.deleted"));
    eventually("file.deleted", PATIENCE, look).await
}

/// How many bytes of the user's quota are taken.
async fn room_taken(drive: &Drive) -> i64 {
    let counters = drive.app.aws().dynamodb().scan().table_name("CountersTable").send().await.unwrap();
    let id = format!("file-bytes#{}", drive.account.id);
    let item = counters.items().iter().find(|item| item["id"].as_s() == Ok(&id)).unwrap();
    item["total"].as_n().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_between_any_two_steps_leaves_one_active_file_and_nothing_else() {
    let Some((drive, done)) = start().await else { return };
    let bytes = pdf(5000);
    let (mut passing, mut killed) = (0, 0);
    // Read the item, read the object, copy it, write the item, remove what is left.
    for stop in Stop::BOTH.into_iter().cycle() {
        let file = drive.upload("notes.pdf", &bytes).await;
        done.gate.stop(passing, stop);
        let app = &drive.app;
        if let Some(told) = done.gate.kill(tell(app, &file)).await {
            assert!(told);
            assert_eq!(end(&drive, &done, &file).await, ["file.uploaded", "file.deleted"]);
            break;
        }
        killed += 1;
        for again in 0..3 {
            assert!(tell(app, &file).await, "{passing} {stop:?} {again}");
        }
        let read = drive.read(&file).await.json();
        assert_eq!(read["status"], "ACTIVE", "{passing} {stop:?}");
        let objects = drive.objects().await;
        assert!(objects.len() == 1 && !objects[0].contains("quarantine"), "{passing} {stop:?}: {objects:?}");
        let url = drive.download(&file).await.json()["downloadUrl"].as_str().unwrap().to_owned();
        assert!(drive.fetch(&url).await.body == bytes);
        assert_eq!(end(&drive, &done, &file).await, ["file.uploaded", "file.deleted"], "{passing} {stop:?}");
        assert_eq!(drive.objects().await, [""; 0]);
        passing += u32::from(stop == Stop::After);
    }
    assert_eq!(killed, 10, "each of five steps, before and after");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_while_a_file_is_rejected_leaves_nothing_of_it() {
    let Some((drive, done)) = start().await else { return };
    let (mut passing, mut killed) = (0, 0);
    for stop in Stop::BOTH.into_iter().cycle() {
        let file = drive.upload("a.png", &exe()).await;
        done.gate.stop(passing, stop);
        if let Some(told) = done.gate.kill(tell(&drive.app, &file)).await {
            assert!(told);
            break;
        }
        killed += 1;
        assert!(tell(&drive.app, &file).await && tell(&drive.app, &file).await);
        let read = drive.read(&file).await.json();
        assert_eq!((&read["status"], &read["reason"]), (&json!("REJECTED"), &json!("TYPE_MISMATCH")));
        assert_eq!(drive.objects().await, [""; 0], "{passing} {stop:?}");
        assert_eq!(end(&drive, &done, &file).await, ["file.deleted"]);
        passing += u32::from(stop == Stop::After);
    }
    assert_eq!(killed, 8, "each of four steps, before and after");
    // The last was told once, each other thrice or more.
    assert_eq!(room_taken(&drive).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_of_a_deletion_is_finished_by_the_next_try() {
    let Some((drive, done)) = start().await else { return };
    let (mut passing, mut killed) = (0, 0);
    for stop in Stop::BOTH.into_iter().cycle() {
        let file = drive.upload("notes.pdf", &pdf(100)).await;
        assert!(tell(&drive.app, &file).await);
        done.gate.stop(passing, stop);
        if let Some(deleted) = done.gate.kill(drive.delete(&file)).await {
            assert_eq!(deleted.status, 204);
            break;
        }
        killed += 1;
        let again = drive.delete(&file).await.status.as_u16();
        assert!([204, 404].contains(&again), "{passing} {stop:?}: {again}");
        assert_eq!(drive.delete(&file).await.status, 404);
        assert_eq!(drive.objects().await, [""; 0], "{passing} {stop:?}");
        let look = async || Some(events(&done, &file)).filter(|events| events.len() == 2);
        assert_eq!(eventually("events", PATIENCE, look).await, ["file.uploaded", "file.deleted"]);
        passing += u32::from(stop == Stop::After);
    }
    assert_eq!(killed, 8, "each of four steps, before and after");
    assert_eq!(room_taken(&drive).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_between_any_two_steps_leaves_nothing() {
    let Some((drive, done)) = start().await else { return };
    let (mut passing, mut stopped) = (0, 0);
    for stop in Stop::BOTH.into_iter().cycle() {
        let file = drive.upload("notes.pdf", &pdf(100)).await;
        done.gate.stop(passing, stop);
        let deleting = async {
            let deleted = drive.delete(&file).await;
            assert_eq!(deleted.status, 204, "{}", deleted.body);
            // The URL holds still: the same bytes once more, for whoever looks at them.
            assert_eq!(drive.put(&Upload::of(&file), pdf(100)).await.status, 200);
        };
        let (deleted, told) = done.gate.while_stopped(deleting, tell(&drive.app, &file)).await;
        if deleted.is_none() {
            assert!(told);
            break;
        }
        stopped += 1;
        // What changed under it comes again.
        assert!(told || tell(&drive.app, &file).await, "{passing} {stop:?}");
        assert!(tell(&drive.app, &file).await);
        drive.read(&file).await.problem(404, "NOT_FOUND");
        assert_eq!(drive.objects().await, [""; 0], "{passing} {stop:?}");
        let look =
            async || Some(events(&done, &file)).filter(|e| e.iter().any(|kind| kind == "file.deleted"));
        let events = eventually("file.deleted", PATIENCE, look).await;
        assert_eq!(events.iter().filter(|kind| *kind == "file.deleted").count(), 1, "{events:?}");
        passing += u32::from(stop == Stop::After);
    }
    assert_eq!(stopped, 10, "each of five steps, before and after");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_comes_ten_times_at_once_or_too_late_changes_nothing() {
    let Some((drive, done)) = start().await else { return };
    let file = drive.upload("notes.pdf", &pdf(100_000)).await;
    // As long as the first lies there, there is no second.
    let second = drive.put(&Upload::of(&file), vec![7; 100_000]).await;
    assert_eq!((second.status.as_u16(), second.code().as_str()), (412, "PreconditionFailed"));
    let told = join_all((0..10).map(|_| tell(&drive.app, &file))).await;
    // Whoever finds the object gone under it has the message come again.
    assert!(told.contains(&true), "{told:?}");
    assert!(tell(&drive.app, &file).await);
    let active = drive.read(&file).await.json();
    assert_eq!(active["status"], "ACTIVE");
    assert_eq!(drive.objects().await.len(), 1);
    // The same URL once more, with other bytes of the same size: they are removed, and change nothing.
    assert_eq!(drive.put(&Upload::of(&file), vec![7; 100_000]).await.status, 200);
    assert!(tell(&drive.app, &file).await);
    assert_eq!(drive.read(&file).await.json(), active);
    assert_eq!(drive.objects().await.len(), 1);
    assert_eq!(end(&drive, &done, &file).await, ["file.uploaded", "file.deleted"]);
    let late = drive.put(&Upload::of(&file), pdf(100_000)).await;
    assert_eq!(late.status, 200);
    assert!(tell(&drive.app, &file).await);
    assert_eq!(drive.objects().await, [""; 0]);
    // Before anything has come, and of a file that there never was.
    let early = drive.create("notes.pdf", 100).await;
    assert!(tell(&drive.app, &early).await);
    assert_eq!(drive.read(&early).await.json()["status"], "PENDING");
    let never = json!({"id": "01a203c8-f2a1-79ba-b51f-e8e5ab46bc24", "size": 1});
    assert!(tell(&drive.app, &never).await);
    // Which then comes all the same.
    assert_eq!(drive.put(&Upload::of(&early), pdf(100)).await.status, 200);
    assert!(tell(&drive.app, &early).await);
    assert_eq!(drive.read(&early).await.json()["status"], "ACTIVE");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_is_refused_removes_nothing() {
    let Some((mut drive, done)) = start().await else { return };
    let whole = async |drive: &Drive, file: &Value| {
        let url = drive.download(file).await.json()["downloadUrl"].as_str().unwrap().to_owned();
        assert!(drive.fetch(&url).await.body == pdf(100));
    };
    // It was read, and becomes another before it is written.
    let file = drive.upload("notes.pdf", &pdf(100)).await;
    let delete = || drive.app.as_user(&drive.token, Method::DELETE, &path(&file)).header("if-match", "\"1\"");
    done.gate.stop(1, Stop::Before);
    let (told, refused) = done.gate.while_stopped(tell(&drive.app, &file), drive.app.send(delete())).await;
    assert_eq!(told, Some(true));
    refused.problem(412, "PRECONDITION_FAILED");
    whole(&drive, &file).await;
    // Its session ends between the two.
    let other = drive.app.login(&drive.account).await.access;
    done.gate.stop(1, Stop::Before);
    let logout = drive.app.send(drive.app.as_user(&other, Method::POST, LOGOUT_ALL));
    let (ended, refused) = done.gate.while_stopped(logout, drive.delete(&file)).await;
    assert_eq!(ended.unwrap().status, 204);
    refused.problem(401, "UNAUTHENTICATED");
    drive.token = drive.app.login(&drive.account).await.access;
    whole(&drive, &file).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_nobody_tries_again_is_finished_all_the_same() {
    let Some((app, done)) = faults::start(Faults::default(), &["files-finalize", "files-expire"]).await
    else {
        return;
    };
    let mut drive = Drive::on(app).await;
    let file = drive.upload("notes.pdf", &pdf(100)).await;
    assert!(tell(&drive.app, &file).await);
    done.gate.stop(2, Stop::Before);
    assert!(done.gate.kill(drive.delete(&file)).await.is_none());
    // It was decided: nobody sees it any more.
    drive.read(&file).await.problem(404, "NOT_FOUND");
    drive.download(&file).await.problem(404, "NOT_FOUND");
    assert_eq!(drive.list("").await["data"], json!([]));
    assert_eq!((drive.objects().await.len(), room_taken(&drive).await), (1, 100));
    drive.app.advance_clock(24 * 3600 + 1).await;
    expire(&drive.app).await;
    assert_eq!((drive.objects().await.len(), room_taken(&drive).await), (0, 0));
    drive.token = drive.app.login(&drive.account).await.access;
    drive.delete(&file).await.problem(404, "NOT_FOUND");
    let look = async || Some(events(&done, &file)).filter(|events| events.len() == 2);
    assert_eq!(eventually("events", PATIENCE, look).await, ["file.uploaded", "file.deleted"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_bytes_never_take_the_place_of_those_that_were_looked_at() {
    let Some((drive, done)) = start().await else { return };
    let (bytes, mut other) = (pdf(5000), pdf(5000));
    other[4999] ^= 1;
    let file = drive.upload("notes.pdf", &bytes).await;
    // One who has read the item is slow to read the object; another is done by then, and the client sends once more.
    done.gate.stop(1, Stop::Before);
    let meanwhile = async {
        assert!(tell(&drive.app, &file).await);
        assert_eq!(drive.put(&Upload::of(&file), other).await.status, 200);
    };
    let (stopped, told) = done.gate.while_stopped(meanwhile, tell(&drive.app, &file)).await;
    assert!(stopped.is_some() && told);
    let url = drive.download(&file).await.json()["downloadUrl"].as_str().unwrap().to_owned();
    assert!(drive.fetch(&url).await.body == bytes);
    assert_eq!(drive.objects().await.len(), 1);
}

async fn expire(app: &TestApp) {
    app.invoke("files-expire", "{\"scheduledTime\": \"2026-11-25T10:00:00Z\"}").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_while_files_expire_is_finished_by_the_next_run() {
    let held = ["files-finalize", "files-expire"];
    let Some((app, done)) = faults::start(Faults::default(), &held).await else { return };
    let mut drive = Drive::on(app).await;
    let (mut passing, mut killed) = (0, 0);
    for stop in Stop::BOTH.into_iter().cycle() {
        // It has come, it was copied, and whoever looked at it died: for good.
        let file = drive.upload("notes.pdf", &pdf(100)).await;
        done.gate.stop(3, Stop::Before);
        assert_eq!(done.gate.kill(tell(&drive.app, &file)).await, None);
        assert_eq!(drive.objects().await.len(), 2);
        drive.app.advance_clock(24 * 3600 + 1).await;
        drive.token = drive.app.login(&drive.account).await.access;
        done.gate.stop(passing, stop);
        let ended = done.gate.kill(expire(&drive.app)).await.is_some();
        if !ended {
            killed += 1;
            // The next run is hours later: until then one that died is at work.
            drive.app.advance_clock(31).await;
            expire(&drive.app).await;
        }
        let read = drive.read(&file).await.json();
        assert_eq!((&read["status"], &read["reason"]), (&json!("EXPIRED"), &json!("NOT_IN_TIME")));
        assert_eq!(drive.objects().await, [""; 0], "{passing} {stop:?}");
        assert_eq!(room_taken(&drive).await, 0, "{passing} {stop:?}");
        // An event that was late by a day, and one that comes after that.
        assert!(tell(&drive.app, &file).await);
        assert_eq!(drive.objects().await, [""; 0]);
        let items = drive.app.aws().dynamodb().scan().table_name("FilesTable").send().await.unwrap();
        assert!(
            items.items().iter().all(|item| !item.contains_key("unfinished")),
            "it is in the list for ever"
        );
        if ended {
            break;
        }
        passing += u32::from(stop == Stop::After);
    }
    assert_eq!(killed, 12, "each of six steps, before and after");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_files_of_one_user_expire_in_one_run_and_go_with_their_user_though_transactions_meet() {
    let faults = Faults { conflicts: 20, cuts: 5, ..Faults::default() };
    let Some((app, _)) = faults::start(faults, &["files-finalize", "files-expire"]).await else { return };
    let mut drive = Drive::on(app).await;
    let create = async |count: usize| {
        for number in 0..count {
            let body = json!({"filename": format!("{number}.png"), "size": 10});
            // Where its reply was cut, it may be there all the same.
            let key = uuid::Uuid::new_v4().to_string();
            let request =
                || drive.app.as_user(&drive.token, Method::POST, FILES).header("idempotency-key", &key);
            let made = async || (drive.app.send(request().json(&body)).await.status == 201).then_some(());
            eventually("a file", PATIENCE, made).await;
        }
    };
    create(70).await;
    assert_eq!(room_taken(&drive).await, 700);
    drive.app.advance_clock(24 * 3600 + 1).await;
    expire(&drive.app).await;
    assert_eq!(room_taken(&drive).await, 0);
    drive.token = drive.app.login(&drive.account).await.access;
    let page = drive.list("?size=100").await;
    let files = page["data"].as_array().unwrap();
    assert_eq!(files.iter().filter(|file| file["status"] == "EXPIRED").count(), 70);

    let create = async |count: usize| {
        for _ in 0..count {
            drive.create("a.png", 10).await;
        }
    };
    create(5).await;
    let body = json!({"password": PASSWORD});
    let gone = async || {
        let status = drive.app.do_as(&drive.token, Method::DELETE, ME, &body).await.status.as_u16();
        [204, 401].contains(&status).then_some(())
    };
    eventually("end of the account", PATIENCE, gone).await;
    let cleared = async || {
        let items = drive.app.aws().dynamodb().scan().table_name("CountersTable").send().await.unwrap();
        let of_user = items.items().iter().any(|item| item["id"].as_s().unwrap().contains(&drive.account.id));
        (!of_user).then_some(())
    };
    eventually("end of the user's files", PATIENCE, cleared).await;
    let items = drive.app.aws().dynamodb().scan().table_name("FilesTable").send().await.unwrap();
    assert!(items.items().iter().all(|item| item["filename"].as_s().unwrap() == "deleted"));
}
