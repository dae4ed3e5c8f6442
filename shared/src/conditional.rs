//! Conditional writes of one item: that a condition does not hold is an answer, not an error.
//!
//! An item that a transaction is writing refuses others for that moment. The SDK does not try again by itself, so
//! these do.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::operation::update_item::{UpdateItemError, UpdateItemOutput};

use crate::Result;
use crate::transaction::{Item, TRIES, pause_before};

/// What became of a conditional write.
pub enum Conditional {
    /// It was made; the item, where an update was asked for it.
    Written(Option<Item>),
    /// Its condition did not hold; the item that stood in its way, where there is one and it was asked for.
    Refused(Option<Item>),
}

/// Sends an update.
pub async fn update(update: UpdateItemFluentBuilder) -> Result<Conditional> {
    for attempt in 0..TRIES - 1 {
        pause_before(attempt).await?;
        match update.clone().send().await {
            Err(error) if meets_a_transaction(&error) => {}
            sent => return updated(sent),
        }
    }
    pause_before(TRIES - 1).await?;
    updated(update.send().await)
}

fn updated(sent: Result<UpdateItemOutput, SdkError<UpdateItemError>>) -> Result<Conditional> {
    let error = match sent {
        Ok(updated) => return Ok(Conditional::Written(updated.attributes)),
        Err(error) => error,
    };
    match error.as_service_error() {
        Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
            Ok(Conditional::Refused(failed.item().cloned()))
        }
        _ => Err(error.into()),
    }
}

/// Sends a put.
pub async fn put(put: PutItemFluentBuilder) -> Result<Conditional> {
    for attempt in 0..TRIES - 1 {
        pause_before(attempt).await?;
        match put.clone().send().await {
            Err(error) if meets_a_transaction(&error) => {}
            sent => return stored(sent.map(drop)),
        }
    }
    pause_before(TRIES - 1).await?;
    stored(put.send().await.map(drop))
}

fn stored(sent: Result<(), SdkError<PutItemError>>) -> Result<Conditional> {
    let Err(error) = sent else { return Ok(Conditional::Written(None)) };
    match error.as_service_error() {
        Some(PutItemError::ConditionalCheckFailedException(failed)) => {
            Ok(Conditional::Refused(failed.item().cloned()))
        }
        _ => Err(error.into()),
    }
}

fn meets_a_transaction<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    error.as_service_error().and_then(ProvideErrorMetadata::code) == Some("TransactionConflictException")
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
    use aws_sdk_dynamodb::{Client, Config};
    use aws_smithy_http_client::test_util::infallible_client_fn;
    use aws_smithy_types::body::SdkBody;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A DynamoDB that answers its first `conflicts` calls with a conflict, and the count of its calls.
    fn busy(conflicts: u32) -> (Client, Arc<AtomicU32>) {
        let calls = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&calls);
        let http = infallible_client_fn(move |_| {
            let body = "{\"__type\":\"com.amazonaws.dynamodb.v20120810#TransactionConflictException\"}";
            let (status, body) =
                if counted.fetch_add(1, Ordering::SeqCst) < conflicts { (400, body) } else { (200, "{}") };
            http::Response::builder().status(status).body(SdkBody::from(body)).unwrap()
        });
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("id", "secret", None, None, "test"))
            .http_client(http);
        (Client::from_conf(config.build()), calls)
    }

    #[tokio::test]
    async fn a_write_that_meets_a_transaction_is_tried_again() {
        let (client, calls) = busy(3);
        let outcome = update(client.update_item().table_name("t")).await;
        assert!(matches!(outcome, Ok(Conditional::Written(_))));
        assert_eq!(calls.load(Ordering::SeqCst), 4);
        let (client, calls) = busy(1);
        assert!(matches!(put(client.put_item().table_name("t")).await, Ok(Conditional::Written(_))));
        assert_eq!(calls.load(Ordering::SeqCst), 2);
        let (client, calls) = busy(u32::MAX);
        let outcome = update(client.update_item().table_name("t")).await;
        assert!(matches!(outcome, Err(crate::Error::Unavailable(_))), "and given up in the end");
        assert_eq!(calls.load(Ordering::SeqCst), TRIES);
    }
}
