//! Runs every built binary through the Lambda Runtime API with its sample event, and says what it takes.
//!
//! The whole stack is deployed to an embedded cloud first, and each binary runs with the very
//! environment that the stack gives its function.

use std::path::Path;
use std::time::Duration;

use local_aws::lambda::{Invocation, Pool, RuntimeApi};
use serde_json::{Value, json};
use shared::caller::Access;
use shared::function::Kind;

use crate::bundle::{self, Bundle, Options};
use crate::deploy::{Answers, Specification};

/// Invocations of each binary after its first one.
const WARM: usize = 20;
/// How long all invocations of one binary may take.
const LONGEST: Duration = Duration::from_mins(2);

/// Runs the binaries in `directory` and prints a row for each; fails with all that is wrong.
pub async fn run(directory: &Path) -> Result<(), Box<dyn std::error::Error>> {
    // Nothing else invokes functions: what follows from one sample event is the next one's work.
    let held = crate::functions().map(|function| function.name.to_owned()).collect();
    let stack = Bundle::start(Options { held, ..Options::default() }).await?;
    let api = RuntimeApi::start().await?;
    let mut functions: Vec<&Specification> = stack.specifications().iter().collect();
    functions.sort_by_key(|function| &function.name);

    println!("{}", row("function", ["MB", "init ms", "first ms", "warm ms"], "outcome"));
    let mut wrong = Vec::new();
    for function in functions {
        let name = &function.name;
        let measured = tokio::time::timeout(LONGEST, measure(&api, directory, function)).await;
        match measured.unwrap_or_else(|_| Err(format!("takes longer than {} s", LONGEST.as_secs()))) {
            Ok(measures) => println!("{}", measures.row(name)),
            Err(reason) => {
                println!("{}", row(name, ["-"; 4], &reason));
                wrong.push(format!("{name}: {reason}"));
            }
        }
    }
    stack.stop().await;
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}

/// What a binary takes.
struct Measures {
    bytes: u64,
    init: Duration,
    first: Duration,
    /// The median.
    warm: Duration,
    outcome: String,
}

impl Measures {
    fn row(&self, name: &str) -> String {
        let megabytes = format!("{}.{}", self.bytes / 1_000_000, self.bytes / 100_000 % 10);
        let ms = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1000.0);
        let measures = [megabytes, ms(self.init), ms(self.first), ms(self.warm)];
        row(name, measures.each_ref().map(String::as_str), &self.outcome)
    }
}

fn row(name: &str, [size, init, first, warm]: [&str; 4], outcome: &str) -> String {
    format!("{name:<32} {size:>6} {init:>9} {first:>9} {warm:>9}  {outcome}")
}

async fn measure(api: &RuntimeApi, directory: &Path, function: &Specification) -> Result<Measures, String> {
    let binary = bundle::binary(directory, function)?;
    let bytes = std::fs::metadata(&binary.path).map_err(|error| error.to_string())?.len();
    let mut sample = Sample::read(&function.name).await?;
    let pool = Pool::new(api, binary);
    let (first, outcome) = sample.invoke(&pool).await?;
    let mut warm = Vec::new();
    for _ in 0..WARM {
        let (again, _) = sample.invoke(&pool).await?;
        if again.pid != first.pid {
            return Err("its process did not live on after an invocation".to_owned());
        }
        warm.push(again.duration);
    }
    warm.sort();
    Ok(Measures {
        bytes,
        init: first.cold_init.unwrap_or_default(),
        first: first.duration,
        warm: warm[WARM / 2],
        outcome,
    })
}

/// A function's sample event: `events/NAME.json`.
pub fn sample(name: &str) -> Result<Value, String> {
    let path = bundle::default_template().with_file_name("events").join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
}

/// A function's sample event, and how it is to be answered.
struct Sample {
    kind: Kind,
    event: Value,
    /// Where a custom resource answers.
    answers: Option<Answers>,
}

impl Sample {
    async fn read(name: &str) -> Result<Self, String> {
        let function = crate::functions().find(|function| function.name == name);
        let kind = function.ok_or("no crate has it")?.kind;
        let mut event = sample(name)?;
        let answers = match event.get_mut("ResponseURL") {
            None => None,
            Some(url) => {
                let answers = Answers::listen().await.map_err(|error| error.to_string())?;
                *url = json!(answers.url());
                Some(answers)
            }
        };
        Ok(Self { kind, event, answers })
    }

    /// Invokes the function once and answers what came of it, in words too.
    async fn invoke(&mut self, pool: &Pool) -> Result<(Invocation, String), String> {
        let request_id = uuid::Uuid::new_v4().to_string();
        let invoked = pool.invoke(self.event.to_string().into(), &request_id).await;
        let invocation = invoked.map_err(|error| error.to_string())?;
        let answer = serde_json::from_slice(&invocation.payload)
            .map_err(|error| format!("answered what is no JSON: {error}"))?;
        let outcome = match (self.kind, &mut self.answers) {
            (Kind::Http { access, .. }, _) => response(access, &answer)?,
            (Kind::Queue | Kind::Stream, _) => batch(&answer)?,
            (Kind::Event, Some(answers)) => resource(answers.next().await)?,
            (Kind::Event | Kind::Schedule, _) => "done".to_owned(),
        };
        Ok((invocation, outcome))
    }
}

/// Holds the answer of an http function to payload format 2.0, and its status to what a sample event
/// must get. (<https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>)
fn response(access: Access, answer: &Value) -> Result<String, String> {
    let headers = answer["headers"].as_object().is_some_and(|all| all.values().all(Value::is_string));
    let body = matches!(answer["body"], Value::Null | Value::String(_));
    let status = answer["statusCode"].as_u64().filter(|status| (200..600).contains(status));
    match status.filter(|_| headers && body) {
        None => Err(format!("answered what is no response: {answer}")),
        // A sample's token is nobody's.
        Some(status) if matches!(access, Access::SignedIn | Access::Admin) && status != 401 => {
            Err(format!("answered {status}, not 401: {answer}"))
        }
        Some(500..) => Err(format!("answered {answer}")),
        Some(status) => Ok(status.to_string()),
    }
}

fn batch(answer: &Value) -> Result<String, String> {
    if *answer == json!({"batchItemFailures": []}) {
        Ok("no failures".to_owned())
    } else {
        Err(format!("answered {answer}"))
    }
}

fn resource(answer: Option<Value>) -> Result<String, String> {
    match answer {
        Some(answer) if answer["Status"] == "SUCCESS" => Ok("SUCCESS".to_owned()),
        Some(answer) => Err(format!("sent {answer}")),
        None => Err("sent no answer to its ResponseURL".to_owned()),
    }
}
