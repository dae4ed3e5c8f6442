//! S3: s3s over a directory, and what it lacks: rights, events for EventBridge, CORS, conditions that hold when two write
//! at once, and a clock that can be moved.
//!
//! (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventBridge.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/cors.html>)

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::{HeaderValue, Method, StatusCode, header};
use http_body_util::BodyExt as _;
use rusqlite::{OptionalExtension as _, params};
use s3s::config::{S3Config, StaticConfigProvider};
#[allow(clippy::wildcard_imports, reason = "some fifty names of one vocabulary")]
use s3s::dto::*;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::bus::{Entry, EventBridge};
use crate::sqs::message_attributes::md5_hex;

use self::access::{Access, caller_of, value};
use self::cors::{CorsRule, preflight, rule_for};

mod access;
mod cors;
use crate::{Clock, Iam, Store};

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS bucket_cors (bucket TEXT PRIMARY KEY, rules TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS bucket_events (bucket TEXT PRIMARY KEY);
    CREATE TABLE IF NOT EXISTS untold_objects (bucket TEXT, key TEXT, PRIMARY KEY (bucket, key));";

/// The service.
pub(crate) struct Buckets {
    service: S3Service,
    store: Store,
    clock: Clock,
}

impl Buckets {
    /// Buckets in `directory`, which tell `bus` of their objects where they are asked to.
    pub(crate) fn new(
        directory: &Path,
        store: Store,
        clock: Clock,
        bus: Arc<EventBridge>,
        iam: Iam,
    ) -> Result<Self, String> {
        store.migrate(TABLES).map_err(|error| error.to_string())?;
        let files = s3s_fs::FileSystem::new(directory).map_err(|error| format!("{error:?}"))?;
        let (root, held) = (directory.to_owned(), Mutex::default());
        let access = Access::of(iam);
        let objects = Objects { files, root, held, store: store.clone(), bus, access: access.clone() };
        objects.tell_untold().map_err(|error| format!("{error:?}"))?;
        let mut builder = S3ServiceBuilder::new(objects);
        builder.set_auth(access.clone());
        builder.set_access(access);
        // What is signed by a clock that runs ahead is of the future to s3s: `is_expired` looks at it.
        let mut ahead = S3Config::default();
        ahead.presigned_url_max_skew_time_secs = u32::MAX;
        builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(ahead))));
        Ok(Self { service: builder.build(), store, clock })
    }

    /// Answers a request, or what went wrong inside.
    pub(crate) async fn answer(&self, request: Request) -> Result<Response, String> {
        let bucket =
            request.uri().path().trim_start_matches('/').split('/').next().unwrap_or_default().to_owned();
        let (method, headers) = (request.method().clone(), request.headers().clone());
        // No rule lets in what comes from no page.
        let rules = match headers.get(header::ORIGIN) {
            Some(_) => self.rules(&bucket).map_err(|error| error.to_string())?,
            None => Vec::new(),
        };
        if method == Method::OPTIONS && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
            return Ok(preflight(&rules, &headers));
        }
        let mut answer = if self.is_expired(request.uri().query().unwrap_or_default()) {
            expired()
        } else {
            let answer = self.service.clone().oneshot(request).await.map_err(|error| format!("{error:?}"))?;
            answer.map(|body| Body::new(body.map_err(axum::Error::new)))
        };
        if let Some((rule, origin)) = rule_for(&rules, &headers, method.as_str()) {
            rule.allow(&origin, answer.headers_mut());
        }
        Ok(answer)
    }

    /// Whether the query is of a request that was signed for a while which is over.
    fn is_expired(&self, query: &str) -> bool {
        let (date, seconds) = (value(query, "X-Amz-Date"), value(query, "X-Amz-Expires"));
        let (Some(date), Some(seconds)) = (date, seconds) else { return false };
        let Ok(signed) = jiff::fmt::strtime::parse("%Y%m%dT%H%M%S%z", date.replace('Z', "+0000")) else {
            return false;
        };
        let (Ok(signed), Ok(seconds)) = (signed.to_timestamp(), seconds.parse::<i64>()) else { return false };
        // No signature is good for longer than a week.
        let lasts = seconds.min(7 * 24 * 3600);
        signed.as_millisecond().saturating_add(lasts.saturating_mul(1000)) < self.clock.now_ms()
    }

    fn rules(&self, bucket: &str) -> rusqlite::Result<Vec<CorsRule>> {
        let rules: Option<String> = self.store.transaction(|tx| {
            tx.query_row("SELECT rules FROM bucket_cors WHERE bucket = ?1", [bucket], |row| row.get(0))
                .optional()
        })?;
        Ok(rules.and_then(|rules| serde_json::from_str(&rules).ok()).unwrap_or_default())
    }
}

