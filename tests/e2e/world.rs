//! What users do, and what of it has to come to pass, however often what is between fails.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_sdk_sqs::types::QueueAttributeName;
use local::dead_letters::DeadLetters;
use local_aws::Cloud;
use reqwest::Method;
use serde_json::{Value, json};
use shared::aws::Aws;

use crate::app::{
    Account, CHANGE_PASSWORD, FORGOT_PASSWORD, LOGIN, ME, OTHER_PASSWORD, PASSWORD, PRODUCTS, REFRESH,
    RESEND, TestApp, Tokens, eventually,
};

/// How long all that is under way may take to come to its end.
pub(crate) const LONG: Duration = Duration::from_mins(3);

pub(crate) const WELCOME: &str = "Welcome to Arcana!";
pub(crate) const VERIFY: &str = "Verify your email address";
pub(crate) const RESET: &str = "Password Reset Request";
pub(crate) const ALERT: &str = "Security alert for your Arcana account";
/// Who is told of stocks on a laptop.
pub(crate) const SHOP: &str = "shop@arcana.localhost";

/// What has to come of what users did.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Expected {
    /// Events, by what they are about (an id) and their type.
    pub(crate) events: BTreeMap<(String, String), usize>,
    /// Mails, by address and subject.
    pub(crate) mails: BTreeMap<(String, String), usize>,
    /// Mails to users who are gone: nothing is sent any more once they are.
    pub(crate) maybe: BTreeMap<(String, String), usize>,
}

impl Expected {
    fn event(&mut self, about: &str, kind: &str) {
        *self.events.entry((about.to_owned(), kind.to_owned())).or_default() += 1;
    }

    fn mail(&mut self, to: &str, subject: &str) {
        *self.mails.entry((to.to_owned(), subject.to_owned())).or_default() += 1;
    }

    /// What `other` did besides.
    pub(crate) fn add(&mut self, other: Self) {
        for (event, count) in other.events {
            *self.events.entry(event).or_default() += count;
        }
        for (mail, count) in other.mails {
            *self.mails.entry(mail).or_default() += count;
        }
        self.maybe.extend(other.maybe);
    }
}

/// A user, and what has to come of what it does.
pub(crate) struct Life<'a> {
    app: &'a TestApp,
    pub(crate) account: Account,
    pub(crate) expected: Expected,
}

impl<'a> Life<'a> {
    pub(crate) async fn begin(app: &'a TestApp) -> Self {
        let account = app.register().await;
        let mut expected = Expected::default();
        expected.event(&account.id, "auth.user_registered");
        expected.mail(&account.email, WELCOME);
        Self { app, account, expected }
    }

    pub(crate) async fn login(&mut self) -> Tokens {
        let tokens = Tokens::of(&self.app.try_login(&self.account.email, PASSWORD).await);
        self.expected.event(&self.account.id, "auth.login_success");
        tokens
    }

    pub(crate) async fn mistype(&mut self) {
        let body = json!({"email": self.account.email, "password": "Wrong-password-1"});
        assert_eq!(self.app.post(LOGIN, &body).await.status, 401);
        self.expected.event(&self.account.id, "auth.login_failed");
    }

    pub(crate) async fn ask_to_verify(&mut self) {
        let token = self.login().await.access;
        assert_eq!(self.app.send(self.app.as_user(&token, Method::POST, RESEND)).await.status, 202);
        self.expected.event(&self.account.id, "auth.verification_requested");
        self.expected.mail(&self.account.email, VERIFY);
    }

    pub(crate) async fn forget_password(&mut self) {
        let answer = self.app.post(FORGOT_PASSWORD, &json!({"email": self.account.email})).await;
        assert_eq!(answer.status, 202);
        self.expected.event(&self.account.id, "auth.password_reset_requested");
        self.expected.mail(&self.account.email, RESET);
    }

    pub(crate) async fn change_password(&mut self) {
        let token = self.login().await.access;
        let body = json!({"currentPassword": PASSWORD, "newPassword": OTHER_PASSWORD});
        assert_eq!(self.app.do_as(&token, Method::POST, CHANGE_PASSWORD, &body).await.status, 204);
        self.expected.event(&self.account.id, "auth.password_changed");
        self.expected.mail(&self.account.email, ALERT);
    }

    pub(crate) async fn use_a_token_twice(&mut self) {
        let first = self.login().await.refresh;
        // The one before the last is still answered, for whoever has missed the answer.
        let second = self.app.refresh(&first).await.refresh;
        self.app.refresh(&second).await;
        assert_eq!(self.app.post(REFRESH, &json!({"refreshToken": first})).await.status, 401);
        self.expected.event(&self.account.id, "auth.token_reuse_detected");
        self.expected.mail(&self.account.email, ALERT);
    }

    pub(crate) async fn end(&mut self) {
        let token = self.login().await.access;
        let answer = self.app.do_as(&token, Method::DELETE, ME, &json!({"password": PASSWORD})).await;
        assert_eq!(answer.status, 204, "{}", answer.body);
        self.expected.event(&self.account.id, "user.deleted");
        self.expected.maybe.append(&mut self.expected.mails);
    }
}

/// An admin's token, and what comes of there being one.
pub(crate) async fn an_admin(app: &TestApp) -> (String, Expected) {
    let mut life = Life::begin(app).await;
    let event = json!({"email": life.account.email, "role": "admin"}).to_string();
    app.invoke("users-grant-role", &event).await.unwrap();
    let token = life.login().await.access;
    life.expected.event(&life.account.id, "user.roles_changed");
    (token, life.expected)
}

