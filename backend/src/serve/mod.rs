//! `sampan serve` from its first line as root to its end.
//!
//! Two halves with the drop of all privileges between them: [`prepare`] is root, synchronous and parses nothing foreign;
//! [`run`] is the server.

mod certificates;
mod preflight;
mod prepare;
mod run;

pub use certificates::authority;
pub use preflight::preflight;
pub use prepare::{Prepared, helpers, prepare};
pub use run::run;
