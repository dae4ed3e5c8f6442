//! How the frames of a call travel through API Gateway.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use connectrpc::{ConnectError, ConnectRpcBody, Protocol};
use http::{HeaderMap, HeaderValue, StatusCode, header};
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
        if headers
            .get(header::CONTENT_TYPE)
            .is_some_and(|value| value.as_bytes().starts_with(WEB_TEXT.as_bytes()))
        {
            return Self::Text;
        }
        match Protocol::detect(headers) {
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
                decode(body).map(Bytes::from).map_err(malformed)
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
        parts.status = status(parts.status, &parts.headers);
        Ok(Response::from_http(http::Response::from_parts(parts, body)))
    }
}

/// The status over HTTP: what Connect's mapping calls a server's error, and is the sender's, is none here. Clients go by
/// the code in the body.
fn status(status: StatusCode, headers: &HeaderMap) -> StatusCode {
    match status {
        // The sender's own deadline.
        StatusCode::GATEWAY_TIMEOUT => StatusCode::REQUEST_TIMEOUT,
        // A compression that is not known (RFC 9110, section 15.5.16).
        StatusCode::NOT_IMPLEMENTED => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        StatusCode::TOO_MANY_REQUESTS if !headers.contains_key(header::RETRY_AFTER) => {
            StatusCode::PAYLOAD_TOO_LARGE
        }
        same => same,
    }
}

/// Base64 in one run or in several, each with its own padding, as clients that stream write it.
fn decode(text: &[u8]) -> Result<Vec<u8>, base64::DecodeError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.trim_ascii();
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == b'=').map_or(rest.len(), |padding| (padding | 3) + 1);
        let (run, after) = rest.split_at(end.min(rest.len()));
        STANDARD.decode_vec(run, &mut bytes)?;
        rest = after;
    }
    Ok(bytes)
}

/// Writes the content type in lower case: it means the same in any (RFC 9110, section 8.3.1).
pub(super) fn fold_case(headers: &mut HeaderMap) {
    let Some(content_type) = headers.get_mut(header::CONTENT_TYPE) else { return };
    if let Ok(folded) = HeaderValue::from_bytes(&content_type.as_bytes().to_ascii_lowercase()) {
        *content_type = folded;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_may_come_in_runs() {
        for text in [&b"AAAAAAI="[..], b"AA==AAAAAg==", b"AAAAAAI=\r\n", b"AAA=AAACAA=="] {
            assert!(decode(text).is_ok(), "{text:?}");
        }
        assert_eq!(decode(b"aGVs bG8=").ok(), None);
        assert_eq!(decode(b"aGVsbG8=aGVsbG8=").unwrap(), b"hellohello");
        for text in [&b"====="[..], b"a=", b"=", b"abc=d", b"!"] {
            assert!(decode(text).is_err(), "{text:?}");
        }
    }
}
