//! `products-index`: keeps the search index as the products' stream tells.
//!
//! What a change leaves out is removed, what it brings is written. Doing so again, in the order of the stream, ends
//! the same.

use std::collections::{BTreeMap, BTreeSet};

use shared::function::StreamReader;
use shared::products::Product;
use shared::stream::Change;
use shared::{Error, Function, Init, Result};

use crate::postings::{Index, Posting, has_same_words, postings};

/// `products-index`.
pub static FUNCTION: Function = Function::stream::<Indexing>("products-index");

/// What indexing needs.
pub struct Indexing {
    index: Index,
}

impl StreamReader for Indexing {
    fn init(init: &mut Init) -> Self {
        Self { index: Index::init(init) }
    }

    async fn read<'a>(&self, changes: &'a [Change]) -> Result<(), (&'a Change, Error)> {
        let Some(first) = changes.first() else { return Ok(()) };
        let mut products = BTreeMap::new();
        let mut poison = None;
        for change in changes {
            if let Err(error) = note(&mut products, change) {
                // What came before it is still indexed.
                poison = Some((change, error));
                break;
            }
        }
        let (mut put, mut remove) = (Vec::new(), Vec::new());
        for Net { union, intersection, latest, rewrite } in products.into_values() {
            remove.extend(union.difference(&latest).cloned());
            put.extend(latest.into_iter().filter(|posting| rewrite || !intersection.contains(posting)));
        }
        self.index.write(put, remove).await.map_err(|error| (first, error))?;
        poison.map_or(Ok(()), Err)
    }
}

/// What the changes of one product come to.
///
/// A change may come again together with later ones. So what any image had is removed, and what any image lacked is
/// written, however often that was done before.
#[derive(Default)]
struct Net {
    /// What some image has.
    union: BTreeSet<Posting>,
    /// What every image has.
    intersection: BTreeSet<Posting>,
    /// What the last image has.
    latest: BTreeSet<Posting>,
    /// Whether all of it is to be written, also what should be there.
    rewrite: bool,
}

fn note(products: &mut BTreeMap<[u8; 16], Net>, change: &Change) -> Result<()> {
    let (old, new) = change.images::<Product>()?;
    let Some(id) = new.as_ref().or(old.as_ref()).map(|product| *product.id.as_bytes()) else { return Ok(()) };
    let run = |product: &Option<Product>| product.as_ref().and_then(|product| product.reindexed);
    let rewrite = run(&new).is_some() && run(&new) != run(&old);
    // Most changes are of a stock alone.
    if let (Some(old), Some(new)) = (&old, &new)
        && !rewrite
        && has_same_words(old, new)
    {
        return Ok(());
    }
    let [old, new] = [old, new].map(|product| product.as_ref().map(postings).unwrap_or_default());
    let net = products.entry(id).or_insert_with(|| Net { intersection: old.clone(), ..Net::default() });
    net.intersection.retain(|posting| old.contains(posting) && new.contains(posting));
    net.union.extend(old);
    net.union.extend(new.iter().cloned());
    net.latest = new;
    net.rewrite |= rewrite;
    Ok(())
}
