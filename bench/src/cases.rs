//! What is measured: a function of each kind, invoked so that it does its work.

use bytes::Bytes;
use local::smoke::sample;
use local_aws::lambda::Binary;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::Result;
use crate::artifacts::Artifacts;
use crate::process::Program;
use crate::stack::{PASSWORD, Stack};

/// The product's id in the sample events.
const SAMPLE: &str = "01a0c450-6c78-74f8-996d-a763b7a969b1";

/// A function and the events that it gets.
pub(crate) struct Case {
    /// The function.
    pub(crate) function: &'static str,
    /// Whether it hashes passwords, which takes most of its time.
    pub(crate) hashes: bool,
    event: Box<dyn Fn() -> Value>,
}

impl Case {
    /// A function that is invoked with `event` each time.
    pub(crate) fn of(function: &'static str, event: impl Fn() -> Value + 'static) -> Self {
        Self { function, hashes: false, event: Box::new(event) }
    }

    fn hashing(self) -> Self {
        Self { hashes: true, ..self }
    }

    /// An event that the function has not had yet.
    pub(crate) fn event(&self) -> Bytes {
        (self.event)().to_string().into()
    }
}

/// What runs a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Variant {
    /// No function, but a greeting: what all are held against.
    Floor,
    /// No function either, but one read by the SDK.
    Read,
    /// The deployed binary.
    Rust,
    /// That of the previous release.
    Previous,
    /// The same in Node.js.
    Node,
}

/// A case and what runs it.
pub(crate) struct Subject<'a> {
    /// What it is told to do.
    pub(crate) case: &'a Case,
    /// By what.
    pub(crate) variant: Variant,
    /// What is started.
    pub(crate) program: Program,
    /// The size of what is deployed.
    pub(crate) bytes: u64,
}

impl Subject<'_> {
    /// Its name in tables.
    pub(crate) fn name(&self) -> String {
        match self.variant {
            Variant::Floor => "hello, world".to_owned(),
            Variant::Read => "one read".to_owned(),
            Variant::Rust => self.case.function.to_owned(),
            Variant::Previous => format!("{}, previous release", self.case.function),
            Variant::Node => format!("{} in Node.js", self.case.function),
        }
    }

    /// Says what is wrong with an answer that is no success; answers what has to be the same from whatever runs the case.
    pub(crate) fn check(&self, answer: &[u8]) -> Result<Value> {
        let answer: Value = serde_json::from_slice(answer)?;
        let right = match answer.get("statusCode").and_then(Value::as_u64) {
            Some(status) => (200..300).contains(&status),
            // A batch has no failures; a scheduled task answers what it likes.
            None => answer.get("batchItemFailures").is_none_or(|failed| *failed == json!([])),
        };
        if !right {
            return Err(format!("{} answered {answer}", self.name()).into());
        }
        let body = answer["body"].as_str().and_then(|body| serde_json::from_str(body).ok());
        let body = body.unwrap_or(Value::Null);
        if body == json!([]) || body["data"] == json!([]) {
            return Err(format!("{} found nothing", self.name()).into());
        }
        Ok(json!([answer["statusCode"], plain(body), answer["batchItemFailures"]]))
    }
}

/// Every case, with what it needs made in `stack`.
pub(crate) async fn all(stack: &Stack) -> Result<Vec<Case>> {
    let token = stack.admin("admin@example.com").await?;
    // Whose many logins end the sessions of nobody else.
    stack.register("login@example.com").await?;
    stack.indexed().await?;
    let products = stack.call("GET", "/api/v1/products", &Value::Null).await?;
    let product = |number: usize| products["data"][number]["id"].as_str().ok_or("no product");
    let (product, stocked) = (product(0)?, product(1)?);

    let me = signed(sample("auth-me")?, &token);
    let (get, grpc) = (about(&sample("products-get")?, product), sample("products-grpc")?);
    let grpc = with(grpc, "body", json!({"id": product}).to_string());
    let list = asking(sample("products-list")?, &[("size", "20")]);
    let search = asking(sample("products-search")?, &[("q", "arcana lamp"), ("limit", "20")]);
    let stock = signed(about(&sample("products-stock")?, stocked), &token);
    let stock = with(stock, "body", json!({"quantityChange": 1}).to_string());
    let file = signed(sample("files-create")?, &token);
    let login = with(
        sample("auth-login")?,
        "body",
        json!({"email": "login@example.com", "password": PASSWORD}).to_string(),
    );
    let register = sample("auth-register")?;
    let (mail, change) = (sample("email-worker")?, sample("events-relay")?);
    let job: Value = serde_json::from_str(mail["Records"][0]["body"].as_str().ok_or("no job")?)?;
    let (keys, clean) = (sample("auth-jwks")?, sample("cleanup-expired-tokens")?);
    Ok(vec![
        Case::of("auth-me", move || me.clone()),
        Case::of("auth-jwks", move || keys.clone()),
        Case::of("products-get", move || get.clone()),
        Case::of("products-list", move || list.clone()),
        Case::of("products-search", move || search.clone()),
        Case::of("products-grpc", move || grpc.clone()),
        Case::of("products-stock", move || keyed(stock.clone())),
        Case::of("files-create", move || keyed(file.clone())),
        Case::of("auth-login", move || login.clone()).hashing(),
        Case::of("auth-register", move || {
            let email = format!("{}@example.com", Uuid::new_v4().simple());
            let account = json!({"name": "Ada", "email": email, "password": PASSWORD});
            with(register.clone(), "body", account.to_string())
        })
        .hashing(),
        Case::of("email-worker", move || {
            let job = with(job.clone(), "id", Uuid::new_v4().to_string());
            let mut batch = mail.clone();
            batch["Records"][0]["body"] = json!(job.to_string());
            batch
        }),
        Case::of("events-relay", move || change.clone()),
        Case::of("cleanup-expired-tokens", move || clean.clone()),
    ])
}

