//! What listens on loopback: it answers at once, and web pages are kept away from it.
//!
//! A port on loopback is out of reach for other machines, but not for a web page in this machine's
//! browser: a page may send simple requests anywhere, and may give its own name the address 127.0.0.1 (DNS
//! rebinding). The first shows in `Origin`, the second in `Host`.

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use axum::serve::{ListenerExt as _, TapIo};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, StatusCode, Uri, header};
use tokio::net::{TcpListener, TcpStream};

/// A listener whose connections send at once (`TCP_NODELAY`): the end of an answer that is sent in parts would wait until its
/// beginning is acknowledged otherwise, 40 ms.
pub fn undelayed(listener: TcpListener) -> TapIo<TcpListener, fn(&mut TcpStream)> {
    // Only costs latency if it fails.
    listener.tap_io(|connection| drop(connection.set_nodelay(true)))
}

/// Middleware that answers 403 to what does not come from this machine's own programs and pages.
pub async fn only(request: Request, next: Next) -> Response {
    if is_local(request.uri(), request.headers()) {
        return next.run(request).await;
    }
    let mut response = Response::new(Body::from("only for this machine's own programs and pages\n"));
    *response.status_mut() = StatusCode::FORBIDDEN;
    response
}

fn is_local(uri: &Uri, headers: &HeaderMap) -> bool {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    // HTTP/2 has the host in the URI.
    let host =
        text(header::HOST).and_then(|host| host.parse::<Authority>().ok()).or(uri.authority().cloned());
    let origin = text(header::ORIGIN).map(|origin| origin.parse::<Uri>().unwrap_or_default());
    host.is_some_and(|host| is_loopback(host.host()))
        && origin.is_none_or(|origin| origin.host().is_some_and(is_loopback))
}

fn is_loopback(name: &str) -> bool {
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    name == "localhost" || name.ends_with(".localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(host: &str, origin: Option<&str>) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        is_local(&Uri::default(), &headers)
    }

    #[test]
    fn a_page_of_another_site_is_kept_away() {
        assert!(!local("127.0.0.1:4566", Some("https://evil.example")));
        assert!(!local("127.0.0.1:4566", Some("null")), "a sandboxed page");
        assert!(!local("evil.example:4566", None), "a rebound name");
        assert!(!local("127.0.0.1.evil.example", None));
    }

    #[test]
    fn this_machines_own_programs_and_pages_are_let_in() {
        assert!(local("127.0.0.1:4566", None));
        assert!(local("localhost:4566", Some("http://localhost:5173")));
        assert!(local("[::1]:4566", Some("http://127.0.0.1:3000")));
    }
}
