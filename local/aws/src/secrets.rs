//! Secrets Manager: named secrets whose versions carry staging labels.
//!
//! Nothing that holds a secret's value implements `Debug`, and no message or
//! log line has one in it.

mod rows;

use crate::{AwsError, Clock, Reply, Store};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rusqlite::Transaction;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::page::page;
use rows::{CURRENT, Secret, SecretValue};

/// AWS's quota, "Secret value size".
const VALUE_LIMIT: usize = 65_536;

const DAY_MS: i64 = 86_400_000;

/// The service.
pub struct SecretsManager {
    store: Store,
    clock: Clock,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateSecret {
    name: String,
    description: Option<String>,
    #[serde(flatten)]
    version: NewVersion,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ChangeSecret {
    secret_id: String,
    description: Option<String>,
    #[serde(default)]
    version_stages: Vec<String>,
    #[serde(flatten)]
    version: NewVersion,
}

/// The value that an operation brings, if any.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NewVersion {
    client_request_token: Option<String>,
    secret_string: Option<String>,
    secret_binary: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetSecretValue {
    secret_id: String,
    version_id: Option<String>,
    version_stage: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SecretId {
    secret_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DeleteSecret {
    secret_id: String,
    recovery_window_in_days: Option<i64>,
    #[serde(default)]
    force_delete_without_recovery: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListSecrets {
    #[serde(default)]
    include_planned_deletion: bool,
    #[serde(default)]
    filters: Vec<Filter>,
    max_results: Option<u64>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Filter {
    key: String,
    values: Vec<String>,
}

impl SecretsManager {
    /// Opens the service on its tables, making them if need be.
    pub fn new(store: Store, clock: Clock) -> Result<Self, AwsError> {
        store.migrate(rows::TABLES)?;
        Ok(Self { store, clock })
    }

    /// Answers one operation of the JSON 1.1 protocol (`X-Amz-Target: secretsmanager.<action>`).
    pub async fn handle(&self, action: &str, input: Value) -> Reply {
        let now_ms = self.clock.now_ms();
        self.store.transaction(|tx| {
            rows::purge(tx, now_ms)?;
            match action {
                "CreateSecret" => create(tx, now_ms, parse(input)?),
                "PutSecretValue" => put_value(tx, now_ms, parse(input)?),
                "UpdateSecret" => update(tx, now_ms, parse(input)?),
                "GetSecretValue" => get_value(tx, &parse(input)?),
                "DescribeSecret" => describe(tx, &parse(input)?),
                "ListSecrets" => list(tx, &parse(input)?),
                "DeleteSecret" => delete(tx, now_ms, &parse(input)?),
                "RestoreSecret" => restore(tx, &parse(input)?),
                other => {
                    Err(AwsError::client("UnknownOperationException", format!("{other} is not emulated")))
                }
            }
        })
    }

    /// The ARN of the secret with this name or ARN, if there is one.
    pub(crate) fn arn_of(&self, id: &str) -> Option<String> {
        self.store.transaction(|tx| rows::find(tx, id)).ok().flatten().map(|secret| secret.arn)
    }

    /// Makes the secret, without a value, if it is not there yet, and answers its ARN.
    /// A deletion that was scheduled is called off: what is declared is wanted.
    pub fn declare(&self, name: &str) -> Result<String, AwsError> {
        check_name(name)?;
        let now_ms = self.clock.now_ms();
        self.store.transaction(|tx| {
            rows::purge(tx, now_ms)?;
            let secret = match rows::find(tx, name)? {
                Some(secret) => secret,
                None => rows::insert(tx, name, None, now_ms)?,
            };
            rows::set_deletion(tx, &secret.name, None)?;
            Ok(secret.arn)
        })
    }
}

/// serde's own messages may quote what they could not read, and that may be a secret.
fn parse<T: DeserializeOwned>(input: Value) -> Result<T, AwsError> {
    serde_json::from_value(input).map_err(|_| {
        AwsError::client(
            "SerializationException",
            "A required parameter is missing, or one has the wrong type.",
        )
    })
}

fn create(tx: &Transaction<'_>, now_ms: i64, input: CreateSecret) -> Reply {
    check_name(&input.name)?;
    let (token, value) = input.version.checked()?;
    if let Some(existing) = rows::find(tx, &input.name)? {
        if existing.deletion_ms.is_some() {
            return Err(invalid_request(
                "You can't create this secret because a secret with this name is already scheduled for deletion.",
            ));
        }
        // The same request once more, as a client that saw no answer sends it.
        let repeated = match &value {
            Some(value) => rows::value_of(tx, &existing.name, &token)?.is_some_and(|kept| kept == *value),
            None => false,
        };
        if !repeated {
            let message = format!("The operation failed because the secret {} already exists.", input.name);
            return Err(AwsError::client("ResourceExistsException", message));
        }
        return Ok(existing.answer([("VersionId", json!(token))]));
    }
    let secret = rows::insert(tx, &input.name, input.description.as_deref(), now_ms)?;
    match value {
        Some(value) => add_version(tx, now_ms, &secret, &token, &value, &[CURRENT.to_owned()]),
        None => Ok(secret.answer([])),
    }
}

fn put_value(tx: &Transaction<'_>, now_ms: i64, input: ChangeSecret) -> Reply {
    let (token, value) = input.version.checked()?;
    let value =
        value.ok_or_else(|| invalid_request("You must provide either SecretString or SecretBinary."))?;
    let secret = usable(tx, &input.secret_id)?;
    let mut stages = input.version_stages;
    if stages.is_empty() || !rows::has_versions(tx, &secret.name)? {
        stages.push(CURRENT.to_owned());
    }
    add_version(tx, now_ms, &secret, &token, &value, &stages)
}

fn update(tx: &Transaction<'_>, now_ms: i64, input: ChangeSecret) -> Reply {
    let (token, value) = input.version.checked()?;
    let secret = usable(tx, &input.secret_id)?;
    if let Some(description) = &input.description {
        rows::describe_as(tx, &secret.name, description, now_ms)?;
    }
    match value {
        Some(value) => add_version(tx, now_ms, &secret, &token, &value, &[CURRENT.to_owned()]),
        None => Ok(secret.answer([])),
    }
}

/// The same token again is the same request if it brings the same value, and an error otherwise.
fn add_version(
    tx: &Transaction<'_>,
    now_ms: i64,
    secret: &Secret,
    token: &str,
    value: &SecretValue,
    stages: &[String],
) -> Reply {
    match rows::value_of(tx, &secret.name, token)? {
        Some(kept) if kept == *value => {}
        Some(_) => {
            let message = format!(
                "You can't use ClientRequestToken {token} because that value is already in use for a version of secret {}.",
                secret.arn
            );
            return Err(AwsError::client("ResourceExistsException", message));
        }
        None => {
            rows::insert_version(tx, &secret.name, token, value, now_ms)?;
            stages.iter().try_for_each(|stage| rows::move_stage(tx, &secret.name, stage, token))?;
            rows::forget_unlabelled(tx, &secret.name)?;
        }
    }
    let stages = rows::stages_of(tx, &secret.name, token)?;
    Ok(secret.answer([("VersionId", json!(token)), ("VersionStages", json!(stages))]))
}

fn get_value(tx: &Transaction<'_>, input: &GetSecretValue) -> Reply {
    let secret = usable(tx, &input.secret_id)?;
    let stage = input.version_stage.as_deref();
    let version = match &input.version_id {
        Some(version) => Some(version.clone()),
        None => rows::version_at(tx, &secret.name, stage.unwrap_or(CURRENT))?,
    };
    let missing = || {
        let sought = match &input.version_id {
            Some(version) => format!("VersionId: {version}"),
            None => format!("staging label: {}", stage.unwrap_or(CURRENT)),
        };
        not_found(format!("Secrets Manager can't find the specified secret value for {sought}"))
    };
    let version = version.ok_or_else(missing)?;
    let value = rows::value_of(tx, &secret.name, &version)?.ok_or_else(missing)?;
    let stages = rows::stages_of(tx, &secret.name, &version)?;
    if stage.is_some_and(|stage| !stages.iter().any(|carried| carried == stage)) {
        return Err(invalid_request(
            "You provided a VersionStage that is not associated to the provided VersionId.",
        ));
    }
    let (key, content) = match value.content {
        rows::Content::Text(text) => ("SecretString", text),
        rows::Content::Base64(bytes) => ("SecretBinary", bytes),
    };
    Ok(secret.answer([
        ("VersionId", json!(version)),
        ("VersionStages", json!(stages)),
        ("CreatedDate", seconds(value.created_ms)),
        (key, json!(content)),
    ]))
}

fn describe(tx: &Transaction<'_>, input: &SecretId) -> Reply {
    let secret = existing(tx, &input.secret_id)?;
    let versions = rows::versions_to_stages(tx, &secret.name)?;
    Ok(secret.described("VersionIdsToStages", versions))
}

fn list(tx: &Transaction<'_>, input: &ListSecrets) -> Reply {
    if let Some(filter) = input.filters.iter().find(|filter| filter.key != "name") {
        return Err(invalid_parameter(format!("The filter key {} is not emulated", filter.key)));
    }
    let wanted = |secret: &&Secret| {
        let starts = |prefix: &String| secret.name.starts_with(prefix.as_str());
        (input.include_planned_deletion || secret.deletion_ms.is_none())
            && input.filters.iter().all(|filter| filter.values.iter().any(starts))
    };
    let mut entries = Vec::new();
    for secret in rows::all(tx)?.iter().filter(wanted) {
        let versions = rows::versions_to_stages(tx, &secret.name)?;
        entries.push(secret.described("SecretVersionsToStages", versions));
    }
    let (entries, next) = page(entries, input.max_results, input.next_token.as_deref())?;
    Ok(json!({"SecretList": entries, "NextToken": next}))
}

fn delete(tx: &Transaction<'_>, now_ms: i64, input: &DeleteSecret) -> Reply {
    if input.force_delete_without_recovery {
        if input.recovery_window_in_days.is_some() {
            return Err(invalid_parameter(
                "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.",
            ));
        }
        // Forced, AWS does not mind a secret that does not exist.
        let secret =
            rows::find(tx, &input.secret_id)?.unwrap_or_else(|| Secret::named(&input.secret_id, now_ms));
        rows::remove(tx, &secret.name)?;
        return Ok(secret.answer([("DeletionDate", seconds(now_ms))]));
    }
    let days = input.recovery_window_in_days.unwrap_or(30);
    if !(7..=30).contains(&days) {
        return Err(invalid_parameter(
            "RecoveryWindowInDays value must be between 7 and 30 days (inclusive).",
        ));
    }
    let secret = usable(tx, &input.secret_id)?;
    let deletion_ms = now_ms + days * DAY_MS;
    rows::set_deletion(tx, &secret.name, Some(deletion_ms))?;
    Ok(secret.answer([("DeletionDate", seconds(deletion_ms))]))
}

fn restore(tx: &Transaction<'_>, input: &SecretId) -> Reply {
    let secret = existing(tx, &input.secret_id)?;
    rows::set_deletion(tx, &secret.name, None)?;
    Ok(secret.answer([]))
}

fn existing(tx: &Transaction<'_>, id: &str) -> Result<Secret, AwsError> {
    rows::find(tx, id)?.ok_or_else(|| not_found("Secrets Manager can't find the specified secret."))
}

fn usable(tx: &Transaction<'_>, id: &str) -> Result<Secret, AwsError> {
    let secret = existing(tx, id)?;
    if secret.deletion_ms.is_some() {
        return Err(invalid_request(
            "You can't perform this operation on the secret because it was marked for deletion.",
        ));
    }
    Ok(secret)
}

impl NewVersion {
    /// The version's id, made up where the client gave no token, and its value.
    fn checked(self) -> Result<(String, Option<SecretValue>), AwsError> {
        let token = self.client_request_token.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
        if !(32..=64).contains(&token.len()) {
            return Err(invalid_parameter("ClientRequestToken must be 32 to 64 characters long."));
        }
        let content = match (self.secret_string, self.secret_binary) {
            (Some(_), Some(_)) => {
                return Err(invalid_parameter(
                    "You can't specify both a binary secret value and a string secret value.",
                ));
            }
            (Some(text), None) => Some(rows::Content::Text(text)),
            (None, Some(base64)) => Some(rows::Content::Base64(base64)),
            (None, None) => None,
        };
        content.as_ref().map(check_content).transpose()?;
        Ok((token, content.map(SecretValue::new)))
    }
}

fn check_content(content: &rows::Content) -> Result<(), AwsError> {
    let length = match content {
        rows::Content::Text(text) => text.len(),
        rows::Content::Base64(base64) => {
            BASE64.decode(base64).map_err(|_| invalid_parameter("SecretBinary is not valid base64."))?.len()
        }
    };
    if length == 0 || length > VALUE_LIMIT {
        return Err(invalid_parameter(format!("A secret value must have 1 to {VALUE_LIMIT} bytes.")));
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), AwsError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-/_+=.@!".contains(c);
    if name.is_empty() || name.len() > 512 || !name.chars().all(allowed) {
        return Err(invalid_parameter(
            "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!",
        ));
    }
    Ok(())
}

impl Secret {
    fn answer<const N: usize>(&self, more: [(&str, Value); N]) -> Value {
        let mut answer = Map::new();
        answer.insert("ARN".to_owned(), json!(self.arn));
        answer.insert("Name".to_owned(), json!(self.name));
        answer.extend(more.map(|(key, value)| (key.to_owned(), value)));
        Value::Object(answer)
    }

    fn described(&self, versions_key: &str, versions: Value) -> Value {
        self.answer([
            ("Description", json!(self.description)),
            ("CreatedDate", seconds(self.created_ms)),
            ("LastChangedDate", seconds(self.changed_ms)),
            ("DeletedDate", self.deletion_ms.map_or(Value::Null, seconds)),
            (versions_key, versions),
        ])
    }
}

/// The protocol's timestamps: seconds with a fraction.
fn seconds(ms: i64) -> Value {
    json!(ms as f64 / 1000.0)
}

fn not_found(message: impl Into<String>) -> AwsError {
    AwsError::client("ResourceNotFoundException", message)
}

fn invalid_request(message: impl Into<String>) -> AwsError {
    AwsError::client("InvalidRequestException", message)
}

fn invalid_parameter(message: impl Into<String>) -> AwsError {
    AwsError::client("InvalidParameterException", message)
}

#[cfg(test)]
mod tests;
