//! Who may do what with which object.
//! (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html>)

use http::HeaderMap;
use percent_encoding::percent_decode_str;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::dto::{DeleteObjectsInput, Error};
use s3s::path::S3Path;
use s3s::{S3ErrorCode, S3Request, S3Result, s3_error};

use crate::Iam;
use crate::iam::{Caller, Need};

/// Asks [`Iam`].
#[derive(Clone)]
pub(super) struct Access {
    iam: Iam,
}

impl Access {
    pub(super) fn of(iam: Iam) -> Self {
        Self { iam }
    }

    /// A bucket's objects that are not there are no secret for whoever may list it. To anybody else each of them is denied.
    pub(super) fn hide_missing<T>(
        &self,
        answer: S3Result<T>,
        caller: Option<&Caller>,
        bucket: &str,
    ) -> S3Result<T> {
        match answer {
            Err(error) if *error.code() == S3ErrorCode::NoSuchKey => {
                self.authorize(caller, &[Need::new("s3:ListBucket", bucket_arn(bucket))])?;
                Err(error)
            }
            other => other,
        }
    }

    /// Leaves in a request to delete objects those that its caller may delete; answers what is said of the others.
    pub(super) fn keep_deletable(&self, request: &mut S3Request<DeleteObjectsInput>) -> Vec<Error> {
        let (bucket, caller) = (request.input.bucket.clone(), caller_of(request));
        let objects = std::mem::take(&mut request.input.delete.objects);
        let mut refused = Vec::new();
        for object in objects {
            let need = Need::new("s3:DeleteObject", object_arn(&bucket, &object.key));
            match is_a_file(&object.key).and_then(|()| self.authorize(caller.as_ref(), &[need])) {
                Ok(()) => request.input.delete.objects.push(object),
                Err(error) => refused.push(Error {
                    code: Some(error.code().as_str().to_owned()),
                    key: Some(object.key),
                    message: error.message().map(ToOwned::to_owned),
                    version_id: None,
                }),
            }
        }
        refused
    }

    fn authorize(&self, caller: Option<&Caller>, needs: &[Need]) -> S3Result<()> {
        let caller = caller.ok_or_else(|| s3_error!(AccessDenied))?;
        self.iam.authorize(caller, needs).map_err(|error| s3_error!(AccessDenied, "{}", error.message))
    }
}

#[async_trait::async_trait]
impl S3Auth for Access {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        let secret = self.iam.secret(access_key);
        secret.map(SecretKey::from).ok_or_else(|| s3_error!(InvalidAccessKeyId))
    }
}

#[async_trait::async_trait]
impl S3Access for Access {
    async fn check(&self, request: &mut S3AccessContext<'_>) -> S3Result<()> {
        held_to_files(request.s3_path(), request.headers(), request.uri().query().unwrap_or_default())?;
        all_signed(request.headers(), request.uri().query().unwrap_or_default())?;
        let needs = needs(request.s3_op().name(), request.s3_path(), request.headers());
        let credentials = request.credentials().ok_or_else(|| s3_error!(AccessDenied))?;
        let token = session_token(request.headers(), request.uri().query().unwrap_or_default());
        let caller = self.iam.caller(&credentials.access_key, token);
        let caller = caller.ok_or_else(|| {
            s3_error!(InvalidToken, "The provided token is malformed or otherwise invalid.")
        })?;
        self.authorize(Some(&caller), &needs)?;
        request.extensions_mut().insert(caller);
        Ok(())
    }
}

/// What headers ask of an object that is not done here; AWS wants rights of their own for some.
const NOT_DONE: [&str; 5] =
    ["x-amz-acl", "x-amz-grant-", "x-amz-object-lock-", "x-amz-server-side-encryption", "x-amz-tagging"];

