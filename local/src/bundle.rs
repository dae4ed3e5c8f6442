//! The running bundle: the cloud, the stack on it, and the API in front.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use local_aws::iam::Permission;
use local_aws::lambda::{Binary, Log, Pool, RuntimeApi};
use local_aws::{Clock, Cloud, Iam, State, Store};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};

use crate::deploy::{self, Specification, Stack, Start, earlier};
use crate::gateway::{Gateway, Routes};
use crate::invoke::Invoker;
use crate::mapping::{Source, stream};
use crate::permissions::Permissions;
use crate::template::Template;

/// How long requests under way may take when the bundle stops.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// How the bundle is to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The API's port on loopback; 0 picks a free one.
    pub port: u16,
    /// The AWS endpoint's port on loopback; 0 picks a free one.
    pub aws_port: u16,
    /// Where state is kept.
    pub state: State,
    /// An AWS endpoint to use instead of the embedded one.
    pub aws_endpoint: Option<String>,
    /// The roles of that endpoint, if it is of an embedded cloud.
    pub iam: Option<Iam>,
    /// A directory of built binaries to run instead of the functions of this process.
    pub bundle: Option<PathBuf>,
    /// What is done about the functions' rights besides giving them.
    pub permissions: Permissions,
    /// Values of the template's parameters.
    pub parameters: BTreeMap<String, String>,
    /// Functions that no queue, stream or schedule invokes.
    pub held: Vec<String>,
    /// The template.
    pub template: PathBuf,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 0,
            aws_port: 0,
            state: State::Memory,
            aws_endpoint: None,
            iam: None,
            bundle: None,
            permissions: Permissions::default(),
            parameters: BTreeMap::new(),
            held: Vec::new(),
            template: default_template(),
        }
    }
}

/// The template of the workspace that this was built in, unless there is one in the working directory.
pub fn default_template() -> PathBuf {
    let here = PathBuf::from("template.yaml");
    if here.exists() { here } else { PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../template.yaml")) }
}

/// Why the bundle did not start.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StartError(String);

/// A bundle that is up. Dropping it stops it.
pub struct Bundle {
    shared: Arc<Shared>,
    server: JoinHandle<std::io::Result<()>>,
    closing: Arc<Notify>,
    address: SocketAddr,
    endpoint: String,
    tasks: JoinSet<()>,
    specifications: Vec<Specification>,
    ignored: Vec<String>,
    notes: Vec<String>,
    iam: Option<Iam>,
    granted: BTreeSet<Permission>,
}

/// What the API and the console look at.
pub(crate) struct Shared {
    pub(crate) gateway: Gateway,
    pub(crate) functions: BTreeMap<String, Arc<Invoker>>,
    pub(crate) cloud: Option<Arc<Cloud>>,
    pub(crate) clock: Clock,
    /// Whether the functions are in this process and so go by its clock.
    pub(crate) in_process: bool,
}

impl Bundle {
    /// Starts everything; answers once all of it is up.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let template = Template::read(&options.template, &options.parameters).map_err(refused)?;
        let notes = template.notes();
        let clock = Clock::default();
        // Both ports first: a taken one is known before anything is made.
        let api = listen(options.port, "--port").await?;
        let address = api.local_addr().map_err(refused)?;
        let (cloud, endpoint, iam) = match options.aws_endpoint {
            Some(endpoint) => (None, endpoint, options.iam),
            None => {
                let listener = listen(options.aws_port, "--aws-port").await?;
                let cloud = Cloud::start(listener, &options.state, clock.clone()).await.map_err(refused)?;
                let (endpoint, iam) = (cloud.endpoint(), cloud.iam().clone());
                (Some(Arc::new(cloud)), endpoint, Some(iam))
            }
        };
        if let Some(iam) = &iam {
            options.permissions.apply(iam).map_err(refused)?;
        }
        let store = match &cloud {
            Some(cloud) => cloud.store().clone(),
            None => Store::memory().map_err(refused)?,
        };
        store.migrate(stream::SCHEMA).map_err(refused)?;
        store.migrate(earlier::SCHEMA).map_err(refused)?;
        let aws = crate::aws_at(&endpoint);
        let starter = match &options.bundle {
            None => Starter::Here(clock.clone()),
            Some(directory) => Starter::Processes {
                api: RuntimeApi::start().await.map_err(refused)?,
                directory: directory.clone(),
            },
        };
        let in_process = options.bundle.is_none();
        let stack =
            deploy::deploy(&template, &aws, &endpoint, iam.as_ref(), &starter).await.map_err(refused)?;
        let Stack { functions, specifications, routes, cors, throttle, sources, granted, mut ignored } =
            stack;
        ignored.extend(earlier::left(&store, &template).map_err(refused)?);
        for held in &options.held {
            if !functions.contains_key(held) {
                return Err(StartError(format!("--hold: there is no function {held}")));
            }
        }
        let shared = Arc::new(Shared {
            gateway: Gateway::new(Routes::new(routes), cors, throttle, clock.clone()),
            functions,
            cloud: cloud.clone(),
            clock: clock.clone(),
            in_process,
        });
        let mut tasks = JoinSet::new();
        for (source, function, aws) in sources {
            if options.held.contains(&function.name) {
                continue;
            }
            match source {
                Source::Queue(mapping) => tasks.spawn(mapping.run(aws, function)),
                Source::Stream(mapping) => {
                    let streams = aws_sdk_dynamodbstreams::Client::new(aws.config());
                    let (store, cloud) = (store.clone(), cloud.clone());
                    let services = stream::Services { streams, s3: aws.s3(), store, cloud };
                    tasks.spawn(mapping.run(services, function))
                }
                Source::Schedule(mapping) => tasks.spawn(mapping.run(clock.clone(), aws, function)),
            };
        }
        let router: Router = crate::console::router(Arc::clone(&shared));
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let closing = Arc::new(Notify::new());
        let close = Arc::clone(&closing);
        let api = local_aws::loopback::undelayed(api);
        let server = axum::serve(api, service).with_graceful_shutdown(async move { close.notified().await });
        let server = tokio::spawn(server.into_future());
        Ok(Self {
            shared,
            server,
            closing,
            address,
            endpoint,
            tasks,
            specifications,
            ignored,
            notes,
            iam,
            granted,
        })
    }

    /// Where the API is.
    pub fn api_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where the AWS endpoint is.
    pub fn aws_url(&self) -> &str {
        &self.endpoint
    }

    /// The names of the functions that run.
    pub fn functions(&self) -> impl Iterator<Item = &String> {
        self.shared.functions.keys()
    }

    /// What the functions were started with.
    pub fn specifications(&self) -> &[Specification] {
        &self.specifications
    }

    /// The roles of the functions, and what they did; nothing where the endpoint knows of no roles.
    pub fn iam(&self) -> Option<&Iam> {
        self.iam.as_ref()
    }

    /// What the template lets each function do.
    pub fn granted(&self) -> &BTreeSet<Permission> {
        &self.granted
    }

    /// What the template asks for and a laptop does not do.
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }

    /// What is otherwise than in a deployed stack, and meant to be.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Waits until something that should run for ever has ended.
    pub async fn failed(&mut self) -> String {
        tokio::select! {
            Some(ended) = self.tasks.join_next() => match ended {
                Ok(()) => "what invokes a function has ended".to_owned(),
                Err(error) => format!("what invokes a function has failed: {error}"),
            },
            ended = &mut self.server => format!("the API has ended: {ended:?}"),
        }
    }

    /// Stops everything: requests under way are answered first; what else was under way is tried again at
    /// the next start.
    pub async fn stop(mut self) {
        self.closing.notify_one();
        if tokio::time::timeout(LAST_ANSWERS, &mut self.server).await.is_err() {
            self.server.abort();
        }
        self.tasks.shutdown().await;
        for function in self.shared.functions.values() {
            function.stop().await;
        }
        if let Some(cloud) = &self.shared.cloud {
            cloud.stop();
        }
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn refused(error: impl std::fmt::Display) -> StartError {
    StartError(error.to_string())
}

async fn listen(port: u16, option: &str) -> Result<TcpListener, StartError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .map_err(|error| StartError(format!("127.0.0.1:{port} cannot be listened on ({error}): choose another with {option}, or 0 for a free one")))
}

