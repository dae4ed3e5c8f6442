//! Products: the catalogue, at `/api/v1/products`.

use shared::Function;

pub mod create;
pub mod delete;
mod fields;
pub mod get;
pub mod grpc;
pub mod index;
pub mod list;
mod postings;
mod proto {
    //! What the build makes of `proto/`.
    #![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, reason = "generated")]
    include!(concat!(env!("OUT_DIR"), "/proto.rs"));
}
pub mod reindex;
pub mod search;
mod shown;
pub mod stock;
pub mod update;
mod visible;
mod words;

/// Every function of this domain.
pub static FUNCTIONS: &[&Function] = &[
    &create::FUNCTION,
    &delete::FUNCTION,
    &get::FUNCTION,
    &grpc::FUNCTION,
    &index::FUNCTION,
    &list::FUNCTION,
    &reindex::FUNCTION,
    &search::FUNCTION,
    &stock::FUNCTION,
    &update::FUNCTION,
];
