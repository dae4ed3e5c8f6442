//! `GET /api/v1/products/search`: products by the words of their name, category and description.
//!
//! The index knows which products have a word that begins so. Of a query with several words the rarest is looked up
//! that way; the others, the price and who may see it are checked on the products themselves. So a search costs the
//! same however many products there are.

use std::cmp::Reverse;
use std::collections::HashSet;

use futures_util::future::try_join_all;
use http::{HeaderName, StatusCode};
use schemars::{Schema, json_schema};
use shared::caller::Visitor;
use shared::describe::{About, json};
use shared::function::Endpoint;
use shared::input::{Fault, Field, FieldError, Place, Raw};
use shared::money::{Amount, Currency};
use shared::products::{Filter, Product, Products};
use shared::text::{self, Category};
use shared::{Error, Function, Init, Request, Response, Result, input};
use uuid::Uuid;

use crate::postings::{Index, Rank, indexed, is_indexed_whole, product_at};
use crate::shown::Shown;
use crate::visible::{Caching, View};
use crate::words::words;

/// `products-search`.
pub static FUNCTION: Function = Function::http::<Search>("products-search");

/// The places in the index that a search reads at most.
const MOST_PLACES: usize = 1_000;
/// The words of a query that are looked up to find the rarest: the longest ones.
const PROBES: usize = 8;
/// The places, and the products, that are read at once.
const BATCH: usize = 100;
/// Says that there may be products that were not looked at.
const INCOMPLETE: HeaderName = HeaderName::from_static("x-result-incomplete");

/// What to look for: at least one word.
pub(crate) struct Words(Vec<String>);

impl Field for Words {
    fn read(raw: &Raw<'_>) -> Result<Self, Fault> {
        let mut all: Vec<String> = words(&text::line(&raw.string()?, 255)?).collect();
        all.sort_unstable();
        all.dedup();
        if all.is_empty() {
            return Err(Fault::invalid("INVALID_VALUE", "must have at least one word"));
        }
        Ok(Self(all))
    }

    fn schema() -> Schema {
        json_schema!({"type": "string", "minLength": 1, "maxLength": 255, "description": "At least one word"})
    }
}

/// How many products at most: 1 to 100.
pub(crate) struct Limit(usize);

impl Field for Limit {
    fn read(raw: &Raw<'_>) -> Result<Self, Fault> {
        match raw.integer()? {
            limit @ 1..=100 => Ok(Self(usize::try_from(limit).unwrap_or(BATCH))),
            _ => Err(Fault::invalid("OUT_OF_RANGE", "must be from 1 to 100")),
        }
    }

    fn schema() -> Schema {
        json_schema!({"type": "integer", "minimum": 1, "maximum": 100, "default": 20,
            "description": "How many products at most"})
    }
}

input! {
    /// What to look for.
    pub struct Parameters {
        q: Words,
        category: Option<Category>,
        min_price: Option<Amount>,
        max_price: Option<Amount>,
        /// Only products that are priced in it
        price_currency: Option<Currency>,
        limit: Option<Limit>,
    }
}

/// What searching needs.
pub struct Search {
    products: Products,
    index: Index,
    caching: Caching,
}

impl Endpoint for Search {
    type Caller = Visitor;
    const WRITES: bool = false;

    fn describe() -> About {
        About::new("Search products by the words of their name, category and description")
            .detail("Finds what has words that begin as those of the query do. Everybody finds active ones, admins find \
                all; the best come first.")
            .query::<Parameters>()
            .answers::<Vec<Shown<'_>>>(StatusCode::OK, json!([Shown::example()]))
            .header("Cache-Control", "How long the answer may be kept, where nobody in particular asks")
            .maybe_header("X-Result-Incomplete", "`true` where there may be products that were not looked at")
            .versioned()
    }

    fn init(init: &mut Init) -> Self {
        Self { products: Products::init(init), index: Index::init(init), caching: Caching::init(init) }
    }

    async fn handle(&self, caller: Visitor, request: &Request) -> Result<Response> {
        let (found, incomplete) = self.search(View::of(&caller), request.query()?).await?;
        let data: Vec<_> = found.iter().map(Shown::of).collect::<Result<_>>()?;
        let mut response = Response::json(StatusCode::OK, &data)?.tagged_by_body(request);
        if incomplete {
            response = response.header(INCOMPLETE, "true");
        }
        Ok(self.caching.apply(&caller, response))
    }
}

/// What is looked for, by whom.
struct Query {
    view: View,
    words: Vec<String>,
    filter: Filter,
    least: Amount,
    most: Option<Amount>,
    currency: Option<Currency>,
    limit: usize,
}

impl Query {
    fn of(view: View, parameters: Parameters) -> Result<Self> {
        let Parameters { q: Words(words), category, min_price, max_price, price_currency, limit } =
            parameters;
        let least = min_price.unwrap_or_default();
        if max_price.is_some_and(|most| most < least) {
            let place = Place::Parameter("min_price".to_owned());
            let fault = FieldError::new(place, "OUT_OF_RANGE", "must not be more than max_price");
            return Err(Error::Validation(vec![fault]));
        }
        let filter = Filter { status: None, category: category.map(Category::into_string) };
        let limit = limit.map_or(20, |limit| limit.0);
        Ok(Self { view, words, filter, least, most: max_price, currency: price_currency, limit })
    }

