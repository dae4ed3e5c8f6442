//! What goes from the bus to a consumer: a rule, its queue, the right to send to it, a function that may put
//! messages off. On a laptop nothing of this is missed.

use std::collections::BTreeSet;

use local::template::Template;
use serde_json::Value;
use shared::event::{Event, Fact};
use shared::function::Kind;

use crate::kinds::kinds;
use crate::project::{Deployed, hold, root, sample_events, template};

struct Queue {
    id: String,
    dead_letters: String,
    visibility: u64,
}

/// The name of a resource in `{"Fn::GetAtt": [name, ...]}`, `{"Fn::GetAtt": "name...."}` or `{"Ref": name}`.
fn named(value: &Value) -> String {
    let attribute = &value["Fn::GetAtt"];
    let name = attribute[0].as_str().or_else(|| attribute.as_str()).or_else(|| value["Ref"].as_str());
    name.unwrap_or_default().split('.').next().unwrap_or_default().to_owned()
}

fn resources(kind: &str) -> Vec<(String, Value)> {
    let template = Template::read(&root().join("template.yaml"), &std::collections::BTreeMap::new());
    let template = template.expect("a template");
    let found = template.resources().filter(|(_, resource)| resource["Type"] == kind);
    found.map(|(id, resource)| (id.clone(), resource["Properties"].clone())).collect()
}

/// Each function with the queue that it consumes.
fn consumers() -> Vec<(Deployed, Queue)> {
    let queues = resources("AWS::SQS::Queue");
    let of = |function: Deployed| {
        let id = function.queue()?;
        let (_, properties) = queues.iter().find(|(queue, _)| *queue == id)?;
        let visibility = properties["VisibilityTimeout"].as_u64().unwrap_or(30);
        let dead_letters = named(&properties["RedrivePolicy"]["deadLetterTargetArn"]);
        Some((function, Queue { id, dead_letters, visibility }))
    };
    template().into_iter().filter_map(of).collect()
}

#[test]
fn every_rule_may_send_to_its_queue_and_is_of_events_that_there_are() {
    // What S3 tells of, the template asks it for.
    let kinds: BTreeSet<&str> = Fact::KINDS.into_iter().chain(["Object Created"]).collect();
    let policies = resources("AWS::SQS::QueuePolicy");
    let list = |value: &Value| value.as_array().into_iter().flatten().map(named).collect::<Vec<_>>();
    let mut faults = Vec::new();
    for (rule, properties) in resources("AWS::Events::Rule") {
        for kind in properties["EventPattern"]["detail-type"].as_array().into_iter().flatten() {
            if !kind.as_str().is_some_and(|kind| kinds.contains(kind)) {
                faults.push(format!("{rule} is of {kind}, which nothing raises"));
            }
        }
        for target in properties["Targets"].as_array().into_iter().flatten() {
            let queue = named(&target["Arn"]);
            let lets_in = policies.iter().any(|(_, policy)| {
                let statement = &policy["PolicyDocument"]["Statement"][0];
                list(&policy["Queues"]).contains(&queue)
                    && list(&statement["Condition"]["ArnEquals"]["aws:SourceArn"]).contains(&rule)
            });
            if !lets_in {
                faults.push(format!("no AWS::SQS::QueuePolicy lets {rule} send to {queue}"));
            }
        }
    }
    hold(faults);
}

#[test]
fn every_queue_that_a_function_consumes_is_filled_and_shows_its_messages_late_enough() {
    let targets: Vec<String> = resources("AWS::Events::Rule")
        .iter()
        .flat_map(|(_, rule)| rule["Targets"].as_array().cloned().unwrap_or_default())
        .map(|target| named(&target["Arn"]))
        .collect();
    let functions = template();
    let mut faults = Vec::new();
    for (function, queue) in consumers() {
        let sends = |other: &Deployed| other.may("sqs:SendMessage", &queue.id) && other.name != function.name;
        if !targets.contains(&queue.id) && !functions.iter().any(sends) {
            faults.push(format!("nothing sends to {}, which {} consumes", queue.id, function.id));
        }
        // <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html>
        let wanted = 6 * function.properties["Timeout"].as_u64().unwrap_or(28);
        if queue.visibility < wanted {
            faults.push(format!("{} has a VisibilityTimeout of less than {wanted} s", queue.id));
        }
        for (action, on) in
            [("sqs:ChangeMessageVisibility", &queue.id), ("sqs:SendMessage", &queue.dead_letters)]
        {
            if !function.may(action, on) {
                faults.push(format!("{} may not {action} on {on}", function.id));
            }
        }
    }
    hold(faults);
}

