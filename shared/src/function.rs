//! The five kinds of function, and how each is invoked.
//!
//! A function is a type that holds what it needs and implements one trait:
//!
//! | trait | entry kind | invoked with |
//! |---|---|---|
//! | [`Endpoint`] | http | an API Gateway HTTP API event, payload 2.0 |
//! | [`Consumer`] | queue | a batch of SQS messages, each of one type |
//! | [`StreamReader`] | stream | a batch of DynamoDB stream records |
//! | [`Task`] | schedule | an EventBridge Scheduler event |
//! | [`Operation`] | event | one JSON event of its own (CloudFormation, `sam remote invoke`) |
//!
//! [`crate::run`] on Lambda and `local` on a laptop both call [`Instance::invoke`] with the event JSON
//! that Lambda gets. A panic becomes an answer, never a dead process.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::caller::{Access, Caller};
use crate::clock::Clock;
use crate::describe::About;
use crate::init::{Init, StartError, Variables};
use crate::receipts::Receipts;
use crate::request::{Origin, Request};
use crate::response::Response;
use crate::stream::Change;
use crate::time::Timestamp;
use crate::{Error, Result};

mod http;
mod queue;
mod stream;

pub use queue::{Delivery, Label, Message};

/// A function: its name, its kind and how it starts. See the module for the kinds.
#[derive(Clone, Copy)]
pub struct Function {
    /// The name of the binary, and in PascalCase of the template's resource.
    pub name: &'static str,
    /// What invokes it.
    pub kind: Kind,
    /// What an endpoint says of itself. No deployed function asks.
    pub describe: Option<fn() -> About>,
    start: fn(&mut Init) -> Box<dyn Running>,
}

/// How long a function works on one thing before it gives up: API Gateway waits 30 s, and a function that
/// its timeout kills takes the rest of its batch along.
const GIVE_UP: Duration = Duration::from_secs(25);

/// What invokes a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// API Gateway.
    Http {
        /// Who may call it.
        access: Access,
        /// Whether it changes anything.
        writes: bool,
        /// Whether it takes an `Idempotency-Key`.
        keyed: bool,
    },
    /// An SQS queue.
    Queue,
    /// A DynamoDB stream.
    Stream,
    /// EventBridge Scheduler.
    Schedule,
    /// CloudFormation or a person.
    Event,
}

/// An HTTP endpoint.
pub trait Endpoint: Sized + Send + Sync + 'static {
    /// Who may call: the caller is let in before [`handle`](Self::handle) and passed to it.
    type Caller: Caller;
    /// Whether it changes anything: every method but `GET` does. A signed-in caller then writes through
    /// [`SignedIn::write`](crate::caller::SignedIn::write).
    const WRITES: bool;
    /// Whether a signed-in caller may repeat a request under an `Idempotency-Key`: every POST and PATCH outside
    /// `/auth`. Its answer is kept for a day and so must hold no secret.
    const KEYED: bool = false;

    /// What the API's document says of it, beside what follows from its route and its caller.
    fn describe() -> About;

    /// Takes what the endpoint needs.
    fn init(init: &mut Init) -> Self;

    /// Answers one request.
    fn handle(
        &self,
        caller: Self::Caller,
        request: &Request,
    ) -> impl Future<Output = Result<Response>> + Send;

    /// What is said beside the answer of a [`KEYED`](Self::KEYED) endpoint and never kept with it: a presigned URL. It is
    /// made anew for each repetition of the request. An answer that is a refusal stays as it is.
    fn add_unkept(
        &self,
        _request: &Request,
        answer: Response,
    ) -> impl Future<Output = Result<Response>> + Send {
        std::future::ready(Ok(answer))
    }

    /// How the sender of a request is told of an error: as a problem document, unless it speaks something else.
    fn refuse(error: &Error, origin: &Origin) -> impl Future<Output = Response> + Send {
        std::future::ready(Response::problem(error, origin))
    }
}

