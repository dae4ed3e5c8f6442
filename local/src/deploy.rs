//! Plays CloudFormation: makes what the template describes, through the AWS SDKs.
//!
//! A resource is made as soon as all that it refers to exists, so the template's order does not matter.
//! What exists already is left as it is: a second start finds the state of the first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use local_aws::Iam;
use local_aws::iam::{Credentials, Permission};
use serde_json::Value;
use shared::aws::Aws;

use crate::gateway::{Cors, Route, Throttle};
use crate::invoke::Invoker;
use crate::mapping::Source;
use crate::template::{Scope, Template, Unresolved, text};

mod custom;
pub(crate) mod earlier;
mod known;
mod resource;
mod role;

pub(crate) use custom::Answers;

/// The stack's name, which is also its functions' token audience.
const STACK: &str = "arcana-local";

/// What the template came to.
pub struct Stack {
    /// Every function that can be invoked, by its name.
    pub functions: BTreeMap<String, Arc<Invoker>>,
    /// What each of them was started with.
    pub specifications: Vec<Specification>,
    /// The API's routes and the functions they lead to.
    pub routes: Vec<(Route, Arc<Invoker>)>,
    /// The API's CORS.
    pub cors: Cors,
    /// How often each of its routes may be called.
    pub throttle: Throttle,
    /// What else invokes functions, with AWS as their roles reach it.
    pub sources: Vec<(Source, Arc<Invoker>, Aws)>,
    /// What the template lets each function do.
    pub granted: BTreeSet<Permission>,
    /// What the template asks for and a laptop does not do.
    pub ignored: Vec<String>,
}

/// A function of the template whose values are all known.
#[derive(Clone)]
pub struct Specification {
    /// The binary's name.
    pub name: String,
    /// Its environment, credentials and endpoint included.
    pub environment: BTreeMap<String, String>,
    /// How long an invocation may take.
    pub timeout: Duration,
    /// Its memory, in MB.
    pub memory_mb: u32,
}

/// Why the template cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// A resource is described in a way that cannot be made.
    #[error("{resource}: {reason}")]
    Resource {
        /// Its logical id.
        resource: String,
        /// What is wrong.
        reason: String,
    },
    /// Resources refer to what never comes to be, or to each other in a circle.
    #[error("cannot be made: {}", .0.join("; "))]
    Circle(Vec<String>),
}

/// How functions are started, once their environment is known.
pub trait Start {
    /// Starts a function.
    fn start(&self, function: Specification) -> impl Future<Output = Result<Invoker, String>> + Send;
}

/// Makes everything that `template` describes. Functions have the rights of their roles where `iam` is the endpoint's, and
/// may do everything elsewhere.
pub async fn deploy(
    template: &Template,
    aws: &Aws,
    endpoint: &str,
    iam: Option<&Iam>,
    starter: &impl Start,
) -> Result<Stack, DeployError> {
    let mut deployment = Deployment {
        template,
        aws,
        endpoint,
        iam,
        scope: template.scope(STACK),
        stack: Stack {
            functions: BTreeMap::new(),
            specifications: Vec::new(),
            routes: Vec::new(),
            cors: Cors::default(),
            throttle: Throttle::default(),
            sources: Vec::new(),
            granted: BTreeSet::new(),
            ignored: Vec::new(),
        },
    };
    let mut apis =
        template.resources().filter(|(_, resource)| resource["Type"] == "AWS::Serverless::HttpApi");
    if let Some((id, _)) = apis.nth(1) {
        let reason = "is a second API, and one is emulated".to_owned();
        return Err(DeployError::Resource { resource: id.clone(), reason });
    }
    deployment.stack.ignored = known::unknown(template);
    deployment.name_functions();
    let mut waiting: Vec<(&String, &Value)> = template.resources().collect();
    while !waiting.is_empty() {
        let mut later = Vec::new();
        let mut missing = Vec::new();
        let before = waiting.len();
        for (id, resource) in waiting {
            match deployment.make(id, resource, starter).await {
                Ok(()) => {}
                Err(Unresolved::NotYet(what)) => {
                    missing.push(format!("{id} waits for {what}"));
                    later.push((id, resource));
                }
                Err(Unresolved::Invalid(reason)) => {
                    return Err(DeployError::Resource { resource: id.clone(), reason });
                }
            }
        }
        if later.len() == before {
            return Err(DeployError::Circle(missing));
        }
        waiting = later;
    }
    Ok(deployment.stack)
}

struct Deployment<'a> {
    template: &'a Template,
    aws: &'a Aws,
    endpoint: &'a str,
    iam: Option<&'a Iam>,
    scope: Scope<'a>,
    stack: Stack,
}

