//! Secrets, their versions and staging labels as the store keeps them.

use crate::{ACCOUNT, AwsError, REGION};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::{Value, json};
use uuid::Uuid;

pub(super) const CURRENT: &str = "AWSCURRENT";
const PREVIOUS: &str = "AWSPREVIOUS";

/// AWS keeps about 100 versions without a label.
const UNLABELLED_KEPT: i64 = 100;

pub(super) const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS secrets (
        name TEXT PRIMARY KEY, arn TEXT NOT NULL UNIQUE, description TEXT, created_ms INTEGER NOT NULL,
        changed_ms INTEGER NOT NULL, deletion_ms INTEGER);
    CREATE TABLE IF NOT EXISTS secret_versions (
        seq INTEGER PRIMARY KEY, secret TEXT NOT NULL, version TEXT NOT NULL, text TEXT, base64 TEXT,
        created_ms INTEGER NOT NULL, UNIQUE (secret, version));
    CREATE TABLE IF NOT EXISTS secret_stages (
        secret TEXT NOT NULL, stage TEXT NOT NULL, version TEXT NOT NULL, PRIMARY KEY (secret, stage));";

pub(super) struct Secret {
    pub(super) name: String,
    pub(super) arn: String,
    pub(super) description: Option<String>,
    pub(super) created_ms: i64,
    pub(super) changed_ms: i64,
    /// When a secret that is marked for deletion is gone for good.
    pub(super) deletion_ms: Option<i64>,
}

/// A version's value. Without `Debug` on purpose.
pub(super) struct SecretValue {
    pub(super) content: Content,
    pub(super) created_ms: i64,
}

/// Without `Debug` on purpose.
#[derive(PartialEq, Eq)]
pub(super) enum Content {
    Text(String),
    Base64(String),
}

impl SecretValue {
    pub(super) fn new(content: Content) -> Self {
        Self { content, created_ms: 0 }
    }
}

impl PartialEq for SecretValue {
    fn eq(&self, other: &Self) -> bool {
        self.content == other.content
    }
}

impl Secret {
    /// A new secret, with the ARN that a secret of this name always has here.
    pub(super) fn named(name: &str, now_ms: i64) -> Self {
        let arn = format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{name}-{}", suffix(name));
        Self {
            name: name.to_owned(),
            arn,
            description: None,
            created_ms: now_ms,
            changed_ms: now_ms,
            deletion_ms: None,
        }
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            name: row.get("name")?,
            arn: row.get("arn")?,
            description: row.get("description")?,
            created_ms: row.get("created_ms")?,
            changed_ms: row.get("changed_ms")?,
            deletion_ms: row.get("deletion_ms")?,
        })
    }
}

/// Six letters and digits that depend on the name alone, so that a secret's ARN
/// is the same after the state was wiped.
fn suffix(name: &str) -> String {
    const CHARACTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let hash = Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes());
    hash.as_bytes()
        .iter()
        .take(6)
        .map(|byte| char::from(CHARACTERS[usize::from(*byte) % CHARACTERS.len()]))
        .collect()
}

