//! The bucket of files: what clients may do with it for a while, and what functions do.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use aws_sdk_s3::Client;
use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::operation::get_object::GetObjectError;
use aws_sdk_s3::operation::head_object::HeadObjectError;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{Delete, MetadataDirective, ObjectIdentifier};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use schemars::JsonSchema;
use serde::Serialize;

use super::File;
use crate::clock::Clock;
use crate::init::Init;
use crate::sha256::Sha256;
use crate::time::Timestamp;
use crate::{Error, Result};

/// How long a client may begin to upload, in seconds.
pub const UPLOAD_SECONDS: i64 = 15 * 60;
/// How long a client may begin to download, in seconds.
pub const DOWNLOAD_SECONDS: i64 = 3600;
/// Where objects lie that were not looked at yet.
const QUARANTINE: &str = "quarantine/";

/// The bucket.
#[derive(Clone)]
pub struct Objects {
    client: Client,
    bucket: String,
    clock: Clock,
}

/// How a client uploads a file: a request that S3 takes as it is described here, and no other.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Upload {
    /// Always `PUT`.
    method: String,
    /// Where to. It is a secret for as long as it lives.
    url: String,
    /// Headers to send, these very values; `Content-Length` comes by itself and must be the size.
    headers: BTreeMap<String, String>,
    /// Until when.
    expires_at: Timestamp,
}

/// How a client downloads a file.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Download {
    /// Where from, by `GET`. It is a secret for as long as it lives.
    download_url: String,
    /// Until when.
    expires_at: Timestamp,
}

/// An object whose bytes are still to be read.
pub struct Object {
    /// Which bytes these are.
    pub etag: String,
    /// How many.
    pub size: i64,
    /// They themselves.
    pub body: ByteStream,
}

impl Objects {
    /// Reads `FILES_BUCKET`.
    pub fn init(init: &mut Init) -> Self {
        Self { client: init.aws().s3(), bucket: init.text("FILES_BUCKET"), clock: init.clock() }
    }

    /// Lets whoever gets the answer put what was promised of a file, as long as nothing lies there.
    ///
    /// Everything is bound by headers that are signed: S3 does not hold a client to a query parameter of that name
    /// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-presigned-url.html>). Other headers a client may add,
    /// as a `Content-Encoding`: of those nothing comes along when the object is promoted.
    pub async fn upload(&self, file: &Promised<'_>) -> Result<Upload> {
        let (config, expires_at) = self.expiring(UPLOAD_SECONDS)?;
        let put = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(file.quarantine)
            .content_length(file.size)
            .content_type(file.content_type)
            .set_checksum_sha256(file.sha256.map(|sha256| sha256.base64()))
            .if_none_match("*");
        let request = put.presigned(config).await?;
        // A browser sets it itself, and lets no page do so.
        let headers = request.headers().filter(|(name, _)| *name != "content-length");
        Ok(Upload {
            method: request.method().to_owned(),
            url: request.uri().to_owned(),
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            expires_at,
        })
    }

    /// Lets whoever gets the answer read `file`, which a browser then saves under its name.
    pub async fn download(&self, file: &File) -> Result<Download> {
        let (config, expires_at) = self.expiring(DOWNLOAD_SECONDS)?;
        let get = self.client.get_object().bucket(&self.bucket).key(&file.key);
        let request = get.presigned(config).await?;
        Ok(Download { download_url: request.uri().to_owned(), expires_at })
    }

    /// What a signature made now takes to hold for `seconds`, and until when that is: S3 counts in whole seconds.
    fn expiring(&self, seconds: i64) -> Result<(PresigningConfig, Timestamp)> {
        let now = self.clock.now().seconds();
        let span = |seconds: i64| u64::try_from(seconds).map(Duration::from_secs).map_err(Error::internal);
        let config =
            PresigningConfig::builder().start_time(UNIX_EPOCH + span(now)?).expires_in(span(seconds)?);
        Ok((config.build().map_err(Error::internal)?, Timestamp::from_ms((now + seconds) * 1000)))
    }

