//! Entry kind stream: a batch of DynamoDB stream records, answered with the first that failed.

use futures_util::future::BoxFuture;
use serde_json::value::RawValue;

use super::queue::{BatchResponse, ItemFailure};
use super::{Call, Failure, GIVE_UP, Running, StreamReader, answer};
use crate::stream::{Batch, Change};
use crate::{Error, Result};

pub(super) struct Stream<S>(pub(super) S);

impl<S: StreamReader> Running for Stream<S> {
    fn invoke<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Box<RawValue>, Failure>> {
        Box::pin(async move {
            let Batch { records } = call.parse()?;
            let changes: Vec<Change> = records.into_iter().map(Change::from).collect();
            let mut response = BatchResponse::default();
            let bounded = tokio::time::timeout(GIVE_UP, self.0.read(&changes));
            let failed = match bounded.await {
                Ok(Ok(())) => None,
                Ok(Err(failed)) => Some(failed),
                Err(elapsed) => changes.first().map(|first| (first, Error::NoReply(elapsed.into()))),
            };
            if let Some((change, error)) = failed {
                let failure = call.failed(&error);
                // Lambda halves a batch that failed as a whole, but not one that reports its first record: that
                // one would take all behind it along once its tries are used up.
                let first = changes.first().map(|first| &first.sequence_number);
                if changes.len() > 1 && first == Some(&change.sequence_number) {
                    return Err(failure);
                }
                let item_identifier = change.sequence_number.clone();
                response.batch_item_failures.push(ItemFailure { item_identifier });
            }
            tracing::info!(
                function = call.function,
                requestId = call.request_id,
                records = changes.len(),
                failed = response.batch_item_failures.len(),
                "stream"
            );
            answer(&response)
        })
    }
}
