//! The registry, `/v2/`: OCI distribution-spec 1.1, with Docker's token flow.
//!
//! | room | what |
//! |---|---|
//! | [`visitor`] | who calls: Basic, Bearer, or nobody |
//! | [`token`] | `/v2/token`, where clients get a Bearer token |
//! | [`blobs`], [`uploads`], [`manifests`], [`lists`] | the endpoints |
//! | [`body`], [`range`] | bytes on their way out |
//! | [`error`] | refusals in the spec's JSON |

pub(in crate::doors) mod address;
mod blobs;
mod body;
mod error;
mod lists;
mod manifests;
mod range;
mod routes;
mod token;
mod uploads;
mod visitor;

pub use error::Refusal;
#[cfg(test)]
pub use routes::ROUTES;
pub use routes::{configure, is_upload};

/// What every handler answers with.
type Answer<T> = Result<T, Refusal>;
