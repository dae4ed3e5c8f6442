//! Which events follow from a change: a pure function for each entity.

use shared::Result;
use shared::event::{Event, Fact, session_key};
use shared::sessions::Session;
use shared::stream::Change;
use shared::users::User;

/// A table whose changes raise events.
pub(super) enum Table {
    Users,
    Sessions,
}

impl Table {
    /// The events that follow from `change`. A removed item raises nothing: whatever ends does so by an
    /// update first.
    pub(super) fn events(&self, change: &Change) -> Result<Vec<Event>> {
        Ok(match self {
            Self::Users => match change.images()? {
                (old, Some(new)) => user(old.as_ref(), &new),
                (_, None) => Vec::new(),
            },
            Self::Sessions => match change.images()? {
                (old, Some(new)) => session(old.as_ref(), &new),
                (_, None) => Vec::new(),
            },
        })
    }
}

fn user(old: Option<&User>, new: &User) -> Vec<Event> {
    if old.is_some() {
        return Vec::new();
    }
    let fact = Fact::UserRegistered { user_id: new.id, email: new.email.clone(), name: new.name.clone() };
    vec![Event::raised(&new.entity(&new.id.to_string()), new.updated_at, &new.change, fact)]
}

fn session(old: Option<&Session>, new: &Session) -> Vec<Event> {
    if old.is_some() {
        return Vec::new();
    }
    let key = session_key(new.user_id, new.id);
    let fact = Fact::LoginSuccess { user_id: new.user_id };
    vec![Event::raised(&new.entity(&key), new.created_at, &new.change, fact)]
}
