//! The external directory's endpoint: `PUT {USER_SYNC_URL}/{user id}`, signed as Standard Webhooks are
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>), so that a directory can check it by
//! a library of its own language.

use std::time::Duration;

use aws_smithy_runtime_api::http::Request;
use aws_smithy_types::body::SdkBody;
use serde::Serialize;
use shared::directory::Entry;
use shared::id::{UserId, derived};
use shared::init::Secret;
use shared::keys::WebhookKeys;
use shared::outgoing::Outgoing;
use shared::time::Timestamp;
use shared::users::User;
use shared::{Error, Init};

/// How long to wait for a connection.
const CONNECT: Duration = Duration::from_secs(3);
/// How long the directory may take: ten accounts are told at once, and all of them have to be done before a function gives up.
const WHOLE: Duration = Duration::from_secs(10);

/// Where the directory is, and what it knows us by.
pub(super) struct Endpoint {
    /// Without a slash at its end; nothing where there is no directory.
    url: String,
    keys: Secret<WebhookKeys>,
    outgoing: Outgoing,
}

/// What the directory is sent.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told<'a> {
    id: UserId,
    /// What a directory has of a higher version is newer: a request that was long on its way is told by it.
    version: u64,
    created_at: Timestamp,
    updated_at: Timestamp,
    #[serde(flatten)]
    entry: Entry<'a>,
}

impl Endpoint {
    /// Reads `USER_SYNC_URL` (`none` where there is no directory) and the secret that `USER_SYNC_SECRET_ARN` names.
    pub(super) fn init(init: &mut Init) -> Self {
        let is_local = init.aws().is_local();
        let url = init.parsed("USER_SYNC_URL", |url| parse(url, is_local));
        let outgoing = Outgoing::public(url.starts_with("http://"), CONNECT, WHOLE);
        Self { url, keys: init.secret("USER_SYNC_SECRET_ARN"), outgoing }
    }

    /// Tells the directory of an account, or says why that failed: nothing of what is said is the account's.
    pub(super) async fn tell(&self, user: &User, now: Timestamp, correlation_id: &str) -> Result<(), String> {
        if self.url.is_empty() {
            // There was one when the job was made: now there is nobody to tell.
            return Ok(());
        }
        let request = self.request(user, now, correlation_id).map_err(|error| error.cause())?;
        let status = self.outgoing.send_to(&format!("{}/{}", self.url, user.id), request).await;
        match status.map_err(|error| error.cause())? {
            status if status.is_success() => Ok(()),
            // A redirect is followed nowhere: what was signed for one is not for another.
            status => Err(format!("it answered {}", status.as_u16())),
        }
    }

    fn request(&self, user: &User, now: Timestamp, correlation_id: &str) -> Result<Request, Error> {
        let User { id, version, created_at, updated_at, .. } = *user;
        let told = Told { id, version, created_at, updated_at, entry: Entry::of(user) };
        let body = serde_json::to_string(&told).map_err(Error::internal)?;
        let message = derived(&["user-sync", &id.to_string(), &version.to_string()]).to_string();
        let signature = self.keys.sign(&message, now.seconds(), &body);
        let mut request = Request::new(SdkBody::from(body));
        request.set_method("PUT").map_err(Error::internal)?;
        for (name, value) in [
            ("content-type", "application/json".to_owned()),
            ("user-agent", "arcana".to_owned()),
            ("webhook-id", message),
            ("webhook-timestamp", now.seconds().to_string()),
            ("webhook-signature", signature),
            ("x-correlation-id", correlation_id.to_owned()),
        ] {
            request.headers_mut().try_insert(name, value).map_err(Error::internal)?;
        }
        Ok(request)
    }
}

/// Reads the directory's URL.
fn parse(url: &str, is_local: bool) -> Result<String, String> {
    if url == "none" {
        return Ok(String::new());
    }
    let parsed: http::Uri = url.parse().map_err(|_| "is no URL".to_owned())?;
    match parsed.scheme_str() {
        Some("https") => {}
        Some("http") if is_local => {}
        _ => return Err("is not an https:// URL".to_owned()),
    }
    if parsed.authority().is_none_or(|authority| authority.as_str().contains('@')) || parsed.query().is_some()
    {
        return Err("must have a host, and neither a user nor a query".to_owned());
    }
    Ok(url.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_directory_is_spoken_to_over_tls_but_on_a_laptop() {
        assert_eq!(parse("none", false).as_deref(), Ok(""));
        assert_eq!(parse("https://example.com/users/", false).as_deref(), Ok("https://example.com/users"));
        assert_eq!(parse("http://127.0.0.1:9", true).as_deref(), Ok("http://127.0.0.1:9"));
        for wrong in [
            "http://example.com",
            "http://127.0.0.1:9001",
            "ftp://example.com",
            "example.com",
            "/users",
            "https://ada:secret@example.com",
            "https://example.com/?token=1",
            "https:// example.com",
        ] {
            let said = parse(wrong, false).unwrap_err();
            assert!(!said.contains("secret"), "{said}");
        }
    }
}
