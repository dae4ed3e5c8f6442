//! What a data directory still has of templates before: a laptop makes and changes, and takes nothing away.

use std::collections::BTreeSet;

use local_aws::{Store, StoreError};

use super::known::paths;
use crate::template::{Template, text};

pub(crate) const SCHEMA: &str =
    "CREATE TABLE IF NOT EXISTS deployed (id TEXT, path TEXT, value TEXT, PRIMARY KEY (id, path, value))";

/// What is kept of one start to the next.
const KEPT: [&str; 8] = [
    "AWS::DynamoDB::Table",
    "AWS::Events::Archive",
    "AWS::Events::EventBus",
    "AWS::Events::Rule",
    "AWS::S3::Bucket",
    "AWS::SQS::Queue",
    "AWS::SQS::QueuePolicy",
    "AWS::SecretsManager::Secret",
];

/// A property that was deployed: of which resource, where, and its value.
type Property = (String, String, String);

/// Takes down what `template` has, and names what the data directory has besides, from templates before.
pub(crate) fn left(store: &Store, template: &Template) -> Result<Vec<String>, StoreError> {
    let now = properties(template);
    let before: BTreeSet<Property> = store.transaction(|transaction| {
        let mut rows = transaction.prepare("SELECT id, path, value FROM deployed")?;
        let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let before = rows.collect::<Result<_, _>>()?;
        for (id, path, value) in &now {
            transaction.execute(
                "INSERT OR IGNORE INTO deployed VALUES (?1, ?2, ?3)",
                [id.as_str(), path.as_str(), value.as_str()],
            )?;
        }
        Ok::<_, StoreError>(before)
    })?;
    let mut left: Vec<String> = before
        .difference(&now)
        .map(|(id, path, _)| {
            if now.iter().any(|(there, ..)| there == id) {
                format!("{id}: to take back {path}, which this data directory has otherwise")
            } else {
                format!("{id}: to remove it, which this data directory has")
            }
        })
        .collect();
    left.dedup();
    Ok(left)
}

fn properties(template: &Template) -> BTreeSet<Property> {
    let mut properties = BTreeSet::new();
    for (id, resource) in template.resources() {
        let kind = text(&resource["Type"]);
        if KEPT.contains(&kind.as_str()) {
            properties.insert((id.clone(), String::new(), String::new()));
            for (path, value) in paths(&resource["Properties"]) {
                // What is put anew at each start has no past.
                let value = match kind.as_str() {
                    "AWS::SQS::QueuePolicy" => continue,
                    "AWS::Events::Rule" if path.starts_with("EventPattern") => continue,
                    "AWS::SQS::Queue" => String::new(),
                    _ => value.to_string(),
                };
                properties.insert((id.clone(), path, value));
            }
        }
    }
    properties
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn what_a_template_took_back_is_named_at_each_start_after() {
        let store = Store::memory().unwrap();
        store.migrate(SCHEMA).unwrap();
        let left = |resources: &str| {
            let template = Template::parse(&format!("Resources:\n{resources}"), &BTreeMap::new()).unwrap();
            left(&store, &template).unwrap()
        };
        let queue =
            |properties: &str| format!("  Q: {{Type: AWS::SQS::Queue, Properties: {{{properties}}}}}\n");
        let rule = "  R: {Type: AWS::Events::Rule, Properties: {Targets: [{Id: a, Arn: b}]}}\n";
        let nothing: [&str; 0] = [];
        assert_eq!(left(&(queue("VisibilityTimeout: 5, DelaySeconds: 1") + rule)), nothing);
        assert_eq!(left(&(queue("VisibilityTimeout: 9, DelaySeconds: 1") + rule)), nothing, "set anew");
        for _ in 0..2 {
            assert_eq!(
                left(&queue("VisibilityTimeout: 9")),
                [
                    "Q: to take back DelaySeconds, which this data directory has otherwise",
                    "R: to remove it, which this data directory has"
                ]
            );
        }
        assert_eq!(left(&(queue("VisibilityTimeout: 9, DelaySeconds: 1") + rule)), nothing, "there again");
    }
}
