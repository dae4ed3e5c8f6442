//! Transactions of DynamoDB: several conditional writes, or none of them.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{AttributeValue, ConditionCheck, Delete, Put, TransactWriteItem, Update};
use futures_util::future::BoxFuture;

use crate::{Error, Result};

/// An item's key, or all of an item.
pub type Item = HashMap<String, AttributeValue>;

/// How a transaction ended.
#[derive(Debug)]
pub enum Written {
    /// Everything was written.
    Committed,
    /// Nothing was written: a condition did not hold; this is what that means.
    Refused(Error),
}

/// One write of a transaction, or one condition.
pub struct Step {
    table: String,
    key: Item,
    item: TransactWriteItem,
    refused: Error,
}

/// What must hold of an item for it to be written.
#[derive(Clone, Default)]
pub struct Condition {
    expression: String,
    names: HashMap<String, String>,
    values: Item,
}

impl Condition {
    /// A condition in DynamoDB's own words
    /// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.ConditionExpressions.html>).
    pub fn new(expression: &str) -> Self {
        Self { expression: expression.to_owned(), ..Self::default() }
    }

    /// The same with an attribute's name that is a reserved word.
    #[must_use]
    pub fn name(mut self, placeholder: &str, name: &str) -> Self {
        self.names.insert(placeholder.to_owned(), name.to_owned());
        self
    }

    /// The same with a text.
    #[must_use]
    pub fn text(mut self, placeholder: &str, value: &(impl ToString + ?Sized)) -> Self {
        self.values.insert(placeholder.to_owned(), AttributeValue::S(value.to_string()));
        self
    }

    /// The same with these values.
    #[must_use]
    pub fn values(mut self, values: Item) -> Self {
        self.values.extend(values);
        self
    }

    /// The same with a number.
    #[must_use]
    pub fn number(mut self, placeholder: &str, value: impl Into<i128>) -> Self {
        self.values.insert(placeholder.to_owned(), AttributeValue::N(value.into().to_string()));
        self
    }
}

impl Step {
    /// Stores `item`, whose key is `key`, over whatever is there.
    pub fn put(table: &str, key: Item, item: Item, condition: Condition) -> Result<Self> {
        let put = Put::builder().table_name(table).set_item(Some(item)).build().map_err(Error::internal)?;
        Ok(Self::of(table, key, TransactWriteItem::builder().put(put).build(), condition))
    }

    /// Changes an item as `expression` says; its names and values are those of the condition.
    pub fn update(table: &str, key: Item, expression: &str, condition: Condition) -> Result<Self> {
        let update = Update::builder().table_name(table).set_key(Some(key.clone()));
        let update = update.update_expression(expression).build().map_err(Error::internal)?;
        Ok(Self::of(table, key, TransactWriteItem::builder().update(update).build(), condition))
    }

    /// Removes an item.
    pub fn delete(table: &str, key: Item, condition: Condition) -> Result<Self> {
        let delete = Delete::builder().table_name(table).set_key(Some(key.clone())).build();
        let item = TransactWriteItem::builder().delete(delete.map_err(Error::internal)?).build();
        Ok(Self::of(table, key, item, condition))
    }

    /// Changes nothing, but holds the transaction to a condition.
    pub fn check(table: &str, key: Item, condition: Condition) -> Result<Self> {
        let check = ConditionCheck::builder().table_name(table).set_key(Some(key.clone()));
        let check = check.condition_expression("").build().map_err(Error::internal)?;
        Ok(Self::of(table, key, TransactWriteItem::builder().condition_check(check).build(), condition))
    }

    fn of(table: &str, key: Item, item: TransactWriteItem, condition: Condition) -> Self {
        let mut step = Self { table: table.to_owned(), key, item, refused: Error::Changed };
        step.require(condition);
        step
    }

    /// The same with what it means that the condition does not hold; [`Error::Changed`] unless this says
    /// otherwise.
    #[must_use]
    pub fn or(mut self, refused: Error) -> Self {
        self.refused = refused;
        self
    }

    /// The same, held to one more condition with names of its own.
    #[must_use]
    pub fn and(mut self, condition: Condition) -> Self {
        self.require(condition);
        self
    }

    /// Whether the step is about the same item as `other`: a transaction takes one step an item.
    pub(crate) fn is_about(&self, table: &str, key: &Item) -> bool {
        self.table == table && self.key == *key
    }

