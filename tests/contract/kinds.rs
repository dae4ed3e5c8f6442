//! What invokes a function is of its kind, in the template and in its sample event.

use std::collections::{BTreeMap, BTreeSet};

use serde_dynamo::Item;
use serde_json::{Value, json};

use shared::function::Kind;
use shared::users::User;

use crate::project::{Deployed, differences, hold, sample_events, template};

pub(crate) fn kinds() -> BTreeMap<&'static str, Kind> {
    local::functions().map(|function| (function.name, function.kind)).collect()
}

/// The type of the events that the template gives to a function of this kind; nothing where it gives none.
fn event_type(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Http { .. } => Some("HttpApi"),
        Kind::Queue => Some("SQS"),
        Kind::Stream => Some("DynamoDB"),
        Kind::Schedule => Some("ScheduleV2"),
        Kind::Event => None,
    }
}

#[test]
fn the_template_invokes_each_function_as_its_kind_asks() {
    let kinds = kinds();
    let mut faults = Vec::new();
    for function in template() {
        let Some(kind) = kinds.get(function.name.as_str()) else { continue };
        let wanted: BTreeSet<&str> = event_type(*kind).into_iter().collect();
        let found = function.event_types();
        if found != wanted {
            let Deployed { id, name, .. } = &function;
            faults.push(format!("template.yaml: {id} has events of {found:?}, but {name} takes {wanted:?}"));
        }
    }
    hold(faults);
}

#[test]
fn a_schedule_says_what_its_task_is_given_and_where_a_run_that_failed_lies() {
    let mut faults = Vec::new();
    for function in template() {
        let events = function.properties["Events"].as_object().cloned().unwrap_or_default();
        for schedule in events.values().filter(|event| event["Type"] == "ScheduleV2") {
            let properties = &schedule["Properties"];
            // Without OmitName two stacks of one account make a schedule of one name.
            let given = json!({"scheduledTime": "<aws.scheduler.scheduled-time>"});
            let input = properties["Input"].as_str().and_then(|input| serde_json::from_str(input).ok());
            let destination = &function.properties["EventInvokeConfig"]["DestinationConfig"]["OnFailure"];
            for (what, holds) in [
                (format!("the Input {given}"), input == Some(given.clone())),
                ("OmitName: true".to_owned(), properties["OmitName"] == true),
                ("a RetryPolicy".to_owned(), properties["RetryPolicy"].is_object()),
                ("a DeadLetterConfig".to_owned(), properties["DeadLetterConfig"].is_object()),
                (
                    "an EventInvokeConfig with a destination OnFailure".to_owned(),
                    destination["Type"] == "SQS",
                ),
            ] {
                if !holds {
                    faults.push(format!("template.yaml: the schedule of {} lacks {what}", function.id));
                }
            }
        }
    }
    hold(faults);
}

/// What a handler cannot forget, whoever deploys can read: both say whom a route lets in.
#[test]
fn the_template_says_of_each_route_whom_its_function_lets_in() {
    let kinds = kinds();
    let mut faults = Vec::new();
    for function in template() {
        let Some(kind) = kinds.get(function.name.as_str()) else { continue };
        let wanted = match kind {
            Kind::Http { access, .. } => Some(format!("{access:?}")),
            _ => None,
        };
        if function.access != wanted {
            let Deployed { id, access, name, .. } = &function;
            faults.push(format!(
                "template.yaml: {id} has the Access {access:?}, but {name} lets in {wanted:?}"
            ));
        }
    }
    hold(faults);
}

#[test]
fn a_function_that_changes_something_says_so_and_no_get_does() {
    let kinds = kinds();
    let mut faults = Vec::new();
    for function in template() {
        let Some(Kind::Http { writes, .. }) = kinds.get(function.name.as_str()) else { continue };
        for route in function.routes().iter().filter(|route| !route.starts_with('$')) {
            let changes = !["GET", "OPTIONS"].contains(&route.split(' ').next().unwrap_or_default());
            if changes != *writes {
                faults.push(format!("{route} goes to {}, whose WRITES is {writes}", function.name));
            }
        }
    }
    hold(faults);
}

