//! Domain events: facts about committed changes, as they travel over the bus.

use serde::{Deserialize, Deserializer, Serialize, de};
use uuid::Uuid;

use crate::email::Email;
use crate::function::{Label, Message};
use crate::id::{FileId, ProductId, SessionId, UserId, derived};
use crate::request::is_correlation_id;
use crate::time::Timestamp;
use crate::users::{Role, Status};
use crate::{Error, Result};

/// EventBridge's `Source` of every event.
pub const SOURCE: &str = "arcana";

/// Who changed an item last, on whose behalf and why. Every item that raises events carries it, so
/// that the event can say where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Provenance {
    /// The correlation id of the request that caused the change.
    pub correlation_id: String,
    /// Who acted: a user's id, or the name of a function.
    pub actor: String,
    /// What for, e.g. `register`.
    pub reason: String,
}

impl Provenance {
    /// What a function does by itself, for the reason that it names, because of a request of this correlation id.
    pub fn of_function(function: &str, reason: &str, correlation_id: &str) -> Self {
        let text = ToOwned::to_owned;
        Self { correlation_id: text(correlation_id), actor: text(function), reason: text(reason) }
    }
}

/// What happened. The variants' names on the wire are EventBridge's `DetailType`.
///
/// It has no `Debug`: some facts hold an email address.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all_fields = "camelCase")]
pub enum Fact {
    /// Somebody made an account.
    #[serde(rename = "auth.user_registered")]
    UserRegistered {
        /// The new account.
        user_id: UserId,
        /// Its email address.
        email: Email,
        /// Its owner's name.
        name: String,
    },
    /// Somebody logged in.
    #[serde(rename = "auth.login_success")]
    LoginSuccess {
        /// Whose account.
        user_id: UserId,
    },
    /// Somebody tried to log in to an account with a wrong password, or while it is suspended.
    #[serde(rename = "auth.login_failed")]
    LoginFailed {
        /// Whose account.
        user_id: UserId,
    },
    /// An account has another password.
    #[serde(rename = "auth.password_changed")]
    PasswordChanged {
        /// Whose account.
        user_id: UserId,
    },
    /// Somebody asked for a link to set a new password.
    #[serde(rename = "auth.password_reset_requested")]
    PasswordResetRequested {
        /// Whose account.
        user_id: UserId,
    },
    /// A user asked for another link to verify an address.
    #[serde(rename = "auth.verification_requested")]
    VerificationRequested {
        /// Whose account.
        user_id: UserId,
    },
    /// A user has shown that an address is theirs.
    #[serde(rename = "auth.email_verified")]
    EmailVerified {
        /// Whose account.
        user_id: UserId,
    },
    /// A refresh token was used that had been exchanged before: the session was ended.
    #[serde(rename = "auth.token_reuse_detected")]
    TokenReuseDetected {
        /// Whose account.
        user_id: UserId,
        /// Which session.
        session_id: SessionId,
    },
    /// A user logged out, of one session or of all.
    #[serde(rename = "auth.logged_out")]
    LoggedOut {
        /// Whose account.
        user_id: UserId,
        /// Which session.
        session_id: SessionId,
    },
    /// An account may do other things than before.
    #[serde(rename = "user.roles_changed")]
    RolesChanged {
        /// Whose account.
        user_id: UserId,
        /// What it may do now.
        roles: Vec<Role>,
    },
    /// An account was suspended, or no longer is.
    #[serde(rename = "user.status_changed")]
    StatusChanged {
        /// Whose account.
        user_id: UserId,
        /// What it is now.
        status: Status,
    },
    /// An account was deleted.
    #[serde(rename = "user.deleted")]
    UserDeleted {
        /// Whose account.
        user_id: UserId,
    },
    /// The catalogue has a new product.
    #[serde(rename = "product.created")]
    ProductCreated {
        /// Which product.
        product_id: ProductId,
    },
    /// Something of a product is otherwise than its stock alone.
    #[serde(rename = "product.updated")]
    ProductUpdated {
        /// Which product.
        product_id: ProductId,
    },
    /// A product left the catalogue.
    #[serde(rename = "product.deleted")]
    ProductDeleted {
        /// Which product.
        product_id: ProductId,
    },
    /// The last of a product is gone.
    #[serde(rename = "product.out_of_stock")]
    OutOfStock {
        /// Which product.
        product_id: ProductId,
    },
    /// A product has become scarce.
    #[serde(rename = "product.low_stock")]
    LowStock {
        /// Which product.
        product_id: ProductId,
        /// How many are left.
        stock: i64,
    },
    /// A file was looked at and taken.
    #[serde(rename = "file.uploaded")]
    FileUploaded {
        /// Which file.
        file_id: FileId,
        /// Whose.
        user_id: UserId,
    },
    /// A file is gone, whoever deleted it.
    #[serde(rename = "file.deleted")]
    FileDeleted {
        /// Which file.
        file_id: FileId,
        /// Whose it was.
        user_id: UserId,
    },
}

