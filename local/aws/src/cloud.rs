//! All services behind one endpoint, as `AWS_ENDPOINT_URL` wants it.

use std::fs::{DirBuilder, File, Permissions};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rusqlite::OptionalExtension as _;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::iam::{self, Need};
use crate::s3::Buckets;
use crate::sqs::{NewMessage, Sqs};
use crate::{AwsError, Clock, Deliver, EventBridge, Iam, Mailbox, SecretsManager, Store};

mod dispatch;
mod ttl;

/// How often events that could not be delivered, and expired items, are looked after.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// The share of time that looking for expired items takes at most: it reads whole tables.
const SWEEPING: f64 = 0.05;
/// Connections to the embedded DynamoDB server that may wait to be accepted: as many as tokio lets by itself.
const BACKLOG: u32 = 1024;

/// Where the cloud keeps its state.
#[derive(Clone, Debug)]
pub enum State {
    /// In this directory, through restarts and kill -9.
    Directory(PathBuf),
    /// Nowhere: it is gone with the process.
    Memory,
}

/// Why the cloud did not start.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {cause}")]
pub struct StartError {
    what: &'static str,
    cause: String,
}

impl StartError {
    fn at<E: std::fmt::Display>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |cause| Self { what, cause: cause.to_string() }
    }
}

/// The emulated cloud. It serves until it is dropped.
pub struct Cloud {
    address: SocketAddr,
    services: Arc<Services>,
    tasks: Mutex<JoinSet<()>>,
    /// Held for as long as the data directory is in use.
    lock: Mutex<Option<File>>,
}

struct Services {
    clock: Clock,
    store: Store,
    database: dynoxide::Database,
    dynamodb: SocketAddr,
    http: Client<HttpConnector, Body>,
    iam: Iam,
    s3: Buckets,
    sqs: Sqs,
    bus: Arc<EventBridge>,
    secrets: SecretsManager,
    mail: Mailbox,
    written: Notify,
    /// Where S3 keeps its objects, if nowhere else.
    _scratch: Option<tempfile::TempDir>,
}

impl Cloud {
    /// Starts all services behind `listener`, which is bound to loopback.
    pub async fn start(listener: TcpListener, state: &State, clock: Clock) -> Result<Self, StartError> {
        let address = listener.local_addr().map_err(StartError::at("the AWS port"))?;
        let mut lock = None;
        let (store, database, objects, scratch) = match state {
            State::Memory => {
                let scratch = tempfile::tempdir().map_err(StartError::at("a directory for S3"))?;
                let store = Store::memory().map_err(StartError::at("the services' state"))?;
                let database = dynoxide::Database::memory().map_err(StartError::at("DynamoDB"))?;
                (store, database, scratch.path().to_owned(), Some(scratch))
            }
            State::Directory(directory) => {
                let objects = directory.join("s3");
                lock = Some(open_directory(directory).map_err(StartError::at("the data directory"))?);
                std::fs::create_dir_all(&objects).map_err(StartError::at("the data directory"))?;
                let store = Store::open(&directory.join("services.sqlite"))
                    .map_err(StartError::at("the services' state"))?;
                let path = directory.join("dynamodb.sqlite");
                let database =
                    dynoxide::Database::new(&path.to_string_lossy()).map_err(StartError::at("DynamoDB"))?;
                index_streams(&path).map_err(StartError::at("DynamoDB"))?;
                (store, database, objects, None)
            }
        };
        let inner = hidden_listener().map_err(StartError::at("DynamoDB's port"))?;
        let dynamodb = inner.local_addr().map_err(StartError::at("DynamoDB's port"))?;
        let sqs = Sqs::new(store.clone(), clock.clone(), format!("http://{address}"))
            .map_err(StartError::at("SQS"))?;
        remember_clock(&store, &clock).map_err(StartError::at("the clock"))?;
        // Who received a message before this start is gone with the process that it ran in.
        sqs.release_in_flight().map_err(StartError::at("SQS"))?;
        let bus = EventBridge::new(store.clone(), clock.clone(), to_queues(sqs.clone()));
        let bus = Arc::new(bus.map_err(StartError::at("EventBridge"))?);
        let iam = Iam::default();
        let services = Arc::new(Services {
            s3: Buckets::new(&objects, store.clone(), clock.clone(), Arc::clone(&bus), iam.clone())
                .map_err(StartError::at("S3"))?,
            iam,
            bus,
            secrets: SecretsManager::new(store.clone(), clock.clone())
                .map_err(StartError::at("Secrets Manager"))?,
            mail: Mailbox::new(store.clone(), clock.clone()).map_err(StartError::at("SES"))?,
            http: Client::builder(TokioExecutor::new()).build_http(),
            written: Notify::new(),
            _scratch: scratch,
            database: database.clone(),
            clock,
            store,
            dynamodb,
            sqs,
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(dynoxide::server::serve_on(inner, database));
        tasks.spawn(Arc::clone(&services).keep_house());
        let router = Router::new()
            .fallback(dispatch::dispatch)
            .layer(DefaultBodyLimit::disable())
            .layer(axum::middleware::from_fn(crate::loopback::only))
            .with_state(Arc::clone(&services));
        let listener = crate::loopback::undelayed(listener);
        tasks.spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the AWS port is closed");
            }
        });
        Ok(Self { address, services, tasks: Mutex::new(tasks), lock: Mutex::new(lock) })
    }

    /// Where the services listen.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The store that the services share, for state that goes with theirs.
    pub fn store(&self) -> &Store {
        &self.services.store
    }

    /// The roles, and what they may do.
    pub fn iam(&self) -> &Iam {
        &self.services.iam
    }

    /// The queues.
    pub fn sqs(&self) -> &Sqs {
        &self.services.sqs
    }

    /// The buses.
    pub fn bus(&self) -> &EventBridge {
        &self.services.bus
    }

    /// The mails that were sent.
    pub fn mail(&self) -> &Mailbox {
        &self.services.mail
    }

    /// Moves the cloud's clock forward, also for later starts: what it stamps by then must not lie in the
    /// future of the next start.
    pub fn advance_clock(&self, ms: i64) -> Result<(), AwsError> {
        self.services.clock.advance_ms(ms);
        let offset = self.services.clock.offset_ms().load(Ordering::SeqCst);
        self.services.store.transaction(|tx| {
            tx.execute("INSERT OR REPLACE INTO clock (id, offset_ms) VALUES (1, ?1)", [offset])?;
            Ok(())
        })
    }

    /// Waits until DynamoDB has been written to since the last call returned.
    pub async fn written(&self) {
        self.services.written.notified().await;
    }

    /// Stops serving and leaves the data directory to others.
    pub fn stop(&self) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
        self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Services {
    /// Tries undelivered events again and removes items whose time to live is over, for ever.
    async fn keep_house(self: Arc<Self>) {
        let mut next_sweep = Instant::now();
        loop {
            tokio::time::sleep(HOUSEKEEPING).await;
            match self.bus.retry_due().await {
                Ok(0) => {}
                Ok(_) => self.sqs.wake(),
                Err(error) => tracing::error!(%error, "events were not tried again"),
            }
            if Instant::now() < next_sweep {
                continue;
            }
            let started = Instant::now();
            let services = Arc::clone(&self);
            let swept = tokio::task::spawn_blocking(move || {
                crate::cloud::ttl::sweep(&services.database, &services.clock)
            });
            match swept.await {
                Ok(Ok(0)) => {}
                Err(error) => tracing::error!(%error, "expired items were not removed"),
                Ok(Ok(_)) => self.written.notify_waiters(),
                Ok(Err(error)) => tracing::error!(%error, "expired items were not removed"),
            }
            next_sweep = Instant::now() + started.elapsed().div_f64(SWEEPING);
        }
    }
}

