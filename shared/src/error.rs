//! Everything that can go wrong, and the one table that says how a client is told.

use std::error::Error as StdError;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use crate::input::{FieldError, Place, Told};

/// The result of anything that a function does.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Cause = Box<dyn StdError + Send + Sync>;

/// What can go wrong. Causes are for the log; no client ever sees one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The body is not one JSON object.
    #[error("malformed JSON: {0}")]
    MalformedJson(String),
    /// The request itself cannot be read (its path, query or encoding).
    #[error("malformed request: {0}")]
    MalformedRequest(&'static str),
    /// Fields have values of another JSON type than they should.
    #[error("{} fields of a wrong type", .0.len())]
    InvalidType(Vec<FieldError>),
    /// Fields break rules.
    #[error("{} invalid fields", .0.len())]
    Validation(Vec<FieldError>),
    /// A protected endpoint was called without a token.
    #[error("no access token")]
    Unauthenticated,
    /// The access token is not valid, or no longer.
    #[error("access token refused: {0}")]
    InvalidAccessToken(&'static str),
    /// The caller's session stands, but its user may not do this.
    #[error("forbidden")]
    Forbidden,
    /// Email and password do not belong together, or the account may not log in.
    #[error("wrong email or password")]
    LoginFailed,
    /// The password that a signed-in user gave is not the account's.
    #[error("wrong current password")]
    WrongPassword,
    /// The refresh token was not issued here, has expired, or its session has ended.
    #[error("refresh token refused")]
    InvalidRefreshToken,
    /// The token of a link was not issued here, has expired, or was used or replaced.
    #[error("one-time token refused")]
    InvalidOneTimeToken,
    /// Too many attempts: another one is let through after this many seconds.
    #[error("too many attempts, the next in {seconds} s")]
    TooManyRequests {
        /// When to try again.
        seconds: i64,
    },
    /// There is less in stock than was to be taken.
    #[error("{requested} of {available} in stock")]
    InsufficientStock {
        /// How much there was.
        available: i64,
        /// How much was to be taken.
        requested: i64,
    },
    /// A user's files would be more, or larger, than they may be together.
    #[error("over the quota of {bytes} bytes or {files} files")]
    QuotaExceeded {
        /// How many bytes they may have.
        bytes: i64,
        /// How many they may be.
        files: i64,
    },
    /// The `Idempotency-Key` has been used for another request.
    #[error("idempotency key reused")]
    IdempotencyKeyReused,
    /// The first request of this `Idempotency-Key` is still under way.
    #[error("the first request of this idempotency key is under way")]
    IdempotencyInProgress,
    /// What is there is no version that `If-Match` names.
    #[error("precondition failed")]
    PreconditionFailed,
    /// The only active admin there is would be none any more.
    #[error("the last active admin")]
    LastAdmin,
    /// There is no such thing; holds what ("User", "Session", "Product", "File", "Route").
    #[error("{0} not found")]
    NotFound(&'static str),
    /// The path is known, the method is not; holds the methods that are, comma separated.
    #[error("method not allowed")]
    MethodNotAllowed(String),
    /// Somebody else has this email address.
    #[error("email already registered")]
    EmailAlreadyRegistered,
    /// The body has more bytes than this.
    #[error("body over {0} bytes")]
    PayloadTooLarge(usize),
    /// The body is of another content type than this.
    #[error("content type is not {0}")]
    UnsupportedMediaType(&'static str),
    /// What was read changed before it was written, at every try.
    #[error("changed between reading and writing")]
    Changed,
    /// Another delivery of the same work is under way, for this many seconds at most.
    #[error("the same work is under way for {seconds} s at most")]
    Busy {
        /// When to look again.
        seconds: u32,
    },
    /// A message that no try can handle: it belongs in the dead-letter queue, at once. Holds why; nothing of the message.
    #[error("no message for this function: {0}")]
    Poison(String),
    /// A dependency did not answer in time: nobody knows whether it has done what it was asked for.
    #[error("no reply")]
    NoReply(#[source] Cause),
    /// A dependency does not answer, or asks to slow down. Trying again helps.
    #[error("unavailable")]
    Unavailable(#[source] Cause),
    /// A defect of ours. Trying again does not help.
    #[error("internal error")]
    Internal(#[source] Cause),
}

/// How an error is told: its row of the table.
pub struct Row {
    /// HTTP status.
    pub status: StatusCode,
    /// The stable name of the error, from the contract's closed list.
    pub code: &'static str,
    /// The same for people, the same at every occurrence.
    pub title: &'static str,
}

/// The members of a problem document that only some errors have.
#[derive(Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Members<'a> {
    /// Every field at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<FieldError>")]
    pub errors: Option<&'a [FieldError]>,
    /// How much there is in stock.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64")]
    pub available: Option<i64>,
    /// How much was to be taken from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64")]
    pub requested: Option<i64>,
    /// The extension of a file of a kind that is not taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub extension: Option<&'a str>,
    /// How large a file may be, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64")]
    pub max_size: Option<i64>,
    /// How large it was to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64")]
    pub actual_size: Option<i64>,
}

impl<'a> Members<'a> {
    /// Those of invalid fields.
    fn of(errors: &'a [FieldError]) -> Self {
        let mut members = Self { errors: Some(errors), ..Self::default() };
        for error in errors {
            match &error.told {
                Some(Told::Extension(extension)) => members.extension = Some(extension),
                Some(Told::Size { max, actual }) => {
                    (members.max_size, members.actual_size) = (Some(*max), Some(*actual));
                }
                None => {}
            }
        }
        members
    }
}

impl Error {
    /// A defect of ours.
    pub fn internal(cause: impl Into<Cause>) -> Self {
        Self::Internal(cause.into())
    }

    /// A dependency that does not answer.
    pub fn unavailable(cause: impl Into<Cause>) -> Self {
        Self::Unavailable(cause.into())
    }

    /// The error and all its causes on one line, for the log.
    pub fn cause(&self) -> String {
        crate::log::chain(self)
    }

    /// Logs it, with its causes: once, where it ends up. The ids are those of the line that says how the work ended.
    pub fn log(&self, function: &str, request_id: &str, correlation_id: &str) {
        tracing::error!(
            function,
            requestId = request_id,
            correlationId = correlation_id,
            code = self.row().code,
            cause = self.cause(),
            "failed"
        );
    }

    /// The table. No wildcard: a new error must choose its row.
    pub fn row(&self) -> Row {
        let (status, code, title) = match self {
            Self::MalformedJson(_) => (400, "MALFORMED_JSON", "The request body is not a JSON object"),
            Self::MalformedRequest(_) => (400, "VALIDATION_FAILED", "The request cannot be read"),
            Self::InvalidType(_) => (400, "INVALID_TYPE", "A field has a value of the wrong type"),
            Self::Validation(_) => (422, "VALIDATION_FAILED", "The request is invalid"),
            Self::Unauthenticated => (401, "UNAUTHENTICATED", "Authentication is required"),
            Self::InvalidAccessToken(_) => (401, "UNAUTHENTICATED", "The access token is not valid"),
            Self::InvalidRefreshToken => (401, "TOKEN_EXPIRED", "The refresh token is not valid"),
            Self::Forbidden => (403, "FORBIDDEN", "This is not allowed"),
            Self::LoginFailed => (401, "INVALID_CREDENTIALS", "The credentials are not valid"),
            Self::WrongPassword => (400, "INVALID_CREDENTIALS", "The password is not right"),
            Self::InvalidOneTimeToken => (400, "INVALID_TOKEN", "The link is not valid"),
            Self::InsufficientStock { .. } => (409, "INSUFFICIENT_STOCK", "There is not enough in stock"),
            Self::QuotaExceeded { .. } => (422, "QUOTA_EXCEEDED", "There is no room for the file"),
            Self::IdempotencyKeyReused => {
                (422, "IDEMPOTENCY_KEY_REUSED", "The idempotency key belongs to another request")
            }
            Self::IdempotencyInProgress => {
                (409, "IDEMPOTENCY_IN_PROGRESS", "The first request with this key is under way")
            }
            Self::PreconditionFailed => {
                (412, "PRECONDITION_FAILED", "It is not the version that was expected")
            }
            Self::LastAdmin => (409, "LAST_ADMIN", "The last admin has to stay"),
            Self::TooManyRequests { .. } => (429, "TOO_MANY_REQUESTS", "Too many attempts"),
            Self::NotFound(_) => (404, "NOT_FOUND", "Not found"),
            Self::MethodNotAllowed(_) => (405, "METHOD_NOT_ALLOWED", "The method is not allowed here"),
            Self::EmailAlreadyRegistered => (409, "EMAIL_ALREADY_REGISTERED", "The email address is taken"),
            Self::PayloadTooLarge(_) => (413, "PAYLOAD_TOO_LARGE", "The request body is too large"),
            Self::UnsupportedMediaType(_) => {
                (415, "UNSUPPORTED_MEDIA_TYPE", "The content type is not supported")
            }
            Self::Changed | Self::Busy { .. } | Self::NoReply(_) | Self::Unavailable(_) => {
                (503, "UNAVAILABLE", "The service is unavailable for a moment")
            }
            Self::Poison(_) | Self::Internal(_) => (500, "INTERNAL", "Something went wrong on our side"),
        };
        Row { status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), code, title }
    }

    /// What this occurrence has to say to the client.
    pub fn detail(&self) -> String {
        match self {
            Self::MalformedJson(detail) => detail.clone(),
            Self::MalformedRequest(detail) => (*detail).to_owned(),
            Self::InvalidType(errors) => summary(errors, "has a value of the wrong type"),
            Self::Validation(errors) => summary(errors, "is not valid"),
            Self::Unauthenticated => "Send an access token as \"Authorization: Bearer ...\"".to_owned(),
            Self::InvalidAccessToken(_) => "The access token is invalid, expired or revoked".to_owned(),
            Self::Forbidden => "Your role does not allow this".to_owned(),
            Self::LoginFailed => "Invalid email or password".to_owned(),
            Self::WrongPassword => "Current password is incorrect".to_owned(),
            Self::InvalidRefreshToken => "Invalid or expired refresh token".to_owned(),
            Self::InvalidOneTimeToken => {
                "The link is invalid, expired, used or replaced by a newer one".to_owned()
            }
            Self::TooManyRequests { seconds } => format!("Too many attempts. Try again in {seconds} s"),
            Self::InsufficientStock { available, .. } => {
                format!("Insufficient stock. Available: {available}")
            }
            Self::QuotaExceeded { bytes, files } => {
                format!("Quota exceeded: all files together may be {bytes} bytes and {files} files")
            }
            Self::IdempotencyKeyReused => {
                "This Idempotency-Key was sent with another body. Use a new one for a new request".to_owned()
            }
            Self::IdempotencyInProgress => {
                "A request with this Idempotency-Key is still under way. Try again in a moment".to_owned()
            }
            Self::PreconditionFailed => "It has changed meanwhile: read it again first".to_owned(),
            Self::LastAdmin => "The last active admin cannot be demoted, suspended or deleted".to_owned(),
            Self::NotFound(what) => format!("{what} not found"),
            Self::MethodNotAllowed(allow) => format!("This path allows {allow}"),
            Self::EmailAlreadyRegistered => "Email already registered".to_owned(),
            Self::PayloadTooLarge(limit) => format!("The request body must have at most {limit} bytes"),
            Self::UnsupportedMediaType(wanted) => format!("Send the body as {wanted}"),
            Self::Changed => "Others are changing the same thing. Try again".to_owned(),
            Self::Busy { .. } | Self::NoReply(_) | Self::Unavailable(_) => {
                "A service that this request needs does not answer. Try again".to_owned()
            }
            Self::Poison(_) | Self::Internal(_) => {
                "The error was logged. Name the request id when you report it".to_owned()
            }
        }
    }

    /// The members that this error adds to its problem document.
    pub fn members(&self) -> Members<'_> {
        match self {
            Self::InvalidType(errors) | Self::Validation(errors) => Members::of(errors),
            Self::InsufficientStock { available, requested } => {
                Members { available: Some(*available), requested: Some(*requested), ..Members::default() }
            }
            _ => Members::default(),
        }
    }

    /// The headers that this error adds to its response.
    pub fn header(&self) -> Option<(http::HeaderName, String)> {
        let challenge = |text: &str| Some((http::header::WWW_AUTHENTICATE, text.to_owned()));
        match self {
            Self::Unauthenticated | Self::LoginFailed | Self::InvalidRefreshToken => challenge("Bearer"),
            // RFC 6750, section 3.1: only a request that sent a token hears what is wrong with it.
            Self::InvalidAccessToken(_) => challenge("Bearer error=\"invalid_token\""),
            Self::MethodNotAllowed(allow) => Some((http::header::ALLOW, allow.clone())),
            Self::Busy { seconds } => Some((http::header::RETRY_AFTER, seconds.to_string())),
            Self::TooManyRequests { seconds } => Some((http::header::RETRY_AFTER, seconds.to_string())),
            Self::Changed | Self::NoReply(_) | Self::Unavailable(_) | Self::IdempotencyInProgress => {
                Some((http::header::RETRY_AFTER, "1".to_owned()))
            }
            Self::MalformedJson(_)
            | Self::MalformedRequest(_)
            | Self::InvalidType(_)
            | Self::Validation(_)
            | Self::NotFound(_)
            | Self::Forbidden
            | Self::WrongPassword
            | Self::InvalidOneTimeToken
            | Self::EmailAlreadyRegistered
            | Self::LastAdmin
            | Self::InsufficientStock { .. }
            | Self::QuotaExceeded { .. }
            | Self::IdempotencyKeyReused
            | Self::PreconditionFailed
            | Self::PayloadTooLarge(_)
            | Self::UnsupportedMediaType(_)
            | Self::Poison(_)
            | Self::Internal(_) => None,
        }
    }
}

fn summary(errors: &[FieldError], what: &str) -> String {
    match errors {
        // It says all by itself.
        [FieldError { told: Some(_), detail, .. }] => detail.clone().into_owned(),
        [FieldError { place: Place::Pointer(name) | Place::Parameter(name), detail, .. }] => {
            format!("One field {what}: {name:?} {detail}")
        }
        many => format!("{} faults: see \"errors\"", many.len()),
    }
}

/// A failed call of AWS: unavailable where another try may help, a defect of ours otherwise.
impl<E> From<SdkError<E, HttpResponse>> for Error
where
    E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
{
    fn from(error: SdkError<E, HttpResponse>) -> Self {
        let transient = match &error {
            SdkError::TimeoutError(_) | SdkError::ResponseError(_) => {
                return Self::NoReply(crate::log::chain(&error).into());
            }
            SdkError::DispatchFailure(_) => true,
            SdkError::ServiceError(service) => {
                service.raw().status().is_server_error() || service.err().code().is_some_and(is_transient)
            }
            _ => false,
        };
        // SdkError's own Display says only "service error": the code and message are the point.
        let said = match &error {
            SdkError::ServiceError(service) => format!(
                "{}: {}",
                service.err().code().unwrap_or("unknown"),
                service.err().message().unwrap_or("no message")
            ),
            other => crate::log::chain(other),
        };
        if transient { Self::unavailable(said) } else { Self::internal(said) }
    }
}

/// Error codes with which AWS asks for another try later.
fn is_transient(code: &str) -> bool {
    matches!(
        code,
        "ThrottlingException"
            | "Throttling"
            | "RequestThrottled"
            | "ThrottledException"
            | "TooManyRequestsException"
            | "ProvisionedThroughputExceededException"
            | "RequestLimitExceeded"
            | "LimitExceededException"
            | "SlowDown"
            | "TransactionConflictException"
            | "TransactionInProgressException"
    )
}
