//! `ops-jwt-keys`: the custom resource that makes the stack's keys and rotates them.
//!
//! CloudFormation invokes it at deploy with the value of the rotation parameter. A value that was not
//! seen before promotes *next*, which every verifier knows already, keeps what was current as
//! *previous*, and makes a new *next*; any other value changes nothing, so repeats and rollbacks are
//! harmless. It answers public keys only, and never deletes a secret.
//! (<https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref.html>)

use std::time::Duration;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use aws_sdk_secretsmanager::operation::put_secret_value::PutSecretValueError;
use aws_smithy_runtime_api::http::Request as HttpRequest;
use aws_smithy_types::body::SdkBody;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::aws::Aws;
use shared::clock::Clock;
use shared::function::Operation;
use shared::id::derived;
use shared::keys::{Generations, MacKey, PrivateKey};
use shared::one_time::LONGEST_LIFETIME;
use shared::time::Timestamp;
use shared::token::LEEWAY;
use shared::{Error, Function, Init, Result};

/// `ops-jwt-keys`.
pub static FUNCTION: Function = Function::event::<JwtKeys>("ops-jwt-keys");

/// How long making keys may take: there has to be time left to answer CloudFormation.
const GIVE_UP: Duration = Duration::from_secs(18);

/// What making keys needs.
pub struct JwtKeys {
    secrets: Client,
    aws: Aws,
    clock: Clock,
    signing_secret: String,
    refresh_secret: String,
    links_secret: String,
    /// How long the longest-lived token lives, in seconds: a key must stay *previous* as long.
    longest_token: i64,
}

/// A request of CloudFormation. It has no `Debug`: the response URL is a credential.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ResourceRequest {
    request_type: RequestType,
    #[serde(rename = "ResponseURL")]
    response_url: String,
    stack_id: String,
    request_id: String,
    logical_resource_id: String,
    /// Checked only once it is known where to answer: a bad property is a `FAILED` answer.
    #[serde(default)]
    resource_properties: Value,
}

#[derive(Deserialize, PartialEq, Eq)]
enum RequestType {
    Create,
    Update,
    Delete,
}

impl Operation for JwtKeys {
    type Input = ResourceRequest;
    type Output = ();

    fn init(init: &mut Init) -> Self {
        let tokens = init.number("ACCESS_TOKEN_SECONDS").max(init.number("REFRESH_TOKEN_SECONDS"));
        Self {
            secrets: init.aws().secrets(),
            aws: init.aws().clone(),
            clock: init.clock(),
            signing_secret: init.text("SIGNING_SECRET_ARN"),
            refresh_secret: init.text("REFRESH_SECRET_ARN"),
            links_secret: init.text("LINKS_SECRET_ARN"),
            longest_token: tokens.max(LONGEST_LIFETIME) + LEEWAY,
        }
    }

    async fn run(&self, request: ResourceRequest) -> Result<()> {
        let outcome = match request.request_type {
            // The secrets are resources of the stack: it removes them, or keeps them, itself.
            RequestType::Delete => Ok(json!({})),
            RequestType::Create | RequestType::Update => {
                let made = tokio::time::timeout(GIVE_UP, self.make(&request.resource_properties)).await;
                made.unwrap_or_else(|elapsed| Err(Refusal::Failed(Error::NoReply(elapsed.into()))))
            }
        };
        let mut answer = json!({
            "StackId": request.stack_id,
            "RequestId": request.request_id,
            "LogicalResourceId": request.logical_resource_id,
            // Always the same, so that no update looks like a replacement.
            "PhysicalResourceId": format!("{}/{}", request.stack_id, request.logical_resource_id),
        });
        match outcome {
            Ok(data) => {
                answer["Status"] = json!("SUCCESS");
                answer["Data"] = data;
            }
            Err(refusal) => {
                answer["Status"] = json!("FAILED");
                answer["Reason"] = json!(refusal.reason());
            }
        }
        self.answer(&request.response_url, &answer).await
    }
}

/// What becomes of a secret.
enum Decision<K> {
    /// It holds the right keys.
    Keep(Generations<K>),
    /// It is to hold these.
    Write(Generations<K>),
}

