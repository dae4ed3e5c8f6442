//! What services do that are away, refuse, or deliver again: nothing is lost, and nothing done twice.

use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use futures_util::future::join_all;
use local::Options;
use local::dead_letters::Redriven;
use local_aws::State;
use serde_json::{Value, json};

use crate::app::{NAME, PATIENCE, SEARCH, TestApp, eventually, new_address, new_correlation_id};
use crate::catalogue::ok;
use crate::faults::{self, Faults, Service};
use crate::world::{
    Expected, LONG, Life, WELCOME, an_admin, depths, hold, letters_at, passed, queue_url, sell_out,
};

/// One of everything.
async fn a_day(app: &TestApp, admin: &str) -> Expected {
    let mut lives = join_all((0..6).map(|_| Life::begin(app))).await;
    let [first, second, third, fourth, fifth, sixth] = lives.as_mut_slice() else { unreachable!() };
    let (.., sold) = tokio::join!(
        first.ask_to_verify(),
        second.forget_password(),
        third.change_password(),
        fourth.use_a_token_twice(),
        fifth.mistype(),
        sixth.end(),
        sell_out(app, admin),
    );
    let mut expected = sold;
    for life in lives {
        expected.add(life.expected);
    }
    expected
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_bus_refuses_of_a_batch_arrives_with_the_rest() {
    let faults = Faults { refusals: 30, ..Faults::default() };
    let Some((app, done)) = faults::start(faults, &[]).await else { return };
    let mut expected = Expected::default();
    for life in join_all((0..40).map(|_| Life::begin(&app))).await {
        expected.add(life.expected);
    }
    let (admin, of_admin) = an_admin(&app).await;
    expected.add(of_admin);
    expected.add(Box::pin(a_day(&app, &admin)).await);
    hold(&done.cloud, &expected).await;
    assert!(done.refusals.load(std::sync::atomic::Ordering::Relaxed) > 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_that_is_away_for_a_minute_gets_everything_when_it_is_back() {
    let Some((app, done)) = faults::start(Faults::default(), &[]).await else { return };
    let (admin, mut expected) = an_admin(&app).await;
    hold(&done.cloud, &expected).await;
    done.is_away(Service::Bus);
    let away = Instant::now();
    for _ in 0..3 {
        for life in join_all((0..5).map(|_| Life::begin(&app))).await {
            expected.add(life.expected);
        }
        expected.add(sell_out(&app, &admin).await);
        tokio::time::sleep(Duration::from_secs(15)).await;
    }
    tokio::time::sleep(Duration::from_mins(1).saturating_sub(away.elapsed())).await;
    assert!(passed(&done.cloud).events.len() < expected.events.len(), "it was away");
    done.is_away(None);
    hold(&done.cloud, &expected).await;
    assert_eq!(given_up(&done.cloud).await.len(), 0, "no record was given up");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ses_that_is_away_for_a_minute_gets_each_mail_once_after_one_redrive() {
    let Some((app, done)) = faults::start(Faults::default(), &[]).await else { return };
    let (_, mut expected) = an_admin(&app).await;
    hold(&done.cloud, &expected).await;
    done.is_away(Service::Ses);
    let away = Instant::now();
    for _ in 0..2 {
        for life in join_all((0..6).map(|_| Life::begin(&app))).await {
            expected.add(life.expected);
        }
        tokio::time::sleep(Duration::from_secs(20)).await;
    }
    tokio::time::sleep(Duration::from_mins(1).saturating_sub(away.elapsed())).await;
    let aws = local::aws_at(&done.cloud.endpoint());
    // What the alarm looks at.
    let full = async || (depths(&aws).await["EmailsDlq"] == 12).then_some(());
    eventually("the jobs in the dead-letter queue", PATIENCE, full).await;
    assert_eq!(passed(&done.cloud).mails.len(), 1, "nothing went out");
    done.is_away(None);
    let letters = letters_at(&done.cloud.endpoint());
    assert_eq!(letters.redrive("EmailsDlq", app.port()).await.unwrap(), Redriven { back: 12, left: 0 });
    hold(&done.cloud, &expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_mails_than_ses_takes_a_second_go_out_a_little_later() {
    let faults = Faults { mail_gap_ms: 250, ..Faults::default() };
    let Some((app, done)) = faults::start(faults, &[]).await else { return };
    let mut expected = Expected::default();
    for life in join_all((0..24).map(|_| Life::begin(&app))).await {
        expected.add(life.expected);
    }
    // None is in a dead-letter queue.
    hold(&done.cloud, &expected).await;
}

/// What readers of streams have given up: Lambda's records of it.
async fn given_up(cloud: &local_aws::Cloud) -> Vec<Value> {
    let s3 = local::aws_at(&cloud.endpoint()).s3();
    let bucket = "arcana-local-streamfailuresbucket";
    let listed = s3.list_objects_v2().bucket(bucket).send().await.unwrap();
    let mut all = Vec::new();
    for object in listed.contents() {
        let object = s3.get_object().bucket(bucket).key(object.key().unwrap()).send().await.unwrap();
        let body = object.body.collect().await.unwrap().into_bytes();
        all.push(serde_json::from_slice(&body).unwrap());
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn every_message_and_record_five_times_has_one_effect() {
    let faults = Faults { repeats: true, ..Faults::default() };
    // A stream has one reader here: see the test of the other.
    let Some((app, done)) = faults::start(faults, &["products-index"]).await else { return };
    let (admin, mut expected) = an_admin(&app).await;
    for _ in 0..2 {
        expected.add(Box::pin(a_day(&app, &admin)).await);
    }
    hold(&done.cloud, &expected).await;
    let all = async || done.has_repeated_all().then_some(());
    eventually("five deliveries of each", LONG, all).await;
    hold(&done.cloud, &expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_of_a_product_five_times_is_indexed_once() {
    let faults = Faults { repeats: true, ..Faults::default() };
    let Some((app, done)) = faults::start(faults, &["events-relay"]).await else { return };
    let admin = app.login(&app.register_admin().await).await.access;
    let post = async |name: String| {
        let body = json!({"name": name, "price": 1, "stock": 1});
        let answer = app.do_as(&admin, reqwest::Method::POST, "/api/v1/products", &body).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.json()["id"].as_str().unwrap().to_owned()
    };
    let ids = join_all((0..5).map(|number| post(format!("Beacon number {number}")))).await;
    let put = async |id: &String, change: Value| {
        let path = format!("/api/v1/products/{id}");
        let answer = app.do_as(&admin, reqwest::Method::PUT, &path, &change).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    };
    join_all(ids.iter().map(|id| put(id, json!({"status": "ACTIVE"})))).await;
    put(&ids[0], json!({"name": "Lantern"})).await;
    put(&ids[0], json!({"name": "Beacon again"})).await;
    put(&ids[1], json!({"name": "Lantern"})).await;
    let path = format!("/api/v1/products/{}", ids[2]);
    assert_eq!(app.send(app.as_user(&admin, reqwest::Method::DELETE, &path)).await.status, 204);
    let all = async || done.has_repeated_all().then_some(());
    eventually("five deliveries of each", LONG, all).await;
    let found = async |word: &str| {
        let page = ok(&app.get(&format!("{SEARCH}?q={word}")).await);
        let mut ids: Vec<String> =
            page.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect();
        ids.sort();
        ids
    };
    let mut beacons = vec![ids[0].clone(), ids[3].clone(), ids[4].clone()];
    beacons.sort();
    let look = async || (found("beacon").await == beacons).then_some(());
    eventually("the beacons that there are", PATIENCE, look).await;
    assert_eq!(found("lantern").await, [ids[1].clone()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_batch_of_ten_with_one_that_fails_nine_are_done_once_and_the_tenth_is_given_up_after_three() {
    // An address that SES refuses, and the template's pattern does not.
    let parameters = [("StockAlertTo".to_owned(), "no,body@example.com".to_owned())].into();
    let options = Options { parameters, ..Options::default() };
    let Some((app, done)) = faults::start_with(State::Memory, Faults::default(), options).await else {
        return;
    };
    let aws = local::aws_at(&done.cloud.endpoint());
    let sqs = aws.sqs();
    let url = queue_url(&sqs, "EmailsQueue").await;
    let addresses: Vec<String> = (0..9).map(|_| new_address()).collect();
    let job = |job: &str, data: Value| json!({"id": uuid::Uuid::new_v4(), "job": job, "data": data, "correlationId": new_correlation_id()});
    let welcome = |email: &String| {
        job("welcome", json!({"userId": uuid::Uuid::new_v4(), "email": email, "name": NAME}))
    };
    let mut jobs: Vec<Value> = addresses.iter().map(welcome).collect();
    let alert = json!({"productId": uuid::Uuid::now_v7(), "product": "Lamp", "stock": 0});
    jobs.insert(4, job("stock-alert", alert));
    let entry = |(place, job): (usize, &Value)| {
        SendMessageBatchRequestEntry::builder().id(place.to_string()).message_body(job.to_string()).build()
    };
    let entries = jobs.iter().enumerate().map(entry).collect::<Result<Vec<_>, _>>().unwrap();
    sqs.send_message_batch().queue_url(&url).set_entries(Some(entries)).send().await.unwrap();
    let given_up = async || (depths(&aws).await["EmailsDlq"] == 1).then_some(());
    eventually("the tenth", PATIENCE, given_up).await;
    let times = done.refused_mails.lock().unwrap().clone();
    let gaps: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
    let [first, second] = gaps[..] else { panic!("{} tries", times.len()) };
    // Never sooner; later on a busy machine.
    assert!((0.9..5.0).contains(&first) && (1.9..7.0).contains(&second), "{first} s, {second} s");
    let mut expected = Expected::default();
    for address in addresses {
        expected.mails.insert((address, WELCOME.to_owned()), 1);
    }
    assert_eq!(passed(&done.cloud), expected);
    assert_eq!(depths(&aws).await["EmailsQueue"], 0);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_nobody_can_relay_is_given_up_alone() {
    let Some((app, done)) = faults::start(Faults::default(), &[]).await else { return };
    let aws = local::aws_at(&done.cloud.endpoint());
    let mut expected = Expected::default();
    let id = uuid::Uuid::now_v7().to_string();
    let (lives, ()) = tokio::join!(join_all((0..8).map(|_| Life::begin(&app))), async {
        // As a writer of another version might leave it.
        let put =
            aws.dynamodb().put_item().table_name("UsersTable").item("id", AttributeValue::S(id.clone()));
        put.item("nonsense", AttributeValue::Bool(true)).send().await.unwrap();
    });
    for life in lives {
        expected.add(life.expected);
    }
    hold(&done.cloud, &expected).await;
    let one = async || Some(given_up(&done.cloud).await).filter(|records| !records.is_empty());
    let records = eventually("what was given up", LONG, one).await;
    assert_eq!(records.len(), 1);
    let payload: Value = serde_json::from_str(records[0]["payload"].as_str().unwrap()).unwrap();
    let payload = payload["Records"].as_array().unwrap();
    assert_eq!((payload.len(), &payload[0]["dynamodb"]["Keys"]["id"]["S"]), (1, &json!(id)));
    // Nor can it be by the command, which leaves it where it is.
    let redriven = app.invoke("events-redrive", "{}").await.unwrap();
    assert_eq!(redriven, json!({"events": 0, "records": 0, "left": 1, "next": null}));
    assert_eq!(given_up(&done.cloud).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_were_given_up_are_relayed_by_one_command() {
    let Some((app, done)) = faults::start(Faults::default(), &["events-relay"]).await else { return };
    let life = Life::begin(&app).await;
    // What Lambda leaves where the bus is away for longer than its tries: the relay's own sample event, of this account.
    let item = local::aws_at(&done.cloud.endpoint()).dynamodb().get_item().table_name("UsersTable");
    let item = item.key("id", AttributeValue::S(life.account.id.clone())).send().await.unwrap().item.unwrap();
    let image: Value = item.iter().map(|(name, value)| (name.clone(), attribute(value))).collect();
    let record = json!({
        "eventSourceARN": "arn:aws:dynamodb:us-east-1:000000000000:table/UsersTable/stream/S",
        "dynamodb": {"SequenceNumber": "1", "NewImage": image},
    });
    let s3 = local::aws_at(&done.cloud.endpoint()).s3();
    let put = async |key: &str, function: &str| {
        let arn = format!("arn:aws:lambda:us-east-1:000000000000:function:{function}");
        let object = json!({
            "requestContext": {"functionArn": arn, "condition": "RetryAttemptsExhausted"},
            "payload": json!({"Records": [record]}).to_string(),
        });
        let put = s3.put_object().bucket("arcana-local-streamfailuresbucket").key(key);
        put.body(object.to_string().into_bytes().into()).send().await.unwrap();
    };
    put("aws/lambda/mapping/shard/1", "events-relay:$LATEST").await;
    put("aws/lambda/mapping/shard/2", "products-index").await;
    let redriven = app.invoke("events-redrive", "{}").await.unwrap();
    assert_eq!(redriven, json!({"events": 0, "records": 1, "left": 1, "next": null}));
    hold(&done.cloud, &life.expected).await;
    assert_eq!(given_up(&done.cloud).await.len(), 1, "the index is made anew by another command");
}

/// An attribute value in DynamoDB's JSON.
fn attribute(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => json!({"S": text}),
        AttributeValue::N(number) => json!({"N": number}),
        AttributeValue::Bool(truth) => json!({"BOOL": truth}),
        AttributeValue::L(list) => json!({"L": list.iter().map(attribute).collect::<Vec<_>>()}),
        AttributeValue::M(map) => {
            json!({"M": map.iter().map(|(name, value)| (name.clone(), attribute(value))).collect::<Value>()})
        }
        other => panic!("no user has {other:?}"),
    }
}
