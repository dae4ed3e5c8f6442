//! What is the same for everybody until the next release: caches may keep it.

use http::{StatusCode, header};
use shared::{Request, Response, precondition};

/// The API's document, as `cargo run -- openapi` wrote it.
pub(crate) const DOCUMENT: &str = include_str!("../../../docs/openapi.json");

/// How long a cache may show a page without asking again.
const CACHED: &str = "public, max-age=300";

/// The text, or 304 where the sender of `request` has it already.
pub(crate) fn answer(request: &Request, content_type: &'static str, text: &str, etag: &str) -> Response {
    let response = if precondition::not_modified(request.headers(), etag) {
        Response::empty(StatusCode::NOT_MODIFIED)
    } else {
        Response::empty(StatusCode::OK).text(content_type, text.to_owned())
    };
    response.header(header::ETAG, etag).header(header::CACHE_CONTROL, CACHED)
}
