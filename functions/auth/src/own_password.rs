//! The password of whoever is signed in, asked for once more before something that cannot be undone.

use futures_util::future::try_join;
use shared::attempts::Attempts;
use shared::credentials::{Credential, Credentials};
use shared::email::Email;
use shared::password::{self, Password, Verified};
use shared::{Error, Init, Result};

/// Checks passwords, under the same count as logins.
pub(crate) struct OwnPassword {
    pub(crate) credentials: Credentials,
    attempts: Attempts,
}

impl OwnPassword {
    pub(crate) fn init(init: &mut Init) -> Self {
        Self { credentials: Credentials::init(init), attempts: Attempts::init(init) }
    }

    /// The credential of the account of `email`, if `password` is its password ([`Error::WrongPassword`] if not).
    pub(crate) async fn check(&self, email: &Email, password: Password, ip: &str) -> Result<Credential> {
        let (seen, credential) = try_join(self.attempts.look(email, ip), self.credentials.get(email)).await?;
        let attempt = self.attempts.reserve(seen, credential.as_ref()).await?;
        let hash = credential.as_ref().map(|credential| credential.password_hash.clone());
        match (password::verify(password, hash).await?, credential) {
            (Verified::Yes | Verified::Rehashed(_), Some(credential)) => {
                self.attempts.succeeded(&attempt, &credential).await?;
                Ok(credential)
            }
            _ => Err(Error::WrongPassword),
        }
    }
}
