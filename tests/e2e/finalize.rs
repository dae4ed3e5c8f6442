//! `files-finalize`, killed between any two steps, told twice, too late or by many at once.

use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::app::{PATIENCE, TestApp, eventually};
use crate::documents::{exe, pdf};
use crate::drive::{Drive, Upload};
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
        let reached = tokio::select! {
            () = done.gate.reached() => true,
            done = tell(app, &file) => { assert!(done); false },
        };
        // What was under way is dropped here, with all that it had not done yet.
        done.gate.release();
        if !reached {
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
        let reached = tokio::select! {
            () = done.gate.reached() => true,
            done = tell(&drive.app, &file) => { assert!(done); false },
        };
        done.gate.release();
        if !reached {
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
        let reached = tokio::select! {
            () = done.gate.reached() => true,
            deleted = drive.delete(&file) => { assert_eq!(deleted.status, 204); false },
        };
        done.gate.release();
        if !reached {
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
            done.gate.reached().await;
            let deleted = drive.delete(&file).await;
            assert_eq!(deleted.status, 204, "{}", deleted.body);
            // The URL holds still: the same bytes once more, for whoever looks at them.
            assert_eq!(drive.put(&Upload::of(&file), pdf(100)).await.status, 200);
            done.gate.release();
            true
        };
        let telling = tell(&drive.app, &file);
        let (told, was_stopped) = tokio::join!(telling, async {
            tokio::time::timeout(std::time::Duration::from_secs(3), deleting).await.unwrap_or(false)
        });
        if !was_stopped {
            assert!(done.gate.release(), "it was stopped and not deleted");
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
