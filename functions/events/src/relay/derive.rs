//! Which events follow from a change: a pure function for each entity.

use serde::de::DeserializeOwned;
use shared::Result;
use shared::attempts::Counted;
use shared::event::{Entity, Event, Fact, session_key};
use shared::files::File;
use shared::one_time::{ASKED_FOR, OneTimeToken, Purpose};
use shared::products::Product;
use shared::sessions::{Ended, Session};
use shared::stream::Change;
use shared::users::User;

/// A table whose changes raise events.
pub(super) enum Table {
    Users,
    Sessions,
    OneTimeTokens,
    Attempts,
    Products,
    Files,
}

impl Table {
    /// The events that follow from `change`. A removed item raises nothing: whatever ends does so by an
    /// update first.
    pub(super) fn events(&self, change: &Change) -> Result<Vec<Event>> {
        match self {
            Self::Users => of(change, user),
            Self::Sessions => of(change, session),
            Self::OneTimeTokens => of(change, one_time_token),
            Self::Attempts => of(change, attempt),
            Self::Products => of(change, product),
            Self::Files => of(change, file),
        }
    }
}

fn of<T: DeserializeOwned>(change: &Change, events: fn(Option<&T>, &T) -> Vec<Event>) -> Result<Vec<Event>> {
    if change.new.is_none() {
        return Ok(Vec::new());
    }
    let (old, new) = change.images()?;
    Ok(new.map_or_else(Vec::new, |new| events(old.as_ref(), &new)))
}

fn user(old: Option<&User>, new: &User) -> Vec<Event> {
    let user_id = new.id;
    let facts = match old {
        None => vec![Fact::UserRegistered { user_id, email: new.email.clone(), name: new.name.clone() }],
        Some(old) if new.deleted_at.is_some() => {
            // A deleted account is only written to tell the directory, and to remove it.
            let deleted = old.deleted_at.is_none().then_some(Fact::UserDeleted { user_id });
            deleted.into_iter().collect()
        }
        Some(old) => [
            (new.email_verified && !old.email_verified).then_some(Fact::EmailVerified { user_id }),
            (new.password_changed_at != old.password_changed_at).then_some(Fact::PasswordChanged { user_id }),
            (new.roles != old.roles).then(|| Fact::RolesChanged { user_id, roles: new.roles.clone() }),
            (new.status != old.status).then_some(Fact::StatusChanged { user_id, status: new.status }),
        ]
        .into_iter()
        .flatten()
        .collect(),
    };
    let key = new.id.to_string();
    let raised = |fact| Event::raised(&new.entity(&key), new.updated_at, &new.change, fact);
    facts.into_iter().map(raised).collect()
}

fn session(old: Option<&Session>, new: &Session) -> Vec<Event> {
    let (user_id, session_id) = (new.user_id, new.id);
    let (fact, at) = match (old, new.ended_at) {
        (None, _) => (Fact::LoginSuccess { user_id }, new.created_at),
        (Some(old), Some(ended_at)) if old.ended_at.is_none() => {
            let reason = new.change.reason.as_str();
            let fact = if reason == Ended::TokenReuse.reason() {
                Fact::TokenReuseDetected { user_id, session_id }
            } else if reason == Ended::Logout.reason() {
                Fact::LoggedOut { user_id, session_id }
            } else {
                return Vec::new();
            };
            (fact, ended_at)
        }
        _ => return Vec::new(),
    };
    let key = session_key(user_id, session_id);
    vec![Event::raised(&new.entity(&key), at, &new.change, fact)]
}

fn one_time_token(old: Option<&OneTimeToken>, new: &OneTimeToken) -> Vec<Event> {
    if old.is_some_and(|old| old.id == new.id) {
        return Vec::new();
    }
    let user_id = new.user_id;
    let fact = match new.purpose {
        Purpose::ResetPassword => Fact::PasswordResetRequested { user_id },
        Purpose::VerifyEmail if new.change.reason == ASKED_FOR => Fact::VerificationRequested { user_id },
        // The first one goes out with the welcome.
        Purpose::VerifyEmail => return Vec::new(),
    };
    // Written once: its random id tells it from the one before.
    let key = new.id.to_string();
    let entity = Entity { table: "one-time-tokens", key: &key, version: 1 };
    let made = new.expires_at.plus_seconds(-new.purpose.lifetime());
    vec![Event::raised(&entity, made, &new.change, fact)]
}

fn attempt(old: Option<&Counted>, new: &Counted) -> Vec<Event> {
    match (old, new.user_id, &new.change) {
        (Some(old), Some(user_id), Some(change)) if new.failures > old.failures => {
            vec![Event::raised(&new.entity(), new.failed_at(), change, Fact::LoginFailed { user_id })]
        }
        _ => Vec::new(),
    }
}

/// A product is scarce from so many on.
const SCARCE: i64 = 10;

fn product(old: Option<&Product>, new: &Product) -> Vec<Event> {
    let product_id = new.id;
    let facts = match old {
        None => vec![Fact::ProductCreated { product_id }],
        Some(old) if new.deleted_at.is_some() => {
            let deleted = old.deleted_at.is_none().then_some(Fact::ProductDeleted { product_id });
            deleted.into_iter().collect()
        }
        Some(old) => [
            new.differs_beyond_stock(old).then_some(Fact::ProductUpdated { product_id }),
            (new.stock == 0 && old.stock > 0).then_some(Fact::OutOfStock { product_id }),
            (old.stock > SCARCE && (1..=SCARCE).contains(&new.stock))
                .then_some(Fact::LowStock { product_id, stock: new.stock }),
        ]
        .into_iter()
        .flatten()
        .collect(),
    };
    let key = new.id.to_string();
    let raised = |fact| Event::raised(&new.entity(&key), new.updated_at, &new.change, fact);
    facts.into_iter().map(raised).collect()
}

fn file(old: Option<&File>, new: &File) -> Vec<Event> {
    let (file_id, user_id) = (new.id, new.user_id);
    // A file that is made is a promise: nothing has happened yet.
    let Some(old) = old else { return Vec::new() };
    let fact = if new.deleted_at.is_some() && old.deleted_at.is_none() {
        Fact::FileDeleted { file_id, user_id }
    } else if new.is_active() && !old.is_active() {
        Fact::FileUploaded { file_id, user_id }
    } else {
        return Vec::new();
    };
    let key = file_id.to_string();
    vec![Event::raised(&new.entity(&key), new.updated_at, &new.change, fact)]
}

#[cfg(test)]
mod tests;
