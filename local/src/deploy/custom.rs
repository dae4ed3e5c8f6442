//! Custom resources: the same request that CloudFormation sends, answered to a URL of our own.
//! (<https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref.html>)

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::put;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::Deployment;
use crate::template::{Unresolved, text};

/// How long a custom resource may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

impl Deployment<'_> {
    /// Makes a custom resource by its function, which is asked at every start: it must not mind.
    pub(super) async fn custom(&mut self, id: &str, properties: &Value) -> Result<(), Unresolved> {
        let token = text(&properties["ServiceToken"]);
        let name = token.rsplit(':').next().unwrap_or_default();
        let function = self.stack.functions.get(name).ok_or_else(|| Unresolved::NotYet(name.to_owned()))?;
        let failed = |what: &str| Unresolved::Invalid(format!("{name} {what}"));

        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.map_err(|error| failed(&format!("cannot be answered: {error}")))?;
        let url = listener.local_addr().map(|address| format!("http://{address}/"));
        let (sender, mut answers) = mpsc::channel(1);
        let router = Router::new().route("/", put(receive)).with_state(sender);
        let server = tokio::spawn(async move { axum::serve(listener, router).await });
        let request = json!({
            "RequestType": "Create",
            "ResponseURL": url.unwrap_or_default(),
            "StackId": format!("arn:aws:cloudformation:{}:{}:stack/{}/local", local_aws::REGION, local_aws::ACCOUNT, super::STACK),
            "RequestId": uuid::Uuid::new_v4().to_string(),
            "ResourceType": "Custom::Resource",
            "LogicalResourceId": id,
            "ResourceProperties": properties,
        });
        let outcome = function.invoke(request.to_string()).await;
        outcome.map_err(|error| failed(&format!("failed: {error}")))?;
        let answer = tokio::time::timeout(PATIENCE, answers.recv()).await.ok().flatten();
        server.abort();
        let answer: Value = answer
            .and_then(|text: String| serde_json::from_str(&text).ok())
            .ok_or_else(|| failed("sent no answer"))?;
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

async fn receive(State(sender): State<mpsc::Sender<String>>, answer: String) {
    // Only the first answer counts, and nobody may be waiting for it any more.
    let _ = sender.try_send(answer);
}
