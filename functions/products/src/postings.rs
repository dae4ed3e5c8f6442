//! The search index: which products have a word that begins so.
//!
//! An inverted index of the beginnings of words. The item of a product under a beginning has the keys
//!
//! - `prefix`: the version of the index, who sees the product, its shard and the beginning, as in `1#P#3#lap`;
//! - `place`: where in the product the word stands best, and the product's id, as in `2#0193...`: read from the
//!   greatest, these are the products that have it in the name, then in the category, then in the description, and
//!   of each the newest first.
//!
//! A beginning has at most [`LONGEST`] characters: for more, a search looks at the product itself, as it does for
//! its other words.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use shared::listing::{self, Listing, SHARDS};
use shared::products::Product;
use shared::transaction::Item;
use shared::{Error, Init, Result, batch};
use uuid::Uuid;

use crate::visible::View;
use crate::words::words;

/// Raise this when words are made in another way, and run `products-reindex`: nothing reads the old items then.
const VERSION: u8 = 1;
/// The distinct words of a product that are indexed.
const MOST_WORDS: usize = 200;
/// The characters of a beginning at most.
const LONGEST: usize = 12;

/// Where a word stands in a product; the greatest is the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    Description = 0,
    Category = 1,
    Name = 2,
}

/// The indexed words of a product, each with the best place where it stands.
pub(crate) fn indexed(product: &Product) -> BTreeMap<String, Rank> {
    let mut found = BTreeMap::new();
    let texts = [
        (Some(&product.name), Rank::Name),
        (product.category.as_ref(), Rank::Category),
        (product.description.as_ref(), Rank::Description),
    ];
    for (text, rank) in texts {
        for word in text.into_iter().flat_map(|text| words(text)) {
            if found.len() < MOST_WORDS || found.contains_key(&word) {
                found.entry(word).or_insert(rank);
            }
        }
    }
    found
}

/// An item of the index.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Posting {
    prefix: String,
    place: String,
}

/// Whether two versions of a product have the same items.
pub(crate) fn has_same_words(one: &Product, other: &Product) -> bool {
    let texts = |product: &Product| {
        let Product { name, category, description, deleted_at, .. } = product.clone();
        (name, category, description, deleted_at.is_some(), product.is_public())
    };
    texts(one) == texts(other)
}

/// The items of a product; a deleted one has none.
pub(crate) fn postings(product: &Product) -> BTreeSet<Posting> {
    if product.deleted_at.is_some() {
        return BTreeSet::new();
    }
    let mut best: BTreeMap<String, Rank> = BTreeMap::new();
    for (word, rank) in indexed(product) {
        let ends = word.char_indices().map(|(place, c)| place + c.len_utf8()).take(LONGEST);
        for end in ends {
            let known = best.entry(word[..end].to_owned()).or_insert(rank);
            *known = rank.max(*known);
        }
    }
    let seen_by = if product.is_public() { View::Public } else { View::Admin };
    let shard = listing::shard(product.id.as_bytes());
    let posting = |(beginning, rank): (String, Rank)| Posting {
        prefix: prefix(seen_by, shard, &beginning),
        place: format!("{}#{}", rank as u8, product.id),
    };
    best.into_iter().map(posting).collect()
}

fn prefix(seen_by: View, shard: u8, beginning: &str) -> String {
    let seen_by = match seen_by {
        View::Public => 'P',
        View::Admin => 'A',
    };
    format!("{VERSION}#{seen_by}#{shard}#{beginning}")
}

/// Whether the index tells of a word without a look at the product.
pub(crate) fn is_indexed_whole(word: &str) -> bool {
    word.chars().count() <= LONGEST
}

/// The product that a `place` is of.
pub(crate) fn product_at(place: &str) -> Result<Uuid> {
    let id = place.split_once('#').and_then(|(_, id)| id.parse().ok());
    id.ok_or_else(|| Error::internal("the index has a place that is none"))
}

/// The `search` table.
pub(crate) struct Index {
    client: Client,
    table: String,
}

impl Index {
    /// Reads `SEARCH_TABLE`.
    pub(crate) fn init(init: &mut Init) -> Self {
        Self { client: init.dynamodb(), table: init.text("SEARCH_TABLE") }
    }

    /// The places of the products that `view` shows and that have a word beginning like `word`: those after
    /// `after`, `take` of them at most, the best first.
    pub(crate) async fn places(
        &self,
        view: View,
        word: &str,
        after: Option<&str>,
        take: usize,
    ) -> Result<Vec<String>> {
        let beginning: String = word.chars().take(LONGEST).collect();
        let groups = match view {
            View::Public => &[View::Public][..],
            View::Admin => &[View::Public, View::Admin],
        };
        let of = |group: &View| {
            let group = *group;
            (0..SHARDS).map(move |shard| (group, shard))
        };
        let partitions = groups.iter().flat_map(of).map(|(group, shard)| prefix(group, shard, &beginning));
        let (client, table) = (self.client.clone(), self.table.clone());
        let listing = Listing { client, table, index: None, partition: "prefix", sort: "place" };
        listing.places(partitions.map(AttributeValue::S), after, 0, take).await
    }

    /// Writes and removes items.
    pub(crate) async fn write(&self, put: Vec<Posting>, remove: Vec<Posting>) -> Result<()> {
        let items = |postings: Vec<Posting>| postings.into_iter().map(Item::from).collect();
        batch::write(&self.client, &self.table, items(put), items(remove)).await
    }
}

impl From<Posting> for Item {
    fn from(Posting { prefix, place }: Posting) -> Self {
        [("prefix".to_owned(), AttributeValue::S(prefix)), ("place".to_owned(), AttributeValue::S(place))]
            .into()
    }
}

#[cfg(test)]
mod tests;
