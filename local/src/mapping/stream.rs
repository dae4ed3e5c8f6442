//! A table's stream invokes a function, in order, from where it was left.
//! (<https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-eventsourcemapping.html>)

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodbstreams::Client;
use aws_sdk_dynamodbstreams::types::{AttributeValue, Record, ShardIteratorType};
use local_aws::{Cloud, Store};
use serde_json::{Map, Value, json};

use super::failures;
use crate::invoke::Invoker;

/// How often Lambda looks for records, where nothing says that there are some.
const LOOK: Duration = Duration::from_millis(250);
/// The first wait after a failure; each later one is twice as long, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Which stream, and how.
pub struct Mapping {
    /// A name for the mapping that is the same at every start.
    pub id: String,
    /// The stream.
    pub stream_arn: String,
    /// Whether to begin with the oldest record rather than the newest.
    pub from_start: bool,
    /// Records of a batch at most.
    pub batch_size: usize,
    /// How often a batch is tried again; for ever if it does not say.
    pub retries: Option<u64>,
    /// Whether a failed batch is halved.
    pub bisects: bool,
    /// Whether the function reports which record failed.
    pub reports_failures: bool,
    /// The ARN of the bucket that takes the records that failed for good.
    pub on_failure: Option<String>,
}

/// What a mapping needs besides: AWS with the rights of the function's role.
#[derive(Clone)]
pub struct Services {
    /// The streams.
    pub streams: Client,
    /// Where failed records go.
    pub s3: aws_sdk_s3::Client,
    /// Where the mapping remembers its place.
    pub store: Store,
    /// The embedded cloud, which tells when there is something to read.
    pub cloud: Option<Arc<Cloud>>,
}

/// The places that the mappings have come to.
pub const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS stream_place (
    mapping TEXT NOT NULL, shard TEXT NOT NULL, sequence_number TEXT NOT NULL, PRIMARY KEY (mapping, shard))";

