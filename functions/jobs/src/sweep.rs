//! Going through an index that is spread over shards, page by page, for a while.

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use shared::Result;
use shared::listing::SHARDS;
use shared::transaction::Item;

/// Has `take` take page after page of each shard, from the start that it is given, until there is none or `patience` is over;
/// answers how much it took in all.
pub(crate) async fn sweep<F>(patience: Duration, take: impl Fn(u8, Option<Item>) -> F) -> Result<usize>
where
    F: Future<Output = Result<(usize, Option<Item>)>>,
{
    let (started, take) = (Instant::now(), &take);
    let shards = (0..SHARDS).map(async |shard| -> Result<usize> {
        let (mut taken, mut start) = (0, None);
        while started.elapsed() < patience {
            let (some, next) = take(shard, start).await?;
            taken += some;
            start = next;
            if start.is_none() {
                break;
            }
        }
        Ok(taken)
    });
    Ok(try_join_all(shards).await?.into_iter().sum())
}
