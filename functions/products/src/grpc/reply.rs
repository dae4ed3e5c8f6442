//! What a method answers, and how it is kept under an `Idempotency-Key`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use buffa::Message;
use connectrpc::{ConnectError, ServiceResult};
use http::HeaderValue;
use serde::{Deserialize, Serialize};
use shared::idempotency::{Answer, REPLAYED};
use shared::{Error, Request, Result};

use super::status;

/// The answer of a method that answers an `M`.
pub(super) struct Reply<M>(pub(super) ServiceResult<M>);

impl<M> Reply<M> {
    pub(super) fn ok(message: M) -> Self {
        Self(connectrpc::Response::ok(message))
    }
}

/// A reply as a key's record holds it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Kept {
    /// The message, in base64.
    Message(String),
    Error(ConnectError),
}

impl<M: Message> Answer for Reply<M> {
    fn refusal(error: &Error, _: &Request) -> Self {
        Self(Err(status::of(error)))
    }

    fn keep(&self) -> Result<String> {
        let kept = match &self.0 {
            Ok(response) => Kept::Message(STANDARD.encode(response.body.encode_to_vec())),
            Err(error) => Kept::Error(error.clone()),
        };
        serde_json::to_string(&kept).map_err(Error::internal)
    }

    fn replay(kept: &str) -> Result<Self> {
        let replayed = HeaderValue::from_static("true");
        match serde_json::from_str(kept).map_err(Error::internal)? {
            Kept::Message(message) => {
                let message = STANDARD.decode(message).map_err(Error::internal)?;
                let message = M::decode_from_slice(&message).map_err(Error::internal)?;
                Ok(Self(Ok(connectrpc::Response::new(message).with_header(REPLAYED, replayed))))
            }
            Kept::Error(mut error) => {
                error.response_headers_mut().insert(REPLAYED, replayed);
                Ok(Self(Err(error)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::arcana::product::v1::DeleteProductResponse;

    #[test]
    fn a_refusal_is_replayed_as_it_was() {
        let told = status::of(&Error::InsufficientStock { available: 3, requested: 5 });
        let kept = Reply::<DeleteProductResponse>(Err(told.clone())).keep().unwrap();
        let Reply(Err(again)) = Reply::<DeleteProductResponse>::replay(&kept).unwrap() else {
            panic!("a refusal became an answer");
        };
        assert_eq!((again.code, again.message.as_deref()), (told.code, told.message.as_deref()));
        assert_eq!(again.to_json(), told.to_json());
        assert_eq!(again.response_headers()[REPLAYED], "true");
    }
}
