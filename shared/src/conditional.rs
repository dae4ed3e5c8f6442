//! Conditional writes of one item: that a condition does not hold is an answer, not an error.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::{PutItemError, PutItemOutput};
use aws_sdk_dynamodb::operation::update_item::{UpdateItemError, UpdateItemOutput};

use crate::Result;
use crate::transaction::Item;

/// What became of a conditional write.
pub enum Conditional {
    /// It was made.
    Written,
    /// Its condition did not hold; the item that stood in its way, where there is one and it was asked for.
    Refused(Option<Item>),
}

/// How an update ended.
pub fn updated(sent: Result<UpdateItemOutput, SdkError<UpdateItemError>>) -> Result<Conditional> {
    let Err(error) = sent else { return Ok(Conditional::Written) };
    match error.as_service_error() {
        Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
            Ok(Conditional::Refused(failed.item().cloned()))
        }
        _ => Err(error.into()),
    }
}

/// How a put ended.
pub fn put(sent: Result<PutItemOutput, SdkError<PutItemError>>) -> Result<Conditional> {
    let Err(error) = sent else { return Ok(Conditional::Written) };
    match error.as_service_error() {
        Some(PutItemError::ConditionalCheckFailedException(failed)) => {
            Ok(Conditional::Refused(failed.item().cloned()))
        }
        _ => Err(error.into()),
    }
}