    /// Begins to read an object; nothing if it is not there.
    pub async fn get(&self, key: &str) -> Result<Option<Object>> {
        match self.client.get_object().bucket(&self.bucket).key(key).send().await {
            Ok(output) => Ok(Some(Object {
                etag: output.e_tag.ok_or_else(|| Error::internal("an object without an ETag"))?,
                size: output.content_length.ok_or_else(|| Error::internal("an object without a size"))?,
                body: output.body,
            })),
            Err(error) if error.as_service_error().is_some_and(GetObjectError::is_no_such_key) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Copies what was uploaded for `file` to its place, with what a browser is to know of it, if it still has the bytes
    /// of `etag` and no others lie there ([`Error::Changed`] otherwise). A second copy changes nothing.
    pub async fn promote(&self, file: &File, etag: &str) -> Result<()> {
        // Our keys have no character that would have to be encoded.
        let source = format!("{}/{}", self.bucket, quarantine_key(file.id));
        let copy = self
            .client
            .copy_object()
            .bucket(&self.bucket)
            .key(&file.key)
            .if_none_match("*")
            .copy_source(source)
            .copy_source_if_match(etag)
            .metadata_directive(MetadataDirective::Replace)
            .content_type(file.extension.content_type())
            .content_disposition(attachment(&file.filename));
        let Err(error) = copy.send().await else { return Ok(()) };
        match error.as_service_error().and_then(|error| error.code()) {
            // It was copied before.
            Some("PreconditionFailed") if self.etag(&file.key).await?.as_deref() == Some(etag) => Ok(()),
            Some("PreconditionFailed" | "NoSuchKey") => Err(Error::Changed),
            _ => Err(error.into()),
        }
    }

    /// Which bytes lie at `key`, if any do.
    async fn etag(&self, key: &str) -> Result<Option<String>> {
        match self.client.head_object().bucket(&self.bucket).key(key).send().await {
            Ok(output) => Ok(output.e_tag),
            Err(error) if error.as_service_error().is_some_and(HeadObjectError::is_not_found) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes objects, at most 1,000, whether they are there or not.
    pub async fn remove(&self, keys: impl IntoIterator<Item = String>) -> Result<()> {
        let object = |key| ObjectIdentifier::builder().key(key).build().map_err(Error::internal);
        let objects = keys.into_iter().map(object).collect::<Result<Vec<_>>>()?;
        if objects.is_empty() {
            return Ok(());
        }
        let delete =
            Delete::builder().set_objects(Some(objects)).quiet(true).build().map_err(Error::internal)?;
        let answer = self.client.delete_objects().bucket(&self.bucket).delete(delete).send().await?;
        match answer.errors().first() {
            None => Ok(()),
            Some(error) => {
                let (code, message) = (error.code().unwrap_or_default(), error.message().unwrap_or_default());
                Err(Error::unavailable(format!("an object was not removed: {code}: {message}")))
            }
        }
    }
}

/// The bytes that a client has promised.
pub struct Promised<'a> {
    /// Where they go.
    pub quarantine: &'a str,
    /// How many.
    pub size: i64,
    /// Of which media type.
    pub content_type: &'a str,
    /// Their checksum, if the client has told it.
    pub sha256: Option<Sha256>,
}

/// Where the bytes of a file go that was not looked at yet.
pub fn quarantine_key(id: super::FileId) -> String {
    format!("{QUARANTINE}{id}")
}

/// The file whose bytes lie at `key`, if they were not looked at yet.
pub fn quarantined(key: &str) -> Option<super::FileId> {
    key.strip_prefix(QUARANTINE)?.parse().ok()
}

/// What `filename*` takes as it is (RFC 8187, section 3.2.1).
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// The longest name that a file system takes, in bytes. S3 takes 2 KB of such headers, and in one each byte may be three.
const LONGEST: usize = 255;

/// The name, with the end of its stem cut off if it is longer than [`LONGEST`].
fn cut(name: &str) -> String {
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    let room = LONGEST.saturating_sub(extension.len() + 1).min(stem.len());
    format!("{}.{extension}", &stem[..stem.floor_char_boundary(room)])
}

/// The `Content-Disposition` that has a browser save a file under this name (RFC 6266): in `filename` with an `_` for
/// what every program may not read, in `filename*` as it is.
fn attachment(name: &str) -> String {
    let name = &cut(name);
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '%') || c == ' ';
    let fallback: String = name.chars().map(|c| if plain(c) { c } else { '_' }).collect();
    format!("attachment; filename=\"{fallback}\"; filename*=UTF-8''{}", utf8_percent_encode(name, PLAIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_download_has_the_name_that_it_was_uploaded_with() {
        assert_eq!(
            attachment("r\u{e9}sum\u{e9} \"1\".pdf"),
            "attachment; filename=\"r_sum_ _1_.pdf\"; filename*=UTF-8''r%C3%A9sum%C3%A9%20%221%22.pdf"
        );
        assert_eq!(attachment("a.pdf"), "attachment; filename=\"a.pdf\"; filename*=UTF-8''a.pdf");
        let long = attachment(&format!("{}.xlsx", "\u{1f600}".repeat(250)));
        assert!(
            long.ends_with(&format!("{}.xlsx", "%F0%9F%98%80".repeat(62))) && long.len() < 2048,
            "{long}"
        );
    }
}
