//! Transactions of DynamoDB.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::TransactWriteItem;

use crate::{Error, Result};

/// How a transaction ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Written {
    /// Everything was written.
    Committed,
    /// Nothing was written: the conditions of the items at these places did not hold.
    Refused(Vec<usize>),
}

/// Tries of one transaction that others are in the way of.
const TRIES: u32 = 8;
/// The longest wait before the second try; each later one may take twice as long.
const FIRST_WAIT_MS: u64 = 25;

/// Writes `items` in one transaction, or none of them.
///
/// A conflict with another transaction is tried again with full jitter, under the same
/// `ClientRequestToken` and with the same payload, so that a try whose reply was lost is not done
/// twice. After [`TRIES`] the error is `Unavailable`.
pub async fn write(client: &Client, items: Vec<TransactWriteItem>) -> Result<Written> {
    let token = uuid::Uuid::now_v7().to_string();
    for attempt in 0..TRIES {
        let request = client.transact_write_items().client_request_token(&token);
        let Err(error) = request.set_transact_items(Some(items.clone())).send().await else {
            return Ok(Written::Committed);
        };
        match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                let codes: Vec<&str> =
                    cancelled.cancellation_reasons().iter().map(|r| r.code().unwrap_or("None")).collect();
                let refused: Vec<usize> = places(&codes, |code| code == "ConditionalCheckFailed");
                if !refused.is_empty() {
                    return Ok(Written::Refused(refused));
                }
                if places(&codes, |code| !RETRIED.contains(&code)).is_empty() {
                    wait(attempt).await?;
                    continue;
                }
                return Err(Error::internal(format!("transaction cancelled: {codes:?}")));
            }
            Some(TransactWriteItemsError::TransactionInProgressException(_)) => wait(attempt).await?,
            _ => return Err(error.into()),
        }
    }
    Err(Error::unavailable("the transaction met others at every try"))
}

/// Reasons to try a transaction again ("None" stands at the items that were not at fault).
const RETRIED: [&str; 4] =
    ["None", "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"];

fn places(codes: &[&str], is: impl Fn(&str) -> bool) -> Vec<usize> {
    codes.iter().enumerate().filter(|(_, code)| is(code)).map(|(place, _)| place).collect()
}

async fn wait(attempt: u32) -> Result<()> {
    if attempt + 1 == TRIES {
        return Ok(());
    }
    let longest = FIRST_WAIT_MS << attempt;
    let random = getrandom::u64().map_err(Error::internal)?;
    tokio::time::sleep(Duration::from_millis(random % (longest + 1))).await;
    Ok(())
}
