//! Which rights a request needs, by AWS's service authorization reference
//! (<https://docs.aws.amazon.com/service-authorization/latest/reference/reference.html>).

use serde_json::Value;

use crate::sqs::Sqs;
use crate::{ACCOUNT, REGION};

/// A right that a request needs: an action on a resource, and what the request says besides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Need {
    pub(crate) action: String,
    pub(crate) resource: String,
    /// Condition keys and their values.
    pub(crate) context: Vec<(&'static str, String)>,
}

impl Need {
    pub(crate) fn new(action: impl Into<String>, resource: impl Into<String>) -> Self {
        Self { action: action.into(), resource: resource.into(), context: Vec::new() }
    }

    pub(crate) fn with(mut self, key: &'static str, value: &str) -> Self {
        self.context.push((key, value.to_owned()));
        self
    }
}

/// What an operation of DynamoDB or its streams needs. A transaction needs what its parts do, and a query of an index that
/// index.
pub(crate) fn dynamodb(operation: &str, input: &Value) -> Vec<Need> {
    let need = |action: &str, resource: String| Need::new(format!("dynamodb:{action}"), resource);
    match operation {
        "BatchGetItem" | "BatchWriteItem" => {
            let tables = input["RequestItems"].as_object().into_iter().flatten();
            tables.map(|(table, _)| need(operation, table_arn(table))).collect()
        }
        "TransactWriteItems" | "TransactGetItems" => {
            let parts = input["TransactItems"].as_array().into_iter().flatten();
            let parts = parts.flat_map(|part| part.as_object().into_iter().flatten());
            let needs = parts.map(|(kind, part)| {
                let action =
                    if kind == "ConditionCheck" { "ConditionCheckItem" } else { &format!("{kind}Item") };
                need(action, table_arn(text(&part["TableName"])))
            });
            needs.collect()
        }
        "DescribeStream" | "GetShardIterator" => vec![need(operation, text(&input["StreamArn"]).to_owned())],
        // An iterator does not tell here which stream it is of.
        "GetRecords" => vec![need(operation, table_arn("*/stream/*"))],
        "ListStreams" | "ListTables" => vec![need(operation, "*".to_owned())],
        _ => {
            let table = table_arn(text(&input["TableName"]));
            let index = input["IndexName"].as_str().map(|index| format!("{table}/index/{index}"));
            vec![need(operation, index.unwrap_or(table))]
        }
    }
}

/// What an operation of SQS needs: a batch what its entries would.
pub(crate) fn sqs(operation: &str, input: &Value) -> Vec<Need> {
    let action = operation.strip_suffix("Batch").unwrap_or(operation);
    let queue = text(&input["QueueUrl"]).rsplit('/').next().filter(|name| !name.is_empty());
    let arn = match (queue.or(input["QueueName"].as_str()), input["SourceArn"].as_str()) {
        (Some(name), _) => Sqs::arn(name),
        (None, Some(arn)) => arn.to_owned(),
        (None, None) => "*".to_owned(),
    };
    // SQS writes actions in lower case where it denies them; they are compared without case.
    vec![Need::new(format!("sqs:{}", action.to_lowercase()), arn)]
}

/// What an operation of EventBridge needs.
pub(crate) fn events(operation: &str, input: &Value) -> Vec<Need> {
    let bus = |name: &Value| match text(name) {
        arn if arn.starts_with("arn:") => arn.to_owned(),
        "" => format!("arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default"),
        name => format!("arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{name}"),
    };
    let need = |resource| Need::new(format!("events:{operation}"), resource);
    match operation {
        "PutEvents" => {
            let entries = input["Entries"].as_array().into_iter().flatten();
            let mut buses: Vec<String> = entries.map(|entry| bus(&entry["EventBusName"])).collect();
            buses.sort();
            buses.dedup();
            buses.into_iter().map(need).collect()
        }
        "DescribeEventBus" | "CreateEventBus" | "DeleteEventBus" => vec![need(bus(&input["Name"]))],
        _ => vec![need("*".to_owned())],
    }
}

