//! Built binaries that are killed at any call: no event is lost, none invented, and each effect is had once.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::{LocalBoxFuture, join_all};
use reqwest::Method;
use serde_json::json;
use shared::function::Kind;

use crate::app::{PATIENCE, TestApp, eventually};
use crate::directory::Directory;
use crate::documents::pdf;
use crate::drive::Drive;
use crate::gate::Stop;
use crate::killer::{self, Killer, retire};
use crate::world::{Expected, LONG, Life, RESET, WELCOME, an_admin, depths, hold_but, letters_at, sell_out};

/// How long a claim of a dead process stands in the way of the next one.
const CLAIM: Duration = Duration::from_secs(32);
/// How long a message of a dead process stays out of sight, in milliseconds.
const HIDDEN_MS: i64 = 170_000;
/// What is done at once. More, and this machine answers nobody in time.
const AT_ONCE: usize = 4;
/// Kills of a round, after which time passes; `ARCANA_KILL_ROUNDS` says how many rounds (`README.md`: four).
const ROUND: usize = 50;
/// A mail goes out once more for each kill between SES's acceptance of it and the record of that.
const MAILER: &str = "email-worker";

/// What a test does to have a function work once; and what has to come of it.
type Act = for<'a> fn(&'a World) -> LocalBoxFuture<'a, Expected>;

struct World {
    app: TestApp,
    admin: String,
    directory: std::sync::Arc<Directory>,
}

/// The functions behind the tables' streams, and what makes each of them work.
const FUNCTIONS: [(&str, Act); 13] = [
    ("events-relay", |world| Box::pin(world.live(async |_| {}))),
    ("events-user-registered", |world| Box::pin(world.live(async |_| {}))),
    ("events-audit", |world| Box::pin(world.live(async |_| {}))),
    ("events-verification-requested", |world| Box::pin(world.live(async |life| life.ask_to_verify().await))),
    ("events-password-reset-requested", |world| {
        Box::pin(world.live(async |life| life.forget_password().await))
    }),
    ("events-password-changed", |world| Box::pin(world.live(async |life| life.change_password().await))),
    ("events-token-reuse", |world| Box::pin(world.live(async |life| life.use_a_token_twice().await))),
    ("events-stock-alert", |world| Box::pin(sell_out(&world.app, &world.admin))),
    ("events-user-deleted", |world| Box::pin(world.end_a_life())),
    ("files-finalize", |world| Box::pin(world.upload())),
    (MAILER, |world| Box::pin(world.live(async |_| {}))),
    ("sync-pending-users", |world| Box::pin(world.sync())),
    ("user-sync-worker", |world| Box::pin(world.sync())),
];

impl World {
    async fn begin() -> Option<(Self, std::sync::Arc<Killer>, Expected)> {
        let (directory, url) = Directory::start().await;
        let parameters = [("UserSyncUrl".to_owned(), url)].into();
        let (app, killer) = killer::start(parameters, &["sync-pending-users"]).await?;
        let (admin, expected) = an_admin(&app).await;
        Some((Self { app, admin, directory }, killer, expected))
    }

