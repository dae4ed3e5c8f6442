//! IAM: who calls a service, and whether a policy lets them.
//!
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html>)
//!
//! A role has temporary credentials, as a Lambda function has those of its role, and may do what its statements allow. Whoever
//! has [`crate::ACCESS_KEY_ID`] may do everything: the account's own user. What was allowed and what was denied is remembered,
//! so that rights that nobody uses can be found.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{ACCESS_KEY_ID, ACCOUNT, AwsError, SECRET_ACCESS_KEY};

pub(crate) mod needs;
mod policy;

pub(crate) use needs::Need;
pub use policy::{PolicyError, Statement};

/// The account's roles, their credentials, and what they did. Clones share them.
#[derive(Clone)]
pub struct Iam(Arc<Mutex<State>>);

/// What a role signs its requests with, as `sts:AssumeRole` answers it. It has no `Debug`: it is a secret.
#[derive(Clone)]
pub struct Credentials {
    /// Names the role's session.
    pub access_key_id: String,
    /// What requests are signed with.
    pub secret_access_key: String,
    /// Says that they are temporary.
    pub session_token: String,
}

/// A right: what a role may do, with what.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Permission {
    /// The role's name.
    pub role: String,
    /// As `dynamodb:PutItem`.
    pub action: String,
    /// An ARN, or the pattern of some.
    pub resource: String,
}

/// What became of a request's need of a right.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Decision {
    /// The right of the role that allowed it; what it would have needed where none did.
    #[serde(flatten)]
    pub permission: Permission,
    /// Whether it was allowed.
    pub allowed: bool,
}

/// Whoever signed a request.
#[derive(Clone)]
pub(crate) enum Caller {
    /// The account's own user.
    Account,
    /// A role.
    Role(Arc<Role>),
}

pub(crate) struct Role {
    name: String,
    statements: Vec<Statement>,
}

/// What an access key opens.
#[derive(Clone)]
struct Key {
    secret: String,
    /// Of temporary credentials: no request is theirs without it.
    session_token: Option<String>,
    caller: Caller,
}

struct State {
    /// By access key id.
    keys: HashMap<String, Key>,
    decisions: BTreeSet<Decision>,
    log: Option<(File, String)>,
    withheld: Option<Permission>,
}

impl std::fmt::Debug for Iam {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Iam")
    }
}

impl Default for Iam {
    fn default() -> Self {
        let account =
            Key { secret: SECRET_ACCESS_KEY.to_owned(), session_token: None, caller: Caller::Account };
        Self(Arc::new(Mutex::new(State {
            keys: [(ACCESS_KEY_ID.to_owned(), account)].into(),
            decisions: BTreeSet::new(),
            log: None,
            withheld: None,
        })))
    }
}

impl Iam {
    /// A new session of a role that may do what `statements` say.
    pub fn assume(&self, role: &str, statements: Vec<Statement>) -> Credentials {
        let credentials = Credentials {
            // ASIA: temporary (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html).
            access_key_id: format!("ASIA{}", &random()[..16].to_uppercase()),
            secret_access_key: random(),
            session_token: random(),
        };
        let mut state = self.state();
        let withheld = state.withheld.clone().filter(|withheld| withheld.role == role);
        let is_withheld = |statement: &Statement| {
            withheld.as_ref().is_some_and(|withheld| statement.is(&withheld.action, &withheld.resource))
        };
        let statements = statements.into_iter().filter(|statement| !is_withheld(statement)).collect();
        let caller = Caller::Role(Arc::new(Role { name: role.to_owned(), statements }));
        let key = Key {
            secret: credentials.secret_access_key.clone(),
            session_token: Some(credentials.session_token.clone()),
            caller,
        };
        state.keys.insert(credentials.access_key_id.clone(), key);
        credentials
    }

    /// Takes a right from the role that it names, in sessions to come: to see who misses it.
    pub fn withhold(&self, permission: Permission) {
        self.state().withheld = Some(permission);
    }

    /// Writes each decision that is the first of its kind to `log` too, as a line of JSON with this name beside it.
    pub fn log_to(&self, log: File, by: &str) {
        self.state().log = Some((log, by.to_owned()));
    }

