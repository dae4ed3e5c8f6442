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
pub mod deploy;
pub mod gateway;
pub mod grant;
pub mod invoke;
pub mod mapping;
pub mod openapi;
pub mod seed;
pub mod smoke;
pub mod template;

pub use bundle::{Bundle, Options};

use shared::Function;

/// Every function of every domain.
pub fn functions() -> impl Iterator<Item = &'static Function> {
    [
        auth::FUNCTIONS,
        events::FUNCTIONS,
        jobs::FUNCTIONS,
        ops::FUNCTIONS,
        products::FUNCTIONS,
        users::FUNCTIONS,
    ]
    .into_iter()
    .flatten()
    .copied()
}