/// Why no keys were made, in words for whoever deploys.
enum Refusal {
    Properties,
    TooSoon { rotated_at: Timestamp, earliest: Timestamp },
    Failed(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Refusal {
    fn reason(&self) -> String {
        match self {
            Self::Properties => "The property Rotation must be a text of 1 to 64 characters".to_owned(),
            Self::TooSoon { rotated_at, earliest } => format!(
                "The keys were rotated at {rotated_at}: tokens of the key before are still valid until \
                 {earliest}, and a rotation now would end them"
            ),
            Self::Failed(error) => {
                tracing::error!(cause = error.cause(), "no keys");
                "The secrets cannot be read or written: see the function's log".to_owned()
            }
        }
    }
}

impl JwtKeys {
    /// Brings all three secrets to the wanted rotation and answers the resource's attributes.
    async fn make(&self, properties: &Value) -> Result<Value, Refusal> {
        let rotation = properties["Rotation"].as_str().filter(|text| (1..=64).contains(&text.len()));
        let rotation = rotation.ok_or(Refusal::Properties)?;
        // Decided for all before any is written: one that may not be rotated yet stops the others.
        let signing = self.decide(&self.signing_secret, rotation, PrivateKey::generate).await?;
        let refresh = self.decide(&self.refresh_secret, rotation, MacKey::generate).await?;
        let links = self.decide(&self.links_secret, rotation, MacKey::generate).await?;
        let signing = self.keep(&self.signing_secret, rotation, signing).await?;
        self.keep(&self.refresh_secret, rotation, refresh).await?;
        self.keep(&self.links_secret, rotation, links).await?;
        let keys: Vec<Value> = signing.all().map(PrivateKey::public_jwk).collect();
        Ok(json!({"PublicJwks": json!({"keys": keys}).to_string()}))
    }

    /// The keys that a secret is to hold, if they are not the ones that it holds.
    async fn decide<K: Clone + DeserializeOwned>(
        &self,
        secret: &str,
        rotation: &str,
        generate: fn() -> Result<K>,
    ) -> Result<Decision<K>, Refusal> {
        let stored: Option<Generations<K>> = self.read(secret).await?;
        match next_generation(stored.clone(), rotation, self.clock.now(), self.longest_token, generate)? {
            Some(keys) => Ok(Decision::Write(keys)),
            None => stored.map(Decision::Keep).ok_or_else(|| Error::internal("a secret went away").into()),
        }
    }

    /// Writes the keys that were decided on; answers the ones that the secret holds then.
    ///
    /// Lambda may deliver one request of CloudFormation twice, at the same time: under a token derived from
    /// the rotation only the first is taken, and the other answers what the first has written.
    async fn keep<K: Serialize + DeserializeOwned>(
        &self,
        secret: &str,
        rotation: &str,
        decision: Decision<K>,
    ) -> Result<Generations<K>, Refusal> {
        let keys = match decision {
            Decision::Keep(keys) => return Ok(keys),
            Decision::Write(keys) => keys,
        };
        let text = serde_json::to_string(&keys).map_err(Error::internal)?;
        let token = derived(&[secret, rotation]).to_string();
        let put = self.secrets.put_secret_value().secret_id(secret).client_request_token(token);
        match put.secret_string(text).send().await {
            Ok(_) => {
                tracing::info!(secret, rotation, "keys written");
                Ok(keys)
            }
            Err(error) => match error.as_service_error() {
                Some(PutSecretValueError::ResourceExistsException(_)) => {
                    self.read(secret).await?.ok_or_else(|| Error::internal("a secret went away").into())
                }
                _ => Err(Error::from(error).into()),
            },
        }
    }

    /// The secret's value; a secret that was just made has none, which emulators say in another way than AWS.
    async fn read<T: DeserializeOwned>(&self, secret: &str) -> Result<Option<T>> {
        match self.secrets.get_secret_value().secret_id(secret).send().await {
            Ok(value) if value.secret_string().is_none() && value.secret_binary().is_none() => Ok(None),
            Ok(value) => serde_json::from_str(value.secret_string().unwrap_or_default())
                .map(Some)
                // The parser's words may quote the secret.
                .map_err(|_| Error::internal(format!("{secret} holds no keys"))),
            Err(error) => match error.as_service_error() {
                Some(GetSecretValueError::ResourceNotFoundException(_)) => Ok(None),
                _ => Err(error.into()),
            },
        }
    }

    async fn answer(&self, url: &str, answer: &Value) -> Result<()> {
        let mut request = HttpRequest::new(SdkBody::from(answer.to_string()));
        request.set_method("PUT").map_err(Error::internal)?;
        // The presigned URL was signed without a content type.
        request.headers_mut().insert("content-type", "");
        let status = self.aws.outgoing().send_to(url, request).await?;
        if !status.is_success() {
            return Err(Error::unavailable(format!("the answer was refused: {}", status.as_u16())));
        }
        Ok(())
    }
}

/// The keys after `rotation`, or nothing where it was seen before.
fn next_generation<K: Clone>(
    stored: Option<Generations<K>>,
    rotation: &str,
    now: Timestamp,
    longest_token: i64,
    generate: fn() -> Result<K>,
) -> Result<Option<Generations<K>>, Refusal> {
    let Some(keys) = stored else {
        return Ok(Some(Generations {
            rotations: vec![rotation.to_owned()],
            rotated_at: now,
            previous: None,
            current: generate()?,
            next: generate()?,
        }));
    };
    if keys.rotations.iter().any(|seen| seen == rotation) {
        return Ok(None);
    }
    // Only a key that already has a previous one would lose it by rotating again.
    let earliest = keys.rotated_at.plus_seconds(longest_token);
    if keys.previous.is_some() && now < earliest {
        return Err(Refusal::TooSoon { rotated_at: keys.rotated_at, earliest });
    }
    let mut rotations = keys.rotations;
    rotations.push(rotation.to_owned());
    Ok(Some(Generations {
        rotations,
        rotated_at: now,
        previous: Some(keys.current),
        current: keys.next,
        next: generate()?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * 3600;

    fn start() -> Timestamp {
        Timestamp::from_ms(1_790_000_000_000)
    }

    fn rotate(
        keys: Option<Generations<String>>,
        rotation: &str,
        now: Timestamp,
    ) -> Option<Generations<String>> {
        #[expect(clippy::unnecessary_wraps, reason = "as generators of keys are")]
        fn generate() -> Result<String> {
            use std::sync::atomic::{AtomicU32, Ordering};
            static COUNT: AtomicU32 = AtomicU32::new(0);
            Ok(format!("key {}", COUNT.fetch_add(1, Ordering::SeqCst)))
        }
        next_generation(keys, rotation, now, DAY, generate).unwrap_or(None)
    }

    #[test]
    fn a_rotation_signs_with_the_key_that_verifiers_know_already() {
        let first = rotate(None, "1", start()).unwrap();
        let second = rotate(Some(first.clone()), "2", start()).unwrap();
        assert_eq!(second.current, first.next);
        assert_eq!(second.previous.as_ref(), Some(&first.current));
        assert_ne!(second.next, first.next);
    }

    #[test]
    fn a_rotation_that_was_seen_changes_nothing() {
        let first = rotate(None, "1", start()).unwrap();
        let second = rotate(Some(first.clone()), "2", start()).unwrap();
        assert!(rotate(Some(first), "1", start()).is_none());
        assert!(rotate(Some(second.clone()), "1", start()).is_none(), "a rollback");
        assert!(rotate(Some(second), "2", start()).is_none(), "a repeat");
    }

    #[test]
    fn a_rotation_that_would_end_living_tokens_is_refused() {
        let second = rotate(rotate(None, "1", start()), "2", start()).unwrap();
        let generate = || Ok("key".to_owned());
        let early = next_generation(Some(second.clone()), "3", start().plus_seconds(DAY - 1), DAY, generate);
        assert!(matches!(early, Err(Refusal::TooSoon { .. })));
        assert!(rotate(Some(second), "3", start().plus_seconds(DAY)).is_some());
    }
}
