//! However many register, each is greeted once.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream;
use local::Options;
use local_aws::{Clock, Cloud, State};
use tokio::net::TcpListener;

use crate::app::{TestApp, may_have_a_cloud};
use crate::world::{WELCOME, depths};

/// Who register at once.
const AT_ONCE: usize = 8;
/// How long each may take, in the slowest build on the slowest machine.
const EACH: Duration = Duration::from_secs(1);

/// `ARCANA_REGISTRATIONS` says how many (`README.md`: 10,000), `ARCANA_BUNDLE` which binaries are to do it.
#[tokio::test(flavor = "multi_thread")]
async fn as_many_are_greeted_as_have_registered_and_each_once() {
    if !may_have_a_cloud() {
        return;
    }
    let count: u32 = std::env::var("ARCANA_REGISTRATIONS").map_or(200, |count| count.parse().unwrap());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let cloud = Cloud::start(listener, &State::Memory, Clock::default()).await.unwrap();
    let bundle = std::env::var("ARCANA_BUNDLE").ok().map(PathBuf::from);
    let iam = Some(cloud.iam().clone());
    let options = Options { aws_endpoint: Some(cloud.endpoint()), iam, bundle, ..Options::default() };
    let app = TestApp::try_boot(options).await.unwrap();
    let started = Instant::now();
    let registered: Vec<String> = stream::iter(0..count)
        .map(async |_| app.register().await.email)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let answered = started.elapsed();
    let aws = local::aws_at(&cloud.endpoint());
    loop {
        // Counted by the queues first: the mailbox is heavy.
        let idle = depths(&aws).await.values().all(|depth| *depth == 0);
        if idle && cloud.mail().list().unwrap().len() >= registered.len() {
            break;
        }
        assert!(started.elapsed() < EACH * count + Duration::from_mins(1), "they are not greeted");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let greeted = started.elapsed();
    // What would be one too many comes now.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut mails: BTreeMap<String, usize> = BTreeMap::new();
    for mail in cloud.mail().list().unwrap() {
        assert_eq!(mail.subject, WELCOME);
        *mails.entry(mail.to).or_default() += 1;
    }
    assert!(mails.values().all(|count| *count == 1), "somebody was greeted twice");
    assert_eq!(mails.len(), registered.len());
    assert!(registered.iter().all(|email| mails.contains_key(email)));
    assert!(depths(&aws).await.values().all(|depth| *depth == 0));
    let rate = f64::from(count) / greeted.as_secs_f64();
    println!("{count} registrations answered in {answered:?}, greeted in {greeted:?}: {rate:.1} a second");
    app.stop().await;
}