/// A consumer of a queue. It may get a message more than once and must not mind.
pub trait Consumer: Sized + Send + Sync + 'static {
    /// What a message's body holds, as JSON.
    type Message: Message;

    /// Takes what the consumer needs.
    fn init(init: &mut Init) -> Self;

    /// Handles one message; after an error it comes again, and ends in the dead-letter queue: at once after
    /// [`Error::Poison`].
    fn consume(&self, message: Self::Message, delivery: &Delivery)
    -> impl Future<Output = Result<()>> + Send;
}

/// A reader of DynamoDB streams. It may get a change more than once and must not mind.
pub trait StreamReader: Sized + Send + Sync + 'static {
    /// Takes what the reader needs.
    fn init(init: &mut Init) -> Self;

    /// Handles a batch in order; answers the first change that it could not handle, from which on the
    /// batch comes again.
    fn read<'a>(
        &self,
        changes: &'a [Change],
    ) -> impl Future<Output = std::result::Result<(), (&'a Change, Error)>> + Send;
}

/// A scheduled task. It may start more than once for one time and must not mind; it never does beside itself.
pub trait Task: Sized + Send + Sync + 'static {
    /// Takes what the task needs.
    fn init(init: &mut Init) -> Self;

    /// Does the work that was due at `due`.
    fn run(&self, due: Timestamp) -> impl Future<Output = Result<()>> + Send;
}

/// An operation that is invoked directly.
pub trait Operation: Sized + Send + Sync + 'static {
    /// The event.
    type Input: DeserializeOwned + Send;
    /// The answer.
    type Output: Serialize + Send;

    /// Takes what the operation needs.
    fn init(init: &mut Init) -> Self;

    /// Does it.
    fn run(&self, input: Self::Input) -> impl Future<Output = Result<Self::Output>> + Send;
}

impl Function {
    /// An HTTP endpoint.
    pub const fn http<E: Endpoint>(name: &'static str) -> Self {
        Self {
            name,
            kind: Kind::Http { access: <E::Caller as Caller>::ACCESS, writes: E::WRITES, keyed: E::KEYED },
            describe: Some(E::describe),
            start: |init| Box::new(http::Http::<E>::new(init)),
        }
    }

    /// A consumer of a queue.
    pub const fn queue<C: Consumer>(name: &'static str) -> Self {
        Self { name, kind: Kind::Queue, describe: None, start: |init| Box::new(queue::Queue::<C>::new(init)) }
    }

    /// A reader of DynamoDB streams.
    pub const fn stream<S: StreamReader>(name: &'static str) -> Self {
        Self {
            name,
            kind: Kind::Stream,
            describe: None,
            start: |init| Box::new(stream::Stream(S::init(init))),
        }
    }

    /// A scheduled task.
    pub const fn schedule<T: Task>(name: &'static str) -> Self {
        Self { name, kind: Kind::Schedule, describe: None, start: |init| Box::new(Schedule::<T>::new(init)) }
    }

    /// An operation that is invoked directly.
    pub const fn event<O: Operation>(name: &'static str) -> Self {
        Self { name, kind: Kind::Event, describe: None, start: |init| Box::new(Direct(O::init(init))) }
    }

    /// Starts the function: reads its configuration and its secrets and opens its connections.
    ///
    /// The future holds what it needs and not the function: so an optimised binary has no use for the description
    /// and leaves it out.
    pub fn start(
        &self,
        variables: Variables,
        clock: Clock,
    ) -> impl Future<Output = std::result::Result<Instance, StartError>> + Send + use<> {
        let Self { name, start, .. } = *self;
        async move {
            let mut init = Init::new(name, variables, clock);
            let running = start(&mut init);
            init.finish().await?;
            Ok(Instance { name, running })
        }
    }
}

/// A function that has started and may be invoked any number of times, also at once.
pub struct Instance {
    name: &'static str,
    running: Box<dyn Running>,
}

/// What Lambda says of an invocation beside its event.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// Lambda's id of the invocation.
    pub request_id: String,
}

/// An invocation that failed: what Lambda is told. It never quotes a cause.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error_type}: {message}")]
pub struct Failure {
    /// The kind of error.
    pub error_type: String,
    /// What a person reads.
    pub message: String,
}

impl Failure {
    fn new(error_type: &str, message: impl Into<String>) -> Self {
        Self { error_type: error_type.to_owned(), message: message.into() }
    }
}

