//! `email-worker`: sends each mail of the `emails` queue, once.

use askama::Template;
use aws_sdk_sesv2::Client;
use aws_sdk_sesv2::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_sesv2::operation::send_email::SendEmailError;
use aws_sdk_sesv2::types::{Body, Content, Destination, EmailContent, Message};
use shared::function::{Consumer, Delivery};
use shared::job::{EmailJob, Mail};
use shared::receipts::Receipts;
use shared::{Error, Function, Init, Result};

/// `email-worker`.
pub static FUNCTION: Function = Function::queue::<EmailWorker>("email-worker");

/// What sending mails needs.
pub struct EmailWorker {
    ses: Client,
    receipts: Receipts,
    from: String,
}

/// A mail as it is sent. It has no `Debug`.
struct Written {
    to: String,
    subject: &'static str,
    html: String,
    text: String,
}

#[derive(Template)]
#[template(path = "welcome.html")]
struct WelcomeHtml<'a> {
    name: &'a str,
}

#[derive(Template)]
#[template(path = "welcome.txt")]
struct WelcomeText<'a> {
    name: &'a str,
}

impl Consumer for EmailWorker {
    type Message = EmailJob;

    fn init(init: &mut Init) -> Self {
        Self { ses: init.aws().ses(), receipts: Receipts::init(init), from: init.text("MAIL_FROM") }
    }

    async fn consume(&self, job: EmailJob, _: &Delivery) -> Result<()> {
        let mail = write(&job.mail)?;
        self.receipts.once(job.id, self.send(mail)).await
    }
}

impl EmailWorker {
    async fn send(&self, mail: Written) -> Result<()> {
        let body = Body::builder().html(utf8(mail.html)?).text(utf8(mail.text)?).build();
        let message = Message::builder().subject(utf8(mail.subject.to_owned())?).body(body).build();
        self.ses
            .send_email()
            .from_email_address(&self.from)
            .destination(Destination::builder().to_addresses(mail.to).build())
            .content(EmailContent::builder().simple(message).build())
            .send()
            .await
            .map_err(without_message)?;
        Ok(())
    }
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

fn write(mail: &Mail) -> Result<Written> {
    match mail {
        Mail::Welcome { email, name, .. } => Ok(Written {
            to: email.to_string(),
            subject: "Welcome to Arcana!",
            html: WelcomeHtml { name }.render().map_err(Error::internal)?,
            text: WelcomeText { name }.render().map_err(Error::internal)?,
        }),
    }
}

fn utf8(data: String) -> Result<Content> {
    Content::builder().charset("UTF-8").data(data).build().map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::id::UserId;

    #[test]
    fn a_name_cannot_write_markup_into_a_mail() {
        let email = "ada@example.com".parse().unwrap();
        let name = "<script>alert(1)</script>".to_owned();
        let mail = write(&Mail::Welcome { user_id: UserId::from([7; 16]), email, name }).unwrap();
        assert!(!mail.html.contains("<script>"));
        assert!(mail.text.contains("<script>"), "plain text needs no escaping");
    }
}
