//! `email-worker`: sends each mail of the `emails` queue, once.

use std::time::{Duration, Instant};

use aws_sdk_sesv2::Client;
use aws_sdk_sesv2::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_sesv2::operation::send_email::SendEmailError;
use aws_sdk_sesv2::types::{Body, Content, Destination, EmailContent, Message};
use shared::aws::pause;
use shared::clock::Clock;
use shared::function::{Consumer, Delivery};
use shared::id::UserId;
use shared::job::{EmailJob, Mail};
use shared::log::OF_MAIL;
use shared::one_time::{Links, OneTimeTokens, Purpose};
use shared::receipts::Receipts;
use shared::{Error, Function, Init, Result};

use self::letter::Letter;

mod letter;

/// `email-worker`.
pub static FUNCTION: Function = Function::queue::<EmailWorker>("email-worker");

/// How long SES may say that it is asked for too many mails: well inside what a claimed job has.
const PATIENCE: Duration = Duration::from_secs(15);
/// The longest pause before it is asked again.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What sending mails needs.
pub struct EmailWorker {
    ses: Client,
    receipts: Receipts,
    tokens: OneTimeTokens,
    links: Links,
    clock: Clock,
    from: String,
    configuration_set: String,
    /// Who is told of stocks.
    shop: String,
    app: String,
}

impl Consumer for EmailWorker {
    type Message = EmailJob;

    fn init(init: &mut Init) -> Self {
        Self {
            ses: init.ses(),
            receipts: Receipts::init(init),
            tokens: OneTimeTokens::init(init),
            links: Links::init(init),
            clock: init.clock(),
            from: init.text("MAIL_FROM"),
            configuration_set: init.text("MAIL_CONFIGURATION_SET"),
            shop: init.text("STOCK_ALERT_TO"),
            app: init.text("APP_BASE_URL"),
        }
    }

    async fn consume(&self, job: EmailJob, _: &Delivery) -> Result<()> {
        let Some((to, letter)) = self.write(&job.mail).await? else {
            tracing::info!(id = %job.id, job = job.mail.kind(), "dropped: its link was used or has expired");
            return Ok(());
        };
        let send = async {
            self.send(to, letter).await?;
            let kind = job.mail.kind();
            tracing::info!(id = %job.id, job = kind, MailsSent = 1, metrics = OF_MAIL, "sent");
            Ok(())
        };
        self.receipts.once(job.id, send).await
    }
}

impl EmailWorker {
    /// The mail of a job and whom it goes to; nothing where the link that it is for works no longer.
    async fn write<'a>(&'a self, mail: &'a Mail) -> Result<Option<(&'a str, Letter)>> {
        let (email, letter) = match mail {
            Mail::Welcome { user_id, email, name } => {
                let link = self.link(*user_id, Purpose::VerifyEmail).await?;
                (email.as_str(), Letter::welcome(name, link.as_deref())?)
            }
            Mail::VerifyEmail { user_id, email, name } => {
                let Some(link) = self.link(*user_id, Purpose::VerifyEmail).await? else { return Ok(None) };
                (email.as_str(), Letter::verify_email(name, &link)?)
            }
            Mail::PasswordReset { user_id, email, name } => {
                let Some(link) = self.link(*user_id, Purpose::ResetPassword).await? else { return Ok(None) };
                (email.as_str(), Letter::password_reset(name, &link)?)
            }
            Mail::SecurityAlert { email, name, alert, at, .. } => {
                (email.as_str(), Letter::security_alert(name, *alert, *at)?)
            }
            Mail::StockAlert { product_id, product, stock } => {
                (self.shop.as_str(), Letter::stock_alert(*product_id, product.as_str(), *stock)?)
            }
        };
        Ok(Some((email, letter)))
    }

    /// The link with a user's present token. It is made here and nowhere else, and kept nowhere. The token
    /// stands behind `#`, so that no server on the way writes it down.
    async fn link(&self, user: UserId, purpose: Purpose) -> Result<Option<String>> {
        let token = self.tokens.get(user, purpose, self.clock.now()).await?;
        Ok(token.map(|token| format!("{}/{}#token={}", self.app, purpose.name(), self.links.seal(&token))))
    }

    async fn send(&self, to: &str, Letter { subject, html, text }: Letter) -> Result<()> {
        let body = Body::builder().html(utf8(html)?).text(utf8(text)?).build();
        let message = Message::builder().subject(utf8(subject.into_owned())?).body(body).build();
        let request = self
            .ses
            .send_email()
            .from_email_address(&self.from)
            .configuration_set_name(&self.configuration_set)
            .destination(Destination::builder().to_addresses(to).build())
            .content(EmailContent::builder().simple(message).build());
        let started = Instant::now();
        loop {
            match request.clone().send().await {
                // It has not sent the mail.
                Err(error) if is_too_fast(&error) && started.elapsed() < PATIENCE => {
                    pause(LONGEST_PAUSE).await?;
                }
                answer => return answer.map(drop).map_err(without_message),
            }
        }
    }
}

/// Whether SES has been asked for more mails than it sends a second
/// (<https://docs.aws.amazon.com/ses/latest/dg/manage-sending-quotas-errors.html>).
fn is_too_fast(error: &SdkError<SendEmailError>) -> bool {
    let too_many = error.as_service_error().filter(|error| error.is_too_many_requests_exception());
    // What is over the quota of a day, no pause of seconds lets through.
    too_many.is_some_and(|error| !error.message().unwrap_or_default().starts_with("Daily"))
}

/// SES's messages quote the addresses that they are about: only the error's code may be logged.
fn without_message(error: SdkError<SendEmailError>) -> Error {
    let code = error.code().unwrap_or_default().to_owned();
    match Error::from(error) {
        Error::Internal(_) => Error::internal(format!("SES refused the mail: {code}")),
        Error::Unavailable(_) => Error::unavailable(format!("SES is not available: {code}")),
        other => other,
    }
}

fn utf8(data: String) -> Result<Content> {
    Content::builder().charset("UTF-8").data(data).build().map_err(Error::internal)
}