impl Deployment<'_> {
    /// A function's name and ARN are known before it can run: custom resources refer to them.
    fn name_functions(&mut self) {
        for (id, resource) in self.template.resources() {
            if resource["Type"] == "AWS::Serverless::Function" {
                let name = text(&resource["Metadata"]["BuildProperties"]["Binary"]);
                self.scope.define(id, &name, &[("Arn", &function_arn(&name))]);
            }
        }
    }

    async fn make(&mut self, id: &str, resource: &Value, starter: &impl Start) -> Result<(), Unresolved> {
        if let Some(condition) = resource["Condition"].as_str()
            && !self.scope.condition(condition)?
        {
            return Ok(());
        }
        for other in listed(&resource["DependsOn"]) {
            if !self.scope.has(&other) {
                return Err(Unresolved::NotYet(other));
            }
        }
        let kind = text(&resource["Type"]);
        if resource::WITHOUT_EFFECT.contains(&kind.as_str()) {
            self.stand_in(id);
            return Ok(());
        }
        if kind == "AWS::Serverless::Function" {
            return self.function(id, resource, starter).await;
        }
        let properties = self.scope.resolve(&resource["Properties"])?;
        if kind.starts_with("Custom::") {
            return self.custom(id, &kind, &properties).await;
        }
        self.resource(id, &kind, &properties).await
    }

    /// A number that a function says of itself, or `Globals` of all, or Lambda.
    fn number(&self, properties: &Value, name: &str, default: u64) -> Result<u64, Unresolved> {
        let written = properties.get(name).unwrap_or_else(|| &self.template.globals()[name]);
        match self.scope.resolve(written)? {
            Value::Null => Ok(default),
            value => {
                text(&value).parse().map_err(|_| Unresolved::Invalid(format!("{name} is no number: {value}")))
            }
        }
    }

    async fn function(&mut self, id: &str, resource: &Value, starter: &impl Start) -> Result<(), Unresolved> {
        let properties = &resource["Properties"];
        let name = text(&resource["Metadata"]["BuildProperties"]["Binary"]);
        let (timeout, memory) =
            (self.number(properties, "Timeout", 3)?, self.number(properties, "MemorySize", 128)?);
        let global = self.scope.resolve(&self.template.globals()["Environment"]["Variables"])?;
        let own = self.scope.resolve(&properties["Environment"]["Variables"])?;
        let events = self.scope.resolve(&properties["Events"])?;
        let invocations = self.scope.resolve(&properties["EventInvokeConfig"])?;
        let credentials = self.role(&name, properties, &events, &invocations)?;
        let variables = [&global, &own].into_iter().filter_map(Value::as_object);
        let mut environment: BTreeMap<String, String> =
            variables.flatten().map(|(key, value)| (key.clone(), text(value))).collect();
        environment.extend(of_lambda(self.endpoint, credentials.as_ref()));
        let specification = Specification {
            name: name.clone(),
            environment,
            timeout: Duration::from_secs(timeout),
            memory_mb: u32::try_from(memory).unwrap_or(128),
        };
        let invoker = Arc::new(starter.start(specification.clone()).await.map_err(Unresolved::Invalid)?);
        self.stack.functions.insert(name.clone(), Arc::clone(&invoker));
        self.stack.specifications.push(specification);
        for (event, source) in events.as_object().into_iter().flatten() {
            let kind = text(&source["Type"]);
            if kind == "HttpApi" {
                if source["Properties"]["ApiId"].is_null() {
                    let reason = format!("{event} names no ApiId: SAM would make an API of its own for it");
                    return Err(Unresolved::Invalid(reason));
                }
                let (method, path) =
                    (text(&source["Properties"]["Method"]), text(&source["Properties"]["Path"]));
                self.stack.routes.push((Route { method: method.to_uppercase(), path }, Arc::clone(&invoker)));
            } else if let Some(source) =
                Source::read(&kind, &format!("{id}{event}"), &source["Properties"], &invocations)
            {
                let aws = match &credentials {
                    Some(credentials) => crate::aws_as(credentials, self.endpoint),
                    None => self.aws.clone(),
                };
                self.stack.sources.push((source, Arc::clone(&invoker), aws));
            } else {
                self.stack.ignored.push(format!("{id}: events of type {kind}"));
            }
        }
        Ok(())
    }
}

/// A property that is one name or a list of them.
fn listed(value: &Value) -> Vec<String> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(names) => names.iter().map(text).collect(),
        name => vec![text(name)],
    }
}

/// What Lambda puts into every function's environment, and where the emulated cloud is.
fn of_lambda(endpoint: &str, credentials: Option<&Credentials>) -> BTreeMap<String, String> {
    let (id, secret) = credentials
        .map_or((local_aws::ACCESS_KEY_ID, local_aws::SECRET_ACCESS_KEY), |credentials| {
            (&credentials.access_key_id, &credentials.secret_access_key)
        });
    let token = credentials.map(|credentials| ("AWS_SESSION_TOKEN", credentials.session_token.as_str()));
    let variables = [
        ("AWS_REGION", local_aws::REGION),
        ("AWS_ACCESS_KEY_ID", id),
        ("AWS_SECRET_ACCESS_KEY", secret),
        ("AWS_ENDPOINT_URL", endpoint),
    ];
    variables.into_iter().chain(token).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

pub(crate) fn function_arn(name: &str) -> String {
    format!("arn:aws:lambda:{}:{}:function:{name}", local_aws::REGION, local_aws::ACCOUNT)
}