/// How functions are run.
enum Starter {
    Here(Clock),
    Processes { api: RuntimeApi, directory: PathBuf },
}

impl Start for Starter {
    async fn start(&self, function: Specification) -> Result<Invoker, String> {
        let Specification { name, timeout, .. } = &function;
        match self {
            Self::Here(clock) => {
                let found = crate::functions().find(|function| function.name == *name);
                let found = found.ok_or_else(|| format!("no crate has a function {name}"))?;
                let clock = shared::clock::Clock::ahead_by(clock.offset_ms());
                let instance = found.start(function.environment.clone(), clock).await;
                Ok(Invoker::here(name, *timeout, instance.map_err(|error| error.to_string())?))
            }
            Self::Processes { api, directory } => {
                Ok(Invoker::processes(name, *timeout, Pool::new(api, binary(directory, &function)?)))
            }
        }
    }
}

/// The built binary of `function` in `directory`, to be run as the stack says.
pub(crate) fn binary(directory: &Path, function: &Specification) -> Result<Binary, String> {
    let Specification { name, environment, timeout, memory_mb } = function.clone();
    let path = built(directory, &name)?;
    // A function's log goes where the laptop's does.
    let log: Log = Arc::new(|function, line| tracing::info!(target: "function", "{function}: {line}"));
    Ok(Binary { environment, timeout, memory_mb, log, ..Binary::new(&name, path) })
}

/// Where the built function `name` of `directory` is: `target/smoke/NAME`, or as cargo-lambda leaves it,
/// `target/lambda/NAME/bootstrap`.
pub fn built(directory: &Path, name: &str) -> Result<PathBuf, String> {
    let mut path = directory.join(name);
    if path.is_dir() {
        path.push("bootstrap");
    }
    if path.is_file() { Ok(path) } else { Err(format!("{} is missing: build it first", path.display())) }
}
