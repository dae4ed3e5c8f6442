//! Files: direct uploads to S3 and what becomes of them, at `/api/v1/files`.

use shared::Function;

pub mod create;
pub mod delete;
pub mod download;
pub mod expire;
mod filename;
pub mod finalize;
pub mod get;
pub mod list;
mod shown;

/// Every function of this domain.
pub static FUNCTIONS: &[&Function] = &[
    &create::FUNCTION,
    &delete::FUNCTION,
    &download::FUNCTION,
    &expire::FUNCTION,
    &finalize::FUNCTION,
    &get::FUNCTION,
    &list::FUNCTION,
];
