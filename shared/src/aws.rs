//! AWS clients: one HTTP client and one configuration for all of them.
//!
//! The configuration is built by hand from the environment that Lambda gives, without the default
//! credential chain, and TLS is ring with Amazon's own roots: docs/decisions.md has the measurements.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_s3::config::{RequestChecksumCalculation, ResponseChecksumValidation};
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_async::time::{SharedTimeSource, SystemTimeSource};
use aws_smithy_runtime::client::retries::{RetryPartition, TokenBucket};
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;

use crate::outgoing::{self, Outgoing};
use crate::{Error, Result};

/// The roots that AWS's endpoints chain to (<https://www.amazontrust.com/repository/>). The first to
/// expire does so on 2037-12-31.
const ROOTS: &str = include_str!("amazon-roots.pem");

/// How long to wait for a connection.
const CONNECT: Duration = Duration::from_secs(1);
/// How long one attempt of a call may take.
const ATTEMPT: Duration = Duration::from_secs(4);
/// How long a call may take with all its attempts: well inside the 25 s after which a function gives up.
const OPERATION: Duration = Duration::from_secs(12);
/// Attempts of one call. Where DynamoDB throttles three calls of ten, one in 50,000 fails all of them.
const ATTEMPTS: u32 = 9;
/// The tokens that retries cost, as many as the SDK has by itself: an outage is not made worse by them.
const RETRIES: usize = 500;
/// The SDK backs off between them, up to twice as long each time, with full jitter: 3.6 s in all on average.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Waits up to `longest`, with full jitter: those who were refused at once do not come again at once.
pub async fn pause(longest: Duration) -> Result<()> {
    let random = getrandom::u64().map_err(Error::internal)?;
    let longest = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX - 1);
    tokio::time::sleep(Duration::from_millis(random % (longest + 1))).await;
    Ok(())
}

/// Who calls AWS, where.
pub struct Environment {
    /// `AWS_REGION`.
    pub region: String,
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key_id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_access_key: String,
    /// `AWS_SESSION_TOKEN`, which a Lambda role always has.
    pub session_token: Option<String>,
    /// `AWS_ENDPOINT_URL`: where the cloud is, if not at AWS.
    pub endpoint: Option<String>,
}

/// The one HTTP client and the configuration that all service clients share.
#[derive(Clone)]
pub struct Aws {
    config: SdkConfig,
    http: SharedHttpClient,
    retries: RetryPartition,
}

