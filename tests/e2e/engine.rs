//! Another engine under a bundle than the embedded cloud: ministack, as `tests/ministack.py` starts it.

use aws_sdk_eventbridge::types::Target;
use serde_json::{Value, json};
use shared::aws::Aws;
use tokio::sync::Mutex;

use crate::app::client;

/// What an identity stands for that somebody has shown to be theirs: the domain of `MailFrom`.
const MAIL_DOMAIN: &str = "arcana.localhost";
/// The queue that has every event of the bus.
const WATCH: &str = "Watch";
const BUS: &str = "arcana-local-events";

/// The engine. There is one for all tests, which run one after the other.
pub(crate) struct Engine {
    endpoint: String,
    client: reqwest::Client,
    aws: Aws,
    events: Mutex<Vec<Value>>,
}

impl Engine {
    /// The engine that `AWS_ENDPOINT_URL` names, emptied.
    pub(crate) async fn emptied() -> Option<Self> {
        let endpoint = std::env::var("AWS_ENDPOINT_URL").ok()?;
        let client = client().build().unwrap();
        let reset = client.post(format!("{endpoint}/_ministack/reset")).send().await;
        reset.unwrap().error_for_status().unwrap();
        let aws = local::aws_at(&endpoint);
        aws.ses().create_email_identity().email_identity(MAIL_DOMAIN).send().await.unwrap();
        Some(Self { endpoint, client, aws, events: Mutex::default() })
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Looks at the bus from now on, once there is one.
    pub(crate) async fn watch(&self) {
        self.aws.sqs().create_queue().queue_name(WATCH).send().await.unwrap();
        let bus = self.aws.eventbridge();
        let rule =
            bus.put_rule().name(WATCH).event_bus_name(BUS).event_pattern(r#"{"source": [{"prefix": ""}]}"#);
        rule.send().await.unwrap();
        let arn = format!("arn:aws:sqs:{}:{}:{WATCH}", local_aws::REGION, local_aws::ACCOUNT);
        let target = Target::builder().id(WATCH).arn(arn).build().unwrap();
        bus.put_targets().rule(WATCH).event_bus_name(BUS).targets(target).send().await.unwrap();
    }

    /// What went over the bus, as `/_local/events` has it, by the time of what it tells.
    pub(crate) async fn events(&self) -> Vec<Value> {
        let mut events = self.events.lock().await;
        let sqs = self.aws.sqs();
        let url = format!("{}/{}/{WATCH}", self.endpoint, local_aws::ACCOUNT);
        loop {
            let received = sqs.receive_message().queue_url(&url).max_number_of_messages(10).send().await;
            let messages = received.unwrap().messages.unwrap_or_default();
            for message in &messages {
                events.push(serde_json::from_str(message.body().unwrap()).unwrap());
                let delete =
                    sqs.delete_message().queue_url(&url).receipt_handle(message.receipt_handle().unwrap());
                delete.send().await.unwrap();
            }
            if messages.is_empty() {
                break;
            }
        }
        events.sort_by_key(|event| event["detail"]["timestamp"].to_string());
        events.clone()
    }

    /// The mails that were sent, oldest first, as `/_local/mail` has them.
    pub(crate) async fn mails(&self) -> Vec<Value> {
        let get = self.client.get(format!("{}/_ministack/ses/messages", self.endpoint));
        let answer: Value = get.send().await.unwrap().json().await.unwrap();
        let accounts = answer["messages"].as_object().unwrap().values();
        let mail = |mail: &Value| json!({"to": mail["To"][0], "subject": mail["Subject"], "text": mail["BodyText"], "html": mail["BodyHtml"]});
        accounts.flat_map(|mails| mails.as_array().unwrap()).map(mail).collect()
    }
}
