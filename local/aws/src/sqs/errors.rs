//! SQS's errors: the JSON shape, and in `x-amzn-query-error` the code of the
//! older query protocol, which is what SDKs match typed errors by.

use crate::AwsError;

fn error(shape: &str, query_code: &str, message: impl Into<String>) -> AwsError {
    AwsError { query_code: Some(format!("{query_code};Sender")), ..AwsError::client(shape, message) }
}

/// A modelled error whose query code has the service's prefix.
fn sqs(name: &str, message: impl Into<String>) -> AwsError {
    error(&format!("com.amazonaws.sqs#{name}"), &format!("AWS.SimpleQueueService.{name}"), message)
}

/// A modelled error whose query code is its name.
fn plain(name: &str, message: impl Into<String>) -> AwsError {
    error(&format!("com.amazonaws.sqs#{name}"), name, message)
}

pub(crate) fn no_queue() -> AwsError {
    error(
        "com.amazonaws.sqs#QueueDoesNotExist",
        "AWS.SimpleQueueService.NonExistentQueue",
        "The specified queue does not exist.",
    )
}

pub(crate) fn queue_exists(attribute: &str) -> AwsError {
    error(
        "com.amazonaws.sqs#QueueNameExists",
        "QueueAlreadyExists",
        format!("A queue already exists with the same name and a different value for attribute {attribute}"),
    )
}

pub(crate) fn parameter(message: impl Into<String>) -> AwsError {
    error("com.amazon.coral.service#InvalidParameterValueException", "InvalidParameterValue", message)
}

pub(crate) fn parameter_value(name: &str, value: impl std::fmt::Display, reason: &str) -> AwsError {
    parameter(format!("Value {value} for parameter {name} is invalid. Reason: {reason}"))
}

pub(crate) fn missing(parameter: &str) -> AwsError {
    error(
        "com.amazon.coral.service#MissingRequiredParameterException",
        "MissingParameter",
        format!("The request must contain the parameter {parameter}."),
    )
}

pub(crate) fn malformed(what: impl std::fmt::Display) -> AwsError {
    AwsError::client("com.amazon.coral.service#SerializationException", what.to_string())
}

pub(crate) fn unknown_operation(action: &str) -> AwsError {
    AwsError::client(
        "UnknownOperationException",
        format!("The action {action} is not valid for this endpoint."),
    )
}

pub(crate) fn address(url: &str) -> AwsError {
    plain("InvalidAddress", format!("The address {url} is not valid for this endpoint."))
}

pub(crate) fn attribute_name(name: &str) -> AwsError {
    plain("InvalidAttributeName", format!("Unknown Attribute {name}."))
}

pub(crate) fn attribute_value(name: &str) -> AwsError {
    plain("InvalidAttributeValue", format!("Invalid value for the parameter {name}."))
}

pub(crate) fn contents() -> AwsError {
    plain(
        "InvalidMessageContents",
        "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF",
    )
}

pub(crate) fn receipt_handle(handle: &str) -> AwsError {
    plain(
        "ReceiptHandleIsInvalid",
        format!("The input receipt handle \"{handle}\" is not a valid receipt handle."),
    )
}

pub(crate) fn not_in_flight() -> AwsError {
    sqs("MessageNotInflight", "The message referred to isn't in flight.")
}

pub(crate) fn unsupported(message: &str) -> AwsError {
    sqs("UnsupportedOperation", message)
}

pub(crate) fn no_resource(message: &str) -> AwsError {
    plain("ResourceNotFoundException", message)
}

pub(crate) fn empty_batch() -> AwsError {
    sqs("EmptyBatchRequest", "There should be at least one entry in the request.")
}

pub(crate) fn long_list(count: usize) -> AwsError {
    sqs(
        "TooManyEntriesInBatchRequest",
        format!("Maximum number of entries per request are 10. You have sent {count}."),
    )
}

pub(crate) fn ids_not_distinct(id: &str) -> AwsError {
    sqs("BatchEntryIdsNotDistinct", format!("Id {id} repeated."))
}

pub(crate) fn entry_id() -> AwsError {
    sqs(
        "InvalidBatchEntryId",
        "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.",
    )
}

pub(crate) fn long_batch(limit: usize, bytes: usize) -> AwsError {
    sqs(
        "BatchRequestTooLong",
        format!("Batch requests cannot be longer than {limit} bytes. You have sent {bytes} bytes."),
    )
}

impl AwsError {
    /// An error of a caller's rights as SQS tells it.
    pub(crate) fn of_sqs(self) -> Self {
        let code = match self.code.as_str() {
            "AccessDeniedException" => "AccessDenied",
            "UnrecognizedClientException" => "InvalidClientTokenId",
            _ => return self,
        };
        let code_of_shape = format!("com.amazon.coral.service#{}", self.code);
        Self { status: 403, query_code: Some(format!("{code};Sender")), code: code_of_shape, ..self }
    }
}
