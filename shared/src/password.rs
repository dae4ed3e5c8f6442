//! Passwords: which ones are taken, and how they are kept.

use std::num::NonZero;
use std::sync::{LazyLock, Mutex, PoisonError};

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};

use schemars::{Schema, json_schema};
use tokio::sync::Semaphore;

use crate::email::Email;
use crate::input::{Fault, Field, Raw};
use crate::{Error, Result};

/// A password that somebody wants to have: it keeps the rules. It has no `Debug`.
pub struct NewPassword(String);

/// A password that somebody wants to have, not yet held to the rules: those need the account's own name and
/// address. It has no `Debug`.
pub struct Wanted(String);

/// A password that somebody claims to have: any text that is not empty. It has no `Debug`.
pub struct Password(String);

/// Longest password, in bytes: hashing more only helps an attacker.
const MAX_BYTES: usize = 256;
/// A password of this many characters needs no mixture of them.
const LONG_ENOUGH: usize = 15;
/// The least length of a password that has the mixture.
const MIN: usize = 8;
/// Words of a name shorter than this say too little about who somebody is.
const MIN_IDENTITY_WORD: usize = 4;
/// Nor does a local part shorter than this: one letter would forbid nearly every password.
const MIN_IDENTITY_LOCAL: usize = 3;

impl NewPassword {
    /// Takes `text` as a new password of the person known by `name` and `email`, or names every
    /// rule that it breaks.
    pub fn parse(text: String, name: Option<&str>, email: Option<&str>) -> Result<Self, Fault> {
        let rules = broken_rules(&text, name, email);
        if rules.is_empty() { Ok(Self(text)) } else { Err(Fault::Invalid(rules)) }
    }
}

impl Wanted {
    /// The password, if it keeps the rules for the account of `name` and `email`; `field` is what the request
    /// calls it.
    pub fn of(self, field: &str, name: &str, email: &Email) -> Result<NewPassword> {
        NewPassword::parse(self.0, Some(name), Some(email.as_str())).map_err(|fault| fault.at(field))
    }
}

impl Field for Wanted {
    fn read(raw: &Raw<'_>) -> Result<Self, Fault> {
        raw.string().map(Self)
    }

    fn schema() -> Schema {
        NewPassword::schema()
    }
}

/// Beside its own text, the password is held against the `name` and the `email` of the same body.
impl Field for NewPassword {
    fn read(raw: &Raw<'_>) -> Result<Self, Fault> {
        let (name, email) = (raw.sibling("name"), raw.sibling("email"));
        Self::parse(raw.string()?, name.as_deref(), email.as_deref())
    }

    fn schema() -> Schema {
        json_schema!({"type": "string", "format": "password", "minLength": MIN, "maxLength": MAX_BYTES,
            "description": "At least 8 characters with an upper-case letter, a lower-case letter and a digit, \
                or any 15; at most 256 bytes; none of the most common passwords; without the account's own name \
                or address"})
    }
}

impl Field for Password {
    fn read(raw: &Raw<'_>) -> Result<Self, Fault> {
        let text = raw.string()?;
        if text.is_empty() {
            return Err(Fault::invalid("TOO_SHORT", "must not be empty"));
        }
        Ok(Self(text))
    }

    fn schema() -> Schema {
        json_schema!({"type": "string", "format": "password", "minLength": 1})
    }
}

fn broken_rules(
    text: &str,
    name: Option<&str>,
    email: Option<&str>,
) -> Vec<(&'static str, std::borrow::Cow<'static, str>)> {
    let mut rules = Vec::new();
    let length = text.chars().count();
    if length < MIN {
        rules.push(("PASSWORD_TOO_SHORT", format!("must have at least {MIN} characters").into()));
    }
    if length < LONG_ENOUGH {
        let lacks = |is: fn(char) -> bool| !text.chars().any(is);
        if lacks(char::is_uppercase) {
            rules.push(("PASSWORD_NO_UPPERCASE", "must have an upper-case letter".into()));
        }
        if lacks(char::is_lowercase) {
            rules.push(("PASSWORD_NO_LOWERCASE", "must have a lower-case letter".into()));
        }
        if lacks(|c| c.is_ascii_digit()) {
            rules.push(("PASSWORD_NO_DIGIT", "must have a digit".into()));
        }
    }
    if text.len() > MAX_BYTES {
        rules.push(("PASSWORD_TOO_LONG", format!("must have at most {MAX_BYTES} bytes").into()));
    }
    if is_common(text) {
        rules.push(("PASSWORD_TOO_COMMON", "is one of the most common passwords".into()));
    }
    if contains_identity(text, name, email) {
        rules.push(("PASSWORD_CONTAINS_IDENTITY", "must not contain your name or email address".into()));
    }
    rules
}

/// The 10,000 most common passwords, in lower case, sorted by their bytes, one a line.
const COMMON: &str = include_str!("common-passwords.txt");

