//! Going through an index that is spread over shards, page by page, for a while.

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use shared::Result;
use shared::listing::SHARDS;
use shared::transaction::Item;

/// What came of it.
pub(crate) struct Swept {
    /// How much was taken in all.
    pub(crate) taken: usize,
    /// Whether all shards were gone through to their ends.
    pub(crate) all: bool,
}

/// Has `take` take page after page of each shard, from the start that it is given, until there is none or `patience` is over.
pub(crate) async fn sweep<F>(patience: Duration, take: impl Fn(u8, Option<Item>) -> F) -> Result<Swept>
where
    F: Future<Output = Result<(usize, Option<Item>)>>,
{
    let (started, take) = (Instant::now(), &take);
    let shards = (0..SHARDS).map(async |shard| -> Result<Swept> {
        let (mut taken, mut start) = (0, None);
        while started.elapsed() < patience {
            let (some, next) = take(shard, start).await?;
            taken += some;
            start = next;
            if start.is_none() {
                return Ok(Swept { taken, all: true });
            }
        }
        Ok(Swept { taken, all: false })
    });
    let shards = try_join_all(shards).await?;
    Ok(Swept {
        taken: shards.iter().map(|shard| shard.taken).sum(),
        all: shards.iter().all(|shard| shard.all),
    })
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn one_that_ends_before_its_last_page_says_so() {
        let page = async |_: u8, start: Option<Item>| Ok((3, start.is_none().then(Item::default)));
        let swept = sweep(Duration::from_mins(1), page).now_or_never().unwrap().unwrap();
        assert_eq!((swept.taken, swept.all), (6 * usize::from(SHARDS), true));
        let swept = sweep(Duration::ZERO, page).now_or_never().unwrap().unwrap();
        assert_eq!((swept.taken, swept.all), (0, false));
    }
}