/// A hash of a body with a password lies nowhere, so nothing in `/auth` takes a key.
#[test]
fn a_post_or_patch_outside_of_auth_takes_an_idempotency_key() {
    let kinds = kinds();
    let mut faults = Vec::new();
    for function in template() {
        let Some(Kind::Http { keyed, .. }) = kinds.get(function.name.as_str()) else { continue };
        for route in function.routes().iter().filter(|route| !route.starts_with('$')) {
            let (method, path) = route.split_once(' ').unwrap_or_default();
            let wanted = ["POST", "PATCH"].contains(&method) && !path.starts_with("/api/v1/auth/");
            if wanted != *keyed {
                faults.push(format!("{route} goes to {}, whose KEYED is {keyed}", function.name));
            }
        }
    }
    hold(faults);
}

#[test]
fn a_sample_event_is_one_that_the_template_lets_through() {
    let (kinds, events) = (kinds(), sample_events());
    let mut faults = Vec::new();
    for function in template() {
        let name = function.name.as_str();
        let (Some(kind), Some(event)) = (kinds.get(name), events.get(name)) else { continue };
        let found = match kind {
            Kind::Http { .. } => request(event, &function.routes()),
            Kind::Queue => records(event, "aws:sqs", "body"),
            Kind::Stream => records(event, "aws:dynamodb", "dynamodb"),
            Kind::Schedule if !event["scheduledTime"].is_string() => Err("no scheduledTime".to_owned()),
            Kind::Event if !event.is_object() => Err("not an object".to_owned()),
            Kind::Schedule | Kind::Event => Ok(()),
        };
        if let Err(fault) = found {
            faults.push(format!("events/{name}.json: {fault}"));
        }
    }
    hold(faults);
}

/// Whether `event` is of payload format 2.0 and came by one of `routes`.
fn request(event: &Value, routes: &[String]) -> Result<(), String> {
    let context = &event["requestContext"];
    if event["version"] != "2.0" {
        return Err(format!("the version is {}, not \"2.0\"", event["version"]));
    }
    let key = event["routeKey"].as_str().unwrap_or_default();
    if !routes.iter().any(|route| route == key) {
        return Err(format!("the routeKey {key:?} is none of {routes:?}"));
    }
    if context["routeKey"] != key {
        return Err(format!("requestContext.routeKey is {}, not {key:?}", context["routeKey"]));
    }
    if event["rawPath"] != context["http"]["path"] {
        return Err("rawPath and requestContext.http.path differ".to_owned());
    }
    if !key.starts_with('$') && !key.starts_with(context["http"]["method"].as_str().unwrap_or("-")) {
        return Err(format!("requestContext.http.method is {}", context["http"]["method"]));
    }
    Ok(())
}

/// Whether `event` has records of `source`, each with a `member`.
fn records(event: &Value, source: &str, member: &str) -> Result<(), String> {
    let records = event["Records"].as_array().filter(|records| !records.is_empty());
    for record in records.ok_or("there are no Records")? {
        if record["eventSource"] != source {
            return Err(format!("the eventSource is {}, not {source:?}", record["eventSource"]));
        }
        if record[member].is_null() {
            return Err(format!("a record has no {member}"));
        }
    }
    Ok(())
}

/// The image must hold all that a user holds, or the relay would be tried with what no table holds.
#[test]
fn the_change_in_the_relays_sample_event_is_of_a_user() {
    let events = sample_events();
    let record = &events["events-relay"]["Records"][0];
    let table = record["eventSourceARN"].as_str().and_then(|arn| arn.split('/').nth(1));
    assert_eq!(table, Some("UsersTable"), "events/events-relay.json: eventSourceARN");
    let image: Item =
        serde_json::from_value(record["dynamodb"]["NewImage"].clone()).expect("DynamoDB's JSON");
    let user: User = serde_dynamo::from_item(image.clone())
        .unwrap_or_else(|error| panic!("events/events-relay.json: NewImage is no user: {error}"));
    let stored: Item = serde_dynamo::to_item(&user).expect("an item");
    hold(differences(
        stored.keys().map(String::as_str),
        image.keys().map(String::as_str),
        |name| format!("events/events-relay.json: NewImage has no {name}"),
        |name| format!("events/events-relay.json: NewImage has {name}, which no user has"),
    ));
    assert_eq!(stored, image, "events/events-relay.json: NewImage is not as a user is stored");
}