impl Instance {
    /// Handles one event, given and answered as JSON.
    pub async fn invoke(
        &self,
        event: &str,
        invocation: Invocation,
    ) -> std::result::Result<Box<RawValue>, Failure> {
        let request_id = &invocation.request_id;
        let call = Call { function: self.name, request_id, correlation_id: "", event };
        let outcome = AssertUnwindSafe(self.running.invoke(call)).catch_unwind().await;
        outcome.unwrap_or_else(|panic| {
            log_panic(self.name, &invocation.request_id, &*panic);
            Err(Failure::new("Panic", "the function panicked: see its log"))
        })
    }
}

/// One invocation, as the kinds see it.
#[derive(Clone, Copy)]
struct Call<'a> {
    function: &'static str,
    /// What it is called in the log: by Lambda, or by API Gateway where that has a name for it.
    request_id: &'a str,
    /// Of the request that it follows from; empty as long as nobody knows.
    correlation_id: &'a str,
    event: &'a str,
}

impl Call<'_> {
    /// The event as `T`; what does not parse is the caller's fault.
    fn parse<T: DeserializeOwned>(&self) -> std::result::Result<T, Failure> {
        serde_json::from_str(self.event).map_err(|error| {
            let place = format!("line {}, column {}", error.line(), error.column());
            Failure::new("MalformedEvent", format!("the event is not what {} takes: {place}", self.function))
        })
    }

    /// Does `work`; one that panics or takes longer than [`GIVE_UP`] is an error.
    // By combinators: an async function would hold `work`, which is large, twice.
    fn bounded<T>(&self, work: impl Future<Output = Result<T>>) -> impl Future<Output = Result<T>> {
        AssertUnwindSafe(tokio::time::timeout(GIVE_UP, work)).catch_unwind().map(|outcome| match outcome {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(elapsed)) => Err(Error::NoReply(elapsed.into())),
            Err(panic) => {
                log_panic(self.function, self.request_id, &*panic);
                Err(Error::internal("panicked"))
            }
        })
    }

    fn failed(&self, error: &Error) -> Failure {
        error.log(self.function, self.request_id, self.correlation_id);
        Failure::new(error.row().code, error.row().title)
    }
}

fn answer(output: &impl Serialize) -> std::result::Result<Box<RawValue>, Failure> {
    serde_json::value::to_raw_value(output)
        .map_err(|_| Failure::new("MalformedAnswer", "the answer cannot be written as JSON"))
}

/// A started function of some kind.
trait Running: Send + Sync {
    fn invoke<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, std::result::Result<Box<RawValue>, Failure>>;
}

struct Schedule<T> {
    task: T,
    receipts: Receipts,
}

impl<T: Task> Schedule<T> {
    fn new(init: &mut Init) -> Self {
        Self { task: T::init(init), receipts: Receipts::init(init) }
    }
}

/// The input that the template gives to every schedule.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Scheduled {
    scheduled_time: Timestamp,
}

impl<T: Task> Running for Schedule<T> {
    fn invoke<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, std::result::Result<Box<RawValue>, Failure>> {
        Box::pin(async move {
            let due = call.parse::<Scheduled>()?.scheduled_time;
            let ran = self.receipts.alone(self.task.run(due)).await.map_err(|error| call.failed(&error))?;
            let outcome = if ran { "ran" } else { "left to one that is at work" };
            tracing::info!(function = call.function, requestId = call.request_id, due = %due, outcome);
            answer(&())
        })
    }
}

struct Direct<O>(O);

impl<O: Operation> Running for Direct<O> {
    fn invoke<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, std::result::Result<Box<RawValue>, Failure>> {
        Box::pin(async move {
            let input = call.parse()?;
            let output = self.0.run(input).await.map_err(|error| call.failed(&error))?;
            tracing::info!(function = call.function, requestId = call.request_id, "ran");
            answer(&output)
        })
    }
}

fn log_panic(function: &str, request_id: &str, panic: &(dyn Any + Send)) {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    tracing::error!(function, requestId = request_id, panic = text, "panicked");
}