/// Refuses what cannot be an object here, where objects are files of their bucket's folder, and what is not done with one.
fn held_to_files(path: &S3Path, headers: &HeaderMap, query: &str) -> S3Result<()> {
    if let Some(name) = headers.keys().find(|name| NOT_DONE.iter().any(|no| name.as_str().starts_with(no))) {
        return Err(s3_error!(NotImplemented, "{name} is not emulated"));
    }
    let source = headers.get("x-amz-copy-source").and_then(|source| source.to_str().ok());
    let source = source.map(|source| percent_decode_str(source).decode_utf8_lossy().into_owned());
    let prefix =
        value(query, "prefix").map(|prefix| percent_decode_str(prefix).decode_utf8_lossy().into_owned());
    let key = match path {
        S3Path::Object { key, .. } => Some(&**key),
        S3Path::Root | S3Path::Bucket { .. } => None,
    };
    let source = source.as_deref().map(|source| source.trim_start_matches('/'));
    [key, source, prefix.as_deref()].into_iter().flatten().try_for_each(is_a_file)
}

/// Whether a key can be a file's path, and says so otherwise. To S3 any text is a key.
fn is_a_file(key: &str) -> S3Result<()> {
    // The last one may be empty: it is that of a folder.
    let segments = key.strip_suffix('/').unwrap_or(key).split('/');
    let wrong = |segment: &str| matches!(segment, "" | "." | "..") || segment.len() > 255;
    if !key.is_empty() && (segments.into_iter().any(wrong) || key.contains('\0')) {
        let reason =
            "objects are files here: a key has no empty, '.' or '..' segment, nor one of more than 255 bytes";
        return Err(s3_error!(NotImplemented, "{reason}"));
    }
    Ok(())
}

/// Refuses a presigned request with headers of S3's that its signer did not sign.
fn all_signed(headers: &HeaderMap, query: &str) -> S3Result<()> {
    let Some(signed) = value(query, "X-Amz-SignedHeaders") else { return Ok(()) };
    let signed = percent_decode_str(signed).decode_utf8_lossy();
    let unsigned = headers.keys().find(|name| {
        name.as_str().starts_with("x-amz-") && !signed.split(';').any(|signed| signed == name.as_str())
    });
    match unsigned {
        Some(_) => {
            Err(s3_error!(AccessDenied, "There were headers present in the request which were not signed"))
        }
        None => Ok(()),
    }
}

pub(super) fn value<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(known, _)| *known == name).map(|(_, value)| value).next()
}

/// Who makes a request, as `check` has found out.
pub(super) fn caller_of<T>(request: &S3Request<T>) -> Option<Caller> {
    request.extensions.get().cloned()
}

/// The session token of a request that is signed by its headers or by its URL.
fn session_token<'a>(headers: &'a HeaderMap, query: &'a str) -> Option<&'a str> {
    let header = headers.get("x-amz-security-token").and_then(|token| token.to_str().ok());
    header.or_else(|| value(query, "X-Amz-Security-Token"))
}

fn needs(operation: &str, path: &S3Path, headers: &HeaderMap) -> Vec<Need> {
    let arn = match path {
        S3Path::Root => "*".to_owned(),
        S3Path::Bucket { bucket } => bucket_arn(bucket),
        S3Path::Object { bucket, key } => object_arn(bucket, key),
    };
    let action = match operation {
        "HeadObject" => "GetObject",
        "CopyObject"
        | "CreateMultipartUpload"
        | "UploadPart"
        | "UploadPartCopy"
        | "CompleteMultipartUpload" => "PutObject",
        "ListParts" => "ListMultipartUploadParts",
        "ListMultipartUploads" => "ListBucketMultipartUploads",
        "ListObjects" | "ListObjectsV2" | "HeadBucket" => "ListBucket",
        "ListBuckets" => "ListAllMyBuckets",
        // Each object needs a right of its own: `keep_deletable`.
        "DeleteObjects" => return Vec::new(),
        other => other,
    };
    let source = headers.get("x-amz-copy-source").and_then(|source| source.to_str().ok());
    let source = source.map(|source| {
        let source = percent_decode_str(source).decode_utf8_lossy();
        Need::new("s3:GetObject", format!("arn:aws:s3:::{}", source.trim_start_matches('/')))
    });
    source.into_iter().chain([Need::new(format!("s3:{action}"), arn)]).collect()
}

fn bucket_arn(bucket: &str) -> String {
    format!("arn:aws:s3:::{bucket}")
}

fn object_arn(bucket: &str, key: &str) -> String {
    format!("arn:aws:s3:::{bucket}/{key}")
}
