//! The whole bundle on a laptop.
//!
//! `template.yaml` says what there is, and this crate makes it so: it plays CloudFormation
//! ([`deploy`]), API Gateway ([`gateway`]), Lambda ([`invoke`]) and Lambda's event source mappings
//! ([`mapping`]). The services behind are an AWS endpoint that is spoken to with the AWS SDKs: the
//! embedded one of `local-aws`, or any other that `AWS_ENDPOINT_URL` names.
//!
//! Nothing here is deployed.

pub mod bundle;
pub mod console;
pub mod dead_letters;
pub mod deploy;
pub mod gateway;
pub mod grant;
pub mod invoke;
pub mod mapping;
pub mod openapi;
pub mod permissions;
mod running;
pub mod seed;
pub mod smoke;
pub mod template;

pub use bundle::{Bundle, Options};

use local_aws::iam::Credentials;
use shared::Function;
use shared::aws::{Aws, Environment};

/// AWS's clients for the endpoint at this URL, as the account's own user of the embedded one.
pub fn aws_at(endpoint: &str) -> Aws {
    aws(endpoint, local_aws::ACCESS_KEY_ID, local_aws::SECRET_ACCESS_KEY, None)
}

/// AWS's clients for the endpoint at this URL, as a role.
pub(crate) fn aws_as(role: &Credentials, endpoint: &str) -> Aws {
    let Credentials { access_key_id, secret_access_key, session_token } = role;
    aws(endpoint, access_key_id, secret_access_key, Some(session_token.clone()))
}

fn aws(endpoint: &str, access_key_id: &str, secret_access_key: &str, session_token: Option<String>) -> Aws {
    Aws::new(Environment {
        region: local_aws::REGION.to_owned(),
        access_key_id: access_key_id.to_owned(),
        secret_access_key: secret_access_key.to_owned(),
        session_token,
        endpoint: Some(endpoint.to_owned()),
    })
}

/// Every function of every domain.
pub fn functions() -> impl Iterator<Item = &'static Function> {
    [
        auth::FUNCTIONS,
        events::FUNCTIONS,
        files::FUNCTIONS,
        jobs::FUNCTIONS,
        ops::FUNCTIONS,
        products::FUNCTIONS,
        users::FUNCTIONS,
    ]
    .into_iter()
    .flatten()
    .copied()
}
