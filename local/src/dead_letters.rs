//! `cargo run -- dlq ...` and `cargo run -- replay`: what could not be handled by a bundle that runs on this machine, and what
//! it was told, once more.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use aws_sdk_eventbridge::primitives::{DateTime, DateTimeFormat};
use aws_sdk_eventbridge::types::{ReplayDestination, ReplayState};
use aws_sdk_sqs::operation::get_queue_url::GetQueueUrlError;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, QueueAttributeName};
use serde_json::json;
use shared::aws::Aws;

use crate::running;

type Error = Box<dyn std::error::Error>;

/// How long a move or a replay may take.
const PATIENCE: Duration = Duration::from_mins(10);
/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(200);
/// How a dead-letter queue's name ends.
const SUFFIX: &str = "Dlq";
/// The queue of what rules could not deliver.
const UNDELIVERED: &str = "UndeliveredEventsDlq";
/// On a laptop an archive is called like its resource.
const ARCHIVE: &str = "EventArchive";

/// The dead-letter queues of a running bundle.
pub struct DeadLetters {
    aws: Aws,
}

/// What became of what was in a queue.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Redriven {
    /// What is on its way again.
    pub back: i64,
    /// What stays where it is.
    pub left: i64,
}

/// A message of one, for people.
struct Shown<'a>(&'a Message);

impl DeadLetters {
    /// Those behind the AWS endpoint at this port.
    pub fn at(aws_port: u16) -> Self {
        Self { aws: crate::aws_at(&format!("http://{}:{aws_port}", Ipv4Addr::LOCALHOST)) }
    }

    /// Each dead-letter queue and how many messages are in it.
    pub async fn list(&self) -> Result<Vec<(String, i64)>, Error> {
        let sqs = self.aws.sqs();
        let urls = sqs.list_queues().send().await.map_err(told)?.queue_urls.unwrap_or_default();
        let mut queues = Vec::new();
        for url in urls.iter().filter(|url| url.ends_with(SUFFIX)) {
            let name = url.rsplit('/').next().unwrap_or_default().to_owned();
            queues.push((name, self.count(url).await?));
        }
        Ok(queues)
    }

    /// How many messages are in a queue: one that was looked at a moment ago is out of sight and there all the same.
    async fn count(&self, url: &str) -> Result<i64, Error> {
        let visible = self.number(url, QueueAttributeName::ApproximateNumberOfMessages).await?;
        let hidden = self.number(url, QueueAttributeName::ApproximateNumberOfMessagesNotVisible).await?;
        Ok(visible + hidden)
    }

    /// The first ten messages of a queue. They stay there.
    pub async fn show(&self, queue: &str) -> Result<Vec<String>, Error> {
        let receive =
            self.aws.sqs().receive_message().queue_url(self.url(queue).await?).visibility_timeout(0);
        let receive = receive.max_number_of_messages(10).message_attribute_names("All");
        let receive = receive.message_system_attribute_names(MessageSystemAttributeName::All);
        let messages = receive.send().await.map_err(told)?.messages.unwrap_or_default();
        Ok(messages.iter().map(|message| Shown(message).to_string()).collect())
    }

    /// Puts what is in a queue back to where it came from: to the queue that it is the dead-letter queue of, or on the bus whose
    /// rules could not deliver it, and then with it what the streams have left: the bundle whose API is at `port` does. Answers what became of them.
    pub async fn redrive(&self, queue: &str, port: u16) -> Result<Redriven, Error> {
        let (sqs, url) = (self.aws.sqs(), self.url(queue).await?);
        let sources = sqs.list_dead_letter_source_queues().queue_url(&url).send().await.map_err(told)?;
        let Some(source) = sources.queue_urls().first() else {
            return if queue == UNDELIVERED {
                let done = redeliver(port).await?;
                // What was looked at a moment ago the function has not seen.
                Ok(Redriven { left: done.left.max(self.count(&url).await?), ..done })
            } else {
                Err(format!("nothing puts back what is in {queue}").into())
            };
        };
        // By its name: what a function has put aside itself, SQS knows no source of.
        let (from, to) = (self.arn(&url).await?, self.arn(source).await?);
        let start = sqs.start_message_move_task().source_arn(&from).destination_arn(to);
        start.send().await.map_err(told)?;
        let started = Instant::now();
        loop {
            let tasks = sqs.list_message_move_tasks().source_arn(&from).send().await.map_err(told)?;
            let task = tasks.results().first().ok_or("the move is not there")?;
            match task.status() {
                Some("COMPLETED") => {
                    return Ok(Redriven { back: task.approximate_number_of_messages_moved(), left: 0 });
                }
                Some("RUNNING") if started.elapsed() < PATIENCE => tokio::time::sleep(LOOK).await,
                other => return Err(format!("the move ended as {other:?}").into()),
            }
        }
    }