/// What S3 answers to a request whose signature has expired.
fn expired() -> Response {
    let error = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>";
    let mut response = Response::new(Body::from(error));
    *response.status_mut() = StatusCode::FORBIDDEN;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    response
}

struct Objects {
    files: s3s_fs::FileSystem,
    root: PathBuf,
    /// The keys that are being written under a condition.
    held: Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>,
    store: Store,
    bus: Arc<EventBridge>,
    access: Access,
}

impl Objects {
    /// Waits for whoever writes the same key under a condition.
    async fn hold(&self, bucket: &str, key: &str) -> tokio::sync::OwnedMutexGuard<()> {
        let lock = {
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            held.retain(|_, lock| lock.strong_count() > 0);
            let slot = held.entry(format!("{bucket}/{key}")).or_default();
            slot.upgrade().unwrap_or_else(|| {
                let lock = Arc::default();
                *slot = Arc::downgrade(&lock);
                lock
            })
        };
        lock.lock_owned().await
    }

    /// Whether a bucket is asked to tell of its objects.
    fn tells(&self, bucket: &str) -> S3Result<bool> {
        let asked = |tx: &rusqlite::Transaction<'_>| {
            tx.query_row("SELECT 1 FROM bucket_events WHERE bucket = ?1", params![bucket], |_| Ok(()))
                .optional()
        };
        Ok(self.store.transaction(asked).map_err(internal)?.is_some())
    }

    /// Tells the default bus of an object.
    fn tell(&self, kind: &str, bucket: &str, object: Value, reason: &str) -> S3Result<()> {
        let mut detail = json!({
            "version": "0", "bucket": {"name": bucket}, "object": object, "requester": crate::ACCOUNT,
            "request-id": uuid::Uuid::new_v4().simple().to_string(), "source-ip-address": "127.0.0.1",
            "reason": reason,
        });
        if kind == "Object Deleted" {
            detail["deletion-type"] = json!("Permanently Deleted");
        }
        let entry = Entry {
            source: Some("aws.s3".to_owned()),
            detail_type: Some(kind.to_owned()),
            detail: Some(detail.to_string()),
            resources: vec![format!("arn:aws:s3:::{bucket}")],
            ..Entry::default()
        };
        self.bus.tell(&entry).map_err(internal)
    }

    /// Notes that an object is about to be written of which the bus is to hear, or forgets it.
    fn note(&self, sql: &str, bucket: &str, key: &str) -> S3Result<()> {
        self.store.transaction(|tx| tx.execute(sql, params![bucket, key])).map_err(internal)?;
        Ok(())
    }

    /// Tells of what was written when its process was killed: its writer got no answer, and may not write it again.
    fn tell_untold(&self) -> S3Result<()> {
        let untold = |tx: &rusqlite::Transaction<'_>| {
            let mut rows = tx.prepare("SELECT bucket, key FROM untold_objects")?;
            let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect::<rusqlite::Result<Vec<(String, String)>>>()
        };
        for (bucket, key) in self.store.transaction(untold).map_err(internal)? {
            if let Ok(bytes) = std::fs::read(self.root.join(&bucket).join(&key)) {
                let etag = md5_hex(&bytes);
                self.created(&bucket, &key, Some(ETag::Strong(etag)), "PutObject")?;
            }
            self.note(TOLD, &bucket, &key)?;
        }
        Ok(())
    }

    fn created(&self, bucket: &str, key: &str, etag: Option<ETag>, reason: &str) -> S3Result<()> {
        if !self.tells(bucket)? {
            return Ok(());
        }
        // Whoever heard of an earlier one may have removed it already.
        let size = std::fs::metadata(self.root.join(bucket).join(key)).map_or(0, |object| object.len());
        let etag = etag.map(ETag::into_value).unwrap_or_default();
        let object = json!({"key": key, "size": size, "etag": etag, "sequencer": sequencer()});
        self.tell("Object Created", bucket, object, reason)
    }

    fn deleted<'a>(&self, bucket: &str, keys: impl IntoIterator<Item = &'a str>) -> S3Result<()> {
        if !self.tells(bucket)? {
            return Ok(());
        }
        keys.into_iter().try_for_each(|key| {
            let object = json!({"key": key, "sequencer": sequencer()});
            self.tell("Object Deleted", bucket, object, "DeleteObject")
        })
    }
}