impl Fact {
    /// Every [`kind`](Self::kind) that there is.
    pub const KINDS: [&str; 19] = [
        "auth.user_registered",
        "auth.login_success",
        "auth.login_failed",
        "auth.password_changed",
        "auth.password_reset_requested",
        "auth.verification_requested",
        "auth.email_verified",
        "auth.token_reuse_detected",
        "auth.logged_out",
        "user.roles_changed",
        "user.status_changed",
        "user.deleted",
        "product.created",
        "product.updated",
        "product.deleted",
        "product.out_of_stock",
        "product.low_stock",
        "file.uploaded",
        "file.deleted",
    ];

    /// EventBridge's `DetailType`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::UserRegistered { .. } => "auth.user_registered",
            Self::LoginSuccess { .. } => "auth.login_success",
            Self::LoginFailed { .. } => "auth.login_failed",
            Self::PasswordChanged { .. } => "auth.password_changed",
            Self::PasswordResetRequested { .. } => "auth.password_reset_requested",
            Self::VerificationRequested { .. } => "auth.verification_requested",
            Self::EmailVerified { .. } => "auth.email_verified",
            Self::TokenReuseDetected { .. } => "auth.token_reuse_detected",
            Self::LoggedOut { .. } => "auth.logged_out",
            Self::RolesChanged { .. } => "user.roles_changed",
            Self::StatusChanged { .. } => "user.status_changed",
            Self::UserDeleted { .. } => "user.deleted",
            Self::ProductCreated { .. } => "product.created",
            Self::ProductUpdated { .. } => "product.updated",
            Self::ProductDeleted { .. } => "product.deleted",
            Self::OutOfStock { .. } => "product.out_of_stock",
            Self::LowStock { .. } => "product.low_stock",
            Self::FileUploaded { .. } => "file.uploaded",
            Self::FileDeleted { .. } => "file.deleted",
        }
    }

    /// Whose account it is about, if it is about one.
    pub fn user_id(&self) -> Option<UserId> {
        match self {
            Self::UserRegistered { user_id, .. }
            | Self::LoginSuccess { user_id }
            | Self::LoginFailed { user_id }
            | Self::PasswordChanged { user_id }
            | Self::PasswordResetRequested { user_id }
            | Self::VerificationRequested { user_id }
            | Self::EmailVerified { user_id }
            | Self::TokenReuseDetected { user_id, .. }
            | Self::LoggedOut { user_id, .. }
            | Self::RolesChanged { user_id, .. }
            | Self::StatusChanged { user_id, .. }
            | Self::UserDeleted { user_id }
            | Self::FileUploaded { user_id, .. }
            | Self::FileDeleted { user_id, .. } => Some(*user_id),
            Self::ProductCreated { .. }
            | Self::ProductUpdated { .. }
            | Self::ProductDeleted { .. }
            | Self::OutOfStock { .. }
            | Self::LowStock { .. } => None,
        }
    }
}

