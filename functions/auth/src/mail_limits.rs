//! How often mails may be asked for.

use shared::attempts::account_key;
use shared::email::Email;
use shared::limits::{Limit, Limits, network};
use shared::one_time::Purpose;
use shared::{Error, Init, Result};

/// An hour, in seconds: the window of all these limits.
pub(crate) const HOUR: i64 = 3600;

/// The limits of mails that somebody asks for.
pub(crate) struct MailLimits {
    limits: Limits,
    per_account: i64,
    per_address: i64,
}

impl MailLimits {
    /// Reads `MAILS_PER_ACCOUNT` and `MAIL_REQUESTS_PER_ADDRESS`, both an hour.
    pub(crate) fn init(init: &mut Init) -> Self {
        Self {
            limits: Limits::init(init),
            per_account: init.number("MAILS_PER_ACCOUNT"),
            per_address: init.number("MAIL_REQUESTS_PER_ADDRESS"),
        }
    }

    /// Counts a request of an address ([`Error::TooManyRequests`] if it is one too many).
    pub(crate) async fn request(&self, source_ip: &str) -> Result<()> {
        let limit = Limit { what: "mail-request", most: self.per_address, seconds: HOUR };
        self.limits.reserve(limit, &network(source_ip)).await
    }

    /// Counts a mail to an account; answers whether it may be sent. Each kind is counted apart, so that who asks
    /// for one does not use up the other.
    pub(crate) async fn mail(&self, purpose: Purpose, email: &Email) -> Result<bool> {
        let limit = Limit { what: purpose.name(), most: self.per_account, seconds: HOUR };
        match self.limits.reserve(limit, &account_key(email)).await {
            Ok(()) => Ok(true),
            Err(Error::TooManyRequests { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
