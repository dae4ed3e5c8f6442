//! A proxy between built binaries and the cloud that kills the process which makes a call: before the call is made, or after it
//! and before the process hears of it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::connect_info::Connected;
use axum::extract::{self, ConnectInfo, Request};
use axum::response::Response;
use axum::serve::IncomingStream;
use local::Options;
use local_aws::{Clock, Cloud, State};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use crate::app::{TestApp, client, skipped};
use crate::gate::Stop;

/// The proxy, and what it did.
pub(crate) struct Killer {
    _alone: MutexGuard<'static, ()>,
    /// The cloud itself.
    pub(crate) cloud: Cloud,
    client: reqwest::Client,
    state: std::sync::Mutex<Doings>,
}

#[derive(Default)]
struct Doings {
    plan: Plan,
    /// Calls by function, since they were counted anew.
    calls: BTreeMap<String, usize>,
    /// Kills by function and call.
    kills: BTreeMap<(String, String), usize>,
    random: u64,
}

/// Whom the proxy kills.
#[derive(Default)]
enum Plan {
    #[default]
    Nobody,
    /// The process of a function that makes a call after `passing` others.
    At { function: String, passing: usize, stop: Stop },
    /// Of 100 calls of any of these functions, so many, before or after, until there are enough.
    Random { functions: Vec<&'static str>, share: u64, left: usize },
}

/// The other end of a connection, and its process once that was looked for.
#[derive(Clone)]
struct Peer {
    address: SocketAddr,
    /// This end.
    proxy: SocketAddr,
    process: Arc<OnceCell<Option<(u32, String)>>>,
}

impl Connected<IncomingStream<'_, TcpListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, TcpListener>) -> Self {
        let proxy = stream.io().local_addr().unwrap();
        Self { address: *stream.remote_addr(), proxy, process: Arc::default() }
    }
}

impl Peer {
    /// Looked for by the first request: who connects next does not wait for it.
    async fn process(&self) -> &Option<(u32, String)> {
        let (address, proxy) = (self.address, self.proxy);
        let look = async || tokio::task::spawn_blocking(move || process_at(address, proxy)).await.unwrap();
        self.process.get_or_init(look).await
    }
}

/// Processes are found by their function alone: one such proxy at a time.
static ALONE: Mutex<()> = Mutex::const_new(());

/// A bundle of built binaries behind such a proxy; `None` where there are none.
pub(crate) async fn start(
    parameters: BTreeMap<String, String>,
    held: &[&str],
) -> Option<(TestApp, Arc<Killer>)> {
    let Ok(binaries) = std::env::var("ARCANA_BUNDLE") else {
        skipped("ARCANA_BUNDLE names no directory of built binaries");
        return None;
    };
    let alone = ALONE.lock().await;
    let listen = async || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let cloud = Cloud::start(listen().await, &State::Memory, Clock::default()).await.unwrap();
    let killer = Arc::new(Killer {
        _alone: alone,
        cloud,
        client: client().build().unwrap(),
        state: std::sync::Mutex::default(),
    });
    let router = Router::new().fallback(forward).with_state(Arc::clone(&killer));
    let listener = listen().await;
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let service = router.into_make_service_with_connect_info::<Peer>();
    tokio::spawn(axum::serve(listener, service).into_future());
    let options = Options {
        aws_endpoint: Some(endpoint),
        iam: Some(killer.cloud.iam().clone()),
        bundle: Some(PathBuf::from(binaries)),
        held: held.iter().map(ToString::to_string).collect(),
        parameters,
        ..Options::default()
    };
    Some((TestApp::try_boot(options).await.unwrap(), killer))
}

