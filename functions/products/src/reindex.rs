//! `products-reindex`: has the words of every product written to the search index anew.
//!
//! It marks the products, and `products-index` writes what each of them has by then, in the order of the stream: so no
//! change that is made meanwhile is lost. One invocation does what it has time for and answers where to go on:
//! invoke it again with that until there is nothing more.

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use shared::function::Operation;
use shared::products::{Filter, Products};
use shared::{Function, Init, Result};
use uuid::Uuid;

/// `products-reindex`.
pub static FUNCTION: Function = Function::event::<Reindex>("products-reindex");

/// Products that are marked at once.
const AT_ONCE: usize = 50;
/// How long an invocation goes on taking more.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where to begin.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// What an earlier invocation answered as `next`; absent, it begins with the newest product.
    #[serde(default)]
    after: Option<Uuid>,
}

/// How far it came.
#[derive(Serialize)]
pub struct Output {
    /// How many products it marked.
    marked: u64,
    /// Where to go on, if it is not done.
    next: Option<Uuid>,
}

/// What reindexing needs.
pub struct Reindex {
    products: Products,
}

impl Operation for Reindex {
    type Input = Input;
    type Output = Output;

    fn init(init: &mut Init) -> Self {
        Self { products: Products::init(init) }
    }

    async fn run(&self, Input { after }: Input) -> Result<Output> {
        let started = Instant::now();
        let run = Uuid::now_v7();
        let mut output = Output { marked: 0, next: after };
        while started.elapsed() < PATIENCE {
            let ids = self.products.ids(&Filter::default(), output.next, 0, AT_ONCE).await?;
            let marked = match try_join_all(ids.iter().map(|id| self.products.reindex(*id, run))).await {
                Ok(marked) => marked,
                // What was done need not be done again.
                Err(error) if output.marked > 0 => {
                    tracing::warn!(cause = error.cause(), "stopped before its time");
                    break;
                }
                Err(error) => return Err(error),
            };
            output.marked += marked.into_iter().map(u64::from).sum::<u64>();
            output.next = ids.last().copied();
            if output.next.is_none() {
                break;
            }
        }
        Ok(output)
    }
}