    /// All that was decided, each once.
    pub fn decisions(&self) -> BTreeSet<Decision> {
        self.state().decisions.clone()
    }

    /// Whom an access key id is of, if the session token beside it is theirs.
    pub(crate) fn caller(&self, access_key_id: &str, session_token: Option<&str>) -> Option<Caller> {
        let state = self.state();
        let key = state.keys.get(access_key_id)?;
        (key.session_token.as_deref() == session_token).then(|| key.caller.clone())
    }

    /// What whoever has an access key id signs with.
    pub(crate) fn secret(&self, access_key_id: &str) -> Option<String> {
        self.state().keys.get(access_key_id).map(|key| key.secret.clone())
    }

    /// Lets a caller do what needs these rights, or says which one is missing.
    pub(crate) fn authorize(&self, caller: &Caller, needs: &[Need]) -> Result<(), AwsError> {
        let Caller::Role(role) = caller else { return Ok(()) };
        needs.iter().try_for_each(|need| self.decide(role, need))
    }

    fn decide(&self, role: &Role, need: &Need) -> Result<(), AwsError> {
        let mut allowing = None;
        let mut denying = None;
        for statement in role.statements.iter().filter(|statement| statement.applies(need)) {
            let found = if statement.allows() { &mut allowing } else { &mut denying };
            found.get_or_insert(statement);
        }
        let allowing = allowing.filter(|_| denying.is_none());
        let (action, resource) =
            allowing.map_or((need.action.as_str(), need.resource.as_str()), Statement::written);
        let permission =
            Permission { role: role.name.clone(), action: action.to_owned(), resource: resource.to_owned() };
        self.remember(Decision { permission, allowed: allowing.is_some() });
        match (allowing, denying) {
            (Some(_), _) => Ok(()),
            (None, Some(_)) => Err(denied(role, need, "with an explicit deny in an identity-based policy")),
            (None, None) => {
                let why = format!("because no identity-based policy allows the {} action", need.action);
                Err(denied(role, need, &why))
            }
        }
    }

