use super::*;
use serde_json::json;
use shared::event::Provenance;
use shared::files::{Extension, NewFile, Reason};
use shared::id::{SessionId, UserId};
use shared::money::Money;
use shared::time::Timestamp;
use shared::users::{Role, Status};

mod properties;

fn now() -> Timestamp {
    Timestamp::from_ms(1_790_000_000_000)
}

fn change(reason: &str) -> Provenance {
    Provenance { correlation_id: "c-1".into(), actor: "test".into(), reason: reason.into() }
}

fn a_user() -> User {
    let id = UserId::new(now());
    serde_json::from_value(json!({
        "id": id, "name": "Ada", "email": "ada@example.com", "emailVerified": false, "roles": ["user"],
        "status": "ACTIVE", "syncStatus": "SYNCED", "authVersion": 1, "shard": 1, "version": 1,
        "createdAt": now(), "updatedAt": now(), "change": change("register"),
    }))
    .unwrap()
}

fn a_session(user_id: UserId) -> Session {
    serde_json::from_value(json!({
        "userId": user_id, "id": SessionId::new(now()), "authVersion": 1, "counter": 0, "createdAt": now(),
        "lastUsedAt": now(), "expiresAt": now(), "endsAt": now(), "ip": "", "userAgent": "", "version": 1,
        "change": change("login"), "ttl": 0, "shard": 1,
    }))
    .unwrap()
}

fn kinds(events: &[Event]) -> Vec<&'static str> {
    events.iter().map(|event| event.fact.kind()).collect()
}

/// A change of a user, and what follows from it.
type Case = (fn(&mut User), &'static [&'static str]);

#[test]
fn each_change_of_a_user_raises_its_event_and_no_other() {
    let cases: &[Case] = &[
        (|_| {}, &[]),
        (|user| user.name = "Ada King".into(), &[]),
        (User::end_sessions, &[]),
        (|user| user.email_verified = true, &["auth.email_verified"]),
        (|user| user.password_changed(now()), &["auth.password_changed"]),
        (|user| user.roles = vec![Role::User, Role::Admin], &["user.roles_changed"]),
        (|user| user.status = Status::Suspended, &["user.status_changed"]),
        (|user| user.delete(now()), &["user.deleted"]),
        (
            |user| {
                user.status = Status::Suspended;
                user.roles = vec![Role::Admin];
            },
            &["user.roles_changed", "user.status_changed"],
        ),
    ];
    for (place, (change_it, expected)) in cases.iter().enumerate() {
        let old = a_user();
        let mut new = old.next(now(), change("test"));
        change_it(&mut new);
        let events = user(Some(&old), &new);
        assert_eq!(kinds(&events), *expected, "case {place}");
        assert!(events == user(Some(&old), &new), "case {place}: a redelivery is the same");
        // What was written once more without a change, and what is only removed, raises nothing.
        assert_eq!(kinds(&user(Some(&new), &new.next(now(), change("again")))), [""; 0], "case {place}");
    }
    assert_eq!(kinds(&user(None, &a_user())), ["auth.user_registered"]);
}

#[test]
fn a_session_raises_an_event_when_it_begins_and_when_it_ends_for_a_reason_of_note() {
    let old = a_session(UserId::new(now()));
    assert_eq!(kinds(&session(None, &old)), ["auth.login_success"]);
    let refreshed = Session { counter: 1, version: 2, change: change("refresh"), ..old.clone() };
    assert_eq!(kinds(&session(Some(&old), &refreshed)), [""; 0]);
    for (ended, expected) in [
        (Ended::Logout, vec!["auth.logged_out"]),
        (Ended::TokenReuse, vec!["auth.token_reuse_detected"]),
        (Ended::ByUser, vec![]),
    ] {
        let new =
            Session { ended_at: Some(now()), version: 2, change: change(ended.reason()), ..old.clone() };
        assert_eq!(kinds(&session(Some(&old), &new)), expected, "{ended:?}");
        assert_eq!(kinds(&session(Some(&new), &new)), [""; 0], "{ended:?} once");
    }
}

#[test]
fn a_one_time_token_raises_an_event_for_each_that_was_asked_for() {
    let user_id = UserId::new(now());
    let token = |purpose, reason| OneTimeToken::new(user_id, purpose, now(), change(reason)).unwrap();
    let first = token(Purpose::ResetPassword, "forgot-password");
    let second = token(Purpose::ResetPassword, "forgot-password");
    assert_eq!(kinds(&one_time_token(None, &first)), ["auth.password_reset_requested"]);
    let again = one_time_token(Some(&first), &second);
    assert_eq!(kinds(&again), ["auth.password_reset_requested"]);
    assert_ne!(again[0].id, one_time_token(None, &first)[0].id, "each is an event of its own");
    assert_eq!(again[0].timestamp, now());
    assert_eq!(kinds(&one_time_token(Some(&first), &first)), [""; 0]);
    assert_eq!(kinds(&one_time_token(None, &token(Purpose::VerifyEmail, "register"))), [""; 0]);
    let asked = token(Purpose::VerifyEmail, ASKED_FOR);
    assert_eq!(kinds(&one_time_token(None, &asked)), ["auth.verification_requested"]);
}

