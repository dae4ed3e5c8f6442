//! Transactions of DynamoDB: several conditional writes, or none of them.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, Delete, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
    Update,
};
use futures_util::future::BoxFuture;
use uuid::Uuid;

use crate::aws::pause;
use crate::{Error, Result};

/// An item's key, or all of an item.
pub type Item = HashMap<String, AttributeValue>;

/// A number as DynamoDB takes it.
pub(crate) fn number(number: i64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

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
    write: Write,
    condition: Condition,
    refused: Refusal,
}

/// What it means that a step's condition does not hold.
enum Refusal {
    /// Always this.
    Is(Error),
    /// It depends on the item that is there.
    By(Judge),
}

type Judge = Box<dyn FnOnce(Option<&Item>) -> Error + Send>;

enum Write {
    Put(Item),
    Update(String),
    Delete,
    Check,
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

    /// Adds another condition that has to hold too.
    fn join(&mut self, other: Self) {
        let differs = |placeholder: &String, value: &AttributeValue| {
            self.values.get(placeholder).is_some_and(|known| known != value)
        };
        debug_assert!(!other.values.iter().any(|(name, value)| differs(name, value)), "a placeholder twice");
        self.expression = match (self.expression.as_str(), other.expression.as_str()) {
            (own, "") => own.to_owned(),
            ("", other) => other.to_owned(),
            (own, other) => format!("({own}) AND ({other})"),
        };
        self.names.extend(other.names);
        self.values.extend(other.values);
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
    pub fn put(table: &str, key: Item, item: Item, condition: Condition) -> Self {
        Self::new(table, key, Write::Put(item), condition)
    }

    /// Changes an item as `expression` says; its names and values are those of the condition.
    pub fn update(table: &str, key: Item, expression: &str, condition: Condition) -> Self {
        Self::new(table, key, Write::Update(expression.to_owned()), condition)
    }

    /// Removes an item.
    pub fn delete(table: &str, key: Item, condition: Condition) -> Self {
        Self::new(table, key, Write::Delete, condition)
    }

    /// Changes nothing, but holds the transaction to a condition.
    pub fn check(table: &str, key: Item, condition: Condition) -> Self {
        Self::new(table, key, Write::Check, condition)
    }

    fn new(table: &str, key: Item, write: Write, condition: Condition) -> Self {
        Self { table: table.to_owned(), key, write, condition, refused: Refusal::Is(Error::Changed) }
    }

    /// The same with what it means that a condition does not hold; [`Error::Changed`] unless this says
    /// otherwise.
    #[must_use]
    pub fn or(mut self, refused: Error) -> Self {
        self.refused = Refusal::Is(refused);
        self
    }

    /// The same with what that means by the item that is there instead.
    #[must_use]
    pub fn or_by(mut self, refused: impl FnOnce(Option<&Item>) -> Error + Send + 'static) -> Self {
        self.refused = Refusal::By(Box::new(refused));
        self
    }

    /// The same, held to one more condition, whose placeholders are its own or mean the same.
    #[must_use]
    pub fn and(mut self, condition: Condition) -> Self {
        self.require(condition);
        self
    }

    /// Whether the step is about the item `key` of `table`: a transaction takes one step an item.
    pub(crate) fn is_about(&self, table: &str, key: &Item) -> bool {
        self.table == table && self.key == *key
    }

    /// Holds the step to one more condition.
    pub(crate) fn require(&mut self, condition: Condition) {
        self.condition.join(condition);
    }

    /// The step as DynamoDB takes it, and what it means that it is refused.
    fn into_item(self) -> Result<(TransactWriteItem, Refusal)> {
        let Self { table, key, write, condition, refused } = self;
        let Condition { expression, names, values } = condition;
        let text = Some(expression).filter(|text| !text.is_empty());
        // DynamoDB takes none, but not an empty list of them.
        let names = Some(names).filter(|names| !names.is_empty());
        let values = Some(values).filter(|values| !values.is_empty());
        let told = match refused {
            Refusal::Is(_) => ReturnValuesOnConditionCheckFailure::None,
            Refusal::By(_) => ReturnValuesOnConditionCheckFailure::AllOld,
        };
        let item = TransactWriteItem::builder();
        let item = match write {
            Write::Put(stored) => item.put(
                Put::builder()
                    .table_name(table)
                    .set_item(Some(stored))
                    .set_condition_expression(text)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .return_values_on_condition_check_failure(told)
                    .build()
                    .map_err(Error::internal)?,
            ),
            Write::Update(change) => item.update(
                Update::builder()
                    .table_name(table)
                    .set_key(Some(key))
                    .update_expression(change)
                    .set_condition_expression(text)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .return_values_on_condition_check_failure(told)
                    .build()
                    .map_err(Error::internal)?,
            ),
            Write::Delete => item.delete(
                Delete::builder()
                    .table_name(table)
                    .set_key(Some(key))
                    .set_condition_expression(text)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .return_values_on_condition_check_failure(told)
                    .build()
                    .map_err(Error::internal)?,
            ),
            Write::Check => item.condition_check(
                ConditionCheck::builder()
                    .table_name(table)
                    .set_key(Some(key))
                    .set_condition_expression(text)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .return_values_on_condition_check_failure(told)
                    .build()
                    .map_err(Error::internal)?,
            ),
        };
        Ok((item.build(), refused))
    }
}

/// Tries of one write that others are in the way of.
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
    write_as(client, uuid::Uuid::now_v7(), steps).await
}

