//! Receipts: what a consumer has done already, so that a second delivery does nothing.
//!
//! A piece of work is claimed before and marked done after its effect. A claim whose holder died
//! lapses, so a crash between the two repeats the effect rather than losing it (the scheme of AWS
//! Powertools: <https://docs.powertools.aws.dev/lambda/python/latest/utilities/idempotency/>).

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::Clock;
use crate::conditional::{self, Conditional};
use crate::init::Init;
use crate::{Error, Result};

/// How long a claim holds, in seconds: longer than any consumer may run, shorter than the visibility
/// timeout after which the message of one that was killed comes again.
const CLAIM_SECONDS: i64 = 30;
/// How long it is known what was done, in seconds: as long as the archive can replay it (30 days) and a
/// queue can hold it then (14 days).
const KEPT_SECONDS: i64 = (30 + 14) * 24 * 3600;

/// The receipts of one consumer.
pub struct Receipts {
    client: Client,
    table: String,
    consumer: &'static str,
    clock: Clock,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Receipt {
    id: String,
    holder: Uuid,
    done: bool,
    /// When the claim lapses, in seconds since the epoch.
    claimed_until: i64,
    /// When DynamoDB may remove the receipt, in seconds since the epoch.
    ttl: i64,
}

impl Receipts {
    /// Reads `RECEIPTS_TABLE`. The function's name keeps the receipts of several consumers of one event
    /// apart.
    pub fn init(init: &mut Init) -> Self {
        Self {
            client: init.dynamodb(),
            table: init.text("RECEIPTS_TABLE"),
            consumer: init.function(),
            clock: init.clock(),
        }
    }

    /// Does `work` for `id` unless it was done before.
    ///
    /// While another delivery of the same work is under way this is [`Error::Busy`]: the message comes
    /// again later and finds it done, or lapsed.
    pub fn once<'a>(
        &'a self,
        id: Uuid,
        work: impl Future<Output = Result<()>> + Send + 'a,
    ) -> BoxFuture<'a, Result<()>> {
        // Boxed: a request of the SDK is large to move about.
        Box::pin(self.claimed(id, work))
    }

    /// Does `work` unless another invocation of this function is at work; answers whether it did. One that died is at work for
    /// [`CLAIM_SECONDS`].
    pub async fn alone(&self, work: impl Future<Output = Result<()>> + Send) -> Result<bool> {
        let now = self.clock.now().seconds();
        let receipt = self.receipt("alone", now);
        if self.claim(&receipt, now).await?.is_some_and(|earlier| earlier.holder != receipt.holder) {
            return Ok(false);
        }
        let outcome = work.await;
        self.give_back(receipt).await;
        outcome.map(|()| true)
    }

    fn receipt(&self, id: &str, now: i64) -> Receipt {
        Receipt {
            id: format!("{}#{id}", self.consumer),
            holder: Uuid::now_v7(),
            done: false,
            claimed_until: now + CLAIM_SECONDS,
            ttl: now + KEPT_SECONDS,
        }
    }

    async fn claimed(&self, id: Uuid, work: impl Future<Output = Result<()>> + Send) -> Result<()> {
        let now = self.clock.now().seconds();
        let mut receipt = self.receipt(&id.to_string(), now);
        if let Some(earlier) = self.claim(&receipt, now).await? {
            if earlier.done {
                tracing::info!(consumer = self.consumer, id = %id, "done before");
                return Ok(());
            }
            // Our own claim, if the reply to it was lost and the SDK tried again.
            if earlier.holder != receipt.holder {
                let seconds = earlier.claimed_until.saturating_sub(now).clamp(0, CLAIM_SECONDS) + 1;
                return Err(Error::Busy { seconds: u32::try_from(seconds).unwrap_or(1) });
            }
        }
        if let Err(error) = work.await {
            // What may have been done is not tried again at once.
            if !matches!(error, Error::NoReply(_)) {
                self.give_back(receipt).await;
            }
            return Err(error);
        }
        receipt.done = true;
        let item = serde_dynamo::to_item(&receipt).map_err(Error::internal)?;
        self.client.put_item().table_name(&self.table).set_item(Some(item)).send().await?;
        Ok(())
    }

    /// Lets the claim lapse at once, so that the next delivery need not wait for it. Where that fails, it
    /// lapses by itself.
    async fn give_back(&self, receipt: Receipt) {
        let holder = AttributeValue::S(receipt.holder.to_string());
        let lapsed = Receipt { claimed_until: 0, ..receipt };
        let Ok(item) = serde_dynamo::to_item(&lapsed) else { return };
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("holder = :holder AND done = :false")
            .expression_attribute_values(":holder", holder)
            .expression_attribute_values(":false", AttributeValue::Bool(false));
        if let Err(error) = put.send().await {
            tracing::warn!(
                consumer = self.consumer,
                cause = Error::from(error).cause(),
                "claim not given back"
            );
        }
    }

    /// Claims the work; answers the receipt that stands in the way, if one does.
    async fn claim(&self, receipt: &Receipt, now: i64) -> Result<Option<Receipt>> {
        let item = serde_dynamo::to_item(receipt).map_err(Error::internal)?;
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(id) OR (done = :false AND claimedUntil < :now)")
            .expression_attribute_values(":false", AttributeValue::Bool(false))
            .expression_attribute_values(":now", AttributeValue::N(now.to_string()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match conditional::put(put).await? {
            Conditional::Written(_) => Ok(None),
            Conditional::Refused(item) => {
                serde_dynamo::from_item(item.unwrap_or_default()).map(Some).map_err(Error::internal)
            }
        }
    }
}