#[test]
fn a_failed_attempt_raises_an_event_where_there_is_an_account() {
    let user_id = UserId::new(now());
    let counted = |failures: u64, version: u64, user_id: Option<UserId>| -> Counted {
        serde_json::from_value(json!({
            "id": "hash", "attempts": 1, "notBefore": 0, "failures": failures, "userId": user_id,
            "version": version, "failedAt": now(), "change": change("login-failed"), "ttl": 0,
        }))
        .unwrap()
    };
    let known = Some(user_id);
    let events = attempt(Some(&counted(0, 7, None)), &counted(1, 8, known));
    assert_eq!(kinds(&events), ["auth.login_failed"]);
    assert_ne!(events[0].id, attempt(Some(&counted(1, 8, known)), &counted(2, 9, known))[0].id);
    assert_eq!(kinds(&attempt(Some(&counted(0, 7, None)), &counted(1, 8, None))), [""; 0], "nobody's");
    assert_eq!(kinds(&attempt(Some(&counted(1, 8, known)), &counted(1, 8, known))), [""; 0], "a reservation");
    assert_eq!(
        kinds(&attempt(Some(&counted(5, 8, known)), &counted(0, 99, known))),
        [""; 0],
        "a count begun anew"
    );
}

fn a_product() -> Product {
    let price = Money::new("19.99".parse().unwrap(), "EUR".parse().unwrap()).unwrap();
    Product::new("Lamp".to_owned(), price, 20, now(), change("create"))
}

/// A change of a product, and what follows from it.
type ProductCase = (fn(&mut Product), &'static [&'static str]);

#[test]
fn each_change_of_a_product_raises_its_event_and_no_other() {
    let cases: &[ProductCase] = &[
        (|_| {}, &[]),
        (|product| product.name = "Lantern".into(), &["product.updated"]),
        (|product| product.description = Some("Bright".into()), &["product.updated"]),
        (
            |product| product.price = Money::new("1".parse().unwrap(), "EUR".parse().unwrap()).unwrap(),
            &["product.updated"],
        ),
        (
            |product| product.price = Money::new("19.99".parse().unwrap(), "USD".parse().unwrap()).unwrap(),
            &["product.updated"],
        ),
        (|product| product.category = Some("Light".into()), &["product.updated"]),
        (|product| product.status = shared::products::Status::Active, &["product.updated"]),
        (|product| product.reindexed = Some(uuid::Uuid::nil()), &[]),
        (|product| product.delete(now()), &["product.deleted"]),
        (
            |product| {
                product.stock = 0;
                product.delete(now());
            },
            &["product.deleted"],
        ),
        (
            |product| {
                product.stock = 5;
                product.name = "Lantern".into();
            },
            &["product.updated", "product.low_stock"],
        ),
    ];
    for (place, (change_it, expected)) in cases.iter().enumerate() {
        let old = a_product();
        let mut new = old.next(now(), change("test"));
        change_it(&mut new);
        let events = product(Some(&old), &new);
        assert_eq!(kinds(&events), *expected, "case {place}");
        assert!(events == product(Some(&old), &new), "case {place}: a redelivery is the same");
        assert_eq!(kinds(&product(Some(&new), &new.next(now(), change("again")))), [""; 0], "case {place}");
    }
    assert_eq!(kinds(&product(None, &a_product())), ["product.created"]);
}

#[test]
fn stock_events_are_raised_on_crossing_and_not_otherwise() {
    for old in 0..25 {
        for new in 0..25 {
            let before = Product { stock: old, ..a_product() };
            let after = Product { stock: new, ..before.next(now(), change("stock")) };
            let raised = product(Some(&before), &after);
            let expected: &[&str] = match (old, new) {
                (1.., 0) => &["product.out_of_stock"],
                (11.., 1..=10) => &["product.low_stock"],
                _ => &[],
            };
            assert_eq!(kinds(&raised), expected, "from {old} to {new}");
            if let [Event { fact: Fact::LowStock { stock, .. }, .. }] = raised.as_slice() {
                assert_eq!(*stock, new);
            }
        }
        let made = Product { stock: old, ..a_product() };
        assert_eq!(kinds(&product(None, &made)), ["product.created"], "never on creation");
    }
}

fn a_file() -> File {
    let (user_id, extension) = (UserId::new(now()), Extension::Pdf);
    let new = NewFile { user_id, filename: "notes.pdf".into(), extension, size: 9, sha256: None };
    File::new(new, now(), change("create"))
}

fn accepted() -> File {
    let mut file = a_file().next(now(), change("accept"));
    file.accept([7; 32].into(), now());
    file
}

fn rejected() -> File {
    let mut file = a_file().next(now(), change("reject"));
    file.reject(Reason::SizeMismatch, now());
    file
}

#[test]
fn a_file_raises_an_event_when_it_becomes_active_and_when_it_is_deleted() {
    assert_eq!(kinds(&file(None, &a_file())), [""; 0], "a promise is no upload");
    let active = accepted();
    let uploaded = file(Some(&a_file()), &active);
    assert_eq!(kinds(&uploaded), ["file.uploaded"]);
    assert!(uploaded == file(Some(&a_file()), &active), "a redelivery is the same");
    assert_eq!(kinds(&file(Some(&a_file()), &rejected())), [""; 0]);
    for old in [a_file(), accepted(), rejected()] {
        let mut new = old.next(now(), change("delete"));
        new.delete(now());
        let events = file(Some(&old), &new);
        assert_eq!(kinds(&events), ["file.deleted"]);
        let whose = Fact::FileDeleted { file_id: old.id, user_id: old.user_id };
        assert!(events[0].fact == whose && events == file(Some(&old), &new), "a redelivery is the same");
        assert_eq!(kinds(&file(Some(&old), &old.next(now(), change("again")))), [""; 0]);
        assert_eq!(kinds(&file(Some(&new), &new.next(now(), change("again")))), [""; 0]);
    }
}
