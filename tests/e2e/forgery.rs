//! Access tokens signed with the stack's own key that say what they should not, and tokens that
//! another key signed: the signature alone lets nobody in.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use crate::app::{Account, TestApp};

/// A bundle whose signing key is known, and an access token of it.
struct Forge {
    app: TestApp,
    seed: Vec<u8>,
    public: Vec<u8>,
    header: Value,
    claims: Value,
}

/// Signs as RFC 7515 says, whatever the header does.
fn sign(header: &Value, claims: &Value, key: &EncodingKey, algorithm: Algorithm) -> String {
    let message = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header.to_string()),
        URL_SAFE_NO_PAD.encode(claims.to_string())
    );
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), key, algorithm).unwrap();
    format!("{message}.{signature}")
}

/// A private Ed25519 key in PKCS #8 form (RFC 8410, section 7).
fn private_key(seed: &[u8]) -> EncodingKey {
    let prefix = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    EncodingKey::from_ed_der(&[&prefix[..], seed].concat())
}

impl Forge {
    async fn open() -> Option<Self> {
        let app = TestApp::local().await?;
        let secret = app.aws().secrets().get_secret_value().secret_id("SigningSecret").send().await.unwrap();
        let secret: Value = serde_json::from_str(secret.secret_string().unwrap()).unwrap();
        let seed = STANDARD.decode(secret["current"]["seed"].as_str().unwrap()).unwrap();
        let account = app.register().await;
        let token = app.login(&account).await.access;
        let decode = |place: usize| -> Value {
            let segment = URL_SAFE_NO_PAD.decode(token.split('.').nth(place).unwrap()).unwrap();
            serde_json::from_slice(&segment).unwrap()
        };
        let (header, claims) = (decode(0), decode(1));
        let functions = app.bundle.as_ref()?.specifications();
        let auth_me = functions.iter().find(|function| function.name == "auth-me").unwrap();
        let jwks: Value = serde_json::from_str(&auth_me.environment["PUBLIC_JWKS"]).unwrap();
        let jwk = jwks["keys"].as_array().unwrap().iter().find(|jwk| jwk["kid"] == header["kid"]).unwrap();
        let public = URL_SAFE_NO_PAD.decode(jwk["x"].as_str().unwrap()).unwrap();
        Some(Self { app, seed, public, header, claims })
    }

    /// Whether a token with these changes, signed with the stack's key, lets in.
    async fn lets_in(&self, header: &[(&str, Value)], claims: &[(&str, Value)]) -> bool {
        let token = sign(
            &changed(&self.header, header),
            &changed(&self.claims, claims),
            &private_key(&self.seed),
            Algorithm::EdDSA,
        );
        self.takes(&token).await
    }

    async fn takes(&self, token: &str) -> bool {
        let answer = self.app.me(token).await;
        if answer.status != 200 {
            answer.problem(401, "UNAUTHENTICATED");
        }
        answer.status == 200
    }

    fn at(&self, claim: &str, seconds: i64) -> Value {
        json!(self.claims[claim].as_i64().unwrap() + seconds)
    }
}

/// The object with these members; one that is null is taken away.
fn changed(object: &Value, members: &[(&str, Value)]) -> Value {
    let mut object = object.as_object().unwrap().clone();
    for (name, value) in members {
        object.insert((*name).to_owned(), value.clone());
    }
    object.retain(|_, value| !value.is_null());
    object.into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_token_of_another_purpose_is_refused() {
    let Some(forge) = Forge::open().await else { return };
    assert!(forge.lets_in(&[], &[]).await, "the forge signs as the stack does");
    for typ in [json!("JWT"), json!("refresh+jwt"), json!(""), Value::Null] {
        assert!(!forge.lets_in(&[("typ", typ.clone())], &[]).await, "typ {typ}");
    }
    assert!(!forge.lets_in(&[("crit", json!(["exp"]))], &[]).await, "a critical extension");
    for audience in [json!("another-stack"), json!(""), json!([]), json!(1)] {
        assert!(!forge.lets_in(&[], &[("aud", audience.clone())]).await, "aud {audience}");
    }
    for issuer in [json!("https://evil.example.com"), json!(""), json!([])] {
        assert!(!forge.lets_in(&[], &[("iss", issuer.clone())]).await, "iss {issuer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_token_without_one_of_its_claims_is_refused() {
    let Some(forge) = Forge::open().await else { return };
    for claim in ["iss", "aud", "sub", "sid", "roles", "authVersion", "iat", "exp", "jti"] {
        assert!(!forge.lets_in(&[], &[(claim, Value::Null)]).await, "no {claim}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_token_holds_between_its_times_give_or_take_30_seconds() {
    let Some(forge) = Forge::open().await else { return };
    let lets_in = async |claim: &str, seconds: i64| {
        let from = if claim == "nbf" { "iat" } else { claim };
        forge.lets_in(&[], &[(claim, forge.at(from, seconds))]).await
    };
    assert!(!lets_in("exp", -86_400 - 60).await, "ended a minute ago");
    assert!(lets_in("exp", -86_400).await, "ended just now");
    assert!(!lets_in("iat", 3_600).await, "issued in an hour");
    assert!(!lets_in("nbf", 3_600).await, "holds in an hour");
    assert!(lets_in("nbf", 10).await, "the clocks differ by seconds");
    for exp in [json!("4102444800"), json!(1e300), json!(-1), json!(i64::MIN), json!(u64::MAX)] {
        assert!(!forge.lets_in(&[], &[("exp", exp.clone())]).await, "exp {exp}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_token_of_no_session_is_refused() {
    let Some(forge) = Forge::open().await else { return };
    let Account { id: another, .. } = forge.app.register().await;
    assert!(!forge.lets_in(&[], &[("sub", json!(another))]).await, "another user");
    assert!(!forge.lets_in(&[], &[("sid", json!(uuid::Uuid::new_v4().to_string()))]).await, "no session");
    assert!(!forge.lets_in(&[], &[("sub", json!("not an id"))]).await, "no id");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_another_key_under_our_keys_name_is_refused() {
    let Some(forge) = Forge::open().await else { return };
    let own = private_key(&[7; 32]);
    assert!(!forge.takes(&sign(&forge.header, &forge.claims, &own, Algorithm::EdDSA)).await);
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode([7; 32])});
    let header = changed(&forge.header, &[("jwk", jwk), ("kid", Value::Null)]);
    assert!(!forge.takes(&sign(&header, &forge.claims, &own, Algorithm::EdDSA)).await, "brings its own key");
}

/// The public key is no secret: who takes it for one of HMAC takes anybody's token.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_signed_with_the_public_key_is_refused() {
    let Some(forge) = Forge::open().await else { return };
    let prefix = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];
    let spki = [&prefix[..], &forge.public].concat();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(&spki));
    let x = URL_SAFE_NO_PAD.encode(&forge.public);
    for secret in [&forge.public[..], x.as_bytes(), &spki, pem.as_bytes(), b""] {
        for (alg, algorithm) in
            [("HS256", Algorithm::HS256), ("HS384", Algorithm::HS384), ("HS512", Algorithm::HS512)]
        {
            let header = changed(&forge.header, &[("alg", json!(alg))]);
            let token = sign(&header, &forge.claims, &EncodingKey::from_secret(secret), algorithm);
            assert!(!forge.takes(&token).await, "{alg}");
        }
    }
}