    /// Whether it has one word and nothing else that a product would have to have.
    fn is_plain(&self) -> bool {
        let Self { words, filter, least, most, currency, .. } = self;
        words.len() == 1
            && is_indexed_whole(&words[0])
            && *filter == Filter::default()
            && *least == Amount::default()
            && most.is_none()
            && currency.is_none()
    }

    /// How many of the words stand in the product's name, if it is one that is looked for.
    fn score(&self, product: &Product) -> Option<usize> {
        let price = product.price.amount();
        let fits = self.view.shows(product)
            && self.filter.takes(product)
            && price >= self.least
            && self.most.is_none_or(|most| price <= most)
            && self.currency.is_none_or(|currency| currency == product.price.currency());
        if !fits {
            return None;
        }
        let indexed = indexed(product);
        let best = |word: &String| {
            let begins = indexed.range(word.clone()..).take_while(|(known, _)| known.starts_with(word));
            begins.map(|(_, rank)| *rank).max()
        };
        let ranks: Vec<Rank> = self.words.iter().map(best).collect::<Option<_>>()?;
        Some(ranks.into_iter().filter(|rank| *rank == Rank::Name).count())
    }
}

/// What the index has of one word, read bit by bit.
struct Candidates<'a> {
    word: &'a str,
    /// Read and not looked at.
    places: Vec<String>,
    /// How many were looked at.
    seen: usize,
    /// The products that were: one that has changed meanwhile may stand in two places.
    known: HashSet<Uuid>,
    last: Option<String>,
    /// Whether the index has no more.
    ended: bool,
}

impl Search {
    /// What is asked for of what `view` has, the best first, and whether there may be more that was not looked at.
    pub(crate) async fn search(&self, view: View, parameters: Parameters) -> Result<(Vec<Product>, bool)> {
        self.find(&Query::of(view, parameters)?).await
    }

    /// The best products, and whether there may be more that were not looked at.
    async fn find(&self, query: &Query) -> Result<(Vec<Product>, bool)> {
        let mut candidates = self.rarest(query).await?;
        let mut found: Vec<(usize, Product)> = Vec::new();
        let mut incomplete = false;
        while found.len() < query.limit {
            if candidates.places.is_empty() {
                self.read_on(query, &mut candidates).await?;
            }
            incomplete = candidates.seen == MOST_PLACES && !candidates.places.is_empty();
            if incomplete || candidates.places.is_empty() {
                break;
            }
            // Everything that has the only word will do, mostly: no more is read than is shown.
            let wanted = if query.is_plain() && candidates.seen == 0 { query.limit } else { BATCH };
            let ids = candidates.take(wanted)?;
            let products = self.products.get_all(&ids).await?;
            found.extend(products.into_iter().filter_map(|product| Some((query.score(&product)?, product))));
        }
        // The order of the places stays among those that have as many words in their name.
        found.sort_by_key(|(score, _)| Reverse(*score));
        found.truncate(query.limit);
        Ok((found.into_iter().map(|(_, product)| product).collect(), incomplete))
    }

    /// The word of a query that the fewest products have, with the first of its places.
    async fn rarest<'a>(&self, query: &'a Query) -> Result<Candidates<'a>> {
        let mut longest: Vec<&str> = query.words.iter().map(String::as_str).collect();
        longest.sort_by_key(|word| Reverse(word.chars().count()));
        longest.truncate(PROBES);
        let take = if query.is_plain() { query.limit } else { BATCH };
        let probe = |take| longest.iter().map(move |word| self.begin(query, word, take));
        let mut probed = try_join_all(probe(take)).await?;
        if probed.len() > 1 && !probed.iter().any(|candidates| candidates.ended) {
            // Each has more than a batch: how many, up to all that would be looked at.
            probed = try_join_all(probe(MOST_PLACES + 1)).await?;
        }
        let rarest = probed.into_iter().min_by_key(|candidates| candidates.places.len());
        rarest.ok_or_else(|| Error::internal("a query without a word"))
    }

    /// The first places of a word, `take` of them at most.
    async fn begin<'a>(&self, query: &Query, word: &'a str, take: usize) -> Result<Candidates<'a>> {
        let places = self.index.places(query.view, word, None, take).await?;
        let ended = places.len() < take;
        Ok(Candidates { word, places, seen: 0, known: HashSet::new(), last: None, ended })
    }

    /// Reads the next places, unless there are none: one beyond [`MOST_PLACES`] tells whether there are more.
    async fn read_on(&self, query: &Query, candidates: &mut Candidates<'_>) -> Result<()> {
        if candidates.ended {
            return Ok(());
        }
        let take = BATCH.min(MOST_PLACES + 1 - candidates.seen);
        let after = candidates.last.as_deref();
        candidates.places = self.index.places(query.view, candidates.word, after, take).await?;
        candidates.ended = candidates.places.len() < take;
        Ok(())
    }
}

impl Candidates<'_> {
    /// The next products to look at, `wanted` of them at most.
    fn take(&mut self, wanted: usize) -> Result<Vec<Uuid>> {
        let most = wanted.min(MOST_PLACES - self.seen).min(self.places.len());
        let taken: Vec<String> = self.places.drain(..most).collect();
        self.seen += taken.len();
        self.last = taken.last().cloned();
        let ids: Vec<Uuid> = taken.iter().map(|place| product_at(place)).collect::<Result<_>>()?;
        Ok(ids.into_iter().filter(|id| self.known.insert(*id)).collect())
    }
}
