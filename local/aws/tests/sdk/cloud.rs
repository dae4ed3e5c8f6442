//! What the whole cloud promises behind its one endpoint, asked through the real AWS SDK clients.

use std::path::Path;
use std::time::{Duration, Instant};

use aws_credential_types::Credentials;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, Put, ScalarAttributeType,
    TimeToLiveSpecification, TransactWriteItem,
};
use aws_sdk_eventbridge::types::{DeadLetterConfig, PutEventsRequestEntry, Target};
use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_sesv2::types::{Body, Content, Destination, EmailContent, Message};
use aws_sdk_sqs::types::QueueAttributeName;
use local_aws::sqs::Sqs;
use local_aws::{ACCESS_KEY_ID, Clock, Cloud, REGION, SECRET_ACCESS_KEY, StartError, State};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// How long something may take whose time is no promise: a debug build on a busy machine is slow.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest long poll, in seconds: what is answered sooner was woken.
const LONG_POLL: i32 = 20;

macro_rules! client {
    ($world:expr, $sdk:ident) => {
        client!($world, $sdk, SECRET_ACCESS_KEY)
    };
    ($world:expr, $sdk:ident, $secret:expr) => {
        $sdk::Client::from_conf(client!(@config $world, $sdk, $secret).build())
    };
    (@config $world:expr, $sdk:ident, $secret:expr) => {
        $sdk::Config::builder()
            .behavior_version_latest()
            .region($sdk::config::Region::new(REGION))
            .credentials_provider(Credentials::new(ACCESS_KEY_ID, $secret, None, None, "test"))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .endpoint_url($world.cloud.endpoint())
    };
}

async fn start(state: &State) -> Result<Cloud, StartError> {
    Cloud::start(TcpListener::bind("127.0.0.1:0").await.unwrap(), state, Clock::default()).await
}