    /// Puts to the bus's rules once more what was archived between two moments (RFC 3339).
    pub async fn replay(&self, from: &str, to: &str) -> Result<(), Error> {
        let events = self.aws.eventbridge();
        let moment = |text: &str| DateTime::from_str(text, DateTimeFormat::DateTimeWithOffset);
        let (from, to) = (moment(from)?, moment(to)?);
        let archive = events.describe_archive().archive_name(ARCHIVE).send().await.map_err(told)?;
        let bus = archive.event_source_arn().unwrap_or_default();
        let name = format!("replay-{}", uuid::Uuid::now_v7());
        let destination = ReplayDestination::builder().arn(bus).build()?;
        let start = events.start_replay().replay_name(&name).destination(destination);
        let start = start.set_event_source_arn(archive.archive_arn.clone());
        start.event_start_time(from).event_end_time(to).send().await.map_err(told)?;
        let started = Instant::now();
        loop {
            let replay = events.describe_replay().replay_name(&name).send().await.map_err(told)?;
            match replay.state() {
                Some(ReplayState::Completed) => return Ok(()),
                Some(ReplayState::Starting | ReplayState::Running) if started.elapsed() < PATIENCE => {
                    tokio::time::sleep(LOOK).await;
                }
                other => return Err(format!("the replay ended as {other:?}").into()),
            }
        }
    }

    async fn url(&self, queue: &str) -> Result<String, Error> {
        match self.aws.sqs().get_queue_url().queue_name(queue).send().await {
            Ok(found) => found.queue_url.ok_or_else(|| format!("there is no queue {queue}").into()),
            Err(error) if error.as_service_error().is_some_and(GetQueueUrlError::is_queue_does_not_exist) => {
                Err(format!("there is no queue {queue}").into())
            }
            Err(error) => Err(told(error)),
        }
    }

    async fn arn(&self, url: &str) -> Result<String, Error> {
        self.attribute(url, QueueAttributeName::QueueArn).await
    }

    async fn number(&self, url: &str, name: QueueAttributeName) -> Result<i64, Error> {
        Ok(self.attribute(url, name).await?.parse()?)
    }

    async fn attribute(&self, url: &str, name: QueueAttributeName) -> Result<String, Error> {
        let asked = self.aws.sqs().get_queue_attributes().queue_url(url).attribute_names(name.clone());
        let answer = asked.send().await.map_err(told)?;
        Ok(answer.attributes().and_then(|all| all.get(&name)).cloned().unwrap_or_default())
    }
}

/// Has the stack bring on their way the events that no rule could deliver and the records that could not be relayed.
async fn redeliver(port: u16) -> Result<Redriven, Error> {
    let started = Instant::now();
    let (mut redriven, mut from) = (Redriven::default(), json!({}));
    loop {
        let done = running::invoke(port, "events-redrive", &from).await?;
        let number = |name: &str| done[name].as_i64().unwrap_or(0);
        redriven.back += number("events") + number("records");
        redriven.left += number("left");
        if done["next"].is_null() || started.elapsed() > PATIENCE {
            return Ok(redriven);
        }
        from = json!({"after": done["next"]});
    }
}

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(message) = self;
        let received = message
            .attributes()
            .and_then(|all| all.get(&MessageSystemAttributeName::ApproximateReceiveCount));
        let received = received.map_or("0", String::as_str);
        writeln!(f, "{} (received {received} times)", message.message_id().unwrap_or_default())?;
        for (name, value) in message.message_attributes().into_iter().flatten() {
            writeln!(f, "  {name}: {}", value.string_value().unwrap_or_default())?;
        }
        write!(f, "  {}", message.body().unwrap_or_default())
    }
}

/// An error of a call, with its cause: that nothing answers, or what the service says.
fn told<E>(error: aws_sdk_sqs::error::SdkError<E>) -> Error
where
    E: std::error::Error + aws_sdk_sqs::error::ProvideErrorMetadata + Send + Sync + 'static,
{
    shared::Error::from(error).cause().into()
}
