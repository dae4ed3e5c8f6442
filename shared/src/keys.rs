//! The keys of a stack, as its secrets hold them.
//!
//! `ops-jwt-keys` makes them; nobody else writes them. None of these types has a `Debug`.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePrivateKey as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize, de};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::time::Timestamp;
use crate::{Error, Result};

/// Three generations of one key. A key is known to verifiers as *next* before anything is signed with
/// it, and as *previous* for as long as something signed with it may live.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Generations<K> {
    /// The values of the rotation parameter that were seen, oldest first.
    pub rotations: Vec<String>,
    /// When the current key became current.
    pub rotated_at: Timestamp,
    /// What was current before.
    pub previous: Option<K>,
    /// What signs.
    pub current: K,
    /// What will sign after the next rotation.
    pub next: K,
}

impl<K> Generations<K> {
    /// All keys that may verify.
    pub fn all(&self) -> impl Iterator<Item = &K> {
        self.previous.iter().chain([&self.current, &self.next])
    }
}

/// A private Ed25519 key (RFC 8037).
#[derive(Clone, Serialize, Deserialize)]
pub struct PrivateKey {
    /// The key's id.
    pub kid: String,
    seed: Bytes32,
}

impl PrivateKey {
    /// A new random key.
    pub fn generate() -> Result<Self> {
        let seed = Bytes32::random()?;
        let public = SigningKey::from_bytes(&seed.0).verifying_key();
        // Derived from the public key, so that no two keys share an id.
        let kid = URL_SAFE_NO_PAD.encode(&public.as_bytes()[..12]);
        Ok(Self { kid, seed })
    }

    /// The key in PKCS #8 form (RFC 5208).
    pub(crate) fn pkcs8(&self) -> Result<Vec<u8>> {
        let document = SigningKey::from_bytes(&self.seed.0).to_pkcs8_der().map_err(Error::internal)?;
        Ok(document.as_bytes().to_vec())
    }

    /// The public half as a JWK (RFC 8037, section 2).
    pub fn public_jwk(&self) -> Value {
        let public = SigningKey::from_bytes(&self.seed.0).verifying_key();
        json!({
            "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA",
            "kid": self.kid, "x": URL_SAFE_NO_PAD.encode(public.as_bytes()),
        })
    }
}

/// A key for HMAC-SHA-256.
#[derive(Clone, Serialize, Deserialize)]
pub struct MacKey {
    /// The key's id.
    pub kid: String,
    key: Bytes32,
}

impl MacKey {
    /// A new random key.
    pub fn generate() -> Result<Self> {
        let mut id = [0; 9];
        getrandom::fill(&mut id).map_err(Error::internal)?;
        Ok(Self { kid: URL_SAFE_NO_PAD.encode(id), key: Bytes32::random()? })
    }

    /// A token that says `payload`: `kid.payload.mac`. The MAC is HMAC-SHA-256 for one `purpose` (its version
    /// included): a token of one purpose is worth nothing for another.
    pub fn seal(&self, purpose: &str, payload: &[u8]) -> String {
        let mac = self.mac(purpose, payload).finalize().into_bytes();
        format!("{}.{}.{}", self.kid, URL_SAFE_NO_PAD.encode(payload), URL_SAFE_NO_PAD.encode(mac))
    }

    fn mac(&self, purpose: &str, payload: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key.0).expect("HMAC takes a key of any length");
        mac.update(purpose.as_bytes());
        mac.update(&[0]);
        mac.update(payload);
        mac
    }
}

/// The key that a webhook's sender and its receiver share: 24 to 64 bytes in base64, as Standard Webhooks has it behind `whsec_`.
#[derive(Deserialize)]
pub struct WebhookKeys {
    key: Base64Key,
    /// What the receiver may still hold while it is given another.
    #[serde(default)]
    previous: Option<Base64Key>,
}

struct Base64Key(Vec<u8>);

impl<'de> Deserialize<'de> for Base64Key {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let key = STANDARD.decode(text.trim_start_matches("whsec_")).ok();
        let key = key.filter(|key| (24..=64).contains(&key.len()));
        key.map(Self).ok_or_else(|| de::Error::custom("no key"))
    }
}

impl WebhookKeys {
    /// The header `webhook-signature` of a message: HMAC-SHA-256 of its id, its time in seconds since the epoch and its body, by
    /// each of the keys
    /// (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>).
    #[allow(clippy::missing_panics_doc, reason = "HMAC takes a key of any length")]
    pub fn sign(&self, id: &str, seconds: i64, body: &str) -> String {
        let sign = |Base64Key(key): &Base64Key| {
            let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
            mac.update(format!("{id}.{seconds}.{body}").as_bytes());
            format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
        };
        let signatures: Vec<String> =
            [Some(&self.key), self.previous.as_ref()].into_iter().flatten().map(sign).collect();
        signatures.join(" ")
    }
}

impl Generations<MacKey> {
    /// What a token says that one of these keys sealed for `purpose`.
    pub fn open<const N: usize>(&self, purpose: &str, token: &str) -> Option<[u8; N]> {
        let mut parts = token.split('.');
        let (kid, payload, mac) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let key = self.all().find(|key| key.kid == kid)?;
        let payload: [u8; N] = URL_SAFE_NO_PAD.decode(payload).ok()?.try_into().ok()?;
        // Compared in constant time.
        key.mac(purpose, &payload).verify_slice(&URL_SAFE_NO_PAD.decode(mac).ok()?).ok()?;
        Some(payload)
    }
}

/// 32 secret bytes, written as base64.
#[derive(Clone)]
struct Bytes32([u8; 32]);

impl Bytes32 {
    fn random() -> Result<Self> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(Error::internal)?;
        Ok(Self(bytes))
    }
}

impl Serialize for Bytes32 {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes32 {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text).map_err(|_| de::Error::custom("a key is not base64"))?;
        bytes.try_into().map(Self).map_err(|_| de::Error::custom("a key has not 32 bytes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>.
    #[test]
    fn a_webhook_is_signed_as_the_standard_has_it_by_each_key() {
        let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        let key = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let sign = |keys: Value| -> String {
            let keys: WebhookKeys = serde_json::from_value(keys).unwrap();
            keys.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, "{\"test\": 2432232314}")
        };
        assert_eq!(sign(json!({"key": key})), signature);
        assert_eq!(sign(json!({"key": format!("whsec_{key}")})), signature);
        let both = sign(json!({"key": STANDARD.encode([7; 32]), "previous": key}));
        assert!(both.starts_with("v1,") && both.ends_with(&format!(" {signature}")), "{both}");
        for wrong in [json!({"key": "short"}), json!({"key": STANDARD.encode([7; 23])}), json!({})] {
            assert!(serde_json::from_value::<WebhookKeys>(wrong).is_err());
        }
    }
}
