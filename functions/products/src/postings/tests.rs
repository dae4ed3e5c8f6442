use super::*;
use shared::event::Provenance;
use shared::money::Money;
use shared::products::Status;
use shared::time::Timestamp;

fn product(name: &str, category: Option<&str>, description: Option<&str>) -> Product {
    let by = Provenance { correlation_id: "c-1".into(), actor: "test".into(), reason: "create".into() };
    let price = Money::new("1".parse().unwrap(), "EUR".parse().unwrap()).unwrap();
    let now = Timestamp::from_ms(1_790_000_000_000);
    let mut product = Product::new(name.to_owned(), price, 0, now, by);
    product.category = category.map(ToOwned::to_owned);
    product.description = description.map(ToOwned::to_owned);
    product.status = Status::Active;
    product
}

fn ranks(product: &Product, beginning: &str) -> Vec<String> {
    let ends = format!("#{beginning}");
    let of = postings(product).into_iter().filter(|posting| posting.prefix.ends_with(&ends));
    of.map(|posting| posting.place.split('#').next().unwrap().to_owned()).collect()
}

#[test]
fn a_word_counts_where_it_stands_best() {
    let product = product("Red Laptop", Some("Laptops"), Some("A laptop. Redder than others"));
    assert_eq!(ranks(&product, "laptop"), ["2"], "name before category and description");
    assert_eq!(ranks(&product, "laptops"), ["1"]);
    assert_eq!(ranks(&product, "redder"), ["0"]);
    assert_eq!(ranks(&product, "red"), ["2"]);
    assert_eq!(ranks(&product, "r"), ["2"]);
    assert_eq!(ranks(&product, "ptop"), [""; 0]);
}

#[test]
fn no_more_words_than_the_limit_in_their_order() {
    let many: Vec<String> = (0..300).map(|number| format!("w{number:03}x")).collect();
    let product = product("Name", Some("Category"), Some(&many.join(" ")));
    let indexed = indexed(&product);
    assert_eq!(indexed.len(), MOST_WORDS);
    assert!(indexed.contains_key("name") && indexed.contains_key("category"));
    assert!(indexed.contains_key("w197x") && !indexed.contains_key("w198x"));
}

#[test]
fn a_hidden_product_is_in_another_part_of_the_index_and_a_deleted_one_in_none() {
    let mut product = product("Lamp", None, None);
    assert!(postings(&product).iter().all(|posting| posting.prefix.starts_with("1#P#")));
    assert_eq!(postings(&product).len(), 4);
    product.status = Status::Archived;
    assert!(postings(&product).iter().all(|posting| posting.prefix.starts_with("1#A#")));
    product.delete(Timestamp::from_ms(1_790_000_000_000));
    assert!(postings(&product).is_empty());
}

#[test]
fn a_long_word_is_known_by_its_beginning() {
    let product = product("Überraschungsmenü", None, None);
    assert_eq!(ranks(&product, "uberraschung"), ["2"]);
    assert_eq!(postings(&product).len(), LONGEST);
}
