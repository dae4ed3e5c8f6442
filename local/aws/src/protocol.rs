//! AWS's JSON protocols, as far as the emulated services speak them.

use axum::body::Body;
use http::{Response, StatusCode, header};
use serde_json::{Value, json};

/// Which content type an answer carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `application/x-amz-json-1.0` (SQS).
    Json10,
    /// `application/x-amz-json-1.1` (EventBridge, Secrets Manager).
    Json11,
    /// `application/json` (SES v2).
    RestJson,
}

/// An error as AWS answers it: a code that SDKs turn into a typed error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct AwsError {
    /// 4xx for the caller's fault, 5xx for the service's.
    pub status: u16,
    /// The error's shape name, e.g. `ResourceNotFoundException`.
    pub code: String,
    /// `x-amzn-query-error`, which SQS sends beside the JSON code (`AWS.SimpleQueueService.NonExistentQueue;Sender`).
    pub query_code: Option<String>,
    /// What a person reads.
    pub message: String,
}

impl AwsError {
    /// A 400 with this code.
    pub fn client(code: &str, message: impl Into<String>) -> Self {
        Self { status: 400, code: code.to_owned(), query_code: None, message: message.into() }
    }
}

impl From<rusqlite::Error> for AwsError {
    fn from(error: rusqlite::Error) -> Self {
        Self { status: 500, code: "InternalFailure".to_owned(), query_code: None, message: error.to_string() }
    }
}

/// What a service's operation answers: its JSON output or an error.
pub type Reply = Result<Value, AwsError>;

impl Protocol {
    /// The HTTP response for an operation's outcome.
    pub fn respond(self, reply: Reply) -> Response<Body> {
        let content_type = match self {
            Self::Json10 => "application/x-amz-json-1.0",
            Self::Json11 => "application/x-amz-json-1.1",
            Self::RestJson => "application/json",
        };
        let mut response = Response::builder().header(header::CONTENT_TYPE, content_type);
        let body = match reply {
            Ok(output) => output,
            Err(error) => {
                response = response
                    .status(StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
                    .header("x-amzn-errortype", &error.code);
                if let Some(query_code) = &error.query_code {
                    response = response.header("x-amzn-query-error", query_code);
                }
                json!({"__type": error.code, "message": error.message, "Message": error.message})
            }
        };
        response.body(Body::from(body.to_string())).unwrap_or_else(|_| {
            // Only an error code that is no header value gets here.
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response
        })
    }
}