impl Mapping {
    /// Invokes `function` with what comes, for ever.
    pub async fn run(self, services: Services, function: Arc<Invoker>) {
        let reader = Reader { mapping: self, services, function };
        loop {
            if let Err(error) = reader.read().await {
                tracing::warn!(stream = reader.mapping.stream_arn, error = error.cause(), "cannot read");
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

struct Reader {
    mapping: Mapping,
    services: Services,
    function: Arc<Invoker>,
}

/// How a batch went.
enum Outcome {
    /// All its records are done.
    Done,
    /// The records from this place on are not.
    FailedAt(usize),
    /// Nothing is known of any.
    Failed,
}

impl Reader {
    /// Reads every shard until it ends or an error comes up.
    async fn read(&self) -> shared::Result<()> {
        let described =
            self.services.streams.describe_stream().stream_arn(&self.mapping.stream_arn).send().await?;
        let shards = described.stream_description.and_then(|stream| stream.shards).unwrap_or_default();
        let ids = shards.iter().filter_map(|shard| shard.shard_id());
        futures_util::future::try_join_all(ids.map(|id| self.shard(id))).await.map(drop)
    }

    async fn shard(&self, shard: &str) -> shared::Result<()> {
        let mut iterator = Some(self.iterator(shard).await?);
        while let Some(at) = iterator {
            // Armed before the look, so that what is written after it is not missed.
            let written = async {
                match &self.services.cloud {
                    Some(cloud) => cloud.written().await,
                    None => std::future::pending().await,
                }
            };
            tokio::pin!(written);
            let armed = futures_util::poll!(&mut written).is_pending();
            let limit = i32::try_from(self.mapping.batch_size.clamp(1, 1000)).unwrap_or(100);
            let answer = self.services.streams.get_records().shard_iterator(at).limit(limit).send().await?;
            let records = answer.records.unwrap_or_default();
            if !records.is_empty() {
                self.handle(shard, &records).await?;
            } else if armed {
                let _ = tokio::time::timeout(LOOK, written).await;
            }
            iterator = answer.next_shard_iterator;
        }
        Ok(())
    }

    /// An iterator from the place that the mapping has come to.
    async fn iterator(&self, shard: &str) -> shared::Result<String> {
        let get =
            self.services.streams.get_shard_iterator().stream_arn(&self.mapping.stream_arn).shard_id(shard);
        let get = match self.place(shard)? {
            Some(place) => {
                get.shard_iterator_type(ShardIteratorType::AfterSequenceNumber).sequence_number(place)
            }
            None if self.mapping.from_start => get.shard_iterator_type(ShardIteratorType::TrimHorizon),
            None => get.shard_iterator_type(ShardIteratorType::Latest),
        };
        get.send().await?.shard_iterator.ok_or_else(|| shared::Error::internal("a shard without an iterator"))
    }

    /// Invokes the function with `records` until each is done or given up.
    async fn handle(&self, shard: &str, records: &[Record]) -> shared::Result<()> {
        let mut waiting = VecDeque::from([records]);
        let mut tries: u64 = 0;
        while let Some(batch) = waiting.pop_front() {
            let (failed_at, halves) = match self.invoke(batch).await {
                Outcome::Done => {
                    self.remember(shard, batch)?;
                    tries = 0;
                    continue;
                }
                // The batch is cut where the function says, and not in half besides.
                Outcome::FailedAt(place) => (place, false),
                Outcome::Failed => (0, self.mapping.bisects),
            };
            let (done, rest) = batch.split_at(failed_at);
            self.remember(shard, done)?;
            if !done.is_empty() {
                tries = 0;
            }
            if halves && rest.len() > 1 {
                // Halving is no retry: it finds the record at fault, which is then tried alone.
                let (first, second) = rest.split_at(rest.len() / 2);
                waiting.push_front(second);
                waiting.push_front(first);
                continue;
            }
            if self.mapping.retries.is_some_and(|most| tries >= most) {
                self.give_up(shard, rest).await?;
                self.remember(shard, rest)?;
                tries = 0;
                continue;
            }
            let pause = FIRST_PAUSE.saturating_mul(1 << tries.min(6));
            tokio::time::sleep(pause.min(LONGEST_PAUSE)).await;
            tries += 1;
            waiting.push_front(rest);
        }
        Ok(())
    }

    async fn invoke(&self, batch: &[Record]) -> Outcome {
        let records: Vec<Value> = batch.iter().map(|record| self.record(record)).collect();
        match self.function.invoke(json!({"Records": records}).to_string()).await {
            Ok(_) if !self.mapping.reports_failures => Outcome::Done,
            Ok(answer) => match failures(&answer) {
                Some(failed) if failed.is_empty() => Outcome::Done,
                // The lowest number counts; one that is not of the batch fails all of it.
                Some(failed) => {
                    let place = batch.iter().position(|record| {
                        failed.iter().any(|id| {
                            record.dynamodb().and_then(|change| change.sequence_number()) == Some(id)
                        })
                    });
                    Outcome::FailedAt(place.unwrap_or(0))
                }
                None => Outcome::Failed,
            },
            Err(error) => {
                tracing::error!(function = self.function.name, %error, "batch failed");
                Outcome::Failed
            }
        }
    }

    /// Puts records that failed for good into the bucket, whole, as Lambda does.
    async fn give_up(&self, shard: &str, records: &[Record]) -> shared::Result<()> {
        let Some(bucket) =
            self.mapping.on_failure.as_deref().and_then(|arn| arn.strip_prefix("arn:aws:s3:::"))
        else {
            tracing::error!(stream = self.mapping.stream_arn, records = records.len(), "records are lost");
            return Ok(());
        };
        let numbers = |record: Option<&Record>| {
            record
                .and_then(|record| record.dynamodb())
                .and_then(|change| change.sequence_number().map(ToOwned::to_owned))
        };
        let payload =
            json!({"Records": records.iter().map(|record| self.record(record)).collect::<Vec<_>>()});
        let document = json!({
            "requestContext": {"functionArn": crate::deploy::function_arn(&self.function.name), "condition": "RetryAttemptsExhausted"},
            "version": "1.0",
            "DDBStreamBatchInfo": {
                "shardId": shard,
                "startSequenceNumber": numbers(records.first()),
                "endSequenceNumber": numbers(records.last()),
                "batchSize": records.len(),
                "streamArn": self.mapping.stream_arn,
            },
            "payload": payload.to_string(),
        });
        let key = format!("aws/lambda/{}/{shard}/{}", self.mapping.id, uuid::Uuid::new_v4());
        let body = document.to_string().into_bytes().into();
        self.services.s3.put_object().bucket(bucket).key(key).body(body).send().await?;
        Ok(())
    }

    fn place(&self, shard: &str) -> shared::Result<Option<String>> {
        let mapping = &self.mapping.id;
        let place = self.services.store.transaction(|transaction| {
            let mut rows = transaction
                .prepare("SELECT sequence_number FROM stream_place WHERE mapping = ?1 AND shard = ?2")?;
            let mut found = rows.query([mapping.as_str(), shard])?;
            found.next()?.map(|row| row.get::<_, String>(0)).transpose()
        });
        place.map_err(|error: local_aws::StoreError| shared::Error::internal(error))
    }

    fn remember(&self, shard: &str, done: &[Record]) -> shared::Result<()> {
        let Some(last) =
            done.last().and_then(|record| record.dynamodb()).and_then(|change| change.sequence_number())
        else {
            return Ok(());
        };
        let remembered = self.services.store.transaction(|transaction| {
            transaction.execute(
                "INSERT OR REPLACE INTO stream_place VALUES (?1, ?2, ?3)",
                [self.mapping.id.as_str(), shard, last],
            )
        });
        remembered.map(drop).map_err(|error: local_aws::StoreError| shared::Error::internal(error))
    }

    /// The record that Lambda makes of a stream's.
    fn record(&self, record: &Record) -> Value {
        let change = record.dynamodb();
        let image = |image: Option<&std::collections::HashMap<String, AttributeValue>>| {
            image.map(|image| {
                image.iter().map(|(name, value)| (name.clone(), attribute(value))).collect::<Map<_, _>>()
            })
        };
        let mut json = json!({
            "eventID": record.event_id(),
            "eventName": record.event_name().map(aws_sdk_dynamodbstreams::types::OperationType::as_str),
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": local_aws::REGION,
            "eventSourceARN": self.mapping.stream_arn,
            "dynamodb": {
                "ApproximateCreationDateTime": change.and_then(|c| c.approximate_creation_date_time()).map(aws_sdk_dynamodb::primitives::DateTime::secs),
                "Keys": image(change.and_then(|c| c.keys())),
                "SequenceNumber": change.and_then(|c| c.sequence_number()),
                "SizeBytes": change.and_then(aws_sdk_dynamodbstreams::types::StreamRecord::size_bytes),
                "StreamViewType": "NEW_AND_OLD_IMAGES",
            },
        });
        for (name, value) in [
            ("NewImage", image(change.and_then(|c| c.new_image()))),
            ("OldImage", image(change.and_then(|c| c.old_image()))),
        ] {
            if let Some(value) = value {
                json["dynamodb"][name] = Value::Object(value);
            }
        }
        json
    }
}

/// An attribute value in DynamoDB's JSON.
fn attribute(value: &AttributeValue) -> Value {
    use base64::Engine as _;
    let base64 = |blob: &aws_sdk_dynamodbstreams::primitives::Blob| {
        base64::engine::general_purpose::STANDARD.encode(blob)
    };
    match value {
        AttributeValue::S(text) => json!({"S": text}),
        AttributeValue::N(number) => json!({"N": number}),
        AttributeValue::Bool(truth) => json!({"BOOL": truth}),
        AttributeValue::Null(truth) => json!({"NULL": truth}),
        AttributeValue::B(blob) => json!({"B": base64(blob)}),
        AttributeValue::Ss(texts) => json!({"SS": texts}),
        AttributeValue::Ns(numbers) => json!({"NS": numbers}),
        AttributeValue::Bs(blobs) => json!({"BS": blobs.iter().map(base64).collect::<Vec<_>>()}),
        AttributeValue::L(list) => json!({"L": list.iter().map(attribute).collect::<Vec<_>>()}),
        AttributeValue::M(map) => {
            json!({"M": map.iter().map(|(name, value)| (name.clone(), attribute(value))).collect::<Map<_, _>>()})
        }
        // The SDK knows every type that there is.
        _ => Value::Null,
    }
}
