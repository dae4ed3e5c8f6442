//! Objects: who is told of them, who may write first, and which pages may.

use std::time::{Duration, SystemTime};

use aws_sdk_s3::Client;
use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::types::{
    CorsConfiguration, CorsRule, Delete, EventBridgeConfiguration, MetadataDirective,
    NotificationConfiguration, ObjectIdentifier,
};
use local_aws::SECRET_ACCESS_KEY;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::cloud::{World, eventually, target};

/// A bucket of a cloud of the test's own.
async fn bucket() -> (World, Client) {
    let world = World::new().await;
    let s3 = world.s3(SECRET_ACCESS_KEY);
    s3.create_bucket().bucket("shop").send().await.unwrap();
    (world, s3)
}

#[tokio::test]
async fn the_bus_is_told_of_objects_where_it_is_asked_to() {
    let (world, s3) = bucket().await;
    let url = world.queue("objects").await;
    let events = world.events();
    events.put_rule().name("objects").event_pattern(r#"{"source": ["aws.s3"]}"#).send().await.unwrap();
    events.put_targets().rule("objects").targets(target("objects").build().unwrap()).send().await.unwrap();
    let put = async |key: &str| {
        s3.put_object().bucket("shop").key(key).body(b"hello".to_vec().into()).send().await.unwrap();
    };
    put("before").await;
    let asked = NotificationConfiguration::builder();
    let asked = asked.event_bridge_configuration(EventBridgeConfiguration::builder().build()).build();
    s3.put_bucket_notification_configuration()
        .bucket("shop")
        .notification_configuration(asked)
        .send()
        .await
        .unwrap();
    put("a/b c+d.txt").await;
    s3.copy_object().bucket("shop").key("copy").copy_source("shop/before").send().await.unwrap();
    s3.delete_object().bucket("shop").key("copy").send().await.unwrap();

    let mut told: Vec<Value> = Vec::new();
    eventually("events", async || {
        let messages = world.receive(&url, 1).await;
        told.extend(messages.iter().map(|message| serde_json::from_str(message.body().unwrap()).unwrap()));
        (told.len() >= 3).then_some(())
    })
    .await;
    let what = |event: &Value| {
        let [kind, key, reason] =
            [&event["detail-type"], &event["detail"]["object"]["key"], &event["detail"]["reason"]];
        format!("{} {} {}", kind.as_str().unwrap(), key.as_str().unwrap(), reason.as_str().unwrap())
    };
    let mut names: Vec<String> = told.iter().map(what).collect();
    names.sort();
    let expected = [
        "Object Created a/b c+d.txt PutObject",
        "Object Created copy CopyObject",
        "Object Deleted copy DeleteObject",
    ];
    assert_eq!(names, expected);
    for event in told.iter().filter(|event| event["detail-type"] == "Object Created") {
        assert_eq!(event["source"], "aws.s3");
        assert_eq!(event["detail"]["bucket"]["name"], "shop");
        assert_eq!(event["detail"]["object"]["size"], 5);
        assert_eq!(event["detail"]["object"]["etag"], "5d41402abc4b2a76b9719d911017c592");
    }
}

#[tokio::test]
async fn of_many_who_write_first_one_does() {
    let (_world, s3) = bucket().await;
    let puts = (0..20_u8).map(|number| {
        let put =
            s3.put_object().bucket("shop").key("first").if_none_match("*").body(vec![number; 100_000].into());
        tokio::spawn(put.send())
    });
    let puts: Vec<_> = puts.collect();
    let mut done = Vec::new();
    for (number, put) in puts.into_iter().enumerate() {
        match put.await.unwrap() {
            Ok(_) => done.push(number),
            Err(error) => assert_eq!(error.code(), Some("PreconditionFailed"), "{error:?}"),
        }
    }
    assert_eq!(done.len(), 1, "{done:?}");
    let read = s3.get_object().bucket("shop").key("first").send().await.unwrap();
    let bytes = read.body.collect().await.unwrap().into_bytes();
    assert!(bytes.len() == 100_000 && bytes.iter().all(|byte| usize::from(*byte) == done[0]));
}

/// Sends a request without credentials; answers its head.
pub(crate) async fn head(world: &World, request: &str) -> String {
    let address = world.cloud.endpoint().trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let request = format!("{request}host: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(Duration::from_secs(30), stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer.split("\r\n\r\n").next().unwrap().to_lowercase()
}

#[tokio::test]
async fn a_page_may_put_where_the_bucket_says_so() {
    let (world, s3) = bucket().await;
    let rule = CorsRule::builder()
        .allowed_origins("http://localhost:5173")
        .allowed_methods("PUT")
        .allowed_headers("content-type")
        .allowed_headers("x-amz-*")
        .expose_headers("etag")
        .max_age_seconds(600);
    let rules = CorsConfiguration::builder().cors_rules(rule.build().unwrap()).build().unwrap();
    s3.put_bucket_cors().bucket("shop").cors_configuration(rules).send().await.unwrap();
    let preflight = async |path: &str, origin: &str, method: &str, headers: &str| {
        let request = format!(
            "OPTIONS {path} HTTP/1.1\r\norigin: {origin}\r\naccess-control-request-method: {method}\r\n\
             access-control-request-headers: {headers}\r\n"
        );
        head(&world, &request).await
    };
    let answer =
        preflight("/shop/k", "http://localhost:5173", "PUT", "content-type, X-Amz-Checksum-Sha256").await;
    assert!(answer.starts_with("http/1.1 200"), "{answer}");
    for line in [
        "access-control-allow-origin: http://localhost:5173",
        "access-control-allow-methods: put",
        "access-control-allow-headers: content-type, x-amz-checksum-sha256",
        "access-control-max-age: 600",
    ] {
        assert!(answer.contains(line), "no {line} in {answer}");
    }
    for (path, origin, method, headers) in [
        ("/shop/k", "http://localhost:5174", "PUT", "content-type"),
        ("/shop/k", "http://localhost:5173", "DELETE", "content-type"),
        ("/shop/k", "http://localhost:5173", "PUT", "x-other"),
        ("/none/k", "http://localhost:5173", "PUT", "content-type"),
    ] {
        let answer = preflight(path, origin, method, headers).await;
        assert!(answer.starts_with("http/1.1 403"), "{path} {origin} {method} {headers}: {answer}");
        assert!(!answer.contains("access-control-allow-origin"), "{answer}");
    }

    let signing = PresigningConfig::expires_in(Duration::from_secs(60)).unwrap();
    let signed = s3.put_object().bucket("shop").key("k").presigned(signing).await.unwrap();
    let path = signed.uri().trim_start_matches(&world.cloud.endpoint()).to_owned();
    for (origin, seen) in [("http://localhost:5173", true), ("http://localhost:5174", false)] {
        let request = format!("PUT {path} HTTP/1.1\r\norigin: {origin}\r\ncontent-length: 0\r\n");
        let answer = head(&world, &request).await;
        assert!(answer.starts_with("http/1.1 200"), "{answer}");
        assert_eq!(answer.contains(&format!("access-control-allow-origin: {origin}")), seen, "{answer}");
    }
}

#[tokio::test]
async fn an_object_is_copied_to_where_none_lies_and_only_if_it_is_the_same() {
    let (_world, s3) = bucket().await;
    let put = async |key: &str, bytes: &'static [u8]| {
        let put =
            s3.put_object().bucket("shop").key(key).content_encoding("gzip").body(bytes.to_vec().into());
        put.send().await.unwrap().e_tag.unwrap()
    };
    let etag = put("from", b"hello").await;
    let copy = || {
        let copy = s3.copy_object().bucket("shop").key("to").copy_source("shop/from").if_none_match("*");
        copy.metadata_directive(MetadataDirective::Replace).content_type("text/plain")
    };
    let refused = copy().copy_source_if_match("\"0\"").send().await.unwrap_err();
    assert_eq!(refused.code(), Some("PreconditionFailed"));
    let copies = (0..10).map(|_| tokio::spawn(copy().copy_source_if_match(&etag).send()));
    let mut made = 0;
    for copy in copies.collect::<Vec<_>>() {
        match copy.await.unwrap() {
            Ok(_) => made += 1,
            Err(error) => assert_eq!(error.code(), Some("PreconditionFailed"), "{error:?}"),
        }
    }
    assert_eq!(made, 1);
    let read = s3.get_object().bucket("shop").key("to").send().await.unwrap();
    assert_eq!((read.content_type(), read.content_encoding()), (Some("text/plain"), None));
    assert_eq!(read.e_tag(), Some(etag.as_str()));
}

#[tokio::test]
async fn bytes_of_another_checksum_leave_nothing() {
    let (_world, s3) = bucket().await;
    let put =
        s3.put_object().bucket("shop").key("k").if_none_match("*").checksum_sha256("A".repeat(43) + "=");
    let refused = put.body(b"hello".to_vec().into()).send().await.unwrap_err();
    assert_eq!(refused.code(), Some("BadDigest"));
    assert!(s3.head_object().bucket("shop").key("k").send().await.is_err());
}

#[tokio::test]
async fn what_is_signed_for_a_while_goes_by_the_clouds_clock() {
    let (world, s3) = bucket().await;
    s3.put_object().bucket("shop").key("k").body(b"hello".to_vec().into()).send().await.unwrap();
    let get = async |ahead: u64| {
        let signing = PresigningConfig::builder().expires_in(Duration::from_secs(60));
        let signing = signing.start_time(SystemTime::now() + Duration::from_secs(ahead)).build().unwrap();
        let signed = s3.get_object().bucket("shop").key("k").presigned(signing).await.unwrap();
        let path = signed.uri().trim_start_matches(&world.cloud.endpoint()).to_owned();
        head(&world, &format!("GET {path} HTTP/1.1\r\n")).await
    };
    assert!(get(0).await.starts_with("http/1.1 200"));
    world.cloud.advance_clock(3_600_000).unwrap();
    assert!(get(0).await.starts_with("http/1.1 403"));
    assert!(get(3600).await.starts_with("http/1.1 200"));
}

#[tokio::test]
async fn an_object_whose_writer_was_cut_off_is_told_of_at_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let before = World::over(directory.path()).await;
    let s3 = before.s3(SECRET_ACCESS_KEY);
    s3.create_bucket().bucket("shop").send().await.unwrap();
    let queue = before.queue("objects").await;
    let events = before.events();
    events.put_rule().name("objects").event_pattern(r#"{"source": ["aws.s3"]}"#).send().await.unwrap();
    events.put_targets().rule("objects").targets(target("objects").build().unwrap()).send().await.unwrap();
    // Written before anybody asked to be told: as it is when a process dies between the two.
    s3.put_object().bucket("shop").key("k").body(b"hello".to_vec().into()).send().await.unwrap();
    let asked = NotificationConfiguration::builder();
    let asked = asked.event_bridge_configuration(EventBridgeConfiguration::builder().build()).build();
    let put = s3.put_bucket_notification_configuration().bucket("shop");
    put.notification_configuration(asked).send().await.unwrap();
    assert_eq!(before.receive(&queue, 0).await.len(), 0);
    drop(before);
    let services = rusqlite::Connection::open(directory.path().join("services.sqlite")).unwrap();
    for key in ["k", "never written"] {
        services.execute("INSERT INTO untold_objects VALUES ('shop', ?1)", [key]).unwrap();
    }
    drop(services);

    let after = World::over(directory.path()).await;
    let told = after.receive(&after.cloud.sqs().url("objects"), 1).await;
    assert_eq!(told.len(), 1);
    let event: Value = serde_json::from_str(told[0].body().unwrap()).unwrap();
    let object = &event["detail"]["object"];
    assert_eq!((&object["key"], &object["size"]), (&"k".into(), &5.into()));
    assert_eq!(object["etag"], "5d41402abc4b2a76b9719d911017c592");
    drop(after);
    let last = World::over(directory.path()).await;
    assert_eq!(
        last.receive(&last.cloud.sqs().url("objects"), 0).await.len(),
        1,
        "the one that was not deleted"
    );
}

#[tokio::test]
async fn a_key_is_no_way_out_of_its_bucket() {
    let (world, s3) = bucket().await;
    s3.create_bucket().bucket("other").send().await.unwrap();
    s3.put_object().bucket("other").key("secret").body(b"hello".to_vec().into()).send().await.unwrap();
    for key in ["a/../../other/secret", "../other/secret", "/etc/passwd", "a//b", "a/./b", &"k".repeat(256)] {
        let refused = s3.get_object().bucket("shop").key(key).send().await.unwrap_err();
        assert_eq!(refused.code(), Some("NotImplemented"), "{key}");
        let refused = s3.put_object().bucket("shop").key(key).body(vec![].into()).send().await.unwrap_err();
        assert_eq!(refused.code(), Some("NotImplemented"), "{key}");
    }
    let copy = s3.copy_object().bucket("shop").key("k").copy_source("shop/a/../../other/secret").send().await;
    assert_eq!(copy.unwrap_err().code(), Some("NotImplemented"));
    let object = ObjectIdentifier::builder().key("../other/secret").build().unwrap();
    let delete = Delete::builder().objects(object).build().unwrap();
    let deleted = s3.delete_objects().bucket("shop").delete(delete).send().await.unwrap();
    assert_eq!(deleted.errors()[0].code(), Some("NotImplemented"));
    s3.head_object().bucket("other").key("secret").send().await.unwrap();
    drop(world);
}

#[tokio::test]
async fn what_a_presigned_request_adds_has_to_be_signed() {
    let (world, s3) = bucket().await;
    let signing = PresigningConfig::expires_in(Duration::from_secs(60)).unwrap();
    let signed = s3.put_object().bucket("shop").key("k").presigned(signing).await.unwrap();
    let path = signed.uri().trim_start_matches(&world.cloud.endpoint()).to_owned();
    for (header, status) in [("x-amz-meta-a: b", 403), ("x-amz-tagging: a=b", 501), ("x-other: b", 200)] {
        let answer = head(&world, &format!("PUT {path} HTTP/1.1\r\n{header}\r\ncontent-length: 0\r\n")).await;
        assert!(answer.starts_with(&format!("http/1.1 {status}")), "{header}: {answer}");
    }
}