/// Waits until `look` finds something.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "no {what} within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A cloud of the test's own.
pub(crate) struct World {
    pub(crate) cloud: Cloud,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self { cloud: start(&State::Memory).await.unwrap() }
    }

    /// The cloud of this directory. One that was just dropped may have an answer under way.
    pub(crate) async fn over(directory: &Path) -> Self {
        let state = State::Directory(directory.to_owned());
        Self { cloud: eventually("cloud", async || start(&state).await.ok()).await }
    }

    fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        client!(self, aws_sdk_dynamodb)
    }

    pub(crate) fn events(&self) -> aws_sdk_eventbridge::Client {
        client!(self, aws_sdk_eventbridge)
    }

    fn secrets(&self) -> aws_sdk_secretsmanager::Client {
        client!(self, aws_sdk_secretsmanager)
    }

    fn ses(&self) -> aws_sdk_sesv2::Client {
        client!(self, aws_sdk_sesv2)
    }

    fn sqs(&self) -> aws_sdk_sqs::Client {
        client!(self, aws_sdk_sqs)
    }

    pub(crate) fn s3(&self, secret: &str) -> aws_sdk_s3::Client {
        let config = client!(@config self, aws_sdk_s3, secret).force_path_style(true);
        aws_sdk_s3::Client::from_conf(config.build())
    }

    /// Makes a table whose key is `id` and whose items live until `expires`.
    pub(crate) async fn table(&self, name: &str) {
        let key = KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash).build().unwrap();
        let id = AttributeDefinition::builder().attribute_name("id").attribute_type(ScalarAttributeType::S);
        let create = self.dynamodb().create_table().table_name(name).key_schema(key);
        let create = create.attribute_definitions(id.build().unwrap());
        create.billing_mode(BillingMode::PayPerRequest).send().await.unwrap();
        let expires = TimeToLiveSpecification::builder().enabled(true).attribute_name("expires");
        let update = self.dynamodb().update_time_to_live().table_name(name);
        update.time_to_live_specification(expires.build().unwrap()).send().await.unwrap();
    }

    async fn put(&self, table: &str, id: &str, expires_s: i64) {
        let put = self.dynamodb().put_item().table_name(table).item("id", text(id));
        put.item("expires", AttributeValue::N(expires_s.to_string())).send().await.unwrap();
    }

    async fn has(&self, table: &str, id: &str) -> bool {
        let get = self.dynamodb().get_item().table_name(table).key("id", text(id)).consistent_read(true);
        get.send().await.unwrap().item.is_some()
    }

    /// Makes a queue that rules may send to; answers its URL.
    pub(crate) async fn queue(&self, name: &str) -> String {
        let policy = serde_json::json!({"Statement": [{"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage", "Resource": Sqs::arn(name)}]});
        let create = self.sqs().create_queue().queue_name(name);
        let create = create.attributes(QueueAttributeName::Policy, policy.to_string());
        create.send().await.unwrap().queue_url.unwrap()
    }

    /// Makes a rule that sends the events of the shop to a target.
    async fn rule(&self, target: Target) {
        let events = self.events();
        events.put_rule().name("shop").event_pattern(r#"{"source": ["shop"]}"#).send().await.unwrap();
        let put = events.put_targets().rule("shop").targets(target).send().await.unwrap();
        assert_eq!(put.failed_entry_count(), 0);
    }

    async fn put_event(&self) {
        let entry = PutEventsRequestEntry::builder().source("shop").detail_type("Sold").detail(r#"{"n": 1}"#);
        let put = self.events().put_events().entries(entry.build()).send().await.unwrap();
        assert_eq!(put.failed_entry_count(), 0);
    }

    pub(crate) async fn receive(&self, url: &str, wait_seconds: i32) -> Vec<aws_sdk_sqs::types::Message> {
        let receive = self.sqs().receive_message().queue_url(url).wait_time_seconds(wait_seconds);
        receive.message_attribute_names("All").send().await.unwrap().messages.unwrap_or_default()
    }

    async fn send_mail(&self, to: &str) {
        let content = |text: &str| Content::builder().data(text).build().unwrap();
        let message = Message::builder()
            .subject(content("Hello"))
            .body(Body::builder().text(content("A text")).build())
            .build();
        let send = self.ses().send_email().from_email_address("shop@example.com");
        let send = send.destination(Destination::builder().to_addresses(to).build());
        send.content(EmailContent::builder().simple(message).build()).send().await.unwrap();
    }

    /// The status of a request with these header lines.
    async fn status(&self, headers: &str) -> u16 {
        let address = self.cloud.endpoint().strip_prefix("http://").unwrap().to_owned();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET / HTTP/1.1\r\n{headers}Connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        answer.split(' ').nth(1).unwrap().parse().unwrap()
    }
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

pub(crate) fn target(queue: &str) -> aws_sdk_eventbridge::types::builders::TargetBuilder {
    Target::builder().id("t").arn(Sqs::arn(queue))
}

fn now_s() -> i64 {
    Clock::default().now_ms() / 1000
}

#[tokio::test]
async fn items_are_written_and_read_back() {
    let world = World::new().await;
    world.table("users").await;
    world.put("users", "ada", now_s() + 3600).await;
    assert!(world.has("users", "ada").await);
    assert!(!world.has("users", "bob").await);
}

#[tokio::test]
async fn a_transaction_is_all_or_nothing() {
    let world = World::new().await;
    world.table("users").await;
    let put = |id: &str| {
        let put = Put::builder().table_name("users").item("id", text(id));
        let put = put.condition_expression("attribute_not_exists(id)").build().unwrap();
        TransactWriteItem::builder().put(put).build()
    };
    let transact = async |ids: [&str; 2]| {
        let items = ids.map(put).to_vec();
        world.dynamodb().transact_write_items().set_transact_items(Some(items)).send().await
    };
    transact(["ada", "bob"]).await.unwrap();
    let refused = transact(["eve", "ada"]).await.unwrap_err().into_service_error();
    assert!(refused.is_transaction_canceled_exception(), "{refused:?}");
    assert!(world.has("users", "bob").await);
    assert!(!world.has("users", "eve").await);
}

#[tokio::test]
async fn an_item_is_removed_once_the_clock_is_past_its_time() {
    let world = World::new().await;
    world.table("sessions").await;
    for id in ["expired", "refreshed"] {
        world.put("sessions", id, now_s() + 600).await;
    }
    world.put("sessions", "refreshed", now_s() + 7200).await;
    assert!(world.has("sessions", "expired").await);
    world.cloud.advance_clock(3_600_000).unwrap();
    eventually("removal", async || (!world.has("sessions", "expired").await).then_some(())).await;
    assert!(world.has("sessions", "refreshed").await);
}

#[tokio::test]
async fn objects_are_put_read_and_listed() {
    let world = World::new().await;
    let s3 = world.s3(SECRET_ACCESS_KEY);
    s3.create_bucket().bucket("shop").send().await.unwrap();
    for key in ["in/1", "in/2", "out/1"] {
        s3.put_object().bucket("shop").key(key).body(key.as_bytes().to_vec().into()).send().await.unwrap();
    }
    let object = s3.get_object().bucket("shop").key("in/2").send().await.unwrap();
    assert_eq!(object.body.collect().await.unwrap().into_bytes(), "in/2".as_bytes());
    let listed = s3.list_objects_v2().bucket("shop").prefix("in/").send().await.unwrap();
    let keys: Vec<_> = listed.contents().iter().filter_map(|object| object.key()).collect();
    assert_eq!(keys, ["in/1", "in/2"]);
}

#[tokio::test]
async fn s3_refuses_a_wrong_secret() {
    let world = World::new().await;
    world.s3(SECRET_ACCESS_KEY).create_bucket().bucket("shop").send().await.unwrap();
    let forger = world.s3("guessed");
    let put = forger.put_object().bucket("shop").key("k").body(vec![1].into()).send().await.unwrap_err();
    assert_eq!(put.raw_response().unwrap().status().as_u16(), 403);
    assert_eq!(put.code(), Some("SignatureDoesNotMatch"));
    let list = forger.list_objects_v2().bucket("shop").send().await.unwrap_err();
    assert_eq!(list.raw_response().unwrap().status().as_u16(), 403);
}

#[tokio::test]
async fn an_event_wakes_who_waits_at_the_queue_of_the_rules_target() {
    let world = World::new().await;
    let url = world.queue("orders").await;
    world.rule(target("orders").build().unwrap()).await;
    let put = async {
        // Most often, the poll waits by then; if not, the event is there before it.
        tokio::time::sleep(Duration::from_millis(300)).await;
        world.put_event().await;
        Instant::now()
    };
    let poll = async { (world.receive(&url, LONG_POLL).await, Instant::now()) };
    let (put_at, (messages, received_at)) = tokio::join!(put, poll);
    assert!(received_at.saturating_duration_since(put_at) < Duration::from_secs(5), "not woken");
    let event: Value = serde_json::from_str(messages[0].body().unwrap()).unwrap();
    assert_eq!((&event["source"], &event["detail"]["n"]), (&"shop".into(), &1.into()));
}

#[tokio::test]
async fn an_event_for_a_queue_that_does_not_exist_ends_in_the_rules_dead_letter_queue() {
    let world = World::new().await;
    let url = world.queue("letters").await;
    let letters = DeadLetterConfig::builder().arn(Sqs::arn("letters")).build();
    world.rule(target("gone").dead_letter_config(letters).build().unwrap()).await;
    world.put_event().await;
    let messages = world.receive(&url, LONG_POLL).await;
    let [message] = messages.as_slice() else { panic!("{messages:?}") };
    let event: Value = serde_json::from_str(message.body().unwrap()).unwrap();
    assert_eq!(event["detail"]["n"], 1);
    assert!(message.message_attributes().unwrap().contains_key("ERROR_CODE"), "{message:?}");
}

#[tokio::test]
async fn a_mail_ends_in_the_mailbox() {
    let world = World::new().await;
    world.send_mail("ada@example.com").await;
    let mails = world.cloud.mail().list().unwrap();
    assert_eq!(mails.len(), 1);
    assert_eq!((mails[0].to.as_str(), mails[0].subject.as_str()), ("ada@example.com", "Hello"));
    assert_eq!(mails[0].text.as_deref(), Some("A text"));
}

#[tokio::test]
async fn a_secret_is_kept() {
    let world = World::new().await;
    world.secrets().create_secret().name("key").secret_string("s3cret").send().await.unwrap();
    let secret = world.secrets().get_secret_value().secret_id("key").send().await.unwrap();
    assert_eq!(secret.secret_string(), Some("s3cret"));
    let missing = world.secrets().get_secret_value().secret_id("other").send().await.unwrap_err();
    assert!(missing.into_service_error().is_resource_not_found_exception());
}

#[tokio::test]
async fn a_page_of_another_site_gets_nothing() {
    let world = World::new().await;
    assert_eq!(world.status("Host: evil.example\r\n").await, 403);
    assert_eq!(world.status("Host: localhost\r\nOrigin: https://evil.example\r\n").await, 403);
    assert_ne!(world.status("Host: localhost\r\n").await, 403);
    assert_ne!(world.status("Host: localhost\r\nOrigin: http://localhost:5173\r\n").await, 403);
}

#[tokio::test]
async fn what_a_directory_keeps_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let before = World::over(directory.path()).await;
    before.table("users").await;
    before.put("users", "ada", now_s() + 36_000).await;
    let s3 = before.s3(SECRET_ACCESS_KEY);
    s3.create_bucket().bucket("shop").send().await.unwrap();
    s3.put_object().bucket("shop").key("k").body(vec![7].into()).send().await.unwrap();
    let url = before.queue("orders").await;
    before.rule(target("orders").build().unwrap()).await;
    before.sqs().send_message().queue_url(url).message_body("before").send().await.unwrap();
    before.send_mail("ada@example.com").await;
    before.secrets().create_secret().name("key").secret_string("s3cret").send().await.unwrap();
    before.cloud.advance_clock(3_600_000).unwrap();
    drop(before);

    let after = World::over(directory.path()).await;
    assert!(after.has("users", "ada").await);
    let object = after.s3(SECRET_ACCESS_KEY).get_object().bucket("shop").key("k").send().await.unwrap();
    assert_eq!(object.body.collect().await.unwrap().into_bytes().as_ref(), [7]);
    let url = after.cloud.sqs().url("orders");
    assert_eq!(after.receive(&url, 0).await[0].body(), Some("before"));
    after.put_event().await;
    assert_eq!(after.receive(&url, LONG_POLL).await.len(), 1, "the rule is there");
    assert_eq!(after.cloud.mail().list().unwrap().len(), 1);
    let secret = after.secrets().get_secret_value().secret_id("key").send().await.unwrap();
    assert_eq!(secret.secret_string(), Some("s3cret"));
    let sent_at = &after.cloud.bus().recent(1).unwrap()[0]["time"];
    let sent_at: jiff::Timestamp = sent_at.as_str().unwrap().parse().unwrap();
    assert!(sent_at.as_second() > now_s() + 3000, "the clock is where it was moved to: {sent_at}");
}

#[tokio::test]
async fn a_message_that_was_in_flight_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let before = World::over(directory.path()).await;
    let url = before.queue("orders").await;
    before.sqs().send_message().queue_url(&url).message_body("1").send().await.unwrap();
    assert_eq!(before.receive(&url, 0).await.len(), 1);
    drop(before);

    let after = World::over(directory.path()).await;
    let url = after.cloud.sqs().url("orders");
    assert_eq!(after.receive(&url, 0).await.len(), 1, "its receiver is gone");
}

#[tokio::test]
async fn a_directory_in_use_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let state = State::Directory(directory.path().to_owned());
    let first = start(&state).await.unwrap();
    let refused = start(&state).await.err().expect("one cloud at a time");
    assert!(refused.to_string().contains("in use"), "{refused}");
    drop(first);
    World::over(directory.path()).await;
}

#[tokio::test]
async fn a_long_poll_does_not_keep_a_directory_in_use() {
    let directory = tempfile::tempdir().unwrap();
    let before = World::over(directory.path()).await;
    let url = before.queue("orders").await;
    let receive = before.sqs().receive_message().queue_url(url).wait_time_seconds(LONG_POLL);
    let poll = tokio::spawn(async move { receive.send().await.map(drop) });
    tokio::time::sleep(Duration::from_millis(300)).await;
    drop(before);
    let dropped = Instant::now();
    World::over(directory.path()).await;
    assert!(dropped.elapsed() < Duration::from_secs(10), "in use for {:?}", dropped.elapsed());
    poll.abort();
}
