//! Jobs: work that a queue holds until a worker has done it.

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::email::Email;
use crate::event::{Event, correlation_id};
use crate::function::{Label, Message};
use crate::id::{ProductId, UserId, derived};
use crate::init::Init;
use crate::text::Name;
use crate::time::Timestamp;
use crate::users::User;
use crate::{Error, Result};

/// A job of the `emails` queue: one mail. It has no `Debug`: it holds email addresses.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EmailJob {
    /// The same for every delivery of the same job: one mail is sent for it.
    pub id: Uuid,
    /// Which mail.
    #[serde(flatten)]
    pub mail: Mail,
    /// The correlation id of the request that caused it.
    #[serde(deserialize_with = "correlation_id")]
    pub correlation_id: String,
}

impl EmailJob {
    /// The job that an event asks for. Its id is derived, so that a job queued twice is still one mail.
    pub fn of(event: &Event, mail: Mail) -> Self {
        let id = derived(&[mail.kind(), &event.id.to_string()]);
        Self { id, mail, correlation_id: event.correlation_id.clone() }
    }
}

/// Which mail to send, with what it needs to be written.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "job", content = "data", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Mail {
    /// Greets a new user.
    Welcome {
        /// Whom.
        user_id: UserId,
        /// Where the mail goes.
        email: Email,
        /// How the mail addresses them.
        name: String,
    },
    /// Has the link to set a new password.
    PasswordReset {
        /// Whose.
        user_id: UserId,
        /// Where the mail goes.
        email: Email,
        /// How the mail addresses them.
        name: String,
    },
    /// Has another link to verify the address.
    VerifyEmail {
        /// Whose.
        user_id: UserId,
        /// Where the mail goes.
        email: Email,
        /// How the mail addresses them.
        name: String,
    },
    /// Tells of something that its reader may not have done.
    SecurityAlert {
        /// Whose account.
        user_id: UserId,
        /// Where the mail goes.
        email: Email,
        /// How the mail addresses them.
        name: String,
        /// What happened.
        alert: Alert,
        /// When.
        at: Timestamp,
    },
    /// Tells those who run the shop that a product is scarce or gone.
    StockAlert {
        /// Which product.
        product_id: ProductId,
        /// What it is called.
        product: Name,
        /// How many there were left.
        stock: i64,
    },
}

/// What a security alert is about.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Alert {
    /// The account has another password.
    PasswordChanged,
    /// A refresh token was used twice.
    TokenReuse,
}

impl Mail {
    /// A security alert to a user.
    pub fn security_alert(user: User, alert: Alert, at: Timestamp) -> Self {
        Self::SecurityAlert { user_id: user.id, email: user.email, name: user.name, alert, at }
    }

    /// The job's name.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Welcome { .. } => "welcome",
            Self::PasswordReset { .. } => "password-reset",
            Self::VerifyEmail { .. } => "verify-email",
            Self::SecurityAlert { .. } => "security-alert",
            Self::StockAlert { .. } => "stock-alert",
        }
    }
}

impl Message for EmailJob {
    fn label(&self) -> Label {
        Label { kind: self.mail.kind(), id: self.id, correlation_id: self.correlation_id.clone() }
    }
}

/// A job of the `user-sync` queue.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SyncJob {
    /// The same for every delivery of the same job.
    pub id: Uuid,
    /// What to do.
    #[serde(flatten)]
    pub sync: Sync,
    /// The correlation id of the request that changed the account last.
    #[serde(deserialize_with = "correlation_id")]
    pub correlation_id: String,
}

/// What to tell the external directory.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "job", content = "data", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Sync {
    /// An account as it is when the job is done.
    UserSync {
        /// Which account.
        user_id: UserId,
        /// From when on telling it is due: it is done by another, if that is otherwise by then.
        due: Timestamp,
    },
}

impl SyncJob {
    /// The job to tell the directory of an account.
    pub fn new(user_id: UserId, due: Timestamp, correlation_id: String) -> Self {
        let id = derived(&["user-sync", &user_id.to_string(), &due.to_string()]);
        Self { id, sync: Sync::UserSync { user_id, due }, correlation_id }
    }
}

impl Message for SyncJob {
    fn label(&self) -> Label {
        Label { kind: "user-sync", id: self.id, correlation_id: self.correlation_id.clone() }
    }
}

/// The queue of accounts that the directory is to be told of.
pub struct Syncs {
    client: Client,
    url: String,
}

impl Syncs {
    /// Messages of one call at most.
    pub const AT_ONCE: usize = 10;

    /// Reads `USER_SYNC_QUEUE_URL`.
    pub fn init(init: &mut Init) -> Self {
        Self { client: init.sqs(), url: init.text("USER_SYNC_QUEUE_URL") }
    }

    /// Queues jobs, [`AT_ONCE`](Self::AT_ONCE) at most.
    pub async fn send(&self, jobs: &[SyncJob]) -> Result<()> {
        let entry = |job: &SyncJob| -> Result<SendMessageBatchRequestEntry> {
            let body = serde_json::to_string(job).map_err(Error::internal)?;
            let entry = SendMessageBatchRequestEntry::builder().id(job.id.to_string()).message_body(body);
            entry.build().map_err(Error::internal)
        };
        let entries = jobs.iter().map(entry).collect::<Result<Vec<_>>>()?;
        let answer = self.client.send_message_batch().queue_url(&self.url).set_entries(Some(entries));
        match answer.send().await?.failed() {
            [] => Ok(()),
            failed => Err(Error::unavailable(format!("{} jobs were not queued", failed.len()))),
        }
    }
}

/// The queue of mails.
pub struct Emails {
    client: Client,
    url: String,
}

impl Emails {
    /// Reads `EMAILS_QUEUE_URL`.
    pub fn init(init: &mut Init) -> Self {
        Self { client: init.sqs(), url: init.text("EMAILS_QUEUE_URL") }
    }

    /// Queues a job. Sending it twice is no harm: its id tells.
    pub async fn send(&self, job: &EmailJob) -> Result<()> {
        let body = serde_json::to_string(job).map_err(Error::internal)?;
        self.client.send_message().queue_url(&self.url).message_body(body).send().await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_written_as_the_contract_says() {
        let id = Uuid::from_u128(1);
        let user_id = UserId::from([7; 16]);
        let email: Email = "ada@example.com".parse().unwrap();
        let mail = Mail::Welcome { user_id, email, name: "Ada".into() };
        let job = EmailJob { id, mail, correlation_id: "c-1".into() };
        assert_eq!(
            serde_json::to_value(&job).unwrap(),
            serde_json::json!({
                "id": id.to_string(),
                "job": "welcome",
                "data": {"userId": user_id.to_string(), "email": "ada@example.com", "name": "Ada"},
                "correlationId": "c-1",
            })
        );
    }
}
