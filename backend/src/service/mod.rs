//! What the doors offer, once: each function takes a [`crate::policy::Granted`], calls the engine or the accounts, and
//! writes the audit trail. No type of an HTTP library appears here.

pub mod containers;
mod error;
pub mod events;
pub mod execs;
pub mod volumes;

pub use error::ServiceError;

type Result<T> = std::result::Result<T, ServiceError>;
