//! The role that SAM makes of each function, and what it may do.

use local_aws::iam::{Credentials, Permission, Statement};
use serde_json::{Value, json};

use super::Deployment;
use crate::template::{Unresolved, text};

impl Deployment<'_> {
    /// A session of the function's role; nothing where the endpoint knows of no roles.
    pub(super) fn role(
        &mut self,
        function: &str,
        properties: &Value,
        events: &Value,
        invocations: &Value,
    ) -> Result<Option<Credentials>, Unresolved> {
        let Some(iam) = self.iam else { return Ok(None) };
        let invalid = |reason: String| Unresolved::Invalid(reason);
        let mut statements = Vec::new();
        let policies = match self.scope.resolve(&properties["Policies"])? {
            Value::Null => Vec::new(),
            Value::Array(policies) => policies,
            one => vec![one],
        };
        for policy in &policies {
            if policy["Statement"].is_null() {
                return Err(invalid(format!(
                    "the policy {policy} is not emulated: write its statements out"
                )));
            }
            let read = Statement::read_all(policy).map_err(|error| invalid(error.to_string()))?;
            if read.iter().any(Statement::has_principal) {
                return Err(invalid(
                    "a role's policy has a Principal, which is for those of resources".to_owned(),
                ));
            }
            self.stack.granted.extend(read.iter().filter(|statement| statement.allows()).map(|statement| {
                let (action, resource) = statement.written();
                let (action, resource) = (action.to_owned(), resource.to_owned());
                Permission { role: function.to_owned(), action, resource }
            }));
            statements.extend(read);
        }
        let added = added(events, invocations);
        statements.extend(Statement::read_all(&added).map_err(|error| invalid(error.to_string()))?);
        Ok(Some(iam.assume(function, statements)))
    }
}

/// What SAM adds to a role for the function's events: Lambda, too, works with the rights of the function's role.
/// (`AWSLambdaSQSQueueExecutionRole`, `AWSLambdaDynamoDBExecutionRole` of
/// <https://docs.aws.amazon.com/aws-managed-policy/latest/reference/policy-list.html>, and a right for each place that
/// takes what failed.)
fn added(events: &Value, invocations: &Value) -> Value {
    let mut statements = destination(invocations);
    for (_, event) in events.as_object().into_iter().flatten() {
        statements.extend(match text(&event["Type"]).as_str() {
            "SQS" => Some(allow(&["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"], "*")),
            "DynamoDB" => Some(allow(
                &[
                    "dynamodb:DescribeStream",
                    "dynamodb:GetRecords",
                    "dynamodb:GetShardIterator",
                    "dynamodb:ListStreams",
                ],
                "*",
            )),
            _ => None,
        });
        statements.extend(destination(&event["Properties"]));
    }
    json!({"Statement": statements})
}

/// What putting what failed into its place takes.
fn destination(properties: &Value) -> Vec<Value> {
    let on_failure = &properties["DestinationConfig"]["OnFailure"];
    match (on_failure["Type"].as_str(), on_failure["Destination"].as_str()) {
        (Some("S3"), Some(bucket)) => {
            vec![allow(&["s3:PutObject"], &format!("{bucket}/*")), allow(&["s3:ListBucket"], bucket)]
        }
        (Some("SQS"), Some(queue)) => vec![allow(&["sqs:SendMessage"], queue)],
        _ => Vec::new(),
    }
}

fn allow(actions: &[&str], resource: &str) -> Value {
    json!({"Effect": "Allow", "Action": actions, "Resource": resource})
}