    async fn live(&self, act: impl AsyncFn(&mut Life<'_>)) -> Expected {
        let mut life = Life::begin(&self.app).await;
        act(&mut life).await;
        life.expected
    }

    /// A user goes, who leaves two sessions and a file.
    async fn end_a_life(&self) -> Expected {
        let mut life = Life::begin(&self.app).await;
        let token = life.login().await.access;
        let body = json!({"filename": "notes.pdf", "size": 9});
        assert_eq!(self.app.do_as(&token, Method::POST, "/api/v1/files", &body).await.status, 201);
        life.end().await;
        life.expected.events.insert((life.account.id.clone(), "file.deleted".to_owned()), 1);
        life.expected
    }

    async fn upload(&self) -> Expected {
        let drive = Drive::on(TestApp::at(&format!("http://127.0.0.1:{}", self.app.port()))).await;
        drive.upload("notes.pdf", &pdf(1_000)).await;
        let mut expected = Expected::default();
        for kind in ["auth.user_registered", "auth.login_success", "file.uploaded"] {
            expected.events.insert((drive.account.id.clone(), kind.to_owned()), 1);
        }
        expected.mails.insert((drive.account.email, WELCOME.to_owned()), 1);
        expected
    }

    /// A user is made, and the directory is to be told. The schedule may be killed.
    async fn sync(&self) -> Expected {
        // Whom others have left to be told is not in the way.
        self.run_schedule().await;
        let expected = self.live(async |_| {}).await;
        self.run_schedule().await;
        expected
    }

    async fn run_schedule(&self) {
        // The lease of one that was killed is over by the next time.
        let lease = AttributeValue::S("sync-pending-users#alone".to_owned());
        let delete = self.app.aws().dynamodb().delete_item().table_name("ReceiptsTable").key("id", lease);
        delete.send().await.unwrap();
        let _ = self.app.invoke("sync-pending-users", r#"{"scheduledTime": "2026-01-01T00:00:00Z"}"#).await;
    }
}

/// Has time pass for what the dead have left behind.
async fn let_time_pass(killer: &Killer) {
    tokio::time::sleep(CLAIM).await;
    killer.cloud.advance_clock(HIDDEN_MS).unwrap();
}

/// Puts back what was killed three times, until nothing is in a dead-letter queue.
async fn redrive(world: &World, killer: &Killer) -> i64 {
    let endpoint = killer.cloud.endpoint();
    let aws = local::aws_at(&endpoint);
    let mut redriven = 0;
    for (queue, depth) in depths(&aws).await {
        if queue.ends_with("Dlq") && depth > 0 {
            redriven += letters_at(&endpoint).redrive(&queue, world.app.port()).await.unwrap().back;
        }
    }
    redriven
}

/// Waits until the directory knows every account as it is. What a dead process has claimed is due at once: hours are not waited
/// for.
async fn hold_synced(world: &World, killer: &Killer) {
    let dynamodb = local::aws_at(&killer.cloud.endpoint()).dynamodb();
    let started = std::time::Instant::now();
    loop {
        let scan = dynamodb.scan().table_name("UsersTable").filter_expression("attribute_exists(syncDue)");
        let outdated: Vec<_> = scan.into_paginator().items().send().try_collect().await.unwrap();
        if outdated.is_empty() {
            break;
        }
        assert!(started.elapsed() < LONG, "{} accounts are never told of", outdated.len());
        for user in outdated {
            let update = dynamodb.update_item().table_name("UsersTable").key("id", user["id"].clone());
            let update =
                update.update_expression("SET syncDue = :now").condition_expression("syncDue = :due");
            let update = update
                .expression_attribute_values(":now", AttributeValue::S("2026-01-01T00:00:00.000Z".to_owned()))
                .expression_attribute_values(":due", user["syncDue"].clone());
            let _ = update.send().await;
        }
        world.run_schedule().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let mut users = dynamodb.scan().table_name("UsersTable").into_paginator().items().send();
    while let Some(user) = users.next().await {
        let user = user.unwrap();
        let told = world.directory.told(user["id"].as_s().unwrap());
        let last = told.last().unwrap_or_else(|| panic!("{:?} was never told", user["id"]));
        match user.get("deletedAt") {
            Some(deleted) => assert_eq!(&last["deletedAt"], deleted.as_s().unwrap()),
            None => assert_eq!(last["email"], user["email"].as_s().unwrap().as_str()),
        }
    }
}

/// Of whoever is gone nothing is left.
async fn hold_gone(killer: &Killer, expected: &Expected) {
    let dynamodb = local::aws_at(&killer.cloud.endpoint()).dynamodb();
    for (id, _) in expected.events.keys().filter(|(_, kind)| kind == "user.deleted") {
        for table in ["SessionsTable", "OneTimeTokensTable"] {
            let query = dynamodb.query().table_name(table).key_condition_expression("userId = :id");
            let query = query.expression_attribute_values(":id", AttributeValue::S(id.clone()));
            assert_eq!(query.send().await.unwrap().count(), 0, "{table}");
        }
    }
}

/// Waits until a function makes no call any more; answers how many it made.
async fn quiet(killer: &Killer, function: &str) -> usize {
    let look = async || {
        let before = killer.calls(function);
        tokio::time::sleep(Duration::from_millis(800)).await;
        (killer.calls(function) == before).then_some(before)
    };
    eventually("an end of its calls", PATIENCE, look).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_is_killed_before_or_after_any_of_its_calls_does_its_work_once() {
    let Some((world, killer, mut expected)) = World::begin().await else { return };
    hold_but(&killer.cloud, &expected, 0, 0).await;
    let is_killed = |name: &str| FUNCTIONS.iter().any(|(function, _)| *function == name);
    let consumers = local::functions().filter(|function| function.kind == Kind::Queue);
    assert!(consumers.into_iter().all(|consumer| is_killed(consumer.name)), "every consumer is killed");
    let mut points = 0;
    for (function, act) in FUNCTIONS {
        // How many calls there are, of a process that is new, and once what was before is done.
        expected.add(act(&world).await);
        quiet(&killer, function).await;
        retire(function).await;
        killer.count_anew();
        expected.add(act(&world).await);
        let calls = eventually("calls", PATIENCE, async || {
            Some(quiet(&killer, function).await).filter(|calls| *calls > 0)
        })
        .await;
        for (passing, stop) in (0..calls).flat_map(|passing| Stop::BOTH.map(|stop| (passing, stop))) {
            retire(function).await;
            killer.kill_at(function, passing, stop);
            // A process that was started for the act before may have made the first calls already.
            for _ in 0..6 {
                expected.add(act(&world).await);
                let killed = tokio::time::timeout(Duration::from_secs(10), async {
                    while !killer.is_done() {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                });
                if killed.await.is_ok() {
                    break;
                }
            }
            assert!(killer.is_done(), "no kill of {function} at call {passing} of {calls}");
            points += 1;
        }
        println!("{function}: {calls} calls");
    }
    for (what, times) in killer.kills() {
        println!("killed {times} times: {what:?}");
    }
    let_time_pass(&killer).await;
    // Killed once each: nothing has come to a dead-letter queue. SendEmail's answer was lost once, and the record of it.
    hold_but(&killer.cloud, &expected, 1, 2).await;
    hold_synced(&world, &killer).await;
    hold_gone(&killer, &expected).await;
    println!("{points} points");
    world.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_at_random_under_load_lose_nothing_and_repeat_nothing() {
    let Some((world, killer, mut expected)) = World::begin().await else { return };
    hold_but(&killer.cloud, &expected, 0, 0).await;
    let functions: Vec<&str> = FUNCTIONS.iter().map(|(function, _)| *function).collect();
    let rounds = std::env::var("ARCANA_KILL_ROUNDS").map_or(1, |rounds| rounds.parse().unwrap());
    for round in 0..rounds {
        killer.kill_some(&functions, 12, ROUND);
        let started = std::time::Instant::now();
        while !killer.is_done() {
            assert!(started.elapsed() < LONG, "{ROUND} kills take too long");
            for some in FUNCTIONS.chunks(AT_ONCE) {
                for more in join_all(some.iter().map(|(_, act)| act(&world))).await {
                    expected.add(more);
                }
            }
        }
        println!("round {round}: {} events to come", expected.events.values().sum::<usize>());
        // What was killed comes again, and may be killed again.
        let_time_pass(&killer).await;
    }
    let kills = killer.kills();
    assert_eq!(kills.values().sum::<usize>(), rounds * ROUND);
    // At SES's call, or at that which records what it took: each may have a mail go out once more. Claims are written by `PutItem`
    // too, and are counted along.
    let may_repeat = |(function, call): &(String, String)| {
        function == MAILER && (call.ends_with("emails") || call == "PutItem")
    };
    let again: usize = kills.iter().filter(|(what, _)| may_repeat(what)).map(|(_, times)| times).sum();
    println!("{kills:?}");
    // Nobody is killed any more: what was killed three times is put back.
    for _ in 0..3 {
        let redriven = redrive(&world, &killer).await;
        println!("{redriven} messages redriven");
        if redriven == 0 {
            break;
        }
        let_time_pass(&killer).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    // Links to set a password live for ten minutes, and mails with dead ones are not sent.
    let (resets, mails) = expected.mails.into_iter().partition(|((_, subject), _)| subject == RESET);
    expected.mails = mails;
    expected.maybe.extend::<BTreeMap<_, _>>(resets);
    hold_but(&killer.cloud, &expected, again, again).await;
    hold_synced(&world, &killer).await;
    hold_gone(&killer, &expected).await;
    world.app.stop().await;
}
