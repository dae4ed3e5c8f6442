//! Whatever happens to an item, in whatever order: its change log raises what happened, each once, and nothing else.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use serde::Serialize;
use serde_json::Value;

use super::*;

/// An item after a write, and what the write has to raise.
type Write<T> = (T, Vec<&'static str>);

/// The correlation id of the write number `place`, which is also its time.
fn cause(place: usize) -> Provenance {
    Provenance { correlation_id: format!("c-{place}"), ..change("step") }
}

fn at(place: usize) -> Timestamp {
    now().plus_seconds(i64::try_from(place).unwrap())
}

/// Makes a change log of what happens: `first`, and then what each step makes of what was there.
fn log<T: Clone, S>(
    first: Write<T>,
    steps: &[S],
    happen: impl Fn(&T, &S, usize) -> Option<Write<T>>,
) -> Vec<Write<T>> {
    let mut log = vec![first];
    for (place, step) in steps.iter().enumerate() {
        let (last, _) = log.last().unwrap();
        log.extend(happen(last, step, place + 1));
    }
    log
}

fn record<T: Serialize>(old: Option<&T>, new: Option<&T>) -> Change {
    let image = |item: Option<&T>| item.map(|item| serde_dynamo::to_item(item).unwrap());
    let source = "arn:aws:dynamodb:us-east-1:000000000000:table/T/stream/S".to_owned();
    Change { source, sequence_number: "1".to_owned(), old: image(old), new: image(new) }
}

/// Holds a table's events to a change log, and to what its records are delivered as: `order` is any, with repetitions.
fn hold<T: Serialize>(table: &Table, log: &[Write<T>], order: &[Index]) -> Result<(), TestCaseError> {
    let olds = std::iter::once(None).chain(log.iter().map(|(item, _)| Some(item)));
    let records: Vec<Change> = olds.zip(log).map(|(old, (new, _))| record(old, Some(new))).collect();
    let mut told = Vec::new();
    for (place, (record, (_, expected))) in records.iter().zip(log).enumerate() {
        let events = table.events(record).unwrap();
        prop_assert_eq!(&kinds(&events), expected, "write {}", place);
        told.push(events);
    }
    let ids: BTreeSet<String> = told.iter().flatten().map(|event| event.id.to_string()).collect();
    prop_assert_eq!(ids.len(), told.iter().flatten().count(), "each event is one of its own");
    for order in order {
        let place = order.index(records.len());
        prop_assert!(table.events(&records[place]).unwrap() == told[place], "a redelivery is the same");
    }
    // What DynamoDB removes, and what is written as it was, raises nothing.
    let (last, _) = log.last().unwrap();
    prop_assert!(table.events(&record(Some(last), None)).unwrap().is_empty());
    prop_assert!(table.events(&record(Some(last), Some(last))).unwrap().is_empty());
    Ok(())
}

/// Deliveries beyond the first.
fn deliveries() -> impl Strategy<Value = Vec<Index>> {
    vec(any::<Index>(), 0..40)
}

#[derive(Clone, Debug)]
enum OfUser {
    Rename(String),
    Verify,
    SetPassword,
    SetRoles(bool),
    SetStatus(bool),
    EndSessions,
    Delete,
    TellDirectory(bool),
}

fn of_user() -> impl Strategy<Value = OfUser> {
    prop_oneof![
        "[a-z]{1,8}".prop_map(OfUser::Rename),
        Just(OfUser::Verify),
        Just(OfUser::SetPassword),
        any::<bool>().prop_map(OfUser::SetRoles),
        any::<bool>().prop_map(OfUser::SetStatus),
        Just(OfUser::EndSessions),
        Just(OfUser::Delete),
        any::<bool>().prop_map(OfUser::TellDirectory),
    ]
}

fn happens_to_user(old: &User, step: &OfUser, place: usize) -> Option<Write<User>> {
    if let OfUser::TellDirectory(told) = step {
        let new = if *told { User::told } else { User::not_told }(old, at(place), cause(place));
        return Some((new, Vec::new()));
    }
    if old.deleted_at.is_some() {
        return None;
    }
    let mut new = old.next(at(place), cause(place));
    let kinds = match step {
        OfUser::Rename(name) => {
            new.name.clone_from(name);
            vec![]
        }
        OfUser::Verify => {
            new.email_verified = true;
            if old.email_verified { vec![] } else { vec!["auth.email_verified"] }
        }
        OfUser::SetPassword => {
            new.password_changed(at(place));
            vec!["auth.password_changed"]
        }
        OfUser::SetRoles(admin) => {
            new.roles = if *admin { vec![Role::User, Role::Admin] } else { vec![Role::User] };
            let changes = old.roles.contains(&Role::Admin) != *admin;
            if changes { vec!["user.roles_changed"] } else { vec![] }
        }
        OfUser::SetStatus(active) => {
            new.status = if *active { Status::Active } else { Status::Suspended };
            let changes = (old.status == Status::Active) != *active;
            if changes { vec!["user.status_changed"] } else { vec![] }
        }
        OfUser::EndSessions => {
            new.end_sessions();
            vec![]
        }
        OfUser::Delete => {
            new.delete(at(place));
            vec!["user.deleted"]
        }
        OfUser::TellDirectory(_) => unreachable!(),
    };
    Some((new, kinds))
}

#[derive(Clone, Debug)]
enum OfSession {
    Refresh,
    End(Ended),
}

fn happens_to_session(old: &Session, step: &OfSession, place: usize) -> Option<Write<Session>> {
    if old.ended_at.is_some() {
        return None;
    }
    let version = old.version + 1;
    Some(match step {
        OfSession::Refresh => {
            let new = Session { version, counter: old.counter + 1, change: cause(place), ..old.clone() };
            (new, vec![])
        }
        OfSession::End(ended) => {
            let change = Provenance { reason: ended.reason().to_owned(), ..cause(place) };
            let new = Session { version, ended_at: Some(at(place)), change, ..old.clone() };
            let kinds = match ended {
                Ended::Logout => vec!["auth.logged_out"],
                Ended::TokenReuse => vec!["auth.token_reuse_detected"],
                Ended::ByUser => vec![],
            };
            (new, kinds)
        }
    })
}

#[derive(Clone, Debug)]
enum OfProduct {
    AddStock(i64),
    Rename(String),
    Reindex,
    Activate,
    Delete,
}

fn of_product() -> impl Strategy<Value = OfProduct> {
    prop_oneof![
        4 => (-30i64..30).prop_map(OfProduct::AddStock),
        1 => "[a-z]{1,3}".prop_map(OfProduct::Rename),
        1 => Just(OfProduct::Reindex),
        1 => Just(OfProduct::Activate),
        1 => Just(OfProduct::Delete),
    ]
}

fn happens_to_product(old: &Product, step: &OfProduct, place: usize) -> Option<Write<Product>> {
    if old.deleted_at.is_some() {
        return None;
    }
    let mut new = old.next(at(place), cause(place));
    let kinds = match step {
        OfProduct::AddStock(quantity) => {
            new.stock = old.stock.checked_add(*quantity).filter(|stock| *stock >= 0)?;
            match (old.stock, new.stock) {
                (1.., 0) => vec!["product.out_of_stock"],
                (11.., 1..=10) => vec!["product.low_stock"],
                _ => vec![],
            }
        }
        OfProduct::Rename(name) => {
            new.name.clone_from(name);
            if old.name == *name { vec![] } else { vec!["product.updated"] }
        }
        OfProduct::Reindex => {
            new.reindexed = Some(uuid::Uuid::from_u128(place as u128));
            vec![]
        }
        OfProduct::Activate => {
            new.status = shared::products::Status::Active;
            if old.status == new.status { vec![] } else { vec!["product.updated"] }
        }
        OfProduct::Delete => {
            new.delete(at(place));
            vec!["product.deleted"]
        }
    };
    Some((new, kinds))
}

#[derive(Clone, Debug)]
enum OfFile {
    Accept,
    Reject,
    Expire,
    Delete,
    Leave,
}

fn happens_to_file(old: &File, step: &OfFile, place: usize) -> Option<Write<File>> {
    let mut new = old.next(at(place), cause(place));
    let kinds = match step {
        OfFile::Accept if old.is_pending() => {
            new.accept([7; 32].into(), at(place));
            vec!["file.uploaded"]
        }
        OfFile::Reject if old.is_pending() => {
            new.reject(Reason::SizeMismatch, at(place));
            vec![]
        }
        OfFile::Expire if old.is_pending() => {
            new.expire(at(place));
            vec![]
        }
        OfFile::Delete if old.deleted_at.is_none() => {
            new.delete(at(place));
            vec!["file.deleted"]
        }
        OfFile::Leave if old.is_leaving() => {
            new.leave(at(place));
            vec![]
        }
        _ => return None,
    };
    Some((new, kinds))
}

#[derive(Clone, Debug)]
enum OfAttempts {
    Reserve,
    Fail { known: bool },
    Restart,
}

/// The item of a count, whose members are nobody's but its own.
fn counted(failures: u64, place: usize) -> Value {
    json!({
        "id": "hash", "attempts": 1, "notBefore": 0, "failures": failures, "version": place, "ttl": 0,
        "failedAt": at(place), "change": cause(place),
    })
}

fn happens_to_attempts(old: &Value, step: &OfAttempts, place: usize) -> Write<Value> {
    let failures = old["failures"].as_u64().unwrap();
    match step {
        OfAttempts::Reserve => (counted(failures, place), vec![]),
        OfAttempts::Restart => (counted(0, place), vec![]),
        OfAttempts::Fail { known: false } => (counted(failures + 1, place), vec![]),
        OfAttempts::Fail { known: true } => {
            let mut item = counted(failures + 1, place);
            item["userId"] = json!(UserId::from([7; 16]));
            (item, vec!["auth.login_failed"])
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_to_a_user(steps in vec(of_user(), 0..20), order in deliveries()) {
        let log = log((a_user(), vec!["auth.user_registered"]), &steps, happens_to_user);
        hold(&Table::Users, &log, &order)?;
        for (place, (user, _)) in log.iter().enumerate().skip(1) {
            let old = &log[place - 1].0;
            for event in Table::Users.events(&record(Some(old), Some(user))).unwrap() {
                prop_assert_eq!(&event.correlation_id, &user.change.correlation_id);
                prop_assert_eq!(event.timestamp, user.updated_at);
            }
        }
    }

    #[test]
    fn whatever_happens_to_a_session(
        steps in vec(prop_oneof![
            Just(OfSession::Refresh),
            Just(OfSession::End(Ended::Logout)),
            Just(OfSession::End(Ended::TokenReuse)),
            Just(OfSession::End(Ended::ByUser)),
        ], 0..6),
        order in deliveries(),
    ) {
        let first = (a_session(UserId::from([7; 16])), vec!["auth.login_success"]);
        hold(&Table::Sessions, &log(first, &steps, happens_to_session), &order)?;
    }

    #[test]
    fn whatever_happens_to_one_time_tokens(reasons in vec(any::<bool>(), 1..10), order in deliveries()) {
        for purpose in [Purpose::ResetPassword, Purpose::VerifyEmail] {
            // Each stands in the place of the one before.
            let new = |asked: &bool, place: usize| {
                let reason = if *asked { ASKED_FOR } else { "register" };
                let change = Provenance { reason: reason.to_owned(), ..cause(place) };
                let token = OneTimeToken::new(UserId::from([7; 16]), purpose, at(place), change).unwrap();
                let kinds = match (purpose, asked) {
                    (Purpose::ResetPassword, _) => vec!["auth.password_reset_requested"],
                    (Purpose::VerifyEmail, true) => vec!["auth.verification_requested"],
                    (Purpose::VerifyEmail, false) => vec![],
                };
                (token, kinds)
            };
            let log = log(new(&reasons[0], 0), &reasons[1..], |_, asked, place| Some(new(asked, place)));
            hold(&Table::OneTimeTokens, &log, &order)?;
        }
    }

    #[test]
    fn whatever_happens_to_attempts(
        steps in vec(prop_oneof![
            Just(OfAttempts::Reserve),
            any::<bool>().prop_map(|known| OfAttempts::Fail { known }),
            Just(OfAttempts::Restart),
        ], 0..20),
        order in deliveries(),
    ) {
        let first = (counted(0, 0), vec![]);
        hold(&Table::Attempts, &log(first, &steps, |old, step, place| Some(happens_to_attempts(old, step, place))), &order)?;
    }

    #[test]
    fn whatever_happens_to_a_product(steps in vec(of_product(), 0..30), order in deliveries()) {
        let log = log((a_product(), vec!["product.created"]), &steps, happens_to_product);
        hold(&Table::Products, &log, &order)?;
    }

    #[test]
    fn whatever_happens_to_a_file(
        steps in vec(prop_oneof![
            Just(OfFile::Accept), Just(OfFile::Reject), Just(OfFile::Expire), Just(OfFile::Delete), Just(OfFile::Leave),
        ], 0..10),
        order in deliveries(),
    ) {
        hold(&Table::Files, &log((a_file(), vec![]), &steps, happens_to_file), &order)?;
    }
}