/// What an operation of Secrets Manager needs. A secret may be asked for by its name: the right is to its ARN, which `arn_of`
/// finds.
pub(crate) fn secrets(
    operation: &str,
    input: &Value,
    arn_of: impl FnOnce(&str) -> Option<String>,
) -> Vec<Need> {
    let arn = match text(&input["SecretId"]) {
        "" => "*".to_owned(),
        id => arn_of(id).unwrap_or_else(|| {
            let known = id.starts_with("arn:");
            if known {
                id.to_owned()
            } else {
                format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{id}")
            }
        }),
    };
    vec![Need::new(format!("secretsmanager:{operation}"), arn)]
}

/// What sending a mail needs: the identity that it is from, and the configuration set.
pub(crate) fn send_email(input: &Value) -> Vec<Need> {
    let from = text(&input["FromEmailAddress"]);
    // `Name <address>`. What is otherwise is nobody's identity.
    let address = from.strip_suffix('>').and_then(|from| from.split_once('<')).map(|(_, address)| address);
    let from = address.filter(|address| !address.contains('<')).unwrap_or(from);
    let need = |resource: String| {
        Need::new("ses:SendEmail", format!("arn:aws:ses:{REGION}:{ACCOUNT}:{resource}"))
            .with("ses:FromAddress", from)
    };
    let set = input["ConfigurationSetName"].as_str();
    let set = set.map(|set| need(format!("configuration-set/{set}")));
    let mut identity = need(format!("identity/{from}"));
    if let Some(arn) = input["FromEmailAddressIdentityArn"].as_str() {
        arn.clone_into(&mut identity.resource);
    }
    [identity].into_iter().chain(set).collect()
}

fn table_arn(name: &str) -> String {
    if name.starts_with("arn:") {
        return name.to_owned();
    }
    format!("arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{name}")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pairs(needs: Vec<Need>) -> Vec<(String, String)> {
        needs.into_iter().map(|need| (need.action, need.resource)).collect()
    }

    #[test]
    fn a_transaction_needs_what_its_parts_need() {
        let part = |kind: &str, table: &str| json!({kind: {"TableName": table}});
        let items = [part("Put", "A"), part("Update", "B"), part("Delete", "C"), part("ConditionCheck", "D")];
        let needs = pairs(dynamodb("TransactWriteItems", &json!({"TransactItems": items})));
        let arn = |table: &str| format!("arn:aws:dynamodb:us-east-1:000000000000:table/{table}");
        let expected =
            [("PutItem", "A"), ("UpdateItem", "B"), ("DeleteItem", "C"), ("ConditionCheckItem", "D")];
        assert_eq!(needs, expected.map(|(action, table)| (format!("dynamodb:{action}"), arn(table))));
        let query = pairs(dynamodb("Query", &json!({"TableName": "A", "IndexName": "newest"})));
        assert_eq!(query, [("dynamodb:Query".to_owned(), format!("{}/index/newest", arn("A")))]);
        let batch = pairs(dynamodb("BatchGetItem", &json!({"RequestItems": {"A": {}, "B": {}}})));
        assert_eq!(batch.len(), 2);
    }

    #[test]
    fn a_batch_of_messages_needs_what_one_needs() {
        let input = json!({"QueueUrl": "http://127.0.0.1:4566/000000000000/Mails"});
        let expected =
            [("sqs:sendmessage".to_owned(), "arn:aws:sqs:us-east-1:000000000000:Mails".to_owned())];
        assert_eq!(pairs(sqs("SendMessageBatch", &input)), expected);
        assert_eq!(pairs(sqs("SendMessage", &input)), expected);
    }

    #[test]
    fn a_mail_needs_its_identity_and_its_configuration_set() {
        let input = json!({"FromEmailAddress": "Arcana <a@example.com>", "ConfigurationSetName": "mails"});
        let needs = send_email(&input);
        assert!(needs.iter().all(|need| need.context == [("ses:FromAddress", "a@example.com".to_owned())]));
        let odd = json!({"FromEmailAddress": "<b@example.com> <a@example.com>"});
        assert!(send_email(&odd).iter().all(|need| need.context[0].1 != "a@example.com"));
        let others = json!({"FromEmailAddress": "a@example.com", "FromEmailAddressIdentityArn": "arn:b"});
        assert_eq!(send_email(&others)[0].resource, "arn:b");
        assert_eq!(
            needs.iter().map(|need| need.resource.rsplit_once(':').map(|(_, last)| last)).collect::<Vec<_>>(),
            [Some("identity/a@example.com"), Some("configuration-set/mails")]
        );
    }
}
