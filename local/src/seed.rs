//! `cargo run -- seed N`: fills the catalogue of a bundle that runs on this machine.
//!
//! The products are written as `products-create` writes them, in the same transactions, so their events are raised
//! and search finds them; only nobody has to log in for it.

use std::net::Ipv4Addr;
use std::ops::Range;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use indicatif::{ProgressBar, ProgressStyle};
use shared::aws::Aws;
use shared::clock::Clock;
use shared::counters::Counters;
use shared::event::Provenance;
use shared::money::Money;
use shared::products::{Product, Products, Status};
use shared::transaction;

/// On a laptop a table is called like its resource.
const PRODUCTS: &str = "ProductsTable";
const COUNTERS: &str = "CountersTable";
/// Transactions under way at once.
const AT_ONCE: usize = 16;

/// What there is, in which category, of which price in cents.
const THINGS: &[(&str, &str, u64)] = &[
    ("Armchair", "Furniture", 24_900),
    ("Bookcase", "Furniture", 17_900),
    ("Desk", "Furniture", 32_900),
    ("Desk Lamp", "Lighting", 5_900),
    ("Floor Lamp", "Lighting", 8_900),
    ("Lantern", "Lighting", 2_450),
    ("Kettle", "Kitchen", 4_990),
    ("Pepper Mill", "Kitchen", 1_995),
    ("Saucepan", "Kitchen", 6_450),
    ("Chef's Knife", "Kitchen", 7_999),
    ("Rucksack", "Outdoor", 8_995),
    ("Sleeping Bag", "Outdoor", 12_900),
    ("Tent", "Outdoor", 25_900),
    ("Notebook", "Stationery", 1_250),
    ("Fountain Pen", "Stationery", 4_200),
    ("Headphones", "Electronics", 14_900),
    ("Keyboard", "Electronics", 10_900),
    ("Speaker", "Electronics", 9_900),
    ("Chess Set", "Games", 3_990),
    ("Jigsaw Puzzle", "Games", 2_499),
];
const LOOKS: &[&str] =
    &["Quiet", "Folding", "Compact", "Classic", "Modern", "Sturdy", "Light", "Tall", "Round", "Vintage"];
const MATERIALS: &[&str] =
    &["Oak", "Walnut", "Brass", "Steel", "Copper", "Linen", "Leather", "Glass", "Bamboo", "Canvas"];
const PRAISE: &[&str] = &[
    "Made to be repaired, not replaced.",
    "Assembled by hand in a small workshop.",
    "Comes flat in a recycled box.",
    "Guaranteed for ten years.",
    "A favourite of those who travel.",
    "Easy to clean and hard to break.",
];

/// Writes `count` products through the AWS endpoint at `port`, with a progress bar where there is a terminal.
pub async fn run(port: u16, count: u64) -> Result<(), Box<dyn std::error::Error>> {
    let endpoint = format!("http://{}:{port}", Ipv4Addr::LOCALHOST);
    let aws = crate::aws_at(&endpoint);
    if aws.dynamodb().describe_table().table_name(PRODUCTS).send().await.is_err() {
        return Err(format!(
            "no catalogue answers at {endpoint}: start the bundle with `cargo run` first, or name its --aws-port"
        )
        .into());
    }
    let bar = ProgressBar::new(count);
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} products, {per_sec}, {eta} left")?);
    fill(&aws, 0..count, || bar.inc(1)).await.map_err(|error| error.cause())?;
    bar.finish();
    println!("{count} products; search has them all a moment later");
    Ok(())
}

/// Writes the products of these numbers and says so of each.
pub async fn fill(aws: &Aws, numbers: Range<u64>, written: impl Fn()) -> shared::Result<()> {
    let client = aws.dynamodb();
    let products = Products::of(client.clone(), PRODUCTS.to_owned());
    let counters = Counters::of(client.clone(), COUNTERS.to_owned());
    let write = async |number| {
        let product = product(number)?;
        transaction::commit(&client, products.insert(&product, &counters)?).await?;
        written();
        Ok(())
    };
    stream::iter(numbers).map(Ok).try_for_each_concurrent(AT_ONCE, write).await
}

/// The product of this number: the same each time, but for its id.
fn product(number: u64) -> shared::Result<Product> {
    let pick = |share: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17) / share;
    let of = |words: &[&'static str], share| words[usize::try_from(pick(share)).unwrap_or(0) % words.len()];
    let (thing, category, cents) = THINGS[usize::try_from(pick(1)).unwrap_or(0) % THINGS.len()];
    let (look, material) = (of(LOOKS, 20), of(MATERIALS, 200));
    let by = Provenance {
        correlation_id: uuid::Uuid::now_v7().to_string(),
        actor: "seed".to_owned(),
        reason: "create".to_owned(),
    };
    let cents = cents + pick(7) % 20 * 100;
    let price = format!("{}.{:02}", cents / 100, cents % 100);
    let price =
        price.parse().ok().zip("USD".parse().ok()).and_then(|(price, usd)| Money::new(price, usd).ok());
    let price = price.ok_or_else(|| shared::Error::internal("a price that is none"))?;
    let name = format!("{look} {material} {thing} No. {:06}", number + 1);
    let stock = i64::try_from(pick(11) % 200).unwrap_or(0);
    let mut product = Product::new(name, price, stock, Clock::default().now(), by);
    let material = material.to_lowercase();
    product.description =
        Some(format!("A {} of {material} by Arcana. {}", thing.to_lowercase(), of(PRAISE, 2000)));
    product.category = Some(category.to_owned());
    // A few are not for sale, as in any shop.
    product.status = match number % 20 {
        7 => Status::Draft,
        13 => Status::Archived,
        _ => Status::Active,
    };
    Ok(product)
}
