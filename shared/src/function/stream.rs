//! Entry kind stream: a batch of DynamoDB stream records, answered with the first that failed.

use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::queue::{BatchResponse, ItemFailure};
use super::{Call, Failure, Running, StreamReader, answer};
use crate::Result;
use crate::stream::{Change, Record};

pub(super) struct Stream<S>(pub(super) S);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Batch {
    records: Vec<Record>,
}

impl<S: StreamReader> Running for Stream<S> {
    fn invoke<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Box<RawValue>, Failure>> {
        Box::pin(async move {
            let Batch { records } = call.parse()?;
            let changes: Vec<Change> = records.into_iter().map(Change::from).collect();
            let mut response = BatchResponse::default();
            if let Err((change, error)) = self.0.read(&changes).await {
                call.failed(&error);
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
