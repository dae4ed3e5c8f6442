//! How the frames of a call travel through API Gateway.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use connectrpc::{ConnectError, ConnectRpcBody, Protocol};
use http::{HeaderMap, HeaderValue, header};
use http_body_util::BodyExt as _;
use shared::{Error, Response, Result};

const WEB: &str = "application/grpc-web";
const WEB_TEXT: &str = "application/grpc-web-text";

/// How the frames of a call travel.
#[derive(Clone, Copy)]
pub(super) enum Framing {
    /// As gRPC-Web and Connect have them.
    Plain,
    /// In base64: gRPC-Web's text mode.
    Text,
    /// As native gRPC has them, with trailers.
    Native,
}

impl Framing {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        match Protocol::detect(headers) {
            Some(asked) if asked.is_text_mode => Self::Text,
            Some(asked) if asked.protocol == Protocol::Grpc => Self::Native,
            _ => Self::Plain,
        }
    }

    /// The body of a request as [`Framing::Plain`] has it; the headers are adapted to it.
    pub(super) fn unwrap(self, headers: &mut HeaderMap, body: &[u8]) -> Result<Bytes, ConnectError> {
        match self {
            Self::Plain => Ok(Bytes::copy_from_slice(body)),
            Self::Text => {
                rename(headers, WEB_TEXT, WEB);
                let malformed =
                    |_| ConnectError::invalid_argument("the body is not what its base64 encoding says");
                STANDARD.decode(body).map(Bytes::from).map_err(malformed)
            }
            Self::Native => {
                let native = "gRPC needs HTTP trailers, which do not get here: use gRPC-Web or Connect";
                Err(ConnectError::unimplemented(native))
            }
        }
    }

    /// A response that travels so.
    pub(super) async fn response(self, response: http::Response<ConnectRpcBody>) -> Result<Response> {
        let (mut parts, body) = response.into_parts();
        let mut body = body.collect().await.map_err(Error::internal)?.to_bytes().to_vec();
        if let Self::Text = self {
            rename(&mut parts.headers, WEB, WEB_TEXT);
            body = STANDARD.encode(body).into_bytes();
        }
        Ok(Response::from_http(http::Response::from_parts(parts, body)))
    }
}

/// Says `to` in place of `from` in the content type, and leaves the codec behind it.
fn rename(headers: &mut HeaderMap, from: &str, to: &str) {
    let Some(content_type) = headers.get_mut(header::CONTENT_TYPE) else { return };
    let renamed = content_type.to_str().ok().and_then(|value| value.strip_prefix(from));
    if let Some(renamed) = renamed.and_then(|codec| HeaderValue::try_from(format!("{to}{codec}")).ok()) {
        *content_type = renamed;
    }
}