/// The bucket that an object is copied from.
fn source_bucket(source: &CopySource) -> String {
    match source {
        CopySource::Bucket { bucket, .. } => bucket.to_string(),
        // No access points here.
        _ => String::new(),
    }
}

/// Forgets an object of which the bus has heard.
const TOLD: &str = "DELETE FROM untold_objects WHERE bucket = ?1 AND key = ?2";

/// Grows with every event.
fn sequencer() -> String {
    uuid::Uuid::now_v7().simple().to_string().to_uppercase()
}

fn internal(error: impl std::fmt::Display) -> S3Error {
    s3_error!(InternalError, "{error}")
}

/// The operations of s3s-fs as they are, and ours.
macro_rules! operations {
    ({ $($method:ident($input:ident) -> $output:ident;)+ } $($ours:tt)*) => {
        #[async_trait::async_trait]
        impl S3 for Objects {
            $(async fn $method(&self, request: S3Request<$input>) -> S3Result<S3Response<$output>> {
                self.files.$method(request).await
            })+
            $($ours)*
        }
    };
}

operations! {
    {
        create_bucket(CreateBucketInput) -> CreateBucketOutput;
        delete_bucket(DeleteBucketInput) -> DeleteBucketOutput;
        head_bucket(HeadBucketInput) -> HeadBucketOutput;
        get_bucket_location(GetBucketLocationInput) -> GetBucketLocationOutput;
        list_buckets(ListBucketsInput) -> ListBucketsOutput;
        list_objects(ListObjectsInput) -> ListObjectsOutput;
        list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output;
        create_multipart_upload(CreateMultipartUploadInput) -> CreateMultipartUploadOutput;
        upload_part(UploadPartInput) -> UploadPartOutput;
        upload_part_copy(UploadPartCopyInput) -> UploadPartCopyOutput;
        list_parts(ListPartsInput) -> ListPartsOutput;
        abort_multipart_upload(AbortMultipartUploadInput) -> AbortMultipartUploadOutput;
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let (caller, bucket) = (caller_of(&request), request.input.bucket.clone());
        self.access.hide_missing(self.files.get_object(request).await, caller.as_ref(), &bucket)
    }

    async fn head_object(&self, request: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let (caller, bucket) = (caller_of(&request), request.input.bucket.clone());
        self.access.hide_missing(self.files.head_object(request).await, caller.as_ref(), &bucket)
    }

    async fn put_object(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let (bucket, key) = (request.input.bucket.clone(), request.input.key.clone());
        let conditional = request.input.if_none_match.is_some() || request.input.if_match.is_some();
        let _held = if conditional { Some(self.hold(&bucket, &key).await) } else { None };
        let tells = self.tells(&bucket)?;
        if tells {
            self.note("INSERT OR IGNORE INTO untold_objects VALUES (?1, ?2)", &bucket, &key)?;
        }
        let first = request.input.if_none_match.is_some();
        let response = self.files.put_object(request).await;
        // s3s-fs writes first and compares the checksum then.
        if first && response.as_ref().is_err_and(|error| *error.code() == S3ErrorCode::BadDigest) {
            std::fs::remove_file(self.root.join(&bucket).join(&key)).map_err(internal)?;
        }
        if let Ok(response) = &response {
            self.created(&bucket, &key, response.output.e_tag.clone(), "PutObject")?;
        }
        if tells {
            self.note(TOLD, &bucket, &key)?;
        }
        response
    }

    async fn copy_object(&self, request: S3Request<CopyObjectInput>) -> S3Result<S3Response<CopyObjectOutput>> {
        let (bucket, key) = (request.input.bucket.clone(), request.input.key.clone());
        // s3s does not know of this condition of a copy.
        let first = request.headers.get(header::IF_NONE_MATCH).is_some_and(|value| value == "*");
        let _held = if first { Some(self.hold(&bucket, &key).await) } else { None };
        if first && self.root.join(&bucket).join(&key).exists() {
            return Err(s3_error!(PreconditionFailed));
        }
        let (caller, source) = (caller_of(&request), source_bucket(&request.input.copy_source));
        let response = self.files.copy_object(request).await;
        let response = self.access.hide_missing(response, caller.as_ref(), &source)?;
        let etag = response.output.copy_object_result.as_ref().and_then(|result| result.e_tag.clone());
        self.created(&bucket, &key, etag, "CopyObject")?;
        Ok(response)
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let (bucket, key) = (request.input.bucket.clone(), request.input.key.clone());
        let response = self.files.complete_multipart_upload(request).await?;
        self.created(&bucket, &key, response.output.e_tag.clone(), "CompleteMultipartUpload")?;
        Ok(response)
    }

    async fn delete_object(&self, request: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        let (bucket, key) = (request.input.bucket.clone(), request.input.key.clone());
        let response = self.files.delete_object(request).await?;
        self.deleted(&bucket, [key.as_str()])?;
        Ok(response)
    }

    async fn delete_objects(
        &self,
        mut request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let bucket = request.input.bucket.clone();
        let refused = self.access.keep_deletable(&mut request);
        let mut response = if request.input.delete.objects.is_empty() {
            S3Response::new(DeleteObjectsOutput::default())
        } else {
            self.files.delete_objects(request).await?
        };
        if !refused.is_empty() {
            response.output.errors.get_or_insert_default().extend(refused);
        }
        let deleted = response.output.deleted.iter().flatten();
        self.deleted(&bucket, deleted.filter_map(|object| object.key.as_deref()))?;
        Ok(response)
    }

    async fn put_bucket_cors(&self, request: S3Request<PutBucketCorsInput>) -> S3Result<S3Response<PutBucketCorsOutput>> {
        let PutBucketCorsInput { bucket, cors_configuration, .. } = request.input;
        let rules: Vec<CorsRule> = cors_configuration.cors_rules.into_iter().map(CorsRule::of).collect();
        let rules = serde_json::to_string(&rules).map_err(internal)?;
        self.store
            .transaction(|tx| tx.execute("INSERT OR REPLACE INTO bucket_cors VALUES (?1, ?2)", params![bucket, rules]))
            .map_err(internal)?;
        Ok(S3Response::new(PutBucketCorsOutput::default()))
    }

    async fn put_bucket_notification_configuration(
        &self,
        request: S3Request<PutBucketNotificationConfigurationInput>,
    ) -> S3Result<S3Response<PutBucketNotificationConfigurationOutput>> {
        let PutBucketNotificationConfigurationInput { bucket, notification_configuration: asked, .. } = request.input;
        let others = [
            asked.lambda_function_configurations.is_some(),
            asked.queue_configurations.is_some(),
            asked.topic_configurations.is_some(),
        ];
        if others.contains(&true) {
            return Err(s3_error!(NotImplemented, "only EventBridge is told of objects here"));
        }
        let change = match asked.event_bridge_configuration {
            Some(_) => "INSERT OR IGNORE INTO bucket_events VALUES (?1)",
            None => "DELETE FROM bucket_events WHERE bucket = ?1",
        };
        self.store.transaction(|tx| tx.execute(change, params![bucket])).map_err(internal)?;
        Ok(S3Response::new(PutBucketNotificationConfigurationOutput::default()))
    }
}
