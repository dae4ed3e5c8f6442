//! An SES v2 mailbox: what is sent stays here, for a person or a test to read.

use crate::{AwsError, Clock, Reply, Store};
use rusqlite::params;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// AWS's quota, "Maximum message size (including attachments)" of the SES API v2.
const MESSAGE_LIMIT: usize = 40 * 1024 * 1024;
/// AWS's quota, "Maximum number of recipients per message".
const RECIPIENTS: usize = 50;
/// AWS's limit for `Content.Simple.Headers`.
const HEADERS: usize = 15;

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS mails (
        seq INTEGER PRIMARY KEY, id TEXT NOT NULL, recipients TEXT NOT NULL, subject TEXT NOT NULL, text TEXT, html TEXT,
        sent_ms INTEGER NOT NULL);";

/// A mail as it was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Mail {
    /// SES's MessageId.
    pub id: String,
    /// Every recipient (To, Cc and Bcc), comma separated.
    pub to: String,
    /// The subject line.
    pub subject: String,
    /// The plain text body.
    pub text: Option<String>,
    /// The HTML body.
    pub html: Option<String>,
    /// RFC 3339 in UTC, with milliseconds.
    pub sent_at: String,
}

/// The service.
pub struct Mailbox {
    store: Store,
    clock: Clock,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SendEmail {
    from_email_address: Option<String>,
    #[serde(default)]
    destination: Destination,
    #[serde(default)]
    reply_to_addresses: Vec<String>,
    content: Content,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Destination {
    to_addresses: Vec<String>,
    cc_addresses: Vec<String>,
    bcc_addresses: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Content {
    simple: Option<Simple>,
    raw: Option<Value>,
    template: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Simple {
    subject: Text,
    body: Body,
    #[serde(default)]
    headers: Vec<Header>,
    #[serde(default)]
    attachments: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Body {
    text: Option<Text>,
    html: Option<Text>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Text {
    data: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Header {
    name: String,
    value: String,
}

impl Mailbox {
    /// Opens the service on its table, making it if need be.
    pub fn new(store: Store, clock: Clock) -> Result<Self, AwsError> {
        store.migrate(TABLES)?;
        Ok(Self { store, clock })
    }

    /// SendEmail: `POST /v2/email/outbound-emails`. Custom headers are checked, then dropped.
    pub fn handle_send(&self, input: Value) -> Reply {
        let input: SendEmail = serde_json::from_value(input).map_err(|wrong| bad(wrong.to_string()))?;
        input.check_envelope()?;
        let Content { simple, raw, template } = input.content;
        if raw.is_some() || template.is_some() {
            return Err(bad("Content.Raw and Content.Template are not emulated: use Content.Simple"));
        }
        let mail = simple.ok_or_else(|| bad("Content.Simple is required"))?;
        mail.check()?;

        let id = format!("{}-000000", uuid::Uuid::new_v4());
        let recipients = input.destination.all().collect::<Vec<_>>().join(", ");
        let (text, html) = (mail.body.text.map(|text| text.data), mail.body.html.map(|html| html.data));
        self.store.transaction(|tx| {
            tx.execute(
                "INSERT INTO mails (id, recipients, subject, text, html, sent_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![id, recipients, mail.subject.data, text, html, self.clock.now_ms()],
            )?;
            Ok(json!({"MessageId": id}))
        })
    }

    /// Every mail that was sent, oldest first.
    pub fn list(&self) -> Result<Vec<Mail>, AwsError> {
        self.store.transaction(|tx| {
            let mut mails = tx.prepare_cached(
                "SELECT id, recipients, subject, text, html, sent_ms FROM mails ORDER BY seq",
            )?;
            let mails = mails.query_map([], |row| {
                Ok(Mail {
                    id: row.get(0)?,
                    to: row.get(1)?,
                    subject: row.get(2)?,
                    text: row.get(3)?,
                    html: row.get(4)?,
                    sent_at: rfc3339(row.get(5)?),
                })
            })?;
            Ok(mails.collect::<Result<_, _>>()?)
        })
    }

    /// Empties the mailbox.
    pub fn clear(&self) -> Result<(), AwsError> {
        self.store.transaction(|tx| {
            tx.execute("DELETE FROM mails", [])?;
            Ok(())
        })
    }
}

impl SendEmail {
    fn check_envelope(&self) -> Result<(), AwsError> {
        let from = self.from_email_address.as_deref().filter(|from| !from.is_empty());
        check_address(from.ok_or_else(|| bad("FromEmailAddress is required"))?)?;
        match self.destination.all().count() {
            0 => return Err(bad("Destination has no recipient")),
            1..=RECIPIENTS => {}
            _ => return Err(bad(format!("Recipient count exceeds {RECIPIENTS}."))),
        }
        self.destination.all().try_for_each(check_address)?;
        self.reply_to_addresses.iter().try_for_each(|address| check_address(address))
    }
}

impl Destination {
    fn all(&self) -> impl Iterator<Item = &str> {
        [&self.to_addresses, &self.cc_addresses, &self.bcc_addresses]
            .into_iter()
            .flatten()
            .map(String::as_str)
    }
}

impl Simple {
    fn check(&self) -> Result<(), AwsError> {
        if !self.attachments.is_empty() {
            return Err(bad("Content.Simple.Attachments is not emulated"));
        }
        if self.body.text.is_none() && self.body.html.is_none() {
            return Err(bad("Content.Simple.Body needs Text or Html"));
        }
        if self.headers.len() > HEADERS {
            return Err(bad(format!("Content.Simple.Headers has more than {HEADERS} headers")));
        }
        check_header_value("Subject", &self.subject.data)?;
        self.headers.iter().try_for_each(Header::check)?;
        if self.size() > MESSAGE_LIMIT {
            return Err(bad(format!("Message length is more than {MESSAGE_LIMIT} bytes long")));
        }
        Ok(())
    }

    fn size(&self) -> usize {
        let length = |text: &Option<Text>| text.as_ref().map_or(0, |text| text.data.len());
        let headers: usize = self.headers.iter().map(|header| header.name.len() + header.value.len()).sum();
        self.subject.data.len() + length(&self.body.text) + length(&self.body.html) + headers
    }
}

impl Header {
    fn check(&self) -> Result<(), AwsError> {
        let name = &self.name;
        if name.is_empty()
            || name.len() > 126
            || !name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':')
        {
            return Err(bad(format!("Invalid header name: {name:?}")));
        }
        if self.value.len() > 870 {
            return Err(bad(format!("The value of header {name} is longer than 870 characters")));
        }
        check_header_value(name, &self.value)
    }
}

/// A line break in a header's value would begin another header.
fn check_header_value(name: &str, value: &str) -> Result<(), AwsError> {
    if value.contains(['\r', '\n']) {
        return Err(bad(format!("Header {name} must not contain CR or LF")));
    }
    Ok(())
}

/// `user@example.com` or `Name <user@example.com>`, as far as SES itself looks at the start.
fn check_address(address: &str) -> Result<(), AwsError> {
    check_header_value("address", address)?;
    let bare = match address.rsplit_once('<') {
        Some((_, bracketed)) => bracketed.strip_suffix('>').ok_or_else(|| bad("Missing '>'"))?,
        None => address,
    };
    match bare.rsplit_once('@') {
        Some((local, domain)) if !local.is_empty() && !domain.is_empty() => {}
        _ => return Err(bad("Missing final '@domain'")),
    }
    if bare.contains(|c: char| c.is_whitespace() || c.is_control() || c == ',') {
        return Err(bad("Illegal address"));
    }
    Ok(())
}

fn rfc3339(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| String::new(), |at| format!("{at:.3}"))
}

fn bad(message: impl Into<String>) -> AwsError {
    AwsError::client("BadRequestException", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mailbox() -> Mailbox {
        Mailbox::new(Store::memory().expect("a store"), Clock::default()).expect("a mailbox")
    }

    fn mail(to: Value) -> Value {
        json!({
            "FromEmailAddress": "Shop <shop@example.com>",
            "Destination": {"ToAddresses": to},
            "Content": {"Simple": {"Subject": {"Data": "Hello"}, "Body": {"Text": {"Data": "Hi\n"}}}},
        })
    }

    fn refusal(input: Value) -> String {
        let error = mailbox().handle_send(input).expect_err("a refusal");
        assert_eq!((error.status, error.code.as_str()), (400, "BadRequestException"));
        error.message
    }

    #[test]
    fn mails_are_listed_oldest_first_until_cleared() {
        let mailbox = mailbox();
        let sent = mailbox.handle_send(mail(json!(["a@example.com"]))).expect("sent");
        mailbox.handle_send(mail(json!(["b@example.com", "c@example.com"]))).expect("sent");
        let mails = mailbox.list().expect("a list");
        assert_eq!(
            mails.iter().map(|mail| mail.to.as_str()).collect::<Vec<_>>(),
            ["a@example.com", "b@example.com, c@example.com"]
        );
        let first = serde_json::to_value(&mails[0]).expect("JSON");
        assert_eq!(first["id"], sent["MessageId"]);
        assert_eq!(first["html"], Value::Null);
        let at = first["sentAt"].as_str().expect("a time");
        assert!(at.len() == "2025-01-01T00:00:00.000Z".len() && at.ends_with('Z'), "{at}");
        mailbox.clear().expect("cleared");
        assert!(mailbox.list().expect("a list").is_empty());
    }

    #[test]
    fn an_envelope_needs_a_sender_and_one_to_fifty_recipients() {
        assert!(refusal(mail(json!([]))).contains("no recipient"));
        assert!(refusal(mail(json!(vec!["a@example.com"; 51]))).contains("exceeds 50"));
        assert!(refusal(mail(json!(["nobody"]))).contains("@domain"));
        let mut anonymous = mail(json!(["a@example.com"]));
        anonymous["FromEmailAddress"] = json!("");
        assert!(refusal(anonymous).contains("FromEmailAddress"));
    }

    #[test]
    fn a_line_break_cannot_smuggle_a_header_in() {
        assert!(refusal(mail(json!(["a@example.com\r\nBcc: b@example.com"]))).contains("CR or LF"));
        let mut subject = mail(json!(["a@example.com"]));
        subject["Content"]["Simple"]["Subject"]["Data"] = json!("x\nBcc: b@example.com");
        assert!(refusal(subject).contains("CR or LF"));
        let mut header = mail(json!(["a@example.com"]));
        header["Content"]["Simple"]["Headers"] = json!([{"Name": "X-Note", "Value": "a\rb"}]);
        assert!(refusal(header).contains("CR or LF"));
    }

    #[test]
    fn what_is_not_emulated_says_so() {
        for content in [json!({"Raw": {"Data": ""}}), json!({"Template": {"TemplateName": "t"}})] {
            let mut input = mail(json!(["a@example.com"]));
            input["Content"] = content;
            assert!(refusal(input).contains("not emulated"));
        }
    }
}
