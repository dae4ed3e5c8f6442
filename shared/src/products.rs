//! Products: what the catalogue has.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::batch;
use crate::counters::Counters;
use crate::event::{Entity, Provenance};
use crate::id::ProductId;
use crate::init::Init;
use crate::input::{self, Fault, Field, Raw};
use crate::listing::{self, Listing, SHARDS};
use crate::money::Money;
use crate::precondition::IfMatch;
use crate::time::Timestamp;
use crate::transaction::{Condition, Item, Step};
use crate::{Error, Result};

use self::update_expression::UpdateExpression;

mod update_expression;

/// The most that there can be of a product.
pub const MOST_STOCK: i64 = (1 << 31) - 1;
/// How long a deleted product's item stays, in seconds: as long as its stream can tell of it.
const DELETED_KEPT_SECONDS: i64 = 24 * 3600;

/// A product, as the `products` table holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Product {
    /// The key.
    pub id: ProductId,
    /// What it is called.
    pub name: String,
    /// What it is like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What it costs: the attributes `price` and `currency`.
    #[serde(flatten)]
    pub price: Money,
    /// How many there are, at most [`MOST_STOCK`].
    pub stock: i64,
    /// What kind of thing it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Who sees it.
    pub status: Status,
    /// The run of `products-reindex` that had its words written last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reindexed: Option<Uuid>,
    /// When it was deleted: the item stays until its event is out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Timestamp>,
    /// When DynamoDB may remove a deleted product, in seconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<i64>,
    /// The number of writes.
    pub version: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was written last.
    pub updated_at: Timestamp,
    /// Who wrote it last, and why.
    pub change: Provenance,
}

/// Who sees a product: everybody sees the active ones, admins see all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schemars(rename = "ProductStatus")]
pub enum Status {
    /// Not for sale yet: how every product begins.
    Draft,
    /// For sale.
    Active,
    /// Not for sale for now.
    Inactive,
    /// Not for sale any more.
    Archived,
}

impl Status {
    /// Every status that there is.
    pub const ALL: [Self; 4] = [Self::Draft, Self::Active, Self::Inactive, Self::Archived];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Draft => "DRAFT",
            Self::Active => "ACTIVE",
            Self::Inactive => "INACTIVE",
            Self::Archived => "ARCHIVED",
        }
    }
}

impl Field for Status {
    fn read(raw: &Raw<'_>) -> Result<Self, Fault> {
        let name = raw.string()?;
        let known = Self::ALL.into_iter().find(|status| status.name() == name);
        known.ok_or_else(|| Fault::invalid("INVALID_VALUE", "must be DRAFT, ACTIVE, INACTIVE or ARCHIVED"))
    }

    fn schema() -> Schema {
        input::schema_of::<Self>()
    }
}

impl Product {
    /// A new product without description and category, ready to be stored: a draft.
    pub fn new(name: String, price: Money, stock: i64, now: Timestamp, change: Provenance) -> Self {
        Self {
            id: ProductId::new(now),
            name,
            description: None,
            price,
            stock,
            category: None,
            status: Status::Draft,
            reindexed: None,
            deleted_at: None,
            ttl: None,
            version: 1,
            created_at: now,
            updated_at: now,
            change,
        }
    }

    /// The product one write later, to be changed and stored.
    #[must_use]
    pub fn next(&self, now: Timestamp, change: Provenance) -> Self {
        Self { version: self.version + 1, updated_at: now, change, ..self.clone() }
    }

    /// Marks it deleted.
    pub fn delete(&mut self, now: Timestamp) {
        self.deleted_at = Some(now);
        self.ttl = Some(now.seconds() + DELETED_KEPT_SECONDS);
    }

    /// Whether everybody sees it.
    pub fn is_public(&self) -> bool {
        self.status == Status::Active && self.deleted_at.is_none()
    }

    /// Whether anything but the stock and the number of its writes differs between two of its versions.
    pub fn differs_beyond_stock(&self, other: &Self) -> bool {
        let shown = |product: &Self| {
            let Self { name, description, price, category, status, .. } = product.clone();
            (name, description, price, category, status)
        };
        shown(self) != shown(other)
    }