/// A fact in its envelope: the `detail` of an EventBridge event.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// The same for every delivery of the same fact.
    pub id: Uuid,
    /// What happened.
    #[serde(flatten)]
    pub fact: Fact,
    /// When the change was made.
    pub timestamp: Timestamp,
    /// Always [`SOURCE`].
    pub source: String,
    /// The version of the envelope and its data.
    pub version: u32,
    /// The correlation id of the request that caused the change.
    #[serde(deserialize_with = "correlation_id")]
    pub correlation_id: String,
}

/// Reads a correlation id from a message: it goes into headers and logs.
pub(crate) fn correlation_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let id = String::deserialize(deserializer)?;
    if is_correlation_id(&id) { Ok(id) } else { Err(de::Error::custom("no correlation id")) }
}

impl Event {
    /// The event that version `version` of the item `entity` raised.
    ///
    /// Its id is derived from the change, so that a change that is read twice raises one event.
    pub fn raised(entity: &Entity<'_>, timestamp: Timestamp, by: &Provenance, fact: Fact) -> Self {
        let version = entity.version.to_string();
        Self {
            id: derived(&[entity.table, entity.key, &version, fact.kind()]),
            fact,
            timestamp,
            source: SOURCE.to_owned(),
            version: 1,
            correlation_id: by.correlation_id.clone(),
        }
    }
}

/// Which item at which version.
pub struct Entity<'a> {
    /// What kind of item, whatever its table is called in a stack.
    pub table: &'static str,
    /// Its key.
    pub key: &'a str,
    /// The number of its writes.
    pub version: u64,
}

impl Event {
    /// Holds a consumer to the type of event that its rule sends it ([`Error::Poison`] where it is another).
    pub fn must_be(&self, kind: &str) -> Result<()> {
        let sent = self.fact.kind();
        if sent == kind { Ok(()) } else { Err(Error::Poison(format!("a rule sent {sent} here"))) }
    }

    /// Whose account it is about ([`Error::Poison`] if it is about none).
    pub fn of_user(&self) -> Result<UserId> {
        let nobody = || Error::Poison(format!("{} is about no account", self.fact.kind()));
        self.fact.user_id().ok_or_else(nobody)
    }
}

/// An event as a queue gets it from EventBridge: the body of an SQS message.
#[derive(Serialize, Deserialize)]
pub struct OnBus {
    /// Our envelope.
    pub detail: Event,
}

impl Message for OnBus {
    fn label(&self) -> Label {
        let Event { id, fact, correlation_id, .. } = &self.detail;
        Label { kind: fact.kind(), id: *id, correlation_id: correlation_id.clone() }
    }
}

/// What a session's key looks like in an event's id.
pub fn session_key(user: UserId, session: SessionId) -> String {
    format!("{user}/{session}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_written_as_the_contract_says() {
        let now = Timestamp::from_ms(1_790_000_000_000);
        let user_id = UserId::from([7; 16]);
        let by = Provenance { correlation_id: "c-1".into(), actor: "a".into(), reason: "login".into() };
        let entity = Entity { table: "sessions", key: "k", version: 1 };
        let event = Event::raised(&entity, now, &by, Fact::LoginSuccess { user_id });
        let json = serde_json::to_value(&event).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "id": event.id.to_string(),
                "type": event.fact.kind(),
                "data": {"userId": user_id.to_string()},
                "timestamp": "2026-09-21T14:13:20.000Z",
                "source": "arcana",
                "version": 1,
                "correlationId": "c-1",
            })
        );
        assert!(serde_json::from_value::<Event>(json).unwrap() == event);
        let again = Event::raised(&entity, now.plus_ms(1), &by, Fact::LoginSuccess { user_id });
        assert_eq!(again.id, event.id, "a redelivery has the same id");
    }
}
