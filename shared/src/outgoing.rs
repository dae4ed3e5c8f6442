//! HTTP to whoever is not a service of AWS's SDK, by its client.

use std::convert::Infallible;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_async::time::SystemTimeSource;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::dns::{DnsFuture, ResolveDns, ResolveDnsError};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::interceptors;
use aws_smithy_runtime_api::client::interceptors::context::Output;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::client::ser_de::DeserializeResponse;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::timeout::TimeoutConfig;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::{Error, Result};

/// Sends requests once each and follows no redirect.
#[derive(Clone)]
pub struct Outgoing {
    http: SharedHttpClient,
    timeouts: TimeoutConfig,
}

impl Outgoing {
    pub(crate) fn new(http: SharedHttpClient, connect: Duration, whole: Duration) -> Self {
        let timeouts = TimeoutConfig::builder().connect_timeout(connect).operation_timeout(whole).build();
        Self { http, timeouts }
    }

    /// To a server on the internet, whose certificate has to be of one of the authorities that browsers trust; `plain` is for
    /// one that speaks no TLS.
    pub fn public(plain: bool, connect: Duration, whole: Duration) -> Self {
        let http = if plain { plain_client() } else { tls_client(public_roots) };
        Self::new(http, connect, whole)
    }

    /// Sends a request to `url`, whatever its own address is, and answers the status. No error has the URL in it, which may be a
    /// credential.
    pub async fn send_to(&self, url: &str, mut request: HttpRequest) -> Result<StatusCode> {
        let wrong = || Error::internal("what a request was to be sent to is no URL");
        let url: http::Uri = url.parse().map_err(|_| wrong())?;
        let (scheme, authority) = url.scheme_str().zip(url.authority()).ok_or_else(wrong)?;
        let target = url.path_and_query().map_or("/", |target| target.as_str());
        request.set_uri(target).map_err(|_| wrong())?;
        self.send(&format!("{scheme}://{authority}"), request).await
    }

    /// Sends a request to `base` and answers the status.
    pub(crate) async fn send(&self, base: &str, request: HttpRequest) -> Result<StatusCode> {
        let operation = Operation::builder()
            .service_name("arcana")
            .operation_name("send")
            .behavior_version(BehaviorVersion::latest())
            .http_client(self.http.clone())
            .endpoint_url(base)
            .no_auth()
            .no_retry()
            .timeout_config(self.timeouts.clone())
            .sleep_impl(TokioSleep::new())
            .time_source(SystemTimeSource::new())
            .serializer(|request: HttpRequest| Ok(request))
            .deserializer_impl::<StatusCode, Infallible>(StatusAlone)
            .build();
        operation.invoke(request).await.map_err(|error| Error::unavailable(crate::log::chain(&error)))
    }
}

/// Takes the status of a response and leaves its body unread, which may have no end.
#[derive(Debug)]
struct StatusAlone;

impl DeserializeResponse for StatusAlone {
    fn deserialize_streaming_with_config(
        &self,
        response: &mut HttpResponse,
        _: &ConfigBag,
    ) -> Option<std::result::Result<Output, OrchestratorError<interceptors::context::Error>>> {
        Some(Ok(Output::erase(response.status())))
    }

    fn deserialize_nonstreaming_with_config(
        &self,
        response: &HttpResponse,
        _: &ConfigBag,
    ) -> std::result::Result<Output, OrchestratorError<interceptors::context::Error>> {
        Ok(Output::erase(response.status()))
    }
}

pub(crate) fn plain_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new().build_http()
}

/// A client that trusts `roots`, in PEM.
pub(crate) fn tls_client(roots: fn() -> Vec<u8>) -> SharedHttpClient {
    // `SSL_CERT_FILE` replaces the roots, as it does for most programs: for a TLS proxy, or a test.
    let replaced = std::env::var_os("SSL_CERT_FILE").and_then(|path| {
        let read = std::fs::read(path);
        read.inspect_err(|error| tracing::warn!(cause = %error, "SSL_CERT_FILE cannot be read")).ok()
    });
    let roots = replaced.unwrap_or_else(roots);
    let store = TrustStore::empty().with_pem_certificate(roots);
    let context = TlsContext::builder().with_trust_store(store).build();
    let client = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .tls_context(context.unwrap_or_default())
        .build_with_resolver(Resolver);
    SharedHttpClient::new(Unprepared(client))
}

/// A client that does nothing before its first request. The SDK's reads all roots whenever a service's client is made, and
/// forgets them again.
#[derive(Debug)]
struct Unprepared(SharedHttpClient);

impl HttpClient for Unprepared {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        self.0.http_connector(settings, components)
    }
}

/// Asks the system for addresses: a process's first time, which is while its function initialises, on the one thread, where
/// nothing else waits. A thread for it alone costs 0.6 ms of CPU, an eighth of a cold start. For it, an answer that is lost
/// takes the system's five seconds until it is asked for again, and without any the start takes the ten that Lambda gives it.
/// (`ops-jwt-keys` alone asks first in an invocation: it has one a deployment, and nobody else waits for it.)
#[derive(Clone, Debug)]
struct Resolver;

/// Whether the process has asked: all its clients, for a later one is first used in an invocation, which is to time out.
static ASKED: AtomicBool = AtomicBool::new(false);

impl ResolveDns for Resolver {
    fn resolve_dns<'a>(&'a self, name: &'a str) -> DnsFuture<'a> {
        if !ASKED.swap(true, Ordering::Relaxed) {
            return DnsFuture::ready(addresses(name).map_err(ResolveDnsError::new));
        }
        let name = name.to_owned();
        DnsFuture::new(async move {
            let found = tokio::task::spawn_blocking(move || addresses(&name)).await;
            found.map_err(ResolveDnsError::new)?.map_err(ResolveDnsError::new)
        })
    }
}

fn addresses(name: &str) -> std::io::Result<Vec<IpAddr>> {
    Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
}

/// Mozilla's roots, which are in the binary: a Lambda has none of its own to rely on.
fn public_roots() -> Vec<u8> {
    let pem = |root: &[u8]| {
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(root))
    };
    webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().map(|root| pem(root)).collect::<String>().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn addresses_are_found_the_first_time_and_after() {
        let resolver = Resolver;
        for asked in [false, true] {
            ASKED.store(asked, Ordering::Relaxed);
            let found = resolver.resolve_dns("localhost").await.unwrap();
            assert!(!found.is_empty() && found.iter().all(IpAddr::is_loopback), "{found:?}");
            resolver.resolve_dns("a name that nobody has").await.unwrap_err();
        }
    }

    #[tokio::test]
    async fn every_public_root_is_a_certificate_and_nothing_is_told_of_the_url() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}/secret", listener.local_addr().unwrap());
        drop(listener);
        // To make a client that cannot read its roots is to panic.
        let outgoing = Outgoing::public(false, Duration::from_secs(1), Duration::from_secs(2));
        let refused = outgoing.send_to(&url, HttpRequest::empty()).await.unwrap_err();
        assert!(!refused.cause().contains("secret"), "{}", refused.cause());
        for wrong in ["", "/secret", "secret", "https://"] {
            let refused = outgoing.send_to(wrong, HttpRequest::empty()).await.unwrap_err();
            assert!(!refused.cause().contains("secret"), "{}", refused.cause());
        }
    }
}
