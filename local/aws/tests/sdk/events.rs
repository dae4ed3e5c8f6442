//! What a bundle is promised, asked through the real AWS SDK clients over HTTP.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_credential_types::Credentials;
use aws_sdk_eventbridge::primitives::DateTime;
use aws_sdk_eventbridge::types::{
    DeadLetterConfig, PutEventsRequestEntry, ReplayDestination, Target as SdkTarget,
};
use aws_sdk_sesv2::types::{Body, Content, Destination, EmailContent, Message, MessageHeader};
use axum::Router;
use axum::body::{Body as HttpBody, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response};
use axum::routing::post;
use local_aws::{AwsError, Clock, Protocol, Store};
use local_aws::{Deliver, EventBridge, Mailbox, Rule, SecretsManager, Target};
use serde_json::{Value, json};

const BUS_ARN: &str = "arn:aws:events:us-east-1:000000000000:event-bus/default";

struct Services {
    events: EventBridge,
    secrets: SecretsManager,
    mailbox: Mailbox,
    store: Store,
}

impl Services {
    /// Targets are rows of the `delivered` table; "queue:gone" does not exist.
    fn open(path: &Path) -> Arc<Self> {
        let store = Store::open(path).expect("a store");
        let clock = Clock::default();
        store.migrate("CREATE TABLE IF NOT EXISTS delivered (arn TEXT, body TEXT)").expect("a table");
        let deliver: Deliver = Box::new(|tx, delivery| {
            if delivery.target_arn == "queue:gone" {
                return Err(AwsError::client("QueueDoesNotExist", "no such queue"));
            }
            tx.execute("INSERT INTO delivered VALUES (?1, ?2)", [&delivery.target_arn, &delivery.body])?;
            Ok(())
        });
        Arc::new(Self {
            events: EventBridge::new(store.clone(), clock.clone(), deliver).expect("EventBridge"),
            secrets: SecretsManager::new(store.clone(), clock.clone()).expect("Secrets Manager"),
            mailbox: Mailbox::new(store.clone(), clock).expect("a mailbox"),
            store,
        })
    }

    fn rule(&self, name: &str, pattern: Value, arn: &str) {
        let targets = vec![Target::new("t", arn)];
        let rule = Rule { name: name.into(), bus: "default".into(), pattern, enabled: true, targets };
        self.events.declare_rule(&rule).expect("a rule");
    }

    fn delivered(&self, arn: &str) -> Vec<Value> {
        let rows: rusqlite::Result<Vec<String>> = self.store.transaction(|tx| {
            let mut rows = tx.prepare("SELECT body FROM delivered WHERE arn = ?1 ORDER BY rowid")?;
            rows.query_map([arn], |row| row.get(0))?.collect()
        });
        rows.expect("rows").iter().map(|body| serde_json::from_str(body).expect("JSON")).collect()
    }
}

async fn json_rpc(
    State(services): State<Arc<Services>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<HttpBody> {
    let operation = headers["x-amz-target"].to_str().expect("text");
    let input = serde_json::from_slice(&body).expect("JSON");
    Protocol::Json11.respond(match operation.split_once('.') {
        Some(("AWSEvents", action)) => services.events.handle(action, input).await,
        Some(("secretsmanager", action)) => services.secrets.handle(action, input).await,
        _ => Err(AwsError::client("UnknownOperationException", operation)),
    })
}

async fn send_email(State(services): State<Arc<Services>>, body: Bytes) -> Response<HttpBody> {
    Protocol::RestJson.respond(services.mailbox.handle_send(serde_json::from_slice(&body).expect("JSON")))
}

/// A server on a database of its own.
struct World {
    services: Arc<Services>,
    url: String,
    path: PathBuf,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.path.parent().expect("a directory"));
    }
}

macro_rules! client {
    ($world:expr, $sdk:ident) => {
        $sdk::Client::from_conf(
            $sdk::Config::builder()
                .behavior_version_latest()
                .region($sdk::config::Region::new("us-east-1"))
                .credentials_provider(Credentials::new("test", "test", None, None, "test"))
                .http_client(aws_smithy_http_client::Builder::new().build_http())
                .endpoint_url(&$world.url)
                .build(),
        )
    };
}

