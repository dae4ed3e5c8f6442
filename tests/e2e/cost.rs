//! What the catalogue costs: the same however much is in it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use local::Options;
use local_aws::State;
use serde_json::Value;

use crate::app::{Answer, PATIENCE, PRODUCTS, SEARCH, TestApp, eventually};
use crate::catalogue::{names, ok};
use crate::faults::{self, Done, Faults, Spent};

/// How long a product takes to get into the index, in the slowest build on the slowest machine.
const EACH: Duration = Duration::from_millis(200);

/// How often one request reads, its read capacity units, and what it answered. Nobody else reads by then.
async fn cost(app: &TestApp, done: &Done, path: &str) -> ((u64, f64), Answer) {
    done.take_spent();
    let answer = app.get(path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    let Spent { reads, read, .. } = done.take_spent();
    ((reads, read), answer)
}

/// What each kind of request costs.
async fn costs(app: &TestApp, done: &Done) -> BTreeMap<&'static str, (u64, f64)> {
    let page = ok(&app.get(&format!("{PRODUCTS}?size=50&page=1")).await);
    let (cursor, first): (_, &Value) = (page["nextCursor"].as_str().unwrap(), &page["data"][0]);
    let requests = [
        ("one product", format!("{PRODUCTS}/{}", first["id"].as_str().unwrap())),
        ("list, the first ten", PRODUCTS.to_owned()),
        ("list of a category", format!("{PRODUCTS}?category=Kitchen")),
        ("list, ten by a cursor", format!("{PRODUCTS}?cursor={cursor}&size=10")),
        ("search, a word of one product", format!("{SEARCH}?q=000042")),
        ("search, a word of every product", format!("{SEARCH}?q=arcana")),
        ("search, both words", format!("{SEARCH}?q=arcana+000042")),
    ];
    let mut costs = BTreeMap::new();
    for (name, path) in requests {
        let (cost, answer) = cost(app, done, &path).await;
        assert!(answer.body.contains("Arcana"), "{name} found nothing: {}", answer.body);
        costs.insert(name, cost);
    }
    costs
}

/// `ARCANA_CATALOGUE=1000,100000` measures with as many products; `--nocapture` shows the figures of the README.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_and_a_search_cost_the_same_in_a_catalogue_of_ten_times_the_size() {
    // On disk: the engine's streams are slow in memory once they are long.
    let directory = tempfile::tempdir().unwrap();
    let state = State::Directory(directory.path().to_owned());
    let Some((app, done)) = faults::start_with(state, Faults::default(), Options::default()).await else {
        return;
    };
    let sizes = std::env::var("ARCANA_CATALOGUE").unwrap_or_else(|_| "150,1500".to_owned());
    let (aws, mut measured, mut filled) = (app.aws(), Vec::new(), 0);
    for size in sizes.split(',').map(|size| size.parse::<u64>().unwrap()) {
        let started = Instant::now();
        local::seed::fill(&aws, filled..size, || {}).await.unwrap();
        // When the last one that everybody sees is found, all are.
        let last = (filled..size).rev().find(|number| ![7, 13].contains(&(number % 20))).unwrap();
        let path = format!("{SEARCH}?q={:06}", last + 1);
        let found = async || {
            // Seldom: looking is work too, and the index has enough of it.
            tokio::time::sleep(Duration::from_millis(500)).await;
            (!names(&ok(&app.get(&path).await)).is_empty()).then_some(())
        };
        let patience = PATIENCE + EACH * u32::try_from(size - filled).unwrap();
        eventually("last product in the index", patience, found).await;
        filled = size;
        println!("{size} products, filled and indexed in {:?}", started.elapsed());
        let costs = costs(&app, &done).await;
        for (name, (reads, units)) in &costs {
            println!("| {name} | {reads} | {units} |");
        }
        measured.push(costs);
    }
    for costs in &measured[1..] {
        assert_eq!(*costs, measured[0]);
    }
}
