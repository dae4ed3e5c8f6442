//! How an error is reported over gRPC: what REST answers, as a status with details
//! (<https://google.aip.dev/193>).

use buffa::MessageField;
use buffa_types::google::protobuf::Duration;
use connectrpc::{ConnectError, ErrorCode, ErrorDetail};
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use shared::Error;
use shared::input::{FieldError, Place};

use crate::proto::google::rpc::bad_request::FieldViolation;
use crate::proto::google::rpc::{BadRequest, ErrorInfo, RetryInfo};

/// The status of an error, with `ErrorInfo`, and with `BadRequest` and `RetryInfo` where they apply.
pub(super) fn of(error: &Error) -> ConnectError {
    match error {
        Error::Validation(errors) => detailed(&Error::Validation(errors.iter().map(in_message).collect())),
        // A message's fields are texts: none is of a wrong type.
        other => detailed(other),
    }
}

fn detailed(error: &Error) -> ConnectError {
    let members = error.members();
    let numbers = [("available", members.available), ("requested", members.requested)];
    let known = numbers.into_iter().filter_map(|(name, number)| Some((name.to_owned(), number?.to_string())));
    let info = ErrorInfo {
        reason: error.row().code.to_owned(),
        domain: "arcana".to_owned(),
        metadata: known.collect(),
        ..ErrorInfo::default()
    };
    let message = match members.errors {
        Some(many) if many.len() > 1 => format!("{} faults: see google.rpc.BadRequest", many.len()),
        _ => error.detail(),
    };
    let mut status = ConnectError::new(code(error), message)
        .with_detail(ErrorDetail::from_message("google.rpc.ErrorInfo", &info));
    if let Some(errors) = members.errors {
        let field_violations = errors.iter().map(violation).collect();
        let request = BadRequest { field_violations, ..BadRequest::default() };
        status = status.with_detail(ErrorDetail::from_message("google.rpc.BadRequest", &request));
    }
    let Some((name, value)) = error.header() else { return status };
    if name == RETRY_AFTER {
        let retry_delay = Duration { seconds: value.parse().unwrap_or(1), ..Duration::default() };
        let retry = RetryInfo { retry_delay: MessageField::some(retry_delay), ..RetryInfo::default() };
        status = status.with_detail(ErrorDetail::from_message("google.rpc.RetryInfo", &retry));
    }
    let headers = HeaderValue::try_from(value).map(|value| (name, value));
    status.with_headers(headers.into_iter().collect())
}

/// The code that stands for what REST answers.
fn code(error: &Error) -> ErrorCode {
    if let Error::IdempotencyInProgress = error {
        return ErrorCode::Aborted;
    }
    match error.row().status {
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => ErrorCode::InvalidArgument,
        StatusCode::UNAUTHORIZED => ErrorCode::Unauthenticated,
        StatusCode::FORBIDDEN => ErrorCode::PermissionDenied,
        StatusCode::NOT_FOUND => ErrorCode::NotFound,
        StatusCode::METHOD_NOT_ALLOWED | StatusCode::UNSUPPORTED_MEDIA_TYPE => ErrorCode::Unimplemented,
        StatusCode::PRECONDITION_FAILED => ErrorCode::Aborted,
        StatusCode::CONFLICT => ErrorCode::FailedPrecondition,
        StatusCode::PAYLOAD_TOO_LARGE | StatusCode::TOO_MANY_REQUESTS => ErrorCode::ResourceExhausted,
        StatusCode::SERVICE_UNAVAILABLE => ErrorCode::Unavailable,
        _ => ErrorCode::Internal,
    }
}

fn violation(error: &FieldError) -> FieldViolation {
    let (Place::Pointer(field) | Place::Parameter(field)) = error.place.clone();
    FieldViolation {
        field,
        reason: error.code.to_owned(),
        description: error.detail.clone().into_owned(),
        ..FieldViolation::default()
    }
}

/// The same fault at the field's place in its message.
fn in_message(error: &FieldError) -> FieldError {
    let (Place::Pointer(name) | Place::Parameter(name)) = &error.place;
    let path = match name.trim_start_matches('/') {
        "quantityChange" => "quantity_change",
        "currency" => "price.currency_code",
        same => same,
    };
    FieldError { place: Place::Parameter(path.to_owned()), ..error.clone() }
}

#[cfg(test)]
mod tests {
    use shared::input::Fault;

    use super::*;

    fn told(error: &Error) -> (ErrorCode, Vec<String>) {
        let status = of(error);
        (status.code, status.details.into_iter().map(|detail| detail.type_url).collect())
    }

    #[test]
    fn what_may_be_tried_again_says_when() {
        let retried = vec!["google.rpc.ErrorInfo".to_owned(), "google.rpc.RetryInfo".to_owned()];
        for (error, code) in [
            (Error::Changed, ErrorCode::Unavailable),
            (Error::unavailable("down"), ErrorCode::Unavailable),
            (Error::NoReply("late".into()), ErrorCode::Unavailable),
            (Error::TooManyRequests { seconds: 9 }, ErrorCode::ResourceExhausted),
            (Error::IdempotencyInProgress, ErrorCode::Aborted),
        ] {
            assert_eq!(told(&error), (code, retried.clone()), "{error}");
            assert!(of(&error).response_headers().contains_key(RETRY_AFTER), "{error}");
        }
    }

    #[test]
    fn a_defect_says_no_cause() {
        let status = of(&Error::internal("table arcana-products is gone"));
        assert_eq!(status.code, ErrorCode::Internal);
        assert!(!status.to_json().windows(7).any(|part| part == b"arcana-"), "{status:?}");
    }

    #[test]
    fn a_field_is_called_what_its_message_calls_it() {
        for (name, path) in [
            ("quantityChange", "quantity_change"),
            ("currency", "price.currency_code"),
            ("min_price", "min_price"),
        ] {
            let error = Fault::invalid("OUT_OF_RANGE", "is too much").at(name);
            assert_eq!(of(&error).message, Some(format!("One field is not valid: {path:?} is too much")));
        }
    }
}
