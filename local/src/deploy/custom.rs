//! Custom resources: the same request that CloudFormation sends, answered to a URL of our own.
//! (<https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref.html>)

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::put;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::Deployment;
use crate::template::{Unresolved, text};

/// How long a custom resource may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

impl Deployment<'_> {
    /// Makes a custom resource by its function, which is asked at every start: it must not mind.
    pub(super) async fn custom(
        &mut self,
        id: &str,
        kind: &str,
        properties: &Value,
    ) -> Result<(), Unresolved> {
        let token = text(&properties["ServiceToken"]);
        let name = token.rsplit(':').next().unwrap_or_default();
        let function = self.stack.functions.get(name).ok_or_else(|| Unresolved::NotYet(name.to_owned()))?;
        let failed = |what: &str| Unresolved::Invalid(format!("{name} {what}"));

        let mut answers =
            Answers::listen().await.map_err(|error| failed(&format!("cannot be answered: {error}")))?;
        let request = json!({
            "RequestType": "Create",
            "ResponseURL": answers.url(),
            "StackId": format!("arn:aws:cloudformation:{}:{}:stack/{}/local", local_aws::REGION, local_aws::ACCOUNT, super::STACK),
            "RequestId": uuid::Uuid::new_v4().to_string(),
            "ResourceType": kind,
            "ServiceToken": token,
            "LogicalResourceId": id,
            "ResourceProperties": properties,
        });
        let outcome = function.invoke(request.to_string()).await;
        outcome.map_err(|error| failed(&format!("failed: {error}")))?;
        let answer = answers.next().await.ok_or_else(|| failed("sent no answer"))?;
        if answer["Status"] != "SUCCESS" {
            return Err(failed(&format!("answered: {}", text(&answer["Reason"]))));
        }
        let data = answer["Data"].as_object().cloned().unwrap_or_default();
        let data: Vec<(String, String)> =
            data.iter().map(|(key, value)| (key.clone(), text(value))).collect();
        let attributes: Vec<(&str, &str)> =
            data.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        self.scope.define(id, &text(&answer["PhysicalResourceId"]), &attributes);
        Ok(())
    }
}

/// A URL on loopback that custom resources answer to, as they do to one of S3 at AWS. Dropping it
/// closes it.
pub(crate) struct Answers {
    url: String,
    received: mpsc::Receiver<String>,
    _server: JoinSet<std::io::Result<()>>,
}

impl Answers {
    /// Listens on a free port.
    pub(crate) async fn listen() -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/", listener.local_addr()?);
        let (sender, received) = mpsc::channel(1);
        let router = Router::new().route("/", put(receive)).with_state(sender);
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await });
        Ok(Self { url, received, _server: server })
    }

    /// What a request's `ResponseURL` is to be.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The next answer; nothing if none comes in time or it is no JSON.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        let answer = tokio::time::timeout(PATIENCE, self.received.recv()).await.ok().flatten()?;
        serde_json::from_str(&answer).ok()
    }
}

async fn receive(State(sender): State<mpsc::Sender<String>>, answer: String) {
    // A request has one answer: another before that was taken is dropped, as is one that nobody awaits.
    let _ = sender.try_send(answer);
}