/// [`write()`] under a `ClientRequestToken` of the caller's
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html>).
pub(crate) async fn write_as(client: &Client, token: Uuid, steps: Vec<Step>) -> Result<Written> {
    let steps: Vec<_> = steps.into_iter().map(Step::into_item).collect::<Result<_>>()?;
    let (items, mut refusals): (Vec<_>, Vec<_>) = steps.into_iter().unzip();
    for attempt in 0..TRIES {
        pause_before(attempt).await?;
        let request = client.transact_write_items().client_request_token(token.to_string());
        let Err(error) = request.set_transact_items(Some(items.clone())).send().await else {
            return Ok(Written::Committed);
        };
        match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                let codes: Vec<&str> =
                    cancelled.cancellation_reasons().iter().map(|r| r.code().unwrap_or("None")).collect();
                let failed = codes.iter().position(|code| *code == "ConditionalCheckFailed");
                if let Some(place) = failed.filter(|place| *place < refusals.len()) {
                    let item = cancelled.cancellation_reasons().get(place).and_then(|reason| reason.item());
                    return Ok(Written::Refused(match refusals.swap_remove(place) {
                        Refusal::Is(refused) => refused,
                        Refusal::By(refused) => refused(item.filter(|item| !item.is_empty())),
                    }));
                }
                if !codes.iter().all(|code| RETRIED.contains(code)) {
                    return Err(Error::internal(format!("transaction cancelled: {codes:?}")));
                }
            }
            Some(TransactWriteItemsError::TransactionInProgressException(_)) => {}
            _ => return Err(error.into()),
        }
    }
    Err(Error::unavailable("the transaction met others at every try"))
}

/// [`write()`] where a refusal is the request's error.
pub async fn commit(client: &Client, steps: Vec<Step>) -> Result<()> {
    match write(client, steps).await? {
        Written::Committed => Ok(()),
        Written::Refused(refused) => Err(refused),
    }
}

/// Reasons to try a transaction again ("None" stands at the items that were not at fault).
const RETRIED: [&str; 4] =
    ["None", "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"];

/// Does `work` again for as long as what it reads changes before it writes ([`Error::Changed`]), [`TRIES`] times
/// at most.
pub async fn retry_changed<'a, T>(mut work: impl FnMut() -> BoxFuture<'a, Result<T>>) -> Result<T> {
    for attempt in 0..TRIES {
        pause_before(attempt).await?;
        match work().await {
            Err(Error::Changed) => {}
            done => return done,
        }
    }
    Err(Error::Changed)
}

/// Waits before the try `attempt`, with full jitter; the first one, 0, waits for nothing.
pub(crate) async fn pause_before(attempt: u32) -> Result<()> {
    let Some(earlier) = attempt.checked_sub(1) else { return Ok(()) };
    pause(Duration::from_millis(FIRST_WAIT_MS << earlier.min(TRIES))).await
}