    fn remember(&self, decision: Decision) {
        let mut state = self.state();
        if state.decisions.contains(&decision) {
            return;
        }
        if let Some((log, by)) = &mut state.log {
            let Decision { permission: Permission { role, action, resource }, allowed } = &decision;
            let line =
                json!({"by": by, "role": role, "action": action, "resource": resource, "allowed": allowed});
            // In one piece: others write to the same file.
            if let Err(error) = log.write_all(format!("{line}\n").as_bytes()) {
                tracing::error!(%error, "a decision is not in the log");
            }
        }
        state.decisions.insert(decision);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a resource's own policy lets a service of AWS do what needs this.
pub(crate) fn lets_service(policy: &str, service: &str, need: &Need) -> bool {
    let Ok(policy) = serde_json::from_str(policy) else { return false };
    let Ok(statements) = Statement::read_all(&policy) else { return false };
    let applying: Vec<_> =
        statements.iter().filter(|statement| statement.is_for(service) && statement.applies(need)).collect();
    !applying.is_empty() && applying.into_iter().all(Statement::allows)
}

fn denied(role: &Role, need: &Need, why: &str) -> AwsError {
    let Need { action, resource, .. } = need;
    let name = &role.name;
    AwsError::client(
        "AccessDeniedException",
        format!(
            "User: arn:aws:sts::{ACCOUNT}:assumed-role/{name}/{name} is not authorized to perform: {action} on resource: {resource} {why}"
        ),
    )
}

/// 32 hexadecimal digits.
fn random() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::Value;

    use super::*;

    fn role(policy: &Value) -> (Iam, Caller) {
        let iam = Iam::default();
        let credentials = iam.assume("shop", Statement::read_all(policy).unwrap());
        let caller = iam.caller(&credentials.access_key_id, Some(&credentials.session_token)).unwrap();
        assert!(iam.caller(&credentials.access_key_id, None).is_none(), "not without its token");
        (iam, caller)
    }

    fn need(action: &str, resource: &str) -> Need {
        Need::new(action, resource)
    }

    #[test]
    fn what_no_statement_allows_is_denied_in_aws_words() {
        let policy = json!({"Statement": [{"Effect": "Allow", "Action": ["dynamodb:GetItem", "dynamodb:Query"],
            "Resource": "arn:aws:dynamodb:us-east-1:000000000000:table/Lamps"}]});
        let (iam, caller) = role(&policy);
        let lamps = "arn:aws:dynamodb:us-east-1:000000000000:table/Lamps";
        iam.authorize(&caller, &[need("dynamodb:GetItem", lamps), need("dynamodb:Query", lamps)]).unwrap();
        for (action, resource) in [
            ("dynamodb:PutItem", lamps.to_owned()),
            ("dynamodb:GetItem", format!("{lamps}2")),
            ("dynamodb:Query", format!("{lamps}/index/newest")),
        ] {
            let error = iam.authorize(&caller, &[need(action, &resource)]).unwrap_err();
            assert_eq!((error.status, error.code.as_str()), (400, "AccessDeniedException"));
            assert_eq!(
                error.message,
                format!(
                    "User: arn:aws:sts::000000000000:assumed-role/shop/shop is not authorized to perform: {action} on resource: {resource} because no identity-based policy allows the {action} action"
                )
            );
        }
        let used: Vec<_> = iam.decisions().into_iter().filter(|decision| decision.allowed).collect();
        assert_eq!(used.len(), 2);
        assert_eq!(used[0].permission.action, "dynamodb:GetItem");
    }

    #[test]
    fn a_deny_wins_and_names_itself() {
        let policy = json!({"Statement": [
            {"Effect": "Allow", "Action": "s3:*", "Resource": "*"},
            {"Effect": "Deny", "Action": "s3:DeleteObject", "Resource": "arn:aws:s3:::shop/kept/*"}]});
        let (iam, caller) = role(&policy);
        iam.authorize(&caller, &[need("s3:DeleteObject", "arn:aws:s3:::shop/k")]).unwrap();
        let error =
            iam.authorize(&caller, &[need("s3:DeleteObject", "arn:aws:s3:::shop/kept/k")]).unwrap_err();
        assert!(error.message.ends_with("with an explicit deny in an identity-based policy"), "{error}");
    }

    #[test]
    fn a_right_that_is_withheld_is_missed() {
        let policy = json!({"Statement": [{"Effect": "Allow", "Action": ["sqs:SendMessage", "sqs:DeleteMessage"], "Resource": ["q", "r"]}]});
        let iam = Iam::default();
        iam.withhold(Permission {
            role: "shop".into(),
            action: "sqs:SendMessage".into(),
            resource: "q".into(),
        });
        for (role, allowed) in [("shop", false), ("other", true)] {
            let credentials = iam.assume(role, Statement::read_all(&policy).unwrap());
            let caller = iam.caller(&credentials.access_key_id, Some(&credentials.session_token)).unwrap();
            assert_eq!(iam.authorize(&caller, &[need("sqs:SendMessage", "q")]).is_ok(), allowed);
            iam.authorize(&caller, &[need("sqs:SendMessage", "r"), need("sqs:DeleteMessage", "q")]).unwrap();
        }
    }

    #[test]
    fn a_service_needs_a_queues_leave_for_each_rule() {
        let policy = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": "*",
            "Condition": {"ArnEquals": {"aws:SourceArn": ["arn:aws:events:us-east-1:000000000000:rule/one"]}}}]});
        let send = |rule: &str| {
            let arn = format!("arn:aws:events:us-east-1:000000000000:rule/{rule}");
            Need::new("sqs:SendMessage", "arn:aws:sqs:us-east-1:000000000000:q").with("aws:SourceArn", &arn)
        };
        let policy = policy.to_string();
        assert!(lets_service(&policy, "events.amazonaws.com", &send("one")));
        assert!(!lets_service(&policy, "events.amazonaws.com", &send("two")));
        assert!(!lets_service(&policy, "sns.amazonaws.com", &send("one")));
        assert!(!lets_service("", "events.amazonaws.com", &send("one")));
    }
}