/// The dead-letter queues behind an AWS endpoint on this machine.
pub(crate) fn letters_at(url: &str) -> DeadLetters {
    DeadLetters::at(url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port"))
}

/// Sells all that there is of a new product, as an admin.
pub(crate) async fn sell_out(app: &TestApp, admin: &str) -> Expected {
    let name = format!("Lamp {}", uuid::Uuid::new_v4().simple());
    let product = json!({"name": name, "price": 1, "stock": 20});
    let created = app.do_as(admin, Method::POST, PRODUCTS, &product).await;
    assert_eq!(created.status, 201, "{}", created.body);
    let id = created.json()["id"].as_str().unwrap().to_owned();
    let change = json!({"quantityChange": -20});
    let answer = app.do_as(admin, Method::PATCH, &format!("{PRODUCTS}/{id}/stock"), &change).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let mut expected = Expected::default();
    expected.event(&id, "product.created");
    expected.event(&id, "product.out_of_stock");
    expected.mail(SHOP, &format!("Stock alert: {name}, out of stock"));
    expected
}

/// What has come to pass in a cloud: each event once, however often it was told.
pub(crate) fn passed(cloud: &Cloud) -> Expected {
    let mut passed = Expected::default();
    let mut ids = BTreeSet::new();
    for event in cloud.bus().recent(10_000).unwrap() {
        let detail = &event["detail"];
        if event["source"] == "arcana" && ids.insert(detail["id"].to_string()) {
            passed.event(about(detail), detail["type"].as_str().unwrap());
        }
    }
    for mail in cloud.mail().list().unwrap() {
        passed.mail(&mail.to, &mail.subject);
    }
    passed
}

/// Whom or what an event is about.
fn about(detail: &Value) -> &str {
    let data = &detail["data"];
    data["userId"].as_str().or_else(|| data["productId"].as_str()).expect("an event is about something")
}

/// The URL of a queue.
pub(crate) async fn queue_url(sqs: &aws_sdk_sqs::Client, queue: &str) -> String {
    sqs.get_queue_url().queue_name(queue).send().await.unwrap().queue_url.unwrap()
}

/// What is in each of the queues: visible, in flight and delayed.
pub(crate) async fn depths(aws: &Aws) -> BTreeMap<String, usize> {
    let sqs = aws.sqs();
    let urls = sqs.list_queues().send().await.unwrap().queue_urls.unwrap_or_default();
    let mut depths = BTreeMap::new();
    for url in urls {
        let all = sqs.get_queue_attributes().queue_url(&url).attribute_names(QueueAttributeName::All);
        let all = all.send().await.unwrap().attributes.unwrap();
        let number = |name| all[&name].parse::<usize>().unwrap();
        let depth = number(QueueAttributeName::ApproximateNumberOfMessages)
            + number(QueueAttributeName::ApproximateNumberOfMessagesNotVisible)
            + number(QueueAttributeName::ApproximateNumberOfMessagesDelayed);
        depths.insert(url.rsplit('/').next().unwrap().to_owned(), depth);
    }
    depths
}

/// [`hold_but`] for a cloud in which nobody is killed.
pub(crate) async fn hold(cloud: &Cloud, expected: &Expected) {
    hold_but(cloud, expected, 0, 0).await;
}

/// Waits until what was expected has come to pass and nothing is in any queue, and holds the rest to it: nothing else has come to
/// pass, and each event has one record in the audit. A mail may have gone out `each` times more,
/// and all together `in_all` times.
pub(crate) async fn hold_but(cloud: &Cloud, expected: &Expected, each: usize, in_all: usize) {
    let aws = local::aws_at(&cloud.endpoint());
    let events: usize = expected.events.values().sum();
    let look = async || {
        let passed = passed(cloud);
        let there = passed.events.values().sum::<usize>() >= events
            && expected.mails.keys().all(|mail| passed.mails.contains_key(mail));
        // What was put off is due at once.
        cloud.advance_clock(1_000).unwrap();
        (there && depths(&aws).await.values().all(|depth| *depth == 0)).then_some(())
    };
    let deadline = tokio::time::timeout(LONG, async {
        while look().await.is_none() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    if deadline.await.is_err() {
        let depths = depths(&aws).await;
        let left: Vec<_> = depths.iter().filter(|(_, depth)| **depth > 0).collect();
        let passed = passed(cloud);
        let lacking: Vec<_> =
            expected.mails.iter().filter(|(mail, _)| !passed.mails.contains_key(*mail)).collect();
        panic!(
            "queues {left:?}; no mail {lacking:?}; events {} of {events}",
            passed.events.values().sum::<usize>()
        );
    }
    let passed = passed(cloud);
    assert_eq!(passed.events, expected.events);
    let mut repeated = 0;
    for (mail, count) in &passed.mails {
        let once = expected.mails.get(mail).or_else(|| expected.maybe.get(mail)).copied().unwrap_or(0);
        assert!((once..=once * (1 + each)).contains(count), "{count} of {once}: {mail:?}");
        repeated += count - once;
    }
    assert!(expected.mails.keys().all(|mail| passed.mails.contains_key(mail)));
    assert!(repeated <= in_all, "mails went out {repeated} times more");
    let audited = async || (audited(&aws).await == events).then_some(());
    eventually("a record of each event", LONG, audited).await;
}

/// How many records the audit has.
async fn audited(aws: &Aws) -> usize {
    let mut records = aws.dynamodb().scan().table_name("AuditTable").into_paginator().items().send();
    let mut count = 0;
    while let Some(record) = records.next().await {
        record.unwrap();
        count += 1;
    }
    count
}