    /// Which item this is, for its events; `key` is its id as text.
    pub fn entity<'a>(&self, key: &'a str) -> Entity<'a> {
        Entity { table: "products", key, version: self.version }
    }

    /// The lists that it is in: the partition of its status, and of its status and category. A deleted product is in
    /// none.
    fn lists(&self) -> (Option<String>, Option<String>) {
        if self.deleted_at.is_some() {
            return (None, None);
        }
        let shard = listing::shard(self.id.as_bytes());
        let of_category = |category: &String| partition(self.status, Some(category), shard);
        (Some(partition(self.status, None, shard)), self.category.as_ref().map(of_category))
    }

    /// The counters that count it: those of its lists.
    fn counters(&self) -> BTreeSet<String> {
        let (status, category) = self.lists();
        [status, category].into_iter().flatten().map(|list| counter(&list)).collect()
    }

    /// The product as the table holds it.
    fn to_item(&self) -> Result<Item> {
        let (status_list, category_list) = self.lists();
        serde_dynamo::to_item(Listed { product: self, status_list, category_list }).map_err(Error::internal)
    }
}

/// A product with the keys of its lists.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed<'a> {
    #[serde(flatten)]
    product: &'a Product,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_list: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    category_list: Option<String>,
}

/// Which products are listed: those of a status, of a category, of both, or all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only those of this status.
    pub status: Option<Status>,
    /// Only those of this category.
    pub category: Option<String>,
}

impl Filter {
    /// Whether `product` is one of them.
    pub fn takes(&self, product: &Product) -> bool {
        self.status.is_none_or(|status| status == product.status)
            && self.category.as_ref().is_none_or(|category| Some(category) == product.category.as_ref())
    }

    /// The partitions of their list.
    fn partitions(&self) -> Vec<String> {
        let statuses = self.status.map_or_else(|| Status::ALL.to_vec(), |status| vec![status]);
        let of = |status: Status| (0..SHARDS).map(move |shard| (status, shard));
        let named = |(status, shard)| partition(status, self.category.as_deref(), shard);
        statuses.into_iter().flat_map(of).map(named).collect()
    }
}

/// A partition of a list.
fn partition(status: Status, category: Option<&str>, shard: u8) -> String {
    let of_category = category.map(|category| format!("#{category}")).unwrap_or_default();
    format!("{}#{shard}{of_category}", status.name())
}

/// The counter of a list's partition.
fn counter(partition: &str) -> String {
    format!("products#{partition}")
}

/// The `products` table.
#[derive(Clone)]
pub struct Products {
    client: Client,
    table: String,
}

impl Products {
    /// Reads `PRODUCTS_TABLE`.
    pub fn init(init: &mut Init) -> Self {
        Self::of(init.dynamodb(), init.text("PRODUCTS_TABLE"))
    }

    /// The products in `table`.
    pub fn of(client: Client, table: String) -> Self {
        Self { client, table }
    }

    fn key(id: ProductId) -> Item {
        [("id".to_owned(), AttributeValue::S(id.to_string()))].into()
    }

    /// Reads a product that was not deleted, strongly consistent.
    pub async fn get(&self, id: ProductId) -> Result<Option<Product>> {
        let get = self.client.get_item().table_name(&self.table).set_key(Some(Self::key(id)));
        let item = get.consistent_read(true).send().await?.item;
        let product: Option<Product> =
            item.map(serde_dynamo::from_item).transpose().map_err(Error::internal)?;
        Ok(product.filter(|product| product.deleted_at.is_none()))
    }

    /// Reads the products of these ids, at most 100, strongly consistent and in their order; one that is not there
    /// is left out.
    pub async fn get_all(&self, ids: &[Uuid]) -> Result<Vec<Product>> {
        let key = |id: &Uuid| Self::key((*id.as_bytes()).into());
        let mut products: Vec<Product> =
            batch::get_all(&self.client, &self.table, ids.iter().map(key)).await?;
        products.retain(|product| product.deleted_at.is_none());
        let place = |product: &Product| ids.iter().position(|id| id.as_bytes() == product.id.as_bytes());
        products.sort_by_key(place);
        Ok(products)
    }

    /// The ids of the products that `filter` takes, the newest first: those after `after`, `skip` of them passed
    /// over, `take` of them at most.
    pub async fn ids(
        &self,
        filter: &Filter,
        after: Option<Uuid>,
        skip: usize,
        take: usize,
    ) -> Result<Vec<Uuid>> {
        let (index, partition) = match filter.category {
            None => ("newest-by-status", "statusList"),
            Some(_) => ("newest-by-category", "categoryList"),
        };
        let (client, table) = (self.client.clone(), self.table.clone());
        let listing = Listing { client, table, index: Some(index), partition, sort: "id" };
        listing.ids(filter.partitions().into_iter().map(AttributeValue::S), after, skip, take).await
    }

    /// How many products `filter` takes.
    pub async fn count(&self, filter: &Filter, counters: &Counters) -> Result<i64> {
        counters.sum(filter.partitions().iter().map(|partition| counter(partition))).await
    }