/// Removes what was scheduled for deletion by now.
pub(super) fn purge(tx: &Connection, now_ms: i64) -> Result<(), AwsError> {
    let due: Vec<String> = tx
        .prepare_cached("SELECT name FROM secrets WHERE deletion_ms <= ?1")?
        .query_map([now_ms], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    due.iter().try_for_each(|name| remove(tx, name))
}

/// By name, by ARN, or by ARN without the suffix.
pub(super) fn find(tx: &Connection, id: &str) -> Result<Option<Secret>, AwsError> {
    let sql = "SELECT * FROM secrets WHERE name = ?1 OR arn = ?1 OR substr(arn, 1, length(arn) - 7) = ?1
               ORDER BY name = ?1 DESC, arn = ?1 DESC LIMIT 1";
    Ok(tx.prepare_cached(sql)?.query_row([id], Secret::read).optional()?)
}

pub(super) fn all(tx: &Connection) -> Result<Vec<Secret>, AwsError> {
    Ok(tx
        .prepare_cached("SELECT * FROM secrets ORDER BY name")?
        .query_map([], Secret::read)?
        .collect::<Result<_, _>>()?)
}

pub(super) fn insert(
    tx: &Connection,
    name: &str,
    description: Option<&str>,
    now_ms: i64,
) -> Result<Secret, AwsError> {
    let secret = Secret { description: description.map(str::to_owned), ..Secret::named(name, now_ms) };
    tx.execute(
        "INSERT INTO secrets (name, arn, description, created_ms, changed_ms) VALUES (?1, ?2, ?3, ?4, ?4)",
        params![secret.name, secret.arn, secret.description, now_ms],
    )?;
    Ok(secret)
}

pub(super) fn remove(tx: &Connection, name: &str) -> Result<(), AwsError> {
    tx.execute("DELETE FROM secret_stages WHERE secret = ?1", [name])?;
    tx.execute("DELETE FROM secret_versions WHERE secret = ?1", [name])?;
    tx.execute("DELETE FROM secrets WHERE name = ?1", [name])?;
    Ok(())
}

pub(super) fn describe_as(
    tx: &Connection,
    name: &str,
    description: &str,
    now_ms: i64,
) -> Result<(), AwsError> {
    let sql = "UPDATE secrets SET description = ?2, changed_ms = ?3 WHERE name = ?1";
    tx.execute(sql, params![name, description, now_ms])?;
    Ok(())
}

pub(super) fn set_deletion(tx: &Connection, name: &str, deletion_ms: Option<i64>) -> Result<(), AwsError> {
    tx.execute("UPDATE secrets SET deletion_ms = ?2 WHERE name = ?1", params![name, deletion_ms])?;
    Ok(())
}

pub(super) fn has_versions(tx: &Connection, name: &str) -> Result<bool, AwsError> {
    Ok(tx.prepare_cached("SELECT 1 FROM secret_versions WHERE secret = ?1")?.exists([name])?)
}

pub(super) fn insert_version(
    tx: &Connection,
    name: &str,
    version: &str,
    value: &SecretValue,
    now_ms: i64,
) -> Result<(), AwsError> {
    let (text, base64) = match &value.content {
        Content::Text(text) => (Some(text), None),
        Content::Base64(base64) => (None, Some(base64)),
    };
    tx.execute(
        "INSERT INTO secret_versions (secret, version, text, base64, created_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![name, version, text, base64, now_ms],
    )?;
    tx.execute("UPDATE secrets SET changed_ms = ?2 WHERE name = ?1", params![name, now_ms])?;
    Ok(())
}

pub(super) fn value_of(tx: &Connection, name: &str, version: &str) -> Result<Option<SecretValue>, AwsError> {
    let sql = "SELECT text, base64, created_ms FROM secret_versions WHERE secret = ?1 AND version = ?2";
    let value = tx.prepare_cached(sql)?.query_row([name, version], |row| {
        let content = match row.get(0)? {
            Some(text) => Content::Text(text),
            None => Content::Base64(row.get(1)?),
        };
        Ok(SecretValue { content, created_ms: row.get(2)? })
    });
    Ok(value.optional()?)
}

/// Moves a label to a version. The version that AWSCURRENT leaves becomes AWSPREVIOUS.
pub(super) fn move_stage(tx: &Connection, name: &str, stage: &str, version: &str) -> Result<(), AwsError> {
    if stage == CURRENT
        && let Some(left) = version_at(tx, name, CURRENT)?.filter(|left| left != version)
    {
        label(tx, name, PREVIOUS, &left)?;
    }
    label(tx, name, stage, version)
}

fn label(tx: &Connection, name: &str, stage: &str, version: &str) -> Result<(), AwsError> {
    let sql = "INSERT OR REPLACE INTO secret_stages (secret, stage, version) VALUES (?1, ?2, ?3)";
    tx.execute(sql, [name, stage, version])?;
    Ok(())
}

pub(super) fn version_at(tx: &Connection, name: &str, stage: &str) -> Result<Option<String>, AwsError> {
    let sql = "SELECT version FROM secret_stages WHERE secret = ?1 AND stage = ?2";
    Ok(tx.prepare_cached(sql)?.query_row([name, stage], |row| row.get(0)).optional()?)
}

pub(super) fn stages_of(tx: &Connection, name: &str, version: &str) -> Result<Vec<String>, AwsError> {
    let sql = "SELECT stage FROM secret_stages WHERE secret = ?1 AND version = ?2 ORDER BY stage";
    Ok(tx.prepare_cached(sql)?.query_map([name, version], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

/// The versions that carry a label, as DescribeSecret shows them.
pub(super) fn versions_to_stages(tx: &Connection, name: &str) -> Result<Value, AwsError> {
    let sql = "SELECT DISTINCT version FROM secret_stages WHERE secret = ?1";
    let versions: Vec<String> =
        tx.prepare_cached(sql)?.query_map([name], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut stages = serde_json::Map::new();
    for version in versions {
        let carried = stages_of(tx, name, &version)?;
        stages.insert(version, json!(carried));
    }
    Ok(Value::Object(stages))
}

pub(super) fn forget_unlabelled(tx: &Connection, name: &str) -> Result<(), AwsError> {
    tx.execute(
        "DELETE FROM secret_versions WHERE seq IN (
             SELECT seq FROM secret_versions WHERE secret = ?1
             AND version NOT IN (SELECT version FROM secret_stages WHERE secret = ?1)
             ORDER BY seq DESC LIMIT -1 OFFSET ?2)",
        params![name, UNLABELLED_KEPT],
    )?;
    Ok(())
}