/// Whether the password is one of the most common, in any case.
fn is_common(text: &str) -> bool {
    let text = text.to_lowercase();
    // A binary search over bytes: a list of lines would have to be made at each cold start.
    let mut rest = COMMON.as_bytes();
    while !rest.is_empty() {
        let middle = rest.len() / 2;
        let start = rest[..middle].iter().rposition(|byte| *byte == b'\n').map_or(0, |place| place + 1);
        let end =
            rest[start..].iter().position(|byte| *byte == b'\n').map_or(rest.len(), |place| start + place);
        match text.as_bytes().cmp(&rest[start..end]) {
            std::cmp::Ordering::Equal => return true,
            std::cmp::Ordering::Less => rest = &rest[..start],
            std::cmp::Ordering::Greater => rest = rest.get(end + 1..).unwrap_or_default(),
        }
    }
    false
}

/// Whether the password contains the email's local part or a longer word of the name.
fn contains_identity(text: &str, name: Option<&str>, email: Option<&str>) -> bool {
    let text = text.to_lowercase();
    let email = email.and_then(|email| email.parse::<Email>().ok());
    let local = email
        .as_ref()
        .map(Email::local_part)
        .filter(|local| local.chars().count() >= MIN_IDENTITY_LOCAL && text.contains(local));
    let name = name.unwrap_or_default().to_lowercase();
    local.is_some()
        || name
            .split(|c: char| !c.is_alphanumeric())
            .any(|word| word.chars().count() >= MIN_IDENTITY_WORD && text.contains(word))
}

/// A password's hash in PHC string format, with its salt and parameters. It has no `Debug`.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Hash(String);

impl Hash {
    /// The hash as it is stored.
    pub fn phc(&self) -> &str {
        &self.0
    }
}

/// Argon2id with m=19456 KiB, t=2, p=1: OWASP's first recommendation
/// (<https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html>).
const ALGORITHM: Algorithm = Algorithm::Argon2id;
const VERSION: Version = Version::V0x13;
const PARAMS: Params = Params::DEFAULT;

/// What an unknown account's password is held against, so that it takes the same time as a known one's.
static NOBODY: LazyLock<Hash> =
    LazyLock::new(|| hash_blocking("this account does not exist").unwrap_or_else(|_| Hash(String::new())));

fn hash_blocking(text: &str) -> Result<Hash> {
    let mut salt = [0; Salt::RECOMMENDED_LENGTH];
    getrandom::fill(&mut salt).map_err(Error::internal)?;
    let salt = Salt::new(&salt).map_err(Error::internal)?;
    let output = argon2(text, &salt, ALGORITHM, VERSION, PARAMS)?;
    let hash = PasswordHash {
        algorithm: ALGORITHM.ident(),
        version: Some(VERSION.into()),
        params: ParamsString::try_from(&PARAMS).map_err(Error::internal)?,
        salt: Some(salt),
        hash: Some(output),
    };
    Ok(Hash(hash.to_string()))
}

/// Whether `text` is what `hash` was made of, whatever its parameters.
fn is_of(text: &str, hash: &PasswordHash) -> Result<bool> {
    let (Some(salt), Some(output)) = (&hash.salt, &hash.hash) else { return Ok(false) };
    let algorithm = hash.algorithm.as_str().try_into().map_err(Error::internal)?;
    let version = hash.version.map(Version::try_from).transpose().map_err(Error::internal)?;
    let params = Params::try_from(hash).map_err(Error::internal)?;
    // Outputs are compared in constant time.
    Ok(argon2(text, salt, algorithm, version.unwrap_or(VERSION), params)? == *output)
}

/// The memory of hashes that are not under way. It is kept: to ask for 19 MiB anew costs page faults as long as half a hash,
/// and each thread that frees them leaves them to itself.
static MEMORY: Mutex<Vec<Vec<Block>>> = Mutex::new(Vec::new());

fn argon2(text: &str, salt: &Salt, algorithm: Algorithm, version: Version, params: Params) -> Result<Output> {
    let kept = || MEMORY.lock().unwrap_or_else(PoisonError::into_inner);
    let mut memory = kept().pop().unwrap_or_default();
    memory.resize(params.block_count().max(memory.len()), Block::default());
    let mut output = [0; Output::MAX_LENGTH];
    let length = params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
    let output = output.get_mut(..length).ok_or_else(|| Error::internal("a hash is too long"))?;
    let argon2 = Argon2::new(algorithm, version, params);
    let filled = argon2.hash_password_into_with_memory(text.as_bytes(), salt, output, &mut memory);
    kept().push(memory);
    filled.map_err(Error::internal)?;
    Output::new(output).map_err(Error::internal)
}

/// As many hashes at once as there are processors: each takes 19 MiB, and more would only be slower.
static PROCESSORS: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(std::thread::available_parallelism().map_or(1, NonZero::get)));

/// Runs some 20 ms of CPU away from the async executor.
async fn work<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let permit = PROCESSORS.acquire().await.map_err(Error::internal)?;
    let done = tokio::task::spawn_blocking(move || {
        // Held by the work and not by who waits for it: that one may give up.
        let _permit = permit;
        work()
    });
    done.await.map_err(Error::internal)?
}

