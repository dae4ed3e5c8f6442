//! DynamoDB's time to live, by the cloud's own clock.
//!
//! dynoxide sweeps too, but by the system's clock: it knows nothing of one that a test moved.

use dynoxide::actions::delete_item::DeleteItemRequest;
use dynoxide::actions::describe_table::DescribeTableRequest;
use dynoxide::actions::describe_time_to_live::DescribeTimeToLiveRequest;
use dynoxide::actions::scan::ScanRequest;
use dynoxide::{Database, DynoxideError};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::Clock;

/// Removes every item whose time to live is over; answers how many.
pub(super) fn sweep(database: &Database, clock: &Clock) -> dynoxide::Result<usize> {
    let now = clock.now_ms() / 1000;
    let mut removed = 0;
    for table in database.list_tables(request(json!({}))?)?.table_names {
        let ttl = database
            .describe_time_to_live(request::<DescribeTimeToLiveRequest>(json!({"TableName": table}))?)?;
        let Some(attribute) = ttl.time_to_live_description.attribute_name else { continue };
        removed += sweep_table(database, &table, &attribute, now)?;
    }
    Ok(removed)
}

fn sweep_table(database: &Database, table: &str, attribute: &str, now: i64) -> dynoxide::Result<usize> {
    let keys = key_names(database, table)?;
    let mut removed = 0;
    let mut start = Value::Null;
    loop {
        let page: ScanRequest = request(json!({
            "TableName": table,
            "FilterExpression": "#ttl < :now",
            "ExpressionAttributeNames": {"#ttl": attribute},
            "ExpressionAttributeValues": {":now": {"N": now.to_string()}},
            "ExclusiveStartKey": start,
        }))?;
        let page = database.scan(page)?;
        for item in page.items.unwrap_or_default() {
            let key: Value =
                keys.iter().filter_map(|name| Some((name.clone(), json!(item.get(name)?)))).collect();
            // Unless it was given more time since it was read.
            let delete: DeleteItemRequest = request(json!({
                "TableName": table,
                "Key": key,
                "ConditionExpression": "#ttl < :now",
                "ExpressionAttributeNames": {"#ttl": attribute},
                "ExpressionAttributeValues": {":now": {"N": now.to_string()}},
            }))?;
            match database.delete_item(delete) {
                Ok(_) => removed += 1,
                Err(DynoxideError::ConditionalCheckFailedException(..)) => {}
                Err(error) => return Err(error),
            }
        }
        match page.last_evaluated_key {
            Some(last) => start = json!(last),
            None => return Ok(removed),
        }
    }
}

fn key_names(database: &Database, table: &str) -> dynoxide::Result<Vec<String>> {
    let described = database.describe_table(request::<DescribeTableRequest>(json!({"TableName": table}))?)?;
    Ok(described.table.key_schema.into_iter().map(|key| key.attribute_name).collect())
}

/// The engine's request types are read from the JSON that its HTTP server takes.
fn request<T: DeserializeOwned>(json: Value) -> dynoxide::Result<T> {
    serde_json::from_value(json)
        .map_err(|error| DynoxideError::InternalServerError(format!("a request of our own: {error}")))
}