    /// Stores a new product, as a transaction.
    pub fn insert(&self, product: &Product, counters: &Counters) -> Result<Vec<Step>> {
        let condition = Condition::new("attribute_not_exists(id)");
        let put = Step::put(&self.table, Self::key(product.id), product.to_item()?, condition);
        let mut steps = vec![put];
        steps.extend(product.counters().iter().map(|counter| counters.add(counter, 1)));
        Ok(steps)
    }

    /// Makes `read` what `next` is, as a transaction: what differs between the two is written, and nothing else.
    ///
    /// So a change of the stock that is made meanwhile stays, unless `next` has another stock than `read`. What
    /// decides which lists it is in, and its price and currency, must be as they were read ([`Error::Changed`]).
    pub fn update(
        &self,
        read: &Product,
        next: &Product,
        if_match: &IfMatch,
        counters: &Counters,
    ) -> Result<Vec<Step>> {
        let (old, mut new) = (read.to_item()?, next.to_item()?);
        let mut update = UpdateExpression::default();
        // The version is counted up from whatever it is by then.
        new.remove("version");
        for (name, value) in &new {
            if old.get(name) != Some(value) {
                update.set(name, value.clone());
            }
        }
        for name in old.keys().filter(|name| !new.contains_key(*name) && *name != "version") {
            update.remove(name);
        }
        for together in [["statusList", "categoryList"], ["price", "currency"]] {
            if together.iter().any(|name| update.touches(name)) {
                for name in together {
                    update.hold(name, old.get(name));
                }
            }
        }
        let refused = refusal(if_match, |_| Error::Changed);
        let step = update.into_step(&self.table, Self::key(read.id)).and(if_match.condition()).or_by(refused);
        let (left, entered) = (read.counters(), next.counters());
        let less = left.difference(&entered).map(|counter| counters.add(counter, -1));
        let more = entered.difference(&left).map(|counter| counters.add(counter, 1));
        Ok([step].into_iter().chain(less).chain(more).collect())
    }

    /// Adds `change` to a product's stock, as a transaction that reads nothing before: there is never less than none
    /// ([`Error::InsufficientStock`]), nor more than [`MOST_STOCK`] (`too_much`).
    pub fn add_stock(
        &self,
        id: ProductId,
        change: i64,
        if_match: &IfMatch,
        now: Timestamp,
        by: &Provenance,
        too_much: Error,
    ) -> Result<Step> {
        let by = serde_dynamo::to_attribute_value(by).map_err(Error::internal)?;
        let bounds = Condition::new(
            "attribute_exists(id) AND attribute_not_exists(deletedAt) AND stock BETWEEN :least AND :most",
        )
        .name("#version", "version")
        .name("#change", "change")
        .number(":least", (-change).max(0))
        .number(":most", MOST_STOCK - change.max(0))
        .number(":stock", change)
        .number(":one", 1)
        .text(":now", &now)
        .values([(":by".to_owned(), by)].into());
        let expression =
            "SET stock = stock + :stock, #version = #version + :one, updatedAt = :now, #change = :by";
        let refused = refusal(if_match, move |available| {
            if change < 0 { Error::InsufficientStock { available, requested: -change } } else { too_much }
        });
        let step = Step::update(&self.table, Self::key(id), expression, bounds);
        Ok(step.and(if_match.condition()).or_by(refused))
    }

    /// Has `products-index` write all of a product's words anew; answers whether the product is there.
    pub async fn reindex(&self, id: Uuid, run: Uuid) -> Result<bool> {
        use crate::conditional::{Conditional, update};
        let touch = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(Self::key((*id.as_bytes()).into())))
            .update_expression("SET reindexed = :run")
            .condition_expression("attribute_exists(id) AND attribute_not_exists(deletedAt)")
            .expression_attribute_values(":run", AttributeValue::S(run.to_string()));
        Ok(matches!(update(touch).await?, Conditional::Written(_)))
    }
}

/// What it means that a product was not written, by the product that is there; `otherwise` takes its stock.
fn refusal(
    if_match: &IfMatch,
    otherwise: impl FnOnce(i64) -> Error + Send + 'static,
) -> impl FnOnce(Option<&Item>) -> Error + Send + 'static {
    let if_match = if_match.clone();
    move |item| {
        let product: Option<Product> = match item.cloned().map(serde_dynamo::from_item).transpose() {
            Ok(product) => product,
            Err(error) => return Error::internal(error),
        };
        let Some(product) = product.filter(|product| product.deleted_at.is_none()) else {
            return Error::NotFound("Product");
        };
        if_match.check(product.version).err().unwrap_or_else(|| otherwise(product.stock))
    }
}
