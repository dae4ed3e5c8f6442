//! Native gRPC: what no API Gateway passes on, turned into gRPC-Web on its way in and back on its way out.
//! (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md>)

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::{Buf as _, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use http_body_util::{BodyExt as _, Full};

const NATIVE: &str = "application/grpc";
const WEB: &str = "application/grpc-web";
/// The flag of a frame that holds trailers.
const TRAILERS: u8 = 0x80;

/// Whether a request is native gRPC.
pub(super) fn is_native(headers: &HeaderMap) -> bool {
    codec(headers, NATIVE).is_some()
}

/// What a content type has behind `essence`, as in `+proto`, if it is that.
fn codec<'a>(headers: &'a HeaderMap, essence: &str) -> Option<&'a str> {
    let content_type = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    content_type.strip_prefix(essence).filter(|codec| codec.is_empty() || codec.starts_with(['+', ';']))
}

/// The same request in gRPC-Web: its frames are the same.
pub(super) fn to_web(mut request: Request) -> Request {
    let headers = request.headers_mut();
    let content_type = format!("{WEB}{}", codec(headers, NATIVE).unwrap_or_default());
    if let Ok(content_type) = HeaderValue::from_str(&content_type) {
        headers.insert(header::CONTENT_TYPE, content_type);
    }
    headers.insert("x-grpc-web", HeaderValue::from_static("1"));
    headers.remove(header::TE);
    request
}

/// The same response in native gRPC: the trailers, which are its last frame, behind the body. What is no gRPC-Web stays
/// as it is, and clients go by its status.
pub(super) async fn to_native(response: Response) -> Response {
    let Some(codec) = codec(response.headers(), WEB) else { return response };
    let content_type = HeaderValue::try_from(format!("{NATIVE}{codec}"));
    let (mut parts, body) = response.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let (messages, trailers) = split(&body);
    if let Ok(content_type) = content_type {
        parts.headers.insert(header::CONTENT_TYPE, content_type);
    }
    parts.headers.remove(header::CONTENT_LENGTH);
    let trailers = std::future::ready(trailers.map(Ok));
    Response::from_parts(parts, Body::new(Full::new(messages).with_trailers(trailers)))
}

/// The frames of a body, without the one of its trailers, and these.
fn split(body: &Bytes) -> (Bytes, Option<HeaderMap>) {
    let mut place = 0;
    while let Some(mut frame) = body.get(place..place + 5) {
        let (flags, length) = (frame.get_u8(), frame.get_u32() as usize);
        if flags & TRAILERS != 0 {
            let text = body.get(place + 5..place + 5 + length).unwrap_or_default();
            return (body.slice(..place), Some(trailers(text)));
        }
        place += 5 + length;
    }
    (body.clone(), None)
}

fn trailers(text: &[u8]) -> HeaderMap {
    let lines = text.split(|byte| *byte == b'\n').filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        Some((name, HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?))
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailers_are_the_frame_that_says_so() {
        let body = Bytes::from_static(b"\0\0\0\0\x02hi\x80\0\0\0\x10grpc-status: 5\r\n");
        let (messages, trailers) = split(&body);
        assert_eq!(&messages[..], b"\0\0\0\0\x02hi");
        assert_eq!(trailers.unwrap()["grpc-status"], "5");
        for cut in 0..body.len() {
            split(&body.slice(..cut));
        }
        assert_eq!(split(&Bytes::from_static(b"\0\xff\xff\xff\xff")).1, None);
    }
}