/// Hashes a new password.
pub async fn hash(password: NewPassword) -> Result<Hash> {
    work(move || hash_blocking(&password.0)).await
}

/// What became of a password that was held against a hash.
pub enum Verified {
    /// It is another one.
    No,
    /// It is the one.
    Yes,
    /// It is the one, and this is its hash with today's parameters, which the old one does not have.
    Rehashed(Hash),
}

/// Whether `password` is the one that `hash` was made of. Without a hash the answer is no, after the
/// same work.
pub async fn verify(password: Password, hash: Option<Hash>) -> Result<Verified> {
    let verify = move || {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| NOBODY.clone());
        let parsed = PasswordHash::new(&hash.0).map_err(Error::internal)?;
        if !is_of(&password.0, &parsed)? || !known {
            return Ok(Verified::No);
        }
        let parameters = |hash: &Hash| hash.0.rsplitn(3, '$').last().map(ToOwned::to_owned);
        if parameters(&hash) == parameters(&NOBODY) {
            return Ok(Verified::Yes);
        }
        hash_blocking(&password.0).map(Verified::Rehashed)
    };
    work(verify).await
}

/// Makes the hash of nobody's password ahead of the first login that needs it.
pub fn warm_up() {
    LazyLock::force(&NOBODY);
}

#[cfg(test)]
mod tests {
    use argon2::PasswordHasher as _;

    use super::*;

    fn codes(text: &str) -> Vec<&'static str> {
        broken_rules(text, Some("Ada King Lovelace"), Some("countess@example.com"))
            .into_iter()
            .map(|(code, _)| code)
            .collect()
    }

    #[test]
    fn a_password_is_told_every_rule_that_it_breaks() {
        assert_eq!(
            codes("~"),
            ["PASSWORD_TOO_SHORT", "PASSWORD_NO_UPPERCASE", "PASSWORD_NO_LOWERCASE", "PASSWORD_NO_DIGIT"]
        );
        assert_eq!(codes("loveLACE1"), ["PASSWORD_CONTAINS_IDENTITY"]);
        assert_eq!(codes("theCOUNTESSof1815"), ["PASSWORD_CONTAINS_IDENTITY"]);
        assert_eq!(codes(&"a".repeat(257)), ["PASSWORD_TOO_LONG"]);
    }

    #[test]
    fn a_mixture_of_eight_or_any_fifteen_characters_will_do() {
        assert_eq!(codes("Zyxwvut7"), [""; 0]);
        assert_eq!(codes("only small ones"), [""; 0]);
        assert_eq!(codes("only small one"), ["PASSWORD_NO_UPPERCASE", "PASSWORD_NO_DIGIT"]);
        // Words of a name with fewer than four characters do not count.
        assert_eq!(codes("Adaptable9"), [""; 0]);
    }

    #[test]
    fn a_common_password_is_refused_in_any_case() {
        assert!(COMMON.lines().is_sorted_by(|one, other| one.as_bytes() < other.as_bytes()));
        assert_eq!(COMMON.lines().count(), 10_000);
        let unknown: Vec<&str> = COMMON.lines().filter(|line| !is_common(line)).collect();
        assert_eq!(unknown, [""; 0]);
        assert_eq!(codes("Password1"), ["PASSWORD_TOO_COMMON"]);
        assert_eq!(codes("123456789123456789"), ["PASSWORD_TOO_COMMON"], "length does not make it rare");
        assert!(!is_common("") && !is_common("zzzzzzzzzzzzzzzzzzz") && !is_common("\u{1}"));
    }

    #[tokio::test]
    async fn a_hash_verifies_its_own_password_alone() {
        let hash = hash(NewPassword("Correct-horse-1".into())).await.unwrap();
        assert!(hash.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        let verify =
            async |text: &str, hash: Option<Hash>| verify(Password(text.into()), hash).await.unwrap();
        assert!(matches!(verify("Correct-horse-1", Some(hash.clone())).await, Verified::Yes));
        assert!(matches!(verify("correct-horse-1", Some(hash)).await, Verified::No));
        assert!(matches!(verify("this account does not exist", None).await, Verified::No));
    }

    #[tokio::test]
    async fn an_older_hash_is_replaced_by_one_with_todays_parameters() {
        let params = Params::new(8, 1, 1, None).unwrap();
        let old = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let old: PasswordHash = old.hash_password(b"Correct-horse-1").unwrap();
        let other = Hash(old.to_string());
        let other = verify(Password("correct-horse-1".into()), Some(other)).await.unwrap();
        assert!(matches!(other, Verified::No));
        let old = Hash(old.to_string());
        let Verified::Rehashed(new) = verify(Password("Correct-horse-1".into()), Some(old)).await.unwrap()
        else {
            panic!("not hashed anew")
        };
        assert!(new.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        let again = verify(Password("Correct-horse-1".into()), Some(new)).await.unwrap();
        assert!(matches!(again, Verified::Yes));
    }
}
