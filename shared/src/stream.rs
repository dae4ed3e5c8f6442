//! DynamoDB stream records.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_dynamo::Item;

use crate::{Error, Result};

/// One change of one item, as a stream tells it. It has no `Debug`: the images hold what users told us.
#[derive(Clone)]
pub struct Change {
    /// The stream's ARN, which names the table.
    pub source: String,
    /// The record's place in its shard.
    pub sequence_number: String,
    /// The item before, if there was one.
    pub old: Option<Item>,
    /// The item after, if there is one.
    pub new: Option<Item>,
}

impl Change {
    /// The name of the table that changed.
    pub fn table(&self) -> &str {
        // arn:aws:dynamodb:region:account:table/NAME/stream/LABEL
        self.source.split('/').nth(1).unwrap_or_default()
    }

    /// The item before and the item after, read as `T`.
    pub fn images<T: DeserializeOwned>(&self) -> Result<(Option<T>, Option<T>)> {
        let read = |image: &Option<Item>| {
            image.clone().map(serde_dynamo::from_item).transpose().map_err(Error::internal)
        };
        Ok((read(&self.old)?, read(&self.new)?))
    }
}

/// A record in the form that Lambda passes it on
/// (<https://docs.aws.amazon.com/lambda/latest/dg/with-ddb-example.html>).
#[derive(Deserialize)]
pub(crate) struct Record {
    #[serde(rename = "eventSourceARN")]
    source: String,
    dynamodb: Images,
}

/// A batch in the form that Lambda passes it on.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Batch {
    pub(crate) records: Vec<Record>,
}

/// The changes of a batch that was kept as JSON.
pub fn changes(batch: &str) -> Result<Vec<Change>> {
    let Batch { records } = serde_json::from_str(batch).map_err(Error::internal)?;
    Ok(records.into_iter().map(Change::from).collect())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Images {
    sequence_number: String,
    #[serde(default)]
    old_image: Option<Item>,
    #[serde(default)]
    new_image: Option<Item>,
}

impl From<Record> for Change {
    fn from(record: Record) -> Self {
        let Images { sequence_number, old_image, new_image } = record.dynamodb;
        Self { source: record.source, sequence_number, old: old_image, new: new_image }
    }
}