impl World {
    async fn new() -> Self {
        let directory = std::env::temp_dir().join(format!("emul-events-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&directory).expect("a directory");
        let path = directory.join("store.db");
        let services = Services::open(&path);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let router = Router::new()
            .route("/", post(json_rpc))
            .route("/v2/email/outbound-emails", post(send_email))
            .with_state(Arc::clone(&services));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { services, url, path }
    }

    fn events(&self) -> aws_sdk_eventbridge::Client {
        client!(self, aws_sdk_eventbridge)
    }

    fn secrets(&self) -> aws_sdk_secretsmanager::Client {
        client!(self, aws_sdk_secretsmanager)
    }

    fn mail(&self) -> aws_sdk_sesv2::Client {
        client!(self, aws_sdk_sesv2)
    }
}

fn entry(detail: &str) -> PutEventsRequestEntry {
    PutEventsRequestEntry::builder().source("shop").detail_type("sold").detail(detail).build()
}

#[tokio::test]
async fn an_event_reaches_every_rule_that_matches_it() {
    let world = World::new().await;
    world.services.rule("cheap", json!({"detail": {"price": [{"numeric": ["<", 10]}]}}), "queue:cheap");
    world.services.rule("shop", json!({"source": ["shop"]}), "queue:shop");
    world.services.rule("bank", json!({"source": ["bank"]}), "queue:bank");
    let put = world.events().put_events().entries(entry(r#"{"price": 5}"#)).send().await.expect("put");
    assert_eq!(put.failed_entry_count(), 0);
    for queue in ["queue:cheap", "queue:shop"] {
        let events = world.services.delivered(queue);
        assert_eq!(events.len(), 1);
        assert_eq!(events[0]["id"].as_str(), put.entries()[0].event_id());
        assert_eq!(events[0]["detail"]["price"], 5);
    }
    assert!(world.services.delivered("queue:bank").is_empty());
}

#[tokio::test]
async fn a_malformed_entry_fails_alone() {
    let world = World::new().await;
    world.services.rule("shop", json!({"source": ["shop"]}), "queue");
    let put = world.events().put_events().entries(entry("no JSON")).entries(entry("{}"));
    let put = put.entries(PutEventsRequestEntry::builder().detail("{}").build()).send().await.expect("put");
    assert_eq!(put.failed_entry_count(), 2);
    let codes: Vec<_> = put.entries().iter().map(|entry| entry.error_code()).collect();
    assert_eq!(codes, [Some("MalformedDetail"), None, Some("InvalidArgument")]);
    assert_eq!(world.services.delivered("queue").len(), 1);
}

#[tokio::test]
async fn an_event_for_a_missing_queue_goes_to_the_dead_letter_queue() {
    let world = World::new().await;
    let client = world.events();
    client.put_rule().name("r").event_pattern(r#"{"source": ["shop"]}"#).send().await.expect("a rule");
    let letters = DeadLetterConfig::builder().arn("queue:letters").build();
    let target =
        SdkTarget::builder().id("t").arn("queue:gone").dead_letter_config(letters).build().expect("a target");
    client.put_targets().rule("r").targets(target).send().await.expect("targets");
    client.put_events().entries(entry("{}")).send().await.expect("put");
    assert_eq!(world.services.delivered("queue:letters").len(), 1);
}

#[tokio::test]
async fn rules_and_buses_can_be_looked_at() {
    let world = World::new().await;
    let client = world.events();
    let bus = client.create_event_bus().name("orders").send().await.expect("a bus");
    assert_eq!(bus.event_bus_arn(), Some("arn:aws:events:us-east-1:000000000000:event-bus/orders"));
    assert_eq!(client.list_event_buses().send().await.expect("buses").event_buses().len(), 2);
    let pattern = r#"{"source":["shop"]}"#;
    let rule = client
        .put_rule()
        .name("r")
        .event_bus_name("orders")
        .event_pattern(pattern)
        .send()
        .await
        .expect("a rule");
    assert_eq!(rule.rule_arn(), Some("arn:aws:events:us-east-1:000000000000:rule/orders/r"));
    let target = SdkTarget::builder().id("t").arn("queue").build().expect("a target");
    client.put_targets().rule("r").event_bus_name("orders").targets(target).send().await.expect("targets");
    let described = client.describe_rule().name("r").event_bus_name("orders").send().await.expect("a rule");
    assert_eq!(described.event_pattern(), Some(pattern));
    let listed =
        client.list_targets_by_rule().rule("r").event_bus_name("orders").send().await.expect("targets");
    assert_eq!(listed.targets()[0].arn(), "queue");
    let refused = client.delete_rule().name("r").event_bus_name("orders").send().await;
    assert!(refused.is_err(), "a rule with targets stays");
    client.remove_targets().rule("r").event_bus_name("orders").ids("t").send().await.expect("removed");
    client.delete_rule().name("r").event_bus_name("orders").send().await.expect("deleted");
    assert!(client.list_rules().event_bus_name("orders").send().await.expect("rules").rules().is_empty());
    let missing = client.describe_event_bus().name("none").send().await.expect_err("no such bus");
    assert!(missing.into_service_error().is_resource_not_found_exception());
    let wrong =
        client.put_rule().name("w").event_pattern(r#"{"source": "shop"}"#).send().await.expect_err("refused");
    assert!(wrong.into_service_error().is_invalid_event_pattern_exception());
}

#[tokio::test]
async fn a_replay_delivers_only_the_archived_window() {
    let world = World::new().await;
    let client = world.events();
    world.services.rule("shop", json!({"source": ["shop"]}), "queue");
    client.create_archive().archive_name("a").event_source_arn(BUS_ARN).send().await.expect("an archive");
    for second in [100, 200, 300] {
        let at = PutEventsRequestEntry::builder().source("shop").detail_type("sold").detail("{}");
        client.put_events().entries(at.time(DateTime::from_secs(second)).build()).send().await.expect("put");
    }
    let replay = client
        .start_replay()
        .replay_name("again")
        .event_source_arn("arn:aws:events:us-east-1:000000000000:archive/a")
        .event_start_time(DateTime::from_secs(150))
        .event_end_time(DateTime::from_secs(250))
        .destination(ReplayDestination::builder().arn(BUS_ARN).build().expect("a destination"));
    replay.send().await.expect("a replay");
    let replayed: Vec<_> = world.services.delivered("queue").into_iter().skip(3).collect();
    assert_eq!(replayed.len(), 1);
    assert_eq!(replayed[0]["time"], "1970-01-01T00:03:20Z");
    assert_eq!(replayed[0]["replay-name"], "again");
    let described = client.describe_replay().replay_name("again").send().await.expect("a replay");
    assert_eq!(described.state().map(|state| state.as_str()), Some("COMPLETED"));
    let archive = client.describe_archive().archive_name("a").send().await.expect("an archive");
    assert_eq!(archive.event_count(), 3);
}

#[tokio::test]
async fn a_secret_has_its_current_and_its_previous_value() {
    let world = World::new().await;
    let client = world.secrets();
    let arn = world.services.secrets.declare("app/key").expect("declared");
    let missing = client.get_secret_value().secret_id(&arn).send().await.expect_err("no value yet");
    assert!(missing.into_service_error().is_resource_not_found_exception());
    for value in ["one", "two"] {
        client.put_secret_value().secret_id("app/key").secret_string(value).send().await.expect("put");
    }
    let current = client.get_secret_value().secret_id(&arn).send().await.expect("a value");
    assert_eq!((current.arn(), current.secret_string()), (Some(arn.as_str()), Some("two")));
    let previous = client.get_secret_value().secret_id("app/key").version_stage("AWSPREVIOUS").send().await;
    assert_eq!(previous.expect("a value").secret_string(), Some("one"));
    let blob = aws_sdk_secretsmanager::primitives::Blob::new([0_u8, 255]);
    client.update_secret().secret_id("app/key").secret_binary(blob.clone()).send().await.expect("updated");
    let binary = client.get_secret_value().secret_id("app/key").send().await.expect("a value");
    assert_eq!(binary.secret_binary(), Some(&blob));
    assert_eq!(client.list_secrets().send().await.expect("a list").secret_list()[0].name(), Some("app/key"));
    client.delete_secret().secret_id("app/key").send().await.expect("scheduled");
    let marked =
        client.get_secret_value().secret_id("app/key").send().await.expect_err("marked for deletion");
    assert!(marked.into_service_error().is_invalid_request_exception());
}

#[tokio::test]
async fn a_mail_lies_in_the_mailbox() {
    let world = World::new().await;
    let text = |data: &str| Content::builder().data(data).build().expect("content");
    let body = Body::builder().text(text("Hi")).html(text("<p>Hi</p>")).build();
    let header = MessageHeader::builder().name("X-Note").value("kept short").build().expect("a header");
    let message = Message::builder().subject(text("Welcome")).body(body).headers(header).build();
    let content = EmailContent::builder().simple(message).build();
    let send = world.mail().send_email().from_email_address("shop@example.com").content(content);
    let to = Destination::builder().to_addresses("ann@example.com").build();
    let sent = send.clone().destination(to).send().await.expect("sent");
    let mails = world.services.mailbox.list().expect("a list");
    assert_eq!(mails.len(), 1);
    assert_eq!(Some(mails[0].id.as_str()), sent.message_id());
    assert_eq!((mails[0].to.as_str(), mails[0].html.as_deref()), ("ann@example.com", Some("<p>Hi</p>")));
    let nobody = send.destination(Destination::builder().build()).send().await.expect_err("no recipient");
    assert!(nobody.into_service_error().is_bad_request_exception());
}

#[tokio::test]
async fn what_was_accepted_survives_reopening_the_store() {
    let world = World::new().await;
    world.services.rule("shop", json!({"source": ["shop"]}), "queue");
    world.services.rule("lost", json!({"source": ["shop"]}), "queue:gone");
    world.events().put_events().entries(entry("{}")).send().await.expect("put");
    world.secrets().create_secret().name("key").secret_string("one").send().await.expect("created");

    // A second service on the same file, while the first has closed nothing: as after kill -9.
    let reopened = Services::open(&world.path);
    assert_eq!(reopened.delivered("queue").len(), 1);
    assert_eq!(reopened.events.recent(10).expect("events").len(), 1);
    let kept = reopened.secrets.handle("GetSecretValue", json!({"SecretId": "key"})).await.expect("a value");
    assert_eq!(kept["SecretString"], "one");
    let waiting: rusqlite::Result<i64> = reopened
        .store
        .transaction(|tx| tx.query_row("SELECT count(*) FROM failed_deliveries", [], |row| row.get(0)));
    assert_eq!(waiting, Ok(1));
}
