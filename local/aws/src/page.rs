//! Lists in pages, as `List…` operations answer them.

use crate::AwsError;
use serde_json::Value;

/// One page of `items` and the token of the next, which is the number of items before it.
pub(crate) fn page(
    items: Vec<Value>,
    limit: Option<u64>,
    token: Option<&str>,
) -> Result<(Vec<Value>, Option<String>), AwsError> {
    let start = match token {
        Some(token) => token.parse::<usize>().map_err(|_| {
            AwsError::client("ValidationException", "NextToken is not one that this service gave")
        })?,
        None => 0,
    };
    let limit = limit.map_or(100, |limit| usize::try_from(limit).unwrap_or(100).clamp(1, 100));
    let next = start.saturating_add(limit);
    let token = (next < items.len()).then(|| next.to_string());
    Ok((items.into_iter().skip(start).take(limit).collect(), token))
}
