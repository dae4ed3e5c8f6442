//! A message that cannot be decoded: told briefly, and only to those who may call.

use std::sync::Arc;

use connectrpc::interceptor::{UnaryRequest, UnaryResponse};
use connectrpc::{CodecFormat, ConnectError, ErrorCode, IdempotencyLevel, Interceptor, Next};
use serde_json::Value;
use shared::Error;

use super::service::{self, Service};

/// Characters of what is wrong that are told: the decoder repeats what it was sent.
const LONGEST: usize = 200;

/// Puts the catalogue's word in place of the decoder's.
pub(super) struct Malformed(pub(super) Arc<Service>);

#[async_trait::async_trait]
impl Interceptor for Malformed {
    async fn intercept_unary(
        &self,
        call: UnaryRequest,
        next: Next<'_>,
    ) -> Result<UnaryResponse, ConnectError> {
        let request = service::request(&call.ctx)?;
        let writes =
            call.ctx.spec().is_none_or(|spec| spec.idempotency_level != IdempotencyLevel::NoSideEffects);
        let json = call.payload.format() == CodecFormat::Json;
        let answer = if json && has_list(call.payload.bytes()) {
            Err(ConnectError::invalid_argument("a message is a JSON object, and no field is a list"))
        } else {
            next.run(call).await
        };
        match answer {
            // What the catalogue refuses has details.
            Err(said) if said.code == ErrorCode::InvalidArgument && said.details.is_empty() => {
                let detail = said.message.unwrap_or_default().chars().take(LONGEST).collect();
                let error = if json {
                    Error::MalformedJson(detail)
                } else {
                    Error::MalformedRequest("The message is none that the method takes")
                };
                Err(self.0.malformed(&request, writes, error).await)
            }
            answer => answer,
        }
    }
}

/// Whether JSON has a list where a message could stand: the decoder would take it for one, its items for fields.
fn has_list(json: &[u8]) -> bool {
    match serde_json::from_slice(json) {
        Ok(Value::Array(_)) => true,
        Ok(Value::Object(members)) => members.values().any(Value::is_array),
        // The decoder says what it is instead.
        _ => false,
    }
}