impl Aws {
    /// Builds the shared configuration. Opens no connection.
    pub fn new(environment: Environment) -> Self {
        let Environment { region, access_key_id, secret_access_key, session_token, endpoint } = environment;
        let plain = endpoint.as_deref().is_some_and(|endpoint| endpoint.starts_with("http://"));
        let http =
            if plain { outgoing::plain_client() } else { outgoing::tls_client(|| ROOTS.as_bytes().to_vec()) };
        // Lambda's credentials last as long as the execution environment: nothing to refresh.
        let credentials =
            Credentials::new(access_key_id, secret_access_key, session_token, None, "LambdaEnvironment");
        let mut config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(http.clone())
            .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
            .time_source(SharedTimeSource::new(SystemTimeSource::new()))
            .retry_config(
                RetryConfig::standard()
                    .with_max_attempts(ATTEMPTS)
                    .with_initial_backoff(FIRST_PAUSE)
                    .with_max_backoff(LONGEST_PAUSE),
            )
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(CONNECT)
                    .operation_attempt_timeout(ATTEMPT)
                    .operation_timeout(OPERATION)
                    .build(),
            );
        config.set_endpoint_url(endpoint);
        // A bucket of its own: the SDK's is the whole process's, and on a laptop that is every function's.
        let retries = RetryPartition::custom("dynamodb").token_bucket(TokenBucket::new(RETRIES)).build();
        Self { config: config.build(), http, retries }
    }

    /// A DynamoDB client.
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        let config = aws_sdk_dynamodb::config::Builder::from(&self.config);
        aws_sdk_dynamodb::Client::from_conf(config.retry_partition(self.retries.clone()).build())
    }

    /// An SQS client.
    pub fn sqs(&self) -> aws_sdk_sqs::Client {
        aws_sdk_sqs::Client::new(&self.config)
    }

    /// An EventBridge client.
    pub fn eventbridge(&self) -> aws_sdk_eventbridge::Client {
        aws_sdk_eventbridge::Client::new(&self.config)
    }

    /// An SES client that tries once: sending a mail is not idempotent, and its queue tries again.
    pub fn ses(&self) -> aws_sdk_sesv2::Client {
        let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT).operation_timeout(OPERATION).build();
        let config = aws_sdk_sesv2::config::Builder::from(&self.config)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts);
        aws_sdk_sesv2::Client::from_conf(config.build())
    }

    /// A Secrets Manager client.
    pub fn secrets(&self) -> aws_sdk_secretsmanager::Client {
        aws_sdk_secretsmanager::Client::new(&self.config)
    }

    /// An S3 client. What it signs for others holds them to no checksum that nobody asked for.
    pub fn s3(&self) -> aws_sdk_s3::Client {
        // Buckets have host names of their own at AWS only.
        let path_style = self.config.endpoint_url().is_some();
        let config = aws_sdk_s3::config::Builder::from(&self.config)
            .force_path_style(path_style)
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        aws_sdk_s3::Client::from_conf(config.build())
    }

    /// The configuration itself, for the client of another service.
    pub fn config(&self) -> &SdkConfig {
        &self.config
    }

    /// Whether this is no cloud but a laptop, whose endpoint is on it.
    pub fn is_local(&self) -> bool {
        self.config.endpoint_url().is_some_and(|endpoint| endpoint.starts_with("http://"))
    }

    /// Sends unsigned HTTP requests through the shared client. Connections are kept by their settings: these are the
    /// service clients' own.
    pub fn outgoing(&self) -> Outgoing {
        Outgoing::new(self.http.clone(), CONNECT, ATTEMPT)
    }

    /// Opens a connection to a service, named as in the host of its endpoint, while the function initialises, where Lambda
    /// gives a full CPU: the TLS handshake is then no part of the first request. The request is a plain GET, and whatever it is
    /// answered is well.
    pub(crate) async fn open_connection(&self, service: &str) -> Result<()> {
        let region = self.config.region().map_or("", Region::as_ref);
        let endpoint = || format!("https://{service}.{region}.amazonaws.com");
        let endpoint = self.config.endpoint_url().map_or_else(endpoint, ToOwned::to_owned);
        self.outgoing().send(&endpoint, HttpRequest::empty()).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use crate::clock::Clock;
    use crate::init::Init;

    /// A server that answers every request with an empty object and keeps its connections: where it is, and how many it was
    /// asked for.
    fn server() -> (String, Arc<AtomicUsize>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                counted.fetch_add(1, Ordering::Relaxed);
                std::thread::spawn(move || while_asked(connection.unwrap()));
            }
        });
        (url, connections)
    }

    fn while_asked(connection: TcpStream) {
        let mut connection = BufReader::new(connection);
        loop {
            let (mut line, mut length) = (String::new(), 0);
            while line != "\r\n" {
                line.clear();
                if connection.read_line(&mut line).unwrap_or(0) == 0 {
                    return;
                }
                let length_is = line.to_ascii_lowercase();
                if let Some(value) = length_is.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
            }
            connection.read_exact(&mut vec![0; length]).unwrap();
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
            connection.get_mut().write_all(answer).unwrap();
        }
    }

    #[tokio::test]
    async fn the_first_call_takes_the_connection_that_init_has_opened() {
        let (url, connections) = server();
        let variables = [
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_ENDPOINT_URL", &url),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let mut init = Init::new("test", variables, Clock::default());
        let (client, again) = (init.dynamodb(), init.dynamodb());
        init.finish().await.unwrap();
        assert_eq!(connections.load(Ordering::Relaxed), 1);
        client.list_tables().send().await.unwrap();
        again.list_tables().send().await.unwrap();
        assert_eq!(connections.load(Ordering::Relaxed), 1);
    }
}