/// All that is measured, in its order: the floor first, and what a function is held against right after it.
pub(crate) fn subjects<'a>(
    artifacts: &Artifacts,
    stack: &Stack,
    cases: &'a [Case],
    only: &[String],
) -> Result<Vec<Subject<'a>>> {
    let mut subjects = Vec::new();
    let unknown =
        only.iter().find(|prefix| !cases.iter().any(|case| case.function.starts_with(prefix.as_str())));
    if let Some(unknown) = unknown {
        return Err(format!("nothing that is measured begins with {unknown:?}").into());
    }
    let get = cases.iter().filter(|case| case.function == "products-get");
    let floors = get.flat_map(|case| [Variant::Floor, Variant::Read].map(|variant| (case, variant)));
    let wanted =
        |case: &&Case| only.is_empty() || only.iter().any(|prefix| case.function.starts_with(prefix));
    let variants = [Variant::Rust, Variant::Previous, Variant::Node];
    let functions = cases.iter().filter(wanted).flat_map(|case| variants.map(|variant| (case, variant)));
    for (case, variant) in floors.chain(functions) {
        let Some((path, interpreter)) = artifacts.of(case.function, variant)? else { continue };
        let (mut environment, memory_mb) = stack.environment(case.function)?;
        if variant == Variant::Node {
            // It has Amazon's roots in it.
            environment.remove("SSL_CERT_FILE");
            environment.insert("NODE_EXTRA_CA_CERTS".to_owned(), stack.root());
        }
        let bytes = std::fs::metadata(&path)?.len();
        let binary = Binary { environment, memory_mb, ..Binary::new(case.function, path) };
        let log = artifacts.log(&format!("{}-{variant:?}", case.function).to_lowercase());
        subjects.push(Subject { case, variant, program: Program { binary, interpreter, log }, bytes });
    }
    Ok(subjects)
}

/// The value with each number as JavaScript has it: 136.0 is 136.
fn plain(value: Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(values) => values.into_iter().map(plain).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, plain(value))).collect(),
        other => other,
    }
}

fn with(mut event: Value, name: &str, value: impl Into<Value>) -> Value {
    event[name] = value.into();
    event
}

fn signed(mut event: Value, token: &str) -> Value {
    event["headers"]["authorization"] = json!(format!("Bearer {token}"));
    event
}

/// The event about another product than the sample's.
fn about(event: &Value, product: &str) -> Value {
    let path = event["rawPath"].as_str().unwrap_or_default();
    let sample = event["pathParameters"]["id"].as_str().unwrap_or(SAMPLE);
    let changed = with(event.clone(), "rawPath", path.replace(sample, product));
    with(changed, "pathParameters", json!({"id": product}))
}

fn asking(event: Value, query: &[(&str, &str)]) -> Value {
    let raw: Vec<String> =
        query.iter().map(|(name, value)| format!("{name}={}", value.replace(' ', "+"))).collect();
    let parameters: Value = query.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    with(with(event, "rawQueryString", raw.join("&")), "queryStringParameters", parameters)
}

/// The request under an `Idempotency-Key` of its own.
fn keyed(mut event: Value) -> Value {
    event["headers"]["idempotency-key"] = json!(Uuid::new_v4().to_string());
    event
}