    /// Holds the step to one more condition, with names of its own.
    pub(crate) fn require(&mut self, condition: Condition) {
        macro_rules! join {
            ($write:expr) => {
                condition.join(
                    &mut $write.condition_expression,
                    &mut $write.expression_attribute_names,
                    &mut $write.expression_attribute_values,
                )
            };
        }
        let TransactWriteItem { put, update, delete, condition_check, .. } = &mut self.item;
        if let Some(put) = put {
            join!(put);
        } else if let Some(update) = update {
            join!(update);
        } else if let Some(delete) = delete {
            join!(delete);
        } else if let Some(check) = condition_check {
            let mut expression = Some(std::mem::take(&mut check.condition_expression));
            condition.join(
                &mut expression,
                &mut check.expression_attribute_names,
                &mut check.expression_attribute_values,
            );
            check.condition_expression = expression.unwrap_or_default();
        }
    }
}

impl Condition {
    /// Adds this condition to what a write requires already.
    fn join(
        self,
        expression: &mut Option<String>,
        names: &mut Option<HashMap<String, String>>,
        values: &mut Option<Item>,
    ) {
        let before = expression.take().filter(|before| !before.is_empty());
        *expression = match before {
            Some(before) if self.expression.is_empty() => Some(before),
            Some(before) => Some(format!("({before}) AND ({})", self.expression)),
            None => Some(self.expression).filter(|own| !own.is_empty()),
        };
        if !self.names.is_empty() {
            names.get_or_insert_default().extend(self.names);
        }
        if !self.values.is_empty() {
            values.get_or_insert_default().extend(self.values);
        }
    }
}

/// Tries of one transaction that others are in the way of.
pub(crate) const TRIES: u32 = 8;
/// The longest wait before the second try; each later one may take twice as long.
const FIRST_WAIT_MS: u64 = 25;

/// Writes `steps` in one transaction, or none of them. The first step whose condition does not hold says what
/// that means.
///
/// A conflict with another transaction is tried again with full jitter, under the same
/// `ClientRequestToken` and with the same payload, so that a try whose reply was lost is not done
/// twice. After [`TRIES`] the error is `Unavailable`.
pub async fn write(client: &Client, steps: Vec<Step>) -> Result<Written> {
    let token = uuid::Uuid::now_v7().to_string();
    let (items, mut refusals): (Vec<_>, Vec<_>) =
        steps.into_iter().map(|step| (step.item, step.refused)).unzip();
    for attempt in 0..TRIES {
        let request = client.transact_write_items().client_request_token(&token);
        let Err(error) = request.set_transact_items(Some(items.clone())).send().await else {
            return Ok(Written::Committed);
        };
        match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                let codes: Vec<&str> =
                    cancelled.cancellation_reasons().iter().map(|r| r.code().unwrap_or("None")).collect();
                let failed = codes.iter().position(|code| *code == "ConditionalCheckFailed");
                if let Some(place) = failed.filter(|place| *place < refusals.len()) {
                    return Ok(Written::Refused(refusals.swap_remove(place)));
                }
                if codes.iter().all(|code| RETRIED.contains(code)) {
                    pause(attempt).await?;
                    continue;
                }
                return Err(Error::internal(format!("transaction cancelled: {codes:?}")));
            }
            Some(TransactWriteItemsError::TransactionInProgressException(_)) => pause(attempt).await?,
            _ => return Err(error.into()),
        }
    }
    Err(Error::unavailable("the transaction met others at every try"))
}

/// Reasons to try a transaction again ("None" stands at the items that were not at fault).
const RETRIED: [&str; 4] =
    ["None", "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"];

/// How often something is read, decided and written before others that write the same are too many.
const REREADS: u32 = 8;

/// Does `work` again for as long as what it reads changes before it writes ([`Error::Changed`]).
pub async fn persist<'a, T>(mut work: impl FnMut() -> BoxFuture<'a, Result<T>>) -> Result<T> {
    for attempt in 0..REREADS {
        match work().await {
            Err(Error::Changed) => pause(attempt).await?,
            done => return done,
        }
    }
    Err(Error::Changed)
}

/// Waits before the next try, with full jitter; not after the last.
pub(crate) async fn pause(attempt: u32) -> Result<()> {
    if attempt + 1 == TRIES {
        return Ok(());
    }
    let longest = FIRST_WAIT_MS << attempt;
    let random = getrandom::u64().map_err(Error::internal)?;
    tokio::time::sleep(Duration::from_millis(random % (longest + 1))).await;
    Ok(())
}