async fn forward(
    extract::State(killer): extract::State<Arc<Killer>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
) -> Response {
    let process = peer.process().await;
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let target = parts.headers.get("x-amz-target").and_then(|target| target.to_str().ok());
    let call = target.and_then(|target| target.rsplit('.').next()).unwrap_or(path).to_owned();
    let stop = process.as_ref().and_then(|(_, function)| killer.decide(function, &call));
    if let (Some((pid, _)), Some(Stop::Before)) = (process, stop) {
        kill(*pid).await;
        return Response::new(Body::empty());
    }
    let url = format!("{}{path}", killer.cloud.endpoint());
    let sent =
        killer.client.request(parts.method, url).headers(parts.headers).body(body).send().await.unwrap();
    let (status, headers) = (sent.status(), sent.headers().clone());
    let body = sent.bytes().await.unwrap();
    if let (Some((pid, _)), Some(Stop::After)) = (process, stop) {
        kill(*pid).await;
    }
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

impl Killer {
    /// Kills the process of `function` that makes a call after `passing` others from now on.
    pub(crate) fn kill_at(&self, function: &str, passing: usize, stop: Stop) {
        self.state.lock().unwrap().plan = Plan::At { function: function.to_owned(), passing, stop };
    }

    /// Kills `share` of 100 calls of any of these functions, until there were so many.
    pub(crate) fn kill_some(&self, functions: &[&'static str], share: u64, left: usize) {
        self.state.lock().unwrap().plan = Plan::Random { functions: functions.to_vec(), share, left };
    }

    /// Whether all have been killed that were to be.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.state.lock().unwrap().plan, Plan::Nobody)
    }

    /// Counts calls anew.
    pub(crate) fn count_anew(&self) {
        self.state.lock().unwrap().calls.clear();
    }

    /// The calls that a function made since.
    pub(crate) fn calls(&self, function: &str) -> usize {
        self.state.lock().unwrap().calls.get(function).copied().unwrap_or(0)
    }

    /// Kills by function and call.
    pub(crate) fn kills(&self) -> BTreeMap<(String, String), usize> {
        self.state.lock().unwrap().kills.clone()
    }

    /// Whether the process that makes this call is to be killed, and when.
    fn decide(&self, function: &str, call: &str) -> Option<Stop> {
        let mut state = self.state.lock().unwrap();
        *state.calls.entry(function.to_owned()).or_default() += 1;
        let Doings { plan, random, kills, .. } = &mut *state;
        let (stop, is_last) = match plan {
            Plan::At { function: other, passing, stop } if other == function => {
                match passing.checked_sub(1) {
                    Some(less) => {
                        *passing = less;
                        return None;
                    }
                    None => (*stop, true),
                }
            }
            Plan::Random { functions, share, left } if functions.contains(&function) => {
                // A linear congruential generator: the same each time, as far as calls come the same.
                *random =
                    random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                if (*random >> 33) % 100 >= *share {
                    return None;
                }
                *left -= 1;
                (Stop::BOTH[usize::try_from((*random >> 32) & 1).unwrap()], *left == 0)
            }
            _ => return None,
        };
        *kills.entry((function.to_owned(), call.to_owned())).or_default() += 1;
        if is_last {
            *plan = Plan::Nobody;
        }
        Some(stop)
    }
}

/// Ends a process as a crash does.
async fn kill(pid: u32) {
    // One that is gone already is as good.
    let _ = Command::new("kill").args(["-9", &pid.to_string()]).output().await;
}

/// Ends the idle processes of a function: the next event is handled by a new one.
pub(crate) async fn retire(function: &str) {
    for (pid, _) in processes().into_iter().filter(|(_, path)| path.ends_with(function)) {
        kill(pid).await;
    }
}

/// Every process of a built binary of this test's own, by its id.
fn processes() -> Vec<(u32, PathBuf)> {
    let own = std::process::id().to_string();
    let all = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let of_own = all.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let status = std::fs::read_to_string(entry.path().join("status")).ok()?;
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim();
        let path = std::fs::read_link(entry.path().join("exe")).ok()?;
        (parent == own).then_some((pid, path))
    });
    of_own.collect()
}

/// The process whose socket has this address and leads to the proxy, and its function; nothing where it is this process or gone. The kernel's tables are read
/// while they change, so one that is not found is looked for again.
fn process_at(address: SocketAddr, proxy: SocketAddr) -> Option<(u32, String)> {
    for _ in 0..20 {
        if let Some(inode) = inode_of(address, proxy) {
            if inode == ORPHAN {
                return None;
            }
            let socket = PathBuf::from(format!("socket:[{inode}]"));
            if has(std::process::id(), &socket) {
                return None;
            }
            if let Some((pid, path)) = processes().into_iter().find(|(pid, _)| has(*pid, &socket)) {
                let function = path.file_name().map(Path::new)?.to_str()?.to_owned();
                return Some((pid, function));
            }
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    None
}

/// Whether a process has a file.
fn has(pid: u32, file: &Path) -> bool {
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().filter_map(Result::ok);
    files.map(|entry| std::fs::read_link(entry.path())).any(|link| link.is_ok_and(|link| link == file))
}

/// The inode of a socket that no process has any more, closed or left behind.
const ORPHAN: &str = "0";

/// The inode of the socket at this end of a connection on this machine.
fn inode_of(address: SocketAddr, proxy: SocketAddr) -> Option<String> {
    let table = std::fs::read_to_string("/proc/net/tcp").ok()?;
    // 127.0.0.1 as the kernel writes it on a little-endian machine.
    let written = |address: SocketAddr| format!("0100007F:{:04X}", address.port());
    let wanted = [written(address), written(proxy)];
    let line = table.lines().find(|line| line.split_whitespace().skip(1).take(2).eq(wanted.iter()))?;
    line.split_whitespace().nth(9).map(ToOwned::to_owned)
}