/// A port for the embedded DynamoDB server, which anybody who finds it may use: it lets pages of any
/// origin in and checks no signature. So its address, too, is drawn at random out of the 16 million of
/// loopback; systems that have only the one fall back to it.
fn hidden_listener() -> std::io::Result<TcpListener> {
    let [a, b, c, ..] = *uuid::Uuid::new_v4().as_bytes();
    let bound = |address: Ipv4Addr| {
        let socket = TcpSocket::new_v4()?;
        // Its connections have this from their listener.
        socket.set_nodelay(true)?;
        socket.bind((address, 0).into())?;
        socket.listen(BACKLOG)
    };
    bound(Ipv4Addr::new(127, a, b, c.clamp(2, 254))).or_else(|_| bound(Ipv4Addr::LOCALHOST))
}

/// Lets dynoxide find a place in a stream: it looks for the next number, and for what comes after an iterator, in all
/// records of all streams otherwise, so that each write takes the longer the more there were.
fn index_streams(database: &Path) -> rusqlite::Result<()> {
    rusqlite::Connection::open(database)?.execute_batch(
        "CREATE INDEX IF NOT EXISTS stream_places ON _stream_records (table_name, CAST(sequence_number AS INTEGER))",
    )
}

/// Opens the data directory: readable by its owner alone, for it holds keys, and used by one cloud at a time.
fn open_directory(directory: &Path) -> std::io::Result<File> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    std::fs::set_permissions(directory, Permissions::from_mode(0o700))?;
    let lock = File::create(directory.join("lock"))?;
    lock.try_lock().map_err(|error| {
        std::io::Error::other(format!("{} is in use by another process ({error})", directory.display()))
    })?;
    Ok(lock)
}

/// Sets the clock to where it was moved to before.
fn remember_clock(store: &Store, clock: &Clock) -> rusqlite::Result<()> {
    store.migrate("CREATE TABLE IF NOT EXISTS clock (id INTEGER PRIMARY KEY, offset_ms INTEGER NOT NULL)")?;
    let offset: Option<i64> = store
        .transaction(|tx| tx.query_row("SELECT offset_ms FROM clock", [], |row| row.get(0)).optional())?;
    clock.advance_ms(offset.unwrap_or_default());
    Ok(())
}

/// The queue of a rule's target gets the event in the transaction that accepts it, if its policy lets the rule.
fn to_queues(sqs: Sqs) -> Deliver {
    Box::new(move |transaction, delivery| {
        let queue = delivery.target_arn.rsplit(':').next().unwrap_or_default();
        if delivery.target_arn != Sqs::arn(queue) {
            return Err(AwsError::client(
                "ResourceNotFoundException",
                "only queues of this cloud are targets",
            ));
        }
        let send =
            Need::new("sqs:SendMessage", &delivery.target_arn).with("aws:SourceArn", &delivery.rule_arn);
        if !iam::lets_service(&Sqs::policy(transaction, queue)?, "events.amazonaws.com", &send) {
            let rule = &delivery.rule_arn;
            return Err(AwsError::client(
                "AccessDenied",
                format!("the policy of {queue} does not let {rule} send to it"),
            ));
        }
        let attribute = |value: &String| serde_json::json!({"DataType": "String", "StringValue": value});
        let message = NewMessage {
            group_id: delivery.message_group_id.clone(),
            message_attributes: delivery.attributes.iter().map(|(k, v)| (k.clone(), attribute(v))).collect(),
            ..NewMessage::new(&delivery.body)
        };
        sqs.send_in(transaction, queue, message)?;
        Ok(())
    })
}