#[test]
fn a_consumers_sample_event_is_what_its_queue_gets() {
    let rules = resources("AWS::Events::Rule");
    let samples = sample_events();
    let mut faults = Vec::new();
    for (function, queue) in consumers() {
        let record = &samples[&function.name]["Records"][0];
        let source = record["eventSourceARN"].as_str().and_then(|arn| arn.rsplit(':').next());
        if source != Some(queue.id.as_str()) {
            faults.push(format!("events/{}.json comes from {source:?}, not {}", function.name, queue.id));
        }
        let body: Value =
            serde_json::from_str(record["body"].as_str().unwrap_or_default()).unwrap_or_default();
        let rule = rules.iter().find(|(_, rule)| named(&rule["Targets"][0]["Arn"]) == queue.id);
        let Some((_, rule)) = rule else { continue };
        let kinds = rule["EventPattern"]["detail-type"].as_array().cloned().unwrap_or_default();
        let ours = body["source"] == "arcana";
        // One consumer takes them all.
        let takes =
            (kinds.is_empty() && function.name == "events-audit") || kinds.contains(&body["detail-type"]);
        if !takes || (ours && body["detail"]["type"] != body["detail-type"]) {
            let kind = &body["detail-type"];
            faults.push(format!("events/{}.json is of {kind}, which its rule does not match", function.name));
        }
        if let Err(fault) = serde_json::from_value::<Event>(body["detail"].clone())
            && ours
        {
            faults.push(format!("events/{}.json: detail is no event: {fault}", function.name));
        }
    }
    hold(faults);
}

/// What the runtime itself calls for a caller; the rest is the handler's own.
#[test]
fn a_function_may_do_what_the_runtime_does_for_it() {
    let kinds = kinds();
    let mut faults = Vec::new();
    for function in template() {
        let is_task = matches!(kinds.get(function.name.as_str()), Some(Kind::Schedule));
        if is_task && !function.may("dynamodb:PutItem", "ReceiptsTable") {
            faults.push(format!("{} may not dynamodb:PutItem on ReceiptsTable", function.id));
        }
        if !matches!(function.access.as_deref(), Some("Visitor" | "SignedIn" | "Admin")) {
            continue;
        }
        for table in ["UsersTable", "SessionsTable"] {
            if !function.may("dynamodb:BatchGetItem", table) {
                faults.push(format!("{} may not dynamodb:BatchGetItem on {table}", function.id));
            }
            // A condition of the transaction, or of a step of it about the same item.
            // What a visitor writes holds to no session.
            let signed_in = function.access.as_deref() != Some("Visitor");
            let writes = matches!(kinds.get(function.name.as_str()), Some(Kind::Http { writes: true, .. }));
            let writes = writes && signed_in;
            let holds = ["ConditionCheckItem", "PutItem", "UpdateItem", "DeleteItem"];
            if writes && !holds.iter().any(|action| function.may(&format!("dynamodb:{action}"), table)) {
                faults.push(format!("{} may not dynamodb:ConditionCheckItem on {table}", function.id));
            }
        }
        if matches!(kinds.get(function.name.as_str()), Some(Kind::Http { keyed: true, .. })) {
            for action in ["dynamodb:PutItem", "dynamodb:UpdateItem"] {
                if !function.may(action, "IdempotencyTable") {
                    faults.push(format!("{} may not {action} on IdempotencyTable", function.id));
                }
            }
        }
    }
    hold(faults);
}
